"""A cell beside its reference: how weights are matched, what is refused, and what a report says of the difference."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cellcheck.cells import CELLS, GRU, LSTM, RNN, Unroll, lift, modern
from cellcheck.properties.intake.conventions import NAMES
from cellcheck.properties.intake.loading import GuestError
from cellcheck.properties.intake.references import BY_NAME, Mismatch, by_gates, transpose
from cellcheck.properties.oracles.reference import beside
from cellcheck.strategies import Problem

import cellcheck
from cellcheck import check, check_port
from cellcheck.options import OptionError, Options
from cellcheck.subjects import held, subject
from tests.guests import references as guests
from tests.guests import shapes
from tests.guests.field import clipping_loss
from tests.guests.gist import CorrectRNN
from tests.test_command_line import cellcheck as command

pytestmark = pytest.mark.filterwarnings("ignore")  # of broken cells
FILE = Path(guests.__file__)
FAULTS = {  # the cell: its reference, the fewest steps, what the report says
    "LosesTheSecondBorder": (
        "Step",
        9,
        "the first 8 of 9 steps are right; ys is wrong from step 8 on, where chunk 3 of 4 steps begins",
    ),
    "LosesEveryBorder": (
        "Step",
        5,
        "the first 4 of 9 steps are right; ys is wrong from step 4 on, where chunk 2 of 4 steps begins",
    ),
    "ChunksApartInBackward": ("Step", 5, "that of x before step 8, where a chunk of 4 steps begins"),
    "StartsFromZeros": ("Step", 1, "the initial h is ignored: with zeros instead, the outputs are the same"),
    "MapsOnlyTheInitialState": ("Step", 1, "it equals the reference once the reference's initial h is tanh(h)"),
    "Chunks": ("MappedStep", 1, "it equals the reference in a single step once its h is tanh(h)"),
    "HalfTheOutput": ("Step", 1, "ys is 0.5 times what the reference returns"),
    "MisreadPort": ("Port", 1, "the weights are read as gates i f o g, by the reference as gates i f g o: o and g are exchanged"),
}


def compared(Cell, **how):
    """The Subject of a cell held to a reference or a convention."""
    tried = subject(Cell, Path.cwd())
    held(tried, Options(**how), Path.cwd())
    return tried


def equal(Cell, reference, profile="quick", **how):
    """The Result of the laws of equivalence."""
    return check(Cell, profile, "equivalence", reference=reference, **how)


@pytest.mark.parametrize("name", FAULTS)
def test_what_differs_is_named_at_the_fewest_steps(name, tmp_path, monkeypatch):
    """Of forms of one cell, each with one fault."""
    monkeypatch.chdir(tmp_path)
    reference, steps, said = FAULTS[name]
    result = equal(getattr(guests, name), getattr(guests, reference), "default")
    report = str(result)
    assert not result.held and said in " ".join(report.split())
    assert f"at {steps} steps, batch 1, features 1, state 1" in report or steps == 1


@pytest.mark.parametrize("Cell", [guests.Chunks, guests.Step, guests.OneRow])
def test_forms_of_one_cell_are_equal(Cell):
    """A sequence beside a step cell, a step cell beside a sequence, rows beside a cell that takes a single one."""
    for reference in (guests.Step, guests.Chunks, guests.OneRow):
        assert equal(Cell, reference).held


@pytest.mark.parametrize("Form", modern.FORMS, ids=lambda Form: Form.__name__)
def test_parallel_forms_equal_their_steps(Form):
    """Each form of cells/modern and the step cell that it is a form of."""
    result = equal(Form, Form.Step)
    assert result.held and BY_NAME in result.notes[-1]


class NotEmpty(Unroll(LSTM)):
    """Refuses an empty sequence."""

    def apply(self, x, *state, lengths=None):
        """The same."""
        if not len(x):
            raise ValueError("no steps")
        return super().apply(x, *state, lengths=lengths)


def test_a_reference_that_takes_no_empty_sequence_excuses_no_law():
    """No empty sequence is compared; the law of empty sequences is verified all the same."""
    for Cell, reference, verdict in ((Unroll(LSTM), NotEmpty, "held"), (NotEmpty, Unroll(LSTM), "not verified")):
        result = check(Cell, "quick", ["equivalence", "no_steps_leave_the_state"], reference=reference)
        assert result.held and result.verdicts["no_steps_leave_the_state"] == verdict
        assert result.verdicts["the_reference_may_go_on"] == "held"


def test_a_state_reached_by_a_run_is_compared():
    """Where it is larger than any state that is drawn, only the law of going on sees what happens to it."""
    assert equal(guests.ClipsWhatItStartsFrom, guests.Step, "default").verdicts == {
        "equals_the_reference": "held",
        "gradients_equal_the_reference": "held",
        "the_reference_may_go_on": "broken",
    }


def test_weights_are_matched_by_their_gates():
    """Another order, layout, number of biases and u in the place of 1 - u; the head says which."""
    tried = compared(guests.Port, reference=LSTM)
    assert tried.notes[-1] == (
        "reference LSTM: weights matched by their gates; gates permuted: i f g o in the cell, i f o g in the reference"
    )
    assert equal(guests.Port, LSTM).held and equal(LSTM, guests.Port).held


def test_u_and_its_complement_are_the_same_gate():
    """h' = u h + (1 - u) n with u = sig(z) is h' = v (n - h) + h with v = sig(-z)."""
    result = equal(guests.KeepingGRU, GRU)
    assert result.held and "u read as 1 - u" in result.notes[-1]


@pytest.mark.parametrize("Shipped", CELLS, ids=lambda C: C.__name__)
def test_every_shipped_cell_equals_itself(Shipped):
    """By name, to the last bit."""
    result = equal(Shipped, f"cellcheck:{Shipped.__name__}")
    assert result.held and all(
        r["worst"] == 0 for r in result.results if r["law"] == "equals_the_reference" and not Shipped.sequence
    )


def test_precision_is_the_lower_one():
    """Numbers are those of the coarser cell, and so is the unit of the bound, whichever of the two it is."""
    low = lift(lambda features, state: RNN(features, state, dtype=np.float32), dtypes=(np.float32,))
    for Cell, reference in ((RNN, low), (low, RNN)):
        tried = compared(Cell, reference=reference)
        p = beside(lift(tried.Cell), Problem(2, 3, 2, seed=1, scale=1.0))
        assert p.spec.unit(p.x.dtype) == 2.0**-24
        assert all(np.array_equal(a, a.astype(np.float32)) for a in (*p.weights, p.x, *p.state))
        assert equal(Cell, reference).held


def test_translate_is_a_function_or_a_method():
    """Where neither names, nor gates, nor shapes tell."""

    class Stacked(guests.Step):
        """Both weights in one, the second with its sign turned."""

        def __init__(self, features, state):
            super().__init__(features, state)
            self.W = np.stack([self.Wz, -self.Wn])
            self.weights = [self.W]

        def apply(self, x, h):
            self.Wz, self.Wn = self.W[0], -self.W[1]
            return super().apply(x, h)

        def vjp(self, d):
            (dz, dn), x, state = super().vjp(d)
            return [np.stack([dz, -dn])], x, state

    class Declared(Stacked):
        """It says so itself."""

        def translate(self, weights):
            return [weights[0][0], -weights[0][1]]

    with pytest.raises(GuestError, match=r"its weights are Wz \(4, 3\), Wn \(4, 3\), those of the cell W \(2, 4, 3\); declare"):
        equal(Stacked, guests.Step)
    assert equal(Stacked, guests.Step, translate=lambda w: [w[0][0], -w[0][1]]).held
    assert equal(Declared, guests.Step).held
    assert not equal(Stacked, guests.Step, translate=lambda w: [w[0][0], w[0][1]]).held


def test_weights_of_other_names_are_matched_in_order():
    """If their shapes are the same."""

    class Renamed(guests.Step):
        """The same with other names."""

        Wz, Wn = property(lambda self: self.first), property(lambda self: self.second)

        def __init__(self, features, state):
            self.first, self.second = self.weights = [*np.zeros((2, features, state))]

    result = equal(Renamed, guests.Step)
    assert result and "weights matched in order, by their shapes" in result.notes[-1]


def test_transpose_of_a_rearrangement():
    """<T w, g> = <w, T' g> for parts that are moved, turned, added, scaled or constant."""

    def rearrange(weights):
        a, b = weights
        return [a.T[::-1], np.concatenate([b[:2] + b[2:], -b[:1]]), 0.5 * a[:, 0] + 3.0, np.full(2, 7.0)]

    rng = np.random.default_rng(0)
    weights = [rng.standard_normal((3, 2)), rng.standard_normal(4)]
    zero = rearrange([0 * w for w in weights])
    moved = [a - b for a, b in zip(rearrange(weights), zero)]
    given = [rng.standard_normal(a.shape) for a in moved]
    back = [place(given) for place in transpose(rearrange, [w.shape for w in weights])]
    left = sum((a * g).sum() for a, g in zip(moved, given))
    assert left == pytest.approx(sum((w * g).sum() for w, g in zip(weights, back)), rel=1e-12)
    assert transpose(lambda w: [np.exp(w[0])], [(2, 2)]) is None


