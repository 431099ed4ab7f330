"""Edits of a cell's own code: which are made, which are refused, which live and why."""

import json
import linecache
import os
import subprocess
import sys
import textwrap
import time
import xml.dom.minidom
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from cellcheck.cells import CELLS, RNN, lift
from cellcheck.properties.certificate import certificate, described
from cellcheck.properties.certificate.page import page
from cellcheck.properties.intake.loading import load
from cellcheck.properties.mutants import apart, own
from cellcheck.properties.mutants.generated import equivalent
from cellcheck.properties.mutants.own import HARMLESS, Power, Survivor, _key, _refusal, measured
from cellcheck.properties.mutants.reach import Reach
from cellcheck.properties.verdicts.run import both
from cellcheck.strategies import Problem
from test_certificate import SCHEMA, faults

from cellcheck import check
from cellcheck.options import OptionError, Options

ROOT = Path(__file__).parents[1]
STRANGERS = ROOT / "tests" / "guests" / "strangers"
GRADIENTS = ("gradients_have_the_shapes_of_their_arrays", "weight_gradients", "state_gradients")
PLENTY = 600  # seconds: all edits are tried

SMALL = """
    import numpy as np

    class Cell:
        state_names = ("h",)

        def __init__(self, d, k):
            self.W, self.U = np.ones((d, k)), np.ones((k, k))
            self.weights = [self.W, self.U]

        def apply(self, x, h):
            z = x @ self.W + h @ self.U
            self.saved = x.copy(), h.copy(), z
            return (np.tanh(z),)

        def vjp(self, dh):
            x, h, z = self.saved
            dz = dh / np.cosh(z) ** 2
            return [x.T @ dz, h.T @ dz], dz @ self.W.T, (dz @ self.U.T,)
"""


