"""Cells on which users have met a bug that nothing found, an alarm that was none, or a wrong explanation."""

import numpy as np
from cellcheck.cells.adapters import adapt


class Plain:
    """h' = tanh(x W + h U + b)."""

    def __init__(self, features, state):
        self.W, self.U, self.b = np.zeros((features, state)), np.zeros((state, state)), np.zeros(state)
        self.weights = [self.W, self.U, self.b]

    def before(self, x, h):
        """The pre-activation."""
        return x @ self.W + h @ self.U + self.b

    def apply(self, x, h):
        """The new state."""
        self.kept = x.copy(), h.copy(), np.tanh(self.before(x, h))
        return (self.kept[2].copy(),)

    def vjp(self, d):
        """Gradients."""
        x, h, y = self.kept
        dz = d * (1 - y * y)
        return [x.T @ dz, h.T @ dz, dz.sum(0)], dz @ self.W.T, (dz @ self.U.T,)


class ByArray(Plain):
    """It keeps x W as long as it is given the same array, whatever is written into it."""

    seen = None

    def before(self, x, h):
        """The pre-activation."""
        if x is not self.seen or not np.array_equal(self.W, self.by):
            self.seen, self.by, self.product = x, self.W.copy(), x @ self.W
        return self.product + h @ self.U + self.b


class ByFirstRow(Plain):
    """It keeps its result as long as the first row and the weights are the same."""

    seen = None

    def before(self, x, h):
        """The pre-activation."""
        key = (x[:1].tobytes(), x.shape, *(w.tobytes() for w in self.weights))
        if key != self.seen:
            self.seen, self.result = key, super().before(x, h)
        return self.result


class Shrinking:
    """h_t = h_{t-1} sigmoid(x_t W), with log h in its vjp: h must be positive, and underflows in a long sequence."""

    sequence, domains = True, {"h": (0.05, 4.0)}

    def __init__(self, features, state):
        self.W = np.zeros((features, state))
        self.weights = [self.W]

    def apply(self, x, h):
        """The final state and all of them."""
        self.x, self.z, self.h = x.copy(), x @ self.W, h.copy()
        self.logs = np.log(h) + np.cumsum(-np.logaddexp(0, -self.z), axis=0)
        ys = np.exp(self.logs)
        return (ys[-1] if len(x) else h).copy(), ys.copy()

    def vjp(self, dh, dys):
        """Gradients."""
        ys = np.exp(self.logs)
        dz = np.zeros_like(self.z)
        carried = dh * (ys[-1] if len(ys) else self.h)
        for t in reversed(range(len(ys))):
            carried = carried + dys[t] * ys[t]
            dz[t] = carried * np.exp(-np.logaddexp(0, self.z[t]))
        total = carried / self.h if len(ys) else dh.copy()
        return [np.tensordot(self.x, dz, ([0, 1], [0, 1]))], dz @ self.W.T, (total,)


class FallsFlat(Plain):
    """Its vjp makes the gradient of x with the shape of that of h, and raises where there are more features than units."""

    def vjp(self, d):
        """Gradients."""
        weights, x, state = super().vjp(d)
        made = np.zeros_like(d)
        made[...] = x
        return weights, made, state


class Eighth:
    """S' = a S + k k^T with a = exp((tanh(x G) - 1) / 16), whose gradient lacks the 1/16; h' = sum of S'."""

    output, state_names = "o", ("S",)

    def __init__(self, features, state):
        self.W, self.G = np.zeros((features, state)), np.zeros((features, state))
        self.weights, self.state_shapes, self.output_shape = [self.W, self.G], {"S": (state, state)}, (state,)

    def apply(self, x, S):
        """The new state and the output."""
        g, k = np.tanh(x @ self.G), x @ self.W
        a = np.exp((g - 1) / 16)
        new = a[..., None] * S + k[..., None] * k[:, None]
        self.kept = x.copy(), S.copy(), g, a, k
        return new, new.sum(1)

    def vjp(self, dS, do):
        """Gradients."""
        x, S, g, a, k = self.kept
        D = dS + do[:, None]
        dg = (D * S).sum(-1) * a * (1 - g * g)
        dk = (D * k[:, None]).sum(-1) + (D * k[..., None]).sum(1)
        return [x.T @ dk, x.T @ dg], dk @ self.W.T + dg @ self.G.T, (D * a[..., None],)


class Gained(Plain):
    """Its output is multiplied by a weight without axes."""

    def __init__(self, features, state):
        super().__init__(features, state)
        self.gain = np.array(0.5)
        self.weights = [*self.weights, self.gain]

    def apply(self, x, h):
        [self.y] = super().apply(x, h)
        return (self.gain * self.y,)

    def vjp(self, d):
        weights, x, state = super().vjp(self.gain * d)
        return [*weights, np.sum(d * self.y)], x, state


class Twice(Plain):
    """Right when vjp is called once; a second vjp doubles W's gradient; and U's is wrong from the start."""

    calls = 0

    def apply(self, x, h):
        """The new state."""
        self.calls = 0
        return super().apply(x, h)

    def vjp(self, d):
        """Gradients."""
        (W, U, b), x, state = super().vjp(d)
        self.calls += 1
        return [self.calls * W, 3 * U, b], x, state


