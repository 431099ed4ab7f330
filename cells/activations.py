"""Sigmoid, tanh and their derivatives, accurate over every float: forward <= 5 ULP, derivatives <= 8 ULP.

Each works element by element on an array or scalar of any float dtype and returns the same dtype (integers are taken as
float64). Types below float64 are computed in float64 and rounded once. No floating-point flag but underflow is raised.
"""

from functools import cache, wraps
from math import log

import numpy as np
from cellcheck.cells.contract import _numbers


def _rounded_once(formula):
    """Compute `formula` in at least float64, and round its result to the dtype that was given."""

    @wraps(formula)
    def activation(z):
        if type(z) is np.ndarray and z.dtype == np.float64:
            return formula(z)[()]
        if hasattr(z, "activated"):  # an array type with arithmetic of its own
            return z.activated(formula)
        z = _numbers(f"the argument of {formula.__name__}", z)
        if z.dtype == np.float64:
            return formula(z)[()]
        wide = np.result_type(z.dtype, np.float64)
        if wide.kind == "c" and formula.__name__.startswith("d_"):
            raise TypeError(f"{formula.__name__} takes real numbers, got dtype {z.dtype}")
        y = formula(z.astype(wide, copy=False))
        return y.astype(z.dtype if z.dtype.kind in "fc" else wide, copy=False)[()]

    return activation


@cache
def _depth(dtype):
    """The |z| beyond which 1 + exp(-|z|) rounds to 1 with room to spare: 38.8 in float64."""
    return np.finfo(dtype).dtype.type((np.finfo(dtype).nmant + 4) * log(2))


@_rounded_once
def sigmoid(z):
    """1 / (1 + exp(-z)), for real or complex z; exp(z) in the deep left tail, where the two agree to half an ULP."""
    deep = z.real < -_depth(z.dtype)
    if not np.count_nonzero(deep):
        return 1 / (1 + np.exp(-z))
    w = np.exp(np.where(deep, z, -z))
    return np.where(deep, w, 1 / (1 + w))


@_rounded_once
def tanh(z):
    """(exp(z) - exp(-z)) / (exp(z) + exp(-z)), for real or complex z."""
    return np.tanh(z)


@_rounded_once
def d_sigmoid(z):
    """sigmoid'(z) = 1 / (2 + 2 cosh z), for real z; exp(-|z|) in the deep tails. Even bit by bit, at most 1/4."""
    a, deep = np.abs(z), _depth(z.dtype)
    if not np.count_nonzero(a > deep):
        return 0.5 / (1 + np.cosh(a))
    return np.where(a > deep, np.exp(-a), 0.5 / (1 + np.cosh(np.minimum(a, deep))))


@_rounded_once
def d_tanh(z):
    """tanh'(z) = 2 / (1 + cosh 2z), for real z; 4 exp(-2|z|) in the deep tails. Even bit by bit, at most 1."""
    a, deep = np.abs(z), _depth(z.dtype)
    if not np.count_nonzero(a > deep / 2):
        return 2 / (1 + np.cosh(2 * a))
    t = 2 * np.exp(-np.maximum(a, deep / 2))
    return np.where(a > deep / 2, t * t, 2 / (1 + np.cosh(2 * np.minimum(a, deep / 2))))


@_rounded_once
def log_sigmoid(z):
    """log sigmoid(z) = min(z, 0) - log(1 + exp(-|z|)), for real or complex z; min and |z| go by the real part."""
    return np.where(z.real < 0, z, 0) - _log1p(np.exp(np.where(z.real < 0, z, -z)))


@_rounded_once
def softplus(z):
    """log(1 + exp(z)) = max(z, 0) + log(1 + exp(-|z|)), for real or complex z; max and |z| go by the real part."""
    return np.where(z.real > 0, z, 0) + _log1p(np.exp(np.where(z.real > 0, -z, z)))


def _log1p(z):
    """log(1 + z), accurate for small real or complex z, as numpy's complex log1p is not."""
    if z.dtype.kind != "c":
        return np.log1p(z)
    return 0.5 * np.log1p(z.real * (2 + z.real) + z.imag * z.imag) + 1j * np.arctan2(z.imag, 1 + z.real)
