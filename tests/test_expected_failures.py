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
    assert read("known.txt", CELLS, tmp_path) == wanted


def test_no_file_expects_nothing():
    """Every law must hold."""
    assert read(None, CELLS, Path()) == []


def test_a_dict_is_read_as_well():
    """In Python code: {law: reason}."""
    assert read({"test_weight_gradients": "known"}, CELLS, Path()) == [Expected("weight_gradients", None, "known")]


def test_a_list_is_refused():
    """It has no reasons."""
    with pytest.raises(GuestError, match=r"expected failures \['vjp_scales'\]: give a dict {law: reason}, or the name of a file"):
        read(["vjp_scales"], CELLS, Path())


BAD = {
    "there is no such file": None,
    "line 1: there is no law weight_gradient; the closest is weight_gradients": "weight_gradient: for a reason",
    "line 1: there is no law q; docs/laws.md lists all laws": "q: for a reason",
    "line 1: there is no law q_r; docs/laws.md lists all laws": "q r: for a reason",
    "line 2: got 'weight_gradients'; write `law: reason` or `law @ CELL: reason`": "# comment\nweight_gradients",
    "line 1: guest.py:LSTM is not verified in this run; it verifies": "weight_gradients @ guest.py:LSTM: for a reason",
}


@pytest.mark.parametrize("message", BAD)
def test_what_cannot_be_expected_is_refused(message, tmp_path):
    """An unknown law would hide that a law was renamed."""
    if BAD[message]:
        planted(tmp_path, {"known.txt": BAD[message]})
    with pytest.raises(GuestError, match=re.escape(message)) as refusal:
        read("known.txt", CELLS, tmp_path)
    assert "\n" not in str(refusal.value) and len(str(refusal.value)) < 160


@pytest.mark.parametrize(
    ("file", "why"), [("known.txt", "byte 18 is not UTF-8; save the file as UTF-8"), (".", "Is a directory")]
)
def test_a_file_that_cannot_be_read_is_one_line(file, why, tmp_path):
    """Such as one that an old editor has saved."""
    (tmp_path / "known.txt").write_bytes("weight_gradients: \xfcberl\xe4uft".encode("latin-1"))
    with pytest.raises(GuestError, match=f"^expected failures {re.escape(file)}: {why}$"):
        read(file, CELLS, tmp_path)


def test_all_laws_are_known():
    """Found in the sources, whatever is collected."""
    files = (Path(__file__).parents[1] / "properties").glob("test_*.py")
    assert sorted(laws()) == sorted(re.findall(r"^def test_(\w+)\(", "\n".join(f.read_text() for f in files), re.MULTILINE))


def test_an_expected_failure_passes_and_an_unexpected_pass_fails(tmp_path):
    """The run: the law that fails is counted as expected, the one that holds after all is an error."""
    known = "outputs_are_finite @ guest.py:ExpRatioTanh: overflows\nweight_gradients: nobody knows\n"
    planted(tmp_path, {"guest.py": CELL, "known.txt": known})
    code, text = run(
        tmp_path,
        *CELLS,
        "--expected-failures=known.txt",
        "--hypothesis-seed=0",
        "-k",
        "outputs_are_finite or test_weight_gradients",
    )
    assert code == 1
    assert "the law weight_gradients holds, but was expected to fail: nobody knows" in " ".join(text.split())
    assert "1 passed, 1 xfailed" in text or "1 xfailed" in text
