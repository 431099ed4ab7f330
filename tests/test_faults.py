"""Small broken cells, each for a fault that no mutant of the catalogue has: the diagnosis names it, or rightly says nothing."""

from dataclasses import replace

import numpy as np
import pytest
from cellcheck.cells import LSTM, RNN, Gradients, Unroll, lift
from cellcheck.cells.adapters import adapt
from cellcheck.properties.mutants import CATALOGUE
from cellcheck.properties.mutants.lookalikes import edited
from cellcheck.properties.reports.diagnosis import examined
from cellcheck.properties.reports.diagnosis.conduct import conduct_faults
from cellcheck.properties.reports.diagnosis.grown import PLAIN, grown
from cellcheck.properties.reports.diagnosis.outer import made_of, untransposed
from cellcheck.properties.reports.diagnosis.promises import LOOKS, promise_faults
from cellcheck.properties.reports.diagnosis.sequence import ragged
from cellcheck.properties.reports.diagnosis.through_time import through_time

from tests.guests.field import clipping_loss
from tests.guests.gist import CorrectRNN

pytestmark = pytest.mark.filterwarnings("ignore")  # of broken cells
MUTANTS = {mutant.name: mutant for mutant in CATALOGUE}
JOIN = "X = np.concatenate([x, h], axis=1)"
RESULT = "Gradients([X.T @ dz, dz.sum(axis=0)], dx, (dh,))"
TOTAL = "return Gradients(d_weights, dx, d_state)"
FINAL = "return *(s.copy() for s in states[-1]), np.stack(ys)"
FIRST = "self.first = getattr(self, 'first', x.max())"  # of all inputs that this cell has seen


def broken(cell, *edits, **declared):
    """The shipped cell with these edits and declarations."""
    return type("Broken", (edited("Broken", cell, "", *edits[0:1], *edits[1:], file=declared.pop("file", "")).cls,), declared)


def returning(gradients, **declared):
    """An RNN whose vjp returns these gradients."""
    return broken("RNN", (RESULT, gradients), **declared)


def without_biases(*edits):
    """An LSTM whose only weight is W."""
    Edited = broken("LSTM", (" + self.b\n", "\n"), ("self.weights = [self.W, self.b]", "self.weights = [self.W]"), *edits)
    blocks = property(lambda self: LSTM.weight_blocks.fget(self)[:1])
    vjp = Edited._vjp

    def without(self, *d_outputs):
        (dW, _), *others = vjp(self, *d_outputs)
        return Gradients([dW], *others)

    return type("WithoutBiases", (Edited,), {"weight_blocks": blocks, "_vjp": without})


class TwoMatrices(CorrectRNN):
    """A correct RNN with a square matrix, which returns its state."""

    state_names = ("h",)

    def apply(self, x, h):
        """The new state."""
        self.forward(x, h)
        return (self.new_h.copy(),)

    def vjp(self, dh):
        """All gradients."""
        dz = dh * (1 - self.new_h**2)
        return self.backward(dh), dz @ self.W_x.T, (dz @ self.W_h.T,)


class Transposed(TwoMatrices):
    """The gradient of W_h is transposed: of the right shape, since W_h is square."""

    def backward(self, d_output):
        """The defect."""
        dW_x, dW_h, db = super().backward(d_output)
        return [dW_x, dW_h.T, db]


class ScaledSum(CorrectRNN):
    """All gradients are too large."""

    def backward(self, d_output):
        """The defect."""
        return [2.5 * d for d in super().backward(d_output)]


class NoBiasGradient(CorrectRNN):
    """The gradient of b is zero."""

    @staticmethod
    def bias_gradient(dz):
        """The defect."""
        return np.zeros((1, dz.shape[1]))


class Relu(CorrectRNN):
    """The activation is not that of the declared kind."""

    @staticmethod
    def tanh(z):
        """The defect."""
        return np.maximum(z, 0)


def blocks(input_features, state_size):
    """Of W_x, W_h and b."""
    return [{(source, "candidate"): np.s_[..., :]} for source in ("x", "h", "bias")]


class WithoutLengths(Unroll(RNN)):  # type: ignore[misc]
    """A correct sequence of equal rows only."""

    def apply(self, x, *state):
        """Without lengths."""
        return super().apply(x, *state)


