"""A torch module as a cell: its trainable float parameters are the weights, autograd is its backward."""

import copy
import inspect
import sys
from contextlib import ExitStack, contextmanager, nullcontext, suppress

import numpy as np
import torch
from cellcheck.cells.adapters import Gradients
from cellcheck.cells.adapters.ragged import steps_of, takes_lengths
from cellcheck.cells.adapters.torch_modes import Continued, Rounding, Wide, outside_transforms
from cellcheck.cells.copying import deepcopied
from cellcheck.cells.lift import declarations, of_sizes

STATES = {"RNN": ("h",), "GRU": ("h",), "LSTM": ("c", "h")}
PLAIN = {"num_layers": 1, "bidirectional": False, "proj_size": 0, "batch_first": False}  # what a call without call= takes


def torch_module(make, *, call=None, states=None, sequence=None, dtype=np.float64, device=None, **declared):
    """A factory (features, state) -> cell of a torch module.

    make: (features, state) -> the module, for example torch.nn.LSTMCell. call: (module, x, *state) -> (*new state, and ys for a
    sequence), tensors of our shapes, the output last; it is known for torch's own recurrent modules. states: names, output
    last, () for a module without states; sequence: whether x has steps; both known likewise. dtype: of the parameters and of all
    that the module is given, but for whole numbers. device: where it runs, such as "cuda"; the weights then stay NumPy arrays of
    the host, which each call copies to the device. If call has a parameter `lengths`, it is given the steps of each row, whole
    numbers on the CPU. declared: any declaration of the contract (kind, inputs, no_gradient, ...).

    Parameters that are integers or take no gradient stay as they are, as buffers do; random ones are the same in all cells. An
    output that autograd does not reach takes no upstream: its values are verified alone. torch runs on one thread meanwhile: for
    small cells that is ten times faster. Products of float32 are computed in float32, not in TF32 (11 bits), which GPUs use for
    some of them.
    """
    declarations(declared, torch_module)
    if isinstance(make, torch.nn.Module):
        raise TypeError(
            f"make is a module, a {type(make).__name__}; give its class, or a function (features, state) that makes one"
        )
    blind = []  # names of the outputs without an upstream, once they are known

    def adapted(features, state):
        outside_transforms()
        with _plainly():
            with torch.random.fork_rng(devices=[]):  # so that buffers which are drawn are those of every other cell
                (torch if device else torch.default_generator).manual_seed(0)  # the first takes 2 ms, for all devices
                module = make(features, state)
            said = {
                name: of_sizes(name, value, features, state)
                for name, value in declared.items()
                if name in ("inputs", "state_shapes")
            }
            kind = Ragged if call and sequence and takes_lengths(call, declared) else Module
            cell = kind(module, call, states, sequence, dtype, device, declared | said)
            if not blind:
                blind.extend(copy.deepcopy(cell).unreached(features, state))
        cell.lifted_as = {"no_upstream": blind[0] if blind else ()}
        return cell

    adapted.__doc__ = getattr(make, "__doc__", None)
    return adapted


