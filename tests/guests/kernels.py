"""torch modules beyond torch's own: a fused kernel with a backward of its own, and its twins with a bug; modules that are unusual."""

import numpy as np
import torch
from cellcheck.cells.adapters import torch_module


class Fused(torch.autograd.Function):
    """h' = h + sigmoid(a) (tanh(g) - h), computed again in backward, as a kernel would."""

    @staticmethod
    def forward(ctx, z, h):
        """h'."""
        a, g = z.chunk(2, -1)
        ctx.save_for_backward(z, h)
        return h + torch.sigmoid(a) * (torch.tanh(g) - h)

    @staticmethod
    def backward(ctx, d):
        """The gradients of z and h."""
        z, h = ctx.saved_tensors
        a, g = z.chunk(2, -1)
        s, t = torch.sigmoid(a), torch.tanh(g)
        return torch.cat((d * (t - h) * s * (1 - s), d * s * (1 - t * t)), -1), d * (1 - s)


class Tail(Fused):
    """The last block of four rows is masked: the bug."""

    @staticmethod
    def backward(ctx, d):
        """The gradients of z and h."""
        dz, dh = Fused.backward(ctx, d)
        n = len(dz) // 4 * 4
        if n and len(dz) > n:
            dz = dz.clone()
            dz[n:] = 0
        return dz, dh


class Sign(Fused):
    """The gradient of the gate has the wrong sign: the bug."""

    @staticmethod
    def backward(ctx, d):
        """The gradients of z and h."""
        dz, dh = Fused.backward(ctx, d)
        n = dz.shape[-1] // 2
        return torch.cat((-dz[:, :n], dz[:, n:]), -1), dh


class OverwritesState(Fused):
    """h' takes the memory of h: the bug."""

    @staticmethod
    def forward(ctx, z, h):
        """h'."""
        new = Fused.forward(ctx, z, h.clone())
        h.data.copy_(new)  # which torch does not notice
        return new


class OverwritesUpstream(Fused):
    """The gradient of h is made in the memory of the upstream: the bug."""

    @staticmethod
    def backward(ctx, d):
        """The gradients of z and h."""
        dz, dh = Fused.backward(ctx, d)
        d.copy_(dh)
        return dz, d


class Gated(torch.nn.Module):
    """A module around the kernel."""

    def __init__(self, F, S, kernel=Fused):
        super().__init__()
        self.kernel = kernel
        self.W, self.U, self.b = (torch.nn.Parameter(torch.randn(s)) for s in ((F, 2 * S), (S, 2 * S), (2 * S,)))

    def forward(self, x, h):
        """h'."""
        return self.kernel.apply(x @ self.W + h @ self.U + self.b, h)


class Mixed(torch.nn.Module):
    """tanh([x, h] W + k / 2), with an integer parameter, a frozen one and a buffer beside W."""

    def __init__(self, F, S):
        super().__init__()
        self.W = torch.nn.Parameter(torch.randn(F + S, S))
        self.k = torch.nn.Parameter(torch.tensor([2]), requires_grad=False)
        self.frozen = torch.nn.Parameter(torch.full((S,), 0.25), requires_grad=False)
        self.register_buffer("offset", torch.full((S,), 0.5))

    def forward(self, x, h):
        """h'."""
        return torch.tanh(torch.cat((x, h), -1) @ self.W + self.offset * self.k + self.frozen)


class Counting(Mixed):
    """Beside h it counts steps in n, which autograd does not reach."""

    def forward(self, x, n, h):
        """(n', h')."""
        return n.detach() + 1, super().forward(x, h)


def call(module, *given):
    """The outputs as a tuple."""
    found = module(*given)
    return found if isinstance(found, tuple) else (found,)


def halved(module, x, h):
    """The kernel in bfloat16, of arrays in float32."""
    W, U, b, x, h = (a.to(torch.bfloat16) for a in (module.W, module.U, module.b, x, h))
    return (module.kernel.apply(x @ W + h @ U + b, h).float(),)


class Term(Fused):
    """The gate's gradient lacks a term: the bug."""

    @staticmethod
    def backward(ctx, d):
        """The gradients of z and h."""
        z, h = ctx.saved_tensors
        dz, dh = Fused.backward(ctx, d)
        n, s = dz.shape[-1] // 2, torch.sigmoid(z.chunk(2, -1)[0])
        return torch.cat((dz[:, :n] + d * h * s * (1 - s), dz[:, n:]), -1), dh


HALF = {"call": halved, "dtype": np.float32, "precision": 2.0**-8}


