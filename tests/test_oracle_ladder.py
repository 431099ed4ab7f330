"""Where an oracle cannot answer: what is asked in its place, and what is said where nothing can be."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from cellcheck.cells import GRU, LSTM, RNN, Cell, Gradients, Unroll, lift
from cellcheck.cells.adapters import adapt
from cellcheck.properties.intake.catalogue import laws
from cellcheck.properties.oracles import agree, gradients
from cellcheck.properties.oracles.analytic import AnalyticStep
from cellcheck.properties.oracles.chebyshev import Chebyshev, Differences
from cellcheck.properties.oracles.complex_step import ComplexStep
from cellcheck.properties.oracles.function import Function
from cellcheck.properties.oracles.gradients import prepared
from cellcheck.properties.oracles.handshake import Handshake, handshake
from cellcheck.properties.oracles.parked import probes
from cellcheck.properties.oracles.wide import Widened
from cellcheck.properties.verdicts import bound
from cellcheck.properties.verdicts.blocks import Block, Violation
from cellcheck.properties.verdicts.tally import Tally, counting
from cellcheck.strategies import Problem

from tests.cases import broken
from tests.guests.textbook import STEPS, UNROLLED
from tests.test_oracles import tampered

PROBLEM = Problem(2, 3, 4, scale=1.0)
POINTS, STEP = np.array([-2.0, -0.5, 0.5, 3.0]), 2.0**-100
LEFT, INSIDE, FLIPPED = POINTS < 0, np.abs(POINTS) < 1, np.array([3.0, 2.0, 1.0, 0.0])
CONTINUED = {  # a function, and its derivative at POINTS
    "abs": (np.abs, np.sign(POINTS)),
    "fabs": (np.fabs, np.sign(POINTS)),
    "sign": (lambda z: np.sign(z) * z, np.sign(POINTS)),
    "conjugate": (np.conjugate, np.ones(4)),
    "maximum": (lambda z: np.maximum(z, 0), ~LEFT),
    "minimum": (lambda z: np.minimum(z, 0), LEFT),
    "greater": (lambda z: np.where(z > 0, z, 0), ~LEFT),
    "greater or equal": (lambda z: np.where(z >= 0.5, z, 0), ~LEFT),
    "less": (lambda z: np.where(z < 0, z, 0), LEFT),
    "less or equal": (lambda z: np.where(z <= -0.5, z, 0), LEFT),
    "clip": (lambda z: np.clip(z, -1, 1), INSIDE),
    "out": (lambda z: np.abs(np.add(z, z, out=np.empty_like(z))), 2 * np.sign(POINTS)),
    "parts": (lambda z: np.abs(np.concatenate(np.split(z * np.arange(4), 2)[::-1])), [2, 3, 0, -1]),
}


@pytest.mark.parametrize("name", CONTINUED)
def test_an_analytic_step_is_carried_through(name):
    """Im f(z + ih) / h = f'(z), where complex arithmetic of NumPy has |z|, lexicographic order or no such function."""
    function, slope = CONTINUED[name]
    z = AnalyticStep.number(POINTS + 1j * STEP)
    assert np.array_equal(np.imag(function(z)) / STEP, slope)


def bent(function):
    """h' = function([x, h] W + b); only its outputs are asked for."""

    class Bent(RNN):
        def _apply(self, x, h):
            return (function(np.concatenate([x, h], axis=1) @ self.W + self.b),)

    return Bent


UNRESOLVED = {"a kink": np.abs, "a jump": np.sign, "no number": lambda z: z * np.nan}


@pytest.mark.parametrize("name", UNRESOLVED)
def test_what_has_no_derivative_is_not_given_one(name):
    """Chebyshev at z = 0 is NaN."""
    cell = lift(bent(UNRESOLVED[name]))(1, 1)
    arrays = [np.full((2, 1), 0.125), np.zeros(1), np.zeros((1, 1)), np.zeros((1, 1))]
    assert np.isnan(Chebyshev(Function(cell), [np.ones((1, 1))]).value(arrays, {1: np.ones(1)}))


EXPLODING = {"a bend": (lambda z: np.sin(2.0**90 * z), 2.0**90), "beyond every step": (lambda z: 2.0**990 * z, 2.0**990)}


@pytest.mark.parametrize("name", EXPLODING)
def test_a_derivative_that_explodes_is_asked_with_a_smaller_step(name):
    """The complex step at z = 0, where the first one would leave the neighbourhood of 0."""
    function, slope = EXPLODING[name]
    arrays = [np.zeros((2, 1)), np.zeros(1), np.zeros((1, 1)), np.zeros((1, 1))]
    assert ComplexStep(Function(bent(function)(1, 1)), [np.ones((1, 1))]).value(arrays, {1: np.ones(1)}) == slope


