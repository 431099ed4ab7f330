"""Recurrent networks that strangers write: their steps cannot be redone alone. Each takes the name of a mistake of its backward pass."""

import numpy as np
from cellcheck.cells.adapters import adapt


def _sigmoid(z):
    return 0.5 * (np.tanh(0.5 * z) + 1)


def predictor(mistake=None):
    """A loss: h = sigmoid(K [h, x] + k), the next input is predicted as R h + s, half the squared errors are added up."""

    def loss(frames, wanted, h, K, k, R, s):
        n, hs, cats, dp = h.size, [h.ravel()], [], []
        for frame in frames:
            cats.append(np.concatenate([hs[-1], frame]))
            hs.append(_sigmoid(K @ cats[-1] + k))
        for h, y in zip(hs[1:], wanted):
            dp.append(R @ h + s - y)
        value = sum(0.5 * (d * d).sum() for d in dp)
        dK, dk, dR, ds, later = 0 * K, 0 * k, 0 * R, 0 * s, 0 * hs[0]
        for t in range(len(frames) - 1, -1, -1):
            out = hs[t] if mistake == "slope" else hs[t + 1]
            dz = (R.T @ dp[t] + later) * out * (1 - out)
            seen = np.concatenate([hs[t + 1], frames[t]]) if mistake == "state" else cats[t]
            dK, dR, ds = dK + np.outer(dz, seen), dR + np.outer(dp[t], hs[t + 1]), ds + dp[t]
            dk = dz if mistake == "bias" else dk + dz
            back = K[:, :n] if mistake == "transposed" else K[:, :n].T
            later = 0 * dz if mistake == "flow" else back @ dz
        return value, dK, dk, dR, ds

    return adapt(
        make=lambda F, S: {"K": np.zeros((S, S + F)), "k": np.zeros(S), "R": np.zeros((F, S)), "s": np.zeros(F)},
        forward=("x targets h K k R s -> loss dK dk dR ds", loss),
        axes="steps features",
        targets=lambda x: np.roll(x[:, 0], -1, axis=0),
    )


def memory(mistake=None):
    """An LSTM with a matrix for each gate that returns its outputs alone, batch first, and keeps c to itself."""
    gates = "fiog"

    def forward(x, h, p):
        c, cache, hs = np.zeros(h.shape), [], []
        for t in range(x.shape[1]):
            a = {n: (np.tanh if n == "g" else _sigmoid)(x[:, t] @ p["A" + n] + h @ p["B" + n] + p["c" + n]) for n in gates}
            cache.append((x[:, t], h, c, a))
            c = a["f"] * c + a["i"] * a["g"]
            h = a["o"] * np.tanh(c)
            hs.append(h)
        return np.stack(hs, 1) if hs else np.zeros((len(x), 0, h.shape[1])), (cache, c, p)

    def backward(dhs, saved):
        cache, c, p = saved
        found = {f"d{name}": 0 * w for name, w in p.items()}
        dh, dc, last = np.zeros(c.shape), np.zeros(c.shape), None
        for t, (x, h, before, a) in reversed([*enumerate(cache)]):
            dh, m = dh + dhs[:, t], np.tanh(c)
            dc, c = dc + dh * a["o"] * (1 - m * m), before
            d = {"f": dc * before, "i": dc * a["g"], "o": dh * m, "g": dc * a["i"]}
            dh = np.zeros(c.shape)
            for n in gates:
                dz = d[n] * (1 - a[n] ** 2 if n == "g" else a[n] * (1 - a[n]))
                for name, own in (("dA" + n, x.T @ dz), ("dB" + n, h.T @ dz), ("dc" + n, dz.sum(0))):
                    found[name] = found[name] + own
                if mistake == "bias" and n == "o":
                    found["dco"] = dz.sum(0) if t == len(cache) - 1 else last
                    last = found["dco"]
                dh = dh + dz @ p["B" + n].T
            dc = 0 * dc if mistake in ("c", "flow") else dc * a["f"]
            dh = 0 * dh if mistake in ("h", "flow") else dh
        return found

    shapes = {"A": lambda F, S: (F, S), "B": lambda F, S: (S, S), "c": lambda F, S: (S,)}
    return adapt(
        make=lambda F, S: {kind + n: np.zeros(shape(F, S)) for n in gates for kind, shape in shapes.items()},
        forward=("x h weights -> ys cache", forward),
        backward=("dys cache -> dweights=d*", backward),
        axes="batch steps features",
    )


