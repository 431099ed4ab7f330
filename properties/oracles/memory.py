"""Memory for large arrays, kept from one problem to the next: fresh memory costs more than the arithmetic done in it."""

import numpy as np

LARGE = 4096  # entries from which on an array is large
SHAPES = 8  # of so many shapes arrays are kept
_spare: dict[tuple, list] = {}


def taken(shape):
    """An array of float64, of any contents: it may be given back once nobody reads it any more."""
    kept = _spare.get(shape)
    return kept.pop() if kept else np.empty(shape)


def copied(array):
    """The array as float64, a copy in memory of our own."""
    if np.size(array) < LARGE:
        return np.array(array, dtype=float)
    copy = taken(np.shape(array))
    copy[...] = array
    return copy


def give_back(arrays):
    """Keep the large ones of these arrays for later."""
    for a in arrays:
        if a.size >= LARGE and (a.shape in _spare or len(_spare) < SHAPES):
            _spare.setdefault(a.shape, []).append(a)
