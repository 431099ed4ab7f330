"""Mistakes of order and of choice: what is computed too early or in the wrong direction, and which of two arrays gets the gradient."""

import re
from dataclasses import replace

import numpy as np
import pytest
from cellcheck.cells import lift
from cellcheck.cells.adapters import adapt
from cellcheck.properties.reports import overview
from cellcheck.properties.reports.diagnosis import examined
from cellcheck.properties.reports.diagnosis.gradients import where_a_size_is_one, with_more_steps
from cellcheck.properties.reports.diagnosis.grown import PLAIN

from tests.cases import broken
from tests.test_told_to_strangers import told


def weights(F, S):
    """A matrix and a bias for each of two halves."""
    return {"W": np.zeros((F, S)), "V": np.zeros((F, S)), "b": np.zeros(S), "a": np.zeros(S)}


def said(Cell, problem=PLAIN):
    """The first sentence about the gradients of a cell, without line numbers."""
    sentences, wrong, faults = examined(lift(Cell), problem)
    assert wrong and not faults
    return re.sub(r" \(line \d+\)", "", sentences[0])


def fading(mistake="", dtype=float):
    """S' = d S + k (v - d S k) with d = x W + b and k = x V + a: the delta rule on one number for each unit."""

    def forward(x, S, W, V, b, a):
        d, k = x @ W + b, x @ V + a
        old = d * S
        error = 1 - old * k
        return old + k * error, (x, S, d, k, old, error)

    def backward(dS, W, V, kept):
        x, S, d, k, old, error = kept
        dk = dS * error - dS * k * old
        dd = dS * S if mistake == "early" else 0
        dS = dS - dS * k * k
        dd = dS * S if mistake != "early" else dd
        return dd @ W.T + dk @ V.T, dS * d, x.T @ dd, x.T @ dk, dd.sum(0), dk.sum(0)

    def make(F, S):
        return {name: w.astype(dtype) for name, w in weights(F, S).items()}

    return adapt(make, ("x S W V b a -> S kept", forward), ("dS W V kept -> dx dS dW dV db da", backward), states="S")


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_gradient_that_is_computed_too_early_is_told(dtype):
    """In float32 as in float64, to all digits: what is looked at is the same code in float64."""
    sentence = said(fading("early", dtype))
    assert sentence.startswith(
        "the gradient of `d` through `d * S` is computed before the gradient from `old * k` has been added: this predicts"
    )
    assert float(re.search(r"to within (\S+);", sentence)[1]) < 1e-14
    assert broken(lift(fading(dtype=dtype))) == set()


def summing(mistake=""):
    """ys = cumsum(x) W + b over the steps."""

    def forward(x, W, b):
        return np.cumsum(x, axis=0) @ W + b, x

    def backward(dys, W, x):
        dx = np.cumsum(dys, axis=0) if mistake else np.cumsum(dys[::-1], axis=0)[::-1]
        return dx @ W.T, np.einsum("tbi,tbj->ij", np.cumsum(x, axis=0), dys), dys.sum((0, 1))

    def make(F, S):
        return {"W": np.zeros((F, S)), "b": np.zeros(S)}

    return adapt(make, ("x W b -> ys x", forward), ("dys W x -> dx dW db", backward), axes="steps batch features")


def test_a_cumulative_sum_that_runs_forwards_in_the_backward_pass_is_told():
    """It must run backwards."""
    assert said(summing("forwards")).startswith(
        "the gradient that flows back to `x` through `np.cumsum(x, axis=0)` is a cumulative sum from the first entry to the last"
    )
    assert broken(lift(summing())) == set()


def choosing(mistake="", way=np.maximum):
    """h' = max(p + h, q) + where(p > q, p, q), with p = x W + b and q = x V + a."""

    def forward(x, h, W, V, b, a):
        p, q = x @ W + b, x @ V + a
        return way(p + h, q) + np.where((p > q).real, p, q), (x, h, p, q)

    def backward(d, W, V, kept):
        x, h, p, q = kept
        first = p + h >= q if way is np.maximum else p + h <= q
        first, second = {
            "state": (h >= q, p > q),
            "branch": (first, first),
            "turned": (first, ~first),
            "": (first, p > q),
        }[mistake]
        dp, dq = d * first + d * second, d * ~first + d * ~second
        return dp @ W.T + dq @ V.T, d * first, x.T @ dp, x.T @ dq, dp.sum(0), dq.sum(0)

    return adapt(weights, ("x h W V b a -> h kept", forward), ("dh W V kept -> dx dh dW dV db da", backward), complex=False)


