"""A full cell of a guest: whatever it leaves undeclared gets its default, a gist-style class gets apply and vjp."""

import copy
import inspect
from contextlib import contextmanager
from typing import Any

import numpy as np
from cellcheck.cells.contract import Cell, Gradients

_DECLARED = ("kind", "sequence", "batch", "dtypes", "complex", "transposed")
_OPTIONAL: dict[str, Any] = {
    "variant": {},
    "choices": {},
    "outputs": None,
    "weight_names": None,
    "takes_upstream": True,
    "memory": False,  # whether it keeps a state that it neither takes nor returns
    "fewest_steps": 0,
    "most_steps": None,
}
SMALL = 2.0**-100  # an upstream so small that no clipping is reached, and a power of two, so that nothing is rounded


class Lifted:
    """A guest behind the full contract.

    A gist-style guest (weights, forward, backward) becomes a cell whose single output is its scalar sum and whose only
    gradients are those of its weights. A guest that has apply keeps it; without vjp it is verified forwards only.

    Beyond the contract it may declare: variant, how its equations differ from those of its kind (see `conventions`); choices,
    what it does on purpose: {"clip": c} (the gradients are clipped), {"mean": True} (weight gradients are means over the
    batch, or a loss and all its gradients are), {"truncated": k} (no gradient flows further than k steps); they are undone
    before the laws look.
    """

    def __init__(self, guest, **declared):
        """guest: an instance that honours one of the two contracts; declared: what takes precedence over its own declarations."""
        self.guest = guest
        self.forward_only = not hasattr(guest, "vjp" if hasattr(guest, "apply") else "backward")
        self.gist = bool(getattr(guest, "gist", not hasattr(guest, "apply")))
        for name in _DECLARED:
            setattr(self, name, getattr(guest, name, getattr(Cell, name)))
        for name, default in _OPTIONAL.items():
            setattr(self, name, getattr(guest, name, default))
        if not hasattr(guest, "dtypes") and len(guest.weights):
            own = np.asarray(guest.weights[0]).dtype.type
            self.dtypes = (own,) if own == np.float32 else Cell.dtypes
        self.state_names = tuple(_states_of(guest) if getattr(guest, "state_names", None) is None else guest.state_names)
        default = () if self.forward_only else Cell.gradients if hasattr(guest, "apply") else ("weights",)
        self.gradients = tuple(getattr(guest, "gradients", default))
        for name, value in declared.items():
            setattr(self, name, value)
        self.most_steps = self.choices.get("truncated", self.most_steps)
        self._blocks = None
        self._rows = 1

    def __deepcopy__(self, memo):
        """A copy with a guest of its own; what is declared stays the same, and cells are copied often."""
        new = copy.copy(self)
        new.guest = copy.deepcopy(self.guest, memo)
        return new

    @property
    def weights(self):
        """The guest's live weights."""
        return self.guest.weights

    @property
    def weight_blocks(self):
        """Which part of each weight multiplies what, as declared or found; not kept, since the cell is copied often."""
        return self._blocks() if self._blocks else getattr(self.guest, "weight_blocks", None)

    def apply(self, x, *state, **options):
        """The guest's new state, or its scalar; as a tuple of arrays."""
        self._rows = np.shape(x)[-2]
        if not hasattr(self.guest, "apply"):
            return (_numbers("forward", self.guest.forward(x, *state)),)
        with _unclipped(None if self.takes_upstream else self.choices.get("clip")):
            outputs = self.guest.apply(x, *state, **options)
        outputs = tuple(_numbers("apply", y) for y in (outputs if isinstance(outputs, (tuple, list)) else (outputs,)))
        return tuple(_scaled(outputs, self._rows)) if self._mean_loss() else outputs

    def vjp(self, *d_outputs):
        """The guest's gradients as Gradients, its declared choices undone."""
        if self.forward_only:
            return Gradients(None, None, None)
        if "clip" not in self.choices or not self.takes_upstream:
            return self._averaged(self._vjp(*d_outputs))
        small = self._averaged(self._vjp(*(np.asarray(d * SMALL, d.dtype) for d in d_outputs)))
        return Gradients(*(_scaled(part, 1 / SMALL) for part in small))

    def _vjp(self, *d_outputs):
        if hasattr(self.guest, "vjp"):
            found = self.guest.vjp(*d_outputs)
            if not isinstance(found, tuple) or len(found) != 3:
                raise TypeError(f"vjp returned a {type(found).__name__}; wanted a tuple (weights, x, state)")
            weights, x, state = found
            for part in (weights, x, state):
                for gradient in part if isinstance(part, (list, tuple)) else [part]:
                    _numbers("vjp", gradient if gradient is not None else 0)
            return Gradients(weights, x, (state,) if isinstance(state, np.ndarray) and len(self.state_names) == 1 else state)
        return Gradients(self.guest.backward(d_outputs[0][()]), None, None)

    def _averaged(self, gradients):
        if self._mean_loss():
            return Gradients(*(_scaled(part, self._rows) for part in gradients))
        return gradients._replace(weights=_scaled(gradients.weights, self._rows)) if self.choices.get("mean") else gradients

    def _mean_loss(self):
        """Whether all that it returns is a mean over the rows."""
        return self.outputs == ("loss",) and self.choices.get("mean")


def lift(Guest, **declared):
    """The factory (input_features, state_size) -> full cell of a guest's factory or class.

    declared: attributes of the cell that take precedence over the guest's; `weight_blocks` as a function of the two sizes.
    """

    blocks = declared.pop("weight_blocks", None)

    def lifted(input_features, state_size):
        cell = Lifted(Guest(input_features, state_size), **declared)
        cell._blocks = blocks and (lambda: blocks(input_features, state_size))
        return cell

    lifted.__name__ = getattr(Guest, "__name__", type(Guest).__name__)
    lifted.__doc__ = Guest.__doc__
    return lifted


def _numbers(called, value):
    """The value as an array. Raises TypeError where it is not one of numbers."""
    array = np.asarray(value)
    if array.dtype.kind not in "biufc":
        raise TypeError(f"{called} returned {value if value is None else f'dtype {array.dtype}'}; wanted arrays of numbers")
    return array


@contextmanager
def _unclipped(bound):
    """np.clip leaves alone what a guest clips at +-bound: the way around clipping where no upstream can be made small."""
    if bound is None:
        yield
        return
    clip = np.clip

    def unclipped(a, low=None, high=None, *rest, **options):
        out = options.get("out")
        if (low, high) != (-bound, bound):
            return clip(a, low, high, *rest, **options)
        if out is not None:
            out[...] = a
        return a if out is None else out

    np.clip = unclipped
    try:
        yield
    finally:
        np.clip = clip


def _scaled(part, factor):
    """An array, a list of arrays or None, each times the factor, in its own dtype."""
    if part is None:
        return None
    if isinstance(part, (list, tuple)):
        return [_scaled(a, factor) for a in part]
    part = np.asarray(part)
    return (part * factor).astype(part.dtype, copy=False)


def _states_of(guest):
    """Names of the positional parameters of apply (or forward) after x."""
    parameters = inspect.signature(getattr(guest, "apply", None) or guest.forward).parameters.values()
    positional = [
        p.name
        for p in parameters
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and not isinstance(p.default, (bool, str))  # train=True
    ]
    return positional[1:]
