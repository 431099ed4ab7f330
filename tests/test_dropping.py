"""Leaving out what is zero, or comes last, changes nothing of the rest."""

from dataclasses import replace

import numpy as np
import pytest
from cellcheck.cells import GRU, LSTM, RNN, Unroll
from cellcheck.properties.shrinking.dropping import sizes, without
from cellcheck.properties.verdicts.run import apply
from cellcheck.strategies import Problem


class HiddenFirst(RNN):
    """Its weights are those of [h, x]."""

    def _apply(self, x, h):
        """The RNN whose rows are turned."""
        turned = RNN(self.input_features, self.state_size)
        turned.weights[0][...] = np.roll(self.W, self.input_features, axis=0)
        return turned.apply(x, h)


CELLS = [LSTM, GRU, HiddenFirst, Unroll(GRU)]


def rest(outputs, axis, j):
    """The outputs without entry j of an axis."""
    return {name: np.delete(y, j, axis) for name, y in outputs.items()}


@pytest.mark.parametrize("Asked", CELLS, ids=lambda Cell: Cell.__name__)
@pytest.mark.parametrize("j", [0, 2])
def test_a_unit_whose_state_is_zero_may_be_left_out(Asked, j):
    """The others give what they gave: where the weights tell two ways, in one of them."""
    whole = Problem(2, 4, 3, seed=1).literal(Asked)
    whole = replace(whole, state=tuple(s * (np.arange(3) != j) for s in whole.state))
    candidates = without(whole, Asked, "state", j)
    assert all(sizes(small)["state"] == 2 for small in candidates)
    assert any(same(apply(Asked, small), rest(apply(Asked, whole), -1, j)) for small in candidates)


@pytest.mark.parametrize("Asked", CELLS, ids=lambda Cell: Cell.__name__)
@pytest.mark.parametrize("j", [0, 2])
def test_a_feature_that_is_zero_may_be_left_out(Asked, j):
    """The outputs stay."""
    whole = Problem(2, 3, 4, seed=1).literal(Asked)
    whole = replace(whole, x=whole.x * (np.arange(3) != j))
    assert any(same(apply(Asked, small), apply(Asked, whole)) for small in without(whole, Asked, "features", j))


@pytest.mark.parametrize("Asked", CELLS, ids=lambda Cell: Cell.__name__)
def test_a_row_may_be_left_out(Asked):
    """The others give what they gave."""
    whole = Problem(3, 2, 2, seed=1).literal(Asked)
    [small] = without(whole, Asked, "batch", 1)
    assert same(apply(Asked, small), rest(apply(Asked, whole), -2, 1))


def test_the_last_step_may_be_left_out():
    """The steps before it give what they gave."""
    whole = Problem(2, 2, 2, steps=3, seed=1).literal(CELLS[-1])
    [small] = without(whole, CELLS[-1], "steps", 2)
    assert sizes(small) == {"steps": 2, "batch": 2, "features": 2, "state": 2}
    np.testing.assert_array_equal(apply(CELLS[-1], small)["ys"], apply(CELLS[-1], whole)["ys"][:2])


def same(one, other):
    """Whether all outputs agree to rounding."""
    return all(np.allclose(one[name], y, rtol=1e-12) for name, y in other.items())
