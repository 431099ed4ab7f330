"""Laws in a user's own project, script and notebook: beside their tests, plugins, profiles and strict settings."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import cellcheck
from cellcheck.options import OptionError

ROOT = Path(__file__).parents[1]
PROJECT = {
    "mynet/__init__.py": "",
    "mynet/ops.py": "import numpy as np\n\ndef sigmoid(z):\n    return 0.5 * (1 + np.tanh(0.5 * z))\n",
    "mynet/cells.py": '''
import numpy as np
from .ops import sigmoid

class MyGRU:
    def __init__(self, features, state):
        self.W, self.U, self.b = np.zeros((features, 3 * state)), np.zeros((state, 3 * state)), np.zeros(3 * state)
        self.weights = [self.W, self.U, self.b]

    def apply(self, x, h):
        S = h.shape[1]
        a, p = x @ self.W + self.b, h @ self.U
        r, u = sigmoid(a[:, :S] + p[:, :S]), sigmoid(a[:, S:2*S] + p[:, S:2*S])
        n = np.tanh(a[:, 2*S:] + r * p[:, 2*S:])
        self.cache = x, h, r, u, n, p[:, 2*S:]
        return (u * h + (1 - u) * n,)

    def vjp(self, dh):
        x, h, r, u, n, pn = self.cache
        du, dn = dh * (h - n) * u * (1 - u), dh * (1 - u) * (1 - n**2)
        dr = dn * pn * r * (1 - r)
        da, dp = np.concatenate([dr, du, dn], axis=1), np.concatenate([dr, du, dn * r], axis=1)
        return [x.T @ da, h.T @ dp, da.sum(0)], da @ self.W.T, [dp @ self.U.T + dh * u]

class Wrong(MyGRU):
    """The gradient of U is 1 % too large."""
    def vjp(self, dh):
        (W, U, b), x, state = super().vjp(dh)
        return [W, 1.01 * U, b], x, state
''',
    "tests/conftest.py": """
import hypothesis
import pytest

hypothesis.settings.register_profile("mine", max_examples=3, verbosity=hypothesis.Verbosity.normal, derandomize=True)
hypothesis.settings.load_profile("mine")

@pytest.fixture
def Cell():
    return "mine"
""",
    "tests/test_mynet.py": """
import hypothesis

def test_mine(Cell):
    assert Cell == "mine"

def test_the_profile_is_mine():
    assert hypothesis.settings().max_examples == 3
""",
    "tests/test_laws.py": '''
import pytest
from cellcheck import laws_of
from mynet.cells import MyGRU, Wrong

class Own(MyGRU):
    """Of this module."""

@laws_of(MyGRU, Own, laws=["input_gradients", "a_sequence_is_its_steps", "inputs_are_the_callers"])
def test_cells(law):
    law()

@laws_of("mynet.cells:Wrong", laws="weight_gradients", expected_failures={"weight_gradients": "since 2016"})
def test_known(law):
    law()

class TestGroup:
    @laws_of(MyGRU, laws=["vjp_is_linear"], profile="default")
    def test_more(self, law):
        law()
''',
    "pyproject.toml": """
[tool.pytest.ini_options]
testpaths = ["tests"]
pythonpath = ["."]
xfail_strict = true
filterwarnings = ["error"]
addopts = "--strict-markers --strict-config"
""",
}
OTHERS = {"pytest_cov": ["--cov=mynet", "--cov-context=test"], "pytest_timeout": ["--timeout=60"]}
BESIDE = [option for name, options in OTHERS.items() if importlib.util.find_spec(name) for option in options]


def planted(folder):
    """Write the project into this folder, and return it."""
    for path, source in PROJECT.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(source)
    return folder


@pytest.fixture
def project(tmp_path):
    """A user's project; a callable that runs Python there, with the arguments of `python`, and returns the finished run."""
    planted(tmp_path)

    def python(*arguments):
        foreign = (
            "PYTEST_",
            "HYPOTHESIS_",
            *["COV"] * any(a.startswith("--cov") for a in arguments),
        )  # that of the run we are in
        kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        environment = {**kept, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)

    python.folder = tmp_path
    return python


PYTEST = ("-m", "pytest", "-p", "cellcheck.plugin", "--cell-profile=quick")


@pytest.mark.parametrize("workers", [[], ["-n2", *BESIDE]], ids=["one process", "workers"])
def test_a_named_cell_is_verified_beside_the_projects_own_tests(project, workers):
    """Their fixture Cell is theirs, and so is their profile; ours has the examples of ours."""
    run = project(*PYTEST, "--cell", "mynet.cells:MyGRU", "-k", "mine or state_gradients or scales", *workers)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "HELD: 2 laws of MyGRU on 40 examples" in run.stdout
    assert "4 passed" in run.stdout
    assert "mynet.cells:MyGRU: computes the GRU equations" in run.stdout


