"""Sequences of cells that the diagnosis was not written for. Each takes the name of a mistake in its backward pass."""

import numpy as np
from cellcheck.cells.adapters import adapt


def _sigmoid(z):
    return 0.5 * (np.tanh(0.5 * z) + 1)


def simple_unit(mistake=None):
    """An SRU: n = x W, f = s(x V + v), r = s(x R), c = f c + (1 - f) n, y = r tanh(c) + (1 - r) x Q."""

    def forward(x, c, W, V, v, R, Q):
        n, f, r, q, cs = x @ W, _sigmoid(x @ V + v), _sigmoid(x @ R), x @ Q, [c]
        for t in range(len(x)):
            cs.append(f[t] * cs[-1] + (1 - f[t]) * n[t])
        cs = np.array(cs)
        return cs[-1], r * np.tanh(cs[1:]) + (1 - r) * q, (x, cs, n, f, r, q)

    def backward(dc, dy, saved, W, V, R, Q):
        x, cs, n, f, r, q = saved
        m = np.tanh(cs[1:])
        dr, dq, dn, df = dy * (m - q) * r * (1 - r), dy * (1 - r), 0 * f, 0 * f
        own = dy * r * (1 if mistake == "slope" else 1 - m * m)
        for t in range(len(x) - 1, -1, -1):
            dc = dc + own[t]
            dn[t], df[t] = dc * (1 - f[t]), dc * ((cs[t + 1] if mistake == "new c" else cs[t]) - n[t]) * f[t] * (1 - f[t])
            dc = dc * (1 - f[t] if mistake == "carry" else f[t])
        dx = dn @ W.T + df @ V.T + dr @ R.T + (0 if mistake == "highway" else dq @ Q.T)

        def of(d):
            return np.einsum("tbf,tbs->fs", x, d)

        return dx, dc, of(dn), of(df), df.sum((0, 1)), of(dr), of(dq)

    return adapt(
        make=lambda F, S: {name: np.zeros(S if name == "v" else (F, S)) for name in "WVvRQ"},
        forward=("x c W V v R Q -> c y cache", forward),
        backward=("dc dy cache W V R Q -> dx dc dW dV dv dR dQ", backward),
        states="c",
        axes="steps batch features",
        output={"y": "steps batch state"},
    )


def state_space(mistake=None):
    """A diagonal state space: h = a h + x B with a = s(l), y = h C + x D."""

    def forward(x, h, log, B, C, D):
        hs = [h]
        for x_t in x:
            hs.append(_sigmoid(log) * hs[-1] + x_t @ B)
        hs = np.array(hs)
        return hs[-1], hs[1:] @ C + x @ D, (x, hs)

    def backward(dh, dy, saved, log, B, C, D):
        (x, hs), a = saved, _sigmoid(log)
        da, dB, dx, into = 0 * a, 0 * B, 0 * x, dy @ C.T
        for t in range(len(x) - 1, -1, -1):
            dh = dh + into[t]
            da = da + (dh * hs[t + 1 if mistake == "new h" else t]).sum(0)
            dB, dx[t], dh = dB + x[t].T @ dh, dh @ B.T, dh * a
        dx = dx if mistake == "skip" else dx + dy @ D.T
        dl = da if mistake == "chain" else da * a * (1 - a)
        return dx, dh, dl, dB, np.einsum("tbs,tbo->so", hs[1:], dy), np.einsum("tbf,tbo->fo", x, dy)

    return adapt(
        make=lambda F, S: {"log": np.zeros(S), "B": np.zeros((F, S)), "C": np.zeros((S, S)), "D": np.zeros((F, S))},
        forward=("x h log B C D -> h y cache", forward),
        backward=("dh dy cache log B C D -> dx dh dlog dB dC dD", backward),
        axes="steps batch features",
        output={"y": "steps batch state"},
    )


