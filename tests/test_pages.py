"""Where reports are written: a folder for each cell, a page for each law that is broken; whole, or not at all, and safe to read."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cellcheck.cells import LSTM, RNN, lift
from cellcheck.properties.intake.catalogue import laws
from cellcheck.properties.intake.raised import internal, last_frames, place
from cellcheck.properties.reports import Case, overview, pages, reported
from cellcheck.properties.reports.diagnosis.grown import PLAIN
from cellcheck.properties.reports.origin import source
from cellcheck.properties.shrinking.shrinking import Subject
from cellcheck.properties.verdicts.blocks import Block, identical
from cellcheck.properties.verdicts.tally import require
from cellcheck.properties.writing.files import whole
from cellcheck.strategies import Problem

pytestmark = pytest.mark.filterwarnings("ignore")
HOSTILE = "<script>alert(1)</script> | `tick` \x1b[31mred\n second line " + "x" * 100_000


class Raises(RNN):
    """Fails in every call, with a message that no page must show as it is."""

    def _apply(self, x, h):
        raise ValueError(HOSTILE)


def runs(Cell, problem):
    """apply does not raise."""
    cell, x, state = problem.build(Cell)
    cell.apply(x, *state)


def doubled(Cell, problem):
    """h' = 2 h', which no cell fulfils."""
    cell, x, state = problem.build(Cell)
    h = cell.apply(x, *state)[-1]
    require([identical("h'", h, 2 * h)])


def case_of(law, Cell, label="guest.py:Raises", home="."):
    """The Case of a law on the smallest problem."""
    problem = Problem(1, 1, 1)
    error = Subject(law, Cell).failure(problem).error
    return Case(label, law.__name__, "purity", "a = b", law, Cell, problem.literal(Cell), error, home)


LABELS = [
    "a/guest.py:RNN",
    "b/guest.py:RNN",
    "guest.py:RNN",
    "a/guest.py:LSTM",
    "../guest.py:RNN",
    "a b/guest.py:RNN",
    "a_b/guest.py:RNN",
]


def test_every_cell_has_a_folder_of_its_own(tmp_path):
    """Two guests of one file and class name; folders do not depend on what else runs, nor on how a path is spelled."""
    found = [pages.folder(label, tmp_path) for label in [*LABELS, "a.b/guest.py:RNN", "LSTM"]]
    assert len(set(found)) == len(found) and not any("/" in name or " " in name for name in found)
    assert found[:4] == ["a.guest.RNN", "b.guest.RNN", "guest.RNN", "a.guest.LSTM"]
    for other in ("./a/../a/guest.py:RNN", f"{tmp_path}/a/guest.py:RNN", "a.guest:RNN"):
        assert pages.folder(other, tmp_path) == "a.guest.RNN"


def result(cell, law, verdict, path=None):
    """A row of results."""
    found = {"sentences": ["a_b is <wrong>"], "blame": "`W` | b", "path": path, "page": path, "name": "B"}
    return {"cell": cell, "law": law, "group": "gradients", "verdict": verdict, "finding": found if verdict == "broken" else None}


def settled(tmp_path, *results):
    """(what could not be done, the files of the cell) once a run with these results is over."""
    said = list(overview.settle(results, tmp_path / "reports", tmp_path))
    return said, sorted(path.name for path in (tmp_path / "reports").rglob("*.*") if path.is_file())


def test_pages_of_laws_that_hold_again_are_removed(tmp_path):
    """The others stay, and the README lists them; a folder without pages goes."""
    home = tmp_path / "reports" / "a.B"
    whole({home / f"{law}{suffix}": "" for law in ("one", "two") for suffix in (".md", ".py", ".svg")})
    broken = result("a.py:B", "one", "broken", str(home / "one.md"))
    said, files = settled(tmp_path, broken, result("a.py:B", "three", "held"), result("c.py:B", "one", "held"))
    assert said == [] and files == ["README.md", *(f"{law}{s}" for law in ("one", "two") for s in (".md", ".py", ".svg"))]
    text = (home / "README.md").read_text(encoding="utf-8")
    assert "| [`one`](one.md) | \\`W\\` \\| b | broken |" in text and "Likely cause: a_b is \\<wrong>." in text
    assert "Of earlier runs: [`two`](two.md)." in text
    assert settled(tmp_path, result("a.py:B", "one", "held"))[1] == ["README.md", "two.md", "two.py", "two.svg"]
    assert "[`one`]" not in (home / "README.md").read_text(encoding="utf-8")
    assert settled(tmp_path, result("a.py:B", "two", "held")) == ([], [])
    assert not home.exists()


def test_a_report_that_cannot_be_written_is_one_line(tmp_path):
    """Reports that name a file: the law is told, and why there is no page."""
    (tmp_path / "file").write_text("kept")
    text = reported(case_of(doubled, RNN), tmp_path / "file")
    assert text.splitlines()[-1] == f"  report: not written: Not a directory ({tmp_path / 'file'})"
    assert list(overview.settle([result("a.py:B", "one", "broken")], tmp_path / "file", tmp_path)) == []
    assert (tmp_path / "file").read_text() == "kept"


def test_a_readme_that_cannot_be_written_is_one_line(tmp_path):
    """A folder stands in its place."""
    home = tmp_path / "reports" / "a.B"
    whole({home / "one.md": ""})
    (home / "README.md").mkdir()
    said = list(overview.settle([result("a.py:B", "one", "broken")], tmp_path / "reports", tmp_path))
    assert said == ["reports: reports is not up to date: Is a directory"]


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    """Neither half a page nor a part of one beside it; the page of the last run stays."""
    whole({tmp_path / "a.md": "before"})
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        whole({tmp_path / "a.md": "after", tmp_path / "new" / "b.md": "after"})
    text = reported(case_of(doubled, RNN), tmp_path)
    assert text.endswith(f"  report: not written: No space left on device ({tmp_path})")
    said = list(overview.settle([result("a.py:B", "one", "broken")], tmp_path, tmp_path))
    assert said == [] and [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["a.md"]
    assert (tmp_path / "a.md").read_text() == "before"


def test_what_a_guest_raises_is_told_with_its_place_and_never_as_markup(tmp_path):
    """In the terminal and on the page: one short line, file and line, the last frames, nothing that a reader's program obeys."""
    text = reported(case_of(runs, Raises, home=os.path.dirname(__file__)), tmp_path)
    assert all(line.isprintable() and len(line) < 200 for line in text.splitlines())
    number = Raises._apply.__code__.co_firstlineno + 1
    assert f" at test_pages.py:{number}" in text
    page = (tmp_path / "guest.Raises" / "runs.md").read_text(encoding="utf-8")
    assert f"    test_pages.py:{number}, in _apply: raise ValueError(HOSTILE)" in page
    outside = "\n".join(line for line in page.splitlines() if not line.startswith("    "))
    assert "raised ValueError: \\<script>" in outside and "\x1b" not in page and len(page) < 5000