@pytest.mark.parametrize(
    ("mistake", "way", "decides"),
    [
        ("state", np.maximum, "the gradient through `way(p + h, q)` flows back to `p + h` where `h` is larger than `q`"),
        ("state", np.minimum, ""),
        (
            "branch",
            np.maximum,
            "through `np.where((p > q).real, p, q)` flows back to `p` where `way(p + h, q)` chooses its first argument",
        ),
        (
            "turned",
            np.maximum,
            "through `np.where((p > q).real, p, q)` flows back to `p` where `way(p + h, q)` chooses its second argument",
        ),
    ],
)
def test_other_numbers_that_decide_which_of_two_gets_the_gradient_are_told(mistake, way, decides):
    """Those of one of the two, or those of another choice; nothing is said where they decide something else."""
    if decides:
        assert decides in said(choosing(mistake, way))
    assert broken(lift(choosing(way=way)), n=12) == set()


def oscillating(mistake=False):
    """h' = h + (tanh(x W + b) - 2 h) / 3, whose backward pass may lack the third in one of its two terms."""

    def forward(x, h, W, V, b, a):
        s = np.tanh(x @ W + h * a + b)
        return h + (s - 2 * h) * 0.25 + 0 * V.sum(), (x, h, s)

    def backward(d, W, V, a, kept):
        x, h, s = kept
        dz = d * (1 if mistake else 0.25) * (1 - s * s)
        return dz @ W.T, d * 0.5 + dz * a, x.T @ dz, 0 * V, dz.sum(0), (dz * h).sum(0)

    return adapt(weights, ("x h W V b a -> h kept", forward), ("dh W V a kept -> dx dh dW dV db da", backward))


def test_a_place_is_told_rather_than_a_factor_of_some_of_the_gradients():
    """A missing constant scales what flows back through one term; of the arrays, some are a multiple, others are not."""
    sentence = said(oscillating(True))
    assert sentence.startswith(
        "the gradient that flows back to `x @ W + h * a + b` through `np.tanh(x @ W + h * a + b)` is scaled by 4"
    )


def truncated(k):
    """A decaying h over time from 0, whose sum over all steps is the loss; gradients flow back over k steps only."""

    def forward(x, W, b):
        h, hs = 0 * x[:1] @ W, []
        for t in range(len(x)):
            h = np.tanh(x[t : t + 1] @ W + 0.9 * h + b)
            hs.append(h)
        return sum(map(np.sum, hs)) if hs else 0 * W.sum(), (x, hs)

    def backward(dloss, W, kept):
        x, hs = kept
        dW, db = 0 * W, 0 * W[0]
        for t in range(len(x)):
            d = dloss * np.ones_like(hs[t])
            for s in range(t, max(t - k, -1), -1):
                d = d * (1 - hs[s] ** 2)
                dW, db = dW + np.outer(x[s], d), db + d[0]
                d = d * 0.9
        return dW, db

    def make(F, S):
        return {"W": np.zeros((F, S)), "b": np.zeros(S)}

    return lift(adapt(make, ("x W b -> loss kept", forward), ("dloss W kept -> dW db", backward), axes="steps features"))


def test_the_number_of_steps_from_which_on_gradients_are_wrong_is_told():
    """With the declaration for backpropagation that is truncated on purpose."""
    assert with_more_steps(truncated(99), 8) == [] and with_more_steps(truncated(1), 1) == []
    wanted = (
        "gradients are right for sequences of up to 6 steps and wrong for those of 7 to 9 steps; if backpropagation is truncated"
    )
    assert with_more_steps(truncated(6), 9)[0].startswith(wanted)
    assert told(truncated(6), problem=replace(PLAIN, batch=1, features=2, state=1, steps=7)).startswith(wanted[:51])


def test_sizes_that_a_cell_does_not_take_are_not_taken_for_right():
    """A gradient that is always wrong is not told to be wrong where a size is 1."""
    assert where_a_size_is_one(lift(fading("early"), sizes={"state": (1, 2, 3)})) == []

    inner = lift(fading())

    class Alone:
        """Of two or three units right, of one wrong."""

        def __init__(self, F, S):
            self.inner, self.S = inner(F, S), S
            self.weights = self.inner.weights

        def apply(self, x, S):
            """S'."""
            return self.inner.apply(x, S)

        def vjp(self, d):
            """Gradients, doubled if there is one unit."""
            weights, x, state = self.inner.vjp(d)
            return weights, x * (1 + (self.S == 1)), state

    [sentence] = where_a_size_is_one(lift(Alone, sizes={"state": (1, 2, 3)}))
    assert sentence == "gradients are right at batch 3, features 4 and state 2, and wrong where state is 1 (x)"


