"""What the other modules of this folder share."""

import numpy as np


def logistic(v):
    """Without overflow."""
    e = np.exp(-np.abs(v))
    return np.where(v >= 0, 1 / (1 + e), e / (1 + e))


def logistic_slope(v):
    """Its derivative."""
    s = logistic(v)
    return s * (1 - s)


def softmax(v):
    """Over the last axis."""
    e = np.exp(v - v.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)
