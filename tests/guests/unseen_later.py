"""Cells that were written after the diagnosis, to see what it says of them. Each takes the name of a mistake."""

import numpy as np
from cellcheck.cells.adapters import adapt


def _sigmoid(z):
    return 1 / (1 + np.exp(-z))


def _matrices(**shapes):
    return lambda F, S: {
        name: np.zeros([{"F": F, "S": S, "2S": 2 * S, "1": 1}[n] for n in of.split()]) for name, of in shapes.items()
    }


def update_gate(mistake=None):
    """A UGRNN: [a, b] = [x, h] W + w, g = s(a), h' = g h + (1 - g) tanh(b)."""

    class UpdateGate:
        def __init__(self, F, S):
            self.W, self.w = np.zeros((F + S, 2 * S)), np.zeros(2 * S)
            self.weights = [self.W, self.w]

        def apply(self, x, h):
            self.xh = np.concatenate([x, h], 1)
            a, b = np.split(self.xh @ self.W + self.w, 2, axis=1)
            self.h, self.g, self.c = h, _sigmoid(a), np.tanh(b)
            return (self.g * h + (1 - self.g) * self.c,)

        def vjp(self, d):
            da = d * (self.h - self.c) * self.g * (1 - self.g)
            db = d * (self.g if mistake else 1 - self.g) * (1 - self.c**2)
            dz = np.concatenate([da, db], 1)
            dxh, n = dz @ self.W.T, d.shape[1]
            return [self.xh.T @ dz, dz.sum(0)], dxh[:, :-n], (dxh[:, -n:] + d * self.g,)

    return UpdateGate


def antisymmetric(mistake=None):
    """h' = h + e tanh(x V + h (W - W^T - I/100) + b), e = 0.1."""

    def forward(x, h, V, W, b):
        A = W - W.T - 0.01 * np.eye(len(W))
        y = np.tanh(x @ V + h @ A + b)
        return h + 0.1 * y, (x, h, y, A)

    def backward(d, saved, V):
        x, h, y, A = saved
        dz = 0.1 * d * (1 - y * y)
        dA = h.T @ dz
        return dz @ V.T, d + dz @ A.T, x.T @ dz, dA if mistake else dA - dA.T, dz.sum(0)

    return adapt(
        make=_matrices(V="F S", W="S S", b="S"),
        forward=("x h V W b -> h cache", forward),
        backward=("dh cache V -> dx dh dV dW db", backward),
    )


def oscillator(mistake=None):
    """A coRNN: z' = z + e (tanh(x V + y W + z U) - y - z / 2), y' = y + e z', e = 0.2."""

    class Oscillator:
        state_names = ("z", "y")
        e = 0.2

        def __init__(self, F, S):
            self.V, self.W, self.U = np.zeros((F, S)), np.zeros((S, S)), np.zeros((S, S))
            self.weights = [self.V, self.W, self.U]

        def apply(self, x, z, y):
            self.x, self.z, self.y = x, z, y
            self.a = np.tanh(x @ self.V + y @ self.W + z @ self.U)
            z = z + self.e * (self.a - y - 0.5 * z)
            return z, y + self.e * z

        def vjp(self, dz, dy):
            dz = dz + (0 if mistake else self.e * dy)
            da = self.e * dz * (1 - self.a**2)
            dy_old = dy - self.e * dz + da @ self.W.T
            dz_old = dz * (1 - 0.5 * self.e) + da @ self.U.T
            return [self.x.T @ da, self.y.T @ da, self.z.T @ da], da @ self.V.T, (dz_old, dy_old)

    return Oscillator


def fast(mistake=None):
    """A FastGRNN in columns: a = W x + U h, z = s(a + p), n = tanh(a + q), h' = (k (1 - z) + m) n + z h with numbers k and m."""

    def forward(x, h, W, U, p, q, k, m):
        a = W @ x + U @ h
        z, n = _sigmoid(a + p), np.tanh(a + q)
        return (k * (1 - z) + m) * n + z * h, (x, h, z, n)

    def backward(d, saved, W, U, k, m):
        x, h, z, n = saved
        dz = d * ((0 if mistake == "k" else -k * n) + h) * z * (1 - z)
        dn = d * (k * (1 - z) + m) * (1 - n * n)
        da, of_k = dz + dn, (d * (1 - z) * n).sum()
        sums = [a.sum(1, keepdims=True) for a in (dz, dn)]
        return W.T @ da, U.T @ da + d * z, da @ x.T, da @ h.T, *sums, np.full((1, 1), of_k), np.full((1, 1), (d * n).sum())

    return adapt(
        make=_matrices(W="S F", U="S S", p="S 1", q="S 1", k="1 1", m="1 1"),
        forward=("x h W U p q k m -> h cache", forward),
        backward=("dh cache W U k m -> dx dh dW dU dp dq dk dm", backward),
        axes="features batch",
    )


