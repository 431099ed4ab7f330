"""Reads single activations off a cell: all gates but one are parked at +-1000, where they are exactly 0 or +-1."""

from functools import cache, lru_cache
from typing import NamedTuple

import numpy as np
from cellcheck.cells import lift
from cellcheck.properties.oracles.decimals import EXACT
from cellcheck.strategies.preactivations import extremes, switches

PARK = 1000.0
LARGEST = 1e300  # no accuracy is required for larger pre-activations
HUGE = (6, 9, 20, 37, 100, 155, 299)  # powers of ten: where a square, or an integer, overflows


class Case(NamedTuple):
    """One activation alone: an output is activation(z), where z is the bias of `gate`, or the memory c.

    parked: signs by gate; c: the memory; output: its index among the states; passed: whether a tanh passes it on, so that the
    output is scale * activation(z), see `_scale`.
    """

    activation: str
    gate: str
    parked: dict
    c: float = 0.0
    output: int = -1
    passed: bool = False


CASES = {
    "RNN": [Case("tanh", "candidate", {})],
    "LSTM": [
        Case("sigmoid", "input", {"forget": -1, "candidate": 1}, output=0),
        Case("sigmoid", "forget", {"input": -1}, c=1.0, output=0),
        Case("tanh", "candidate", {"input": 1, "forget": -1}, output=0),
        Case("sigmoid", "output", {"input": -1, "forget": 1}, c=PARK),
        Case("tanh", "memory", {"input": -1, "forget": 1, "output": 1}),
    ],
    "GRU": [
        Case("sigmoid", "reset", {"update": 1}, passed=True),
        Case("sigmoid", "update", {"candidate": 1}),
        Case("tanh", "candidate", {"update": 1}),
    ],
}


class Probe(NamedTuple):
    """The values of activation(z) and activation'(z) as the cell computes them; slope is None if it offers no gradient.

    scale: by which the cell saw it, so that its absolute errors are 1 / scale larger here; unit: the roundoff of the cell.
    """

    name: str
    z: np.ndarray
    value: np.ndarray
    slope: np.ndarray | None
    scale: float
    unit: float

    @property
    def exact_value(self):
        """activation(z), rounded once."""
        return np.array([_exact(self.name.split()[0], v) for v in self.z.tolist()], self.z.dtype)

    @property
    def exact_slope(self):
        """activation'(z), rounded once."""
        return np.array([_exact(f"d_{self.name.split()[0]}", v) for v in self.z.tolist()], self.z.dtype)


@lru_cache(maxsize=4096)
def _exact(name, z):
    """The exact activation at z. It is cached, since half of all z are special points."""
    return float(EXACT[name](np.float64(z)))


def probes(Cell, problem):
    """A Probe of each activation that can be isolated in a cell of this kind; z is made from the biases of the problem."""
    for case in CASES[lift(Cell).spec().kind]:
        cell, x, state = problem.build(Cell)
        if not case.passed or _place(cell, "candidate", ("bias_h",)):
            yield _probe(case, cell, x, state)


def _probe(case, cell, x, state):
    """The probe of one case; the cell is parked in place."""
    k, index = _place(cell, "candidate" if case.gate == "memory" else case.gate)
    z = preactivations(np.reshape(cell.weights[k][index], -1))
    scale = _scale(z.dtype) if case.passed else 1.0
    if case.passed:
        reach = 1 + np.log(np.finfo(z.dtype).tiny / z.dtype.type(scale))  # beyond it, scale times the tails would be subnormal
        z = z.clip(reach, -reach)
    states = [np.zeros((1, len(z)), z.dtype) for _ in state]
    if case.gate == "memory":
        states[0][...] = z
    elif case.c:
        states[0][...] = case.c
    park(cell, case, z, scale)
    outputs = cell.apply(np.ones((*(1,) * (x.ndim - 1), x.shape[-1]), z.dtype), *states)  # some take zeros for padding
    chosen = range(len(states))[case.output]
    value = np.reshape(outputs[chosen], -1) / scale
    weights, _, d_state = cell.vjp(*(np.full_like(y, j == chosen) for j, y in enumerate(outputs)))
    gradient = (d_state or [None])[0] if case.gate == "memory" else None if weights is None else weights[k]
    offered = cell.spec.outputs[chosen].differentiable and (case.gate != "memory" or cell.spec.states[0].differentiable)
    slope = None
    if offered and gradient is not None:
        slope = np.reshape(gradient if case.gate == "memory" else gradient[index], -1) / scale
    return Probe(f"{case.activation} of {case.gate}", z, value, slope, scale, cell.spec.unit(z.dtype))


def _scale(dtype):
    """The bias of the state's half of a candidate: so small that tanh(s) is s to 2 units of roundoff; 2^-30 in float64."""
    return 2.0 ** -(3 * (np.finfo(dtype).nmant - 1) // 5)


def park(cell, case, z, scale):
    """Write the case into the cell: no matrices, z in the gate under test, the others at +-PARK, scale where a tanh passes it on."""
    for w in cell.weights:
        w[...] = 0
    values = {gate: sign * PARK for gate, sign in case.parked.items()}
    if case.gate != "memory":
        values[case.gate] = z
    for gate, value in values.items():
        k, index = _place(cell, gate)
        shape = np.shape(cell.weights[k][index])
        cell.weights[k][index] = np.broadcast_to(value, z.shape).reshape(shape)
    if case.passed:
        k, index = _place(cell, "candidate", ("bias_h",))
        cell.weights[k][index] = scale


def preactivations(entries):
    """The entries, with every second one replaced by a special point that its mantissa selects."""
    points = special(entries.dtype)
    chosen = ((2 * np.abs(np.frexp(entries)[0]) - 1).clip(0) * len(points)).astype(int)
    return np.where(np.arange(len(entries)) % 2, np.array(points, entries.dtype)[chosen], entries)


@cache
def special(dtype):
    """The special points up to LARGEST: 0, huge numbers, the extremes of `dtype`, and where formulas of activations switch."""
    huge = [sign * dtype.type(10) ** e for e in HUGE if e < np.log10(np.finfo(dtype).max) for sign in (1, -1)]
    return [p for p in (*extremes(dtype), *switches(dtype), *huge) if abs(p) < LARGEST]


def _place(cell, gate, sources=("bias", "bias_x")):
    """Which weight, and where in it, holds the bias of a gate: (k, index); None if the cell has no such bias."""
    places = ((k, blocks[s, gate]) for k, blocks in enumerate(cell.spec.weight_blocks) for s in sources if (s, gate) in blocks)
    return next(places, None)
