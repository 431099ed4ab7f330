"""A cell as a plain function of all its arrays, to be evaluated at other, perhaps complex, values."""

import numpy as np
from cellcheck.cells.copying import deepcopied


class Function:
    """arrays = [*weights, x, *state] -> apply(x, *state) of a private copy of the cell, whose own arrays never change.

    Other weights are bound by deepcopy, so attributes, lists, dicts and nested cells follow, and the cache is private. A cell
    that keeps its weights where deepcopy does not reach (`rebinds` False) is written in place and restored: real values only.
    """

    def __init__(self, cell, rebinds=True, dtype=None):
        """cell: an instance; rebinds: whether deepcopy finds its weights; dtype: of all that it is given, None for what comes."""
        self.cell, self.rebinds, self.dtype = rebound(cell, cell.weights) if rebinds else cell, rebinds, dtype

    def __call__(self, arrays):
        """The outputs at `arrays`, a tuple of arrays."""
        n = len(self.cell.weights)
        arrays = [a if a.flags.c_contiguous else a.copy() for a in arrays]  # the layout that a cell gets in ordinary use
        if self.dtype:
            arrays = [a.astype(self.dtype) for a in arrays]
        weights, (x, *state) = arrays[:n], arrays[n:]
        with np.errstate(all="ignore"):
            if self.rebinds:
                return rebound(self.cell, weights).apply(x, *state)
            kept = [np.array(w) for w in self.cell.weights]
            try:
                self._write(weights)
                return tuple(np.array(y) for y in self.cell.apply(x, *state))
            finally:
                self._write(kept)

    def _write(self, weights):
        for w, new in zip(self.cell.weights, weights):
            w[...] = new


def rebound(cell, weights):
    """A copy of the cell that holds these arrays in place of its weights, wherever it kept them."""
    return deepcopied(cell, {id(old): np.asanyarray(new) for old, new in zip(cell.weights, weights)})


def differentiated(cell, weights, given, upstream):
    """The gradients that a copy of the cell with these weights offers, in a list: of weights, inputs, then states."""
    copied = rebound(cell, weights)
    copied.apply(*given)
    weights, x, rest = copied.vjp(*(np.asarray(u, dtype=float) for u in upstream))
    return [g for g in (*(weights or ()), *(x if isinstance(x, tuple) else (x,)), *(rest or ())) if g is not None]
