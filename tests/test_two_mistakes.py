"""Cells with more than one mistake, or with one that small sizes hide: each law is told of what breaks it."""

from dataclasses import replace

import numpy as np
import pytest
from cellcheck.cells import lift
from cellcheck.cells.adapters import adapt
from cellcheck.properties.intake.catalogue import laws
from cellcheck.properties.reports import overview
from cellcheck.properties.reports.diagnosis import Attempts, cut_states, diagnose, overflown
from cellcheck.properties.reports.diagnosis.grown import PLAIN
from cellcheck.strategies import Problem

from tests.cases import holds
from tests.test_told_to_strangers import case_of, told


def rnn(bias="sum", turned=False, limit=np.inf, dtype=float):
    """h' = clip(x W + h U + b); the bias may keep its rows or get no gradient, U may be not transposed, the clip forgotten."""

    def forward(x, h, W, U, b):
        z = x @ W + h @ U + b
        return np.where(np.abs(z.real) < limit, z, np.sign(z.real) * limit), (x, h)

    def backward(d, W, U, kept):
        x, h = kept
        db = {"sum": d.sum(0), "rows": d, "none": None}[bias]
        return d @ W.T, d @ (U if turned else U.T), x.T @ d, h.T @ d, db

    def make(F, S):
        return {"W": np.zeros((F, S), dtype), "U": np.zeros((S, S), dtype), "b": np.zeros(S, dtype)}

    return lift(adapt(make, ("x h W U b -> h kept", forward), ("dh W U kept -> dx dh dW dU db", backward)))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    ("bias", "shape"),
    [
        ("rows", "the gradient of b has shape (3, 5) instead of (5,): it is not summed over the batch of 3"),
        ("none", "no gradient of b is returned; if it has no gradient by design, declare no_gradient = ('b',)"),
    ],
)
def test_a_gradient_of_a_wrong_shape_hides_no_other_mistake(bias, shape, dtype):
    """The law of weights is told of the shape, that of states of the matrix."""
    Cell = rnn(bias, turned=True, dtype=dtype)
    assert told(Cell, "weight_gradients").startswith(shape)
    other = told(Cell, "state_gradients")
    assert "transposing" in other if bias == "rows" else "wrong is the gradient of h" in other


def test_what_small_sizes_hide_does_not_explain_a_case_of_one_unit():
    """A matrix of one number has no transpose: what breaks the law there is the clip."""
    large = replace(
        Problem(1, 1, 1, seed=3).literal(rnn()), x=np.array([[3.0]]), weights=[np.ones((1, 1)), np.ones((1, 1)), np.array([40.0])]
    )
    for Cell in (rnn(turned=True, limit=2.0), rnn(turned=True, limit=30.0)):
        assert "transposing" in told(Cell, "state_gradients")
    case = case_of(rnn(turned=True, limit=30.0), "input_gradients", replace(large, given=[(np.ones((1, 1)),)] * 2))
    [said] = diagnose(case, Attempts())[0]
    assert said.startswith("the law holds on 12 problems of these sizes with ordinary numbers, and breaks with b up to 40")


def test_equal_errors_at_one_place_are_one_cause():
    """Also those of a law about which nothing is said."""

    def row(law, sentences, blame="raised IndexError: pop from empty list at a.py:9"):
        finding = {"sentences": sentences, "blame": blame, "path": None, "page": None, "name": "Cell", "size": 1}
        return {"cell": "a.py:B", "law": law, "group": "purity", "verdict": "hazard", "reason": "", "finding": finding}

    rows = [row("one", ["a second vjp raises"]), row("two", []), row("three", [], "raised IndexError: other at a.py:10")]
    said = "\n".join(overview.lines(rows))
    assert said.index("one:") < said.index("two:") < said.index("no known mistake") < said.index("three:")


