"""A literal problem without one of its rows, steps, features or units."""

from dataclasses import replace

import numpy as np


def sizes(literal):
    """Rows, features, units and steps of the arrays: the names are the fields of a recipe."""
    *steps, batch, features = literal.x.shape
    return {"steps": steps[0] if steps else 1, "batch": batch, "features": features, "state": literal.recipe.state}


def without(literal, Cell, size, j):
    """The literal problem without row, step, feature or unit j; size: the field of the recipe that becomes one less.

    Which entries of a weight belong to a feature or unit is read off the shapes of a smaller cell's weights: as many groups of
    entries as the axis gets shorter. They may follow the others or precede them, as in [x, h] and [h, x]: so there are two.
    """
    n = sizes(literal)[size]
    recipe = replace(literal.recipe, **{size: n - 1})
    if size in ("batch", "steps"):
        rest = np.delete(np.arange(n), j)
        return [replace(literal.rows(rest) if size == "batch" else literal.span(rest), recipe=recipe)]
    smaller = Cell(recipe.features, recipe.state).weights
    cuts = [
        [_cut(w, np.shape(s), n, j, last) for w, s in zip(literal.weights, smaller)]
        for last in (size == "state", size != "state")
    ]
    if size == "features":
        rest = {"x": np.delete(literal.x, j, axis=-1)}
    else:
        state = tuple(np.delete(s, j, axis=-1) for s in literal.state)
        given = [tuple(np.delete(u, j, axis=-1) if u.ndim and u.shape[-1] == n else u for u in us) for us in literal.given]
        rest = {"state": state, "given": given}
    return [replace(literal, recipe=recipe, weights=weights, **rest) for weights in cuts]


def _cut(weight, shape, n, j, last):
    """The weight without entry j of each group of n, such that it has the shape; last: the groups end where the axis ends."""
    for axis, length in enumerate(weight.shape):
        groups = length - shape[axis]
        start = length - groups * n if last else 0
        weight = np.delete(weight, [start + g * n + j for g in range(groups)], axis)
    return weight
