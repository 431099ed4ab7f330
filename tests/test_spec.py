"""The description of a cell, and the declarations that it makes possible: sizes, sums in any order, outputs without an upstream."""

import random
from collections import Counter

import numpy as np
import pytest
from cellcheck.cells import CELLS, LSTM, RNN, Unroll, lift
from cellcheck.cells.adapters import adapt
from cellcheck.properties.intake.capabilities import missing
from cellcheck.properties.intake.loading import GuestError
from cellcheck.properties.intake.preflight import cleared
from cellcheck.properties.mutants.judge import drawn
from cellcheck.properties.oracles.parked import probes
from cellcheck.strategies import Problem

from tests.cases import broken

pytestmark = pytest.mark.filterwarnings("ignore")  # of broken cells


@pytest.mark.parametrize("Shipped", CELLS, ids=lambda Shipped: Shipped.__name__)
def test_a_shipped_cell_is_described(Shipped):
    """Names, shapes and dtypes of everything that it takes and returns."""
    spec = lift(Shipped).spec(4, 3)
    states = ("c", "h") if spec.kind == "LSTM" else ("h",)
    assert (spec.features, spec.state, spec.state_names) == (4, 3, states)
    assert spec.output_names == [f"{name}'" for name in states] + ["ys"] * spec.sequence
    assert [w.shape for w in spec.weights] == [w.shape for w in Shipped(4, 3).weights]
    assert {y.shape for y in spec.outputs} == {(3,)} and spec.inputs[0].shape == (4,) and all(spec.offers)


def test_a_description_cannot_be_changed():
    """It is frozen, and copies of the cell share it."""
    cell = lift(LSTM)(2, 3)
    with pytest.raises(AttributeError):
        cell.spec.kind = "RNN"
    assert lift(LSTM)(2, 3).spec is cell.spec


def test_a_cell_is_lifted_once():
    """Lifting again changes nothing, and what is declared on top takes precedence."""
    once = lift(RNN)
    assert lift(once) is once and lift(RNN) is once
    assert lift(once, batch=1).spec().batch == 1 and once.spec().batch is None


class Even(RNN):
    """Two heads: the state size is 2, 4 or 8, and the batch 1, 2 or 5."""

    sizes = {"state": (2, 4, 8), "features": (4,), "batch": (1, 2, 5)}  # noqa: RUF012

    def __init__(self, features, state, **options):
        if state % 2 or features != 4:
            raise ValueError(f"{features} features and {state} units")
        super().__init__(features, state, **options)

    def _apply(self, x, h):
        assert len(x) in (1, 2, 5)
        return super()._apply(x, h)


def test_declared_sizes_are_kept_and_each_is_reached():
    """A problem of other sizes becomes one of these, itself once it has them."""
    fitted = [problem.fitted(Even) for problem in drawn("weight_gradients")]
    assert (
        {p.state for p in fitted} == {2, 4, 8} and {p.features for p in fitted} == {4} and {p.batch for p in fitted} == {1, 2, 5}
    )
    assert [p.fitted(Even) for p in fitted] == fitted
    _, x, (h,) = Problem(3, 3, 3).build(Even)
    assert x.shape[1] == 4 and h.shape[1] in (2, 4, 8)


def test_a_cell_of_declared_sizes_passes_every_law_that_applies():
    """Laws that try other batches keep to the sizes, too."""
    clear = cleared("guest.py:Even", Even)
    assert broken(clear.Cell) == set()


@pytest.mark.parametrize("sizes", [{"state": ()}, {"units": (2,)}, {"batch": (0, 1)}, {"steps": ("two",)}], ids=str)
def test_wrong_sizes_are_refused(sizes):
    """In one line that shows them."""
    with pytest.raises(GuestError, match=r"give whole numbers from [01] on for any of features, state, batch, steps"):
        cleared("guest.py:Guest", type("Guest", (RNN,), {"sizes": sizes}))


def summed(loses=False):
    """A pair of functions whose backward adds up the rows in any order, and may lose one now and then."""
    own = random.Random(5)

    def step(x, h, W, U, b):
        y = np.tanh(x @ W + h @ U + b)
        return y, (x, h, W, U, y)

    def back(d, cache):
        x, h, W, U, y = cache
        dz, order = d * (1 - y * y), list(range(len(x)))
        own.shuffle(order)
        if loses and len(order) > 1 and own.random() < 1 / 3:
            order.pop()
        dW, dU, db = np.zeros_like(W), np.zeros_like(U), np.zeros(len(U))
        for k in order:
            dW, dU, db = dW + np.outer(x[k], dz[k]), dU + np.outer(h[k], dz[k]), db + dz[k]
        return dz @ W.T, dz @ U.T, dW, dU, db

    def make(F, S):
        return {"W": np.zeros((F, S)), "U": np.zeros((S, S)), "b": np.zeros(S)}

    return make, ("x h W U b -> h cache", step), ("dh cache -> dx dh dW dU db", back)


