"""The LSTM with peephole connections of Gers and Schmidhuber, "Recurrent Nets that Time and Count" (IJCNN 2000)."""

import numpy as np
from cellcheck.cells.activations import d_sigmoid, d_tanh, sigmoid, tanh
from cellcheck.cells.contract import Cell, Gradients, side_by_side, standard_normal


class PeepholeLSTM(Cell):
    """[i f o g] = [x, h] W + b;  c' = sigmoid(f + p_f c) c + sigmoid(i + p_i c) tanh(g);  h' = sigmoid(o + p_o c') tanh(c').

    W is (features + state, 4 state), b (4 state,), p (3, state) in the order i f o. The output gate looks at the new c.
    """

    kind = "peephole LSTM"
    state_names = ("c", "h")

    def __init__(self, input_features, state_size, *, rng=None, dtype=np.float64):
        """Standard normal W and p, zero b; `rng` is a numpy Generator or a seed."""
        super().__init__(input_features, state_size)
        self.W, self.p = standard_normal(rng, dtype, (input_features + state_size, 4 * state_size), (3, state_size))
        self.b = np.zeros(4 * state_size, dtype)
        self.weights = [self.W, self.b, self.p]

    def _apply(self, x, c, h):
        X = np.concatenate([x, h], axis=1)
        i, f, o, g = side_by_side(X @ self.W + self.b, 4)
        p_i, p_f, p_o = self.p
        i, f = i + p_i * c, f + p_f * c
        c_new = sigmoid(f) * c + sigmoid(i) * tanh(g)
        o = o + p_o * c_new
        self._cache = X, (i, f, o, g), c.copy(), c_new.copy()
        return c_new, sigmoid(o) * tanh(c_new)

    def _vjp(self, dc, dh):
        X, (i, f, o, g), c, c_new = self._cache
        p_i, p_f, p_o = self.p
        do = dh * tanh(c_new) * d_sigmoid(o)
        dc = dc + dh * sigmoid(o) * d_tanh(c_new) + do * p_o
        di = dc * tanh(g) * d_sigmoid(i)
        df = dc * c * d_sigmoid(f)
        dg = dc * sigmoid(i) * d_tanh(g)
        dz = np.concatenate([di, df, do, dg], axis=1)
        dp = np.stack([(di * c).sum(axis=0), (df * c).sum(axis=0), (do * c_new).sum(axis=0)])
        dX = dz @ self.W.T
        dx, dh = dX[:, : self.input_features], dX[:, self.input_features :]
        return Gradients([X.T @ dz, dz.sum(axis=0), dp], dx, (dc * sigmoid(f) + di * p_i + df * p_f, dh))
