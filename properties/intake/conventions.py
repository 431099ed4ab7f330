"""Which convention a guest computes, found by numbers: kind, gate order, [x, h] or [h, x], transposed, biases, variants.

A hypothesis says which part of each weight serves which gate. The shapes of the weights admit few layouts; each is evaluated
under every order of the gates and every variant, and compared with what the guest returns. If exactly one hypothesis matches, it
unlocks the law of equations and blame by gate, exactly as if the guest had declared it.

Small numbers decide the order and the layout, large ones whether something is clipped.
"""

import contextlib
import re
from dataclasses import dataclass, field, replace
from itertools import permutations, product
from typing import Any, NamedTuple

import numpy as np
from cellcheck.cells.activations import sigmoid, tanh
from cellcheck.cells.spec import declared, fit
from cellcheck.properties.verdicts import bound
from cellcheck.strategies import Problem

GATES = {"RNN": ("candidate",), "LSTM": ("input", "forget", "output", "candidate"), "GRU": ("reset", "update", "candidate")}
STATES = {"RNN": ("h",), "LSTM": ("c", "h"), "GRU": ("h",)}
KIND_OF = {1: "RNN", 3: "GRU", 4: "LSTM"}
LETTERS = {"input": "i", "forget": "f", "output": "o", "reset": "r", "update": "u"}
VARIANTS = {  # how the equations of a kind may differ: the kinds that know it, and what it may be
    "forget": (("LSTM",), "a number"),
    "clip": (("LSTM",), "a positive number"),
    "clip_pre": (("RNN", "LSTM", "GRU"), "a positive number"),
    "reset": (("GRU",), ("after", "before")),
    "update": (("GRU",), ("new", "old")),
}
CLIPS = ("clip", "clip_pre")
FEATURES, STATE = 4, 3  # sizes at which every role has its own shape; of declared ones, see `distinct`
JOINTS = (  # what one matrix may hold, one below the other; "1" is a row of biases
    *(("x", "h"), ("h", "x")),
    *(("1", "x", "h"), ("1", "h", "x"), ("x", "h", "1"), ("h", "x", "1")),
)
MATCH = 1e-4  # two conventions differ by 0.01 and more at these problems; what differs by less is for the law of equations
PROBES = [Problem(2, FEATURES, STATE, seed=seed, scale=0.5, steps=3) for seed in (3, 4)]
FAR = [Problem(2, FEATURES, STATE, seed=seed, scale=20.0, steps=3, regime="long memory") for seed in (3, 4)]
BEYOND = 25.0  # the memories of FAR are larger by this factor: up to 1000, beyond any that a law reaches
LARGE = [  # (problem, how much larger its memories or inputs are): where a cell may limit its numbers as no kind does
    *((replace(p, regime=regime), 1.0) for p in FAR for regime in ("plain", "long memory", "large inputs")),
    *((replace(p, regime="long memory"), BEYOND) for p in FAR),
    *((replace(p, regime="large inputs", scale=scale), BEYOND) for p in FAR for scale in (0.001, 0.1)),
]
ROUNDING = 4  # roundings by which a cell may differ from its own equations at FAR; if it does by more, a clip is looked for
FEW = 5  # of declared sizes that are tried
FARTHEST = 3  # runs in which the place where a cell begins to depart is looked for
HALVINGS = 20  # of the distance from 0 to where a cell departs from a Convention: to a millionth
SUDDEN = 1e-2  # a larger difference, so near to where it begins, is a jump: numbers up to 2500 move by 0.003 there
DRAWS = 10  # of changes by ulps, by which rounding at LARGE is measured
MUCH = 16  # how much nearer a clip must bring the equations: rounding does not
GOLDEN = (5**0.5 - 1) / 2
LIMITS = np.geomspace(0.1, 2000.0, 80)  # where the search for a clip begins

