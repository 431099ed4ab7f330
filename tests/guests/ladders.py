"""Cells whose backward pass mixes up terms of a sum, rows that steps share, a norm, or a size with an axis as long."""

import numpy as np
from cellcheck.cells.adapters import adapt


def ladder(mistake=None):
    """In time h' = a h + b k with k = z / r, r = sqrt(z^2 + 1/4), z = x K + P[t mod 2], and ys = max(h', w z)."""

    def forward(xs, h, K, P, a, b, w):
        tape, ys = [], []
        for t, x in enumerate(xs):
            z = x @ K + P[t % 2]
            r = np.sqrt(z * z + 0.25)
            k = z / r
            tape.append((h, z, r, k))
            h = a * h + b * k
            other = w * z
            tape[-1] += (other < h,)
            ys.append(np.maximum(h, other))
        return h, np.array(ys).reshape(len(xs), *h.shape), tape

    def backward(dh, dys, xs, h, K, P, a, b, w, tape):
        dx, dK, dP, da, db, dw = (np.zeros_like(v) for v in (xs, K, P, a, b, w))
        for t in range(len(xs) - 1, -1, -1):
            h, z, r, k, larger = tape[t]
            dother = dys[t] * (1 if mistake == "both" else ~larger)
            dh = dh + dys[t] * larger
            da += (dh * h).sum(0)
            if mistake == "early":
                dh = dh * a
            dk, dw = dh * b, dw + (dother * z).sum(0)
            db += (dh * k).sum(0)
            dz = dk / r - dk * z / r**2 * (z if mistake == "root" else z / r) + dother * w
            if mistake == "rows":
                dP[t % 2] = dz.sum(0)
            else:
                dP[t % 2] += dz.sum(0)
            dx[t], dK = dz @ K.T, dK + xs[t].T @ dz
            dh = dh if mistake == "early" else dh * a
        return dx, dh, dK, dP, da, db, dw

    def make(F, S):
        return {"K": np.zeros((F, S)), "P": np.zeros((2, S)), **{name: np.zeros(S) for name in "abw"}}

    passes = ("x h K P a b w -> h ys tape", forward), ("dh dys x h K P a b w tape -> dx dh dK dP da db dw", backward)
    return adapt(make, *passes, axes="steps batch features")


def normed(mistake=None):
    """h' = tanh(g n / |n| + h U) with n = relu(x W) and |n| = sqrt(mean n^2 + 1e-8)."""

    def forward(x, h, W, g, U):
        n = np.maximum(x @ W, 0)
        size = np.sqrt((n * n).mean(1, keepdims=True) + 1e-8)
        new = np.tanh(g * (n / size) + h @ U)
        return new, (n, size, new)

    def backward(d, x, h, W, g, U, kept):
        n, size, new = kept
        dz = d * (1 - new**2)
        if mistake == "epsilon":
            size = np.sqrt((n * n).mean(1, keepdims=True)) + 1e-300
        unit = n / size
        du = dz * g
        dn = (du - unit * (du * unit).mean(1, keepdims=True)) / size
        da = dn * (n > 0)
        dW = x.T @ (du if mistake == "skipped" else da)
        dg = (dz * unit * (g if mistake == "gain" else 1)).sum(0)
        return da @ W.T, dz @ U.T, dW, dg, h.T @ dz

    make = lambda F, S: {"W": np.zeros((F, S)), "g": np.zeros(S), "U": np.zeros((S, S))}  # noqa: E731
    return adapt(make, ("x h W g U -> h kept", forward), ("dh x h W g U kept -> dx dh dW dg dU", backward))


def heads(mistake=None):
    """h' = tanh(sum over 7 heads of h (x B) C)."""

    def forward(x, h, B, C):
        e = x @ B
        new = np.tanh((h[:, :, None] * e[:, None, :]) @ C)
        return new, (e, new)

    def backward(d, x, h, B, C, kept):
        e, new = kept
        dz = d * (1 - new**2)
        each = dz[:, :, None] * C * h[:, :, None]
        de = each.sum(2 if mistake == "size" and h.shape[1] == 7 else 1)
        return de @ B.T, dz * (e @ C)[:, None], x.T @ de, np.einsum("bs,bs,bn->n", dz, h, e)

    make = lambda F, S: {"B": np.zeros((F, 7)), "C": np.zeros(7)}  # noqa: E731
    return adapt(make, ("x h B C -> h kept", forward), ("dh x h B C kept -> dx dh dB dC", backward))


MISTAKES = {
    ladder: {
        "both": "the gradient of `other` in `np.maximum(h, other)` flows where the other is the maximum, too",
        "early": "the gradient that flows back to `b * k` through `a * h + b * k` is multiplied by `a`, a factor of the other term",
        "root": "the gradient of `z * z + 0.25` in `np.sqrt(z * z + 0.25)` is not divided by the root of `z * z + 0.25`",
        "rows": "where several steps read the same entries of `P` through `P[t % 2]`, the gradient is that of the first one alone",
    },
    normed: {
        "skipped": "the gradient of `W` through `x @ W` is made of that of `n / size`",
        "gain": "the gradient of `g` in `g * (n / size)` uses `g * (n / size)` where `n / size` belongs",
    },
}