WIDE = f"{ComplexStep.name}, in float64"


class Single(RNN):
    """An RNN that offers float32 alone."""

    dtypes = (np.float32,)

    def __init__(self, features, state):
        super().__init__(features, state, dtype=np.float32)


class SingleOfNoKind(Single):
    """And does not say what it computes."""

    kind, weight_blocks = None, None  # type: ignore[assignment]


def verdicts(Cell, problem=PROBLEM):
    """(verdict, note) of every block."""
    return {(b.verdict, b.note) for part in ("weights", "x", "state") for b in gradients(Cell, problem, part)}


def test_float32_alone_is_judged_by_the_equations():
    """Where kind and blocks are declared; a sign that is wrong is found."""
    assert verdicts(Single) == {("certified", ComplexStep.name), ("certified", WIDE)}
    wrong = gradients(tampered(Single, lambda cell, weights: [-weights[0], *weights[1:]]), PROBLEM, "weights")
    assert {b.name for b in wrong if b.verdict == "violated"} == {"W candidate"}


def test_float32_alone_of_no_kind_is_judged_by_a_wide_copy():
    """Its code follows the dtype of its arrays, so a copy of it in float64 is an oracle; a wrong sign is found."""
    assert verdicts(SingleOfNoKind) == {("certified", ComplexStep.name), ("certified", WIDE)}
    wrong = gradients(tampered(SingleOfNoKind, lambda cell, weights: [-weights[0], *weights[1:]]), PROBLEM, "weights")
    assert {b.name for b in wrong if b.verdict == "violated"} == {"W"}


class Highway(Cell):
    """h' = f h + (1 - f) tanh(g) in float16, in code that follows the dtype of its arrays."""

    dtypes = (np.float16,)
    leak, stored, constant = 1.0, staticmethod(lambda a: a), staticmethod(lambda a: a)

    def __init__(self, features, state):
        super().__init__(features, state)
        self.W = np.zeros((features, 2 * state), np.float16)
        self.weights = [self.W]

    def _apply(self, x, h):
        f, g = np.split(x @ self.W, 2, axis=1)
        f, t = (1 + np.tanh(f / 2)) / 2, np.tanh(g)
        self._cache = x, h, self.stored(f), t
        return (0.1 * (f * h + (1 - f) * t),)

    def _vjp(self, d):
        x, h, f, t = self._cache
        d = d * self.constant(0.1)
        dz = np.concatenate([d * (h - self.leak * t) * f * (1 - f), d * (1 - f) * (1 - t * t)], axis=1)
        return Gradients([x.T @ dz], dz @ self.W.T, (d * f,))


HALVES = {  # whether vjp of a copy computes in float64, and whether it is refused
    "right": ({}, True, False),
    "a term of a gate's gradient wrong by a tenth": ({"leak": 0.9}, True, True),
    "a constant of backward rounded": ({"constant": staticmethod(np.float16)}, True, False),
    "what forward keeps cast": ({"stored": staticmethod(lambda a: a.astype(np.float16))}, True, False),
    "what forward keeps cast, and a term wrong": (
        {"stored": staticmethod(lambda a: a.astype(np.float16)), "leak": 0.9},
        True,
        True,
    ),
    "what forward keeps in an array of float32": ({"stored": staticmethod(lambda a: np.array(a, np.float32))}, False, False),
    "what forward keeps in an array of float16": ({"stored": staticmethod(lambda a: np.array(a, np.float16))}, False, False),
}


@pytest.mark.parametrize("case", HALVES)
def test_backward_of_low_precision_is_judged_in_float64(case):
    """If it computes there: then errors show that roundings of float16 hide, and those roundings are no errors."""
    changed, wide, wrong = HALVES[case]
    Half = lift(type("Half", (Highway,), changed))
    assert handshake(Half).wide_backward == wide
    problems = [Problem(3, 2, 3, seed=seed, scale=scale) for seed in range(6) for scale in (0.3, 1.0, 5.0, 30.0)]
    blocks = [b for p in problems for part in ("weights", "x", "state") for b in gradients(Half, p, part)]
    refused = {(b.name, b.note) for b in blocks if b.verdict == "violated"}
    assert refused == ({("W", WIDE), ("x", WIDE)} if wrong else set())


