"""From the outcome of one law to its verdict, and limits on time."""

import json
from collections import Counter
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace
from unittest import SkipTest

import numpy as np
import pytest
from cellcheck.cells import LSTM, Gradients
from cellcheck.properties.intake.capabilities import missing
from cellcheck.properties.intake.catalogue import laws
from cellcheck.properties.intake.loading import GuestError
from cellcheck.properties.verdicts.blocks import Block, Violation
from cellcheck.properties.verdicts.limits import Hang
from cellcheck.properties.verdicts.run import shapes
from cellcheck.properties.verdicts.tally import Tally
from cellcheck.strategies import TOGETHER, Problem
from hypothesis import HealthCheck, Phase, settings
from hypothesis.database import InMemoryExampleDatabase
from hypothesis.errors import Unsatisfiable, UnsatisfiedAssumption

from cellcheck import judging
from cellcheck.judging import Trial, comparable, trials
from cellcheck.options import Options
from cellcheck.profiles import profile
from cellcheck.running import Run, observed
from cellcheck.subjects import Subject, subject


def wrong(got, expected, bound, name="W"):
    """The violation of one block."""
    got, expected = np.asarray(got), np.asarray(expected)
    return Violation([Block(name, got, expected, float(np.max(np.abs(got - expected))), bound, "violated", index=(0,))])


def trial(Cell=LSTM, law="vjp_is_linear", shipped=True, strict=False, expected=None):
    """A Trial that writes no reports."""
    return Trial(laws()[law], Subject("LSTM", Cell, shipped=shipped), Options(reports=None, strict=strict), Path(), expected)


def test_a_reference_that_is_given_is_not_recommended():
    """To a cell of which it certified too little."""
    run = Run(tally=BLUNT)
    assert f"{run.uncertified('torch:LSTM')}; --reference compares with another cell" == run.uncertified() == HIDDEN


@pytest.fixture
def judged(monkeypatch):
    """Judge a trial whose law ended with this error or tally; the report of a broken law is `told`."""

    def judge(error=None, tally=None, **how):
        monkeypatch.setattr(judging, "observed", lambda *law, **_: Run(tally or Tally(), error=error))
        monkeypatch.setattr(judging, "reported", lambda *case: "told")
        new = trial(**how)
        new.judge()
        return new

    return judge