def mixture(mistake=None):
    """h' = softmax(x A + h B) * tanh(x C) + h / 2."""

    def forward(x, h, A, B, C):
        z = x @ A + h @ B
        e = np.exp(z - z.real.max(1, keepdims=True))
        p, n = e / e.sum(1, keepdims=True), np.tanh(x @ C)
        return p * n + h / 2, (x, h, p, n)

    def backward(d, saved, A, B, C):
        x, h, p, n = saved
        dp = d * n
        dz = p * (1 - p) * dp if mistake else p * (dp - (dp * p).sum(1, keepdims=True))
        dn = d * p * (1 - n * n)
        return dz @ A.T + dn @ C.T, dz @ B.T + d / 2, x.T @ dz, h.T @ dz, x.T @ dn

    return adapt(
        make=_matrices(A="F S", B="S S", C="F S"),
        forward=("x h A B C -> h cache", forward),
        backward=("dh cache A B C -> dx dh dA dB dC", backward),
    )


def light(mistake=None):
    """A Li-GRU: z = s(x A + h B), n = max(x C + h D, 0), h' = z h + (1 - z) n."""

    class Light:
        def __init__(self, F, S):
            self.p = {n: np.zeros(((F if n in "AC" else S), S)) for n in "ABCD"}
            self.weights = list(self.p.values())

        def apply(self, x, h):
            p = self.p
            z, n = _sigmoid(x @ p["A"] + h @ p["B"]), np.maximum(x @ p["C"] + h @ p["D"], 0)
            self.saved = x, h, z, n
            return (z * h + (1 - z) * n,)

        def vjp(self, d):
            (x, h, z, n), p = self.saved, self.p
            dz = d * (h - n) * z * (1 - z)
            dn = d * (1 - z) * (1 if mistake else n > 0)
            dx, dh = dz @ p["A"].T + dn @ p["C"].T, dz @ p["B"].T + dn @ p["D"].T + d * z
            return [x.T @ dz, h.T @ dz, x.T @ dn, h.T @ dn], dx, (dh,)

    return Light


def quasi(mistake=None):
    """A QRNN over a sequence: it looks at x[t] and x[t - 1]; f pooling."""

    def forward(x, h, A, B, C):
        hs, last = [h], 0 * x[:1].sum(0)
        kept = []
        for x_t in x:
            n, f = np.tanh(x_t @ A + last @ B), _sigmoid(x_t @ C)
            kept.append((x_t, last, n, f))
            hs.append(f * hs[-1] + (1 - f) * n)
            last = x_t
        return hs[-1], np.stack(hs[1:]) if len(x) else np.zeros((0, *h.shape)), (hs, kept)

    def backward(dh, dys, saved, A, B, C):
        (hs, kept), dA, dB, dC = saved, 0 * A, 0 * B, 0 * C
        dx = np.zeros((len(kept) + 1, dh.shape[0], len(A)))
        for t in range(len(kept) - 1, -1, -1):
            (x, last, n, f), dh = kept[t], dh + dys[t]
            dn, df = dh * (1 - f) * (1 - n * n), dh * (hs[t] - n) * f * (1 - f)
            dA, dB, dC = dA + x.T @ dn, dB + last.T @ dn, dC + x.T @ df
            dx[t + 1] += dn @ A.T + df @ C.T
            dx[t] += 0 if mistake else dn @ B.T
            dh = dh * f
        return dx[1:], dh, dA, dB, dC

    return adapt(
        make=_matrices(A="F S", B="F S", C="F S"),
        forward=("x h A B C -> h ys cache", forward),
        backward=("dh dys cache A B C -> dx dh dA dB dC", backward),
        axes="steps batch features",
        choices={"time": True},
    )


def delta(mistake=None):
    """A delta RNN over a sequence, batch first: n = tanh(a v w + b v + b w), v = h V, w = x W, r = s(x W), h = (1 - r) n + r h."""

    def forward(x, h, V, W, a, b):
        kept, ys = [], []
        for t in range(x.shape[1]):
            v, w = h @ V, x[:, t] @ W
            n, r = np.tanh(a * v * w + b * v + b * w), _sigmoid(w)
            kept.append((x[:, t], h, v, w, n, r))
            h = (1 - r) * n + r * h
            ys.append(h)
        return np.stack(ys, 1) if ys else np.zeros((len(x), 0, h.shape[1])), kept

    def backward(dys, kept, V, W, a, b):
        dV, dW, da, db, dh, dx = 0 * V, 0 * W, 0 * a, 0 * b, 0 * dys[:, :1].sum(1), []
        for t in range(len(kept) - 1, -1, -1):
            (x, h, v, w, n, r), dh = kept[t], dh + dys[:, t]
            dn, dr = dh * (1 - r) * (1 - n * n), dh * (h - n) * r * (1 - r)
            dv, dw = dn * (a * w + b), dn * (a * v + (0 if mistake else b)) + dr
            da, db = da + (dn * v * w).sum(0), db + (dn * (v + w)).sum(0)
            dV, dW, dh = dV + h.T @ dv, dW + x.T @ dw, dh * r + dv @ V.T
            dx.insert(0, dw @ W.T)
        return np.stack(dx, 1) if dx else np.zeros((len(dys), 0, len(W))), dh, dV, dW, da, db

    return adapt(
        make=_matrices(V="S S", W="F S", a="S", b="S"),
        forward=("x h V W a b -> ys cache", forward),
        backward=("dys cache V W a b -> dx dh dV dW da db", backward),
        axes="batch steps features",
    )


