"""Sigmoid, tanh and their derivatives, accurate over every float: forward <= 5 ULP, derivatives <= 8 ULP.

Each works element by element on an array or scalar of any float dtype and returns the same dtype (integers are taken as
float64). Types below float64 are computed in float64 and rounded once. No floating-point flag but underflow is raised.
"""

from functools import cache, wraps
from math import log

import numpy as np
from cellcheck.cells.contract import _numbers

# Arrays without axes: arithmetic on small arrays takes half the time that it takes with a Python number.
HALF, ONE, TWO = np.array(0.5), np.array(1.0), np.array(2.0)
FLOAT64, COMPLEX128 = np.dtype(np.float64), np.dtype(np.complex128)


def _rounded_once(formula):
    """Compute `formula` in at least float64, and round its result to the dtype that was given."""

    real = formula.__name__.startswith("d_")
    exact = (FLOAT64,) if real else (FLOAT64, COMPLEX128)

    @wraps(formula)
    def activation(z):
        if type(z) is np.ndarray and z.dtype in exact:
            return formula(z)[()]
        if hasattr(z, "activated"):  # an array type with arithmetic of its own
            return z.activated(formula)
        z = _numbers(f"the argument of {formula.__name__}", z)
        if z.dtype == np.float64:
            return formula(z)[()]
        wide = np.result_type(z.dtype, np.float64)
        if wide.kind == "c" and real:
            raise TypeError(f"{formula.__name__} takes real numbers, got dtype {z.dtype}")
        y = formula(z.astype(wide, copy=False))
        return y.astype(z.dtype if z.dtype.kind in "fc" else wide, copy=False)[()]

    return activation


@cache
def _depth(dtype, times=1):
    """The |z| beyond which 1 + exp(-times |z|) rounds to 1 with room to spare: 38.8 in float64."""
    info = np.finfo(dtype)
    return np.array((info.nmant + 4) * log(2) / times, info.dtype)


@_rounded_once
def sigmoid(z):
    """1 / (1 + exp(-z)), for real or complex z; exp(z) in the deep left tail, where the two agree to half an ULP."""
    minus = -z
    deep = minus.real > _depth(z.dtype)
    if not np.count_nonzero(deep):
        return ONE / (ONE + np.exp(minus))
    w = np.exp(np.where(deep, z, minus))
    return np.where(deep, w, ONE / (ONE + w))


@_rounded_once
def tanh(z):
    """(exp(z) - exp(-z)) / (exp(z) + exp(-z)), for real or complex z."""
    return np.tanh(z)


@_rounded_once
def d_sigmoid(z):
    """sigmoid'(z) = 1 / (2 + 2 cosh z), for real z; exp(-|z|) in the deep tails. Even bit by bit, at most 1/4."""
    a, depth = np.abs(z), _depth(z.dtype)
    deep = a > depth
    if not np.count_nonzero(deep):
        return HALF / (ONE + np.cosh(a))
    return np.where(deep, np.exp(-a), HALF / (ONE + np.cosh(np.minimum(a, depth))))


@_rounded_once
def d_tanh(z):
    """tanh'(z) = 2 / (1 + cosh 2z), for real z; 4 exp(-2|z|) in the deep tails. Even bit by bit, at most 1."""
    a, depth = np.abs(z), _depth(z.dtype, 2)
    deep = a > depth
    if not np.count_nonzero(deep):
        return TWO / (ONE + np.cosh(a + a))
    t = TWO * np.exp(-np.maximum(a, depth))
    return np.where(deep, t * t, TWO / (ONE + np.cosh(TWO * np.minimum(a, depth))))


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
