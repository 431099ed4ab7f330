"""The judge of gradients refuses what is wrong, by however little, and each oracle finds the derivative within its bound."""

import math
from functools import cache

import numpy as np
import pytest
from cellcheck.cells import GRU, LSTM, RNN, Gradients, Unroll
from cellcheck.properties.oracles import gradients, memory
from cellcheck.properties.oracles.analytic import AnalyticStep, BufferedStep
from cellcheck.properties.oracles.chebyshev import Chebyshev
from cellcheck.properties.oracles.complex_step import ComplexStep
from cellcheck.properties.oracles.function import Function
from cellcheck.properties.oracles.handshake import handshake
from cellcheck.strategies import Problem

SHIPPED = [RNN, LSTM, GRU, Unroll(RNN), Unroll(LSTM), Unroll(GRU)]
SIZES = [(1, 1, 1), (2, 3, 4), (4, 16, 32)]
PROBLEMS = [Problem(*sizes, steps=3, scale=scale) for sizes in SIZES for scale in (0.3, 1.0)]


@cache
def tampered(Shipped, change):
    """A cell whose weight gradients are changed: change(cell, weights) -> weights."""

    class Tampered(Shipped):
        def vjp(self, *d_outputs):
            weights, x, state = super().vjp(*d_outputs)
            return Gradients(change(self, [w.copy() for w in weights]), x, state)

    return Tampered


def one_gate_off(cell, weights):
    """The last gate of the first weight wrong by a relative 1e-9."""
    *_, index = cell.weight_blocks[0].values()
    weights[0][index] *= 1 + 1e-9
    return weights


