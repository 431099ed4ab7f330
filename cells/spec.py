"""The description of a cell: what it takes, returns and promises. Everything that verifies a cell reads it here."""

from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

SIZES = ("features", "state", "batch", "steps")
PARTS = ("weights", "x", "state")
SCALARS = ("sum", "loss")
NEAR_ZERO = 2.0**-10  # so far at least; squares of such numbers do not underflow, in float32 either
FAR = 64  # below the largest number of a dtype, sums on the way may be infinite
ROUNDED = 2.0**-10  # a whole number in float32 is off by less where it is moved by ulps


@dataclass(frozen=True)
class Domain:
    """The numbers between low and high, both excluded.

    whole: the whole numbers among them; closed: low is one of them; hole: those of a smaller magnitude are left out.
    """

    low: float = -np.inf
    high: float = np.inf
    whole: bool = False
    closed: bool = False
    hole: float | None = None

    @classmethod
    def declared(cls, value, features, name="an array"):
        """The Domain that a declaration means for the array of this name; None stays.

        "positive", "non-negative", "negative", "non-zero" (at least NEAR_ZERO from it), "tokens" (0 to features - 1), a pair
        (low, high), a range. Raises ValueError, one line, for anything else and for a domain without numbers.
        """
        words = {"positive": cls(low=0.0), "non-negative": cls(low=0.0, closed=True), "negative": cls(high=0.0)}
        words["non-zero"] = cls(hole=NEAR_ZERO)
        words["tokens"] = cls(-1.0, float(features), True)
        if value is None or isinstance(value, cls):
            return value
        if isinstance(value, str) and value in words:
            return words[value]
        if isinstance(value, range) and len(value) and value.step == 1:
            return cls(value.start - 1.0, float(value.stop), True)
        pair = value if isinstance(value, (tuple, list)) and len(value) == 2 else (None, None)
        if all(isinstance(n, (int, float)) and n == n for n in pair) and pair[0] < pair[1]:
            return cls(float(pair[0]), float(pair[1]))
        raise ValueError(
            f"the domain of {name} is {value!r}; give {', '.join(words)}, a pair (low, high) with low < high, or a range"
        )

    def holds(self, array):
        """Whether all numbers of the array are in the domain."""
        return bool(np.all(self._inside(array)))

    def folded(self, array):
        """The array with each number outside moved inside; a number inside stays, and so do NaNs.

        What lies beyond an end is reflected there, as often as it takes, so that numbers do not pile up at the ends.
        """
        inside = self._inside(array) | np.isnan(array)
        if inside.all():
            return array
        a, width = np.asarray(array, dtype=float), self.high - self.low
        if self.whole:
            n, near = width - 1, np.rint(a)  # one that is off by rounding stays what it is
            off = (np.abs(a - near) > ROUNDED) | (near <= self.low) | (near >= self.high)
            a = np.where(off, self.low + 1 + np.floor(np.abs(a) * n / 2) % n, near)
        elif self.bounded:
            a = np.mod(a - self.low, 2 * width)
            a = self.low + np.minimum(a, 2 * width - a)
        elif self.hole is not None:
            a = np.where(a < 0, -1.0, 1.0) * (2 * self.hole - np.abs(a))
        elif np.isfinite(self.low):
            a = self.low + np.abs(a - self.low)
        else:
            a = self.high - np.abs(a - self.high)
        a = np.where(inside, array, a).astype(array.dtype)
        return np.where(self._inside(a) | inside, a, np.asarray(self._middle(), array.dtype))

    @property
    def bounded(self):
        """Whether it has two ends."""
        return bool(np.isfinite(self.high - self.low))

    def between(self, share):
        """The numbers at these shares, from 0 to 1, of the way from low to high."""
        if self.whole:
            return self.low + 1 + np.floor(share * (self.high - self.low - 1))
        return self.low + share * (self.high - self.low)

    def room(self, array):
        """For each number, how far it lies from the nearer end of the domain."""
        if self.hole is not None:
            return np.abs(array) - self.hole
        return np.minimum(array - self.low, self.high - array)

    def _inside(self, array):
        inside = ((array >= self.low) if self.closed else (array > self.low)) & (array < self.high)
        if self.hole is not None:
            return np.abs(array) >= self.hole
        return inside & (array == np.rint(array)) if self.whole else inside

    def _middle(self):
        if self.hole is not None:
            return 2 * self.hole
        if self.bounded:
            return self.low + 1 if self.whole else (self.low + self.high) / 2
        return self.low + 1 if np.isfinite(self.low) else self.high - 1


@dataclass(frozen=True)
class ArraySpec:
    """One array of a cell, in the manner of dm_env's `specs.BoundedArray`.

    shape: without the axes of batch and steps; dtype: a NumPy scalar type; domain: the numbers that it may hold, None for any;
    differentiable: whether vjp takes an upstream for it (an output) or offers its gradient (anything else).
    """

    name: str
    shape: tuple[int, ...]
    dtype: type
    domain: Domain | None = None
    differentiable: bool = True