def test_of_the_laws_of_one_cause_the_smallest_case_is_shown():
    """In full; the others stand in one line each."""

    def row(law, size, cause="no gradient flows back", verdict="broken"):
        finding = {"sentences": [cause], "blame": law, "path": None, "page": None, "name": "Cell", "size": size}
        return {"cell": "a.py:B", "law": law, "group": "gradients", "verdict": verdict, "reason": "", "finding": finding}

    rows = [row("input_gradients", 9), row("state_gradients", 4), row("weight_gradients", 7), row("vjp", 1, "another")]
    found = [r["law"] for r in overview.findings(rows)["a.py:B"]]
    assert found == ["state_gradients", "input_gradients", "vjp", "weight_gradients"]


def test_a_second_answer_that_is_the_first_one_is_refused():
    """As of a cell that keeps its gradients until the next apply, whatever it is asked for; all its answers are alike."""

    class Memo:
        """h' = h + x W."""

        def __init__(self, F, S):
            self.W, self.kept = np.zeros((F, S)), None
            self.weights = [self.W]

        def apply(self, x, h):
            """Forgets the gradients."""
            self.x, self.kept = x.copy(), None
            return h + x @ self.W

        def vjp(self, d):
            """Those of the first call."""
            if self.kept is None:
                self.kept = (self.x.T @ d,), d @ self.W.T, (d.copy(),)
            return self.kept

    assert broken(lift(Memo), ["vjp_is_repeatable"]) == {"vjp_is_repeatable"}


def associating(mistake="", dtype=float):
    """A' = r A + g o(x W, x W), fast weights that decay, in buffers of this dtype in the backward pass."""

    def forward(x, A, W, r, g):
        k = x @ W
        return r * A + g * np.einsum("bi,bj->bij", k, k), (x, A, k)

    def backward(dA, W, r, g, kept):
        x, A, k = kept
        dk = np.empty(k.shape, dtype)
        d = dA * r if mistake == "decay" else dA
        dk[...] = g.sum() * (np.einsum("bij,bj->bi", d, k) + (0 if mistake == "half" else np.einsum("bij,bi->bj", d, k)))
        return (
            dk @ W.T,
            dA * r,
            x.T @ dk,
            (d * A).sum((0, 1, 2), keepdims=True)[0, 0],
            np.einsum("bij,bi,bj->", d, k, k).reshape(1),
        )

    def make(F, S):
        return {"W": np.zeros((F, S), dtype), "r": np.zeros(1, dtype), "g": np.zeros(1, dtype)}

    signatures = ("x A W r g -> A kept", forward), ("dA W r g kept -> dx dA dW dr dg", backward)
    return adapt(make, *signatures, states={"A": "batch state state"}, dtype=dtype)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    ("mistake", "told"),
    [
        ("half", "one of the two `k` in `np.einsum('bi,bj->bij', k, k)` gets no gradient: this predicts all gradients"),
        ("decay", "is multiplied by `r` too early: before the gradients of the other arrays are made of it: this predicts"),
    ],
)
def test_half_of_an_outer_product_and_a_decay_that_comes_too_early_are_told(mistake, told, dtype):
    """Also where the backward pass rounds to float32."""
    assert told in said(associating(mistake, dtype))


def test_a_gradient_that_goes_to_one_side_as_a_whole_is_told():
    """Of the larger of two, where nothing decides."""

    def forward(x, h, W):
        z = x @ W
        return np.maximum(z, h), x

    def backward(d, W, x):
        return d @ W.T, 0 * d, x.T @ d

    def make(F, S):
        return {"W": np.zeros((F, S))}

    Cell = adapt(make, ("x h W -> h x", forward), ("dh W x -> dx dh dW", backward), complex=False)
    assert "through `np.maximum(z, h)` flows back to `z`, and none to `h`" in said(Cell).replace("` and none", "`, and none")


@pytest.mark.parametrize(("restores", "verdict"), [(False, {"vjp_is_repeatable"}), (True, set())])
def test_a_second_answer_is_compared_where_a_third_is_refused(restores, verdict):
    """As of a cell that takes what it has kept off a list: its second vjp finds half of it."""

    class Popping:
        """h' = tanh(x W) twice, each on a list; vjp takes them off."""

        def __init__(self, F, S):
            self.W, self.kept = np.zeros((F, S)), []
            self.weights = [self.W]

        def apply(self, x, h):
            """h + tanh(x W)."""
            self.kept = [(np.tanh(x @ self.W), x.copy()), (0 * h, x.copy())]
            return h + self.kept[0][0]

        def vjp(self, d):
            """Gradients by what was kept first; the second call has the other one."""
            y, x = self.kept.pop(0)
            dz = d * (1 - (np.tanh(x @ self.W) if restores else y) ** 2)
            return (x.T @ dz,), dz @ self.W.T, (d.copy(),)

    assert broken(lift(Popping), ["vjp_is_repeatable"]) == verdict
