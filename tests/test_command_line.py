"""The command as its users run it: guests, options, what is printed, what is left behind, how small the counterexample is."""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from cellcheck import __version__
from cellcheck.__main__ import _prefixed, main
from cellcheck.options import OptionError, Options

ROOT = Path(__file__).parents[1]
GIST = ROOT / "tests/guests/gist.py"


def cellcheck(folder, *arguments):
    """The finished run of the command in a folder."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "HYPOTHESIS_"))}
    environment |= {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(folder.parent / "cache"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "cellcheck", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def verified(tmp_path_factory):
    """Run laws on a guest of the gist, from a folder of its own; once for the same arguments."""

    @cache
    def run(guest, *options):
        folder = tmp_path_factory.mktemp("user")
        (folder / "gist.py").write_text(GIST.read_text())
        (folder / "conftest.py").write_text("raise RuntimeError('not for the command')")
        (folder / "pyproject.toml").write_text("[tool.pytest.ini_options]\naddopts = '--no-such-option'\n")
        return cellcheck(folder, f"gist.py:{guest}", *options), {path.name for path in folder.iterdir()}

    return run


def test_a_correct_gist_style_guest_passes(verified):
    """Weights, forward and backward are enough; the user's configuration is ignored, and nothing but reports is left behind."""
    run, left = verified("CorrectRNN", "--profile", "quick")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "not verified: no input gradients" in run.stdout
    assert "HELD: " in run.stdout.splitlines()[-2]
    assert left == {"gist.py", "conftest.py", "pyproject.toml", "reports"}


@pytest.mark.parametrize(
    ("guest", "law", "sizes"),
    [
        ("BiasNotSummedOverBatch", "weight_gradients", "batch 2, features 1, state 1"),
        ("CrashingGRU", "weight_gradients", "batch 2, features 1, state 1"),
        ("ExpRatioTanh", "outputs_are_finite", "batch 1, features 1, state 1"),
    ],
)
def test_a_defect_is_shrunk_to_its_smallest_case(verified, guest, law, sizes):
    """Each of the gist's own defects is refused at the least batch, features and state at which it shows."""
    run, _ = verified(guest, "-k", law)
    assert run.returncode == 1, run.stdout + run.stderr
    assert f"  at {sizes}\n" in run.stdout


def test_a_failure_is_short(verified):
    """No line of Hypothesis or of this suite's own code is shown, unless -vv is given."""
    run, _ = verified("CrashingGRU", "-k", "weight_gradients")
    assert "Traceback" not in run.stdout
    assert "hypothesis/" not in run.stdout
    assert "gist.py:" in verified("CrashingGRU", "-k", "weight_gradients", "-vv")[0].stdout


def test_the_header_says_what_runs(verified):
    """Cells, examples and strictness in one line."""
    run, _ = verified("CorrectRNN", "--profile", "quick")
    assert "cellcheck: gist.py:CorrectRNN; 20 examples a law; promises are hazards\n" in run.stdout


def test_without_a_cell_the_shipped_ones_are_verified(tmp_path):
    """From any folder."""
    run = cellcheck(tmp_path, "--profile=quick", "-k", "weight_gradients", "-q")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "HELD: 6 laws of 6 cells on 120 examples" in run.stdout
    assert not list(tmp_path.iterdir())


def test_a_broken_promise_fails_a_strict_run(tmp_path):
    """--strict, like any option of ours, goes without its prefix; reports may go nowhere."""
    options = ["--profile", "quick", "--reports=", "-k", "wrong_batches", f"{GIST}:CorrectRNN"]
    loose, strict = cellcheck(tmp_path, *options), cellcheck(tmp_path, "--strict", *options)
    assert (loose.returncode, strict.returncode) == (1, 1)
    assert "NOT VERIFIED: no law of CorrectRNN" in loose.stdout and "BROKEN: 1 law of CorrectRNN" in strict.stdout
    assert not list(tmp_path.iterdir())


WRONG = {
    "--cell lost.py:Guest: there is no file {folder}/lost.py": ["lost.py:Guest"],
    "--cell gist.py: write MODULE:NAME or PATH.py:NAME": ["gist.py"],
    "--cell-profile qick: there is no such profile; choose from quick, default, thorough, release, fuzz": ["--profile", "qick"],
    "--cell-limit -1: not a number of seconds above 0, such as 30": ["--limit", "-1"],
    "--cell-limit nan: not a number of seconds above 0, such as 30": ["--limit=nan"],
    "--cell-certificate a.pdf: the name must end in .json or .html": ["--certificate=a.pdf"],
    "--cell-reports here: this is a file; name a folder": ["--reports", "here"],
    "unrecognized arguments: --nonsense": ["--nonsense"],
    "unrecognized arguments: --quick; did you mean --profile quick?": ["--quick"],
    "argument --cell-limit: expected one argument": ["--limit"],
    "expected failures lost.txt: there is no such file": ["--expected-failures", "lost.txt"],
}


@pytest.mark.parametrize("message", WRONG)
def test_wrong_usage_is_one_line(message, tmp_path):
    """Exit status 4, as for any wrong usage of pytest, and nothing is run."""
    (tmp_path / "here").write_text("")
    run = cellcheck(tmp_path, *WRONG[message])
    line = message.replace("{folder}", str(tmp_path))
    assert (run.returncode, run.stdout, run.stderr.strip()) == (4, "", f"ERROR: {line}")


def test_the_help_fits_a_screen(capsys):
    """All our options and their defaults, and where other options go."""
    assert main(["--help"]) == main(["-k", "x", "-h"]) == 0
    text = capsys.readouterr().out
    half = text[: len(text) // 2]
    assert text == half * 2 and len(half.splitlines()) <= 25 and max(map(len, half.splitlines())) <= 80
    names = ["--profile", "--limit", "--strict", "--expected-failures", "--reports", "--certificate", "--version"]
    assert all(f"  {name}" in half for name in names)
    assert half.endswith("All other options go to pytest: -k EXPRESSION, -x, -v, -n WORKERS, ...\n")


def test_the_version_is_that_of_the_package(capsys):
    """In one line."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"cellcheck {__version__}\n"


def test_our_options_go_with_and_without_their_prefix():
    """Others are left alone."""
    given = ["--limit", "30", "--limit=30", "--cell-limit=30", "--expected-failures=a", "-k", "limit", "--durations=3", "a.py:A"]
    wanted = given[:]
    wanted[0], wanted[2], wanted[4] = "--cell-limit", "--cell-limit=30", "--cell-expected-failures=a"
    assert list(map(_prefixed, given)) == wanted


@pytest.mark.parametrize("limit", [0, -1, "nan", float("inf"), "soon", None])
def test_a_limit_is_a_time(limit):
    """In seconds, as a number or a text."""
    with pytest.raises(OptionError, match="not a number of seconds above 0"):
        Options(limit=limit)
    assert Options(limit="2.5").limit == 2.5
