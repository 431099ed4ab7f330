"""Mistakes with upstreams, losses, softmax and inner loops, and cells of few sizes: each is told where it stands."""

import re

import numpy as np
import pytest
from cellcheck.cells import lift
from cellcheck.cells.adapters import adapt
from cellcheck.properties.reports.diagnosis import examined
from cellcheck.properties.reports.diagnosis.flow_faults import untold
from cellcheck.properties.reports.diagnosis.grown import PLAIN, ample, grown

from tests.cases import told
from tests.test_field_cases import broken


def said(Cell):
    """What is said first of the gradients of a cell, without line numbers and figures."""
    sentences, wrong, faults = examined(lift(Cell), PLAIN)
    assert wrong and not faults
    return re.sub(r" \(line \d+\)|: this predicts.*|: [\d.e-]+ from.*", "", sentences[0])


def weights(F, S):
    """A matrix for x, one for h, and a bias."""
    return {"W": np.zeros((F, S)), "U": np.zeros((S, S)), "b": np.zeros(S)}


def layer(mistake=""):
    """h[t] = tanh(x[t] W + h[t-1] U + b), with np.dot; all h are returned."""

    def forward(x, h, W, U, b):
        hs = [h]
        for x_t in x:
            hs.append(np.tanh(np.dot(x_t, W) + np.dot(hs[-1], U) + b))
        return hs[-1], np.reshape(hs[1:], (len(x), *h.shape)), hs

    def backward(dh, dys, x, W, U, hs):
        dx, dW, dU, db, given = np.zeros_like(x), np.zeros_like(W), np.zeros_like(U), np.zeros(len(U)), dh
        for t in reversed(range(len(x))):
            dh = dh + (dys[-1] if mistake == "last" else dys[t])
            dz = dh * (1 - hs[t + 1] ** 2)
            dx[t], dW, dU = dz @ W.T, dW + x[t].T @ dz, dU + hs[t].T @ dz
            db += (dh if mistake == "bias" else dz).sum(0)
            dh = (dh if mistake == "state" else dz) @ U.T
        return dx, given if mistake == "unchanged" else dh, dW, dU, db

    signatures = ("x h W U b -> h ys hs", forward), ("dh dys x W U hs -> dx dh dW dU db", backward)
    return adapt(weights, *signatures, axes="steps batch features")


@pytest.mark.parametrize(
    ("mistake", "sentence"),
    [
        ("last", "the upstream of ys at the last step is used at every step"),
        ("unchanged", "the gradient of h is the upstream of h', as it came in"),
        ("state", "the gradient of `hs[-1]` through `np.dot(hs[-1], U)` lacks the derivative of `np.tanh(np.dot(x_t, W) + "),
        ("bias", "the gradient of `b` through `np.dot(x_t, W) + np.dot(hs[-1], U) + b` lacks the derivative of `np.tanh("),
    ],
)
def test_what_flows_back_through_a_layer_is_told(mistake, sentence):
    """A wrong upstream, one that is handed on as it is, or a derivative that one path lacks; the layer itself is right."""
    assert said(layer(mistake)).startswith(sentence)
    assert examined(lift(layer()), PLAIN) == ((), False, ())


def decoder(mistake=""):
    """The mean cross entropy of softmax(tanh(e + h) U), e the row of E that a token chooses."""

    def tokens(x):
        return x.real.argmax(-1)

    def forward(x, targets, h, E, U):
        s = np.tanh(E[x] + h)
        z = s @ U
        p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
        return -np.log(p[np.arange(len(x)), targets]).sum() / len(x), (x, targets, s, p)

    def backward(U, E, kept):
        x, targets, s, p = kept
        dz = p.copy()
        dz[np.arange(len(x)), targets] -= 1
        dz, dE = dz / len(x), np.zeros_like(E)
        da = dz @ U.T * (1 - s * s)
        if mistake:
            dE[x] += da
        else:
            np.add.at(dE, x, da)
        return dE, s.T @ dz, da

    def make(F, S):
        return {"E": np.zeros((F, S)), "U": np.zeros((S, F))}

    signatures = ("x targets h E U -> loss kept", forward), ("U E kept -> dE dU dh", backward)
    options = {"states": "h", "encode": tokens, "targets": lambda x: (tokens(x) + 1) % x.shape[-1], "choices": {"mean": True}}
    return adapt(make, *signatures, **options)


