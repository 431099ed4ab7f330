"""The parallel form of a linear recurrence: an associative scan over the steps (Blelloch 1990; Martin and Cundy, 2018)."""

import numpy as np
from cellcheck.cells.contract import Gradients
from cellcheck.cells.modern.min_gru import MinGRU
from cellcheck.cells.modern.rg_lru import RGLRU
from cellcheck.cells.unroll import Unroll


def scan(a, b):
    """All (A_t, B_t) with h_t = A_t h_0 + B_t, where h_t = a_t h_{t-1} + b_t; a, b (steps, ...). In log2(steps) passes.

    A pass joins each stretch of steps with the one before it: (a, b) after (a', b') is (a a', a b' + b).
    """
    reach = 1
    while reach < len(a):
        b = np.concatenate([b[:reach], a[reach:] * b[:-reach] + b[reach:]])
        a = np.concatenate([a[:reach], a[reach:] * a[:-reach]])
        reach *= 2
    return a, b


def Scan(Step):
    """The class of the sequence cell that computes a `Linear` step cell by scans; apply and vjp as those of Unroll(Step)."""
    return type(f"{Step.__name__}Scan", (Scanned, Unroll(Step)), {"__doc__": Scanned.__doc__})


class Scanned:
    """h_t = a_t h_{t-1} + b_t over all steps at once; backwards, g_t = d_t + a_{t+1} g_{t+1} is a scan as well.

    At a step that a row does not take, a = 1 and b = 0. Otherwise as Unroll.
    """

    def _apply(self, x, h, *, lengths):
        on = (np.arange(len(x))[:, None] < lengths)[:, :, None]
        x = np.where(on, x, 0)
        gates = self.step.gates(x)
        a, b = self.step.decay_and_input(*gates)
        a = np.where(on, a, 1)
        A, B = scan(a, np.where(on, b, 0))
        hs = np.concatenate([h[None], A * h + B])
        self._cache = x, on, gates, a, hs
        return hs[-1].copy(), np.where(on, hs[1:], 0)

    def _vjp(self, dh, dys):
        x, on, gates, a, hs = self._cache
        dys = np.where(on, dys, 0)
        A, B = scan(np.concatenate([a[1:], np.ones_like(a[:1])])[::-1], dys[::-1])
        g = (A * dh + B)[::-1]  # upstream of h_t
        d_gates, more = self.step.through(np.where(on, g * hs[:-1], 0), np.where(on, g, 0), *gates)
        weights, dx = self.step.through_gates(x, d_gates)
        return Gradients(weights + more, dx, (a[0] * g[0] if len(a) else dh.copy(),))


MinGRUScan, RGLRUScan = Scan(MinGRU), Scan(RGLRU)
