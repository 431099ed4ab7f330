"""Expected failures: a plain file, and strict in every way."""

import re
from pathlib import Path

import pytest
from cellcheck.properties.intake.catalogue import laws
from cellcheck.properties.intake.expected import Expected, read
from cellcheck.properties.intake.loading import GuestError
from test_guests import CELL, planted, run

CELLS = ["guest.py:CorrectRNN", "guest.py:ExpRatioTanh"]
FILE = """
# what we know of
weight_gradients: overflows since 2018
test_outputs_are_finite @ guest.py:ExpRatioTanh: the same
"""


def test_a_file_is_read_line_by_line(tmp_path):
    """`law: reason` is for all cells, `law @ cell: reason` for one; a leading test_ is welcome."""
    planted(tmp_path, {"known.txt": FILE})
    wanted = [Expected("weight_gradients", None, "overflows since 2018"), Expected("outputs_are_finite", CELLS[1], "the same")]
    assert read(tmp_path / "known.txt", CELLS) == wanted


def test_no_file_expects_nothing():
    """Every law must hold."""
    assert read(None, CELLS) == []


BAD = {
    "there is no such file": None,
    "line 1: there is no law gradients; there are": "gradients: for a reason",
    "line 2: wanted `law: reason` or `law @ CELL: reason`, got 'weight_gradients'": "# comment\nweight_gradients",
    "line 1: guest.py:LSTM is not verified in this run; there are": "weight_gradients @ guest.py:LSTM: for a reason",
}


@pytest.mark.parametrize("message", BAD)
def test_what_cannot_be_expected_is_refused(message, tmp_path):
    """An unknown law would hide that a law was renamed."""
    if BAD[message]:
        planted(tmp_path, {"known.txt": BAD[message]})
    with pytest.raises(GuestError, match=re.escape(message)):
        read(tmp_path / "known.txt", CELLS)


def test_all_laws_are_known():
    """Found in the sources, whatever is collected."""
    files = (Path(__file__).parents[1] / "properties").glob("test_*.py")
    assert sorted(laws()) == sorted(re.findall(r"^def test_(\w+)\(", "\n".join(f.read_text() for f in files), re.MULTILINE))


def test_an_expected_failure_passes_and_an_unexpected_pass_fails(tmp_path):
    """The run: the law that fails is counted as expected, the one that holds after all is an error."""
    known = "outputs_are_finite @ guest.py:ExpRatioTanh: overflows\nweight_gradients: nobody knows\n"
    planted(tmp_path, {"guest.py": CELL, "known.txt": known})
    arguments = [a for cell in CELLS for a in ("--cell", cell)]
    code, text = run(
        tmp_path, *arguments, "--expected-failures", "known.txt", "-k", "outputs_are_finite or test_weight_gradients"
    )
    assert code == 1
    assert "the law weight_gradients holds, but was expected to fail: nobody knows" in text
    assert "1 passed, 1 xfailed" in text or "1 xfailed" in text
