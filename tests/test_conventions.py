"""The convention of a guest that declares none is found by numbers, and named; a declaration is held to what is computed."""

import re

import numpy as np
import pytest
from cellcheck.cells import GRU, LSTM, RNN, Unroll, lift
from cellcheck.cells.adapters import adapt
from cellcheck.properties.intake.conventions import GATES, STATES, clipped, gates_of, search, step
from cellcheck.properties.intake.preflight import cleared
from cellcheck.properties.oracles import gradients
from cellcheck.properties.oracles.equations import equations
from cellcheck.properties.test_equations import test_equations_of_the_kind as equations_of_the_kind
from cellcheck.properties.verdicts.blocks import Violation
from cellcheck.strategies import Problem

from tests.cases import broken


def undeclared(Cell):
    """The same cell without its declarations."""

    def make(features, state):
        cell = Cell(features, state)
        bare = type("Bare", (), {"apply": staticmethod(cell.apply), "vjp": staticmethod(cell.vjp)})()
        bare.weights, bare.state_names, bare.sequence = cell.weights, cell.state_names, cell.sequence
        return bare

    return make


SHIPPED = [
    (RNN, "the RNN equations, [x, h], one bias"),
    (LSTM, "the LSTM equations, gates i f o g, [x, h], one bias"),
    (GRU, "the GRU equations, gates r u n, two biases"),
    (Unroll(LSTM), "the LSTM equations, gates i f o g, [x, h], one bias"),
]


@pytest.mark.parametrize(("Shipped", "said"), SHIPPED)
def test_a_shipped_cell_is_recognised(Shipped, said):
    """From its numbers alone, and the blocks found are those that it declares."""
    found = search(lift(undeclared(Shipped)))
    assert str(found) == said
    cell = Shipped(5, 2)
    for weight, ours, theirs in zip(cell.weights, cell.weight_blocks, found.weight_blocks(5, 2)):
        assert {k: weight[i].tolist() for k, i in ours.items()} == {k: weight[i].tolist() for k, i in theirs.items()}


def written(kind, order, layout, biases="one", variant=None):
    """A hand-written step cell, forwards only. layout: "row", "column", "[x, h]", "[h, x]", "[1, x, h]" or "ONNX"."""
    gates, n, variant = (
        [dict(zip("ifogrun", (*GATES["LSTM"], *GATES["GRU"])))[g] for g in order.split()],
        len(order.split()),
        variant or {},
    )

    def make(F, S):
        rows = {"x": slice(0, F), "h": slice(F, None)} if layout == "[x, h]" else {"h": slice(0, S), "x": slice(S, None)}
        if layout.startswith("["):
            weights = {"W": np.zeros((F + S + layout.startswith("[1"), n * S))}
        elif layout == "row":
            weights = {"Wx": np.zeros((F, n * S)), "Wh": np.zeros((S, n * S))}
        else:
            lead = (1,) if layout == "ONNX" else ()
            weights = {"Wx": np.zeros((*lead, n * S, F)), "Wh": np.zeros((*lead, n * S, S))}
        names = {"none": "", "one": "b", "two": "bx bh", "b_hn": "b", "row 0": ""}[biases].split()
        bias = {name: np.zeros(n * S) for name in names} | ({"bhn": np.zeros(S)} if biases == "b_hn" else {})
        weights |= {"b": np.zeros((1, 2 * n * S))} if layout == "ONNX" else bias
        weights["rows"] = rows
        return {name: w for name, w in weights.items() if name != "rows"}

    def blocks(weights, F, S):
        flat = {name: w.reshape(w.shape[-2:]) if w.ndim > 1 and name != "b" else w.reshape(-1) for name, w in weights.items()}
        turned = {name: w.T if w.ndim == 2 and layout in ("column", "ONNX") else w for name, w in flat.items()}
        if biases == "row 0":
            turned["b"], turned["W"] = turned["W"][0], turned["W"][1:]
        x_first = layout.endswith("x, h]")
        Wx = turned["Wx"] if "Wx" in turned else turned["W"][:F] if x_first else turned["W"][S:]
        Wh = turned["Wh"] if "Wh" in turned else turned["W"][F:] if x_first else turned["W"][:S]
        found = {}
        for k, gate in enumerate(gates):
            part = slice(k * S, (k + 1) * S)
            found["x", gate], found["h", gate] = Wx[:, part], Wh[:, part]
            if biases == "two":
                half = turned["b"].reshape(2, -1) if layout == "ONNX" else (turned["bx"], turned["bh"])
                found["bias_x", gate], found["bias_h", gate] = half[0][part], half[1][part]
            elif biases != "none":
                found["bias", gate] = turned["b"][part]
        return found | ({("bias_h", "candidate"): turned["bhn"]} if biases == "b_hn" else {})

    def forward(x, *rest):
        *state, weights = rest
        return step(kind, variant, blocks(weights, x.shape[1], state[0].shape[1]), x, state)

    states = "c h" if kind == "LSTM" else "h"
    return adapt(make, (f"x {states} weights -> {states if kind == 'LSTM' else '*h'}".replace("*h", "h"), _single(forward, kind)))


