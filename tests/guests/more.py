"""Code as it is found in public projects that is more than a step of x and h. What has a defect is named after it."""

import numpy as np


def sigmoid(z):
    """1 / (1 + exp(-z)), also for complex numbers."""
    return 0.5 * (1 + np.tanh(z / 2))


def matrices(features, state):
    """The weights of an RNN by name."""
    return {"W": np.zeros((features, state)), "U": np.zeros((state, state)), "b": np.zeros(state)}


def run(x, h, W, U, b):
    """The h before and after each step of x, (steps, batch, features)."""
    hs = [h]
    for row in x:
        hs.append(np.tanh(row @ W + hs[-1] @ U + b))
    return hs


def run_backward(d_hs, x, hs, W, U):
    """(dx, dh, dW, dU, db) of an upstream for each h after a step."""
    dW, dU, db, dx, dh = 0 * W, 0 * U, 0 * U[0], 0 * x, 0 * hs[0]
    for t in reversed(range(len(x))):
        dz = (dh + d_hs[t]) * (1 - hs[t + 1] ** 2)
        dW, dU, db = dW + x[t].T @ dz, dU + hs[t].T @ dz, db + dz.sum(0)
        dx[t], dh = dz @ W.T, dz @ U.T
    return dx, dh, dW, dU, db


def start(x, b):
    """The state zero."""
    return np.zeros((x.shape[1], len(b)))


def last(x, W, U, b):
    """The last h alone, from zeros."""
    hs = run(x, start(x, b), W, U, b)
    return hs[-1], (x, hs, W, U)


def last_backward(dh, cache, through=True):
    """(dx, dW, dU, db)."""
    x, hs, W, U = cache
    d_hs = np.zeros((len(x), *dh.shape))
    d_hs[-1:] = dh
    dx, _, *weights = run_backward(d_hs, x, hs, W, U)
    return dx * (1 if through else np.arange(len(x))[:, None, None] == len(x) - 1), *weights


def last_backward_of_the_last_step(dh, cache):
    """The defect: dx of the steps before is zero."""
    return last_backward(dh, cache, through=False)


def wide(x, h, W, U, b, C):
    """The last h, and ys = [h, h C]."""
    hs = run(x, h, W, U, b)
    ys = np.array([np.concatenate([h, h @ C], axis=1) for h in hs[1:]])
    return hs[-1], ys.reshape(len(x), len(h), 2 * len(b)), (x, hs, W, U, C)


def wide_backward(dh, dys, cache, carried=True):
    """(dx, dh, dW, dU, db, dC)."""
    x, hs, W, U, C = cache
    own, read = np.split(dys, 2, axis=2)
    d_hs = own + (read @ C.T if carried else 0)
    d_hs[-1:] += dh
    grads = run_backward(d_hs, x, hs, W, U)
    dC = sum((h.T @ d for h, d in zip(hs[1:], read)), 0 * C)
    return (*grads, dC) if len(x) else (grads[0], dh, *grads[2:], dC)


def wide_backward_without_readout(dh, dys, cache):
    """The defect: what is read from h has no gradient of h."""
    return wide_backward(dh, dys, cache, carried=False)


def residual(x, h, W):
    """h' = h + tanh(x W) x: as many units as features."""
    return h + np.tanh(x @ W) * x


def residual_backward(x, h, W, dh):
    """(dx, dh, dW)."""
    t = np.tanh(x @ W)
    dz = dh * x * (1 - t * t)
    return dz @ W.T + dh * t, dh, x.T @ dz


def residual_backward_without_skip(x, h, W, dh):
    """The defect: dx lacks the second factor."""
    dx, dh, dW = residual_backward(x, h, W, dh)
    return dx - dh * np.tanh(x @ W), dh, dW


class NotTwo:
    """An RNN that takes any number of units but two."""

    state_names = ("h",)

    def __init__(self, features, state):
        if state == 2:
            raise ValueError("two units are a complex number here; give 1, or 3 and more")
        self.weights = list(matrices(features, state).values())

    def apply(self, x, h):
        """h'."""
        self.kept = x, h, *run([x], h, *self.weights)[1:]
        return self.kept[2:]

    def vjp(self, d):
        """Of all arrays."""
        x, h, new = self.kept
        dx, dh, *weights = run_backward([d], x[None], [h, new], *self.weights[:2])
        return weights, dx[0], (dh,)


class NotTwoNorTransposed(NotTwo):
    """The defect: dh is not transposed."""

    def vjp(self, d):
        """Of all arrays."""
        weights, dx, _ = super().vjp(d)
        return weights, dx, (d * (1 - self.kept[2] ** 2) @ self.weights[1],)