class Decaying(Cell):
    """c' = a c + x W in chunks of four steps, stored in float16; a = sigmoid(A)."""

    dtypes, precision, sequence, state_names = (np.float16,), 2.0**-11, True, ("c",)
    border = stored = staticmethod(lambda a: a)  # what becomes of the state between chunks; of what is stored

    def __init__(self, features, state):
        self.W, self.A = np.zeros((features, state), np.float16), np.zeros(state, np.float16)
        self.weights = [self.W, self.A]

    def apply(self, x, c):
        """The last state, and all."""
        self._a = 1 / (1 + np.exp(-self.A))
        self._x, self._was, ys = x, [], np.zeros((len(x), *c.shape), c.dtype)
        for t in range(len(x)):
            c = self.border(c) if t and t % 4 == 0 else c
            self._was.append(c)
            c = ys[t] = self.stored(self._a * c + x[t] @ self.W)
        return c, ys

    def vjp(self, d_c, d_ys):
        """Through all steps."""
        dW, dA, d_x = np.zeros_like(self.W), np.zeros_like(self.A), np.zeros_like(self._x)
        for t in reversed(range(len(d_x))):
            d_c = d_c + d_ys[t]
            dW, d_x[t] = dW + self._x[t].T @ d_c, d_c @ self.W.T
            dA = dA + (d_c * self._was[t]).sum(0)
            d_c = self.border(d_c * self._a) if t and t % 4 == 0 else d_c * self._a
        return Gradients([dW, dA * self._a * (1 - self._a)], d_x, (d_c,))


def loses(c):
    """A tenth of what is carried on."""
    return 0.9 * c


def stored(c):
    """What is kept of it in float16."""
    return c.astype(np.float16)


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
@pytest.mark.parametrize("kept", [{}, {"stored": staticmethod(stored)}], ids=["as it is", "cast"])
@pytest.mark.parametrize("law", ["a_sequence_is_its_steps", "a_sequence_may_be_split", "vjp_of_a_sequence_may_be_split"])
def test_a_sequence_of_low_precision_is_judged_in_float64_as_well(law, kept):
    """8 u F of many steps hides a tenth of a state; the copy in float64 does not, and its own roundings are no errors."""
    problem = Problem(2, 3, 4, steps=12, seed=3, scale=0.3, dtype=np.float16)
    laws()[law].check(Cell=lift(type("Whole", (Decaying,), kept)), problem=problem)
    with pytest.raises(Violation, match="in float64"):
        laws()[law].check(Cell=lift(type("Cut", (Decaying,), kept | {"border": staticmethod(loses)})), problem=problem)


@pytest.mark.filterwarnings("ignore")  # of overflow in half precision
def test_an_infinity_beside_the_largest_numbers_is_no_fault():
    """A gradient near the largest number of float16 may be infinite in one order of sums, and not in another; a small one may not."""
    problem = Problem(2, 3, 4, steps=2, seed=1, scale=1.0, dtype=np.float16).literal(Decaying)
    a = np.array([1.0, np.inf], np.float16)
    for large, verdict in ((2.0, "violated"), (2000.0, "inconclusive")):
        found = agree(Decaying, problem, lambda p: {"W": a}, lambda p, b=large: {"W": np.array([1.0, b], np.float16)}, bound.size)
        assert found[0].verdict == verdict
    found = agree(Decaying, problem, lambda p: {"W": a, "x": a}, lambda p: {"W": a[:1], "x": 2000 * a}, bound.size)
    assert found[0].verdict == "violated"


