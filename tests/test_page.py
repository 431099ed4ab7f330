"""The page of a certificate: several cells, what broke and where its report is, what is folded away."""

import os
import re

import pytest
from cellcheck.cells import GRU, LSTM, lift
from cellcheck.properties.certificate import certificate, described
from cellcheck.properties.certificate.data import expected_blocks
from cellcheck.properties.certificate.page import page
from cellcheck.properties.intake.catalogue import laws
from cellcheck.properties.intake.references import referred

from tests.test_certificate import SCHEMA, faults

RUN = {"profile": "quick", "examples": 20, "strict": True, "workers": 0}
AGREED = {"certified": 10, "worst": 1e-12, "decades": {"-12": 10}, "oracle": "complex step"}


def results(name, Cell, changed=None, regimes=None):
    """The results of a run in which every law held and every gradient that there is was certified. changed: by law, what was otherwise."""
    told = {"examples": 10, "blocks": {}, "worst": 0.0, "seconds": 0.0, "regimes": regimes or {}, "reason": "", "verdict": "held"}
    power = {block: AGREED for block, part in expected_blocks(lift(Cell).spec()) if part in lift(Cell).spec().gradients}
    for law in laws().values():
        yield {"cell": name, "group": law.group, "law": law.name, **told, "power": power, **(changed or {}).get(law.name, {})}


def certified(cells, changed=None, **options):
    """The certificate of such a run of several cells."""
    rows = [r for name, Cell in cells.items() for r in results(name, Cell, changed, **options)]
    whole = certificate({name: described(Cell) for name, Cell in cells.items()}, rows, RUN)
    assert list(faults(whole, SCHEMA)) == []
    return whole


def test_several_cells_are_listed_with_their_gradients():
    """Each links to its section, and nothing is missing where every gradient was certified."""
    text = page(certified({"LSTM": LSTM, "GRU": GRU}), ".")
    for k, (name, blocks) in enumerate((("LSTM", 11), ("GRU", 14))):
        assert f'<a href="#cell-{k}">{name}</a>' in text and f'<section id="cell-{k}" data-cell="{name}">' in text
        assert f'<td class="number"><span>{blocks} of {blocks}</span></td><td class="number">1e-12</td>' in text
    assert "not verified." not in text


def test_of_several_cells_a_gradient_that_nobody_looked_at_stands_out():
    """In the list, at the head of the page, and with its cell."""
    text = page(certified({"LSTM": LSTM, "Weights": lift(LSTM, gradients=("weights",))}), ".")
    assert '<td class="number"><span class="t-broken">8 of 11</span></td>' in text
    assert "3 of 22 gradients are not verified." in text and "3 of 11 gradients are not verified: x, c, h." in text


def test_a_broken_law_links_to_its_report(tmp_path):
    """From where the page lies."""
    found = {"finding": {"path": str(tmp_path / "reports" / "a.md")}, "verdict": "broken", "reason": "W[0]: got 1, expected < 2"}
    whole = certified({"LSTM": LSTM}, {"weight_gradients": found})
    text = page(whole, tmp_path / "pages")
    assert f'<a href="{os.path.join("..", "reports", "a.md")}">report</a>' in text
    assert "<pre>W[0]: got 1, expected &lt; 2</pre>" in text and whole["status"] == "broken"


WRONG = {
    "verdict": "broken",
    "reason": "Wrong breaks the law weight_gradients: a = b\n  W[0]: got 1, expected 2\n  report: reports/a.md",
}


