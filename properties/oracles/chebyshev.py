"""The directional derivative of a real-only function, by Chebyshev interpolation: no subtraction of near-equal values."""

from functools import cache
from typing import NamedTuple

import numpy as np
from cellcheck.properties.oracles.complex_step import length, moved, parts_of

HALVINGS = 12
LEAPS = 2.0**-18  # of the function: smaller last coefficients that no halving changes are leaps, as of float32, and no kink
# Times the step of a difference quotient: how narrow a feature of the function may be, or how wide a step.
NEAR = (1.0, 1e-2, 1e-4, 1e-6, 1e-8, 10.0, 100.0)
CLOSE = 1e-9  # of a derivative: as closely as what is certified must agree
SHARE = 1 / 256  # of the radius, as a step: differences of fourth order then err by SHARE^4, and by 256 roundings
PARTS = (1.0, 1 / 16)  # of the first radius
RESOLVED = 30  # the last coefficients count as noise if they are at most this many times the noise


class Nodes(NamedTuple):
    """n Chebyshev points t of [-1, 1], the matrix from values there to coefficients, and the weights of the slope at 0."""

    t: np.ndarray
    to_coefficients: np.ndarray
    weights: np.ndarray


@cache
def nodes(n):
    """The Nodes for n points."""
    t = np.cos((2 * np.arange(1, n + 1) - 1) * np.pi / (2 * n))
    to_coefficients = np.cos(np.outer(np.arange(n), np.arccos(t))) * 2 / n  # T_n(t_k)
    slopes = np.arange(n) * np.cos((np.arange(n) - 1) * np.pi / 2) * (np.arange(n) % 2)  # T_n'(0)
    return Nodes(t, to_coefficients, slopes @ to_coefficients)