PLAIN: tuple[dict, ...] = ({},)
OLD = tuple({"update": "old", **reset} for reset in ({}, {"reset": "before"}))
# (framework, kind, order of the gates, layout, biases, variants) of frameworks; None where it does not matter.
FRAMEWORKS = [
    ("torch", "LSTM", "i f g o", "column", "two", PLAIN),
    ("keras", "LSTM", "i f g o", "row", "one", PLAIN),
    ("ONNX", "LSTM", "i o f g", "column", "two", PLAIN),
    ("TensorFlow 1", "LSTM", "i g f o", "row, [x, h]", "one", ({"forget": 1.0}, {})),
    ("cs231n", "LSTM", "i f o g", "row", "one", PLAIN),
    ("the 2018 gist", "LSTM", "i f o g", "row, [x, h]", "one", PLAIN),
    ("the deep learning course", "LSTM", "f i g o", "column, [h, x]", "one", PLAIN),
    ("DL4J", "LSTM", "g f o i", "row", "one", PLAIN),
    ("torch", "GRU", "r u n", "column", "two", OLD[:1]),
    ("keras", "GRU", "u r n", "row", None, OLD),
    ("ONNX", "GRU", "u r n", "column", "two", OLD),
    ("cuDNN", "GRU", "r u n", "column", "two", OLD[:1]),
    ("TensorFlow 1", "GRU", "r u n", "row, [x, h]", "one", OLD[1:]),
    ("mlx", "GRU", "r u n", "column", "b_hn", OLD[:1]),
    ("flax", "GRU", "n r u", "row", "b_hn", OLD[:1]),
    ("torch", "RNN", "n", "column", "two", PLAIN),
    ("ONNX", "RNN", "n", "column", "two", PLAIN),
    ("keras", "RNN", "n", "row", "one", PLAIN),
]
NAMES = {re.sub(r"^the |\W", "", name.lower()): name for name, *_ in FRAMEWORKS}  # as they are asked for: torch, tensorflow1, ...


@dataclass(frozen=True)
class Convention:
    """kind, variant: what is computed; orders: of the gates in the weights of x, h and the biases; layout, biases: in words.

    parts: for each weight a tuple of (source, gate, fan-in, position of its gate, index before and after these axes); a fan-in
    is (what is side by side in it, which of these), and None for a vector;
    swapped: the states come output first; difference: the largest from what the guest returned; rivals: other Conventions that
    agree with it on everything that the guest takes; but: names of the outputs that are other ones.
    """

    kind: str
    orders: tuple
    layout: str
    biases: str
    parts: tuple
    variant: dict = field(default_factory=dict)
    swapped: bool = False
    difference: float = np.inf
    rivals: tuple = ()
    but: tuple = ()

    @property
    def transposed(self):
        """Whether weights are (state, fan_in)."""
        return self.layout.startswith("column")

    def weight_blocks(self, features, state):
        """For each weight a dict (source, gate) -> index, at these sizes."""
        sizes = {"1": 1, "x": features, "h": state}
        found = []
        for parts in self.parts:
            blocks = {}
            for source, gate, fan_in, k, lead, trail in parts:
                axes = (np.s_[k * state : (k + 1) * state],)
                if fan_in:
                    joint, n = fan_in
                    start = sum(sizes[name] for name in joint[:n])
                    rows = np.s_[start : start + sizes[joint[n]]]
                    axes = (*axes, rows) if self.transposed else (rows, *axes)
                blocks[source, gate] = (*lead, *axes, *trail)
            found.append(blocks)
        return found

    def declared(self):
        """What a guest would declare: kind, weight_blocks, transposed, variant."""
        return {"kind": self.kind, "weight_blocks": self.weight_blocks, "transposed": self.transposed, "variant": self.variant}

    def unclipped(self):
        """The same equations with nothing clipped."""
        return replace(self, variant={name: value for name, value in self.variant.items() if name not in CLIPS})

    def __str__(self):
        """For example: the LSTM equations, gates i f g o, weights transposed, two biases."""
        orders = [letters(self.kind, order) for order in self.orders]
        names = ("gates {}", "of h {}", "of the bias {}")
        gates = [n.format(o) for n, o in zip(names, orders) if n == names[0] or o != orders[0]] if self.kind != "RNN" else []
        words = {"column": "weights transposed", "row": ""}[self.layout.split(",")[0]]
        joint = self.layout.partition(", ")[2]
        extra = [said for key, said in SAID.items() if dict([key]).items() <= self.variant.items()]
        extra += [said.format(self.variant[key]) for key, said in AMOUNTS.items() if self.variant.get(key)]
        extra += [f"but for {' and '.join(self.but)}"] * bool(self.but)
        biases = {"none": "no bias", "one": "one bias", "two": "two biases", "b_hn": "one bias and b_hn"}[self.biases]
        return ", ".join(filter(None, [f"the {self.kind} equations", *gates, joint, words, biases, *extra]))

    def frameworks(self):
        """Names of those that keep their weights so; else of those whose gates have this order."""
        order = letters(self.kind, self.orders[0])
        same = [row for row in FRAMEWORKS if row[1:3] == (self.kind, order) and len(set(self.orders)) <= 1]
        exact = [row[0] for row in same if row[3] == self.layout and row[4] in (self.biases, None)]
        if exact:
            return f"as {' and '.join(dict.fromkeys(exact))} keep{'s' if len(exact) == 1 else ''} them"
        return f"in the order of {' and '.join(dict.fromkeys(row[0] for row in same))}" if same and self.kind != "RNN" else ""


