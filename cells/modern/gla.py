"""Gated linear attention of Yang et al. (arXiv 2312.06635, 2023), the recurrent form of section 4 with one head."""

import numpy as np
from cellcheck.cells.activations import log_sigmoid, sigmoid
from cellcheck.cells.contract import Gradients
from cellcheck.cells.modern.gated import Gated


class GLA(Gated):
    """[q k v a] = x W + b;  alpha = sigmoid(a)^(1/16);  S' = diag(alpha) S + k v^T;  y = S'^T q / sqrt(keys).

    q, k and a have `keys` entries, v has `state`. The state S is (batch, keys, state); y (batch, state) is no state.
    """

    kind = "gated linear attention"
    state_names = ("S",)
    keys, TAU = 3, 16.0

    @property
    def widths(self):
        """Columns of q, k, v and a."""
        return self.keys, self.keys, self.state_size, self.keys

    @property
    def state_shapes(self):
        """A matrix."""
        return {"S": (self.keys, self.state_size)}

    @property
    def output_shape(self):
        """y."""
        return (self.state_size,)

    def _apply(self, x, S):
        q, k, v, a = gates = self.gates(x)
        alpha = np.exp(log_sigmoid(a) / self.TAU)
        S_new = alpha[:, :, None] * S + k[:, :, None] * v[:, None, :]
        self._cache = x.copy(), gates, alpha, S.copy(), S_new.copy()
        return S_new, np.einsum("bkv,bk->bv", S_new, q) / self.keys**0.5

    def _vjp(self, dS, dy):
        x, (q, k, v, a), alpha, S, S_new = self._cache
        dy = dy / self.keys**0.5
        dS = dS + q[:, :, None] * dy[:, None, :]
        dq, dk = np.einsum("bkv,bv->bk", S_new, dy), np.einsum("bkv,bv->bk", dS, v)
        dv = np.einsum("bkv,bk->bv", dS, k)
        da = (dS * S).sum(axis=2) * alpha * sigmoid(-a) / self.TAU
        weights, dx = self.through_gates(x, [dq, dk, dv, da])
        return Gradients(weights, dx, (alpha[:, :, None] * dS,))
