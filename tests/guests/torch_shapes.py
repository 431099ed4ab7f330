"""torch modules that are more than x, c and h: guests of `tox -e frameworks`."""

import numpy as np
import torch
from cellcheck.cells.adapters import torch_module

torch.set_num_threads(1)
STATES = ("c", "n", "m", "h")


class StopGradient(torch.nn.Module):
    """A stabilised sLSTM whose m' takes no gradient, as in the kernels of its authors; if it is wrong, the old c takes none."""

    wrong = False

    def __init__(self, features, state):
        super().__init__()
        shapes = (features, 4 * state), (state, 4 * state), (4 * state,)
        self.W, self.U, self.b = (torch.nn.Parameter(torch.randn(shape)) for shape in shapes)

    def forward(self, x, c, n, m, h):
        """The new states."""
        i, f, z, o = (x @ self.W + h @ self.U + self.b).chunk(4, -1)
        old = torch.nn.functional.logsigmoid(f) + m
        with torch.no_grad():
            new = torch.maximum(old, i)
        keep, write = torch.exp(old - new), torch.exp(i - new)
        c, n = keep * (c.detach() if self.wrong else c) + write * z.tanh(), keep * n + write
        return c, n, new, o.sigmoid() * c / n


class Kept(StopGradient):
    """The same, but m' takes the gradient zero."""

    def forward(self, *given):
        """The new states."""
        c, n, m, h = super().forward(*given)
        return c, n, m + 0 * c, h


class Detached(StopGradient):
    """The wrong one."""

    wrong = True


class Timed(torch.nn.Module):
    """A cell of x and a time step; if it is wrong, the time step takes no gradient."""

    wrong = False

    def __init__(self, features, state):
        super().__init__()
        self.step = torch.nn.RNNCell(features, state)

    def forward(self, x, dt, h):
        """h'."""
        return (self.step(x, h * torch.exp(-(dt.detach() if self.wrong else dt))[:, None]),)


class Untimed(Timed):
    """The wrong one."""

    wrong = True


class Embedded(torch.nn.Module):
    """x is a token in each row; if it is wrong, the embedding takes no gradient."""

    wrong = False

    def __init__(self, features, state):
        super().__init__()
        self.embedding, self.step = torch.nn.Embedding(features, state), torch.nn.RNNCell(state, state)

    def forward(self, x, h):
        """h'."""
        x = self.embedding(x)
        return (self.step(x.detach() + 0 * x if self.wrong else x, h),)


class Unembedded(Embedded):
    """The wrong one."""

    wrong = True


def called(module, *given):
    """What the module returns."""
    return module(*given)


def no_state(features, state):
    """torch.nn.RNN, of which `ys` are taken alone."""
    return torch.nn.RNN(features, state)


STABLE = {"call": called, "states": STATES, "no_gradient": "m", "domains": {"n": "positive"}}
TWO = {
    "call": called,
    "states": ("h",),
    "inputs": {"x": (3,), "dt": ()},
    "sizes": {"features": (3,)},
    "domains": {"dt": "positive"},
}
TOKENS = {"call": called, "states": ("h",), "input_shape": (), "domains": {"x": "tokens"}}
RIGHT = {
    "NoState": torch_module(no_state, call=lambda m, x: (m(x)[0],), states=(), sequence=True),
    "StopGradient": torch_module(StopGradient, **STABLE),
    "Kept": torch_module(Kept, **STABLE),
    "Timed": torch_module(Timed, **TWO),
    "Embedded": torch_module(Embedded, **TOKENS),
}
WRONG = {
    "NoState": torch_module(no_state, call=lambda m, x: (m(torch.cat([x[:1].detach(), x[1:]]))[0],), states=(), sequence=True),
    "StopGradient": torch_module(Detached, **STABLE),
    "Timed": torch_module(Untimed, **TWO),
    "Embedded": torch_module(Unembedded, **TOKENS),
}
UNDECLARED = torch_module(StopGradient, call=called, states=STATES)


class Louder(torch.autograd.Function):
    """The defect: a gradient that is 1.25 times what it should be."""

    @staticmethod
    def forward(ctx, y):
        """As it comes."""
        return y

    @staticmethod
    def backward(ctx, d):
        """Too loud."""
        return 1.25 * d


def in_bfloat16(loud=False):
    """torch's GRU cell computed in bfloat16, behind float32 arrays."""

    def call(module, x, h):
        low = {name: p.bfloat16() for name, p in module.named_parameters()}
        if loud:
            low["weight_ih"] = Louder.apply(low["weight_ih"])
        return (torch.func.functional_call(module, low, (x.bfloat16(), h.bfloat16())).float(),)

    return torch_module(torch.nn.GRUCell, call=call, states=("h",), dtype=np.float32, precision=2.0**-8)
