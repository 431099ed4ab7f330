"""Step and sequence cells that are more than x, c and h: each right, and with `wrong` set, wrong in one place."""

import numpy as np


def sigmoid(z):
    """1 / (1 + exp(-z)), also for complex numbers."""
    return 0.5 * (1 + np.tanh(z / 2))


class Base:
    """Weights of the shapes that `shapes(features, state)` gives."""

    wrong = False

    def __init__(self, features, state):
        self.features, self.state = features, state
        self.weights = [np.zeros(shape) for shape in self.shapes(features, state)]

    def shapes(self, F, S):
        """Weights of x and of h."""
        return (F, S), (S, S)


class Heads(Base):
    """Two heads: it takes an even number of units alone, and does not say so."""

    def shapes(self, F, S):
        """The two heads divide the state."""
        if S % 2:
            raise ValueError(f"state_size {S} is not divisible by 2 heads")
        return (F, S), (S, S)

    def apply(self, x, h):
        """h' = tanh(x W + h U)."""
        W, U = self.weights
        self.kept = x, h, np.tanh(x @ W + h @ U)
        return (self.kept[2],)

    def vjp(self, d):
        """Wrong: not through tanh."""
        (x, h, y), (W, U) = self.kept, self.weights
        z = d if self.wrong else d * (1 - y * y)
        return [x.T @ z, h.T @ z], z @ W.T, (z @ U.T,)


class Matrix(Base):
    """C' = sigmoid(f) C + k v^T and n' = sigmoid(f) n + k are a matrix and a vector of d = state; y = C'^T q is no state."""

    def __init__(self, features, state):
        super().__init__(features, state)
        self.state_shapes, self.output_shape = {"C": (state, state), "n": (state,)}, (state,)

    def shapes(self, F, S):
        """Of q, k, v and f."""
        return (F, S), (F, S), (F, S), (F, 1)

    def apply(self, x, C, n):
        """The new C and n, then y."""
        q, k, v, f = (x @ W for W in self.weights)
        f = sigmoid(f)
        new = f[:, :, None] * C + k[:, :, None] * v[:, None, :]
        self.kept = x, C, n, q, k, v, f, new
        return new, f * n + k, np.einsum("bkv,bk->bv", new, q)

    def vjp(self, dC, dn, dy):
        """Wrong: the gradient of C' by y is transposed."""
        x, C, n, q, k, v, f, new = self.kept
        dq = np.einsum("bkv,bv->bk", new, dy)
        dC = dC + (dy[:, :, None] * q[:, None, :] if self.wrong else q[:, :, None] * dy[:, None, :])
        df = ((dC * C).sum(axis=(1, 2)) + (dn * n).sum(axis=1))[:, None] * f * (1 - f)
        d = [dq, np.einsum("bkv,bv->bk", dC, v) + dn, np.einsum("bkv,bk->bv", dC, k), df]
        return [x.T @ z for z in d], sum(z @ W.T for z, W in zip(d, self.weights)), (f[:, :, None] * dC, f * dn)


class Projected(Base):
    """c' = f c + tanh(x W + h U) has 2 state units, h' = c' P has state."""

    state_names = ("c", "h")

    def __init__(self, features, state):
        super().__init__(features, state)
        self.state_shapes = {"c": (2 * state,), "h": (state,)}

    def shapes(self, F, S):
        """Of x, h and the projection."""
        return (F, 2 * S), (S, 2 * S), (2 * S, S)

    def apply(self, x, c, h):
        """c' and h'."""
        W, U, P = self.weights
        g = np.tanh(x @ W + h @ U)
        self.kept = x, h, g, 0.5 * c + g
        return self.kept[3], self.kept[3] @ P

    def vjp(self, dc, dh):
        """Wrong: h' is not projected back."""
        (x, h, g, new), (W, U, P) = self.kept, self.weights
        dc = dc + (np.tile(dh, 2) if self.wrong else dh @ P.T)
        z = dc * (1 - g * g)
        return [x.T @ z, h.T @ z, new.T @ dh], z @ W.T, (0.5 * dc, z @ U.T)


