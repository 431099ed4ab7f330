"""What is told in few lines: of one case with many numbers or none at all, of many cases in one."""

from dataclasses import replace

import numpy as np
import pytest
from cellcheck.cells import LSTM, RNN, Unroll
from cellcheck.properties.reports import Case, overview, reported
from cellcheck.properties.reports.diagnosis import beyond
from cellcheck.properties.reports.diagnosis.grown import PLAIN
from cellcheck.properties.reports.short import LINES, short
from cellcheck.properties.verdicts.blocks import Block, Violation, identical
from cellcheck.properties.verdicts.tally import require

from tests.test_reports import Report, Terminal


def case(Cell=RNN, problem=PLAIN, error=None, law=None):
    """A Case of law l."""
    return Case("a.py:B", "l", "gradients", "a = b", law, Cell, problem, error)


def violation(*names, index=(0, 1)):
    """Blocks of these names, each wrong at this entry."""
    return Violation([Block(n, np.ones((9, 9)), np.zeros((9, 9)), 1.0, 1e-9, "violated", index) for n in names])


def never(input_features, state_size):
    """A cell that cannot be made."""
    raise OSError("no weights file")


def test_a_case_of_many_numbers_is_cut_to_its_lines():
    """Both the numbers and the wrong blocks, of which at least two are told."""
    Cell = Unroll(LSTM)
    lines = short(case(Cell, PLAIN.literal(Cell), violation(*"abcdefgh"))).splitlines()
    assert len(lines) == LINES
    assert "    ..." in lines
    assert sum(": got 1, expected 0" in line for line in lines) == 2
    assert any(line.endswith("(and 6 more)") for line in lines)


def test_a_cell_that_cannot_be_made_again_is_still_told(tmp_path):
    """Without arrays, picture or script: the recipe stands for them."""

    def law(Cell, problem):
        problem.build(Cell)

    text = reported(case(never, PLAIN, OSError("no weights file"), law), tmp_path)
    assert "  raised OSError: no weights file" in text
    assert [file.name for file in (tmp_path / "a.B").iterdir()] == ["l.md"]
    assert f"`{PLAIN!r}`" in (tmp_path / "a.B" / "l.md").read_text(encoding="utf-8")


def test_an_entry_is_told_without_its_gate_where_none_is_known():
    """The cell cannot be made, or declares no block that holds the entry."""
    [block] = violation("W", index=(8, 1)).blocks
    Partial = type("Partial", (RNN,), {"weight_blocks": property(lambda self: [{("x", "candidate"): np.s_[:4]}, {}])})
    assert case(never).where(block) == "W[8, 1]"
    assert case(Partial).where(block) == "W[8, 1]"
    assert case(Partial).where(replace(block, index=(0, 1))) == "W[0, 1], candidate, weights of x"


@pytest.mark.parametrize(
    ("first", "said"), [(70, ["h' is wrong in the units from 70 on, all 10 of them, and right in those before"]), (8, [])]
)
def test_units_from_which_on_a_large_state_is_wrong(first, said):
    """Beyond a tile, not where nearly everything is wrong; what is no array of units is passed over."""

    def law(Cell, problem):
        wrong = np.ones((2, 80))
        wrong[:, first:] = 2
        require(
            [
                identical("n", np.array(2), np.array(1)),
                Block("s", 1.0, 2.0, 1.0, 0.0, "violated"),
                identical("h'", wrong, np.ones((2, 80))),
            ]
        )

    assert beyond(case(problem=replace(PLAIN, state=80), law=law)) == said


def result(law, finding=True, path=None):
    """One broken law of the cell, as its row of results."""
    found = {"sentences": [], "blame": "W: wrong", "path": path, "page": path, "name": "B"}
    return {"cell": "a.py:B", "law": law, "group": "gradients", "verdict": "broken", "finding": finding and found}


def told(rows, verbosity=0):
    """(the lines in the terminal, whether each single report is still long)."""
    terminal = Terminal([Report(row) for row in rows])
    terminal.get_verbosity = lambda: verbosity
    overview.told(terminal, rows)
    return terminal.lines, [report.longrepr == "long" for report in terminal.stats["failed"]]


@pytest.mark.parametrize("rows", [[], [result("one")], [result("one"), result("held", finding=False)]], ids=len)
def test_a_single_broken_law_needs_no_overview(rows):
    """Nothing is said, nothing cut."""
    assert told(rows) == ([], [True] * len(rows))


def test_reports_that_could_not_be_written_are_told():
    """Of hazards, too, of which no single report is shown."""
    rows = [result(law) for law in "ab"]
    rows[1]["finding"]["unwritten"] = "not written: No space left on device (reports)"
    assert told(rows)[0][-1] == "  reports: not written: No space left on device (reports)"


def test_laws_beyond_six_of_one_cause_are_named_in_one_line():
    """Without reports no path is named."""
    lines, long = told([result(law) for law in "abcdefgh"])
    assert lines[-1].strip() == "and 2 more: g, h"
    assert lines[2].strip() == "no known mistake matches these laws:"
    assert long == [True] + [False] * 7


def test_laws_without_a_smallest_case_are_counted_and_named():
    """As those of a cell whose results differ from run to run; a promise has a heading of its own."""
    hazard = result("c") | {"verdict": "hazard"}
    lines, _ = told([result("a"), result("b", finding=False), hazard])
    assert lines[1] == "B breaks 2 laws and 1 promise. Most telling first:"
    assert [line.strip() for line in lines[-4:]] == [
        "no known mistake matches these promises:",
        "c: W: wrong",
        "told below, without a smallest case:",
        "b",
    ]


def test_advice_that_was_given_is_not_repeated():
    """Of several laws that say the same after their first line."""
    rows = [result("a"), *(result(law, finding=False) | {"reason": f"{law} is flaky; look for dropout"} for law in "bcd")]
    terminal = Terminal([Report(row) for row in rows])
    overview.shortened(terminal.stats["failed"], rows)
    assert [report.longrepr for report in terminal.stats["failed"]] == ["long", "long", "c is flaky", "d is flaky"]


def test_whoever_asks_for_more_gets_the_single_reports_whole():
    """pytest -v."""
    assert told([result("a"), result("b")], verbosity=1)[1] == [True, True]
