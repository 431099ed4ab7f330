"""The examples of docs/plugging-in.md without a framework, from their documented lines; a broken twin of each is refused."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from cellcheck.cells import lift
from cellcheck.cells.adapters import adapt
from cellcheck.cells.adapters.axes import Axes
from cellcheck.properties import test_symmetries
from cellcheck.properties.intake.preflight import cleared
from cellcheck.properties.oracles import gradients
from cellcheck.properties.verdicts.blocks import Violation
from cellcheck.strategies import Problem

from tests.cases import broken

HERE = Path(__file__).parent
TEXT = (HERE.parent / "docs" / "plugging-in.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
PROBLEMS = [Problem(b, f, s, steps=3, seed=seed, scale=1.0) for b, f, s in ((1, 2, 1), (3, 2, 4)) for seed in (0, 1)]

# (example, what is replaced in its lines, by what, the arrays at fault)
TWINS = [
    (1, "CorrectRNN", "BiasNotSummedOverBatch", {"b"}),
    (2, "lstm_step_backward", "lstm_step_backward_forgets_dc", {"c"}),
    (3, "cell_backward", "cell_backward_without_derivative", {"bo"}),
    (4, "TimeRNN", "StateNotCarried", {"h"}),
    (5, "VectorGRU", "UntransposedGRU", {"h"}),
    (6, "loss_fun", "loss_fun_of_single_steps", {"Whh", "Wxh", "bh"}),
    (7, "Fused", "MeanOfRows", {"b"}),
    (8, "torch.nn.LSTMCell", "doubled", {"weight_hh"}),
    (9, '"rnn_backward"', '"rnn_backward_first_row"', {"b"}),
    (10, "make_model", "leaky_model", {"h'"}),
    (18, "last_backward", "last_backward_of_the_last_step", {"x"}),
    (19, "wide_backward", "wide_backward_without_readout", {"W", "U"}),
    (20, "residual_backward", "residual_backward_without_skip", {"x"}),
    (21, "NotTwo", "NotTwoNorTransposed", {"h"}),
    (22, "h h'", "h h", {"W", "h"}),
    (23, "nested_step_backward", "nested_step_backward_of_one_row", {"rec.bias"}),
    (24, "one_matrix_backward", "one_matrix_backward_without_biases", {"W"}),
    (25, "mlx_gru_backward", "mlx_gru_backward_ungated", {"bhn"}),
    (26, "clipped_backward", "clipped_backward_doubled", {"U"}),
    (27, "bidirectional_backward", "bidirectional_backward_unturned", {"Ub"}),
    (28, "stacked_backward", "stacked_backward_of_each_layer", {"W1", "h1"}),
    (29, "embed_backward", "embed_backward_of_different_tokens", {"E"}),
]
NUMBERS = [twin[0] for twin in TWINS]


def built(number, old="", new="", tmp_path=None, monkeypatch=None):
    """The cell of an example, after the pre-flight; with `old` replaced by `new`."""
    source = EXAMPLES[number - 1]
    for library in re.findall(r"import (torch)$|(onnx)_model$", source, re.MULTILINE):
        pytest.importorskip("".join(library).replace("onnx", "onnxruntime"), reason="a framework, and optional")
    monkeypatch.syspath_prepend(str(HERE / "guests"))
    if old:
        source = re.sub(rf"(?<!\w){re.escape(old)}(?!\w)", new, source)
    space = {"LIBRARY": library_of(tmp_path) if "ctypes" in source else None, "doubled": doubled}
    exec(source, space)
    names = [one or other for one, other in re.findall(r"^(\w+) = |as (\w+)$", source, re.MULTILINE)]
    name = [name for name in names if name in space and name != "np"][-1]
    return cleared(f"example {number}:{name}", space[name])


def library_of(folder):
    """The compiled rnn.c."""
    compiler = shutil.which("cc")
    if not compiler:  # pragma: no cover (not every machine has one)
        pytest.skip("no C compiler")
    library = folder / "rnn.so"
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", library, HERE / "guests" / "rnn.c", "-lm"], check=True)
    return str(library)


def doubled(features, state):  # pragma: no cover (torch is optional)
    """A torch cell that doubles one of its gradients: the defect."""
    import torch

    module = torch.nn.LSTMCell(features, state)
    module.weight_hh.register_hook(lambda g: 2 * g)
    return module


def violated(Cell, problems=PROBLEMS):
    """The names of the arrays that are violated, of gradients or, where there are none, of the outputs of rows alone."""
    offered = lift(Cell).spec().gradients
    blocks = [b for p in problems for part in offered for b in gradients(Cell, p, part)]
    if not offered:
        law = test_symmetries.test_each_row_equals_its_solo_run.hypothesis.inner_test
        try:
            law(Cell=Cell, problem=PROBLEMS[-1])
        except Violation as violation:
            blocks = violation.blocks
    return {b.name.split()[0] for b in blocks if b.verdict == "violated"}


@pytest.mark.parametrize("number", NUMBERS)
def test_an_example_passes(number, tmp_path, monkeypatch):
    """Its documented lines are a cell without a violation."""
    assert violated(built(number, tmp_path=tmp_path, monkeypatch=monkeypatch).Cell) == set()


def test_an_example_of_rows_of_different_lengths_passes(tmp_path, monkeypatch):
    """Its twin is refused by the law of ragged rows alone: where all steps count, it is right."""
    law = {"each_ragged_row_equals_its_solo_run"}
    for old, new, found in (("", "", set()), ("masked_backward", "masked_backward_that_forgets", law)):
        Cell = built(30, old, new, tmp_path, monkeypatch).Cell
        assert violated(Cell) == set() and broken(Cell, law, n=25) == found


SAID = {  # what the head of the run says of an example
    21: "; verified with state 1, 3, 4, 8 alone",
    24: "computes the LSTM equations, gates i f o g, [1, x, h], one bias",
    25: "computes the GRU equations, gates r u n, weights transposed, one bias and b_hn, h' = u h + (1 - u) n, as mlx keeps them",
    29: "verified for x within the declared domains alone",
}


@pytest.mark.parametrize("number", range(18, 30))
def test_an_example_beyond_x_and_h_breaks_no_law(number, monkeypatch):
    """And the head of the run says what is particular about it."""
    clear = built(number, monkeypatch=monkeypatch)
    assert broken(clear.Cell, n=6) == set()
    assert SAID.get(number, "") in "; ".join(clear.notes)


@pytest.mark.parametrize(("number", "old", "new", "arrays"), TWINS, ids=NUMBERS)
def test_a_broken_twin_is_refused(number, old, new, arrays, tmp_path, monkeypatch):
    """The same lines with one defect in the guest: the arrays at fault are named."""
    assert arrays <= violated(built(number, old, new, tmp_path, monkeypatch).Cell, PROBLEMS[2:])


@pytest.mark.parametrize("number", NUMBERS)
def test_an_example_is_short(number):
    """At most a dozen lines of the user's own, imports and blank lines apart."""
    lines = [line for line in EXAMPLES[number - 1].splitlines() if line.strip() and not line.startswith(("import", "from"))]
    assert len(lines) <= 12


