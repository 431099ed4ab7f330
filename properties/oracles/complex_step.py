"""The directional derivative by complex step: exact to rounding, at the cost of one complex forward pass."""

from contextlib import nullcontext

import numpy as np
from cellcheck.properties.oracles.memory import LARGE, give_back, taken

STEPS = (2.0**-100, 2.0**-400, 2.0**-700, 2.0**-1000)  # powers of two scale exactly; the first one suffices, except for
VISIBLE = 2.0**-60  # gradients that explode over a sequence: if an output changes by more, the next smaller step is used


def parts_of(direction):
    """(k, index, v, s): array k moves along s v at the index. Each value of `direction` is all of v, or a list of (index, v, s)."""
    for k, v in direction.items():
        yield from ((k, *part) for part in v) if isinstance(v, list) else [(k, ..., v, 1.0)]


def length(direction):
    """The largest entry of a direction."""
    return max((np.max(np.abs(v), initial=0.0) * scale for *_, v, scale in parts_of(direction)), default=1.0)


def moved(arrays, direction, t):
    """The arrays moved by t along the direction: new ones where it moves them."""
    found = [a.copy() if k in direction else a for k, a in enumerate(arrays)]
    for k, index, v, scale in parts_of(direction):
        found[k][index] += t * scale * v
    return found


class ComplexStep:
    """d/dt <u, f(p + t v)> at t = 0 as Im <u, f(p + i h v)> / h (Squire and Trapp, SIAM Review 40, 1998)."""

    name = "complex step"
    resolution = 0.0
    beside = (1e-6, 1e-9, 1e-12)  # how far from the point a kink is looked for
    surroundings = nullcontext  # in which the function runs

    def __init__(self, function, upstream):
        """function: a Function; upstream: one array per output."""
        self.function, self.upstream = function, upstream
        self._kept: dict[int, tuple] = {}  # of a large array: itself, and a complex one whose real part it is

    def value(self, arrays, direction):
        """The derivative at `arrays` along `direction`, a dict from the index of an array to its part of v: see `parts_of`."""
        with np.errstate(all="ignore"):
            for step in STEPS:  # the smallest step would underflow in deep saturation
                slopes = self._slopes(arrays, direction, step)
                if not np.sqrt(sum([np.vdot(y, y) for y in slopes])) > VISIBLE / step:
                    break
            return float(sum([np.vdot(u, y) for u, y in zip(self.upstream, slopes)]))

    def bend(self, arrays, direction, t):
        """sum|u| |slope to the right - slope to the left|, for the slopes at t for the largest entry to either side."""
        t /= length(direction)
        left, right = (self._slopes(moved(arrays, direction, s), direction, STEPS[0]) for s in (-t, t))
        with np.errstate(all="ignore"):
            return float(sum(np.abs(u * (b - a)).sum() for u, a, b in zip(self.upstream, left, right)))

    def blur(self, arrays, direction, t):
        """How much of such a bend rounding may have made: next to nothing, since nothing is subtracted from what is near it."""
        return 0.0

    def _slopes(self, arrays, direction, step):
        points = list(arrays)
        for k, v in direction.items():
            points[k] = self._complex(k, arrays[k])
            if isinstance(v, list) and sum(part.size for _, part, _ in v) < arrays[k].size:
                points[k].imag = 0
        for k, index, v, scale in parts_of(direction):
            imag, factor = points[k].imag, step * scale
            if index is ... or np.may_share_memory(imag[index], imag):
                np.multiply(v, factor, out=imag[index])
            else:  # a copy, made by an index of integers or booleans
                imag[index] = v * factor
        points = [self.number(z) if k in direction else z for k, z in enumerate(points)]
        with self.surroundings():
            return [np.asarray(y).imag / step for y in self.function(points)]

    def _complex(self, k, array):
        """A complex copy of array k, since a cell may write into its inputs; of a large one the same as at the last call."""
        if array.size < LARGE:
            return array.astype(complex)
        of, copy = self._kept.get(k) or (None, taken(array.shape, complex))
        if of is not array:
            copy.real = array
            self._kept[k] = array, copy
        return copy

    def release(self):
        """Give back the memory of large arrays."""
        give_back(copy for _, copy in self._kept.values())
        self._kept = {}

    def error(self):
        """The own error of the oracle at the last value: 0, since nothing is subtracted."""
        return 0.0

    @staticmethod
    def number(z):
        """The kind of complex array that carries the step."""
        return z