def _single(forward, kind):
    return forward if kind == "LSTM" else lambda *arguments: forward(*arguments)[0]


WRITTEN = [
    (("LSTM", "i f g o", "row"), "gates i f g o, one bias, as keras keeps them"),
    (("LSTM", "i o f g", "ONNX", "two"), "gates i o f g, weights transposed, two biases, as ONNX keeps them"),
    (("LSTM", "i f g o", "column", "two"), "gates i f g o, weights transposed, two biases, as torch keeps them"),
    (("LSTM", "i g f o", "[x, h]", "one", {"forget": 1.0}), "forget gate offset by 1, as TensorFlow 1 keeps them"),
    (("LSTM", "o g i f", "[h, x]", "none"), "gates o g i f, [h, x], no bias"),
    (("GRU", "u r n", "row", "one", {"update": "old"}), "h' = u h + (1 - u) n, as keras keeps them"),
    (("GRU", "u r n", "row", "one", {"reset": "before", "update": "old"}), "reset gate before the matrix product, h' ="),
    (("GRU", "r u n", "column", "two", {"update": "old"}), "as torch and cuDNN keep them"),
    (("GRU", "u r n", "ONNX", "two", {"reset": "before", "update": "old"}), "as ONNX keeps them"),
    (("GRU", "r u n", "column", "b_hn", {"update": "old"}), "one bias and b_hn, h' = u h + (1 - u) n, as mlx keeps them"),
    (("LSTM", "i f o g", "[1, x, h]", "row 0"), "gates i f o g, [1, x, h], one bias"),
]


@pytest.mark.parametrize(("how", "said"), WRITTEN, ids=lambda v: " ".join(map(str, v)) if isinstance(v, tuple) else "")
def test_a_convention_is_identified_without_a_declaration(how, said):
    """Kind, order, layout, biases and variant, at sizes other than those of the search, too."""
    found = cleared("guest.py:Guest", written(*how))
    assert said in found.notes[0] and found.notes[0].startswith(f"computes the {how[0]} equations")
    equations_of_the_kind.hypothesis.inner_test(Cell=found.Cell, problem=Problem(3, 5, 2, seed=1, scale=1.0))


class Peephole(LSTM):
    """An LSTM whose output gate looks at the new memory: no known convention."""

    def _apply(self, x, c, h):
        c_new, _ = super()._apply(x, c, h)
        *_, o, _ = np.split(self._cache[1], 4, axis=1)
        return c_new, 1 / (1 + np.exp(-o - 0.7 * c_new)) * np.tanh(c_new)


def test_what_matches_none_is_said_with_the_nearest():
    """The equation law stays unasked, and the line has the largest difference."""
    found = cleared("guest.py:Guest", undeclared(Peephole))
    assert found.notes[0].startswith("computes none of the known conventions; nearest is the LSTM equations")
    assert "largest difference 0." in found.notes[0] and found.Cell.spec().kind is None


def tanh_of(make, states="h", fails_beyond=np.inf):
    """A hand-written tanh([x, h] W + b), forwards only, with other weights beside."""

    def forward(x, *state_and_weights):
        *state, weights = state_and_weights
        if x.shape[1] > fails_beyond:
            raise ValueError("too wide")
        h = np.tanh(np.concatenate([x, state[-1]], axis=1) @ weights["W"] + weights["b"])
        return (*state[:-1], h + sum(w.sum() for w in list(weights.values())[2:]))

    signature = f"x {states} weights -> {states}"
    return adapt(
        lambda F, S: {"W": np.zeros((F + S, S)), "b": np.zeros(S), **make(S)},
        (signature, forward if " " in states else lambda *given: forward(*given)[0]),
    )


