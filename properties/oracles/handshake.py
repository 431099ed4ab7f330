"""Chooses the oracle for each array of a cell, once per cell, at a problem where nothing is saturated."""

import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product

import numpy as np
from cellcheck.properties.oracles.analytic import AnalyticStep, BufferedStep
from cellcheck.properties.oracles.chebyshev import Chebyshev, Differences
from cellcheck.properties.oracles.complex_step import ComplexStep
from cellcheck.properties.oracles.function import Function, differentiated, rebound
from cellcheck.properties.oracles.wide import Widened
from cellcheck.strategies import Problem

LADDER = (ComplexStep, AnalyticStep, BufferedStep)
TOLERANCE = 1e-4
COARSE = 2.0**-20  # units above that of float32: no interpolation resolves what is rounded so, whatever the dtype of the arrays
SMOOTH = 1.4  # between the power 2 of a step, by which second differences of smooth numbers fall, and the 1 of those that jump
EXACT = 1e-9  # complex step and analytic step agree to rounding, where they agree
FARTHER = [  # large numbers, at which a cell may take another branch
    Problem(steps=3, seed=seed, scale=scale, regime=regime)
    for seed, scale, regime in (
        (2, 5.0, "plain"),
        (3, 30.0, "plain"),
        (4, 3.0, "long memory"),
        (5, 5.0, "large inputs"),
        (6, 3.0, "large states"),
    )
]
WIDER = Problem(2, 4, 5, steps=3, seed=1, scale=0.5)
GREETINGS = [Problem(b, f, s, steps=3, seed=1, scale=0.5) for b, f, s in ((2, 3, 2), (1, 3, 2), (2, 1, 1), (1, 1, 1))]


def in_float64(cell):
    """A copy that holds the same weights in float64."""
    return rebound(cell, [w.astype(float) for w in cell.weights])


@dataclass(frozen=True)
class Handshake:
    """rebinds: deepcopy finds the weights; oracles: for each array of [*weights, x, *state] the first of the ladder that works.

    copied: makes the float64 copy of a cell; wide: apply of that copy computes in float64; wide_backward: so does its vjp; always
    False for cells that offer float64.
    """

    rebinds: bool
    oracles: tuple[type, ...]
    copied: Callable = in_float64
    wide: bool = True
    wide_backward: bool = False


@lru_cache(maxsize=256)
def handshake(Cell):
    """Try complex step and analytic step on each array against a difference quotient and Chebyshev, which take real numbers.

    A cell that fails on the first greeting is tried on smaller ones; if it fails on all, the laws will say how.
    """
    for problem in GREETINGS:
        try:
            found = _greet(Cell, problem)
        except Exception:  # the laws report what a broken cell raises
            continue
        some = Chebyshev in found.oracles and {*found.oracles} - {Chebyshev}
        return replace(found, oracles=_again(Cell, found.oracles)) if some else found
    return Handshake(True, (ComplexStep,) * 32)


def _again(Cell, oracles):
    """The oracles, Chebyshev replaced where five units admit a better one: two normalised units hardly depend on what makes them."""
    with suppress(Exception):
        return tuple(there if here is Chebyshev else here for here, there in zip(oracles, _greet(Cell, WIDER).oracles))
    return oracles


def _greet(Cell, problem):
    cell, x, state = problem.build(Cell)
    outputs = [np.array(y) for y in cell.apply(x, *state)]
    [upstream] = problem.upstreams(1, outputs, cell.spec)
    arrays = [np.array(a, dtype=float) for a in (*cell.weights, x, *state)]
    function = Function(cell, rebinds=_rebinds(cell, x, state))
    low = np.float64 not in cell.spec.dtypes or (cell.spec.precision or 0.0) > COARSE
    backward, copied = False, in_float64
    if low:
        given = (arrays, upstream, outputs, problem, cell.spec.unit(x.dtype))
        ways = {copied: function, Widened: Function(Widened(cell))} if function.rebinds else {}
        found = {way: _widens_backward(way(cell), x, state, upstream) for way, tried in ways.items() if _widens(tried, *given)}
        if not found:
            return Handshake(function.rebinds, (Differences,) * len(arrays), wide=False)
        copied = max(found, key=found.get)  # the first of those that are best
        function, backward = ways[copied], found[copied]
    chebyshev = Chebyshev(function, upstream, unit=2.0**-53 if low else cell.spec.unit(x.dtype))
    ladder = [o(function, upstream) for o in LADDER if function.rebinds and cell.spec.complex is not False]
    oracles = []
    for k, v in enumerate(problem.directions(arrays)):
        found = {type(o): value for o in ladder if (value := _asked(o, arrays, {k: v})) is not None}
        real = (ask(arrays, {k: v}) for ask in (chebyshev.quotient, chebyshev.value) if found)  # the second is for noisy cells
        right = (o for expected in real for o, value in found.items() if abs(value - expected) <= TOLERANCE * abs(expected))
        oracles.append(next((o for o in right if chebyshev.confirms(arrays, {k: v}, found[o])), Chebyshev))
    for farther in FARTHER if not low and ComplexStep in oracles else ():
        farther = replace(farther, batch=problem.batch, features=problem.features, state=problem.state)
        cell, x, state = farther.build(Cell)
        arrays = [np.array(a, dtype=float) for a in (*cell.weights, x, *state)]
        oracles = _farther(Function(cell, function.rebinds), upstream, arrays, farther.directions(arrays), oracles)
    return Handshake(function.rebinds, tuple(oracles), copied, wide_backward=backward)


