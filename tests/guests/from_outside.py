"""Cells as others write them, whose names, parts and declarations were once the end of a run; each with a broken twin."""

from typing import ClassVar

import numpy as np
from cellcheck.cells.adapters import adapt


class PreviousState:
    """An RNN that calls its state `h_prev`, and computes in buffers of real numbers."""

    wrong = False

    def __init__(self, features, state):
        self.Wx, self.Wh, self.b = np.zeros((features, state)), np.zeros((state, state)), np.zeros(state)
        self.weights = [self.Wx, self.Wh, self.b]

    def apply(self, x, h_prev):
        """The next state."""
        out = np.zeros(h_prev.shape, dtype=float)
        np.tanh(x @ self.Wx + h_prev @ self.Wh + self.b, out=out)
        self.kept = x.copy(), h_prev.copy(), out.copy()
        return (out,)

    def vjp(self, dh):
        """Wrong: without the transpose."""
        x, h_prev, h = self.kept
        dz = dh * (1 - h**2)
        back = self.Wh if self.wrong else self.Wh.T
        return [x.T @ dz, h_prev.T @ dz, dz.sum(0)], dz @ self.Wx.T, (dz @ back,)


class WithoutTranspose(PreviousState):
    """The gradient of the state."""

    wrong = True


class Reservoir:
    """A fixed reservoir with a trained readout: no state has a gradient."""

    output, gradients, no_gradient, factor = "y", ("weights",), ("h",), 1.0

    def __init__(self, features, state):
        self.readout, self.fixed = np.zeros((state, state)), np.full((features, state), 0.3)
        self.weights = [self.readout]

    def apply(self, x, h):
        """The next state, and what is read of it."""
        self.h = 0.7 * h + 0.3 * np.tanh(x @ self.fixed + h)
        return self.h.copy(), self.h @ self.readout

    def vjp(self, dh, dy):
        """The gradient of the readout alone."""
        return [self.factor * (self.h.T @ dy)], None, None


class HalfReadout(Reservoir):
    """Half of the gradient."""

    factor = 0.5


class Padded:
    """Sums of tanh(x W) up to the end of each row, of which the gradients of the weights alone are known."""

    sequence, gradients, late = True, ("weights",), 0

    def __init__(self, features, state):
        self.W = np.zeros((features, state))
        self.weights = [self.W]

    def apply(self, x, s, lengths=None):
        """The last sums, and all of them."""
        ends = np.full(x.shape[1], len(x)) if lengths is None else np.asarray(lengths)
        self.on, self.seen = ((np.arange(len(x))[:, None] < ends + late)[..., None] for late in (self.late, 0))
        self.x, self.t = x.copy(), np.tanh(x @ self.W)
        sums = s + np.cumsum(self.t * self.on, axis=0)
        return (sums[-1] if len(x) else s + 0), sums * self.seen

    def vjp(self, d_last, d_ys):
        """The gradient of W."""
        later = np.flip(np.cumsum(np.flip(d_ys * self.seen, 0), axis=0), 0) + d_last
        return [np.einsum("tbf,tbs->fs", self.x, later * self.on * (1 - self.t**2))], None, None


class EndsTooLate(Padded):
    """A row takes in a step of its padding."""

    late = 1


class NoSteps:
    """An RNN over a sequence, outputs alone."""

    sequence, gradients, kept = True, (), 1.0

    def __init__(self, features, state):
        self.W, self.U = np.zeros((features, state)), np.zeros((state, state))
        self.weights = [self.W, self.U]

    def apply(self, x, h):
        """The last state, and all of them."""
        ys = []
        for row in x:
            h = np.tanh(row @ self.W + h @ self.U)
            ys.append(h)
        return (h, np.array(ys)) if ys else (self.kept * h, np.zeros((0, *h.shape), h.dtype))


class NoStepsForget(NoSteps):
    """Without steps, the state is lost."""

    kept = 0.0


