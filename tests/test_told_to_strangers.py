"""What cells of strangers have been told wrongly, or not at all: each now has its sentence, or its verdict."""

import dis
import math
import os
import re
import signal
import sys
import time
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
from cellcheck.cells import GRU, LSTM, RNN, lift
from cellcheck.cells.adapters import adapt
from cellcheck.cells.adapters.ragged import takes_lengths
from cellcheck.cells.copying import deepcopied
from cellcheck.cells.lift import by_signal
from cellcheck.properties.intake import conventions, preflight
from cellcheck.properties.intake.catalogue import laws
from cellcheck.properties.intake.loading import GuestError, load
from cellcheck.properties.intake.preflight import cleared
from cellcheck.properties.intake.surroundings import restored
from cellcheck.properties.mutants.judge import drawn
from cellcheck.properties.reports import Case
from cellcheck.properties.reports.diagnosis import REPEATED, Attempts, diagnose, emptied, flow, misguided, ordinary, unbearable
from cellcheck.properties.reports.diagnosis.conduct import narrow
from cellcheck.properties.reports.diagnosis.flow_faults import flow_faults
from cellcheck.properties.reports.diagnosis.gradients import factor, gradient_faults, of_one, where_a_size_is_one, whereabouts
from cellcheck.properties.reports.diagnosis.grown import PLAIN, grown
from cellcheck.properties.reports.diagnosis.promises import handed_on, kept_weights
from cellcheck.properties.reports.diagnosis.sequence import later, padding
from cellcheck.properties.reports.diagnosis.tape import Untold
from cellcheck.properties.shrinking.shrinking import Subject, smallest
from cellcheck.properties.verdicts.blocks import Block, Violation
from cellcheck.strategies import Problem

from cellcheck import check
from cellcheck.subjects import label
from tests.cases import broken, fails
from tests.guests.joined import joined

pytestmark = pytest.mark.filterwarnings("ignore")  # of numbers that overflow in guests


def cell(function, derivative, b=None):
    """A cell h' = f(z) with z = x W + h + b; derivative: (z, y) -> f'; b: (d, row sum of d) -> the gradient of b."""

    def forward(x, h, W, b):
        z = x @ W + h + b
        return function(z), (x, z)

    def backward(d, W, kept):
        x, z = kept
        dz = d * derivative(z, function(z))
        return dz @ W.T, dz, x.T @ dz, dz.sum(0) if b is None else b(dz)

    def make(F, S):
        return {"W": np.zeros((F, S)), "b": np.zeros(S)}

    return lift(adapt(make, ("x h W b -> h kept", forward), ("dh W kept -> dx dh dW db", backward)))


def case_of(Cell, law, problem):
    """The Case of a law that a cell breaks on this problem."""
    check = laws()[law].check
    with np.errstate(all="ignore"), pytest.raises(Violation) as failed:
        check(Cell=Cell, problem=problem)
    return Case("a.py:B", law, laws()[law].group, "", check, Cell, problem, failed.value)


def told(Cell, law="weight_gradients", problem=PLAIN):
    """What is said first of a law that a cell breaks on this problem."""
    tried = Attempts()
    sentences, _ = diagnose(case_of(Cell, law, problem.literal(Cell)), tried)
    assert not tried.faults
    return sentences[0] if sentences else ""


def tanh(z):
    """Of complex numbers as well."""
    return np.tanh(z)


def test_a_constant_with_too_few_digits_is_told_by_how_far_it_is_off():
    """As a sixth in float32, or an epsilon in a derivative."""
    right = cell(tanh, lambda z, y: 1 - y * y)
    assert gradient_faults(grown(right, PLAIN), Attempts()) == ([], True)
    rounded = told(cell(lambda z: z / 6 + tanh(z), lambda z, y: float(np.float32(1 / 6)) + 1 - tanh(z) ** 2))
    assert rounded.startswith("the gradient is off by only ") and rounded.endswith("on the way has the precision of float32")
    off = told(cell(tanh, lambda z, y: 1 - y * y + 1e-10))
    assert off.startswith("the gradient is off by only ") and off.endswith(
        "an epsilon, a tiny term too much, or a constant with too few digits"
    )


def test_a_size_of_one_at_which_a_cell_raises_is_told():
    """As where squeeze takes an axis that is needed; nothing is said of a cell that takes such sizes."""
    right, lost = cell(tanh, lambda z, y: 1 - y * y), cell(np.squeeze, lambda z, y: 1 + 0 * z)
    assert narrow(grown(right, PLAIN)) == []
    [sentence] = narrow(grown(lost, PLAIN))
    assert re.fullmatch(
        r"it raises ValueError: .* where batch is 1, and not where it is more: an axis of length 1 is lost", sentence
    )


def clipping(limit):
    """h' = relu(x W + clip(h) + b), whose backward pass forgets the clip."""

    def forward(x, h, W, b):
        y = np.maximum(x @ W + np.clip(h.real, -limit, limit) + b, 0)
        return y, y

    def backward(d, x, W, y):
        dz = d * (y > 0)
        return dz @ W.T, dz, x.T @ dz, dz.sum(0)

    return adapt(
        lambda F, S: {"W": np.zeros((F, S)), "b": np.zeros(S)}, ("x h W b -> h y", forward), ("dh x W y -> dx dh dW db", backward)
    )


def test_states_beyond_one_are_drawn_for_cells_whose_h_is_not_bounded():
    """In every run; that of a known kind stays within 1."""
    problem = Problem(3, 2, 4, seed=1, scale=1.0, regime="large states")
    assert fails(laws()["state_gradients"], lift(clipping(2.0)), problem)
    largest = [np.max(np.abs(problem.build(Cell)[2][-1])) for Cell in (lift(clipping(2.0)), RNN, LSTM)]
    assert largest[0] > 10 and max(largest[1:]) <= 1
    assert any(p.regime == "large states" and p.scale == 1 for p in Problem(2, 2, 2, seed=5).family())