FEW = Tally(examples=100, verdicts={"W": Counter(certified=1)})
THIN = "vacuous: of 100 examples certified W 1; wanted 10 each"
BLUNT = Tally(
    examples=100,
    verdicts={"W": Counter(certified=8, inconclusive=82, trivial=10), "h'": Counter(certified=9, inconclusive=91)},
    decades={"W": Counter()},
)
HIDDEN = (
    "of 100 examples certified W in 8; elsewhere an error may hide in rounding, or at a kink; "
    "--reference compares with another cell"
)
PROMISE = "outputs_are_the_callers"
ENDINGS = {
    "held": ({}, "held", ""),
    "held, with nothing to compare": (
        {"tally": Tally(examples=3)},
        "not verified",
        "it offers nothing that the law could compare",
    ),
    "held, for a shipped cell in too few examples": ({"tally": FEW}, "broken", THIN),
    "held, for a guest in too few examples": ({"tally": FEW, "shipped": False}, "held", THIN),
    "held, for a guest, but most derivatives could not be told": ({"tally": BLUNT, "shipped": False}, "not verified", HIDDEN),
    "failed as expected": ({"error": ValueError("no"), "expected": "known"}, "expected", "expected failure: known"),
    "hung as expected": ({"error": Hang("took more than 1 s"), "expected": "known"}, "expected", "expected failure: known"),
    "held against expectation": (
        {"expected": "known"},
        "broken",
        "LSTM: the law vjp_is_linear holds, but was expected to fail: known",
    ),
    "barred": ({"law": "a_sequence_is_its_steps"}, "not verified", "a step cell"),
    "hung": (
        {"error": Hang("took more than 1 s")},
        "broken",
        "LSTM breaks the law vjp_is_linear: it took more than 1 s at None",
    ),
    "violated": ({"error": wrong([1.0], [3.0], 1e-9)}, "broken", "told"),
    "raised": ({"error": ValueError("no")}, "broken", "told"),
    "a promise of a guest": ({"error": ValueError("no"), "law": PROMISE, "shipped": False}, "hazard", "told"),
    "a promise of a guest, held to it": (
        {"error": ValueError("no"), "law": PROMISE, "shipped": False, "strict": True},
        "broken",
        "told",
    ),
    "a promise of a shipped cell": ({"error": ValueError("no"), "law": PROMISE}, "broken", "told"),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_ending_has_its_verdict(ending, judged):
    """With the reason, as plain values."""
    how, verdict, reason = ENDINGS[ending]
    result = judged(**how).result
    assert (result["verdict"], result["reason"]) == (verdict, reason)
    assert json.loads(json.dumps(result)) == result


def test_a_broken_law_fails_the_test_that_calls_it(judged, monkeypatch):
    """With the short report as the message."""
    new = judged(error=ValueError("no"))
    with pytest.raises(judging.Broken, match=r"^told$"):
        new()


def test_a_law_that_is_not_verified_skips_the_test_that_calls_it():
    """With the reason."""
    with pytest.raises(pytest.skip.Exception, match=r"^not verified: a step cell$"):
        trial(law="a_sequence_is_its_steps")()


def test_a_cell_that_hung_is_not_run_again(judged):
    """Each law would take as long again."""
    new = judged(error=Hang("took more than 1 s"))
    assert new.judge()["reason"] == "the cell hung in an earlier law"


class Sticky(LSTM):
    """From some row of a large batch on every call raises, as of CUDA after an illegal memory access."""

    dead = False

    def apply(self, x, c, h):
        """The new state, unless it is dead."""
        Sticky.dead |= len(x) > 3
        if Sticky.dead:
            raise RuntimeError("an illegal memory access was encountered")
        return super().apply(x, c, h)


@pytest.mark.parametrize(
    ("law", "verdict"),
    [("vjp_is_linear", "broken"), ("a_second_vjp_is_answered", "broken"), ("a_refusal_changes_nothing", "hazard")],
)
def test_a_cell_that_raises_ever_after_is_told_once(law, verdict):
    """With the case as it was drawn: of a smaller one nobody can say whether it raises by itself.

    A promise fails the run here, since other laws are not verified after it; those of unusual arguments come last.
    """
    Sticky.dead = False
    first = trial(Sticky, law, shipped=False)
    result = first.judge()
    assert result["verdict"] == verdict and "an illegal memory access was encountered" in result["reason"]
    assert "with Problem(batch=" in result["reason"] and "since then, so this case is as it was drawn" in result["reason"]
    later = Trial(laws()["vjp_scales"], first.subject, Options(reports=None), Path()).judge()
    assert later["verdict"] == "not verified" and later["reason"].startswith("it has raised at every problem in this process")


@pytest.mark.parametrize("wild", [SystemExit("bye"), Hang("took more than 1 s"), ZeroDivisionError("by zero")])
def test_a_guest_that_spoils_its_report_is_reported_all_the_same(wild, judged, monkeypatch):
    """In one line that says what it did."""

    def reported(*case):
        raise wild

    new = judged(error=ValueError("no\nmore"))
    monkeypatch.setattr(judging, "reported", reported)
    line = f"LSTM breaks the law vjp_is_linear: ValueError: no at None (no report: {type(wild).__name__}: {wild})"
    assert new.judge()["reason"] == line


def test_laws_are_chosen_by_name_or_group():
    """With or without test_, by default all."""
    cell = Subject("LSTM", LSTM)

    def names(chosen):
        return [t.law.name for t in trials(cell, Options(), Path(), [], chosen)]

    assert names(["test_vjp_is_linear", "equations"]) == ["equations_of_the_kind", "vjp_is_linear"]
    assert names("vjp_is_linear") == ["vjp_is_linear"]
    assert names(None) == [law.name for law in laws().values() if "reference" not in law.needs]
    with pytest.raises(GuestError, match=r"^laws equivalence: there is no reference to compare .* with; pass one, as reference="):
        comparable(cell, ["gradients", "equivalence"])
    comparable(cell, None)
    with pytest.raises(GuestError, match=r"^laws: there is no law vjp_is_liner; the closest is vjp_is_linear$"):
        names("vjp_is_liner")


class Uncopiable(LSTM):
    """Holds what deepcopy refuses."""

    def __deepcopy__(self, memo):
        raise TypeError("cannot pickle a handle")


def closure(features, state):
    """A cell whose functions hold its arrays: in a copy, they hold the same ones."""
    W, kept = np.zeros((features + state, state)), {}

    def apply(x, h):
        kept["X"] = np.concatenate([x, h], axis=1)
        kept["y"] = np.tanh(kept["X"] @ W)
        return (kept["y"].copy(),)

    def vjp(d):
        dz = d * (1 - kept["y"] ** 2)
        d_X = dz @ W.T
        return [kept["X"].T @ dz], d_X[:, : -d.shape[1]], (d_X[:, -d.shape[1] :],)

    return SimpleNamespace(weights=[W], apply=apply, vjp=vjp)


NO_COPY = "a copy of it keeps the old weights, so it cannot be given weights of another type"


@pytest.mark.parametrize(("Guest", "reason"), [(LSTM, None), (Uncopiable, NO_COPY), (closure, NO_COPY)])
def test_a_cell_that_cannot_be_copied_has_one_dtype(Guest, reason):
    """Weights of another type are bound by deepcopy."""
    assert missing(Guest, {"copy"}) == reason


def test_gradients_in_excess_are_a_wrong_shape():
    """Nobody knows whose they are."""

    class Surplus(LSTM):
        """Returns a gradient too many of the weights, and one of the states."""

        def _vjp(self, *d):
            weights, x, state = super()._vjp(*d)
            return Gradients([*weights, np.ones(3)], x, (*state, state[0]))

    wrong = [b for b in shapes(Surplus, Problem(2, 3, 4)) if b.verdict == "violated"]
    assert [(b.name, b.got, b.expected) for b in wrong] == [
        ("weights", "3 gradients", "2 gradients"),
        ("state", "3 gradients", "2 gradients"),
    ]


def run_of(raised):
    """The Run of a law that raises this in its first example."""

    def law(Cell, problem):
        """Nothing holds."""
        raise raised

    chosen = settings(max_examples=1, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    return observed(law, LSTM, "LSTM", chosen, 1.0, shrink=False)


def test_a_guest_that_raises_skip_is_a_failure():
    """pytest would take it for its own."""
    run = run_of(SkipTest("not today"))
    assert str(run.error) == "the cell raised SkipTest: not today" and run.failure


def test_a_timeout_of_pytest_ends_the_law():
    """Hypothesis would try it again, and call the law flaky; it has no verdict."""
    with pytest.raises(pytest.fail.Exception, match="Timeout"):
        run_of(pytest.fail.Exception("Timeout >3.0s"))


def test_a_rejected_example_is_none():
    """Neither a failure nor a pass."""
    run = run_of(UnsatisfiedAssumption())
    assert isinstance(run.error, Unsatisfiable) and run.failure is None


def test_each_run_sees_other_problems(monkeypatch):
    """But for the simplest one, with which Hypothesis begins; and as many as the profile says."""
    monkeypatch.delenv("CI", raising=False)
    runs = []

    def law(Cell, problem):
        """Holds."""
        runs[-1].append(problem)

    for examples in (20, 20, 100):
        runs.append([])
        observed(law, LSTM, "LSTM", profile({20: "quick", 100: "default"}[examples], TOGETHER), 1.0, examples=examples)
        assert len(runs[-1]) == examples
    assert all(len(set(one) & set(other)) <= 2 for one, other in combinations(runs, 2))


def key(law, label):
    """What Hypothesis keeps the examples of a law on a cell under."""
    kept = InMemoryExampleDatabase()
    chosen = settings(max_examples=1, database=kept, phases=[Phase.generate], report_multiple_bugs=False)
    run = observed(law, LSTM, label, chosen, 1.0, shrink=False)
    assert run.error
    return {name for name, values in kept.data.items() if values}


def test_each_cell_has_examples_of_its_own():
    """Whoever runs the law; else a cell that passes would evict what another has failed on."""

    def law(Cell, problem):
        raise ValueError

    assert key(law, "a.py:A") == key(law, "a.py:A") != key(law, "b.py:A")


def test_a_module_of_torch_is_no_factory():
    """It has one size, and what it is called with are tensors."""
    module = type("LSTM", (), {"named_parameters": list, "__call__": lambda self, x: x})()
    with pytest.raises(GuestError, match=r"this LSTM is one module, of one size; wrap its class, as torch_module\(LSTM\)"):
        subject(module, Path())
