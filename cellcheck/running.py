"""Run one law on one cell: what it did, and the smallest problem on which it failed."""

import inspect
import os
import warnings
from collections import Counter
from dataclasses import dataclass, field
from functools import wraps
from math import inf
from time import perf_counter
from typing import Any
from unittest import SkipTest

import numpy as np
import pytest
from hypothesis import given, reject
from hypothesis.errors import UnsatisfiedAssumption

from cellcheck import profiles
from cellcheck.cells import lift
from cellcheck.properties.intake.surroundings import Replaced, restored, returned
from cellcheck.properties.shrinking import shrinking
from cellcheck.properties.verdicts.blocks import Violation
from cellcheck.properties.verdicts.limits import Hang, limited
from cellcheck.properties.verdicts.run import both
from cellcheck.properties.verdicts.tally import Tally, counting
from cellcheck.strategies import TOGETHER, Problem, problems, regimes

ENDINGS = (SkipTest, pytest.skip.Exception, pytest.exit.Exception)
CERTIFIED = 10  # a block that was certified in fewer examples has not been verified
LEAST = 0.25  # a derivative that was certified in so large a share of its non-trivial examples is verified
SPARSE = 0.1  # so is one that was certified in this share, if these are CERTIFIED examples


class Stopped(BaseException):
    """A timeout of pytest's ended the test. No Exception, so that Hypothesis does not take it for a failure of the law."""


