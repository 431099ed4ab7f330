"""Small cases of the shipped cells, shared by the tests of their contract."""

import contextlib

import numpy as np
import pytest
from cellcheck.cells import CELLS, lift
from cellcheck.properties.intake.catalogue import laws
from cellcheck.properties.mutants.judge import drawn
from cellcheck.properties.reports import Case
from cellcheck.properties.reports.diagnosis import Attempts, diagnose
from cellcheck.properties.reports.diagnosis.grown import PLAIN
from cellcheck.properties.shrinking.shrinking import smallest
from cellcheck.properties.verdicts.blocks import Violation
from cellcheck.strategies import Problem
from hypothesis.errors import UnsatisfiedAssumption

FEATURES, STATE, BATCH, STEPS = 3, 2, 4, 5
SEQUENCE_CELLS = [Shipped for Shipped in CELLS if Shipped.sequence]
LENGTHS = [5, 0, 2, 1]
GATES = {"RNN": {"candidate"}, "LSTM": {"input", "forget", "output", "candidate"}, "GRU": {"reset", "update", "candidate"}}
# A product may be summed in another order when it has other rows: values of order 1, sums of 5 terms, 5 steps.
ROUNDING = 64 * np.finfo(np.float64).eps


def named(Shipped):
    """The id of a test parameter."""
    return Shipped.__name__


every_cell = pytest.mark.parametrize("Shipped", CELLS, ids=named)
every_sequence_cell = pytest.mark.parametrize("Shipped", SEQUENCE_CELLS, ids=named)


def case(Shipped, *, batch=BATCH, steps=STEPS, dtype=np.float64):
    """A cell whose every weight is random, an input and states for it."""
    rng = np.random.default_rng(0)
    cell = Shipped(FEATURES, STATE, rng=rng, dtype=dtype)
    for w in cell.weights:
        w[...] = rng.standard_normal(w.shape)
    x = rng.standard_normal((*([steps] if Shipped.sequence else []), batch, FEATURES)).astype(dtype)
    return cell, x, [rng.standard_normal((batch, STATE)).astype(dtype) for _ in cell.state_names]


def upstreams(outputs):
    """A random upstream for each output, of its shape and dtype."""
    rng = np.random.default_rng(1)
    return [rng.standard_normal(y.shape).astype(y.dtype) for y in outputs]


def flat(gradients):
    """All arrays of some Gradients."""
    return [*gradients.weights, gradients.x, *gradients.state]


def same(got, expected):
    """Two lists of arrays, equal bit by bit."""
    assert len(got) == len(expected)
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_array_equal(a, b, strict=True)


def close(got, expected):
    """Two lists of arrays, equal but for ROUNDING."""
    assert len(got) == len(expected)
    for a, b in zip(got, expected, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=ROUNDING, atol=ROUNDING)


def holds(Cell, name, n=40):
    """Whether the law holds on the first problems that it draws."""
    try:
        for problem in drawn(name)[:n]:
            with contextlib.suppress(UnsatisfiedAssumption):
                laws()[name].check(Cell=Cell, problem=problem)
    except Violation:
        return False
    return True


def broken(Cell, names=None, n=40):
    """The laws, promises aside, that the cell breaks."""
    asked = [law for law in laws().values() if not law.promise and law.name in (names or laws()) and law.applies(Cell)]
    return {law.name for law in asked if not holds(Cell, law.name, n)}


def told(Guest, name):
    """What is said of a cell under a law that it breaks."""
    law, Cell = laws()[name], lift(Guest)
    with np.errstate(all="ignore"):
        problem = next(p for p in (PLAIN, *Problem(seed=5).family()) if fails(law, Cell, p))
        small, error = smallest(law.check, Cell, problem)
        return diagnose(Case("my.py:Cell", name, law.group, law.equation, law.check, Cell, small, error), Attempts())[0]


def fails(law, Cell, problem):
    """Whether the law fails there."""
    try:
        law.check(Cell=Cell, problem=problem)
    except Violation:
        return True
    return False