class Clamped:
    """h' = tanh(clamp(x W + h U, -3, 3)); vjp knows nothing of the clamp."""

    def __init__(self, features, state):
        self.W, self.U = np.zeros((features, state)), np.zeros((state, state))
        self.weights = [self.W, self.U]

    def apply(self, x, h):
        """The new state."""
        raw = x @ self.W + h @ self.U
        cut = np.where(raw.real > 3, 3, np.where(raw.real < -3, -3, raw))
        y = np.tanh(cut)
        self.kept = x.copy(), h.copy(), y.copy()
        return (y,)

    def vjp(self, d):
        """Gradients."""
        x, h, y = self.kept
        dz = d * (1 - y * y)
        return [x.T @ dz, h.T @ dz], dz @ self.W.T, (dz @ self.U.T,)


class Ragged(Plain):
    """A sequence whose `lengths` come after its state, with a default."""

    sequence = True

    def apply(self, x, h, lengths=None):
        """The final state and all of them; zeros beyond the end of a row."""
        steps = np.full(len(h), len(x)) if lengths is None else np.asarray(lengths)
        self.steps, ys = [], np.zeros((len(x), *h.shape), h.dtype)
        for t, x_t in enumerate(x):
            on = (t < steps)[:, None]
            new = np.tanh(self.before(x_t, h))
            self.steps.append((x_t.copy(), h.copy(), new, on))
            h = np.where(on, new, h)
            ys[t] = np.where(on, new, 0)
        return h.copy(), ys

    def vjp(self, dh, dys):
        """Gradients."""
        weights, dx = [np.zeros_like(w) for w in self.weights], np.zeros((len(dys), len(dh), len(self.W)), dh.dtype)
        for t in reversed(range(len(dys))):
            x, h, y, on = self.steps[t]
            dz = np.where(on, dh + dys[t], 0) * (1 - y * y)
            weights = [a + b for a, b in zip(weights, (x.T @ dz, h.T @ dz, dz.sum(0)))]
            dx[t] = dz @ self.W.T
            dh = np.where(on, dz @ self.U.T, dh)
        return weights, dx, (dh.copy(),)


class Repeating(Ragged):
    """Where a row has ended, ys repeats its last state."""

    def apply(self, x, h, lengths=None):
        """The final state and all of them."""
        super().apply(x, h, lengths)
        ys = [np.where(on, new, before) for (_, before, new, on) in self.steps]
        return (ys[-1] if ys else h).copy(), np.array(ys).reshape(len(x), *h.shape)

    def vjp(self, dh, dys):
        """Gradients: what has ended hands its upstream back to the last step."""
        weights, dx = [np.zeros_like(w) for w in self.weights], np.zeros((len(dys), len(dh), len(self.W)), dh.dtype)
        for t in reversed(range(len(dys))):
            x, h, y, on = self.steps[t]
            dh = dh + dys[t]
            dz = np.where(on, dh, 0) * (1 - y * y)
            weights = [a + b for a, b in zip(weights, (x.T @ dz, h.T @ dz, dz.sum(0)))]
            dx[t] = dz @ self.W.T
            dh = np.where(on, dz @ self.U.T, dh)
        return weights, dx, (dh.copy(),)


class Astray(Ragged):
    """Its states lie within +-1.5, it says; after a single step the last one is no number, or far outside."""

    domains, off = {"h": (-1.5, 1.5)}, np.nan

    def apply(self, x, h):
        """The final state and all of them."""
        final, ys = super().apply(x, h)
        return (final + self.off if len(x) == 1 else final), ys


class Leaking(Ragged):
    """Upstreams of padding reach its state."""

    def vjp(self, dh, dys):
        """Gradients, of upstreams that have moved to the last step of each row."""
        on = np.array([step[3] for step in self.steps]).reshape(len(dys), len(dh), 1)
        return super().vjp(dh + np.where(on, 0, dys).sum(axis=0), dys)


class Summing(Ragged):
    """The gradient of its bias sums what padding hands back, too."""

    def vjp(self, dh, dys):
        """Gradients."""
        weights, dx, state = super().vjp(dh, dys)
        off = sum(((~on) * (1 - y * y)).sum(axis=0) for _, _, y, on in self.steps)
        return [*weights[:2], weights[2] + off], dx, state


def forward(p, x, h):
    """A step with a readout that nobody asked for."""
    new = np.tanh(x @ p["W"] + h @ p["U"])
    return new, new @ p["Wy"], (x, h, new)


def backward(dh, cache, p):
    """Gradients, by name, but none of the readout."""
    x, h, new = cache
    dz = dh * (1 - new * new)
    return {"dx": dz @ p["W"].T, "dh_prev": dz @ p["U"].T, "dW": x.T @ dz, "dU": h.T @ dz}


def with_readout(**declared):
    """The functions above as a cell."""
    return adapt(
        lambda F, S: {"W": np.zeros((F, S)), "U": np.zeros((S, S)), "Wy": np.zeros((S, 2))},
        forward=("weights x h -> h _ cache", forward),
        backward=("dh cache weights -> dx=dx dh=dh_prev dweights=d*", backward),
        **declared,
    )
