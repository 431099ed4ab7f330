"""The README and the pages of docs/ are true: their files and commands, the laws and declarations that they list, their links."""

import json
import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from cellcheck.cells import lift as lifting
from cellcheck.properties.intake.conventions import FRAMEWORKS

from cellcheck.options import Options
from docs import architecture, laws

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
EXECUTED = {  # options of pytest that choose laws, so that the pages are quick
    "README.md": "-k gradients",
    "docs/tutorial.md": "-k 'gradients or finite or flag or derivatives or equations or omitted or fresh'",
    "docs/own-suite.md": "",
    "docs/kernels.md": "",
    "docs/coverage.md": "-k gradients",
}
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.M | re.S)
PROGRAMS = {
    "cellcheck": [sys.executable, "-m", "cellcheck"],
    "pytest": [sys.executable, "-m", "pytest", "-p", "cellcheck.plugin", "-p", "no:cacheprovider"],
    "python": [sys.executable],
}


class Reader:
    """Does in a folder what a page says: saves its files, edits them, types its commands and compares what is printed."""

    def __init__(self, folder, options):
        """folder: an empty one; options: of every run of pytest."""
        self.folder, self.last = folder, None
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV", "HYPOTHESIS_"))}
        options = f"--cell-profile=quick --hypothesis-seed=0 -p no:randomly {options}"
        ours = {"PYTHONPATH": f"{ROOT}{os.pathsep}{folder}", "PYTEST_ADDOPTS": options, "PYTEST_XDIST_AUTO_NUM_WORKERS": "0"}
        self.environment = {**kept, **ours, "OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": f"{folder}-cache"}

    def python(self, text):
        """Save a block whose first line is a comment with the name of its file; others are only shown."""
        if name := re.match(r"# (\S+\.py)\n", text):
            self.last = self.folder / name[1]
            self.last.parent.mkdir(exist_ok=True)
            self.last.write_text(text)

    def diff(self, text):
        """Replace each line that begins with - by those that begin with + below it, in the last file."""
        source = self.last.read_text()
        for old, new in re.findall(r"^-(.*\n)((?:\+.*\n)+)", text, re.M):
            assert source.count(old) == 1, f"{old!r} is there {source.count(old)} times"
            source = source.replace(old, re.sub(r"^\+", "", new, flags=re.M))
        self.last.write_text(source)

    def console(self, text):
        """Type each command, and find what is shown below it in what it prints; ... stands for anything."""
        for command, shown in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.M):
            program, *arguments = command.split()
            run = subprocess.run(
                [*PROGRAMS[program], *arguments],
                cwd=self.folder,
                env=self.environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=300,
            )
            pattern = re.escape(shown).replace(r"\.\.\.", r"[\s\S]*?")
            assert re.search(pattern, run.stdout), f"{command} printed\n{run.stdout}\nand not\n{shown}"
            assert run.returncode == ("BROKEN" in run.stdout)


@pytest.mark.parametrize("page", EXECUTED)
def test_a_page_shows_what_is_printed(page, tmp_path):
    """Its files, edits and commands, in their order."""
    if "--cov" in (ROOT / page).read_text(encoding="utf-8"):
        pytest.importorskip("pytest_cov", reason="pytest-cov is optional")
    reader = Reader(tmp_path / "project", EXECUTED[page])
    reader.folder.mkdir()
    for language, text in BLOCK.findall((ROOT / page).read_text(encoding="utf-8")):
        getattr(reader, language, lambda text: None)(text)


def test_laws_are_those_of_the_catalogue():
    """docs/laws.md and the table in the README are what `python -m docs.laws` writes."""
    reference, readme = (file.read_text(encoding="utf-8") for file in laws.FILES)
    assert reference == laws.page()
    assert laws.table() in readme


def test_the_picture_shows_the_imports():
    """docs/architecture.svg is what `python -m docs.architecture` draws."""
    assert architecture.FILE.read_text(encoding="utf-8") == architecture.drawn()


