"""A character model in one function: a loss with its targets inside, gradients clipped before they leave."""

import numpy as np

CLIP = 5


def init(vocabulary, hidden):
    """The weights by name."""
    rng, shapes = np.random.default_rng(3), {"Wxh": (hidden, vocabulary), "Whh": (hidden, hidden), "Why": (vocabulary, hidden)}
    return {name: rng.standard_normal(s) for name, s in shapes.items()} | {
        "bh": np.zeros((hidden, 1)),
        "by": np.zeros((vocabulary, 1)),
    }


def loss_fun(inputs, targets, hprev, Wxh, Whh, Why, bh, by, carry=True):
    """(loss, dWxh, dWhh, dWhy, dbh, dby, last h). inputs, targets: lists of integers; hprev: (hidden, 1)."""
    xs, hs, ps, loss = {}, {-1: hprev}, {}, 0
    for t in range(len(inputs)):
        xs[t] = np.zeros((Wxh.shape[1], 1))
        xs[t][inputs[t]] = 1
        hs[t] = np.tanh(Wxh @ xs[t] + Whh @ hs[t - 1] + bh)
        ys = Why @ hs[t] + by
        shifted = ys - ys.real.max()
        log_sum = np.log(np.sum(np.exp(shifted)))
        ps[t] = np.exp(shifted - log_sum)
        loss = loss - (shifted - log_sum)[targets[t], 0]
    grads = [np.zeros_like(w) for w in (Wxh, Whh, Why, bh, by)]
    dWxh, dWhh, dWhy, dbh, dby = grads
    dh_next = np.zeros_like(hprev)
    for t in reversed(range(len(inputs))):
        dy = ps[t].copy()
        dy[targets[t]] -= 1
        dWhy += dy @ hs[t].T
        dby += dy
        draw = (1 - hs[t] ** 2) * (Why.T @ dy + dh_next)
        dbh += draw
        dWxh += draw @ xs[t].T
        dWhh += draw @ hs[t - 1].T
        dh_next = Whh.T @ draw if carry else 0 * dh_next
    for g in grads:
        np.clip(g, -CLIP, CLIP, out=g)
    return loss, *grads, hs[len(inputs) - 1]


def loss_fun_of_single_steps(*arguments, **weights):
    """No gradient flows from one step to the one before: the defect."""
    return loss_fun(*arguments, **weights, carry=False)