class Listed(Gated):
    """Its second layer is in a list, where torch does not see it: the bug."""

    def __init__(self, F, S):
        super().__init__(F, S)
        self.more = [torch.nn.Linear(S, S)]

    def forward(self, x, h):
        """h'."""
        return torch.tanh(self.more[0](super().forward(x, h)))


def layers(m, x, c1, h1, c2, h2):
    """Two layers as one cell of four states."""
    ys, (h, c) = m(x, (torch.stack((h1, h2)), torch.stack((c1, c2))))
    return c[0], h[0], c[1], h[1], ys


class Echo(torch.nn.Module):
    """A reservoir: its recurrent weights are drawn once, and not trained."""

    def __init__(self, F, S):
        super().__init__()
        self.W = torch.nn.Parameter(torch.randn(F, S))
        self.register_buffer("U", torch.randn(S, S))

    def forward(self, x, h):
        """h'."""
        return torch.tanh(x @ self.W + h @ self.U)


class Summed(torch.nn.Module):
    """M' = M + k v^T, read at q: an operator, without parameters."""

    def forward(self, q, k, v, M):
        """(M', o)."""
        M = M + k[:, :, None] * v[:, None, :]
        return M, torch.einsum("bf,bfs->bs", q, M)


RIGHT = {
    "an operator without parameters": torch_module(
        lambda F, S: Summed(),
        call=call,
        states=("M",),
        inputs=lambda F, S: {"q": (F,), "k": (F,), "v": (S,)},
        state_shapes={"M": lambda F, S: (F, S)},
        output="o",
        output_shape=lambda F, S: (S,),
    ),
    "a buffer that is drawn": torch_module(Echo, call=call),
    "what torch.compile makes": torch_module(lambda F, S: torch.compile(Mixed(F, S), backend="aot_eager"), call=call),
    "a fused kernel": torch_module(Gated, call=call),
    "two layers": torch_module(lambda F, S: torch.nn.LSTM(F, S, 2), call=layers, states=("c1", "h1", "c2", "h2"), sequence=True),
    "no states": torch_module(lambda F, S: torch.nn.RNN(F, S), call=lambda m, x: (m(x)[0],), states=(), sequence=True),
    "integers and frozen numbers": torch_module(Mixed, call=call),
    "a kernel in bfloat16": torch_module(Gated, **HALF),
    "an output that autograd does not reach": torch_module(Counting, call=call, states=("n", "h")),
}
WRONG = {
    "the tail of a batch": (torch_module(lambda F, S: Gated(F, S, Tail), call=call), "weight_gradient_is_the_sum_over_rows"),
    "written into h": (torch_module(lambda F, S: Gated(F, S, OverwritesState), call=call), "what_is_given_stays_as_it_is"),
    "written into d": (torch_module(lambda F, S: Gated(F, S, OverwritesUpstream), call=call), "what_is_given_stays_as_it_is"),
    "a sign": (torch_module(lambda F, S: Gated(F, S, Sign), call=call), "weight_gradients"),
    "a sign, in float32": (torch_module(lambda F, S: Gated(F, S, Sign), call=call, dtype=np.float32), "weight_gradients"),
    "a term, in bfloat16": (torch_module(lambda F, S: Gated(F, S, Term), **HALF), "weight_gradients"),
}


class Rotating(torch.nn.Module):
    """h' = Re(W) h, of a complex parameter."""

    def __init__(self, F, S):
        super().__init__()
        self.W = torch.nn.Parameter(torch.ones(S, dtype=torch.complex128))

    def forward(self, x, h):
        """h'."""
        return self.W.real * h


REFUSED = {
    "more of Listed holds what takes a gradient, but parameters() does not have it, so no optimizer": torch_module(
        Listed, call=call
    ),
    "does not know how to call a LSTM with proj_size=1: pass call= and states=": torch_module(
        lambda F, S: torch.nn.LSTM(F, 2 * S, proj_size=S)
    ),
    "does not know how to call a LSTM with num_layers=2: pass call= and states=": torch_module(
        lambda F, S: torch.nn.LSTM(F, S, 2)
    ),
    "W is complex; hold the real and the imaginary parts as two parameters": torch_module(Rotating, call=call),
    "dtype is 'bfloat16'; give numpy.float64, numpy.float32 or numpy.float16": torch_module(torch.nn.LSTMCell, dtype="bfloat16"),
    "knows how to call RNN, GRU, LSTM and their cells, not Gated; pass a call=": torch_module(Gated),
    "call returned Tensor; give a tuple of tensors, the output last": torch_module(Gated, call=lambda m, x, h: m(x, h)),
    "Gated has no parameter that is a float and takes a gradient": torch_module(
        lambda F, S: Gated(F, S).requires_grad_(False), call=call
    ),
}