def test_python_that_overflows_is_told_with_the_number():
    """With the line, and the declaration that excludes it; not for an error that has nothing to do with large numbers."""

    def cell_of(function):
        return lift(
            adapt(
                lambda F, S: {"b": np.zeros(S)},
                ("x h b -> h", lambda x, h, b: np.array([[function(v) for v in row] for row in h + b])),
            )
        )

    law = laws()["outputs_are_finite"].check
    Cell = cell_of(lambda v: 1 / (1 + math.exp(-v)))
    problem, error = smallest(law, Cell, next(p for p in drawn("outputs_are_finite") if Subject(law, Cell).failure(p)))
    [sentence] = unbearable(Case("a.py:Cell", "outputs_are_finite", "stability", "", law, Cell, problem, error))
    assert re.match(r"it raises OverflowError: math range error in `.*` \(.*\) with b = -7\d\d, and not with -1\.", sentence)
    assert sentence.endswith('or declare domains = {"b": (low, high)}')
    other = replace(Case("a.py:Cell", "outputs_are_finite", "stability", "", law, Cell, problem, error), error=ValueError("no"))
    assert unbearable(other) == []


def test_a_final_state_that_is_the_initial_one_is_told():
    """Which no step has reached."""

    def forward(x, h, W):
        ys = [h]
        for row in x:
            ys.append(np.tanh(row @ W + ys[-1]))
        return h, np.array(ys[1:]).reshape(len(x), *h.shape)

    Cell = lift(adapt(lambda F, S: {"W": np.zeros((F, S))}, ("x h W -> h ys", forward), axes="steps batch features"))
    assert later(grown(Cell, PLAIN)) == ["h' is the initial h: it is what was given, bit for bit, after 12 steps"]


def test_hidden_flags_are_a_hazard():
    """A cell that changes how NumPy handles errors hides its own."""

    def forward(x, h, W):
        np.seterr(all="ignore")
        return np.tanh(x @ W + h)

    Cell = adapt(lambda F, S: {"W": np.zeros((F, S))}, ("x h W -> h", forward))
    assert check(Cell, "quick", "no_flag_but_underflow").verdicts == {"no_flag_but_underflow": "hazard"}


def test_an_operator_without_weights_is_asked_for_its_other_gradients():
    """A workspace that vjp returns each time is seen there, too."""

    class Decay:
        """h' = h / 2 + x, its gradients in one array for ever."""

        weights = ()
        state_names = ("h",)

        def __init__(self, features, state):
            self.sizes, self.room = {"features": ("state",)}, None

        def apply(self, x, h):
            return (h / 2 + x,)

        def vjp(self, d):
            if self.room is None or self.room.shape != d.shape:
                self.room = np.empty(d.shape)
            self.room[...] = d / 2
            return [], 2 * self.room, (self.room,)

    found = check(Decay, "quick", ["gradients_are_the_callers", "a_second_vjp_is_answered"]).verdicts
    assert found == {"gradients_are_the_callers": "hazard", "a_second_vjp_is_answered": "held"}


@pytest.mark.parametrize(
    ("sizes", "wanted"),
    [
        ({}, (4, 3)),
        ({"state": (8, 16), "features": (8,)}, (8, 16)),
        ({"features": (5,)}, (5, 3)),
        ({"state": (2, 4, 8)}, (3, 4)),
        ({"state": (1, 8)}, (3, 8)),
    ],
)
def test_a_convention_is_found_at_declared_sizes(sizes, wanted):
    """Of which the features and the units differ, and are more than two if they can be."""
    assert conventions.distinct(sizes) == wanted
    found = conventions.search(lift(GRU, sizes=sizes, kind=None, weight_blocks=None))
    assert found and found.kind == "GRU" and found.difference < 1e-8


@pytest.mark.parametrize("sizes", [{"state": (8,), "features": (8,)}, {"features": ("state",)}, {"state": (1,)}])
def test_some_sizes_admit_no_search(sizes):
    """No shape tells its role there, and a framework's order cannot be required."""
    assert conventions.distinct(sizes) is None and conventions.distinct({"state": (2,), "features": range(1, 10**6)}) == (3, 2)
    with pytest.raises(GuestError, match=r"^convention torch: at the sizes of .* its shapes do not tell features from units"):
        check(lift(GRU, sizes=sizes, kind=None, weight_blocks=None), "quick", "vjp_scales", convention="torch")


def test_a_state_that_is_finite_within_one_alone_is_drawn_there():
    """With a line that says so; a declared domain has its own word."""

    def cell(**declared):
        def backward(d, x, h, W, y):
            dz = d * (1 - y * y)
            return dz @ W.T, dz / (1.5 + h), x.T @ dz

        def forward(x, h, W):
            y = np.tanh(np.log(1.5 + h) + x @ W)
            return y, y

        passes = ("x h W -> h y", forward), ("dh x h W y -> dx dh dW", backward)
        return adapt(lambda F, S: {"W": np.zeros((F, S))}, *passes, **declared)

    found = check(cell(), "quick", ["state_gradients", "outputs_are_finite"])
    assert found and any(
        note.startswith("h is drawn within 1: beyond it, the cell returns no finite numbers") for note in found.notes
    )
    assert broken(lift(cell(domains={"h": (-40, 40)})), ["outputs_are_finite"], n=300) == {"outputs_are_finite"}


def test_a_state_that_is_handed_on_explains_no_gradient():
    """It is what was given, as it should be."""

    def forward(x, c, h, W):
        ys = [h]
        for row in x:
            ys.append(np.tanh(row @ W + c * ys[-1]))
        return c, ys[-1], np.array(ys[1:]).reshape(len(x), *h.shape)

    g = grown(
        lift(adapt(lambda F, S: {"W": np.zeros((F, S))}, ("x c h W -> c h ys", forward), axes="steps batch features")), PLAIN
    )
    assert later(g, alone=True) == [] and later(g) == ["c' is the initial c: it is what was given, bit for bit, after 12 steps"]


def test_what_a_cell_changes_around_it_is_put_back(tmp_path):
    """And named: standard streams, the working directory, how NumPy handles errors. Streams stay open."""
    home, stream, handling = os.getcwd(), sys.stdout, np.geterr()
    with restored() as changed:
        np.seterr(over="raise")
        os.chdir(tmp_path)
        sys.stdout.close()
        sys.stderr.buffer.close()
    assert changed == ["sys.stdout or sys.stderr", "the floating-point error handling of NumPy", "the working directory"]
    assert (os.getcwd(), sys.stdout, np.geterr()) == (home, stream, handling) and not stream.closed