def busy(seconds):
    """Compute for so long."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def stranger(name):
    """A guest of tests/guests/strangers."""
    return load(f"{STRANGERS / name}", ROOT)


def planted(folder, source, *edits):
    """The class Cell of this source, each edit (old, new) made in it."""
    source = textwrap.dedent(source)
    for old, new in edits:
        assert old in source
        source = source.replace(old, new)
    (folder / "planted.py").write_text(source, encoding="utf-8")
    return load("planted.py:Cell", folder)


def reasons(power, text):
    """The reasons of the survivors whose edited statement has this text."""
    return {s.reason.partition(" (")[0].partition(":")[0] for s in power.survivors if text in s.before}


@pytest.fixture(scope="module")
def guarded():
    """The power of the laws on a guest with a branch that no example reaches."""
    return measured(stranger("guarded.py:Leaky"), laws=["weight_gradients", "inputs_are_the_callers"], seconds=PLENTY)


def test_edits_of_a_branch_that_no_example_reaches_live(guarded):
    """They are shown at their lines, and none of them counts as refused."""
    lines = {row["line"]: row for row in guarded.lines if "z * 1e-300" in row["text"] or "z + 1" in row["text"]}
    assert len(lines) == 2
    assert all(row["tried"] and not row["refused"] for row in lines.values())
    never = {s.line for s in guarded.survivors if s.reason == "never executed by any example"}
    assert never == set(lines)


def test_edit_that_breaks_a_promise_alone_lives(guarded):
    """A hazard does not fail the run, so the edit counts as a survivor; the promise is named."""
    assert reasons(guarded, "x.copy(), h.copy()") == {"breaks only a promise"}


def test_every_edit_of_a_shipped_cell_is_refused_or_explained():
    """All single edits of the equations of the RNN die."""
    power = measured(RNN, seconds=PLENTY)
    assert power.tried == power.edits > 100
    assert power.share >= 0.97
    assert sum(power.how.values()) + len(power.survivors) == power.tried
    assert not any("blind" in s.reason for s in power.survivors)


@pytest.mark.parametrize(
    ("guest", "files"),
    [
        ("columnwise.py:GRU", {"columnwise.py", "maths.py"}),
        ("tagger.py:Tagger", {"tagger.py", "maths.py"}),
        ("gatewise.py:LstmLayer", {"gatewise.py"}),
        ("looped.py:RNN", {"looped.py"}),
    ],
)
def test_own_code_is_what_lies_beside_the_guest(guest, files):
    """Its file and the modules of its folder that it calls; nothing of NumPy, of the adapter or of the laws."""
    power = measured(stranger(guest), laws=["weight_gradients"], seconds=0)
    assert power.edits > 50
    assert {Path(row["file"]).name for row in power.lines} == files


def test_shipped_cells_own_their_equations():
    """A sequence cell has its steps and its loop; activations and the contract belong to no one cell."""
    power = measured(CELLS[4], laws=["weight_gradients"], seconds=0)
    assert {Path(row["file"]).name for row in power.lines} == {"unroll.py", "lstm.py"}


def test_functions_that_no_law_calls_are_not_edited():
    """The training loop of a gist says nothing about its cell."""
    power = measured(stranger("gatewise.py:LstmLayer"), laws=["weight_gradients"], seconds=0)
    text = "\n".join(row["text"] for row in power.lines)
    assert "def backward" in text and "lambda v" in text and "def sample" not in text


@pytest.mark.skipif(apart.cores() == 1, reason="one process: a hang in C or an exit cannot be known")
def test_edits_that_hang_or_end_the_process_are_refused(tmp_path):
    """Both are counted by what they did."""
    risky = "while x is None:\n            pass\n        if x is None:\n            os._exit(3)\n        z = x @ self.W"  # one edit hangs
    Cell = planted(tmp_path, SMALL, ("import numpy", "import os\nimport numpy"), ("z = x @ self.W", risky))
    power = measured(Cell, laws=["weight_gradients"], seconds=PLENTY)
    assert power.how[apart.HUNG] == 1 and power.how[apart.ENDED] == 2


def test_what_a_declaration_excuses_is_said(tmp_path):
    """The limit of a declared clip may be any other: the laws look past it."""
    clipped = ("return [x.T @ dz, h.T @ dz], dz", "dz = np.clip(dz, -5, 5)\n        return [x.T @ dz, h.T @ dz], dz")
    Cell = planted(tmp_path, SMALL, clipped, ('state_names = ("h",)', 'state_names, choices = ("h",), {"clip": 5}'))
    power = measured(Cell, laws=GRADIENTS, seconds=PLENTY)
    assert "changes only what a declaration excuses: clip" in {s.reason for s in power.survivors if s.after == "pass"}
    assert reasons(power, "np.clip") <= {"changes only what a declaration excuses", "equal on all examples tried"}


def test_initial_weights_are_told_apart(tmp_path):
    """An edit of them changes no example, and not the second share."""
    Cell = planted(tmp_path, SMALL, ("np.ones((k, k))", "np.ones((k, k)) * 2.0"))
    power = measured(Cell, laws=GRADIENTS, seconds=PLENTY)
    assert reasons(power, "* 2.0") == {"changes only the initial weights, which every example overwrites"}
    assert power.share < power.share_of_effective


def test_equations_of_a_cell_of_no_kind_are_free(tmp_path):
    """Where no gradient contradicts them, another function is as good: that is no blind spot of the laws."""
    Cell = planted(tmp_path, SMALL, ('state_names = ("h",)', 'state_names, gradients = ("h",), ()'))
    power = measured(Cell, laws=["the_next_state_is_finite", "each_row_equals_its_solo_run"], seconds=PLENTY)
    assert "another function, and no law knows what this cell should compute" in reasons(power, "x @ self.W + h @ self.U")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """(Cell, the code of its functions, its power under one law, measured in two processes)."""
    Cell = planted(tmp_path_factory.mktemp("small"), SMALL)
    before = {name: f.__code__ for name, f in vars(Cell).items() if callable(f)}
    return Cell, before, measured(Cell, laws=["weight_gradients"], seconds=PLENTY, workers=2)


def test_one_process_or_several_give_the_same(small):
    """The same survivors; and every edited function has its own code again."""
    Cell, before, together = small
    alone = measured(Cell, laws=["weight_gradients"], seconds=PLENTY, workers=1)
    assert alone.survivors == together.survivors and alone.tried == together.tried == alone.edits
    assert all(vars(Cell)[name].__code__ is code for name, code in before.items())


def test_alone_counts_edits_that_one_law_refuses(small):
    """With a single law, all that it refuses of one edit in three; what it cannot see is a blind spot of this law, at its line."""
    *_, power = small
    assert power.alone == {"weight_gradients": power.alone_of}
    assert power.refused / 5 < power.alone_of < power.refused / 2
    assert "a blind spot: x may differ" in {s.reason.partition(" by")[0] for s in power.survivors if "self.W.T" in s.before}


def test_edits_of_a_notebook_are_made():
    """A class whose source only linecache has."""
    source = textwrap.dedent(SMALL)
    linecache.cache["<cell 1>"] = len(source), None, source.splitlines(True), "<cell 1>"
    space = {"__name__": "__main__"}
    exec(compile(source, "<cell 1>", "exec"), space)
    power = measured(space["Cell"], laws=GRADIENTS, seconds=PLENTY)
    assert power.share > 0.9


def test_code_of_another_package_is_out_of_reach(tmp_path, monkeypatch):
    """It is named, nothing of it is edited, and the share is None."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    (folder / "otherlib.py").write_text(textwrap.dedent(SMALL), encoding="utf-8")
    monkeypatch.syspath_prepend(folder)
    power = measured(load("otherlib:Cell", tmp_path), laws=GRADIENTS)
    assert (power.share, power.edits) == (None, 0)
    assert "out of reach (otherlib: the code of another package" in " ".join(str(power).split())


