"""What a report says and does: short, deterministic, written at once, with a script that reproduces the failure alone."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cellcheck.cells import lift
from cellcheck.cells.modern import SLSTM
from cellcheck.properties.intake.catalogue import laws
from cellcheck.properties.mutants import CATALOGUE, killed
from cellcheck.properties.mutants.engine import HOME, replaced
from cellcheck.properties.reports import Case, overview, reported
from cellcheck.properties.reports.short import LINES
from cellcheck.properties.shrinking import shrinking
from cellcheck.properties.verdicts.blocks import Block, Violation
from cellcheck.properties.writing.text import WIDTH
from cellcheck.strategies import Problem

pytestmark = pytest.mark.filterwarnings("ignore")  # of broken cells
MUTANTS = {mutant.name: mutant for mutant in CATALOGUE}
TOLD = [
    "InputAndForgetSwapped",
    "InputGateFromInput",
    "BiasMeanForSum",
    "MissingTranspose",
    "StateNotCarried",
    "GradientsAccumulate",
    "InputMaskedInPlace",
    "ColumnOrderReadAsRows",
    "TanhIsNaN",
    "CrashesBeyondOneRow",
]
FORMS = [  # of scripts and sentences that those above do not have
    "CoshOverflows",
    "UpstreamReturned",
    "RowsCentred",
    "SigmoidTailClipped",
    "OutputsAccumulate",
    "SecondBackwardDiffers",
    "FreshRowsResetTheWarm",
    "UnitsBeyond128Dropped",
    "SignOfStridesIgnored",
    "StridesIgnored",
    "ReadOnlyInputsCrash",
]
RUN_EACH = """
import runpy, sys
codes, sys.stdout = sys.stdout, sys.stderr
for script in map(str.strip, sys.stdin):
    path, hook, code = sys.path[:], sys.excepthook, 0
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as done:
        code = int(done.code or 0)
    except Exception:
        code = 2
    sys.path[:], sys.excepthook = path, hook
    for name in [n for n in sys.modules if n.split(".")[0] in ("cells", "guest")]:
        del sys.modules[name]
    assert not {"properties", "strategies", "hypothesis"} & set(sys.modules)
    print(code, file=codes, flush=True)
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """name -> (Case, the short report); each mutant as a guest of its own beside copies of the cells that it is made of."""
    root, found = tmp_path_factory.mktemp("guests"), {}
    for name in TOLD:
        found[name] = told_of(root, MUTANTS[name])
    return found


def told_of(root, mutant):
    """(Case, the short report) of a mutant, as a guest under `root`."""
    folder = root / mutant.name
    guest_of(folder, mutant, broken=True)
    law, Cell = laws()[mutant.law], mutant.cls
    problem, error = shrinking.smallest(law.check, Cell, killed(law, Cell).problem)
    case = Case(f"{mutant.name}/guest.py:{mutant.name}", law.name, law.group, "a = b", law.check, Cell, problem, error, root)
    return case, reported(case, folder / "reports")


def guest_of(folder, mutant, broken):
    """guest.py, which needs nothing but NumPy and the cells beside it, one of them edited."""
    if not (folder / "cells").exists():
        (folder / "cells").mkdir(parents=True)
        for file in HOME.glob("*.py"):
            (folder / "cells" / file.name).write_text(_of_their_own(file.read_text()))
    file = f"{mutant.edited}.py"
    text = replaced(mutant.edited, mutant.old, mutant.new) if broken else (HOME / file).read_text()
    (folder / "cells" / file).write_text(_of_their_own(text))
    step = mutant.cell.removeprefix("Unrolled")
    made = f"Unroll({step})" if mutant.cell.startswith("Unrolled") else step
    (folder / "guest.py").write_text(f"from cells import {step}, Unroll\n\n{mutant.name} = {made}\n")


def _of_their_own(source):
    """The source of a module of ours as one of a package called cells."""
    return source.replace("from cellcheck.cells", "from cells")


