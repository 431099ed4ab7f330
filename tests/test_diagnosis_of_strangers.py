"""Mistakes are named in guests that strangers write: of no declared kind, without states, with nothing but a loss."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest
from cellcheck.cells import lift
from cellcheck.cells.adapters import adapt
from cellcheck.properties.intake import conventions
from cellcheck.properties.intake.catalogue import laws
from cellcheck.properties.mutants import CATALOGUE
from cellcheck.properties.mutants.judge import drawn
from cellcheck.properties.reports import Case
from cellcheck.properties.reports.diagnosis import Attempts, accepted, diagnose, examined, located, nearly, overflown
from cellcheck.properties.reports.diagnosis.conduct import impure
from cellcheck.properties.reports.diagnosis.flow import Flow
from cellcheck.properties.reports.diagnosis.flow_faults import untold
from cellcheck.properties.reports.diagnosis.gradients import (
    gradient_faults,
    one_array,
    onwards,
    where_a_size_is_one,
    with_large_numbers,
)
from cellcheck.properties.reports.diagnosis.grown import LONG, PLAIN, grown
from cellcheck.properties.reports.diagnosis.mistakes import matched
from cellcheck.properties.reports.diagnosis.operations import mistakes, uncarried
from cellcheck.properties.reports.diagnosis.tape import Untold
from cellcheck.properties.reports.diagnosis.through_time import reached
from cellcheck.properties.shrinking.shrinking import Subject, smallest
from cellcheck.properties.verdicts.blocks import Block, Violation

from tests.guests import (
    followed,
    joined,
    ladders,
    memories,
    single_steps,
    steps_in_time,
    unseen_later,
    unseen_sequences,
    unseen_steps,
)
from tests.guests.single_steps import gated, rectified
from tests.guests.steps_in_time import both_ways

pytestmark = pytest.mark.filterwarnings("ignore")  # of broken cells
SEEN = single_steps.MISTAKES | steps_in_time.MISTAKES
UNSEEN = unseen_steps.MISTAKES | unseen_sequences.MISTAKES  # written before the diagnosis followed cells of any kind
LATER = unseen_later.MISTAKES  # written after it
MISTAKES = SEEN | UNSEEN | LATER
PLANTED = [(guest, mistake) for guest, mistakes in MISTAKES.items() for mistake, said in mistakes.items() if said]
SILENT = [(guest, mistake) for guest, mistakes in MISTAKES.items() for mistake, said in mistakes.items() if not said]


def met(Guest):
    """The guest as the intake hands it on: with its kind and blocks, if those are recognised."""
    found = conventions.search(lift(Guest))
    return lift(Guest, **found.declared()) if found and found.difference < 1e-8 else lift(Guest)


def told(Cell, law, group, got=0.0):
    """The sentences of the diagnosis of this law of a cell, whose worst block is `got` instead of 1."""
    block, tried = Block("a", np.full((2, 3), got), np.ones((2, 3)), 1.0, 0.0, "violated", (0, 0)), Attempts()
    case = Case("a.py:B", law, group, "", None, Cell, PLAIN, Violation([block]))
    sentences, _ = diagnose(case, tried)
    assert not tried.faults and accepted(case) == []
    return sentences


@pytest.mark.parametrize(("guest", "mistake"), PLANTED, ids=lambda value: getattr(value, "__name__", value))
def test_a_mistake_is_named(guest, mistake):
    """With a number that speaks for it."""
    (first, *_), wrong, faults = examined(met(guest(mistake)), PLAIN)
    assert wrong and not faults
    assert MISTAKES[guest][mistake] in re.sub(r" \(line \d+\)", "", first)
    assert any(character.isdigit() for character in first)


THERE = followed.MISTAKES | joined.MISTAKES | ladders.MISTAKES | memories.MISTAKES
FOLLOWED = [(guest, mistake) for guest, mistakes in THERE.items() for mistake in mistakes]


@pytest.mark.parametrize(("guest", "mistake"), FOLLOWED, ids=lambda value: getattr(value, "__name__", value))
def test_a_mistake_is_named_where_it_is_made(guest, mistake):
    """In a helper that is called twice, in one step of a loop, beside several inputs, or where time is the last axis."""
    tried = Attempts()
    (first, *_), right = gradient_faults(grown(lift(guest(mistake)), PLAIN), tried)
    assert not right and not tried.faults
    assert THERE[guest][mistake] in re.sub(r" \(line \d+\)", "", first)


@pytest.mark.parametrize("guest", THERE)
def test_nothing_is_said_of_what_is_right(guest):
    """All of those cells, without a mistake."""
    tried = Attempts()
    assert gradient_faults(grown(lift(guest()), PLAIN), tried) == ([], True) and not tried.faults


@pytest.mark.parametrize(("guest", "mistake"), SILENT, ids=lambda value: getattr(value, "__name__", value))
def test_nothing_is_said_of_a_mistake_that_no_prediction_matches(guest, mistake):
    """Silence rather than a guess."""
    assert examined(met(guest(mistake)), PLAIN) == ((), True, ())


def test_gradients_that_are_wrong_with_large_weights_only_are_told():
    """With the scales between which that changes; nothing is said of the right cell."""
    [sentence] = with_large_numbers(met(single_steps.apart("ends")), np.inf)
    said = r"gradients are right with pre-activations of about 0.1, and wrong with those of about 1 \(F, P, I, Q, x and h(; \d+ of \d+ .*)?\): something"
    assert re.match(said, sentence)
    assert with_large_numbers(met(single_steps.apart("ends")), 0.03) == []  # so small are the numbers of a case
    assert with_large_numbers(met(single_steps.apart("hard")), np.inf) == []


def test_a_size_that_equals_a_fixed_axis_is_told():
    """Of a branch, or a broadcast, that goes by the lengths; nothing is said of the right cell."""
    [sentence] = where_a_size_is_one(met(ladders.heads("size")))
    assert sentence.startswith(
        "gradients are right at batch 3, features 4 and state 5, and wrong where state is 7, the length of another axis (B"
    )
    assert where_a_size_is_one(met(ladders.heads())) == []
    assert where_a_size_is_one(lift(ladders.heads("size"), sizes={"state": (5, 9)})) == []  # it never has 7


def test_a_gradient_that_is_multiplied_by_its_own_weight_is_told():
    """As where a gain is applied once too often."""
    g = grown(met(ladders.normed()), PLAIN)
    truth = g.truth()
    [sentence] = one_array(g, "g", truth["g"] * g.p.weights[g.names.index("g")], truth)
    assert sentence.startswith("the gradient of g is multiplied by g itself: this predicts it")


def test_a_gradient_that_is_rounded_to_float32_is_told():
    """With how far it is from right."""
    g = grown(met(ladders.normed()), PLAIN)
    truth = g.truth()
    [sentence] = one_array(g, "U", truth["U"].astype(np.float32).astype(float), truth)
    assert re.fullmatch(
        r"the gradient of U has passed through float32: all its 25 numbers are float32, \d.*e-08 from right", sentence
    )
    assert impure(g) == []  # and it keeps nothing from call to call


def test_an_epsilon_of_one_pass_is_told():
    """It hardly counts with ordinary numbers, and much where a norm is 0."""
    Cell, law = met(ladders.normed("epsilon")), laws()["weight_gradients"].check
    problem, error = smallest(law, Cell, next(p for p in drawn("weight_gradients") if Subject(law, Cell).failure(p)))
    case = Case("a.py:Normed", "weight_gradients", "gradients", "", law, Cell, problem, error)
    [sentence] = nearly(case)
    assert sentence.endswith("as with an epsilon that the forward pass has and the backward pass lacks, or the reverse")
    right = replace(case, Cell=met(ladders.normed()))
    assert nearly(right) == []


class Growing:
    """h' = exp(rate) h + x W."""

    def __init__(self, features, state):
        self.W, self.rate = np.zeros((features, state)), np.zeros(state)
        self.weights = [self.W, self.rate]

    def apply(self, x, h):
        self.cache = x.copy(), h.copy()
        return np.exp(self.rate) * h + x @ self.W

    def vjp(self, dh):
        (x, h), a = self.cache, np.exp(self.rate)
        return [x.T @ dh, (dh * a * h).sum(axis=0)], dh @ self.W.T, [dh * a]


