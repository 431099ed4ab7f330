"""Each way in which `adapt` can be told how a guest is called, on one RNN: what comes out is right, or refused."""

import re
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
from cellcheck.cells import RNN, lift
from cellcheck.cells.adapters import adapt
from cellcheck.properties import test_linearity, test_sequences
from cellcheck.properties.intake.capabilities import missing
from cellcheck.properties.intake.preflight import cleared
from cellcheck.properties.reports.diagnosis import examined
from cellcheck.properties.reports.diagnosis.grown import PLAIN
from cellcheck.properties.verdicts.blocks import Violation
from cellcheck.strategies import Problem

from tests.cases import broken
from tests.guests.ragged import masked
from tests.test_adapters import violated

WEIGHTS = ("W", "b")


def matrices(features, state):
    """The weights by name."""
    return {"W": np.zeros((features + state, state)), "b": np.zeros(state)}


def forward(x, h, W, b):
    """(h', cache)."""
    X = np.concatenate([x, h], axis=1)
    y = np.tanh(X @ W + b)
    return y, (X, W, y)


def backward(dh, cache):
    """(dx, dh, dW, db)."""
    X, W, y = cache
    dz, F = dh * (1 - y**2), X.shape[1] - dh.shape[1]
    dX = dz @ W.T
    return dX[:, :F], dX[:, F:], X.T @ dz, dz.sum(axis=0)


def moved(x, h, W, b, rate):
    """The sum of h', and the weights after a step against its gradient."""
    y, cache = forward(x, h, W, b)
    *_, dW, db = backward(np.ones_like(y), cache)
    return y.sum(), (W - rate * dW, b - rate * db)


def gradients_of_the_sum(x, h, W, b):
    """The whole pass again, for an upstream of 1."""
    y, cache = forward(x, h, W, b)
    return backward(np.ones_like(y), cache)


def rebinds_in_a_dict(x, h, weights, rate):
    """Training in one function, on a dict."""
    total, new = moved(x, h, *weights.values(), rate)
    weights.update(zip(WEIGHTS, new))
    return total


def rebinds_in_a_list(x, h, weights, rate):
    """Training in one function, on a list."""
    total, weights[:] = moved(x, h, *weights, rate)
    return total


def writes_into_a_tuple(guest, x, h, rate):
    """Training in one function, on an object that holds a tuple."""
    total, new = moved(x, h, *guest.params, rate)
    for w, value in zip(guest.params, new):
        w[...] = value
    return total


def steps_at_a_rate_of_its_own(dh, cache, W, b):
    """Backward and update at once."""
    dx, dh, dW, db = backward(dh, cache)
    W -= 0.01 * dW
    b -= 0.01 * db
    return dx, dh


class Nested:
    """Takes its state as an attribute of an inner object."""

    def __init__(self, features, state):
        self.params, self.inner = matrices(features, state), SimpleNamespace(h=None)

    def run(self, x):
        """(h', cache)."""
        return forward(x, self.inner.h, *self.params.values())


def unrolled(x, h, W, b):
    """(ys, caches)."""
    ys, caches = np.zeros((len(x), *h.shape), np.result_type(x, h, W, b)), []
    for t, row in enumerate(x):
        ys[t], cache = forward(row, ys[t - 1] if t else h, W, b)
        caches.append(cache)
    return ys, caches


def rolled_back(dys, caches, x, h, W, b):
    """(dx, dh, dW, db); of an empty sequence dh = 0, since it knows of no other output than ys."""
    dx, dh, dW, db = np.zeros_like(x), np.zeros_like(h), np.zeros_like(W), np.zeros_like(b)
    for t in reversed(range(len(x))):
        dx[t], dh, dW_t, db_t = backward(dys[t] + dh, caches[t])
        dW, db = dW + dW_t, db + db_t
    return dx, dh, dW, db