def test_a_law_that_ordinary_numbers_keep_is_told_with_the_large_one():
    """With the declaration that excludes such numbers; not where the law breaks for others, too."""
    large = replace(
        Problem(1, 1, 1, seed=3).literal(cell(tanh, tanh)), x=np.array([[-400.0]]), weights=[np.ones((1, 1)), np.zeros(1)]
    )
    case = case_of(cell(lambda z: z * z, lambda z, y: 2 * np.clip(z, -200, 200)), "input_gradients", large)
    said = "the law holds on 12 problems of these sizes with ordinary numbers, and breaks with x down to -400; if numbers are never so large"
    assert ordinary(case) == [f'{said}, declare domains = {{"x": (low, high)}}']
    assert ordinary(case_of(cell(lambda z: z * z, lambda z, y: z), "input_gradients", large)) == []


def test_a_clip_is_told_by_its_limit():
    """However large the upstreams are that it takes."""
    Cell = cell(tanh, lambda z, y: 1 - y * y, b=lambda dz: np.clip(dz, -1000, 1000).sum(0))
    problem = Problem(1, 1, 1, seed=1, scale=0.1).literal(Cell)
    large = replace(problem, given=[tuple(1e6 * u for u in us) for us in problem.given])
    assert told(Cell, problem=large).startswith("what flows back is clipped at 1000: with an upstream of about ")


def test_rows_beyond_the_first_are_told():
    """Of a batch that is larger than the one on which mistakes are told apart."""
    Cell = cell(tanh, lambda z, y: 1 - y * y, b=lambda dz: dz[:4].sum(0))
    sentence = told(Cell, problem=Problem(9, 2, 2, seed=1))
    assert sentence.startswith("the gradient of b is that of the first 4 of 9 rows alone")


@pytest.mark.parametrize(
    ("b", "said"),
    [
        (lambda dz: np.abs(dz).sum(0) + 1, "; wrong is the gradient of b, and right are those of W, x and h"),
        (
            lambda dz: dz.sum(0) + np.abs(dz).sum(0) * (np.arange(dz.shape[1]) > 2),
            "; wrong is the gradient of b (in units from 3 on), and",
        ),
    ],
)
def test_where_gradients_are_wrong_is_told_without_a_cause(b, said):
    """Of what no mistake explains."""
    assert whereabouts(grown(cell(tanh, lambda z, y: 1 - y * y, b=b), PLAIN))[0].startswith(f"no known mistake matches{said}")
    assert whereabouts(grown(cell(tanh, lambda z, y: 1 - y * y), PLAIN)) == []
    all_wrong = "no known mistake matches; all gradients are wrong (W, b, x and h): half of their entries are 0.533 to "
    assert whereabouts(grown(cell(tanh, lambda z, y: 1 - abs(y)), PLAIN))[0].startswith(all_wrong)


def test_the_rows_steps_and_gates_that_are_wrong_are_told():
    """Of a sequence whose weights are those of two gates."""

    def forward(x, h, W):
        hs, n = [h], h.shape[1]
        for xt in x:
            z = xt @ W
            hs.append(hs[-1] / 2 + np.sin(z[:, :n]) * np.cos(z[:, n:]))
        return hs[-1], np.array(hs)[1:], x

    def backward(dh, dys, x, h, W):
        dx, dW, n = np.zeros_like(x), np.zeros_like(W), h.shape[1]
        for t in range(len(x))[::-1]:
            dh = dh + dys[t]
            z = x[t] @ W
            s, c = z[:, :n], z[:, n:]
            dz = np.concatenate([dh * np.cos(s) * np.cos(c), -dh * np.sin(s) * np.sin(c) * (1 + (np.abs(c) < 0.5))], 1)
            dx[t], dW, dh = dz @ W.T * (1 + (t == 2) * np.sign(x[t])), dW + x[t].T @ dz, dh / 2
        return dx, dh, dW

    Cell = adapt(
        lambda F, S: {"W": np.zeros((F, 2 * S))},
        ("x h W -> h ys cache", forward),
        ("dh dys x h W -> dx dh dW", backward),
        axes="steps batch features",
    )
    assert whereabouts(grown(lift(Cell), PLAIN)) == [
        "no known mistake matches; wrong are the gradients of W (in gate 1 of its gates 0 to 1) and x, and right is that of h"
    ]


def test_a_sum_over_units_is_told():
    """Each of which has a gradient of its own."""
    Cell = cell(tanh, lambda z, y: 1 - y * y, b=lambda dz: dz.sum() + 0 * dz[0])
    assert told(Cell).startswith("the gradient of b is summed over axis 0 as well, where each entry has a gradient of its own")


def test_a_surrogate_gradient_is_told():
    """With what can be verified in its place."""
    Cell = cell(lambda z: 1.0 * (z.real > 0), lambda z, y: 1 / (1 + z * z))
    sentence = told(Cell)
    assert sentence.startswith(
        "h' takes the values 0 and 1 alone, so its derivative is 0, and the gradients are not; if it is a surrogate"
    )


class Normalised:
    """h' = x r / |r| + x s / |s|, or with the gradient of a wrong norm where `eps`, which no output has."""

    def __init__(self, features, state, eps=0.0):
        self.r, self.s, self.eps = np.zeros(features), np.zeros(features), eps
        self.weights = [self.r, self.s]

    def apply(self, x, h):
        """Both norms are 1e-3 at least if there is an eps."""
        self.x, self.n = x, [np.sqrt((w * w).sum() + self.eps) for w in self.weights]
        return (h + (x @ (self.r / self.n[0] + self.s / self.n[1]))[:, None],)

    def vjp(self, d):
        """Without the eps."""
        found, dx = [], 0
        for w in self.weights:
            n = np.sqrt((w * w).sum())
            u, g = w / n, (self.x * d.sum(1, keepdims=True)).sum(0)
            found.append((g - u * (u @ g)) / n)
            dx = dx + d.sum(1, keepdims=True) * u
        return found, dx, (d,)


def test_two_arrays_that_are_zero_and_make_nan_are_told():
    """And no others that are zero as well; in vjp alone, no declaration is proposed."""
    problem = replace(PLAIN, scale=0.0)
    sentence = told(lift(Normalised), "outputs_are_finite", problem)
    assert sentence.startswith("r = s = 0 makes NaN, as of 0 / 0") and sentence.endswith('{"r": "non-zero", "s": "non-zero"}')
    unseen = lift(lambda features, state: Normalised(features, state, 1e-6))
    [sentence] = emptied(case_of(unseen, "gradients_are_finite", problem.literal(unseen)))
    assert sentence == "r = s = 0 makes NaN in vjp alone, as of 0 / 0: what apply returns is finite there"