SAID = {
    ("reset", "before"): "reset gate before the matrix product",
    ("update", "old"): "h' = u h + (1 - u) n",
}
AMOUNTS = {
    "forget": "forget gate offset by {:g}",
    "clip": "c clipped at {:g}",
    "clip_pre": "every argument of an activation clipped at {:g}",
}


def distinct(sizes):
    """(features, state), two different ones of these declared sizes; None if there are none, and no shape tells its role.

    FEATURES and STATE, if they are taken, else small ones: of a single unit, all layouts are alike, and two rows may be two biases.
    """
    some = []
    for name, usual in (("features", (FEATURES, STATE, FEATURES + 1)), ("state", (STATE, FEATURES, STATE + 2))):
        known = sorted(declared(sizes, name)) or usual
        some.append(([n for n in (*{FEATURES, STATE} & {*known}, *known) if n > 2] or [n for n in known if n > 1])[:FEW])
    pairs = sorted(product(*some), key=lambda pair: (pair != (FEATURES, STATE), sum(pair)))
    return next((p for p in pairs if p[0] != p[1] and tuple(fit(sizes, dict(zip(("features", "state"), p))).values()) == p), None)


def letters(kind, order):
    """i f o g, r u n: how the gates are called in an order."""
    return " ".join(LETTERS.get(gate, "g" if kind == "LSTM" else "n") for gate in order)


def step(kind, variant, gates, x, state):
    """The next state, in any float or complex dtype. gates: (source, gate) -> block, (fan_in, state) or (state,)."""
    return tuple(tensors(kind, variant, gates, x, state)[f"{name}'"] for name in STATES[kind])