BACKWARD = ("dh cache -> dx dh dW db", backward)
SEQUENCE = {
    "forward": ("x h W b -> ys cache", unrolled),
    "backward": ("dys cache x h W b -> dx dh dW db", rolled_back),
    "axes": "steps batch features",
}
WAYS = {
    "keywords": {
        "forward": ("x W b initial=h -> h cache", lambda x, W, b, initial: forward(x, initial, W, b)),
        "backward": BACKWARD,
    },
    "an attribute of an attribute": {
        "make": Nested,
        "weights": ".params",
        "forward": (".inner.h=h x -> h cache", "run"),
        "backward": ("dh cache -> dx dh dW db", lambda guest, *given: backward(*given)),
    },
    "an update within forward, dict": {"forward": ("x h weights rate -> sum", rebinds_in_a_dict)},
    "an update within forward, list": {
        "make": lambda F, S: list(matrices(F, S).values()),
        "forward": ("x h weights rate -> sum", rebinds_in_a_list),
    },
    "an update within forward, tuple": {
        "make": lambda F, S: SimpleNamespace(params=tuple(matrices(F, S).values())),
        "weights": ".params",
        "forward": ("x h rate -> sum", writes_into_a_tuple),
    },
    "a learning rate that cannot be chosen": {
        "forward": ("x h W b -> h cache", forward),
        "backward": ("dh cache W b -> dx dh", steps_at_a_rate_of_its_own),
        "rate": 0.01,
    },
    "a sum whose gradients are asked for without an upstream": {
        "forward": ("x h W b -> sum", lambda *given: forward(*given)[0].sum()),
        "backward": ("x h W b -> dx dh dW db", gradients_of_the_sum),
    },
    "a sum, and an update in a call of its own": {
        "forward": ("x h W b -> sum", lambda *given: forward(*given)[0].sum()),
        "backward": ("x h weights rate ->", rebinds_in_a_dict),
    },
    "a sequence of which only ys is returned": SEQUENCE,
}


@pytest.mark.parametrize("way", WAYS)
def test_a_way_of_calling_is_understood(way):
    """The cell is an RNN without a violation, and its weights are among the gradients."""
    found = cleared(f"guest.py:{way}", adapt(**{"make": matrices, **WAYS[way]})).Cell
    assert "weights" in found.spec().gradients
    assert violated(found, [Problem(3, 2, 4, steps=3, scale=1.0)]) == set()


def test_the_upstream_of_an_empty_sequence_reaches_its_state():
    """vjp(d, []).state = d, though backward is given no d."""
    law = test_sequences.test_no_steps_leave_the_state.hypothesis.inner_test
    law(Cell=cleared("guest.py:RNN", adapt(matrices, **SEQUENCE)).Cell, problem=Problem(2, 3, 4))


def test_a_guest_of_one_dtype_is_given_no_other():
    """Real arrays are converted, complex ones left alone, and float32 is what the cell declares."""
    seen = []

    def noted(x, h, W, b):
        seen.append((x.dtype, h.dtype))
        return forward(x, h, W, b)[0]

    cell = adapt(matrices, ("x h W b -> h", noted), dtype=np.float32)(2, 3)
    for x in (np.zeros((1, 2)), np.zeros((1, 2), complex)):
        cell.apply(x, np.zeros((1, 3)))
    assert cell.dtypes == (np.float32,) and seen == [(np.float32, np.float32), (np.complex128, np.float64)]


def test_a_wrong_number_of_upstreams_is_refused():
    """One for each output."""
    cell = adapt(matrices, ("x h W b -> h cache", forward), BACKWARD)(2, 3)
    cell.apply(np.zeros((1, 2)), np.zeros((1, 3)))
    with pytest.raises(ValueError, match=re.escape("0 upstream gradients given, but the outputs are h")):
        cell.vjp()


