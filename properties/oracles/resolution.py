"""Whether outputs move as finely as float64 does. What is rounded to float32 on the way stands still, or leaps."""

from dataclasses import replace

import numpy as np
from cellcheck.properties.verdicts import bound
from cellcheck.properties.verdicts.blocks import within
from cellcheck.properties.verdicts.run import apply

FINE, WIDE = 2.0**-30, 2.0**-18  # steps, as shares of each number: far below the unit of float32, 2^-24, and far above it
ULPS = [sign * 2.0**-k for k in range(44, 52) for sign in (1, -1)]
SLACK = 1 / 4  # of the change that is expected: 1 moves by nothing, or by at least 2^-24
SEEN = 2.0**-40  # of the largest output: a smaller change is lost where 2^12 roundings add up
LARGE = 64.0  # of larger numbers, what rounds to fixed steps, as a quantiser does, keeps no more digits than float32
TAILS = 32 * np.finfo(float).eps  # times the largest number: 1 + tanh, which is a multiple of eps, stands still and leaps as well
BENT = 2.0**-4  # of the wide change: by so much, the two that go opposite ways may differ: float32 rounds them by a 64th


def resolved(Cell, problem):
    """The blocks of each output and array a without a domain: f(a + FINE |a| v) - f(a) against FINE / WIDE (f(a + WIDE |a| v) - f(a)).

    v is random, with entries +-U[1, 2]. Where the wide change is not smooth, as beside a step or in chaos, nothing is concluded.
    """
    problem = problem.literal(Cell)
    arrays = (*problem.weights, problem.x, *problem.state)
    largest = max((np.max(np.abs(a), initial=0.0) for a in arrays), default=0.0)
    if largest > LARGE:
        return []
    free = [k for k, a in enumerate(problem.spec.arrays) if a.domain is None and np.any(arrays[k])]
    with np.errstate(all="ignore"):
        start, found = apply(Cell, problem), []
        for k in free:
            v = problem.directions([arrays[k]])[0]
            fine, wide = (_change(Cell, problem, k, v, step, start) for step in (FINE, WIDE))
            for name, there in wide.items():
                most = np.max(np.abs(there), initial=0.0) * FINE / WIDE
                here, expected = fine[name], there * (FINE / WIDE)
                block = within(f"{name} moved with {problem.spec.array_names[k]}", here, expected, SLACK * most)
                if most <= SEEN * np.max(np.abs(start[name]), initial=0.0):
                    block = replace(block, verdict="inconclusive" if most else "trivial")
                elif block.verdict == "violated":
                    block = _judged(Cell, problem, k, v, name, block, SLACK * most + TAILS * max(1.0, largest))
                elif block.verdict != "trivial":
                    block.verdict = "certified"
                found.append(block)
    return found


def _change(Cell, problem, k, v, step, start=None):
    """By how much each output changes."""
    start = start or apply(Cell, problem)
    arrays, n = [*problem.weights, problem.x, *problem.state], len(problem.weights)
    arrays[k] = arrays[k] + step * np.abs(arrays[k]) * v
    moved = replace(problem, weights=arrays[:n], x=arrays[n], state=tuple(arrays[n + 1 :]))
    return {name: np.asarray(y, dtype=float) - start[name] for name, y in apply(Cell, moved).items()}


def _judged(Cell, problem, k, v, name, block, slack):
    """The block again, with the bound of rounding as well, and only where the function is smooth.

    Rounding: 8 times what a change by some ulps, which is far too small to be seen, makes of the output.
    """
    there, back, *ulps = (_change(Cell, problem, k, v, step)[name] for step in (WIDE, -WIDE, *ULPS))
    if not np.isfinite(there).all() or np.max(np.abs(there + back)) > BENT * np.max(np.abs(there)):
        return replace(block, verdict="inconclusive")
    again = within(block.name, block.got, block.expected, bound.FACTOR * np.max(np.abs(ulps)) + slack)
    return again if again.verdict == "violated" else replace(again, verdict="inconclusive")