def truncated(self, *d_outputs):
    """No gradient flows further back than two steps."""
    x, _, taken = self._cache
    *final, d_ys = d_outputs
    weights, dx, initial = [0 * w for w in self.weights], 0 * x, [0 * d for d in final]
    for s in range(len(x)):
        d_state = [d * (s == len(x) - 1) for d in final]
        d_state[-1] = d_state[-1] + d_ys[s]
        for t in range(s, max(s - 2, -1), -1):
            step = taken[t].vjp(*d_state)
            weights = [total + d for total, d in zip(weights, step.weights)]
            dx[t] += step.x
            d_state = step.state
            if t == 0:
                initial = [total + d for total, d in zip(initial, d_state)]
    return Gradients(weights, dx, tuple(initial))


def carrying(d_state):
    """A sequence of LSTM steps whose reverse pass carries on this `d_state`."""
    last = "            dx[t] = step.x"
    return broken("UnrolledLSTM", (last, f"            d_state = {d_state}\n{last}"))


TURNED = (
    "dX = dz @ self.W.T",
    "F = self.input_features\n        dX = np.concatenate([dz @ self.W[:F].T, dz @ self.W[F:]], axis=1)",
)
MASK = "np.random.default_rng(0).uniform"
NAMED = {
    "no gradient of b is returned": returning("Gradients([X.T @ dz], dx, (dh,))"),
    "has shape (5, 9) instead of (9, 5): it is transposed": returning("Gradients([dz.T @ X, dz.sum(axis=0)], dx, (dh,))"),
    "the gradient of b has shape (1, 5) instead of (5,)": returning("Gradients([X.T @ dz, dz.sum(axis=0)[None]], dx, (dh,))"),
    "a second call with other numbers on the same cell raises RuntimeError": broken(
        "RNN",
        (JOIN, f"{FIRST}\n        if x.max() != self.first: raise RuntimeError('compiled for other numbers')\n        {JOIN}"),
    ),
    "the gradient of W is added to that of the call before": broken(
        "RNN",
        (JOIN, f"self.before = getattr(self, 'dW', 0)\n        {JOIN}"),
        (f"return {RESULT}", "self.dW = X.T @ dz\n        return Gradients([self.dW + self.before, dz.sum(axis=0)], dx, (dh,))"),
    ),
    "the output h' depends on what the same cell was called with before": broken(
        "RNN", (JOIN, f"{FIRST}\n        {JOIN}"), ("+ self.b\n", "+ self.b * self.first\n")
    ),
    "the gradient of W depends on what the same cell was called with before": broken(
        "RNN", (JOIN, f"{FIRST}\n        {JOIN}"), ("[X.T @ dz,", "[X.T @ dz * self.first,")
    ),
    "a second call with more rows on the same cell gives another b than a fresh cell": broken(
        "RNN",
        (JOIN, f"self.rows = getattr(self, 'rows', len(x))\n        {JOIN}"),
        ("dz.sum(axis=0)", "dz.sum(axis=0) * self.rows / len(X)"),
    ),
    "the gradient of b is not finite: 5 of 5 entries of b": returning("Gradients([X.T @ dz, np.full(5, np.nan)], dx, (dh,))"),
    "every gradient is zero, but": broken("RNN", ("dz = dh *", "dz = 0 * dh *")),
    "every gradient is scaled by 3": broken("RNN", ("dz = dh *", "dz = 3 * dh *")),
    "every gradient is 3 times too large, as many as there are rows": broken("RNN", ("dz = dh *", "dz = len(dh) * dh *")),
    "every gradient is scaled by 2.5": lift(ScaledSum),
    "the gradient of b is zero everywhere": lift(NoBiasGradient),
    "the activation is max(z, 0) instead of tanh": lift(Relu, kind="RNN", weight_blocks=blocks),
    "every gradient is the mean over the 4 steps instead of the sum (factor 0.25)": broken(
        "UnrolledRNN",
        (TOTAL, "return Gradients([w / len(x) for w in d_weights], dx / len(x), tuple(d / len(x) for d in d_state))"),
    ),
    "the gradient of W_h is transposed": lift(Transposed),
    "the gradient of b leaves out row 0 of the batch": returning("Gradients([X.T @ dz, dz[1:].sum(axis=0)], dx, (dh,))"),
    "the input and forget gates are exchanged": without_biases(("i, f, o, g = side", "f, i, o, g = side")),
    "the input gate: no gradient flows through it": broken("LSTM", ("di = dc *", "di = 0 * dc *")),
    "the gradient of h multiplies the weights of h without transposing": broken("RNN", TURNED, gradients=("weights", "state")),
    "the input gate: its gradient uses tanh(i) where g belongs": broken(
        "UnrolledLSTM", ("di = dc * tanh(g)", "di = dc * tanh(i)"), file="lstm"
    ),
    "the steps are taken last to first": type("Backwards", (MUTANTS["GoesBackwards"].cls,), {"kind": None}),
    "a sequence of 0 steps does not return the state it was given: h' is off by": broken(
        "UnrolledRNN", (FINAL, "return *(s * bool(len(x)) for s in states[-1]), np.stack(ys)")
    ),
    "ys of step 0 changes with x of step 3": broken("UnrolledRNN", ("self.step._apply(x_t, ", "self.step._apply(x_t + x[-1], ")),
    "steps beyond 6 are dropped": broken(
        "UnrolledRNN",
        ("steps, batch, _ = x.shape\n        whole", "x = x[:6]\n        steps, batch, _ = x.shape\n        whole"),
    ),
    "uses 1 - c'^2 where tanh'(c') belongs": broken("LSTM", ("* d_tanh(c_new)", "* (1 - c_new ** 2)")),
    "the derivative of its tanh is 1 - h^2, with the old state h": broken(
        "RNN", ("dh * d_tanh(z)", "dh * (1 - X[:, -dh.shape[1]:] ** 2)")
    ),
    "the candidate: the derivative of its tanh is that of a sigmoid": broken("LSTM", ("* d_tanh(g)", "* d_sigmoid(g)")),
    "the forget gate: the derivative of its sigmoid is that of a tanh": broken("LSTM", ("* d_sigmoid(f)", "* d_tanh(f)")),
    "the input gate: the derivative of its sigmoid is that of a hard sigmoid": broken(
        "LSTM", ("* d_sigmoid(i)", "* 0.2 * (np.abs(i) < 2.5)")
    ),
    "up to 0.0129: 0.01 times the weights is added to it": returning(
        "Gradients([X.T @ dz + 0.01 * self.W, dz.sum(axis=0)], dx, (dh,))"
    ),
    "the gradient of h is off by 0.5 times the upstream of h'": broken(
        "RNN",
        ("dx, dh = dX[", "up = dh\n        dx, dh = dX["),
        (RESULT, "Gradients([X.T @ dz, dz.sum(axis=0)], dx, (dh + up / 2,))"),
    ),
    "is not zero, but up to 7: what it is added up in does not start from zero": returning(
        "Gradients([X.T @ dz + 7, dz.sum(axis=0) + 7], dx, (dh,))"
    ),
    "is not zero, but up to": broken(
        "RNN",
        (
            f"return {RESULT}",
            f"noise = np.random.rand(*self.W.shape)\n        return {RESULT.replace('X.T @ dz', 'X.T @ dz + noise')}",
        ),
    ),
    "the weights of h are not transposed on the way back in time": broken(
        "UnrolledRNN", TURNED, file="rnn", gradients=("weights", "x")
    ),
    "no gradient flows back more than 2 steps": type("Truncated", (Unroll(LSTM),), {"_vjp": truncated}),
    "no gradient is carried over the borders of chunks of 2 steps": carrying("[d * (t % 2 > 0 or t == 0) for d in d_state]"),
    "no gradient is carried over the borders of chunks of 3 steps, counted from the last": carrying(
        "[d * ((4 - t) % 3 > 0) for d in d_state]"
    ),
    "the gradient carried back in time is clipped at 0.1 at every step": carrying("[np.clip(d, -0.1, 0.1) for d in d_state]"),
    "the gradient of the initial state is that of the state after step 0": carrying("d_state if t else d_new"),
    "all gradients are clipped to a common norm of 1": broken(
        "RNN",
        (
            f"return {RESULT}",
            "norm = np.sqrt(sum((d * d).sum() for d in (X.T @ dz, dz.sum(axis=0), dx, dh)))\n"
            "        dz, dx, dh = dz / norm, dx / norm, dh / norm\n"
            f"        return {RESULT}",
        ),
    ),
    "it is not summed over the batch of 3; its sum over the last axis": returning("Gradients([X.T @ dz, dz.T], dx, (dh,))"),
    "numbers of h' are float32 numbers": broken(
        "RNN", ("return (tanh(z),)", "return (tanh(z).astype(np.float32).astype(z.dtype),)")
    ),
    "x is rounded to float32 or less": broken(
        "RNN", ("np.concatenate([x, h], axis=1)", "np.concatenate([x.real.astype(np.float32) + 0 * x, h], axis=1)")
    ),
    "numbers of ys are float32 numbers": broken(
        "UnrolledGRU", ("np.stack(ys) if ys", "np.stack(ys).astype(np.float32).astype(float) if ys")
    ),
    "the initial state is returned as the final one": broken("UnrolledRNN", ("for s in states[-1])", "for s in states[0])")),
    "the state is not carried over the borders of chunks of 2 steps": broken(
        "UnrolledGRU",
        ("new = self.step._apply(x_t, *states[-1])", "new = self.step._apply(x_t, *states[-1 if len(taken) % 2 else 0])"),
    ),
    "on its place in the batch, not on the other rows, and of rows that are all alike": broken(
        "RNN", ("return (tanh(z),)", f"return (tanh(z) * ({MASK}(size=z.shape) < 0.7) / 0.7,)")
    ),
    "h' is right times a mask: 3 of 15 entries are exactly 0, the others 1.42857 times": broken(
        "RNN", ("return (tanh(z),)", f"return (tanh(z) * ({MASK}(size=z.shape[1]) < 0.7) / 0.7,)")
    ),
    "with rows of lengths [2, 0, 4], no gradient flows back to `b` through": broken(
        "UnrolledRNN", ("[_chosen(on, d, old) for d, old in zip(step.state, d_state)]", "list(step.state)")
    ),
    "c' is clipped at 2: with the forget gate open": broken(
        "LSTM",
        ("c_new = sigmoid(f)", "c_new = np.clip(sigmoid(f)"),
        ("+ sigmoid(i) * tanh(g)\n", "+ sigmoid(i) * tanh(g), -2, 2)\n"),
    ),
    "ys has dtype bool instead of float64": broken("UnrolledRNN", ("np.stack(ys) if ys", "np.stack(ys) > 0 if ys")),
    "what is declared as h of the candidate has shape (9, 5) instead of (5, 5)": broken(
        "RNN", ('("h", "candidate"): np.s_[F:]', '("h", "candidate"): np.s_[:]')
    ),
    "h' is not what the RNN equations give, by 0.392": broken(
        "RNN", ("return (tanh(z),)", "return (tanh(z) ** 3,)"), ("dz = dh * d_tanh(z)", "dz = 3 * dh * tanh(z) ** 2")
    ),
    "c is not carried from step to step": broken(
        "UnrolledLSTM",
        ("new = self.step._apply(x_t, *states[-1])", "new = self.step._apply(x_t, states[0][0], states[-1][1])"),
    ),
    "the output gate: its value stands where the derivative of its sigmoid belongs": broken(
        "LSTM", ("* d_sigmoid(o)", "* sigmoid(o)")
    ),
    "the derivative of sigmoid is wrong from z =": broken("LSTM", ("* d_sigmoid(f)", "* (d_sigmoid(f) / (np.abs(f) < 4))")),
    "lengths [2, 0, 4] raise ValueError": broken("UnrolledRNN", ("(lengths < 0)", "(lengths < bool(steps))")),
}


