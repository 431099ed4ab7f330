"""Cells as they are found in public code: each is right, and has a twin with the bug that was reported of it."""

import numpy as np
from cellcheck.cells import RNN, Unroll
from cellcheck.cells.adapters import adapt


def sigmoid(z):
    """1 / (1 + exp(-z))."""
    return 0.5 * (1 + np.tanh(0.5 * z))


def clip(z, limit):
    """z within +-limit, for complex numbers by their real part."""
    return np.where(np.real(z) > limit, limit, np.where(np.real(z) < -limit, -limit, z))


def clipped_lstm(limit, stores, masks=True, strict=False, **declared):
    """An LSTM that clips: c as it is stored (TensorFlow), or the argument of every activation (ONNX).

    masks: whether backward leaves out c where it was clipped, which is the bug of onnxruntime#27224 if not; strict: whether a
    number at the limit is left out, too.
    """

    def inside(z):
        return (np.abs(z) < limit) if strict else (np.abs(z) <= limit)

    def forward(x, h, c, W, R, b):
        z = x @ W + h @ R + b
        i, o, f, g = np.split(z if stores else clip(z, limit), 4, axis=1)
        i, o, f, g = sigmoid(i), sigmoid(o), sigmoid(f), np.tanh(g)
        raw = f * c + i * g
        t = np.tanh(clip(raw, limit))
        return o * t, clip(raw, limit) if stores else raw, (x, h, c, W, R, z, i, o, f, g, raw, t)

    def backward(dh, dc, cache):
        x, h, c, W, R, z, i, o, f, g, raw, t = cache
        mask = inside(raw) if masks else 1.0
        do, dt = dh * t * o * (1 - o), dh * o * (1 - t**2)
        d = (dc + dt) * mask if stores else dc + dt * mask
        dz = np.hstack([d * g * i * (1 - i), do, d * c * f * (1 - f), d * i * (1 - g**2)]) * (1.0 if stores else inside(z))
        return dz @ W.T, dz @ R.T, d * f, x.T @ dz, h.T @ dz, dz.sum(0)

    def make(F, S):
        return {"W": np.zeros((F, 4 * S)), "R": np.zeros((S, 4 * S)), "b": np.zeros(4 * S)}

    return adapt(
        make, ("x h c W R b -> h c cache", forward), ("dh dc cache -> dx dh dc dW dR db", backward), states="c h", **declared
    )


ClipPre, ClipPreUnmasked = clipped_lstm(3.0, False), clipped_lstm(3.0, False, masks=False)
ClipC, ClipCUnmasked = clipped_lstm(10.0, True), clipped_lstm(10.0, True, masks=False)


class PooledRNN:
    """An RNN that rents its initial state from a pool (AiDotNet#1944)."""

    state_names, zeroed = ("h",), True

    def __init__(self, F, S):
        self.S, self.pool = S, {}
        self.weights = [np.zeros((F, S)), np.zeros((S, S)), np.zeros(S)]

    def _rent(self, shape, dtype):
        a = self.pool.setdefault((shape, dtype), np.zeros(shape, dtype))
        return a * 0 if self.zeroed else a

    def apply(self, x, h=None):
        """(h',)."""
        W, U, b = self.weights
        dtype = np.result_type(x, W)
        h = self._rent((len(x), self.S), dtype) if h is None else h
        y = np.tanh(x @ W + h @ U + b)
        self.saved = x, h.copy(), y
        self.pool[y.shape, y.dtype] = y.copy()
        return (y.copy(),)

    def vjp(self, d):
        """As the contract has it."""
        W, U, _ = self.weights
        x, h, y = self.saved
        dz = d * (1 - y * y)
        return [x.T @ dz, h.T @ dz, dz.sum(0)], dz @ W.T, (dz @ U.T,)


class UnclearedPool(PooledRNN):
    """The array that is rented is not cleared: the bug."""

    zeroed = False


class KeepsLengths(Unroll(RNN)):
    """Without lengths it takes those of its last call: the bug."""

    def apply(self, x, *state, lengths=None):
        """(h', ys)."""
        kept = getattr(self, "kept", None)
        if lengths is None and kept is not None and kept.shape == x.shape[1:2] and (kept <= len(x)).all():
            lengths = kept
        self.kept = None if lengths is None else np.asarray(lengths)
        return super().apply(x, *state, lengths=lengths)