def test_the_operations_of_a_mean_loss_are_followed():
    """The laws multiply it by the number of rows; where some entries are right since 0 is right there, no place is named."""
    assert untold(grown(lift(decoder()), PLAIN)) == ""
    assert "where `E[x]` (line" in told(decoder("assigned"), "weight_gradients")[0]


def attention(mistake=""):
    """y = softmax(x W) (h + h^2), row by row."""

    def forward(x, h, W):
        e = np.exp(x @ W)
        a = e / e.sum(1, keepdims=True)
        return a * (h + h**2), (x, h, a)

    def backward(d, W, kept):
        x, h, a = kept
        da, dh = d * (h + h * h), d * a if mistake == "square" else d * a * (1 + 2 * h)
        dz = a * (da - (da * a if mistake == "diagonal" else (da * a).sum(1, keepdims=True)))
        return dz @ W.T, dh, x.T @ dz

    return adapt(lambda F, S: {"W": np.zeros((F, S))}, ("x h W -> h kept", forward), ("dh W kept -> dx dh dW", backward))


@pytest.mark.parametrize(
    ("mistake", "sentence"),
    [
        ("diagonal", "the derivative of the softmax `e / e.sum(1, keepdims=True)` is taken as y (1 - y), with its output y"),
        ("square", "no gradient flows back to `h` through `h ** 2`"),
    ],
)
def test_a_softmax_and_a_square_are_told_as_they_are_written(mistake, sentence):
    """The diagonal of the Jacobian alone, and the argument of a power."""
    assert said(attention(mistake)).startswith(sentence)


def euler(mistake=""):
    """Three steps h <- h + tanh(h U + x W + b) / 3 within a step, with gates that are split and multiplied."""

    def forward(x, h, W, U, b):
        kept = []
        for _ in range(3):
            u, v = np.array_split(np.concatenate([h @ U, x @ W + b], 1), 2, axis=1)
            f = np.tanh(u + v * h)
            kept.append((h, v, f))
            h = h + f / 3
        return h, kept

    def backward(dh, x, W, U, kept):
        dU, dv = np.zeros_like(U), 0
        for h, v, f in reversed(kept[1:] if mistake == "first" else kept):
            dz = dh / 3 * (1 - f * f)
            du, dw = (dz * h, dz) if mistake == "exchanged" else (dz, dz * h)
            dU, dv, dh = dU + h.T @ du, dv + dw, dh + du @ U.T + dz * v
        return dv @ W.T, dh, x.T @ dv, dU, dv.sum(0)

    return adapt(weights, ("x h W U b -> h kept", forward), ("dh x W U kept -> dx dh dW dU db", backward))


def test_a_run_of_an_inner_loop_that_is_left_out_is_told():
    """What flows back to the states of that run goes on unchanged."""
    sentence = "the first run is left out of the reverse pass, and what flows back to its states goes on unchanged"
    assert said(euler("first")) == sentence
    halves = (f"part {k} of `np.array_split(np.concatenate([h @ U, x @...`" for k in (0, 1))
    assert said(euler("exchanged")).startswith(f"the gradients of {' and '.join(halves)} are exchanged in that of ")