NO_SHAPES = "convention not verified: the shapes of its weights are those of no RNN, LSTM or GRU"
UNKNOWN = {
    "a vector that is no bias": (tanh_of(lambda S: {"v": np.zeros(S + 1)}), NO_SHAPES),
    "a cube": (tanh_of(lambda S: {"v": np.zeros((2, S, S))}), NO_SHAPES),
    "fails at four features": (tanh_of(lambda S: {}, fails_beyond=3), NO_SHAPES),
    "a state too many": (tanh_of(lambda S: {}, "c h"), "computes none of the known conventions"),
}


@pytest.mark.parametrize("guest", UNKNOWN)
def test_what_cannot_be_compared_is_of_no_known_convention(guest):
    """Nothing is claimed of it."""
    make, said = UNKNOWN[guest]
    found = cleared("guest.py:Guest", make)
    assert found.notes[0] == said and found.Cell.spec().kind is None


class Swapped(LSTM):
    """Declares i f o g and computes i o f g."""

    def _apply(self, x, c, h):
        S = self.state_size
        swapped = np.r_[0:S, 2 * S : 3 * S, S : 2 * S, 3 * S : 4 * S]
        kept, self.W, self.b = (self.W, self.b), self.W[:, swapped], self.b[swapped]
        try:
            return super()._apply(x, c, h)
        finally:
            self.W, self.b = kept


def test_a_swapped_pair_of_gates_is_named():
    """Who declares an order is held to it: the head of the run names the pair, and the law of equations is broken."""
    found = cleared("guest.py:Swapped", Swapped)
    assert found.notes == [
        "declares LSTM, but computes the LSTM equations, gates i o f g, [x, h], one bias: forget and output are swapped"
    ]
    with pytest.raises(Violation):
        equations_of_the_kind.hypothesis.inner_test(Cell=found.Cell, problem=Problem(2, 3, 2, scale=1.0))


class OutputFirst:
    """An LSTM whose states are (h, c)."""

    state_names = ("h", "c")

    def __init__(self, features, state):
        self.cell = LSTM(features, state, rng=0)
        self.weights = self.cell.weights

    def apply(self, x, h, c):
        """(h', c')."""
        return self.cell.apply(x, c, h)[::-1]

    def vjp(self, dh, dc):
        """The states in the same order."""
        weights, dx, state = self.cell.vjp(dc, dh)
        return weights, dx, state[::-1]


def test_states_in_the_other_order_leave_the_convention_unverified():
    """As torch has them: the other laws draw both alike, and hold."""
    found = cleared("guest.py:OutputFirst", OutputFirst)
    assert found.notes[0].startswith(
        "convention not verified: it computes the LSTM equations, gates i f o g, [x, h], one bias, but"
    )
    assert "its states are ordered h, c, the output first; to verify the equations, put the output last: c, h" in found.notes[0]
    assert found.Cell.spec().kind is None
    assert all(b.verdict != "violated" for part in ("weights", "state") for b in gradients(found.Cell, Problem(2, 3, 2), part))


@pytest.mark.parametrize("declared", [{}, {"weight_blocks": lambda F, S: LSTM(F, S).weight_blocks}])
def test_states_in_the_other_order_are_refused_of_a_cell_that_declares_its_kind(declared):
    """The law of equations would take c for h."""
    with pytest.raises(Exception, match="its states are ordered h, c, the output first; wanted the output last: c, h"):
        cleared("guest.py:OutputFirst", lift(OutputFirst, kind="LSTM", **declared))


class Gist:
    """A gist-style LSTM with gates f i o g: its sum is enough to find them."""

    def __init__(self, features, state):
        self.W, self.b = np.zeros((features + state, 4 * state)), np.zeros((1, 4 * state))
        self.weights = [self.W, self.b]

    def forward(self, x, c, h):
        """The sum of the new hidden state."""
        self.x, self.c, self.h = x, c, h
        self.f, self.i, self.o, self.g = np.split(np.concatenate([x, h], axis=1) @ self.W + self.b, 4, axis=1)
        self.f, self.i, self.o = (1 / (1 + np.exp(-z)) for z in (self.f, self.i, self.o))
        self.g = np.tanh(self.g)
        self.t = np.tanh(self.f * c + self.i * self.g)
        return (self.o * self.t).sum()

    def backward(self, d):
        """The forget gate is not differentiated through its sigmoid: the defect."""
        dc = d * self.o * (1 - self.t**2)
        f, i, o, g = self.f, self.i, self.o, self.g
        dz = np.hstack([dc * self.c * f, dc * g * i * (1 - i), d * self.t * o * (1 - o), dc * i * (1 - g**2)])
        return [np.concatenate([self.x, self.h], axis=1).T @ dz, dz.sum(axis=0, keepdims=True)]


