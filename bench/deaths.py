"""How long a bug lives: seconds to the first counterexample, and to the written report."""

import tempfile
import warnings
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from cellcheck.properties.intake.catalogue import laws
from cellcheck.properties.mutants import CATALOGUE, killed
from cellcheck.properties.reports import Case, reported
from cellcheck.properties.shrinking import shrinking


@dataclass
class Time:
    """Of one mutant under the law that names it: examples and seconds to the first counterexample, seconds to shrink and tell it."""

    name: str
    examples: int
    found: float
    shrunk: float
    told: float


def times(mutants=CATALOGUE, every=1):
    """(the Time of each of every n-th mutant, the names of those that lived)."""
    found, lived = [], []
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for mutant in mutants[::every]:
            law, Cell = laws()[mutant.law], mutant.cls
            death = killed(law, Cell)
            if death is None:
                lived.append(mutant.name)
            else:
                found.append(Time(mutant.name, death.examples, death.seconds, *told(law, Cell, death.problem)))
    return found, lived


def told(law, Cell, problem):
    """(seconds to make the case small, seconds to write its report)."""
    start = perf_counter()
    small, error = shrinking.smallest(law.check, Cell, problem)
    middle = perf_counter()
    if error is not None:
        with tempfile.TemporaryDirectory() as directory:
            reported(Case(Cell.__name__, law.name, law.group, law.check.__doc__, law.check, Cell, small, error), directory)
    return middle - start, perf_counter() - middle
