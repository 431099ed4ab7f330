"""Sequences as a stranger wrote them: some return their last states alone, some call their output y, some count their steps."""

import numpy as np
from cellcheck.cells import LSTM, RNN, Unroll
from cellcheck.cells.adapters import adapt


def forward(x, h, W, U, b):
    """(h_last, cache) of x, (batch, steps, features)."""
    hs = [h]
    for t in range(x.shape[1]):
        hs.append(np.tanh(x[:, t] @ W + hs[-1] @ U + b))
    return hs[-1], (x, hs, W, U)


def backward(dh, cache, leak=0.0):
    """(dx, dh, dW, dU, db); leak: what of dh passes a step by mistake."""
    x, hs, W, U = cache
    dW, dU, db, dx = 0 * W, 0 * U, 0 * U[0], 0 * x
    for t in reversed(range(x.shape[1])):
        dz = dh * (1 - hs[t + 1] ** 2)
        dW, dU, db = dW + x[:, t].T @ dz, dU + hs[t].T @ dz, db + dz.sum(0)
        dx[:, t], dh = dz @ W.T, dz @ U.T + leak * dh
    return dx, dh, dW, dU, db


def matrices(features, state):
    """The weights by name."""
    return {"W": np.zeros((features, state)), "U": np.zeros((state, state)), "b": np.zeros(state)}


FORWARD, BACKWARD = ("x h W U b -> h cache", forward), ("dh cache -> dx dh dW dU db", backward)
LEAKING = ("dh cache -> dx dh dW dU db", lambda dh, cache: backward(dh, cache, 0.1))
WHOLE = {"make": matrices, "forward": FORWARD, "backward": BACKWARD, "axes": "batch steps features"}


class Last:
    """A shipped cell over a sequence without its ys. returned: how many of its states, the last ones."""

    Cell, sequence, outputs, returned = RNN, True, ("h",), 1

    def __init__(self, features, state):
        self.inner = Unroll(self.Cell)(features, state, rng=0)
        self.weights = self.inner.weights

    def apply(self, x, h):
        """The last h."""
        *finals, self.ys = self._run(x, h)
        return tuple(finals[-self.returned :])

    def _run(self, x, *states):
        return self.inner.apply(x, *states)

    def vjp(self, *d_outputs):
        """Gradients for the upstreams of the last states."""
        hidden = [np.zeros_like(d_outputs[0])] * (len(self.inner.state_names) - len(d_outputs))
        return self.inner.vjp(*hidden, *d_outputs, np.zeros_like(self.ys))


class LastLSTM(Last):
    """(c_last, h_last)."""

    Cell, outputs, returned = LSTM, ("c", "h"), 2

    def apply(self, x, c, h):
        """The last c and h."""
        *finals, self.ys = self._run(x, c, h)
        return tuple(finals[-self.returned :])


class LastHOfLSTM(LastLSTM):
    """h_last alone, though it takes c and h."""

    outputs, returned = ("h",), 1


class WithoutStateGradients(Last):
    """Gradients of the weights and of x."""

    gradients = ("weights", "x")


class Named(Last):
    """The same as `Last`, declared by its output."""

    outputs, output = None, "h"


class Ragged(Last):
    """With a length for each row."""

    kept = True

    def apply(self, x, h, *, lengths=None):
        """The last h of each row."""
        *finals, self.ys = self.inner.apply(x, h, **({"lengths": lengths} if self.kept else {}))
        return tuple(finals)


class PaddingRuns(Ragged):
    """Rows go on after their ends."""

    kept = False


class Forgets(Last):
    """Every call starts from zeros."""

    def _run(self, x, *states):
        return self.inner.apply(x, *map(np.zeros_like, states))