class Root(Growing):
    """h' = sqrt(100 - x) W + h, which is not finite beyond 100, although nothing overflows."""

    def apply(self, x, h):
        self.cache = x.copy(), h.copy()
        return np.sqrt(100 - x) @ self.W + h


@pytest.mark.parametrize(("law", "lost"), [("outputs_are_finite", "h'"), ("gradients_are_finite", "the gradient of rate")])
def test_a_number_too_large_for_exp_is_told_with_the_declaration(law, lost):
    """Where one number makes a result infinite; not where nothing overflows, or the result is a wrong number."""
    Cell, check = lift(Growing), laws()[law].check
    failed = [p for p in drawn(law) if Subject(check, Cell).failure(p)]
    problem, error = smallest(check, Cell, failed[0])
    case = Case("a.py:Growing", law, "stability", "", check, Cell, problem, error)
    [sentence] = overflown(case)
    assert re.match(rf"something overflows, first in `.*exp.*` \(.*\), with rate = 7\d\d, and {lost} is not finite\. ", sentence)
    assert sentence.endswith('or declare domains = {"rate": (low, high)}')
    root = replace(case, law=laws()["outputs_are_finite"].check, Cell=lift(Root))
    problem, error = smallest(root.law, root.Cell, next(p for p in drawn(law) if Subject(root.law, root.Cell).failure(p)))
    assert overflown(replace(root, problem=problem, error=error)) == []
    wrong = Violation([Block("h'", np.zeros((1, 1)), np.ones((1, 1)), 1.0, 0.0, "violated", (0, 0))])
    assert overflown(replace(case, error=wrong)) == []


