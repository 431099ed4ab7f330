"""The selective scan of Gu and Dao, "Mamba" (arXiv 2312.00752, 2023), algorithm 2, with the authors' simple step for B."""

from typing import ClassVar

import numpy as np
from cellcheck.cells.activations import sigmoid, softplus
from cellcheck.cells.contract import Gradients, standard_normal
from cellcheck.cells.modern.gated import Gated


class S6(Gated):
    """[u t B C] = x W + b;  A = -exp(A_log), Delta = softplus(t);  h' = exp(Delta A) h + Delta u B^T;  y = h' C + D u.

    u and t have `state` channels, B and C `memory` entries. W is (features, 2 state + 2 memory), b a vector of as many,
    A_log (state, memory), D (state,). The state h is (batch, state, memory); y (batch, state) is no state.
    """

    kind = "S6"
    memory = 3
    domains: ClassVar[dict] = {"A_log": (-3.0, 3.0)}

    def __init__(self, input_features, state_size, *, rng=None, dtype=np.float64):
        """Standard normal matrices, zero b and D = 1."""
        rng = np.random.default_rng(rng)
        super().__init__(input_features, state_size, rng=rng, dtype=dtype)
        [self.A_log], self.D = standard_normal(rng, dtype, (state_size, self.memory)), np.ones(state_size, dtype)
        self.weights += [self.A_log, self.D]

    @property
    def widths(self):
        """Columns of u, t, B and C."""
        return self.state_size, self.state_size, self.memory, self.memory

    @property
    def state_shapes(self):
        """Of each channel, a memory of its own."""
        return {"h": (self.state_size, self.memory)}

    @property
    def output_shape(self):
        """y."""
        return (self.state_size,)

    def _apply(self, x, h):
        u, t, B, C = gates = self.gates(x)
        delta = softplus(t)
        h_new = np.exp(-delta[:, :, None] * np.exp(self.A_log)) * h + (delta * u)[:, :, None] * B[:, None, :]
        self._cache = x.copy(), gates, h.copy(), h_new.copy()
        return h_new, np.einsum("bsn,bn->bs", h_new, C) + self.D * u

    def _vjp(self, dh, dy):
        x, (u, t, B, C), h, h_new = self._cache
        delta, A = softplus(t), -np.exp(self.A_log)
        decay = np.exp(delta[:, :, None] * A)
        dh = dh + dy[:, :, None] * C[:, None, :]
        d_exponent = dh * h * decay  # of Delta A
        d_input = np.einsum("bsn,bn->bs", dh, B)  # of Delta u
        d_delta = d_input * u + (d_exponent * A).sum(axis=2)
        dB, dC = np.einsum("bsn,bs->bn", dh, delta * u), np.einsum("bsn,bs->bn", h_new, dy)
        weights, dx = self.through_gates(x, [d_input * delta + dy * self.D, d_delta * sigmoid(t), dB, dC])
        d_A_log = (d_exponent * delta[:, :, None]).sum(axis=0) * A
        return Gradients([*weights, d_A_log, (dy * u).sum(axis=0)], dx, (dh * decay,))
