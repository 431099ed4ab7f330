"""Mistakes of convention: a cell of known kind computes something else, and one known twist gives exactly that."""

import itertools
from functools import partial

import numpy as np
from cellcheck.cells.activations import sigmoid
from cellcheck.properties.intake.conventions import GATES, gates_of, step, tensors
from cellcheck.properties.oracles.equations import equations
from cellcheck.properties.reports.diagnosis.grown import CLOSE, figure, gap, the
from cellcheck.properties.reports.diagnosis.mistakes import Mistake, matched
from cellcheck.properties.writing.text import several

ROUNDED = 16  # units of its precision by which an output may be off


def equation_faults(g):
    """(sentences about the outputs of a cell of known kind, [] if like no twist; how far they are off, "" where they are right)."""
    if not (g.kind and g.blocks):
        return [], ""
    p = g.p if g.p.x.ndim == 2 else g.p.span(slice(1))
    cell, x, state = p.build(g.Cell)
    gates, F, S = gates_of(cell.weights, g.blocks, g.cell.spec.transposed), g.p.recipe.features, g.p.recipe.state
    for (source, gate), block in gates.items():
        if block.shape != (wanted := {"x": (F, S), "h": (S, S)}.get(source, (S,))):
            return [f"what is declared as {source} of {the(gate)} has shape {block.shape} instead of {wanted}"], "?"
    seen = dict(zip(g.outputs, (np.asarray(y, dtype=float) for y in cell.apply(x, *state))))

    def returned(new):
        """Of all states and, of a sequence, ys, what the cell returns."""
        every = dict(zip([f"{name}'" for name in cell.spec.state_names], new)) | {"sum": new[-1].sum(), "ys": new[-1][None]}
        return {name: every[name] for name in g.outputs}

    right = returned(equations(cell, x, state)[: len(cell.spec.state_names)])
    near = max(CLOSE, ROUNDED * cell.spec.unit(x.dtype))
    if all(y.shape == np.shape(right[n]) and np.allclose(y, right[n], near, near, equal_nan=True) for n, y in seen.items()):
        return [], ""
    apart = {n: gap(y, right[n]) for n, y in seen.items() if y.shape == np.shape(right[n])}
    apart = f"{several(seen)} {'are' if len(seen) > 1 else 'is'} not what the {g.kind} equations give, by {figure(max(apart.values(), default=1))}"
    for name, y in seen.items():
        off = y - right[name] if y.shape == np.shape(right[name]) else np.array([0.0, 1.0])
        if off.size > 1 and np.ptp(off) <= 1e-3 * np.max(np.abs(off)) and np.any(off):
            return [f"{name} is off by a constant: {figure(np.mean(off))} at all {off.size} entries"], apart
        with np.errstate(all="ignore"):
            kept = (y / right[name])[y != 0] if y.shape == np.shape(right[name]) else np.zeros(0)
        if 0 < kept.size < y.size and np.ptp(kept) <= 1e-9 * abs(kept[0]):
            said = (
                f"{name} is right times a mask: {y.size - kept.size} of {y.size} entries are exactly 0, the others {kept[0]:.6g}"
            )
            return [f"{said} times what they should be: as in dropout with a fixed seed"], apart
    if g.variant:
        return [], apart
    with np.errstate(all="ignore"):
        tried = mistakes(g, gates, x[0] if x.ndim == 3 else x, state)
        return matched((Mistake(said, partial(returned, new)) for said, new in tried), seen, right, "the outputs"), apart


def mistakes(g, gates, x, state):
    """(sentence, new states) of everything that is tried."""
    names, sources = GATES[g.kind], sorted({source for source, _ in gates})
    biases = [source for source in sources if source.startswith("bias")]

    def moved(changed):
        return step(g.kind, {}, {**gates, **changed}, x, state)

    for order in list(itertools.permutations(names))[1:]:
        for words, some in (("", sources), ("in the biases alone, ", biases)):
            said = [a for a, b in zip(names, order) if a != b]
            said = f"{words}the {' and '.join(said) if len(said) == 2 else ', '.join(said)} gates are exchanged"
            yield said, moved({(s, a): gates[s, b] for s in some for a, b in zip(names, order)})
    for source in biases:
        for gate in names:
            words = f"{BIASES[source]} of {the(gate)}"
            yield f"{words} is not added", moved({(source, gate): 0 * gates[source, gate]})
            yield f"every gate uses {words}", moved({(source, a): gates[source, gate] for a in names})
        yield f"{BIASES[source]} is not added", moved({(source, a): 0 * gates[source, a] for a in names})
        yield f"{BIASES[source]} is added twice", moved({(source, a): 2 * gates[source, a] for a in names})
    for source in ("x", "h"):
        yield f"{source} is ignored", moved({(source, a): 0 * gates[source, a] for a in names})
        for gate in names if len(names) > 1 else ():
            yield f"{the(gate)} does not look at {source}", moved({(source, gate): 0 * gates[source, gate]})
    turned = {}
    for gate in names:
        turned["x", gate], turned["h", gate] = np.split(np.concatenate([gates["h", gate], gates["x", gate]]), [x.shape[-1]])
    yield "the weights declared for [h, x] are multiplied by [x, h], or the other way round", moved(turned)
    yield from {"RNN": rnn, "LSTM": lstm, "GRU": gru}[g.kind](tensors(g.kind, {}, gates, x, state), gates)
    if g.kind != "RNN" and biases:
        for gate, k in itertools.product(names, (1.0, -1.0, 0.5, 2.0)):
            yield f"{k:g} is added to the pre-activation of {the(gate)}", moved({(biases[0], gate): gates[biases[0], gate] + k})