def jordan(mistake=None):
    """What is put out is fed back: z = tanh(x W + y V + b), y = s(z U + c)."""

    class Jordan:
        def __init__(self, n_in, n):
            self.p = {"W": np.zeros((n_in, n)), "V": np.zeros((n, n)), "b": np.zeros(n), "U": np.zeros((n, n)), "c": np.zeros(n)}

        def forward(self, x, y):
            self.x, self.zs, self.ys, p = x, [], [y], self.p
            for t in range(x.shape[1]):
                self.zs.append(np.tanh(x[:, t] @ p["W"] + self.ys[-1] @ p["V"] + p["b"]))
                self.ys.append(_sigmoid(self.zs[-1] @ p["U"] + p["c"]))
            return np.stack(self.ys[1:], 1) if self.zs else np.zeros((len(x), 0, y.shape[1]))

        def backward(self, dys):
            grads, p, later = {k: 0 * w for k, w in self.p.items()}, self.p, np.zeros(self.ys[0].shape)
            dx = 0 * self.x
            for t in range(len(self.zs) - 1, -1, -1):
                y, z = self.ys[t + 1], self.zs[t]
                do = (dys[:, t] + later) * (1 if mistake == "slope" else y * (1 - y))
                dz = do @ p["U"].T * (1 - z * z)
                before = self.ys[t + 1] if mistake == "new y" else self.ys[t]
                for k, g in (
                    ("W", self.x[:, t].T @ dz),
                    ("V", before.T @ dz),
                    ("b", dz.sum(0)),
                    ("U", z.T @ do),
                    ("c", do.sum(0)),
                ):
                    grads[k] = grads[k] + g
                dx[:, t], later = dz @ p["W"].T, dz @ p["V"].T
                if mistake == "feedback":
                    later = 0 * later
            return dx, later, grads

    return adapt(
        Jordan,
        weights=".p",
        states="y",
        forward=("x y -> ys", "forward"),
        backward=("dys -> dx dy dweights", "backward"),
        axes="batch steps features",
    )


def clockwork(mistake=None):
    """Unit k moves where t is a multiple of 1, 2, 1, 2, ...; otherwise it rests."""

    def moves(t, n):
        return t % (1 + np.arange(n) % 2) == 0

    def forward(x, h, W, U, b):
        hs = [h]
        for t, x_t in enumerate(x):
            hs.append(np.where(moves(t, len(b)), np.tanh(x_t @ W + hs[-1] @ U + b), hs[-1]))
        return hs[-1], np.array(hs[1:]) if len(x) else np.zeros((0, *h.shape)), (x, hs)

    def backward(dh, dys, saved, W, U, b):
        (x, hs), dW, dU, db = saved, 0 * W, 0 * U, 0 * b
        dx = 0 * x
        for t in range(len(x) - 1, -1, -1):
            dh, on = dh + dys[t], moves(t, len(b))
            dz = dh * (1 - hs[t + 1] ** 2) * (1 if mistake == "mask" else on)
            rest = 0 if mistake == "rest" else dh * ~on
            dW, dU, db, dx[t], dh = dW + x[t].T @ dz, dU + hs[t].T @ dz, db + dz.sum(0), dz @ W.T, dz @ U.T + rest
        return dx, dh, dW, dU, db

    return adapt(
        make=lambda F, S: {"W": np.zeros((F, S)), "U": np.zeros((S, S)), "b": np.zeros(S)},
        forward=("x h W U b -> h ys cache", forward),
        backward=("dh dys cache W U b -> dx dh dW dU db", backward),
        axes="steps batch features",
        choices={"time": True},
    )


def summed_ways(mistake=None):
    """Two tanh RNNs with a shared input matrix, one in each direction of time, whose states are added."""

    def run(x, W, U):
        hs = [np.zeros((x.shape[1], len(U)))]
        for x_t in x:
            hs.append(np.tanh(x_t @ W + hs[-1] @ U))
        return hs

    def back(x, hs, d, W, U):
        dW, dU, dx, later = 0 * W, 0 * U, 0 * x, 0 * hs[0]
        for t in range(len(x) - 1, -1, -1):
            dz = (d[t] + later) * (1 - hs[t + 1] ** 2)
            dW, dU, dx[t], later = dW + x[t].T @ dz, dU + hs[t].T @ dz, dz @ W.T, dz @ U.T
        return dx, dW, dU

    def forward(x, W, U, V):
        one, two = run(x, W, U), run(x[::-1], W, V)
        return np.array(one[1:]) + np.array(two[:0:-1]), (x, one, two)

    def backward(dys, saved, W, U, V):
        x, one, two = saved
        dx, dW, dU = back(x, one, dys, W, U)
        other, dW2, dV = back(x[::-1], two, dys[::-1], W, V)
        return dx + other[::-1], dW if mistake == "shared" else dW + dW2, dU, dU if mistake == "same" else dV

    return adapt(
        make=lambda F, S: {"W": np.zeros((F, S)), "U": np.zeros((S, S)), "V": np.zeros((S, S))},
        forward=("x W U V -> ys cache", forward),
        backward=("dys cache W U V -> dx dW dU dV", backward),
        axes="steps batch features",
        output={"ys": "steps batch state"},
        fewest_steps=1,
    )


