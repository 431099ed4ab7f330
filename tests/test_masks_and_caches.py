"""Mistakes with masks, caches and upstreams, and of matrices as states: each is told where it stands."""

import re

import numpy as np
import pytest
from cellcheck.cells import lift
from cellcheck.cells.adapters import adapt
from cellcheck.properties.reports.diagnosis import examined
from cellcheck.properties.reports.diagnosis.grown import PLAIN

from tests.cases import broken, told


def plain(sentence):
    """The sentence without line numbers and figures."""
    return re.sub(r" \(line \d+\)|: this predicts.*", "", sentence)


def said(Cell):
    """What is said of the gradients of a cell."""
    sentences, wrong, faults = examined(lift(Cell), PLAIN)
    assert wrong and not faults
    return plain(sentences[0])


def weights(F, S):
    """A matrix for x and one for a state."""
    return {"W": np.zeros((F, S)), "U": np.zeros((S, S))}


def masked(mistake=""):
    """h' = tanh(x W + h U) where the mask is True, else h; ys is 0 elsewhere."""

    def forward(x, h, W, U, mask):
        ys, kept = np.zeros((len(x), *h.shape), np.result_type(x, h, W)), []
        for t in range(len(x)):
            m = mask[t][:, None]
            new = np.tanh(x[t] @ W + h @ U)
            kept.append((x[t], h, new, m))
            ys[t] = new * m
            h = np.where(m, new, h)
        return h, ys, kept

    def backward(dh, dys, W, U, kept):
        dx, dW, dU = np.zeros((len(kept), len(dh), len(W))), np.zeros_like(W), np.zeros_like(U)
        for t in reversed(range(len(kept))):
            x, h, new, m = kept[t]
            dz = (np.where(m, dh, 0) if mistake != "unmasked" else dh) + (dys[t] if mistake == "outputs" else dys[t] * m)
            dz = dz * (1 - new * new)
            dx[t], dW, dU = dz @ W.T, dW + x.T @ dz, dU + h.T @ dz
            dh = (np.where(m, 0, dh) if mistake != "lost" else 0) + dz @ U.T
        return dx, dh, dW, dU

    return adapt(
        weights,
        ("x h W U mask -> h ys kept", forward),
        ("dh dys W U kept -> dx dh dW dU", backward),
        axes="steps batch features",
    )


@pytest.mark.parametrize(
    ("mistake", "sentence"),
    [
        ("unmasked", "the gradient of `new` in `np.where(m, new, h)` is not masked"),
        ("outputs", "the gradient of `new` in `new * m` lacks the factor `m`"),
        ("lost", "no gradient flows back to `h` through `np.where(m, new, h)`"),
    ],
)
def test_a_mask_that_the_backward_pass_forgets_is_told(mistake, sentence):
    """Rows that end early are looked at as those of a cell whose rows always do."""
    found = told(masked(mistake), "each_ragged_row_equals_its_solo_run")
    assert plain(found[0]) == f"with rows of lengths [2, 0, 4], {sentence}"


def test_steps_of_zeros_that_change_nothing_are_no_padding():
    """Without a bias, h = 0 stays: that a row ends as if x were 0 is right there."""

    def forward(x, h, W, U, mask):
        for t in range(len(x)):
            h = h + np.where(mask[t][:, None], x[t] @ W + 0 * h @ U, 0)
        return h, (x, mask)

    def backward(dh, W, U, kept):
        x, mask = kept
        return 2 * mask[..., None] * dh @ W.T, dh, np.einsum("tbf,bs->fs", x * mask[..., None], dh), 0 * U

    Cell = adapt(
        weights,
        ("x h W U mask -> h kept", forward),
        ("dh W U kept -> dx dh dW dU", backward),
        axes="steps batch features",
        output="h",
    )
    assert not any("padding" in sentence for sentence in told(Cell, "input_gradients"))


class Chain:
    """c' = c + tanh(x W + h U), h' = tanh(c'), step by step; the upstream of c may enter at the first step, or all steps share one cache."""

    mistake = ""

    def __init__(self, F, S):
        self.W, self.U = np.zeros((F, S)), np.zeros((S, S))

    def forward(self, xs, c, h):
        """(c, h, ys)."""
        self.kept, ys = [], []
        for x in xs:
            before, g = h, np.tanh(x @ self.W + h @ self.U)
            c = c + g
            h = np.tanh(c)
            self.kept.append((x, before, g, h))
            ys.append(h)
        return c, h, np.array(ys).reshape(len(xs), *h.shape)

    def backward(self, dc, dh, dys):
        """(dxs, dc, dh)."""
        self.dW, self.dU, dxs, T = np.zeros_like(self.W), np.zeros_like(self.U), [], len(self.kept)
        late, dc = (dc, 0 * dc) if self.mistake == "first" else (0, dc)
        for t in reversed(range(T)):
            x, before, g, h = self.kept[-1 if self.mistake == "cache" else t]
            dc = dc + (dh + dys[t]) * (1 - h * h) + (late if t == 0 else 0)
            dz = dc * (1 - g * g)
            self.dW += x.T @ dz
            self.dU += before.T @ dz
            dxs.append(dz @ self.W.T)
            dh = dz @ self.U.T
        return np.array(dxs[::-1]).reshape(T, len(dh), len(self.W)), dc, dh


def chain(mistake):
    """A Chain with this mistake."""
    kind = type("Kind", (Chain,), {"mistake": mistake})
    return adapt(
        kind,
        ("x c h -> c h ys", "forward"),
        ("dc dh dys -> dx dc dh dW=.dW dU=.dU", "backward"),
        weights="W U",
        axes="steps batch features",
    )