BIASES = {"bias": "the bias", "bias_x": "the bias of x", "bias_h": "the bias of h"}


def hard(z):
    """Keras's old hard sigmoid."""
    return np.clip(0.2 * z + 0.5, 0, 1)


def rnn(t, gates):
    """(sentence, (h',)) of an RNN whose right tensors are t."""
    bias = sum(gates.get((source, "candidate"), 0) for source in BIASES)
    yield "the bias is added after the tanh", (np.tanh(t["z"] - bias) + bias,)
    yield "the activation is max(z, 0) instead of tanh", (np.maximum(t["z"], 0),)
    yield "the activation is a sigmoid instead of tanh", (sigmoid(t["z"]),)
    yield "there is no activation", (t["z"],)


def lstm(t, gates):
    """(sentence, (c', h')) of an LSTM whose right tensors are t."""
    i, f, o, n, c, new = (t[name] for name in ("i", "f", "o", "g", "c", "c'"))
    z_i, z_f, z_o, z_n = (t[f"z {name}"] for name in "ifog")

    def out(new, o=o):
        return new, o * np.tanh(new)

    yield "1 is added to the forget gate after its sigmoid, not to its pre-activation", out(new + c)
    yield "the input gate is 1 - forget gate: its own weights are not used", out(f * c + (1 - f) * n)
    yield "the forget gate is 1 - input gate: its own weights are not used", out((1 - i) * c + i * n)
    yield "the output gate looks at the old c (a peephole)", out(new, sigmoid(z_o + c))
    yield "the output gate looks at the new c (a peephole)", out(new, sigmoid(z_o + new))
    yield "the input gate looks at c (a peephole)", out(f * c + sigmoid(z_i + c) * n)
    yield "the forget gate looks at c (a peephole)", out(sigmoid(z_f + c) * c + i * n)
    yield "c is added to the input gate after its sigmoid (a peephole at the wrong place)", out(new + c * n)
    yield "c is added to the forget gate after its sigmoid (a peephole at the wrong place)", out(new + c * c)
    yield "c is added to the output gate after its sigmoid (a peephole at the wrong place)", out(new, o + c)
    yield "the gates use the hard sigmoid clip(0.2 z + 0.5, 0, 1)", out(hard(z_f) * c + hard(z_i) * n, hard(z_o))
    yield "the gates go through tanh instead of the sigmoid", out(np.tanh(z_f) * c + np.tanh(z_i) * n, np.tanh(z_o))
    yield "the candidate goes through the sigmoid instead of tanh", out(f * c + i * sigmoid(z_n))
    yield "the candidate has no tanh", out(f * c + i * z_n)
    yield "h' lacks the tanh of c'", (new, o * new)
    yield "h' is taken from the old c instead of the new one", (new, o * np.tanh(c))
    yield "the states are returned in the order h', c'", (t["h'"], new)
    yield "c is ignored", out(i * n)
    yield "c is not multiplied by the forget gate", out(c + i * n)
    yield "the candidate is not multiplied by the input gate", out(f * c + n)
    yield "h' is not multiplied by the output gate", out(new, 1.0)
    for most in (1.0, 3.0, 5.0, 10.0, 20.0, 50.0):
        yield f"c' is clipped at {most:g}", out(np.clip(new, -most, most))
    for most in (1.0, 3.0, 5.0):
        yield (
            f"z is clipped at {most:g} before every activation",
            out(
                sigmoid(np.clip(z_f, -most, most)) * c + sigmoid(np.clip(z_i, -most, most)) * np.tanh(np.clip(z_n, -most, most)),
                sigmoid(np.clip(z_o, -most, most)),
            ),
        )


def gru(t, gates):
    """(sentence, (h',)) of a GRU whose right tensors are t."""
    r, u, n, h, x_n, h_n = (t[name] for name in ("r", "u", "n", "h", "x W_n", "h W_n"))
    bias = gates.get(("bias_h", "candidate"), 0)
    before = np.tanh(x_n + (r * h) @ gates["h", "candidate"] + bias)

    def mixed(n, u=u):
        return (u * (n - h) + h,)

    yield "the update gate is inverted: h' = u h + (1 - u) n", mixed(n, 1 - u)
    yield "the reset gate acts on h before the product with its weights, not after", mixed(before)
    yield "both: the update gate is inverted, and the reset gate acts on h before the product", mixed(before, 1 - u)
    yield "the candidate's bias of h is added outside the reset gate", mixed(np.tanh(x_n + r * (h_n - bias) + bias))
    yield "the reset gate is not used", mixed(np.tanh(x_n + h_n))
    yield "n is multiplied by u (2 - u), that is (1 - z)(1 + z) with z = 1 - u, instead of u", (u * (2 - u) * n + (1 - u) * h,)
    yield "n is multiplied by (1 - u)(1 + u)", ((1 - u) * (1 + u) * n + u * h,)
    yield "h' = h + u n: the old state is not let go of", (u * n + h,)
    yield "the candidate has no tanh", mixed(t["z n"])
    yield "the candidate goes through the sigmoid instead of tanh", mixed(sigmoid(t["z n"]))