def tensors(kind, variant, gates, x, state):
    """Every tensor of a step by name, (batch, state): z of each gate, its activation, the new state.

    RNN: z, h'. LSTM: i f o g, c', tanh(c'), h'. GRU: r u n, x W_n and h W_n (its halves of z of n, the reset gate not applied), h'.
    """

    limit, memory = (variant.get(name, np.inf) for name in ("clip_pre", "clip"))

    def part(gate):
        a, s = x @ gates["x", gate], state[-1] @ gates["h", gate]
        return a + gates.get(("bias", gate), 0) + gates.get(("bias_x", gate), 0), s + gates.get(("bias_h", gate), 0)

    t = dict(zip(STATES[kind], state))
    if kind == "RNN":
        t["z"] = clipped(sum(part("candidate")), limit)
        t["h'"] = tanh(t["z"])
    elif kind == "LSTM":
        for gate, letter, act in zip(GATES["LSTM"], "ifog", (sigmoid, sigmoid, sigmoid, tanh)):
            z = sum(part(gate)) + (variant.get("forget", 0.0) if gate == "forget" else 0.0)
            t[f"z {letter}"] = clipped(z, limit)
            t[letter] = act(t[f"z {letter}"])
        t["c'"] = clipped(t["f"] * t["c"] + t["i"] * t["g"], memory)
        t["tanh(c')"] = tanh(clipped(t["c'"], limit))
        t["h'"] = t["o"] * t["tanh(c')"]
    else:
        t |= {"z r": clipped(sum(part("reset")), limit), "z u": clipped(sum(part("update")), limit)}
        t |= {"r": sigmoid(t["z r"]), "u": sigmoid(t["z u"])}
        t["x W_n"], t["h W_n"] = part("candidate")
        reset = t["r"] * t["h W_n"]
        if variant.get("reset") == "before":
            reset = (t["r"] * t["h"]) @ gates["h", "candidate"] + gates.get(("bias_h", "candidate"), 0)
        t["z n"] = clipped(t["x W_n"] + reset, limit)
        t["n"] = tanh(t["z n"])
        u = 1 - t["u"] if variant.get("update") == "old" else t["u"]
        t["h'"] = u * (t["n"] - t["h"]) + t["h"]
    return t


def clipped(z, limit):
    """z within +-limit; of complex numbers the real part decides, and the slope beyond it is 0."""
    return z if limit == np.inf else np.where(np.abs(z.real) > limit, np.copysign(limit, z.real), z)


class Run(NamedTuple):
    """A cell, what it was given and what it returned; None for an output that is not compared."""

    cell: Any
    x: np.ndarray
    state: tuple
    outputs: list

    def only(self, k):
        """This run with the output at k alone."""
        kept = self.outputs[k]
        return self._replace(outputs=[y if y is kept else None for y in self.outputs])


def match(spec):
    """How closely the outputs of a convention must agree: in half precision, as closely as it rounds."""
    return max(MATCH, 8 * spec.unit(spec.dtype))


def search(Cell):
    """The Convention that the cell computes, with its rivals; else the nearest one with its `difference`.

    None where the shapes admit none, or the cell cannot be evaluated. A cell of which the last output alone agrees has the
    convention all the same: the law of equations is to refuse the others.
    """
    runs = [_run(Cell, problem) for problem in PROBES]
    if any(run is None for run in runs):
        return None
    far = [run for run in (_run(Cell, problem, BEYOND) for problem in FAR) if run]
    found, nearest = _matching(runs, GATES)
    if not found and len(runs[0].outputs) > 1:
        names = runs[0].cell.spec.output_names
        found, _ = _matching([run.only(-1) for run in runs], [kind for kind in GATES if len(STATES[kind]) == len(runs[0].state)])
        far = [run.only(-1) for run in far]
        found = [
            replace(c, but=tuple(n for k, n in enumerate(names) if not _agrees(c, [run.only(k) for run in runs]))) for c in found
        ]
    best, *rivals = _told_apart(found, far) or [nearest]
    return best and replace(best, rivals=tuple(rivals))


def held_to(Cell, name):
    """The Convention that a framework has for weights of these shapes, of several the one nearest to what the cell returns.

    name: a key of NAMES. None where no cell of the framework has weights of these shapes.
    """
    cell = Cell(*distinct(Cell.sizes))
    runs = [run for run in (_run(Cell, problem) for problem in PROBES) if run]
    rows = [row[1:] for row in FRAMEWORKS if row[0] == NAMES[name]]
    found = []
    for layout in layouts(cell):
        for kind, order, words, biases, variants in rows:
            if (kind, words) == (layout.kind, layout.words) and biases in (layout.biases, None):
                orders = [order_ for order_ in permutations(GATES[kind]) if letters(kind, order_) == order]
                found += [
                    c
                    for o in orders
                    for c in _candidates(layout, [(o, o, o)], cell.spec)
                    if c.variant in variants and not c.swapped
                ]
    measured = [replace(c, difference=max((_difference(c, *run) for run in runs), default=np.inf)) for c in found]
    return min(measured, key=lambda c: c.difference, default=None)


