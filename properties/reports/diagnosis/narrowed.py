"""Where a cell that computes in float64 first makes numbers of fewer digits."""

import numpy as np
from cellcheck.properties.intake.raised import source
from cellcheck.properties.oracles.analytic import BUFFERS, made
from cellcheck.properties.oracles.function import rebound
from cellcheck.properties.reports.diagnosis.conduct import MEANT, single
from cellcheck.properties.reports.diagnosis.grown import grown


class Narrowed(Exception):
    """An array of fewer digits than float64."""


class Watched(np.ndarray):
    """An array from which none of fewer digits can be made."""

    def __array_finalize__(self, other):
        _checked(self)


def _checked(array):
    if array.dtype.kind == "f" and array.dtype.itemsize < 8:
        raise Narrowed(array.dtype.name)
    return array


def narrowed(Cell, problem):
    """A sentence about what is rounded on the way: the line that does it, if it is NumPy's, else the arrays concerned."""
    told = where_narrowed(Cell, problem) or single(grown(Cell, problem))
    return told or [f"a number or an array on the way has no more than the precision of float32; {MEANT}, or its precision"]


def where_narrowed(Cell, problem):
    """A sentence with the first line that makes numbers of fewer digits, [] if NumPy makes none."""
    g = grown(Cell, problem)
    cell, x, state = g.p.build(Cell)
    try:
        with made(_checked, *BUFFERS):
            watched = rebound(cell, [w.view(Watched) for w in cell.weights])
            watched.apply(x.view(Watched), *(s.view(Watched) for s in state))
            if cell.spec.gradients:
                watched.vjp(*(u.view(Watched) for u in g.upstream))
    except Narrowed as found:
        if at := source(found):
            return [f"numbers become {found} in `{at[1]}` ({at[0]}), and what follows moves in leaps; {MEANT}, or its precision"]
    except Exception:  # of a cell that takes no such arrays
        return []
    return []
