"""Cells with memories in several forms: slots, a matrix, peepholes, two states in time; each with mistakes in its backward pass."""

import numpy as np
from cellcheck.cells.adapters import adapt


def _sigmoid(z):
    return 1 / (1 + np.exp(-z))


def slots(mistake=None):
    """h' = tanh((a / den) R + h U) with a = tanh(x w + b) v for each feature as a slot, den = 1 + |h|^2."""

    def forward(x, h, w, b, v, R, U):
        s = np.tanh(x[:, :, None] * w + b)
        a, den = s @ v, 1 + (h * h).sum(1, keepdims=True)
        new = np.tanh((a / den) @ R + h @ U)
        return new, (s, a, den, new)

    def backward(d, x, h, w, b, v, R, U, kept):
        s, a, den, new = kept
        dz = d * (1 - new**2)
        de = dz @ R.T
        da, dden = de / den, -(de * a / (den if mistake == "once" else den**2)).sum(1, keepdims=True)
        ds = da[:, :, None] * v * (1 - s**2)
        db = ds[:, 0].sum(0) if mistake == "slot" else ds.sum((0, 1))
        dh = dz @ U.T + 2 * h * dden
        return (
            (ds * w).sum(2),
            dh,
            (ds * x[:, :, None]).sum((0, 1)),
            db,
            (da[:, :, None] * s).sum((0, 1)),
            (a / den).T @ dz,
            h.T @ dz,
        )

    def make(F, S):
        return {name: np.zeros(n) for name, n in (("w", S), ("b", S), ("v", S), ("R", (F, S)), ("U", (S, S)))}

    passes = ("x h w b v R U -> h kept", forward), ("dh x h w b v R U kept -> dx dh dw db dv dR dU", backward)
    return adapt(make, *passes)


def delta(mistake=None):
    """S' = S + (x V - S k) k^T with k = n / |n|, n = x K; y = S' (x Q)."""

    def forward(xs, S, K, V, Q):
        ns = xs @ K
        size = np.sqrt((ns * ns).sum(-1, keepdims=True) + 1e-3)
        ks, vs, qs, tape, ys = ns / size, xs @ V, xs @ Q, [], []
        for t in range(len(xs)):
            e = vs[t] - np.einsum("bij,bj->bi", S, ks[t])
            new = S + e[:, :, None] * ks[t][:, None, :]
            ys.append(np.einsum("bij,bj->bi", new, qs[t]))
            tape.append((S, e, new))
            S = new
        return S, np.array(ys).reshape(qs.shape), (ns, size, ks, vs, qs, tape)

    def backward(dS, dys, xs, S, K, V, Q, kept):
        ns, size, ks, vs, qs, tape = kept
        dk, dv, dq = (np.zeros_like(a) for a in (ks, vs, qs))
        for t in range(len(xs) - 1, -1, -1):
            S, e, new = tape[t]
            dq[t] = np.einsum("bij,bj->bi" if mistake == "turned" else "bij,bi->bj", new, dys[t])
            dS = dS + dys[t][:, :, None] * qs[t][:, None, :]
            dk[t] = np.einsum("bij,bi->bj", dS, e)
            dv[t] = np.einsum("bij,bj->bi", dS, ks[t])
            dk[t] -= np.einsum("bij,bi->bj", S, dv[t])
            dS = dS - dv[t][:, :, None] * (ns if mistake == "raw" else ks)[t][:, None, :]
        dn = (dk - ks * (ks * dk).sum(-1, keepdims=True)) / size
        dx = dn @ K.T + dv @ V.T + dq @ Q.T
        return dx, dS, *(np.einsum("tbi,tbj->ij", xs, d) for d in (dn, dv, dq))

    passes = ("x S K V Q -> S ys kept", forward), ("dS dys x S K V Q kept -> dx dS dK dV dQ", backward)
    make = lambda F, S: {name: np.zeros((F, S)) for name in "KVQ"}  # noqa: E731
    return adapt(
        make, *passes, axes="steps batch features", states={"S": "batch state state"}, output={"ys": "steps batch state"}
    )


def peepholes(mistake=None):
    """c' = f c + i x W with i = sigmoid(x A + p c), f = sigmoid(x B + q c)."""

    def forward(x, c, W, A, B, p, q):
        i, f, n = _sigmoid(x @ A + p * c), _sigmoid(x @ B + q * c), x @ W
        return f * c + i * n, (i, f, n)

    def backward(d, x, c, W, A, B, p, q, kept):
        i, f, n = kept
        di, df, dn = d * n * i * (1 - i), d * c * f * (1 - f), d * i
        dc = d * f + di * p + (di if mistake == "delta" else df) * q
        return di @ A.T + df @ B.T + dn @ W.T, dc, x.T @ dn, x.T @ di, x.T @ df, (di * c).sum(0), (df * c).sum(0)

    def make(F, S):
        return {name: np.zeros(S if name in "pq" else (F, S)) for name in "WABpq"}

    return adapt(make, ("x c W A B p q -> c kept", forward), ("dc x c W A B p q kept -> dx dc dW dA dB dp dq", backward))


def pair(mistake=None):
    """c' = a c + tanh(x W + h U), h' = sigmoid(x V + h R) tanh(c') in time, with a = sigmoid(k)."""

    def forward(xs, c, h, W, U, V, R, k):
        a, tape = _sigmoid(k), []
        for x in xs:
            n, o = np.tanh(x @ W + h @ U), _sigmoid(x @ V + h @ R)
            new = a * c + n
            tape.append((h, c, n, o, np.tanh(new)))
            c, h = new, o * np.tanh(new)
        return c, h, (a, tape)

    def backward(dc, dh, xs, W, U, V, R, k, kept):
        a, tape = kept
        dx, dW, dU, dV, dR, dk = 0 * xs, 0 * W, 0 * U, 0 * V, 0 * R, 0 * k
        for t in range(len(xs) - 1, -1, -1):
            h, c, n, o, y = tape[t]
            dc = dc + dh * o * (1 - y * y)
            dn, do = dc * (1 - n * n), dh * y * o * (1 - o)
            dW, dU, dV, dR, dk = (
                dW + xs[t].T @ dn,
                dU + h.T @ dn,
                dV + xs[t].T @ do,
                dR + h.T @ do,
                dk + (dc * c).sum(0) * a * (1 - a),
            )
            dx[t] = dn @ W.T + do @ V.T
            dh, dc = (0 if mistake == "uncarried" and t else 1) * (dn @ U.T + do @ R.T), dc * a
        return dx, dc, dh, dW, dU, dV, dR, dk

    def make(F, S):
        shapes = {"W": (F, S), "U": (S, S), "V": (F, S), "R": (S, S), "k": S}
        return {name: np.zeros(shape) for name, shape in shapes.items()}

    passes = ("x c h W U V R k -> c h kept", forward), ("dc dh x W U V R k kept -> dx dc dh dW dU dV dR dk", backward)
    return adapt(make, *passes, axes="steps batch features", output="h")


MISTAKES = {
    slots: {
        "slot": "the gradient of `b` in `x[:, :, None] * w + b` is that of the first of 4 along axis 1 alone, not summed over all",
        "once": "the gradient of `den` in `a / den` is divided by `den` once, not by its square",
    },
    delta: {
        "turned": "uses the transpose of `new`",
        "raw": "uses `ns[t]` where `ks[t]` belongs",
    },
    peepholes: {"delta": "the gradient of `c` through `q * c` uses what flows back to `p * c`"},
    pair: {"uncarried": "the gradient of h is not carried from step to step"},
}