def test_what_is_found_names_the_gate_at_fault():
    """A wrong gradient of a guest that declared nothing is blamed on its forget gate."""
    found = cleared("guest.py:Gist", Gist)
    assert found.notes[0].startswith("computes the LSTM equations, gates f i o g, [x, h], one bias")
    wrong = {b.name for b in gradients(found.Cell, Problem(2, 3, 2, scale=1.0), "weights") if b.verdict == "violated"}
    assert wrong == {"W forget gate", "b forget gate"}


class Forgetful(Gist):
    """Starts from c = 0 in each call."""

    def forward(self, x, h):
        """The sum of the new hidden state."""
        return super().forward(x, np.zeros_like(h), h)


def test_a_memory_that_is_not_taken_is_said():
    """It is found by starting from c = 0, and makes no law of equations."""
    found = cleared("guest.py:Forgetful", Forgetful)
    assert found.notes[0].startswith("computes the LSTM equations, gates f i o g, [x, h], one bias, from c = 0 in each call")
    assert found.Cell.spec().memory and found.Cell.spec().kind is None


VARIANTS = [
    *((GRU, v) for v in ({}, {"update": "old"}, {"reset": "before"}, {"reset": "before", "update": "old"}, {"clip_pre": 0.5})),
    *(
        (LSTM, v)
        for v in ({}, {"forget": 1.0}, {"clip": 0.25}, {"clip_pre": 0.5}, {"clip": 0.25, "clip_pre": 0.5, "forget": 1.0})
    ),
    *((RNN, v) for v in ({}, {"clip_pre": 0.5})),
]


@pytest.mark.parametrize(("Shipped", "variant"), VARIANTS, ids=str)
def test_two_evaluations_of_a_variant_agree(Shipped, variant):
    """The search and the law of equations were written apart, and say the same of every variant; each says something of its own."""
    cell, x, state = Problem(3, 4, 2, scale=1.0).build(lift(Shipped, variant=variant))
    gates = gates_of(cell.weights, cell.spec.weight_blocks, cell.spec.transposed)
    found = step(cell.spec.kind, variant, gates, x, state)
    for ours, theirs in zip(found, equations(cell, x, state)):
        assert np.allclose(ours, theirs, rtol=0, atol=1e-12)
    assert not variant or not np.allclose(found[-1], step(cell.spec.kind, {}, gates, x, state)[-1], rtol=0, atol=1e-3)


CLIPPED = [
    ("LSTM", "i f g o", {"clip": 50.0}),
    ("LSTM", "i f g o", {"clip_pre": 7.3125}),
    ("LSTM", "i f g o", {"clip": 3.0, "forget": 1.0}),
]
CLIPPED += [("RNN", "n", {"clip_pre": 10.0}), ("GRU", "u r n", {"clip_pre": 20.0, "update": "old"})]


@pytest.mark.parametrize(("kind", "order", "variant"), CLIPPED, ids=str)
def test_a_clip_is_found_with_its_limit(kind, order, variant):
    """However many digits that has, and however little it changes."""
    found = search(lift(written(kind, order, "row", "one", variant)))
    assert found.variant == variant and not found.rivals


@pytest.mark.parametrize("limit", [np.inf, 3.0])
def test_a_complex_number_is_clipped_by_its_real_part(limit):
    """And has no slope beyond the limit."""
    z = np.array([-4.0, -1.0, 2.0, 5.0])
    slopes = clipped(z + 1e-100j, limit).imag / 1e-100
    assert np.array_equal(clipped(z, limit), np.clip(z, -limit, limit))
    assert np.allclose(slopes, 1.0 if limit == np.inf else [0, 1, 1, 0])


def of_its_own(kind, order, before=lambda z: z, after=lambda z: z):
    """A hand-written cell of this kind, forwards only. before: what is done to x first; after: to the first state at the end."""

    def make(F, S):
        cell = written(kind, order, "row", "one")(F, S)

        def apply(x, *state):
            new = cell.apply(before(x), *state)
            return (after(new[0]), *new[1:])

        guest = type("Guest", (), {"apply": staticmethod(apply), "state_names": STATES[kind], "gradients": ()})()
        guest.weights = cell.weights
        return guest

    return make


def within(limit):
    """Clips at +-limit."""
    return lambda z: np.clip(z, -limit, limit)


