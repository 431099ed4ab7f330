"""The complex step through functions that complex arithmetic does not continue: abs, sign, comparisons, clip, conjugate."""

from contextlib import contextmanager

import numpy as np
from cellcheck.properties.oracles.complex_step import ComplexStep

BUFFERS = [name + like for name in ("zeros", "ones", "empty", "full") for like in ("", "_like")]


class AnalyticStep(ComplexStep):
    """A complex step whose arrays continue abs, sign, max, min, clip and comparisons analytically from the real line."""

    name = "analytic step"

    @staticmethod
    def number(z):
        """The array as one that continues real functions."""
        return z.view(Analytic)


class BufferedStep(AnalyticStep):
    """An analytic step in which new arrays of float64 are complex: a cell that fills np.zeros step by step loses no imaginary part."""

    name = "analytic step, complex buffers"

    @staticmethod
    def surroundings():
        """In which the buffers of a cell are complex."""
        return made(_analytic, *BUFFERS)


@contextmanager
def made(change, *names):
    """Hand on what these functions of NumPy make as change(array).

    The names in NumPy itself are exchanged for one run: there is no other way to the buffers that a cell makes for itself.
    """
    kept = {name: getattr(np, name) for name in names}
    ours = {name: lambda *given, make=make, **options: change(make(*given, **options)) for name, make in kept.items()}
    try:
        vars(np).update(ours)
        yield
    finally:
        vars(np).update(kept)


def _analytic(array):
    return array.astype(complex).view(Analytic) if type(array) is np.ndarray and array.dtype == np.float64 else array


class Analytic(np.ndarray):
    """A complex array near the real axis: functions of its real part decide, and carry the imaginary part along."""

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **options):
        plain = [np.asarray(a) for a in inputs]
        if out is not None:
            options["out"] = tuple(np.asarray(a) for a in out)
        rule = _RULES.get(ufunc) if method == "__call__" and out is None else None
        result = rule(*plain) if rule else getattr(ufunc, method)(*plain, **options)
        return out[0] if out is not None and len(out) == 1 else _wrap(result)

    def __array_function__(self, function, types, arguments, options):
        if function is np.linalg.norm:
            return _norm(*arguments, **options)
        return _wrap(super().__array_function__(function, types, arguments, options))


def _norm(x, ord=None, axis=None, keepdims=False):
    """The root of the sum of squares, not of squared magnitudes. Raises TypeError for another norm."""
    if ord is not None and (ord != 2 or (np.ndim(x) > 1 and not isinstance(axis, int))):
        raise TypeError(f"the norm {ord} is not continued")
    return np.sqrt((x * x).sum(axis, keepdims=keepdims))


def _wrap(result):
    """Complex results go on as Analytic, in lists and tuples too."""
    if isinstance(result, (list, tuple)):
        return type(result)(map(_wrap, result))
    if isinstance(result, (np.ndarray, np.complexfloating)) and result.dtype.kind == "c":
        return np.asarray(result).view(Analytic)
    return result


def _chosen(a, b, first):
    """The first or the second; their mean at a tie, so that relu(z) - relu(-z) has the slope 1 at z = 0."""
    return np.where(first, a, np.where(a.real == b.real, (a + b) / 2, b))


def _compared(ufunc):
    return lambda a, b: ufunc(a.real, b.real)


_RULES = {
    np.absolute: lambda z: np.sign(z.real) * z,
    np.fabs: lambda z: np.sign(z.real) * z,
    np.sign: lambda z: np.sign(z.real),
    np.conjugate: lambda z: z,
    np.maximum: lambda a, b: _chosen(a, b, a.real > b.real),
    np.minimum: lambda a, b: _chosen(a, b, a.real < b.real),
    np.greater: _compared(np.greater),
    np.greater_equal: _compared(np.greater_equal),
    np.less: _compared(np.less),
    np.less_equal: _compared(np.less_equal),
}