def test_an_error_of_ours_is_not_blamed_on_the_guest():
    """The innermost frame decides, libraries aside; what caused an error counts in its place."""

    def caught(run):
        with pytest.raises(Exception) as error:
            run()
        return error.value

    ours = caught(lambda: PLAIN.literal(RNN).rows([7]))
    assert internal(ours).startswith("internal error of Cellcheck: IndexError: ") and "strategies/problem.py:" in internal(ours)
    theirs = case_of(runs, Raises).error
    assert internal(theirs) is None and place(theirs, "/nowhere").startswith(__file__)
    try:
        raise RuntimeError("told") from theirs
    except RuntimeError as error:
        assert internal(error) is None and len(last_frames(error, most=1)) == 1
    nothing = type("Nothing", (), {"state_names": ("h",), "weights": [np.zeros((2, 1))], "apply": lambda self, x, h: None})
    wrapped = case_of(laws()["outputs_are_finite"].check, lift(lambda *_: nothing()))
    assert wrapped.blames() == ["raised TypeError: apply returned None; wanted arrays of numbers"]
    assert internal(wrapped.error) is None
    assert internal(case_of(doubled, RNN).error) is None
    shipped = caught(lambda: LSTM(2, 3).apply(1))
    assert internal(shipped) is None


def test_a_guest_of_another_alphabet_is_told(tmp_path, monkeypatch):
    """Folder, file and class outside ASCII, with a blank and a quote: page, script and command name them."""
    home = tmp_path / "größe d'été"
    home.mkdir()
    source = "class Zelle:\n    pass\n\n\nÜnïcödé = Zelle\n"
    (home / "zelle.py").write_text(source, encoding="utf-8")
    case = case_of(doubled, RNN, "größe d'été/zelle.py:Ünïcödé", tmp_path)
    text = reported(case, tmp_path / "reports")
    assert "cellcheck 'größe d'\"'\"'été/zelle.py:Ünïcödé' -k doubled" in text and "Ünïcödé breaks the law" in text
    page = case.path.read_text(encoding="utf-8")
    assert "# Ünïcödé breaks the law" in page and "`zelle.py` has SHA-256" in page
    script = case.path.with_suffix(".py").read_text(encoding="utf-8")
    head = script[: script.index("np.seterr")]
    monkeypatch.setattr(sys, "path", sys.path[:])
    found = {"__file__": str(case.path.with_suffix(".py"))}
    exec(compile(head, "script", "exec"), found)
    assert found["Guest"].__name__ == "Zelle"