def stubborn(dtype, wrong="", cast=np.array):
    """A cell of no known kind in low precision: it computes in float32 and stores in `dtype`, whatever it is given."""

    def step(*arrays):
        x, h, W, U, a = (cast(v, np.float32) for v in arrays)
        n = np.tanh(x @ W + h @ U)
        return cast(a * n + h, dtype), (x, h, W, U, a, n)

    def back(d, cache):
        x, h, W, U, a, n = cache
        d = cast(d, np.float32)
        dz = d * a * (1 - n * n)
        dW, da = (2 if wrong == "factor" else 1) * x.T @ dz, (-1 if wrong == "sign" else 1) * (d * n).sum(axis=0)
        gradients = dz @ W.T, d + dz @ (U if wrong == "transpose" else U.T), dW, h.T @ dz, da
        return tuple(cast(v, dtype) for v in gradients)

    def make(F, S):
        return {"W": np.zeros((F, S), dtype), "U": np.zeros((S, S), dtype), "a": np.ones(S, dtype)}

    return adapt(make, ("x h W U a -> h cache", step), ("dh cache -> dx dh dW dU da", back), dtype=dtype, complex=False)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_low_precision_without_a_copy_is_judged_by_its_own_differences(dtype):
    """A factor, a sign and a transpose are seen; what is right is certified to a hundredth, and accused of nothing."""
    found = {}
    for wrong, seeds in {"": 8, "factor": 12, "sign": 4, "transpose": 4}.items():
        Cell = lift(stubborn(dtype, wrong))
        assert handshake(Cell).oracles[0].__name__ == "Differences"
        problems = [
            Problem(3, 2, 3, seed=seed, scale=1.0, regime=regime) for seed in range(seeds) for regime in ("plain", "small inputs")
        ]
        blocks = [b for p in problems for part in ("weights", "x", "state") for b in gradients(Cell, p, part)]
        found[wrong] = {b.name for b in blocks if b.verdict == "violated"}
        assert {b.name for b in blocks if b.verdict == "certified"} >= {"U", "x"}
    assert found == {"": set(), "factor": {"W"}, "sign": {"a"}, "transpose": {"h"}}


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_low_precision_that_casts_is_judged_in_float64(dtype):
    """Where it casts by astype: every derivative is certified in each problem, and a sign is seen in each."""
    for wrong in ("", "sign"):
        Cell = lift(stubborn(dtype, wrong, cast=lambda a, dtype: a.astype(dtype)))
        assert handshake(Cell) == Handshake(True, (Chebyshev,) * 5, Widened, wide_backward=True)
        for seed in range(4):
            blocks = gradients(Cell, Problem(3, 2, 3, seed=seed, scale=1.0), "weights")
            assert {b.name for b in blocks if b.verdict == "violated"} == ({"a"} if wrong else set())
            assert wrong or {b.name for b in blocks if b.verdict == "certified" and "in float64" in b.note} == {"W", "U", "a"}


class NaiveSigmoid(RNN):
    """h' = 1 / (1 + exp(-z)): right in real numbers, NaN in complex ones where exp overflows."""

    kind, weight_blocks = None, None  # type: ignore[assignment]

    def _apply(self, x, h):
        X = np.concatenate([x, h], axis=1)
        with np.errstate(over="ignore"):
            self._cache = X, 1 / (1 + np.exp(-X @ self.W - self.b))
        return (self._cache[1],)

    def _vjp(self, dh):
        X, y = self._cache
        dz = dh * y * (1 - y)
        dX = dz @ self.W.T
        return Gradients([X.T @ dz, dz.sum(axis=0)], dX[:, : self.input_features], (dX[:, self.input_features :],))


SATURATED = Problem(1, 3, 4, seed=1, scale=1e5)


def test_where_complex_numbers_overflow_real_ones_are_asked():
    """They certify nothing there, but refuse what is not zero."""
    assert {note for _, note in verdicts(NaiveSigmoid, SATURATED)} == {Chebyshev.name}
    assert "violated" not in {verdict for verdict, _ in verdicts(NaiveSigmoid, SATURATED)}
    wrong = gradients(tampered(NaiveSigmoid, lambda cell, weights: [w + 1 for w in weights]), SATURATED, "weights")
    assert {b.verdict for b in wrong} == {"violated"}


class Relu(RNN):
    """h' = max(z, 0), with slope 0 at z = 0."""

    kind, weight_blocks = None, None  # type: ignore[assignment]

    def _apply(self, x, h):
        X = np.concatenate([x, h], axis=1)
        self._cache = X, X @ self.W + self.b
        return (np.maximum(self._cache[1], 0),)

    def _vjp(self, dh):
        X, z = self._cache
        dz = dh * (z > 0)
        dX = dz @ self.W.T
        return Gradients([X.T @ dz, dz.sum(axis=0)], dX[:, : self.input_features], (dX[:, self.input_features :],))


def test_a_kink_is_no_fault():
    """At z = 0 either slope will do; elsewhere the one that is wrong is violated."""
    assert ("inconclusive", "a kink, and so no derivative") in verdicts(Relu, Problem(2, 3, 4, regime="zeros"))
    assert {verdict for verdict, _ in verdicts(Relu, replace(PROBLEM, seed=1))} == {"certified"}
    wrong = tampered(Relu, lambda cell, weights: [weights[0], weights[1] / 2])
    assert {b.name for b in gradients(wrong, replace(PROBLEM, seed=1), "weights") if b.verdict == "violated"} == {"b"}


class Branching:
    """h' = f([x, h] W + b), where f takes another branch at large numbers: one that complex arithmetic of NumPy does not continue."""

    def __init__(self, features, state):
        self.W, self.b = np.zeros((features + state, state)), np.zeros(state)
        self.weights = [self.W, self.b]

    def apply(self, x, h):
        self.y = np.concatenate([x, h], axis=1)
        self.z = self.y @ self.W + self.b
        return (self.function(self.z),)

    def vjp(self, d):
        dz = self.back(self.z, d)
        d_y, n = dz @ self.W.T, self.y.shape[1] - self.z.shape[1]
        return Gradients([self.y.T @ dz, dz.sum(axis=0)], d_y[:, :n], (d_y[:, n:],))