class Region(NamedTuple):
    """A part of array k of [*weights, *inputs, *states] that gets a verdict of its own, such as everything that feeds one gate."""

    name: str
    k: int
    indices: list


@dataclass(frozen=True)
class CellSpec:
    """A cell at one pair of sizes; made once, when the cell is lifted.

    features, state: the sizes it was constructed with; inputs, states, outputs, weights: an ArraySpec each, in the order of the
    contract; weight_names as reports call them.
    full: whether it has apply, else it has forward alone; scalar: "sum" or "loss" if that is its only output.
    own_output: whether its output is no state; apply then returns it after the states; pooled: whether that is made of several steps.
    gradients: the parts of `PARTS` that vjp offers; sequence: x has a first axis of steps.
    kind, variant, weight_blocks, transposed: the equations it computes, if they are known (see the conventions).
    choices: what it does on purpose, {"clip": c}, {"mean": True}, {"truncated": k}, {"float32": True}; undone before laws look.
    {"dropout": "elements"} or {"dropout": "units"}, {"time": True}, {"batch": True} and {"future": True} cannot be undone: laws that
    they break do not apply.
    sizes: the only sizes it takes, by name, or the name of the size that it equals; batch: None for any number of rows, or 1;
    idle: names of weights that were seen to have no effect.
    fewest_steps, most_steps: of a sequence; chunk: how many steps it takes at once, around whose borders problems lie.
    dtypes: it computes in each of these; complex: True, False, or None if that must be tried.
    precision: the unit roundoff of what it stores, None for that of its dtype; deterministic: False if sums come in any order.
    takes_upstream: False for a loss that computes its gradients with its value; narrow: it takes a last state within 1
    alone; memory: it keeps a state that it neither takes
    nor returns; targets: of a loss, the function that makes them of x; lengths: whether apply takes `lengths`;
    reference: what it must equal, see properties/intake/references.py; translate: a function from its weights to those of that;
    given: weights, such as those of a checkpoint, that one problem in GIVEN has in the place of drawn ones.
    """

    name: str
    features: int
    state: int
    inputs: tuple[ArraySpec, ...]
    states: tuple[ArraySpec, ...]
    outputs: tuple[ArraySpec, ...]
    weights: tuple[ArraySpec, ...]
    full: bool = True
    scalar: str | None = None
    own_output: bool = False
    pooled: bool = False
    gradients: tuple[str, ...] = PARTS
    sequence: bool = False
    kind: str | None = None
    variant: dict = field(default_factory=dict)
    weight_blocks: Any = None
    transposed: bool = False
    choices: dict = field(default_factory=dict)
    sizes: dict = field(default_factory=dict)
    batch: int | None = None
    fewest_steps: int = 0
    most_steps: int | None = None
    idle: tuple = ()
    chunk: int | None = None
    dtypes: tuple[type, ...] = (np.float64, np.float32)
    complex: bool | None = None
    precision: float | None = None
    deterministic: bool = True
    takes_upstream: bool = True
    memory: bool = False
    narrow: bool = False
    targets: Any = None
    lengths: bool = False
    reference: Any = None
    translate: Any = None
    given: Any = None

    def __deepcopy__(self, memo):
        """Itself, since it never changes: cells are copied often."""
        return self

    @property
    def dtype(self):
        """The dtype of its weights."""
        return (self.weights or self.inputs)[0].dtype

    @cached_property
    def state_names(self):
        """c, h."""
        return tuple(s.name for s in self.states)

    @cached_property
    def arrays(self):
        """The ArraySpecs of [*weights, *inputs, *states]: everything that may be moved."""
        return (*self.weights, *self.inputs, *self.states)

    @property
    def rest(self):
        """The ArraySpecs of what apply takes after x: further inputs, then the states."""
        return (*self.inputs[1:], *self.states)

    @cached_property
    def regions(self):
        """The Regions of `arrays`: each gate of a weight with declared blocks, else all of an array."""
        blocks, regions = self.weight_blocks or (), []
        for k, name in enumerate(self.array_names):
            gates: dict[str, list] = {}
            for (_, gate), index in (blocks[k] if k < len(blocks) else {}).items():
                gates.setdefault(f" {gate}" if gate == "candidate" else f" {gate} gate", []).append(index)
            regions += [Region(name + gate, k, _joined(indices)) for gate, indices in (gates or {"": [...]}).items()]
        return tuple(regions)

    @cached_property
    def array_names(self):
        """Names of [*weights, *inputs, *states]."""
        return [a.name for a in self.arrays]

    @cached_property
    def output_names(self):
        """Names of what apply returns: c', h', then y, or ys for a sequence; sum or loss."""
        return [y.name for y in self.outputs]

    @property
    def forward_only(self):
        """Whether it offers no gradient at all."""
        return not self.gradients

    @cached_property
    def offers(self):
        """For each of `arrays` its part, "weights", "x" or "state"; None where it has no gradient."""
        parts = ["weights"] * len(self.weights) + ["x"] * len(self.inputs) + ["state"] * len(self.states)
        return [part if a.differentiable else None for part, a in zip(parts, self.arrays)]

    @cached_property
    def detached(self):
        """Names of the states that vjp treats as constants."""
        return tuple(s.name for s in self.states if not s.differentiable)

    @cached_property
    def blind(self):
        """Names of the outputs that vjp takes no upstream for, although no declaration says so."""
        return tuple(y.name for y in self.outputs if not y.differentiable and y.name.strip("'") not in self.detached)

    @cached_property
    def chained(self):
        """Whether only the gradients of the last output are derivatives: vjp treats some states, but not all, as constants."""
        return 0 < len(self.detached) < len(self.states)

    @cached_property
    def plain(self):
        """Whether it has the shapes of an RNN, LSTM or GRU: one input (features,), states (state,), and the last one put out."""
        states = {s.shape for s in self.states} <= {(self.state,)}
        return states and [a.shape for a in self.inputs] == [(self.features,)] and not self.own_output and not self.bounded

    @cached_property
    def bounded(self):
        """Whether any array has a domain."""
        return any(a.domain for a in self.arrays)

    def folded(self, arrays):
        """Those of `arrays`, each inside its domain."""
        return [a.domain.folded(array) if a.domain else array for a, array in zip(self.arrays, arrays)]

    def takes(self, name, n):
        """Whether a size by this name may be n: any number may, unless sizes are declared."""
        return n in self.sizes.get(name, (n,))

    def splits(self):
        """The numbers of steps at which a sequence of declared steps may be cut: (whole, first part); None if any may."""
        parts = self.declared_steps
        return [(n, k) for n in parts for k in parts if n - k in parts] if self.sizes.get("steps") else None

    @property
    def declared_steps(self):
        """The declared numbers of steps, but for those that are fewer than it takes; none if any number may be given."""
        return [k for k in self.sizes.get("steps", ()) if k >= self.fewest_steps]

    def batch_axis(self, name):
        """The axis of the rows in the array of this name, as an input, a state, an output or its gradient; None if it has none.

        1 where an axis of steps comes first.
        """
        return self._axes.get(name, 0)

    @cached_property
    def _axes(self):
        per_step = dict.fromkeys([*(a.name for a in self.inputs), "ys"], int(self.sequence))
        return {**per_step, **dict.fromkeys([*(w.name for w in self.weights), self.scalar])}

    def unit(self, dtype):
        """The unit roundoff that bounds use for arrays of this dtype: 2^-53 for float64, or the declared precision."""
        return max(float(np.finfo(dtype).eps) / 2, self.precision or 0.0)

    def computed_in(self, dtype):
        """The type whose range limits the numbers: float32 for float64 arrays with a coarser declared precision, else this dtype."""
        return np.float32 if np.dtype(dtype).itemsize > 4 and self.unit(dtype) > np.finfo(dtype).eps else dtype

    def largest(self, dtype):
        """From which number on sums on the way may be infinite, where numbers of this dtype are computed."""
        return float(np.finfo(self.computed_in(dtype)).max) / FAR