@pytest.mark.parametrize("workers", [[], ["-n2", *BESIDE]], ids=["one process", "workers"])
def test_a_decorated_test_is_one_test_for_each_law_and_cell(project, workers):
    """Held, hazard, not verified and expected, as with the command; the certificate and the table have them all."""
    run = project(*PYTEST, "-rA", "--cell-certificate", "all.json", *workers)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "HELD: 3 laws of 3 cells on 1" in run.stdout and "; 2 hazards, 1 expected, 2 not verified;" in run.stdout
    for verdict, test in {
        "PASSED": "tests/test_laws.py::test_cells[input_gradients of mynet.cells:MyGRU]",
        "XFAIL": "tests/test_laws.py::test_cells[inputs_are_the_callers of tests/test_laws.py:Own]",
    }.items():
        assert f"{verdict} {test}" in run.stdout
    cells = {cell["source"]: cell for cell in json.loads((project.folder / "all.json").read_text())["cells"]}
    assert set(cells) == {"mynet.cells:MyGRU", "tests/test_laws.py:Own", "mynet.cells:Wrong"}
    assert {cell["capabilities"]["kind"] for cell in cells.values()} == {"GRU"}
    assert {law["law"]: law["examples"] for law in cells["mynet.cells:MyGRU"]["laws"]}["vjp_is_linear"] == 100


def test_a_cell_without_a_name_takes_that_of_the_variable(project):
    """As what an adapter returns."""
    lines = [
        "from cellcheck import laws_of",
        "from mynet.cells import MyGRU",
        "Made = lambda features, state: MyGRU(features, state)",
    ]
    lines += ["@laws_of(Made, laws='vjp_is_linear')", "def test_made(law):", "    law()"]
    (project.folder / "tests" / "test_made.py").write_text("\n".join(lines))
    assert "test_made[vjp_is_linear of tests/test_made.py:Made]" in project(*PYTEST, "-rA", "tests/test_made.py").stdout


def test_a_broken_law_is_told_as_by_the_command(project):
    """In few lines, with its report; the law that is not called is no pass, nor is one that is called and ignored."""
    (project.folder / "tests/test_laws.py").write_text("""
from cellcheck import laws_of
from mynet.cells import Wrong

@laws_of(Wrong, laws=["weight_gradients"])
def test_cells(law):
    law()

@laws_of(Wrong, laws=["weight_gradients"])
def test_uncalled(law):
    pass

@laws_of(Wrong, laws=["weight_gradients"])
def test_ignored(law):
    try:
        law()
    except AssertionError:
        pass
""")
    run = project(*PYTEST, "tests/test_laws.py", "-p", "no:randomly")
    assert run.returncode == 1, run.stdout + run.stderr
    assert "Wrong breaks the law weight_gradients: <vjp(u).weights, v>" in run.stdout
    assert "likely: the gradient of U is scaled by 1.01" in run.stdout
    assert "test_uncalled[weight_gradients of mynet.cells:Wrong] has not called law()" in run.stdout
    assert "BROKEN: " in run.stdout and "3 failed" in run.stdout
    assert "site-packages" not in run.stdout.partition("FAILURES")[2]
    assert (project.folder / "reports").is_dir()


MISTAKES = {
    "laws_of(): no cell is given; write laws_of(MyLSTM)": "@laws_of()",
    "laws_of(): the test test_cells is given, but no cell; write @laws_of(MyLSTM)": "@laws_of",
    "laws_of(): there is no option limt; there are": "@laws_of(MyGRU, limt=3)",
    "limit 0: not a number of seconds above 0, such as 30": "@laws_of(MyGRU, limit=0)",
    "laws: there is no law weight_gradient; the closest is weight_gradients": "@laws_of(MyGRU, laws='weight_gradient')",
    "mynet.cells:MyGUR: mynet.cells has no MyGUR; it has MyGRU, Wrong": "@laws_of('mynet.cells:MyGUR')",
    "object has no attribute weights": "@laws_of(lambda features, state: object())",
    "laws_of is given MyGRU twice; name each cell once": "@laws_of(MyGRU, MyGRU)",
    "laws 3: give names of laws or of groups, such as 'gradients'": "@laws_of(MyGRU, laws=3)",
    "laws_of decorates a plain function of (law), not a coroutine, nor one with @given": "@laws_of(MyGRU)\n@__import__('hypothesis').given()",
    "reference nowhere.py:GRU: there is no file": "@laws_of(MyGRU, reference='nowhere.py:GRU')",
    "laws_of is given twice, and would verify the cells of one alone; name all cells in one": "@laws_of(MyGRU)\n@laws_of(MyGRU)",
}


def test_a_method_of_unittest_is_refused_in_one_line(project):
    """It takes no law. The other tests of the session run."""
    lines = [
        "import unittest",
        "from cellcheck import laws_of",
        "from mynet.cells import MyGRU",
        "class TestCells(unittest.TestCase):",
    ]
    lines += ["    @laws_of(MyGRU)", "    def test_made(self, law): law()", "    def test_other(self): pass"]
    (project.folder / "tests" / "test_made.py").write_text("\n".join(lines))
    run = project(*PYTEST, "tests/test_made.py")
    assert run.returncode == 1 and "1 passed, 1 error" in run.stdout
    assert "laws_of decorates a function of (law), not a method of a unittest.TestCase; write a function" in run.stdout


