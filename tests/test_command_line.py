"""The suite as its users run it: a guest on the command line, what is printed, and how small the counterexample is."""

import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GIST = "tests/guests/gist.py"
QUICK = ("--hypothesis-profile", "quick")


@cache
def verified(guest, *options):
    """The finished run of all laws on a guest."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--cell", f"{GIST}:{guest}", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


def test_a_correct_gist_style_guest_passes():
    """Weights, forward and backward are enough."""
    run = verified("CorrectRNN", *QUICK)
    assert run.returncode == 0, run.stdout
    assert "not verified: no input gradients" in run.stdout


@pytest.mark.parametrize(
    ("guest", "law", "sizes"),
    [
        ("BiasNotSummedOverBatch", "weight_gradients", "batch 2, features 1, state 1"),
        ("CrashingGRU", "weight_gradients", "batch 2, features 1, state 1"),
        ("ExpRatioTanh", "outputs_are_finite", "batch 1, features 1, state 1"),
    ],
)
def test_a_defect_is_shrunk_to_its_smallest_case(guest, law, sizes):
    """Each of the gist's own defects is refused at the least batch, features and state at which it shows."""
    run = verified(guest, "-k", law)
    assert run.returncode == 1, run.stdout
    assert f"  at {sizes}\n" in run.stdout


def test_a_failure_is_short():
    """No line of Hypothesis or of this suite's own code is shown."""
    run = verified("CrashingGRU", "-k", "weight_gradients")
    assert "Traceback" not in run.stdout
    assert "hypothesis/" not in run.stdout


def test_the_header_says_what_runs():
    """Cells, examples and strictness in one line."""
    assert "cellcheck: " in verified("CorrectRNN", *QUICK).stdout
    assert "20 examples a law" in verified("CorrectRNN", *QUICK).stdout


def test_the_suites_own_tests_are_left_out():
    """A guest's run holds laws only."""
    assert "meta/test_" not in verified("CorrectRNN", *QUICK).stdout