def test_gradients_that_are_wrong_in_a_batch_of_one_row_are_told():
    """With the arrays that are wrong; nothing is said of the right cell, nor of one that is wrong in every batch."""
    sentence = "gradients are right at batch 3, features 4 and state 5, and wrong where batch is 1 (C and x)"
    assert where_a_size_is_one(met(single_steps.apart("one row"))) == [sentence]
    assert where_a_size_is_one(met(single_steps.apart())) == where_a_size_is_one(met(single_steps.apart("outputs"))) == []


class Positive(single_steps.apart()):
    """What a declared domain bounds is followed as well."""

    domains = single_steps.POSITIVE

    def vjp(self, d):
        """All gradients, without the path through i, a sigmoid of b."""
        x, h, *_, f, i, c = self.kept
        da, dc = d * h * f * (1 - f), d * i * (1 - c * c)
        dx, zero = da @ self.F.T + dc @ self.C.T, 0 * self.Q
        return [x.T @ da, h.T @ da, 0 * self.I, zero, x.T @ dc], dx, [da @ self.P.T + d * f]


def test_a_cell_with_a_domain_is_followed():
    """The operation whose gradient is missing is named."""
    [sentence] = told(lift(Positive), "weight_gradients", "gradients")
    assert sentence.startswith("no gradient flows back to `i` through `i * c`")


class Powers:
    """h' = arctan(x W / t) + h / 2, whose gradient of t lacks a factor 1 / sqrt(t)."""

    state_names, domains = ("h",), {"t": (0.5, 2.0)}

    def __init__(self, features, state):
        self.W, self.t = np.zeros((features, state)), np.ones(())
        self.weights = [self.W, self.t]

    def apply(self, x, h):
        self.x, self.z = x, x @ self.W
        return (np.arctan(self.z / self.t) + h * 0.5,)

    def vjp(self, d):
        du = d / (1 + (self.z / self.t) ** 2)
        return [self.x.T @ (du / self.t), np.asarray(-(du * self.z).sum() / self.t**1.5)], du / self.t @ self.W.T, [0.5 * d]


def test_a_factor_that_depends_on_the_numbers_is_told_as_that():
    """It is no constant that somebody wrote."""
    [sentence] = told(lift(Powers), "weight_gradients", "gradients")
    assert re.match(
        r"the gradient that flows back to `t` .* is scaled by [\d.]+, a factor that varies: with other numbers, by [\d.]+",
        sentence,
    )


class Cast(Positive):
    """Returns float32, whatever it is given."""

    def apply(self, x, h):
        return tuple(y.astype(np.float32) for y in super().apply(x, h))


def test_an_output_that_is_cast_is_told_before_what_follows_from_it():
    """Of a cell of any shapes and domains, unless it is declared or the error is larger; a hazard has a cause of its own."""
    said = "h' is float32, but x and the weights are float64: a cast or a buffer rounds"
    assert told(lift(Cast), "a_second_vjp_is_answered", "purity", 1 - 1e-7) == [said]
    assert told(lift(Cast), "weight_gradients", "gradients", 1 - 1e-7) == [said]
    assert said not in told(lift(Cast), "weight_gradients", "gradients", 0.5)
    assert said not in told(lift(Cast, choices={"float32": True}), "weight_gradients", "gradients", 1 - 1e-7)
    [own] = told(lift(Kept), "inputs_are_the_callers", "purity")
    assert own.startswith("the cell keeps x itself, not a copy")


class Coarse:
    """tanh(x W + h) in float32, whose product is of fewer bits; a number of its bias is wrong."""

    dtypes, bits, to = (np.float32,), 11, staticmethod(np.rint)

    def __init__(self, features, state):
        self.weights = [np.zeros((features, state), np.float32)]

    def fewer(self, a):
        part, power = np.frexp(a)
        return np.ldexp(self.to(part * 2.0**self.bits), power - self.bits).astype(a.dtype) if a.dtype == np.float32 else a

    def apply(self, x, h):
        self.x, self.y = x, np.tanh(self.fewer(x) @ self.fewer(self.weights[0]) + h)
        return (self.y,)

    def vjp(self, d):
        d = d * (1 - self.y**2)
        return [self.fewer(self.x).T @ self.fewer(d)], self.fewer(d) @ self.fewer(self.weights[0]).T, [d]