@pytest.mark.parametrize(("leak", "wrong"), [(0.0, set()), (0.1, {"h'"})])
def test_without_backward_the_outputs_are_verified(leak, wrong):
    """Rows that depend on each other are found."""
    leaky = adapt(matrices, ("x h W b -> h", lambda *given: forward(*given)[0] * (1 - leak * (len(given[0]) > 1))))
    assert violated(cleared("guest.py:leaky", leaky).Cell) == wrong


def mean_loss(x, targets, h, W, b):
    """The mean over the rows of (h' - targets)^2 / 2, with its gradients."""
    y, cache = forward(x, h, W, b)
    dx, dh, dW, db = backward((y - targets) / len(y), cache)
    return ((y - targets) ** 2).sum() / 2 / len(y), dx, dh, dW, db


def sign_of_the_first(x):
    """A target of +-1 for each row, which does not move with x."""
    return np.sign(x[:, :1].real)


def row_number(x):
    """Targets that stay where they are when the rows move."""
    return np.arange(len(x))[:, None] / 10


LOSS = {"make": matrices, "forward": ("x targets h W b -> loss dx dh dW db", mean_loss)}


@pytest.mark.parametrize("targets", [sign_of_the_first, row_number])
def test_a_mean_loss_is_undone_where_it_is_declared(targets):
    """The loss and all its gradients, by the number of rows."""
    found = cleared("guest.py:Loss", adapt(**LOSS, targets=targets, choices={"mean": True})).Cell
    assert violated(found, [Problem(3, 2, 4, scale=1.0)]) == set()


def test_a_refused_batch_leaves_the_mean_of_the_last():
    """Else its gradients are multiplied by the rows of the batch that was refused."""
    cell, x, h = lift(adapt(**LOSS, targets=sign_of_the_first, choices={"mean": True}))(2, 3), np.ones((2, 2)), np.ones((2, 3))
    cell.apply(x, h)
    before = cell.vjp(np.array(1.0)).weights
    with pytest.raises(ValueError):
        cell.apply(np.ones((4, 2)), h)
    assert all(map(np.array_equal, cell.vjp(np.array(1.0)).weights, before))


def test_an_undeclared_mean_loss_is_said():
    """Its gradients are right, its rows do not add up."""
    found = cleared("guest.py:Loss", adapt(**LOSS, targets=sign_of_the_first)).Cell
    assert examined(found, PLAIN)[0][0].startswith(
        "the loss is the mean over the 3 rows instead of the sum; if that is on purpose"
    )


@pytest.mark.parametrize(
    ("targets", "asked"), [(sign_of_the_first, True), (row_number, False), (lambda x: x[9], False), (None, True)]
)
def test_rows_are_moved_only_where_their_targets_follow(targets, asked):
    """Targets that are made of where a row is make another loss of rows in another order."""
    Cell = adapt(**LOSS, targets=targets) if targets else RNN
    assert (missing(Cell, {"own targets"}) is None) == asked


@pytest.mark.parametrize(
    ("x", "states", "wanted"), [((1, 2), 2, "2 states given, but the signature names h"), ((3, 2), 1, "3 rows given")]
)
def test_what_nobody_takes_is_refused(x, states, wanted):
    """A state too many, and rows where there is no axis for them."""
    cell = adapt(matrices, ("x h W b -> h", lambda x, h, W, b: forward(x[None], h[None], W, b)[0][0]), axes="features")(2, 3)
    with pytest.raises(ValueError, match=wanted):
        cell.apply(np.zeros(x), *[np.zeros((x[0], 3))] * states)


def steps_at_any_rate(dh, cache, W, b, rate):
    """Backward and update at once, at the rate that it is given."""
    dx, dh, dW, db = backward(dh, cache)
    W -= rate * dW
    b -= rate * db
    return dx, dh


FUSED = {
    "a rate that can be chosen": {"backward": ("dh cache W b rate -> dx dh", steps_at_any_rate)},
    "a rate of its own": {"backward": ("dh cache W b -> dx dh", steps_at_a_rate_of_its_own), "rate": 0.01},
}


