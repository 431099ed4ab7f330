"""Layout, promises: where the numbers lie in memory, of which type they are, and that there may be none."""

from dataclasses import replace

import numpy as np
import pytest
from cellcheck.cells import lift
from cellcheck.properties.intake.capabilities import missing
from cellcheck.properties.oracles import agree, unchanged
from cellcheck.properties.verdicts import bound
from cellcheck.properties.verdicts.blocks import Block
from cellcheck.properties.verdicts.run import apply, both, joined, vjp
from cellcheck.properties.verdicts.tally import require
from cellcheck.strategies import problems
from hypothesis import given


@pytest.mark.promise
@given(problem=problems())
def test_column_order_is_accepted(Cell, problem):
    """apply and vjp of arrays in Fortran order = those of the same arrays in C order."""
    require(_agree_when_laid(Cell, problem, lambda a: np.array(a, order="F")))


@pytest.mark.promise
@given(problem=problems())
def test_strided_views_are_accepted(Cell, problem):
    """apply and vjp of every second entry of wider arrays = those of the same numbers side by side."""
    require(_agree_when_laid(Cell, problem, lambda a: np.repeat(a, 2, axis=-1)[..., ::2] if a.ndim else a))


@pytest.mark.promise
@given(problem=problems())
def test_reversed_views_are_accepted(Cell, problem):
    """apply and vjp of a[::-1] = those of the same numbers in order, where a holds them backwards."""
    require(_agree_when_laid(Cell, problem, lambda a: np.flip(np.flip(a).copy())))


@pytest.mark.promise
@given(problem=problems())
def test_read_only_arrays_are_accepted(Cell, problem):
    """apply and vjp of read-only arrays = those of writable ones."""
    require(_agree_when_laid(Cell, problem, _locked))


@pytest.mark.promise
@pytest.mark.needs("copy")
@given(problem=problems())
def test_dtypes_are_kept(Cell, problem):
    """dtype(apply(x, s)) = dtype(x), dtype(vjp(u)) = dtype of W, x and s, for each dtype of the cell; also without s, where the states may be omitted."""
    blocks = []
    for dtype in lift(Cell).spec().dtypes:
        p = replace(problem, dtype=dtype).literal(Cell)
        runs = {"": both(Cell, p)}
        if not missing(Cell, {"omitted"}):
            runs[", states omitted"] = both(Cell, replace(p, state=p.further), ["weights", "x"])
        for how, run in runs.items():
            kept = np.dtype(dtype)
            told = f", {kept}{how}"
            blocks += [_dtype(name + told, a.dtype, kept) for name, a in run.items()]
    require(blocks)


@pytest.mark.promise
@pytest.mark.needs("float32", "copy")
@given(problem=problems())
def test_float32_outputs(Cell, problem):
    """float32 apply(x, s) = float64 apply(x, s) at the same numbers, to the roundings of float32."""
    problem = replace(problem, dtype=np.float32)
    require(agree(Cell, problem, lambda p: apply(Cell, p), lambda p: apply(Cell, _widened(p)), bound.size_of_outputs))


@pytest.mark.promise
@pytest.mark.needs("float32", "copy")
@given(problem=problems())
def test_float32_gradients(Cell, problem):
    """float32 vjp(u) = float64 vjp(u) at the same numbers, to the roundings of float32."""
    problem = replace(problem, dtype=np.float32)

    def rounded(p):
        return {name: g.astype(p.x.dtype) for name, g in vjp(Cell, p).items()}

    require(agree(Cell, problem, rounded, lambda p: vjp(Cell, _widened(p)), bound.size))


@pytest.mark.promise
@pytest.mark.needs("rows", "own targets", "no row")
@given(problem=problems())
def test_an_empty_batch_adds_nothing(Cell, problem):
    """[apply(X), apply(X[:0])] = apply(X), vjp(X).weights + vjp(X[:0]).weights = vjp(X).weights."""
    problem = problem.literal(Cell)
    whole, empty = both(Cell, problem), both(Cell, problem.rows(slice(0)))
    require(unchanged(Cell, problem, joined(problem.spec, [whole, empty]), whole))


def _agree_when_laid(Cell, problem, lay):
    """The blocks of a run on arrays that are laid out otherwise against a plain one."""

    def laid(p):
        return both(Cell, p, lay=lay)

    return agree(Cell, problem, lambda p: both(Cell, p), laid, bound.size_of_a_run)


def _locked(a):
    """A read-only copy."""
    a = np.array(a)
    a.flags.writeable = False
    return a


def _dtype(name, got, wanted):
    """The block of one dtype."""
    return Block(name, got, wanted) if got == wanted else Block(name, got, wanted, np.inf, 0.0, "violated", note="dtype")


def _widened(p):
    """The same numbers in float64."""
    return replace(
        p, weights=[w.astype(float) for w in p.weights], x=p.x.astype(float), state=tuple(s.astype(float) for s in p.state)
    )
