"""The LSTM cell of Hochreiter and Schmidhuber with the forget gate of Gers, without peepholes."""

import numpy as np
from cellcheck.cells.activations import d_sigmoid, d_tanh, sigmoid, tanh
from cellcheck.cells.contract import Cell, Gradients, side_by_side, standard_normal

GATES = ("input", "forget", "output", "candidate")


class LSTM(Cell):
    """[i f o g] = [x, h] W + b;  c' = sigmoid(f) c + sigmoid(i) tanh(g);  h' = sigmoid(o) tanh(c').

    W is (features + state, 4 state), b (4 state,).
    """

    kind = "LSTM"
    state_names = ("c", "h")

    def __init__(self, input_features, state_size, *, rng=None, dtype=np.float64):
        """Standard normal W and zero b; `rng` is a numpy Generator or a seed."""
        super().__init__(input_features, state_size)
        [self.W] = standard_normal(rng, dtype, (input_features + state_size, 4 * state_size))
        self.b = np.zeros(4 * state_size, dtype)
        self.weights = [self.W, self.b]

    @property
    def weight_blocks(self):
        """Which part of each weight multiplies what: (source, gate) -> index."""
        F, S = self.input_features, self.state_size
        columns = {gate: np.s_[k * S : (k + 1) * S] for k, gate in enumerate(GATES)}
        rows = {"x": np.s_[:F], "h": np.s_[F:]}
        return [
            {(source, gate): (rows[source], columns[gate]) for source in rows for gate in GATES},
            {("bias", gate): columns[gate] for gate in GATES},
        ]

    def _apply(self, x, c, h):
        X = np.concatenate([x, h], axis=1)
        z = X @ self.W + self.b
        i, f, o, g = side_by_side(z, 4)
        c_new = sigmoid(f) * c + sigmoid(i) * tanh(g)
        self._cache = X, z, c.copy(), c_new.copy()
        return c_new, sigmoid(o) * tanh(c_new)

    def _vjp(self, dc, dh):
        X, z, c, c_new = self._cache
        i, f, o, g = side_by_side(z, 4)
        dc = dc + dh * sigmoid(o) * d_tanh(c_new)
        di = dc * tanh(g) * d_sigmoid(i)
        df = dc * c * d_sigmoid(f)
        do = dh * tanh(c_new) * d_sigmoid(o)
        dg = dc * sigmoid(i) * d_tanh(g)
        dz = np.concatenate([di, df, do, dg], axis=1)
        dX = dz @ self.W.T
        dx, dh = dX[:, : self.input_features], dX[:, self.input_features :]
        return Gradients([X.T @ dz, dz.sum(axis=0)], dx, (dc * sigmoid(f), dh))
