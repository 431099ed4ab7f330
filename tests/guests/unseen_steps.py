"""Single steps of cells that the diagnosis was not written for. Each takes the name of a mistake in its backward pass."""

import numpy as np
from cellcheck.cells.adapters import adapt


def _sigmoid(z):
    return 0.5 * (np.tanh(0.5 * z) + 1)


def peephole(mistake=None):
    """An LSTM, gates f i o g side by side, whose first two gates look at c and whose third looks at the new c."""

    class Peephole:
        state_names = ("c", "h")

        def __init__(self, F, S):
            self.K, self.R, self.b, self.p = np.zeros((F, 4 * S)), np.zeros((S, 4 * S)), np.zeros(4 * S), np.zeros((3, S))
            self.weights = [self.K, self.R, self.b, self.p]

        def apply(self, x, c, h):
            f, i, o, g = np.split(x @ self.K + h @ self.R + self.b, 4, axis=1)
            f, i, g = _sigmoid(f + self.p[0] * c), _sigmoid(i + self.p[1] * c), np.tanh(g)
            new = f * c + i * g
            o = _sigmoid(o + self.p[2] * new)
            self.kept = x, c, h, f, i, o, g, new
            return new, o * np.tanh(new)

        def vjp(self, dc, dh):
            x, c, h, f, i, o, g, new = self.kept
            m = np.tanh(new)
            do = dh * m * o * (1 - o)
            dc = dc + dh * o * (1 - m * m) + (0 if mistake == "through o" else do * self.p[2])
            df, di, dg = dc * c * f * (1 - f), dc * g * i * (1 - i), dc * i * (1 - g * g)
            dz = np.hstack([df, di, do, dg])
            dp = np.array([(df * c).sum(0), (di * c).sum(0), (do * (c if mistake == "old c" else new)).sum(0)])
            if mistake == "none for i":
                dp[1] = 0
            back = dc * f + df * self.p[0] + (0 if mistake == "back to c" else di * self.p[1])
            return [x.T @ dz, h.T @ dz, dz.sum(0), dp], dz @ self.K.T, (back, dz @ self.R.T)

    return Peephole


def minimal(mistake=None):
    """A minimal gated unit in columns: f = s(Wf x + Uf h + bf), n = tanh(Wn x + Un (f h) + bn), h' = (1 - f) h + f n."""

    def forward(x, h, Wf, Uf, bf, Wn, Un, bn):
        f = _sigmoid(Wf @ x + Uf @ h + bf)
        n = np.tanh(Wn @ x + Un @ (f * h) + bn)
        return (1 - f) * h + f * n, (x, h, f, n)

    def backward(d, saved, Wf, Uf, Wn, Un):
        x, h, f, n = saved
        dn = d * f * (1 - n * n)
        inner = Un.T @ dn
        df = d * (h - n if mistake == "sign" else n - h) + (0 if mistake == "inner" else inner * h)
        df = df * f * (1 - f)
        dh = Uf.T @ df + inner * f + (0 if mistake == "direct" else d * (1 - f))
        dUn = dn @ (h if mistake == "ungated" else f * h).T
        return Wf.T @ df + Wn.T @ dn, dh, df @ x.T, df @ h.T, df.sum(1, keepdims=True), dn @ x.T, dUn, dn.sum(1, keepdims=True)

    return adapt(
        make=lambda F, S: {
            name: np.zeros(shape)
            for gate in "fn"
            for name, shape in ((f"W{gate}", (S, F)), (f"U{gate}", (S, S)), (f"b{gate}", (S, 1)))
        },
        forward=("x h Wf Uf bf Wn Un bn -> h cache", forward),
        backward=("dh cache Wf Uf Wn Un -> dx dh dWf dUf dbf dWn dUn dbn", backward),
        axes="features batch",
    )


def normed(mistake=None):
    """h' = tanh(gain norm(x W + h U) + bias), with layer normalisation over the units."""

    def forward(x, h, W, U, gain, bias):
        z = x @ W + h @ U
        s = np.sqrt(((z - z.mean(1, keepdims=True)) ** 2).mean(1, keepdims=True) + 1e-5)
        n = (z - z.mean(1, keepdims=True)) / s
        y = np.tanh(gain * n + bias)
        return y, (x, h, n, s, y)

    def backward(d, saved, W, U, gain):
        x, h, n, s, y = saved
        da = d * (1 - y * y)
        dn = da if mistake == "gain" else da * gain
        mean = 0 if mistake == "mean" else dn.mean(1, keepdims=True)
        deviation = 0 if mistake == "deviation" else n * (dn * n).mean(1, keepdims=True)
        dz = (dn - mean - deviation) / s
        if mistake == "constant":
            dz = dn / s
        return dz @ W.T, dz @ U.T, x.T @ dz, h.T @ dz, (da * n).sum(0), da.sum(0)

    return adapt(
        make=lambda F, S: {"W": np.zeros((F, S)), "U": np.zeros((S, S)), "gain": np.ones(S), "bias": np.zeros(S)},
        forward=("x h W U gain bias -> h cache", forward),
        backward=("dh cache W U gain -> dx dh dW dU dgain dbias", backward),
    )


