"""A gated linear recurrence step by step, as a scan and in chunks; and what goes wrong between these forms."""

import numpy as np


def sig(z):
    return 1 / (1 + np.exp(-z))


class Step:
    """h' = (1 - z) h + z n with z = sig(x Wz), n = x Wn."""

    def __init__(self, features, state):
        rng = np.random.default_rng(0)
        self.Wz, self.Wn = rng.standard_normal((2, features, state))
        self.weights = [self.Wz, self.Wn]

    def start(self, h):
        return h

    def apply(self, x, h):
        z, n = sig(x @ self.Wz), x @ self.Wn
        self.cache = x.copy(), h.copy(), z, n
        return ((1 - z) * self.start(h) + z * n,)

    def vjp(self, d):
        x, h, z, n = self.cache
        dz, dn = d * (n - self.start(h)) * z * (1 - z), d * z
        return [x.T @ dz, x.T @ dn], dz @ self.Wz.T + dn @ self.Wn.T, [d * (1 - z)]


class Chunks(Step):
    """The same over a sequence, `chunk` steps at a time: h_t = a_1..t h_0 + sum_s a_s+1..t z_s n_s."""

    sequence, chunk = True, 4

    def carried(self, k, h):
        """The state with which chunk k begins."""
        return h

    def apply(self, x, h):
        z, n = sig(x @ self.Wz), x @ self.Wn
        ys, befores, start = np.zeros(z.shape), [], h
        for k, first in enumerate(range(0, len(x), self.chunk)):
            start = self.carried(k, start)
            part = slice(first, first + self.chunk)
            keep, new = 1 - z[part], (z * n)[part]
            ys[part] = np.cumprod(keep, axis=0) * start
            for s, value in enumerate(new):
                ys[part][s:] += np.concatenate([np.ones_like(value)[None], np.cumprod(keep[s + 1 :], axis=0)]) * value
            befores.append(np.concatenate([start[None], ys[part][:-1]]))
            start = ys[part][-1]
        self.cache = x.copy(), np.concatenate(befores) if befores else ys, z, n
        return start.copy(), ys

    def vjp(self, d_final, d_ys):
        x, before, z, n = self.cache
        d, dh = np.zeros(z.shape), d_final.copy()
        for t in reversed(range(len(x))):
            d[t] = dh + d_ys[t]
            dh = self.handed_back(t, d[t] * (1 - z[t]))
        dz, dn = d * (n - before) * z * (1 - z), d * z
        summed = [np.einsum("tbf,tbs->fs", x, g) for g in (dz, dn)]
        return summed, dz @ self.Wz.T + dn @ self.Wn.T, [dh]

    def handed_back(self, t, dh):
        """The gradient of the state before step t."""
        return dh


class LosesTheSecondBorder(Chunks):
    """The defect: the third chunk starts from zeros."""

    def carried(self, k, h):
        return 0 * h if k == 2 else h


class LosesEveryBorder(Chunks):
    """The defect: only the first chunk has a state to start from."""

    def carried(self, k, h):
        return 0 * h if k else h


class ChunksApartInBackward(Chunks):
    """The defect: no gradient is handed back over a border."""

    def handed_back(self, t, dh):
        return 0 * dh if t and t % self.chunk == 0 else dh


class StartsFromZeros(Chunks):
    """The defect: the initial state is not read."""

    def apply(self, x, h):
        return super().apply(x, 0 * h)

    def handed_back(self, t, dh):
        return dh if t else 0 * dh


class MappedStep(Step):
    """As some minGRU code: the step form squashes its h, which the parallel form does not."""

    def start(self, h):
        return np.tanh(h)

    def vjp(self, d):
        weights, x, [dh] = super().vjp(d)
        return weights, x, [dh * (1 - np.tanh(self.cache[1]) ** 2)]


