"""Mistakes of numerics: the activations of a cell, read through it one gate at a time, over the range of pre-activations."""

import numpy as np
from cellcheck.cells import lift
from cellcheck.cells.activations import d_sigmoid, d_tanh, sigmoid
from cellcheck.properties.intake.capabilities import missing
from cellcheck.properties.intake.conventions import gates_of
from cellcheck.properties.reports.diagnosis.grown import figure

STEPS = "0 .5 1 2.5 3.5 5.5 6.5 8.5 9.5 12 15 18 19.5 20.5 25 31 36 38 41 60 80 90 200 400 700 711 750 1500"
GRID = tuple(map(float, STEPS.split()))  # of pre-activations
OFF, SINGLE = 1e-9, (1e-5, 1e-6)  # relative, far more than a few ulp; relative and absolute in float32
LIMITS = {709.78: "exp overflows", 710.48: "cosh overflows", 355.24: "its square overflows", 88.72: "exp overflows in float32"}
LOST = 64  # units of a value: a right formula errs by a few
BIG = 45.0  # sigmoid is 1, tanh is 1
READ = {"RNN": ("candidate",), "LSTM": ("input", "forget", "output", "candidate"), "GRU": ("update", "candidate")}


def numeric_faults(g, flagged=False):
    """Sentences about the activations of a cell that declares its kind, [] where they are right; flagged: ask for flags too."""
    cell = lift(g.Cell)(1, 1)
    keys = {key for blocks in g.blocks or () for key in blocks}
    if not g.kind or not g.blocks or cell.spec.variant or not any(s.startswith("bias") for s, _ in keys):
        return []
    read = () if missing(g.Cell, ["finals"]) else (forward, derivative) if "weights" in cell.spec.gradients else (forward,)
    told = []
    if read and (clipped := clipped_state(g)):  # through which the activations are read
        return clipped
    for gate in READ[g.kind]:
        probe = Probe(g.Cell, g.kind, gate)
        for look in (*read, flags) if flagged else read:
            if said := look(probe):
                told.append((gate, said))
                break
    if any(gate != "candidate" for gate, _ in told):  # the candidate is read through the gates
        told = [(gate, said) for gate, said in told if gate != "candidate" or "everywhere" not in said]
    merged = {}
    for gate, said in told:
        merged.setdefault(said, []).append(gate)
    return [f"{said} ({', '.join(gates)})" for said, gates in merged.items()]


class Probe:
    """A cell of one unit whose output is the activation of one gate at z."""

    def __init__(self, Cell, kind, gate):
        """gate: whose activation is read."""
        self.Cell, self.kind, self.gate = Cell, kind, gate
        self.act, self.slope = (np.tanh, d_tanh) if gate == "candidate" else (sigmoid, d_sigmoid)
        self.word = "tanh" if gate == "candidate" else "sigmoid"
        cell = lift(Cell)(1, 1)
        self.single = np.float64 not in cell.spec.dtypes or "float32" in cell.spec.choices
        self.gradients = cell.spec.gradients

    def build(self, z):
        """(cell, inputs, index of the output): that output is act(z), its derivative by the bias act'(z)."""
        cell = lift(self.Cell)(1, 1)
        for w in cell.weights:
            w[...] = 0
        gates = gates_of(cell.weights, cell.spec.weight_blocks, cell.spec.transposed)
        setting, c, output = self._setting()
        for gate, value in {**setting, self.gate: z}.items():
            key = next((s, gate) for s in ("bias", "bias_x") if (s, gate) in gates)
            for weight, blocks in zip(cell.weights, cell.spec.weight_blocks):
                if key in blocks:
                    weight[blocks[key]] = value
        state = [np.full((1, 1), c)] + [np.zeros((1, 1))] * (len(cell.spec.state_names) - 1)
        x = np.zeros((1, 1, 1) if cell.spec.sequence else (1, 1))
        return cell, (x, *state), output

    def _setting(self):
        """Pre-activations of the other gates, the first state, and which output is read."""
        if self.kind == "LSTM":
            return {
                "input": ({"candidate": BIG}, 0.0, 0),
                "forget": ({}, 1.0, 0),
                "output": ({"forget": BIG}, BIG, 1),
                "candidate": ({"input": BIG}, 0.0, 0),
            }[self.gate]
        return ({"candidate": BIG}, 0.0, 0) if self.gate == "update" else ({"update": BIG} if self.kind == "GRU" else {}, 0.0, 0)

    def value(self, z):
        """The activation at z, as the cell computes it."""
        cell, inputs, k = self.build(z)
        outputs = cell.apply(*inputs)
        return float(np.ravel(outputs[min(k, len(outputs) - 1)])[0])

    def gradient(self, z):
        """The derivative at z, as the cell claims it."""
        cell, inputs, k = self.build(z)
        outputs = cell.apply(*inputs)
        claims = cell.vjp(*(np.full(y.shape, float(j == min(k, len(outputs) - 1))) for j, y in enumerate(outputs)))[0]
        gates = gates_of([np.asarray(c, dtype=float) for c in claims], cell.spec.weight_blocks, cell.spec.transposed)
        key = next((s, self.gate) for s in ("bias", "bias_x") if (s, self.gate) in gates)
        return float(gates[key][0])


def forward(probe):
    """Where the activation itself leaves the right one."""
    return _left(probe, probe.value, probe.act, "")


def derivative(probe):
    """Where its derivative does, but for the textbook's loss in deep saturation."""
    return _left(probe, probe.gradient, probe.slope, "the derivative of ")


