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
