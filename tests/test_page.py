"""The page of a certificate: several cells, what broke and where its report is, what is folded away."""

import os

import pytest
from cellcheck.cells import GRU, LSTM, lift
from cellcheck.properties.certificate import certificate, described
from cellcheck.properties.certificate.data import expected_blocks
from cellcheck.properties.certificate.page import page
from cellcheck.properties.intake.catalogue import laws

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
