"""One law on one cell: what it did, and the last problem on which it failed."""

import os
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from time import perf_counter
from unittest import SkipTest

import numpy as np
import pytest
from hypothesis.errors import UnsatisfiedAssumption

from cellcheck.properties.intake.surroundings import restored
from cellcheck.properties.shrinking import shrinking
from cellcheck.properties.verdicts.limits import EXAMPLE, Hang, limited
from cellcheck.properties.verdicts.tally import Tally, counting
from cellcheck.strategies import regimes

CERTIFIED = 10  # a block that was certified in fewer examples has not been verified
ENDINGS = (SystemExit, SkipTest, pytest.skip.Exception, pytest.fail.Exception, pytest.exit.Exception)


@dataclass
class Run:
    """tally: of all examples up to the first that fails; problems: what their problems were like (see `regimes`), likewise.

    seconds: of the whole law; law: the function that ran; failure: the arguments of the last call that failed.
    smallest: (problem, error) of the smallest case known to fail, once the law is over; case: what was reported of it.
    """

    tally: Tally = field(default_factory=Tally)
    problems: Counter = field(default_factory=Counter)
    seconds: float = 0.0
    law: Callable | None = None
    failure: dict | None = None
    smallest: tuple | None = None
    case: object = None

    def vacuous(self):
        """Why the run proves nothing, or None: blocks certified in fewer than CERTIFIED examples, or one in ten of few."""
        wanted = min(CERTIFIED, self.tally.examples // 10)
        thin = [f"{name} {seen['certified']}" for name, seen in self.tally.verdicts.items() if seen["certified"] < wanted]
        return f"vacuous: of {self.tally.examples} examples certified {', '.join(thin)}; wanted {wanted} each" if thin else None

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
        for name, seen in self.tally.decades.items():
            decades = {"exact" if k is None else str(k): n for k, n in seen.items()}
            sharpness = {"worst": self.tally.power.get(name), "decades": decades, "oracle": self.tally.oracles.get(name)}
            found[name] = {**self.tally.verdicts[name], **sharpness}
        return found


@contextmanager
def observed(law, shrink=True, limit=EXAMPLE, step=lambda inputs, seconds: None):
    """Run a law's examples under observation, and make the case that breaks it small; yields the Run.

    limit: in seconds, for one example; step: called before each run of the law, with its inputs and its limit.
    """
    inner, home = law.hypothesis.inner_test, os.getcwd()
    run, began = Run(), perf_counter()

    @wraps(inner)
    def guarded(**arguments):
        step(arguments.get("problem"), limit)
        try:
            return inner(**arguments)
        except ENDINGS as ending:  # raised by the cell; for pytest they would end or skip the law, or end the run
            raise RuntimeError(f"the cell raised {type(ending).__name__}: {ending}") from ending
        finally:
            os.chdir(home)

    @wraps(inner)
    def watched(**arguments):
        if run.failure is None:
            run.problems[regimes.of(arguments.get("problem"))] += 1
        try:
            tally = run.tally if run.failure is None else Tally()  # what shrinking tries is not counted
            with counting(tally), np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what a guest warns of is judged by the law of flags
                with limited(limit):
                    return guarded(**arguments)
        except UnsatisfiedAssumption:  # no failure, and no example
            raise
        except (Exception, Hang):
            run.failure = arguments
            raise

    law.hypothesis.inner_test, run.law = watched, guarded
    with restored():
        try:
            yield run
        except Exception as error:
            if shrink and run.failure:
                problem, smaller = shrinking.smallest(guarded, *(run.failure[name] for name in ("Cell", "problem")))
                run.smallest = problem, smaller or error
            raise
        finally:
            law.hypothesis.inner_test = inner
            run.seconds = perf_counter() - began
