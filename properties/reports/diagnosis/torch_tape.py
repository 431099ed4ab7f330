"""What a cell written in torch computes, on the tape of a cell written in NumPy: each call of torch is one operation."""

import re
from functools import partial

import numpy as np
import torch
from cellcheck.properties.reports.diagnosis.tape import Node, Untold, frames
from torch.overrides import TorchFunctionMode

ARITHMETIC = {  # of two numbers or tensors, as NumPy calls it and as torch computes it
    "multiply": (torch.mul, ("mul", "__mul__", "__rmul__")),
    "add": (torch.add, ("add", "__add__", "__radd__")),
    "subtract": (torch.sub, ("sub", "__sub__", "__rsub__", "rsub")),
    "divide": (torch.div, ("div", "__truediv__", "__rtruediv__", "__rdiv__")),
}
OPERATIONS = {theirs: (ours, function) for ours, (function, names) in ARITHMETIC.items() for theirs in names}
MADE = re.compile("empty|zeros|ones|full|new_|rand")  # what is not computed of other numbers
NAMES = {  # of NumPy, by which known mistakes are looked for
    "__matmul__": "matmul",
    "mm": "matmul",
    "bmm": "matmul",
    "cat": "concatenate",
    "__getitem__": "part",
    "__setitem__": "put",
}


def _kept(function, a, *bounds, **named):
    """Of complex numbers, those that a function such as relu returns as they are; else what it makes of their real parts."""
    real = function(
        a.real, *(getattr(b, "real", b) for b in bounds), **{name: getattr(b, "real", b) for name, b in named.items()}
    )
    return torch.where(real == a.real, a, real + 0j)


CONTINUED = {  # functions that lose the derivative, or raise, if they are given complex numbers
    **dict.fromkeys(("abs", "absolute", "__abs__"), lambda _, a: torch.sign(a.real) * a),
    **dict.fromkeys(("relu", "relu_", "relu6", "clamp", "clamp_min", "clamp_max", "clip", "hardtanh"), _kept),
    "maximum": lambda _, a, b: torch.where(a.real >= b.real, a, b),
    "minimum": lambda _, a, b: torch.where(a.real <= b.real, a, b),
}


class Followed(TorchFunctionMode):
    """Records each call of torch on a tape. Arrays are known by the numbers that they hold."""

    def __init__(self, tape):
        """tape: where calls go."""
        super().__init__()
        self.tape = tape

    def __torch_function__(self, function, types, args=(), kwargs=None):
        """What the call returns."""
        kwargs, name = kwargs or {}, getattr(function, "__name__", "")
        run, own, given = function, NAMES.get(name, name), [*args, *kwargs.values()]
        if name in OPERATIONS and len(given) == 2 and not any(isinstance(a, bool) for a in given):
            own, run = OPERATIONS[name]
            given = [
                torch.tensor(float(a), dtype=torch.float64) if isinstance(a, (int, float)) else a
                for a in given[:: -1 if "r" in name[:3] else 1]
            ]
        arrays = [_array(t) for t in _tensors(given)]
        result = function(*args, **kwargs)
        parents = {k: node for k, a in enumerate(arrays) if (node := self.tape.find(a)) is not None}
        several = isinstance(result, (tuple, list))
        for part, tensor in enumerate(result if several else [args[0] if name == "__setitem__" else result]):
            if parents and not MADE.match(name) and isinstance(tensor, torch.Tensor) and tensor.dtype.is_floating_point:
                call = _call(run, given, list(kwargs), part if several else None)
                self.tape.add(Node(_array(tensor), "", call, arrays, parents, frames(), f"{own}{part or ''}"))
        return result


def _call(function, given, names, part):
    """The operation as a function of the arrays of its tensors; part: which of several results, or None."""
    n, name = len(given) - len(names), getattr(function, "__name__", "")

    def call(*arrays):
        kind = complex if any(map(np.iscomplexobj, arrays)) else float
        tensors = iter([torch.from_numpy(np.array(a, kind)) for a in arrays])
        new = _put(given, tensors)
        with torch.no_grad():
            try:
                bound = partial(CONTINUED[name], function) if kind is complex and name in CONTINUED else function
                result = bound(*new[:n], **dict(zip(names, new[n:])))
            except Exception as error:
                raise (TypeError if kind is complex else Untold)(str(error)) from error
        return (new[0] if result is None else result if part is None else result[part]).detach().resolve_conj().numpy()

    return call


def _array(tensor):
    return np.array(tensor.detach().cpu().resolve_neg().resolve_conj().numpy(), float)


def _floats(value):
    return isinstance(value, torch.Tensor) and value.dtype.is_floating_point


def _tensors(tree):
    """The tensors of floats in nested lists and tuples."""
    if isinstance(tree, (list, tuple)):
        return [tensor for part in tree for tensor in _tensors(part)]
    return [tree] if _floats(tree) else []


def _put(tree, tensors):
    """The tree with other tensors in it."""
    if isinstance(tree, (list, tuple)):
        return [_put(part, tensors) for part in tree] if isinstance(tree, list) else tuple(_put(part, tensors) for part in tree)
    return next(tensors) if _floats(tree) else tree
