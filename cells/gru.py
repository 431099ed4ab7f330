"""The GRU cell of Cho et al. with the reset gate after the matrix product (the cuDNN form)."""

import numpy as np
from cellcheck.cells.activations import d_sigmoid, d_tanh, sigmoid, tanh
from cellcheck.cells.contract import Cell, Gradients, side_by_side, standard_normal

GATES = ("reset", "update", "candidate")


class GRU(Cell):
    """a = x W_input + b_input, s = h W_state + b_state; r = sigmoid(a_r + s_r), u = sigmoid(a_u + s_u), n = tanh(a_n + r s_n);
    h' = u (n - h) + h.

    W_input is (features, 3 state), W_state (state, 3 state), both biases (3 state,), in the order r u n.
    """

    kind = "GRU"

    def __init__(self, input_features, state_size, *, rng=None, dtype=np.float64):
        """Standard normal matrices and zero biases; `rng` is a numpy Generator or a seed."""
        super().__init__(input_features, state_size)
        columns = 3 * state_size
        self.W_input, self.W_state = standard_normal(rng, dtype, (input_features, columns), (state_size, columns))
        self.b_input, self.b_state = np.zeros(columns, dtype), np.zeros(columns, dtype)
        self.weights = [self.W_input, self.W_state, self.b_input, self.b_state]

    @property
    def weight_blocks(self):
        """Which part of each weight multiplies what: (source, gate) -> index."""
        S = self.state_size
        columns = {gate: np.s_[..., k * S : (k + 1) * S] for k, gate in enumerate(GATES)}
        return [{(source, gate): columns[gate] for gate in GATES} for source in ("x", "h", "bias_x", "bias_h")]

    def _apply(self, x, h):
        a = x @ self.W_input + self.b_input
        s = h @ self.W_state + self.b_state
        (a_r, a_u, a_n), (s_r, s_u, s_n) = side_by_side(a, 3), side_by_side(s, 3)
        n = tanh(a_n + sigmoid(a_r + s_r) * s_n)
        self._cache = x.copy(), h.copy(), a, s
        return (sigmoid(a_u + s_u) * (n - h) + h,)

    def _vjp(self, dh):
        x, h, a, s = self._cache
        (a_r, a_u, a_n), (s_r, s_u, s_n) = side_by_side(a, 3), side_by_side(s, 3)
        r, u = sigmoid(a_r + s_r), sigmoid(a_u + s_u)
        z_n = a_n + r * s_n
        dn = dh * u * d_tanh(z_n)
        dr = dn * s_n * d_sigmoid(a_r + s_r)
        du = dh * (tanh(z_n) - h) * d_sigmoid(a_u + s_u)
        da = np.concatenate([dr, du, dn], axis=1)
        ds = np.concatenate([dr, du, dn * r], axis=1)
        weights = [x.T @ da, h.T @ ds, da.sum(axis=0), ds.sum(axis=0)]
        return Gradients(weights, da @ self.W_input.T, (ds @ self.W_state.T + dh * sigmoid(-a_u - s_u),))