class Gist:
    """tanh(x W + h U), summed; what the third call adds is kept."""

    def __init__(self, features, state):
        self.W, self.U = np.zeros((features, state)), np.zeros((state, state))
        self.weights, self.calls = [self.W, self.U], 0

    def forward(self, x, h):
        """The sum."""
        self.calls += 1
        self.kept = x, h, np.tanh(x @ self.W + h @ self.U)
        return self.kept[2].sum() + (self.calls > 2)

    def backward(self, d):
        """Of the weights."""
        x, h, y = self.kept
        dz = self.upstream(d) * (1 - y * y)
        return [x.T @ dz, h.T @ dz]

    def upstream(self, d):
        """What is used of it."""
        return d


def test_what_changes_after_some_calls_is_told():
    """Of a cell that returns a sum, too, which hands no state on."""
    assert handed_on(grown(lift(Gist), PLAIN)) == []
    sentence = told(lift(Gist), "a_used_cell_equals_a_fresh_one")
    assert sentence == "a third identical apply returns another sum, by 1: something is kept from the call before"


def test_an_ignored_upstream_is_no_factor():
    """Of a single number, everything is a multiple."""
    Ignores = type("Ignores", (Gist,), {"upstream": lambda self, d: 1.0, "calls": property(lambda self: 0, lambda self, n: None)})
    assert told(lift(Ignores)).startswith("the upstream is ignored: for one of ")


def test_a_sum_of_weights_that_have_no_gradient_may_be_split():
    """A sequence that offers gradients of x and its state alone, or has no weights."""

    class Sum:
        sequence, gradients = True, ("x", "state")

        def __init__(self, features, state):
            self.W = np.zeros((features, state))
            self.weights = [self.W]

        def apply(self, x, h):
            hs = [h.copy()]
            for step in x:
                hs.append(hs[-1] / 2 + step @ self.W)
            self.steps = len(x)
            return hs[-1].copy(), np.array(hs[1:]).reshape(len(x), *h.shape)

        def vjp(self, dh, dys):
            dx = [None] * self.steps
            for t in reversed(range(self.steps)):
                dh = dh + dys[t]
                dx[t], dh = dh @ self.W.T, dh / 2
            return None, np.array(dx).reshape(self.steps, len(dh), len(self.W)), (dh,)

    assert broken(cleared("a.py:Sum", Sum).Cell, {"vjp_of_a_sequence_may_be_split"}, n=10) == set()


def test_a_unit_that_is_rarely_active_is_no_copy():
    """At the few problems of the pre-flight it may be dead, while its gradient, which is wrong, is not."""

    def forward(x, h, W, b):
        return np.maximum(x @ W + h - 3, 0) + b, (x, x @ W + h)

    def backward(d, W, kept):
        x, z = kept
        return (d * (z > 0)) @ W.T, d * (z > 0), x.T @ (d * (z > 0)), d.sum(0)

    def make(F, S):
        return {"W": np.zeros((F, S)), "b": np.zeros(S)}

    sizes = {"batch": 1, "features": 1, "state": 1}
    Cell = adapt(make, ("x h W b -> h kept", forward), ("dh W kept -> dx dh dW db", backward), sizes=sizes)
    assert broken(cleared("a.py:Cell", Cell).Cell, {"weight_gradients"}, n=25) == {"weight_gradients"}


def test_a_fault_that_a_sum_hides_is_made_small():
    """Of a whole array along a direction, some number is expected; of one row alone, it is 0."""

    def derivative(z, y):
        return 1.0 * (np.abs(z) < 9)  # of relu

    Cell, law = cell(lambda z: z * (z.real > 0), derivative), laws()["input_gradients"].check
    literal, error = smallest(law, Cell, Problem(65, 5, 1, seed=3))
    assert (literal.batch, literal.recipe.features, literal.recipe.state) == (1, 1, 1)
    assert error.blocks[0].expected == 0
    assert Subject(law, Cell).failure(literal)


@pytest.mark.parametrize(
    ("name", "source", "said"),
    [
        ("a.txt", "class Base: pass", "a.txt is no Python file; name one that ends in .py"),
        ("a.py", "raise KeyboardInterrupt", "importing a.py raised KeyboardInterrupt, at a.py:1"),
    ],
)
def test_what_cannot_be_loaded_is_one_line(name, source, said, tmp_path):
    """And no end without a word."""
    (tmp_path / name).write_text(source)
    with pytest.raises(GuestError) as refused:
        load(f"{name}:Base", tmp_path)
    assert said in str(refused.value)


def test_an_interrupt_by_hand_goes_on(tmp_path):
    """It ends the run, as the user wants; one that a cell raises is an error of the cell."""
    (tmp_path / "a.py").write_text("import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(9)")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt) as ended:
            load("a.py:Base", tmp_path)
    finally:
        signal.signal(signal.SIGINT, before)
    assert by_signal(ended.value) and "RAISE_VARARGS" in dis.opmap

    class Interrupts(Gist):
        def forward(self, x, h):
            raise KeyboardInterrupt

    with pytest.raises(RuntimeError, match="the cell raised KeyboardInterrupt"):
        Problem(1, 1, 1).build(Interrupts)[0].apply(np.zeros((1, 1)), np.zeros((1, 1)))


def test_an_interrupt_by_hand_passes_through_a_cell():
    """Also where it is called as a cell."""

    class Interrupted(Gist):
        def forward(self, x, h):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(9)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            Problem(1, 1, 1).build(Interrupted)[0].apply(np.zeros((1, 1)), np.zeros((1, 1)))
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("name", ["MOST", "ENTRIES"])
def test_what_is_too_large_is_not_followed(name, monkeypatch):
    """Its operations, or their slopes, take too long."""
    monkeypatch.setattr(flow, name, 2)
    with pytest.raises(Untold, match="are too"):
        flow.Flow(grown(cell(tanh, lambda z, y: 1 - y * y), PLAIN))
    assert flow_faults(grown(cell(tanh, lambda z, y: 1 - y), PLAIN), {"b": np.ones(1)}, {"b": np.zeros(1)}) == []


def test_an_effect_of_a_weight_is_not_looked_for_forever(monkeypatch):
    """Nor where the cell raises, or returns what is not finite."""

    def moves(forward):
        Cell = lift(adapt(lambda F, S: {"W": np.zeros((F, S))}, ("x h W -> h", forward)))
        return preflight._moves(Cell, 0)

    assert moves(lambda x, h, W: np.tanh(x @ W + h)) and not moves(lambda x, h, W: h + 0 * (x @ W))
    assert not moves(lambda x, h, W: h + np.nan * (x @ W)) and not moves(lambda x, h, W: h @ x)
    monkeypatch.setattr(preflight, "PATIENCE", -1.0)
    assert not moves(lambda x, h, W: np.tanh(x @ W + h))


