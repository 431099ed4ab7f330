"""The examples of frameworks in docs/plugging-in.md hold; a broken twin of each is refused."""

import re
from pathlib import Path

import numpy as np
import pytest
from cellcheck.properties.intake.loading import GuestError
from cellcheck.properties.intake.preflight import cleared

from tests.test_adapters import EXAMPLES, PROBLEMS, violated
from tests.test_field_cases import broken

GUESTS = Path(__file__).parent / "guests"
NEEDS = {11: "jax", 12: "equinox", 13: "keras", 14: "torch", 15: "triton", 16: "numba", 17: "onnxruntime"}
# (example, what is replaced in its lines, by what, the law or the arrays at fault)
TWINS = [
    (11, "scan", "detached_scan", {"W", "c"}),
    (12, "cell", "jax.lax.stop_gradient(cell)", {"weight_hh"}),
    (13, "keras.layers.LSTMCell", "Detached", {"c", "h"}),
    (14, "Fused", "Sign", {"W", "U", "b"}),
    (15, "Mix", "FirstBlock", {"W", "U", "b"}),
    (16, "import backward", "import backward_without_derivative as backward", {"U"}),
    (17, "None", "ReferenceEvaluator", "padding_is_of_no_consequence"),
]


def built(number, old=None, new=None, monkeypatch=None):
    """The cell of an example, after the pre-flight; with the last `old` of its lines replaced by `new`."""
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    pytest.importorskip(NEEDS[number], reason="a framework, and optional")
    monkeypatch.syspath_prepend(str(GUESTS))
    source, space = EXAMPLES[number - 1], {}
    if number == 13:
        from keras_cells import Detached

        space["Detached"] = Detached
    if number == 17:
        from onnx.reference import ReferenceEvaluator

        space["ReferenceEvaluator"] = ReferenceEvaluator
    if new == "jax.lax.stop_gradient(cell)":
        source = source.replace("jax.vmap(cell)", "jax.vmap(stopped(cell))")
        space["stopped"] = stopped
    elif old:
        source = re.sub(rf"(?<![\w.]){re.escape(old)}(?!\w)", new, source)
    exec(source, space)
    return cleared(f"example {number}:Guest", space[re.findall(r"^(\w+) = ", source, re.MULTILINE)[-1]]).Cell


def stopped(cell):
    """The module without a gradient of its recurrent weights: the defect."""
    import equinox
    import jax

    return equinox.tree_at(lambda c: c.weight_hh, cell, jax.lax.stop_gradient(cell.weight_hh))


@pytest.mark.parametrize("number", NEEDS)
def test_an_example_passes(number, monkeypatch):
    """No gradient is wrong, and no row depends on another."""
    assert violated(built(number, monkeypatch=monkeypatch)) == set()


@pytest.mark.parametrize(("number", "old", "new", "fault"), TWINS, ids=[NEEDS[twin[0]] for twin in TWINS])
def test_a_broken_twin_is_refused(number, old, new, fault, monkeypatch):
    """The arrays at fault are named, or the law is broken."""
    Cell = built(number, old, new, monkeypatch)
    if isinstance(fault, str):
        assert broken(Cell, [fault], n=20) == {fault}
    else:
        assert fault <= violated(Cell, PROBLEMS[-1:])


@pytest.mark.parametrize("number", NEEDS)
def test_an_example_is_short(number):
    """At most five lines, imports and blank lines apart."""
    lines = [line for line in EXAMPLES[number - 1].splitlines() if line.strip() and not line.startswith(("import", "from"))]
    assert len(lines) <= 5


def test_a_wrong_custom_vjp_is_found_and_64_bits_are_off_again(monkeypatch):
    """jax.custom_vjp is honoured."""
    jax = pytest.importorskip("jax", reason="a framework, and optional")
    monkeypatch.syspath_prepend(str(GUESTS))
    import jax_cells
    from cellcheck.cells.adapters import jax_function

    assert violated(cleared("jax_cells.py:Right", jax_function(jax_cells.init_gated, jax_cells.gated)).Cell) == set()
    wrong = cleared("jax_cells.py:Wrong", jax_function(jax_cells.init_gated, jax_cells.wrongly_gated)).Cell
    assert {"W", "U", "b"} <= violated(wrong, PROBLEMS[-1:])
    assert jax.numpy.asarray(np.zeros(1)).dtype == np.float32


@pytest.mark.parametrize("wrong", [False, True])
def test_lengths_are_handed_on_to_jax(wrong):
    """To a function that has a parameter of that name."""
    jax = pytest.importorskip("jax", reason="a framework, and optional")
    from cellcheck.cells.adapters import jax_function

    def call(weights, x, h, lengths):
        def step(h, given):
            t, x = given
            on = (t < lengths)[:, None]
            new = jax.numpy.tanh(x @ weights["W"] + h)
            return new if wrong else jax.numpy.where(on, new, h), jax.numpy.where(on, new, 0)

        return jax.lax.scan(step, h, (jax.numpy.arange(len(x)), x))

    Cell = cleared("a.py:Masked", jax_function(lambda F, S: {"W": np.zeros((F, S))}, call, sequence=True)).Cell
    found = broken(Cell, ["padding_is_of_no_consequence", "outputs_of_padding_are_zero", "wrong_lengths_are_refused"], n=8)
    assert found == ({"padding_is_of_no_consequence"} if wrong else set())


def test_a_complex_weight_of_jax_is_refused_in_one_line():
    """It would stay as it is, and its gradient would never be compared."""
    pytest.importorskip("jax")
    from cellcheck.cells.adapters import jax_function

    Guest = jax_function(
        lambda F, S: {"W": np.zeros((F, S)), "a": np.ones(S, complex)}, lambda w, x, h: (x @ w["W"] + w["a"].real * h,)
    )
    with pytest.raises(GuestError, match="a is complex; hold the real and the imaginary parts as two arrays"):
        cleared("a.py:Guest", Guest)
