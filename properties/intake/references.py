"""What a cell is held equal to: which other cell, and how the weights of the one become those of the other."""

import os
import re
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from cellcheck.cells import CELLS, adapters, lift, modern
from cellcheck.cells.spec import fit
from cellcheck.properties.intake.conventions import FEATURES, STATE, distinct, gates_of, letters
from cellcheck.properties.intake.loading import GuestError

SIDES = ("bias", "bias_x", "bias_h")


@dataclass(frozen=True)
class Reference:
    """Another cell that a cell must equal at the same numbers.

    label: what it is called; Cell: its Lift; translate: a function (spec, spec of the reference, weights) -> the weights of the
    reference; matched: in words, how weights were matched; states: for each state of the reference the place of the cell's own
    among its states, None for one that starts from zeros; sizes: those that both take.
    """

    label: str
    Cell: Any
    translate: Any
    matched: str
    states: tuple
    sizes: dict
    _linear: dict = field(default_factory=dict)

    def cell(self, spec):
        """A fresh cell of the reference at the sizes of the CellSpec of the other one."""
        return self.Cell(spec.features, spec.state)

    def weights(self, spec, weights):
        """The weights of the reference, in float64, that stand for these of the cell."""
        return [np.array(w, dtype=float) for w in self.translate(spec, self.cell(spec).spec, weights)]

    def back(self, spec, gradients):
        """The gradients of the cell's weights, from those of the reference's: the transpose of `weights`; None if that is not linear."""
        sizes = spec.features, spec.state
        if sizes not in self._linear:
            self._linear[sizes] = transpose(partial(self.weights, spec), [w.shape for w in spec.weights])
        return self._linear[sizes] and [place(gradients) for place in self._linear[sizes]]


def transpose(rearrange, shapes):
    """For each array of these shapes a function that maps gradients of what `rearrange` returns to the gradient of that array.

    None if rearrange does more than to move, add up and multiply by constants. Each entry is labelled by two numbers. Where a
    result holds both, it is that entry, or its negative; what remains is asked entry by entry.
    """
    zeros = [np.zeros(shape) for shape in shapes]
    constant = _flat(rearrange(zeros))

    def moved(k, values):
        return _flat(rearrange([values.reshape(a.shape) if j == k else a for j, a in enumerate(zeros)])) - constant

    rng, found = np.random.default_rng(0), []
    for k, zero in enumerate(zeros):
        n = zero.size
        labels = np.arange(1.0, n + 1), 1.0 + rng.permutation(n)
        one, other = (np.round(moved(k, label), 6) for label in labels)
        rows = np.flatnonzero((one != 0) | (other != 0))
        columns = np.clip(np.abs(one[rows]).astype(int) - 1, 0, max(n - 1, 0))
        factors = np.sign(one[rows])
        if not (
            np.array_equal(factors * labels[0][columns], one[rows]) and np.array_equal(factors * labels[1][columns], other[rows])
        ):
            matrix = np.array([moved(k, unit) for unit in np.eye(n)]).reshape(n, -1)
            columns, rows = np.nonzero(matrix)
            factors = matrix[columns, rows]
        found.append((rows, columns, factors, zero.shape))
    trial = [rng.standard_normal(shape) for shape in shapes]
    expected = constant.copy()
    for (rows, columns, factors, _), a in zip(found, trial):
        np.add.at(expected, rows, factors * a.reshape(-1)[columns])
    if not np.allclose(_flat(rearrange(trial)), expected, 1e-9, 1e-9):
        return None

    def placed(gradients, rows, columns, factors, shape):
        total = np.zeros(int(np.prod(shape)))
        np.add.at(total, columns, factors * _flat(gradients)[rows])
        return total.reshape(shape)

    return [partial(placed, rows=r, columns=c, factors=f, shape=s) for r, c, f, s in found]


def _flat(arrays):
    return np.concatenate([np.ravel(np.asarray(a, dtype=float)) for a in arrays])