def chaosfree(mistake=None):
    """A chaos-free network: h' = s(x A + h B + a) tanh(h) + s(x C + h D + d) tanh(x E)."""

    class ChaosFree:
        def __init__(self, F, S):
            self.A, self.C, self.E = (np.zeros((F, S)) for _ in range(3))
            self.B, self.D, self.a, self.d = np.zeros((S, S)), np.zeros((S, S)), np.zeros(S), np.zeros(S)
            self.weights = [self.A, self.B, self.a, self.C, self.D, self.d, self.E]

        def apply(self, x, h):
            keep, enter = _sigmoid(x @ self.A + h @ self.B + self.a), _sigmoid(x @ self.C + h @ self.D + self.d)
            new = np.tanh(x @ self.E)
            self.kept = x, h, keep, enter, new
            return (keep * np.tanh(h) + enter * new,)

        def vjp(self, dy):
            x, h, keep, enter, new = self.kept
            dk = dy * (h if mistake == "no tanh" else np.tanh(h)) * keep * (1 - keep)
            de = dy * new * enter * (1 - enter)
            dn = dy * enter * (1 if mistake == "candidate" else 1 - new * new)
            slope = 1 if mistake == "slope" else 1 - np.tanh(h) ** 2
            dh = dk @ self.B.T + dy * keep * slope + (0 if mistake == "through enter" else de @ self.D.T)
            found = [x.T @ dk, h.T @ dk, dk.sum(0), x.T @ de, h.T @ de, de.sum(0), x.T @ dn]
            return found, dk @ self.A.T + de @ self.C.T + dn @ self.E.T, (dh,)

    return ChaosFree


ACTIVATIONS = {  # forward, its derivative, a wrong one
    "elu": (
        lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
        lambda z: np.exp(np.minimum(z, 0)),
        lambda z: np.where(z > 0, 1, np.expm1(np.minimum(z, 0))),
    ),
    "leaky": (lambda z: np.where(z > 0, z, 0.1 * z), lambda z: np.where(z > 0, 1, 0.1), lambda z: 1.0 * (z > 0)),
    "swish": (
        lambda z: z * _sigmoid(z),
        lambda z: _sigmoid(z) * (1 + z * (1 - _sigmoid(z))),
        lambda z: _sigmoid(z) * (1 - _sigmoid(z)),
    ),
    "softsign": (lambda z: z / (1 + np.sqrt(z * z)), lambda z: 1 / (1 + np.abs(z)) ** 2, lambda z: 1 / (1 + np.abs(z))),
}


def activated(name, mistake=None):
    """h' = f(x W + h U + b) with one of the ACTIVATIONS; mistake: its wrong derivative."""
    f, right, wrong = ACTIVATIONS[name]

    class Activated:
        def __init__(self, D, H):
            self.Wxh, self.Whh, self.bh = np.zeros((D, H)), np.zeros((H, H)), np.zeros(H)
            self.weights = [self.Wxh, self.Whh, self.bh]

        def apply(self, x, h):
            self.x, self.h, self.z = x, h, x @ self.Wxh + h @ self.Whh + self.bh
            return (f(self.z),)

        def vjp(self, dh):
            dz = dh * (wrong if mistake else right)(self.z)
            return [self.x.T @ dz, self.h.T @ dz, dz.sum(0)], dz @ self.Wxh.T, (dz @ self.Whh.T,)

    return Activated


def elu(mistake=None):
    """With exp(z) - 1 below zero."""
    return activated("elu", mistake)


def leaky(mistake=None):
    """With z / 10 below zero."""
    return activated("leaky", mistake)


def swish(mistake=None):
    """With z s(z)."""
    return activated("swish", mistake)


def softsign(mistake=None):
    """With z / (1 + |z|)."""
    return activated("softsign", mistake)


def mingru(mistake=None):
    """z = s(x P + p), n = x Q + q, h' = (1 - z) h + z n."""

    def forward(x, h, P, p, Q, q):
        z, n = _sigmoid(x @ P + p), x @ Q + q
        return (1 - z) * h + z * n, (x, h, z, n)

    def backward(d, saved, P, Q):
        x, h, z, n = saved
        dz, dn = d * (n - h) * z * (1 - z), d * z
        if mistake == "slope":
            dz = d * (n - h)
        if mistake == "candidate":
            dn = d * z * (1 - n * n)
        if mistake == "old":
            dz = d * n * z * (1 - z)
        return dz @ P.T + dn @ Q.T, d * (1 - z), x.T @ dz, dz.sum(0), x.T @ dn, dn.sum(0)

    return adapt(
        make=lambda F, S: {"P": np.zeros((F, S)), "p": np.zeros(S), "Q": np.zeros((F, S)), "q": np.zeros(S)},
        forward=("x h P p Q q -> h cache", forward),
        backward=("dh cache P Q -> dx dh dP dp dQ dq", backward),
    )


