"""The gated delta rule of Yang, Kautz and Hatamizadeh, "Gated Delta Networks" (arXiv 2412.06464, 2024), equation 10."""

import numpy as np
from cellcheck.cells.activations import d_sigmoid, sigmoid
from cellcheck.cells.contract import Gradients
from cellcheck.cells.modern.gated import Gated

EPSILON = 1e-6


def unit(k):
    """k / sqrt(k k + EPSILON), along the last axis, as flash-linear-attention has it; and its length."""
    length = np.sqrt((k * k).sum(axis=-1, keepdims=True) + EPSILON)
    return k / length, length


def through_unit(d, direction, length):
    """The upstream for k of an upstream for its direction."""
    return (d - direction * (d * direction).sum(axis=-1, keepdims=True)) / length


class GatedDelta(Gated):
    """[q k v a b] = x W + b;  q, k divided by their length;  alpha = sigmoid(a), beta = sigmoid(b);
    S' = alpha (I - beta k k^T) S + beta k v^T;  y = S'^T q.

    q and k have `keys` entries, v has `state`, a and b have one: a single head. The state S is (batch, keys, state), y (batch,
    state) is no state. The layer of the paper makes alpha as Mamba2 does; the rule is the same for any alpha.
    """

    kind = "gated delta rule"
    state_names = ("S",)
    keys = 3

    @property
    def widths(self):
        """Columns of q, k, v, a and b."""
        return self.keys, self.keys, self.state_size, 1, 1

    @property
    def state_shapes(self):
        """A matrix."""
        return {"S": (self.keys, self.state_size)}

    @property
    def output_shape(self):
        """y."""
        return (self.state_size,)

    def _apply(self, x, S):
        q, k, v, a, b = gates = self.gates(x)
        (q, _), (k, _), alpha = unit(q), unit(k), sigmoid(a)
        u = sigmoid(b) * (v - alpha * np.einsum("bkv,bk->bv", S, k))
        S_new = alpha[:, :, None] * S + k[:, :, None] * u[:, None, :]
        self._cache = x.copy(), gates, u, S.copy(), S_new.copy()
        return S_new, np.einsum("bkv,bk->bv", S_new, q)

    def _vjp(self, dS, dy):
        x, (q, k, v, a, b), u, S, S_new = self._cache
        (q, q_length), (k, k_length), alpha, beta = unit(q), unit(k), sigmoid(a), sigmoid(b)
        recalled = np.einsum("bkv,bk->bv", S, k)
        dS, dq = dS + q[:, :, None] * dy[:, None, :], np.einsum("bkv,bv->bk", S_new, dy)
        du = np.einsum("bkv,bk->bv", dS, k)
        db = (du * (v - alpha * recalled)).sum(axis=1, keepdims=True) * d_sigmoid(b)
        d_recalled = -alpha * beta * du
        dk = np.einsum("bkv,bv->bk", dS, u) + np.einsum("bkv,bv->bk", S, d_recalled)
        d_alpha = (dS * S).sum(axis=(1, 2))[:, None] - (beta * du * recalled).sum(axis=1, keepdims=True)
        d_gates = [through_unit(dq, q, q_length), through_unit(dk, k, k_length), beta * du, d_alpha * d_sigmoid(a), db]
        weights, dx = self.through_gates(x, d_gates)
        return Gradients(weights, dx, (alpha[:, :, None] * dS + k[:, :, None] * d_recalled[:, None, :],))
