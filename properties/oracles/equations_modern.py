"""What a cell of a declared modern kind must return: the equations of the papers, step by step, in extended precision.

Weights are taken by name, in the layout of the papers: W has the columns of all gates side by side, b their biases. Nothing here is
shared with the cells under test. Where a paper has a stabiliser that cancels, the plain sum stands here if extended numbers hold it.
"""

import numpy as np

Wide = np.longdouble


def modern(cell, x, state):
    """What apply(x, *state) of a cell that declares one of `MODERN` must return, as a tuple; without states, from zeros."""
    step, spec = MODERN[cell.spec.kind], cell.spec
    weights = {a.name: np.asarray(w).astype(Wide) for a, w in zip(spec.weights, cell.weights)}
    rows = x.shape[spec.sequence]
    state = [s.astype(Wide) for s in state or [np.zeros((rows, *a.shape)) for a in spec.states]]
    n, ys = len(state), np.zeros((0, rows, *spec.outputs[-1].shape), Wide)
    with np.errstate(all="ignore"):
        for row in x.astype(Wide) if spec.sequence else [x.astype(Wide)]:
            outputs = step(weights, row, *state)
            state, ys = list(outputs[:n]), np.concatenate([ys, outputs[-1][None]])
    outputs = (*state, ys) if spec.sequence else outputs
    return tuple(y.astype(x.dtype) for y in outputs)


def peephole_lstm(w, x, c, h):
    """The next (c, h)."""
    i, f, o, g = _cut(np.concatenate([x, h], 1) @ w["W"] + w["b"], *[c.shape[1]] * 4)
    c_new = sigmoid(f + w["p"][1] * c) * c + sigmoid(i + w["p"][0] * c) * np.tanh(g)
    return c_new, sigmoid(o + w["p"][2] * c_new) * np.tanh(c_new)


def projected_lstm(w, x, c, h):
    """The next (c, h)."""
    i, f, o, g = _cut(np.concatenate([x, h], 1) @ w["W"] + w["b"], *[c.shape[1]] * 4)
    c_new = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return c_new, (sigmoid(o) * np.tanh(c_new)) @ w["R"]


def min_gru(w, x, h):
    """The next (h,)."""
    z, n = _cut(x @ w["W"] + w["b"], *[h.shape[1]] * 2)
    return (sigmoid(-z) * h + sigmoid(z) * n,)


def min_lstm(w, x, h):
    """The next (h,); the odds of the two gates are F / I = (1 + exp(-i)) / (1 + exp(-f))."""
    f, i, n = _cut(x @ w["W"] + w["b"], *[h.shape[1]] * 3)
    odds = softplus(-i) - softplus(-f)
    return (sigmoid(odds) * h + sigmoid(-odds) * n,)


def rg_lru(w, x, h):
    """The next (h,); 1 - a^2 = -expm1(2 log a)."""
    u, r, i = _cut(x @ w["W"] + w["b"], *[h.shape[1]] * 3)
    rate = 8 * softplus(w["Lambda"]) * sigmoid(r)
    return (np.exp(-rate) * h + np.sqrt(-np.expm1(-2 * rate)) * sigmoid(i) * u,)


def slstm(w, x, c, n, m, h):
    """The next (c, n, m, h); h = o c / n, whatever the stabiliser. Where n is 0, nothing is kept."""
    i, f, o, g = _cut(np.concatenate([x, h], 1) @ w["W"] + w["b"], *[c.shape[1]] * 4)
    old = np.where(n == 0, -np.inf, m - softplus(-f))
    new_m = np.maximum(old, i)
    keep, write = np.exp(old - new_m), np.exp(i - new_m)
    new_c, new_n = keep * c + write * np.tanh(g), keep * n + write
    return new_c, new_n, new_m, sigmoid(o) * (new_c / new_n)


def mlstm(w, x, C, n, m):
    """The next (C, n, m) and y, without a stabiliser: C exp(m) and n exp(m) stay below exp(40), which extended numbers hold."""
    keys, units = C.shape[1:]
    q, k, v, i, f, o = _cut(x @ w["W"] + w["b"], keys, keys, units, 1, 1, units)
    i, f, k = 15 * np.tanh(i / 15), 15 * np.tanh(f / 15), k / np.sqrt(Wide(keys))
    plain_C = sigmoid(f)[:, :, None] * (C * np.exp(m)[:, :, None]) + np.exp(i)[:, :, None] * k[:, :, None] * v[:, None]
    plain_n = sigmoid(f) * (n * np.exp(m)) + np.exp(i) * k
    new_m = np.maximum(m - softplus(-f), i)
    size = np.maximum(np.abs((plain_n * q).sum(1, keepdims=True)), 1)
    y = sigmoid(o) * (plain_C * q[:, :, None]).sum(1) / size
    return plain_C / np.exp(new_m)[:, :, None], plain_n / np.exp(new_m), new_m, y


def s6(w, x, h):
    """The next (h,) and y."""
    units, memory = h.shape[1:]
    u, t, B, C = _cut(x @ w["W"] + w["b"], units, units, memory, memory)
    delta = softplus(t)[:, :, None]
    new = np.exp(-np.exp(w["A_log"]) * delta) * h + delta * B[:, None] * u[:, :, None]
    return new, (new * C[:, None]).sum(2) + w["D"] * u


def gla(w, x, S):
    """The next (S,) and y."""
    keys, units = S.shape[1:]
    q, k, v, a = _cut(x @ w["W"] + w["b"], keys, keys, units, keys)
    new = np.exp(-softplus(-a) / 16)[:, :, None] * S + k[:, :, None] * v[:, None]
    return new, (new * q[:, :, None]).sum(1) / np.sqrt(Wide(keys))


def gated_delta(w, x, S):
    """The next (S,) and y: alpha (S - beta k (k^T S)) + beta k v^T."""
    keys, units = S.shape[1:]
    q, k, v, a, b = _cut(x @ w["W"] + w["b"], keys, keys, units, 1, 1)
    q, k = (z / np.sqrt((z * z).sum(1, keepdims=True) + Wide(1e-6)) for z in (q, k))
    recalled = (k[:, :, None] * S).sum(1)
    beta, k = sigmoid(b)[:, :, None], k[:, :, None]
    new = sigmoid(a)[:, :, None] * (S - beta * k * recalled[:, None]) + beta * k * v[:, None]
    return new, (new * q[:, :, None]).sum(1)


MODERN = {
    "peephole LSTM": peephole_lstm,
    "projected LSTM": projected_lstm,
    "minGRU": min_gru,
    "minLSTM": min_lstm,
    "RG-LRU": rg_lru,
    "sLSTM": slstm,
    "mLSTM": mlstm,
    "S6": s6,
    "gated linear attention": gla,
    "gated delta rule": gated_delta,
}


def sigmoid(z):
    """1 / (1 + exp(-z)), without overflow."""
    return np.exp(-softplus(-z))


def softplus(z):
    """log(1 + exp(z))."""
    return np.logaddexp(z, Wide(0))


def _cut(z, *widths):
    """The columns of z in blocks of these widths."""
    ends = np.cumsum(widths)
    return [z[:, end - width : end] for end, width in zip(ends, widths)]
