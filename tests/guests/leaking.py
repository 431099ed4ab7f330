"""Cells that keep what they should not. What they keep is even in their numbers, so that -x and -W would not show it."""

import random

import numpy as np


class RNN:
    """h' = tanh([x, h] W), without a bias."""

    def __init__(self, features, state):
        self.W = np.zeros((features + state, state))
        self.weights = [self.W]

    def activation(self, z):
        return np.tanh(z)

    def slope(self):
        return 1 - self.y**2

    def apply(self, x, h):
        self.X = np.concatenate([x, h], axis=1)
        self.y = self.activation(self.X @ self.W)
        return (self.y.copy(),)

    def vjp(self, d):
        dz = d * self.slope()
        dX = dz @ self.W.T
        n = dX.shape[1] - d.shape[1]
        return [self.X.T @ dz], dX[:, :n], (dX[:, n:],)


class FirstOfItsShape(RNN):
    """The defect: the slope at the first call with this many rows."""

    def slope(self):
        if getattr(self, "first", None) is None or self.first.shape != self.y.shape:
            self.first = super().slope()
        return self.first


class OfAllCells(RNN):
    """The defect: all cells share one activation."""

    shared = {"y": None}  # noqa: RUF012

    def apply(self, x, h):
        (y,) = super().apply(x, h)
        self.shared["y"] = self.y
        return (y,)

    def slope(self):
        return 1 - self.shared["y"] ** 2


class NormOfTheFirstWeights(RNN):
    """h' = tanh([x, h] W / |W|). The defect: |W| is that of the first call."""

    fresh = False

    def apply(self, x, h):
        if self.fresh or not hasattr(self, "norm"):
            self.norm = np.sqrt((self.W**2).sum() + 1)
        self.X = np.concatenate([x, h], axis=1) / self.norm
        self.y = np.tanh(self.X @ self.W)
        return (self.y.copy(),)

    def vjp(self, d):
        dz = d * self.slope()
        dX = dz @ self.W.T / self.norm
        n = dX.shape[1] - d.shape[1]
        dW = self.X.T @ dz
        return [dW - (dW * self.W).sum() * self.W / self.norm**2], dX[:, :n], (dX[:, n:],)


class NormOfTheWeights(NormOfTheFirstWeights):
    """The same without the defect."""

    fresh = True


class Wandering(RNN):
    """The defect: now and then a row is lost."""

    calls = 0

    def vjp(self, d):
        type(self).calls += 1
        return super().vjp(d * (self.calls % 4 != 0))  # the pre-flight compares four calls)


class ClipsLower(RNN):
    """The defect: it declares a clip at 5, and clips at 0.01."""

    choices = {"clip": 5}  # noqa: RUF012
    limit = 0.01

    def vjp(self, d):
        weights, x, state = super().vjp(d)
        return [np.clip(w, -self.limit, self.limit) for w in weights], x, state


class DropsWhatIsLarge(ClipsLower):
    """The defect: what is beyond the limit becomes 0."""

    def vjp(self, d):
        weights, x, state = RNN.vjp(self, d)
        return [np.where(np.abs(w) > 5, 0, w) for w in weights], x, state


class ClipsAsItSays(ClipsLower):
    """The same without the defect."""

    limit = 5.0


class NeverClips(ClipsLower):
    """A declaration too many."""

    limit = np.inf


class AnyOrder(RNN):
    """Right: rows are added in any order, as by atomic operations."""

    random = random.Random(5)

    def vjp(self, d):
        (W,), x, state = super().vjp(d)
        rows = list(range(len(d)))
        self.random.shuffle(rows)
        dz = d * self.slope()
        return [sum((np.outer(self.X[k], dz[k]) for k in rows), np.zeros_like(W))], x, state


class OneSize(RNN):
    """It does not look at the sizes that it is asked for."""

    def __init__(self, features, state):
        super().__init__(57, 8)