@pytest.mark.parametrize(("bits", "to"), [(11, np.rint), (11, np.trunc), (8, np.rint)])
def test_products_of_fewer_bits_are_told_unless_they_are_declared(bits, to):
    """As those of a GPU in TF32 are."""
    Cell = type("Cell", (Coarse,), {"bits": bits, "to": staticmethod(to)})
    formats = {8: "bfloat16 has", 11: "float16 and TF32 have"}[bits]
    said = f"weights[0] and x are rounded to {bits} bits, as {formats}; if that is on purpose, declare precision = 2.0**-{bits}"
    assert told(lift(Cell), "weight_gradients", "gradients") == [said]
    assert told(lift(Cell, precision=2.0**-bits), "weight_gradients", "gradients") == []
    assert told(lift(type("Cell", (Coarse,), {"fewer": lambda self, a: a})), "weight_gradients", "gradients") == []


class Unseen:
    """tanh(z1) sigmoid(z2) + h, computed number by number, where no array is seen; the gradient of z2 has the wrong sign."""

    def __init__(self, features, state):
        self.weights = [np.zeros((features, 2 * state)), np.zeros(2 * state)]

    def apply(self, x, h):
        z, s = x @ self.weights[0] + self.weights[1], h.shape[1]
        self.x = x
        self.t, self.s = (
            [[f(float(v)) for v in row] for row in part] for f, part in ((math.tanh, z[:, :s]), (_logistic, z[:, s:]))
        )
        return (np.array([[a * b for a, b in zip(*rows)] for rows in zip(self.t, self.s)]).reshape(h.shape) + h,)

    def vjp(self, d):
        t, s = np.reshape(self.t, d.shape), np.reshape(self.s, d.shape)
        dz = np.concatenate([d * s * (1 - t * t), -d * t * s * (1 - s)], axis=1)
        return [self.x.T @ dz, dz.sum(axis=0)], dz @ self.weights[0].T, [d]


def _logistic(v):
    return 1 / (1 + math.exp(-v))


def test_a_factor_in_one_gate_is_told_where_the_way_of_the_gradient_is_not_seen():
    """As in compiled code of an unknown kind."""
    first, second = told(lift(Unseen), "weight_gradients", "gradients")
    said = "is negated: its sign is wrong (factor -1) in gate 1 of its gates 0 to 1, and right in the others"
    assert first.startswith(f"the gradient of weights[0] {said}") and second.startswith(f"the gradient of weights[1] {said}")


class Normalised:
    """h' = tanh(x W / |W| + h); W / |W| has no value at W = 0."""

    state_names = ("h",)

    def __init__(self, features, state):
        self.W = np.zeros((features, state))
        self.weights = [self.W]

    def apply(self, x, h):
        self.x, self.size = x, np.sqrt((self.W**2).sum())
        self.y = np.tanh(x @ (self.W / self.size) + h)
        return (self.y,)

    def vjp(self, d):
        d = d * (1 - self.y**2)
        unit, dV = self.W / self.size, self.x.T @ d
        return [(dV - unit * (unit * dV).sum()) / self.size], d @ unit.T, [d]


@pytest.mark.parametrize("domains", [{}, {"x": (-9, 9)}])
def test_an_array_that_is_zero_and_makes_nan_is_told(domains):
    """With the declaration that excludes it, under which the laws hold; also of a cell whose other numbers have a domain."""
    law, Cell = laws()["outputs_are_finite"].check, lift(Normalised, domains=domains)
    with pytest.raises(Violation) as broken:
        law(Cell=Cell, problem=(zero := replace(PLAIN, scale=0.0).literal(Cell)))
    case = Case("a.py:B", "outputs_are_finite", "stability", "", law, Cell, zero, broken.value)
    [sentence] = diagnose(case, Attempts())[0]
    assert sentence.startswith("W = 0 makes NaN, as of 0 / 0") and sentence.endswith('{"W": "non-zero"}')
    law(Cell=lift(Normalised, domains={"W": "non-zero"}), problem=replace(PLAIN, scale=0.0))


