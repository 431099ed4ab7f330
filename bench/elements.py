"""Activations and cells per element, next to what else there is."""

from importlib.util import find_spec

import numpy as np
from cellcheck.cells import GRU, LSTM, RNN, activations

from bench.clock import seconds
from bench.gradients import beside
from bench.subjects import SIZES, Subject

ELEMENTS = 4096


def formulas():
    """Functions of an array by name: ours, np.tanh, the gist's formulas, scipy's expit."""
    z_exp = {
        "np.tanh": np.tanh,
        "sigmoid": activations.sigmoid,
        "tanh": activations.tanh,
        "d_sigmoid": activations.d_sigmoid,
        "d_tanh": activations.d_tanh,
        "the gist's sigmoid, 1 / (1 + exp(-z))": lambda z: 1 / (1 + np.exp(-z)),
        "the gist's tanh, a ratio of exponentials": lambda z: (np.exp(z) - np.exp(-z)) / (np.exp(z) + np.exp(-z)),
        "the gist's d_sigmoid, s (1 - s)": lambda z: 1 / (1 + np.exp(-z)) * (1 - 1 / (1 + np.exp(-z))),
        "the gist's d_tanh, 1 - tanh^2": lambda z: 1 - np.tanh(z) ** 2,
    }
    if find_spec("scipy"):
        from scipy.special import expit

        z_exp["scipy expit"] = expit
    return z_exp


def activation_rows(elements=ELEMENTS):
    """(name, nanoseconds per element, multiple of np.tanh) of each formula on ordinary numbers."""
    z = np.random.default_rng(0).standard_normal(elements)
    spent = {name: seconds(lambda f=f: f(z), 9, 0.005) / elements for name, f in formulas().items()}
    return [(name, 1e9 * s, s / spent["np.tanh"]) for name, s in spent.items()]


def cell_rows(sizes=SIZES, cells=(RNN, LSTM, GRU)):
    """(cell, sizes, forward and vjp in nanoseconds per unit and row, the same of torch's cell or None)."""
    for Cell in cells:
        for size in sizes:
            subject = Subject(Cell, size)
            units = size[0] * size[2]
            [u] = subject.problem.upstreams(1, subject.cell.apply(subject.x, *subject.state), subject.cell.spec)
            forward, vjp = beside(subject, lambda s=subject, u=u: s.cell.vjp(*u))
            theirs = torch_seconds(Cell, subject) if find_spec("torch") else (None, None)
            yield Cell.__name__, size, *(t and 1e9 * t / units for t in (forward, vjp, *theirs))


def torch_seconds(Cell, subject):
    """(forward, backward) of torch's cell of the same kind and sizes, in float64 on one thread."""
    import torch

    torch.set_num_threads(1)
    cell = getattr(torch.nn, f"{Cell.__name__}Cell")(subject.sizes[1], subject.sizes[2], dtype=torch.float64)
    x, *state = (torch.tensor(a, requires_grad=True) for a in (subject.x, *subject.state))
    hidden = tuple(reversed(state)) if len(state) > 1 else state[0]

    def forward():
        outputs = cell(x, hidden)
        return sum(y.sum() for y in outputs) if isinstance(outputs, tuple) else outputs.sum()

    inputs = [*cell.parameters(), x, *state]
    with torch.no_grad():
        plain = seconds(forward, 5, 0.01)
    total = forward()
    return plain, seconds(lambda: torch.autograd.grad(total, inputs, retain_graph=True), 5, 0.01)