def stacked(mistake=None):
    """Two layers: g = tanh(x A + g B), h = tanh(g C + h D)."""

    def forward(x, g, h, A, B, C, D):
        gs, hs = [g], [h]
        for x_t in x:
            gs.append(np.tanh(x_t @ A + gs[-1] @ B))
            hs.append(np.tanh(gs[-1] @ C + hs[-1] @ D))
        return gs[-1], hs[-1], np.array(hs[1:]) if len(x) else np.zeros((0, *h.shape)), (x, gs, hs)

    def backward(dg, dh, dys, saved, A, B, C, D):
        x, gs, hs = saved
        dA, dB, dC, dD, dx = 0 * A, 0 * B, 0 * C, 0 * D, 0 * x
        for t in range(len(x) - 1, -1, -1):
            da = (dh + dys[t]) * (1 - hs[t + 1] ** 2)
            below = da @ C.T
            dg = dg + (0 if mistake == "below" else below)
            db = (below if mistake == "carried" else dg) * (1 - gs[t + 1] ** 2)
            seen = gs[t] if mistake == "early" else gs[t + 1]
            dA, dB, dC, dD = dA + x[t].T @ db, dB + gs[t].T @ db, dC + seen.T @ da, dD + hs[t].T @ da
            dx[t], dg, dh = db @ A.T, db @ B.T, da @ D.T
        return dx, dg, dh, dA, dB, dC, dD

    return adapt(
        make=lambda F, S: {"A": np.zeros((F, S)), "B": np.zeros((S, S)), "C": np.zeros((S, S)), "D": np.zeros((S, S))},
        forward=("x g h A B C D -> g h ys cache", forward),
        backward=("dg dh dys cache A B C D -> dx dg dh dA dB dC dD", backward),
        states="g h",
        axes="steps batch features",
    )


def softmaxed(mistake=None):
    """A loss: h = tanh(Wx x + Wh h + bh), the cross-entropy of softmax(Wy h + by) with the next token."""

    def loss(xs, targets, h, Wx, Wh, Wy, bh, by):
        hs, ps, total = [h], [], 0
        for x, k in zip(xs, targets):
            hs.append(np.tanh(Wx @ x + Wh @ hs[-1] + bh))
            y = Wy @ hs[-1] + by
            e = np.exp(y - y.real.max())
            ps.append(e / e.sum())
            total = total - np.log(ps[-1][k, 0])
        dWx, dWh, dWy, dbh, dby, later = 0 * Wx, 0 * Wh, 0 * Wy, 0 * bh, 0 * by, 0 * h
        for t in range(len(xs) - 1, -1, -1):
            dy = ps[t].copy()
            if mistake != "target":
                dy[targets[t]] -= 1
            dWy, dby = dWy + dy @ hs[t if mistake == "old h" else t + 1].T, dby + dy
            dz = (Wy.T @ dy + later) * (1 - hs[t + 1] ** 2)
            dWx, dWh, dbh = dWx + dz @ xs[t].T, dWh + dz @ hs[t].T, dbh + dz
            later = (0 if mistake == "carried" else 1) * (Wh.T @ dz)
        return total, dWx, dWh, dWy, dbh, dby

    return adapt(
        make=lambda F, S: {
            "Wx": np.zeros((S, F)),
            "Wh": np.zeros((S, S)),
            "Wy": np.zeros((F, S)),
            "bh": np.zeros((S, 1)),
            "by": np.zeros((F, 1)),
        },
        forward=("x targets h Wx Wh Wy bh by -> loss dWx dWh dWy dbh dby", loss),
        axes="steps features 1",
        targets=lambda x: list(np.roll(x[:, 0].real.argmax(axis=1), -1)),
    )