class Layers(Unseen):
    """Two states, a and b, of which b gets no gradient of a."""

    state_names = ("a", "b")

    def apply(self, x, a, b):
        """a' and b' = tanh(a' + b)."""
        (a,) = super().apply(x, a)
        self.b = np.array([[math.tanh(float(v)) for v in row] for row in a + b]).reshape(a.shape)
        return a, self.b

    def vjp(self, da, db):
        """That of a' alone reaches x and a."""
        t, s = np.reshape(self.t, da.shape), np.reshape(self.s, da.shape)
        dz = np.concatenate([da * s * (1 - t * t), da * t * s * (1 - s)], axis=1)
        return [self.x.T @ dz, dz.sum(axis=0)], dz @ self.weights[0].T, [da, db * (1 - self.b**2)]


def test_outputs_from_which_no_gradient_flows_are_told():
    """As where a layer is detached from the one below; of code whose operations are not seen."""
    [sentence] = told(lift(Layers), "weight_gradients", "gradients")
    assert sentence.startswith(
        "no gradient flows from b' to a, x, weights[1] and weights[0], as where a state is detached (4 of 5"
    )


class Dropped(Normalised):
    """With dropout that nobody has switched off."""

    random = np.random.default_rng(0)

    def apply(self, x, h):
        """Half of h'."""
        (y,) = super().apply(x, h)
        return (y * Dropped.random.integers(0, 2, y.shape),)


def test_dropout_is_no_dependence_of_rows():
    """What differs from run to run is told as that."""
    (sentence, *_) = told(lift(Dropped), "vjp_scales", "linearity")
    assert sentence.startswith("h' differs between two fresh cells with the same numbers, by ")


class Kept(Positive):
    """Keeps what it is given."""

    def apply(self, x, h):
        found = super().apply(x, h)
        self.kept = x, h, *self.kept[2:]
        return found


class Delayed:
    """h' = tanh(x[t] V + x[t - 1] W) + h / 2: the x before is no state."""

    sequence = True

    def __init__(self, features, state):
        self.V, self.W = np.zeros((features, state)), np.zeros((features, state))
        self.weights = [self.V, self.W]

    def apply(self, x, h):
        """The final state and those of all steps."""
        hs = [h]
        for x_t, before in zip(x, [np.zeros_like(x[0]), *x[:-1]] if len(x) else []):
            hs.append(np.tanh(x_t @ self.V + before @ self.W) + hs[-1] / 2)
        return hs[-1].copy(), np.array(hs[1:]).reshape(len(x), *h.shape)


def test_a_memory_beside_the_states_is_told():
    """With what to declare if it is meant."""
    [sentence] = told(lift(Delayed), "a_sequence_may_be_split", "sequences")
    assert sentence.startswith(
        "steps depend on more than x and h, or are put together wrongly: continued after its first step, a run ends 0."
    )
    assert "only if the number of the step shall matter, declare choices = {'time': True}" in sentence


def recalled(mistake):
    """S' = S / 2 + k v^T and y = tanh(S' sum k) for each of two inputs, of which the state is a matrix; without gradients."""

    def forward(k, v, S):
        k, ys = k / (1 + np.abs(k).sum(1 if mistake == "rows" else 2, keepdims=True)), []
        for t in range(len(k)):
            S = (S if mistake != "carried" or t else 0 * S) / 2 + k[t, :, :, None] * v[t, :, None] * (
                t < 3 or mistake != "dropped"
            )
            ys.append(np.tanh((S * k[t, :, :, None]).sum(1)) + (k[-1, :, :1] if mistake == "ahead" else 0))
        return S, np.reshape(ys, (*k.shape[:2], S.shape[2]))

    return adapt(
        lambda F, S: {},
        ("k v S -> S y", forward),
        axes="steps batch features",
        inputs={"k": "steps batch features", "v": "steps batch state"},
        states={"S": "batch features state"},
        output={"y": "steps batch state"},
    )


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        (None, None),
        ("rows", "rows depend on each other: in a batch of 3, rows [0, 1, 2] of S' differ from what each gives alone"),
        ("carried", "the initial S is ignored: with zeros instead, the outputs are the same"),
        ("ahead", "ys of step 0 changes with k and v of step 3, which is later"),
        ("dropped", "steps depend on more than k, v and S, or are put together wrongly"),
    ],
)
def test_rows_and_steps_are_looked_at_in_cells_of_any_shapes(mistake, said):
    """With several inputs, and a state that is a matrix."""
    sentences = told(recalled(mistake), "a_sequence_is_its_steps", "sequences")
    assert [sentence.startswith(said) for sentence in sentences] == [True] if said else sentences == []