def independent(mistake=None):
    """h' = tanh(x W + u h + b): each unit sees itself alone."""

    class Independent:
        def __init__(self, F, S):
            self.W, self.u, self.b = np.zeros((F, S)), np.zeros(S), np.zeros(S)
            self.weights = [self.W, self.u, self.b]

        def apply(self, x, h):
            self.x, self.h, self.y = x, h, np.tanh(x @ self.W + self.u * h + self.b)
            return (self.y,)

        def vjp(self, d):
            dz = d * (1 - self.y**2)
            du = (dz * (self.y if mistake == "new h" else self.h)).sum(0)
            return [self.x.T @ dz, du, dz.sum(0)], dz @ self.W.T, (dz if mistake == "no u" else dz * self.u,)

    return Independent


def leaking(mistake=None):
    """A leaky integrator: h' = (1 - a) h + a tanh(x W + h U), a = 0.3."""

    class Leaking:
        a = 0.3

        def __init__(self, F, S):
            self.W, self.U = np.zeros((F, S)), np.zeros((S, S))
            self.weights = [self.W, self.U]

        def apply(self, x, h):
            self.x, self.h, self.y = x, h, np.tanh(x @ self.W + h @ self.U)
            return ((1 - self.a) * h + self.a * self.y,)

        def vjp(self, d):
            dz = d * (1 if mistake == "rate" else self.a) * (1 - self.y**2)
            dh = dz @ self.U.T + (d if mistake == "whole" else 0 if mistake == "direct" else (1 - self.a) * d)
            return [self.x.T @ dz, self.h.T @ dz], dz @ self.W.T, (dh,)

    return Leaking


def multiplicative(mistake=None):
    """m = (x P) (h Q), h' = tanh(x W + m U)."""

    class Multiplicative:
        def __init__(self, F, S):
            self.P, self.Q, self.W, self.U = np.zeros((F, S)), np.zeros((S, S)), np.zeros((F, S)), np.zeros((S, S))
            self.weights = [self.P, self.Q, self.W, self.U]

        def apply(self, x, h):
            self.x, self.h, self.p, self.q = x, h, x @ self.P, h @ self.Q
            self.y = np.tanh(x @ self.W + self.p * self.q @ self.U)
            return (self.y,)

        def vjp(self, d):
            dz = d * (1 - self.y**2)
            dm = dz @ (self.U if mistake == "transpose" else self.U.T)
            dp, dq = dm * (self.p if mistake == "factor" else self.q), dm * self.p
            dx = dz @ self.W.T + (0 if mistake == "through m" else dp @ self.P.T)
            return [self.x.T @ dp, self.h.T @ dq, self.x.T @ dz, (self.p * self.q).T @ dz], dx, (dq @ self.Q.T,)

    return Multiplicative


def deep(mistake=None):
    """Two layers a step: a = tanh(x W + h U), h' = h + t (tanh(a V) - h), t = s(a T)."""

    class Deep:
        def __init__(self, F, S):
            self.W, self.U, self.V, self.T = np.zeros((F, S)), np.zeros((S, S)), np.zeros((S, S)), np.zeros((S, S))
            self.weights = [self.W, self.U, self.V, self.T]

        def apply(self, x, h):
            a = np.tanh(x @ self.W + h @ self.U)
            n, t = np.tanh(a @ self.V), _sigmoid(a @ self.T)
            self.kept = x, h, a, n, t
            return (h + t * (n - h),)

        def vjp(self, d):
            x, h, a, n, t = self.kept
            dn, dt = d * t * (1 - n * n), d * (n - h) * t * (1 - t)
            da = (dn @ self.V.T + (0 if mistake == "through t" else dt @ self.T.T)) * (1 if mistake == "slope" else 1 - a * a)
            dh = da @ self.U.T + (0 if mistake == "skip" else d * (1 - t))
            return [x.T @ da, h.T @ da, a.T @ dn, a.T @ dt], da @ self.W.T, (dh,)

    return Deep