@pytest.mark.parametrize("how", FUSED)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_an_update_beside_large_weights_is_its_gradient_to_the_last_bit(how, dtype):
    """The change dwarfs a weight of 600: dW / rate is exact, however small the upstream."""
    fused, plain = (
        adapt(matrices, ("x h W b -> h cache", forward), **given)(2, 3) for given in (FUSED[how], {"backward": BACKWARD})
    )
    rng = np.random.default_rng(0)
    x, h, d = (rng.standard_normal((5, n)).astype(dtype) for n in (2, 3, 3))
    x /= 600
    for scale in (1.0, 2.0**-60, 2.0**-700) if dtype is np.float64 else (1.0, 2.0**-40):
        found = []
        for cell in (fused, plain):
            cell.subject.update({"W": np.array([[600.1] * 3] * 2 + [[0.5] * 3] * 3, dtype), "b": np.full(3, 0.1, dtype)})
            cell.apply(x, h)
            found.append(cell.vjp(d * dtype(scale)))
        for a, b in zip(found[0].weights, found[1].weights):
            np.testing.assert_array_almost_equal_nulp(a, b, 2 if how == "a rate of its own" else 0)


def test_an_update_scales_exactly():
    """The law of exact scaling holds for a fused update whose gradients are 1e-15 of its weights."""
    law = test_linearity.test_vjp_scales.hypothesis.inner_test
    Cell = cleared("guest.py:Fused", adapt(matrices, ("x h W b -> h cache", forward), **FUSED["a rate that can be chosen"])).Cell
    law(Cell=Cell, problem=Problem(3, 4, 4, steps=3, seed=5189, scale=30.0, regime="small inputs", upstream="second"))


def test_a_wrong_gradient_of_a_single_number_is_a_violation():
    """A weight without axes, such as a time constant: its oracle is asked with numbers that are not those of the claim, too."""

    def leaky(x, h, W, a):
        return np.tanh(x @ W) + a * h

    def back(dh, x, h, W, a):
        dz = dh * (1 - np.tanh(x @ W) ** 2)
        return dz @ W.T, dh * a, x.T @ dz, -(dh * h).sum()

    def make(features, state):
        return {"W": np.zeros((features, state)), "a": np.zeros(())}

    Leaky = adapt(make, ("x h W a -> h", leaky), ("dh x h W a -> dx dh dW da", back))
    assert violated(cleared("guest.py:Guest", Leaky).Cell) == {"a"}


@pytest.mark.parametrize("given", ["mask", "lengths"])
def test_rows_of_different_lengths_are_verified(given):
    """Handed on as lengths, or as a mask in the order of the guest's axes; without any, all steps count."""
    Cell = cleared("masked", masked(given=given)).Cell
    laws = [law for name, law in vars(test_sequences).items() if name.startswith("test_") and not hasattr(law, "nothing")]
    ragged = [law for law in laws if "lengths" in str(law.pytestmark)]
    assert len(ragged) == 4
    for law in ragged:
        with np.errstate(all="ignore"):
            law.hypothesis.inner_test(Cell=Cell, problem=Problem(3, 2, 2, 4, seed=1))
    for mistake in ("c goes on", "dh is lost"):
        with pytest.raises(Violation):
            test_sequences.test_each_ragged_row_equals_its_solo_run.hypothesis.inner_test(
                Cell=cleared("masked", masked(mistake, given)).Cell, problem=Problem(3, 2, 2, 4, seed=1)
            )


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        ("c goes on", "padding updates c': in rows of lengths [2, 0, 4] it goes on with x to the end of the 4 steps"),
        (
            "dh is lost",
            "with rows of lengths [2, 0, 4], no gradient flows back to `hs[-1]` through `np.where(m, y, hs[-1])` (line 17)",
        ),
    ],
)
def test_what_is_wrong_in_the_padding_is_told(mistake, said):
    """A state that goes on, or the line where a gradient is lost."""
    (first, *_), wrong, faults = examined(cleared("masked", masked(mistake)).Cell, PLAIN)
    assert wrong and not faults and said in first