@pytest.mark.parametrize("axis", [0, 1])
def test_a_loss_in_which_rows_depend_on_each_other_is_told(axis):
    """As of a softmax over the rows; nothing is said of one over the features."""

    def forward(x, W):
        e = np.exp(x @ W)
        return ((e / e.sum(axis, keepdims=True)) ** 2).sum()

    Cell = adapt(lambda F, S: {"W": np.zeros((F, S))}, ("x W -> loss", forward), axes="batch features", domains={"x": (-2, 2)})
    sentences = told(Cell, "sum_output_is_additive_over_rows", "linearity")
    said = "rows depend on each other: the loss of 3 rows is "
    assert [sentence.startswith(said) for sentence in sentences] == [True] * (axis == 0)


class Unreset(Growing):
    """Computes the gradient of h number by number, and adds those of the rows before."""

    def vjp(self, dh):
        weights, dx, (dh,) = super().vjp(dh)
        return (
            weights,
            dx,
            [np.array([[math.fsum(column[: r + 1]) for column in dh.T] for r in range(len(dh))]).reshape(dh.shape)],
        )


def test_a_gradient_of_a_row_that_depends_on_others_is_told():
    """With the rows in which it is wrong."""
    [sentence] = told(lift(Unreset), "state_gradients", "gradients")
    said = "the gradient of a row depends on earlier rows, although its outputs do not: in a batch of 3, that of h in rows 1 and 2 changes"
    assert sentence.startswith(said)


class Leaky:
    """ys[t] = tanh(x[t] W) + 0.5 ys[t - 1], without states. reach(s, t): the factor of the gradient from step s of ys to step t of x."""

    sequence, state_names = True, ()

    def __init__(self, features, state, reach=lambda s, t: 1.0):
        self.weights, self.reach = [np.zeros((features, state))], reach

    def apply(self, x):
        self.x, self.y = x.copy(), np.tanh(x @ self.weights[0])
        T = np.arange(len(x))
        self.decay = np.tril(0.5 ** np.abs(np.subtract.outer(T, T)))
        return (np.tensordot(self.decay, self.y, 1),)

    def vjp(self, d):
        factors = np.array([[self.reach(s, t) for t in range(len(d))] for s in range(len(d))]).reshape(len(d), len(d))
        dz = np.tensordot((self.decay * factors + np.triu(factors != 1, 1)).T, d, 1) * (1 - self.y**2)
        return [np.tensordot(self.x, dz, ((0, 1), (0, 1)))], dz @ self.weights[0].T, ()


class Blocked(Growing):
    """Computes the gradient of h for the first 16 rows and the first 8 units alone."""

    def vjp(self, dh):
        weights, dx, (dh,) = super().vjp(dh)
        return weights, dx, [np.where((np.arange(len(dh))[:, None] < 16) & (np.arange(dh.shape[1]) < 8), dh, 0)]


@pytest.mark.parametrize(
    ("size", "n", "where"),
    [
        ("batch", 17, "at batch 34, wrong is the gradient of h (in rows"),
        ("state", 9, "at state 17, wrong is the gradient of h (in units"),
    ],
)
def test_rows_and_units_from_which_on_gradients_are_wrong_are_told(size, n, where):
    """Beyond the sizes at which mistakes are told apart."""
    block = Block("a", np.zeros(1), np.ones(1), 1.0, 0.0, "violated", (0,))
    case = Case(
        "a.py:B", "state_gradients", "gradients", "", None, lift(Blocked), replace(PLAIN, **{size: n}), Violation([block])
    )
    [sentence] = located(case)
    first = {"batch": 16, "state": 8}[size]
    assert sentence == f"no known mistake matches; {where} from {first} on), and right are those of W, rate and x"


def test_the_step_from_which_on_gradients_are_wrong_is_told():
    """With the upstreams for which they are right."""
    found = onwards(grown(lambda F, S: Leaky(F, S, lambda s, t: 0.9 if s > 19 else 1.0), replace(LONG, steps=24)))
    assert found[0].startswith(
        "no known mistake matches; gradients are right for an upstream at any single step of ys before step 20"
    )
    assert onwards(grown(Leaky, replace(LONG, steps=24))) == []