def _agrees(convention, runs):
    """Whether the cell returned what the convention computes."""
    return max(_difference(convention, *run) for run in runs) <= match(runs[0].cell.spec)


def _matching(runs, kinds):
    """All conventions of these kinds that agree with the runs, and the nearest one."""
    found, nearest = [], None
    known = [layout for layout in layouts(runs[0].cell) if layout.kind in kinds]
    for layout in known:
        for candidate in _candidates(layout, [(o, o, o) for o in permutations(GATES[layout.kind])], runs[0].cell.spec):
            nearest = _nearer(nearest, candidate, runs, found)
    if not found:
        for layout in known:  # biases in another order than the matrices: seen in the field
            if nearest and (layout.kind, layout.words) == (nearest.kind, nearest.layout) and layout.biases != "none":
                for order, biases in permutations(permutations(GATES[layout.kind]), 2):
                    nearest = _nearer(nearest, layout.ordered((order, order, biases)), runs, found)
    return found, nearest


def _told_apart(found, far):
    """Those of the conventions that agree best where numbers are large: as they are, or with something clipped.

    All that agree at small numbers if none does there: what is wrong at large ones is for the law of equations.
    """
    if not far or not found:
        return found
    spec = far[0].cell.spec
    rounding = ROUNDING * spec.unit(spec.dtype)
    found = [c for c in found if c.difference <= ROUNDING * max(rounding, min(c.difference for c in found))]
    apart = [max(_difference(c, *run) for run in far) for c in found]
    if min(apart) > rounding:
        limited = [_limited(c, name, far) for c in found for name in CLIPS if c.kind in VARIANTS[name][0]]
        nearer = [c for c in limited if c.difference <= min(match(spec), min(apart) / MUCH)]
        if nearer:
            return nearer
    return [c for difference, c in zip(apart, found) if difference <= match(spec)] or found


def _limited(convention, name, far):
    """The convention with the clip of this name that brings it nearest to what was returned, and its difference there.

    The difference falls towards the true limit from both sides. So the best of LIMITS is refined by golden sections, and then
    given as few digits as make no difference.
    """

    def at(limit):
        other = replace(convention, variant={**convention.variant, name: float(limit)})
        return max(_difference(other, *run) for run in far)

    best = int(np.argmin([at(limit) for limit in LIMITS]))
    low, high = LIMITS[max(best - 1, 0)], LIMITS[min(best + 1, len(LIMITS) - 1)]
    for _ in range(80):
        left, right = high - (high - low) * GOLDEN, low + (high - low) * GOLDEN
        low, high = (low, right) if at(left) < at(right) else (left, high)
    digits = [float(f"{low:.{d}g}") for d in range(1, 17)]
    least = min(map(at, digits))
    limit = next(limit for limit in digits if at(limit) <= 2 * least)
    return replace(convention, variant={**convention.variant, name: limit}, difference=at(limit))


@dataclass(frozen=True)
class Layout:
    """What the shapes say: for each weight its slots.

    A slot is (source, fan-in, place in the order of that source, place on its axis, index before, index after).
    """

    kind: str
    words: str
    biases: str
    slots: tuple

    def ordered(self, orders, variant=None, swapped=False, biases_at=None):
        """The Convention with these orders of the gates of x, h and the biases."""
        order = {"x": orders[0], "h": orders[1], **dict.fromkeys(("bias", "bias_x", "bias_h"), orders[2]), "b_hn": ("candidate",)}
        rename = {"b_hn": "bias_h", **(biases_at or {})}
        parts = tuple(
            tuple((rename.get(source, source), order[source][n], fan_in, *rest) for source, fan_in, n, *rest in weight)
            for weight in self.slots
        )
        return Convention(self.kind, orders, self.words, self.biases, parts, variant or {}, swapped)


def layouts(cell):
    """The layouts that the shapes of its weights admit; if there are none, of those that have an effect."""
    sizes = cell.spec.features, cell.spec.state
    yield from (every := [*_admitted(cell.weights, [True] * len(cell.weights), sizes)])
    if not every:
        yield from _admitted(cell.weights, [w.name not in cell.spec.idle for w in cell.spec.weights], sizes)


