"""Mistakes inside the gates: what each gate's pre-activation gets, against what it should get, unit by unit.

Run row by row, a gate's share of the gradient can be read off its bias, or off the weights of x. Its ratio to the true one is
looked up among the tensors of the step: a missing derivative leaves 1 / act', a wrong tensor its quotient with the right one.
"""

from dataclasses import replace
from functools import partial
from itertools import combinations

import numpy as np
from cellcheck.cells.activations import d_sigmoid, d_tanh, sigmoid
from cellcheck.properties.intake import conventions
from cellcheck.properties.intake.conventions import gates_of
from cellcheck.properties.reports.diagnosis.grown import Grown, close, figure, gap, same, the
from cellcheck.properties.reports.diagnosis.mistakes import Mistake, matched
from cellcheck.properties.writing.text import several


def within_gates(g):
    """Sentences about the gates of a cell of declared kind, its weights' gradients first, then x and the states."""
    if g.cell.spec.sequence and g.p.x.shape[0] != 1:
        single = Grown(g.Cell, replace(g.p.recipe, steps=1))
        here, there = g.claims(), single.claims()
        lost = any(np.any(here[name]) and not np.any(there[name]) for name in here)  # at the first step, or the last
        return [f"with a single step, {told}" if lost else told for told in within_gates(single)]
    rows = [Row(g, r) for r in range(g.p.x.shape[-2])]
    told = []
    for names, only in _patterns(g):
        for row in rows:
            row.measure(only)
        told = _gates(rows, names)
        if told:
            return told
    for row in rows:
        row.measure(None)
    return _states(g, rows)


def _patterns(g):
    """All upstreams, then that of each state alone: a fault on one path shows plainly on that path."""
    yield "", None
    n = len(g.p.state)
    if n > 1:
        for k in range(n - 1, -1, -1):
            yield f" for an upstream of {g.outputs[k]} alone", k


class Row:
    """One row of the problem, run alone: tensors of the step, and what reaches each gate."""

    def __init__(self, g, r):
        """g: a Grown of a single step; r: the row."""
        self.g, self.r, self.p = g, r, g.p.rows([r])
        self.solo = Grown(g.Cell, self.p)
        self.gates = {k: np.asarray(v, float) for k, v in gates_of(self.p.weights, g.blocks, g.cell.spec.transposed).items()}
        self.x, self.state = self.p.x.reshape(-1), [s.reshape(-1) for s in self.p.state]
        self.tensors, self.slopes = on_the_way(g.kind, g.variant, self.gates, self.x, self.state)

    def measure(self, only):
        """Claims and truth for all upstreams or that of one state: `claimed` and `true`, (source, gate) -> units."""
        self.claims = self.solo.claims(self.solo.masked(lambda k, _: float(only in (None, k))))
        self.truth = self.g.truth(tuple(u * (only in (None, k)) for k, u in enumerate(self.g.of_row(self.r))))
        for name in self.g.names[self.g.n :]:
            self.truth[name] = self.truth[name][..., [self.r], :]
        names = self.g.names[: self.g.n]
        claimed = gates_of([self.claims[n] for n in names], self.g.blocks, self.g.cell.spec.transposed)
        true = gates_of([self.truth[n] for n in names], self.g.blocks, self.g.cell.spec.transposed)
        self.claimed_blocks, self.true_blocks = claimed, true
        self.claimed = {key: self._share(key, block) for key, block in claimed.items()}
        self.true = {key: self._share(key, block) for key, block in true.items()}

    def given(self, key):
        """What the weights of this block multiply."""
        known = {"x": self.x, "h": self.state[-1] * self.reset(key)}
        return known.get(key[0], np.ones(1))

    def reset(self, key):
        """r where h is multiplied by it before it meets the weights of this block, else 1."""
        before = key == ("h", "candidate") and self.g.variant.get("reset") == "before"
        return self.tensors["r"] if before else 1.0

    def _share(self, key, block):
        v = self.given(key)
        i = int(np.argmax(np.abs(v)))
        return np.atleast_2d(block)[i] / v[i]


