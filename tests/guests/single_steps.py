"""Cells that strangers write, of one step. Each takes the name of a mistake."""

import numpy as np

POSITIVE = {"h": "positive"}


def _sigmoid(z):
    return 0.5 * (np.tanh(0.5 * z) + 1)


def gated(mistake=None):
    """A GRU on [h, x], gates r z side by side, the candidate apart: h = z h + (1 - z) tanh([r h, x] Wn + bn)."""

    class Gated:
        def __init__(self, F, S):
            self.Wg, self.bg, self.Wn, self.bn = np.zeros((S + F, 2 * S)), np.zeros(2 * S), np.zeros((S + F, S)), np.zeros(S)
            self.weights = [self.Wg, self.bg, self.Wn, self.bn]

        def apply(self, x, h):
            a = np.hstack([h, x])
            r, z = np.split(_sigmoid(a @ self.Wg + self.bg), 2, axis=1)
            b = np.hstack([r * h, x])
            n = np.tanh(b @ self.Wn + self.bn)
            self.kept = a, b, r, z, n
            return (z * h + (1 - z) * n,)

        def vjp(self, dy):
            a, b, r, z, n = self.kept
            S = dy.shape[1]
            h = a[:, :S]
            dn = dy * (1 - z) * (1 - n * n)
            db = dn @ self.Wn.T
            dr = db[:, :S] * (1 if mistake == "r" else h) * r * (1 - r)
            dg = np.hstack([dr, dy * (h - n) * z * (1 - z)])
            da = dg @ self.Wg.T
            dh = da[:, :S] + db[:, :S] * (1 if mistake == "h" else r) + dy * (0 if mistake == "direct" else z)
            seen = a if mistake == "U" else b
            return [a.T @ dg, dg.sum(0), seen.T @ dn, dn.sum(0)], da[:, S:] + db[:, S:], (dh,)

    return Gated


def rectified(mistake=None):
    """h = max(x A + h B + c, 0)."""

    class Rectified:
        def __init__(self, F, S):
            self.A, self.B, self.c = np.zeros((F, S)), np.random.default_rng(0).standard_normal((S, S)), np.zeros(S)
            self.copied = np.random.random(self.B.shape) if mistake == "copy" else None
            self.weights = [self.A, self.B, self.c]

        def apply(self, x, h):
            self.x, self.h, self.z = x, h, x @ self.A + h @ self.B + self.c
            return (np.maximum(self.z, 0),)

        def vjp(self, d):
            dz = d * ((self.h if mistake == "mask" else self.z) > 0)
            found = [self.x.T @ dz, self.h.T @ dz, dz.sum(0)]
            if mistake == "clip":
                found = [np.clip(a, -0.5, 0.5) for a in found]
            if mistake == "norm":
                norm = np.sqrt(sum((a * a).sum() for a in found))
                found = [a * min(1, 0.25 / norm) for a in found]
            return found, dz @ self.A.T, (dz @ (self.B.T if self.copied is None else self.copied),)

    return Rectified


def summed(mistake=None):
    """A gist whose loss is the sum of h = tanh(x A + h B), with gradients of the weights alone."""

    class Summed:
        def __init__(self, F, S):
            self.A, self.B = np.zeros((F, S)), np.zeros((S, S))
            self.weights = [self.A, self.B]

        def forward(self, x, h):
            self.x, self.h, self.y = x, h, np.tanh(x @ self.A + h @ self.B)
            return self.y.sum()

        def backward(self, d=1.0):
            dz = 1 - self.y**2
            found = [self.x.T @ dz, self.h.T @ dz]
            return [d * (np.clip(a, -1, 1) if mistake else a) for a in found]

    return Summed


def _hard(z):
    return np.clip(0.8 * z + 0.5, 0.0, 1.0)


def apart(mistake=None):
    """h' = s(x F + h P) h + s(x I + h Q) tanh(x C), s a sigmoid or, for a mistake at its ends, a hard one."""
    s = _hard if mistake in ("hard", "ends") else _sigmoid

    def slope(z):
        if s is _hard:
            return 0.8 + 0 * z if mistake == "ends" else 0.8 * (np.abs(z) < 0.625)
        return s(z) * (1 - s(z))

    class Apart:
        def __init__(self, F, S):
            self.F, self.I, self.C = np.zeros((F, S)), np.zeros((F, S)), np.zeros((F, S))
            self.P, self.Q = np.zeros((S, S)), np.zeros((S, S))
            self.weights = [self.F, self.P, self.I, self.Q, self.C]

        def apply(self, x, h):
            a, b = x @ self.F + h @ self.P, x @ self.I + h @ self.Q
            f, i, c = s(a), s(b), np.tanh(x @ self.C)
            self.kept = x.copy(), h.copy(), a, b, f, i, c
            return (f * h + i * c,)

        def vjp(self, d):
            x, h, a, b, f, i, c = self.kept
            da, db = d * h * slope(f if mistake == "outputs" else a), d * c * slope(i if mistake == "outputs" else b)
            dc = d * i * (1 - c * c) * (2 if mistake == "one row" and len(d) == 1 else 1)
            dx = da @ self.F.T + db @ self.I.T + dc @ self.C.T
            dh = da @ self.Q.T + db @ self.P.T if mistake == "exchanged" else da @ self.P.T + db @ self.Q.T
            return [x.T @ da, h.T @ da, x.T @ db, h.T @ db, x.T @ dc], dx, [dh + d * f]

    return Apart


MISTAKES = {
    apart: {
        "outputs": "the derivative of `s`, in both places, is taken at its output",
        "ends": "the derivative of `s`, in both places, is taken as 0.8 everywhere, not 0 beyond its ends",
        "exchanged": "the gradients of `h` through `h @ P` and `h @ Q` use each other's matrix",
    },
    gated: {
        "r": "the reset gate: its gradient lacks the factor h",
        "h": "the gradient of h is not multiplied by r on the path through the candidate",
        "direct": "the gradient of h drops the direct path",
        "U": "the gradient of the weights of h multiplies h instead of r h",
    },
    rectified: {
        "mask": "the derivative of `np.maximum(z, 0)` is taken at `h` instead of its argument",
        "copy": "two cells of the same weights return different gradients of h",
        "clip": "the gradient of A, B and c is clipped at 0.5; if that is meant, declare choices = {'clip': 0.5}",
        "norm": "the gradients of A, B and c are clipped to a common norm of 0.25",
    },
    summed: {"clip": "every gradient entry beyond 1 is clipped at 1; if that is meant, declare choices = {'clip': 1}"},
}