@pytest.mark.parametrize("said", NAMED)
def test_fault_is_named_first(said):
    """The first sentence names what was planted."""
    told, wrong, faults = examined(NAMED[said], PLAIN)
    assert wrong and not faults
    assert said in told[0]


class OutputsAlone:
    """An LSTM over sequences that returns its outputs, and keeps its final states to itself."""

    def __init__(self, features, state):
        """The weights are those of the shipped cell."""
        self.cell = Unroll(LSTM)(features, state)
        self.params = self.cell.weights

    def forward(self, x, c, h):
        """ys alone."""
        return self.cell.apply(x, c, h)[-1]

    def backward(self, dys):
        """All gradients, from those of ys."""
        nothing = [np.zeros(shape) for shape in self.cell._output_shapes()[:-1]]
        weights, dx, state = self.cell.vjp(*nothing, dys)
        return weights, dx, *state


def outputs_alone(dtype):
    """Plugged in; in float32 the arrays are rounded on their way in."""
    guest = adapt(
        make=OutputsAlone,
        forward=("x c h -> ys", "forward"),
        backward=("dys -> dweights dx dc dh", "backward"),
        axes="steps batch features",
        weights=".params",
        **({"dtype": dtype} if dtype == np.float32 else {}),
    )
    return lift(guest, kind="LSTM", weight_blocks=lambda F, S: LSTM(F, S).weight_blocks)