ORDERS = ["batch features", "features batch", "features", "1 features", "steps batch features", "batch steps features"]
ORDERS += ["features batch steps", "steps features 1", "steps features"]


@pytest.mark.parametrize("order", ORDERS)
def test_axes_go_there_and_back(order):
    """to_ours(to_guest(a)) = a, for x and for states."""
    axes, rng = Axes(order), np.random.default_rng(0)
    batch = axes.batch or 3
    x, h = rng.standard_normal((*(5,) * axes.sequence, batch, 2)), rng.standard_normal((batch, 4))
    for a, order_of in ((x, axes), (h, axes.without_steps())):
        assert order_of.to_guest(a).ndim == len(order_of.names)
        assert np.array_equal(order_of.to_ours("a", order_of.to_guest(a)), a)


def rnn(x, h, W, b):
    """A pair of functions has its first half."""
    return np.tanh(np.concatenate([x, h], axis=1) @ W + b)


BAD = {
    "signature 'x h W b': wanted what the function takes": {"forward": ("x h W b", rnn)},
    "U is none of x,": {"forward": ("x h W U b -> h", rnn)},
    "says 2 values, but the function returned ndarray": {"forward": ("x h W b -> h cache", rnn)},
    "h is a tuple of 2; name each of them in the signature": {"forward": ("x h W b -> h", lambda *_: (np.zeros((1, 4)), None))},
    "returns dhh, the gradient of nothing that forward takes; to ignore a value, call it _; did you mean dh?": {
        "backward": ("dh -> dx dhh dW _", None)
    },
    "'x' names a weight as well as an input": {
        "make": lambda F, S: {"W": np.zeros((F + S, S)), "b": np.zeros(S), "x": np.zeros(S)}
    },
    "a function of (features, state); if it is the time of a sequence, call it steps": {"axes": "time batch"},
    "wanted one of h, sum, loss among": {"forward": ("x h W b -> y", rnn)},
    "h has shape (2, 4), but the axes features were declared": {
        "axes": "features",
        "forward": ("x h W b -> h", lambda *_: np.zeros((2, 4))),
    },
    "h has shape (2, 4), but the axes 1 features were declared": {
        "axes": "1 features",
        "forward": ("x h W b -> h", lambda *_: np.zeros((2, 4))),
    },
}


