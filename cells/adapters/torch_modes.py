"""Modes in which a torch module runs: each hands on its operations as the oracles need them."""

import re

import numpy as np
import torch
from torch._C import _functorch
from torch.autograd import forward_ad
from torch.utils._python_dispatch import TorchDispatchMode

ROUNDED = re.compile(  # operations whose results are no exact numbers; so are those of all that end in _backward
    r"(r?sub|add|mul|div|lerp|reciprocal|pow|r?sqrt|exp2?|expm1|log|log1p|log2|sin|cos|sigmoid|tanh|softplus|silu|gelu|elu|erf|sum|mean|prod|norm"
    r"|addcmul|addcdiv|cumsum|cumprod|mm|bmm|mv|dot|addmm|addmv|baddbmm|logcumsumexp|logsumexp|_softmax|_log_softmax|log_sigmoid_forward"
    r"|native_layer_norm|var|var_mean|linalg_vector_norm)_?|.*_backward"
)


def outside_transforms():
    """End what is left of a transform of torch.func that was interrupted, as where a call takes too long: no module could be made.

    torch has no public names for this.
    """
    if _functorch.peek_interpreter_stack() is not None:
        _functorch.pop_dynamic_layer_stack_and_undo_to_depth(0)
    while forward_ad._current_level >= 0:
        forward_ad.exit_dual_level()


class Wide(TorchDispatchMode):
    """Runs operations that ask for a float type with float64 in its place: casts within a module or a Function, and new tensors."""

    def __torch_dispatch__(self, operation, types, arguments=(), options=None):
        """The operation in float64; complex numbers stay complex."""
        options = dict(options or {})
        if options.get("dtype") in (torch.float32, torch.float16, torch.bfloat16):
            whole = any(isinstance(a, torch.Tensor) and a.is_complex() for a in arguments)
            options["dtype"] = torch.complex128 if whole else torch.float64
        return operation(*arguments, **options)


class Continued(TorchDispatchMode):
    """Continues real functions to complex numbers near the real axis, as the Analytic of NumPy does: torch's own abs drops imaginary parts."""

    def __torch_dispatch__(self, operation, types, arguments=(), options=None):
        """The operation, or its continuation where a tensor is complex."""
        name, options = operation.overloadpacket.__name__, dict(options or {})
        if not any(isinstance(a, torch.Tensor) and a.is_complex() for a in arguments):
            return operation(*arguments, **options)
        if name == "_to_copy" and getattr(options.get("dtype"), "is_floating_point", False):
            options["dtype"] = torch.complex128
        rule = CONTINUED.get(name.removesuffix("_"))
        found = rule(*arguments, **options) if rule else operation(*arguments, **options)
        return arguments[0].copy_(found) if rule and name.endswith("_") else found


def _sign(z):
    return torch.sign(torch.real(z))


def _chosen(larger):
    """The larger or the smaller of two by their real parts; their mean at a tie, and NaN where one of them is."""

    def choose(a, b):
        """One of two numbers or tensors, entry by entry."""
        b = torch.as_tensor(b, dtype=a.dtype) if not isinstance(b, torch.Tensor) else b
        ahead = torch.real(a) - torch.real(b) if larger else torch.real(b) - torch.real(a)
        return torch.where(ahead > 0, a, torch.where(ahead < 0, b, (a + b) / 2))

    return choose


def _clamp(z, low=None, high=None, *, min=None, max=None):
    low, high = (b if a is None else a for a, b in ((low, min), (high, max)))
    z = z if low is None else _chosen(True)(z, low)
    return z if high is None else _chosen(False)(z, high)


def _norm(z, ord=2, dim=None, keepdim=False, *, dtype=None):
    """The root of the sum of squares, not of squared magnitudes. Raises TypeError for another norm."""
    if ord != 2:
        raise TypeError(f"the norm {ord} is not continued")
    return torch.sqrt((z * z).sum(dim if dim is not None else tuple(range(z.ndim)), keepdim))


def _var_mean(z, dim=None, *, correction=1, keepdim=False):
    """The sum of squares about the mean, over their number less the correction; and the mean."""
    dims = dim or tuple(range(z.ndim))
    mean, many = z.mean(dims, True), torch.ones_like(z).sum(dims, keepdim)
    correction = 1 if correction is None else correction
    return ((z - mean) ** 2).sum(dims, keepdim) / (many - correction), z.mean(dims, keepdim)


def _var(*arguments, **options):
    return _var_mean(*arguments, **options)[0]


def _compared(name):
    compare = getattr(torch, name)
    return lambda a, b: compare(*(torch.real(c) if isinstance(c, torch.Tensor) else c for c in (a, b)))


CONTINUED = {
    "abs": lambda z: z * _sign(z),
    "sign": _sign,
    "sgn": _sign,
    "relu": lambda z: _chosen(True)(z, 0),
    "maximum": _chosen(True),
    "minimum": _chosen(False),
    "clamp": _clamp,
    "clamp_min": _chosen(True),
    "clamp_max": _chosen(False),
    "linalg_vector_norm": _norm,
    "dist": lambda a, b, p=2: _norm(a - b, p),
    "var": _var,
    "std": lambda *arguments, **options: torch.sqrt(_var(*arguments, **options)),
    "var_mean": _var_mean,
    "_conj": torch.ops.aten.alias,
    **{name: _compared(name) for name in ("gt", "ge", "lt", "le")},
}


class Rounding(TorchDispatchMode):
    """Rounds the results of operations in float64 at random: Monte Carlo arithmetic, as that of NumPy's arrays in properties/oracles/noisy.py."""

    def __init__(self, noise):
        """noise: its rng and its unit."""
        super().__init__()
        self.noise = noise

    def __torch_dispatch__(self, operation, types, arguments=(), options=None):
        """The operation; each number that comes out is moved by a unit at most."""
        found, name = operation(*arguments, **(options or {})), operation.overloadpacket.__name__
        if ROUNDED.fullmatch(name):
            for y in found if isinstance(found, (tuple, list)) else [found]:
                if isinstance(y, torch.Tensor) and y.dtype == torch.float64:
                    y *= 1 + torch.from_numpy(np.asarray(self.noise.unit * self.noise.rng.uniform(-1, 1, tuple(y.shape))))
        return found