@pytest.mark.parametrize(
    ("mistake", "sentence"),
    [
        ("first", "the upstream of c' enters the reverse pass at step 0, not at the last"),
        ("cache", "every step is differentiated at the last step's values: one cache for all steps"),
    ],
)
def test_mistakes_between_steps_are_told(mistake, sentence):
    """All steps but one may be right, and each step alone."""
    assert said(chain(mistake)) == sentence


def matrix(mistake=""):
    """S' = S + k r^T with k = x W, r = k - S^T k: a state that is a matrix, two of whose axes are alike."""

    def forward(x, S, W, U):
        k = x @ W
        r = k - np.einsum("bk,bkv->bv", k, S)
        return S + k[:, :, None] * r[:, None, :] + 0 * U, (x, S, k, r)

    def backward(dS, W, U, kept):
        x, S, k, r = kept
        dr = np.einsum("bkv,bv->bk" if mistake else "bkv,bk->bv", dS, k)
        dk = np.einsum("bkv,bv->bk", dS, r) + dr - np.einsum("bv,bkv->bk", dr, S)
        return dk @ W.T, dS - k[:, :, None] * dr[:, None, :], x.T @ dk, 0 * U

    return adapt(
        weights, ("x S W U -> S kept", forward), ("dS W U kept -> dx dS dW dU", backward), states={"S": "batch state state"}
    )


def test_what_flows_back_with_two_axes_exchanged_is_told():
    """As by two letters of an einsum."""
    assert broken(lift(matrix()), n=10) == set()
    assert said(matrix("turned")) == (
        "the gradient of `r[:, None, :]` through `k[:, :, None] * r[:, None, :]` is made of what flows back there with its axes 1 and 2 exchanged"
    )


def two(mistake=""):
    """a' = tanh(x W) - a U + b, b' = b + a: or b' of the new a, as two lines in the place of one make it."""

    def forward(x, a, b, W, U):
        s = np.tanh(x @ W)
        if mistake == "renewed":
            a = s - a @ U + b
            new = b * a + s * a
        else:
            a, new = s - a @ U + b, b * a + s * a
        return a, new, (x, s)

    def backward(da, db, x, a, b, W, U, kept):
        x, s = kept
        ds = da + db * a
        dz = ds * (1 - s * s)
        if mistake == "value":
            dz = x @ W
        if mistake == "weights":
            return dz @ W.T, -da @ U.T + db * (b + s), da + db * a, x.T @ (da * (1 - s * s)), -a.T @ da
        return dz @ W.T, -da @ U.T + db * (b + s), da + db * a, x.T @ dz, -a.T @ da

    return adapt(weights, ("x a b W U -> a b kept", forward), ("da db x a b W U kept -> dx da db dW dU", backward), states="a b")


@pytest.mark.parametrize(
    ("mistake", "sentence"),
    [
        ("renewed", "is that of `a` as it was before `s - a @ U + b`, which the forward pass uses"),
        ("value", "what is taken for the gradient of `x @ W` is its own value"),
        ("weights", "in the gradient of W alone, no gradient flows back to `s` through `s * a`"),
    ],
)
def test_mistakes_of_one_place_or_one_array_are_told(mistake, sentence):
    """A value after it was updated, z in the place of dz, and what is right for all arrays but one."""
    assert sentence in said(two(mistake))


def many(mistake=""):
    """h' = sum_k tanh((x W + h U) w_k): four uses of one array."""

    def forward(x, h, W, U, p, q, r, s):
        z = x @ W + h @ U
        parts = [np.tanh(z * p), np.tanh(z * q), np.tanh(z * r), np.tanh(z * s)]
        return parts[0] + parts[1] + parts[2] + parts[3], (x, h, z, parts)

    def backward(d, W, U, p, q, r, s, kept):
        x, h, z, parts = kept
        dz, dws = 0, []
        for w, y in zip((p, q, r, s), parts):
            dy = d * (1 - y * y)
            dz = dy * w if mistake else dz + dy * w
            dws.append((dy * z).sum(0))
        return dz @ W.T, dz @ U.T, x.T @ dz, h.T @ dz, *dws

    def make(F, S):
        return weights(F, S) | {name: np.zeros(S) for name in "pqrs"}

    return adapt(make, ("x h W U p q r s -> h kept", forward), ("dh W U p q r s kept -> dx dh dW dU dp dq dr ds", backward))


def test_of_several_contributions_the_one_that_is_kept_is_told():
    """= for += in a loop over gates."""
    assert broken(lift(many()), ["input_gradients", "weight_gradients"], n=10) == set()
    assert said(many("assigned")).startswith("of the 4 contributions to the gradient of `z` only that through `z * s` is kept")


def test_compiled_functions_of_numba_are_followed():
    """Their Python is run meanwhile; afterwards they are compiled again."""
    numba = pytest.importorskip("numba", reason="a framework, and optional")

    @numba.njit
    def step(x, h, W, U):
        return np.tanh(x @ W + h @ U)

    def backward(d, x, h, W, U, y):
        return d @ W.T, d * (1 - y * y) @ U.T, x.T @ (d * (1 - y * y)), h.T @ (d * (1 - y * y))

    Cell = adapt(weights, ("x h W U -> h", step), ("dh x h W U h' -> dx dh dW dU", backward), complex=False, dtype=np.float64)
    assert "through `x @ W`" in said(Cell) and "lacks the derivative of `np.tanh(x @ W + h @ U)`" in said(Cell)
    assert not vars(type(step)).get("__call__") and step(*np.zeros((4, 2, 2))).shape == (2, 2)