class Logarithmic(Branching):
    """z within +-2, sign(z) (1 + log |z / 2|) beyond, by abs and sign."""

    function = staticmethod(
        lambda z: np.where(np.abs(z) <= 2, z, np.sign(z.real) * 2 * (1 + np.log(np.maximum(np.abs(z), 2) / 2)))
    )
    back = staticmethod(lambda z, d: d / np.maximum(np.abs(z) / 2, 1))


class Projected(Branching):
    """z / max(1, |z| / 5), row by row, by numpy.linalg.norm."""

    function = staticmethod(lambda z: z / np.maximum(1, np.linalg.norm(z, axis=1, keepdims=True) / 5))

    @staticmethod
    def back(z, d):
        n = np.linalg.norm(z, axis=1, keepdims=True)
        along = np.where(n > 5, z * (z * d).sum(axis=1, keepdims=True) / np.maximum(n, 5) ** 2, 0)
        return (d - along) / np.maximum(1, n / 5)


class Rooted(Branching):
    """sqrt(1 + z^2) by numpy.hypot, which takes no complex numbers, where some |z| is beyond 1e3; by its formula elsewhere."""

    function = staticmethod(lambda z: np.hypot(1, z) if np.abs(z).max(initial=0) > 1e3 else np.sqrt(1 + z * z))
    back = staticmethod(lambda z, d: d * z / np.hypot(1, z))


class Narrow(Branching):
    """3 + z^3 / max(z^2, 1e-9), no bias: a feature that lies between the nodes of an interpolation. It takes real numbers only."""

    complex = False

    def __init__(self, features, state):
        super().__init__(features, state)
        self.weights = [self.W]

    def vjp(self, d):
        found = super().vjp(d)
        return Gradients(found.weights[:1], found.x, found.state)

    function = staticmethod(lambda z: 3 + z**3 / np.maximum(z * z, 1e-9))
    back = staticmethod(lambda z, d: d * np.where(z * z > 1e-9, 1, 3e9 * z * z))


@pytest.mark.parametrize("Guest", [Logarithmic, Projected, Rooted, Narrow])
def test_a_branch_that_the_handshake_has_not_seen_is_no_fault(Guest):
    """Nor does it hide one: where its gradient is 0, or that of the other branch, it is refuted."""
    flawed = {
        "zero": lambda z, d: Guest.back(z, d) * (np.abs(z) < 2),
        "other": lambda z, d: np.where(np.abs(z) < 2, Guest.back(z, d), d),
    }
    flawed = {name: type(name, (Guest,), {"back": staticmethod(back)}) for name, back in flawed.items()}
    seen = {name: set() for name in ("right", *flawed)}
    for seed, scale in [*((seed, 5.0) for seed in range(8)), (1, 1e4), (2, 1e6)]:
        problem = Problem(3, 3, 4, seed=seed, scale=scale, regime="plain" if seed % 3 else "zeros")
        for name, Tried in {"right": Guest, **flawed}.items():
            seen[name] |= {b.verdict for part in ("weights", "x") for b in gradients(lift(Tried), problem, part)}
    assert "violated" not in seen["right"] and "certified" in seen["right"]
    assert "violated" in seen["zero"] and (Guest in (Narrow, Rooted) or "violated" in seen["other"])


class Tied(Branching):
    """3 + max(z, 0) - max(b - z, 0), with z = [x, h] W: each of the two is given the slope 0 at its tie."""

    complex = True

    def apply(self, x, h):
        self.y = np.concatenate([x, h], axis=1)
        self.z = self.y @ self.W
        return (3 + np.maximum(self.z, 0) - np.maximum(self.b - self.z, 0),)

    def vjp(self, d):
        below = d * (self.b - self.z > 0)
        dz, n = d * (self.z > 0) + below, self.y.shape[1] - self.z.shape[1]
        d_y = dz @ self.W.T
        return Gradients([self.y.T @ dz, -below.sum(axis=0)], d_y[:, :n], (d_y[:, n:],))


