"""A cell of low precision in float64, even where its own code casts to a narrower type."""

import copy

import numpy as np
from cellcheck.properties.oracles.function import rebound


class Wide(np.ndarray):
    """An array that no cast makes narrower: it and all that is computed of it stay float64, or complex."""

    def astype(self, dtype, *arguments, **options):
        """A copy; of another type only where that is no float."""
        return self.copy() if np.dtype(dtype).kind in "fc" else self.view(np.ndarray).astype(dtype, *arguments, **options)

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, dtype=None, **options):
        """The result of an operation, whatever type it asks for."""
        options |= _kept(dtype)
        if out:
            options["out"] = tuple(map(_plain, out))
        result = getattr(ufunc, method)(*map(_plain, inputs), **options)
        return out[0] if out and len(out) == 1 else wide(result)

    def __array_function__(self, function, types, arguments, options):
        """Likewise for functions that are not ufuncs."""
        others = {name: _plain(value) for name, value in options.items() if name != "dtype"}
        return wide(function(*map(_plain, arguments), **others, **_kept(options.get("dtype"))))


def _kept(dtype):
    """The option with this dtype; none if it is a type of floats."""
    return {} if dtype is None or np.dtype(dtype).kind in "fc" else {"dtype": dtype}


def wide(value):
    """Each array of floats in it as a Wide one of float64 or complex128."""
    if isinstance(value, (tuple, list)):
        return _each(wide, value)
    if not isinstance(value, (np.ndarray, np.floating)) or np.asarray(value).dtype.kind not in "fc":
        return value
    return np.asarray(value, dtype=np.result_type(value, np.float64)).view(Wide)


def _plain(value):
    if isinstance(value, (tuple, list)):
        return _each(_plain, value)
    return value.view(np.ndarray) if isinstance(value, Wide) else value


def _each(function, values):
    """The same kind of list or tuple, also a named one, of what the function makes of each."""
    made = list(map(function, values))
    return type(values)(*made) if hasattr(values, "_fields") else type(values)(made)


class Widened:
    """A copy of a lifted cell with weights of float64. Its casts by astype and dtype= have no effect; np.array(a, dtype) still casts."""

    def __init__(self, cell):
        """cell: an instance."""
        self.spec, self.cell = cell.spec, rebound(cell, list(map(wide, cell.weights)))

    @property
    def weights(self):
        """Its live weights."""
        return self.cell.weights

    def apply(self, x, *state):
        """The outputs, from the same numbers in float64."""
        return self.cell.apply(wide(x), *map(wide, state))

    def vjp(self, *d_outputs):
        """The gradients, likewise."""
        return self.cell.vjp(*map(wide, d_outputs))

    def __deepcopy__(self, memo):
        """A copy that holds the arrays which `memo` has in place of the weights as Wide ones."""
        new = copy.copy(self)
        new.cell = copy.deepcopy(self.cell, {key: wide(value) for key, value in memo.items()})
        return new