def _admitted(weights, read, sizes):
    for words, joint in product(("row", "column"), JOINTS):
        counts, slots = {"x": 0, "h": 0, "bias": 0}, []
        for w, counts_in in zip(weights, read):
            slots.append([])
            roles = (_roles(w.shape, words == "column", joint, sizes) or [(None,) * 5]) if counts_in else []
            for source, fan_in, k, lead, trail in roles:
                slots[-1].append((source, fan_in, counts.get(source), k, lead, trail))
                counts[source] = counts.get(source, 0) + 1
        mixed = any(fan_in and fan_in[0] == joint for weight in slots for _, fan_in, *_ in weight)
        if mixed or joint == JOINTS[0]:
            yield from _layouts(counts, slots, words + (f", [{', '.join(joint)}]" if mixed else ""))


def _layouts(counts, slots, words):
    """Number the biases: none, as many as there are gates, or twice as many, those of x first; b_hn first or last of a GRU."""
    n, biases = counts["x"], counts["bias"]
    hidden = {0: [("none", ())], n: [("one", ())], 2 * n: [("two", range(n, 2 * n))]}.get(biases, [])
    hidden += [("b_hn", [0]), ("b_hn", [n])] if n == 3 and biases == 4 else []
    if None in counts or n not in KIND_OF or counts["h"] != n:
        return

    def named(kind, of_h, source, fan_in, p, *rest):
        if source != "bias" or kind == "one":
            return source, fan_in, p, *rest
        own = {"two": "bias_h", "b_hn": "b_hn"}[kind] if p in of_h else "bias_x"
        return own, fan_in, sum((q in of_h) == (p in of_h) for q in range(p)), *rest

    for kind, of_h in hidden:
        yield Layout(KIND_OF[n], words, kind, tuple(tuple(named(kind, of_h, *slot) for slot in weight) for weight in slots))