class Module:
    """A torch module behind the contract; `weights` share memory with its parameters."""

    def __init__(self, module, call, states, sequence, dtype, device, declared):
        kind = type(module).__name__
        step = kind.removesuffix("Cell") if isinstance(module, (torch.nn.RNNBase, torch.nn.RNNCellBase)) else ""
        if call is None:
            _check_plain(module, kind, step)
        _check_registered(module, kind)
        if lost := [name for name, p in module.named_parameters() if p.requires_grad and p.is_complex()]:
            told = "hold the real and the imaginary parts as two parameters"
            raise ValueError(f"{' and '.join(lost)} {'is' if len(lost) == 1 else 'are'} complex; {told}")
        self.call = call or {"LSTM": _lstm, "LSTMCell": _lstm_cell}.get(kind, _cell if kind.endswith("Cell") else _sequence)
        self.module, self.device = module.to(device, _torch_dtype(dtype)), device
        self.state_names = tuple(STATES.get(step, ("h",)) if states is None else states)
        self.sequence = (not kind.endswith("Cell") if step in STATES else False) if sequence is None else sequence
        self.dtypes, self.complex = (np.dtype(dtype).type,), None
        names = {id(p): name for name, p in module.named_parameters()}
        self.weight_names = [names[id(p)] for p in _trainable(self.module)]
        self.weights = [p.detach().cpu().numpy() for p in _trainable(self.module)]
        if names and not self.weights:
            raise ValueError(f"{kind} has no parameter that is a float and takes a gradient; nothing can be verified")
        if not isinstance(declared.get("output", ""), str):
            raise TypeError(f"output is {declared['output']}; give its name, such as 'ys', and its shape as output_shape")
        for name, value in declared.items():
            setattr(self, name, (value,) if name == "no_gradient" and isinstance(value, str) else value)
        self._inputs, self._outputs, self._noise, self.rows = None, None, None, {}  # rows: what the call is told of their lengths

    def apply(self, x, *state):
        """The new state, the output last; computed in the dtype of the weights, complex if anything is."""
        dtype = np.result_type(*(self.weights or self.dtypes))
        if any(np.asarray(a).dtype.kind == "c" for a in (x, *state)):
            dtype = np.result_type(dtype, np.complex64)
        module = self.module
        if any(w.dtype != dtype for w in self.weights):
            module = _holding(module, [w.astype(dtype) for w in self.weights], self.device)
        elif self.device:
            _fill(module, self.weights, self.device)
        inputs = [_tensor(a, dtype, self.device) for a in (x, *state)]
        self._noise = next((a.noise for a in (x, *state) if getattr(a, "noise", None)), None)
        with _plainly(), self._widened(dtype), self._rounding():
            outputs = self.call(module, *inputs, **self.rows)
        _hand_on(inputs, (x, *state))
        if not isinstance(outputs, (tuple, list)) or not all(isinstance(y, torch.Tensor) for y in outputs):
            what = ", ".join(type(y).__name__ for y in (outputs if isinstance(outputs, (tuple, list)) else [outputs]))
            raise TypeError(f"call returned {what}; give a tuple of tensors, the output last")
        self._inputs, self._outputs, self._dtype = inputs, tuple(outputs), dtype  # only now: a refusal changes nothing
        return tuple(y.detach().cpu().resolve_neg().resolve_conj().numpy().copy() for y in self._outputs)

    def vjp(self, *d_outputs):
        """Gradients of sum_k <d_outputs[k], apply(...)[k]> at the last apply, by autograd."""
        if len(d_outputs) != len(self._outputs):
            raise ValueError(f"{len(d_outputs)} upstream gradients given, but there are {len(self._outputs)} outputs")
        parameters = _trainable(self.module)
        wanted = [*parameters, *self._inputs]
        detached = set(getattr(self, "no_gradient", ()))
        names = [*self._output_names(), *[""] * len(self._outputs)]
        reached = [
            (y, _strided(np.array(d)).to(self.device), d)
            for y, d, name in zip(self._outputs, d_outputs, names)
            if y.requires_grad and name not in detached
        ]
        live, found = [w for w in wanted if w.requires_grad], [None] * len(wanted)
        if reached:
            outputs, upstream, _ = zip(*reached)
            with _plainly(), self._widened(self._dtype), self._rounding():
                given = iter(torch.autograd.grad(outputs, live, upstream, retain_graph=True, allow_unused=True))
            _hand_on([u for _, u, _ in reached], [d for _, _, d in reached])
            found = [next(given) if w.requires_grad else None for w in wanted]
        found = [np.zeros(w.shape, self._dtype) if g is None else g.cpu().numpy().copy() for g, w in zip(found, wanted)]
        n = len(parameters)
        k = n + len(getattr(self, "inputs", "x"))
        return Gradients(found[:n], found[n] if k == n + 1 else tuple(found[n:k]), tuple(found[k:]))

    def _widened(self, dtype):
        """Where a copy in float64 of a module of lower precision runs, and where complex numbers do."""
        ways = ExitStack()
        if dtype in (np.float64, np.complex128) and self.dtypes[0] != np.float64:
            ways.enter_context(Wide())
        if np.dtype(dtype).kind == "c":
            ways.enter_context(torch.no_grad())  # the derivative of abs takes no complex result
            ways.enter_context(Continued())
        return ways

    def _rounding(self):
        """Where a module runs that is given noisy arrays, see properties/oracles/noisy.py."""
        return Rounding(self._noise) if self._noise else nullcontext()

    def unreached(self, features, state):
        """[The names of the outputs that autograd does not reach]; [] if the module cannot be run on zeros of these sizes."""
        steps = (2,) * self.sequence
        try:
            inputs = _shapes(getattr(self, "inputs", ("x",)), features).values()
            inputs = [np.zeros((*steps, 1, *shape)) for shape in inputs]
            self.apply(*inputs, *(np.zeros((1, state)) for _ in self.state_names))
        except Exception:  # the pre-flight says what is wrong
            return []
        return [tuple(name for name, y in zip(self._output_names(), self._outputs) if not y.requires_grad)]

    def _output_names(self):
        return [*(f"{name}'" for name in self.state_names), getattr(self, "output", None) or "ys"]

    def __deepcopy__(self, memo):
        """A copy whose module holds the arrays that `memo` has in place of the weights; complex ones, too."""
        new = copy.copy(self)
        new._inputs = new._outputs = None
        new.weights = [np.array(memo.get(id(w), w)) for w in self.weights]
        new.module = _holding(self.module, new.weights, self.device)
        return new


class Ragged(Module):
    """A module of rows of different lengths."""

    def apply(self, x, *state, lengths=None):
        """The same. lengths: the steps of each row, all if it is None."""
        self.rows = {"lengths": torch.from_numpy(steps_of(x, lengths))}
        return super().apply(x, *state)


def _shapes(inputs, features):
    """The shapes of inputs that are declared as names, or as a dict of shapes."""
    return inputs if isinstance(inputs, dict) else dict.fromkeys(inputs, (features,))