def test_a_call_takes_lengths_if_it_has_such_a_parameter():
    """Unless that is an input; and a function in C may have no signature."""
    assert takes_lengths(lambda x, h, lengths: x, {}) and not takes_lengths(lambda x, h: x, {})
    assert not takes_lengths(lambda x, lengths, h: x, {"inputs": ("x", "lengths")}) and not takes_lengths(dict.fromkeys, {})
    assert not takes_lengths(min, {})


def test_a_gist_that_is_wrong_by_the_number_of_steps_is_told_so():
    """Whatever its loss divides by."""

    class Long(Gist):
        sequence = True

        def forward(self, x, h):
            self.kept = x, np.tanh(x @ self.W)
            return self.kept[1].sum() + 0 * h.sum() + 0 * self.U.sum()

        def backward(self, d):
            x, y = self.kept
            dz = len(x) * d * (1 - y * y)
            return [np.tensordot(x, dz, ((0, 1), (0, 1))), 0 * self.U]

    said = factor(grown(lift(Long), PLAIN), 4.0, np.ones(3))
    assert said == "4 times too large, as many as there are steps (factor 4)"


class Listed:
    """Its arrays are in a list."""

    def __init__(self, features, state):
        self.params = [np.zeros((features, state))]


def square(x, h, W):
    """Of code whose rows are rows."""
    return np.tanh(x @ W + h)


@pytest.mark.parametrize(
    ("Guest", "said"),
    [
        (
            adapt(lambda F, S: {"W": np.zeros((F, S))}, ("x h W -> h", square), axes="features batch"),
            "declare the order of its axes, or sizes =",
        ),
        (adapt(Gist, ("x h -> h", lambda _, x, h: (h,))), "say which are weights, as weights='W U', or weights='' if none is"),
        (adapt(Listed, ("x h -> h", lambda _, x, h: (h,))), "it has no weights: say where an object keeps them"),
        (
            type("Many", (Gist,), {"sizes": {"batch": (10**9,)}}),
            "give some up to 16777216: larger problems do not fit into memory",
        ),
        (type("Unwritten", (Gist,), {"backward": None}), "backward is None; delete it, or write it as a method"),
        (
            type(
                "Method", (), {"weights": lambda self: [], "__init__": lambda self, F, S: None, "forward": lambda self, x, h: 0.0}
            ),
            "weights is a method; wanted a list of arrays; if it returns one, write @property above it",
        ),
        (
            type("Dict", (Gist,), {"backward": lambda self, d: {"W": self.W}}),
            "backward returned a dict; wanted a list of arrays, one for each of W, U",
        ),
    ],
)
def test_a_wrong_declaration_is_one_line(Guest, said):
    """Before any law."""
    with pytest.raises(GuestError) as refused:
        cleared("a.py:Cell", Guest)
    assert said in str(refused.value)


def test_what_an_adapter_made_is_called_as_where_it_is_bound(tmp_path, monkeypatch):
    """In the module that was loaded first; the script itself comes last, and what is bound nowhere has no file."""
    made = adapt(lambda F, S: {"W": np.zeros((F, S))}, ("x h W -> h", square))
    assert label(made, tmp_path) == "adapted"
    for name in ("bound_first", "bound_second"):
        module = ModuleType(name)
        module.Made, module.__file__ = made, str(tmp_path / f"{name}.py")
        monkeypatch.setitem(sys.modules, name, module)
    assert label(made, tmp_path) == "bound_first.py:Made"


def test_a_compiled_function_is_not_copied():
    """One of numba's, which the standard library pickles to find the same one again."""
    base = {"__module__": "numba.core.dispatcher", "__reduce__": lambda self: (dict, ())}
    kind = type("CPUDispatcher", (type("Dispatcher", (), base),), {})
    function = kind()
    assert deepcopied([function], {})[0] is function


class GistStyle:
    """h' = tanh([x, h] W + b), in the gist's contract; `bias` sums the gradient of z, `clip` limits that of W."""

    bias, clip = staticmethod(lambda dz: dz.sum(0)), np.inf

    def __init__(self, input_features, state_size):
        self.W, self.b = np.zeros((input_features + state_size, state_size)), np.zeros(state_size)
        self.weights = [self.W, self.b]

    def forward(self, x, h):
        self.X = np.concatenate([x, h], axis=1)
        self.y = np.tanh(self.X @ self.W + self.b)
        return self.y.sum()

    def backward(self, d_output):
        dz = d_output * (1 - self.y**2)
        return [np.clip(self.X.T @ dz, -self.clip, self.clip), self.bias(dz)]


def mixed(mistake=None):
    """h' = a h + (1 - a) (x B) + h / sqrt(s) with a = sigmoid(k)."""

    def forward(x, h, B, k, s):
        a, root = 1 / (1 + np.exp(-k)), np.sqrt(s)
        return a * h + (1 - a) * (x @ B) + h / root, (a, root)

    def backward(dh, x, h, B, kept):
        a, root = kept
        d = dh * (1 - a)
        dk = (dh * (h - x @ B)).sum(0) * a * (1 - a)
        ds = (dh * h * -0.5 / root**3).sum(0)
        dB, back = x.T @ (dh if mistake == "factor" else d), dh if mistake == "root" else dh / root
        return d @ B.T, a * dh + back, dB, dk / (dk.size * len(x) if mistake == "mean" else 1), ds

    def make(F, S):
        return {"B": np.zeros((F, S)), "k": np.zeros(S), "s": np.full(S, 2.0)}

    passes = ("x h B k s -> h kept", forward), ("dh x h B kept -> dx dh dB dk ds", backward)
    return lift(adapt(make, *passes, domains={"s": "positive"}))


@pytest.mark.parametrize(
    ("Cell", "said"),
    [
        (mixed("factor"), "the gradient of `B` through `x @ B` (line"),
        (mixed("root"), "is not divided by `root`"),
        (mixed("mean"), "the gradient of k is the mean over batch and units instead of the sum"),
        (cell(lambda z: -np.log1p(np.exp(-z)), lambda z, y: np.exp(y)), "is taken as 1 minus what it is"),
    ],
    ids=["factor", "root", "mean", "complement"],
)
def test_a_factor_is_told_by_what_it_lacks(Cell, said):
    """The other factor of a product of one weight alone, a divisor, or a share of the sum; a derivative and 1 minus it."""
    assert gradient_faults(grown(mixed(), replace(PLAIN, seed=1)), Attempts())[1]
    (first, *_), right = gradient_faults(grown(Cell, PLAIN), Attempts())
    assert said in first and not right


