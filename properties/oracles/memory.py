"""Keeps the memory of large arrays from one problem to the next: allocating it costs more than the arithmetic on it."""

import numpy as np

LARGE = 4096  # entries from which on an array is large
SHAPES = 16  # the number of shapes and dtypes for which arrays are kept
_spare: dict[tuple, list] = {}


def taken(shape, dtype=float):
    """An array with arbitrary contents. Give it back when it is no longer read."""
    kept = _spare.get((shape, np.dtype(dtype)))
    return kept.pop() if kept else np.empty(shape, dtype)


def copied(array):
    """A float64 copy of the array; a large one in kept memory."""
    if np.size(array) < LARGE:
        return np.array(array, dtype=float)
    copy = taken(np.shape(array))
    copy[...] = array
    return copy


def give_back(arrays):
    """Keep the large ones of these arrays for later."""
    for a in arrays:
        if a.size >= LARGE and ((a.shape, a.dtype) in _spare or len(_spare) < SHAPES):
            _spare.setdefault((a.shape, a.dtype), []).append(a)