class Workspace:
    """A sequence RNN; [x, h] of all steps lies in one workspace (batch, steps, features + state) that only grows."""

    sequence, state_names = True, ("h",)

    def __init__(self, F, S):
        self.F, self.S = F, S
        self.W, self.b = np.zeros((F + S, S)), np.zeros(S)
        self.weights, self.X, self.H = [self.W, self.b], np.zeros((0, 0, F + S)), np.zeros((0, 0, S))

    def apply(self, x, h):
        """(h', ys)."""
        T, B, F = x.shape
        dtype = np.result_type(x, h, *self.weights)
        if self.X.shape[0] < B or self.X.shape[1] < T or self.X.dtype != dtype:
            b, t = max(B, self.X.shape[0]), max(T, self.X.shape[1])
            self.X, self.H = np.zeros((b, t, F + self.S), dtype), np.zeros((b, t, self.S), dtype)
        self.T, self.B, h = T, B, h.copy()
        for t in range(T):
            X = self.X[:B, t]
            X[:, :F], X[:, F:] = x[t], h
            self.H[:B, t] = np.tanh(X @ self.W + self.b)
            h = self.H[:B, t].copy()
        return h, self.H[:B, :T].swapaxes(0, 1).copy()

    def vjp(self, dh, dys):
        """As the contract has it."""
        dW, db, dx = np.zeros_like(self.W), np.zeros_like(self.b), np.zeros((self.T, self.B, self.F))
        for t in reversed(range(self.T)):
            dz = (dh + dys[t]) * (1 - self.H[: self.B, t] ** 2)
            X = self.X[: self.B, t]
            dW, db, dX = dW + X.T @ dz, db + dz.sum(axis=0), dz @ self.W.T
            dx[t], dh = dX[:, : self.F], dX[:, self.F :]
        return [dW, db], dx, (dh.copy(),)


class Float32Inside:
    """float64 in and out, float32 inside, as it declares."""

    sequence, state_names, complex = True, ("h",), False
    choices = {"float32": True}  # noqa: RUF012

    def __init__(self, F, S):
        self.inner = Unroll(RNN)(F, S, dtype=np.float32)
        self.W, self.b = np.zeros((F + S, S)), np.zeros(S)
        self.weights = [self.W, self.b]

    def apply(self, x, h):
        """(h', ys)."""
        for w, v in zip(self.inner.weights, self.weights):
            w[...] = v
        return tuple(np.array(y, float) for y in self.inner.apply(x.astype(np.float32), h.astype(np.float32)))

    def vjp(self, *d):
        """As the contract has it."""
        w, x, s = self.inner.vjp(*(a.astype(np.float32) for a in d))
        return [np.array(g, float) for g in w], np.array(x, float), tuple(np.array(g, float) for g in s)


class ColumnGRU:
    """A GRU on columns; the reset gate scales h before the product."""

    def __init__(self, F, S):
        self.W, self.W_r, self.W_z = np.zeros((S, F)), np.zeros((S, F)), np.zeros((S, F))
        self.U, self.U_r, self.U_z = np.zeros((S, S)), np.zeros((S, S)), np.zeros((S, S))

    def gate(self, r, h):
        """r * h."""
        return r * h

    def forward(self, x, h):
        """(h', cache)."""
        r, z = sigmoid(self.W_r @ x + self.U_r @ h), sigmoid(self.W_z @ x + self.U_z @ h)
        n = np.tanh(self.W @ x + self.U @ self.gate(r, h))
        return z * h + (1 - z) * n, (x, h, r, z, n)

    def backward(self, cache, d):
        """(dx, dh, weights)."""
        x, h, r, z, n = cache
        dn, dz = d * (1 - z) * (1 - n**2), d * (h - n) * z * (1 - z)
        back = self.U.T @ dn
        dr = back * h * r * (1 - r)
        dh = d * z + back * r + self.U_z.T @ dz + self.U_r.T @ dr
        dx = self.W.T @ dn + self.W_z.T @ dz + self.W_r.T @ dr
        found = {"W": dn @ x.T, "W_r": dr @ x.T, "W_z": dz @ x.T, "U": dn @ (r * h).T, "U_r": dr @ h.T, "U_z": dz @ h.T}
        return dx, dh, found


class MatmulForProduct(ColumnGRU):
    """r @ h for r * h, which runs only if there are as many rows as units: the bug."""

    def gate(self, r, h):
        """r @ h."""
        return r @ h


def on_columns(make):
    """A GRU on columns as a cell."""
    return adapt(
        make,
        weights="W W_r W_z U U_r U_z",
        forward=("x h -> h cache", "forward"),
        backward=("cache dh -> dx dh dweights", "backward"),
        axes="features batch",
    )