def projected(mistake=None):
    """An LSTM with a matrix over [h; x] in columns and h' = P (o tanh(c'))."""

    def forward(x, c, h, M, m, P):
        a = np.vstack([h, x])
        i, f, o, g = np.split(M @ a + m, 4)
        i, f, o, g = _sigmoid(i), _sigmoid(f), _sigmoid(o), np.tanh(g)
        new = f * c + i * g
        r = o * np.tanh(new)
        return new, P @ r, (a, c, i, f, o, g, new, r, len(h))

    def backward(dc, dh, saved, M, P):
        a, c, i, f, o, g, new, r, S = saved
        dr = (P if mistake == "transpose" else P.T) @ dh
        dP = dh @ (np.tanh(new) if mistake == "no gate" else r).T
        m = np.tanh(new)
        dc = (0 if mistake == "dropped" else dc) + dr * o * (1 - m * m)
        dz = np.vstack([dc * g * i * (1 - i), dc * c * f * (1 - f), dr * m * o * (1 - o), dc * i * (1 - g * g)])
        da = M.T @ dz
        return da[S:], dc * f, da[:S], dz @ a.T, dz.sum(1, keepdims=True), dP

    return adapt(
        make=lambda F, S: {"M": np.zeros((4 * S, S + F)), "m": np.zeros((4 * S, 1)), "P": np.zeros((S, S))},
        forward=("x c h M m P -> c h cache", forward),
        backward=("dc dh cache M P -> dx dc dh dM dm dP", backward),
        axes="features batch",
    )


MISTAKES = {
    peephole: {
        "through o": "no gradient flows back to `new` through `p[2] * new`",
        "old c": "the gradient of `p[2]` in `p[2] * new` uses `c` where `new` belongs",
        "none for i": "no gradient flows back to `p` through `p[1]`",
        "back to c": "no gradient flows back to `c` through `p[1] * c`",
    },
    minimal: {
        "sign": "the gradients of `f` through `1 - f` and `f * n` have the wrong sign",
        "inner": "no gradient flows back to `f` through `f * h`",
        "direct": "no gradient flows back to `h` through `(1 - f) * h`",
        "ungated": "the gradient of `Un` in `Un @ (f * h)` uses `h` where `f * h` belongs",
    },
    normed: {
        "gain": "the gradient of `n` in `gain * n` lacks the factor `gain`",
        "mean": "no gradient flows back to `z` through `z.mean(1, keepdims=True)`",
        "deviation": "no gradient flows back to `z` through `z - z.mean(1, keepdims=True)`",
        "constant": "the gradients of `z` through `z - z.mean(1, keepdims=True)` and `z.mean(1, keepdims=True)` are missing",
    },
    chaosfree: {
        "no tanh": "the gradient of `keep` in `keep * np.tanh(h)` uses `h` where `np.tanh(h)` belongs",
        "candidate": "the derivative of `np.tanh(x @ E)` is missing",
        "slope": "the derivative of `np.tanh(h)` is missing",
        "through enter": "no gradient flows back to `h` through `h @ D`",
    },
    elu: {"slope": "the derivative of `f(z)` is taken as 1 where z > 0, else its output"},
    leaky: {"slope": "no gradient flows back to `z` through `0.1 * z`"},
    swish: {"slope": "the derivative of `f(z)` is taken as that of a sigmoid"},
    softsign: {"slope": "no gradient flows back to `z * z` through `np.sqrt(z * z)`"},
    mingru: {
        "slope": "the derivative of `_sigmoid(x @ P + p)` is missing",
        "candidate": "the gradient of `x @ Q + q` is multiplied by the derivative of tanh, which is not there",
        "old": "no gradient flows back to `z` through `1 - z`",
    },
    independent: {
        "new h": "the gradient of `u` in `u * h` uses `np.tanh(x @ W + u * h + b)` where `h` belongs",
        "no u": "the gradient of `h` in `u * h` lacks the factor `u`",
    },
    leaking: {
        "rate": "the gradient of `y` in `a * y` lacks the factor `a`",
        "whole": "the gradient of `h` in `(1 - a) * h` lacks the factor `1 - a`",
        "direct": "no gradient flows back to `h` through `(1 - a) * h`",
    },
    multiplicative: {
        "transpose": "the gradient of `p * q` in `p * q @ U` multiplies `U` without transposing it",
        "factor": "the gradient of `p` in `p * q` uses `p` where `q` belongs",
        "through m": "no gradient flows back to `x` through `x @ P`",
    },
    deep: {
        "through t": "no gradient flows back to `a` through `a @ T`",
        "slope": "the derivative of `np.tanh(x @ W + h @ U)` is missing",
        "skip": "the gradients of `h` through `n - h` and `h + t * (n - h)` are missing",
    },
    projected: {
        "transpose": "the gradient of `r` in `P @ r` multiplies `P` without transposing it",
        "no gate": "the gradient of `P` in `P @ r` uses `np.tanh(new)` where `r` belongs",
        "dropped": "the upstream of c' is ignored",
    },
}
