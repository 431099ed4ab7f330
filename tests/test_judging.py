"""From the outcome of one law to its verdict, and limits on time."""

from collections import Counter
from pathlib import Path
from threading import Thread
from time import sleep
from types import SimpleNamespace
from unittest import SkipTest

import numpy as np
import pytest
from cellcheck.cells import LSTM, Gradients, lift
from cellcheck.properties.intake.capabilities import missing
from cellcheck.properties.verdicts.blocks import Block, Violation
from cellcheck.properties.verdicts.limits import Hang, limited
from cellcheck.properties.verdicts.run import shapes
from cellcheck.properties.verdicts.tally import Tally
from cellcheck.strategies import Problem, problems
from hypothesis import Phase, given, settings
from hypothesis.errors import Unsatisfiable, UnsatisfiedAssumption

from cellcheck import judging
from cellcheck.running import Run, observed


def law(Cell, problem):
    """vjp(0) = 0."""


def wrong(got, expected, bound, name="W"):
    """The violation of one block."""
    got, expected = np.asarray(got), np.asarray(expected)
    return Violation([Block(name, got, expected, float(np.max(np.abs(got - expected))), bound, "violated", index=(0,))])


def asked(Cell=LSTM, outcome="failed", error=None, run=None, cell=(), promise=False, verbosity=0, **report):
    """(item, report) after the law ended so. cell: the values of --cell; error: what it raised."""
    option = SimpleNamespace(cell=list(cell), strict=False, reports="")
    config = SimpleNamespace(cells=(), option=option, stash=pytest.Stash(), rootpath=Path(), get_verbosity=lambda: verbosity)
    config.invocation_params = SimpleNamespace(dir=Path())
    item = SimpleNamespace(config=config, stash=pytest.Stash(), originalname="test_zero", obj=law, path=Path("test_linearity.py"))
    item.callspec = SimpleNamespace(id="LSTM", params={"Cell": Cell})
    item.get_closest_marker, item.iter_markers = (lambda name: promise), (lambda name: [])
    item.stash[judging.RUN] = run or Run(law=law)
    told = {"longrepr": "", **report, **{name: name == outcome for name in ("failed", "passed", "skipped")}}
    told = SimpleNamespace(outcome=outcome, user_properties=[], **told)
    judging.judge(item, SimpleNamespace(excinfo=error and SimpleNamespace(value=error)), told)
    return item, told


def ours():
    """An error of Cellcheck itself."""
    try:
        Problem().literal(LSTM).rows([7])
    except IndexError as error:
        return error


