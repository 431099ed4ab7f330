"""A mistake predicts numbers, and is named only where a cell returns exactly these."""

from collections.abc import Callable
from typing import NamedTuple

from cellcheck.properties.reports.diagnosis.grown import CLOSE, figure, gap, same


class Mistake(NamedTuple):
    """sentence: what the cell does; predicted: a function that returns, by name, the arrays of a cell that does so."""

    sentence: str
    predicted: Callable


def matched(mistakes, seen, right, what, tolerance=CLOSE):
    """The sentence of the first mistake that predicts what is seen, [] for none; never of one that predicts what is right.

    seen, right: arrays by name; what: they are called; tolerance: relative.
    """
    for sentence, predicted in mistakes:
        told = predicted()
        if all(same(seen[n], told[n], tolerance) for n in seen) and not all(same(right[n], told[n], tolerance) for n in seen):
            to, off = (max(gap(seen[n], other[n]) for n in seen) for other in (told, right))
            near = f"to within {figure(to)}" if to else "exactly"
            return [f"{sentence}: this predicts {what} {near}; the right numbers are {figure(off)} away"]
    return []
