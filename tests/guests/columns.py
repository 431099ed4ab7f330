"""Column vectors, a dict of parameters with one matrix for each gate on [h, x], and a dict of gradients."""

import numpy as np


def sigmoid(z):
    """The logistic function."""
    return 1 / (1 + np.exp(-z))


def init(n_x, n_a):
    """The parameters: each gate has its (n_a, n_a + n_x) and its (n_a, 1)."""
    rng = np.random.default_rng(0)
    matrices = {f"W{gate}": rng.standard_normal((n_a, n_a + n_x)) for gate in "fico"}
    return {**matrices, **{f"b{gate}": np.zeros((n_a, 1)) for gate in "fico"}}


def cell_forward(xt, a_prev, c_prev, parameters):
    """(a_next, c_next, cache)."""
    p, concat = parameters, np.concatenate([a_prev, xt], axis=0)
    f, i, o = (sigmoid(p[f"W{gate}"] @ concat + p[f"b{gate}"]) for gate in "fio")
    cc = np.tanh(p["Wc"] @ concat + p["bc"])
    c_next = f * c_prev + i * cc
    a_next = o * np.tanh(c_next)
    return a_next, c_next, (a_next, c_next, a_prev, c_prev, f, i, cc, o, xt, p)


def cell_backward(da_next, dc_next, cache):
    """A dict of gradients."""
    _, c_next, a_prev, c_prev, f, i, cc, o, xt, p = cache
    t = np.tanh(c_next)
    dc = dc_next + da_next * o * (1 - t**2)
    d = {"f": dc * c_prev * f * (1 - f), "i": dc * cc * i * (1 - i), "c": dc * i * (1 - cc**2), "o": da_next * t * o * (1 - o)}
    concat, n_a = np.concatenate([a_prev, xt], axis=0), len(a_prev)
    gradients = {f"dW{gate}": d[gate] @ concat.T for gate in d} | {f"db{gate}": d[gate].sum(axis=1, keepdims=True) for gate in d}
    d_concat = sum(p[f"W{gate}"].T @ d[gate] for gate in d)
    return {**gradients, "dxt": d_concat[n_a:], "da_prev": d_concat[:n_a], "dc_prev": dc * f}


def cell_backward_without_derivative(da_next, dc_next, cache):
    """The output gate is not differentiated through its sigmoid: the defect."""
    gradients = cell_backward(da_next, dc_next, cache)
    o = cache[7]
    scale = np.divide(1.0, o * (1 - o), where=o * (1 - o) != 0, out=np.ones_like(o))
    return {**gradients, "dbo": (da_next * np.tanh(cache[1]) * o * (1 - o) * scale).sum(axis=1, keepdims=True)}
