"""Guests in the manner of the 2018 gist: weights, forward, backward and nothing else. One is correct, three have one defect each."""

import numpy as np


class CorrectRNN:
    """h' = tanh(x W_x + h W_h + b), textbook backward; b is (1, state)."""

    def __init__(self, input_features, state_size):
        self.W_x = np.random.randn(input_features, state_size)
        self.W_h = np.random.randn(state_size, state_size)
        self.b = np.zeros((1, state_size))
        self.weights = [self.W_x, self.W_h, self.b]

    def forward(self, x, h):
        """The sum of the new hidden state."""
        self.x, self.h = x, h
        self.new_h = self.tanh(x @ self.W_x + h @ self.W_h + self.b)
        return self.new_h.sum()

    def backward(self, d_output):
        """Gradients of d_output * forward in the order of weights."""
        dz = d_output * (1 - self.new_h**2)
        return [self.x.T @ dz, self.h.T @ dz, self.bias_gradient(dz)]

    @staticmethod
    def tanh(z):
        """The activation."""
        return np.tanh(z)

    @staticmethod
    def bias_gradient(dz):
        """The gradient of b, in the shape of b."""
        return dz.sum(axis=0, keepdims=True)


class BiasNotSummedOverBatch(CorrectRNN):
    """The gradient of b is (batch, state): right at batch 1, never summed."""

    @staticmethod
    def bias_gradient(dz):
        """The defect."""
        return dz


class ExpRatioTanh(CorrectRNN):
    """tanh as a ratio of sums of exponentials: NaN beyond |z| = 710."""

    @staticmethod
    def tanh(z):
        """The defect."""
        return (np.exp(z) - np.exp(-z)) / (np.exp(z) + np.exp(-z))


class CrashingGRU:
    """A GRU whose backward multiplies by an outer product that only exists for one row."""

    def __init__(self, input_features, state_size):
        self.W = np.random.randn(input_features + state_size, 2 * state_size)
        self.W_n = np.random.randn(input_features + state_size, state_size)
        self.weights = [self.W, self.W_n]

    def forward(self, x, h):
        """The sum of the new hidden state."""
        self.x, self.h = x, h
        self.X = np.concatenate([x, h], axis=1)
        self.r, self.u = np.split(1 / (1 + np.exp(-(self.X @ self.W))), 2, axis=1)
        self.X_n = np.concatenate([x, self.r * h], axis=1)
        self.n = np.tanh(self.X_n @ self.W_n)
        return (self.u * h + (1 - self.u) * self.n).sum()

    def backward(self, d_output):
        """Gradients in the order of weights."""
        dn = d_output * (1 - self.u) * (1 - self.n**2)
        dr = (dn @ self.W_n.T)[:, self.x.shape[1] :] * self.h * self.r * (1 - self.r)
        du = d_output * (self.h - self.n) * self.u * (1 - self.u)
        d_gates = np.concatenate([dr, du], axis=1)
        return [self.X.reshape(-1, 1) @ d_gates, self.X_n.T @ dn]