REFUSED = {
    "it takes the states h, the cell c, h": (LSTM, GRU),
    "it computes the RNN equations, the cell those of GRU": (GRU, RNN),
    "its h has the shape (4,), that of the cell (3,)": (guests.Step, guests.Wider),
    "it returns its sum alone; give a cell with apply": (RNN, CorrectRNN),
    "it takes state 5, and the cell 3, 4; no size fits both": (
        lift(RNN, sizes={"state": (3, 4)}),
        lift(RNN, sizes={"state": (5,)}),
    ),
    "it takes the inputs x, the cell x, dt": (shapes.Times, RNN),
    "one of the two returns a loss, the other its outputs": (clipping_loss(1.0), RNN),
    "translate returns arrays [(3,)]; wanted [(7, 3), (3,)]": (lift(RNN, translate=lambda w: [w[1]]), RNN),
    "translate raised KeyError: 'W'": (lift(RNN, translate=lambda w: dict(b=w)["W"]), RNN),
    "cellcheck has no Nothing here; choose from RNN, LSTM": (RNN, "cellcheck:Nothing"),
    "there is no file": (RNN, "nowhere.py:Cell"),
}


@pytest.mark.parametrize("said", REFUSED)
def test_what_cannot_be_compared_is_one_line(said):
    """What was given, and what is needed."""
    Cell, reference = REFUSED[said]
    with pytest.raises(GuestError) as refusal:
        compared(Cell, reference=reference)
    assert str(refusal.value).startswith("--reference ") and said in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", NAMES)
