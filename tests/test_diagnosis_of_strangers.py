"""Mistakes through time are named in guests that strangers write: without a kind, without states, with nothing but a loss."""

import numpy as np
import pytest
from cellcheck.properties.reports import Case
from cellcheck.properties.reports.diagnosis import Attempts, accepted, diagnose, examined
from cellcheck.properties.reports.diagnosis.grown import LONG, PLAIN
from cellcheck.properties.reports.diagnosis.hidden_steps import hidden_steps
from cellcheck.properties.verdicts.blocks import Block, Violation

from tests.guests.hidden_steps import MISTAKES, both_ways, every_other, notes

pytestmark = pytest.mark.filterwarnings("ignore")  # of broken cells
PLANTED = [(guest, mistake) for guest, mistakes in MISTAKES.items() for mistake in mistakes]


@pytest.mark.parametrize(("guest", "mistake"), PLANTED, ids=lambda value: getattr(value, "__name__", value))
def test_a_mistake_through_time_is_named(guest, mistake):
    """With how closely it predicts the numbers."""
    (first, *_), wrong, faults = examined(guest(mistake), PLAIN)
    assert wrong and not faults
    assert MISTAKES[guest][mistake] in first
    assert guest in (notes, every_other) or "this predicts" in first


@pytest.mark.parametrize("guest", MISTAKES)
def test_nothing_is_said_where_the_gradients_are_right(guest):
    """Not even where the look is taken in any case."""
    assert all(examined(guest(), problem) == ((), False, ()) for problem in (PLAIN, LONG))
    assert hidden_steps(guest()) == []


def test_a_cell_of_other_shapes_is_diagnosed_too():
    """Its ys is wider than a state; what a law compares may be an array, and no text."""
    block = Block("ys", np.zeros((2, 3)), np.ones((2, 3)), 1.0, 0.0, "violated")
    tried = Attempts()
    case = Case("a.py:B", "input_gradients", "gradients", "", None, both_ways("x"), PLAIN, Violation([block]))
    assert MISTAKES[both_ways]["x"] in diagnose(case, tried)[0][0] and not tried.faults
    assert accepted(case) == []
