"""An RNN whose pre-activation is normalised over the rows of the batch."""

from typing import ClassVar

import numpy as np

EPSILON = 1e-3


class Undeclared:
    """h' = tanh(g n + b), where n is x W + h U without its mean over the rows, in units of its standard deviation."""

    def __init__(self, features, state):
        self.W, self.U, self.g, self.b = (np.zeros(s) for s in ((features, state), (state, state), state, state))
        self.weights = [self.W, self.U, self.g, self.b]

    def apply(self, x, h):
        """h', a row for each of x."""
        a, rows = x @ self.W + h @ self.U, max(len(x), 1)
        a = a - a.sum(0) / rows
        s = 1 / np.sqrt((a * a).sum(0) / rows + EPSILON)
        y = np.tanh(self.g * a * s + self.b)
        self.kept = x.copy(), h.copy(), a * s, s, y
        return (y.copy(),)

    def centred(self, d):
        """The gradient of a from that of n, but for the factor s."""
        n, rows = self.kept[2], max(len(d), 1)
        return d - d.sum(0) / rows - n * (d * n).sum(0) / rows

    def vjp(self, dy):
        """Through mean and variance."""
        x, h, n, s, y = self.kept
        dz = dy * (1 - y * y)
        da = s * self.centred(dz * self.g)
        return [x.T @ da, h.T @ da, (dz * n).sum(0), dz.sum(0)], da @ self.W.T, (da @ self.U.T,)


class BatchNorm(Undeclared):
    """As it is meant to be."""

    choices: ClassVar = {"batch": True}


class VarianceIsAConstant(BatchNorm):
    """The gradient does not go through the variance."""

    def centred(self, d):
        """Without the last term."""
        return d - d.sum(0) / max(len(d), 1)
