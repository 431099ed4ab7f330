"""Whether a law kills a cell: the examples that its derandomised run under the default profile would see, one by one."""

import warnings
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache, wraps
from math import ceil
from time import perf_counter

import numpy as np
from cellcheck.properties.intake.catalogue import laws
from cellcheck.strategies import TOGETHER, problems
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import UnsatisfiedAssumption

EXAMPLES, FEW = 100, 10


@dataclass(frozen=True)
class Death:
    """How a cell died: after how many examples, how many seconds, of what, on which problem."""

    examples: int
    seconds: float
    error: str
    problem: object


class Enough(BaseException):
    """Ends a run of Hypothesis that has drawn what is needed; no Exception, which would be a failure."""


@lru_cache
def drawn(name, n=EXAMPLES):
    """The first n problems that the law is judged on when it is derandomised under the default profile.

    The law and its settings are not touched: what draws is another function that has the law's source, of which the seed is made.
    """
    seen = []

    @wraps(laws()[name].check)
    def draw(Cell, problem):
        seen.extend(problem.family())
        if len(seen) >= n:
            raise Enough

    quiet = {"database": None, "deadline": None, "suppress_health_check": list(HealthCheck)}
    with suppress(Enough):
        settings(max_examples=1 + ceil((EXAMPLES - 1) / TOGETHER), derandomize=True, phases=[Phase.generate], **quiet)(
            given(problem=problems())(draw)
        )(Cell=None)
    return seen[:n]


def examples(name):
    """The problems that `drawn` finds, the first few without drawing the rest."""
    yield from drawn(name, FEW)
    yield from drawn(name)[FEW:]


def killed(law, Cell, asked=None):
    """The Death of the cell by the law, or None if it lives. asked: the problems, by default all of `examples`."""
    start = perf_counter()
    for k, problem in enumerate(asked or examples(law.name), 1):
        try:
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                law.check(Cell=Cell, problem=problem)
        except UnsatisfiedAssumption:  # the law has rejected the problem
            continue
        except Exception as error:
            return Death(k, perf_counter() - start, f"{type(error).__name__}: {error}".splitlines()[0], problem)
    return None
