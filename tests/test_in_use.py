"""What users met: bugs that passed, alarms that were none, explanations that led astray."""

import numpy as np
import pytest
from cellcheck.cells import lift
from cellcheck.properties.intake.loading import GuestError
from cellcheck.properties.intake.preflight import cleared
from cellcheck.properties.oracles.chebyshev import Chebyshev
from cellcheck.properties.oracles.function import Function
from cellcheck.properties.reports import overview
from cellcheck.properties.reports.diagnosis.grown import PLAIN, grown
from cellcheck.properties.reports.diagnosis.tape import Tape, Traced
from cellcheck.strategies import Problem

from cellcheck import check
from tests.cases import broken, told
from tests.guests import in_use

pytestmark = pytest.mark.filterwarnings("ignore")  # of broken cells
USED = "a_used_cell_equals_a_fresh_one"


@pytest.mark.parametrize(
    "Guest, how",
    [(in_use.ByArray, "other numbers in the same arrays"), (in_use.ByFirstRow, "other numbers after the first row or step")],
)
def test_what_is_kept_for_an_array_or_a_row_is_found(Guest, how):
    """By that law alone, which says what the cell goes by."""
    assert broken(cleared("in_use.py:Guest", Guest).Cell, n=12) == {USED}
    assert told(Guest, USED)[0].startswith(f"a second call with {how} gives another h' than a fresh cell")


@pytest.mark.parametrize("Guest", [in_use.Plain, in_use.Gained, in_use.Shrinking, in_use.Ragged, in_use.Repeating])
def test_a_right_cell_holds(Guest):
    """Also one whose state underflows between two halves of a sequence, and one whose ys of padding is 0 for zeros alone."""
    Cell = cleared("in_use.py:Guest", Guest).Cell
    assert Cell.spec().state_names == ("h",)
    assert broken(Cell, n=25) == set()


@pytest.mark.parametrize("off", [np.nan, 3.0])
def test_a_state_that_is_wrong_is_no_reason_to_stop(off):
    """A state outside its domain is handed on, unless that alone makes a number infinite."""
    Wrong = type("Wrong", (in_use.Astray,), {"off": off})
    assert "a_sequence_is_its_steps" in broken(lift(Wrong), ["a_sequence_is_its_steps"], n=12)


def test_interpolation_stays_where_the_function_is_as_at_its_point():
    """1 / (1 + x) with a tiny weight: a radius that goes by weights alone would pass its pole."""

    class Inverse(in_use.Plain):
        def apply(self, x, h):
            """1 / (1 + x), summed, beside a weight that matters little."""
            return (1 / (1 + x.sum(axis=1, keepdims=True)) + 0 * h + 1e-12 * self.b,)

    cell, x, state = Problem(1, 1, 1).build(Inverse)
    for w in cell.weights:
        w[...] = 1e-9
    arrays = [*cell.weights, np.zeros_like(x), *state]
    oracle = Chebyshev(Function(cell), (np.ones((1, 1)),))
    assert oracle.value(arrays, {len(cell.weights): np.ones((1, 1))}) == pytest.approx(-1, rel=1e-9)


def test_a_vjp_that_raises_where_apply_does_not_is_refused():
    """It is no cell for as many features as units alone."""
    with pytest.raises(GuestError, match="its forward pass takes all sizes that were tried; if its gradients need others"):
        cleared("in_use.py:FallsFlat", in_use.FallsFlat)


def test_a_weight_without_gradient_is_named():
    """With what to declare; then the cell is verified without it."""
    with pytest.raises(GuestError, match=r"no gradient of Wy; if there is none, declare no_gradient = \('Wy',\)"):
        cleared("in_use.py:Cell", in_use.with_readout())
    found = cleared("in_use.py:Cell", in_use.with_readout(no_gradient=("Wy",)))
    assert "Wy has no effect on what it returns, and no gradient" in found.notes
    assert broken(found.Cell, n=8) == set()


def test_a_factor_is_told_of_cells_of_any_shape():
    """Of matrix states, and of numbers in a domain."""
    place = "the gradient that flows back to `x @ G` through `np.tanh(x @ G)` (line 105) is scaled by 16: "
    assert told(in_use.Eighth, "weight_gradients")[0].startswith(place)
    assert told(lift(in_use.Twice, domains={"b": (-1, 1)}), "weight_gradients")[0].startswith(
        "the gradient of U is scaled by 3 ("
    )


