"""What a cell written in torch computes, on the tape of a cell written in NumPy: each call of torch is one operation."""

import re

import numpy as np
import torch
from cellcheck.properties.reports.diagnosis.tape import Node, Untold, frames
from torch.overrides import TorchFunctionMode

ARITHMETIC = {  # of two numbers or tensors, as NumPy calls it and as torch computes it
    "multiply": (torch.mul, ("mul", "mul_", "__mul__", "__rmul__", "__imul__")),
    "add": (torch.add, ("add", "add_", "__add__", "__radd__", "__iadd__")),
    "subtract": (torch.sub, ("sub", "sub_", "__sub__", "__rsub__", "rsub", "__isub__")),
    "divide": (torch.div, ("div", "div_", "__truediv__", "__rtruediv__", "__rdiv__", "__itruediv__")),
}
OPERATIONS = {theirs: (ours, function) for ours, (function, names) in ARITHMETIC.items() for theirs in names}
DETACHED = ("detach", "detach_", "requires_grad_", "__deepcopy__")  # whose second argument remembers copies
MADE = re.compile("empty|zeros|ones|full|new_|rand")  # what is not computed of other numbers
NAMES = {  # of NumPy, by which known mistakes are looked for
    "__matmul__": "matmul",
    "mm": "matmul",
    "bmm": "matmul",
    "cat": "concatenate",
    "__getitem__": "part",
    "__setitem__": "put",
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
        if torch.compiler.is_compiling():
            return function(*args, **kwargs)
        run, own, given = function, NAMES.get(name, name), [*args, *kwargs.values()]
        if name in DETACHED:  # the values are what the laws differentiate
            run, given = (lambda a: a), given[:1]
        elif name == "where" and len(given) == 3:
            run, given = _where, [given[0].double(), *given[1:]]
        if name in OPERATIONS and len(given) == 2 and not any(isinstance(a, bool) for a in given):
            own, run = OPERATIONS[name]
            given = [
                torch.tensor(float(a), dtype=torch.float64) if isinstance(a, (int, float)) else a
                for a in given[:: -1 if "r" in name[:3] else 1]
            ]
        given = _put(given, iter(_tensors(given)))  # a guest may append to its lists later
        try:
            arrays = [_array(t) for t in _tensors(given)]
        except (RuntimeError, TypeError):  # of what holds no numbers: sparse tensors, and those of vmap and torch.compile
            return function(*args, **kwargs)
        result = function(*args, **kwargs)
        parents = {k: node for k, a in enumerate(arrays) if (node := self.tape.find(a)) is not None}
        several = isinstance(result, (tuple, list))
        for part, tensor in enumerate(result if several else [args[0] if name == "__setitem__" else result]):
            if parents and not MADE.match(name) and _floats(tensor) and tensor.layout is torch.strided:
                call = _call(run, given, list(kwargs) if run is function else [], part if several else None)
                self.tape.add(Node(_array(tensor), "", call, arrays, parents, frames(), f"{own}{part or ''}"))
        return result


def _where(condition, a, b):
    return torch.where(condition != 0, a, b)


def _call(function, given, names, part):
    """The operation as a function of the arrays of its tensors; part: which of several results, or None."""
    n = len(given) - len(names)

    def bound(*tensors):
        new = _put(given, iter([t.clone() for t in tensors]))
        result = function(*new[:n], **dict(zip(names, new[n:])))
        return new[0] if result is None else result if part is None else result[part]

    def call(*arrays):
        kind = any(map(np.iscomplexobj, arrays))
        real, moved = ([torch.from_numpy(np.array(f(a), float)) for a in arrays] for f in (np.real, np.imag))
        try:
            with torch.no_grad():
                if not kind:
                    return _array(bound(*real))
            value, slope = torch.func.jvp(bound, tuple(real), tuple(moved))
            return _array(value) + 1j * _array(slope)
        except Exception as error:
            raise (TypeError if kind else Untold)(str(error)) from error

    return call


def _array(tensor):
    return tensor.detach().to("cpu", torch.float64, copy=True).resolve_neg().numpy()


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
