"""Arrays of pre-activations in every regime of a sigmoid or tanh: ordinary, saturated, at a switch, subnormal, huge."""

from functools import cache
from math import prod

import numpy as np
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

MOST = 256  # elements: dense arrays of many more exhaust Hypothesis's buffer


def preactivations(*, dtype=np.float64, shape=8, allow_infinity=True):
    """Dense arrays of `shape` and `dtype`, without NaN, each element from one of five sources.

    Uniform in +-maxexp (1024 in float64, 128 in float32), where exp overflows and underflows; uniform in +-10; `extremes`;
    `switches`; octaves, that is log-uniform magnitudes over the whole range of the dtype. An element is one interval and one
    number in it, so that it shrinks from any source into the first, which ends where an octave does: an overflow of exp
    shrinks to 710 beside zeros.

    dtype: a real float dtype; shape: an int or a tuple of ints, at most 256 elements; allow_infinity: whether +-inf occur.
    Raises InvalidArgument for any other argument.
    """
    from hypothesis.extra import numpy as hnp  # which few runs need

    dtype, shape = _float_dtype(dtype), _small_shape(shape)
    if not isinstance(allow_infinity, bool):
        raise InvalidArgument(f"allow_infinity is {allow_infinity!r}, wanted True or False")
    reach = np.finfo(dtype).maxexp
    points = [[(p, p) for p in source(dtype) if allow_infinity or np.isfinite(p)] for source in (extremes, switches)]
    sources = [(-reach, reach)], [(-10, 10)], *points, _octaves(dtype)
    most = max(map(len, sources))

    def element(k):
        source = sources[k // most]
        return _between(*source[k % len(source)], dtype)

    elements = st.integers(0, len(sources) * most - 1).flatmap(element)
    return hnp.arrays(dtype, shape, elements=elements, fill=st.nothing())


def extremes(dtype):
    """Of both signs: 0, the least and the least normal magnitude, eps, maxexp, half the greatest, the greatest, infinity."""
    dtype = _float_dtype(dtype)
    info, inf = np.finfo(dtype), dtype.type(np.inf)
    half = info.max / dtype.type(2)
    large = [dtype.type(info.maxexp), half, np.nextafter(half, inf), info.max, inf]
    positive = [dtype.type(0), info.smallest_subnormal, info.tiny, info.eps, *large]
    return [*positive, *(-p for p in positive)]


def switches(dtype):
    """Of both signs, with their neighbours: where formulas change, in `dtype`, float64 and float32.

    That is where exp overflows and underflows, and T = (nmant + 4) ln 2, beyond which 1 + exp(-T) is 1, with T/2.
    """
    dtype = _float_dtype(dtype)
    found = []
    for info in map(np.finfo, (dtype, np.float64, np.float32)):
        deep = (info.nmant + 4) * np.log(dtype.type(2))
        found += [deep, deep / 2, np.log(info.max), -np.log(info.tiny), -np.log(info.smallest_subnormal)]
    at = np.array(found, dtype)
    near = np.unique([at, np.nextafter(at, dtype.type(0)), np.nextafter(at, dtype.type(np.inf))])
    return [*near, *-near]


@cache
def _octaves(dtype):
    """(2^e, 2^(e+1)) and its negative for every exponent e of `dtype`, subnormals included; first up, then down from 1."""
    info, one = np.finfo(dtype), dtype.type(1)
    octaves = []
    for exponents in np.arange(info.maxexp), np.arange(-1, info.minexp - info.nmant - 1, -1):
        low = np.ldexp(one, exponents)
        high = low + np.minimum(low, info.max - low)
        octaves += [*zip(low, high, strict=True), *zip(-high, -low, strict=True)]
    return octaves


def _between(low, high, dtype):
    """Floats from low to high; by linear interpolation where `dtype` is wider than Hypothesis's floats."""
    if np.finfo(dtype).nmant <= 52:
        return st.floats(float(low), float(high), width=8 * dtype.itemsize)
    return st.floats(0, 1).map(lambda f: low if low == high else low + dtype.type(f) * (high - low))


def _float_dtype(dtype):
    """`dtype` as a numpy dtype, refused unless real and floating."""
    try:
        found = np.dtype(dtype)
    except TypeError:
        found = None
    if dtype is None or found is None or found.kind != "f":
        raise InvalidArgument(f"dtype is {dtype!r}, wanted a real float dtype such as numpy.float32")
    return found


def _small_shape(shape):
    """`shape` as a tuple, refused unless made of at most MOST elements."""
    sizes = shape if isinstance(shape, tuple) else (shape,)
    if not all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) and n >= 0 for n in sizes) or prod(sizes) > MOST:
        raise InvalidArgument(f"shape is {shape!r}, wanted an int or a tuple of ints, 0 to {MOST} elements in all")
    return sizes
