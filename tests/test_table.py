"""The table that ends a run: narrow, short names, reasons grouped, nothing left out."""

import numpy as np
import pytest
from cellcheck.cells.adapters import adapt
from cellcheck.properties.certificate import table

from cellcheck import check

NOTHING = {"reason": "", "examples": 9, "blocks": {"certified": 9}, "worst": 0.5, "power": {}}


def results(cell, **verdicts):
    """One result per law, of three groups. verdicts: of laws that did not hold, with the reason."""
    laws = [
        ("gradients", "weight_gradients"),
        ("gradients", "input_gradients"),
        ("sequences", "a"),
        ("sequences", "b"),
        ("purity", "p"),
    ]
    for group, law in laws:
        verdict, reason = verdicts.get(law, ("held", ""))
        yield {**NOTHING, "cell": cell, "group": group, "law": law, "verdict": verdict, "reason": reason}


def test_a_guest_is_called_by_its_class_and_its_file_named_once():
    """Two cells of one long path; two of the same name keep their paths."""
    path = "some/where/far/away/in/a/folder/cells.py"
    text = table.lines([*results(f"{path}:A"), *results(f"{path}:B")])
    assert text[0] == f"{path}: A, B"
    assert sum(path in line for line in text) == 1
    assert table.short_names(["x.py:A", "y.py:A"]) == {"x.py:A": "x.py:A", "y.py:A": "y.py:A"}


def test_a_whole_group_is_named_once_and_cells_alike_share_a_line():
    """`sequences group`, not each of its laws."""
    step = ("not verified", "a step cell")
    text = table.lines([r for cell in ("RNN", "GRU") for r in results(cell, a=step, b=step)])
    assert "RNN, GRU: not verified: a step cell (sequences group)" in text


def test_a_sequence_cell_says_how_long_its_sequences_were():
    """The longest of all laws; a step cell says nothing."""
    text = table.lines([{**r, "steps": 1 + 7 * (r["law"] == "a")} for r in results("LSTM")])
    assert "LSTM: sequences of at most 8 steps" in text
    assert not any("steps" in line for line in table.lines([{**r, "steps": 1} for r in results("LSTM")]))


def test_no_line_is_wide():
    """Twenty reasons, every kind of verdict, long names: 80 columns."""
    many = [
        {
            **NOTHING,
            "cell": "LSTM",
            "group": "layout",
            "law": f"a_law_with_quite_a_long_name_{k}",
            "verdict": verdict,
            "reason": "why",
        }
        for k, verdict in enumerate(["hazard", "expected", "incomplete", "not verified", "broken"] * 4)
    ]
    long = [results(f"some/where/{folder}/lstm_of_mine.py:MyVeryOwnLongShortTermMemory") for folder in "ab"]
    text = table.lines([*results("LSTM"), *many, *(r for some in long for r in some)])
    assert max(map(len, text)) <= 80
    assert sum("ngShortTermMemory" in line for line in text) >= 2


def test_absent_gradients_and_lost_laws_are_said():
    """Half of the gradients absent; a law that did not run to its end."""
    text = table.lines(
        list(results("A", input_gradients=("not verified", "no input gradients"), p=("incomplete", "its worker crashed")))
    )
    assert "A: gradients of x NOT verified; of weights held" in text
    assert "A: incomplete: its worker crashed (p)" in text
    assert text[1].split() == [
        "cell,",
        "group",
        "held",
        "broken",
        "incomplete",
        *["verified", "examples", "certified", "bound", "power"],
    ]


def test_a_tiny_share_of_the_bound_is_not_spelled_out():
    """2.8e-299 of the bound is no figure for people."""
    assert table.lines([{**NOTHING, "cell": "A", "group": "g", "law": "l", "verdict": "held", "worst": 2.8e-299}])[2].endswith(
        "<0.01"
    )


def test_a_vacuous_law_is_told_as_not_verified():
    """It is broken for the reason that it has seen too little, not by the cell."""
    text = table.lines(list(results("A", p=("broken", "vacuous: of 9 examples certified W 0"))))
    assert "A: not verified: vacuous: of 9 examples certified W 0 (p)" in text


def test_a_cell_of_which_little_was_asked_is_warned_of():
    """Fewer than half of the laws, but for those of sequences."""
    unasked = dict.fromkeys(["weight_gradients", "input_gradients"], ("not verified", "no gradients"))
    steps = dict.fromkeys("ab", ("not verified", "a step cell"))
    assert "A: warning: only 1 of 3 laws could be checked" in table.lines(list(results("A", **unasked, **steps)))
    assert not any("warning" in line for line in table.lines(list(results("A", **steps))))


