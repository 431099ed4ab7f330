"""Which classic mistake a cell makes: tried against the numbers of a grown case; silent where none fits."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
from cellcheck.properties.reports.diagnosis.conduct import conduct_faults, crashes
from cellcheck.properties.reports.diagnosis.equations import equation_faults
from cellcheck.properties.reports.diagnosis.gradients import gradient_faults
from cellcheck.properties.reports.diagnosis.grown import LONG, PLAIN, SIZES, grown
from cellcheck.properties.reports.diagnosis.numerics import numeric_faults
from cellcheck.properties.reports.diagnosis.panels import panels
from cellcheck.properties.reports.diagnosis.promises import ALONE, promise_faults
from cellcheck.properties.reports.diagnosis.sequence import sequence_faults
from cellcheck.properties.reports.recording import recorded
from cellcheck.properties.shrinking.shrinking import quiet
from cellcheck.properties.verdicts.blocks import Violation
from cellcheck.properties.verdicts.tally import Tally


def diagnose(case):
    """(sentences, panels) of a Case: likely causes, each with the number that speaks for it, and where it is wrong."""
    recipe = getattr(case.problem, "recipe", case.problem)
    own = replace(recipe, **SIZES, dtype=None)
    with quiet(Tally(), draws=0):
        if case.group == "errors" or case.name in ALONE:
            told = _tried(lambda: promise_faults(grown(case.Cell, PLAIN), case.name)) or accepted(case)
        else:
            told, wrong = examined(case.Cell, PLAIN)
            told = told or (() if wrong else examined(case.Cell, own)[0])
            if (
                not told and grown(case.Cell, PLAIN).cell.spec.sequence
            ):  # some mistakes show plainly in long sequences, some in a single step
                longer = examined(case.Cell, replace(LONG, steps=recipe.steps))[0] if recipe.steps > SIZES["steps"] else ()
                told = longer or examined(case.Cell, replace(PLAIN, steps=1))[0]
            told = told or _tried(lambda: promise_faults(grown(case.Cell, PLAIN), case.name)) or _tried(lambda: beyond(case))
        if not told and "flag" in case.name:
            told = _tried(lambda: numeric_faults(grown(case.Cell, PLAIN), flagged=True))
        if not told and not isinstance(case.error, Violation):
            told = _tried(lambda: crashes(grown(case.Cell, PLAIN)))
        shown = _tried(lambda: panels(case, grown(case.Cell, PLAIN), grown(case.Cell, own)))
    return list(told), list(shown)


def beyond(case):
    """Units from which on a large state is wrong."""
    recipe = getattr(case.problem, "recipe", case.problem)
    for b in recorded(case.law, case.Cell, recipe)[1] if recipe.state > 64 else []:
        if isinstance(b.got, np.ndarray) and np.shape(b.got) == np.shape(b.expected) and b.got.shape[-1:] == (recipe.state,):
            wrong = np.flatnonzero((~np.isclose(b.got, b.expected, 1e-8, 1e-12)).reshape(-1, recipe.state).any(axis=0))
            if wrong.size and wrong[0] > 16 and wrong.size == recipe.state - wrong[0]:
                return [f"{b.name} is wrong in the units from {wrong[0]} on, all {wrong.size} of them, and right in those before"]
    return []


def accepted(case):
    """Of a law of errors: what was not refused."""
    blocks = case.error.blocks if isinstance(case.error, Violation) else []
    return [f"{b.name} refuses nothing: it gives {b.got}" for b in blocks if b.expected == "an exception"][:2]


@lru_cache(maxsize=64)
def examined(Cell, problem):
    """(sentences, whether gradients or outputs are wrong) of a cell on one problem."""
    g = grown(Cell, problem)
    told = _tried(lambda: conduct_faults(g))
    if told:
        return tuple(told), True
    told, right = _tried(lambda: equation_faults(g), ((), True))
    if told and not g.cell.spec.sequence:
        return tuple(told), True
    if g.cell.spec.sequence and (told := told or (_tried(lambda: sequence_faults(g)) if problem == PLAIN else ())):
        return tuple(told), True
    numeric = _tried(lambda: numeric_faults(g))
    if not right and numeric:
        return tuple(numeric), True
    told, good = _tried(lambda: gradient_faults(g), ((), True)) if g.cell.spec.gradients else ((), True)
    return tuple(told or numeric), bool(told or numeric) or not (right and good)


def _tried(look, nothing=()):
    """What a look finds; a cell that breaks the look itself is told by its law alone."""
    try:
        return look()
    except Exception:
        return nothing


__all__ = ["diagnose", "examined"]
