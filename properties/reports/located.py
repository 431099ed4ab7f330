"""Which entry of a large gradient is wrong: by halves, since there is no time to look at each."""

from dataclasses import replace

import numpy as np
from cellcheck.properties.oracles.chebyshev import Chebyshev
from cellcheck.properties.oracles.function import Function
from cellcheck.properties.oracles.handshake import handshake
from cellcheck.properties.verdicts.blocks import Violation
from cellcheck.properties.verdicts.run import claimed


def located(case):
    """The error of a case, its worst block at one entry where it is a directional derivative of a large array."""
    if not isinstance(case.error, Violation) or case.error.blocks[0].array is None or case.error.blocks[0].index is not None:
        return case.error
    worst = case.error.blocks[0]
    found = _entry(case.Cell, case.problem, worst)
    if not found:
        return case.error
    error = Violation([found, *(b for b in case.error.all_blocks if b is not worst)])
    error.blocks.sort(key=lambda b: b is not found)  # one entry is less than their sum, but says more
    return error


def _entry(Cell, problem, block):
    """The block at the entry that the larger error of ever smaller halves leads to, or None."""
    cell, x, state = problem.build(Cell)
    if cell.spec.chained:  # its law is about several steps
        return None
    [upstream] = problem.upstreams(1, cell.apply(x, *state), cell.spec)
    claim = claimed(cell, cell.vjp(*(u.copy() for u in upstream)), ("weights", "x", "state"))[block.array][0]
    hand, arrays = handshake(Cell), [np.array(a, dtype=float) for a in (*cell.weights, x, *state)]
    if claim is None or hand.oracles[block.array] is Chebyshev:
        return None
    oracle = hand.oracles[block.array](Function(cell, hand.rebinds), [np.asarray(u, dtype=float) for u in upstream])
    claim, rng = np.asarray(claim, dtype=float), np.random.default_rng(0)

    def error(indices):
        v = np.zeros(claim.size)
        v[indices] = rng.uniform(1, 2, len(indices)) * rng.choice((-1.0, 1.0), len(indices))
        v = v.reshape(claim.shape)
        value = oracle.value(arrays, {block.array: v})
        return abs((claim * v).sum() - value), value

    indices = np.arange(claim.size)
    while indices.size > 1:
        indices = max(np.array_split(indices, 2), key=lambda half: error(half)[0])
    index = tuple(int(i) for i in np.unravel_index(indices[0], claim.shape))
    v = np.zeros(claim.shape)
    v[index] = 1.0
    value = float(oracle.value(arrays, {block.array: v}))
    off = abs(claim[index] - value)
    return replace(block, got=float(claim[index]), expected=value, error=off, index=index) if off > block.bound else None