def test_code_without_a_source_is_out_of_reach():
    """As that of a compiled module."""
    space = {"__name__": "nowhere"}
    exec(compile(textwrap.dedent(SMALL), "<no file>", "exec"), space)
    power = measured(space["Cell"], laws=GRADIENTS)
    assert power.share is None and "(nowhere: " in str(power)


def test_little_time_gives_a_fair_sample():
    """Some edits in a random order, and an interval that holds the share of all."""
    power = measured(RNN, laws=GRADIENTS, seconds=3)
    low, high = power.interval
    assert 0 <= low <= power.share <= high <= 1
    ends = [Power("any", edits=1000, tried=n, refused=k * n).interval for n in range(1, 300) for k in (0, 1)]
    assert min(low for low, _ in ends) == 0 and max(high for _, high in ends) == 1
    low, high = Power("any", edits=1000, tried=100, refused=97).interval
    assert np.allclose((low, high), (0.9155, 0.9897), atol=1e-4)
    assert Power("any", edits=100, tried=100, refused=97).interval == (0.97, 0.97)


def test_certificate_has_the_power(guarded):
    """As its schema says, and on the page with the survivors and the source."""
    cell = stranger("guarded.py:Leaky")
    run = {"profile": "default", "examples": 100, "strict": False, "workers": 0}
    whole = certificate({"Leaky": described(lift(cell))}, [], run, {"Leaky": guarded.as_dict()})
    assert list(faults(whole, SCHEMA)) == []
    html = page(whole, ROOT)
    assert "never executed by any example" in html and f"{guarded.share:.1%}" in html


def test_check_measures_a_cell_that_holds(tmp_path):
    """After its laws, and only if none is broken; the result shows it."""
    Cell = planted(tmp_path, SMALL)
    result = check(Cell, "quick", ["weight_gradients"], mutants=1)
    assert result.held and result.power.share > 0.5
    assert "of single edits are refused" in " ".join(str(result).split()) and "<svg" in result._repr_html_()
    Broken = planted(tmp_path, SMALL, ("dz = dh /", "dz = 2 * dh /"))
    assert check(Broken, "quick", ["weight_gradients"], mutants=1).power is None