class Readout:
    """h_last, and y read from it once: an output that is neither a state nor of each step."""

    sequence, outputs, output = True, ("h", "y"), "y"

    def __init__(self, features, state):
        self.inner, self.V = Last(features, state), np.zeros((state, state))
        self.weights = [*self.inner.weights, self.V]

    def apply(self, x, h):
        """The last h, y."""
        (self.h,) = self.inner.apply(x, h)
        return self.h, self.h @ self.V

    def vjp(self, dh, dy):
        """Of h and y."""
        weights, dx, state = self.inner.vjp(dh + dy @ self.V.T)
        return [*weights, self.h.T @ dy], dx, state


def flat(cell, *d_outputs):
    """The gradients of a cell in one row."""
    weights, dx, state = cell.vjp(*d_outputs)
    return weights, dx, *state


STEPS = {"weights": ".weights", "axes": "steps batch features"}
RIGHT = {
    "adapt": adapt(**WHOLE),
    "adapt, output h": adapt(**WHOLE, output="h"),
    "adapt, no gradient of h": adapt(**{**WHOLE, "backward": ("dh cache -> dx _ dW dU db", backward)}),
    "adapt, LSTM": adapt(LastLSTM, ("x c h -> c h", "apply"), ("dc dh -> dweights dx dc dh", flat), **STEPS),
    "adapt, LSTM, h first": adapt(
        LastLSTM, ("x h c -> h c", lambda cell, x, h, c: cell.apply(x, c, h)[::-1]), ("dc dh -> dweights dx dc dh", flat), **STEPS
    ),
    "adapt, LSTM, no gradient of states": adapt(LastLSTM, ("x c h -> c h", "apply"), ("dc dh -> dweights dx _ _", flat), **STEPS),
    "adapt, h alone of an LSTM": adapt(
        LastHOfLSTM, ("x c h -> h", lambda cell, *a: cell.apply(*a)[0]), ("dh -> dweights dx dc dh", flat), **STEPS
    ),
    "class": Last,
    "class, output h": Named,
    "class, LSTM": LastLSTM,
    "class, h alone of an LSTM": LastHOfLSTM,
    "class, no gradient of h": WithoutStateGradients,
    "class, LSTM, no gradient of states": type("Guest", (LastLSTM,), {"gradients": ("weights", "x")}),
    "class, lengths": Ragged,
    "class, y read once": Readout,
}
WRONG = {
    "adapt, a gradient too much": (adapt(**{**WHOLE, "backward": LEAKING}), "state_gradients"),
    "the initial state is ignored": (Forgets, "a_sequence_may_be_split"),
    "the initial state of each step is ignored": (Forgets, "a_sequence_is_its_steps"),
    "padding runs": (PaddingRuns, "each_ragged_row_equals_its_solo_run"),
}


class Clockwork:
    """Units of period 1, 2, 4 ...: unit k moves at every 2^k-th step alone."""

    sequence, choices, leak = True, {"time": True}, 0.0

    def __init__(self, features, state):
        self.W, self.U, self.b = matrices(features, state).values()
        self.weights = [self.W, self.U, self.b]
        self.periods = 2 ** (np.arange(state) % 3)

    def apply(self, x, h):
        """The last h, and all of them."""
        self.x, self.hs = x, [h]
        for t, row in enumerate(x):
            moved = np.tanh(row @ self.W + self.hs[-1] @ self.U + self.b)
            self.hs.append(np.where(t % self.periods == 0, moved, self.hs[-1]))
        return self.hs[-1], np.array(self.hs)[1:]

    def vjp(self, dh, d_ys):
        """Back through the units that moved."""
        dW, dU, db, dx = 0 * self.W, 0 * self.U, 0 * self.b, 0 * self.x
        for t in reversed(range(len(self.x))):
            moves, d = t % self.periods == 0, dh + d_ys[t]
            dz = np.where(moves, d * (1 - self.hs[t + 1] ** 2), 0)
            dW, dU, db = dW + self.x[t].T @ dz, dU + self.hs[t].T @ dz, db + dz.sum(0)
            dx[t], dh = dz @ self.W.T, dz @ self.U.T + np.where(moves, self.leak, 1) * d
        return [dW, dU, db], dx, (dh,)