def squared(mistake=None):
    """A loss over a sequence of column vectors: h = tanh(A x + B h), y = C h, (y - x of the next step)^2 / 2 added up."""

    class Squared:
        def __init__(self, F, S):
            self.A, self.B, self.C = np.zeros((S, F)), np.zeros((S, S)), np.zeros((F, S))

        def loss(self, xs, targets):
            self.xs, self.hs, self.es = xs, [np.zeros((len(self.B), 1))], []
            for x, target in zip(xs, targets):
                self.hs.append(np.tanh(np.dot(self.A, x) + np.dot(self.B, self.hs[-1])))
                self.es.append(np.dot(self.C, self.hs[-1]) - target)
            return sum(0.5 * (e * e).sum() for e in self.es)

        def grads(self):
            dA, dB, dC, later = 0 * self.A, 0 * self.B, 0 * self.C, 0 * self.hs[0]
            for t in range(len(self.es) - 1, -1, -1):
                dh = np.dot(self.C.T, self.es[t]) + later
                dz = dh * (1 - self.hs[t if mistake else t + 1] ** 2)
                dA, dB, dC = (
                    dA + np.dot(dz, self.xs[t].T),
                    dB + np.dot(dz, self.hs[t].T),
                    dC + np.dot(self.es[t], self.hs[t + 1].T),
                )
                later = np.dot(self.B.T, dz)
            return dA, dB, dC

    return adapt(
        Squared,
        weights="A B C",
        forward=("x targets -> loss", "loss"),
        backward=("-> dA dB dC", "grads"),
        axes="steps features 1",
        targets=lambda x: np.roll(x.transpose(0, 2, 1), -1, axis=0),
    )


def added(mistake=None):
    """An LSTM without output gate whose candidate is a sum of two activations: g = tanh(a) + s(a)."""

    class Added:
        state_names = ("c", "h")

        def __init__(self, F, S):
            self.W, self.U = np.zeros((F, 3 * S)), np.zeros((S, 3 * S))
            self.weights = [self.W, self.U]

        def apply(self, x, c, h):
            i, f, a = np.split(x @ self.W + h @ self.U, 3, axis=1)
            i, f, g = _sigmoid(i), _sigmoid(f), np.tanh(a) + _sigmoid(a)
            new = f * c + i * g
            self.kept = x, c, h, i, f, a, g, new
            return new, np.tanh(new)

        def vjp(self, dc, dh):
            x, c, h, i, f, a, g, new = self.kept
            dc = dc + dh * (1 - np.tanh(new) ** 2)
            slope = 1 - np.tanh(a) ** 2 + (0 if mistake else _sigmoid(a) * (1 - _sigmoid(a)))
            dz = np.hstack([dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * slope])
            return [x.T @ dz, h.T @ dz], dz @ self.W.T, (dc * f, dz @ self.U.T)

    return Added


MISTAKES = {
    update_gate: {"gate": "the gradient of `c` in `(1 - g) * c` uses `g` where `1 - g` belongs"},
    antisymmetric: {"turned": "no gradient flows back to `W` through `W.T`"},
    oscillator: {"through z": "no gradient flows back to `z` through `e * z`"},
    fast: {"k": "no gradient flows back to `z` through `1 - z`"},
    mixture: {"diagonal": "the derivative of the softmax `e / e.sum(1, keepdims=True)` is taken as y (1 - y)"},
    light: {"mask": "the derivative of `np.maximum(x @ p['C'] + h @ p['D'], 0)` is missing"},
    quasi: {"last x": "no gradient flows back to `last` through `last @ B`"},
    delta: {"b": "no gradient flows back to `w` through `b * w`"},
    squared: {"old h": "is taken as 1 - y^2 with `np.tanh(np.dot(A, x) + np.dot(B, hs[-1]))` of the step before as y"},
    added: {"one of two": "no gradient flows back to `_sigmoid(a)` through `np.tanh(a) + _sigmoid(a)`"},
}