def on_the_way(kind, variant, gates, x, state):
    """(tensors by name, what may stand for act' of each gate): what the equations compute, and what is mistaken for it."""
    t = conventions.tensors(kind, variant, gates, x, state)
    zs = {gate: t.pop(f"z {conventions.letters(kind, [gate])}" if kind != "RNN" else "z") for gate in conventions.GATES[kind]}
    if kind == "LSTM":
        new, c = t["tanh(c')"], t["c"]
        t |= {"tanh(c)": np.tanh(c), "tanh'(c')": 1 - new**2, "tanh'(c)": 1 - np.tanh(c) ** 2}
        t |= {"tanh'(tanh(c'))": 1 - np.tanh(new) ** 2, "1 - c'^2": 1 - t["c'"] ** 2, "1 - c^2": 1 - c**2}
        t |= {"1 - h'^2": 1 - t["h'"] ** 2, "sigmoid'(c')": d_sigmoid(t["c'"])}
    elif kind == "GRU":
        t |= {"1 - u": 1 - t["u"], "1 - r": 1 - t["r"], "n - h": t["n"] - t["h"], "r h": t["r"] * t["h"]}
    for gate, z in zs.items():
        letter, swapped = conventions.letters(kind, [gate]), sigmoid if gate == "candidate" else np.tanh
        t |= {f"{swapped.__name__}({letter})": swapped(z), f"z of {the(gate)}": z}
    slopes = {}
    for gate, z in zs.items():
        act, slope, other = (np.tanh, d_tanh, d_sigmoid) if gate == "candidate" else (sigmoid, d_sigmoid, d_tanh)
        raw = 1 - z * z if gate == "candidate" else z * (1 - z)
        steep = np.where(np.abs(z) < 1, 1.0, 0.0) if gate == "candidate" else np.where(np.abs(z) < 2.5, 0.2, 0.0)
        half = x @ gates["x", gate] + gates.get(("bias", gate), 0) + gates.get(("bias_x", gate), 0)
        slopes[gate] = {"right": slope(z), "output": slope(act(z)), "raw": raw, "value": act(z), "other": other(z), "hard": steep}
        slopes[gate] |= {"old": 1 - t["h"] ** 2, "z": z, "half of x": slope(half), "half of h": slope(z - half)}
    return t, slopes


def _gates(rows, names):
    """Sentences about the gates whose share is wrong."""
    told = {}
    for key in rows[0].true:
        true, claimed = (np.array([getattr(row, side)[key] for row in rows]) for side in ("true", "claimed"))
        if same(true, claimed) or not (np.isfinite(claimed).all() and np.isfinite(true).all()):
            continue
        left = _left(rows, key)
        sentence = left or _explained(rows, key[1], true, claimed)
        if sentence:
            told.setdefault((key[1], sentence), []).append(key[0])
    merged = {}
    for (gate, sentence), sources in told.items():
        if len(sources) == 1 and sum(key[1] == gate for key in rows[0].true) > 1:  # of several
            where = "bias" if sources[0].startswith("bias") else f"weights of {sources[0]}"
            sentence = sentence.replace("no gradient flows through it", f"no gradient reaches its {where}")
        merged.setdefault(sentence, []).append((gate, sources))
    return [f"{several(the(gate) for gate, _ in found)}: {sentence}{names}" for sentence, found in merged.items()]


def _explained(rows, gate, true, claimed):
    """What the ratio of claim to truth says, or None."""
    if not np.any(claimed):
        return f"no gradient flows through it: all {claimed.size} numbers are 0, where {figure(np.max(np.abs(true)))} is the largest right one"
    if np.array_equal(claimed, claimed.astype(np.float32)) and (off := gap(claimed, true)) < 1e-6:
        return f"its gradient has passed through float32: all {claimed.size} numbers are float32, {figure(off)} from right"
    with np.errstate(all="ignore"):
        ratio = claimed / true
    if not np.isfinite(ratio).all():
        return None
    act = "tanh" if gate == "candidate" else "sigmoid"

    def slope(name):
        return np.array([row.slopes[gate][name] for row in rows])

    def fits(wanted):
        return bool(_fits(ratio, wanted))

    right, other = slope("right"), "sigmoid" if act == "tanh" else "tanh"
    told = [
        (1 / right, "is missing"),
        (right, "is applied twice"),
        (slope("output") / right, "is taken at the output instead of the pre-activation"),
        (slope("raw") / right, "treats the pre-activation as if it were the output"),
        (slope("other") / right, f"is that of a {other}"),
        (slope("hard") / right, f"is that of a hard {act}"),
        (slope("old") / right, "is 1 - h^2, with the old state h"),
        (slope("half of x") / right, "is taken at what comes from x alone"),
        (slope("half of h") / right, "is taken at what comes from h alone"),
    ]
    for wanted, sentence in told:
        if fits(wanted):
            return f"the derivative of its {act} {sentence} ({ratio.size} numbers agree)"
    for name, words in (("value", "its value"), ("z", "its pre-activation")):
        if fits(slope(name) / right):
            return f"{words} stands where the derivative of its {act} belongs ({ratio.size} numbers agree)"
    if np.ptp(ratio) <= 1e-8 * np.max(np.abs(ratio)):
        k = float(np.mean(ratio))
        return "its gradient has the wrong sign (factor -1)" if abs(k + 1) < 1e-9 else f"its gradient is scaled by {k:.10g}"
    for other in rows[0].true:
        if other[1] != gate and not other[0].startswith("h"):
            theirs = np.array([row.true[other] for row in rows])
            if close(claimed, theirs):
                return f"it gets the gradient of {the(other[1])}, to {figure(gap(claimed, theirs))}"
    return _wrong_tensor(rows, ratio)


def _fits(ratio, wanted):
    """Whether all numbers of the last two axes are the ratio, and some of them tell it from 1."""
    with np.errstate(all="ignore"):
        near = np.abs(ratio - wanted) <= 1e-7 * np.abs(ratio)
        return near.all(axis=(-2, -1)) & (np.max(np.abs(wanted - 1), axis=(-2, -1)) > 1e-3)


