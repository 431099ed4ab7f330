"""A GRU in two functions on column vectors, parameters and gradients in dicts; `adapt` makes a cell of it."""

import numpy as np
from cellcheck.cells.adapters import adapt
from maths import logistic, logistic_slope


def make(n_x, n_h):
    """The parameters."""
    rng = np.random.RandomState(7)
    P = {}
    for k in ("r", "z", "n"):
        P["W" + k] = rng.normal(0, 0.3, (n_h, n_x))
        P["R" + k] = rng.normal(0, 0.3, (n_h, n_h))
        P["b" + k] = np.zeros((n_h, 1))
    return P


def gru_fwd(xt, ht, P):
    """(next h, cache)."""
    ar = P["Wr"] @ xt + P["Rr"] @ ht + P["br"]
    az = P["Wz"] @ xt + P["Rz"] @ ht + P["bz"]
    rt, zt = logistic(ar), logistic(az)
    rec = P["Rn"] @ (rt * ht)
    nt = np.tanh(P["Wn"] @ xt + rec + P["bn"])
    return zt * ht + (1 - zt) * nt, (xt, ht, ar, az, rt, zt, nt)


def gru_bwd(dh, cache, P):
    """A dict of gradients."""
    xt, ht, ar, az, rt, zt, nt = cache
    G = {}
    dn = dh * (1 - zt) * (1 - nt * nt)
    drh = P["Rn"].T @ dn
    dz = dh * (ht - nt) * logistic_slope(az)
    dr = drh * ht * logistic_slope(ar)
    dx, dht = 0, dh * zt + drh * rt
    for k, d in zip(("r", "z", "n"), (dr, dz, dn)):
        G["W" + k] = d @ xt.T
        G["b" + k] = d.sum(axis=1, keepdims=True)
        G["R" + k] = d @ (rt * ht if k == "n" else ht).T
        dx = dx + P["W" + k].T @ d
        if k != "n":
            dht = dht + P["R" + k].T @ d
    return G, dx, dht


GRU = adapt(make, ("x h weights -> h cache", gru_fwd), ("dh cache weights -> dweights dx dh", gru_bwd), axes="features batch")