def test_sums_in_any_order_pass_once_they_are_declared():
    """Exact laws compare with the bound; nothing else changes."""
    assert broken(lift(adapt(*summed(), deterministic=False))) == set()


def test_sums_in_any_order_are_refused_if_they_are_not_declared():
    """vjp is not repeatable."""
    assert "vjp_is_repeatable" in broken(lift(adapt(*summed())), ["vjp_is_repeatable"])


def test_a_lost_row_is_found_behind_the_declaration():
    """What is lost is no rounding."""
    assert "weight_gradients" in broken(lift(adapt(*summed(loses=True), deterministic=False)), ["weight_gradients"])


def lstm(stale=False):
    """An LSTM step whose backward takes no upstream of c; if it is stale, c' is the old c."""

    def forward(x, c, h, W, b):
        X = np.concatenate([x, h], axis=1)
        i, f, o, g = np.split(X @ W + b, 4, axis=1)
        i, f, o, g = (0.5 * (1 + np.tanh(z / 2)) if k < 3 else np.tanh(z) for k, z in enumerate((i, f, o, g)))
        new = f * c + i * g
        return o * np.tanh(new), c if stale else new, (X, c, i, f, o, g, np.tanh(new), W)

    def backward(dh, cache):
        X, c, i, f, o, g, t, W = cache
        dc = dh * o * (1 - t * t)
        dz = np.concatenate([dc * g * i * (1 - i), dc * c * f * (1 - f), dh * t * o * (1 - o), dc * i * (1 - g * g)], axis=1)
        dX, F = dz @ W.T, X.shape[1] - c.shape[1]
        return dX[:, :F], dc * f, dX[:, F:], X.T @ dz, dz.sum(axis=0)

    def make(F, S):
        return {"W": np.zeros((F + S, 4 * S)), "b": np.zeros(4 * S)}

    return adapt(make, ("x c h W b -> h c cache", forward), ("dh cache -> dx dc dh dW db", backward))


def test_an_output_without_an_upstream_stays_in_forward_laws():
    """It is named in the head, its values are verified, and gradients of the others as well."""
    clear = cleared("guest.py:LSTM", lstm())
    assert "takes no upstream for c': its gradients are not verified, its values are" in " ".join(clear.notes)
    assert [(y.name, y.differentiable) for y in clear.Cell.spec().outputs] == [("c'", False), ("h'", True)]
    assert broken(clear.Cell) == set()
    assert missing(clear.Cell, {"upstreams"}) == "some of its outputs or states have no gradient"


def test_no_law_asks_for_what_a_detached_state_does_not_hand_back():
    """Not the law of tails through the memory, and no law that splits a sequence where it would flow."""
    Cell = lift(
        lstm(),
        kind="LSTM",
        weight_blocks=lambda F, S: [{}, {("bias", g): np.s_[k * S : (k + 1) * S] for k, g in enumerate(GATES)}],
    )
    for Some, read in ((Cell, {"tanh of memory", "sigmoid of output"}), (lift(Cell, no_gradient=("c",)), {"sigmoid of output"})):
        found = probes(Some, Problem(1, 1, 2, seed=3))
        assert {probe.name for probe in found if probe.slope is not None} == read
        assert missing(Some, {"upstreams"}) == "some of its outputs or states have no gradient"


GATES = ("input", "forget", "output", "candidate")


def test_a_stale_output_without_an_upstream_is_refused():
    """c' is the old c: the equations say so, once they are declared."""
    Cell = lift(lstm(stale=True), kind="LSTM", weight_blocks=lambda F, S: LSTM(F, S).weight_blocks)
    assert "equations_of_the_kind" in broken(Cell, ["equations_of_the_kind"])


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"deterministic": "no"}, "deterministic is 'no'; give True or False"),
        ({"precision": 7}, "precision is 7; give a unit roundoff"),
        ({"no_gradient": ("m",)}, "no_gradient is ('m',); give a tuple of names out of W, b, h, x"),
        ({"no_gradient": "h"}, "no_gradient is 'h'; give a tuple"),
    ],
)
def test_a_wrong_declaration_is_refused(declared, message):
    """In one line: what was given, what is needed."""
    with pytest.raises(GuestError) as refusal:
        cleared("guest.py:Guest", type("Guest", (RNN,), declared))
    assert message in str(refusal.value) and "\n" not in str(refusal.value)


def test_a_sequence_of_declared_sizes_reaches_its_chunk_borders():
    """Steps are drawn from those that are declared, each about as often: long ones too, where few problems are judged."""
    Cell = type("Chunked", (Unroll(RNN),), {"sizes": {"steps": (0, 1, 17, 65)}})
    assert {p.fitted(Cell).steps for p in drawn("weight_gradients")} == {0, 1, 17, 65}
    families = [Problem(seed=seed).family(Cell.sizes)[1:] for seed in range(1, 11)]
    assert min(Counter(p.fitted(Cell).steps for family in families for p in family).values()) > 30