class Stateless:
    """An RNN over sequences that takes no state and returns none: it starts from zeros."""

    state_names, sequence, carried = (), True, 1.0

    def __init__(self, features, state):
        """The weights are those of the shipped cell."""
        self.cell = Unroll(RNN)(features, state)
        self.weights = self.cell.weights

    def apply(self, x):
        """ys alone."""
        return self.cell.apply(x)[1:]

    def vjp(self, d_ys):
        """Of weights and x."""
        weights, dx, _ = self.cell.vjp(0 * d_ys[:1].sum(axis=0), d_ys)
        return weights, self.carried * dx, ()


class Total(Stateless):
    """The sum of all of its outputs: its upstream is a scalar."""

    outputs = ("loss",)

    def apply(self, x):
        """A number."""
        self.shape = super().apply(x)[0].shape
        return self.cell.apply(x)[1].sum()

    def vjp(self, d):
        """Of weights and x."""
        return super().vjp(np.full(self.shape, d))


class HiddenMemory(Stateless):
    """An LSTM that takes c and h, and returns h alone."""

    state_names, outputs, sequence = ("c", "h"), ("h",), False

    def __init__(self, features, state):
        """The weights are those of the shipped cell."""
        self.cell = LSTM(features, state)
        self.weights = self.cell.weights

    def apply(self, x, c, h):
        """h' alone."""
        return self.cell.apply(x, c, h)[1:]

    def vjp(self, dh):
        """All gradients."""
        return self.cell.vjp(0 * dh, dh)