def test_the_annotations_of_ci_come_from_a_certificate(tmp_path):
    """The script in docs/ci.md turns broken laws into errors, hazards into warnings, and says nothing of what holds."""
    [script] = [
        text for language, text in BLOCK.findall((ROOT / "docs" / "ci.md").read_text(encoding="utf-8")) if language == "python"
    ]
    verdicts = [("held", ""), ("broken", "RNN breaks\n100 %"), ("hazard", "it is")]
    law = [{"law": f"a_{verdict}_law", "verdict": verdict, "reason": reason} for verdict, reason in verdicts]
    (tmp_path / "cells.json").write_text(json.dumps({"cells": [{"source": "src/rnn.py:RNN", "laws": law}]}))
    run = subprocess.run(
        [sys.executable, "-c", script, "cells.json"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    assert run.stdout.splitlines() == [
        "::error file=src/rnn.py,title=a_broken_law::RNN breaks%0A100 %25",
        "::warning file=src/rnn.py,title=a_hazard_law::it is",
    ]


def test_all_declarations_are_explained():
    """docs/declarations.md has every name that the lift reads from a guest, and no other."""
    source = Path(lifting.__globals__["__file__"]).read_text(encoding="utf-8")
    read = {*lifting.__globals__["PUBLIC"], *re.findall(r'said\("(\w+)"', source), "weight_blocks", "sizes"}
    table = (ROOT / "docs" / "declarations.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)`", table, re.M)) == read


def test_examples_of_declarations_are_python():
    """Each example in docs/declarations.md assigns to the name of its row."""
    table = (ROOT / "docs" / "declarations.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)`.* \| `(\1 = [^|]*?)` \|$", table, re.M)
    assert len(rows) == len(re.findall(r"^\| `\w+`", table, re.M))
    for name, example in rows:
        space = {}
        exec(f"import numpy as np\n{example}", space)
        assert name in space


def test_all_names_of_the_certificate_are_explained():
    """docs/certificate.md has every name that the schema gives to a certificate and to a cell."""
    schema = json.loads((ROOT / "properties" / "certificate" / "schema.json").read_text(encoding="utf-8"))
    cell = schema["properties"]["cells"]["items"]
    cell = schema["$defs"][cell["$ref"].rpartition("/")[2]] if "$ref" in cell else cell
    text = (ROOT / "docs" / "certificate.md").read_text(encoding="utf-8")
    names = [*schema["properties"], *(f".{name}" for name in cell["properties"])]
    assert [name for name in names if f"`{name}`" not in text and f"`{name}[]`" not in text] == []


def test_frameworks_are_those_of_the_search():
    """docs/porting.md lists what each framework is known by."""
    text = (ROOT / "docs" / "porting.md").read_text(encoding="utf-8")
    rows = {tuple(cell.strip() for cell in line.strip("|").split("|")) for line in text.splitlines() if line.startswith("|")}
    assert {tuple(word or "any" for word in row) for *row, _ in FRAMEWORKS} <= rows


def test_all_options_are_explained():
    """The table in the README has a row for each option."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [f.name for f in fields(Options) if f"| `--{f.name.replace('_', '-')}" not in text] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_options_exist(page):
    """Every option of ours that a command names."""
    ours = {f.name.replace("_", "-") for f in fields(Options)}
    text = page.read_text(encoding="utf-8")
    prefixed = re.findall(r"--cell-([a-z-]+)", text)
    plain = [name for line in re.findall(r"^(?:    |\$ )cellcheck (.*)", text, re.M) for name in re.findall(r"--([a-z-]+)", line)]
    assert {name for name in (*prefixed, *plain) if name not in ours and not name.startswith("cov")} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    """Every relative link is a file or a folder of this project, and its anchor a heading there."""
    for link, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)", page.read_text(encoding="utf-8")):
        target = page.parent / link if link else page
        assert target.exists(), link
        if anchor:
            heads = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.M)
            assert anchor in [re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads], f"{link}#{anchor}"
