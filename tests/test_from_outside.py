"""What strangers' cells have shown: each is verified, and its broken twin is refused."""

import re

import numpy as np
import pytest
from cellcheck.cells import lift
from cellcheck.cells.adapters import adapt
from cellcheck.properties.certificate import table
from cellcheck.properties.intake.loading import GuestError
from cellcheck.properties.intake.preflight import cleared
from cellcheck.properties.oracles.complex_step import ComplexStep
from cellcheck.properties.reports.diagnosis import REPEATED
from cellcheck.properties.reports.diagnosis.conduct import unwritten
from cellcheck.properties.reports.diagnosis.equations import equation_faults
from cellcheck.properties.reports.diagnosis.gradients import gradient_faults
from cellcheck.properties.reports.diagnosis.grown import PLAIN, grown
from cellcheck.properties.reports.diagnosis.promises import large_loss
from cellcheck.properties.reports.diagnosis.sequence import sequence_faults

from tests.cases import broken, holds, told
from tests.guests import from_outside as outside

pytestmark = pytest.mark.filterwarnings("ignore")  # of numbers that overflow in guests
PAIRS = {
    "PreviousState": ("WithoutTranspose", {"state_gradients"}),
    "Reservoir": ("HalfReadout", {"weight_gradients"}),
    "Padded": ("EndsTooLate", {"each_ragged_row_equals_its_solo_run"}),
    "NoSteps": ("NoStepsForget", {"no_steps_leave_the_state"}),
    "DeclaredHighway": ("Highway", {"a_sequence_is_its_steps"}),
    "Scaled": ("ScaledForgets", {"weight_gradients"}),
    "Half": ("HalfWrong", {"weight_gradients"}),
}


@pytest.mark.parametrize("name", PAIRS)
def test_a_right_cell_passes_every_law(name):
    """After the pre-flight, as the command does it."""
    assert broken(cleared(f"guest.py:{name}", getattr(outside, name)).Cell, n=25) == set()


@pytest.mark.parametrize("name", PAIRS)
def test_its_broken_twin_is_refused(name):
    """By the law that is about its bug."""
    twin, expected = PAIRS[name]
    assert broken(cleared(f"guest.py:{twin}", getattr(outside, twin)).Cell, expected, n=25) == expected


def test_an_output_that_is_no_state_is_told_to_be_declared():
    """Where it is that of the step alone."""
    [said] = sequence_faults(grown(lift(type("Plain", (outside.Highway,), {"sizes": {}})), PLAIN_SQUARE))
    assert said == "ys[t] is not c' after step t; if ys is an output in addition to the states, declare output = 'ys'"


PLAIN_SQUARE = type(PLAIN)(batch=3, features=5, state=5, steps=4, seed=6, scale=1.0)


def test_what_is_a_constant_on_purpose_is_no_cause():
    """The missing derivative is named, and nothing is said of p."""
    found, _ = gradient_faults(grown(lift(outside.ScaledForgets), PLAIN), lambda look, *_: look())
    assert any("the derivative of `np.tanh(x @ R)`" in sentence and "is missing" in sentence for sentence in found)
    assert gradient_faults(grown(lift(outside.Scaled), PLAIN), lambda look, *_: look())[1]


def test_memory_that_was_never_written_is_named():
    """Whatever it holds."""
    assert unwritten(grown(lift(outside.PreviousState), PLAIN)) == []
    [said] = unwritten(grown(lift(outside.LeftUnwritten), PLAIN))
    assert said == (
        "memory of np.empty is read before it is written: with np.empty filled with NaN, h_prev' becomes NaN; "
        "write every entry, or use np.zeros"
    )
    assert np.empty.__module__ == "numpy"


def test_shapes_may_be_functions_of_the_sizes():
    """So that what an adapter is told holds for all of them."""
    Sized = type("Sized", (outside.PreviousState,), {})
    shapes = {"h_prev": (7,)}
    spec = lift(Sized, state_shapes=lambda features, state: {"h_prev": (features + state,)}).spec(2, 5)
    assert {s.name: s.shape for s in spec.states} == shapes


def test_the_line_that_makes_a_nan_is_named():
    """With its number and what it raises."""
    [said] = told(outside.SharedMaximum, "outputs_are_finite")
    found = re.fullmatch(r"the first NaN arises in `(.*)` \(from_outside.py:\d+\), as of 0 / 0, .*", said)
    assert found[1] == "return (e / e.sum(axis=1, keepdims=True) * h,)"


