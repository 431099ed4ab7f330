"""Correct cells that look wrong: other formulas, other orders, other places for the same numbers. None may raise an alarm.

Some break a promise, as most correct hand-written cells do; each says which. Everything else must hold.
"""

from dataclasses import dataclass

from cellcheck.cells import lift
from cellcheck.properties.mutants import guests
from cellcheck.properties.mutants.engine import HOMES, EditError, executed, text
from cellcheck.properties.mutants.numerics import LSTM_ACTIVATIONS, RNN_ACTIVATIONS, instead

TAILS = "derivatives_of_the_cell_keep_their_tails"
FORWARD_TAILS = "activations_of_the_cell_keep_their_tails"
FLAGS = "no_flag_but_underflow"
TEXTBOOK = "\n\ndef d_sigmoid(z):\n    return sigmoid(z) * (1 - sigmoid(z))\n\n\ndef d_tanh(z):\n    return 1 - tanh(z) ** 2\n"
GRU_ACTIVATIONS = "from cellcheck.cells.activations import d_sigmoid, d_tanh, sigmoid, tanh\n"
UPDATE = "sigmoid(a_u + s_u) * (n - h) + h"
REFUSALS = ("a_refusal_changes_nothing", "wrong_batches_are_refused", "wrong_states_are_refused")
KEPT = ("inputs_are_the_callers", "outputs_are_the_callers")
UNITS = "features_in_the_place_of_units_are_refused"


@dataclass(frozen=True)
class Lookalike:
    """A correct cell. why: what makes it look wrong; edits: of the file of a shipped cell; hazards: the promises it breaks."""

    name: str
    cell: str
    why: str
    edits: tuple = ()
    hazards: frozenset = frozenset()
    file: str = ""

    @property
    def cls(self):
        """The correct class: the edited one, or the guest of this name, lifted."""
        if not self.edits:
            return lift(getattr(guests, self.name))
        file = self.file or HOMES[self.cell]
        source = text(file)
        for old, new in self.edits:
            if old not in source:
                raise EditError(f"cells/{file}.py has no {old!r}")
            source = source.replace(old, new)
        return executed(self.cell, file, source, self.name)


def edited(name, cell, why, *edits, hazards=(), file=""):
    """A shipped cell rewritten by edits, each made wherever its old text is found."""
    return Lookalike(name, cell, why, edits, frozenset(hazards), file)


def guest(name, why, *hazards):
    """A class of guests.py."""
    return Lookalike(name, "", why, (), frozenset(hazards))