@pytest.mark.parametrize(
    ("reach", "said"),
    [
        (lambda s, t: 1.0, None),
        (lambda s, t: 0.9 if s == t else 1.0, None),  # no matter of time
        (lambda s, t: float(s <= t), "no gradient flows from ys back to x of earlier steps"),
        (lambda s, t: float(s - t < 2), "no gradient flows from ys back more than 1 step:"),
        (
            lambda s, t: float(s // 3 <= t // 3),
            "no gradient flows from ys back to x from step 3 to step 2, as where chunks of 3 steps meet",
        ),
        (
            lambda s, t: float(s < 1 or t > 0),
            "no gradient flows from ys back to x from step 1 to step 0, as where chunks of 3 steps meet",
        ),
        (
            lambda s, t: 0.5 if s > 1 > t - 1 else 1.0,
            "the gradient that flows from ys back to x is wrong where it is carried from step 2 to step 1, and right elsewhere",
        ),
        (lambda s, t: 0.9 ** max(s - t, 0), "the gradient that is carried back in time is wrong"),
        (lambda s, t: 0.5 if t > s else 1.0, "the gradient of x at step 1 is not 0 with an upstream at step 0"),
    ],
)
def test_how_far_back_a_gradient_flows_is_told_of_any_sequence(reach, said):
    """Also where no single step can be redone and no operation is seen, as of a compiled cell."""
    found = reached(grown(lambda features, state: Leaky(features, state, reach), PLAIN))
    assert [sentence.startswith(said) for sentence in found] == [True] if said else found == []


def test_a_gradient_that_is_the_upstream_is_told_of_no_steps_alone():
    """Where the loop over the steps makes no copy of it."""
    law, Cell = laws()["gradients_are_the_callers"].check, lift(Decay, domains={})
    zero = replace(PLAIN, steps=0).literal(Cell)
    with pytest.raises(Violation) as broken:
        law(Cell=Cell, problem=zero)
    case = Case("a.py:Decay", "gradients_are_the_callers", "purity", "", law, Cell, zero, broken.value)
    said = "of a sequence of 0 steps, the gradient of h that vjp returns is the upstream of h' itself, not a copy"
    assert diagnose(case, Attempts())[0][0].startswith(said)


class Passing(Normalised):
    """Returns x as its second state."""

    state_names = ("last", "h")

    def apply(self, x, last, h):
        """x, and h'."""
        return x, super().apply(x.copy(), h)[0]

    def vjp(self, d_last, d):
        """Of W, x, the ignored state and h."""
        weights, dx, dh = super().vjp(d)
        return weights, dx + d_last, [0 * d, *dh]


def test_an_output_that_is_an_input_is_told():
    """Who adds to the one changes the other."""
    Cell = lift(Passing, sizes={"features": ("state",)})
    [sentence] = told(Cell, "inputs_are_the_callers", "purity")
    assert sentence.startswith("last' as returned is x itself, not a copy")


class Decay:
    """h[t] = a h[t - 1] + x[t] W in chunks of 64 steps, which the gradient does not cross."""

    sequence, chunk, domains = True, 64, {"A": (-3, 1)}

    def __init__(self, features, state):
        self.W, self.A = np.zeros((features, state)), np.zeros(state)
        self.weights = [self.W, self.A]

    def apply(self, x, h):
        self.x, self.hs, a = x.copy(), [h.copy()], np.exp(-np.exp(self.A))
        for step in x @ self.W:
            self.hs.append(a * self.hs[-1] + step)
        return self.hs[-1].copy(), np.reshape(self.hs[1:], (len(x), *h.shape))

    def vjp(self, dh, dys):
        a, da, dv = np.exp(-np.exp(self.A)), 0 * self.A, np.zeros_like(dys)
        for left, t in zip(range(1, len(dys) + 1), reversed(range(len(dys)))):
            dv[t] = dh + dys[t]
            da = da + (dv[t] * self.hs[t]).sum(axis=0)
            dh = a * dv[t] if left % 64 or not t else 0 * dh
        return [np.einsum("tbf,tbs->fs", self.x, dv), -da * a * np.exp(self.A)], dv @ self.W.T, (dh,)


def test_a_border_that_no_gradient_crosses_is_told_at_the_fewest_steps():
    """Where the numbers of the case let a gradient arrive; in a long sequence half of the steps are left out at a time."""
    law, Cell = laws()["state_gradients"].check, lift(Decay)
    literal, error = smallest(law, Cell, replace(PLAIN, steps=36, seed=2))
    assert literal.steps == 65
    case = Case("a.py:Decay", "state_gradients", "gradients", "", law, Cell, literal, error)
    sentences, _ = diagnose(case, Attempts())
    assert sentences == ["no gradient flows from ys back to x from step 1 to step 0, as where chunks of 64 steps meet"]


@pytest.mark.parametrize("guest", MISTAKES)
def test_nothing_is_said_of_a_right_guest(guest):
    """On none of the problems."""
    for problem in (PLAIN, LONG, replace(PLAIN, scale=30.0), replace(PLAIN, steps=1), replace(LONG, steps=9)):
        assert examined(met(guest()), problem) == ((), False, ())


@pytest.mark.parametrize("guest", [guest for guest in UNSEEN | LATER if guest is not unseen_sequences.summed_ways])
def test_no_prediction_is_told_of_right_gradients(guest):
    """Every mistake that is tried on the operations of a cell, of which there are many, against what a right twin returns."""
    flow = Flow(grown(met(guest()), PLAIN))
    tried = list(flow.predicted(mistakes(flow)))
    assert len(tried) > 20
    with np.errstate(all="ignore"):
        assert matched(tried, flow.straight, flow.straight, "all gradients") == []


@pytest.mark.parametrize(("table", "right", "silent"), [(SEEN, 28, 0), (UNSEEN, 59, 1), (LATER, 10, 0)])
def test_how_many_mistakes_are_named(table, right, silent):
    """Those that the diagnosis was written for, those written before it followed cells of any kind, and those written after it.

    None is named wrongly: the tests above would fail.
    """
    said = [words for mistakes in table.values() for words in mistakes.values()]
    assert (sum(map(bool, said)), said.count(None)) == (right, silent)


def test_a_state_that_is_not_carried_is_among_what_is_tried():
    """Of the two, each is tried alone."""
    said = [sentence for sentence, _ in uncarried(Flow(grown(met(memories.pair()), PLAIN)))]
    assert sorted(said) == [f"no gradient flows back to `{name}` from one step to the one before" for name in "ch"]


def test_what_no_operation_of_numpy_shows_is_not_followed():
    """Arrays that are made of the bytes of others; the report says that no line can be told."""
    g = grown(met(joined.hidden()), PLAIN)
    with pytest.raises(Untold):
        Flow(g)
    assert (
        untold(g) == "its outputs are not computed by NumPy, torch or jax in real numbers alone"
        and untold(grown(met(joined.joined()), PLAIN)) == ""
    )


def test_a_cell_of_other_shapes_is_diagnosed_too():
    """Its ys is wider than a state; what a law compares may be an array, and no text."""
    assert MISTAKES[both_ways]["x"] in told(both_ways("x"), "input_gradients", "gradients")[0]


@pytest.mark.parametrize(("law", "group"), [("dtypes_are_kept", "layout"), ("no_flag_but_underflow", "stability")])
def test_a_wrong_gradient_does_not_explain_laws_of_layout_and_stability(law, group):
    """Which compare no gradient with the right one."""
    assert "the reset gate" in told(met(gated("r")), "weight_gradients", "gradients")[0]
    assert not told(met(gated("r")), law, group)


@pytest.mark.parametrize(("got", "explained"), [(0.5, True), (1 + 1e-9, False)])
def test_a_wrong_gradient_explains_a_derivative_that_is_off_by_much(got, explained):
    """A derivative that lacks its last digits has another cause."""
    sentences = told(met(gated("r")), "derivatives_of_the_cell_keep_their_tails", "stability", got)
    assert any("the reset gate" in sentence for sentence in sentences) == explained


def test_what_other_numbers_do_not_confirm_is_not_said():
    """With one feature and two units the wrong gradient of x is right times some number."""
    Cell = met(rectified("mask"))
    assert not any("scaled by" in sentence for sentence in examined(Cell, LONG).sentences)


def test_errors_too_small_to_count_end_no_look():
    """Of gradients that are off by the roundings of float32."""
    [Cell] = [mutant.cls for mutant in CATALOGUE if mutant.name == "Float32Gradients"]
    sentences, wrong, faults = examined(Cell, replace(PLAIN, steps=1))
    assert wrong and not faults and "has passed through float32" in sentences[0]


@pytest.mark.parametrize("declared", [False, True])
def test_a_detached_gate_of_torch_is_named(declared):
    """No gradient flows through it, with and without a kind."""
    torch = pytest.importorskip("torch")
    from cellcheck.cells.adapters import torch_module

    class Module(torch.nn.Module):
        def __init__(self, F, S):
            super().__init__()
            self.of_x, self.of_h = torch.nn.Linear(F, 3 * S), torch.nn.Linear(S, 3 * S)

        def forward(self, x, h):
            x, h3 = self.of_x(x).chunk(3, 1), self.of_h(h).chunk(3, 1)
            r, z = torch.sigmoid(x[0] + h3[0]).detach(), torch.sigmoid(x[1] + h3[1])
            return torch.lerp(torch.tanh(x[2] + r * h3[2]), h, z)

    Cell = torch_module(Module, call=lambda module, x, h: (module(x, h),), states=("h",))
    said = "the reset gate: no gradient flows through it" if declared else "no gradient flows back to `x[0] + h3[0]` through"
    assert said in examined(met(Cell) if declared else lift(Cell), PLAIN).sentences[0]
