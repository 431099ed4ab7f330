"""A GRU for a single example, all vectors, matrices (state, features): reset gate before the matrix product."""

import numpy as np


def sigmoid(z):
    """The logistic function."""
    return 1.0 / (1.0 + np.exp(-z))


class VectorGRU:
    """z, r = sigmoid(...), n = tanh(Wn x + Un (r h) + bn), h' = (1 - z) h + z n."""

    def __init__(self, n_x, n_h):
        rng = np.random.default_rng(2)
        self.p = {f"W{g}": rng.standard_normal((n_h, n_x)) for g in "zrn"} | {
            f"U{g}": rng.standard_normal((n_h, n_h)) for g in "zrn"
        }
        self.p |= {f"b{g}": np.zeros(n_h) for g in "zrn"}

    def step(self, x, h):
        """The new state."""
        p = self.p
        z, r = (sigmoid(p[f"W{g}"] @ x + p[f"U{g}"] @ h + p[f"b{g}"]) for g in "zr")
        n = np.tanh(p["Wn"] @ x + p["Un"] @ (r * h) + p["bn"])
        self.saved = x, h, z, r, n
        return (1 - z) * h + z * n

    def gradients(self, dh_new):
        """(dict of parameter gradients, dx, dh)."""
        p, (x, h, z, r, n) = self.p, self.saved
        d = {"n": dh_new * z * (1 - n * n), "z": dh_new * (n - h) * z * (1 - z)}
        drh = p["Un"].T @ d["n"]
        d["r"] = drh * h * r * (1 - r)
        grads = {f"W{g}": np.outer(d[g], x) for g in d} | {f"b{g}": d[g] for g in d}
        grads |= {f"U{g}": np.outer(d[g], r * h if g == "n" else h) for g in d}
        dx = sum(p[f"W{g}"].T @ d[g] for g in d)
        return grads, dx, dh_new * (1 - z) + drh * r + self.recurrent(p["Uz"], d["z"]) + self.recurrent(p["Ur"], d["r"])

    @staticmethod
    def recurrent(U, d):
        """The gradient that reaches h through one gate."""
        return U.T @ d


class UntransposedGRU(VectorGRU):
    """A transpose is missing in the gradient of the state."""

    @staticmethod
    def recurrent(U, d):
        """The defect."""
        return U @ d