class Highway:
    """An SRU: ys is not its state c, which it does not say."""

    sequence, sizes = True, {"features": "state"}

    def __init__(self, features, state):
        self.W, self.V, self.R = (np.zeros((features, state)) for _ in range(3))
        self.weights = [self.W, self.V, self.R]

    def apply(self, x, c):
        """The last c, and outputs that pass x on."""
        ys, self.kept = [], []
        for row in x:
            f, r, u = 1 / (1 + np.exp(-row @ self.V)), 1 / (1 + np.exp(-row @ self.R)), row @ self.W
            self.kept.append((row.copy(), c, f, r, u))
            c = f * c + (1 - f) * u
            ys.append(r * c + (1 - r) * row)
        return c + 0, np.array(ys).reshape(x.shape)

    def vjp(self, dc, d_ys):
        """Back through all steps."""
        dW, dV, dR, dx = 0 * self.W, 0 * self.V, 0 * self.R, 0 * d_ys
        for t, (x, c, f, r, u) in reversed(list(enumerate(self.kept))):
            new = f * c + (1 - f) * u
            dc, dr = dc + d_ys[t] * r, d_ys[t] * (new - x) * r * (1 - r)
            df, du = dc * (c - u) * f * (1 - f), dc * (1 - f)
            dW, dV, dR = dW + x.T @ du, dV + x.T @ df, dR + x.T @ dr
            dx[t] = d_ys[t] * (1 - r) + du @ self.W.T + df @ self.V.T + dr @ self.R.T
            dc = dc * f
        return [dW, dV, dR], dx, (dc,)


class DeclaredHighway(Highway):
    """As it is meant to be."""

    output = "ys"


class Scaled:
    """A sum a and its weight b, both in units of exp(p): y = tanh(x R) a / b. Gradients take p as a constant, as may be."""

    output, no_gradient, forgets = "y", ("p",), False
    domains: ClassVar = {"b": (0.1, 3), "p": (-3, 3)}

    def __init__(self, features, state):
        self.K, self.R = np.zeros((features, state)), np.zeros((features, state))
        self.weights = [self.K, self.R]

    def apply(self, x, a, b, p):
        """The new states, and y of them."""
        k, r = x @ self.K, np.tanh(x @ self.R)
        new = np.where(p.real > k.real, p, k)
        e, f = np.exp(p - new), np.exp(k - new)
        a2, b2 = e * a + f * k, e * b + f
        self.kept = x.copy(), k, r, e, f, a2, b2
        return a2.copy(), b2.copy(), new, r * a2 / b2

    def vjp(self, da, db, dp, dy):
        """Wrong: R does not get the derivative of tanh."""
        x, k, r, e, f, a2, b2 = self.kept
        dr = dy * a2 / b2 * (1 if self.forgets else 1 - r * r)
        da, db = da + dy * r / b2, db - dy * r * a2 / b2**2
        dk = da * f + (da * k + db) * f
        return [x.T @ dk, x.T @ dr], dk @ self.K.T + dr @ self.R.T, (da * e, db * e, None)


class ScaledForgets(Scaled):
    """Without the derivative of tanh."""

    forgets = True


def masked_sigmoid(a):
    """1 / (1 + exp(-a)), the two halves apart."""
    out, positive = np.empty_like(a), a.real >= 0
    out[positive] = 1.0 / (1.0 + np.exp(-a[positive]))
    e = np.exp(a[~positive])
    out[~positive] = e / (1.0 + e)
    return out


class ForgetsTheStepBefore:
    """A gated layer from c = 0, whose gradient of c uses the gate of the step before."""

    sequence = True

    def __init__(self, features, state):
        self.W, self.V = np.zeros((features, state)), np.zeros((features, state))
        self.weights = [self.W, self.V]

    def apply(self, x):
        """c of each step."""
        c, self.caches, cs = np.zeros((x.shape[1], self.W.shape[1]), np.result_type(x, self.W)), [], []
        for row in x:
            f, g = masked_sigmoid(row @ self.V), np.tanh(row @ self.W)
            c_prev = c
            c = f * c_prev + (1 - f) * g
            self.caches.append((row, f, g, c_prev))
            cs.append(c)
        return (np.array(cs).reshape(len(x), *c.shape),)

    def vjp(self, d_ys):
        """Back through all steps."""
        dW, dV, dx, dc = 0 * self.W, 0 * self.V, np.zeros((*d_ys.shape[:2], len(self.W))), 0
        for t in reversed(range(len(d_ys))):
            x, f, g, c_prev = self.caches[t]
            dc = dc + d_ys[t]
            dg, df = dc * (1 - f) * (1 - g * g), dc * (c_prev - g) * f * (1 - f)
            dW, dV, dx[t] = dW + x.T @ dg, dV + x.T @ df, dg @ self.W.T + df @ self.V.T
            dc = dc * self.caches[t - 1][1]
        return [dW, dV], dx, ()


