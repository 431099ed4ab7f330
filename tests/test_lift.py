"""What lift makes of a guest."""

import copy

import numpy as np
import pytest
from cellcheck.cells import LSTM, lift

from tests.cases import FEATURES, STATE, case, every_cell, flat, named, same


class Bare:
    """A guest as in the gist: weights, forward, backward and nothing else."""

    def __init__(self, input_features, state_size):
        """Both sizes, in the gist's order."""
        self._inner = LSTM(input_features, state_size, rng=0)
        self.weights = self._inner.weights

    def forward(self, x, cell, h):
        """The sum of the new hidden state, a Python float."""
        return float(self._inner.forward(x, cell, h))

    def backward(self, d_output):
        """One gradient for each weight."""
        return self._inner.backward(d_output)


class Plain(Bare):
    """A guest with apply and vjp that knows no Gradients."""

    def apply(self, x, memory, h):
        """The new states, in a list."""
        return list(self._inner.apply(x, memory, h))

    def vjp(self, d_memory, d_h):
        """A plain tuple."""
        return tuple(self._inner.vjp(d_memory, d_h))


def test_a_bare_class_has_one_scalar_output():
    """apply = (forward,)."""
    _, x, state = case(LSTM)
    cell = lift(Bare)(FEATURES, STATE)
    [y] = cell.apply(x, *state)
    assert y.shape == ()
    assert y == Bare(FEATURES, STATE).forward(x, *state)


def test_a_bare_class_has_weight_gradients_only():
    """vjp(d) = (backward(d), None, None)."""
    _, x, state = case(LSTM)
    cell, bare = lift(Bare)(FEATURES, STATE), Bare(FEATURES, STATE)
    cell.apply(x, *state)
    bare.forward(x, *state)
    weights, d_x, d_state = cell.vjp(np.array(2.0))
    same(weights, bare.backward(2.0))
    assert (d_x, d_state, cell.spec.gradients) == (None, None, ("weights",))


@pytest.mark.parametrize(("Guest", "names"), [(Bare, ("cell", "h")), (Plain, ("memory", "h")), (LSTM, ("c", "h"))], ids=repr)
def test_states_are_named_by_declaration_or_signature(Guest, names):
    """state_names, else the parameters of apply or forward after x."""
    assert lift(Guest).spec().state_names == names


def test_a_plain_tuple_of_gradients_will_do():
    """A guest with apply and vjp keeps them, and its outputs and gradients are those of the cell inside."""
    inner, x, state = case(LSTM)
    cell = lift(Plain)(FEATURES, STATE)
    for w, value in zip(cell.weights, inner.weights, strict=True):
        w[...] = value
    outputs = inner.apply(x, *state)
    same(cell.apply(x, *state), outputs)
    same(flat(cell.vjp(*outputs)), flat(inner.vjp(*outputs)))
    assert cell.spec.gradients == ("weights", "x", "state")


@every_cell
def test_a_shipped_cell_keeps_its_declarations(Shipped):
    """kind, sequence, names and gradients of a cell and of its lifted self are the same."""
    own, lifted = Shipped(FEATURES, STATE), lift(Shipped)(FEATURES, STATE)
    for name in ("kind", "sequence", "state_names", "gradients", "batch", "dtypes", "transposed", "weight_blocks"):
        assert getattr(lifted.spec, name) == getattr(own, name)


@pytest.mark.parametrize("Guest", [Bare, Plain, LSTM], ids=named)
def test_the_weights_of_a_guest_are_live(Guest):
    """Writing into them, or rebinding them in a deepcopy, reaches the guest."""
    _, x, state = case(LSTM)
    cell = lift(Guest)(FEATURES, STATE)
    rebound = copy.deepcopy(cell, {id(w): w + 1 for w in cell.weights})
    for w in cell.weights:
        w += 1
    same(cell.apply(x, *state), rebound.apply(x, *state))


def test_the_name_is_the_guest_s():
    """A lifted class is called and documented as the guest is."""
    assert (lift(Bare).__name__, lift(Bare).__doc__) == ("Bare", Bare.__doc__)


class Forwards:
    """A guest without gradients."""

    def __init__(self, features, state):
        self.weights = [np.ones((state, features))]

    def apply(self, x):
        """The new state."""
        return x @ self.weights[0].T


def test_a_guest_without_gradients_claims_none():
    """vjp = (None, None, None)."""
    cell = lift(Forwards)(FEATURES, STATE)
    assert cell.spec.gradients == () and cell.vjp(*cell.apply(np.ones((1, FEATURES)))) == (None, None, None)


def test_of_means_that_are_not_offered_nothing_is_made():
    """Weight gradients are means, those of this guest None: they stay so."""

    class Without(Plain):
        choices = {"mean": True}  # noqa: RUF012

        def vjp(self, *d_outputs):
            return None, *super().vjp(*d_outputs)[1:]

    _, x, state = case(LSTM)
    cell = lift(Without)(FEATURES, STATE)
    assert cell.vjp(*cell.apply(x, *state)).weights is None
