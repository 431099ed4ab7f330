"""What the command of kills claims: correct look-alikes live, every generated mutant has a fate, the documents are true."""

import ast
import inspect
import re
from pathlib import Path

import numpy as np
import pytest
from cellcheck.cells import CELLS, LSTM
from cellcheck.properties.intake.catalogue import laws
from cellcheck.properties.mutants import CATALOGUE, EditError, killed, matrix, modern
from cellcheck.properties.mutants import generated as generation
from cellcheck.properties.mutants.generated import EQUIVALENT, EQUIVALENT_BY_RULE, SUBJECTS, Generated, equivalent, generated
from cellcheck.properties.mutants.kills import broken, main, markdown, summary
from cellcheck.properties.mutants.lookalikes import LOOKALIKES, edited
from cellcheck.properties.mutants.matrix import CATALOGUES, Catalogue, Matrix, Row, fate, first_death
from cellcheck.properties.mutants.peers import fixed_data, gist, rejects
from cellcheck.strategies import Problem

ROOT = Path(__file__).parents[1]
GENERATED = {mutant.key: mutant for file in SUBJECTS for mutant in generated(file)}
EXPLAINED = [key for key in GENERATED if equivalent(key)]
EQUIVALENT_HERE = next(key for key in EQUIVALENT if key.startswith("rnn."))
ONE = [Problem(2, 3, 4, steps=3, seed=1, scale=1.0)]  # for look-alikes and equivalents; the command asks for more


@pytest.mark.parametrize("look", LOOKALIKES, ids=lambda look: look.name)
def test_correct_lookalike_lives(look):
    """It breaks nothing but the promises that it is known to break."""
    Cell = look.cls
    died = {name for name, law in laws().items() if law.applies(Cell) and killed(law, Cell, ONE)}
    assert died <= look.hazards


def test_hazards_are_promises():
    """A look-alike may break promises only, and there are at least 15 look-alikes."""
    assert len({look.name for look in LOOKALIKES}) == len(LOOKALIKES) >= 15
    assert all(laws()[name].promise for look in LOOKALIKES for name in look.hazards)


def test_lookalike_whose_edit_is_not_found_is_refused():
    """An edit without effect would make a look-alike of nothing."""
    with pytest.raises(EditError, match="no such text"):
        _ = edited("Any", "RNN", "", ("no such text", "")).cls


def test_generated_mutants_are_told_apart():
    """Hundreds of edits, each with a key of its own."""
    assert len(GENERATED) == sum(1 for file in SUBJECTS for _ in generated(file)) > 500


def test_every_reason_is_that_of_a_mutant():
    """A reason that no mutant has any more is stale."""
    assert set(EQUIVALENT) <= set(GENERATED)
    assert [rule for rule, _ in EQUIVALENT_BY_RULE if not any(re.search(rule, key) for key in EXPLAINED)] == []


@pytest.mark.parametrize("key", EXPLAINED)
def test_equivalent_mutant_lives(key):
    """For one example of the sharpest laws."""
    mutant, axis = GENERATED[key], inspect.signature(np.take_along_axis).parameters["axis"]
    if key.endswith("np.take_along_axis(G, top)") and axis.default is axis.empty:
        pytest.skip("the axis has a default in later versions of NumPy")
    for name in ("equations_of_the_kind", "weight_gradients"):
        assert not any(killed(laws()[name], mutant.cls(cell), ONE) for cell in SUBJECTS[mutant.file])


@pytest.mark.parametrize("key", sorted(set(GENERATED) - set(EXPLAINED))[::200])
def test_generated_mutant_dies(key):
    """A sample of those without a reason to live; the command kills all."""
    assert first_death(GENERATED[key])


def test_mutant_that_lives_has_no_killer(monkeypatch):
    """Every law has been asked, and once more for all its examples."""
    monkeypatch.setattr(matrix, "FIRST", ("weight_gradients",))
    monkeypatch.setattr(matrix, "laws", lambda: {"weight_gradients": laws()["weight_gradients"]})
    monkeypatch.setattr(matrix, "examples", lambda law: ONE)
    assert first_death(GENERATED[EQUIVALENT_HERE]) is None


def test_fate_of_an_equivalent_mutant_is_its_reason():
    """No law is asked."""
    file = EQUIVALENT_HERE.partition(".")[0]
    k = [mutant.key for mutant in generated(file)].index(EQUIVALENT_HERE)
    assert fate((file, k)) == (EQUIVALENT_HERE, f"equivalent: {EQUIVALENT[EQUIVALENT_HERE]}")


def test_truth_values_are_turned_and_what_only_prints_is_left_alone(monkeypatch):
    """In source that the shipped cells happen not to have."""
    source = "def f(x):\n    return g(x, turned=True)\n\ndef __repr__(self):\n    return g(1)\n"
    monkeypatch.setattr(generation, "text", lambda file: source)
    found = list(generated("rnn"))
    assert "return g(x, turned=False)" in [mutant.after for mutant in found]
    assert {mutant.place for mutant in found} == {"f"}


