"""Memory for large arrays, kept from one problem to the next: fresh memory costs more than the arithmetic done in it."""

import numpy as np

LARGE = 4096  # entries from which on an array is large
SHAPES = 16  # of so many shapes and dtypes arrays are kept
_spare: dict[tuple, list] = {}


def taken(shape, dtype=float):
    """An array of any contents: it may be given back once nobody reads it any more."""
    kept = _spare.get((shape, np.dtype(dtype)))
    return kept.pop() if kept else np.empty(shape, dtype)


def copied(array, dtype=float):
    """The array as float64, a copy in memory of our own: with dtype complex a large one is the real part of such an array."""
    if np.size(array) < LARGE:
        return np.array(array, dtype=float)
    copy = taken(np.shape(array), dtype).real
    copy[...] = array
    return copy


def behind(array):
    """The complex array of which a large one is the real part, if it is."""
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