def _left(probe, got, right, what):
    """From where on, in either tail, a value is not what it should be."""
    near = [(z, got(z), float(right(np.float64(z)))) for z in (0.0, 0.3, -0.7)]
    if not all(np.isfinite(y) and abs(y - t) <= 1e-3 for _, y, t in near[1:]):
        return None  # not the activation at all, at ordinary numbers: that is no matter of numerics
    if not abs(near[0][1] - near[0][2]) <= 1e-3:
        return f"{what}{probe.word} is wrong at exactly z = 0: it is {figure(near[0][1])} instead of {figure(near[0][2])}"
    for sign in (1, -1):

        def wrong(z, sign=sign):
            y, t = got(sign * z), float(right(np.float64(sign * z)))
            if not np.isfinite(y):
                return True
            if probe.single:
                return abs(y - t) > max(SINGLE[0] * abs(t), SINGLE[1])
            lost = what and abs(z) > 15  # s (1 - s) and 1 - t^2 lose their digits there: no mistake of its own
            return abs(y - t) > max(OFF * abs(t), 1e-12 if lost else 1e-14 if what or sign < 0 else 0.0)

        bad = [z for z in GRID if wrong(z)]
        if not bad:
            continue
        first = bad[0]
        good = max((z for z in GRID if z < first), default=None)
        z = first if good is None else _edge(wrong, good, first)
        y, t = got(sign * first), float(right(np.float64(sign * first)))
        limit = next((f", where {why}" for edge, why in LIMITS.items() if abs(z - edge) < 0.02), "")
        where = "everywhere" if good is None or first <= 0.5 else f"from z = {sign * z:.5g} on{limit}"
        off = (
            f"{figure(y)} instead of {figure(t)}" if not abs(y - t) < 1e-2 * abs(t) else f"{figure((y - t) / t)} of its value off"
        )
        return f"{what}{probe.word} is wrong {where}: at {sign * first:g} it is {off}"
    return None


def flags(probe):
    """Where a floating-point flag is raised on the way to a right value."""
    for sign in (1, -1):
        for z in GRID:
            read = probe.gradient if "weights" in probe.gradients else probe.value
            try:
                with np.errstate(over="raise", invalid="raise", divide="raise", under="ignore"):
                    read(sign * z)
            except FloatingPointError as flag:
                value = read(sign * z)
                return f"{flag} on the way to {'a right value' if np.isfinite(value) else value}, at z = {sign * z:g}"
    return None


def textbook(g):
    """A derivative that is made of the value of the activation, and so has no digits left where that is 1."""
    told = {}
    for gate in READ[g.kind] if "weights" in g.cell.spec.gradients else ():
        probe = Probe(g.Cell, g.kind, gate)
        number, z = (np.float32, 6.0) if probe.single else (np.float64, 12.0)
        z = z if probe.word == "tanh" else 2 * z
        value, got, right = probe.act(number(z)), probe.gradient(z), float(probe.slope(np.float64(z)))
        made, formula = (1 - value**2, "1 - t^2") if probe.word == "tanh" else (value * (1 - value), "s (1 - s)")
        eps = float(np.finfo(number).eps)
        if abs(got - made) <= 2 * eps and abs(got - right) > 8 * eps * right:
            said = f"the derivative of {probe.word} is {formula}, which loses its digits where {probe.word} is close to 1"
            told.setdefault(f"{said}: at z = {z:g} it is {figure(abs(got - right) / right)} of its value off", []).append(gate)
    return [f"{said} ({', '.join(gates)})" for said, gates in told.items()]


def tail(g):
    """An activation that has too few digits where it is close to 0, or none."""
    told = {}
    for gate in READ[g.kind]:
        probe = Probe(g.Cell, g.kind, gate)
        eps = float(np.finfo(np.float32 if probe.single else np.float64).eps)
        points = (
            [10.0**-n for n in range(1, 13)] if probe.word == "tanh" else [-z for z in GRID if z < (88 if probe.single else 745)]
        )
        pairs = [(z, probe.value(z), float(probe.act(np.float64(z)))) for z in points]
        if abs(pairs[0][1] - pairs[0][2]) > 1e-3:
            continue  # not the activation at all
        for z, y, t in pairs:
            if not abs(y - t) <= LOST * eps * abs(t):
                lost = f"is 0 instead of {figure(t)}" if y == 0 else f"is {figure(abs(y - t) / abs(t))} of its value off"
                said = f"{probe.word} loses its digits where it is close to 0: at z = {z:g} it {lost}"
                told.setdefault(said + ", as exp overflows" * (y == 0 and z < -709), []).append(gate)
                break
    return [f"{said} ({', '.join(gates)})" for said, gates in told.items()]


def clipped_state(g):
    """A largest c'."""
    if g.kind != "LSTM" or g.gist:
        return []
    probe = Probe(g.Cell, "LSTM", "forget")

    def kept(c):
        """c', with the forget gate open and the input gate shut."""
        cell, (x, _, h), k = probe.build(BIG)
        return float(np.ravel(cell.apply(x, np.full((1, 1), c), h)[k])[0])

    for sign in (1, -1):
        for c in (1.5, 2.5, 4.0, 7.0, 15.0, 30.0, 60.0):
            y = kept(sign * c)
            if abs(y - sign * c) > 1e-9 * c:
                if kept(2 * sign * c) != y:
                    return []
                return [f"c' is clipped at {figure(y)}: with the forget gate open, c = {sign * c:g} becomes that"]
    return []


def _edge(wrong, good, bad):
    for _ in range(40):
        middle = (good + bad) / 2
        good, bad = (good, middle) if wrong(middle) else (middle, bad)
    return bad
