"""Mistakes of convention: a cell of declared kind computes something else, and one known twist gives exactly that."""

import itertools
from dataclasses import replace

import numpy as np
from cellcheck.properties.intake.conventions import GATES, gates_of
from cellcheck.properties.oracles.equations import equations
from cellcheck.properties.reports.diagnosis.grown import CLOSE, close, figure, gap


def equation_faults(g):
    """Sentences about the outputs of a cell that declares its kind, [] if right or like no twist; and whether right."""
    if not (g.kind and g.blocks) or g.cell.spec.variant:
        return [], True
    p = g.p if g.p.x.ndim == 2 else replace(g.p, x=g.p.x[:1], given=[(*u[:-1], u[-1][:1]) for u in g.p.given])
    cell, x, state = p.build(g.Cell)
    outputs = [np.asarray(y, dtype=float) for y in cell.apply(x, *state)]

    def returned(new):
        """Of all states and, of a sequence, ys, what the cell returns."""
        every = dict(zip([f"{name}'" for name in cell.spec.state_names] + ["ys"] * cell.spec.sequence, new))
        return [new[-1].sum()] if g.gist else [every[name] for name in g.outputs]

    right = returned(equations(cell, x, state))
    if all(np.shape(a) == np.shape(b) and np.allclose(a, b, CLOSE, CLOSE, equal_nan=True) for a, b in zip(outputs, right)):
        return [], True
    for name, y, wanted in zip(g.outputs, outputs, right):
        off = y - wanted if y.shape == wanted.shape else np.array([0.0, 1.0])
        if off.size > 1 and np.ptp(off) <= 1e-3 * np.max(np.abs(off)) and np.any(off):
            return [f"{name} is off by a constant: {figure(np.mean(off))} at all {off.size} entries"], False
    x = x[0] if x.ndim == 3 else x
    blocks = {key: np.asarray(b, float) for key, b in gates_of(cell.weights, g.blocks, g.cell.spec.transposed).items()}
    found = []
    for said, step, gates in twists(g.kind, blocks, g):
        with np.errstate(all="ignore"):
            new = step(gates, x, *state)
        predicted = returned((*new, new[-1][None])[: len(cell.spec.state_names) + cell.spec.sequence])
        if all(close(a, b) or (not np.any(a) and not np.any(b)) for a, b in zip(outputs, predicted)):
            off, to = max(map(gap, outputs, right)), max(map(gap, outputs, predicted))
            found.append(f"{said}: this gives the outputs to {figure(to)}, the declared equations miss them by {figure(off)}")
    return found[:1], False


def twists(kind, blocks, g):
    """(sentence, step, blocks): everything that is tried."""
    make = {"RNN": rnn, "LSTM": lstm, "GRU": gru}[kind]
    plain = make()
    names = GATES[kind]
    sources = sorted({s for s, _ in blocks})
    biases = [s for s in sources if s.startswith("bias")]
    for order in list(itertools.permutations(names))[1:]:
        yield f"{_moved(names, order)} exchanged", plain, {(s, a): blocks[s, b] for s in sources for a, b in zip(names, order)}
        if biases:
            mixed = {(s, a): blocks[s, b if s in biases else a] for s in sources for a, b in zip(names, order)}
            yield f"in the biases alone, {_moved(names, order)} exchanged", plain, mixed
    for source in biases:
        for gate in names:
            yield f"{_words(source, gate)} is not added", plain, {**blocks, (source, gate): 0 * blocks[source, gate]}
            yield (
                f"every gate uses {_words(source, gate)}",
                plain,
                {**blocks, **{(source, a): blocks[source, gate] for a in names}},
            )
        yield f"{_words(source)} is not added", plain, {**blocks, **{(source, a): 0 * blocks[source, a] for a in names}}
        yield f"{_words(source)} is added twice", plain, {**blocks, **{(source, a): 2 * blocks[source, a] for a in names}}
    for source in ("x", "h"):
        yield f"{source} is ignored", plain, {**blocks, **{(source, a): 0 * blocks[source, a] for a in names}}
    yield "the weights declared for [h, x] are multiplied by [x, h], or the other way round", plain, _other_rows(blocks, names, g)
    for said, options in TWISTS[kind]:
        yield said, make(**options), blocks
    if kind != "RNN" and biases:
        for gate, k in itertools.product(names, (1.0, -1.0, 0.5, 2.0)):
            moved = {**blocks, (biases[0], gate): blocks[biases[0], gate] + k}
            yield f"{k:g} is added to the pre-activation of {_the(gate)}", plain, moved


def _the(gate):
    return "the candidate" if gate == "candidate" else f"the {gate} gate"


def _words(source, gate=None):
    bias = {"bias": "the bias", "bias_x": "the bias of x", "bias_h": "the bias of h"}[source]
    return f"{bias} of {_the(gate)}" if gate else bias


def _moved(names, order):
    moved = [a for a, b in zip(names, order) if a != b]
    return f"the {' and '.join(moved) if len(moved) == 2 else ', '.join(moved)} gates are"


def _other_rows(blocks, names, g):
    """The rows of [x, h] cut at the other place."""
    features, turned = g.p.recipe.features, dict(blocks)
    for gate in names:
        other = np.concatenate([blocks["h", gate], blocks["x", gate]])
        turned["x", gate], turned["h", gate] = other[:features], other[features:]
    return turned


def _part(w, gate, x, h):
    a = x @ w["x", gate] + w.get(("bias", gate), 0) + w.get(("bias_x", gate), 0)
    return a, h @ w["h", gate] + w.get(("bias_h", gate), 0)


