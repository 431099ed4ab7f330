"""Correct cells whose backward is the textbook's: s (1 - s) and 1 - t^2 from cached activations, inaccurate in deep saturation."""

import numpy as np
from cellcheck.cells import GRU, LSTM, RNN, Gradients, Unroll
from cellcheck.cells.activations import sigmoid


class TextbookRNN(RNN):
    """dz = dh (1 - h'^2)."""

    def _vjp(self, dh):
        X, z = self._cache
        dz = dh * (1 - np.tanh(z) ** 2)
        dX = dz @ self.W.T
        return Gradients([X.T @ dz, dz.sum(axis=0)], dX[:, : self.input_features], (dX[:, self.input_features :],))


class TextbookLSTM(LSTM):
    """di = dc g i (1 - i), and so on."""

    def _vjp(self, dc, dh):
        X, z, c, c_new = self._cache
        i, f, o = (sigmoid(gate) for gate in np.split(z, 4, axis=1)[:3])
        g, t = np.tanh(np.split(z, 4, axis=1)[3]), np.tanh(c_new)
        dc = dc + dh * o * (1 - t * t)
        dz = np.concatenate([dc * g * i * (1 - i), dc * c * f * (1 - f), dh * t * o * (1 - o), dc * i * (1 - g * g)], axis=1)
        dX = dz @ self.W.T
        return Gradients([X.T @ dz, dz.sum(axis=0)], dX[:, : self.input_features], (dc * f, dX[:, self.input_features :]))


class TextbookGRU(GRU):
    """du = dh (n - h) u (1 - u), and so on."""

    def _vjp(self, dh):
        x, h, a, s = self._cache
        (a_r, a_u, a_n), (s_r, s_u, s_n) = np.split(a, 3, axis=1), np.split(s, 3, axis=1)
        r, u = sigmoid(a_r + s_r), sigmoid(a_u + s_u)
        n = np.tanh(a_n + r * s_n)
        dn = dh * u * (1 - n * n)
        dr, du = dn * s_n * r * (1 - r), dh * (n - h) * u * (1 - u)
        da, ds = np.concatenate([dr, du, dn], axis=1), np.concatenate([dr, du, dn * r], axis=1)
        weights = [x.T @ da, h.T @ ds, da.sum(axis=0), ds.sum(axis=0)]
        return Gradients(weights, da @ self.W_input.T, (ds @ self.W_state.T + dh * (1 - u),))


STEPS = [TextbookRNN, TextbookLSTM, TextbookGRU]
UNROLLED = [Unroll(Step) for Step in STEPS]
