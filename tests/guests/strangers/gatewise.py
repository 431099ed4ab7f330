"""An LSTM as a gist has it: a matrix for each gate, sigmoid as a lambda, everything kept on self."""

import numpy as np

sigma = lambda v: 1.0 / (1.0 + np.exp(-v))  # noqa: E731


class LstmLayer:
    """forward(x, c, h) -> the sum of the new h."""

    def __init__(self, n_in, n_hid):
        def init(rows):
            return np.random.randn(rows, n_hid) * 0.1

        self.Wi, self.Wf, self.Wo, self.Wg = (init(n_in) for _ in range(4))
        self.Ui, self.Uf, self.Uo, self.Ug = (init(n_hid) for _ in range(4))
        self.bi, self.bf, self.bo, self.bg = np.zeros(n_hid), np.ones(n_hid), np.zeros(n_hid), np.zeros(n_hid)
        self.weights = [
            self.Wi,
            self.Wf,
            self.Wo,
            self.Wg,
            self.Ui,
            self.Uf,
            self.Uo,
            self.Ug,
            self.bi,
            self.bf,
            self.bo,
            self.bg,
        ]

    def forward(self, x, c, h):
        """The sum of the new h."""
        self.x, self.c_prev, self.h_prev = x, c, h
        self.i = sigma(np.dot(x, self.Wi) + np.dot(h, self.Ui) + self.bi)
        self.f = sigma(np.dot(x, self.Wf) + np.dot(h, self.Uf) + self.bf)
        self.o = sigma(np.dot(x, self.Wo) + np.dot(h, self.Uo) + self.bo)
        self.g = np.tanh(np.dot(x, self.Wg) + np.dot(h, self.Ug) + self.bg)
        self.c = self.f * c + self.i * self.g
        self.tc = np.tanh(self.c)
        return np.sum(self.o * self.tc)

    def backward(self, dout):
        """One gradient for each weight."""
        do = dout * self.tc * self.o * (1 - self.o)
        dc = dout * self.o * (1 - self.tc**2)
        di = dc * self.g * self.i * (1 - self.i)
        df = dc * self.c_prev * self.f * (1 - self.f)
        dg = dc * self.i * (1 - self.g**2)
        deltas = [di, df, do, dg]
        dW = [np.dot(self.x.T, d) for d in deltas]
        dU = [np.dot(self.h_prev.T, d) for d in deltas]
        return dW + dU + [np.sum(d, axis=0) for d in deltas]

    def sample(self, x, n):
        """Not called by any law."""
        return [self.forward(x, self.c, self.o * self.tc) for _ in range(n)]
