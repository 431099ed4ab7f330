"""Keeps the memory of large arrays from one problem to the next: allocating it costs more than the arithmetic on it."""

import numpy as np

LARGE = 4096  # entries from which on an array is large
SHAPES = 16  # the number of shapes and dtypes for which arrays are kept
_spare: dict[tuple, list] = {}


def taken(shape, dtype=float):
    """An array with arbitrary contents. Give it back when it is no longer read."""
    kept = _spare.get((shape, np.dtype(dtype)))
    return kept.pop() if kept else np.empty(shape, dtype)


def copied(array, dtype=float):
    """A float64 copy of the array in kept memory. With dtype complex, a large copy is the real part of a complex array."""
    if np.size(array) < LARGE:
        return np.array(array, dtype=float)
    copy = taken(np.shape(array), dtype).real
    copy[...] = array
    return copy


def behind(array):
    """The complex array whose real part this large array is, or None."""
    base = array.base if array.size >= LARGE else None
    return base if base is not None and base.dtype == complex and base.shape == array.shape else None


def give_back(arrays):
    """Keep the large ones of these arrays for later."""
    for a in arrays:
        if a.size >= LARGE:
            kept = behind(a)
            kept = a if kept is None else kept
            if (kept.shape, kept.dtype) in _spare or len(_spare) < SHAPES:
                _spare.setdefault((kept.shape, kept.dtype), []).append(kept)
