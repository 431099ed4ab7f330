"""The bound of every law that is not exact: how much a quantity changes when its inputs change by a few ulps, plus a floor.

    |got - expected| <= 8 (S + u sum|g v| + u F) + 1e-285

S is the largest change seen when every input p becomes p (1 +- u m), with m = features + state. Rounding inside a cell has the same
effect as changing its inputs by a few ulps, at most one for each term of a dot product. F is the size of the largest intermediate
result: it covers rounding that no change of an input can imitate, such as in a saturated gate. 1e-285 covers underflow. The factor
8 is measured: 200,000 correct cases needed at most 1.66.

In a sequence, each step is a cell of its own: its upstream has passed through the later steps, and its inputs through the earlier
ones. The same is true of a matrix behind another one, such as a projection, which a cell of unknown equations may have. So before the
claim of such a cell is refused, F is computed with the largest numbers that may arrive there; see `size_of_steps`.
"""

from contextlib import contextmanager
from contextvars import ContextVar
from math import prod

import numpy as np

FACTOR = 8
TINY = 1e-285
DRAWS = ContextVar("draws", default=(3, 30))  # how often S is drawn: at first, and again before a violation is declared
# Whether a difference quotient will do, and kinks do not matter, as while a case shrinks.
ROUGHLY = ContextVar("roughly", default=False)


@contextmanager
def drawing(most):
    """Within this context, draw S at most `most` times."""
    few, _ = DRAWS.get()
    token = DRAWS.set((min(few, most), most))
    try:
        yield
    finally:
        DRAWS.reset(token)


def size(spec, weights, x, state, upstream, carried=0.0):
    """F without sum|v|: (Y + carried) max(1, |x|, |state|) max(1, |W|) (1 + |state|), maxima over entries.

    Y is the largest row or column sum of |upstream|, summed over outputs and steps; a scalar upstream stands for one of its
    value at every unit of every row.
    """
    top = max((_top(s) for s in state), default=0.0)
    rows = x.shape[spec.sequence]
    width = _units(spec)
    by_width: dict[int, np.ndarray] = {}  # outputs of one width share their columns
    for name, u in zip(spec.output_names, upstream):
        u = np.abs(u.astype(float))
        if spec.batch_axis(name) is None:
            u = np.full((rows, width), float(u))
        elif spec.batch_axis(name):
            u = u.sum(axis=0)
        u = u.reshape(rows, -1)
        by_width[u.shape[1]] = by_width.get(u.shape[1], 0.0) + u
    row = _top(sum((u.sum(axis=1) for u in by_width.values()), np.zeros(rows)))
    Y = max(row, sum(_top(u.sum(axis=0)) for u in by_width.values())) + carried
    return Y * max(1.0, _top(x), top) * max([1.0, *map(_top, weights)]) * (1 + top)


def size_of_steps(spec, weights, x, state, upstream, largest):
    """F of any step of a sequence, or of any matrix behind another: what is handed back is at most a row or column of |W| times
    a gradient, or times the upstream.

    largest: of all the gradients that the cell claims.
    """
    wide = max((_top(np.abs(w).sum(axis=k)) for w in weights for k in range(w.ndim)), default=0.0)
    return size(spec, weights, x, state, upstream, wide * (largest + max(map(_top, upstream), default=0.0)))


def size_of_outputs(spec, weights, x, state, upstream):
    """F of a single output: 1 + |state|, and 1 more for each step of a sequence, since c' <= c + 1; each step rounds it once more.

    If the only output is a sum or a loss, F is that of all that it adds up: what cancels in it has been rounded.
    """
    steps = len(x) if spec.sequence else 0
    one = max(1, steps) * (1 + max((_top(s) for s in state), default=0.0) + steps)
    return one * (_terms(spec, x) if spec.scalar else 1)


def size_of_sum(spec, weights, x, state, upstream):
    """F of the sum of all outputs: that of a single one for each of them."""
    return size_of_outputs(spec, weights, x, state, upstream) * (1 if spec.scalar else _terms(spec, x))


def size_of_a_run(spec, weights, x, state, upstream):
    """F of outputs and gradients together."""
    return size(spec, weights, x, state, upstream) + size_of_sum(spec, weights, x, state, upstream)


def _terms(spec, x):
    """How many numbers the sum of all outputs adds up."""
    return prod(x.shape[: 1 + spec.sequence]) * max(_units(spec), 1)


def _units(spec):
    """How many numbers the sum of a row is made of."""
    return prod(spec.states[0].shape) if spec.states else 1


def _top(a):
    return float(np.abs(a).max(initial=0.0))