class HiddenMemoryOfSequences(HiddenMemory):
    """The same over sequences."""

    outputs, sequence = ("h", "ys"), True

    def __init__(self, features, state):
        """The weights are those of the shipped cell."""
        self.cell = Unroll(LSTM)(features, state)
        self.weights = self.cell.weights

    def vjp(self, dh, d_ys):
        """All gradients."""
        return self.cell.vjp(0 * dh, dh, d_ys)


def wrong(Guest):
    """The guest with a fault that no mistake predicts."""

    def vjp(self, *d_outputs):
        weights, dx, state = Guest.vjp(self, *d_outputs)
        return [w + 0.1 * np.sin(w) for w in weights], np.cos(dx), tuple(np.sin(s) for s in state)

    return lift(type("Wrong", (Guest,), {"vjp": vjp}))


UNUSUAL = [Stateless, Total, HiddenMemory, HiddenMemoryOfSequences]
SILENT = {  # a cell, and whether it is wrong
    **{f"{Guest.__name__}, which is right": (lift(Guest), False) for Guest in UNUSUAL},
    **{f"{Guest.__name__}, wrong in no known way": (wrong(Guest), True) for Guest in UNUSUAL},
    "a sequence that returns its outputs alone": (outputs_alone(float), False),
    "the same in float32": (outputs_alone(np.float32), False),
    "a correct gist": (lift(CorrectRNN), False),
    "a correct gist of declared kind": (lift(CorrectRNN, kind="RNN", weight_blocks=blocks), False),
    "a correct cell of no declared kind": (type("Unkind", (RNN,), {"kind": None}), False),
    "a correct LSTM without biases": (without_biases(), False),
    "correct, but without lengths": (WithoutLengths, False),
    "a backward that is answered once, which is a promise": (MUTANTS["SecondBackwardFails"].cls, False),
    "an empty sequence that is declared to be refused": (
        type("NotEmpty", (MUTANTS["NoStepsCrash"].cls,), {"fewest_steps": 1}),
        False,
    ),
    "steps dropped beyond a length that is declared the longest": (
        type("Short", (NAMED["steps beyond 6 are dropped"],), {"most_steps": 6}),
        False,
    ),
    "NaN in every row, which is no matter of rows": (broken("RNN", ("return (tanh(z),)", "return (tanh(z) * np.nan,)")), True),
    "an unknown fault of an LSTM without biases": (
        without_biases(("sigmoid(i) * tanh(g)\n", "sigmoid(i) ** 1.1 * tanh(g)\n")),
        True,
    ),
    "steps that depend on their number, and are differentiated as if they did not": (
        broken("UnrolledRNN", ("self.step._apply(x_t, ", "self.step._apply(x_t * (1 + 0.1 * len(taken)), ")),
        True,
    ),
}