def test_a_mask_is_made_of_lengths_alone_that_fit():
    """The adapter refuses others; and lengths need rows and steps."""
    cell = masked()(2, 2)
    x, state = np.zeros((3, 2, 2)), (np.zeros((2, 2)), np.zeros((2, 2)))
    for lengths in ([1, 4], [-1, 3], [1.0, 2.0], [1]):
        with pytest.raises(ValueError, match="wanted one integer from 0 to 3 for each of 2 rows"):
            cell.apply(x, *state, lengths=lengths)
    with pytest.raises(ValueError, match="takes the mask of the rows; then axes must name steps and batch"):
        adapt(matrices, ("x h W b mask -> h", forward))(2, 2)


def test_an_input_or_a_weight_may_be_called_mask():
    """As in a GRU-D, or of connections that are cut."""

    def gated(x, mask, h, W, b):
        return forward(x * mask, h, W, b)[0]

    def cut(x, h, W, b, mask):
        return forward(x, h, W * mask, b)[0]

    given = adapt(matrices, ("x mask h W b -> h", gated), inputs="x mask")(2, 3)
    assert given.apply(np.ones((1, 2)), np.zeros((1, 2)), np.ones((1, 3)))[0].shape == (1, 3)
    weights = adapt(lambda F, S: {**matrices(F, S), "mask": np.ones((F + S, S))}, ("x h W b mask -> h", cut))(2, 3)
    assert weights.weight_names == ["W", "b", "mask"]
    assert weights.apply(np.ones((1, 2)), np.ones((1, 3)))[0].shape == (1, 3)


def test_a_refusal_leaves_the_lengths_as_they_were():
    """What the last apply was given counts, not what a later one refused."""
    rng, cell = np.random.default_rng(0), masked()(2, 3)
    for w in cell.weights:
        w[...] = rng.normal(size=w.shape)
    x, state = rng.normal(size=(3, 2, 2)), (np.ones((2, 3)), np.zeros((2, 3)))
    ups = (np.ones((2, 3)), np.ones((2, 3)), np.ones((3, 2, 3)))
    cell.apply(x, *state, lengths=[1, 2])
    before = cell.vjp(*ups)
    with pytest.raises(ValueError, match="matmul"):
        cell.apply(x[:, :, :1], *state)
    assert np.array_equal(cell.vjp(*ups).weights[0], before.weights[0])


def scan(x):
    """ys of x, a running mean over time in buffers of float32: weightless, and the same in any order of the features."""
    total, ys = np.zeros(x.shape[1:], np.float32), np.zeros_like(x)
    for t in range(len(x)):
        total += x[t]
        ys[t] = total / np.float32(t + 1)
    return ys


def scan_back(dys):
    """The gradient of x."""
    total, dx = np.zeros(dys.shape[1:], np.float32), np.zeros_like(dys)
    for t in reversed(range(len(dys))):
        total += dys[t] / np.float32(t + 1)
        dx[t] = total
    return dx


def test_an_operator_without_weights_computes_in_the_dtype_that_is_given():
    """What is drawn for it, and the bounds, are those of float32."""
    ours = {"axes": "steps batch features", "output": {"ys": "steps batch features"}}
    Cell = lift(adapt(lambda F, S: {}, ("x -> ys", scan), ("dys -> dx", scan_back), dtype=np.float32, **ours))
    assert Cell.spec().dtype == np.float32 and Problem(2, 3, 1, steps=2).build(Cell)[1].dtype == np.float32
    assert broken(Cell, ["input_gradients", "vjp_scales", "vjp_is_linear", "reversed_views_are_accepted"]) == set()
    wrong = lift(adapt(lambda F, S: {}, ("x -> ys", scan), ("dys -> dx", lambda dys: dys * 1), dtype=np.float32, **ours))
    assert broken(wrong, ["input_gradients"]) == {"input_gradients"}


