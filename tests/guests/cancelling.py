"""Correct cells whose own arithmetic loses digits, which no change of their inputs shows."""

from types import MappingProxyType

import numpy as np

ROWS = 3


class CosineMemory:
    """A memory M read where it resembles a key, and written there: a softmax of cosines, which divide by 1e-6 where M is 0."""

    state_names = ("M", "r")

    def __init__(self, features, state):
        self.state_shapes = {"M": (ROWS, state), "r": (state,)}
        self.Wk, self.Uk, self.wb = np.zeros((features, state)), np.zeros((state, state)), np.zeros(features)
        self.We, self.Wa = np.zeros((features, state)), np.zeros((features, state))
        self.weights = [self.Wk, self.Uk, self.wb, self.We, self.Wa]

    def apply(self, x, M, r):
        """(M', r')."""
        k, z = x @ self.Wk + r @ self.Uk, x @ self.wb
        beta = np.where(z.real > 0, z, 0) + np.log1p(np.exp(np.where(z.real > 0, -z, z)))
        nM, nk = np.sqrt((M * M).sum(-1)), np.sqrt((k * k).sum(-1))
        den = nM * nk[:, None] + 1e-6
        K = np.einsum("bns,bs->bn", M, k) / den
        e = beta[:, None] * K
        w = np.exp(e - e.real.max(1, keepdims=True))
        w = w / w.sum(1, keepdims=True)
        erase, add = 0.5 + 0.5 * np.tanh(x @ self.We / 2), np.tanh(x @ self.Wa)
        M_new = M * (1 - w[:, :, None] * erase[:, None, :]) + w[:, :, None] * add[:, None, :]
        self.kept = x.copy(), M.copy(), r.copy(), k, z, beta, nM, nk, den, K, w, erase, add, M_new.copy()
        return M_new, np.einsum("bn,bns->bs", w, M_new)

    def vjp(self, dM_new, dr_new):
        """The gradients of weights, x, M and r."""
        x, M, r, k, z, beta, nM, nk, den, K, w, erase, add, M_new = self.kept
        dM_new = dM_new + w[:, :, None] * dr_new[:, None, :]
        dw = np.einsum("bns,bs->bn", M_new, dr_new) + (dM_new * (add[:, None, :] - M * erase[:, None, :])).sum(2)
        d_erase, d_add = -(dM_new * M * w[:, :, None]).sum(1), (dM_new * w[:, :, None]).sum(1)
        de = w * (dw - (w * dw).sum(1, keepdims=True))
        dK = de * beta[:, None]
        dot, d_den = dK / den, -dK * K / den
        dM = dM_new * (1 - w[:, :, None] * erase[:, None, :]) + dot[:, :, None] * k[:, None, :]
        dM = dM + (d_den * nk[:, None])[:, :, None] * M / np.where(nM > 0, nM, 1)[:, :, None]
        dk = np.einsum("bn,bns->bs", dot, M) + (d_den * nM).sum(1)[:, None] * k / np.where(nk > 0, nk, 1)[:, None]
        dz = (de * K).sum(1) * (0.5 + 0.5 * np.tanh(z / 2))
        d_erase, d_add = d_erase * erase * (1 - erase), d_add * (1 - add * add)
        dx = dk @ self.Wk.T + np.outer(dz, self.wb) + d_erase @ self.We.T + d_add @ self.Wa.T
        return [x.T @ dk, r.T @ dk, dz @ x, x.T @ d_erase, x.T @ d_add], dx, (dM, dk @ self.Uk.T)


def softplus(z):
    """log(1 + exp(z))."""
    big = z.real > 30
    return np.where(big, z + np.exp(-np.where(big, z, 30)), np.log1p(np.exp(np.where(big, 0, z))))


def sigmoid(z):
    """1 / (1 + exp(-z))."""
    return np.exp(-softplus(-z))


class LogScan:
    """minGRU by a scan in log space (Feng and others, "Were RNNs all we needed?", appendix B): exp of sums of up to thousands."""

    sequence = True
    domains = MappingProxyType({"h": "positive"})

    def __init__(self, features, state):
        self.Wz, self.Wh = np.zeros((features, state)), np.zeros((features, state))
        self.weights = [self.Wz, self.Wh]

    def apply(self, x, h):
        """(h', ys)."""
        k, v = x @ self.Wz, x @ self.Wh
        above = v.real >= 0
        log_v = np.where(above, np.log(np.where(above, v, 0) + 0.5), -softplus(-v))
        decay = np.cumsum(-softplus(k), axis=0)
        total, ys = np.log(h), []
        for a, term in zip(decay, log_v - softplus(-k) - decay):
            top = np.where(total.real > term.real, total, term)
            total = top + np.log(np.exp(total - top) + np.exp(term - top))
            ys.append(np.exp(a + total))
        ys = np.array(ys) if ys else np.zeros((0, *h.shape), h.dtype)
        self.kept = x.copy(), h.copy(), k, v, ys.copy()
        return ys[-1].copy() if len(ys) else h.copy(), ys

    def vjp(self, dh, dys):
        """The gradients of weights, x and h."""
        x, h, k, v, ys = self.kept
        dk, dv = np.zeros_like(k), np.zeros_like(v)
        for t in reversed(range(len(x))):
            dh, z, s = dh + dys[t], sigmoid(k[t]), sigmoid(v[t])
            candidate = np.where(v[t] >= 0, v[t] + 0.5, s)
            dk[t] = dh * (candidate - (ys[t - 1] if t else h)) * z * sigmoid(-k[t])
            dv[t] = dh * z * np.where(v[t] >= 0, 1, s * (1 - s))
            dh = dh * sigmoid(-k[t])
        weights = [np.einsum("tbf,tbs->fs", x, d) for d in (dk, dv)]
        return weights, dk @ self.Wz.T + dv @ self.Wh.T, (dh,)