def test_a_page_says_what_it_was_found_with(tmp_path):
    """Versions of Cellcheck, Python and NumPy; the hash of the guest's source, which changes with it."""
    (tmp_path / "guest.py").write_text("# one\n")
    case = case_of(doubled, RNN, home=tmp_path)
    reported(case, tmp_path)
    one = case.path.read_text(encoding="utf-8").splitlines()[-1]
    (tmp_path / "guest.py").write_text("# two\n")
    reported(case, tmp_path)
    two = case.path.read_text(encoding="utf-8").splitlines()[-1]
    assert one.startswith("Found with Cellcheck ") and "Python 3" in one and "NumPy" in one
    assert one.partition("SHA-256")[0] == two.partition("SHA-256")[0] and one != two
    assert source("cellcheck.cells.rnn:RNN", tmp_path).name == "rnn.py" and source("LSTM", tmp_path) is None


class Doubled(RNN):
    """Its gradients are twice what they should be."""

    def _vjp(self, dh):
        return super()._vjp(2 * dh)


def in_words(Cell, problem):
    """A law that compares no numbers."""
    require([Block("apply", "a result", "an exception", np.inf, 0.0, "violated")])


def test_the_picture_is_of_the_law_or_there_is_none(tmp_path):
    """Not of the gradients, which are wrong as well; a law of words has no picture, nor does one of an earlier run stay."""
    case = case_of(doubled, Doubled)
    reported(case, tmp_path)
    assert [panel.name for panel in case.panels] == ["h'"] and case.path.with_suffix(".svg").is_file()
    case.law, case.error = in_words, case_of(in_words, Doubled).error
    reported(case, tmp_path)
    assert case.panels == [] and not case.path.with_suffix(".svg").exists()
    law = laws()["input_gradients"]
    case = case_of(law.check, Doubled)
    case.name = law.name
    reported(case)
    assert [panel.name for panel in case.panels] == ["x"]


def test_the_reports_that_are_kept_still_reproduce():
    """Those in docs/ are of guests that are still as broken."""
    scripts = sorted((Path(__file__).parents[1] / "docs" / "reports").glob("*/*.py"))
    assert len(scripts) == 3
    assert [subprocess.run([sys.executable, s], capture_output=True, check=False).returncode for s in scripts] == [1, 1, 1]
