"""Guests as strangers write them, whose verification is timed."""

import numpy as np


class GistRNN:
    """The sum of the new state, and the gradients of the weights."""

    def __init__(self, input_features, state_size):
        self.W = np.random.randn(input_features + state_size, state_size)
        self.b = np.zeros((1, state_size))
        self.weights = [self.W, self.b]

    def forward(self, x, h):
        self.X = np.concatenate([x, h], axis=1)
        self.new_h = np.tanh(self.X @ self.W + self.b)
        return self.new_h.sum()

    def backward(self, d_output):
        dz = d_output * (1 - self.new_h**2)
        return [self.X.T @ dz, dz.sum(0, keepdims=True)]


class Broken(GistRNN):
    """The gradient of its bias is not summed over the batch."""

    def backward(self, d_output):
        dz = d_output * (1 - self.new_h**2)
        return [self.X.T @ dz, dz]


def sigmoid(z):
    return np.exp(-np.logaddexp(0, -z))


class GRU:
    """The full contract."""

    def __init__(self, features, state):
        self.Wx = np.zeros((features, 3 * state))
        self.Wh = np.zeros((state, 3 * state))
        self.b = np.zeros(3 * state)
        self.bh = np.zeros(3 * state)
        self.weights = [self.Wx, self.Wh, self.b, self.bh]

    def apply(self, x, h):
        a = x @ self.Wx + self.b
        s = h @ self.Wh + self.bh
        n = h.shape[1]
        r, u = sigmoid(a[:, :n] + s[:, :n]), sigmoid(a[:, n : 2 * n] + s[:, n : 2 * n])
        c = np.tanh(a[:, 2 * n :] + r * s[:, 2 * n :])
        self.cache = x.copy(), h.copy(), r, u, c, s[:, 2 * n :]
        return (u * h + (1 - u) * c,)

    def vjp(self, d):
        x, h, r, u, c, s = self.cache
        dc = d * (1 - u) * (1 - c * c)
        du = d * (h - c) * u * (1 - u)
        dr = dc * s * r * (1 - r)
        da = np.concatenate([dr, du, dc], 1)
        ds = np.concatenate([dr, du, dc * r], 1)
        return [x.T @ da, h.T @ ds, da.sum(0), ds.sum(0)], da @ self.Wx.T, [d * u + ds @ self.Wh.T]
