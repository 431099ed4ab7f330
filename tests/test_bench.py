"""What the benchmark times is what it says."""

import pytest
from cellcheck.cells import GRU, LSTM

from bench.checkers import OURS, loop
from bench.subjects import Subject


@pytest.mark.parametrize("Cell", [LSTM, GRU])
@pytest.mark.parametrize("check", [*OURS.values(), loop], ids=[*OURS, "the loop"])
def test_each_checker_tells_right_from_wrong(check, Cell):
    """The right gradients are accepted; those of which one gate is a tenth too large are rejected."""
    subject = Subject(Cell, (2, 3, 2))
    assert not check(subject)
    assert check(subject.wrong(subject.gate, 0.1))
