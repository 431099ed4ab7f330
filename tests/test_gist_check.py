"""The check program that everybody writes, written afresh: nudge each weight in place, compare with backward.

For each entry of each of `weights`: the numerical derivative of forward against the entry that backward(1.0) returns.

Relative error is |a - n| / max(|a|, |n|). Two exact zeros agree; nothing else is excused: a lone zero has error 1, and a
NaN is never within a tolerance. A central difference has a noise of about eps |forward| / STEP = 1e-10 whatever the entry,
so that it cannot tell an entry below 1e-7 to 1e-3. Saturated cells have such entries, 11 of the first 12 seeds do; this seed
has none, and a test says so. The complex step has no such noise and needs no such seed.
"""

import copy

import numpy as np
import pytest
from cellcheck.cells import GRU, LSTM, RNN

STEP, COMPLEX_STEP = 1e-5, 2.0**-100
FEATURES, STATE, SEED = 10, 4, 3

pytestmark = pytest.mark.filterwarnings("error")
every_cell = pytest.mark.parametrize("Shipped", [RNN, LSTM, GRU])
every_batch = pytest.mark.parametrize("batch", [1, 3])


def case(Shipped, batch):
    """A cell, and the arguments of its forward: x and the states, random."""
    rng = np.random.default_rng(SEED)
    cell = Shipped(FEATURES, STATE, rng=rng)
    return cell, (rng.standard_normal((batch, FEATURES)), *(rng.standard_normal((batch, STATE)) for _ in cell.state_names))


def central_differences(cell, inputs):
    """(forward(w + STEP) - forward(w - STEP)) / 2 STEP for each entry of each weight, written in place and restored."""

    def difference(w, index):
        kept = w[index]
        w[index] = kept + STEP
        above = cell.forward(*inputs)
        w[index] = kept - STEP
        below = cell.forward(*inputs)
        w[index] = kept
        return (above - below) / (2 * STEP)

    return _entry_by_entry(cell, difference)


def complex_steps(cell, inputs):
    """Im forward(w + ih) / h for each entry of each weight of a copy that holds complex weights."""
    cell = copy.deepcopy(cell, {id(w): w.astype(complex) for w in cell.weights})

    def derivative(w, index):
        w[index] += 1j * COMPLEX_STEP
        total = cell.forward(*inputs)
        w[index] = w[index].real
        return total.imag / COMPLEX_STEP

    return _entry_by_entry(cell, derivative)


def _entry_by_entry(cell, derivative):
    return [np.array([derivative(w, index) for index in np.ndindex(w.shape)]).reshape(w.shape) for w in cell.weights]


def worst(analytic, numerical):
    """The greatest relative error of all entries; inf where shapes differ, NaN where there is a NaN."""
    if [np.shape(a) for a in analytic] != [np.shape(n) for n in numerical]:
        return np.inf
    a, n = (np.concatenate([np.ravel(part) for part in parts]) for parts in (analytic, numerical))
    size = np.maximum(np.abs(a), np.abs(n))
    return np.max(np.abs(a - n) / np.where(size == 0, 1, size))


def check(cell, inputs, derivatives, tolerance):
    """Hold backward(1.0) to the numerical derivatives."""
    expected = derivatives(cell, inputs)
    cell.forward(*inputs)
    error = worst(cell.backward(1.0), expected)
    assert error <= tolerance, f"{type(cell).__name__}: relative error {error:.1e}, tolerance {tolerance:.0e}"


@every_cell
@every_batch
def test_central_differences_agree_to_three_digits(Shipped, batch):
    """|a - n| <= 1e-3 max(|a|, |n|) for every entry, with no NaN and no warning."""
    check(*case(Shipped, batch), central_differences, 1e-3)


@every_cell
@every_batch
def test_complex_steps_agree_to_ten_digits(Shipped, batch):
    """|a - n| <= 1e-10 max(|a|, |n|) for every entry, with no NaN and no warning."""
    check(*case(Shipped, batch), complex_steps, 1e-10)


@every_cell
@every_batch
def test_no_entry_is_lost_in_noise(Shipped, batch):
    """|a| > 1e-7 for every entry: a thousand times the noise of a central difference."""
    cell, inputs = case(Shipped, batch)
    cell.forward(*inputs)
    assert min(np.abs(g).min() for g in cell.backward(1.0)) > 1e-7


@every_cell
@every_batch
@pytest.mark.parametrize("derivatives", [central_differences, complex_steps])
def test_weights_are_restored(Shipped, batch, derivatives):
    """After the loop every weight is what it was, bit by bit."""
    cell, inputs = case(Shipped, batch)
    before = copy.deepcopy(cell.weights)
    derivatives(cell, inputs)
    for w, kept in zip(cell.weights, before, strict=True):
        np.testing.assert_array_equal(w, kept)


def at_greatest(g, value):
    """1 but for `value` at the greatest entry."""
    return np.where(g == g.max(), value, 1)


FAULTS = {
    "a NaN": lambda gradients: [g * at_greatest(g, np.nan) for g in gradients],
    "an entry 1 % off": lambda gradients: [gradients[0] * at_greatest(gradients[0], 1.01), *gradients[1:]],
    "an entry of zero": lambda gradients: [*gradients[:-1], gradients[-1] * at_greatest(gradients[-1], 0)],
    "all zero": lambda gradients: [np.zeros_like(g) for g in gradients],
    "a bias gradient that is not summed": lambda gradients: [*gradients[:-1], np.tile(gradients[-1], (3, 1))],
    "a missing gradient": lambda gradients: gradients[:-1],
    "another order": lambda gradients: gradients[::-1],
}


@pytest.mark.parametrize("derivatives", [central_differences, complex_steps])
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_wrong_gradients_are_refused(derivatives, fault):
    """The check sees a NaN, one wrong entry, a lone zero, a wrong shape and a wrong order."""

    class Wrong(RNN):
        def backward(self, d_output):
            return fault(super().backward(d_output))

    with pytest.raises(AssertionError, match="relative error"):
        check(*case(Wrong, 3), derivatives, 1e-3)