class MapsOnlyTheInitialState(Chunks):
    """The defect: h0 goes through tanh, later states do not."""

    def apply(self, x, h):
        self.h0 = h.copy()
        return super().apply(x, np.tanh(h))

    def handed_back(self, t, dh):
        return dh if t else dh * (1 - np.tanh(self.h0) ** 2)


class HalfTheOutput(Chunks):
    """The defect: every ys is halved."""

    def apply(self, x, h):
        final, ys = super().apply(x, h)
        return final, ys / 2

    def vjp(self, d_final, d_ys):
        return super().vjp(d_final, d_ys / 2)


class ClipsWhatItStartsFrom(Chunks):
    """The defect: an initial state beyond 300 is clipped, though a run may well reach it."""

    def apply(self, x, h):
        return super().apply(x, np.clip(h, -300, 300))


class OneRow(Step):
    """The step form for a single row."""

    batch = 1

    def apply(self, x, h):
        assert len(x) == 1
        return super().apply(x, h)


class Port:
    """torch's LSTM cell, its weights under torch's names; the gates in the order of `order`."""

    order = "ifgo"

    def __init__(self, features, state):
        rng = np.random.default_rng(1)
        self.weight_ih, self.weight_hh = rng.standard_normal((4 * state, features)), rng.standard_normal((4 * state, state))
        self.bias_ih, self.bias_hh = rng.standard_normal((2, 4 * state))
        self.weights = [self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh]

    def apply(self, x, c, h):
        z = x @ self.weight_ih.T + h @ self.weight_hh.T + self.bias_ih + self.bias_hh
        gates = dict(zip(self.order, np.split(z, 4, axis=1)))
        i, f, o, g = (*(sig(gates[gate]) for gate in "ifo"), np.tanh(gates["g"]))
        c2 = f * c + i * g
        self.cache = x.copy(), c.copy(), h.copy(), i, f, o, g, np.tanh(c2)
        return c2, o * np.tanh(c2)

    def vjp(self, dc, dh):
        x, c, h, i, f, o, g, t = self.cache
        dc = dc + dh * o * (1 - t**2)
        d = {"i": dc * g * i * (1 - i), "f": dc * c * f * (1 - f), "o": dh * t * o * (1 - o), "g": dc * i * (1 - g**2)}
        dz = np.concatenate([d[gate] for gate in self.order], axis=1)
        return [dz.T @ x, dz.T @ h, dz.sum(0), dz.sum(0)], dz @ self.weight_ih, [dc * f, dz @ self.weight_hh]


class MisreadPort(Port):
    """The defect: the gates as i f o g."""

    order = "ifog"


class KeepingGRU:
    """h' = u h + (1 - u) n, where Cho's u is 1 - u."""

    def __init__(self, features, state):
        rng = np.random.default_rng(1)
        self.W, self.U, self.b = (
            rng.standard_normal((features, 3 * state)),
            rng.standard_normal((state, 3 * state)),
            np.zeros(3 * state),
        )
        self.weights = [self.W, self.U, self.b]

    def apply(self, x, h):
        (ar, au, an), (pr, pu, pn) = np.split(x @ self.W + self.b, 3, axis=1), np.split(h @ self.U, 3, axis=1)
        r, u = sig(ar + pr), sig(au + pu)
        n = np.tanh(an + r * pn)
        self.cache = x.copy(), h.copy(), r, u, n, pn
        return (u * h + (1 - u) * n,)

    def vjp(self, d):
        x, h, r, u, n, pn = self.cache
        du, dn = d * (h - n) * u * (1 - u), d * (1 - u) * (1 - n**2)
        dr = dn * pn * r * (1 - r)
        da, dp = np.concatenate([dr, du, dn], axis=1), np.concatenate([dr, du, dn * r], axis=1)
        return [x.T @ da, h.T @ dp, da.sum(0)], da @ self.W.T, [dp @ self.U.T + d * u]


class Wider(Step):
    """One unit more than it was asked for."""

    state_shapes = ((4,),)

    def __init__(self, features, state):
        super().__init__(features, 4)
