"""Scripts of reports beyond those of test_reports.py: of located entries, gists, other dtypes, refusals; where they find the cell."""

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from cellcheck.cells import LSTM, RNN, Gradients, Unroll, lift
from cellcheck.properties.intake.catalogue import laws
from cellcheck.properties.mutants import Mutant
from cellcheck.properties.mutants.engine import text
from cellcheck.properties.reports import Case, reported
from cellcheck.properties.reports.located import located
from cellcheck.properties.reports.origin import origin
from cellcheck.properties.reports.recording import recorded
from cellcheck.properties.reports.relation import Term, relation
from cellcheck.properties.reports.script import script
from cellcheck.properties.shrinking import shrinking
from cellcheck.properties.verdicts.blocks import Block, finite, identical, misshapen
from cellcheck.properties.verdicts.tally import require
from cellcheck.strategies import Problem

from tests import test_reports
from tests.guests import gist
from tests.test_reports import MUTANTS, guest_of, told_of

code_of = test_reports.code_of
pytestmark = pytest.mark.filterwarnings("ignore")  # of broken cells
TOLD = [
    "InputAliasedInTheCache",
    "OutputWidened",
    "RefusalForgetsTheLastCall",
    "ExtraUpstreamsIgnored",
    "ZerosBeforeApply",
    "GlobalSeed",
    "StepSharedByAllCells",
    "LastStepLeftOut",
    "EmptyBatchIsNaN",
    "ClippedThroughTime",
]
GISTS = {
    "BiasNotSummedOverBatch": "gradients_have_the_shapes_of_their_arrays",
    "ExpRatioTanh": "outputs_are_finite",
    "CrashingGRU": "weight_gradients",
}
ONE_OF_MANY = Mutant(
    "OneOfMany",
    "RNN",
    "return Gradients([X.T @ dz",
    "dW = X.T @ dz\n        dW[-1, -1] *= 1.5\n        return Gradients([dW",
    "one entry of a large gradient is wrong",
    "",
    "weight_gradients",
)
REVERSE = text("unroll")
REVERSE = REVERSE[REVERSE.index("*d_state, d_ys =") : REVERSE.index("            dx[t] = step.x")]
LOST = Mutant(  # of no steps, vjp returns the very arrays that it is given: that is not what is told of it
    "LostInPadding",
    "UnrolledRNN",
    REVERSE,
    REVERSE.replace("(d.copy() for d in d_outputs)", "d_outputs").replace(
        "[_chosen(on, d, old) for d, old in zip(step.state, d_state)]", "list(step.state)"
    ),
    "rows that have ended lose the gradient of their state",
    "",
    "each_ragged_row_equals_its_solo_run",
)
ONE, LARGE = Problem(1, 1, 1), Problem(2, 5, 9, seed=1, scale=1.0)


def failed(law, Cell, problem, label="a.py:B", home=Path()):
    """The Case of a law, or of a function that is asked in its place, on this very problem."""
    check = getattr(law, "check", law)
    error = shrinking.Subject(check, Cell).failure(problem).error
    names = getattr(law, "name", "l"), getattr(law, "group", "g")
    return Case(label, *names, "a = b", check, Cell, problem.literal(Cell), error, home)


@pytest.mark.parametrize("name", TOLD)
def test_script_reproduces_and_knows_when_the_cell_is_fixed(name, tmp_path, code_of):
    """Where the law writes into arrays, changes the dtype, or calls what must raise."""
    case, _ = told_of(tmp_path, MUTANTS[name])
    file = case.path.with_suffix(".py")
    assert code_of(file) == 1
    guest_of(tmp_path / name, MUTANTS[name], broken=False)
    assert code_of(file) == 0


def test_a_script_imports_a_file_that_no_statement_imports(tmp_path, code_of):
    """Its name has a dot."""
    (tmp_path / "mine.v2.py").write_text("def Guest(features, state):\n    return 7\n", encoding="utf-8")
    lines = [
        "import sys",
        "from pathlib import Path",
        *origin("mine.v2.py:Guest", None, tmp_path, tmp_path),
        "sys.exit(Guest(1, 1))",
    ]
    (tmp_path / "script.py").write_text("\n".join(lines), encoding="utf-8")
    assert code_of(tmp_path / "script.py") == 7


class Truncates(Unroll(RNN)):
    """Takes 1.5 steps for one."""

    def apply(self, x, *state, lengths=None):
        """The same."""
        return super().apply(x, *state, lengths=None if lengths is None else lengths.astype(int))


