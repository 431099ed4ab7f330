"""Linearity: of vjp in its upstream, and of sums over the rows of a batch."""

from math import fsum

import numpy as np
import pytest
from cellcheck.properties.oracles import agree, alike
from cellcheck.properties.verdicts import bound
from cellcheck.properties.verdicts.blocks import within
from cellcheck.properties.verdicts.run import apply, vjp
from cellcheck.properties.verdicts.tally import require
from cellcheck.strategies import problems
from hypothesis import given

ROUNDED = 1024  # units of the largest entry: at a tie, and where log |u| is computed, a u is rounded in another way than u


@given(problem=problems())
def test_vjp_is_linear(Cell, problem):
    """vjp(2 u - 3 v) = 2 vjp(u) - 3 vjp(a v) / a, with a = 2^-41 (2^-6 in float32)."""
    a = _small(*problem.build(Cell)[:2])

    def whole(p):
        return vjp(Cell, p, lambda u, v: tuple(2 * d - 3 * e for d, e in zip(u, v)))

    def parts(p):
        u, v = vjp(Cell, p, lambda u, v: u), vjp(Cell, p, lambda u, v: tuple(a * e for e in v))
        return {name: 2 * u[name] - 3 * (v[name] / a) for name in u}

    require(agree(Cell, problem, whole, parts, bound.size))


def _small(cell, x):
    """A power of two by which gradients may shrink without leaving the numbers that the cell computes with."""
    return x.dtype.type(2.0 ** (np.finfo(_arithmetic(cell.spec, x)).minexp // 25))


def _arithmetic(spec, x):
    """The dtype that the cell computes with."""
    return np.float32 if "float32" in spec.choices else x.dtype


# a is 1024 or 2^-100, and 1024 alone in float32. In float16 it is 1/4, and the two sides agree within the bound.
@given(problem=problems())
def test_vjp_scales(Cell, problem):
    """vjp(a u) = a vjp(u) for a power of two a, to 1024 units of the largest entry or the bound of a run, where nothing underflows."""
    problem = problem.literal(Cell)
    limits = np.finfo(_arithmetic(problem.spec, problem.x))
    narrow = limits.maxexp <= 16  # of the few numbers of float16, some underflow on the way, and another sum is rounded
    wide = limits.maxexp > 128 and problem.spec.precision is None and problem.recipe.seed % 2
    factor = problem.x.dtype.type(0.25 if narrow else 2.0**-100 if wide else 1024)  # small upstreams find what is lost near 0
    one = vjp(Cell, problem, lambda u, v: u)
    other = vjp(Cell, problem, lambda u, v: tuple(factor * a for a in u))
    least = limits.tiny**0.6
    safe = {
        name: (np.abs(g) > least) & np.isfinite(g) if wide else (np.abs(g) > least) | ~np.isfinite(other[name])
        for name, g in one.items()
    }
    pairs = [(name, np.where(safe[name], other[name], 0), np.where(safe[name], factor * g, 0)) for name, g in one.items()]
    exact = _to_units(limits.eps, pairs) if problem.spec.deterministic and not narrow else []
    if exact and not _violated(exact):
        return require(exact)
    # What is computed with log |u| may enlarge that rounding as it does any other, which moves of all numbers by ulps measure.
    got, wanted = ({name: part[k] / factor for name, *part in pairs} for k in (0, 1))
    measured = alike(Cell, problem, got, wanted)
    return require(exact if exact and _violated(measured) else measured)


def _to_units(eps, pairs):
    """The blocks of (name, got, wanted) to ROUNDED units of the largest entry."""
    largest = {name: np.max(np.nan_to_num(np.abs(wanted), posinf=np.inf), initial=0.0) for name, _, wanted in pairs}
    return [within(name, got, wanted, ROUNDED * eps * largest[name]) for name, got, wanted in pairs]


def _violated(blocks):
    return any(b.verdict == "violated" for b in blocks)


@pytest.mark.needs("rows", "own targets", "single row", "same rows", "own row")
@given(problem=problems())
def test_sum_output_is_additive_over_rows(Cell, problem):
    """forward(X, S) = sum over rows k of forward(X[k], S[k])."""

    def total(p):
        return _sum(list(apply(Cell, p).values())[-1])

    def whole(p):
        return {"sum": total(p)}

    def parts(p):
        return {"sum": _sum(np.array([total(p.rows([k])) for k in range(p.batch)]))}

    require(agree(Cell, problem, whole, parts, bound.size_of_sum))


def _sum(a):
    """The sum of an array, rounded once: the order of the rows is not to matter."""
    return a.dtype.type(fsum(a.ravel().tolist())) if np.isfinite(a).all() else a.sum()


@pytest.mark.needs("rows", "own targets", "single row", "unclipped", "same rows", "own row")
@given(problem=problems())
def test_weight_gradient_is_the_sum_over_rows(Cell, problem):
    """vjp(U; X, S).weights = sum over rows k of vjp(U[k]; X[k], S[k]).weights."""

    def whole(p):
        return vjp(Cell, p, lambda u, v: u, ["weights"])

    def parts(p):
        rows = [vjp(Cell, p.rows([k]), lambda u, v: u, ["weights"]) for k in range(p.batch)]
        return {name: sum(row[name] for row in rows) for name in rows[0]}

    require(agree(Cell, problem, whole, parts, bound.size))
