"""The activations to 31 digits: what the laws of accuracy measure against.

Each function takes a float of any real dtype, converted exactly and rounded to 40 digits, and returns a Decimal. They
speak of e = exp(-|z|), which never overflows. A NaN has no exact value and raises ValueError.
"""

from decimal import Context, Decimal, localcontext
from functools import wraps

import numpy as np

CONTEXT = Context(prec=40, Emin=-999999, Emax=999999)
SMALL = Decimal("1e-8")  # below it four terms of a power series give 32 digits, above it 1 +- e loses no more than 8 of 40


def _in_context(formula):
    """Evaluate a formula on decimals under CONTEXT."""

    @wraps(formula)
    def exact(z):
        with localcontext(CONTEXT):
            return formula(z if isinstance(z, Decimal) else _decimal(z))

    return exact


@_in_context
def sigmoid(z):
    """1 / (1 + e) for z >= 0, e / (1 + e) for z < 0."""
    e = (-abs(z)).exp()
    return (e if z < 0 else 1) / (1 + e)


@_in_context
def tanh(z):
    """+-(1 - e^2) / (1 + e^2), with the sign of z; near 0, z - z^3/3 + 2 z^5/15 - 17 z^7/315."""
    if abs(z) < SMALL:
        return z - z**3 / 3 + 2 * z**5 / 15 - 17 * z**7 / 315
    e2 = (-2 * abs(z)).exp()
    return ((1 - e2) / (1 + e2)).copy_sign(z)


@_in_context
def d_sigmoid(z):
    """sigmoid'(z) = e / (1 + e)^2."""
    e = (-abs(z)).exp()
    return e / (1 + e) ** 2


@_in_context
def d_tanh(z):
    """tanh'(z) = 4 sigmoid'(2 z)."""
    return 4 * d_sigmoid(2 * z)


@_in_context
def log_sigmoid(z):
    """min(z, 0) - log(1 + e)."""
    return min(z, Decimal(0)) - _log1p((-abs(z)).exp())


@_in_context
def softplus(z):
    """max(z, 0) + log(1 + e)."""
    return max(z, Decimal(0)) + _log1p((-abs(z)).exp())


EXACT = {f.__name__: f for f in (sigmoid, tanh, d_sigmoid, d_tanh, log_sigmoid, softplus)}


def ulps(got, name, z):
    """|got - exact| / ulp(exact) for each element, as float64.

    ulp(exact) = 2^(max(e, e_min) - nmant) in the dtype of `got`, where 2^e <= |exact| < 2^(e+1) and e_min is the least
    normal exponent: the spacing of the floats around the exact value, never below the least subnormal. Equal infinities
    differ by 0; a NaN or an infinity in the place of a number, by inf.

    got: what an activation returned for z, of a float dtype; name: a key of EXACT; z: floats of any real dtype, same shape.
    Raises ValueError where z is NaN or the shapes differ.
    """
    got, z = np.asarray(got), np.asarray(z)
    if got.shape != z.shape:
        raise ValueError(f"got is {got.shape} and z {z.shape}; wanted one value for each")
    with localcontext(CONTEXT):
        errors = [_ulps(y, EXACT[name](x), got.dtype.type) for y, x in zip(got.flat, z.flat, strict=True)]
    return np.array(errors, float).reshape(z.shape)


def _ulps(y, exact, dtype):
    if not np.isfinite(y) or exact.is_infinite():
        return 0.0 if y == dtype(exact) else np.inf
    return float(abs(_decimal(y) - exact) / _decimal(_ulp(abs(exact), dtype)))


def _ulp(exact, dtype):
    """The gap between the last float that does not exceed `exact` >= 0 and the next."""
    info = np.finfo(dtype)
    if exact < _decimal(info.tiny):
        return info.smallest_subnormal
    near = dtype(str(exact))
    _, exponent = np.frexp(np.nextafter(near, dtype(0)) if _decimal(near) > exact else near)
    return np.ldexp(dtype(1), exponent - 1 - info.nmant)


def _decimal(x):
    """The float x as a Decimal: an integer times a power of two, rounded as the current context says."""
    if np.isnan(x):
        raise ValueError("NaN has no exact value; wanted numbers or infinities")
    if np.isinf(x):
        return Decimal(float(x))
    fraction, exponent = np.frexp(x)
    bits = np.finfo(type(x)).nmant + 1
    return int(np.ldexp(fraction, bits)) * Decimal(2) ** int(exponent - bits)


def _log1p(e):
    """log(1 + e) for 0 <= e <= 1; near 0, e - e^2/2 + e^3/3 - e^4/4."""
    return e - e**2 / 2 + e**3 / 3 - e**4 / 4 if e < SMALL else (1 + e).ln()
