"""The law of small changes, and the cells that no other law refuses: some of what they compute is rounded to float32."""

from dataclasses import replace
from itertools import count, islice

import numpy as np
import pytest
from cellcheck.cells import CELLS, lift
from cellcheck.cells.adapters import adapt
from cellcheck.properties.intake.capabilities import missing
from cellcheck.properties.intake.catalogue import laws
from cellcheck.properties.oracles.resolution import resolved
from cellcheck.properties.reports import Case
from cellcheck.properties.reports.diagnosis import Attempts, diagnose, rounding_line
from cellcheck.properties.reports.diagnosis.grown import PLAIN
from cellcheck.properties.reports.diagnosis.narrowed import narrowed, where_narrowed
from cellcheck.properties.verdicts.blocks import Violation
from cellcheck.strategies import Problem

from tests.cases import broken, fails

LAW = laws()["small_changes_count"]


def blended(cast=lambda a: a, buffer=float, keep=lambda n: n, back=lambda d: d):
    """h' = a h + (1 - a) tanh(x W + h U) with a = sigmoid(k).

    cast: of x W; buffer: the dtype in which h' is collected; keep: of what vjp uses of tanh; back: of its
    upstream.
    """

    def forward(x, h, W, U, k):
        a = 1 / (1 + np.exp(-k))
        n = np.tanh(cast(x @ W) + h @ U)
        kept = np.zeros(h.shape, np.result_type(buffer, n.dtype) if np.iscomplexobj(n) else buffer)
        kept[...] = n
        return a * h + (1 - a) * kept, (a, keep(n))

    def backward(dh, x, h, W, U, kept):
        a, n = kept
        dz = back(dh) * (1 - a) * (1 - n * n)
        return dz @ W.T, dh * a + dz @ U.T, x.T @ dz, h.T @ dz, (dh * (h - n)).sum(0) * a * (1 - a)

    def make(F, S):
        return {"W": np.zeros((F, S)), "U": np.zeros((S, S)), "k": np.zeros(S)}

    return adapt(make, ("x h W U k -> h kept", forward), ("dh x h W U kept -> dx dh dW dU dk", backward))


def single(a):
    """To float32 and back; the imaginary part as well."""
    return a.astype(np.complex64 if np.iscomplexobj(a) else np.float32).astype(a.dtype)


def drawn(Cell, n=60):
    """The blocks of the law on some problems of every family."""
    return [block for p in drawn_problems(n) for block in resolved(Cell, p)]


def drawn_problems(n):
    """Of every family."""
    return list(islice((p for seed in count() for p in Problem(seed=seed).family()), n))


def test_what_is_rounded_on_the_way_is_refused_by_this_law_alone():
    """A product in float32: the outputs are float64, and the gradients agree as far as they can be told."""
    with np.errstate(all="ignore"):
        assert broken(lift(blended(cast=single)), n=20) == {LAW.name}


def test_a_backward_pass_that_keeps_fewer_digits_is_refused():
    """What vjp computes with is rounded, and what apply returns is not."""
    assert "violated" in {b.verdict for b in drawn(lift(blended(keep=lambda n: n.astype(np.float32))), 20)}


def test_a_buffer_of_fewer_digits_is_refused():
    """Already on the first problems."""
    assert any(block.verdict == "violated" for block in drawn(lift(blended(buffer=np.float32)), 10))


@pytest.mark.parametrize("Cell", [*map(lift, CELLS), lift(blended())], ids=lambda Cell: Cell.__name__)
def test_right_cells_hold_it(Cell):
    """And some change is large enough to be seen."""
    verdicts = {block.verdict for block in drawn(Cell)}
    assert "violated" not in verdicts and "certified" in verdicts


@pytest.mark.parametrize(
    "function",
    [np.sign, np.abs, lambda z: np.maximum(z, 0), lambda z: np.round(8 * z) / 8, lambda z: np.where(z > 1, z, 0)],
    ids=["sign", "abs", "relu", "round", "step"],
)
def test_kinks_and_steps_are_no_roundings(function):
    """Of which nothing is concluded where the two wide changes, to either side, do not fit together."""

    def forward(x, h, W):
        return function(x @ W + h)

    Cell = lift(adapt(lambda F, S: {"W": np.zeros((F, S))}, ("x h W -> h", forward)))
    assert not any(block.verdict == "violated" for block in drawn(Cell, 120))


def normalised(z):
    """A layer norm with the epsilon of BERT."""
    m = z - z.mean(-1, keepdims=True)
    return m / np.sqrt((m * m).mean(-1, keepdims=True) + 1e-12)


def softmax(z):
    """At a low temperature."""
    e = np.exp(1e6 * (z - z.max(-1, keepdims=True)))
    return e / e.sum(-1, keepdims=True)


STEEP = {
    "layer norm": normalised,
    "unit length": lambda z: z / np.sqrt((z * z).sum(-1, keepdims=True) + 1e-12),
    "softmax": softmax,
    "sigmoid": lambda z: 0.5 * (1 + np.tanh(1e6 * z)),
    "sine": lambda z: np.sin(30 * z),
    "nothing": lambda z: z + np.nan,
}