def named(text):
    """The factory that a short name means, such as torch:LSTM, keras:GRU, onnx:RNN or cellcheck:MLSTM; None if it is no short name.

    Raises GuestError for an unknown name, or where the framework is not installed.
    """
    source, colon, name = text.partition(":")
    if not colon or source not in SHORT:
        return None
    try:
        known = SHORT[source]()
    except ImportError as error:
        raise GuestError(f"--reference {text}: {error}; install {source}, or name a cell as PATH.py:NAME") from None
    if name not in known:
        raise GuestError(f"--reference {text}: {source} has no {name} here; choose from {', '.join(known)}")
    return known[name]


def _torch():  # pragma: no cover (needs a package beyond the dependencies)
    import torch

    kinds = [kind for step in ("RNN", "LSTM", "GRU") for kind in (step, f"{step}Cell")]
    return {kind: adapters.torch_module(getattr(torch.nn, kind)) for kind in kinds}


def _onnx():  # pragma: no cover (likewise)
    import onnx  # noqa: F401, so that its absence is told here
    from cellcheck.cells.adapters.onnx_cells import operator

    plain = {kind: operator(kind) for kind in ("RNN", "LSTM")}
    return {**plain, "GRU": operator("GRU", linear_before_reset=1), "GRUResetBefore": operator("GRU")}


def _keras():  # pragma: no cover (likewise)
    os.environ.setdefault("KERAS_BACKEND", "jax")
    import keras

    kinds = [kind for step in ("SimpleRNN", "LSTM", "GRU") for kind in (step, f"{step}Cell")]
    return {kind: adapters.keras_layer(partial(_layer, getattr(keras.layers, kind))) for kind in kinds}


def _layer(Layer, features, state):  # pragma: no cover (likewise)
    return Layer(state)


def _own():
    return {Cell.__name__: Cell for Cell in (*CELLS, *modern.MODERN)}


SHORT = {"torch": _torch, "keras": _keras, "onnx": _onnx, "cellcheck": _own}


def referred(Cell, label, Other):
    """The Lift of a cell that must equal another one.

    Cell, Other: both have passed the pre-flight; label: of the other. Raises GuestError, one line, if they cannot be compared.
    """
    try:
        sizes = _both(Cell.sizes, Other.sizes)
        own, other = (_at(C, sizes) for C in (Cell, Other))
        states = _states(own, other)
        move, matched = _matched(own, other)
        _tried(move, own, other)
        _same(move, own, Other)
    except Mismatch as error:
        raise GuestError(f"--reference {label}: {error}") from None
    places = {name: own.states[k].name for name, k in zip(other.state_names, states) if k is not None}
    places |= {b.name: a.name for a, b in zip(own.inputs, other.inputs)}
    places |= {b.name: b.name for b in other.weights} if matched == BY_NAME else {}
    narrowed = {places[a.name]: a.domain for a in other.arrays if a.domain and a.name in places}
    declared = {
        "reference": Reference(label, Other, move, matched, states, sizes),
        "domains": narrowed | {a.name: a.domain for a in own.arrays if a.domain},
        "chunk": own.chunk or other.chunk,
    }
    return lift(Cell, **declared)


class Mismatch(Exception):
    """Why two cells cannot be compared."""


BY_NAME = "weights matched by name"


def _both(ours, theirs):
    """The sizes that two declarations share."""
    found = dict(ours)
    for name, values in theirs.items():
        found[name] = tuple(n for n in found.get(name, values) if n in values)
        if not found[name]:
            raise Mismatch(
                f"it takes {name} {', '.join(map(str, values))}, and the cell {', '.join(map(str, ours[name]))}; no size fits both"
            )
    return found


def _at(Cell, sizes):
    """The spec at sizes at which every role of a weight has its own shape, if they can be had."""
    return Cell.spec(*(distinct(sizes) or fit(sizes, {"features": FEATURES, "state": STATE}).values()))