@pytest.mark.parametrize("complex_", [True, False])
def test_a_tie_without_a_kink_is_no_fault(complex_):
    """At b = z = 0 the slope is 1, as on both sides, and the claim is 0. Half of the claim is violated elsewhere."""
    Guest = lift(type("Guest", (Tied,), {"complex": complex_}))
    problem = Problem(2, 3, 4, scale=1.0, regime="zeros").literal(Guest)
    problem = replace(problem, weights=[problem.weights[0], np.zeros(4)])
    blocks = gradients(Guest, problem, "x")
    assert {(b.verdict, b.note) for b in blocks} == {("inconclusive", "a tie, and so no derivative")}

    class Half(Tied):
        complex = complex_

        def vjp(self, d):
            weights, x, state = super().vjp(d)
            return weights, x / 2, state

    assert {b.verdict for b in gradients(lift(Half), Problem(2, 3, 4, scale=1.0), "x")} == {"violated"}


@pytest.mark.parametrize("kept", [0, 1], ids=["x", "h"])
@pytest.mark.parametrize("complex_", [True, False])
def test_a_gradient_that_is_wrong_wherever_an_array_is_zero_is_no_tie(kept, complex_):
    """That of x is 0 where x is, or where h is: a shortcut, not a coincidence."""

    class Shortcut(Branching):
        complex = complex_
        function = staticmethod(lambda z: 3 + np.tanh(z))
        back = staticmethod(lambda z, d: d * (1 - np.tanh(z) ** 2))

        def vjp(self, d):
            weights, x, state = super().vjp(d)
            given = np.split(self.y, [x.shape[1]], axis=1)[kept]
            return weights, x * np.any(given, axis=1, keepdims=True), state

    blocks = gradients(lift(Shortcut), Problem(2, 3, 4, scale=1.0, regime="zeros"), "x")
    assert {b.verdict for b in blocks} == {"violated"}


class Masked:
    """A row whose x is 0 keeps its h; any other gets tanh(x W + h U)."""

    complex = True

    def __init__(self, features, state):
        self.weights = [np.zeros((features, state)), np.zeros((state, state))]

    def apply(self, x, h):
        """(h',)."""
        W, U = self.weights
        self.x, self.h, self.t = x, h, np.tanh(x @ W + h @ U)
        self.seen = np.any(x != 0, axis=1, keepdims=True)
        return (np.where(self.seen, self.t, h),)

    def vjp(self, d):
        """A row that is kept has no gradient of x."""
        W, U = self.weights
        dz = d * self.seen * (1 - self.t**2)
        return [self.x.T @ dz, self.h.T @ dz], dz @ W.T, (dz @ U.T + d * ~self.seen,)


@pytest.mark.parametrize("complex_", [True, False])
def test_a_jump_that_zeros_hide_is_no_fault(complex_):
    """At x = h = 0 a masked row returns what an unmasked one does; beside h = 0 it jumps at x = 0. Half of the claim is violated."""
    Guest = lift(type("Guest", (Masked,), {"complex": complex_}))
    problem = Problem(1, 1, 1, scale=1.0).literal(Guest)
    for h in (np.zeros((1, 1)), np.ones((1, 1))):
        blocks = gradients(Guest, replace(problem, x=np.zeros((1, 1)), state=(h,)), "x")
        assert {b.verdict for b in blocks} <= {"inconclusive", "trivial"}

    class Half(Masked):
        complex = complex_

        def vjp(self, d):
            weights, x, state = super().vjp(d)
            return weights, x / 2, state

    assert {b.verdict for b in gradients(lift(Half), problem, "x")} == {"violated"}


def opposite(cell, weights):
    """Two entries of W wrong such that the direction with the signs of the claim sees nothing."""
    W, v = weights[0].reshape(-1), PROBLEM.directions(weights)[0].reshape(-1)
    agree = np.sign(W) == np.sign(v)
    j, k = np.flatnonzero(agree)[0], np.flatnonzero(~agree)[0]
    error = 1e-6 * min(abs(W[j]), abs(W[k]))
    W[j] += error * np.copysign(v[k], W[k])
    W[k] -= error * np.copysign(v[j], W[j])
    return weights


def test_errors_that_hide_behind_each_other_are_found():
    """By the random direction, which names the array and its worst entry."""
    wrong = [b for b in gradients(tampered(RNN, opposite), PROBLEM, "weights") if b.verdict == "violated"]
    assert [b.name for b in wrong] == ["W"] and wrong[0].got[wrong[0].index] != wrong[0].expected[wrong[0].index]


def judge_of(Cell, problem=PROBLEM):
    """The Judge of its weight gradients."""
    return prepared(*problem.build(Cell), problem, handshake(Cell), ("weights",))[0]


def test_a_sum_that_no_array_explains_is_told_as_it_is():
    """A random direction through all arrays may be violated where none is alone."""
    judge = judge_of(RNN)
    judge.verdict = lambda name, direction: Block(name, 1.0, 0.0, verdict="violated" if "+" in name else "inconclusive")
    [whole] = judge.random()
    assert whole.name == "W + b" and judge.shown(whole) is whole


