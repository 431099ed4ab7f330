"""Random roundings: which operations round, how much, and that no cell of ours loses them."""

import numpy as np
import pytest
from cellcheck.cells import CELLS, lift
from cellcheck.cells.modern import MODERN
from cellcheck.properties.oracles.function import rebound
from cellcheck.properties.oracles.noisy import Noise, Noisy, noisy, spread
from cellcheck.properties.verdicts.run import outcome
from cellcheck.strategies import Problem

UNIT = 2.0**-11
rng = np.random.default_rng(0)
A, B = rng.standard_normal((3, 40)), rng.standard_normal((40, 5))
ROUNDED = {
    "a product": lambda a, b: a * a,
    "a function": lambda a, b: np.tanh(a),
    "a product of matrices": lambda a, b: a @ b,
    "a sum": lambda a, b: a.sum(axis=0),
    "a sum of all": lambda a, b: a.sum(),
    "einsum": lambda a, b: np.einsum("ij,jk->ik", a, b),
    "an operation in place": lambda a, b: np.multiply(a, 3.0, out=a.copy()),
}
MOVED = {
    "a view": lambda a, b: a[1:, ::2],
    "a sign": lambda a, b: -abs(a),
    "a transpose": lambda a, b: a.T,
    "a concatenation": lambda a, b: np.concatenate([a, a]),
    "a choice": lambda a, b: np.where(a > 0, a, 0),
    "a comparison": lambda a, b: a > 0,
}


def of(function, noise):
    """What the function makes of A and B with this noise."""
    return function(noisy(A.copy(), noise), noisy(B.copy(), noise))


@pytest.mark.parametrize("name", ROUNDED)
def test_operations_round_by_some_units(name):
    """Every entry moves, by at most as many units as there are terms."""
    plain, found = ROUNDED[name](A, B), of(ROUNDED[name], Noise(np.random.default_rng(1), UNIT))
    off = np.abs(np.asarray(found) - plain)
    terms = ROUNDED[name](np.abs(A), np.abs(B))
    assert (off > 0).all() and (off <= UNIT * 41 * np.abs(terms)).all()
    assert isinstance(found, Noisy) or np.ndim(found) == 0


@pytest.mark.parametrize("name", MOVED)
def test_what_moves_numbers_keeps_them(name):
    """Without any rounding."""
    np.testing.assert_array_equal(MOVED[name](A, B), np.asarray(of(MOVED[name], Noise(np.random.default_rng(1), UNIT))))


@pytest.mark.parametrize("Cell", [*CELLS, *MODERN], ids=lambda Cell: Cell.__name__)
def test_no_cell_of_ours_loses_the_roundings(Cell):
    """Each output and gradient moves, in proportion to the unit."""
    p = Problem(3, 4, 4, steps=5, seed=1, scale=1.0).literal(Cell)

    def run(noise):
        return outcome(rebound(lift(Cell)(p.recipe.features, p.recipe.state), [noisy(w, noise) for w in p.weights]), p)

    one, two = (spread(run, unit, 0.0, draws=4) for unit in (UNIT, UNIT / 16))
    plain = run(None)
    for name, move in one.items():
        if np.any(plain[name]):
            assert move.max() > UNIT / 16 * np.abs(plain[name]).max() or move.max() > UNIT / 4 * np.abs(plain[name]).min()
            assert 4 < move.max() / two[name].max() < 64


def test_a_rounded_sum_spreads_as_its_terms_do():
    """The mean of n terms 1 + u U: less than u, more than u / n."""
    moves = spread(lambda noise: {"mean": noisy(np.ones(100), noise).mean() if noise else np.float64(1)}, UNIT, 0.0, draws=8)
    assert UNIT / 100 < moves["mean"] < 20 * UNIT


@pytest.mark.parametrize("value", [1.0, 1.5, 1.99, 8192.0, 1e300, 5e-324])
def test_every_result_may_become_its_neighbour(value):
    """A change of less than half an ulp would be rounded away: just above a power of two, that is all of the unit."""
    results = {float((noisy(np.array([value]), Noise(np.random.default_rng(seed), 2.0**-53)) * 1)[0]) for seed in range(64)}
    assert {value, np.nextafter(value, np.inf), np.nextafter(value, -np.inf)} <= results
    assert not np.any(noisy(np.zeros(99), Noise(np.random.default_rng(0), 2.0**-53)) * 1)


def test_draws_that_raise_are_left_out():
    """As where a state leaves its domain; if all of them raise, that is told."""

    def run(noise, most):
        if noise and noise.rng.random() > most:
            raise FloatingPointError("out of its domain")
        return {"h": np.array([float(bool(noise))])}

    assert np.array_equal(spread(lambda noise: run(noise, 0.5), 2.0**-53, 0.0, 8)["h"], [1.0])
    with pytest.raises(FloatingPointError):
        spread(lambda noise: run(noise, 0.0), 2.0**-53, 0.0, 8)