def test_what_is_wrong_where_two_sizes_are_equal_is_told():
    """A matrix is turned only where it is square."""

    class Square(GistStyle):
        def backward(self, d_output):
            dW, db = super().backward(d_output)
            F, S = len(dW) - len(db), len(db)
            dW[:F] = dW[:F].T if F == S else dW[:F]
            return [dW, db]

    assert where_a_size_is_one(lift(Square)) == [
        "gradients are right at batch 3, features 4 and state 5, and wrong where features and state are both 6 (W)"
    ]


def test_a_cell_that_goes_on_from_its_last_call_keeps_no_copy_of_its_weights():
    """Though its outputs move after they are changed."""

    class Going(GistStyle):
        last = 0.0

        def forward(self, x, h):
            self.last = super().forward(x, h + self.last)
            return self.last

    assert kept_weights(grown(lift(Going), PLAIN)) == []


def test_a_feature_in_the_place_of_a_unit_is_told_as_that():
    """Not as a size of 1 that is taken for another."""
    assert told(lift(GistStyle), "features_in_the_place_of_units_are_refused").startswith(
        "apply takes a feature in the place of a unit, as [x, h] then has its right width"
    )


def layers(F, S):
    """The weights of two layers, a dict for each in a list."""
    return [{"W": np.zeros((n, S)), "U": np.zeros((S, S))} for n in (F, S)]


def deep(x, h, layers):
    """h' = tanh(tanh(x W1) W2 + h U2), with h U1 in the first."""
    one, two = layers
    a = np.tanh(x @ one["W"] + h @ one["U"])
    return np.tanh(a @ two["W"] + h @ two["U"]), a


def deep_back(dh, x, h, layers, a, y):
    """Gradients in the same lists."""
    one, two = layers
    d = dh * (1 - y * y)
    da = d @ two["W"].T * (1 - a * a)
    dlayers = [{"W": x.T @ da, "U": h.T @ da}, {"W": a.T @ d, "U": h.T @ d}]
    return da @ one["W"].T, da @ one["U"].T + d @ two["U"].T, dlayers


def test_weights_may_be_a_list_of_dicts():
    """As of one for each layer; their names are paths."""
    passes = ("x h weights -> h a", deep), ("dh x h weights a h' -> dx dh dweights", deep_back)
    Cell = lift(adapt(layers, *passes))
    assert [w.name for w in Cell.spec().weights] == ["0.W", "0.U", "1.W", "1.U"]
    assert not broken(Cell, ["weight_gradients", "state_gradients", "changed_weights_count"])


def test_a_loss_without_a_backward_of_its_own_refuses_to_answer_before_it_was_asked():
    """And a state that no loss depends on is refused: no law of sequences would tell."""

    def loss(x, h, W, used=True):
        e = np.tanh(x @ W + h * used)
        d = e * (1 - e * e)
        return 0.5 * np.sum(e * e), x.T @ d

    Cell = lift(adapt(lambda F, S: {"W": np.zeros((F, S))}, ("x h W -> loss dW", loss)))
    with pytest.raises(ValueError, match="nothing was applied yet"):
        Cell(2, 3).vjp(np.array(1.0))
    with pytest.raises(GuestError, match="h has no effect on what it returns; use what it takes, or do not take it"):
        cleared(
            "a.py:Cell", adapt(lambda F, S: {"W": np.zeros((F, S))}, ("x h W -> loss dW", lambda x, h, W: loss(x, h, W, False)))
        )


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        ({"clip": 1e-3}, "the gradient of W is clipped at 0.001; if that is meant, declare choices = {'clip': 0.001}"),
        ({"bias": staticmethod(lambda dz: dz[0])}, "the gradient of b is that of row 0 alone, not summed over the batch of 3"),
        ({"bias": staticmethod(lambda dz: dz[1:].sum(0))}, "the gradient of b leaves out row 0 of the batch"),
    ],
)
def test_clips_and_rows_of_cells_that_return_a_sum_are_told(kept, said):
    """What comes back is clipped, whatever the upstream; rows have no upstream of their own, but can be asked alone."""
    (first, *_), _ = gradient_faults(grown(lift(type("Bent", (GistStyle,), kept)), PLAIN), lambda look, *_: look())
    assert first.startswith(said)


class Careless:
    """h' = sigmoid(x W + h + b), which overflows on the way; vjp uses the memory of its upstream."""

    def __init__(self, input_features, state_size):
        self.weights = [np.zeros((input_features, state_size)), np.zeros(state_size)]
        self.kept = []

    def apply(self, x, h):
        self.kept.clear()  # before it is known whether x can be multiplied
        y = 1 / (1 + np.exp(-(x @ self.weights[0] + h + self.weights[1])))
        self.kept[:] = [x, y]
        return y

    def vjp(self, d):
        x, y = self.kept
        d *= y * (1 - y)
        return [x.T @ d, d.sum(0)], d @ self.weights[0].T, (d.copy(),)


@pytest.mark.parametrize(
    ("law", "said"),
    [
        ("what_is_given_stays_as_it_is", "vjp writes into the upstream of h', which belongs to the caller"),
        ("read_only_arrays_are_accepted", "vjp writes into the upstream of h', which belongs to the caller"),
        ("no_flag_but_underflow", "overflow encountered in exp, first in `y = 1 / (1 + np.exp(-("),
        ("a_refusal_changes_nothing", "after an apply that raises, here for x of shape (3, 5), vjp raises ValueError"),
        ("inputs_are_the_callers", "the cell keeps x itself, not a copy"),
    ],
)
def test_a_cell_that_writes_where_it_must_not_is_told_what_comes_of_that_and_what_does_not(law, said):
    """A law that holds behind copies is broken by what is written; any other for a reason of its own."""
    Cell, check = lift(Careless), laws()[law].check
    for seed in range(40):
        batch, scale = 3 if "refusal" in law else 1, 600.0 if "flag" in law else 1.0
        problem = Problem(batch=batch, features=2, state=2, seed=seed, scale=scale).literal(Cell)
        with np.errstate(all="ignore"):
            try:
                check(Cell=Cell, problem=problem)
            except Exception as error:
                case = Case("a.py:B", law, laws()[law].group, "", check, Cell, problem, error)
                break
    tried = Attempts()
    (first, *_), _ = diagnose(case, tried)
    assert first.startswith(said) and not tried.faults