def test_a_naive_softmax_breaks_one_promise():
    """In a loss; what subtracts the largest entry first breaks none of them."""
    right, naive = (cleared("guest.py:Loss", getattr(outside, name)).Cell for name in ("Loss", "NaiveLoss"))
    assert broken(right, n=25) == broken(naive, n=25) == set()
    assert holds(right, "a_large_loss_is_finite") and not holds(naive, "a_large_loss_is_finite")
    assert large_loss(grown(right, PLAIN)) == []
    assert re.match(
        r"with weights 1000(000)? times as large, loss (is|and the gradient of .* are) not finite",
        *large_loss(grown(naive, PLAIN)),
    )


TOLD = {
    "ForgetsTheStepBefore": "the gradient of `c_prev` in `f * c_prev` uses `f` of the step before where `f` belongs",
    "KeepsTheNewState": "all gradients use `(1 - f) * h + f * n` where `h` belongs",
    "EqualTokens": "where `E[x]` repeats an index, the gradient of `E` keeps only the last contribution: `+=` does not accumulate there",
}


@pytest.mark.parametrize("name", TOLD)
def test_the_mistake_is_named(name):
    """In the guest's own names."""
    Cell = lift(getattr(outside, name))
    found, right = gradient_faults(grown(Cell, REPEATED if Cell.spec().bounded else PLAIN), lambda look, *_: look())
    assert not right and re.sub(r" \(line \d+\)", "", found[0]).startswith(TOLD[name])


def test_a_cell_of_one_low_precision_is_not_told_to_be_off_by_it():
    """Of known equations, and right."""
    Cell = cleared("guest.py:Low", Low).Cell
    assert Cell.spec().kind == "RNN"
    assert equation_faults(grown(Cell, PLAIN)) == ([], "")


class Low(outside.PreviousState):
    """In float32."""

    def __init__(self, features, state):
        super().__init__(features, state)
        self.Wx, self.Wh, self.b = self.weights = [w.astype(np.float32) for w in self.weights]

    def apply(self, x, h_prev):
        """The next state."""
        return tuple(y.astype(np.float32) for y in super().apply(x, h_prev))


@pytest.mark.parametrize("name", ["feedback", "callback", "jvp", "zero_grad"])
def test_methods_of_other_names_are_no_gradients(name):
    """A cell that has no vjp may have them."""
    Guest = type("Guest", (outside.NoSteps,), {name: lambda self: None})
    assert cleared("guest.py:Guest", Guest).Cell.spec().forward_only


def test_weights_that_cannot_be_copied_or_are_views_stay():
    """An adapter of another dtype leaves them as the guest made them."""

    class Flat:
        def __init__(self, features, state):
            self.flat, self.lines = np.zeros(features * state + state * state), (line for line in ())
            self.W, self.U = (
                self.flat[: features * state].reshape(features, state),
                self.flat[features * state :].reshape(state, -1),
            )

        def forward(self, x, h):
            return np.tanh(x @ self.W + h @ self.U)

    cell = adapt(Flat, forward=("x h -> h", "forward"), weights="W U", dtype=np.float32)(2, 3)
    assert all(w.base is cell.subject.flat for w in cell.weights)


def test_gates_of_scattered_columns_are_blocks():
    """They are not merged, and not compared as slices are."""
    columns = [np.array([0, 2, 4]), np.array([1, 3, 5])]
    blocks = [{(source, f"g{k}"): (rows, c) for source, rows in ROWS.items() for k, c in enumerate(columns)}]
    spec = lift(outside.NoSteps, weight_blocks=lambda F, S: [*blocks, {}]).spec(2, 6)
    assert [len(region.indices) for region in spec.regions if "gate" in region.name] == [2, 2]


ROWS = {"x": np.s_[:1], "h": np.s_[1:]}


def test_a_stabiliser_without_state_gradients_is_judged_by_its_output():
    """The gradients of other outputs are no derivatives."""
    Cell = lift(type("Guest", (outside.Scaled,), {"gradients": ("weights", "x"), "vjp": without_states}))
    assert broken(Cell, ["weight_gradients", "input_gradients"], n=25) == set()


def without_states(self, *d):
    """vjp, of weights and x alone."""
    return (*outside.Scaled.vjp(self, *d)[:2], None)


def test_a_derivative_of_any_size_is_found():
    """The smallest step is used where an output changes by more than a larger one allows."""
    w = 2.0**350
    oracle = ComplexStep(lambda arrays: (np.tanh(np.tanh(arrays[0] * w) * w),), (np.array(1.0),))
    with np.errstate(all="ignore"):
        assert oracle.value([np.array(0.0)], {0: np.array(1.0)}) == pytest.approx(w * w, rel=1e-12)


class Named(outside.NoSteps):
    """Its gradients have a name that is not asked for."""

    gradients = ("weights", "x", "state")