def test_law_that_is_not_alone_is_not_counted_as_alone():
    """A mutant that two laws kill, and one that one law kills."""
    both = {"weight_gradients": (1, 0.1), "outputs_are_finite": (1, 0.1)}
    rows = [
        Row(name, "numerics", "RNN", "weight_gradients", "", "", deaths)
        for name, deaths in (("Two", both), ("One", {"weight_gradients": (1, 0.1)}))
    ]
    report = markdown(Matrix(rows, {}, {}, {}, []), CATALOGUES["kills"], 1.0, "kills")
    assert re.search(r"\| weight_gradients \| gradients \| 2 \| 2 \| 1 \|", report)
    assert re.search(r"\| outputs_are_finite \| stability \| 0 \| 1 \| 0 \|", report)


def test_mutant_that_cannot_be_made_is_dead():
    """Source that raises when it is executed needs no law."""
    broken = ast.parse("1 / 0").body[0]
    assert first_death(Generated("rnn", "", "", "", 0, (("body", 0),), broken)) == "ZeroDivisionError before any law"


@pytest.mark.parametrize("Shipped", CELLS)
def test_peers_accept_the_shipped_cells(Shipped):
    """A peer that rejects a correct cell would kill every mutant."""
    assert not rejects(gist, Shipped)
    assert not rejects(fixed_data, Shipped)


def test_peers_reject_what_they_can_see():
    """The gist's check sees a wrong weight gradient, fixed data a wrong output; what raises is rejected."""
    cells = {
        mutant.name: mutant.cls for mutant in CATALOGUE if mutant.name in ("DerivativeMissing", "CoupledGates", "CellPathDropped")
    }
    assert rejects(gist, cells["DerivativeMissing"]) and not rejects(fixed_data, cells["DerivativeMissing"])
    assert rejects(fixed_data, cells["CoupledGates"])
    assert not rejects(gist, cells["CellPathDropped"]) and not rejects(fixed_data, cells["CellPathDropped"])
    assert rejects(lambda Cell: Cell.nothing, LSTM)


def test_command_writes_report_and_picture(tmp_path, capsys):
    """Two mutants, a few generated ones and one look-alike: both files, a summary on the terminal, and success."""
    few = Catalogue("shipped", {"the gist's own": CATALOGUE[-2:]}, ("rnn",), LOOKALIKES[:1], CATALOGUES["kills"].peers)
    assert main(tmp_path, catalogues={"few": few}, processes=1, per_file=3, quick=1) == 0
    report, picture = ((tmp_path / name).read_text() for name in ("few.md", "few.svg"))
    assert CATALOGUE[-1].name in report and LOOKALIKES[0].name in report
    assert picture.startswith("<svg") and "2 of 2" in picture
    assert "| all | 2 |" in capsys.readouterr().out


def test_command_says_what_contradicts_it():
    """A named mutant that lives, a generated one without a reason, and a look-alike that dies."""
    row = Row("Survivor", "numerics", "RNN", "weight_gradients", "", "", {"outputs_are_finite": (1, 0.1)})
    matrix = Matrix([row], {"rnn": {"an edit": None, "another": "equivalent: so"}}, {"Innocent": ["weight_gradients"]}, {}, [])
    assert broken(matrix) == [
        "Survivor survives weight_gradients",
        "generated, unexplained: an edit",
        "Innocent is correct but breaks weight_gradients",
    ]
    assert "| all | 1 | **1** (100 %) |" in summary(matrix)


@pytest.mark.parametrize("name", CATALOGUES)
def test_documents_are_those_of_this_catalogue(name):
    """The page names every mutant and look-alike, and counts as many generated ones as there are."""
    catalogue, report = CATALOGUES[name], (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    mutants = [mutant for mutants in catalogue.classes.values() for mutant in mutants]
    named = {m.name for m in mutants} | {look.name for look in catalogue.lookalikes}
    assert set(re.findall(r"^\| (\w+) \|", report, re.M)) >= named
    assert f"| all | {len(mutants)} | **{len(mutants)}** (100 %) |" in report
    keys = [key for key, mutant in GENERATED.items() if mutant.file in catalogue.files]
    assert re.search(rf"\| all \| {len(keys)} \| \d+ \| {len(set(keys) & set(EXPLAINED))} \| 0 \|", report)
    assert (ROOT / "docs" / f"{name}.svg").is_file()


def test_readme_quotes_the_report():
    """The summary row in the README is that of docs/kills.md, with the head of its table."""
    lines = (ROOT / "docs" / "kills.md").read_text(encoding="utf-8").splitlines()
    readme = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    head, every = (next(line for line in lines if line.startswith(start)) for start in ("| bugs |", "| all |"))
    assert head in readme and every in readme


def test_readme_quotes_the_modern_report():
    """Mutants, and how many of them we kill and the RMS ratio does."""
    report, readme = ((ROOT / name).read_text(encoding="utf-8") for name in ("docs/kills-modern.md", "README.md"))
    ours, rms = re.search(r"^\| all \| \d+ \| \*\*(\d+)\*\*.* \*\*(\d+)\*\* \(\d+ %\) \|$", report, re.M).groups()
    said = "Of (\\d+) mutants of the cells in\\s`cells/modern`, Cellcheck kills (\\d+), and the RMS ratio .* kills (\\d+):"
    assert re.search(said, readme).groups() == (f"{len(modern.MUTANTS)}", ours, rms)