@pytest.mark.parametrize("what", SILENT)
def test_nothing_is_said(what):
    """Of what is right, or declared, or like no known mistake."""
    Cell, wrong = SILENT[what]
    assert examined(Cell, PLAIN) == ((), wrong, ())


@pytest.mark.parametrize("rows", [[0, 1, 1], [0, 1, 0]])
def test_rows_whose_states_are_zero_are_not_said_to_continue_others(rows):
    """A cell that ignores its state in batches: with a zero state in row 0, that all rows continue it would explain as much."""
    Cell = broken("RNN", (JOIN, f"h = h * (len(x) == 1)\n        {JOIN}"))
    problem = PLAIN.literal(Cell)
    told = conduct_faults(grown.__wrapped__(Cell, replace(problem, state=(problem.state[0] * np.array(rows)[:, None],))))
    said = "what a row gives depends on how many rows there are, not on what they hold: in a batch of 3, rows"
    assert told[0].startswith(f"{said} {np.flatnonzero(rows).tolist()} of h' differ")


def test_a_sequence_that_is_not_its_steps_is_not_judged_by_them():
    """The reverse pass, redone on single steps, would blame what may be right of this sequence."""
    carried = "d_state = [_chosen(on, d, old) for d, old in zip(step.state, d_state)]"
    final = FINAL.replace("s.copy()", "s * 1.1 ** (len(x) > 1)")
    g = grown(broken("UnrolledRNN", (FINAL, final), (carried, "d_state = [0 * d for d in step.state]")), PLAIN)
    assert through_time(g, g.claims(), g.truth()) == []


def test_states_that_stand_still_tell_nothing_of_lengths():
    """Every length ends in the same state."""
    Still = broken("UnrolledRNN", ('kind = "RNN"', "kind = None"), ("return (tanh(z),)", "return (h + 0 * z,)"), file="rnn")
    assert ragged(grown(Still, PLAIN)) == []


@pytest.mark.parametrize("law", LOOKS)
@pytest.mark.parametrize("Correct", [RNN, LSTM])
def test_a_kept_promise_is_not_told_as_broken(Correct, law):
    """Of cells that keep it."""
    assert promise_faults(grown(Correct, PLAIN), law) == []


def test_a_factor_near_one_that_varies_is_not_said():
    """At other numbers it is another one."""
    Cell = returning("Gradients([X.T @ dz, dz.sum(axis=0) * (1 + 1e-4 * np.abs(X).max())], dx, (dh,))")
    assert not any("scaled by" in sentence for sentence in examined(Cell, PLAIN).sentences)