def _roles(shape, column, joint, sizes):
    """The slots of one weight: (source, fan-in, gate position on its axis, index before, index after), None if it has no role."""
    (F, S), lead = sizes, ()
    if len(shape) == 3 and shape[0] == 1:
        lead, shape = (0,), shape[1:]
    if len(shape) == 1 and shape[0] % S == 0:
        return [("bias", None, k, lead, ()) for k in range(shape[0] // S)]
    if len(shape) != 2:
        return None
    if shape[0] in (1, 2) and shape[1] % S == 0:
        return [("bias", None, k, (*lead, row), ()) for row in range(shape[0]) for k in range(shape[1] // S)]
    if shape[1] == 1 and shape[0] % S == 0:
        return [("bias", None, k, lead, (0,)) for k in range(shape[0] // S)]
    fan_in, columns = shape[::-1] if column else shape
    held = {F: ("x",), S: ("h",), sum({"1": 1, "x": F, "h": S}[name] for name in joint): joint}.get(fan_in, ())
    slots = [(name, (held, n), k, lead, ()) for n, name in enumerate(held) for k in range(columns // S)]
    return [("bias" if name == "1" else name, *rest) for name, *rest in slots] if columns % S == 0 else None


def _candidates(layout, orders, spec):
    """The conventions of a layout: every order, every variant (or that of the spec), every way to read the biases."""
    variants = {
        "RNN": [{}],
        "LSTM": [{}, {"forget": 1.0}],
        "GRU": [{}, {"update": "old"}, {"reset": "before"}, {"reset": "before", "update": "old"}],
    }[layout.kind]
    if spec.variant:
        variants = [spec.variant] if all(layout.kind in VARIANTS[name][0] for name in spec.variant) else []
    others = {"one": [{"bias": "bias_h"}], "two": [{"bias_x": "bias_h", "bias_h": "bias_x"}]}.get(layout.biases, [])
    two = layout.kind == "LSTM" and len(spec.states) == 2
    for variant, order, swapped in product(variants, orders, (False, True)[: 1 + two]):
        plain = layout.kind != "GRU" or variant.get("reset") == "before"  # all biases of a gate are added up
        for reading in [None, *others][: 1 if plain else None]:
            yield layout.ordered(order, variant, swapped, reading)


def _nearer(nearest, candidate, runs, found):
    """The nearer of the two, with its difference; the candidate joins `found` if it matches."""
    difference, close = 0.0, match(runs[0].cell.spec)
    for run in runs:
        difference = max(difference, _difference(candidate, *run))
        if difference > close and nearest and difference >= nearest.difference:
            return nearest
    candidate = replace(candidate, difference=difference)
    if difference <= close:
        found.append(candidate)
    return nearest if nearest and nearest.difference <= difference else candidate


def _difference(found, cell, x, state, outputs):
    """The largest difference between what the cell returned and what a Convention, or its own CellSpec, computes.

    It is relative where numbers are larger than 1.
    """
    expected = _expected(found, cell, cell.weights, x, state)
    pairs = [(y, e) for y, e in zip(outputs, expected) if y is not None]
    if len(outputs) != len(expected) or any(np.shape(y) != np.shape(e) for y, e in pairs):
        return np.inf
    difference = max(np.max(np.abs(y - e) / np.maximum(1.0, np.abs(e)), initial=0.0) for y, e in pairs)
    return np.inf if np.isnan(difference) else float(difference)


def _expected(found, cell, weights, x, state):
    """The outputs that a Convention, or its own CellSpec, computes from these weights."""
    searched = isinstance(found, Convention)
    blocks = found.weight_blocks(cell.spec.features, cell.spec.state) if searched else found.weight_blocks
    gates, swapped, spec = gates_of(weights, blocks, found.transposed), searched and found.swapped, cell.spec
    names = STATES[found.kind]
    if len(state) != len(names):  # what it does not take it starts from zero
        state = [*[np.zeros((x.shape[-2], cell.spec.state)) for _ in names], *state][-len(names) :]
    new, ys = state[::-1] if swapped else state, []
    for row in x if spec.sequence else [x]:
        new = step(found.kind, found.variant, gates, row, new)
        ys.append(new[-1])
    placed = new[::-1] if swapped else new
    taken = spec.state_names if len(spec.states) == len(names) else names
    named = {**{f"{name}'": s for name, s in zip(taken, placed)}, "ys": np.array(ys)}
    return [new[-1].sum()] if spec.scalar else [named.get(name, np.nan) for name in spec.output_names]


def departure(Cell, found):
    """By how much the cell departs from a Convention where numbers are LARGE, 0.0 if it does not but for rounding.

    A cell that limits its numbers departs gradually as they grow. The rest is left to the laws: a cell that departs at small numbers
    as well, one that jumps, such as a sigmoid that is 0.5 beyond 88, and results that are not finite.
    """

    def ran(problem, beyond=1.0):
        run = _run(Cell, problem, beyond)
        return run and (run.only(-1) if found.but else run)

    if not all(run is None or _rounded(found, *run) for run in map(ran, PROBES)):
        return 0.0
    known = [
        run for run in (ran(*far) for far in LARGE) if run and all(np.all(np.isfinite(y)) for y in run.outputs if y is not None)
    ]
    apart = [run for run in known if not _rounded(found, *run)]
    apart = sorted(apart, key=lambda run: _difference(found, *run))[-FARTHEST:]
    jumps = any(_suddenly(found, run) for run in apart)
    return 0.0 if jumps else max((_difference(found.unclipped(), *run) for run in apart), default=0.0)


def skips(Cell):
    """Whether the cell keeps its states, bit by bit, where x is 0, as a layer does that takes such steps for padding."""
    run = _run(Cell, PROBES[0])
    with contextlib.suppress(Exception):  # of an x that it does not take
        outputs = run.cell.apply(0 * run.x, *(s.copy() for s in run.state)) if run else []
        return bool(outputs and run.state) and all(np.any(s) and np.array_equal(s, y) for s, y in zip(run.state, outputs))
    return False


def _suddenly(found, run):
    """Whether a run that departs from a Convention starts to do so by a jump, as x and the states grow from 0."""

    def smaller(t):
        x, *state = (a * a.dtype.type(t) for a in (run.x, *run.state))
        outputs = run.cell.apply(x, *(s.copy() for s in state))
        outputs = [np.array(new, dtype=float) if y is not None else None for new, y in zip(outputs, run.outputs)]
        return run._replace(x=x, state=tuple(state), outputs=outputs)

    low, high = 0.0, 1.0
    with contextlib.suppress(Exception):  # of numbers that it does not take
        if not _rounded(found, *smaller(low)):
            return False
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if _rounded(found, *smaller(middle)) else (low, middle)
        return _difference(found, *smaller(high)) > SUDDEN
    return False


def _rounded(found, cell, x, state, outputs):
    """Whether the outputs are those of a Convention but for rounding: the bound of the laws, with S of the Convention."""
    spec, expected = cell.spec, _expected(found, cell, cell.weights, x, state)
    unit, rng = spec.unit(spec.dtype), np.random.default_rng(0)
    floor = unit * bound.size_of_outputs(spec, cell.weights, x, state, ())

    def agree(moves):
        compared = [(y, e, m) for y, e, m in zip(outputs, expected, moves) if y is not None]
        return all(np.all(np.abs(y - e) <= bound.FACTOR * (m + floor)) for y, e, m in compared)

    moves, step = [0.0] * len(expected), unit * (spec.features + spec.state)
    for _ in range(0 if agree(moves) else DRAWS):
        weights, (x_, *state_) = (
            [a * (1 + step * rng.choice([-1, 1], a.shape)) for a in some] for some in (cell.weights, (x, *state))
        )
        moved = _expected(found, cell, weights, x_, state_)
        moves = [np.maximum(m, np.max(np.abs(y - e), initial=0.0)) for m, y, e in zip(moves, moved, expected)]
    return agree(moves)


def gates_of(weights, blocks, transposed):
    """(source, gate) -> block: (fan_in, state) of a matrix, (state,) of a bias."""
    found = {}
    for weight, where in zip(weights, blocks):
        for (source, gate), index in where.items():
            block = weight[index]
            found[source, gate] = block.reshape(-1) if source.startswith("bias") else block.T if transposed else block
    return found


def declared_difference(Cell):
    """How far a cell is from the kind and blocks that it declares, at the probes; 0 where it cannot be asked."""
    runs = [run for run in (_run(Cell, problem) for problem in PROBES) if run]
    return max((_difference(run.cell.spec, *run) for run in runs), default=0.0)


def swaps(cell, found):
    """In words, which two gates of its declaration a cell exchanges, against what was found; "" if it is not so simple."""
    pairs = set()
    for weight, said, actual in zip(
        cell.weights, cell.spec.weight_blocks, found.weight_blocks(cell.spec.features, cell.spec.state)
    ):
        entries = np.arange(weight.size).reshape(weight.shape)
        gate_at = {entries[index].tobytes(): gate for (_, gate), index in actual.items()}
        pairs |= {frozenset((gate, gate_at.get(entries[index].tobytes(), gate))) for (_, gate), index in said.items()}
    moved = [sorted(pair) for pair in pairs if len(pair) == 2]
    return f": {' and '.join(moved[0])} are swapped" if len(moved) == 1 else ""


def _run(Cell, problem, beyond=1.0):
    """A cell on one probe, at batch 1 if need be; None where the cell raises or returns other than numbers.

    beyond: by which the large inputs of that regime are multiplied, in others all states but the last.
    """
    for batch in (problem.batch, 1):
        with contextlib.suppress(Exception):
            features, state = distinct(Cell.sizes)
            cell, x, state = replace(problem, batch=batch, features=features, state=state).build(Cell)
            factor = x.dtype.type(beyond)
            if problem.regime == "large inputs":
                x = x * factor
            else:
                state = (*(s * factor for s in state[:-1]), *state[-1:])
            return Run(cell, x, state, [np.array(y, dtype=float) for y in cell.apply(x, *(s.copy() for s in state))])
    return None