class Output(Base):
    """s' = tanh(x W + s), y = s' C: an output that is no state."""

    output, state_names = "y", ("s",)

    def apply(self, x, s):
        """s' and y."""
        W, C = self.weights
        self.kept = x, np.tanh(x @ W + s)
        return self.kept[1], self.kept[1] @ C

    def vjp(self, d, dy):
        """Wrong: the upstream of y is lost on its way to s."""
        (x, new), (W, C) = self.kept, self.weights
        z = (d + dy @ C.T) * (1 - new * new)
        state = d * (1 - new * new) if self.wrong else z
        return [x.T @ z, new.T @ dy], z @ W.T, (state,)


class Times(Base):
    """h' = tanh(x W + exp(-dt) h U) of x and a positive time step: two inputs."""

    inputs = {"x": (3,), "dt": ()}  # noqa: RUF012
    domains = {"dt": "positive"}  # noqa: RUF012
    state_names = ("h",)

    def shapes(self, F, S):
        """x has three features."""
        return (3, S), (S, S)

    def apply(self, x, dt, h):
        """h'."""
        W, U = self.weights
        decay = np.exp(-dt)[:, None]
        self.kept = x, h, decay, np.tanh(x @ W + decay * (h @ U))
        return (self.kept[3],)

    def vjp(self, d):
        """Wrong: the sign of the gradient of dt."""
        (x, h, decay, y), (W, U) = self.kept, self.weights
        z = d * (1 - y * y)
        dt = (z * decay * (h @ U)).sum(axis=1)
        return [x.T @ z, (decay * h).T @ z], (z @ W.T, dt if self.wrong else -dt), (decay * z @ U.T,)


class Tokens(Base):
    """h' = tanh(E[x] + h U), x a token of each row."""

    input_shape, domains, state_names = (), {"x": "tokens"}, ("h",)

    def apply(self, x, h):
        """h'."""
        E, U = self.weights
        self.kept = x, h, np.tanh(E[x] + h @ U)
        return (self.kept[2],)

    def vjp(self, d):
        """Wrong: of rows with the same token the last one counts."""
        (x, h, y), (E, U) = self.kept, self.weights
        z, dE = d * (1 - y * y), np.zeros(E.shape)
        if self.wrong:
            dE[x] += z
        else:
            np.add.at(dE, x, z)
        return [dE, h.T @ z], None, (z @ U.T,)


class Stabilised(Base):
    """The sLSTM, its m' a constant for vjp: what h' seems to owe to m' cancels in any run."""

    state_names, no_gradient, domains = ("c", "n", "m", "h"), ("m",), {"n": "positive"}

    def shapes(self, F, S):
        """Gates i f o g of [x, h]."""
        return ((F + S, 4 * S),)

    def apply(self, x, c, n, m, h):
        """The new states."""
        X = np.concatenate([x, h], axis=1)
        i, f, o, g = np.split(X @ self.weights[0], 4, axis=1)
        old = np.where(f.real < 0, f, 0) - np.log1p(np.exp(np.where(f.real < 0, f, -f))) + m  # log sigmoid(f) + m
        new = np.where(old.real > i.real, old, i)
        keep, write, g, sf, o = np.exp(old - new), np.exp(i - new), np.tanh(g), sigmoid(-f), sigmoid(o)
        self.kept = X, c, n, keep, write, g, sf, o, keep * c + write * g, keep * n + write
        return self.kept[-2], self.kept[-1], new, o * self.kept[-2] / self.kept[-1]

    def vjp(self, dc, dn, dm, dh):
        """Wrong: c' is not carried on to the step before."""
        X, c, n, keep, write, g, sf, o, c_new, n_new = self.kept
        y = c_new / n_new
        own = dh * o / n_new
        into, dn = own if self.wrong else dc + own, dn - own * y
        d_old = keep * (into * c + dn * n)
        dz = np.concatenate([write * (into * g + dn), d_old * sf, dh * y * o * (1 - o), into * write * (1 - g * g)], axis=1)
        dX = dz @ self.weights[0].T
        F = self.features
        return [X.T @ dz], dX[:, :F], (keep * into, keep * dn, np.zeros(c.shape), dX[:, F:])