def one_entry_off(cell, weights):
    """The median entry of the first block of the first weight wrong by a relative 1e-6."""
    index = next(iter(cell.weight_blocks[0].values()))
    block = weights[0][index]
    block[np.abs(block) == np.sort(np.abs(block), axis=None)[block.size // 2]] *= 1 + 1e-6
    return weights


DEFECTS = {
    "one gate off by 1e-9": one_gate_off,
    "one entry off by 1e-6": one_entry_off,
    "zero": lambda cell, weights: [np.zeros_like(w) for w in weights],
    "NaN": lambda cell, weights: [weights[0] * np.nan, *weights[1:]],
    "sign": lambda cell, weights: [-weights[0], *weights[1:]],
    "batch not summed": lambda cell, weights: [*weights[:-1], np.stack([weights[-1]] * 2)],
}


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
@pytest.mark.parametrize("defect", DEFECTS.values(), ids=DEFECTS)
@pytest.mark.parametrize("Shipped", SHIPPED)
def test_a_wrong_gradient_is_refused(Shipped, defect, problem):
    """Every defect is a violation on every well-scaled problem."""
    assert "violated" in {block.verdict for block in gradients(tampered(Shipped, defect), problem, "weights")}


@pytest.mark.parametrize("Shipped", [RNN, LSTM, GRU])
def test_a_wrong_gate_of_half_a_million_weights_is_refused(Shipped):
    """One gate off by 1e-9 is a violation at (16, 256, 256) too: no bound grows into it."""
    blocks = gradients(tampered(Shipped, one_gate_off), Problem(16, 256, 256, scale=1.0), "weights")
    assert "violated" in {block.verdict for block in blocks}


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
@pytest.mark.parametrize("Shipped", SHIPPED)
def test_a_right_gradient_is_certified(Shipped, problem):
    """Every gate of every weight, x and each state are certified on every well-scaled problem."""
    blocks = [block for part in ("weights", "x", "state") for block in gradients(Shipped, problem, part)]
    assert {block.verdict for block in blocks} == {"certified"}


@pytest.mark.parametrize("oracle", [ComplexStep, AnalyticStep, BufferedStep, Chebyshev])
@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_an_oracle_is_within_its_own_error(oracle, problem):
    """d/dt tanh(w x + t v x) is found within the oracle's error and the rounding of the tanh."""
    cell, x, (h,) = problem.build(RNN)
    z = np.concatenate([x, h], axis=1) @ cell.guest.W + cell.guest.b
    v = np.ones_like(cell.guest.b)
    ask = oracle(Function(cell), [np.ones_like(h)])
    value = ask.value([*cell.weights, x, h], {1: v})
    assert abs(value - (1 / np.cosh(z) ** 2).sum()) <= ask.error() + 1e-13 * h.size


class AbsoluteSigmoid(RNN):
    """A correct cell that complex numbers cannot step through: 2 sigmoid(2 z) - 1 by way of |z|."""

    def _apply(self, x, h):
        X = np.concatenate([x, h], axis=1)
        z = X @ self.W + self.b
        self._cache = X, z
        e = np.exp(-2 * np.abs(z))
        return (np.sign(z) * (1 - e) / (1 + e),)


class RealBuffers(RNN):
    """A correct cell that computes in a real buffer."""

    def _apply(self, x, h):
        buffer = np.empty((len(x), self.state_size))
        [buffer[...]] = super()._apply(x, h)
        return (buffer,)


class OneByOne(RNN):
    """A correct cell that computes number by number, with a function of real numbers."""

    def _apply(self, x, h):
        X = np.concatenate([x, h], axis=1)
        z = X @ self.W + self.b
        self._cache = X, z
        return (np.array([math.tanh(v) for v in z.flat]).reshape(z.shape),)


class Unreachable(RNN):
    """A correct cell whose weights deepcopy does not find."""

    def __deepcopy__(self, memo):
        return self


HANDSHAKES = [
    (RNN, True, ComplexStep),
    (AbsoluteSigmoid, True, AnalyticStep),
    (RealBuffers, True, BufferedStep),
    (OneByOne, True, Chebyshev),
    (Unreachable, False, Chebyshev),
]


@pytest.mark.parametrize(("Guest", "rebinds", "oracle"), HANDSHAKES)
def test_the_handshake_finds_the_sharpest_oracle_that_is_right(Guest, rebinds, oracle):
    """For weights: complex step, else analytic step, else that with complex buffers, else Chebyshev."""
    assert handshake(Guest).rebinds == rebinds
    assert set(handshake(Guest).oracles[:2]) == {oracle}


class Overflowing(RNN):
    """A correct cell whose complex exp overflows where numbers are large, as in 1 / (1 + exp(-z))."""

    def _apply(self, x, h):
        X = np.concatenate([x, h], axis=1)
        z = X @ self.W + self.b
        self._cache = X, z
        return (2 / (1 + np.exp(-2 * z)) - 1,)


def test_an_overflow_far_away_is_no_reason_for_another_oracle():
    """Where complex step gives NaN, real numbers are asked at that problem alone."""
    assert set(handshake(Overflowing).oracles) == {ComplexStep}


class Normalised(RNN):
    """Normalises twice: of two units, the outputs hardly depend on U."""

    def _apply(self, x, h):
        def norm(a):
            a = a - a.mean(1, keepdims=True)
            return a / np.sqrt((a * a).mean(1, keepdims=True) + 1e-5)

        W, U = self.W[: self.input_features], self.W[self.input_features :]
        return (np.tanh(norm(x @ W + norm(h @ U) * h) + self.b),)


def test_the_handshake_asks_again_where_a_derivative_is_nearly_zero():
    """A difference quotient says nothing of 1e-10; at five units it does."""
    assert set(handshake(Normalised).oracles) == {ComplexStep}


@pytest.mark.parametrize("problem", PROBLEMS[:4], ids=str)
@pytest.mark.parametrize("Guest", [guest for guest, *_ in HANDSHAKES])
def test_no_oracle_blames_a_correct_cell(Guest, problem):
    """Whatever oracle is left, a right gradient is not violated."""
    blocks = [block for part in ("weights", "x", "state") for block in gradients(Guest, problem, part)]
    assert "violated" not in {block.verdict for block in blocks}


@pytest.mark.parametrize("defect", [DEFECTS["zero"], DEFECTS["NaN"], DEFECTS["sign"]], ids=["zero", "NaN", "sign"])
@pytest.mark.parametrize("Guest", [guest for guest, *_ in HANDSHAKES])
def test_every_oracle_refuses(Guest, defect):
    """A real-only cell gets no discount."""
    assert "violated" in {b.verdict for b in gradients(tampered(Guest, defect), PROBLEMS[2], "weights")}


def test_memory_is_kept_of_some_shapes(monkeypatch):
    """What is given back is taken again; beyond SHAPES shapes, and of small arrays, it is let go."""
    monkeypatch.setattr(memory, "_spare", {})
    monkeypatch.setattr(memory, "SHAPES", 1)
    one = memory.copied(np.ones((64, 64)))
    assert (one == 1).all()
    memory.give_back([one, memory.copied(np.ones((64, 65))), memory.copied(np.ones(3))])
    assert memory.taken((64, 64)) is one
    assert list(memory._spare) == [((64, 64), float)]


def test_a_large_array_is_made_complex_once():
    """The complex step changes its imaginary part only, as long as the array is the same."""
    oracle, large = ComplexStep(None, ()), np.ones((64, 64))
    first = oracle._complex(0, large)
    assert oracle._complex(0, large) is first and (first.real == 1).all()
    assert (oracle._complex(0, 2 * large).real == 2).all()