@dataclass
class Run:
    """What a law did on a cell.

    tally: of all examples up to the first that fails; problems: how many of them had which properties (see `regimes`);
    seconds: of the whole law; error: what the law raised, or None; failure: the problem of the last call that failed;
    smallest: (problem, error) of the smallest case known to fail; case: what was reported of it; flaky: whether it fails there
    no more; damaged: whether the cell now raises at every problem; idle: names of weights without an effect, of which nothing
    need be certified.
    """

    tally: Tally = field(default_factory=Tally)
    problems: Counter = field(default_factory=Counter)
    seconds: float = 0.0
    error: BaseException | None = None
    failure: object = None
    smallest: tuple | None = None
    case: object = None
    flaky: bool = False
    damaged: bool = False
    idle: tuple = ()

    def vacuous(self):
        """Why the run proves nothing, or None: blocks certified in fewer than CERTIFIED examples, or one in ten of few."""
        wanted = min(CERTIFIED, self.tally.examples // 10)
        judged = {name: seen for name, seen in self.tally.verdicts.items() if name not in self.idle}
        thin = [f"{name} {seen['certified']}" for name, seen in judged.items() if seen["certified"] < wanted]
        return f"vacuous: of {self.tally.examples} examples certified {', '.join(thin)}; wanted {wanted} each" if thin else None

    def uncertified(self, reference=None):
        """Why too little was certified: nothing at all, or less than LEAST of the non-trivial examples of a derivative; else None.

        reference: that of the cell, if it has one.

        What is certified has been compared along a random direction in each example. What is wrong only where nothing could be
        certified stays unseen, whatever the share.
        """
        seen = sum(self.tally.verdicts.values(), Counter())
        counts = ", ".join(f"{seen[verdict]} {verdict}" for verdict in ("inconclusive", "trivial") if seen[verdict])
        if counts and not seen["certified"]:
            return f"certified nothing in {self.tally.examples} examples ({counts})"
        derivatives = {name: self.tally.verdicts[name] for name in self.tally.decades if name not in self.idle}
        blunt = [
            f"{name} in {seen['certified']}"
            for name, seen in derivatives.items()
            if seen["certified"] < min(LEAST * (n := seen["certified"] + seen["inconclusive"]), max(CERTIFIED, SPARSE * n))
        ]
        told = f"of {self.tally.examples} examples certified {', '.join(blunt)}; elsewhere an error may hide in rounding, or at a kink"
        return told + "; --reference compares with another cell" * (not reference) if blunt else None

    def result(self, cell, group, law, verdict, reason):
        """The run as a dict of plain values, for the table. reason: why not verified, or the report of what broke."""
        blocks = sum(self.tally.verdicts.values(), Counter())
        vacuous = self.vacuous() if verdict == "held" else None
        numbers = {"examples": self.tally.examples, "blocks": dict(blocks), "worst": float(self.tally.worst)}
        numbers |= {"power": self.power(), "regimes": regimes.reached(self.problems), "seconds": round(self.seconds, 3)}
        return {"cell": cell, "group": group, "law": law, "verdict": verdict, "reason": reason or vacuous or "", **numbers}

    def power(self):
        """For each derivative that was compared: its verdicts, and how closely it agreed where it was certified."""
        found = {}
        for name, seen in ((name, seen) for name, seen in self.tally.decades.items() if name not in self.idle):
            decades = {"exact" if k is None else str(k): n for k, n in seen.items()}
            sharpness = {"worst": self.tally.power.get(name), "decades": decades, "oracle": self.tally.oracles.get(name)}
            found[name] = {**self.tally.verdicts[name], **sharpness}
        return found


def observed(
    check, Cell, label, chosen, limit, shrink=True, step=lambda inputs, seconds: None, examples=inf, idle=(), patience=1.0
):
    """Run a law under observation, and make the case that breaks it small; returns the Run. Raises pytest's own failure.

    check: the law as a function of (Cell, problem); label: of the cell; chosen: Hypothesis's settings; limit: seconds for one
    problem; shrink: whether to make the case small; step: called before each run of the law, with its problem and its limit;
    examples: problems to judge; idle: weights without an effect; patience: as of `shrinking.smallest`.
    """
    run, began, home, left = Run(idle=idle), perf_counter(), os.getcwd(), examples

    def guarded(Cell, problem):
        """The law, which fails where the cell would end or skip it."""
        step(problem, limit)
        try:
            return check(Cell=Cell, problem=problem)
        except pytest.fail.Exception as fail:
            raise Stopped from fail
        except ENDINGS as ending:  # raised by the cell; for pytest they would end or skip the law, or end the run
            raise RuntimeError(f"the cell raised {type(ending).__name__}: {ending}") from ending
        finally:
            returned(home)

    def judged(Cell, problem):
        """Whether the law holds for one problem, under its limit; False if it rejects the problem."""
        run.problems[regimes.of(problem)] += 1
        try:
            with counting(run.tally), np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what a guest warns of is judged by the law of flags
                try:
                    guard.begin()
                    guarded(Cell, problem)
                finally:
                    guard.pause()
        except UnsatisfiedAssumption:
            return False
        except (Exception, Hang):
            run.failure = problem
            raise
        return True

    def watched(Cell, problem):
        """The law for the family of a problem that Hypothesis has drawn."""
        nonlocal left
        if run.error:  # Hypothesis repeats what failed; a cell that is not deterministic might not fail again
            raise run.error
        try:
            family = problem.family(lift(Cell).sizes)[: int(max(1, min(left, TOGETHER)))]
            left -= len(family)
            if not any([judged(Cell, p) for p in family]):
                reject()
        except (Exception, Hang) as error:
            if not isinstance(error, UnsatisfiedAssumption):
                run.error = error
            raise

    try:
        with restored():
            try:
                with profiles.settled(), limited(limit) as guard:
                    guard.pause()
                    as_test(watched, check, label, chosen)(Cell=Cell)
            except (Exception, Hang) as error:
                run.error = error
                run.damaged = run.failure is not None and isinstance(error, Exception) and damaged(Cell, error, limit)
                if shrink and run.failure is not None and isinstance(error, Exception) and not run.damaged:
                    problem, smaller = shrinking.smallest(guarded, Cell, run.failure, patience)
                    run.smallest, run.flaky = (problem, smaller or error), smaller is None
    except Stopped as stopped:
        raise stopped.__cause__ from None
    except Replaced as replaced:
        run.error = replaced
    run.seconds = perf_counter() - began
    return run


def damaged(Cell, error, limit):
    """Whether the cell raises this even at the problem of the pre-flight: after an illegal memory access, CUDA refuses all calls."""
    if isinstance(error, Violation):
        return False
    try:
        with limited(limit), np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            both(Cell, Problem(1, 1, 1, steps=2, seed=1, scale=0.5))
    except (Exception, Hang, *ENDINGS) as again:
        return type(again) is type(error)
    return False


def as_test(function, check, label, chosen):
    """A Hypothesis test of (Cell) that calls `function` in the place of the law `check`.

    Hypothesis tells tests apart by their source and their signature. So this one has the source of the law, and a signature that
    has the label of the cell in it: its examples and seeds are those of the law on this cell, whoever runs it.
    """
    wrapped: Any = wraps(check, updated=())(function)
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    wrapped.__signature__ = inspect.Signature(
        [inspect.Parameter("Cell", kind, annotation=label), inspect.Parameter("problem", kind)]
    )
    return chosen(given(problem=problems())(wrapped))