def _farther(function, upstream, arrays, directions, oracles):
    """The oracles; other ones in the place of complex step if it is wrong here: in a branch with abs, for example."""
    known = {k: v for k, v in enumerate(directions) if oracles[k] is ComplexStep}
    found = []
    for oracle in LADDER[:2]:
        try:
            found.append(oracle(function, upstream).value(arrays, known))
        except Exception:  # of a function that takes no complex numbers
            found.append(np.nan)
    real = Chebyshev(function, upstream)
    quotient = real.quotient(arrays, known)
    if not np.isfinite([found[0], quotient]).all():
        return oracles  # where exp overflows, as in 1 / (1 + exp(-z)), real numbers are asked at that problem alone
    if abs(found[0] - found[1]) <= EXACT * abs(found[0]):  # as they are in a framework, where both may drop imaginary parts
        if abs(found[0] - quotient) <= TOLERANCE * abs(quotient):
            return oracles
        value = real.value(arrays, known)
        sure = value and abs(value - quotient) <= TOLERANCE * abs(value)  # not where all is too flat for real numbers
        wrong = sure and abs(value - found[0]) > real.error() + TOLERANCE * abs(value)
        return [Chebyshev if o is ComplexStep else o for o in oracles] if wrong else oracles
    other = AnalyticStep if abs(found[1] - quotient) <= TOLERANCE * abs(quotient) else Chebyshev
    right = abs(found[0] - quotient) <= TOLERANCE * abs(quotient)
    return oracles if right else [other if o is ComplexStep else o for o in oracles]


def _widens_backward(cell, x, state, upstream):
    """Whether vjp of a copy in float64 computes in float64: it changes smoothly where numbers of fewer digits would jump.

    Second differences of smooth gradients are about the square of the step. Steps: one unit of the cell, and one of float32.
    """
    n, arrays = len(cell.weights), [a.astype(float) for a in (*cell.weights, x, *state)]

    def claims(ways, t):
        moved = [np.asarray(a * (1 + t * way)) for a, way in zip(arrays, ways)]
        return differentiated(cell, moved[:n], moved[n:], upstream)

    try:
        for seed, step in product(range(3), {cell.spec.unit(x.dtype), 2.0**-24}):
            rng = np.random.default_rng(seed)
            ways = [rng.uniform(-1, 1, a.shape) for a in arrays]
            for before, here, after in zip(*(claims(ways, t) for t in (-step, 0.0, step))):
                bend = np.max(np.abs(after - 2 * here + before), initial=0.0)
                if here.dtype != np.float64 or not bend <= step**SMOOTH * np.max(np.abs(here), initial=0.0):
                    return False
    except Exception:
        return False
    return True


def _widens(function, arrays, upstream, outputs, problem, unit):
    """Whether the cell, of this unit, computes in float64 if its arrays are float64: its outputs have more digits and change smoothly."""
    try:
        wide = [np.array(y) for y in function(arrays)]
        if any(y.dtype != np.float64 or y.shape != z.shape for y, z in zip(wide, outputs)):
            return False
        close = [np.allclose(y, z, max(TOLERANCE, 20 * unit), max(TOLERANCE, 20 * unit)) for y, z in zip(wide, outputs)]
        if not all(close) or all(np.array_equal(y, y.astype(z.dtype)) for y, z in zip(wide, outputs)):
            return False
        real, v = Chebyshev(function, upstream), problem.directions(arrays)
        everything = dict(enumerate(v))
        quotient, value = real.quotient(arrays, everything), real.value(arrays, everything)
        return bool(abs(quotient - value) <= TOLERANCE * abs(value))
    except Exception:
        return False


def _rebinds(cell, x, state):
    """Whether a deepcopy that holds new weights computes as the cell does with them written in place, and leaves it alone."""
    close = max(TOLERANCE, 20 * cell.spec.unit(x.dtype))
    try:
        before = [w.copy() for w in cell.weights]
        plain = [np.array(y) for y in rebound(cell, before).apply(x, *state)]
        own = [np.array(y) for y in cell.apply(x, *state)]
        for k, w in enumerate(before):
            news = [a + a.dtype.type(0.5) if a is w else a for a in before]
            moved = [np.array(y) for y in rebound(cell, news).apply(x, *state)]
            cell.weights[k][...] = news[k]
            live = [np.array(y) for y in cell.apply(x, *state)]
            cell.weights[k][...] = w
            # a weight may have no effect at all
            found = all(map(np.array_equal, plain, moved)) == all(map(np.array_equal, own, live))
            if not (found and all(np.allclose(y, z, close, close) for y, z in zip(moved, live))):
                return False
        return all(np.array_equal(w, b) for w, b in zip(cell.weights, before))
    except Exception:
        return False


def _asked(oracle, arrays, direction):
    """The derivative, or None for a cell that does not take these numbers."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("error", np.exceptions.ComplexWarning)
        try:
            return oracle.value(arrays, direction)
        except Exception:
            return None