def both_ways(mistake=None):
    """Two tanh RNNs, the second of which reads backwards in time; their states side by side."""

    def run(x, W, U):
        hs = [np.zeros((x.shape[1], len(U)))]
        for x_t in x:
            hs.append(np.tanh(x_t @ W + hs[-1] @ U))
        return np.array(hs)

    def back(x, hs, d, W, U):
        dW, dU, dx, later = 0 * W, 0 * U, np.zeros(x.shape), np.zeros(hs.shape[1:])
        for t in range(len(x) - 1, -1, -1):
            dz = (d[t] + later) * (1 - hs[t + 1] ** 2)
            dW, dU, dx[t], later = dW + x[t].T @ dz, dU + hs[t].T @ dz, dz @ W.T, dz @ U.T
        return dx, dW, dU

    def forward(x, W, U, V, Q):
        one, two = run(x, W, U), run(x[::-1], V, Q)
        return np.concatenate([one[1:], two[:0:-1]], axis=2), (x, one, two)

    def backward(dys, saved, W, U, V, Q):
        (x, one, two), n = saved, len(U)
        dx, dW, dU = back(x, one, dys[..., :n], W, U)
        turned, dV, dQ = back(x[::-1], two, dys[..., n:] if mistake == "upstream" else dys[::-1, :, n:], V, Q)
        return dx + (turned if mistake else turned[::-1]), dW, dU, dV, dQ

    return adapt(
        make=lambda F, S: {"W": np.zeros((F, S)), "U": np.zeros((S, S)), "V": np.zeros((F, S)), "Q": np.zeros((S, S))},
        forward=("x W U V Q -> ys cache", forward),
        backward=("dys cache W U V Q -> dx dW dU dV dQ", backward),
        axes="steps batch features",
        output={"ys": "steps batch both"},
        sizes={"both": lambda F, S: 2 * S},
    )


def notes(mistake=None):
    """A class that keeps its state from one call to the next, though it takes none."""

    class Notes:
        def __init__(self, F, S):
            self.A, self.B, self.last = np.zeros((F, S)), np.zeros((S, S)), np.zeros((1, S))

        def listen(self, x):
            h = self.last if mistake == "kept" else np.zeros((1, len(self.B)))
            self.x, self.hs = x, [h]
            for x_t in x:
                self.hs.append(np.tanh(x_t @ self.A + self.hs[-1] @ self.B))
            self.last = self.hs[-1]
            return np.array(self.hs[1:]) if len(x) else np.zeros((0, 1, len(self.B)))

        def learn(self, d):
            dA, dB, later = 0 * self.A, 0 * self.B, 0 * self.hs[0]
            for t in range(len(self.x) - 1, -1, -1):
                dz = (d[t] + later) * (1 - self.hs[t + 1] ** 2)
                dA, dB, later = dA + self.x[t].T @ dz, dB + self.hs[t].T @ dz, dz @ self.B.T
            return dA, dB

    return adapt(Notes, forward=("x -> ys", "listen"), backward=("dys -> dA dB", "learn"), weights="A B", axes="steps 1 features")


def every_other(mistake=None):
    """A tanh RNN that returns its last state alone and takes every other step; mistake: the state gets no gradient where it rests."""

    def forward(x, h, W, U):
        hs = [h]
        for t, x_t in enumerate(x):
            hs.append(hs[-1] if t % 2 else np.tanh(x_t @ W + hs[-1] @ U))
        return hs[-1], (x, hs)

    def backward(dh, saved, W, U):
        (x, hs), dW, dU = saved, 0 * W, 0 * U
        dx = np.zeros(x.shape)
        for t in range(len(x) - 1, -1, -1):
            if t % 2:
                dh = 0 * dh if mistake else dh
                continue
            dz = dh * (1 - hs[t + 1] ** 2)
            dW, dU, dx[t], dh = dW + x[t].T @ dz, dU + hs[t].T @ dz, dz @ W.T, dz @ U.T
        return dx, dh, dW, dU

    return adapt(
        make=lambda F, S: {"W": np.zeros((F, S)), "U": np.zeros((S, S))},
        forward=("x h W U -> h cache", forward),
        backward=("dh cache W U -> dx dh dW dU", backward),
        axes="steps batch features",
    )