class ClockworkLeaks(Clockwork):
    """A gradient passes units that moved."""

    leak = 0.5


def outputs_forward(x, W, U, b):
    """y of each step from h = 0, and a cache."""
    _, cache = forward(x, np.zeros((len(x), len(b))), W, U, b)
    return np.stack(cache[1][1:], 1) if x.shape[1] else np.zeros((*x.shape[:2], len(b))), cache


def outputs_backward(dy, cache):
    """(dx, dW, dU, db)."""
    x, hs, W, U = cache
    total, dh = [0 * x, 0 * W, 0 * U, 0 * U[0]], 0 * hs[0]
    for t in reversed(range(x.shape[1])):
        dx, (d, dh, *d_weights) = np.zeros_like(x), backward(dh + dy[:, t], (x[:, t : t + 1], hs[t : t + 2], W, U))
        dx[:, t : t + 1] = d
        total = [a + d for a, d in zip(total, (dx, *d_weights))]
    return tuple(total)


def with_output(name, own="batch steps units", **options):
    """The RNN that returns all h, under this name."""
    there, back = f"x W U b -> {name} cache", f"d{name} cache -> dx dW dU db"
    sizes = {"units": lambda features, state: state}
    options = {"axes": "batch steps features", "output": {name: own}, "sizes": sizes} | options
    return adapt(matrices, (there, outputs_forward), (back, outputs_backward), **options)


class SRU:
    """A recurrence of c alone. h is read from c, x and nothing else; `apply` takes it for no reason."""

    def __init__(self, features, state):
        self.W, self.b = np.zeros((features, 4 * state)), np.zeros(2 * state)
        self.weights = [self.W, self.b]

    def apply(self, x, c, h):
        """The new c and h."""
        H, u = c.shape[1], x @ self.W
        f, r = (0.5 * (1 + np.tanh(0.5 * z)) for z in (u[:, H : 2 * H] + self.b[:H], u[:, 2 * H : 3 * H] + self.b[H:]))
        new = f * c + (1 - f) * u[:, :H]
        self.kept = x, c, u, f, r, new
        return new, r * np.tanh(new) + (1 - r) * u[:, 3 * H :]

    def vjp(self, dc, dh):
        """Zero for h."""
        x, c, u, f, r, new = self.kept
        H, t = c.shape[1], np.tanh(new)
        dr, dc = dh * (t - u[:, 3 * H :]) * r * (1 - r), dc + dh * r * (1 - t * t)
        df = dc * (c - u[:, :H]) * f * (1 - f)
        du = np.hstack([dc * (1 - f), df, dr, dh * (1 - r)])
        return [x.T @ du, np.hstack([df, dr]).sum(0)], du @ self.W.T, (dc * f, np.zeros_like(dh))


class SRUOfC(SRU):
    """As the head of the run advises: h is an output, and not taken."""

    output = "h"

    def apply(self, x, c):
        """The new c and h."""
        return super().apply(x, c, None)

    def vjp(self, dc, dh):
        """That of c alone."""
        weights, dx, (dc, _) = super().vjp(dc, dh)
        return weights, dx, (dc,)


class Softmax:
    """h' = softmax([x, h] W): an upstream that is alike for all units has a gradient of zero."""

    def __init__(self, features, state):
        self.W = np.zeros((features + state, state))
        self.weights = [self.W]

    def apply(self, x, h):
        """The new h."""
        self.X = np.hstack([x, h])
        z = self.X @ self.W
        e = np.exp(z - z.real.max(1, keepdims=True))
        self.y = e / e.sum(1, keepdims=True)
        return (self.y,)

    def vjp(self, d):
        """All three."""
        dz = self.y * (d - (d * self.y).sum(1, keepdims=True))
        dX, n = dz @ self.W.T, self.X.shape[1] - d.shape[1]
        return [self.X.T @ dz], dX[:, :n], (dX[:, n:],)
