"""A class over whole sequences, (batch, steps, features), that leaves its gradients on the object."""

import numpy as np


class TimeRNN:
    """hs[:, t] = tanh(xs[:, t] Wx + hs[:, t-1] Wh + b), starting from self.h."""

    def __init__(self, n_in, n_hidden):
        rng = np.random.default_rng(1)
        self.params = [rng.standard_normal((n_in, n_hidden)), rng.standard_normal((n_hidden, n_hidden)), np.zeros(n_hidden)]
        self.grads = [np.zeros_like(p) for p in self.params]
        self.h = self.dh = None

    def forward(self, xs):
        """All hidden states, (batch, steps, hidden)."""
        Wx, Wh, b = self.params
        self.xs, self.hs = xs, [self.h]
        for t in range(xs.shape[1]):
            self.hs.append(np.tanh(xs[:, t] @ Wx + self.hs[-1] @ Wh + b))
        self.h = self.hs[-1]
        return np.stack(self.hs[1:], axis=1)

    def backward(self, dhs):
        """The gradient of xs; those of the parameters are added to self.grads, that of the first state is self.dh."""
        Wx, Wh, _ = self.params
        dxs, dh = [], 0
        for t in reversed(range(self.xs.shape[1])):
            dz = (dhs[:, t] + self.carried(dh)) * (1 - self.hs[t + 1] ** 2)
            for grad, g in zip(self.grads, (self.xs[:, t].T @ dz, self.hs[t].T @ dz, dz.sum(axis=0))):
                grad += g
            dxs.insert(0, dz @ Wx.T)
            dh = dz @ Wh.T
        self.dh = dh
        return np.stack(dxs, axis=1)

    @staticmethod
    def carried(dh):
        """The gradient that arrives from the later step."""
        return dh


class StateNotCarried(TimeRNN):
    """No gradient flows from one step to the one before."""

    @staticmethod
    def carried(dh):
        """The defect."""
        return 0
