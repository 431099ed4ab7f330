"""The chunkwise form of the gated delta rule (Yang, Kautz and Hatamizadeh, arXiv 2412.06464, 2024, section 3.3)."""

import numpy as np
from cellcheck.cells.activations import d_sigmoid, log_sigmoid, sigmoid
from cellcheck.cells.modern.chunks import Chunkwise, decays, through_decays, turned
from cellcheck.cells.modern.gated_delta import GatedDelta, through_unit, unit


class GatedDeltaChunks(Chunkwise):
    """The same numbers as Unroll(GatedDelta). In a chunk, D[t, s] is the decay from s to t, column 0 that of the old state;
    (I + A) U = beta (V - D_0 (K S)) with A[t, s] = beta_t D[t, s] (k_t k_s) for s < t: what each step writes, all at once;
    Y = D_0 (Q S) + P U with P[t, s] = D[t, s] (q_t k_s);  S' = D_0 S + (D k)^T U, D at the last step.
    """

    Step, kind, state_names = GatedDelta, GatedDelta.kind, GatedDelta.state_names

    def forward_chunk(self, gates, on, S):
        """One chunk: (kept, (S',), y)."""
        q, k, v, a, b = gates
        (q, _), (k, _), beta = unit(q), unit(k), np.where(on, sigmoid(b), 0)
        D = np.exp(decays(np.where(on, log_sigmoid(a), 0)[..., 0]))
        old, D = D[..., :1], D[..., 1:]
        A = np.tril(beta * D * (k @ turned(k)), -1)
        rest = v - old * (k @ S)
        U = np.linalg.solve(np.eye(A.shape[-1], dtype=A.dtype) + A, beta * rest)
        P = D * (q @ turned(k))
        kept = gates, (S.copy(), beta, old, D), (A, P, U, rest)
        return kept, (old[:, -1:] * S + turned(D[:, -1, :, None] * k) @ U,), old * (q @ S) + P @ U

    def backward_chunk(self, kept, d_state, dy):
        """Upstreams for the gates and for the state before the chunk."""
        (q, k, _, a, b), (S, beta, old, D), (A, P, U, rest) = kept
        ((q, q_length), (k, k_length)), [dS_new] = (unit(q), unit(k)), d_state
        last = D[:, -1, :, None]
        dP, dU = dy @ turned(U), turned(P) @ dy + last * (k @ dS_new)
        dR = np.linalg.solve(np.eye(A.shape[-1], dtype=A.dtype) + turned(A), dU)
        dA = np.tril(-dR @ turned(U), -1)
        d_rest = beta * dR
        dS = old[:, -1:] * dS_new + turned(old * q) @ dy - turned(old * k) @ d_rest
        d_scores, d_pairs = dP * D, dA * beta * D
        dq = old * (dy @ turned(S)) + d_scores @ k
        dk = turned(d_scores) @ q + d_pairs @ k + turned(d_pairs) @ k - old * (d_rest @ turned(S)) + last * (U @ turned(dS_new))
        d_beta = (dR * rest).sum(axis=-1, keepdims=True) + (dA * D * (k @ turned(k))).sum(axis=-1, keepdims=True)
        d_old = old * ((dy * (q @ S)).sum(axis=-1, keepdims=True) - (d_rest * (k @ S)).sum(axis=-1, keepdims=True))
        d_decays = np.concatenate([d_old, dP * P + dA * A], axis=-1)
        d_decays[:, -1, 0] += old[:, -1, 0] * (dS_new * S).sum(axis=(1, 2))
        d_decays[:, -1, 1:] += last[..., 0] * ((k @ dS_new) * U).sum(axis=-1)
        da = through_decays(d_decays)[..., None] * sigmoid(-a)
        return [through_unit(dq, q, q_length), through_unit(dk, k, k_length), d_rest, da, d_beta * d_sigmoid(b)], (dS,)
