"""The directional derivative of a real-only function, by Chebyshev interpolation: no subtraction of near-equal values."""

import numpy as np
from cellcheck.properties.oracles.complex_step import parts_of

NODES = 20
HALVINGS = 12
RESOLVED = 30  # the last coefficients are noise: at most so many times it
_T = np.cos((2 * np.arange(1, NODES + 1) - 1) * np.pi / (2 * NODES))
_BASIS = np.cos(np.outer(np.arange(NODES), np.arccos(_T)))  # T_n(t_k)
_SLOPES = np.arange(NODES) * np.cos((np.arange(NODES) - 1) * np.pi / 2) * (np.arange(NODES) % 2)  # T_n'(0)
_TO_COEFFICIENTS = _BASIS * 2 / NODES
_WEIGHTS = _SLOPES @ _TO_COEFFICIENTS


class Chebyshev:
    """d/dt <u, f(p + t v)> at t = 0 from 20 real evaluations at t = r cos((2k-1) pi / 40).

    The radius r is one within which no unit of a recurrent cell moves far, so that a steep but saturated one cannot hide between
    the nodes; it is halved until the last coefficients vanish in the noise of f, which is measured by moving p by ulps. Where
    they never do, f is not resolved and the value is NaN. Own error: 4 times the last two terms (truncation) plus 8 sum|w| times
    the noise (Trefethen, Approximation Theory and Practice, ch. 8).
    """

    name = "Chebyshev"

    def __init__(self, function, upstream, unit=2.0**-53):
        """function: a Function; upstream: one array per output; unit: roundoff of the cell's own arithmetic."""
        self.function, self.upstream, self.unit, self._error = function, upstream, unit, 0.0

    def value(self, arrays, direction):
        """The derivative at `arrays` along `direction`, a dict from the index of an array to its part of v: see `parts_of`."""
        center = self.function(arrays)
        if not all(np.isfinite(y).all() for y in center):
            return np.nan
        noise, radius = self._noise(arrays, center), self._radius(arrays, direction, center)
        for _ in range(HALVINGS):
            samples = np.array([self._at(arrays, direction, radius * t) for t in _T])
            coefficients = np.abs(_TO_COEFFICIENTS @ samples)
            if coefficients[-4:].max() <= RESOLVED * noise:
                noise = max(noise, coefficients[-4:].max() * (NODES / 2) ** 0.5)  # of which such coefficients are made
                truncation = 4 * (np.arange(NODES) * coefficients)[-2:].sum()
                self._error = float(truncation + 8 * np.abs(_WEIGHTS).sum() * noise) / radius
                return float(_WEIGHTS @ samples) / radius
            radius /= 2
        return np.nan

    def quotient(self, arrays, direction):
        """The plain central difference, good to a few digits for two evaluations."""
        t = min(1e-5 / _length(direction), self._reach(arrays, direction))
        return (self._at(arrays, direction, t) - self._at(arrays, direction, -t)) / (2 * t)

    def moves(self, arrays, direction):
        """sum|d outputs / dt| over all outputs of all steps, by plain differences."""
        t = min(1e-5 / _length(direction), self._reach(arrays, direction))
        left, right = (self.function(_moved(arrays, direction, s)) for s in (-t, t))
        with np.errstate(all="ignore"):
            return float(sum(np.abs(np.asarray(b) - a).sum() for a, b in zip(left, right))) / (2 * t)

    def bend(self, arrays, direction, t):
        """sum|u| |slope to the right - slope to the left|, by plain differences over t for the largest entry."""
        t = min(t / _length(direction), self._reach(arrays, direction))
        left, here, right = (self.function(_moved(arrays, direction, s)) for s in (-t, 0.0, t))
        with np.errstate(all="ignore"):
            return float(sum(np.abs(u * (a - 2 * b + c)).sum() for u, a, b, c in zip(self.upstream, left, here, right))) / t

    def blur(self, arrays, direction, t):
        """How much of such a bend rounding may have made."""
        return self._noise(arrays, self.function(arrays)) * _length(direction) / t

    def error(self):
        """The oracle's own error at the last value: truncation and noise."""
        return self._error

    def _radius(self, arrays, direction, center):
        """r such that no pre-activation, at any step, moves by more than about 1/2, nor by more than its share of a product.

        One step moves z by at most r (|v| |inputs| + |v| |W|), and later steps by what the outputs move, times |W|; gates and
        states multiply that by at most their own size. How far outputs move is tried, at radii that shrink until they do.
        """
        n = len(self.function.cell.weights)
        wide = max((np.abs(w).sum(axis=k).max(initial=0.0) for w in arrays[:n] for k in range(w.ndim)), default=0.0)
        entry = max((np.max(np.abs(a), initial=0.0) for a in arrays[n:]), default=0.0)
        inputs = 1 + sum(np.abs(a).sum(axis=-1).max(initial=0.0) for a in arrays[n:])
        first = _length(direction) * (inputs * any(k < n for k in direction) + wide * any(k >= n for k in direction))
        product, slope, reach = 1 + entry + wide * max(1.0, entry), 0.0, self._reach(arrays, direction)
        for _ in range(100):
            radius = min(0.5 / ((first + slope * wide) * product), reach)
            tried = self.function(_moved(arrays, direction, radius / 64))
            moved = max((np.max(np.abs(z - y), initial=0.0) for y, z in zip(center, tried)), default=0.0)
            if not moved * 64 / radius > 2 * slope + first:
                break
            slope = moved * 64 / radius
        return radius

    def _reach(self, arrays, direction):
        """How far all arrays may move along the direction and keep half of their room inside their domains."""
        spec, reach = self.function.cell.spec, np.inf
        for k, index, v, scale in parts_of(direction) if spec.bounded else ():
            if domain := spec.arrays[k].domain:
                with np.errstate(all="ignore"):
                    share = domain.room(arrays[k])[index] / np.abs(2 * scale * v)
                reach = min(reach, np.nanmin(share, initial=np.inf))
        return float(reach)

    def _at(self, arrays, direction, t):
        outputs = self.function(_moved(arrays, direction, t))
        with np.errstate(all="ignore"):
            return sum(float((u * np.asarray(y)).sum()) for u, y in zip(self.upstream, outputs))

    def _noise(self, arrays, center):
        """How far <u, f> moves by rounding: a unit of every output, or what moving p by an ulp does."""
        rng = np.random.default_rng(0)
        with np.errstate(all="ignore"):
            floor = self.unit * sum(float(np.abs(u * y).sum()) for u, y in zip(self.upstream, center))
            nudged = [[a * (1 + 2 * self.unit * rng.choice((-1, 1), a.shape)) for a in arrays] for _ in range(3)]
        if self.function.cell.spec.bounded:
            nudged = [self.function.cell.spec.folded(n) for n in nudged]
        moves = [abs(self._at(n, {}, 0.0) - self._at(arrays, {}, 0.0)) for n in nudged]
        return max(floor, *moves)


def _length(direction):
    """The largest entry of a direction."""
    return max((np.max(np.abs(v), initial=0.0) * scale for *_, v, scale in parts_of(direction)), default=1.0)


def _moved(arrays, direction, t):
    moved = [a.copy() if k in direction else a for k, a in enumerate(arrays)]
    for k, index, v, scale in parts_of(direction):
        moved[k][index] += t * scale * v
    return moved
