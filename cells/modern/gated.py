"""What cells have in common whose gates depend on x alone, so that all steps of a sequence can be projected at once."""

import numpy as np
from cellcheck.cells.contract import Cell, standard_normal


class Gated(Cell):
    """A cell with all its gates in z = x W + b, side by side; W is (features, columns), b (columns,).

    A subclass says in `widths` how many columns each gate has. A sequence cell that is made of it uses the same two methods.
    """

    widths: tuple[int, ...]

    def __init__(self, input_features, state_size, *, rng=None, dtype=np.float64):
        """Standard normal W and zero b; `rng` is a numpy Generator or a seed."""
        super().__init__(input_features, state_size)
        columns = sum(self.widths)
        [self.W] = standard_normal(rng, dtype, (input_features, columns))
        self.b = np.zeros(columns, dtype)
        self.weights = [self.W, self.b]

    def gates(self, x):
        """The pre-activations of x (..., features): a list of arrays (..., width), one for each gate."""
        return np.split(x @ self.W + self.b, np.cumsum(self.widths)[:-1], axis=-1)

    def through_gates(self, x, d_gates):
        """([dW, db], dx) of upstreams for the gates, each (..., width)."""
        d, leading = np.concatenate(d_gates, axis=-1), list(range(x.ndim - 1))
        return [np.tensordot(x, d, (leading, leading)), d.sum(axis=tuple(leading))], d @ self.W.T