def test_convention_holds_or_is_refused(name):
    """A cell in torch's order holds torch's convention alone, or those that keep the same order and layout."""
    try:
        tried = compared(guests.Port, convention=name)
    except GuestError as refusal:
        assert f"--convention {name}: its weights are weight_ih (12, 4)" in str(refusal) and "no cell of these shapes" in str(
            refusal
        )
        return
    assert f"held to the convention of {NAMES[name]}" in tried.notes[-1]
    assert check(guests.Port, "quick", "equations", convention=name).held == (name == "torch")


def test_convention_names_the_exchanged_gates():
    """Without the framework."""
    result = check(guests.MisreadPort, "quick", "equations", convention="torch")
    assert "the output and candidate gates are exchanged" in " ".join(str(result).split())
    with pytest.raises(GuestError, match="there is no such convention; choose from torch, keras, onnx"):
        check(guests.Port, convention="pytorch")


@cellcheck.laws_of(guests.Chunks, reference=guests.Step, laws=["equivalence"], profile="quick")
def test_a_decorated_cell_has_a_reference(law):
    """As in a user's own test suite."""
    law()


def test_command_compares_and_its_script_knows_when_it_is_fixed(tmp_path):
    """The head says what was matched; the script exits with 1, and with 0 once the cell is right; the rerun line has all options."""
    text = FILE.read_text()
    (tmp_path / "forms.py").write_text(text)
    options = ["--reference", "forms.py:Port", "--profile", "quick", "-k", "equals_the_reference"]
    run = command(tmp_path, "forms.py:MisreadPort", *options)
    assert run.returncode == 1, run.stdout + run.stderr
    assert "forms.py:MisreadPort: reference forms.py:Port: weights matched by name" in run.stdout
    assert "rerun:  cellcheck forms.py:MisreadPort -k equals_the_reference --reference forms.py:Port" in run.stdout
    script = next((tmp_path / "reports").rglob("equals_the_reference.py"))

    def code():
        return subprocess.run([sys.executable, "-B", script], cwd=tmp_path, capture_output=True, timeout=60).returncode

    assert code() == 1
    (tmp_path / "forms.py").write_text(text.replace('order = "ifog"', 'order = "ifgo"'))
    assert code() == 0
    run = command(tmp_path, "forms.py:Port", *options)
    assert run.returncode == 0 and "HELD: 1 law of Port" in run.stdout