def test_the_lengths_that_are_accepted_are_told():
    """Not those that are refused before."""
    case = failed(laws()["wrong_lengths_are_refused"], Truncates, ONE)
    short = reported(case)
    assert "lengths = [1.5]" in short and case.sentences == [
        "apply accepts what it should refuse: it gives a result for lengths = [1.5]"
    ]
    assert case.lengths == [1.5]


def test_script_compares_what_the_law_compares(tmp_path, code_of):
    """Although an answer is an array that was given, as another law says; the lengths are told."""
    case, short = told_of(tmp_path, LOST)
    file = case.path.with_suffix(".py")
    script = file.read_text(encoding="utf-8")
    assert "shares_memory" not in script and "lengths=" in script and "bound = " in script
    assert "lengths = " in short and "\nlengths = [" in case.path.read_text(encoding="utf-8")
    assert code_of(file) == 1
    guest_of(tmp_path / LOST.name, LOST, broken=False)
    assert code_of(file) == 0


def test_a_script_that_cannot_run_says_so(tmp_path):
    """Exit status 2 where the guest is gone, and where an earlier call raises."""
    case, _ = told_of(tmp_path, MUTANTS["InputGateFromInput"])
    file, guest = case.path.with_suffix(".py"), tmp_path / "InputGateFromInput" / "guest.py"
    assert subprocess.run([sys.executable, file], capture_output=True, check=False).returncode == 1
    guest.write_text(guest.read_text() + "\ndel InputGateFromInput.apply, LSTM._apply\n")
    done = subprocess.run([sys.executable, file], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "AttributeError" in done.stderr
    guest.unlink()
    assert subprocess.run([sys.executable, file], capture_output=True, check=False).returncode == 2


def test_script_of_a_located_entry_reads_that_entry(tmp_path, code_of):
    """The law has seen a directional derivative; the script prints one entry, and knows when it is right."""
    folder = tmp_path / "OneOfMany"
    guest_of(folder, ONE_OF_MANY, broken=True)
    case = failed(laws()["weight_gradients"], ONE_OF_MANY.cls, LARGE, "OneOfMany/guest.py:OneOfMany", tmp_path)
    assert "W[13, 8], candidate, weights of h: got " in reported(case, folder / "reports")
    file = case.path.with_suffix(".py")
    assert "got = float(out2[0][0][13, 8])" in file.read_text(encoding="utf-8")
    assert code_of(file) == 1
    guest_of(folder, ONE_OF_MANY, broken=False)
    assert code_of(file) == 0


def test_a_located_entry_comes_first():
    """Although the sums of which it is a part miss their bounds by more."""
    case = failed(laws()["weight_gradients"], MUTANTS["GradientsBeyond128Dropped"].cls, Problem(2, 3, 130, scale=1.0))
    first, *others = located(case).blocks
    assert first.name == case.error.blocks[0].name
    assert first.index[1] >= 128 and not any(b.index for b in others)


def test_an_entry_is_not_located_by_differences():
    """They take too long: the directional derivative is told, and the script compares all answers."""
    Cell = type("Real", (ONE_OF_MANY.cls,), {"complex": False})
    case = failed(laws()["weight_gradients"], Cell, LARGE)
    assert located(case) is case.error
    assert "recorded = [" in script(case, [])


@pytest.mark.parametrize("name", GISTS)
def test_script_of_a_gist_calls_forward_and_backward(name, tmp_path, code_of):
    """Of the guest itself, which needs nothing of ours."""
    law, Cell = laws()[GISTS[name]], lift(getattr(gist, name))
    problems = [Problem(3, 2, 3, seed=seed, regime="large inputs") for seed in range(99)]
    start = next(p for p in problems if shrinking.Subject(law.check, Cell).failure(p))
    case = failed(law, Cell, shrinking.smallest(law.check, Cell, start)[0], f"{gist.__file__}:{name}")
    reported(case, tmp_path)
    file = case.path.with_suffix(".py")
    assert "cell.forward(x, h)" in file.read_text(encoding="utf-8")
    assert code_of(file) == 1


def shape_of_something_else(Cell, problem):
    """A law of a gradient's shape, which compares that of another array."""
    cell, x, state = problem.build(Cell)
    gradients = cell.vjp(*cell.apply(x, *state))
    require([misshapen("W", gradients.weights[0].T[:1, :1, None], cell.weights[0].shape)])


def number_of_something_else(Cell, problem):
    """A law of a number that is no answer."""
    cell, x, state = problem.build(Cell)
    require([finite("ratio", cell.apply(x, *state)[0][0, :1] / 0)])


def words(*given):
    """A law that calls the cell and compares these words, as of Block."""

    def law(Cell, problem):
        cell, x, state = problem.build(Cell)
        cell.apply(x, *state)
        require([Block(*given[:3], np.inf, 0.0, "violated", note=given[3])])

    return law


NO_ANSWERS = [
    shape_of_something_else,
    number_of_something_else,
    words("apply", "a result for (3, 3)", "an exception", ""),
    words("weights", "3 gradients", "2 gradients", "shape"),
    words("h'", "float16", "float64", "dtype"),
]


@pytest.mark.parametrize("law", NO_ANSWERS)
def test_what_is_no_answer_is_told_by_all_answers(law):
    """The script does not claim that the answer of a call is what the law saw."""
    assert "recorded = [" in script(failed(law, RNN, ONE), [])


def test_script_of_a_gradient_that_is_not_returned():
    """Nothing where an array should be."""
    Cell = type("NoBias", (RNN,), {"_vjp": lambda self, dh: Gradients(RNN._vjp(self, dh).weights[:1], dh, (dh,))})
    text = script(failed(laws()["gradients_have_the_shapes_of_their_arrays"], Cell, ONE), [])
    assert "got = out2[0][1]" in text and "sys.exit(got is None or np.shape(got) != (1,))" in text


def test_calls_within_a_call_are_not_recorded():
    """forward calls apply: one call; a number that is given has no layout."""

    def law(Cell, problem):
        cell, x, state = problem.build(Cell)
        cell.guest.forward(x, *state)
        cell.guest.backward(1.0)

    tape, _, _ = recorded(law, RNN, ONE)
    assert [call.method for call in tape.calls] == ["forward", "backward"]
    assert tape.calls[1].layouts == {(0, 0): ""}


def test_a_refusal_is_played_back():
    """What is compared after it is still found."""

    def law(Cell, problem):
        cell, x, state = problem.build(Cell)
        with suppress(ValueError):
            cell.apply(x, *state, x)
        h = cell.apply(x, *state)[0]
        require([identical("h'", h, 2 * h)])

    case = failed(law, RNN, ONE)
    found = relation(law, RNN, case.problem, recorded(law, RNN, case.problem)[0], case.error.blocks[0])
    assert found.got == (Term(1.0, 1, (0,), (0, 0)),)
    assert found.expected == (Term(2.0, 1, (0,), (0, 0)),)


@pytest.mark.parametrize("lasting", [True, False])
def test_what_cannot_be_played_back_has_no_relation(lasting):
    """A law that sees another number each time; one whose block is called otherwise for other answers."""
    times = []

    def law(Cell, problem):
        cell, x, state = problem.build(Cell)
        h = cell.apply(x, *state)[0]
        times.append(h[0, 0])
        name = "h'" if lasting or h[0, 0] == times[0] else "other"
        require([identical(name, h + lasting * len(times), 2 * h)])

    case = failed(law, RNN, ONE)
    assert relation(law, RNN, case.problem, recorded(law, RNN, case.problem)[0], case.error.blocks[0]) is None


PLACES = {
    "RNN": RNN,
    "UnrolledLSTM": Unroll(LSTM),
    "one/cell.py:Guest": None,
    "two/__init__.py:Guest": None,
    "three.cell:Guest": None,
    "four/my-cell.py:Guest": None,
}


@pytest.mark.parametrize("label", PLACES)
def test_script_finds_the_cell_where_it_was_asked_for(label, tmp_path, monkeypatch):
    """A shipped cell, a file within a package, the package itself, a module by its name, a file that no statement can import."""
    file = tmp_path / label.partition(":")[0].replace("three.cell", "three/cell.py")
    (tmp_path / "reports").mkdir()
    file.parent.mkdir(exist_ok=True)
    (file.parent / "__init__.py").touch()
    file.write_text("class Guest:\n    pass\n")
    monkeypatch.setattr(sys, "path", sys.path[:])
    lines, found = origin(label, PLACES[label], tmp_path, tmp_path / "reports"), {"__file__": str(tmp_path / "reports" / "a.py")}
    exec("\n".join(["import sys", "from pathlib import Path", *lines]), found)
    assert found["Guest"].__name__ == label.rpartition(":")[2]
