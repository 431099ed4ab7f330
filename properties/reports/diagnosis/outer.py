"""Mistakes in the gradients of products with a matrix, of a cell whose operations cannot be followed, as of one that is compiled.

Of z = v M + b in one row and one step, the gradient of b is dz, that of M is the outer product of v and dz, and v gets dz M^T.
"""

from dataclasses import replace

import numpy as np
from cellcheck.properties.reports.diagnosis.grown import PLAIN, close, grown, same


def product_faults(g):
    """Sentences about a matrix that is not transposed, or the gradient of one that is made of another vector; [] if none fits."""
    g = grown(g.Cell, replace(PLAIN, batch=1, steps=1))
    claims, truth = g.claims(), g.truth()
    arrays = dict(zip(g.names, (*g.p.weights, g.p.x, *g.p.state)))
    right = [name for name in claims if same(claims[name], truth[name], g.tolerance)]
    slopes = {
        name: np.ravel(truth[name])
        for name in right
        if name in g.names[: g.n] and truth[name].size == max(truth[name].shape, default=0)
    }
    vectors = {name: np.ravel(a) for name, a in (*list(arrays.items())[g.n :], *((y, g.as_given[y]) for y in g.outputs))}
    for name in (name for name in claims if name not in right):
        told = untransposed if name in g.names[g.n :] else made_of
        for b, dz in slopes.items():
            if said := told(name, claims[name], truth[name], dz, arrays, vectors):
                return [f"the gradient of {name} {said}: with the gradient of {b} for that of the sum, this predicts it"]
    return []


def untransposed(name, claim, true, dz, arrays, vectors):
    """Whether the gradient of an input or a state takes a matrix as it is."""
    size, off = true.size, np.ravel(claim - true)
    parts = np.split(dz, len(dz) // size) if size and len(dz) and len(dz) % size == 0 else []
    for matrix, a in arrays.items() if parts else ():
        if a.ndim != 2 or sorted(a.shape) != sorted((size, len(dz))):
            continue
        for blocks in (np.split(a, len(parts), axis) for axis in (1, 0) if a.shape[axis] == len(dz)):
            moved = [part @ block - part @ block.T for part, block in zip(parts, blocks)]
            for k, change in enumerate([sum(moved), *(moved if len(moved) > 1 else ())]):
                if any(close(off, sign * change) for sign in (1, -1)):
                    gate = f"gate {k - 1} of " * bool(k)
                    return f"multiplies {gate}{matrix} without transposing it"
    return ""


def made_of(name, claim, true, dz, arrays, vectors):
    """Which vector the gradient of a matrix is made of, if it is that of a wrong one."""
    for seen, right in ((claim, true), (claim.T, true.T)) if true.ndim == 2 else ():
        if right.shape[1] == len(dz) and dz @ dz:
            own, wanted = (side @ dz / (dz @ dz) for side in (seen, right))
            if close(np.outer(own, dz), seen) and close(np.outer(wanted, dz), right):
                names = [next((n for n, v in vectors.items() if close(v, side)), "") for side in (own, wanted)]
                if names[0]:
                    return f"is made of {names[0]}" + f" where {names[1]} belongs" * bool(names[1])
    return ""
