"""A pair of functions with a cache in the manner of a course on vision: rows, gates i f o g, the cache handed back."""

import numpy as np


def lstm_step_forward(x, prev_h, prev_c, Wx, Wh, b):
    """(next_h, next_c, cache)."""
    a = x @ Wx + prev_h @ Wh + b
    H = prev_h.shape[1]
    i, f, o = (1 / (1 + np.exp(-a[:, k * H : (k + 1) * H])) for k in range(3))
    g = np.tanh(a[:, 3 * H :])
    next_c = f * prev_c + i * g
    t = np.tanh(next_c)
    return o * t, next_c, (x, prev_h, prev_c, Wx, Wh, i, f, o, g, t)


def lstm_step_backward(dnext_h, dnext_c, cache):
    """(dx, dprev_h, dprev_c, dWx, dWh, db)."""
    x, prev_h, prev_c, Wx, Wh, i, f, o, g, t = cache
    dc = dnext_c + dnext_h * o * (1 - t * t)
    da = np.hstack([dc * g * i * (1 - i), dc * prev_c * f * (1 - f), dnext_h * t * o * (1 - o), dc * i * (1 - g * g)])
    return da @ Wx.T, da @ Wh.T, dc * f, x.T @ da, prev_h.T @ da, da.sum(axis=0)


def lstm_step_backward_forgets_dc(dnext_h, dnext_c, cache):
    """The upstream of c is overwritten: the defect."""
    return lstm_step_backward(dnext_h, np.zeros_like(dnext_c), cache)