class Chebyshev:
    """d/dt <u, f(p + t v)> at t = 0 from 20 real evaluations at t = r cos((2k-1) pi / 40).

    The radius r is one within which no unit of a recurrent cell moves far, so that a steep but saturated one cannot hide between
    the nodes; it is halved until the last coefficients vanish in the noise of f, which is measured by moving p by ulps. Where
    they never do, f is not resolved and the value is NaN. Two halvings leave a quarter of these coefficients at a kink, and less
    where f is smooth, but all of them where f leaps by units of a lower precision. Then no radius will do, and other directions of
    the same arrays are tried at the first radius alone. Own error: 4 times the last two terms (truncation) plus 8 sum|w| times the
    noise (Trefethen, Approximation Theory and Practice, ch. 8).
    """

    name = "Chebyshev"
    resolution = 0.0  # how closely it can certify at best
    points, last = 20, 4  # nodes; coefficients that must have vanished
    reach = 1.0  # a factor of the first radius
    beside = (1e-4, 1e-6, 1e-8)  # how far from the point a kink is looked for

    def __init__(self, function, upstream, unit=2.0**-53):
        """function: a Function; upstream: one array per output; unit: roundoff of the cell's own arithmetic."""
        self.function, self.upstream, self.unit, self._error = function, upstream, unit, 0.0
        self._leaping = set()  # of which arrays

    def value(self, arrays, direction):
        """The derivative at `arrays` along `direction`, a dict from the index of an array to its part of v: see `parts_of`."""
        center = self.function(arrays)
        if not all(np.isfinite(y).all() for y in center):
            return np.nan
        n, (t, to_coefficients, weights) = self.points, nodes(self.points)
        noise, radius = self._noise(arrays, center), self.reach * self._radius(arrays, direction, center)
        levels: list[float] = []
        moves = frozenset(direction)
        for _ in range(1 if moves in self._leaping else HALVINGS):
            samples = np.array([self._at(arrays, direction, radius * t_k) for t_k in t])
            coefficients = np.abs(to_coefficients @ samples)
            noise = max(noise, self.unit * np.abs(samples).max())  # where the center is 0, nothing else tells
            levels.append(float(coefficients[-self.last :].max()))
            if levels[-1] <= RESOLVED * noise:
                noise = max(noise, levels[-1] * (n / 2) ** 0.5)  # the noise of the samples that gives such coefficients
                truncation = 4 * (np.arange(n) * coefficients)[-2:].sum()
                self._error = float(truncation + self._amplified(weights) * noise) / radius
                return float(weights @ (samples - samples[0])) / radius  # of constant samples exactly 0
            if len(levels) > 2 and levels[-3] / 2 < levels[-1] < LEAPS * np.abs(samples).max():
                self._leaping.add(moves)
                break
            radius /= 2
        return np.nan

    def ripple(self, arrays, direction):
        """The noise of <u, f> along the direction, as a share of sum|u f|.

        1 + tanh near 0 stays for many ulps of what it is given, and then leaps: moving that by ulps does not show it. Over the radius
        and over a part of it, a smooth function has hardly any last coefficients; what there is of them counts as noise.
        """
        center, (t, to_coefficients, _) = self.function(arrays), nodes(self.points)
        size = sum(float(np.abs(u * y).sum()) for u, y in zip(self.upstream, center))
        radius = self._radius(arrays, direction, center)
        runs = [[self._at(arrays, direction, part * radius * t_k) for t_k in t] for part in PARTS]
        last = max(float(np.abs(to_coefficients @ np.array(samples))[-self.last :].max()) for samples in runs)
        return last * (self.points / 2) ** 0.5 / (size or 1.0)

    @staticmethod
    def _amplified(weights):
        """By how much the slope magnifies the noise of the samples, at worst."""
        return 8 * np.abs(weights).sum()

    def quotient(self, arrays, direction):
        """The plain central difference, good to a few digits for two evaluations."""
        return self._quotient(arrays, direction, self._step(arrays, direction))

    def confirms(self, arrays, direction, slope):
        """Whether a derivative is right to CLOSE: a part that is lost in `.real`, as of a norm with an epsilon, may be small.

        Central differences of fourth order tell, which take four evaluations. Interpolation decides only if those disagree.
        """
        try:
            center = self.function(arrays)
            with np.errstate(all="ignore"):
                step = SHARE * self._radius(arrays, direction, center)
            near, far = self._quotient(arrays, direction, step), self._quotient(arrays, direction, 2 * step)
            if abs((4 * near - far) / 3 - slope) <= CLOSE * abs(slope):
                return True
            expected = self.value(arrays, direction)
        except Exception:  # of a function that takes no numbers so near
            return True
        return not abs(expected - slope) > self.error() + CLOSE * abs(expected)

    def near(self, arrays, direction, claim, off):
        """Whether the difference quotient over some small step is within `off` of the claim.

        Only a step counts at which neither rounding nor a quarter of the step changes the quotient by as much, and something moves at
        all: what is rounded to float32 stays where it is.
        """
        center = self.function(arrays)
        noise = self._noise(arrays, center)
        for factor in NEAR:
            t = factor * self._step(arrays, direction)
            quotient = self._quotient(arrays, direction, t)
            if not noise / t + abs(quotient - claim) < off or abs(quotient - self._quotient(arrays, direction, t / 4)) > off:
                continue
            if not all(map(np.array_equal, center, self.function(moved(arrays, direction, t / 4)))):
                return True
        return False

    def _step(self, arrays, direction):
        return min(1e-5 / length(direction), self._reach(arrays, direction))

    def _quotient(self, arrays, direction, t):
        return (self._at(arrays, direction, t) - self._at(arrays, direction, -t)) / (2 * t)

    def rise(self, arrays, direction, t):
        """sum|u| (|slope to the left| + |slope to the right|) / 2, by plain differences over t for the largest entry."""
        t = min(t / length(direction), self._reach(arrays, direction))
        left, here, right = (self.function(moved(arrays, direction, s)) for s in (-t, 0.0, t))
        with np.errstate(all="ignore"):
            rises = (np.abs(u * (b - a)) + np.abs(u * (c - b)) for u, a, b, c in zip(self.upstream, left, here, right))
            return float(sum(rise.sum() for rise in rises)) / (2 * t)

    def moves(self, arrays, direction):
        """sum|d outputs / dt| over all outputs of all steps, by plain differences."""
        t = self._step(arrays, direction)
        left, right = (self.function(moved(arrays, direction, s)) for s in (-t, t))
        with np.errstate(all="ignore"):
            return float(sum(np.abs(np.asarray(b) - a).sum() for a, b in zip(left, right))) / (2 * t)

    def bend(self, arrays, direction, t):
        """sum|u| |slope to the right - slope to the left|, by plain differences over t for the largest entry."""
        t = min(t / length(direction), self._reach(arrays, direction))
        left, here, right = (self.function(moved(arrays, direction, s)) for s in (-t, 0.0, t))
        with np.errstate(all="ignore"):
            return float(sum(np.abs(u * (a - 2 * b + c)).sum() for u, a, b, c in zip(self.upstream, left, here, right))) / t

    def blur(self, arrays, direction, t):
        """How large a bend rounding alone can cause."""
        return self._noise(arrays, self.function(arrays)) * length(direction) / t

    def error(self):
        """The oracle's own error at the last value: truncation and noise."""
        return self._error

    def _radius(self, arrays, direction, center):
        """r such that no pre-activation, at any step, moves by more than about 1/2, nor by more than its share of a product.

        One step moves z by at most r (|v| |inputs| + |v| |W|), and later steps by what the outputs move, times |W|; gates and
        states multiply that by at most their own size. How far outputs move is tried, at radii that shrink until they do. Nor does
        any output move by more than half of 1 + the largest one, if it goes on as it begins: x may act past the weights, as in
        1 / (1 + x).
        """
        n = len(self.function.cell.weights)
        wide = max((np.abs(w).sum(axis=k).max(initial=0.0) for w in arrays[:n] for k in range(w.ndim)), default=0.0)
        entry = max((np.max(np.abs(a), initial=0.0) for a in arrays[n:]), default=0.0)
        inputs = 1 + sum(np.abs(a).sum(axis=-1).max(initial=0.0) for a in arrays[n:])
        first = length(direction) * (inputs * any(k < n for k in direction) + wide * any(k >= n for k in direction))
        product, slope, reach = 1 + entry + wide * max(1.0, entry), 0.0, self._reach(arrays, direction)
        near = min(self.unit**0.75 / length(direction), reach)
        begun = max((_most(z - y) for y, z in zip(center, self.function(moved(arrays, direction, near)))), default=0.0)
        if begun > 0:
            reach = min(reach, near * (1 + max(map(_most, center))) / (2 * begun))
        for _ in range(100):
            moves = (first + slope * wide) * product
            radius = min(0.5 / moves if moves else (1 + entry) / length(direction), reach)  # without weights, x does not act
            tried = self.function(moved(arrays, direction, radius / 64))
            far = max((_most(z - y) for y, z in zip(center, tried)), default=0.0)
            if not far * 64 / radius > 2 * slope + first:
                break
            slope = far * 64 / radius
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
        outputs = self.function(moved(arrays, direction, t))
        with np.errstate(all="ignore"):
            return sum(float((u * np.asarray(y)).sum()) for u, y in zip(self.upstream, outputs))

    def _noise(self, arrays, center):
        """How much rounding changes <u, f>: a unit in every output, or the effect of changing p by an ulp, whichever is larger."""
        rng = np.random.default_rng(0)
        with np.errstate(all="ignore"):
            floor = self.unit * sum(float(np.abs(u * y).sum()) for u, y in zip(self.upstream, center))
            nudged = [[a * (1 + 2 * self.unit * rng.choice((-1, 1), a.shape)) for a in arrays] for _ in range(3)]
        if self.function.cell.spec.bounded:
            nudged = [self.function.cell.spec.folded(n) for n in nudged]
        moves = [abs(self._at(n, {}, 0.0) - self._at(arrays, {}, 0.0)) for n in nudged]
        return max(floor, *moves)


def _most(a):
    return float(np.max(np.abs(a), initial=0.0))


class Differences(Chebyshev):
    """Chebyshev interpolation of the cell in its own low precision, if there is no other oracle. It detects a factor, a sign, a transpose."""

    name = "real differences"
    resolution = 1e-2
    points, last, reach = 6, 2, 16.0  # where noise is large, few nodes far apart magnify it least

    @staticmethod
    def _amplified(weights):
        """Samples are rounded independently: four standard deviations of their sum."""
        return 4 * np.sqrt((weights**2).sum())
