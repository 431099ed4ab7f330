"""A class over whole sequences, batch first, that adds gradients up in place."""

import numpy as np
from cellcheck.cells.adapters import adapt


class Recurrent:
    """h_t = tanh(U x_t + V h_{t-1} + bias)."""

    def __init__(self, inp, hid):
        self.U = np.random.uniform(-0.1, 0.1, (inp, hid))
        self.V = np.random.uniform(-0.1, 0.1, (hid, hid))
        self.bias = np.zeros(hid)

    def run(self, seq, h0):
        """All states, (batch, steps, hid), and the last."""
        n, T, _ = seq.shape
        self.seq, self.states = seq, np.zeros((n, T + 1, self.V.shape[0]), dtype=np.result_type(seq, self.U))
        self.states[:, 0] = h0
        for t in range(T):
            self.states[:, t + 1] = np.tanh(seq[:, t] @ self.U + self.states[:, t] @ self.V + self.bias)
        return self.states[:, 1:].copy(), self.states[:, T].copy()

    def backprop(self, dstates, dlast):
        """(dseq, dh0); the gradients of the weights are left in dU, dV, dbias."""
        T = self.seq.shape[1]
        self.dU, self.dV, self.dbias = np.zeros_like(self.U), np.zeros_like(self.V), np.zeros_like(self.bias)
        dseq = np.zeros_like(self.seq)
        carry = dlast
        for t in range(T - 1, -1, -1):
            out = self.states[:, t + 1]
            delta = (dstates[:, t] + carry) * (1 - out**2)
            self.dU += self.seq[:, t].T @ delta
            self.dV += self.states[:, t].T @ delta
            self.dbias += delta.sum(0)
            dseq[:, t] = delta @ self.U.T
            carry = delta @ self.V.T
        return dseq, carry


RNN = adapt(
    Recurrent,
    ("x h -> ys h", "run"),
    ("dys dh -> dx dh dU=.dU dV=.dV dbias=.dbias", "backprop"),
    weights="U V bias",
    axes="batch steps features",
)
