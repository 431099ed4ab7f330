"""Compares two computations of the same quantities, each a function of the problem."""

import copy
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from functools import reduce

import numpy as np
from cellcheck.properties.oracles import noisy
from cellcheck.properties.oracles.handshake import handshake
from cellcheck.properties.verdicts import bound
from cellcheck.properties.verdicts.blocks import equal, same, within
from cellcheck.properties.verdicts.run import both
from cellcheck.strategies.problem import Literal
from hypothesis.errors import UnsatisfiedAssumption

COARSE = 2.0**-20  # units above that of float32, at which 8 u F of a sequence may exceed its outputs
MOST = 1 / 8  # of the largest entry of a row: more than that is no rounding, however many steps there are


def agree(Cell, problem, got, expected, size, roundings=None):
    """The blocks of got(problem) against expected(problem), two dicts of named arrays, under the one bound.

    size: F of the bound, a function of (spec, weights, x, state, upstream). S is the larger of the changes that the two
    computations show when weights, inputs, states and upstreams move by ulps: one of them may not move at all, as a sum in log
    space does not. S is measured only when the two differ by more than the floor.
    A cell of half precision or less is judged again as its copy in float64; there, roundings of its own unit are allowed.
    roundings: a function of the problem. It returns None, or a function of a number of draws: how far so many draws of random
    roundings move each quantity. In low precision that is sharper than S and the floor, and takes their place.
    """
    problem = problem.literal(Cell)
    with np.errstate(all="ignore"):
        one, other = got(problem), expected(problem)
        moves = roundings(problem) if roundings else None
        if moves is None:
            blocks = _judged(problem, one, other, (got, expected), size)
            return blocks + _in_float64(Cell, problem, (got, expected), size, blocks)
        unit = problem.spec.precision
        for draws in noisy.DRAWS:
            move = moves(draws)
            blocks = [
                within(name, one[name], value, bound.FACTOR * move[name] + 2 * unit * np.abs(value) + bound.TINY, unit=unit)
                for name, value in other.items()
            ]
            if all(b.verdict != "violated" for b in blocks):
                break
    return blocks


def alike(Cell, problem, got, expected, **options):
    """The blocks of two runs of a cell on one literal problem, dicts of named arrays, under the bound of a run.

    The runs may be those of two objects, whose arrays lie elsewhere: a product of the same numbers may then be rounded in
    another way. options: further arguments of apply in these runs.
    """
    return _judged(problem, got, expected, (lambda p: both(Cell, p, **options),), bound.size_of_a_run)


def unchanged(Cell, problem, got, expected, **options):
    """The blocks of two runs that must be equal bit by bit: one object, one memory.

    If the cell declares deterministic = False, its sums come in any order: then they must be `alike`.
    """
    return same(got, expected) if problem.spec.deterministic else alike(Cell, problem, got, expected, **options)


@dataclass(frozen=True)
class Copied(Literal):
    """A literal problem of which the cell is a copy in float64. copied: makes it of a cell."""

    copied: Callable = copy.deepcopy

    def build(self, Cell):
        """The copy, x and the states."""
        cell, *given = super().build(Cell)
        return self.copied(cell), *given


def _in_float64(Cell, problem, runs, size, blocks):
    """The blocks of a coarse cell's copy in float64, so far as there is one that computes in float64 throughout."""
    unit = problem.spec.unit(problem.x.dtype)
    if unit <= COARSE or any(b.verdict == "violated" for b in blocks):
        return []
    hand = handshake(Cell)
    if not hand.wide_backward:
        return []
    held = {field.name: getattr(problem, field.name) for field in fields(problem)}
    wide = Copied(**held | {"spec": replace(problem.spec, precision=None)}, copied=hand.copied).mapped(lambda a: a.astype(float))
    with suppress(ArithmeticError, TypeError, ValueError, RuntimeError):  # raised by the copy, which is not the user's
        one, other = (run(wide) for run in runs)
        found = zip(_judged(wide, one, other, runs, size), one.items(), other.values())
        return [
            replace(
                within(name, y, z, b.bound + bound.FACTOR * unit * np.max(np.abs(z), initial=0.0), unit=unit), note="in float64"
            )
            for b, (name, y), z in found
        ]
    return []


