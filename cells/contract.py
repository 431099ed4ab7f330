"""What a cell is: the shapes, the names and the refusals that every shipped cell shares."""

from typing import Any, ClassVar, NamedTuple

import numpy as np

# A new generator for each cell would cost more than the cell. This kind is the fastest.
FRESH = np.random.Generator(np.random.SFC64())


class Gradients(NamedTuple):
    """Gradients of sum_k <d_outputs[k], apply(...)[k]> at the last apply.

    weights: one array per weight, same order, shape and dtype; x: the shape of x; state: one (batch, state) array per state.
    A field is None where a cell offers no such gradient.
    """

    weights: Any
    x: Any
    state: Any


class Cell:
    """The half of a cell that does not depend on its equations.

    A shipped cell adds `_apply(x, *state)`, which returns the new state and keeps what `_vjp(*d_outputs)` needs in `_cache`.
    The class attributes below are the declarations a cell may make, with their defaults.
    """

    state_names: tuple[str, ...] = ("h",)
    kind: str | None = None  # "RNN", "LSTM" or "GRU": computes exactly those equations, given `weight_blocks`
    sequence = False  # x is (steps, batch, features) and apply returns (*final states, ys)
    gradients: tuple[str, ...] = ("weights", "x", "state")
    batch: int | None = None  # None: any number of rows; 1: a single row only
    dtypes: tuple[type, ...] = (np.float64, np.float32)
    complex: bool | None = None  # None: find out; False: never try complex numbers
    transposed = False  # weights are (state, fan_in)
    weight_blocks: Any = None  # for each weight a dict (source, gate) -> index
    # of weights, states and x by name: "positive", "non-negative", "non-zero", "tokens", (low, high), a range
    domains: ClassVar[dict] = {}
    output_shape: tuple[int, ...] | None = None  # without the batch, of an output that is not a state; None: the last state

    def __init__(self, input_features, state_size):
        for name, size in (("input_features", input_features), ("state_size", state_size)):
            if not isinstance(size, (int, np.integer)) or size < 0:
                raise ValueError(f"{name} is {size!r}; {type(self).__name__} wants a whole number, 0 or more")
        self.input_features, self.state_size = input_features, state_size
        self._cache = None

    @property
    def state_shapes(self):
        """The shape of each state by name, without the batch."""
        return dict.fromkeys(self.state_names, (self.state_size,))

    def apply(self, x, *state):
        """The new state, each (batch, state), the output last. Without states, starts from zeros.

        x: (batch, features), each state (batch, state).
        Raises TypeError for what is not numbers and ValueError for a wrong shape, before anything changes.
        """
        return self._apply(*self._checked_input(x, state))

    def vjp(self, *d_outputs):
        """Gradients of sum_k <d_outputs[k], apply(...)[k]> at the last apply.

        d_outputs: one upstream per output of apply, of its shape.
        Raises RuntimeError before the first apply, TypeError and ValueError for upstreams of another kind or shape.
        """
        if self._cache is None:
            raise RuntimeError(f"{self} has nothing to differentiate: call apply or forward first")
        return self._vjp(*self._checked_upstream(d_outputs))

    def forward(self, x, *state):
        """The sum of the new hidden state over batch and units: a scalar."""
        return self.apply(x, *state)[-1].sum()

    def backward(self, d_output):
        """Gradients of <d_output, hidden state> in the order, shape and dtype of `weights`.

        d_output: a scalar (the upstream of forward) or an array of the shape of the hidden state.
        """
        if self._cache is None:
            raise RuntimeError(f"{self} has nothing to differentiate: call apply or forward first")
        *others, shape = self._output_shapes()
        d = _numbers("d_output", d_output)
        if d.shape not in ((), shape):
            raise ValueError(f"d_output is {d.shape}, but {self} wants a scalar or {shape}")
        return self.vjp(*map(np.zeros, others), np.broadcast_to(d, shape)).weights

    def __copy__(self):
        """As copy.copy makes it, in a third of the time."""
        new = object.__new__(type(self))
        vars(new).update(vars(self))
        return new

    def __repr__(self):
        return f"{type(self).__name__}(input_features={self.input_features}, state_size={self.state_size})"

    def _checked_input(self, x, state):
        x = self._cast(_numbers("x", x))
        axes = ("steps", "batch", "features") if self.sequence else ("batch", "features")
        if x.ndim != len(axes):
            raise ValueError(f"x is {x.shape}, but {self} wants ({', '.join(axes)})")
        if x.shape[-1] != self.input_features:
            raise ValueError(f"x has {x.shape[-1]} features, but {self} wants {self.input_features}")
        shapes = self._states_of(x.shape[-2])
        if not state:
            return x, *(np.zeros(shape, self.weights[0].dtype) for shape in shapes)
        if len(state) != len(self.state_names):
            raise ValueError(f"{len(state)} states given, but {self} has {', '.join(self.state_names)}: give all or none")
        state = [self._cast(_numbers(name, s)) for name, s in zip(self.state_names, state)]
        for name, s, shape in zip(self.state_names, state, shapes):
            if s.shape != shape:
                raise ValueError(f"{name} is {s.shape}, but {self} wants (batch, state) = {shape} beside this x")
        return x, *state

    def _states_of(self, batch):
        return [(batch, *shape) for shape in self.state_shapes.values()]

    def _checked_upstream(self, d_outputs):
        shapes = self._output_shapes()
        if len(d_outputs) != len(shapes):
            raise ValueError(f"{len(d_outputs)} upstream gradients given, but {self} has {len(shapes)} outputs")
        d_outputs = [_numbers(f"d_outputs[{k}]", d) for k, d in enumerate(d_outputs)]
        for k, (d, shape) in enumerate(zip(d_outputs, shapes)):
            if d.shape != shape:
                raise ValueError(f"d_outputs[{k}] is {d.shape}, but the output is {shape}")
            if d.dtype.kind == "c" and self.weights[0].dtype.kind != "c":
                raise TypeError(f"d_outputs[{k}] is complex, but {self} has real weights: give a real upstream")
        return [self._cast(d) for d in d_outputs]

    def _cast(self, a):
        """`a` in the dtype of the weights, in which everything is computed; complex numbers stay complex."""
        return a if a.dtype.kind == "c" else a.astype(self.weights[0].dtype, copy=False)

    def _output_shapes(self):
        batch = self._cache[0].shape[0]
        return self._states_of(batch) + ([(batch, *self.output_shape)] if self.output_shape else [])


def _numbers(name, value):
    """`value` as an array of numbers; anything else is refused by name."""
    try:
        array = np.asarray(value) if isinstance(value, np.matrix) else np.asanyarray(value)
    except ValueError:
        raise TypeError(f"{name} is a ragged {type(value).__name__}; wanted an array of numbers") from None
    if array.dtype.kind not in "biufc":
        raise TypeError(f"{name} has dtype {array.dtype}; wanted an array of numbers")
    return array


def standard_normal(rng, dtype, *shapes):
    """Arrays of standard normal weights, one per shape, from `rng` (a numpy Generator, a seed, or None for whatever comes)."""
    if not np.issubdtype(dtype, np.inexact):
        raise TypeError(f"dtype is {dtype!r}; wanted a floating one, such as numpy.float32")
    rng = FRESH if rng is None else np.random.default_rng(rng)
    return [rng.standard_normal(shape).astype(dtype, copy=False) for shape in shapes]


def side_by_side(z, n):
    """The n gates that lie side by side in z, (batch, n state): each (batch, state), copied, since arithmetic on small strided arrays is slow."""
    return z.reshape(len(z), n, z.shape[1] // n).swapaxes(0, 1).copy()