def sigmoid(z):
    """1 / (1 + exp(-z)), at ordinary z."""
    return 1 / (1 + np.exp(-z))


def hard(z):
    """Keras's old hard sigmoid."""
    return np.clip(0.2 * z + 0.5, 0, 1)


def relu(z):
    """max(z, 0)."""
    return np.maximum(z, 0)


def rnn(act=np.tanh, late=False):
    """A step of an RNN with a twist."""

    def step(w, x, h):
        a, s = _part(w, "candidate", x, h)
        if late:
            bias = w.get(("bias", "candidate"), 0) + w.get(("bias_x", "candidate"), 0) + w.get(("bias_h", "candidate"), 0)
            return (act(a + s - bias) + bias,)
        return (act(a + s),)

    return step


def lstm(
    squash=sigmoid, act=np.tanh, out=np.tanh, coupled=None, peep="", late=0.0, old=False, order=False, forget_c=1.0, clip=np.inf
):
    """A step of an LSTM with a twist."""

    def step(w, x, c, h):
        z = {gate: sum(_part(w, gate, x, h)) for gate in GATES["LSTM"]}
        i, f = squash(z["input"] + c * (peep == "i")), squash(z["forget"] + c * (peep == "f"))
        i = i + c * (peep == "after i")
        f = f + c * (peep == "after f") + late
        i, f = (1 - f, f) if coupled == "input" else (i, 1 - i) if coupled == "forget" else (i, f)
        new = np.clip(f * c * forget_c + i * act(z["candidate"]), -clip, clip)
        o = squash(z["output"] + {"o": c, "new": new}.get(peep, 0 * c)) + c * (peep == "after o")
        h = o * out(c if old else new)
        return (h, new) if order else (new, h)

    return step


def gru(update="new", reset="after", act=np.tanh, squash=sigmoid):
    """A step of a GRU with a twist."""

    def step(w, x, h):
        r, u = (squash(sum(_part(w, gate, x, h))) for gate in ("reset", "update"))
        a, s = _part(w, "candidate", x, h)
        bias = w.get(("bias_h", "candidate"), np.zeros(h.shape[-1]))
        if reset == "before":
            n = act(a + (r * h) @ w["h", "candidate"] + bias)
        elif reset == "bias outside":
            n = act(a + r * (s - bias) + bias)
        elif reset == "never":
            n = act(a + s)
        else:
            n = act(a + r * s)
        new = {
            "new": u * (n - h) + h,
            "old": u * h + (1 - u) * n,
            "plus": u * (1 + (1 - u)) * n + (1 - u) * h,
            "minus": (1 - u) * (1 + u) * n + u * h,
            "added": u * n + h,
        }
        return (new[update],)

    return step


TWISTS = {
    "RNN": [
        ("the bias is added after the tanh", {"late": True}),
        ("the activation is max(z, 0) instead of tanh", {"act": relu}),
        ("the activation is a sigmoid instead of tanh", {"act": sigmoid}),
        ("there is no activation", {"act": lambda z: z}),
    ],
    "LSTM": [
        ("1 is added to the forget gate after its sigmoid, not to its pre-activation", {"late": 1.0}),
        ("the input gate is 1 - forget gate: its own weights are not used", {"coupled": "input"}),
        ("the forget gate is 1 - input gate: its own weights are not used", {"coupled": "forget"}),
        ("the output gate looks at the old c (a peephole)", {"peep": "o"}),
        ("the output gate looks at the new c (a peephole)", {"peep": "new"}),
        ("the input gate looks at c (a peephole)", {"peep": "i"}),
        ("the forget gate looks at c (a peephole)", {"peep": "f"}),
        ("c is added to the input gate after its sigmoid (a peephole at the wrong place)", {"peep": "after i"}),
        ("c is added to the forget gate after its sigmoid (a peephole at the wrong place)", {"peep": "after f"}),
        ("c is added to the output gate after its sigmoid (a peephole at the wrong place)", {"peep": "after o"}),
        ("the gates use the hard sigmoid clip(0.2 z + 0.5, 0, 1)", {"squash": hard}),
        ("the gates go through tanh instead of the sigmoid", {"squash": np.tanh}),
        ("the candidate goes through the sigmoid instead of tanh", {"act": sigmoid}),
        ("the candidate has no tanh", {"act": lambda z: z}),
        ("h' lacks the tanh of c'", {"out": lambda c: c}),
        ("h' is taken from the old c instead of the new one", {"old": True}),
        ("the states are returned in the order h', c'", {"order": True}),
        ("c is ignored", {"forget_c": 0.0}),
        *[(f"c' is clipped at {c:g}", {"clip": c}) for c in (1.0, 3.0, 5.0, 10.0, 20.0, 50.0)],
    ],
    "GRU": [
        ("the update gate is inverted: h' = u h + (1 - u) n", {"update": "old"}),
        ("the reset gate acts on h before the product with its weights, not after", {"reset": "before"}),
        (
            "both: the update gate is inverted, and the reset gate acts on h before the product",
            {"update": "old", "reset": "before"},
        ),
        ("the candidate's bias of h is added outside the reset gate", {"reset": "bias outside"}),
        ("the reset gate is not used", {"reset": "never"}),
        ("n is multiplied by u (2 - u), that is (1 - z)(1 + z) with z = 1 - u, instead of u", {"update": "plus"}),
        ("n is multiplied by (1 - u)(1 + u)", {"update": "minus"}),
        ("h' = h + u n: the old state is not let go of", {"update": "added"}),
        ("the candidate has no tanh", {"act": lambda z: z}),
        ("the candidate goes through the sigmoid instead of tanh", {"act": sigmoid}),
    ],
}
