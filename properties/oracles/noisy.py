"""Monte Carlo arithmetic: arrays whose every result is rounded at random, as a cell of lower precision rounds it.

Parker, "Monte Carlo Arithmetic", UCLA CSD-970002, 1997. A computation in float64 is repeated with each result r of an operation
replaced by r (1 + u U), U uniform in [-1, 1], or by r + ulp(r) U if that is more. How much the final numbers spread is how much rounding at the unit u may change them.
A product of matrices rounds every product and every partial sum.
"""

from dataclasses import dataclass

import numpy as np
from cellcheck.cells.activations import sigmoid, tanh

DRAWS = (1, 8)  # of random roundings: at first, and before a violation is declared
EXACT = {
    np.negative,
    np.positive,
    np.absolute,
    np.fabs,
    np.sign,
    np.copysign,
    np.maximum,
    np.minimum,
    np.fmax,
    np.fmin,
    np.conjugate,
    np.rint,
    np.floor,
    np.ceil,
    np.trunc,
}
DENSE = 2**16  # products of a matrix product up to which each is rounded on its own
SHARE = 0.25  # of the largest spread of an array: no entry counts as rounded by less, as few draws may miss it


@dataclass
class Noise:
    """A source of random roundings. unit: u; tiny: the absolute rounding of the smallest numbers.

    absolute: whether an activation is rounded by u itself, not by u times its size: another cell may keep 1 - s in the place of s;
    doubles: whether arrays of fewer digits than float64 stay as they are.
    """

    rng: np.random.Generator
    unit: float
    tiny: float = 0.0
    absolute: bool = False
    doubles: bool = False


class Noisy(np.ndarray):
    """A float64 array. noise: a Noise, shared by all that is computed of it."""

    noise: Noise | None

    def __array_finalize__(self, other):
        """Views share the noise."""
        self.noise = getattr(other, "noise", None)

    def __deepcopy__(self, memo):
        """A copy with the same source of noise."""
        new = self.copy().view(Noisy)
        new.noise = self.noise
        return new

    def activated(self, formula):
        """An activation. Derivatives are those of code that keeps the activation: s (1 - s) and 1 - t t, where rounding is worst."""
        if formula.__name__ == "d_sigmoid":
            s = sigmoid(self)
            return s * (1 - s)
        if formula.__name__ == "d_tanh":
            t = tanh(self)
            return 1 - t * t
        plain, noise = formula(self.view(np.ndarray)), self.noise
        size = np.maximum(1, np.abs(plain)) if noise.absolute else np.abs(plain)
        return noisy(plain + (noise.unit * size + noise.tiny) * noise.rng.uniform(-1, 1, plain.shape), noise)

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **options):
        """The result of an operation, rounded at random."""
        noise = next(a.noise for a in (*inputs, *(out or ())) if isinstance(a, Noisy))
        plain = [_plain(a) for a in inputs]
        if out:
            options["out"] = tuple(map(_plain, out))
        result = getattr(ufunc, method)(*plain, **options)
        if method == "at" or result is None:
            return result
        several = result if isinstance(result, tuple) else (result,)
        if ufunc not in EXACT and noise:
            off = _of_sums(ufunc, method, plain, several[0], noise, options)
            several = tuple(_rounded(r, noise, off) for r in several)
            for target, r in zip(out or (), several):
                _plain(target)[...] = r
        several = out or tuple(noisy(r, noise) for r in several)
        return several if isinstance(result, tuple) else several[0]

    def __array_function__(self, function, types, arguments, options):
        """Whatever is no ufunc: products are rounded once more, all else moves numbers."""
        noise = self.noise
        result = function(*_stripped(arguments), **{name: _stripped(value) for name, value in options.items()})
        rounds = (
            function in (np.einsum, np.dot, np.tensordot, np.inner, np.outer, np.vdot, np.cumsum, np.cumprod)
            or "linalg" in function.__module__
        )
        if isinstance(result, (tuple, list)):
            return type(result)(noisy(r, noise) for r in result)
        return noisy(_rounded(result, noise, 0.0) if rounds and noise else result, noise)