def _states(own, other):
    """For each state of the other the place of the own one: by name, else in order."""
    if other.scalar and not own.scalar:
        raise Mismatch(f"it returns its {other.scalar} alone; give a cell with apply")
    if (own.scalar == "loss") != (other.scalar == "loss"):
        raise Mismatch("one of the two returns a loss, the other its outputs; give a reference of the same kind")
    if len(own.inputs) != len(other.inputs):
        raise Mismatch(
            f"it takes the inputs {', '.join(a.name for a in other.inputs)}, the cell {', '.join(a.name for a in own.inputs)}"
        )
    by_name = set(own.state_names) <= set(other.state_names)
    if not by_name and len(own.states) != len(other.states):
        raise Mismatch(f"it takes the states {', '.join(other.state_names)}, the cell {', '.join(own.state_names)}")
    places = (
        [own.state_names.index(n) if n in own.state_names else None for n in other.state_names]
        if by_name
        else range(len(own.states))
    )
    pairs = [*zip(own.inputs, other.inputs), *((own.states[k], s) for k, s in zip(places, other.states) if k is not None)]
    for a, b in pairs:
        if a.shape != b.shape:
            raise Mismatch(f"its {b.name} has the shape {b.shape}, that of the cell {a.shape}")
    return tuple(places)


def _matched(own, other):
    """(translate of a Reference, in words how weights were matched): by a given function, by name, by gates or in order."""
    if own.translate:
        return lambda spec, theirs, weights: spec.translate(weights), "weights translated by the given function"
    names = [_plain(w.name) for w in own.weights]
    wanted = [_plain(w.name) for w in other.weights]
    if len(set(names)) == len(names) and sorted(names) == sorted(wanted):
        order = [names.index(name) for name in wanted]
        if [own.weights[k].shape for k in order] == [w.shape for w in other.weights]:
            return lambda spec, theirs, weights: [weights[k] for k in order], BY_NAME
    if own.kind and other.kind and own.weight_blocks and other.weight_blocks:
        if own.kind != other.kind:
            raise Mismatch(f"it computes the {other.kind} equations, the cell those of {own.kind}")
        here, there = (letters(spec.kind, order_of(spec)) for spec in (own, other))
        permuted = f"gates permuted: {here} in the cell, {there} in the reference"
        told = permuted if here != there else f"the same order, {here}"
        return by_gates, f"weights matched by their gates; {told}{', u read as 1 - u' * _flipped(own, other)}"
    if [w.shape for w in own.weights] == [w.shape for w in other.weights]:
        return lambda spec, theirs, weights: list(weights), "weights matched in order, by their shapes"
    ours, theirs = (", ".join(f"{w.name} {w.shape}" for w in spec.weights) for spec in (own, other))
    raise Mismatch(
        f"its weights are {theirs}, those of the cell {ours}; declare translate, a function from the cell's weights to its"
    )


def _plain(name):
    """The name of a weight without what frameworks add to it."""
    return re.sub(r"_l0$|^weights\.|[\[\]]", "", name.lower())


def order_of(spec):
    """The gates in their order in the weights of x."""
    found = {}
    for k, (w, where) in enumerate(zip(spec.weights, spec.weight_blocks)):
        entries = np.arange(int(np.prod(w.shape))).reshape(w.shape)
        found |= {gate: (k, int(entries[index].min())) for (source, gate), index in where.items() if source == "x"}
    return tuple(sorted(found, key=found.get))


def _flipped(own, other):
    """Whether the update gate of one is that of the other subtracted from 1."""
    return own.kind == "GRU" and own.variant.get("update", "new") != other.variant.get("update", "new")