def test_a_cell_that_is_its_own_reference_is_told_so():
    """It agrees with itself. Without a reference there is nothing to compare with."""
    assert (
        compared(guests.Port, reference=guests.Port)
        .notes[-1]
        .endswith("that is the cell itself, so the laws that compare the two say nothing")
    )
    with pytest.raises(GuestError, match=r"there is no reference to compare .*Port with"):
        check(guests.Port, "quick", laws="equivalence")


def test_a_reference_needs_a_cell(tmp_path):
    """The shipped cells have none."""
    run = command(tmp_path, "--reference", "cellcheck:LSTM")
    assert run.returncode == 4 and "--cell-reference cellcheck:LSTM: name the cell that it is for" in run.stderr + run.stdout


def test_unrolled_and_whole():
    """The unrolled cell, its step cell as the reference, and the other way round."""
    assert equal(Unroll(GRU), GRU).held and equal(GRU, Unroll(GRU)).held


def test_a_port_is_verified_at_its_own_weights():
    """And refused, in one line, where these are not those of the original."""
    port, original = guests.Port(3, 4), guests.Port(3, 4)
    result = check_port(port, original, "quick", "equivalence", sizes=(3, 4))
    assert result.held
    for w, a in zip(port.weights, original.weights):
        np.testing.assert_array_equal(w, a)  # both stay as they are
    port.bias_hh += 0.5
    with pytest.raises(GuestError, match=r"the two hold other weights: bias_hh differs by up to 0\.5; copy the weights first"):
        check_port(port, original, sizes=(3, 4))
    with pytest.raises(OptionError, match=r"neither of the two says its sizes; give sizes=\(features, state\)"):
        check_port(port, original)


def test_a_fault_at_the_given_weights_alone_is_seen():
    """Here what lies very near 0.25 is dropped, where no drawn weight lies."""

    class Rounded(guests.Port):
        """It drops what is near 0.25."""

        def apply(self, x, c, h):
            self.bias_hh, kept = np.where(abs(self.bias_hh - 0.25) < 1e-5, 0, self.bias_hh), self.bias_hh
            try:
                return super().apply(x, c, h)
            finally:
                self.bias_hh = kept

    port, original = Rounded(2, 3), guests.Port(2, 3)
    for one in (port, original):
        one.bias_hh[:] = 0.25
    assert equal(Rounded, guests.Port).held
    assert not check_port(port, original, "quick", "equivalence", sizes=(2, 3)).held


def test_a_port_may_keep_the_sum_of_two_biases():
    """It computes the same; another weight is refused, whether or not the outputs show it at once."""
    port, original = guests.Port(5, 4), guests.Port(5, 4)
    port.bias_ih += 0.25
    port.bias_hh -= 0.25
    assert check_port(port, original, "quick", "equals_the_reference", sizes=(5, 4))
    port.bias_ih[3] += 1e-3
    with pytest.raises(GuestError, match=r"the two hold other weights: bias_ih differs by up to 0\.251"):
        check_port(port, original, "quick", "equals_the_reference", sizes=(5, 4))


def test_a_reset_gate_in_another_place_is_told():
    """Which of the two has it where."""
    before = lift(GRU, variant={"reset": "before"})
    spec, theirs = before.spec(4, 3), lift(GRU).spec(4, 3)
    with pytest.raises(Mismatch, match="the cell applies the reset gate before the matrix product, the reference after it"):
        by_gates(spec, theirs, [np.zeros(w.shape) for w in spec.weights])


def test_a_constant_of_the_forget_gate_goes_into_its_bias():
    """Where the reference has none."""
    spec, theirs = lift(LSTM, variant={"forget": 1.0}).spec(4, 3), lift(LSTM).spec(4, 3)
    moved = by_gates(spec, theirs, [np.zeros(w.shape) for w in spec.weights])
    assert sum(np.sum(w) for w in moved) == 3 and max(np.max(w) for w in moved) == 1
