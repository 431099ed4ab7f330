"""The Elman cell: h' = tanh([x, h] W + b)."""

import numpy as np
from cellcheck.cells.activations import d_tanh, tanh
from cellcheck.cells.contract import Cell, Gradients, standard_normal


class RNN(Cell):
    """h' = tanh([x, h] W + b), with W (features + state, state) and b (state,)."""

    kind = "RNN"

    def __init__(self, input_features, state_size, *, rng=None, dtype=np.float64):
        """Standard normal W and zero b; `rng` is a numpy Generator or a seed."""
        super().__init__(input_features, state_size)
        [self.W] = standard_normal(rng, dtype, (input_features + state_size, state_size))
        self.b = np.zeros(state_size, dtype)
        self.weights = [self.W, self.b]

    @property
    def weight_blocks(self):
        """Which part of each weight multiplies what: (source, gate) -> index."""
        F = self.input_features
        return [{("x", "candidate"): np.s_[:F], ("h", "candidate"): np.s_[F:]}, {("bias", "candidate"): np.s_[:]}]

    def _apply(self, x, h):
        X = np.concatenate([x, h], axis=1)
        z = X @ self.W + self.b
        self._cache = X, z
        return (tanh(z),)

    def _vjp(self, dh):
        X, z = self._cache
        dz = dh * d_tanh(z)
        dX = dz @ self.W.T
        dx, dh = dX[:, : self.input_features], dX[:, self.input_features :]
        return Gradients([X.T @ dz, dz.sum(axis=0)], dx, (dh,))