ENDS = {
    "HELD: 5 laws of A on 45 examples": {},
    "HELD: 3 laws of A on 45 examples; 1 hazard, 1 not verified": {"p": ("hazard", "x"), "a": ("not verified", "y")},
    "BROKEN: 2 laws of A; 3 held": {"p": ("broken", "x"), "a": ("broken", "vacuous: y")},
    "INCOMPLETE: 1 law of A without a verdict; 3 held, 1 hazard": {"p": ("incomplete", "x"), "a": ("hazard", "y")},
}


GRADIENTS = ["weight_gradients", "input_gradients", "state_gradients"]
OF_C = {"blind": ["c'"]}
LEFT = {  # what of gradients is left out, by cell: (the laws that ran, what their results say besides)
    "; no law of gradients was run": [([], {})],
    "; the laws of the gradients of x and the states were not run": [(GRADIENTS[:1], {})],
    "; the law of the gradients of the states was not run for B": [(GRADIENTS, {}), (GRADIENTS[:2], {})],
    "; no gradient from c' was verified for A": [(GRADIENTS, OF_C), (GRADIENTS, {})],
    "; no gradient from c' was verified": [(GRADIENTS, OF_C), (GRADIENTS, OF_C)],
    " examples": [(GRADIENTS, {})],
}


@pytest.mark.parametrize("end", LEFT)
def test_the_last_line_says_which_gradients_were_left_out(end):
    """As with -k, or of a state that is a constant; of several cells, which."""
    rows = [
        {**NOTHING, "cell": cell, "group": "gradients", "law": law, "verdict": "held", "examples": 9, **more}
        for cell, (ran, more) in zip("AB", LEFT[end])
        for law in ("linearity", *ran)
    ]
    assert table.sentence(rows).endswith(end)


@pytest.mark.parametrize("sentence", ENDS)
def test_the_last_line_is_the_verdict(sentence):
    """In one sentence; it begins with the status of the run."""
    rows = list(results("A", **ENDS[sentence]))
    assert table.sentence(rows).removesuffix("; the law of the gradients of the states was not run") == sentence
    assert sentence.startswith(table.status(rows).upper())


def test_a_run_that_certified_nothing_has_not_held():
    """Whatever it did not find."""
    nothing = dict.fromkeys(["weight_gradients", "input_gradients", "a", "b"], ("not verified", "no gradients"))
    rows = [{**r, "examples": 0} for r in results("A", p=("held", "vacuous: of 9 examples certified W 0"), **nothing)]
    assert table.status(rows) == "not verified"
    assert table.lines(rows)[-1] == "NOT VERIFIED: no law of A certified anything; 1 vacuous, 4 not verified"


def test_a_run_that_compared_gradients_and_could_not_tell_has_not_held():
    """Whatever else held; where one part of the gradients is verified, the run has held, and says which parts are not."""
    blunt = ("not verified", "of 9 examples certified W in 1")

    def rows(**verdicts):
        return [{**r, "examples": 9} for r in results("A", **verdicts)]

    none = rows(weight_gradients=blunt, input_gradients=blunt)
    assert table.status(none) == "not verified"
    assert "NOT VERIFIED: A offers gradients, and none of them was certified" in "\n".join(table.lines(none))
    assert table.status(rows(weight_gradients=blunt)) == "held"


def test_a_gradient_that_was_certified_in_no_example_is_no_pass():
    """Whatever else was; one that is always 0 cannot be."""
    nothing, never = {"certified": 0, "inconclusive": 7, "trivial": 2}, {"certified": 0, "inconclusive": 0, "trivial": 9}
    rows = [
        {**r, "examples": 9, "power": {"W": {**nothing, "worst": None}, "b": {**never, "worst": None}}}
        for r in results("A", weight_gradients=("not verified", "certified nothing in 9 examples"))
    ]
    assert table.status(rows) == "not verified"
    assert "NOT VERIFIED: A offers gradients of W, and none of them was certified" in "\n".join(table.lines(rows))


def test_the_verdict_says_at_which_sizes_alone_a_cell_ran():
    """Where it raises at others, as a squeeze does where there is one feature."""

    def squeezed(x, h, W):
        assert x.shape[1] > 1
        return np.tanh(x @ W + h)

    result = check(adapt(lambda F, S: {"W": np.zeros((F, S))}, ("x h W -> h", squeezed)), "quick", "rows_may_be_reversed")
    assert "; at other sizes than features 2, 3, 4 it raises" in " ".join(str(result).split())