@pytest.fixture(scope="module")
def code_of():
    """script -> its exit code. All run in one other process; no compiled guest outlives an edit of the same second and size."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([sys.executable, "-B", "-c", RUN_EACH], text=True, **pipes) as process:

        def run(script):
            print(script, file=process.stdin, flush=True)
            return int(process.stdout.readline())

        yield run
        process.stdin.close()


def test_every_script_reproduces_alone_and_knows_when_the_cell_is_fixed(told, code_of):
    """In another process, exit 1 on the broken cell, 0 on the right one."""
    scripts = {name: case.path.with_suffix(".py") for name, (case, _) in told.items()}
    assert {name: code_of(script) for name, script in scripts.items()} == dict.fromkeys(TOLD, 1)
    for name, (case, _) in told.items():
        guest_of(case.path.parents[2], MUTANTS[name], broken=False)
    assert {name: code_of(script) for name, script in scripts.items()} == dict.fromkeys(TOLD, 0)


@pytest.mark.parametrize("name", FORMS)
def test_each_form_of_a_report_is_whole(name, tmp_path, code_of):
    """As those of all mutants, in slow_reports.py."""
    whole(name, tmp_path, code_of)


def whole(name, folder, code_of, fixed=0):
    """The report of a mutant has few lines and no error of ours; its script ends with 1, and with `fixed` on the right cell."""
    case, text = told_of(folder, MUTANTS[name])
    assert case.faults == []
    assert text.startswith(f"{name} breaks the law {case.name}: ")
    assert len(text.splitlines()) <= LINES
    assert f"# {name} breaks the law `{case.name}`" in case.path.read_text(encoding="utf-8")
    script = case.path.with_suffix(".py")
    assert code_of(script) == 1
    guest_of(folder / name, MUTANTS[name], broken=False)
    assert code_of(script) == fixed


def test_terminal_form_is_short(told):
    """At most 15 lines: cell, law, sizes, numbers, what differs, why, how to run it again, where the report is."""
    for name, (case, text) in told.items():
        lines = text.splitlines()
        assert len(lines) <= LINES
        assert lines[0].startswith(f"{name} breaks the law {case.name}: ")
        assert any(line.startswith("  rerun:  cellcheck ") for line in lines)
        assert lines[-1] == f"  report: {case.path.relative_to(case.home)}"
        assert any(line.startswith("  likely: ") for line in lines)


def test_cases_are_readable(told):
    """In the median at most 6 numbers are not zero, each of at most 2 digits."""
    counts, digits = [], []
    for case, _ in told.values():
        values = np.concatenate([np.ravel(a) for _, a in case.arrays()])
        values = values[values != 0]
        counts.append(len(values))
        digits.append(max((len(f"{abs(v):.16e}".split("e")[0].replace(".", "").rstrip("0")) for v in values), default=0))
    assert np.median(counts) <= 6
    assert np.median(digits) <= 2


def test_blame_names_array_gate_and_step(told):
    """From blocks and indices."""
    assert "input gate" in told["InputGateFromInput"][0].blames()[0]
    assert told["BiasMeanForSum"][0].blames()[0].startswith("b[0], candidate, bias: got ")
    assert told["MissingTranspose"][0].blames()[0].startswith("h[")
    assert any(re.search(r", step \d", line) for line in told["StateNotCarried"][0].blames())


def test_files_are_whole_and_the_same_again(told):
    """No half-written files; the same case gives the same bytes."""
    for name in ("InputGateFromInput", "StateNotCarried"):
        case, text = told[name]
        before = {path.name: path.read_bytes() for path in case.path.parent.iterdir()}
        assert set(before) == {f"{case.name}{suffix}" for suffix in (".md", ".py", ".svg")}
        assert reported(case, case.path.parents[1]) == text
        assert {path.name: path.read_bytes() for path in case.path.parent.iterdir()} == before


def test_picture_has_every_entry_in_light_and_dark(told):
    """Valid SVG: a square an entry, gates by name, colours for both schemes."""
    case, _ = told["InputGateFromInput"]
    text = case.path.with_suffix(".svg").read_text()
    squares = [e for e in ET.fromstring(text).iter("{http://www.w3.org/2000/svg}rect") if (e.get("class") or "").startswith("e")]
    assert len(squares) == 5 + sum(panel.errors.size for panel in case.panels)
    assert all(word in text for word in ("forget", "candidate", "prefers-color-scheme: dark"))


def test_markdown_says_what_where_why_and_how(told):
    """Equation, table, cause, picture, numbers, script, command, versions."""
    case, _ = told["InputGateFromInput"]
    text = case.path.read_text()
    for part in (
        "    a = b",
        "| where | got | expected | bound |",
        case.sentences[0],
        ".svg)",
        "W = [[",
        ".py)",
        case.rerun(),
        "NumPy",
    ):
        assert part in text


class Terminal:
    """What a terminal reporter is asked for."""

    def __init__(self, reports):
        self.stats, self.config, self.lines = {"failed": reports}, self, []

    def get_verbosity(self):
        """The default."""
        return 0

    def section(self, title):
        """A heading."""
        self.lines.append(title)

    def write_line(self, text):
        """Some lines."""
        self.lines += text.splitlines()


class Report:
    """What pytest keeps of a failure."""

    def __init__(self, result):
        self.user_properties, self.longrepr = [("cellcheck", result)], "long"


def test_many_failures_of_one_cause_read_as_one(told):
    """The cause once, laws under it, most telling first; all but one failure cut to two lines."""
    case = replace(told["BiasMeanForSum"][0], path=Path("weight_gradients.md"))
    found = {**overview.finding(case), "path": str(case.path)}
    rows = [
        {"cell": "a.py:B", "law": law, "group": group, "verdict": verdict, "finding": found}
        for law, group, verdict in (
            ("x_purity", "purity", "hazard"),
            ("rows_may_be_rolled", "symmetries", "broken"),
            ("weight_gradients", "gradients", "broken"),
        )
    ]
    terminal = Terminal([Report(row) for row in rows])
    overview.told(terminal, rows)
    assert terminal.lines[0] == "broken laws"
    assert terminal.lines[1] == "BiasMeanForSum breaks 2 laws and 1 promise. Most telling first:"
    assert " ".join(map(str.strip, terminal.lines[2:4])) == case.sentences[0]
    named = [line.split(":")[0].strip() for line in terminal.lines[4:] if re.match(r" {4}\S", line)]
    assert named == ["weight_gradients", "rows_may_be_rolled", "x_purity"]
    assert max(map(len, terminal.lines)) <= WIDTH
    assert [report.longrepr == "long" for report in terminal.stats["failed"]] == [False, False, True]


@pytest.mark.parametrize(
    ("seed", "said"), [(0, "batch 2"), (1, "2 steps on the same x, batch 2"), (2, "3 steps on the same x, batch 2")]
)
def test_a_case_counts_the_steps_of_a_cell_whose_states_take_no_gradient(seed, said):
    """Its laws of gradients run the cell several times, other laws do not."""
    violated = {
        "gradient": Block("x", 0.0, 1.0, 1.0, 0.0, "violated", array=2),
        "output": Block("h'", 0.0, 1.0, 1.0, 0.0, "violated"),
    }
    cases = {
        name: Case(
            "a.py:B",
            name,
            "gradients",
            "",
            None,
            lift(SLSTM, no_gradient=("m",)),
            Problem(2, 3, 4, seed=seed),
            Violation([block]),
        )
        for name, block in violated.items()
    }
    assert cases["gradient"].sizes() == f"{said}, features 3, state 4"
    assert cases["output"].sizes() == "batch 2, features 3, state 4"
