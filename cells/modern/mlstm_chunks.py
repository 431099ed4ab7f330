"""The chunkwise form of the mLSTM (Beck et al., "Tiled Flash Linear Attention", arXiv 2503.14376, 2025)."""

import numpy as np
from cellcheck.cells.activations import d_sigmoid, d_tanh, log_sigmoid, sigmoid
from cellcheck.cells.modern.chunks import Chunkwise, decays, through_decays, turned
from cellcheck.cells.modern.mlstm import MLSTM


class MLSTMChunks(Chunkwise):
    """The same numbers as Unroll(MLSTM). In a chunk, G[t, s] = decay from s to t, plus I of the key, plus m of the old state;
    m_t = max_s G[t, s];  E = exp(G - m_t);  y_t = sum_s E[t, s] (q_t k_s) v_s / max(|sum_s E[t, s] (q_t k_s)|, exp(-m_t)).

    Column 0 is the old state: n in the place of its key, q C in that of its value.
    """

    Step, kind, state_names = MLSTM, MLSTM.kind, MLSTM.state_names

    def forward_chunk(self, gates, on, C, n, m):
        """One chunk: (kept, (C', n', m'), y)."""
        q, k, v, i, f, o = gates
        k = k / self.step.keys**0.5
        log_f = np.where(on, log_sigmoid(self.step.capped(f)), 0)
        G = decays(log_f[..., 0]) + turned(np.concatenate([m[:, None], np.where(on, self.step.capped(i), -np.inf)], axis=1))
        top = G.shape[-1] - 1 - np.argmax(G.real[..., ::-1], axis=-1)[..., None]  # of equals the latest, as step by step
        M = np.take_along_axis(G, top, axis=-1)
        E, keys, qC = np.exp(G - M), np.concatenate([n[:, None], k], axis=1), q @ C
        P = E * (q @ turned(keys))
        nq, least = P.sum(axis=-1, keepdims=True), np.exp(-M)
        sign = np.where(np.abs(nq.real) > least.real, np.sign(nq.real), 0)
        size = np.where(sign == 0, least, sign * nq)
        y = (E[..., :1] * qC + P[..., 1:] @ v) / size
        last = E[:, -1, :, None]
        C_new, n_new = last[:, 0, :, None] * C + turned(last[:, 1:] * k) @ v, (last * keys).sum(axis=1)
        kept = gates, (C.copy(), keys, C_new, n_new), (E, P, top[:, -1]), (qC, y, sign, size)
        return kept, (C_new, n_new, M[:, -1]), sigmoid(o) * y

    def backward_chunk(self, kept, d_state, dy):
        """Upstreams for the gates and for the states before the chunk."""
        (q, k, v, i, f, o), (C, keys, C_new, n_new), (E, P, top), (qC, y, sign, size) = kept
        (dC_new, dn_new, dm_new), k = d_state, k / self.step.keys**0.5
        d_o, d_sum = dy * y * d_sigmoid(o), dy * sigmoid(o) / size
        d_nq = -(d_sum * y).sum(axis=-1, keepdims=True) * sign
        last, e = E[:, -1, :, None], E[..., :1]
        dP = np.concatenate([np.zeros_like(e), d_sum @ turned(v)], axis=-1) + d_nq
        dE = dP * (q @ turned(keys))
        dE[..., 0] += (d_sum * qC).sum(axis=-1)
        dE[:, -1, 0] += (dC_new * C).sum(axis=(1, 2))
        dE[:, -1, 1:] += ((k @ dC_new) * v).sum(axis=-1)
        dE[:, -1] += (keys @ dn_new[..., None])[..., 0]
        dG = dE * E
        dm = dm_new - (dC_new * C_new).sum(axis=(1, 2))[:, None] - (dn_new * n_new).sum(axis=-1, keepdims=True)
        dG[:, -1] += np.where(np.arange(dG.shape[-1]) == top, dm, 0)
        d_keys = turned(dP * E) @ q + last * dn_new[:, None]
        dk = (d_keys[:, 1:] + last[:, 1:] * (v @ turned(dC_new))) / self.step.keys**0.5
        dv = turned(P[..., 1:]) @ d_sum + last[:, 1:] * (k @ dC_new)
        dq = (dP * E) @ keys + e * (d_sum @ turned(C))
        dC = last[:, 0, :, None] * dC_new + turned(e * q) @ d_sum
        d_by_key = dG.sum(axis=1)
        df = through_decays(dG)[..., None] * sigmoid(-self.step.capped(f)) * d_tanh(f / self.step.CAP)
        di = d_by_key[:, 1:, None] * d_tanh(i / self.step.CAP)
        return [dq, dk, dv, di, df, d_o], (dC, d_keys[:, 0], d_by_key[:, :1])