DEPARTING = {
    "x clipped": of_its_own("LSTM", "i f g o", before=within(5.0)),
    "x clipped far away": of_its_own("RNN", "n", before=within(100.0)),
    "x and c clipped": of_its_own("LSTM", "i f g o", before=within(5.0), after=within(3.0)),
    "c clipped on its way in alone": of_its_own("LSTM", "i f g o", after=lambda c: np.where(c > 8.0, 0.5 * c + 4.0, c)),
}


def test_a_kind_that_was_found_is_not_held_against_a_layer_that_skips_padding():
    """As one does that keeps h where all of a row is 0."""

    def forward(x, h, W, U, b):
        kept, new = (x == 0).all(1)[:, None], np.tanh(x @ W + h @ U + b)
        return np.where(kept, h, new), (kept, new)

    def backward(dh, x, h, W, U, given):
        kept, new = given
        dz = np.where(kept, 0, dh * (1 - new * new))
        return dz @ W.T, np.where(kept, dh, 0) + dz @ U.T, x.T @ dz, h.T @ dz, dz.sum(0)

    def make(F, S):
        return {"W": np.zeros((F, S)), "U": np.zeros((S, S)), "b": np.zeros(S)}

    found = cleared("a.py:B", adapt(make, ("x h W U b -> h given", forward), ("dh x h W U given -> dx dh dW dU db", backward)))
    assert found.Cell.spec().kind is None
    assert "but keeps its states where x is 0, as masking does; if it should not, declare kind" in found.notes[0]


@pytest.mark.parametrize("guest", DEPARTING)
def test_a_kind_that_was_found_is_not_held_against_a_cell_that_departs_from_it(guest):
    """Who declares no kind may clip what he likes: the law of equations is not verified, which is said."""
    found = cleared("guest.py:Guest", DEPARTING[guest])
    assert re.match(r"convention not verified: it computes the \w+ equations, .*, but differs by up to \d", found.notes[0])
    assert "clipped at" not in found.notes[0] and found.Cell.spec().kind is None
    assert "where numbers are large, as if some were clipped" in found.notes[0]


def test_a_kind_that_was_found_is_held_against_a_cell_that_is_a_little_off():
    """At all numbers, the small ones included: no design, but a slip of the fifth digit."""
    found = cleared("guest.py:Guest", of_its_own("GRU", "u r n", after=lambda h: np.round(h, 5)))
    assert found.notes[0].startswith("computes the GRU equations")
    assert broken(found.Cell, ["equations_of_the_kind"]) == {"equations_of_the_kind"}


def test_a_cell_that_raises_at_some_numbers_departs_all_the_same():
    """Such as at x = 0, where its departure begins."""

    def refusing(x):
        if not np.any(x):
            raise ValueError("x is 0")
        return np.clip(x, -5.0, 5.0)

    found = cleared("guest.py:Guest", of_its_own("LSTM", "i f g o", before=refusing))
    assert found.notes[0].startswith("convention not verified: it computes the LSTM equations")


JUMPING = {
    "0.5 beyond 88": lambda z: np.where(np.abs(z) > 88, 0.5, 1 / (1 + np.exp(-z))),
    "0 beyond 40": lambda z: np.where(np.abs(z) > 40, 0.0, 1 / (1 + np.exp(-z))),
}


@pytest.mark.parametrize("fault", JUMPING)
def test_a_sigmoid_that_jumps_is_held_to_the_equations(fault):
    """No design: the kind stays, and the law of equations is broken."""

    def forward(x, h, W, U, b):
        r, u, n = np.split(x @ W + b, 3, axis=1)
        s_r, s_u, s_n = np.split(h @ U, 3, axis=1)
        u = JUMPING[fault](u + s_u)
        return u * (np.tanh(n + JUMPING[fault](r + s_r) * s_n) - h) + h

    def make(F, S):
        return {"W": np.zeros((F, 3 * S)), "U": np.zeros((S, 3 * S)), "b": np.zeros(3 * S)}

    found = cleared("guest.py:Guest", adapt(make, ("x h W U b -> h", forward)))
    assert found.notes[0].startswith("computes the GRU equations")
    assert broken(found.Cell, ["equations_of_the_kind"]) == {"equations_of_the_kind"}


def test_a_kind_that_is_declared_is_held_against_a_cell_that_departs_from_it():
    """Of which the weights alone were found."""
    make = DEPARTING["x clipped far away"]
    found = cleared("guest.py:Guest", lift(make, kind="RNN"))
    assert found.notes[0].startswith("computes the RNN equations") and found.Cell.spec().kind == "RNN"
