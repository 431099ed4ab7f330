"""Correct cells as people write them, for look-alikes: other contracts, other places for the weights, no checks and no copies."""

import numpy as np
from cellcheck.cells.activations import d_sigmoid, d_tanh, sigmoid, tanh


class GistRNN:
    """h' = tanh([x, h] W + b), by the gist's contract."""

    def __init__(self, input_features, state_size):
        self.weights = [
            np.random.default_rng(0).standard_normal((input_features + state_size, state_size)),
            np.zeros((1, state_size)),
        ]

    def forward(self, x, h):
        """The sum of the new h."""
        W, b = self.weights
        self.X = np.concatenate([x, h], axis=1)
        self.h = np.tanh(self.X @ W + b)
        return self.h.sum()

    def backward(self, d_output):
        """Gradients of d_output * forward."""
        dz = d_output * (1 - self.h**2)
        return [self.X.T @ dz, dz.sum(axis=0, keepdims=True)]


class GistLSTM:
    """The gates i f o g side by side, by the gist's contract: x, cell, h."""

    def __init__(self, input_features, state_size):
        self.weights = [
            np.random.default_rng(0).standard_normal((input_features + state_size, 4 * state_size)),
            np.zeros((1, 4 * state_size)),
        ]

    def forward(self, x, cell, h):
        """The sum of the new h."""
        W, b = self.weights
        self.X, self.cell = np.concatenate([x, h], axis=1), cell
        z = self.X @ W + b
        i, f, o, g = np.split(z, 4, axis=1)
        self.i, self.f, self.o, self.g = 1 / (1 + np.exp(-i)), 1 / (1 + np.exp(-f)), 1 / (1 + np.exp(-o)), np.tanh(g)
        self.t = np.tanh(self.f * cell + self.i * self.g)
        return (self.o * self.t).sum()

    def backward(self, d_output):
        """Gradients of d_output * forward."""
        dc = d_output * self.o * (1 - self.t**2)
        di, df = dc * self.g * self.i * (1 - self.i), dc * self.cell * self.f * (1 - self.f)
        do, dg = d_output * self.t * self.o * (1 - self.o), dc * self.i * (1 - self.g**2)
        dz = np.concatenate([di, df, do, dg], axis=1)
        return [self.X.T @ dz, dz.sum(axis=0, keepdims=True)]


class ColumnRNN:
    """h' = tanh(W x + U h + b) for columns, rows outside."""

    kind, state_names, transposed = "RNN", ("h",), True

    def __init__(self, input_features, state_size):
        rng = np.random.default_rng(0)
        self.W, self.U = rng.standard_normal((state_size, input_features)), rng.standard_normal((state_size, state_size))
        self.b = np.zeros((state_size, 1))
        self.weights = [self.W, self.U, self.b]
        self.weight_blocks = [{(source, "candidate"): np.s_[:]} for source in ("x", "h", "bias")]

    def apply(self, x, h):
        """(h',)."""
        self.x, self.h = x, h
        self.z = self.W @ x.T + self.U @ h.T + self.b
        return (tanh(self.z).T,)

    def vjp(self, dh):
        """(weights, x, state)."""
        dz = dh.T * d_tanh(self.z)
        return [dz @ self.x, dz @ self.h, dz.sum(axis=1, keepdims=True)], dz.T @ self.W, (dz.T @ self.U,)


class SeparateGatesLSTM:
    """i = sigmoid(x W_i + h U_i + b_i) and so on: twelve arrays in a dict."""

    kind, state_names, GATES = "LSTM", ("c", "h"), ("input", "forget", "output", "candidate")

    def __init__(self, input_features, state_size):
        rng = np.random.default_rng(0)
        fans = {"x": (input_features, state_size), "h": (state_size, state_size), "bias": (state_size,)}
        self.parts = {(source, gate): rng.standard_normal(shape) for gate in self.GATES for source, shape in fans.items()}

    @property
    def weights(self):
        """The live arrays, gate by gate."""
        return list(self.parts.values())

    @property
    def weight_blocks(self):
        """Each array is one block."""
        return [{key: np.s_[...]} for key in self.parts]

    def apply(self, x, c, h):
        """(c', h')."""
        W = self.parts
        self.x, self.c, self.h = x, c, h
        self.z = [x @ W["x", gate] + h @ W["h", gate] + W["bias", gate] for gate in self.GATES]
        i, f, o, g = self.z
        self.c_new = sigmoid(f) * c + sigmoid(i) * tanh(g)
        return self.c_new, sigmoid(o) * tanh(self.c_new)

    def vjp(self, dc, dh):
        """(weights, x, state)."""
        i, f, o, g = self.z
        dc = dc + dh * sigmoid(o) * d_tanh(self.c_new)
        dz = [
            dc * tanh(g) * d_sigmoid(i),
            dc * self.c * d_sigmoid(f),
            dh * tanh(self.c_new) * d_sigmoid(o),
            dc * sigmoid(i) * d_tanh(g),
        ]
        weights = [part for d in dz for part in (self.x.T @ d, self.h.T @ d, d.sum(axis=0))]
        dx, dh = (sum(d @ self.parts[source, gate].T for gate, d in zip(self.GATES, dz)) for source in ("x", "h"))
        return weights, dx, (dc * sigmoid(f), dh)


class TwoBiasesLSTM:
    """z = x W + b_x + h U + b_h, gates i f g o, weights (4 state, fan_in) as in several frameworks."""

    kind, state_names, transposed, GATES = "LSTM", ("c", "h"), True, ("input", "forget", "candidate", "output")

    def __init__(self, input_features, state_size):
        rng = np.random.default_rng(0)
        self.W, self.U = rng.standard_normal((4 * state_size, input_features)), rng.standard_normal((4 * state_size, state_size))
        self.b_x, self.b_h = np.zeros(4 * state_size), np.zeros(4 * state_size)
        self.weights = [self.W, self.U, self.b_x, self.b_h]
        rows = {gate: np.s_[k * state_size : (k + 1) * state_size] for k, gate in enumerate(self.GATES)}
        self.weight_blocks = [{(source, gate): rows[gate] for gate in rows} for source in ("x", "h", "bias_x", "bias_h")]

    def apply(self, x, c, h):
        """(c', h')."""
        self.x, self.c, self.h = x, c, h
        self.z = np.split(x @ self.W.T + self.b_x + h @ self.U.T + self.b_h, 4, axis=1)
        i, f, g, o = self.z
        self.c_new = sigmoid(f) * c + sigmoid(i) * tanh(g)
        return self.c_new, sigmoid(o) * tanh(self.c_new)

    def vjp(self, dc, dh):
        """(weights, x, state)."""
        i, f, g, o = self.z
        dc = dc + dh * sigmoid(o) * d_tanh(self.c_new)
        di, df = dc * tanh(g) * d_sigmoid(i), dc * self.c * d_sigmoid(f)
        dg, do = dc * sigmoid(i) * d_tanh(g), dh * tanh(self.c_new) * d_sigmoid(o)
        dz = np.concatenate([di, df, dg, do], axis=1)
        return [dz.T @ self.x, dz.T @ self.h, dz.sum(axis=0), dz.sum(axis=0)], dz @ self.W, (dc * sigmoid(f), dz @ self.U)
