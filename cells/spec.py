"""The description of a cell: what it takes, returns and promises. Everything that verifies a cell reads it here."""

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

SIZES = ("features", "state", "batch", "steps")
PARTS = ("weights", "x", "state")
SCALARS = ("sum", "loss")


@dataclass(frozen=True)
class ArraySpec:
    """One array of a cell, in the manner of dm_env's `specs.BoundedArray`.

    shape: without the axes of batch and steps; dtype: a NumPy scalar type; domain: the numbers that it may hold, see `Domain`;
    differentiable: whether vjp takes an upstream for it (an output) or offers its gradient (anything else).
    """

    name: str
    shape: tuple[int, ...]
    dtype: type
    domain: Any = None
    differentiable: bool = True


@dataclass(frozen=True)
class CellSpec:
    """A cell at one pair of sizes; made once, when the cell is lifted.

    features, state: the sizes it was constructed with; inputs, states, outputs, weights: an ArraySpec each, in the order of the
    contract; weight_names as reports call them.
    full: whether it has apply, else it has forward alone; scalar: "sum" or "loss" if that is its only output.
    gradients: the parts of `PARTS` that vjp offers; sequence: x has a first axis of steps.
    kind, variant, weight_blocks, transposed: the equations it computes, if they are known (see the conventions).
    choices: what it does on purpose, {"clip": c}, {"mean": True}, {"truncated": k}, {"float32": True}; undone before laws look.
    {"dropout": "elements"} or {"dropout": "units"} cannot be undone: laws that it breaks do not apply.
    sizes: the only sizes it takes, by name; batch: None for any number of rows, or 1; fewest_steps, most_steps: of a sequence.
    dtypes: it computes in each of these; complex: True, False, or None if that must be tried.
    precision: the unit roundoff of what it stores, None for that of its dtype; deterministic: False if sums come in any order.
    takes_upstream: False for a loss that computes its gradients with its value; memory: it keeps a state that it neither takes
    nor returns; targets: of a loss, the function that makes them of x; lengths: whether apply takes `lengths`.
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
    dtypes: tuple[type, ...] = (np.float64, np.float32)
    complex: bool | None = None
    precision: float | None = None
    deterministic: bool = True
    takes_upstream: bool = True
    memory: bool = False
    targets: Any = None
    lengths: bool = False

    def __deepcopy__(self, memo):
        """Itself, since it never changes: cells are copied often."""
        return self

    @property
    def dtype(self):
        """The dtype of its weights."""
        return self.weights[0].dtype

    @property
    def state_names(self):
        """c, h."""
        return tuple(s.name for s in self.states)

    @property
    def array_names(self):
        """Names of [*weights, *inputs, *states]: everything that may be moved."""
        return [a.name for a in (*self.weights, *self.inputs, *self.states)]

    @property
    def output_names(self):
        """Names of what apply returns: c', h', then ys for a sequence; sum or loss."""
        return [y.name for y in self.outputs]

    @property
    def forward_only(self):
        """Whether it offers no gradient at all."""
        return not self.gradients

    @property
    def offers(self):
        """For each of [*weights, *inputs, *states], whether vjp offers its gradient."""
        parts = [("weights", self.weights), ("x", self.inputs), ("state", self.states)]
        return [part in self.gradients and a.differentiable for part, arrays in parts for a in arrays]

    def takes(self, name, n):
        """Whether a size by this name may be n: any number may, unless sizes are declared."""
        return n in self.sizes.get(name, (n,))

    def splits(self):
        """The numbers of steps at which a sequence of declared steps may be cut: (whole, first part); None if any may."""
        steps = self.sizes.get("steps")
        return [(n, k) for n in steps for k in steps if n - k in steps] if steps else None

    def batch_axis(self, name):
        """The axis of the rows in the array of this name, as an input, a state, an output or its gradient; None if it has none."""
        if name in [w.name for w in self.weights] or name == self.scalar:
            return None
        return 1 if self.sequence and name in (self.inputs[0].name, "ys") else 0

    def unit(self, dtype):
        """The unit roundoff that bounds use for arrays of this dtype: 2^-53 for float64, or the declared precision."""
        return max(float(np.finfo(dtype).eps) / 2, self.precision or 0.0)


DEFAULTS = {f.name: f.default for f in fields(CellSpec)}


def allowed(sizes, name, n):
    """The declared size that stands for n: n itself if that is one of them or none are declared."""
    choices = sizes.get(name)
    return n if not choices or n in choices else choices[(n - 1) % len(choices)] if n > 0 else min(choices)