def peephole(**options):
    """c starts at 0 in each call: c[t] = tanh(x[t] W + h[t-1] U + b) + c[t-1] / 2, h[t] = tanh(c[t]); all h are returned."""

    def forward(x, h, W, U, b):
        hs, fs, c = [h], [], 0
        for x_t in x:
            fs.append(np.tanh(x_t @ W + hs[-1] @ U + b))
            c = fs[-1] + c / 2
            hs.append(np.tanh(c))
        return np.reshape(hs[1:], (len(x), *h.shape)), (hs, fs)

    def backward(dys, x, W, U, kept):
        hs, fs = kept
        dx, dW, dU, db, dh, dc = np.zeros_like(x), np.zeros_like(W), np.zeros_like(U), np.zeros(len(U)), 0 * hs[0], 0
        for t in reversed(range(len(x))):
            dc = dc + (dh + dys[t]) * (1 - hs[t + 1] ** 2)
            dz = dc * (1 - fs[t] ** 2)
            dx[t], dW, dU, db, dh, dc = dz @ W.T, dW + x[t].T @ dz, dU + hs[t].T @ dz, db + dz.sum(0), dz @ U.T, dc / 2
        return dx, dh, dW, dU, db

    signatures = ("x h W U b -> ys kept", forward), ("dys x W U kept -> dx dh dW dU db", backward)
    return adapt(weights, *signatures, axes="steps batch features", states="h", **options)


def test_a_layer_that_keeps_more_than_it_returns_may_leave_out_its_last_state():
    """The laws that cut a sequence refuse it, and say so; they are not verified of ys alone."""
    laws = ["a_sequence_is_its_steps", "weight_gradients", "state_gradients"]
    assert broken(lift(peephole()), laws) == {laws[0]}
    assert "declare outputs=('ys',)" in told(peephole(), laws[0])[0]
    assert lift(peephole(outputs=("ys",))).spec().output_names == ["ys"]
    assert broken(lift(peephole(outputs="ys"))) == set()
    with pytest.raises(ValueError, match="outputs names c, but forward 'x h W U b -> ys kept' does not return it"):
        peephole(outputs="ys c")


def test_sizes_that_are_looked_at_are_large_and_unlike_each_other():
    """Of a cell that declares some: at one unit, or where two sizes are equal, mistakes look alike."""

    def looked_at(**sizes):
        p = ample(lift(layer(), sizes=sizes), PLAIN)
        return p.features, p.state, p.batch, p.steps

    assert looked_at() == (4, 5, 3, 4)
    assert looked_at(state=(2, 4)) == (2, 4, 3, 4)
    assert looked_at(features=(1, 4), state=(1, 3), batch=(1, 3), steps=(0, 1, 2, 8)) == (4, 3, 3, 8)
    assert looked_at(batch=(4,)) == (2, 5, 4, 4)
    assert looked_at(features=("state",)) == (4, 5, 3, 4)


def test_an_entry_is_told_once():
    """Though each gate is judged, and the wrong entry is one of all of them."""
    from tests.test_told_to_strangers import case_of

    class Negated:
        """h' = tanh(x W + b), with a negative gradient of b."""

        def __init__(self, F, S):
            self.weights = [np.zeros((F, 3 * S)), np.zeros(3 * S)]

        def apply(self, x, h):
            self.x, self.y = x.copy(), np.tanh(x @ self.weights[0] + self.weights[1])
            return (h + np.sum(np.split(self.y, 3, axis=1), axis=0),)

        def vjp(self, dh):
            dz = np.tile(dh, 3) * (1 - self.y**2)
            return [self.x.T @ dz, -dz.sum(0)], dz @ self.weights[0].T, (dh,)

    lines = case_of(lift(Negated), "weight_gradients", PLAIN.literal(lift(Negated))).blames()
    assert len(lines) == len({line.partition(", bound")[0] for line in lines}) > 0


def test_a_mean_is_told_of_a_size_that_equals_another():
    """Features that are as many as units are no number by which a larger size could be chosen."""

    def backward(dh, W, kept):
        x, y = kept
        dz = dh * (1 - y * y)
        return dz @ W.T, dz, x.T @ dz / x.shape[1]

    def forward(x, h, W):
        y = np.tanh(x @ W + h)
        return y, (x, y)

    signatures = ("x h W -> h kept", forward), ("dh W kept -> dx dh dW", backward)
    Cell = adapt(lambda F, S: {"W": np.zeros((F, S))}, *signatures, sizes={"features": ("state",)})
    assert "instead of the sum (factor 0.2)" in told(Cell, "weight_gradients")[0]
