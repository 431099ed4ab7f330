"""A leaky unit of no known kind, with a guard that ordinary numbers never reach."""

import numpy as np


class Leaky:
    """h' = (1 - a) h + a tanh(x W + h U + b) with a fixed rate a."""

    state_names = ("h",)
    RATE = 0.3

    def __init__(self, d, k):
        self.W, self.U, self.b = np.random.randn(d, k), np.random.randn(k, k), np.zeros(k)
        self.weights = [self.W, self.U, self.b]

    def apply(self, x, h):
        """(h',)."""
        z = x @ self.W + h @ self.U + self.b
        if np.abs(z).max(initial=0) > 1e300:
            z = z * 1e-300
            z = z + 1
        self.saved = x.copy(), h.copy(), np.tanh(z)
        return ((1 - self.RATE) * h + self.RATE * self.saved[2],)

    def vjp(self, dh):
        """(weights, x, state)."""
        x, h, t = self.saved
        dz = dh * self.RATE * (1 - t**2)
        return [x.T @ dz, h.T @ dz, dz.sum(axis=0)], dz @ self.W.T, ((1 - self.RATE) * dh + dz @ self.U.T,)