LOOKALIKES = [
    edited("TextbookRNN", "RNN", "1 - t^2 for tanh'", ("dh * d_tanh(z)", "dh * (1 - tanh(z) ** 2)"), hazards=[TAILS]),
    edited("TextbookLSTM", "LSTM", "s (1 - s) and 1 - t^2", (LSTM_ACTIVATIONS, LSTM_ACTIVATIONS + TEXTBOOK), hazards=[TAILS]),
    edited("TextbookGRU", "GRU", "s (1 - s) and 1 - t^2", (GRU_ACTIVATIONS, GRU_ACTIVATIONS + TEXTBOOK), hazards=[TAILS]),
    edited(
        "TextbookUnrolledLSTM",
        "UnrolledLSTM",
        "s (1 - s) and 1 - t^2 at every step",
        (LSTM_ACTIVATIONS, LSTM_ACTIVATIONS + TEXTBOOK),
        hazards=[TAILS],
        file="lstm",
    ),
    edited(
        "PlainSigmoid",
        "LSTM",
        "1 / (1 + exp(-z)): infinite on the way, right in the end",
        (LSTM_ACTIVATIONS, instead(LSTM_ACTIVATIONS, "sigmoid", "1 / (1 + np.exp(-z))")),
        hazards=[FLAGS, FORWARD_TAILS],
    ),
    edited(
        "SigmoidByTanh",
        "LSTM",
        "(1 + tanh(z / 2)) / 2",
        (LSTM_ACTIVATIONS, instead(LSTM_ACTIVATIONS, "sigmoid", "0.5 * (1 + np.tanh(z / 2))")),
        hazards=[FORWARD_TAILS],
    ),
    edited(
        "TanhBySigmoid",
        "RNN",
        "2 sigmoid(2 z) - 1",
        (
            RNN_ACTIVATIONS,
            "from cellcheck.cells.activations import d_tanh, sigmoid\n\n\ndef tanh(z):\n    return 2 * sigmoid(2 * z) - 1\n",
        ),
        hazards=[FORWARD_TAILS],
    ),
    edited(
        "ReciprocalCosh",
        "LSTM",
        "1 / cosh^2 for tanh'",
        (LSTM_ACTIVATIONS, instead(LSTM_ACTIVATIONS, "d_tanh", "1 / np.cosh(z) ** 2")),
        hazards=[FLAGS],
    ),
    edited(
        "SeparateProducts",
        "RNN",
        "x W_x + h W_h for [x, h] W",
        ("X @ self.W + self.b", "x @ self.W[: self.input_features] + h @ self.W[self.input_features :] + self.b"),
    ),
    edited("TransposedProduct", "LSTM", "(W^T X^T)^T for X W", ("X @ self.W + self.b", "(self.W.T @ X.T).T + self.b")),
    edited(
        "BiasAsAColumnOfOnes",
        "RNN",
        "[x, h, 1] [W; b]",
        ("X @ self.W + self.b", "np.hstack([X, np.ones((len(X), 1), x.dtype)]) @ np.vstack([self.W, self.b])"),
    ),
    edited(
        "ProductByEinsum", "LSTM", "sums in another order", ("X @ self.W + self.b", 'np.einsum("bi,ij->bj", X, self.W) + self.b')
    ),
    edited(
        "GatesInTorchOrder",
        "LSTM",
        "i f g o, with blocks that say so",
        ('GATES = ("input", "forget", "output", "candidate")', 'GATES = ("input", "forget", "candidate", "output")'),
        ("i, f, o, g = ", "i, f, g, o = "),
        ("[di, df, do, dg]", "[di, df, dg, do]"),
    ),
    edited(
        "StateBeforeInput",
        "LSTM",
        "[h, x], with blocks that say so",
        ('{"x": np.s_[:F], "h": np.s_[F:]}', '{"h": np.s_[:S], "x": np.s_[S:]}'),
        ("np.concatenate([x, h], axis=1)", "np.concatenate([h, x], axis=1)"),
        (
            "dX[:, : self.input_features], dX[:, self.input_features :]",
            "dX[:, self.state_size :], dX[:, : self.state_size]",
        ),
    ),
    edited(
        "ActivationsCached",
        "LSTM",
        "backward reads sigmoid(o) and tanh(c') instead of computing them again",
        ("self._cache = X, z, c.copy(), c_new.copy()", "self._cache = X, z, c.copy(), c_new.copy(), sigmoid(o), tanh(c_new)"),
        ("X, z, c, c_new = self._cache", "X, z, c, c_new, s_o, t_c = self._cache"),
        ("dh * sigmoid(o) * d_tanh(c_new)", "dh * s_o * d_tanh(c_new)"),
        ("dh * tanh(c_new)", "dh * t_c"),
    ),
    edited("ConvexCombination", "GRU", "(1 - u) h + u n", (UPDATE, "(1 - sigmoid(a_u + s_u)) * h + sigmoid(a_u + s_u) * n")),
    edited(
        "UpdateNegatedTwice",
        "GRU",
        "1 - sigmoid(-z) for sigmoid(z)",
        (UPDATE, "(1 - sigmoid(-a_u - s_u)) * (n - h) + h"),
        hazards=[FORWARD_TAILS],
    ),
    edited("OneMinusUpdate", "GRU", "1 - u for sigmoid(-z)", ("dh * sigmoid(-a_u - s_u)", "dh * (1 - u)")),
    edited(
        "OtherUpdateGate",
        "GRU",
        "z = 1 - u from negated weights: h' = (1 - z) n + z h, declared as the variant it is",
        ('kind = "GRU"\n', 'kind = "GRU"\n    variant = {"update": "old"}\n'),
        (UPDATE, "sigmoid(-a_u - s_u) * (n - h) + h"),
        ("r, u = sigmoid(a_r + s_r), sigmoid(a_u + s_u)", "r, u = sigmoid(a_r + s_r), sigmoid(-a_u - s_u)"),
        ("du = dh * (tanh(z_n) - h)", "du = dh * (h - tanh(z_n))"),
        ("dh * sigmoid(-a_u - s_u)", "dh * sigmoid(a_u + s_u)"),
    ),
    edited(
        "GatesInKerasOrder",
        "GRU",
        "u r n, with blocks that say so",
        ('GATES = ("reset", "update", "candidate")', 'GATES = ("update", "reset", "candidate")'),
        ("(a_r, a_u, a_n), (s_r, s_u, s_n)", "(a_u, a_r, a_n), (s_u, s_r, s_n)"),
        ("np.concatenate([dr, du, dn], axis=1)", "np.concatenate([du, dr, dn], axis=1)"),
        ("np.concatenate([dr, du, dn * r], axis=1)", "np.concatenate([du, dr, dn * r], axis=1)"),
    ),
    edited(
        "SecondForwardPass",
        "UnrolledLSTM",
        "each step runs again before its backward, instead of keeping a cell for each",
        ("[state], [], []", "[tuple(s.copy() for s in state)], [], []"),
        ("self._cache = x, alive, taken", "self._cache = x, alive, states[:-1]"),
        ("step = taken[t]._vjp(*d_new)", "self.step.apply(x[t], *taken[t])\n            step = self.step.vjp(*d_new)"),
    ),
    edited(
        "WeightGradientsSummedLast",
        "UnrolledGRU",
        "the steps are summed first to last, at the end",
        (
            "d_weights = [total + d for total, d in zip(d_weights, step.weights)]",
            "d_weights = [[d, *rest] for rest, d in zip(d_weights, step.weights)]",
        ),
        (
            "[np.zeros_like(w) for w in self.weights], np.zeros_like(x",
            "[[np.zeros_like(w)] for w in self.weights], np.zeros_like(x",
        ),
        ("Gradients(d_weights, dx", "Gradients([np.sum(d, axis=0) for d in d_weights], dx"),
    ),
    guest("GistRNN", "weights, forward and backward, nothing else", REFUSALS[0], UNITS),
    guest("GistLSTM", "the gist's contract with a sum for an output; biases (1, 4 state)", *REFUSALS, UNITS, KEPT[0], FLAGS),
    guest("ColumnRNN", "weights are (state, fan_in), declared as transposed", *REFUSALS[:2], KEPT[0]),
    guest("SeparateGatesLSTM", "twelve arrays, one for each gate and source", *REFUSALS, *KEPT),
    guest("TwoBiasesLSTM", "a bias of x and one of h, whose gradients are equal", *REFUSALS, *KEPT),
]