def noisy(a, noise):
    """The array with this source of noise; whatever is no array of floats stays, and all of it without a source."""
    if noise is None or not isinstance(a, (np.ndarray, np.floating)) or np.asarray(a).dtype.kind != "f":
        return a
    new = np.asarray(a).view(Noisy)
    new.noise = noise
    return new


def spread(run, unit, tiny, draws, absolute=False):
    """How far rounding at this unit moves what run(noise), a dict of named arrays, returns: for each name an array of its shape.

    run: takes a Noise, or None for none; unit, tiny, absolute: of the Noise. The largest of so many draws, and of an entry at
    least SHARE of the largest of its array. A draw that raises, as where a state leaves its domain, is left out; if all do, the
    last error is raised.
    """
    plain = {name: np.array(value, dtype=float) for name, value in run(None).items()}
    moves = {name: np.zeros(value.shape) for name, value in plain.items()}
    lost = []
    for draw in range(draws):
        try:
            rounded = run(Noise(np.random.default_rng(draw), unit, tiny, absolute))
        except Exception as error:
            lost.append(error)
            continue
        for name, value in rounded.items():
            move = np.abs(np.array(value, dtype=float) - plain[name])
            moves[name] = np.maximum(moves[name], np.where(np.isnan(move), np.inf, move))
    if len(lost) == draws:
        raise lost[-1]
    return {name: np.maximum(move, SHARE * np.max(move, initial=0.0)) for name, move in moves.items()}


def _plain(a):
    return a.view(np.ndarray) if isinstance(a, Noisy) else a


def _stripped(value):
    if isinstance(value, (tuple, list)):
        return type(value)(map(_stripped, value))
    return _plain(value)


def _rounded(a, noise, off):
    """The array with each entry rounded at random, and moved by `off` of that."""
    if not isinstance(a, (np.ndarray, np.floating)) or np.asarray(a).dtype.kind not in "f":
        return a
    if noise.doubles and np.asarray(a).dtype.itemsize < 8:
        return a
    rng, unit, tiny = noise.rng, noise.unit, noise.tiny
    with np.errstate(all="ignore"):
        # Less than half an ulp would be rounded away. What is exactly 0 stays so.
        size = np.maximum(unit * np.abs(a), np.spacing(np.abs(a)) * (a != 0))
        moved = a + (size + tiny) * rng.uniform(-1, 1, np.shape(a)) + off
    return np.where(np.isfinite(a), moved, a)


def _of_sums(ufunc, method, inputs, result, noise, options):
    """What rounding every product and every partial sum adds to a product of matrices or to a sum."""
    rng, unit = noise.rng, noise.unit
    if ufunc is np.matmul and method == "__call__":
        a, b = (np.asarray(i, dtype=float) for i in inputs)
        if a.ndim < 2 or b.ndim < 2:
            return 0.0
        if a.shape[-2] * b.shape[-2] * b.shape[-1] * max(1, np.size(result) // max(1, a.shape[-2] * b.shape[-1])) > DENSE:
            return unit * np.sqrt(a.shape[-1]) * (np.abs(a) @ np.abs(b)) * rng.uniform(-1, 1, np.shape(result))
        return _partial(a[..., :, :, None] * b[..., None, :, :], -2, rng, unit)
    if ufunc is np.add and method == "reduce" and np.ndim(inputs[0]):
        axis = options.get("axis", 0)
        if isinstance(axis, tuple) and len(axis) == 1:
            axis = axis[0]
        if axis is None or isinstance(axis, tuple) or np.shape(result) == ():
            whole = np.abs(np.asarray(inputs[0], dtype=float)).sum(axis=axis, keepdims=options.get("keepdims", False))
            return unit * np.sqrt(np.size(inputs[0])) * whole * rng.uniform(-1, 1, np.shape(whole))
        moved = _partial(np.asarray(inputs[0], dtype=float), axis, rng, unit)
        return np.expand_dims(moved, axis) if options.get("keepdims") else moved
    return 0.0


def _partial(terms, axis, rng, unit):
    """Random roundings of the terms of a sum and of its partial sums."""
    sums = np.cumsum(terms, axis=axis)
    u, v = rng.uniform(-1, 1, (2, *terms.shape))
    return unit * (u * terms + v * sums).sum(axis=axis)
