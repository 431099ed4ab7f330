"""Two guests with a classic mistake each, for the example reports."""

import numpy as np
from cellcheck.cells import LSTM, RNN, Gradients, Unroll
from cellcheck.cells.activations import d_sigmoid, d_tanh, sigmoid, tanh


class SwappedGates(LSTM):
    """The first gate forgets and the second admits, forwards and backwards: no gradient tells, but i f o g is declared."""

    def _swapped(self, z):
        i, f, o, g = np.split(z, 4, axis=1)
        return np.concatenate([f, i, o, g], axis=1)

    def _apply(self, x, c, h):
        X = np.concatenate([x, h], axis=1)
        z = self._swapped(X @ self.W + self.b)
        i, f, o, g = np.split(z, 4, axis=1)
        c_new = sigmoid(f) * c + sigmoid(i) * tanh(g)
        self._cache = X, z, c.copy(), c_new.copy()
        return c_new, sigmoid(o) * tanh(c_new)

    def _vjp(self, dc, dh):
        X, z, c, c_new = self._cache
        i, f, o, g = np.split(z, 4, axis=1)
        dc = dc + dh * sigmoid(o) * d_tanh(c_new)
        di, df = dc * tanh(g) * d_sigmoid(i), dc * c * d_sigmoid(f)
        do, dg = dh * tanh(c_new) * d_sigmoid(o), dc * sigmoid(i) * d_tanh(g)
        dz = self._swapped(np.concatenate([di, df, do, dg], axis=1))
        dX = dz @ self.W.T
        dx, dh = dX[:, : self.input_features], dX[:, self.input_features :]
        return Gradients([X.T @ dz, dz.sum(axis=0)], dx, (dc * sigmoid(f), dh))


class StateGradientNotCarried(Unroll(RNN)):  # type: ignore[misc]
    """Each step is differentiated alone: what flows into its state goes no further."""

    def _vjp(self, *d_outputs):
        x, _, taken = self._cache
        *d_final, d_ys = d_outputs
        d_weights, dx = [np.zeros_like(w) for w in self.weights], np.zeros(x.shape)
        d_state = tuple(d_final)
        for t in reversed(range(len(x))):
            carried = d_state[-1] if t == len(x) - 1 else 0
            step = taken[t].vjp(carried + d_ys[t])
            d_weights = [total + d for total, d in zip(d_weights, step.weights, strict=True)]
            dx[t], d_state = step.x, step.state
        return Gradients(d_weights, dx, d_state)
