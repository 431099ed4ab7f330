"""The certificate: valid, complete, the same figures in every form; what did not run is never a pass."""

import json
import re
import shutil
import subprocess
import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from cellcheck.cells import CELLS, LSTM, lift
from cellcheck.properties.certificate import Collector, certificate, described, write
from cellcheck.properties.certificate.data import expected_blocks
from cellcheck.properties.certificate.drawings import figure
from cellcheck.properties.certificate.page import page
from cellcheck.properties.intake.catalogue import laws
from cellcheck.properties.verdicts.blocks import Block
from cellcheck.properties.verdicts.tally import Tally
from cellcheck.strategies import Problem, regimes

ALONE = sum("reference" not in law.needs for law in laws().values())  # laws of a cell that has no reference
ROOT = Path(__file__).parents[1]
GIST = "tests/guests/gist.py:CorrectRNN"
SCHEMA = json.loads((ROOT / "properties/certificate/schema.json").read_text())
TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "null": type(None),
}
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = "headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking disable-component-update disable-sync"


def faults(value, schema, path="$"):
    """Whatever in a JSON value is not as its schema wants, for the words of JSON Schema that ours uses."""
    if ("const" in schema and value != schema["const"]) or ("enum" in schema and value not in schema["enum"]):
        yield f"{path} is {value!r}"
    wanted = [schema["type"]] if isinstance(schema.get("type"), str) else schema.get("type", [])
    if wanted and not any(isinstance(value, TYPES[t]) and (t == "boolean" or not isinstance(value, bool)) for t in wanted):
        yield f"{path} is {value!r}, wanted {wanted}"
    elif isinstance(value, dict):
        known = schema.get("properties", {})
        yield from (f"{path}.{name} is missing" for name in schema.get("required", ()) if name not in value)
        for name, item in value.items():
            inner = known.get(name, schema.get("additionalProperties", {}))
            yield from [f"{path}.{name} is unknown"] if inner is False else faults(item, inner, f"{path}.{name}")
    elif isinstance(value, list):
        for k, item in enumerate(value):
            yield from faults(item, schema.get("items", {}), f"{path}[{k}]")
    elif isinstance(value, (int, float)) and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        yield f"{path} is {value}"


def run(*options, cwd=ROOT):
    """A finished run of the suite."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "--cell-reports=",
        "--cell-profile=quick",
        *options,
    ]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300)


@cache
def certified(folder):
    """The output of a run of a gist-style guest, and its certificate. folder: where that is to be."""
    done = run("--cell", GIST, "-k", "gradients or sequence or finite", "--cell-certificate", str(folder / "guest.json"))
    return done.stdout, json.loads((folder / "guest.json").read_text())


@pytest.fixture(scope="module")
def guest(tmp_path_factory):
    """`certified`, once."""
    return certified(tmp_path_factory.getbasetemp())


def test_the_json_is_as_its_schema_says(guest):
    """Every name is known, none is missing, every value is of its type."""
    assert list(faults(guest[1], SCHEMA)) == []


def test_the_schema_refuses_what_is_wrong(guest):
    """A missing name, an unknown one, a wrong type, a number out of range and an unknown verdict are all found."""
    cell = guest[1]["cells"][0]
    wrong = {**cell, "status": "fine", "examples": -1, "name": 3, "extra": 1}
    del wrong["power"]
    found = " ".join(faults({**guest[1], "cells": [wrong]}, SCHEMA))
    assert all(f"$.cells[0].{name}" in found for name in ("status", "examples", "name", "extra", "power"))


def test_absent_gradients_are_said_plainly(guest):
    """In the terminal, in the data and on the page."""
    text, whole = guest
    assert "CorrectRNN: gradients of x and states NOT verified; of weights held" in text
    reasons = {row["block"]: row["reason"] for row in whole["cells"][0]["power"]}
    assert reasons == {
        "W_x candidate": "",
        "W_h candidate": "",
        "b candidate": "",
        "x": "no input gradients",
        "h": "no state gradients",
    }
    assert "2 of 5 gradients are not verified: x, h." in page(whole, ".")


def test_laws_that_were_not_asked_are_listed(guest):
    """With -k, the laws left out are there, as not asked."""
    verdicts = guest[1]["cells"][0]["verdicts"]
    assert sum(verdicts.values()) == ALONE
    assert verdicts["not asked"] > 0 < verdicts["held"]


def test_certified_examples_are_counted_by_how_they_agree(guest):
    """The powers of ten of a block add up to the examples that certified it, and its worst lies in the largest."""
    for row in guest[1]["cells"][0]["power"]:
        assert sum(row["decades"].values()) == row["certified"]
        if row["worst"]:
            decade = max(int(k) for k in row["decades"] if k != "exact")
            assert 10.0 ** (decade - 1) < row["worst"] <= 10.0**decade


class Figures(HTMLParser):
    """The numbers that a page shows: power and count of each block, and each law's row."""

    def __init__(self, text):
        super().__init__()
        self.blocks, self.rows, self.at = {}, {}, None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        """Where text is going to be."""
        a = dict(attributes)
        if tag == "text" and "data-block" in a:
            self.at = self.blocks.setdefault((a["class"], a["data-block"]), [])
        elif tag == "tr":
            self.row = a.get("data-law")
        elif tag == "td":
            self.at = self.rows.setdefault(self.row, [])

    def handle_endtag(self, tag):
        """Text outside is not a figure."""
        if tag in ("text", "td"):
            self.at = None

    def handle_data(self, data):
        """A figure."""
        if self.at is not None:
            self.at.append(data)


