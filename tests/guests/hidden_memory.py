"""An LSTM over whole sequences that keeps its memory c to itself, and mistakes of its backward pass."""

import numpy as np
from cellcheck.cells.adapters import adapt

MISTAKES = {
    "last step": "of ys only the upstream of the last step is used",
    "cut off": "x gets no gradient before step 2 of 10",
    "gates": "are exchanged in that of `X @ W + b`",
}


def guest(mistake=None):
    """The factory of the cell with one of MISTAKES, or none."""
    return adapt(
        make=lambda features, state: {"W": np.zeros((features + state, 4 * state)), "b": np.zeros(4 * state)},
        forward=("x h W b -> ys cache", _forward),
        backward=("dys cache W -> dx dh dW db", lambda dys, cache, W: _backward(dys, cache, W, mistake)),
        axes="steps batch features",
    )


def _sigmoid(z):
    return 0.5 * (np.tanh(0.5 * z) + 1)


def _forward(x, h, W, b):
    ys, cache, c = np.zeros((len(x), *h.shape), np.result_type(x, h, W, b)), [], np.zeros(h.shape)
    for t, x_t in enumerate(x):
        X = np.concatenate([x_t, h], axis=1)
        i, f, o, g = np.split(X @ W + b, 4, axis=1)
        i, f, o, g, before = _sigmoid(i), _sigmoid(f), _sigmoid(o), np.tanh(g), c
        c = f * before + i * g
        ys[t] = h = o * np.tanh(c)
        cache.append((X, i, f, o, g, before, np.tanh(c)))
    return ys, cache


def _backward(dys, cache, W, mistake):
    features, T = W.shape[0] - W.shape[1] // 4, len(cache)
    dW, db, dh, dc = np.zeros(W.shape), np.zeros(W.shape[1]), np.zeros(dys.shape[1:]), np.zeros(dys.shape[1:])
    dx = np.zeros((*dys.shape[:2], features))
    for t, (X, i, f, o, g, before, m) in reversed([*enumerate(cache)]):
        dh = dh + dys[t] * (mistake != "last step" or t == T - 1)
        dc = dc + dh * o * (1 - m * m)
        dz = [dc * g * i * (1 - i), dc * before * f * (1 - f), dh * m * o * (1 - o), dc * i * (1 - g * g)]
        dz = np.concatenate([dz[k] for k in ((0, 2, 1, 3) if mistake == "gates" else range(4))], axis=1)
        dX = dz @ W.T
        dW, db, dc, dx[t], dh = dW + X.T @ dz, db + dz.sum(axis=0), dc * f, dX[:, :features], dX[:, features:]
        if mistake == "cut off" and t == T - 8:
            break
    return dx, dh, dW, db