class Decay(Base):
    """h' = exp(-exp(A)) h + x W, with A between -3 and 3."""

    domains = {"weights[1]": (-3, 3)}  # noqa: RUF012

    def shapes(self, F, S):
        """W and A."""
        return (F, S), (S,)

    def apply(self, x, h):
        """h'."""
        W, A = self.weights
        if (np.abs(A.real) > 3).any():
            raise FloatingPointError("A is not within its domain")
        self.kept = x, h, np.exp(-np.exp(A))
        return (self.kept[2] * h + x @ W,)

    def vjp(self, d):
        """Wrong: the inner derivative is missing."""
        (x, h, a), (W, A) = self.kept, self.weights
        inner = 1 if self.wrong else np.exp(A)
        return [x.T @ d, -(d * h * a * inner).sum(axis=0)], d @ W.T, (d * a,)


class Residual(Base):
    """h' = h + tanh(x W) x: as many features as units, which it does not say."""

    def apply(self, x, h):
        """h'."""
        W, U = self.weights
        self.kept = x, h, np.tanh(x @ W + h @ U)
        return (h + self.kept[2] * x,)

    def vjp(self, d):
        """Wrong: the skip connection is missing."""
        (x, h, t), (W, U) = self.kept, self.weights
        z = d * x * (1 - t * t)
        return [x.T @ z, h.T @ z], z @ W.T + d * t, (z @ U.T + (0 if self.wrong else d),)


class Wide(Base):
    """A sequence s' = tanh(x W + s U), ys = [s', s' C]: twice as wide as the state."""

    sequence, state_names = True, ("s",)

    def __init__(self, features, state):
        super().__init__(features, state)
        self.output_shape = (2 * state,)

    def shapes(self, F, S):
        """W, U and C."""
        return (F, S), (S, S), (S, S)

    def apply(self, x, s):
        """The last s, and ys."""
        W, U, C = self.weights
        seen = [s]
        for row in x:
            seen.append(np.tanh(row @ W + seen[-1] @ U))
        self.kept = x, seen
        ys = [np.concatenate([s, s @ C], axis=1) for s in seen[1:]]
        return seen[-1], np.array(ys).reshape(len(x), *s.shape[:1], self.output_shape[0])

    def vjp(self, d, d_ys):
        """Wrong: the last y is forgotten."""
        (x, seen), (W, U, C) = self.kept, self.weights
        grads, dx, n = [np.zeros(w.shape) for w in self.weights], np.zeros(x.shape), self.state
        for t in reversed(range(len(x))):
            dy = d_ys[t] * (0 if self.wrong and t == len(x) - 1 else 1)
            z = (d + dy[:, :n] + dy[:, n:] @ C.T) * (1 - seen[t + 1] ** 2)
            for g, a, b in zip(grads, (x[t], seen[t], seen[t + 1]), (z, z, dy[:, n:])):
                g += a.T @ b
            dx[t], d = z @ W.T, z @ U.T
        return grads, dx, (d,)


class Last(Base):
    """A sequence h' = tanh(x W + h U) from zeros that returns the last h alone."""

    sequence, state_names, outputs = True, (), ("h",)

    def apply(self, x):
        """The last h."""
        W, U = self.weights
        seen = [np.zeros((x.shape[1], self.state))]
        for row in x:
            seen.append(np.tanh(row @ W + seen[-1] @ U))
        self.kept = x, seen
        return (seen[-1],)

    def vjp(self, d):
        """Wrong: the last two steps alone."""
        (x, seen), (W, U) = self.kept, self.weights
        grads, dx = [np.zeros(w.shape) for w in self.weights], np.zeros(x.shape)
        for t in reversed(range(len(x))):
            if self.wrong and t < len(x) - 2:
                break
            z = d * (1 - seen[t + 1] ** 2)
            grads[0] += x[t].T @ z
            grads[1] += seen[t].T @ z
            dx[t], d = z @ W.T, z @ U.T
        return grads, dx, ()