def test_warnings_may_be_errors(project):
    """No file of ours stays open: Python would warn of it at the end."""
    run = project("-W", "error", "-m", "cellcheck", "mynet.cells:MyGRU", "--profile", "quick", "-k", "weight_gradients")
    assert run.returncode == 0 and "HELD: 1 law of MyGRU" in run.stdout


def test_a_certificate_that_cannot_be_written_fails_the_run(project):
    """All laws hold, but what was asked for is not there."""
    run = project(
        *PYTEST, "--cell", "mynet.cells:MyGRU", "-k", "state_gradients", "--cell-certificate", "mynet/cells.py/all.json"
    )
    assert run.returncode == 1 and "HELD: 1 law" in run.stdout
    assert "certificate: mynet/cells.py/all.json is not written: " in run.stdout


def test_no_certificate_outlives_the_run_that_follows(project):
    """Of a run without a verdict, an old one would say that the cell held."""
    certificate = project.folder / "old.json"
    certificate.write_text('{"status": "held"}')
    run = project(*PYTEST, "--cell", "mynet.cells:NoSuchCell", "--cell-certificate", "old.json")
    assert run.returncode == 4 and not certificate.exists()


def test_a_mistake_in_the_decorator_is_one_line(project):
    """Each is an error of that test's module, and the others run."""
    head = "from cellcheck import laws_of\nfrom mynet.cells import MyGRU\n\n"
    for k, line in enumerate(MISTAKES.values()):
        (project.folder / f"tests/test_mistake_{k}.py").write_text(f"{head}{line}\ndef test_cells(law):\n    law()\n")
    run = project(*PYTEST, "--continue-on-collection-errors", "-k", "mine or mistake")
    assert run.returncode == 1, run.stdout + run.stderr
    assert "2 passed" in run.stdout and f"{len(MISTAKES)} errors" in run.stdout
    assert [message for message in MISTAKES if message not in run.stdout] == []


UNUSED = """
import sys

def pytest_sessionfinish():
    print("imported:", *sorted({"numpy", "hypothesis", "cellcheck.session"} & set(sys.modules)))
"""


def test_a_run_that_names_no_cell_is_left_alone(project):
    """No NumPy, no line in the head, no table."""
    (project.folder / "tests/conftest.py").write_text(UNUSED)
    (project.folder / "tests/test_laws.py").unlink()
    (project.folder / "tests/test_mynet.py").write_text("def test_it():\n    pass\n")
    run = project(*PYTEST, "-s", "-p", "no:randomly")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "imported:\n" in run.stdout and "1 passed" in run.stdout
    assert "== cellcheck ==" not in run.stdout and "examples a law" not in run.stdout


SCRIPT = """
import cellcheck
from mynet.cells import MyGRU, Wrong

class Here(MyGRU):
    pass

if __name__ == "__main__":
    good = cellcheck.check(Here, profile="quick", laws=["gradients", "sequences"])
    good.raise_for_violation()
    assert good.held and good.verdicts["weight_gradients"] == "held"
    assert good.verdicts["a_sequence_is_its_steps"] == "not verified"
    assert "script.py: Here" in str(good) and str(good).splitlines()[-1].startswith("HELD: 4 laws of Here on 80 examples")
    bad = cellcheck.check(Wrong, profile="quick", laws="weight_gradients")
    assert not bad.held and "likely: the gradient of U is scaled by 1.01" in str(bad)
    assert "&lt;vjp(u).weights, v&gt;" in bad._repr_html_() and "<vjp" not in bad._repr_html_()
    known = cellcheck.check(Wrong, profile="quick", laws="linearity", expected_failures={"vjp_is_linear": "it is"})
    assert known.verdicts["vjp_is_linear"] == "broken"
    text = cellcheck.check("mynet/cells.py:MyGRU", profile="quick", laws="weight_gradients")
    assert text.held
    try:
        bad.raise_for_violation()
    except AssertionError as error:
        print(error)
"""


def test_a_script_verifies_its_own_class(project):
    """In its own process, under -W error, and leaves no reports."""
    (project.folder / "script.py").write_text(SCRIPT)
    run = project("-W", "error", "script.py")
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.startswith("Wrong breaks the law weight_gradients: ")
    assert run.stdout.endswith("BROKEN: 1 law of Wrong\n")
    assert not (project.folder / "reports").exists()


def test_the_package_offers_its_doors_when_they_are_used():
    """And nothing else by accident."""
    assert cellcheck.check.__module__ == "cellcheck.checking"
    assert cellcheck.laws_of.__module__ == "cellcheck.plugin"
    with pytest.raises(AttributeError, match="has no attribute 'chekc'"):
        _ = cellcheck.chekc
    with pytest.raises(OptionError, match="no cell is given"):
        cellcheck.laws_of()