def test_the_sentences_of_a_cell_behind_copies_are_kept_for_its_case():
    """Those of what is wrong besides: the panels may take too long."""

    class Doubled(Careless):
        def vjp(self, d):
            weights, dx, (dh,) = super().vjp(d)
            return weights, 2 * dx, (dh,)

    case = case_of(lift(Doubled), "input_gradients", PLAIN.literal(lift(Doubled)))
    sentences, _ = diagnose(case, Attempts())
    assert sentences == case.sentences and "counted twice" in sentences[0]


def test_a_refused_call_that_replaces_what_is_kept_is_told():
    """Vjp answers, with the gradients of the call that was refused."""

    class Replaced(Careless):
        def apply(self, x, h):
            self.scale = 1.0 + x.size
            return self.scale * np.tanh(x @ self.weights[0] + h)

        def vjp(self, d):
            return [np.zeros_like(w) for w in self.weights], 0 * d @ self.weights[0].T, (self.scale * d,)

    (told, *_), _ = diagnose(case_of(lift(Replaced), "a_refusal_changes_nothing", PLAIN.literal(lift(Replaced))), Attempts())
    assert told.startswith("after an apply that raises, here for x of shape (3, 5), vjp returns another gradient of h, by ")


def test_an_output_that_is_only_undeclared_does_not_make_gradients_wrong():
    """The sequence law is told of it, the gradient law of what is wrong with the gradient."""

    def forward(xs, c, W):
        cs, ys = [], []
        for x in xs:
            c = np.tanh(x @ W + c)
            cs.append(c)
            ys.append(2 * c)
        return c, np.array(ys).reshape(len(xs), *c.shape), cs

    def backward(dc, dys, xs, W, cs):
        dW, dxs = np.zeros_like(W), np.zeros_like(xs)
        for t in range(len(cs))[::-1]:
            dc = (dc + 2 * dys[t]) * (1 - cs[t] ** 2)
            dW, dxs[t] = dW + xs[t].T @ dc, -dc @ W.T
        return dxs, dc, dW

    passes = ("x c W -> c ys kept", forward), ("dc dys x W kept -> dx dc dW", backward)
    Cell = lift(adapt(lambda F, S: {"W": np.zeros((F, S))}, *passes, axes="steps batch features"))
    assert told(Cell, "a_sequence_is_its_steps").startswith("ys[t] is not c' after step t; if ys is an output")
    assert "has the wrong sign" in told(Cell, "input_gradients")


def test_numbers_that_are_lost_are_not_put_down_to_a_gradient_that_is_wrong():
    """Where infinity or NaN breaks the law, and the wrong gradient is a number."""

    class Bare(Careless):
        def apply(self, x, h):
            self.kept = [x, h]
            return np.exp(x @ self.weights[0] + h)

        def vjp(self, d):
            return [np.zeros_like(w) for w in self.weights], d @ self.weights[0].T, (d * np.exp(2 * self.kept[1]),)

    Cell = lift(Bare)
    large = replace(Problem(batch=1, features=1, state=1).literal(Cell), state=(np.array([[400.0]]),))
    assert told(Cell, "gradients_are_finite", large).startswith("something overflows, first in `return [np.zeros_like(w)")

    class Compiled(Bare):
        def vjp(self, d):
            with np.errstate(all="ignore"):  # as what is not NumPy, this raises no flag
                return super().vjp(d)

    said = told(lift(Compiled), "gradients_are_finite", large)
    assert said.startswith(
        "the gradient of h is not finite with h = 400, but is with 1. Compute it so that it stays finite, or declare domains"
    )


def test_a_gradient_of_x_that_runs_backwards_is_among_what_is_tried():
    """Of sequences whose steps cannot be followed."""
    g = grown(lift(joined("turned")), PLAIN)
    assert dict(of_one(g, "x", g.claims()["x"], g.truth()))["runs backwards in time"].shape == g.p.x.shape


def test_a_state_and_its_matrix_that_count_for_nothing_are_refused():
    """As where the initial state is replaced by zeros."""

    def forward(x, h, W, U):
        return np.tanh(x @ W + (0 * h) @ U)

    Cell = adapt(lambda F, S: {"W": np.zeros((F, S)), "U": np.zeros((S, S))}, ("x h W U -> h", forward))
    with pytest.raises(GuestError, match="h and U have no effect on what it returns; use what it takes"):
        cleared("a.py:Cell", Cell)


def test_of_many_names_the_closest_are_listed(tmp_path):
    """Not all of a long module."""
    (tmp_path / "many.py").write_text("\n".join(f"class Cell{n}:\n    pass" for n in range(30)))
    with pytest.raises(GuestError, match=r"has no Cell33; it has Cell3, Cell\d+, .* and 22 more"):
        load("many.py:Cell33", tmp_path)


def test_an_operator_without_weights_and_gradients_may_be_compared_with():
    """If it says that it has none."""

    class Leaky:
        weights, gradients = [], ()

        def __init__(self, F, S):
            pass

        def apply(self, x, h):
            return 0.5 * h + x.sum(1, keepdims=True)

    assert cleared("a.py:Leaky", Leaky).Cell.spec().forward_only


class Holder:
    """Arrays as attributes."""

    def __init__(self, F, S):
        self.W = np.zeros((F, S))

    def step(self, x, h):
        return np.tanh(x @ self.W + h)


def test_an_object_whose_weights_are_not_named_is_refused():
    """It would be taken for an operator without weights; that can be said."""
    with pytest.raises(GuestError, match="holds the array W, and weights= is missing; say which are weights, as weights='W'"):
        cleared("a.py:Cell", adapt(Holder, ("x h -> h", "step")))
    assert lift(adapt(Holder, ("x h -> h", "step"), weights="")).spec().weights == ()


