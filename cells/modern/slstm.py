"""The sLSTM of Beck et al., "xLSTM: Extended Long Short-Term Memory" (arXiv 2405.04517, 2024), equations 8 to 17."""

from typing import ClassVar

import numpy as np
from cellcheck.cells.activations import d_sigmoid, d_tanh, log_sigmoid, sigmoid, tanh
from cellcheck.cells.contract import Cell, Gradients, side_by_side, standard_normal


class SLSTM(Cell):
    """[i f o g] = [x, h] W + b;  m' = max(log sigmoid(f) + m, i);  keep = exp(log sigmoid(f) + m - m');
    write = exp(i - m');  c' = keep c + write tanh(g);  n' = keep n + write;  h' = sigmoid(o) c' / n'.

    W is (features + state, 4 state), b (4 state,). The states c, n, m and h are (batch, state) and n is not negative. Where n
    is 0 the memory is empty: its m counts as minus infinity, as in the authors' code. vjp has the exact derivative of every
    output, the stabiliser m' included: what h' seems to owe to m' cancels.
    """

    kind = "sLSTM"
    state_names = ("c", "n", "m", "h")
    domains: ClassVar[dict] = {"n": "non-negative"}

    def __init__(self, input_features, state_size, *, rng=None, dtype=np.float64):
        """Standard normal W and zero b; `rng` is a numpy Generator or a seed."""
        super().__init__(input_features, state_size)
        [self.W] = standard_normal(rng, dtype, (input_features + state_size, 4 * state_size))
        self.b = np.zeros(4 * state_size, dtype)
        self.weights = [self.W, self.b]

    def _apply(self, x, c, n, m, h):
        X = np.concatenate([x, h], axis=1)
        i, f, o, g = side_by_side(X @ self.W + self.b, 4)
        old = np.where(n.real == 0, -np.inf, log_sigmoid(f) + m)
        m_new = np.where(old.real > i.real, old, i)
        keep, write = np.exp(old - m_new), np.exp(i - m_new)
        c_new, n_new = keep * c + write * tanh(g), keep * n + write
        self._cache = X, (f, o, g), (keep, write, old.real > i.real), (c.copy(), n.copy()), (c_new.copy(), n_new.copy())
        return c_new, n_new, m_new, sigmoid(o) * c_new / n_new

    def _vjp(self, dc, dn, dm, dh):
        X, (f, o, g), (keep, write, keeps), (c, n), (c_new, n_new) = self._cache
        y = c_new / n_new
        dy = dh * sigmoid(o) / n_new
        dm = dm - dc * c_new - dn * n_new  # through keep and write; that of h' cancels
        dc, dn = dc + dy, dn - dy * y
        d_old = (dc * c + dn * n) * keep + dm * keeps
        di = (dc * tanh(g) + dn) * write + dm * ~keeps
        df = d_old * sigmoid(-f)
        do = dh * y * d_sigmoid(o)
        dg = dc * write * d_tanh(g)
        dz = np.concatenate([di, df, do, dg], axis=1)
        dX = dz @ self.W.T
        dx, dh = dX[:, : self.input_features], dX[:, self.input_features :]
        return Gradients([X.T @ dz, dz.sum(axis=0)], dx, (dc * keep, dn * keep, d_old, dh))