@pytest.mark.parametrize("name", STEEP)
def test_what_is_steep_is_no_rounding(name):
    """Units that saturate within the wide step, where pre-activations cancel exactly, as they do of whole numbers; nor is NaN a pass."""

    def forward(xs, h, W):
        for x in xs:
            h = STEEP[name](x @ W + h)
        return h

    Cell = lift(adapt(lambda F, S: {"W": np.zeros((F, S))}, ("x h W -> h", forward), axes="steps batch features", output="h"))
    rng = np.random.default_rng(5)
    problems = [Problem(2, 3, 1 + k % 3, steps=2, seed=int(rng.integers(2**30)), regime="integers") for k in range(400)]
    with np.errstate(all="ignore"):
        verdicts = {block.verdict for p in (*problems, *drawn_problems(60)) for block in resolved(Cell, p)}
    assert "violated" not in verdicts and ("certified" in verdicts) == (name != "nothing")


def test_a_gain_before_a_unit_that_saturates_is_no_rounding():
    """Of tanh(300 z), the gradient 300 (1 - t^2) stands still for ulps, and leaps by 300 roundings."""

    def forward(x, h, W):
        t = np.tanh(300 * (x @ W + h))
        return t, t

    def backward(dh, x, W, t):
        dz = 300 * dh * (1 - t * t)
        return dz @ W.T, dz, x.T @ dz

    passes = ("x h W -> h t", forward), ("dh x W t -> dx dh dW", backward)
    Cell = lift(adapt(lambda F, S: {"W": np.zeros((F, S))}, *passes))
    assert "violated" not in {block.verdict for block in drawn(Cell, 300)}


def test_an_exact_array_of_float32_is_no_cause():
    """A mask, beside a gradient that is a little wrong."""

    def forward(x, h, W):
        return np.tanh(x @ W + h) * (h.real > 0).astype(np.float32)

    Cell = lift(adapt(lambda F, S: {"W": np.zeros((F, S))}, ("x h W -> h", forward)))
    assert where_narrowed(Cell, PLAIN) and rounding_line(Cell) == []


def test_a_cell_of_fewer_digits_is_not_asked():
    """In float32, or with a declared precision."""
    assert missing(lift(blended()), LAW.needs) is None
    assert missing(lift(blended(), precision=2.0**-24), LAW.needs) == "computes in less than float64"


def test_what_moves_with_the_upstream_alone_is_certified():
    """As the gradient of a bias behind a relu; and refused if the upstream is rounded."""

    def cell(cast):
        def backward(d, x, W, new):
            dz = cast(d) * (new > 0)
            return dz @ W.T, dz, x.T @ dz, dz.sum(0)

        passes = (
            ("x h W b -> h new", lambda x, h, W, b: (np.maximum(x @ W + h + b, 0),) * 2),
            ("dh x W new -> dx dh dW db", backward),
        )
        return lift(adapt(lambda F, S: {"W": np.zeros((F, S)), "b": np.zeros(S)}, *passes))

    assert {block.name: block.verdict for block in resolved(cell(np.asarray), PLAIN)}["b"] == "certified"
    wrong = {block.name for block in resolved(cell(single), PLAIN) if block.verdict == "violated"}
    assert "gradient of b moved with the upstream" in wrong


def test_large_numbers_are_not_asked():
    """Of them a quantiser keeps as few digits."""
    assert resolved(lift(blended()), replace(PLAIN, scale=1e4)) == []


def test_a_domain_is_not_left():
    """An array that has one stays as it is, even if it alone is rounded."""

    def forward(x, h, W):
        return np.tanh(x @ W + single(h))

    Cell = lift(adapt(lambda F, S: {"W": np.zeros((F, S))}, ("x h W -> h", forward)))
    assert {block.name for block in resolved(Cell, PLAIN) if block.verdict == "violated"} == {"h' moved with h"}
    assert {block.verdict for block in resolved(lift(Cell, domains={"h": (-1, 1)}), PLAIN)} == {"certified"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"cast": single}, "numbers become float32 in `return a.astype("),
        ({"buffer": np.float32}, "numbers become float32 in `kept = np.zeros("),
        ({"back": single}, "numbers become float32 in `return a.astype("),
        (
            {"cast": lambda a: np.array([float(np.float32(v)) for v in a.ravel()]).reshape(a.shape)},
            "W and x are rounded to float32",
        ),
    ],
    ids=["cast", "buffer", "backward", "hidden"],
)
def test_the_line_that_rounds_is_named(options, said):
    """Or the arrays, where no line of NumPy's does."""
    assert narrowed(lift(blended(**options)), PLAIN)[0].startswith(said)


def test_gradients_that_err_by_that_are_told_the_same():
    """Not that large numbers are to blame."""
    Cell, law = lift(blended(buffer=np.float32)), laws()["weight_gradients"]
    with np.errstate(all="ignore"):
        problem = next(p for p in drawn_problems(200) if fails(law, Cell, p)).literal(Cell)
        with pytest.raises(Violation) as failed:
            law.check(Cell=Cell, problem=problem)
        case = Case("a.py:B", law.name, law.group, "", law.check, Cell, problem, failed.value)
        assert diagnose(case, Attempts())[0][0].startswith("numbers become float32 in `kept = np.zeros(")


def test_what_is_rounded_beside_other_ways_is_told_without_a_line():
    """As where only one of two sums of the same arrays is rounded, out of sight."""
    hidden = lambda a: a + np.array([float(np.float32(v)) for v in a.ravel()]).reshape(a.shape)  # noqa: E731
    [told] = narrowed(lift(blended(cast=hidden)), replace(PLAIN, seed=1))
    assert told.startswith("a number or an array on the way has no more than the precision of float32")
