"""Rows of different lengths, as guests take them: the steps of each row, or which steps count."""

import inspect

import numpy as np


def takes_lengths(call, declared):
    """Whether a function has a parameter `lengths`, which is no declared input."""
    if "lengths" in declared.get("inputs", ()):
        return False
    try:
        return "lengths" in inspect.signature(call).parameters
    except (TypeError, ValueError):  # of a function in C
        return False


def steps_of(x, lengths, sure=False):
    """The steps of each row of x, (steps, batch, ...), as an array: all of them if lengths is None.

    sure: whether to raise ValueError for lengths that are no integers from 0 to the number of steps, one for each row.
    """
    found = np.full(x.shape[1], len(x)) if lengths is None else np.array(lengths)
    whole = found.dtype.kind in "iu" and found.shape == x.shape[1:2]
    if sure and not (whole and ((found >= 0) & (found <= len(x))).all()):
        raise ValueError(f"lengths is {found.tolist()}; wanted one integer from 0 to {len(x)} for each of {x.shape[1]} rows")
    return found
