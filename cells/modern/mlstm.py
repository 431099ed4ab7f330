"""The mLSTM of Beck et al.: "xLSTM" (arXiv 2405.04517, 2024), equations 19 to 27; soft caps of "xLSTM 7B" (arXiv 2503.13427)."""

from typing import ClassVar

import numpy as np
from cellcheck.cells.activations import d_sigmoid, d_tanh, log_sigmoid, sigmoid, tanh
from cellcheck.cells.contract import Gradients
from cellcheck.cells.modern.gated import Gated


class MLSTM(Gated):
    """[q k v i f o] = x W + b;  k and q have `keys` entries, v and o `state`, i and f one: a single head;
    log F = log sigmoid(15 tanh(f / 15)), I = 15 tanh(i / 15);  m' = max(log F + m, I);
    C' = exp(log F + m - m') C + exp(I - m') k v^T / sqrt(keys), and n' likewise without v;
    y = sigmoid(o) (C'^T q) / max(|n' q|, exp(-m')).

    The states are C (batch, keys, state), n (batch, keys) and m (batch, 1); y (batch, state) is no state. vjp has the exact
    derivative of every output, the stabiliser m' included: what y seems to owe to m' cancels.
    """

    kind = "mLSTM"
    state_names = ("C", "n", "m")
    domains: ClassVar[dict] = {"m": (-40.0, 40.0)}
    keys, CAP = 3, 15.0

    @property
    def widths(self):
        """Columns of q, k, v, i, f and o."""
        return self.keys, self.keys, self.state_size, 1, 1, self.state_size

    @property
    def state_shapes(self):
        """The matrix, the normaliser and the stabiliser."""
        return {"C": (self.keys, self.state_size), "n": (self.keys,), "m": (1,)}

    @property
    def output_shape(self):
        """y."""
        return (self.state_size,)

    def capped(self, z):
        """z, smoothly bounded by +-CAP."""
        return self.CAP * tanh(z / self.CAP)

    def _apply(self, x, C, n, m):
        q, k, v, i, f, o = gates = self.gates(x)
        k, i, old = k / self.keys**0.5, self.capped(i), log_sigmoid(self.capped(f)) + m
        m_new = np.where(old.real > i.real, old, i)
        keep, write = np.exp(old - m_new), np.exp(i - m_new)
        C_new = keep[:, :, None] * C + (write * k)[:, :, None] * v[:, None, :]
        n_new = keep * n + write * k
        nq, least = (n_new * q).sum(axis=1, keepdims=True), np.exp(-m_new)
        sign = np.where(np.abs(nq.real) > least.real, np.sign(nq.real), 0)
        size = np.where(sign == 0, least, sign * nq)
        y = np.einsum("bkv,bk->bv", C_new, q) / size
        before, after = (C.copy(), n.copy()), (C_new.copy(), n_new.copy())
        self._cache = x.copy(), gates, (keep, write, old.real > i.real), before, after, (y, sign, size)
        return C_new, n_new, m_new, sigmoid(o) * y

    def _vjp(self, dC, dn, dm, dy):
        x, (q, k, v, i, f, o), (keep, write, keeps), (C, n), (C_new, n_new), (y, sign, size) = self._cache
        k = k / self.keys**0.5
        d_o, dy = dy * y * d_sigmoid(o), dy * sigmoid(o)
        d_sum = dy / size  # of C'^T q
        d_nq = -(d_sum * y).sum(axis=1, keepdims=True) * sign
        dm = dm - (dC * C_new).sum(axis=(1, 2))[:, None] - (dn * n_new).sum(axis=1, keepdims=True)  # through keep and write
        dq = np.einsum("bkv,bv->bk", C_new, d_sum) + d_nq * n_new
        dC, dn = dC + q[:, :, None] * d_sum[:, None, :], dn + d_nq * q
        d_old = ((dC * C).sum(axis=(1, 2))[:, None] + (dn * n).sum(axis=1, keepdims=True)) * keep + dm * keeps
        d_k = np.einsum("bkv,bv->bk", dC, v) + dn  # of write k
        d_i = (d_k * k).sum(axis=1, keepdims=True) * write + dm * ~keeps
        d_v = np.einsum("bkv,bk->bv", dC, write * k)
        d_f = d_old * sigmoid(-self.capped(f)) * d_tanh(f / self.CAP)
        weights, dx = self.through_gates(x, [dq, write * d_k / self.keys**0.5, d_v, d_i * d_tanh(i / self.CAP), d_f, d_o])
        return Gradients(weights, dx, (keep[:, :, None] * dC, keep * dn, d_old))