def listed(mistake=None):
    """A GRU that keeps everything in lists over time: gates z r, the candidate with r h, h' = z h + (1 - z) n."""

    class Listed:
        def __init__(self, F, S):
            self.Wz, self.Wr, self.Wn = (np.zeros((F + S, S)) for _ in range(3))

        def forward(self, x, h):
            self.zs, self.rs, self.ns, self.hs, self.xs = [], [], [], [h], list(x)
            for x_t in self.xs:
                a = np.hstack([x_t, h])
                z, r = _sigmoid(a @ self.Wz), _sigmoid(a @ self.Wr)
                n = np.tanh(np.hstack([x_t, r * h]) @ self.Wn)
                h = z * h + (1 - z) * n
                for kept, value in ((self.zs, z), (self.rs, r), (self.ns, n), (self.hs, h)):
                    kept.append(value)
            return h, np.array(self.hs[1:]) if self.xs else np.zeros((0, *h.shape))

        def backward(self, dh, dys):
            self.dWz, self.dWr, self.dWn = 0 * self.Wz, 0 * self.Wr, 0 * self.Wn
            dx = []
            for t in reversed(range(len(self.xs))):
                x, h, z, r, n = self.xs[t], self.hs[t], self.zs[t], self.rs[t], self.ns[t]
                F, dh = x.shape[1], dh + dys[t]
                dn = dh * (1 - z) * (1 - n * n)
                dz = dh * (h - n) * z * (1 - z)
                db = dn @ self.Wn.T
                dr = db[:, F:] * (self.hs[t + 1] if mistake == "new h" else h) * r * (1 - r)
                a = np.hstack([x, h])
                self.dWz, self.dWr = self.dWz + a.T @ dz, self.dWr + a.T @ dr
                self.dWn = self.dWn + np.hstack([x, h if mistake == "no r" else r * h]).T @ dn
                da = dz @ self.Wz.T + dr @ self.Wr.T
                dx.insert(0, da[:, :F] + db[:, :F])
                dh = da[:, F:] + db[:, F:] * r + (0 if mistake == "direct" else dh * z)
            return np.array(dx) if dx else np.zeros((0, *dh.shape[:1], len(self.Wz) - dh.shape[1])), dh

    return adapt(
        Listed,
        weights="Wz Wr Wn",
        forward=("x h -> h ys", "forward"),
        backward=("dh dys -> dx dh dweights=.d*", "backward"),
        axes="steps batch features",
    )


MISTAKES = {
    simple_unit: {
        "slope": "the derivative of `np.tanh(cs[1:])` is missing",
        "new c": "the gradient of `f[t]` in `f[t] * cs[-1]` uses `cs[-1]` of the step after where `cs[-1]` belongs",
        "carry": "the gradient of `cs[-1]` in `f[t] * cs[-1]` uses `1 - f[t]` where `f[t]` belongs",
        "highway": "no gradient flows back to `x` through `x @ Q`",
    },
    state_space: {
        "new h": "the gradient of `_sigmoid(log)` in `_sigmoid(log) * hs[-1]` uses `hs[-1]` of the step after",
        "skip": "no gradient flows back to `x` through `x @ D`",
        "chain": "the derivative of `_sigmoid(log)` is missing",
    },
    jordan: {
        "slope": "the derivative of `_sigmoid(zs[-1] @ p['U'] + p['c'])` is missing",
        "new y": "the gradient of `V` in `ys[-1] @ p['V']` uses `ys[-1]` of the step after where `ys[-1]` belongs",
        "feedback": "the state gradient is not carried from step to step",
    },
    clockwork: {"mask": None, "rest": "no gradient flows back to `hs[-1]` through `np.where(moves(t, len(b))"},
    summed_ways: {"shared": "no gradient flows back to `W` through `x_t @ W`", "same": "the gradient of V is that of U"},
    stacked: {
        "below": "no gradient flows back to `gs[-1]` through `gs[-1] @ C`",
        "carried": "the upstream of g' has no effect",
        "early": "the gradient of `C` in `gs[-1] @ C` uses `gs[-1]` of the step before where `gs[-1]` belongs",
    },
    softmaxed: {
        "target": "no gradient flows back to `e` through `e / e.sum()`",
        "old h": "the gradient of `Wy` in `Wy @ hs[-1]` uses `hs[-1]` of the step before where `hs[-1]` belongs",
        "carried": "no gradient flows back to `hs[-1]` through `Wh @ hs[-1]`",
    },
    listed: {
        "new h": "the gradient of `r` in `r * h` uses `h` of the step after, the new `h`, where `h` belongs",
        "no r": "the gradient of `Wn` in `np.hstack([x_t, r * h]) @ Wn` uses `a` where `np.hstack([x_t, r * h])` belongs",
        "direct": "no gradient flows back to `h` through `z * h`",
    },
}
