"""A torch module as a cell: its parameters are the weights, autograd is its backward."""

import copy

import numpy as np
import torch
from cellcheck.cells.adapters import Gradients

STATES = {"RNN": ("h",), "GRU": ("h",), "LSTM": ("c", "h")}


def torch_module(make, *, call=None, states=None, sequence=None, dtype=np.float64, **declared):
    """A factory (features, state) -> cell of a torch module.

    make: (features, state) -> the module, for example torch.nn.LSTMCell. call: (module, x, *state) -> (*new state, and ys for a
    sequence), tensors of our shapes, the output last; it is known for torch's own recurrent modules. states: names, output
    last; sequence: whether x has steps; both known likewise. dtype: of the parameters and of all that the module is given, but
    for whole numbers. declared: any declaration of the contract (kind, inputs, no_gradient, ...).
    """

    def adapted(features, state):
        return Module(make(features, state), call, states, sequence, dtype, declared)

    adapted.__doc__ = getattr(make, "__doc__", None)
    return adapted


class Module:
    """A torch module behind the contract; `weights` share memory with its parameters."""

    def __init__(self, module, call, states, sequence, dtype, declared):
        kind = type(module).__name__
        step = kind.removesuffix("Cell")
        if call is None and step not in STATES:
            raise TypeError(f"torch_module knows how to call RNN, GRU, LSTM and their cells, not {kind}: pass call=")
        self.call = call or {"LSTM": _lstm, "LSTMCell": _lstm_cell}.get(kind, _cell if kind.endswith("Cell") else _sequence)
        self.module = module.to(getattr(torch, np.dtype(dtype).name))
        self.state_names = tuple(STATES.get(step, ("h",)) if states is None else states)
        self.sequence = (not kind.endswith("Cell") if step in STATES else False) if sequence is None else sequence
        self.dtypes, self.complex = (np.dtype(dtype).type,), None
        self.weight_names = [name for name, _ in module.named_parameters()]
        self.weights = [p.detach().numpy() for p in self.module.parameters()]
        for name, value in declared.items():
            setattr(self, name, (value,) if name == "no_gradient" and isinstance(value, str) else value)
        self._inputs = self._outputs = None

    def apply(self, x, *state):
        """The new state, the output last."""
        dtype = np.result_type(*self.weights, *(a for a in map(np.asarray, (x, *state)) if a.dtype.kind != "i"))
        if dtype.kind != "c":
            dtype = self.dtypes[0]
        module = _holding(self.module, [w.astype(dtype) for w in self.weights]) if dtype != self.dtypes[0] else self.module
        inputs = [_tensor(a, dtype) for a in (x, *state)]
        outputs = tuple(self.call(module, *inputs))
        self._inputs, self._outputs = inputs, outputs  # only now: a refusal changes nothing
        return tuple(y.detach().resolve_neg().resolve_conj().numpy().copy() for y in self._outputs)

    def vjp(self, *d_outputs):
        """Gradients of sum_k <d_outputs[k], apply(...)[k]> at the last apply, by autograd."""
        if len(d_outputs) != len(self._outputs):
            raise ValueError(f"{len(d_outputs)} upstream gradients given, but there are {len(self._outputs)} outputs")
        parameters, upstream = list(self.module.parameters()), [torch.from_numpy(np.array(d)) for d in d_outputs]
        wanted = [*parameters, *self._inputs]
        detached = {f"{name}'" for name in getattr(self, "no_gradient", ())}
        names = [f"{name}'" for name in self.state_names] + [""] * len(upstream)
        pairs = [(y, d) for y, d, name in zip(self._outputs, upstream, names) if name not in detached or y.requires_grad]
        outputs, upstream = zip(*pairs)
        live = [w for w in wanted if w.requires_grad]
        given = iter(torch.autograd.grad(outputs, live, upstream, retain_graph=True, allow_unused=True))
        found = [next(given) if w.requires_grad else None for w in wanted]
        found = [np.zeros(w.shape, self.dtypes[0]) if g is None else g.numpy().copy() for g, w in zip(found, wanted)]
        n = len(parameters)
        k = n + len(getattr(self, "inputs", "x"))
        return Gradients(found[:n], found[n] if k == n + 1 else tuple(found[n:k]), tuple(found[k:]))

    def __deepcopy__(self, memo):
        """A copy whose module holds the arrays that `memo` has in place of the weights; complex ones, too."""
        new = copy.copy(self)
        new._inputs = new._outputs = None
        new.weights = [np.array(memo.get(id(w), w)) for w in self.weights]
        new.module = _holding(self.module, new.weights)
        return new


def _tensor(array, dtype):
    """A tensor that takes a gradient; whole numbers stay what they are."""
    if np.asarray(array).dtype.kind == "i":
        return torch.from_numpy(np.array(array))
    return torch.from_numpy(np.array(array, dtype)).requires_grad_()


def _holding(module, arrays):
    """A copy of the module whose parameters share memory with these arrays."""
    module = copy.deepcopy(module)
    for p, w in zip(module.parameters(), arrays):
        p.data = torch.from_numpy(w)
    return module


def _cell(module, x, h):
    return (module(x, h),)


def _lstm_cell(module, x, c, h):
    return module(x, (h, c))[::-1]


def _sequence(module, x, h):
    ys, h = module(x, h[None])
    return h[0], ys


def _lstm(module, x, c, h):
    ys, (h, c) = module(x, (h[None], c[None]))
    return c[0], h[0], ys
