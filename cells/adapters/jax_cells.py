"""A jax function of weights as a cell: its floating arrays are the weights, jax.vjp is its backward."""

import copy

import jax
import numpy as np
from cellcheck.cells.adapters import Gradients
from cellcheck.cells.adapters.ragged import steps_of, takes_lengths
from cellcheck.cells.lift import declarations, of_sizes
from jax.tree_util import keystr, tree_flatten_with_path, tree_unflatten

SIZES = {"features": (1, 4), "state": (1, 3), "batch": (1, 3), "steps": (0, 1, 2, 8)}  # each combination is compiled once
NONE = jax.dtypes.float0  # of gradients of whole numbers
PARTS = "hold the real and the imaginary parts as two arrays, and make constants within call"


def jax_function(make, call, *, states=("h",), sequence=False, dtype=np.float64, sizes=SIZES, **declared):
    """A factory (features, state) -> cell of a pure jax function.

    make: (features, state) -> the weights: a pytree such as a dict, a list or an equinox module. call: (weights, x, *state) ->
    (*new state, and ys for a sequence), arrays of our shapes, the output last. states: names, output last. dtype: of the weights
    and of all that the function is given, but for whole numbers; 64 bits are enabled for its calls alone. sizes: the only ones
    that are drawn, since jax compiles once for each; those of SIZES where it names none. If call has a parameter `lengths`, it is
    given the steps of each row, an array of whole numbers. declared: any declaration of the contract (kind, inputs, no_gradient, ...).

    Leaves that are no floating arrays stay as the first cell of a size has them. Each floating array needs a gradient: name those
    behind a jax.lax.stop_gradient in no_gradient.
    """
    compiled = {}  # by features and state
    declared = {"sequence": sequence, "sizes": {**SIZES, **sizes}, **declarations(declared, jax_function)}

    def adapted(features, state):
        said = {name: of_sizes(name, declared[name], features, state) for name in ("inputs", "state_shapes") if name in declared}
        kind = Ragged if sequence and takes_lengths(call, declared) else Function
        return kind(make, call, (features, state), compiled, states, dtype, declared | said)

    adapted.__doc__ = getattr(call, "__doc__", None)
    return adapted