def test_what_an_adapter_hands_to_backward_again_is_a_copy():
    """The caller may write into it; a cell that keeps it itself is told of that."""

    def backward(d, x, y, W):
        dz = d * (1 - y * y)
        return dz @ W.T, x.T @ dz

    def make(F, S):
        return {"W": np.zeros((F, S))}

    again = adapt(
        make,
        ("x W -> y", lambda x, W: np.tanh(x @ W)),
        ("dy x y W -> dx dW", backward),
        output="y",
    )
    keeps = adapt(
        make,
        ("x W -> y kept", lambda x, W: (np.tanh(x @ W), [x])),
        ("dy kept y W -> dx dW", lambda dy, kept, y, W: backward(dy, kept[0], y, W)),
        output="y",
    )
    assert holds(lift(again), "inputs_are_the_callers") and holds(lift(again), "outputs_are_the_callers")
    assert not holds(lift(keeps), "inputs_are_the_callers")


def test_a_state_that_is_cut_between_steps_is_told():
    """Where no_gradient names a state that is no constant: over one step, its gradients are right."""

    def forward(x, c, h, W):
        new = 0.5 * c + x @ W
        return new, np.tanh(new) + 0.1 * h, (x, new)

    def backward(dh, W, kept):
        x, new = kept
        dz = dh * (1 - np.tanh(new) ** 2)
        return dz @ W.T, 0.1 * dh, x.T @ dz

    def make(F, S):
        return {"W": np.zeros((F, S))}

    Cell = lift(adapt(make, ("x c h W -> c h kept", forward), ("dh W kept -> dx dh dW", backward), no_gradient=("c",)))
    problem = next(p for p in (Problem(1, 1, 1, seed=s, scale=0.5) for s in range(20)) if _fails(Cell, p))
    [said] = cut_states(case_of(Cell, "input_gradients", problem.literal(Cell)))
    assert said.startswith("gradients are right over one step and wrong over ") and said.endswith(
        "let vjp take the upstream of c'"
    )
    assert cut_states(case_of(rnn(turned=True), "state_gradients", PLAIN.literal(rnn()))) == []


def _fails(Cell, problem):
    try:
        laws()["input_gradients"].check(Cell=Cell, problem=problem)
    except AssertionError:
        return True
    return False


def test_all_numbers_that_make_a_result_infinite_together_are_told():
    """Each alone does no harm."""

    def forward(x, h, a, b):
        y = np.exp(a) * np.exp(b) * 0 + h + x.sum(1, keepdims=True)
        return y, x

    def backward(d, x):
        return d.sum(1, keepdims=True) + 0 * x, d, 0 * d[0], 0 * d[0]

    def make(F, S):
        return {"a": np.zeros(S), "b": np.zeros(S)}

    Cell = lift(adapt(make, ("x h a b -> h x", forward), ("dh x -> dx dh da db", backward)))
    p = replace(Problem(1, 1, 1, seed=3).literal(Cell), weights=[np.array([400.0]), np.array([400.0])])
    [said] = overflown(case_of(Cell, "outputs_are_finite", p))
    assert "with a = 400 and b = 400, and h' is not finite" in said and said.endswith(
        'domains = {"a": (low, high), "b": (low, high)}'
    )


RATE = 0.3


def test_a_factor_is_told_by_the_constant_of_the_source_that_it_is():
    """Or by which it divides; a number is no name."""

    def forward(x, h, W):
        s = np.tanh(x @ W)
        return h + RATE * (s - 2.0 * h), (x, s)

    def backward(d, W, kept):
        x, s = kept
        dz = d * (1 - s * s)
        return dz @ W.T, d * (1 - 2 * RATE), x.T @ dz

    def make(F, S):
        return {"W": np.zeros((F, S))}

    Cell = lift(adapt(make, ("x h W -> h kept", forward), ("dh W kept -> dx dh dW", backward)))
    assert "lacks the factor `RATE`: this predicts" in told(Cell, "weight_gradients")