def test_a_broken_cell_claims_no_agreement():
    """Neither at the head, nor beside its name, nor for a gradient that was wrong in some example."""
    blocks = {"W input gate": AGREED, "W forget gate": {**AGREED, "violated": 3}}
    whole = certified({"Wrong": LSTM, "GRU": GRU}, {})
    assert "worst agreement of a certified gradient" in page(whole, ".")
    rows = [r for r in results("Wrong", LSTM, {"weight_gradients": {**WRONG, "power": blocks}})]
    for r in rows:
        r["power"] = {**r["power"], **blocks}
    whole = certificate({"Wrong": described(LSTM)}, rows, RUN)
    text = page(whole, ".")
    assert "worst agreement of a certified gradient" not in text
    assert "1 of 11 gradients is wrong: W forget gate." in text and "wrong in 3 of the examples" in text
    both = {**whole, "cells": [*whole["cells"], *certified({"GRU": GRU})["cells"]]}
    row = page(both, ".").partition('<a href="#cell-0">Wrong</a>')[2].partition("</tr>")[0]
    assert ">10 of 11</span>" in row and row.endswith('<td class="number">–</td>')


def test_a_broken_law_is_told_once():
    """Its name and equation are the heading, its report the link."""
    text = page(certified({"Wrong": LSTM}, {"weight_gradients": WRONG}), ".")
    assert "<pre>W[0]: got 1, expected 2</pre>" in text and "breaks the law" not in text and "reports/a.md" not in text


def test_what_a_cell_takes_and_its_reference_are_shown():
    """Shapes, declared sizes, choices and precision; the reference and how weights were matched."""
    Cell = lift(LSTM, sizes={"state": (3, 8)}, choices={"clip": 5}, precision=2.0**-24, deterministic=False)
    text = page(certified({"LSTM": referred(Cell, "cellcheck:LSTM", lift(LSTM))}), ".")
    for name, value in {
        "weights": "W (5, 12), b (12)",
        "only state": "3, 8",
        "choices": "clip 5",
        "precision": "6.0e-08",
        "sums": "in any order",
    }.items():
        assert f"<tr><td>{name}</td><td>{value}</td></tr>" in text
    assert "<tr><td>reference</td><td>cellcheck:LSTM; " in text and "<details open" in text


def test_charts_fill_a_narrow_page():
    """Each has a view box that scales, and the style asks for the width of the page, or more where the chart is wider."""
    text = page(certified({"LSTM": LSTM}, regimes={"batch": {"1": 3}}), ".")
    charts = re.findall(
        r'<svg width="(\d+)" height="(\d+)" viewBox="0 0 (\d+) (\d+)" role="img" class="chart" style="--width: (\d+)px"', text
    )
    assert len(charts) == 3
    assert all((w, h) == (across, down) and w == least for w, h, across, down, least in charts)
    assert "svg.chart { width: max(100%, var(--width)); height: auto }" in text


def test_code_wraps():
    """No line of a report or equation makes a narrow page scroll."""
    rules = dict(re.findall(r"^([^{}@]+?) \{ ([^}]*?) \}", page(certified({"LSTM": LSTM}), "."), re.MULTILINE))
    assert "white-space: pre-wrap" in rules["pre"] and "overflow-wrap: anywhere" in rules["code, pre"]


LESSER = [({"verdict": "hazard", "reason": "raised"}, "hazard"), ({"reason": "vacuous: of 10 examples certified W 0"}, "vacuous")]


@pytest.mark.parametrize(("changed", "word"), LESSER)
def test_what_does_not_decide_is_folded_away(changed, word):
    """Counted in a line, with its reason below."""
    text = page(certified({"LSTM": LSTM}, {"weight_gradients": changed, "input_gradients": changed}), ".")
    assert f"<details><summary>2 {word}{'s' * (word == 'hazard')}</summary>" in text
    assert text.count(f"<pre>{changed['reason']}</pre>") == 2


def test_a_regime_that_a_cell_cannot_take_is_counted_as_what_it_was_given():
    """A single row, and no more steps than it takes."""
    [cell] = certified({"One": lift(LSTM, batch=1)}, regimes={"batch": {"1": 3, "7": 2}})["cells"]
    assert cell["regimes"]["batch"] == {"1": 5 * len(laws())}