def _joined(indices):
    """Merge the indices of adjacent rows that have the same columns."""
    joined = indices[:1]
    for index in indices[1:]:
        if all(isinstance(i, tuple) and len(i) == 2 and all(isinstance(part, slice) for part in i) for i in (joined[-1], index)):
            (above, left), (below, right) = joined[-1], index
            if above.stop is not None and above.stop == below.start and above.step == below.step is None and left == right:
                joined[-1] = slice(above.start, below.stop), left
                continue
        joined.append(index)
    return joined


DEFAULTS = {f.name: f.default for f in fields(CellSpec)}


def declared(sizes, name):
    """The declared numbers of a size, none if it is not declared or must equal another."""
    return [size for size in sizes.get(name, ()) if not isinstance(size, str)]


def allowed(sizes, name, n):
    """The declared size that stands for n: n itself if that is one of them or none are declared."""
    some = declared(sizes, name)
    return n if not some or n in some else some[(n - 1) % len(some)] if n > 0 else min(some)


def fit(sizes, wanted):
    """The sizes `wanted`, by name, each replaced by the declared size that stands for it, or by the size that it must equal."""
    found = {name: allowed(sizes, name, n) for name, n in wanted.items()}
    return found | {name: found[some[0]] for name, some in sizes.items() if some and some[0] in found}