def rotating(mistake=None):
    """Turned by an angle e^q and squashed at each step: s' = tanh(e^{i e^q} s + x A), s and A in two parts."""

    def forward(x, u, v, q, A, B):
        turn, us, vs = np.exp(q), [u], [v]
        c, s = np.cos(turn), np.sin(turn)
        for x_t in x:
            u, v = us[-1], vs[-1]
            us.append(np.tanh(c * u - s * v + x_t @ A))
            vs.append(np.tanh(s * u + c * v + x_t @ B))
        return us[-1], vs[-1], (x, us, vs, c, s, turn)

    def backward(du, dv, saved, A, B):
        (x, us, vs, c, s, turn), dA, dB = saved, 0 * A, 0 * B
        dx, dc, ds = np.zeros(x.shape), 0 * c, 0 * s
        for t in range(len(x) - 1, -1, -1):
            du, dv = du * (1 - us[t + 1] ** 2), dv * (1 - vs[t + 1] ** 2)
            dA, dB, dx[t] = dA + x[t].T @ du, dB + x[t].T @ dv, du @ A.T + dv @ B.T
            dc, ds = dc + (du * us[t] + dv * vs[t]).sum(0), ds + (dv * us[t] - du * vs[t]).sum(0)
            back = -s if mistake == "conjugate" else s
            du, dv = c * du + back * dv, c * dv - back * du
        return dx, du, dv, (c * ds - s * dc) * (1 if mistake == "chain" else turn), dA, dB

    return adapt(
        make=lambda F, S: {"q": np.zeros(S), "A": np.zeros((F, S)), "B": np.zeros((F, S))},
        forward=("x u v q A B -> u v cache", forward),
        backward=("du dv cache A B -> dx du dv dq dA dB", backward),
        states="u v",
        output="v",
        axes="steps batch features",
        domains={"q": (-3, 1)},
    )


def unsquashed(mistake=None):
    """A tanh RNN of columns; mistake: what goes back to the step before is not multiplied by the derivative of tanh."""

    def forward(x, h, V, U, b):
        hs = [h]
        for x_t in x:
            hs.append(np.tanh(V @ x_t + U @ hs[-1] + b))
        return np.array(hs[1:]).reshape(len(x), *h.shape), (x, hs)

    def backward(dys, saved, V, U):
        (x, hs), dV, dU, db = saved, 0 * V, 0 * U, np.zeros((len(U), 1))
        dx, dh = np.zeros(x.shape), 0 * hs[0]
        for t in range(len(x) - 1, -1, -1):
            dh = dh + dys[t]
            dz = dh * (1 - hs[t + 1] ** 2)
            dV, dU, db, dx[t] = dV + dz @ x[t].T, dU + dz @ hs[t].T, db + dz.sum(1, keepdims=True), V.T @ dz
            dh = U.T @ (dh if mistake else dz)
        return dx, dh, dV, dU, db

    return adapt(
        make=lambda F, S: {"V": np.zeros((S, F)), "U": np.zeros((S, S)), "b": np.zeros((S, 1))},
        forward=("x h V U b -> ys cache", forward),
        backward=("dys cache V U -> dx dh dV dU db", backward),
        axes="steps features batch",
    )


MISTAKES = {
    rotating: {
        "conjugate": "the gradients through all products with `s` have the wrong sign",
        "chain": "the derivative of `np.exp(q)` is missing",
    },
    unsquashed: {
        "carried": "the gradient of `hs[-1]` through `U @ hs[-1]` lacks the derivative of `np.tanh(V @ x_t + U @ hs[-1] + b)`"
    },
    predictor: {
        "flow": "the gradient does not flow from step t + 1 to step t",
        "state": "the gradient of `K` in `K @ cats[-1]` uses `hs[-1]` of the step after where `hs[-1]` belongs",
        "slope": "is taken as y (1 - y) with `_sigmoid(K @ cats[-1] + k)` of the step before as y, not its output",
        "bias": "the gradient of `k` is that of the first of 4 steps alone",
        "transposed": "multiplies the square part of `K` without transposing it",
    },
    memory: {
        "flow": "the gradient does not flow from step t + 1 to step t",
        "c": "no gradient flows back to `c` through `a['f'] * c`",
        "h": "no gradient flows back to `h` through `h @ p['B' + n]`",
        "bias": "the gradient of `co` is that of the last of 4 steps alone",
    },
    both_ways: {
        "upstream": "the upstream and the gradient of x of the second half of ys are not turned around in time",
        "x": "the gradient of x of the second half of ys is not turned around in time",
    },
    every_other: {"rest": "every gradient is zero"},
    notes: {"kept": "something is kept from the call before"},
}