@pytest.mark.parametrize(
    "Guest, said",
    [
        (in_use.Leaking, "an upstream of ys beyond the end of a row, where ys is 0, moves the gradient of W, U, b, x and h"),
        (in_use.Summing, "with lengths [2, 0, 4] the gradient of b is not the sum of those of each row alone"),
    ],
)
def test_what_padding_adds_to_a_gradient_is_found(Guest, said):
    """By the law that compares with rows alone: where ys is 0 by the mask, so is its derivative."""
    ragged = "each_ragged_row_equals_its_solo_run"
    assert ragged in broken(cleared("in_use.py:Guest", Guest).Cell, n=12) <= {ragged, "padding_is_of_no_consequence"}
    assert told(Guest, ragged)[0].startswith(said)


def test_a_second_call_explains_no_gradient():
    """A law of gradients calls a fresh cell once; one of purity does not."""
    assert told(in_use.Twice, "weight_gradients")[0].startswith("the gradient of U is scaled by 3")
    assert told(in_use.Twice, "vjp_is_repeatable")[0].startswith("gradients accumulate")


def test_a_clamp_that_vjp_ignores_is_told():
    """At the derivative that should be 0 beyond it."""
    assert "is not 0 where its argument is cut off" in told(in_use.Clamped, "weight_gradients")[0]


def test_an_ended_tape_records_no_more():
    """A guest that keeps what it was given must not slow down all that it computes later."""
    tape = Tape(grown(lift(in_use.Plain), PLAIN))
    kept, n = tape.hand(tape.nodes[0]), len(tape.nodes)
    assert isinstance(kept, Traced)
    result = np.tanh(kept @ kept.T) + kept[0, 0]
    kept[0, 0] = 1.0
    assert type(result) is np.ndarray and len(tape.nodes) == n


def test_causes_that_differ_in_measured_numbers_are_one():
    """The first is shown."""

    def row(law, said):
        finding = {"sentences": [said], "blame": "h'[0]: got 1", "path": None, "page": None, "name": "Cell", "size": 3}
        return {"cell": "a.py:Cell", "law": law, "group": "purity", "verdict": "broken", "reason": "", "finding": finding}

    measured = ["h' moves by 0.125: random", "h' moves by 3e-05: random", "h' moves by 1: random", "h' moves by nan: random"]
    rows = [row(f"law_{k}", text) for k, text in enumerate(measured)]
    said = list(overview.lines(rows))
    assert sum("random" in text for text in said) == 1 and "  h' moves by 0.125: random" in said
    large = ["something overflows, first in `e = np.exp(z)` (a.py:3), with b = 720, and h' is not finite. Mend it"]
    large.append(large[0].replace("b = 720, and h'", "W = -3e+02, and the gradient of W"))
    assert sum("overflows" in text for text in overview.lines([row(f"law_{k}", text) for k, text in enumerate(large)])) == 1
    factors = [row("law_1", "W is scaled by 0.5x"), row("law_2", "W is clipped at 0.1"), row("law_3", "W is clipped at 0.5")]
    assert sum(" is " in text for text in overview.lines(factors)) == 3


def test_a_cell_that_changes_what_it_is_given_is_told_by_that():
    """All its other numbers are doubtful, those of gradients, too."""

    def row(law, group):
        finding = {"sentences": ["apply writes into h"], "blame": law, "path": None, "page": None, "name": "Cell", "size": 3}
        return {"cell": "a.py:Cell", "law": law, "group": group, "verdict": "broken", "reason": "", "finding": finding}

    rows = [row("input_gradients", "gradients"), row("what_is_given_stays_as_it_is", "purity")]
    assert overview.findings(rows)["a.py:Cell"][0]["law"] == "what_is_given_stays_as_it_is"


def test_a_gradient_that_is_always_zero_is_in_the_verdict():
    """A state that the forward pass ignores passes the laws, and is named; one whose matrix is ignored as well is refused."""

    class Ignoring(in_use.Plain):
        def before(self, x, h):
            """Without h."""
            return x @ self.W + self.b

        def vjp(self, d):
            """Gradients."""
            (W, U, b), x, (h,) = super().vjp(d)
            return [W, 0 * U, b], x, (0 * h,)

    class Reading(Ignoring):
        def before(self, x, h):
            """Without h, though with its matrix."""
            return super().before(x, h) + self.U.sum(0)

        def vjp(self, d):
            """Gradients."""
            (W, U, b), *rest = super().vjp(d)
            return [W, U + b, b], *rest

    with pytest.raises(GuestError, match="h and U have no effect on what it returns"):
        check(Ignoring, profile="quick", laws=["gradients"])
    said = " ".join(str(check(Reading, profile="quick", laws=["gradients"])).split())
    assert "the gradient of h was 0 in every example" in said