def shows(text, cell):
    """Assert that a page's figures are those of the cell's data."""
    seen = Figures(text)
    for row in cell["power"]:
        if row["certified"]:
            assert seen.blocks["worst", row["block"]] == [figure(row["worst"])]
            assert seen.blocks["count", row["block"]] == [f"{row['certified']:,}"]
        else:
            assert seen.blocks["absent", row["block"]] == [f"not verified: {row['reason']}"]
    for law in cell["laws"]:
        assert seen.rows[law["law"]][2:4] == [law["verdict"], f"{law['examples']:,}"]


def test_the_page_needs_nothing_else(guest):
    """No address, no script, and both colour schemes."""
    text = page(guest[1], ".")
    assert not re.search(r"https?:|<script|@import|url\(", text)
    assert "prefers-color-scheme: dark" in text
    shows(text, guest[1]["cells"][0])


@pytest.mark.skipif(not CHROMIUM, reason="no Chromium is installed")
def test_a_browser_shows_the_figures_of_the_data(guest, tmp_path):
    """What headless Chromium makes of the page has the figures of the JSON."""
    path = write(tmp_path / "guest.html", guest[1])
    options = [f"--{name}" for name in QUIET.split()] + [f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"]
    shown = subprocess.run([CHROMIUM, *options, path.as_uri()], capture_output=True, text=True, timeout=120)
    shows(shown.stdout, guest[1]["cells"][0])


LAWS = [f"properties/test_gradients.py::test_{law}[LSTM]" for law in ("weight_gradients", "input_gradients", "state_gradients")]
DECORATED = "tests/test_mine.py::test_cells[vjp_is_linear of mynet.cells:\\xdcbung]"


def report(nodeid, *said, when="call", longreprtext=""):
    """A report of pytest that failed unless it says something."""
    return SimpleNamespace(
        nodeid=nodeid, user_properties=[("cellcheck", r) for r in said], failed=not said, when=when, longreprtext=longreprtext
    )


def test_a_law_that_did_not_report_is_incomplete():
    """After an interrupted run, a lost worker, and a failure before the law."""
    ours = Collector()
    others = ["tests/test_x.py::test_y[LSTM]", "tests/test_gradients.py::test_weight_gradients[LSTM]"]
    ours.expect([DECORATED, *others, *LAWS[::-1]])  # other plugins shuffle tests
    said = {"cell": "LSTM", "group": "gradients", "law": "weight_gradients", "verdict": "held", "reason": ""}
    ours.take(report(LAWS[0], said))
    ours.take(report(LAWS[1], when="setup", longreprtext="E\nno fixture"))
    ours.take(report(DECORATED, when="???"))
    assert [(r["law"], r["cell"], r["verdict"], r["reason"]) for r in ours.results] == [
        ("weight_gradients", "LSTM", "held", ""),
        ("input_gradients", "LSTM", "incomplete", "setup failed: no fixture"),
        ("state_gradients", "LSTM", "incomplete", "it did not run to its end"),
        ("vjp_is_linear", "mynet.cells:Übung", "incomplete", "its worker crashed"),
    ]


def test_an_unknown_ending_is_refused_before_anything_runs():
    """In one line that says what is wanted."""
    done = run("--cell-certificate", "proof.pdf", "--cell", GIST)
    assert (done.returncode, done.stderr) == (4, "ERROR: --cell-certificate proof.pdf: the name must end in .json or .html\n\n")


def test_a_run_without_a_law_is_incomplete():
    """A certificate of nothing is no pass."""
    run_of = {"profile": "quick", "examples": 20, "strict": True, "workers": 0}
    whole = certificate({"LSTM": described(LSTM)}, [], run_of)
    assert (whole["status"], whole["cells"][0]["verdicts"]["not asked"]) == ("incomplete", ALONE)
    assert list(faults(whole, SCHEMA)) == []


@pytest.mark.parametrize("Shipped", CELLS, ids=lambda Shipped: Shipped.__name__)
def test_every_block_of_a_shipped_cell_agrees_to_1e_9(Shipped):
    """The power of a run, and none of its blocks is left out."""
    from cellcheck.properties.oracles import gradients

    tally = Tally()
    for seed in range(12):
        problem = Problem(2, 3, 2, steps=2, seed=seed, scale=1.0)
        tally.add(block for part in ("weights", "x", "state") for block in gradients(Shipped, problem, part))
    wanted = [name for name, _ in expected_blocks(lift(Shipped).spec())]
    assert {name: tally.power[name] <= 1e-9 and tally.verdicts[name]["certified"] >= 10 for name in wanted} == dict.fromkeys(
        wanted, True
    )


def test_of_blocks_with_one_name_the_most_telling_counts_once():
    """An example certifies a block once, as sharply as its sharpest direction."""
    tally = Tally()
    tally.add(
        [Block("x", 1.0, 1.0, 1e-11, array=0), Block("x", 1.0, 1.0, 1e-13, array=0), Block("x", 0, 0, verdict="trivial", array=0)]
    )
    assert (tally.verdicts["x"], tally.power["x"]) == ({"certified": 1}, 1e-13)


@pytest.mark.parametrize("regime", regimes.REACHABLE["inputs and states"])
def test_the_typical_pre_activation_is_what_is_drawn(regime):
    """`typical` is within a factor of 2 of the root mean square of [x, h] W + b."""
    problem = Problem(60, 6, 40, seed=3, scale=30.0, regime=regime)
    cell, x, (_, h) = problem.build(LSTM)
    drawn = np.sqrt(np.mean((np.concatenate([x, h], axis=1) @ cell.guest.W + cell.guest.b) ** 2))
    assert drawn / 2 <= regimes.typical(6, 40, 30.0, regime) <= 2 * drawn


def test_what_hypothesis_draws_is_counted_by_what_it_is_like():
    """Two examples of one recipe and one of another."""
    counts = {regimes.of(Problem(2, 3, 4, seed=1)): 2, regimes.of(Problem(1, 3, 4, scale=1e6)): 1, None: 5}
    found = regimes.reached(counts)
    assert (found["batch"], found["scale"]) == ({"2": 2, "1": 1}, {"5": 2, "1e+06": 1})
    assert found["pre-activation"] == {"saturated": 2, "flat": 1}
