"""The LSTM with a projected state of Sak et al., "Long Short-Term Memory ... for Large Scale Acoustic Modeling" (2014)."""

import numpy as np
from cellcheck.cells.activations import d_sigmoid, d_tanh, sigmoid, tanh
from cellcheck.cells.contract import Cell, Gradients, side_by_side, standard_normal


class ProjectedLSTM(Cell):
    """[i f o g] = [x, h] W + b;  c' = sigmoid(f) c + sigmoid(i) tanh(g);  h' = (sigmoid(o) tanh(c')) R.

    c is (batch, state), h (batch, projected) with half as many units, rounded up. W is (features + projected, 4 state),
    b (4 state,), R (state, projected). Without the peepholes of the paper, as `proj_size` of torch.nn.LSTM.
    """

    kind = "projected LSTM"
    state_names = ("c", "h")

    def __init__(self, input_features, state_size, *, rng=None, dtype=np.float64):
        """Standard normal W and R, zero b; `rng` is a numpy Generator or a seed."""
        super().__init__(input_features, state_size)
        self.projected = (state_size + 1) // 2
        shapes = (input_features + self.projected, 4 * state_size), (state_size, self.projected)
        self.W, self.R = standard_normal(rng, dtype, *shapes)
        self.b = np.zeros(4 * state_size, dtype)
        self.weights = [self.W, self.b, self.R]

    @property
    def state_shapes(self):
        """c has all units, h the projected ones."""
        return {"c": (self.state_size,), "h": (self.projected,)}

    def _apply(self, x, c, h):
        X = np.concatenate([x, h], axis=1)
        i, f, o, g = z = side_by_side(X @ self.W + self.b, 4)
        c_new = sigmoid(f) * c + sigmoid(i) * tanh(g)
        self._cache = X, z, c.copy(), c_new.copy()
        return c_new, (sigmoid(o) * tanh(c_new)) @ self.R

    def _vjp(self, dc, dh):
        X, (i, f, o, g), c, c_new = self._cache
        dR, dh = (sigmoid(o) * tanh(c_new)).T @ dh, dh @ self.R.T
        dc = dc + dh * sigmoid(o) * d_tanh(c_new)
        di = dc * tanh(g) * d_sigmoid(i)
        df = dc * c * d_sigmoid(f)
        do = dh * tanh(c_new) * d_sigmoid(o)
        dg = dc * sigmoid(i) * d_tanh(g)
        dz = np.concatenate([di, df, do, dg], axis=1)
        dX = dz @ self.W.T
        dx, dh = dX[:, : self.input_features], dX[:, self.input_features :]
        return Gradients([X.T @ dz, dz.sum(axis=0), dR], dx, (dc * sigmoid(f), dh))