class Accumulates:
    """An RNN whose backward adds to its gradients, and is given the old h and the new one."""

    def __init__(self, features, state):
        self.W, self.U, self.b = matrices(features, state).values()
        self.dW, self.dU, self.db = (np.ones_like(w) for w in (self.W, self.U, self.b))

    def forward(self, x, h):
        """h'."""
        return run([x], h, self.W, self.U, self.b)[1]

    def backward(self, dh, x, h, new):
        """dx and dh."""
        dx, dh, *weights = run_backward([dh], x[None], [h, new], self.W, self.U)
        for total, d in zip((self.dW, self.dU, self.db), weights):
            total += d
        return dx[0], dh


def nested(features, state):
    """Weights as jax and flax keep them."""
    W, U, b = matrices(features, state).values()
    return {"in": {"kernel": W}, "rec": {"kernel": U, "bias": b}}


def nested_step(x, h, params):
    """h'."""
    return run([x], h, params["in"]["kernel"], *params["rec"].values())[1]


def nested_step_backward(dh, x, h, new, params):
    """(dweights, dx, dh)."""
    dx, dh, dW, dU, db = run_backward([dh], x[None], [h, new], params["in"]["kernel"], params["rec"]["kernel"])
    return {"in": {"kernel": dW}, "rec": {"kernel": dU, "bias": db}}, dx[0], dh


def nested_step_backward_of_one_row(dh, x, h, new, params):
    """The defect: the bias has the gradient of the first row."""
    grads, dx, dh_old = nested_step_backward(dh, x, h, new, params)
    grads["rec"]["bias"] = (dh * (1 - new**2))[0]
    return grads, dx, dh_old


def one_matrix(x, c, h, W):
    """An LSTM whose W has biases, weights of x and weights of h, one below the other: (c, h, cache)."""
    X = np.concatenate([np.ones((len(x), 1)), x, h], axis=1)
    i, f, o, g = np.split(X @ W, 4, axis=1)
    i, f, o, g = sigmoid(i), sigmoid(f), sigmoid(o), np.tanh(g)
    new = f * c + i * g
    return new, o * np.tanh(new), (X, c, W, i, f, o, g, np.tanh(new))


def one_matrix_backward(dc, dh, cache):
    """(dx, dc, dh, dW)."""
    X, c, W, i, f, o, g, t = cache
    dc = dc + dh * o * (1 - t * t)
    gates = [dc * g * i * (1 - i), dc * c * f * (1 - f), dh * t * o * (1 - o), dc * i * (1 - g * g)]
    dz, state = np.concatenate(gates, axis=1), c.shape[1]
    dX = dz @ W.T
    return dX[:, 1:-state], dc * f, dX[:, -state:], X.T @ dz


def one_matrix_backward_without_biases(dc, dh, cache):
    """The defect: the row of the biases has no gradient."""
    dx, dc, dh, dW = one_matrix_backward(dc, dh, cache)
    return dx, dc, dh, dW * (np.arange(len(dW)) > 0)[:, None]


def mlx_gru(x, h, Wx, Wh, b, bhn):
    """(h', cache) of a GRU that keeps its weights as mlx does."""
    a_r, a_z, a_n = np.split(x @ Wx.T + b, 3, axis=1)
    s_r, s_z, s_n = np.split(h @ Wh.T, 3, axis=1)
    r, z = sigmoid(a_r + s_r), sigmoid(a_z + s_z)
    n = np.tanh(a_n + r * (s_n + bhn))
    return (1 - z) * n + z * h, (x, h, Wx, Wh, r, z, n, s_n + bhn)


def mlx_gru_backward(dh, cache, gated=True):
    """(dx, dh, dWx, dWh, db, dbhn)."""
    x, h, Wx, Wh, r, z, n, s = cache
    dn = dh * (1 - z) * (1 - n * n)
    dz, dr = dh * (h - n) * z * (1 - z), dn * s * r * (1 - r)
    da, ds = np.concatenate([dr, dz, dn], axis=1), np.concatenate([dr, dz, dn * r], axis=1)
    return da @ Wx, dh * z + ds @ Wh, da.T @ x, ds.T @ h, da.sum(0), (dn * (r if gated else 1)).sum(0)


def mlx_gru_backward_ungated(dh, cache):
    """The defect: the reset gate is missing in the gradient of bhn."""
    return mlx_gru_backward(dh, cache, gated=False)


def clipped_backward(dh, x, h, new, W, U, b, scale=1.0):
    """(dx, dh, dW, dU, db), the weights' clipped to a norm of 5."""
    dx, dh, *weights = run_backward([dh], x[None], [h, new], W, U)
    norm = np.sqrt(sum((d * d).sum() for d in weights))
    dW, dU, db = (d * min(1, 5 / norm) if norm else d for d in weights)
    return dx[0], dh, dW, scale * dU, db