def test_a_score_that_is_spread_over_the_units_and_a_weight_without_axes_are_no_trouble():
    """Of a product that broadcasts, and of a scalar weight, the diagnosis says what is wrong."""

    def forward(x, h, W, w, a):
        s = h @ w
        return np.tanh(x @ W + s * h + a * h), s

    def backward(dh, x, h, W, w, a, s, y):
        d = dh * (1 - y * y)
        ds = (d * h).sum(1, keepdims=True)
        return d @ W.T, d * (s + a) + 0.3 * ds @ w.T, x.T @ d, h.T @ ds, np.asarray((d * h).sum())

    def make(F, S):
        return {"W": np.zeros((F, S)), "w": np.zeros((S, 1)), "a": np.zeros(())}

    Cell = lift(adapt(make, ("x h W w a -> h s", forward), ("dh x h W w a s h' -> dx dh dW dw da", backward)))
    assert "is scaled by 0.3" in told(Cell, "state_gradients")


def test_a_shift_that_a_softmax_loses_is_no_cut():
    """Beside a state that is noted: the weight moves the last digits."""

    def forward(x, h, W, k):
        e = np.exp(x @ W + k)
        return e / e.sum(1, keepdims=True)

    Cell = adapt(lambda F, S: {"W": np.zeros((F, S)), "k": np.zeros(1)}, ("x h W k -> h", forward))
    assert any(note.startswith("h has no effect") for note in cleared("a.py:Cell", Cell).notes)


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        (
            {"forward": lambda self, x, h: 0.0 * Gist.forward(self, x, h)},
            "all that it returns is 0, whatever is written into weights",
        ),
        ({"sizes": {"featurs": (2,)}}, "for any of features, state, batch, steps; did you mean features?"),
    ],
    ids=["zero", "misspelled"],
)
def test_what_is_meant_is_told_of(kept, said):
    """And not what follows from it."""
    with pytest.raises(GuestError, match=re.escape(said)):
        cleared("a.py:Gist", type("Bad", (Gist,), kept))


def test_weights_that_are_lost_are_told_of():
    """After the first call."""

    class Losing(Gist):
        def forward(self, x, h):
            found = super().forward(x, h)
            self.weights = self.weights[:1]
            return found

    with pytest.raises(
        GuestError, match="weights had 2 arrays and has 1 after a call; make them with the cell, and keep the list as it is"
    ):
        cleared("a.py:Losing", Losing)


def test_a_state_that_counts_beyond_a_threshold_alone_is_not_refused():
    """At larger numbers it has an effect, as has its matrix."""

    def forward(x, h, W, U):
        return np.tanh(x @ W + np.maximum(h - 2.0, 0) @ U)

    Cell = adapt(lambda F, S: {"W": np.zeros((F, S)), "U": np.zeros((S, S))}, ("x h W U -> h", forward))
    assert not any(note.startswith("h has no effect") for note in cleared("a.py:Cell", Cell).notes)


def test_a_refusal_that_does_not_come_is_for_other_laws():
    """One law says so, and the law of what a refusal leaves behind has nothing to verify."""

    class Lenient(Careless):
        def apply(self, x, h):
            return super().apply(x[: len(h), : len(self.weights[0])], h[: len(x)])

    verdicts = {r["law"]: (r["verdict"], r["reason"]) for r in check(Lenient, laws="errors", profile="quick").results}
    assert verdicts["a_refusal_changes_nothing"] == ("not verified", "it accepts what it should refuse, which other laws report")
    assert verdicts["wrong_batches_are_refused"][0] == "hazard"


def test_the_order_of_rows_does_not_matter_to_a_sum():
    """Of numbers near 1000, whose sum is rounded many times if it is taken in order."""

    def forward(x, h, W):
        return 1000 + np.tanh(x @ W + h)

    Cell, law = (
        lift(adapt(lambda F, S: {"W": np.zeros((F, S))}, ("x h W -> h", forward))),
        laws()["sum_output_is_additive_over_rows"],
    )
    for seed in range(20):
        law.check(Cell=Cell, problem=Problem(batch=65, features=1, state=4, seed=seed))


@pytest.mark.parametrize(
    ("wrong", "units"), [(None, ""), ("second", " in units 5 to 9 of 0 to 9"), ("both", ""), ("odd", " in units 1 and 3")]
)
def test_units_that_padding_reaches_are_told(wrong, units):
    """Of a layer that runs both ways, and whose rows have different lengths."""

    def forward(x, W, mask):
        seen = np.where(mask[:, :, None], x, 0) @ W
        other = x @ W
        ends = [(seen if wrong != "both" else other).sum(0), (other if wrong in ("second", "both") else seen).sum(0)]
        ys = np.concatenate([np.broadcast_to(end, seen.shape) for end in ends], axis=2)
        if wrong == "odd":
            ys = ys.copy()
            ys[:, :, [1, 3]] = other.sum(0)[:, [1, 3]]
        return np.where(mask[:, :, None], ys, 0)

    Cell = lift(
        adapt(
            lambda F, S: {"W": np.zeros((F, S))},
            ("x W mask -> ys", forward),
            axes="steps batch features",
            output={"ys": "steps batch both"},
            sizes={"both": lambda F, S: 2 * S},
            choices={"future": True},
        )
    )
    said = padding(grown(Cell, PLAIN))
    assert bool(said) == bool(wrong) and all(sentence.startswith(f"ys{units} depends on what lies beyond") for sentence in said)


def test_repeated_tokens_are_told_where_an_embedding_is_read_twice():
    """In a gate and in a candidate; on more rows than there are tokens."""

    def cell(add):
        def backward(d, x, h, E, u, t):
            dE = np.zeros_like(E)
            add(dE, x, d * (h - t) * u * (1 - u) + d * (1 - u) * (1 - t * t))
            return d * u, dE

        def forward(x, h, E):
            u, t = 1 / (1 + np.exp(-E[x])), np.tanh(E[x])
            return u * h + (1 - u) * t, u, t

        passes = ("x h E -> h u t", forward), ("dh x h E u t -> dh dE", backward)
        return lift(adapt(lambda F, S: {"E": np.zeros((F, S))}, *passes, inputs={"x": "batch"}, domains={"x": "tokens"}))

    def assigning(dE, x, rows):
        dE[x] += rows

    assert misguided(cell(np.add.at), REPEATED) == ((), False, ())
    (sentence,), wrong, faults = misguided(cell(assigning), REPEATED)
    assert wrong and not faults and "repeats an index, the gradient of `E` keeps only the last contribution" in sentence
    block = Block("E", np.zeros((4, 5)), np.ones((4, 5)), 1.0, 0.0, "violated", (0, 0))
    case = Case("a.py:B", "weight_gradients", "gradients", "", None, cell(assigning), PLAIN, Violation([block]))
    assert diagnose(case, Attempts())[0] == [sentence]