class Closed:
    """An RNN step of two functions that hold the dict of its weights; a copy of the object keeps them as they are."""

    def __init__(self, features, state):
        self.theta, tape = matrices(features, state), []

        def step(x, h):
            y, kept = forward(x, h, **self_theta)
            tape[:] = kept
            return y

        self_theta = self.theta
        self.step, self.back = step, lambda dh: backward(dh, tape)


def test_functions_that_hold_the_weights_are_no_copies():
    """Nothing is copied where no dtype is asked for."""
    Cell = adapt(Closed, ("x h -> h", "step"), ("dh -> dx dh dW db", "back"), weights=".theta")
    assert broken(cleared("guest.py:Closed", Cell).Cell, n=20) == set()


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"x": "steps batch features"}, "input 'x' has the axes 'steps batch features', but axes is 'features', without steps"),
        ({"x": "batch features"}, "input 'x' has the axes 'batch features', but axes is 'features', without batch"),
    ],
)
def test_axes_of_an_input_that_the_guest_does_not_have_are_refused(inputs, said):
    """In one line that says what to give."""
    with pytest.raises(ValueError, match=re.escape(f"{said}; give axes= as the guest has them")):
        adapt(matrices, ("x h W b -> h cache", forward), ("dh cache -> dx dh dW db", backward), axes="features", inputs=inputs)


def test_a_dict_in_the_place_of_a_gradient_is_told():
    """With the notation of its entries."""

    def entries(dh, cache):
        return dict(zip(("dx", "dh", "dW", "db"), backward(dh, cache)))

    cell = adapt(matrices, ("x h W b -> h cache", forward), ("dh cache -> dx", entries))(2, 3)
    y = cell.apply(np.ones((1, 2)), np.ones((1, 3)))
    with pytest.raises(ValueError, match=r"^dx is a dict; name what it holds in the signature, as dx=KEY$"):
        cell.vjp(*y)


class Layer(NamedTuple):
    """The weights of one layer."""

    W: np.ndarray
    U: np.ndarray


def layers(weights, x, h):
    """The new h of each layer, whose x is the h of the one below."""
    new = []
    for W, U in weights:
        x = np.tanh(x @ W + h[len(new)] @ U)
        new.append(x)
    return np.stack(new)


def layers_backward(weights, x, h, new, dh):
    """Gradients in the nesting of the weights."""
    found, states, d = [], [], 0
    for k in reversed(range(len(weights))):
        W, U = weights[k]
        dz = (dh[k] + d) * (1 - new[k] ** 2)
        found.insert(0, Layer((new[k - 1] if k else x).T @ dz, h[k].T @ dz))
        states.insert(0, dz @ U.T)
        d = dz @ W.T
    return found, d, np.stack(states)


@pytest.mark.parametrize(("hold", "name"), [(Layer, "1.U"), (lambda *w: list(w), "1.1"), (lambda *w: w, "1.1")])
def test_weights_may_be_held_in_any_nesting(hold, name):
    """Of lists, tuples and named tuples; a name is the path to it."""

    def make(F, S):
        return tuple(hold(np.zeros((n, S)), np.zeros((S, S))) for n in (F, S))

    Cell = adapt(
        make,
        ("weights x h -> h", layers),
        ("weights x h h' dh -> dweights dx dh", layers_backward),
        states={"h": "layers batch state"},
        sizes={"layers": 2},
    )
    assert lift(Cell).spec().array_names[3] == name
    assert broken(lift(Cell), n=10) == set() if hold is not Layer else broken(lift(Cell), ["weight_gradients"], n=10) == set()


def test_several_outputs_are_refused():
    """One is verified beside the states; the message says what to do with the others."""
    with pytest.raises(ValueError, match="output names y and z; give one, and let forward join several outputs in one array"):
        adapt(lambda F, S: {}, ("x h -> h y z", None), output="y z")
