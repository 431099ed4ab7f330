"""Whether outputs and gradients move as finely as float64 does. What is rounded to float32 on the way stands still, or leaps."""

from contextlib import suppress
from dataclasses import replace
from functools import cache

import numpy as np
from cellcheck.properties.oracles import noisy
from cellcheck.properties.verdicts import bound
from cellcheck.properties.verdicts.blocks import within
from cellcheck.properties.verdicts.run import both

FINE, WIDE = 2.0**-30, 2.0**-18  # steps, as shares of each number: far below the unit of float32, 2^-24, and far above it
SURE = 2.0**-27  # here, too, float32 stands still or leaps; the noise of float64 is 8 times smaller beside the change
UNIT = 2.0**-53
ULPS, DRAWS = 2.0**-50, 6  # by how much, and how often, all numbers are moved to measure the rounding
SLACK = 1 / 4  # of the change that is expected: 1 moves by nothing, or by at least 2^-24
SEEN = 2.0**-40  # of the largest entry of a result: a smaller change is lost where 2^12 roundings add up
LARGE = 64.0  # of larger numbers, what rounds to fixed steps, as a quantiser does, keeps no more digits than float32
TAILS = 32 * np.finfo(float).eps  # times the largest number: 1 + tanh, which is a multiple of eps, stands still and leaps as well
# Of a gradient, times F: 1 - tanh^2 is a multiple of eps, too, and what it is multiplied by may cancel.
BENT = 2.0**-4  # of a change: by so much, those of a smooth function may differ from proportion: float32 rounds them by a 64th
VERDICTS = ("certified", "inconclusive", "trivial")  # of several arrays, the first of these is that of the output
NOTHING = "its numbers exceed 64, or all its arrays have domains"


def resolved(Cell, problem):
    """The blocks of f(a + FINE |a| v) - f(a) against FINE / WIDE (f(a + WIDE |a| v) - f(a)), for each array a without a domain.

    a is a weight, an input, a state or, for gradients, the upstream.

    A result is an output or a gradient. There is one block for each result and array that disagree, and one for each other result. v is
    random, with entries +-U[1, 2]. Nothing is concluded where the wide change is not in proportion to the step, as beside a kink, in
    a unit that saturates within it, or in chaos.
    """
    problem = problem.literal(Cell)
    arrays = (*problem.weights, problem.x, *problem.state)
    largest = max((np.max(np.abs(a), initial=0.0) for a in arrays), default=0.0)
    if largest > LARGE:
        return []
    wrong, right = [], {}
    with np.errstate(all="ignore"):
        start = both(Cell, problem)
        rounding = cache(lambda: _rounding(Cell, problem, start))
        size = max(1.0, largest), max(1.0, _size(problem, start))

        def noise(name):
            return TAILS * size[name not in problem.spec.output_names] + rounding()[name]

        free = [(k, a.name) for k, a in enumerate(problem.spec.arrays) if a.domain is None and np.any(arrays[k])]
        for k, moved in [*free, *[(None, "the upstream")] * bool(free and problem.spec.gradients)]:
            change = Change(Cell, problem, k, start)
            for name in start:
                block = _block(change, name, noise)
                if block.verdict == "violated":
                    of = "" if name in problem.spec.output_names else "gradient of "
                    wrong.append(replace(block, name=f"{of}{name} moved with {moved}"))
                elif name not in right or VERDICTS.index(block.verdict) < VERDICTS.index(right[name].verdict):
                    right[name] = block
    return [*wrong, *right.values()]


def _size(problem, start):
    """F of the gradients, see `bound`: what cancels in them, in any of the steps, has been rounded."""
    spec, upstream = problem.spec, [np.abs(u) for u in problem.given[0]]
    most = max((float(np.max(np.abs(a), initial=0.0)) for name, a in start.items() if name not in spec.output_names), default=0.0)
    return bound.size_of_steps(spec, problem.weights, problem.x, problem.state, upstream, most)


def _rounding(Cell, problem, start):
    """What rounding may make of each result: 8 times what changes of all numbers by some ulps make of it.

    A saturated unit stands still for ulps, and leaps. So each result of an operation is rounded at random as well, as far as the cell
    computes with arrays of ours.
    """
    rng, found = np.random.default_rng(DRAWS), dict.fromkeys(start, 0.0)
    for _ in range(DRAWS):
        for name, y in both(Cell, problem.moved(rng, ULPS)).items():
            found[name] = max(found[name], bound.FACTOR * np.max(np.abs(y - start[name]), initial=0.0))
    first = noisy.Noise(np.random.default_rng(DRAWS), UNIT)

    def rounded(noise):
        source = replace(noise or first, doubles=True)  # float32 shall explain nothing
        return both(Cell, problem.mapped(lambda a: noisy.noisy(a, source)))

    with suppress(Exception):  # of a cell that does not take such arrays
        moves = noisy.spread(rounded, UNIT, 0.0, noisy.DRAWS[-1])
        found = {name: found[name] + bound.FACTOR * np.max(move, initial=0.0) for name, move in moves.items()}
    return found


class Change:
    """By how much each output and gradient changes with array k, or with the upstream: by name, for a step. Each step is taken once."""

    def __init__(self, Cell, problem, k, start):
        """k: None for the upstream; start: the outputs and gradients at the problem itself."""
        self.Cell, self.problem, self.k, self.start, self.known = Cell, problem, k, start, {}
        self.arrays = [*problem.weights, problem.x, *problem.state]
        moved = problem.given[0] if k is None else [self.arrays[k]]
        self.ways = [np.abs(a) * v for a, v in zip(moved, problem.directions(moved))]

    def __call__(self, step):
        """{name: change} for the array moved by the step along its direction."""
        if step not in self.known:
            n, arrays, given = len(self.problem.weights), list(self.arrays), self.problem.given
            if self.k is None:
                given = [tuple(u + step * way for u, way in zip(given[0], self.ways)), *given[1:]]
            else:
                arrays[self.k] = arrays[self.k] + step * self.ways[0]
            moved = replace(self.problem, weights=arrays[:n], x=arrays[n], state=tuple(arrays[n + 1 :]), given=given)
            self.known[step] = {name: np.asarray(y, dtype=float) - self.start[name] for name, y in both(self.Cell, moved).items()}
        return self.known[step]


def _block(change, name, rounding):
    """The block of one output or gradient. rounding: its name -> how far the rounding of float64 may move it."""
    wide, expected = change(WIDE)[name], change(WIDE)[name] * (FINE / WIDE)
    most = np.max(np.abs(expected), initial=0.0)
    block = within(name, change(FINE)[name], expected, SLACK * most)
    if not most > SEEN * np.max(np.abs(change.start[name]), initial=0.0):
        return replace(block, verdict="inconclusive" if most else "trivial", bound=np.inf)
    if block.verdict != "violated":
        return replace(block, verdict="certified")
    for factor in (-1.0, 2.0, 4.0):
        if not np.max(np.abs(change(factor * WIDE)[name] - factor * wide)) <= abs(factor) * BENT * np.max(np.abs(wide)):
            return replace(block, verdict="inconclusive", bound=np.inf)
    larger = within(name, change(SURE)[name], expected * (SURE / FINE), rounding(name) + SLACK * most * (SURE / FINE))
    if larger.verdict != "violated":
        return replace(block, verdict="inconclusive", bound=np.inf)
    again = within(block.name, block.got, expected, rounding(name) + SLACK * most)
    return again if again.verdict == "violated" else replace(again, verdict="inconclusive", bound=np.inf)