def _judged(problem, one, other, runs, size):
    """The blocks of one against other; runs: the computations by which S is measured."""
    if all(equal(np.asarray(one[name]), np.asarray(value)) for name, value in other.items()):
        return same(one, other)
    with np.errstate(all="ignore"):
        unit, steps = problem.spec.unit(problem.x.dtype), len(problem.x) if problem.spec.sequence else 0
        total = tuple(sum(np.abs(u) for u in arrays) for arrays in zip(*problem.given))
        floor = bound.FACTOR * unit * size(problem.spec, problem.weights, problem.x, problem.state, total) + bound.TINY
        blocks = [
            within(name, one[name], value, _at_least(floor, unit, value, steps), unit=unit) for name, value in other.items()
        ]
        if any(np.shape(one[name]) != np.shape(value) for name, value in other.items()):
            return blocks
        for draws in filter(None, bound.DRAWS.get()):
            if all(b.error <= b.bound / 2 for b in blocks):
                break
            moves = [_moves(problem, run, unit, draws) for run in runs]
            change = {name: reduce(np.maximum, (m[name] for m in moves)) for name in other}
            blocks = [
                within(name, one[name], value, _at_least(floor + bound.FACTOR * change[name], unit, value, steps), unit=unit)
                for name, value in other.items()
            ]
        if (
            (problem.spec.sequence or problem.spec.kind is None)
            and size in (bound.size, bound.size_of_a_run)
            and any(b.verdict == "violated" for b in blocks)
        ):
            # a matrix may be behind another
            largest = max(float(np.max(np.abs(value), initial=0.0, where=np.isfinite(value))) for value in other.values())
            more = bound.size_of_steps(problem.spec, problem.weights, problem.x, problem.state, total, largest)
            blocks = [
                within(b.name, one[b.name], value, b.bound + bound.FACTOR * unit * more, unit=unit)
                if b.verdict == "violated"
                else b
                for b, value in zip(blocks, other.values())
            ]
        if problem.spec.kind is None and problem.x.dtype == np.float64:
            blocks = _excused(problem, blocks, one, other, runs, unit)
    return _lost(problem, blocks)


def _lost(problem, blocks):
    """The blocks; violated ones with infinities or NaNs are inconclusive where other numbers are near the largest of the dtype."""
    compared = [b for b in blocks if isinstance(b.got, np.ndarray)]
    lost = {id(b) for b in compared if b.verdict == "violated" and not np.isfinite(b.error)}
    if not lost:
        return blocks
    finite = [np.max(np.abs(a), initial=0.0, where=np.isfinite(a)) for b in compared for a in (b.got, b.expected)]
    if max(finite) < problem.spec.largest(problem.x.dtype):
        return blocks
    return [replace(b, verdict="inconclusive", note="near the largest number") if id(b) in lost else b for b in blocks]


def _excused(problem, blocks, one, other, runs, unit):
    """The blocks, each violated one judged again by a bound that allows for the roundings of the runs themselves.

    Unknown equations may take exp of a large number, or subtract what is nearly equal, where S does not move. So each result of an
    operation is rounded at random (Monte Carlo arithmetic), as far as the cell computes with the arrays that it is given. The first
    third of the digits must agree in any case.
    """
    most = {name: unit ** (1 / 3) * np.max(np.abs(value), initial=0.0) for name, value in other.items()}
    wrong = [b for b in blocks if b.verdict == "violated"]
    if not wrong or any(not b.error <= most[b.name] for b in wrong):
        return blocks
    first = noisy.Noise(np.random.default_rng(noisy.DRAWS[-1]), unit)  # a draw to compare with: its code is that of the others

    def rounded(run):
        return noisy.spread(
            lambda noise: run(problem.mapped(lambda a: noisy.noisy(a, noise or first))), unit, 0.0, noisy.DRAWS[-1]
        )

    try:
        moves = [rounded(run) for run in runs]
    except UnsatisfiedAssumption:  # roundings alone move a state out of its domain, and the law does not apply
        raise
    except Exception:  # a cell that does not take such arrays
        return blocks
    more = {name: min(most[name], bound.FACTOR * max(np.max(m[name], initial=0.0) for m in moves)) for name in other}
    return [
        within(b.name, one[b.name], other[b.name], b.bound + more[b.name], unit=unit) if b.verdict == "violated" else b
        for b in blocks
    ]


def _at_least(tolerance, unit, value, steps):
    """The bound, but never below an ulp of what is compared.

    What a sequence carries along is rounded in each step, by FACTOR units of its row: a decay exp(z) by |z| units, and |z| is 15
    beside a stabiliser of the mLSTM. Saturated gates do not move with the inputs, so that S does not show it.
    """
    size = np.abs(np.where(np.isfinite(value), value, 0.0))
    row = size.max(axis=-1, keepdims=True, initial=0.0) if size.ndim else size
    return np.maximum(tolerance, np.maximum(2 * unit * size, min(bound.FACTOR * steps * unit, MOST) * row))


def _moves(problem, run, unit, draws):
    """S row by row: the largest change of each quantity when every number moves by features + state ulps.

    Of a row, not of an entry: where a sequence is chaotic, rounding flips other units than those that a few draws happen to flip.
    """
    one = run(problem)
    rng, step = np.random.default_rng(draws), unit * (problem.spec.features + problem.spec.state)
    moves = {name: np.zeros(np.shape(value)) for name, value in one.items()}
    for _ in range(draws):
        for name, value in run(problem.moved(rng, step)).items():
            move = np.abs(np.asarray(value, dtype=float) - one[name])
            moves[name] = np.maximum(moves[name], np.where(np.isnan(move), np.inf, move))
    return {name: np.max(move, axis=-1, keepdims=True, initial=0.0) if move.ndim else move for name, move in moves.items()}