class CopiedBias:
    """Correct, but weights[1] is a copy of the bias."""

    def __init__(self, F, S):
        self.W, self.b = np.zeros((F + S, S)), np.zeros((1, S))
        self.weights = [self.W, self.b.copy()]

    def forward(self, x, h):
        """The sum of h'."""
        self.X = np.concatenate([x, h], axis=1)
        self.y = np.tanh(self.X @ self.W + self.b)
        return self.y.sum()

    def backward(self, d):
        """Gradients of W and b."""
        dz = d * (1 - self.y**2)
        return [self.X.T @ dz, dz.sum(axis=0, keepdims=True)]


class ScoreBias:
    """h' = h + softmax(h W h^T + b) x: b is added to all scores of a row, and so has no effect; its gradient is a rounding."""

    def __init__(self, F, S):
        self.W, self.V, self.b = np.zeros((S, S)), np.zeros((F, S)), np.zeros(1)
        self.weights = [self.W, self.V, self.b]

    def apply(self, x, h):
        """h'."""
        scores = h * (h @ self.W) + self.b
        e = np.exp(scores - scores.real.max(axis=1, keepdims=True))
        self.p, self.x, self.h = e / e.sum(axis=1, keepdims=True), x, h
        self.v = x @ self.V
        return (h + self.p * self.v,)

    def vjp(self, d):
        """Of W, V, b, x and h."""
        dp = d * self.v
        ds = self.p * (dp - (self.p * dp).sum(axis=1, keepdims=True))
        dv, dz = d * self.p, ds * self.h
        return [self.h.T @ dz, self.x.T @ dv, ds.sum().reshape(1)], dv @ self.V.T, (d + ds * (self.h @ self.W) + dz @ self.W.T,)


class Unread:
    """h' = tanh(x W + h U + b) beside a readout, which it does not use."""

    def __init__(self, F, S):
        self.W, self.U, self.b, self.Wy = np.zeros((F, S)), np.zeros((S, S)), np.zeros(S), np.zeros((S, 2 * S + 1))
        self.weights = [self.W, self.U, self.b, self.Wy]

    def apply(self, x, h):
        """h'."""
        self.x, self.h, self.y = x, h, np.tanh(x @ self.W + h @ self.U + self.b)
        return (self.y,)

    def vjp(self, d):
        """Zeros for the readout."""
        d = d * (1 - self.y**2)
        return [self.x.T @ d, self.h.T @ d, d.sum(axis=0), np.zeros(self.Wy.shape)], d @ self.W.T, (d @ self.U.T,)


class IgnoredBias(CopiedBias):
    """h' = tanh([x, h] W): the bias that it holds is never added, and its gradient is zero."""

    def __init__(self, F, S):
        super().__init__(F, S)
        self.weights = [self.W, self.b]

    def forward(self, x, h):
        """The sum of h'."""
        self.X = np.concatenate([x, h], axis=1)
        self.y = np.tanh(self.X @ self.W)
        return self.y.sum()

    def backward(self, d):
        """Gradients of W and b."""
        return [super().backward(d)[0], np.zeros_like(self.b)]


def dropping(Base, how, scales=True, **declared):
    """A shipped cell with seeded dropout of its output: a mask for each row, or one for all rows ("units").

    scales: whether backward masks, too; the bug if not.
    """

    class Dropping(Base):
        kind, weight_blocks = None, None

        def _apply(self, *given, **options):
            *s, y = super()._apply(*given, **options)
            shape = y.shape if how == "elements" else (*y.shape[:-2], 1, y.shape[-1])
            self.mask = (np.random.default_rng(0).random(shape) > 0.3) / 0.7
            return (*s, y * self.mask)

        def _vjp(self, *d):
            *ds, dy = d
            return super()._vjp(*ds, dy * self.mask if scales else dy)

    for name, value in declared.items():
        setattr(Dropping, name, value)
    return Dropping


def clipping_loss(limit, mean=False, wrong=False):
    """The loss (h' - sign(x_0))^2 / 2, summed or averaged over the rows, and its gradients clipped at +-limit, all in one call.

    wrong: dW is 0.1 % too large.
    """

    def loss(x, targets, h, W, b):
        X, F = np.concatenate([x, h], axis=1), x.shape[1]
        y = np.tanh(X @ W + b)
        rows = len(x) if mean else 1
        dz = (y - targets) / rows * (1 - y * y)
        dX, dW = dz @ W.T, X.T @ dz * (1.001 if wrong else 1)
        found = dX[:, :F], dX[:, F:], dW, dz.sum(axis=0)
        return ((y - targets) ** 2).sum() / 2 / rows, *(np.clip(g, -limit, limit) for g in found)

    return adapt(
        lambda F, S: {"W": np.zeros((F + S, S)), "b": np.zeros(S)},
        ("x targets h W b -> loss dx dh dW db", loss),
        targets=lambda x: np.sign(x[:, :1].real),
        choices={"clip": limit, **({"mean": True} if mean else {})},
    )