def clipped_backward_doubled(*given):
    """The defect: dU is twice as large."""
    return clipped_backward(*given, scale=2.0)


def both_ways(features, state):
    """The weights of two RNNs."""
    return {name + way: w for way in "fb" for name, w in matrices(features, state).items()}


def bidirectional(x, Wf, Uf, bf, Wb, Ub, bb):
    """(ys, cache): the h of a run forwards beside those of a run backwards."""
    there, back = run(x, start(x, bf), Wf, Uf, bf), run(x[::-1], start(x, bb), Wb, Ub, bb)
    ys = np.concatenate([np.array(there)[1:], np.array(back)[:0:-1]], axis=2)
    return ys, (x, there, back, Wf, Uf, Wb, Ub)


def bidirectional_backward(dys, cache, turn=-1):
    """(dx, dWf, dUf, dbf, dWb, dUb, dbb)."""
    x, there, back, Wf, Uf, Wb, Ub = cache
    d_there, d_back = np.split(dys, 2, axis=2)
    dx, _, *forwards = run_backward(d_there, x, there, Wf, Uf)
    dx_back, _, *backwards = run_backward(d_back[::turn], x[::-1], back, Wb, Ub)
    return dx + dx_back[::-1], *forwards, *backwards


def bidirectional_backward_unturned(dys, cache):
    """The defect: upstreams of the run backwards are not turned around."""
    return bidirectional_backward(dys, cache, turn=1)


def two_layers(features, state):
    """The weights of two RNNs, the second on top of the first."""
    layers = matrices(features, state), matrices(state, state)
    return {f"{name}{k}": w for k, layer in enumerate(layers, 1) for name, w in layer.items()}


def stacked(x, h1, h2, W1, U1, b1, W2, U2, b2):
    """The new h1 and h2."""
    new = run([x], h1, W1, U1, b1)[1]
    return new, run([new], h2, W2, U2, b2)[1]


def stacked_backward(dh1, dh2, x, h1, h2, new1, new2, W1, U1, b1, W2, U2, b2, between=1):
    """(dx, dh1, dh2, dW1, dU1, db1, dW2, dU2, db2)."""
    d, dh2, *above = run_backward([dh2], new1[None], [h2, new2], W2, U2)
    dx, dh1, *below = run_backward([dh1 + between * d[0]], x[None], [h1, new1], W1, U1)
    return dx[0], dh1, dh2, *below, *above


def stacked_backward_of_each_layer(*given):
    """The defect: nothing passes from the second layer to the first."""
    return stacked_backward(*given, between=0)


def embed(x, h, E, U):
    """h' = tanh(E[x] + h U) of a token in each row."""
    return np.tanh(E[x] + h @ U)


def embed_backward(dh, x, h, new, E, U, add=np.add.at):
    """(dh, dE, dU)."""
    dz, dE = dh * (1 - new * new), np.zeros_like(E)
    add(dE, x, dz)
    return dz @ U.T, dE, h.T @ dz


def embed_backward_of_different_tokens(*given):
    """The defect: of rows with the same token the last one counts."""
    return embed_backward(*given, add=lambda dE, x, dz: dE.__setitem__(x, dz))


def masked(x, h, W, U, b, mask):
    """(h', ys, cache) of a padded batch, (batch, steps, features): a row that has ended keeps its h, and its ys are 0."""
    hs, ys = [h], []
    for t in range(x.shape[1]):
        m, new = mask[:, t, None], np.tanh(x[:, t] @ W + hs[-1] @ U + b)
        hs.append(np.where(m, new, hs[-1]))
        ys.append(np.where(m, new, 0))
    return hs[-1], np.stack([*ys, 0 * h], axis=1)[:, :-1], (hs, mask)


def masked_backward(dh, dys, x, W, U, cache, kept=1):
    """(dx, dh, dW, dU, db)."""
    (hs, mask), dW, dU, db, dx = cache, 0 * W, 0 * U, 0 * U[0], 0 * x
    for t in reversed(range(x.shape[1])):
        m = mask[:, t, None]
        dz = np.where(m, (dh + dys[:, t]) * (1 - hs[t + 1] ** 2), 0)
        dW, dU, db, dx[:, t] = dW + x[:, t].T @ dz, dU + hs[t].T @ dz, db + dz.sum(0), dz @ W.T
        dh = dz @ U.T + kept * np.where(m, 0, dh)
    return dx, dh, dW, dU, db


def masked_backward_that_forgets(*given):
    """The defect: what flows back into a row that has ended is lost."""
    return masked_backward(*given, kept=0)
