"""Which oracle a cell can be asked with: decided once per cell, array by array, where nothing is saturated."""

import warnings
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from cellcheck.properties.oracles.analytic import AnalyticStep
from cellcheck.properties.oracles.chebyshev import Chebyshev
from cellcheck.properties.oracles.complex_step import ComplexStep
from cellcheck.properties.oracles.function import Function, rebound
from cellcheck.strategies import Problem

LADDER = (ComplexStep, AnalyticStep)
TOLERANCE = 1e-4
GREETINGS = [Problem(b, f, s, steps=3, seed=1, scale=0.5) for b, f, s in ((2, 3, 2), (1, 3, 2), (2, 1, 1), (1, 1, 1))]


@dataclass(frozen=True)
class Handshake:
    """rebinds: deepcopy finds the weights; oracles: for each array of [*weights, x, *state] the first of the ladder that works."""

    rebinds: bool
    oracles: tuple[type, ...]


@lru_cache(maxsize=256)
def handshake(Cell):
    """Try complex step and analytic step on each array against a difference quotient and Chebyshev, which take real numbers.

    A cell that fails on the first greeting is tried on smaller ones; if it fails on all, the laws will say how.
    """
    for problem in GREETINGS:
        try:
            return _greet(Cell, problem)
        except Exception:  # whatever a broken cell raises, it is for the laws to report
            continue
    return Handshake(True, (ComplexStep,) * 32)


def _greet(Cell, problem):
    cell, x, state = problem.build(Cell)
    [upstream] = problem.upstreams(1, cell.apply(x, *state), cell.spec)
    arrays = [np.array(a, dtype=float) for a in (*cell.weights, x, *state)]
    function = Function(cell, rebinds=_rebinds(cell, arrays))
    chebyshev = Chebyshev(function, upstream, unit=float(np.finfo(x.dtype).eps) / 2)
    ladder = [o(function, upstream) for o in LADDER if function.rebinds and cell.spec.complex is not False]
    oracles = []
    for k, v in enumerate(problem.directions(arrays)):
        real = (ask(arrays, {k: v}) for ask in (chebyshev.quotient, chebyshev.value))  # the second is for noisy cells
        right = (o for expected in real for o in ladder if _agrees(o, arrays, {k: v}, expected))
        oracles.append(type(next(right, chebyshev)))
    return Handshake(function.rebinds, tuple(oracles))


def _rebinds(cell, arrays):
    """Whether a deepcopy that holds new weights computes as the cell does with them written in place, and leaves it alone."""
    n = len(cell.weights)
    x, *state = arrays[n:]
    try:
        before = [w.copy() for w in cell.weights]
        plain = rebound(cell, arrays[:n]).apply(x, *state)
        for k in range(n):
            news = [a + 0.5 if j == k else a for j, a in enumerate(arrays[:n])]
            moved = [np.array(y) for y in rebound(cell, news).apply(x, *state)]
            cell.weights[k][...] += 0.5
            live = [np.array(y) for y in cell.apply(x, *state)]
            cell.weights[k][...] = before[k]
            found = all(map(np.array_equal, plain, moved)) == all(map(np.array_equal, plain, live))  # or it has no effect at all
            if not (found and all(np.allclose(y, z, TOLERANCE) for y, z in zip(moved, live))):
                return False
        return all(np.array_equal(w, b) for w, b in zip(cell.weights, before))
    except Exception:
        return False


def _agrees(oracle, arrays, direction, expected):
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("error", np.exceptions.ComplexWarning)
        try:
            value = oracle.value(arrays, direction)
        except Exception:
            return False
    return bool(abs(value - expected) <= TOLERANCE * abs(expected))