class Unrolled(Base):
    """A sequence of steps of another guest, with lengths; no step is kept but taken again for its vjp."""

    sequence, Step = True, Base

    def __init__(self, features, state):
        self.step = self.Step(features, state)
        self.step.wrong, self.weights, n = self.wrong, self.step.weights, len(getattr(self.Step, "inputs", "x"))
        self.n = n
        for name in ("inputs", "domains", "no_gradient", "input_shape", "state_shapes", "state_names"):
            if hasattr(self.step, name):
                setattr(self, name, getattr(self.step, name))
        if hasattr(self.step, "output"):
            self.output_shape = (state,)

    def apply(self, *given, lengths=None):
        """The last states, and ys."""
        inputs, state = given[: self.n], given[self.n :]
        steps, batch = inputs[0].shape[:2]
        lengths = np.full(batch, steps) if lengths is None else np.asarray(lengths)
        self.kept, ys = [], []
        for t in range(steps):
            on, row = t < lengths, [a[t] for a in inputs]
            row = [np.where(on.reshape(-1, *[1] * (a.ndim - 1)), a, np.zeros((), a.dtype)) for a in row]
            new = self.step.apply(*row, *state)
            self.kept.append((on, row, state))
            state = tuple(np.where(on.reshape(-1, *[1] * (s.ndim - 1)), s, old) for s, old in zip(new, state))
            ys.append(np.where(on[:, None], new[-1], 0))
        last = given[-1].shape
        return *state, np.array(ys).reshape(steps, *last)

    def vjp(self, *d):
        """As of the steps, one after the other, from the last."""
        *d_state, d_ys = d
        own, total, dx = hasattr(self.step, "output"), [np.zeros(w.shape) for w in self.weights], []
        for t in reversed(range(len(d_ys))):
            on, row, state = self.kept[t]
            self.step.apply(*row, *state)
            masks = [on.reshape(-1, *[1] * (s.ndim - 1)) for s in d_state]
            into = [np.where(m, s, 0) for m, s in zip(masks, d_state)]
            dy = np.where(on[:, None], d_ys[t], 0)
            into = [*into, dy] if own else [*into[:-1], into[-1] + dy]
            weights, d_row, d_new = self.step.vjp(*into)
            total = [a + b for a, b in zip(total, weights)]
            d_row = d_row if isinstance(d_row, tuple) else (d_row,)
            dx.insert(0, [None if a is None else np.where(on.reshape(-1, *[1] * (a.ndim - 1)), a, 0) for a in d_row])
            d_state = [np.where(m, s, old) for m, s, old in zip(masks, d_new, d_state)]
        shapes = [a.shape for a in self.kept[0][1]] if self.kept else []
        dx = [None if column[0] is None else np.array(column) for column in zip(*dx)] if shapes else self.nothing(d_state)
        return total, tuple(dx) if self.n > 1 else dx[0], tuple(d_state)

    def nothing(self, d_state):
        """Gradients of the inputs of no steps."""
        shapes = getattr(self, "inputs", {"x": getattr(self, "input_shape", (self.step.features,))}).values()
        return [np.zeros((0, len(d_state[-1]), *shape)) for shape in shapes]


SEQUENCES = [type(f"Unrolled{Step.__name__}", (Unrolled,), {"Step": Step}) for Step in (Times, Tokens, Output, Stabilised)]
RIGHT = [Heads, Matrix, Projected, Output, Times, Tokens, Stabilised, Decay, Residual, Wide, Last, *SEQUENCES]
WRONG = [type(f"Wrong{Right.__name__}", (Right,), {"wrong": True}) for Right in RIGHT]
