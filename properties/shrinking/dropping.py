"""A literal problem without one of its rows, steps, features or units."""

from dataclasses import replace

import numpy as np
from cellcheck.cells import lift


def sizes(literal):
    """Rows, features, units and steps of the arrays: the names are the fields of a recipe."""
    recipe = literal.recipe
    return {"steps": literal.steps, "batch": literal.batch, "features": recipe.features, "state": recipe.state}


def kept(literal, Cell, size, which):
    """[The literal problem with these of its rows or steps alone], or [] if the cell takes no problem of that size."""
    recipe = replace(literal.recipe, **{size: len(which)})
    if getattr(recipe.fitted(Cell), size) != len(which):
        return []
    return [replace(literal.rows(which) if size == "batch" else literal.span(which), recipe=recipe)]


def without(literal, Cell, size, j):
    """The literal problem without row, step, feature or unit j; size: the field of the recipe that becomes one less.

    Empty if the cell takes no problem of that size. Which entries of an array belong to a feature or unit is read off the shapes
    of a smaller cell: as many groups of entries as the axis gets shorter. They may follow the others or precede them, as in
    [x, h] and [h, x]: so there are two.
    """
    n = sizes(literal)[size]
    if size in ("batch", "steps"):
        return kept(literal, Cell, size, np.delete(np.arange(n), j))
    fitted = replace(literal.recipe, **{size: n - 1}).fitted(Cell)
    if getattr(fitted, size) != n - 1:
        return []
    old, new = literal.spec, lift(Cell).spec(fitted.features, fitted.state)
    return [_smaller(literal, old, new, n, j, last, fitted) for last in (size == "state", size != "state")]


def _smaller(literal, old, new, n, j, last, recipe):
    """The literal problem of spec `old` as one of spec `new`, without entry j of each group of n."""

    def cut(array, before, after):
        return _cut(array, array.shape[: array.ndim - len(before.shape)] + after.shape, n, j, last)

    arrays = [*literal.weights, literal.x, *literal.state]
    n_weights, arrays = len(literal.weights), [cut(*three) for three in zip(arrays, old.arrays, new.arrays)]
    weights, x, state = arrays[:n_weights], arrays[n_weights], tuple(arrays[n_weights + 1 :])
    given = [tuple(cut(*three) for three in zip(us, old.outputs, new.outputs)) for us in literal.given]
    return replace(literal, recipe=recipe, spec=new, weights=weights, x=x, state=state, given=given)


def _cut(array, shape, n, j, last):
    """The array without entry j of each group of n, such that it has the shape; last: the groups end where the axis ends."""
    for axis, length in enumerate(array.shape):
        groups = length - shape[axis]
        start = length - groups * n if last else 0
        if groups:
            array = np.delete(array, [start + g * n + j for g in range(groups)], axis)
    return array
