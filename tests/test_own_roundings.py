"""What a correct cell of unknown equations loses by its own arithmetic is no violation, and what is wrong by little is one."""

from dataclasses import replace

import numpy as np
import pytest
from cellcheck.cells import lift
from cellcheck.properties import test_gradients, test_layout, test_linearity, test_sequences
from cellcheck.properties.oracles import noisy
from cellcheck.properties.oracles.chebyshev import Chebyshev
from cellcheck.properties.shrinking.shrinking import smallest
from cellcheck.properties.verdicts.blocks import Violation
from cellcheck.strategies import Problem

from tests.guests.cancelling import CosineMemory, LogScan

HARD = Problem(batch=5, features=1, state=2, seed=1802, scale=30.0, regime="integers")


def saturated():
    """A softmax within 4e-9 of 1, beside a memory of which a row is 0."""
    p = Problem(1, 1, 1).literal(CosineMemory)
    weights = [np.array(w, float) for w in ([[0]], [[2]], [-20], [[0]], [[1]])]
    state = np.array([[[1.0], [1.0], [0.0]]]), np.array([[-1.0]])
    given = [tuple(np.zeros_like(s) for s in state), (np.zeros_like(state[0]), np.ones((1, 1)))]
    return replace(p, weights=weights, x=np.array([[-1.0]]), state=state, given=given)


def large():
    """Logarithms of thousands: exp of their sum has 13 right digits."""
    p = Problem(1, 1, 1, 2).literal(LogScan)
    weights, x = [np.array([[280.0]]), np.array([[2.0]])], np.array([[[9.4]], [[20.0]]])
    return replace(p, weights=weights, x=x, state=(np.array([[1.0]]),))


ALARMS = [
    (test_linearity.test_vjp_is_linear, CosineMemory, saturated()),
    (test_sequences.test_a_sequence_is_its_steps, LogScan, large()),
    (test_gradients.test_state_gradients, CosineMemory, HARD),
]


def asked(law, Cell, problem):
    """Run a law on one problem."""
    with np.errstate(all="ignore"):
        law.hypothesis.inner_test(lift(Cell), problem)


@pytest.mark.parametrize(("law", "Cell", "problem"), ALARMS)
def test_own_roundings_are_no_violation(law, Cell, problem):
    """Each result of an operation is rounded at random, and the bound follows."""
    asked(law, Cell, problem)


class Gelu:
    """h' = a / sqrt(a^2 + 1e-5) with a = z (1 + tanh(z)) / 2 and z = x W, in real numbers alone."""

    complex = False

    def __init__(self, features, state):
        self.weights = [np.zeros((features, state))]

    def apply(self, x, h):
        """h', which does not depend on h."""
        self.x, self.z = x, x @ self.weights[0]
        self.t = np.tanh(self.z)
        self.a = 0.5 * self.z * (1 + self.t)
        self.size = np.sqrt(self.a**2 + 1e-5)
        return (self.a / self.size,)

    def vjp(self, d):
        """da / dz needs 1 + tanh(z) as well."""
        da = d * 1e-5 / self.size**3
        dz = da * 0.5 * (1 + self.t + self.z * (1 - self.t**2))
        return [self.x.T @ dz], dz @ self.weights[0].T, (0 * d,)


@pytest.mark.parametrize("x", [-16.7, -17.0, -17.3, -18.1])
def test_what_leaps_between_roundings_is_no_violation(x):
    """1 + tanh(z) stays for many ulps of z near -17, where it is a few units of 1, and so does what is interpolated."""
    p = replace(Problem(1, 1, 1).literal(Gelu), weights=[np.array([[1.0]])], x=np.array([[x]]), given=[(np.ones((1, 1)),)] * 2)
    asked(test_gradients.test_input_gradients, Gelu, p)


@pytest.mark.parametrize(("law", "Cell", "problem"), ALARMS)
def test_without_roundings_they_would_be(law, Cell, problem, monkeypatch):
    """The change of the inputs alone does not show them."""
    monkeypatch.setattr(noisy.Noisy, "__array_ufunc__", None)
    monkeypatch.setattr(Chebyshev, "ripple", lambda *_: 0.0)
    with pytest.raises(Violation):
        asked(law, Cell, problem)


class SlightlyWrong(CosineMemory):
    """The gradient of r is wrong by a few parts in 1e9, and depends on the sign of the upstream."""

    def vjp(self, dM, dr):
        """A term of 5e-9 sum |dr| too much."""
        weights, dx, (dM, own) = super().vjp(dM, dr)
        return weights, dx, (dM, own + 5e-9 * np.abs(dr).sum())


@pytest.mark.parametrize("law", [test_gradients.test_state_gradients, test_linearity.test_vjp_is_linear])
def test_a_small_fault_is_still_one(law):
    """Where the arithmetic loses no digits, an error of that size is no rounding."""
    with pytest.raises(Violation):
        asked(law, SlightlyWrong, Problem(2, 2, 2, seed=7, scale=0.3))


class CoarseInFloat32(CosineMemory):
    """In float32 its r has the digits of float16."""

    def apply(self, x, M, r):
        """(M', r' rounded)."""
        M, r = super().apply(x, M, r)
        return M, r.astype(np.float16).astype(np.float32) if r.dtype == np.float32 else r


def test_a_fault_of_one_precision_is_no_rounding():
    """Arrays with random roundings are float64, and would not show it. The case has small numbers all the same."""
    law = test_layout.test_float32_outputs
    with pytest.raises(Violation):
        asked(law, CoarseInFloat32, Problem(3, 3, 3, seed=3))
    small, error = smallest(law.hypothesis.inner_test, lift(CoarseInFloat32), Problem(3, 3, 3, seed=3))
    assert error
    assert sum(np.count_nonzero(w) for w in small.weights) <= 4
    assert small.x.shape == (1, 1)