class Function:
    """A jax function behind the contract; `weights` are NumPy arrays that each call copies to the device."""

    def __init__(self, make, call, size, compiled, states, dtype, declared):
        with jax.enable_x64(np.dtype(dtype).itemsize == 8):
            paths, tree = tree_flatten_with_path(make(*size))
            kept = [None if _is_weight(leaf) else leaf for _, leaf in paths]
            self.weights = [np.array(leaf, dtype) for _, leaf in paths if _is_weight(leaf)]
        if lost := [keystr(path, simple=True, separator=".") for path, leaf in paths if jax.numpy.iscomplexobj(leaf)]:
            raise ValueError(f"{' and '.join(lost)} {'is' if len(lost) == 1 else 'are'} complex; {PARTS}")
        if paths and not self.weights:
            raise ValueError("make returned no floating array; give a pytree of jax or NumPy arrays")
        names = [keystr(path, simple=True, separator=".") for path, leaf in paths if _is_weight(leaf)]
        self.weight_names = [f"weights[{name}]" if name.isdigit() else name for name in names]
        self.state_names, self.dtypes = tuple(states), (np.dtype(dtype).type,)
        self.no_gradient = ()
        for name, value in declared.items():
            setattr(self, name, (value,) if name == "no_gradient" and isinstance(value, str) else value)
        if size not in compiled:
            compiled[size] = _compiled(call, tree, kept)
        self._forward, self._backward = compiled[size]
        self._given, self.rows = None, {}  # rows: what the function is told of their lengths

    def apply(self, x, *state):
        """The new state, the output last; computed in the dtype of the weights, complex if anything is."""
        dtype = np.result_type(*(self.weights or self.dtypes))
        if any(np.asarray(a).dtype.kind == "c" for a in (x, *state)):
            dtype = np.result_type(dtype, np.complex64)
        weights = [np.array(w, dtype) for w in self.weights]
        inputs = [np.array(a, None if np.asarray(a).dtype.kind == "i" else dtype) for a in (x, *state)]
        with _wide(dtype):
            outputs = self._forward(weights, inputs, self.rows)
        self._given, self._dtype = (weights, inputs, self.rows, outputs), dtype  # only now: a refusal changes nothing
        return tuple(np.array(y) for y in outputs)

    def jaxpr(self, arrays):
        """The closed jaxpr of the function of [*weights, x, *state], traced at these arrays."""
        n = len(self.weights)
        return jax.make_jaxpr(self._forward)(arrays[:n], arrays[n:], self._rows(arrays[n]))

    def outputs_with_rules(self):
        """What the last apply should have returned, by the rules of jax.custom_vjp: their forward pass may compute something else."""
        weights, inputs, rows, _ = self._given
        with _wide(self._dtype):
            return [np.array(y) for y in jax.vjp(lambda *given: self._forward(*given, rows), weights, inputs)[0]]

    def _rows(self, x):
        """What the function is told of the lengths of the rows, if all are whole."""
        return {}

    def vjp(self, *d_outputs):
        """Gradients of sum_k <d_outputs[k], apply(...)[k]> at the last apply, by jax.vjp."""
        if self._given is None:
            raise RuntimeError("there is nothing to differentiate: call apply first")
        weights, inputs, rows, outputs = self._given
        given, wanted = [np.shape(d) for d in d_outputs], [y.shape for y in outputs]
        if given != wanted:
            raise ValueError(f"upstream gradients have the shapes {given}, but the outputs have {wanted}")
        upstream = [
            np.asarray(d, y.dtype) if y.dtype.kind in "fc" else np.zeros(y.shape, NONE) for d, y in zip(d_outputs, outputs)
        ]
        with _wide(self._dtype):
            d_weights, d_inputs = self._backward(weights, inputs, rows, tuple(upstream))
        d_inputs = [np.zeros(d.shape) if d.dtype == NONE else np.array(d) for d in d_inputs]
        n = len(getattr(self, "inputs", "x"))
        return Gradients([np.array(d) for d in d_weights], d_inputs[0] if n == 1 else tuple(d_inputs[:n]), tuple(d_inputs[n:]))

    def __deepcopy__(self, memo):
        """A copy with the arrays that `memo` has in place of the weights; complex ones, too. What is compiled is shared."""
        new = copy.copy(self)
        new.weights, new._given = [np.array(memo.get(id(w), w)) for w in self.weights], None
        return new


class Ragged(Function):
    """A function of rows of different lengths."""

    def apply(self, x, *state, lengths=None):
        """The same. lengths: the steps of each row, all if it is None. Raises ValueError for others than fit; jax would not."""
        self.rows = self._rows(x, lengths)
        return super().apply(x, *state)

    def _rows(self, x, lengths=None):
        return {"lengths": steps_of(np.asarray(x), lengths, sure=True)}


def _is_weight(leaf):
    return isinstance(leaf, (np.ndarray, jax.Array)) and jax.numpy.issubdtype(leaf.dtype, jax.numpy.floating)


def _wide(dtype):
    """A context in which jax has 64 bits where the dtype does."""
    return jax.enable_x64(np.finfo(dtype).dtype.itemsize == 8)


def _compiled(call, tree, kept):
    """The function and its vjp, both of (weights, inputs, rows), compiled for each shape."""

    def run(weights, inputs, rows):
        weights = iter(weights)
        outputs = call(tree_unflatten(tree, [next(weights) if leaf is None else leaf for leaf in kept]), *inputs, **rows)
        if not isinstance(outputs, (tuple, list)):
            raise TypeError(f"the function returned {type(outputs).__name__}; give a tuple of arrays, the output last")
        return tuple(outputs)

    def back(weights, inputs, rows, upstream):
        return jax.vjp(lambda *given: run(*given, rows), weights, inputs)[1](upstream)

    return jax.jit(run), jax.jit(back)