SINGLE, CLIPS = lift(LSTM, choices={"float32": True}), lift(LSTM, choices={"clip": 1}, takes_upstream=False)
FEW = Run(Tally(examples=100, verdicts={"W": Counter(certified=1)}), law=law)
ENDINGS = {
    "held": ({"outcome": "passed"}, "held", ""),
    "held, with nothing to compare": (
        {"outcome": "passed", "run": Run(Tally(examples=3))},
        "not verified",
        "it offers nothing that the law could compare",
    ),
    "held, for a shipped cell in too few examples": (
        {"outcome": "passed", "run": FEW},
        "broken",
        "vacuous: of 100 examples certified W 1; wanted 10 each",
    ),
    "held, for a guest in too few examples": (
        {"outcome": "passed", "run": FEW, "cell": ["a.py:A"]},
        "held",
        "vacuous: of 100 examples certified W 1; wanted 10 each",
    ),
    "failed as expected": ({"outcome": "skipped", "wasxfail": "known"}, "expected", "expected failure: known"),
    "held against expectation": (
        {"longrepr": "[XPASS(strict)] known"},
        "broken",
        "LSTM: the law zero holds, but was expected to fail: known",
    ),
    "barred": (
        {"outcome": "skipped", "error": pytest.skip.Exception("not verified: a step cell")},
        "not verified",
        "a step cell",
    ),
    "hung": ({"error": Hang("took more than 1 s")}, "broken", "LSTM breaks the law zero: it took more than 1 s at None"),
    "float32, within its rounding": (
        {"Cell": SINGLE, "error": wrong([1.0], [1.1], 1e-9)},
        "not verified",
        "declared: computes in float32 inside",
    ),
    "float32, beyond its rounding": ({"Cell": SINGLE, "error": wrong([1.0], [3.0], 1e-9)}, "broken", "told"),
    "clipped, as declared": (
        {"Cell": CLIPS, "error": wrong([1.0, -1.0, 0.5], [3.0, -2.0, 0.5], 1e-9)},
        "not verified",
        "declared: clips its gradients at 1",
    ),
    "clipped, and wrong": ({"Cell": CLIPS, "error": wrong([1.0, 0.4], [3.0, 0.5], 1e-9)}, "broken", "told"),
    "clipped, not a gradient": ({"Cell": CLIPS, "error": wrong([1.0], [3.0], 1e-9, "c'")}, "broken", "told"),
    "raised": ({"Cell": CLIPS, "error": ValueError("no")}, "broken", "told"),
    "an error of ours": (
        {"error": ours()},
        "incomplete",
        "LSTM: zero: internal error of Cellcheck: IndexError: index 7 is out of bounds for axis 0 with size 1 "
        f"(strategies/problem.py:{ours().__traceback__.tb_next.tb_lineno})",
    ),
    "a promise of a guest": ({"error": ValueError("no"), "cell": ["a.py:A"], "promise": True}, "hazard", "told"),
    "a promise of a shipped cell": ({"error": ValueError("no"), "promise": True}, "broken", "told"),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_ending_has_its_verdict(ending, monkeypatch):
    """With the reason, in the table and, where it is broken, as the failure that pytest shows."""
    how, verdict, reason = ENDINGS[ending]
    monkeypatch.setattr(judging, "reported", lambda *case: "told")
    _, report = asked(**how)
    said = dict(report.user_properties)["cellcheck"]
    assert (said["verdict"], said["reason"]) == (verdict, reason)
    assert (report.outcome == "failed") == (verdict in ("broken", "incomplete"))
    assert verdict != "broken" or report.longrepr == reason


def test_a_traceback_is_kept_for_who_asks_for_it():
    """With -vv."""
    assert asked(longrepr="traceback", error=Hang("hung"), verbosity=2)[1].longrepr == "traceback"


def test_a_cell_that_hung_is_asked_no_more():
    """Each law would take as long again."""
    item, _ = asked(error=Hang("took more than 1 s"))
    assert judging.barred(item) == "the cell hung in an earlier law"


@pytest.mark.parametrize("wild", [SystemExit("bye"), Hang("took more than 1 s"), ZeroDivisionError("by zero")])
def test_a_guest_that_spoils_its_report_is_told_all_the_same(wild, monkeypatch):
    """In one line that says what it did."""

    def reported(*case):
        raise wild

    monkeypatch.setattr(judging, "reported", reported)
    _, report = asked(error=ValueError("no\nmore"))
    assert report.longrepr == f"LSTM breaks the law zero: ValueError: no at None (no report: {type(wild).__name__}: {wild})"


def test_a_limit_rings_in_the_main_thread():
    """Whatever Python code is running."""
    with pytest.raises(Hang, match=r"took more than 0\.01 s"), limited(0.01):
        sleep(10)


def test_off_the_main_thread_there_is_no_limit():
    """A signal could not reach it."""
    done = []

    def patient():
        with limited(0.001):
            sleep(0.01)
        done.append(True)

    thread = Thread(target=patient)
    thread.start()
    thread.join()
    assert done


class Uncopiable(LSTM):
    """Holds what deepcopy refuses."""

    def __deepcopy__(self, memo):
        raise TypeError("cannot pickle a handle")


@pytest.mark.parametrize(
    ("Guest", "reason"), [(LSTM, None), (Uncopiable, "cannot be copied, and so not be given weights of another type")]
)
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


def running(raised):
    """Run a law that raises this in its first example."""

    @settings(max_examples=1, database=None, phases=[Phase.generate])
    @given(problem=problems())
    def law(Cell, problem):
        """Nothing holds."""
        raise raised

    with observed(law, shrink=False):
        law(Cell=LSTM)


def test_a_guest_that_raises_skip_is_a_failure():
    """pytest would take it for its own."""
    with pytest.raises(RuntimeError, match="the cell raised SkipTest: not today"):
        running(SkipTest("not today"))


def test_a_rejected_example_is_none():
    """Neither a failure nor a pass."""
    with pytest.raises(Unsatisfiable):
        running(UnsatisfiedAssumption())