REFUSED = {
    "Guest has apply but no vjp; rename backward, or declare gradients = ()": {"backward": lambda self, *d: None},
    "Guest has apply but no vjp; rename vpj, or declare gradients = ()": {"vpj": lambda self, *d: None},
    "Guest has apply but no vjp; rename bptt, or declare gradients = ()": {"bptt": lambda self, *d: None},
    "gradients is []; wanted a tuple out of weights, x, state": {"gradients": [], "vjp": lambda self, *d: None},
}


@pytest.mark.parametrize("message", REFUSED)
def test_gradients_that_would_not_be_verified_are_refused(message):
    """Those of another name, and a list that is not meant as a declaration."""
    with pytest.raises(GuestError, match=re.escape(message)):
        cleared("guest.py:Guest", type("Guest", (Named,), REFUSED[message]))


PARTS = {"forward": ("x h W U -> h cache", outside.forward), "backward": ("dh cache -> dx dh dW dU", outside.backward)}
SIGNATURES = {
    "make is a dict; give a function (features, state) that returns the weights or the object": {"make": {}},
    "forward is a function; give a pair (signature, function), as in": {"forward": outside.forward},
    "states names c, but forward 'x h W U -> h cache' neither takes nor returns it; add it there": {"states": "h c"},
    "states are h, h; give each a name of its own": {"states": "h h"},
    "inputs names dt, but forward 'x h W U -> h cache' does not take it": {"inputs": "x dt"},
    "output is 'y', but forward 'x h W U -> h cache' does not return it": {"output": "y"},
    "axes is ('batch',); give a text, such as 'batch features'": {"axes": ("batch",)},
    "encode is 3; give a function of x": {"encode": 3},
    "rate is 0; give the learning rate, a number other than 0": {"rate": 0},
}


@pytest.mark.parametrize("message", SIGNATURES)
def test_a_signature_without_what_is_wanted_is_refused(message):
    """Rather than verified in part."""
    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
        adapt(**{"make": outside.matrices, **PARTS, **SIGNATURES[message]})


@pytest.mark.parametrize("gives", ["_ _ _ _", "dX dH dw du", "data dt _ _"])
def test_a_backward_without_gradients_is_refused(gives):
    """Whatever else it returns: nothing would be verified."""
    guest = adapt(outside.matrices, forward=PARTS["forward"], backward=(f"dh cache -> {gives}", outside.backward))
    with pytest.raises(
        ValueError, match=re.escape(f"backward 'dh cache -> {gives}' returns no gradient of x, h, W, U; wanted some")
    ):
        guest(2, 3)


def test_commas_may_stand_in_a_signature():
    """As they do in Python."""
    commas = {name: (text.replace(" ", ", ").replace(", ->,", " ->"), function) for name, (text, function) in PARTS.items()}
    assert "x, h, W, U -> h, cache" in commas["forward"]
    assert adapt(outside.matrices, **commas)(2, 3).gradients == ("weights", "x", "state")


def test_a_method_of_a_dict_is_refused():
    """Its functions are to be given themselves."""
    cell = adapt(outside.matrices, forward=("x h W U -> h", "forward"))(2, 3)
    with pytest.raises(TypeError, match=re.escape("'forward' names a method, but make returns a dict; give the function")):
        cell.apply(np.zeros((1, 2)), np.zeros((1, 3)))


def result(law, reason):
    """One result, not verified where there is a reason."""
    blocks = {"reason": reason, "examples": 0 if reason else 9, "blocks": {"certified": 9}, "worst": 0.5, "power": {}}
    return {**blocks, "cell": "A", "group": "gradients", "law": law, "verdict": "not verified" if reason else "held"}


@pytest.mark.parametrize(
    ("reasons", "said"),
    [
        (("", "", ""), ""),
        (("", "no input gradients", "no state gradients"), ""),
        (("of 100 examples certified W in 14", "", ""), "the gradients of the weights were not verified"),
        (("no weight gradients", "no input gradients", "no state gradients"), "no gradient was verified"),
    ],
)
def test_the_last_line_says_which_gradients_were_not_verified(reasons, said):
    """Unless the cell has none of them."""
    laws = ("weight_gradients", "input_gradients", "state_gradients")
    text = table.sentence([*map(result, laws, reasons), result("vjp_is_linear", "")])
    assert text.endswith(f"; {said}") if said else "gradient" not in text


def test_an_adapter_of_one_dtype_holds_its_weights_in_it():
    """As the code that takes nothing else is given them."""
    assert [w.dtype for w in outside.Half(2, 3).weights] == [np.float16, np.float16]