def _wrong_tensor(rows, ratio):
    """One tensor where another belongs, one too many or one too few; the right one must be a factor of this kind's equations."""
    names = [name for name, value in rows[0].tensors.items() if np.shape(value) == ratio.shape[1:]]
    values = np.array([*([row.tensors[name] for row in rows] for name in names), np.ones(ratio.shape)])
    agree, one = f"({ratio.size} numbers agree)", len(names)
    with np.errstate(all="ignore"):
        quotients = values[:, None] / values[None]
    for sign in ("", "-"):
        found = [tuple(map(int, pair)) for pair in np.argwhere(_fits(ratio, -quotients if sign else quotients))]
        for q, p in sorted(found, key=lambda pair: (one not in pair, any(names[k].startswith("z of") for k in pair if k < one))):
            if p == one:
                return f"its gradient has a factor {sign}{names[q]} too many {agree}"
            if q == one:
                return f"its gradient lacks the factor {sign}{names[p]} {agree}"
            return f"its gradient uses {sign}{names[q]} where {names[p]} belongs {agree}"
    return None


def _left(rows, key):
    """A block of a matrix that multiplies something else than x or h, or None."""
    if key[0] not in ("x", "h"):
        return None
    found = []
    for row in rows:
        block, right = row.claimed_blocks[key], row.true[key]
        with np.errstate(all="ignore"):
            v = block @ right / (right @ right)
            if not close(np.outer(v, right), block):
                return None
        found.append(v)
    found = np.array(found)
    for name in rows[0].tensors:
        value, right = np.array([row.tensors[name] for row in rows]), np.array([row.given(key) for row in rows])
        if close(found, value) and not close(value, right):
            word = "r h" if np.ndim(rows[0].reset(key)) else key[0]
            return f"the gradient of the weights of {key[0]} multiplies {name} instead of {word} ({found.size} numbers agree)"
    return None


def _states(g, rows):
    """Sentences about the gradients of x and the states, where those of the weights are right."""
    told = []
    for name in g.names[g.n :]:
        if name not in rows[0].claims:
            continue
        claimed, true = (np.array([np.ravel(getattr(row, side)[name]) for row in rows]) for side in ("claims", "truth"))
        if same(claimed, true):
            continue
        tried = _of_state(g, rows, name, true)
        mistakes = (Mistake(f"the gradient of {name} {said}", partial(dict, {name: a})) for said, a in tried)
        if found := matched(mistakes, {name: claimed}, {name: true}, "it"):
            told += found
            continue
        direct = true - sum(_paths(g, rows, name).values())
        with np.errstate(all="ignore"):
            for ratio in (claimed / true, (claimed - true + direct) / direct):
                if np.isfinite(ratio).all() and (found := _wrong_tensor(rows, ratio)):
                    told.append(f"the gradient of {name} {found.replace('its gradient ', '')}")
                    break
    return told


def _paths(g, rows, name, other=False):
    """What reaches x or h through each gate, (rows, entries), by gate; other: with the pre-activations of the other half."""
    source = {"x": "x", g.names[-1]: "h"}.get(name)
    half = {"x": "h", "h": "x"}.get(source) if other else source
    gates = [gate for s, gate in rows[0].true if s == source and (half, gate) in rows[0].true]

    def path(row, gate):
        return row.true[half, gate] @ row.gates[source, gate].T * row.reset((source, gate))

    return {gate: np.array([path(row, gate) for row in rows]) for gate in gates}


def _of_state(g, rows, name, true):
    """(what is said of the gradient of x or a state, what it is then)."""
    paths, half = _paths(g, rows, name), _paths(g, rows, name, other=True)
    through = sum(paths.values()) + 0 * true
    direct = true - through
    for gate, path in paths.items():
        yield f"drops the path through {the(gate)}", true - path
        yield f"counts the path through {the(gate)} twice", true + path
    for some in (some for n in range(2, 1 + len(paths)) for some in combinations(paths, n)):
        which = "all gates" if len(some) == len(paths) else several(map(the, some))
        yield f"drops the paths through {which}", true - sum(paths[gate] for gate in some)
    if name == g.names[-1] and (r := [row.reset(("h", "candidate")) for row in rows]) and np.ndim(r) > 1:
        yield "is not multiplied by r on the path through the candidate", true + paths["candidate"] * (1 / np.array(r) - 1)
    if np.max(np.abs(direct)) > 1e-9 * np.max(np.abs(true)):
        yield f"drops the direct path (dh times what {name} is multiplied with)", through
        yield f"counts the direct path (dh times what {name} is multiplied with) twice", true + direct
    if name == g.names[-1] and paths:
        turned = [[row.true["h", gate] @ row.gates["h", gate] * row.reset(("h", gate)) for row in rows] for gate in paths]
        yield "multiplies the weights of h without transposing them", direct + np.sum(turned, axis=0)
    if half and len(half) == len(paths):
        yield f"comes from the pre-activations of the half of {'h' if name == 'x' else 'x'}", direct + sum(half.values())