def by_gates(spec, theirs, weights):
    """The weights of a reference of the same kind, gate by gate: biases are added up or split, u and 1 - u exchanged.

    Raises Mismatch where a cell of the reference's kind cannot compute the same.
    """
    parts = gates_of([np.asarray(w, dtype=float) for w in weights], spec.weight_blocks, spec.transposed)
    ours, other = (one.variant.get("reset", "after") for one in (spec, theirs))
    if ours != other and spec.kind == "GRU":
        raise Mismatch(f"the cell applies the reset gate {ours} the matrix product, the reference {other} it")
    flipped = _flipped(spec, theirs)
    offset = spec.variant.get("forget", 0.0) - theirs.variant.get("forget", 0.0)
    sides = {gate: [s for s in SIDES if any((s, gate) in where for where in theirs.weight_blocks)] for _, gate in parts}
    wanted: dict = {}
    for (source, gate), block in parts.items():
        block = -block if flipped and gate == "update" else block
        target = source if source in ("x", "h", *sides[gate]) else next(iter(sides[gate]), None)
        inside = spec.kind == "GRU" and gate == "candidate" and spec.variant.get("reset") != "before"
        if target is None or (inside and source == "bias_h" != target) or (inside and target == "bias_h" != source):
            raise Mismatch(
                f"the cell has a {source.replace('_', ' of ')} at its {gate} gate, for which the reference has no place"
            )
        wanted[target, gate] = wanted.get((target, gate), 0.0) + block
    if offset:
        wanted[sides["forget"][0], "forget"] = wanted[sides["forget"][0], "forget"] + offset
    found = [np.zeros(w.shape) for w in theirs.weights]
    for array, where in zip(found, theirs.weight_blocks):
        for key, index in where.items():
            block = wanted.get(key, np.zeros(1))
            array[index] = (
                block.T
                if theirs.transposed and block.ndim == 2
                else np.broadcast_to(block, array[index].size).reshape(array[index].shape)
                if block.ndim == 1
                else block
            )
    return found


def _same(move, own, Other):
    """Check that the given weights, if there are any, are those that the original holds, or that it computes the same with them."""
    original = Other(own.features, own.state)
    unit = max(own.unit(own.dtype), original.spec.unit(original.spec.dtype))
    moved = move(own, original.spec, own.given) if own.given else original.weights
    for w, a, b in zip(original.spec.weights, moved, original.weights):
        off = np.max(np.abs(np.asarray(a, dtype=float) - b), initial=0.0)
        if not off <= 4 * unit * np.max(np.abs(b), initial=0.0):
            if _alike(original.spec, moved, original.weights, 4 * unit):
                return
            raise Mismatch(f"the two hold other weights: {w.name} differs by up to {off:.3g}; copy the weights first")


def _alike(spec, weights, others, unit):
    """Whether these weights of an RNN, LSTM or GRU are the same but for how a bias is split in two."""

    def summed(arrays):
        found = {}
        for (source, gate), block in gates_of(
            [np.asarray(w, dtype=float) for w in arrays], spec.weight_blocks, spec.transposed
        ).items():
            inside = spec.kind == "GRU" and gate == "candidate" and spec.variant.get("reset") != "before"
            key = ("bias" if source.startswith("bias") and not inside else source), gate
            found[key] = found.get(key, 0.0) + block
        return found

    if not (spec.kind and spec.weight_blocks):
        return False
    ours, theirs = summed(weights), summed(others)
    return all(np.allclose(ours[key], theirs[key], unit, unit * np.max(np.abs(theirs[key]))) for key in theirs)


def _tried(move, own, other):
    """Check what the function returns at small sizes."""
    try:
        moved = [np.shape(w) for w in move(own, other, [np.ones(w.shape) for w in own.weights])]
    except Mismatch:
        raise
    except Exception as error:
        raise Mismatch(f"translate raised {type(error).__name__}: {error}") from None
    if moved != [w.shape for w in other.weights]:
        raise Mismatch(f"translate returns arrays {moved}; wanted {[w.shape for w in other.weights]}")
