"""Linearity: of vjp in its upstream, and of sums over the rows of a batch."""

import numpy as np
import pytest
from hypothesis import given

from properties import bound
from properties.oracles import agree
from properties.run import apply, vjp
from properties.verdicts import identical, require
from strategies import problems


@given(problem=problems())
def test_vjp_is_linear(Cell, problem):
    """vjp(2 u - 3 v) = 2 vjp(u) - 3 vjp(v)."""

    def whole(p):
        return vjp(Cell, p, lambda u, v: tuple(2 * a - 3 * b for a, b in zip(u, v)))

    def parts(p):
        u, v = vjp(Cell, p, lambda u, v: u), vjp(Cell, p, lambda u, v: v)
        return {name: 2 * u[name] - 3 * v[name] for name in u}

    require(agree(Cell, problem, whole, parts, bound.size))


@given(problem=problems())
def test_vjp_scales_exactly(Cell, problem):
    """vjp(1024 u) = 1024 vjp(u), bit by bit where nothing underflows."""
    problem = problem.literal(Cell)
    one = vjp(Cell, problem, lambda u, v: u)
    large = vjp(Cell, problem, lambda u, v: tuple(1024 * a for a in u))
    safe = {name: (np.abs(g) > np.finfo(g.dtype).tiny ** 0.6) | ~np.isfinite(large[name]) for name, g in one.items()}
    require(identical(name, np.where(safe[name], large[name], 0), np.where(safe[name], 1024 * g, 0)) for name, g in one.items())


@pytest.mark.needs("rows", "own targets")
@given(problem=problems())
def test_sum_output_is_additive_over_rows(Cell, problem):
    """forward(X, S) = sum over rows k of forward(X[k], S[k])."""

    def total(p):
        return list(apply(Cell, p).values())[-1].sum()

    def whole(p):
        return {"sum": total(p)}

    def parts(p):
        return {"sum": sum(total(p.rows([k])) for k in range(p.x.shape[-2]))}

    require(agree(Cell, problem, whole, parts, bound.size_of_sum))


@pytest.mark.needs("rows", "own targets")
@given(problem=problems())
def test_weight_gradient_is_the_sum_over_rows(Cell, problem):
    """vjp(U; X, S).weights = sum over rows k of vjp(U[k]; X[k], S[k]).weights."""

    def whole(p):
        return vjp(Cell, p, lambda u, v: u, ["weights"])

    def parts(p):
        rows = [vjp(Cell, p.rows([k]), lambda u, v: u, ["weights"]) for k in range(p.x.shape[-2])]
        return {name: sum(row[name] for row in rows) for name in rows[0]}

    require(agree(Cell, problem, whole, parts, bound.size))