def _tensor(array, dtype, device):
    """A tensor that takes a gradient; whole numbers stay what they are."""
    if np.asarray(array).dtype.kind == "i":
        return torch.from_numpy(np.array(array)).to(device)
    return _strided(np.array(array, dtype)).to(device).requires_grad_()


def _strided(array):
    """A tensor of an array, in its memory; that of an empty one has the strides that torch gives it, where NumPy's are 0."""
    tensor = torch.from_numpy(array)
    return tensor if array.size else torch.zeros(array.shape, dtype=tensor.dtype)


def _hand_on(tensors, arrays):
    """Write into the caller's arrays what the module has written into their tensors, so that the laws see it."""
    for tensor, array in zip(tensors, arrays):
        now = tensor.detach().cpu().resolve_conj().numpy()
        if now.shape == np.shape(array) and not np.array_equal(
            np.asarray(array, now.dtype), now, equal_nan=now.dtype.kind in "fc"
        ):
            array[...] = now


def _trainable(module):
    """The parameters that are floats and take a gradient."""
    return [p for p in module.parameters() if p.requires_grad and (p.is_floating_point() or p.is_complex())]


def _holding(module, arrays, device):
    """A copy of the module with these arrays as its trainable parameters; what else is a float has their precision.

    The parameters share memory with the arrays, unless there is a device.
    """
    if not arrays:
        return deepcopied(module, {})
    given = list(zip(_trainable(module), arrays))
    memo = {} if device else {id(p): torch.nn.Parameter(torch.from_numpy(w)) for p, w in given if type(p) is torch.nn.Parameter}
    dtype = _torch_dtype(arrays[0].dtype) if arrays[0].dtype.kind == "f" else None
    cast = device or any(p.dtype != dtype for p, _ in given)
    module = deepcopied(module, memo)
    if dtype and cast:
        module.to(dtype)
    _fill(module, arrays, device)
    return module


def _fill(module, arrays, device):
    """Give the trainable parameters the memory of the arrays; on a device, copy them into the parameters' own, which cuDNN has laid out."""
    for p, w in zip(_trainable(module), arrays):
        given = torch.from_numpy(w)
        if not device:
            p.data = given
        elif p.dtype == given.dtype:
            p.data.copy_(given)
        else:
            p.data = given.to(device)


def _torch_dtype(dtype):
    """The torch dtype of a NumPy dtype. Raises ValueError for one that NumPy or torch has not, or that is no float."""
    try:
        name = np.dtype(dtype).name
    except TypeError:
        name = None
    if name not in ("float64", "float32", "float16"):
        raise ValueError(
            f"dtype is {dtype!r}; give numpy.float64, numpy.float32 or numpy.float16, and convert to others within call="
        )
    return getattr(torch, name)


def _check_plain(module, kind, step):
    """Raise TypeError for a module that cannot be called without call=."""
    if step not in STATES:
        names = list(inspect.signature(module.forward).parameters) or ["x"]
        known, given = f"torch_module knows how to call RNN, GRU, LSTM and their cells, not {kind}", ", ".join(names)
        states = "" if names[1:] == ["h"] else f" and states={tuple(names[1:])}"
        raise TypeError(f"{known}; pass a call=, such as lambda module, {given}: (module({given}),){states}")
    other = [f"{name}={getattr(module, name)}" for name, plain in PLAIN.items() if getattr(module, name, plain) != plain]
    if other:
        raise TypeError(f"torch_module does not know how to call a {kind} with {', '.join(other)}: pass call= and states=")


def _check_registered(module, kind):
    """Raise TypeError for what takes a gradient and is not among the parameters, such as layers in a plain list."""
    known = {id(p) for p in module.parameters()}
    for part in module.modules():
        for name, value in vars(part).items():
            for held in value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else [value]:
                tensors = held.parameters() if isinstance(held, torch.nn.Module) else [held]
                if any(isinstance(t, torch.Tensor) and t.is_leaf and t.requires_grad and id(t) not in known for t in tensors):
                    raise TypeError(
                        f"{name} of {kind} holds what takes a gradient, but parameters() does not have it, so no optimizer trains it; "
                        "register it (Parameter, ModuleList, ModuleDict), or call requires_grad_(False) on it if it is fixed"
                    )


@contextmanager
def _plainly():
    """Run torch on one thread meanwhile, and without TF32, in which a GPU rounds float32 to 11 bits; backward may run twice."""
    kept = sys.modules.get("torch._functorch.config")  # of what torch.compile makes
    threads, rounds = torch.get_num_threads(), {}
    torch.set_num_threads(1)
    for backend in (torch.backends.cudnn, torch.backends.cuda.matmul):
        with suppress(RuntimeError):  # raised where the user has chosen a precision by torch's newer names
            rounds[backend], backend.allow_tf32 = backend.allow_tf32, False
    try:
        with kept.patch(donated_buffer=False) if kept else nullcontext():
            yield
    finally:
        torch.set_num_threads(threads)
        for backend, before in rounds.items():
            backend.allow_tf32 = before


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