PROMISED = {
    "apply draws from, or seeds, numpy's global": (
        broken("RNN", (JOIN, f"np.random.rand()\n        {JOIN}")),
        "global_random_state_is_left_alone",
    ),
    "vjp draws from, or seeds, numpy's global": (
        broken("RNN", ("dz = dh *", "np.random.rand()\n        dz = dh *")),
        "global_random_state_is_left_alone",
    ),
    "a batch of no rows gives nan for loss, instead of 0": (lift(clipping_loss(0.05, mean=True)), "an_empty_batch_adds_nothing"),
    "without states the cell starts from 0.5": (
        broken("RNN", ("np.zeros(shape, self.weights[0].dtype) for", "np.full(shape, 0.5) for"), file="contract"),
        "an_omitted_state_is_zero",
    ),
    "the derivative of tanh is 1 - t^2, which loses its digits where tanh is close to 1: at z = 12 it is 3.22e-07": (
        broken("RNN", ("d_tanh(z)", "(1 - tanh(z) ** 2)")),
        "derivatives_of_the_cell_keep_their_tails",
    ),
    "the derivative of sigmoid is s (1 - s), which loses its digits where sigmoid is close to 1: at z = 24 it is": (
        broken("LSTM", ("d_sigmoid(o)", "sigmoid(o) * (1 - sigmoid(o))")),
        "derivatives_of_the_cell_keep_their_tails",
    ),
    "tanh loses its digits where it is close to 0: at z = 0.0001 it is": (
        broken("RNN", ("return (tanh(z),)", "return ((np.exp(z) - np.exp(-z)) / (np.exp(z) + np.exp(-z)),)")),
        "activations_of_the_cell_keep_their_tails",
    ),
    "sigmoid loses its digits where it is close to 0: at z = -711 it is 0 instead of": (
        broken("LSTM", ("sigmoid(f) * c", "c / (1 + np.exp(-f))")),
        "activations_of_the_cell_keep_their_tails",
    ),
    "in float32, h' is off by": (
        broken(
            "RNN",
            ("return (tanh(z),)", "return (tanh(z).astype(np.float16 if z.dtype == np.float32 else z.dtype).astype(z.dtype),)"),
        ),
        "float32_outputs",
    ),
}


@pytest.mark.parametrize("said", PROMISED)
def test_broken_promise_is_named(said):
    """Which call, and by how much."""
    Cell, law = PROMISED[said]
    assert said in promise_faults(grown(Cell, PLAIN), law)[0]


RNG = np.random.default_rng(8)
DZ, ROWS, COLUMNS, OTHER = RNG.normal(size=4), RNG.normal(size=(4, 2)), RNG.normal(size=(2, 4)), RNG.normal(size=(2, 2))
GIVEN = {"M": ROWS, "N": COLUMNS, "O": OTHER, "b": DZ}
UP, DOWN = np.split(DZ, 2)


@pytest.mark.parametrize(
    ("off", "said"),
    [
        (UP @ ROWS[:2] - UP @ ROWS[:2].T, "multiplies gate 0 of M without transposing it"),
        (DOWN @ COLUMNS[:, 2:].T - DOWN @ COLUMNS[:, 2:], "multiplies gate 1 of N without transposing it"),
        (np.ones(2), ""),
    ],
    ids=["rows", "columns", "neither"],
)
def test_a_matrix_that_is_not_transposed_is_found_in_either_layout(off, said):
    """Gates one below the other, or side by side; a gradient that is off by anything else is left alone."""
    true = RNG.normal(size=(1, 2))
    assert untransposed("h", true + off, true, DZ, GIVEN, {}) == said
    assert untransposed("h", np.ones(3), np.zeros(3), DZ, GIVEN, {}) == ""


def test_a_gradient_that_is_no_outer_product_is_left_alone():
    """One that is, of a vector that nothing is called by, as well."""
    v, w = RNG.normal(size=(2, 2))
    assert made_of("W", np.outer(w, DZ), np.outer(v, DZ), DZ, {}, {"x": v, "h": w}) == "is made of h where x belongs"
    assert made_of("W", np.outer(w, DZ).T, np.outer(v, DZ).T, DZ, {}, {"h": w}) == "is made of h"
    assert made_of("W", np.outer(w, DZ), np.outer(v, DZ), DZ, {}, {"x": v}) == ""
    assert made_of("W", COLUMNS, np.outer(v, DZ), DZ, {}, {"x": v}) == ""
    assert made_of("b", DZ, 2 * DZ, DZ, {}, {"x": v}) == ""
