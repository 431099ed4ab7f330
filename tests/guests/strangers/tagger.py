"""An RNN and its softmax in one function that returns the loss of the next token and all gradients."""

import numpy as np
from cellcheck.cells.adapters import adapt
from maths import softmax


def init(V, H):
    """A list of arrays."""
    np.random.seed(1)
    return [np.random.randn(V, H) * 0.01, np.random.randn(H, H) * 0.01, np.zeros(H), np.random.randn(H, V) * 0.01, np.zeros(V)]


def step(tokens, answers, h_old, params):
    """(loss, gradients). tokens: (batch, V) numbers; answers: (batch,) integers."""
    Wxh, Whh, bh, Why, by = params
    h = np.tanh(tokens @ Wxh + h_old @ Whh + bh)
    p = softmax(h @ Why + by)
    rows = np.arange(len(tokens))
    loss = -np.sum(np.log(p[rows, answers]))
    dy = p.copy()
    dy[rows, answers] -= 1
    dWhy, dby = h.T @ dy, dy.sum(axis=0)
    dh = (dy @ Why.T) * (1 - h * h)
    return loss, [tokens.T @ dh, h_old.T @ dh, dh.sum(axis=0), dWhy, dby]


def following(x):
    """The largest entry of each row stands for the next token."""
    return np.argmax(x.real, axis=-1)


Tagger = adapt(init, ("x targets h weights -> loss dweights", step), targets=following)
