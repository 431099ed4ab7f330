"""The judge of laws that compute one quantity in two ways, each a function of the problem."""

import numpy as np
from cellcheck.properties.verdicts import bound
from cellcheck.properties.verdicts.blocks import same, within


def agree(Cell, problem, got, expected, size):
    """The blocks of got(problem) against expected(problem), two dicts of named arrays, under the one bound.

    size: F of the bound, a function of (weights, x, state, upstream) arrays. S is measured on `got`, with weights, inputs,
    states and upstreams moved by ulps, and only when the two differ by more than the floor.
    """
    problem = problem.literal(Cell)
    with np.errstate(all="ignore"):
        one, other = got(problem), expected(problem)
        if all(np.array_equal(one[name], value) for name, value in other.items()):
            return same(one, other)
        unit = bound.unit(problem.x.dtype)
        total = tuple(sum(np.abs(u) for u in arrays) for arrays in zip(*problem.given))
        floor = bound.FACTOR * unit * size(problem.weights, problem.x, problem.state, total) + bound.TINY
        blocks = [within(name, one[name], value, floor) for name, value in other.items()]
        for draws in bound.DRAWS.get():
            if all(b.error <= b.bound / 2 for b in blocks):
                break
            moves = _moves(problem, got, one, unit, draws)
            blocks = [within(name, one[name], value, floor + bound.FACTOR * moves[name]) for name, value in other.items()]
    return blocks


def _moves(problem, got, one, unit, draws):
    """S row by row: the largest move of each quantity when every number moves by features + state ulps.

    Of a row, not of an entry: where a sequence is chaotic, rounding flips other units than those that a few draws happen to flip.
    """
    rng, step = np.random.default_rng(draws), unit * (problem.recipe.features + problem.recipe.state)
    moves = {name: np.zeros(np.shape(value)) for name, value in one.items()}
    for _ in range(draws):
        for name, value in got(problem.moved(rng, step)).items():
            move = np.abs(np.asarray(value, dtype=float) - one[name])
            moves[name] = np.maximum(moves[name], np.where(np.isnan(move), np.inf, move))
    return {name: np.max(move, axis=-1, keepdims=True, initial=0.0) if move.ndim else move for name, move in moves.items()}
