"""What problems() reaches, and what it shrinks to."""

from random import Random

import numpy as np
import pytest
from cellcheck.cells import GRU, LSTM, RNN, Unroll, lift
from cellcheck.properties.shrinking import shrinking
from cellcheck.strategies import Literal, Problem, problems
from cellcheck.strategies.problem import LARGE, REGIMES, SCALES, TOGETHER, UPSTREAMS
from hypothesis import HealthCheck, Phase, find, given, settings

SEEDS = range(8)
PHASES = [Phase.generate, Phase.shrink]  # no explanation, which takes ten times as long
QUIET = settings(max_examples=2000, database=None, deadline=None, phases=PHASES, suppress_health_check=list(HealthCheck))


def reached(n):
    """The first n problems that a law is judged on: those that Hypothesis draws, with their families."""
    seen = []

    @settings(QUIET, max_examples=n // TOGETHER + 1, phases=[Phase.generate], derandomize=True)
    @given(problem=problems())
    def draw(problem):
        seen.extend(problem.family())

    draw()
    return seen[:n]


DRAWN = reached(300)
STATES = [(p, p.build(LSTM)) for p in DRAWN if p.state < LARGE]

EXPECTED = {
    "batch of 3 or more": lambda p: p.batch >= 3,
    "features unlike state": lambda p: p.features != p.state,
    "more features than state": lambda p: p.features > p.state > 1,
    "size 1": lambda p: p.batch == p.features == p.state == 1,
    "state beyond 128": lambda p: p.state > 128,
}
VALUES: list[tuple[str, object]] = [("steps", 0), ("steps", 1), ("steps", 2), ("steps", 8)]
VALUES += [("scale", s) for s in SCALES] + [("regime", r) for r in REGIMES] + [("upstream", u) for u in UPSTREAMS]


@pytest.mark.parametrize("wanted", EXPECTED.values(), ids=EXPECTED)
def test_regime_of_recipes_is_reached(wanted):
    """Some problem of the first 300 is of this kind."""
    assert any(wanted(problem) for problem in DRAWN)


@pytest.mark.parametrize(("field", "value"), VALUES)
def test_value_of_recipes_is_reached(field, value):
    """Some problem of the first 300 has this value."""
    assert any(getattr(problem, field) == value for problem in DRAWN)


def saturated(cell, x, c, h):
    """Whether a gate is deeper than where its float64 derivative s(1 - s) vanishes."""
    return np.abs(np.concatenate([x, h], axis=1) @ cell.guest.W + cell.guest.b).max() > 37


ARRAYS = {
    "nonzero c and h": lambda cell, x, c, h: c.all() and h.all(),
    "|c| beyond 20": lambda cell, x, c, h: np.abs(c).max() > 20,
    "h within one": lambda cell, x, c, h: np.abs(h).max() <= 1,
    "zero input": lambda cell, x, c, h: not x.any(),
    "one-hot input": lambda cell, x, c, h: (x.sum(axis=1) == 1).all() and set(np.unique(x)) == {0, 1},
    "fresh rows among warm ones": lambda cell, x, c, h: (~h.any(axis=1)).any() and h.any(axis=1).any(),
    "saturated gates": saturated,
    "gates at exactly zero": lambda cell, x, c, h: not (np.concatenate([x, h], axis=1) @ cell.guest.W + cell.guest.b).all(),
    "nonzero biases": lambda cell, x, c, h: cell.guest.b.all(),
    "tied gates": lambda cell, x, c, h: (
        len(np.unique((np.concatenate([x, h], axis=1) @ cell.guest.W + cell.guest.b)[0])) < cell.guest.b.size
    ),
}


@pytest.mark.parametrize("wanted", ARRAYS.values(), ids=ARRAYS)
def test_regime_of_arrays_is_reached(wanted):
    """Some LSTM built from the first 300 problems is of this kind."""
    assert any(wanted(cell, x, *state) for _, (cell, x, state) in STATES)


def minimal(broken, seed):
    """What the first problem on which `broken` holds shrinks to."""
    return find(problems(), broken, settings=QUIET, random=Random(seed))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_law_broken_in_batches_shrinks_to_two_rows(seed):
    """batch >= 2 ends at (2, 1, 1) and seed 0, whatever the seed of Hypothesis."""
    assert minimal(lambda p: p.batch >= 2, seed) == Problem(batch=2)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_law_broken_in_large_states_shrinks_to_the_smallest(seed):
    """state >= 3 ends at (1, 1, 3)."""
    assert minimal(lambda p: p.state >= 3, seed) == Problem(state=3)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_law_broken_by_large_preactivations_shrinks_to_one_unit(seed):
    """|z| > 20 in an RNN ends at (1, 1, 1), once smaller shapes were tried with other seeds."""

    def broken(p):
        cell, x, (h,) = p.build(RNN)
        return (np.abs(np.concatenate([x, h], axis=1) @ cell.guest.W + cell.guest.b) > 20).any()

    def law(Cell, problem):
        assert not broken(problem)

    found = minimal(broken, seed)
    subject = shrinking.Subject(law, RNN)
    found = shrinking.reseeded(subject, found, subject.failure(found))
    assert (found.batch, found.features, found.state) == (1, 1, 1)


@pytest.mark.parametrize("Shipped", [RNN, LSTM, GRU, Unroll(LSTM)])
def test_a_problem_builds_the_same_arrays_twice(Shipped):
    """A recipe is a pure function: equal problems, equal arrays."""
    problem = Problem(3, 2, 4, steps=2, seed=7)
    one, other = problem.literal(Shipped), Problem(3, 2, 4, steps=2, seed=7).literal(Shipped)
    for a, b in zip([*one.weights, one.x, *one.state, *one.given[1]], [*other.weights, other.x, *other.state, *other.given[1]]):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("Shipped", [LSTM, Unroll(GRU)])
def test_a_literal_problem_takes_the_place_of_its_recipe(Shipped):
    """build, upstreams and directions of the literal problem are those of the recipe."""
    problem = Problem(3, 2, 4, steps=2, seed=7)
    literal = problem.literal(Shipped)
    assert isinstance(literal, Literal)
    (cell, x, state), (other, y, states) = problem.build(Shipped), literal.build(Shipped)
    outputs = cell.apply(x, *state)
    ours, theirs = (p.upstreams(2, outputs, cell.spec) for p in (problem, literal))
    for a, b in zip([*cell.weights, x, *state, *ours[1]], [*other.weights, y, *states, *theirs[1]]):
        np.testing.assert_array_equal(a, b)


def test_an_upstream_of_nothing_is_nothing():
    """Where every output is empty there is no entry for a single one."""
    [upstream] = Problem(upstream="one-hot").upstreams(1, [np.zeros((0, 2)), np.zeros((0, 1, 2))], lift(Unroll(RNN)).spec())
    assert [u.shape for u in upstream] == [(0, 2), (0, 1, 2)]


def test_a_problem_prints_as_the_call_that_makes_it():
    """repr leaves out what has its default, but for the sizes."""
    assert repr(Problem(2, 1, 3)) == "Problem(batch=2, features=1, state=3)"
    assert repr(Problem(scale=1e3, dtype=np.float32)) == "Problem(batch=1, features=1, state=1, scale=1000.0, dtype=float32)"