@pytest.mark.parametrize("message", BAD)
def test_a_wrong_signature_says_what_is_wanted(message):
    """One line: what was given, what is wanted."""
    options = {
        "make": lambda F, S: {"W": np.zeros((F + S, S)), "b": np.zeros(S)},
        "forward": ("x h W b -> h", rnn),
        **BAD[message],
    }
    with pytest.raises(ValueError, match=re.escape(message)):
        adapt(**options)(3, 4).apply(np.zeros((1, 3)), np.zeros((1, 4)))


def test_an_array_may_be_returned_as_a_tuple_of_its_rows():
    """As zip(*steps) makes it; only a tuple of something else is refused."""
    made = adapt(lambda F, S: {}, ("x h -> ys", lambda x, h: tuple(x @ np.ones((3, 4)))), axes="steps batch features")
    assert made(3, 4).apply(np.ones((2, 1, 3)), np.zeros((1, 4)))[-1].shape == (2, 1, 4)


def test_an_encoded_input_needs_no_steps():
    """Its axes are those of what it is made from."""
    adapt(lambda F, S: {}, ("x h -> ys", rnn), axes="steps batch features", inputs={"x": "batch"}, encode=lambda x: x)


def test_an_unknown_option_is_refused():
    """With the declaration that is meant: nothing that was declared is passed over."""
    with pytest.raises(TypeError, match=re.escape("choice is no option and no declaration; did you mean choices?")):
        adapt(lambda F, S: {}, ("x h -> h", rnn), choice={"clip": 5})


def test_what_a_guest_writes_into_the_upstream_is_written():
    """Although ys has another upstream, that of the last state, added to it."""

    def backward(dys, x):
        dys[0] = 7
        return 0 * x

    made = adapt(
        lambda F, S: {},
        ("x h -> ys", lambda x, h: np.zeros((len(x), *h.shape))),
        ("dys x -> dx", backward),
        axes="steps batch features",
    )
    cell, d_ys = made(3, 3), np.ones((2, 1, 3))
    cell.apply(np.zeros((2, 1, 3)), np.zeros((1, 3)))
    cell.vjp(np.ones((1, 3)), d_ys)
    assert (d_ys[0] == 7).all()


class Chooses:
    """h' = tanh([x, h] W + b), its gradients clipped at 0.1 or averaged over the rows, as `how` says."""

    def __init__(self, how, features, state):
        self.how, self.W, self.b = how, np.zeros((features + state, state)), np.zeros(state)
        self.weights, self.choices = [self.W, self.b], {"clip": {"clip": 0.1}, "mean": {"mean": True}}.get(how, {})

    def apply(self, x, h):
        """The new state."""
        self.X = np.concatenate([x, h], axis=1)
        self.y = np.tanh(self.X @ self.W + self.b)
        return self.y

    def vjp(self, d):
        """What was chosen happens here."""
        dz, F = d * (1 - self.y**2), self.X.shape[1] - d.shape[1]
        found = [self.X.T @ dz, dz.sum(axis=0), dz @ self.W.T]
        if "clip" in self.how:
            found = [np.clip(g, -0.1, 0.1) for g in found]
        if "mean" in self.how:
            found[:2] = [g / len(dz) for g in found[:2]]
        if "wrong" in self.how:
            found[1] *= 1.001
        return found[:2], found[2][:, :F], (found[2][:, F:],)


@pytest.mark.parametrize("how", ["clip", "mean"])
def test_a_declared_choice_is_undone(how):
    """What is left is verified, and right."""
    assert violated(cleared("chooses.py:Chooses", lambda F, S: Chooses(how, F, S)).Cell) == set()


@pytest.mark.parametrize("how", ["undeclared clip", "undeclared mean"])
def test_an_undeclared_choice_is_a_violation(how):
    """It is nowhere in the contract."""
    assert {"W", "b"} <= violated(cleared("chooses.py:Chooses", lambda F, S: Chooses(how, F, S)).Cell)


@pytest.mark.parametrize("how", ["clip", "mean"])
def test_a_declared_choice_hides_nothing_else(how):
    """A gradient that is wrong besides is found behind it."""

    def make(features, state):
        cell = Chooses(how, features, state)
        cell.how += " wrong"
        return cell

    assert violated(cleared("chooses.py:Chooses", make).Cell) == {"b"}