class EqualTokens:
    """h' = tanh(E[x] + h U), where of equal tokens the last one counts in the gradient."""

    input_shape, domains = (), {"x": "tokens"}

    def __init__(self, features, state):
        self.E, self.U = np.zeros((features, state)), np.zeros((state, state))
        self.weights = [self.E, self.U]

    def apply(self, x, h):
        """h'."""
        y = np.tanh(self.E[x] + h @ self.U)
        self.kept = x.copy(), h.copy(), y
        return (y.copy(),)

    def vjp(self, d):
        """No gradient of tokens."""
        x, h, y = self.kept
        z, dE = d * (1 - y * y), np.zeros_like(self.E)
        dE[x] += z
        return [dE, h.T @ z], None, (z @ self.U.T,)


class LeftUnwritten(PreviousState):
    """The last row of the batch is never written."""

    def apply(self, x, h_prev):
        """The next state, of all rows but one."""
        [y] = super().apply(x, h_prev)
        out = np.empty(y.shape)
        out[:-1] = y[:-1]
        return (out,)


def matrices(features, state):
    """W and U, in float64."""
    return {"W": np.zeros((features, state)), "U": np.zeros((state, state))}


def forward(x, h, W, U):
    """h' and what the gradients need."""
    y = np.tanh(x @ W + h @ U)
    return y.copy(), (x.copy(), h.copy(), y, W, U)


def backward(d, cache):
    """dx, dh, dW, dU."""
    x, h, y, W, U = cache
    z = d * (1 - y**2)
    return z @ W.T, z @ U.T, x.T @ z, h.T @ z


Half = adapt(matrices, forward=("x h W U -> h cache", forward), backward=("dh cache -> dx dh dW dU", backward), dtype=np.float16)
HalfWrong = adapt(
    matrices,
    forward=("x h W U -> h cache", forward),
    backward=("dh cache -> dx dh dW dU", lambda d, cache: backward(1.25 * d, cache)),
    dtype=np.float16,
)


def cross_entropy(x, targets, h, W, U, shift=True):
    """The cross entropy of a softmax of tanh(x W + h U) U, with its gradients by W and U."""
    t = np.tanh(x @ W + h @ U)
    z = t @ U
    z = z - z.real.max(axis=1, keepdims=True) * shift
    logs = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    d = np.exp(logs) * targets.sum(axis=1, keepdims=True) - targets
    dz = d @ U.T * (1 - t * t)
    return -(logs * targets).sum(), x.T @ dz, h.T @ dz + t.T @ d


def loss_of(function):
    """A cell that returns this loss; the target of each row is the first of three units."""
    return adapt(
        matrices,
        forward=("x targets h W U -> loss dW dU", function),
        targets=lambda x: np.eye(1, 3).repeat(len(x), axis=0),
        sizes={"state": (3,)},
    )


Loss = loss_of(cross_entropy)
NaiveLoss = loss_of(lambda *given: cross_entropy(*given, shift=False))


class KeepsTheNewState:
    """A leaky layer that overwrites the state it has kept."""

    def __init__(self, features, state):
        self.Wf, self.Uf, self.Wh = np.zeros((features, state)), np.zeros((state, state)), np.zeros((features, state))
        self.weights = [self.Wf, self.Uf, self.Wh]

    def apply(self, x, h):
        """h' = (1 - f) h + f n."""
        f, n = 1 / (1 + np.exp(-x @ self.Wf - h @ self.Uf)), np.tanh(x @ self.Wh)
        out = (1 - f) * h + f * n
        self.kept = x.copy(), out.copy(), f, n
        return (out,)

    def vjp(self, d):
        """All gradients."""
        x, h, f, n = self.kept
        dn, df = d * f * (1 - n * n), d * (n - h) * f * (1 - f)
        return [x.T @ df, h.T @ df, x.T @ dn], df @ self.Wf.T + dn @ self.Wh.T, (d * (1 - f) + df @ self.Uf.T,)


class SharedMaximum:
    """h' = softmax(x W) h, where the largest entry of all rows is subtracted: other rows underflow to 0 / 0."""

    gradients = ()

    def __init__(self, features, state):
        self.W = np.zeros((features, state))
        self.weights = [self.W]

    def apply(self, x, h):
        """h'."""
        z = x @ self.W
        e = np.exp(z - z.real.max(initial=0.0))
        return (e / e.sum(axis=1, keepdims=True) * h,)