def test_where_no_entry_is_wrong_by_itself_the_sum_is_told():
    """Entries that are all a little too large are each within the bound of their sum."""
    judge, block = judge_of(RNN), Block("W", 2.0, 1.0, 1.0, 0.5, "violated", array=0)
    judge.claims[0] = judge.claims[0] + 0.1
    assert judge.shown(block) is block
    judge.claims[0][2, 1] += 1
    assert judge.shown(block).index == (2, 1)


class Uncopied(RNN):
    """A correct cell that refuses to be copied."""

    def __deepcopy__(self, memo):
        raise TypeError("holds what cannot be copied")


class Twofold(RNN):
    """A correct cell that holds its bias twice: as an array, and as a view of it."""

    def __init__(self, features, state):
        super().__init__(features, state)
        self.half = self.b[:]

    def _apply(self, x, h):
        X = np.concatenate([x, h], axis=1)
        self._cache = X, X @ self.W + self.b / 2 + self.half / 2
        return (np.tanh(self._cache[1]),)


@pytest.mark.parametrize("Guest", [Uncopied, Twofold])
def test_a_cell_that_a_copy_does_not_stand_for_is_asked_itself(Guest):
    """In real numbers, and nothing that is right is violated."""
    assert handshake(Guest) == Handshake(False, (Chebyshev,) * 4)
    assert {verdict for verdict, _ in verdicts(Guest)} == {"certified"}


def test_a_cell_that_always_raises_is_left_to_the_laws():
    """The handshake decides nothing."""

    def fails(z):
        raise ArithmeticError

    assert handshake(bent(fails)) == Handshake(True, (ComplexStep,) * 32)


class OneBias(GRU):
    """A GRU that declares no bias at the state's half."""

    @property
    def weight_blocks(self):
        """Those of the GRU, but for it."""
        return [{key: index for key, index in blocks.items() if key[0] != "bias_h"} for blocks in super().weight_blocks]


@pytest.mark.parametrize(("Guest", "gates"), [(GRU, ["reset", "update", "candidate"]), (OneBias, ["update", "candidate"])])
def test_a_gate_is_probed_where_it_can_be_isolated(Guest, gates):
    """That of reset wants a bias at the state's half; what is probed is exact to 8 ulps."""
    found = list(probes(Guest, PROBLEM))
    assert [probe.name.split()[-1] for probe in found] == gates
    for probe in found:
        np.testing.assert_array_max_ulp(probe.value, probe.exact_value, 8)


def test_a_saturated_step_errs_by_what_the_steps_around_it_make_of_it():
    """1 - t^2 is wrong by an ulp of 1, which five steps at a scale of 30 enlarge: no violation."""
    problem = Problem(4, 3, 5, steps=6, seed=2466, scale=30.0, regime="one-hot", upstream="first")
    [block] = gradients(UNROLLED[0], problem, "state")
    assert block.verdict == "inconclusive" and 1e-11 < block.error < block.bound


def test_an_oracle_that_is_lost_in_noise_accuses_nobody():
    """A claim beyond the bound of an oracle that knows the derivative to a third of it only."""
    judge = judge_of(RNN)
    direction = {0: judge.signed(0)}
    noise = judge._claimed(direction) / 3
    judge._oracle = lambda direction: SimpleNamespace(
        name="Chebyshev", resolution=0.0, value=lambda *point: 0.0, error=lambda: noise
    )
    block = judge.verdict("W", direction)
    assert (block.verdict, block.note) == ("inconclusive", "Chebyshev, lost in noise")


@pytest.mark.parametrize("size", [3, 70])
def test_blocks_may_be_lists_of_columns(size):
    """An index that makes a copy is written as one that makes a view."""

    class Listed(GRU):
        @property
        def weight_blocks(self):
            S = self.state_size
            gates = ("reset", "update", "candidate")
            return [{(s, g): (..., np.arange(S) + k * S) for k, g in enumerate(gates)} for s in ("x", "h", "bias_x", "bias_h")]

    blocks = gradients(Listed, Problem(2, size, size, scale=1.0), "weights")
    assert {b.verdict for b in blocks} == {"certified"} and len(blocks) == 12


WILD = {  # a law and problems on which a bound entry by entry, or of one step, was too small or nearly so
    "equations_of_the_kind": (Unroll(LSTM), Problem(3, 4, 3, steps=32, seed=62964, scale=30.0, regime="small inputs")),
    "float32_outputs": (Unroll(RNN), Problem(2, 1, 130, steps=12, seed=2, scale=1e3, upstream="first")),
}


