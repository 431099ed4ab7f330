"""What chunkwise forms have in common: the steps in chunks, and the decays from each step of a chunk to each later one."""

import numpy as np
from cellcheck.cells.contract import Gradients
from cellcheck.cells.unroll import Unrolled


def decays(log_a):
    """Entry [t, s], (..., steps, steps + 1): sum of log_a over the steps s to t, by which the state after s steps has decayed.

    log_a: (..., steps). Minus infinity where s is later than t + 1. Summed for each pair, as in Mamba2: a difference of two
    long sums would lose the small decays that follow a very negative one.
    """
    r, s = np.arange(log_a.shape[-1])[:, None], np.arange(log_a.shape[-1] + 1)
    return np.where(s <= r + 1, np.cumsum(np.where(s <= r, log_a[..., None], 0), axis=-2), -np.inf)


def through_decays(d):
    """The upstream for log_a of an upstream for its decays; d: (..., steps, steps + 1), zero where they are minus infinity."""
    r, s = np.arange(d.shape[-2])[:, None], np.arange(d.shape[-1])
    later = np.flip(np.cumsum(np.flip(d, -2), axis=-2), -2)
    return np.where(s <= r, later, 0).sum(axis=-1)


def turned(a):
    """The last two axes exchanged."""
    return np.swapaxes(a, -1, -2)


class Chunkwise(Unrolled):
    """A sequence cell that takes `chunk` steps at once. The last chunk may be shorter; a row takes `lengths` of the steps.

    A subclass names its `Step`, and adds for one chunk, with the batch first, each gate (batch, steps, width):
    `forward_chunk(gates, on, *state)` -> (kept, new states, y), and `backward_chunk(kept, d_state, dy)` -> (d_gates, d_state).
    `on`, (batch, steps, 1), is false where a row has ended: there the state must be left as it is.
    """

    chunk = 4  # so few that short sequences cross borders

    def _apply(self, x, *state, lengths):
        on = (np.arange(len(x))[:, None] < lengths)[:, :, None]
        x, ys, kept = np.where(on, x, 0), [], []
        for span in self._spans(x):
            gates = [g.swapaxes(0, 1) for g in self.step.gates(x[span])]
            save, state, y = self.forward_chunk(gates, on[span].swapaxes(0, 1), *state)
            kept.append(save)
            ys.append(np.where(on[span], y.swapaxes(0, 1), 0))
        self._cache = x, on, kept
        return *(s.copy() for s in state), np.concatenate(ys) if ys else np.zeros(self._output_shapes()[-1], x.dtype)

    def _vjp(self, *d_outputs):
        x, on, kept = self._cache
        *d_state, dys = (d.copy() for d in d_outputs)
        weights, dx = [np.zeros_like(w) for w in self.weights], np.empty_like(x)
        for span, save in reversed(list(zip(self._spans(x), kept))):
            d_gates, d_state = self.backward_chunk(save, d_state, np.where(on[span], dys[span], 0).swapaxes(0, 1))
            d_gates = [np.where(on[span], d.swapaxes(0, 1), 0) for d in d_gates]
            more, dx[span] = self.step.through_gates(x[span], d_gates)
            weights = [total + d for total, d in zip(weights, more)]
        return Gradients(weights, dx, d_state)

    def _spans(self, x):
        return [slice(t, t + self.chunk) for t in range(0, len(x), self.chunk)]