def test_command_measures_with_an_option(tmp_path):
    """--mutants on the command line; the same in the certificate; the exit status is that of the laws."""
    planted(tmp_path, SMALL)
    options = ["-k", "weight_gradients", "--profile", "quick", "--mutants", "20", "--certificate", "c.json", "--reports="]
    command = [sys.executable, "-m", "cellcheck", "planted.py:Cell", *options]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=300, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert done.returncode == 0, done.stdout
    assert "of single edits are refused" in " ".join(done.stdout.split())
    [cell] = json.loads((tmp_path / "c.json").read_text())["cells"]
    assert cell["mutants"]["tried"] and cell["mutants"]["survivors"]


def test_mutants_take_seconds():
    """Anything else is refused with one line."""
    with pytest.raises(OptionError, match="mutants soon: not a number of seconds above 0"):
        Options(mutants="soon")


def test_picture_shows_every_line_of_the_edited_functions(guarded):
    """Well-formed, with the figures of each line that has edits."""
    picture = xml.dom.minidom.parseString(guarded.picture())
    texts = ["".join(node.data for node in element.childNodes) for element in picture.getElementsByTagName("text")]
    assert all(row["text"] in texts for row in guarded.lines if row["text"])
    assert texts.count("0/8") >= 1


def test_text_fits_a_terminal(guarded):
    """Its sentences in 80 columns; survivors below their reason, with file, line and difference; unreached lines once."""
    text = str(guarded)
    assert all(len(line) <= 80 for line in text.splitlines() if line[:4] not in ("  - ", "  + "))
    assert "survive: never executed by any example.\n" in text
    assert "guarded.py:20, in apply: 8 edits\n  - z = z * 1e-300\n" in text


def test_serious_survivors_come_first(guarded):
    """What computes the same comes last."""
    harmless = [s.reason.startswith(HARMLESS) for s in guarded.survivors]
    assert harmless == sorted(harmless) and any(harmless)


def test_known_reasons_of_shipped_cells_are_shown():
    """An edit has the key by which the catalogue of generated mutants explains it."""
    reach = Reach(CELLS[3], CELLS[3](2, 3))
    with reach.watching():
        both(CELLS[3], Problem(2, 2, 2, steps=2))
    [why] = {equivalent(_key(edit)) for edit in reach.edits() if "zip(step.weights, d_weights)" in edit.after}
    assert why == "a sum commutes"
    shown = str(Power("any", 1, 1, survivors=[Survivor("a.py", 1, "f", "x", "y", "so", why)]))
    assert shown.endswith("\n1 survives: so.\na.py:1, in f\n  - x\n  + y\n    (a sum commutes)")


@pytest.mark.parametrize(("wait", "often", "how"), [(time.sleep, 1, None), (busy, 2, apart.HUNG)])
def test_waiting_for_the_machine_is_no_hang(wait, often, how, monkeypatch):
    """A process that was kept waiting tries once more; one that computes hangs, at the first try or, on a busy machine, the second."""
    tries = []

    def check(Cell, problem):
        tries.append(1)
        wait(1.0 if len(tries) <= often else 0.0)

    law = SimpleNamespace(name="any", applies=lambda Cell: True, check=check)
    assert _refusal(law, RNN, [None], limit=0.3) == how and len(tries) <= 2
    if how:
        tries.clear()
        monkeypatch.setattr(own, "process_time", iter([0.0, 0.3]).__next__)  # it had all of the processor
        assert _refusal(law, RNN, [None], limit=0.3) == how and len(tries) == 1


def test_reach_of_a_class_on_a_shipped_one(tmp_path):
    """The guest's own class alone; the base is ours."""
    source = "from cellcheck.cells import RNN\nclass Cell(RNN):\n    def forward(self, x, h):\n        return self.apply(x, h)[0].sum()\n"
    Cell = planted(tmp_path, source)
    reach = Reach(Cell, Cell(2, 3))
    assert reach.owns(str(tmp_path / "planted.py")) and not reach.owns(RNN._apply.__code__.co_filename)