@pytest.mark.parametrize("name", WILD)
def test_long_and_chaotic_sequences_are_no_violations(name):
    """A memory is rounded at every step; units that rounding flips are others than those that a few draws flip."""
    Sequence, problem = WILD[name]
    with counting(Tally()) as tally:
        laws()[name].check(Cell=Sequence, problem=problem)
    assert tally.examples == 1 and tally.worst < 0.5


HALF = {  # the law, the cell, the problem
    "a gradient beyond the largest number": (
        "weight_gradients",
        UNROLLED[0],
        Problem(4, 3, 3, 14, 1084276939, 386.48684642283126, "zeros", dtype=np.float16),
    ),
    "a state that grows in each step": (
        "gradients_are_finite",
        UNROLLED[0],
        Problem(1, 2, 1, 12, 1310261725, 30.0, "zeros", "first", dtype=np.float16),
    ),
    "a sigmoid behind a tanh": (
        "activations_of_the_cell",
        STEPS[2],
        Problem(2, 3, 3, 6, 1265519156, 0.008364633948343548, "one-hot", dtype=np.float16),
    ),
    "numbers that underflow on the way": (
        "vjp_scales",
        UNROLLED[1],
        Problem(4, 2, 3, 10, 2044843121, 9.605174112944914e-06, "large upstream", dtype=np.float16),
    ),
}


@pytest.mark.parametrize("case", HALF)
@pytest.mark.filterwarnings("ignore")  # of overflow
def test_the_few_numbers_of_float16_are_no_fault(case):
    """What leaves them on the way is not held against a textbook cell."""
    law, Textbook, problem = HALF[case]
    laws()[law].check(Cell=lift(Textbook, dtypes=(np.float16,)), problem=problem)


def shifted(share):
    """h' = p / (sum p + share) with p = exp(e - max e) and e = x W + h. The gradient leaves out the largest, as that of a softmax may."""

    def forward(x, h, W):
        e = x @ W + h
        p = np.exp(e - e.real.max(1, keepdims=True))
        total = p.sum(1, keepdims=True) + share
        return p / total, (p, total)

    def backward(dh, x, h, W, kept):
        p, total = kept
        de = p * (dh / total - (dh * p).sum(1, keepdims=True) / total**2)
        return de @ W.T, de, x.T @ de

    return lift(
        adapt(lambda F, S: {"W": np.zeros((F, S))}, ("x h W -> h kept", forward), ("dh x h W kept -> dx dh dW", backward))
    )


def test_a_small_part_that_complex_numbers_lose_is_seen():
    """The largest, which `.real` takes out of the derivative: with an epsilon in the sum, it counts a little."""
    assert set(handshake(shifted(0.0)).oracles) == {ComplexStep}
    assert not broken(shifted(0.0), ["state_gradients", "weight_gradients"])
    assert set(handshake(shifted(1e-5)).oracles) == {Chebyshev}
    assert broken(shifted(1e-5), ["state_gradients", "weight_gradients"]) == {"state_gradients", "weight_gradients"}


def halved(x, h, W):
    """h' = (x W + h) / 2, rounded to 8 bits, whatever the dtype."""
    part, power = np.frexp((x @ W + h) / 2)
    return np.ldexp(np.rint(part * 256) / 256, power)


def test_what_is_rounded_coarsely_in_arrays_of_float64_is_not_interpolated():
    """Over so small a radius, it would stand still, and a right gradient be told that it should be 0."""
    passes = ("x h W -> h", halved), ("dh x W -> dx dh dW", lambda d, x, W: (d @ W.T / 2, d / 2, x.T @ d / 2))
    Cell = lift(adapt(lambda F, S: {"W": np.zeros((F, S))}, *passes, precision=2.0**-8))
    assert set(handshake(Cell).oracles) == {Differences} and not handshake(Cell).wide
    with np.errstate(all="ignore"):
        assert not broken(Cell, ["weight_gradients", "input_gradients", "state_gradients"])


def test_a_small_part_that_the_analytic_step_keeps_is_left_to_it():
    """A small absolute value, of which the complex step knows nothing."""
    bent = lift(
        adapt(lambda F, S: {"W": np.zeros((F, S))}, ("x h W -> h", lambda x, h, W: np.tanh(z := x @ W + h) + 1e-6 * abs(z)))
    )
    assert set(handshake(bent).oracles) == {AnalyticStep}


def test_a_function_that_raises_near_by_does_not_refute_a_derivative():
    """Nothing can be said of it there."""

    def raising(arrays):
        raise ArithmeticError

    assert Chebyshev(raising, ()).confirms([np.ones(2)], {0: np.ones(2)}, 1.0)
