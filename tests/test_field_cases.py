"""Cells as they are found in public code: what is right passes, with a declaration where one is honest; what is wrong is refused."""

import contextlib
import re
from dataclasses import replace

import numpy as np
import pytest
from cellcheck.cells import GRU, LSTM, RNN, Gradients, Unroll, lift
from cellcheck.properties.intake import preflight
from cellcheck.properties.intake.capabilities import missing
from cellcheck.properties.intake.catalogue import laws
from cellcheck.properties.intake.loading import GuestError
from cellcheck.properties.intake.preflight import cleared
from cellcheck.properties.mutants.judge import drawn
from cellcheck.properties.oracles import gradients
from cellcheck.properties.verdicts.blocks import Violation
from cellcheck.strategies import Problem
from hypothesis.errors import UnsatisfiedAssumption

from cellcheck import check
from tests.guests import field, leaking

pytestmark = pytest.mark.filterwarnings("ignore")  # of broken cells


def holds(Cell, law, n=8):
    """Whether the law holds on the first problems that it draws, and on one with a long memory and on one with integers."""
    more = [Problem(3, 2, 4, seed=1, scale=2.0, regime=regime) for regime in ("long memory", "integers")]
    try:
        with np.errstate(all="ignore"):
            for problem in [*drawn(law.name)[:n], *more]:
                with contextlib.suppress(UnsatisfiedAssumption):
                    law.check(Cell=Cell, problem=problem)
    except Violation:
        return False
    return True


def broken(Cell, names=None, n=8):
    """The laws, promises aside, that the cell breaks on the first n problems that each draws."""
    asked = [law for law in laws().values() if law.applies(Cell) and not law.promise and law.name in (names or laws())]
    return {law.name for law in asked if not holds(Cell, law, n)}


def seen(Guest, text="field.py:Guest"):
    """The guest after the pre-flight."""
    return cleared(text, Guest)


ELEMENTS, UNITS = {"dropout": "elements"}, {"dropout": "units"}
RIGHT = {
    "every argument clipped": field.ClipPre,
    "every argument clipped, ties left out": field.clipped_lstm(3.0, False, strict=True),
    "c clipped": field.ClipC,
    "c clipped, real numbers only": field.clipped_lstm(10.0, True, complex=False),
    "a pooled initial state": field.PooledRNN,
    "a growing workspace": field.Workspace,
    "float32 inside": field.Float32Inside,
    "float32 inside, by its precision": lift(field.Float32Inside, choices={}, precision=2.0**-24),
    "a GRU on columns": field.on_columns(field.ColumnGRU),
    "a bias without effect": field.IgnoredBias,
    "dropout of elements": field.dropping(RNN, "elements", choices=ELEMENTS),
    "dropout of units": field.dropping(RNN, "units"),
    "dropout of units in each step": field.dropping(Unroll(RNN), "units", choices=UNITS),
    "a loss, clipped": field.clipping_loss(0.3),
    "a mean loss, clipped": field.clipping_loss(0.05, mean=True),
}


@pytest.mark.parametrize("case", RIGHT)
def test_what_is_right_passes(case):
    """Every law that applies."""
    assert broken(seen(RIGHT[case]).Cell) == set()


WRONG = {
    "a clip of every argument that backward forgets": (field.ClipPreUnmasked, "state_gradients"),
    "a clip of c that backward forgets": (field.ClipCUnmasked, "state_gradients"),
    "a pool that is not cleared": (field.UnclearedPool, "an_omitted_state_is_zero"),
    "lengths of the last call": (field.KeepsLengths, "a_used_cell_equals_a_fresh_one"),
    "a mask that backward forgets": (field.dropping(RNN, "elements", scales=False, choices=ELEMENTS), "weight_gradients"),
    "a mask that depends on the row, undeclared": (field.dropping(RNN, "elements"), "rows_may_be_rolled"),
    "a mask that depends on the step, undeclared": (field.dropping(Unroll(RNN), "units"), "a_sequence_may_be_split"),
    "a wrong gradient behind a clip": (field.clipping_loss(0.3, wrong=True), "weight_gradients"),
    "a wrong gradient behind a clip and a mean": (field.clipping_loss(0.05, mean=True, wrong=True), "weight_gradients"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_refused(case):
    """By the law that says so."""
    Guest, law = WRONG[case]
    assert broken(seen(Guest).Cell, [law], n=40) == {law}


def test_a_clip_is_named():
    """With its limit, and what it is that is clipped."""
    assert "every argument of an activation clipped at 3" in seen(field.ClipPre).notes[0]
    assert "c clipped at 10" in seen(field.ClipC).notes[0]
    assert seen(field.ClipC).Cell.spec().variant == {"clip": 10.0}


@pytest.mark.parametrize("limit", [0.5, 1.0, 7.3125])
def test_a_clip_that_is_declared_is_held_to_it(limit):
    """Where it is too tight to be found, and where a wrong limit is declared."""
    Clipped = field.clipped_lstm(limit, False, variant={"clip_pre": limit})
    found = seen(Clipped)
    assert f"clipped at {limit:g}" in found.notes[0]
    law = laws()["equations_of_the_kind"]
    assert holds(found.Cell, law)
    assert not holds(lift(found.Cell, variant={"clip_pre": 2 * limit}), law)


@pytest.mark.parametrize("stores", [False, True])
@pytest.mark.parametrize("strict", [False, True])
def test_a_tie_at_the_limit_has_no_derivative(stores, strict):
    """Whichever slope backward takes there."""
    Cell = seen(field.clipped_lstm(3.0 - stores, stores, strict=strict)).Cell
    ties = [Problem(3, 3, 2, seed=seed, scale=2.0, regime="integers", upstream="last") for seed in (*range(15), 20812)]
    with np.errstate(all="ignore"):
        blocks = [b for p in ties for part in ("weights", "x", "state") for b in gradients(Cell, p, part)]
    assert {b.verdict for b in blocks} >= {"certified"} and "violated" not in {b.verdict for b in blocks}
    if strict and not stores:
        assert any("kink" in b.note for b in blocks)


class Shrunk:
    """modReLU: h' = sign(z) max(|z| + b, 0), z = x W + h U. For b > 0 it jumps at z = 0, for b < 0 it has a tie at |z| = -b."""

    state_names, ends = ("h",), np.greater

    def __init__(self, F, S):
        self.W, self.U, self.b = np.zeros((F, S)), np.zeros((S, S)), np.zeros(S)
        self.weights = [self.W, self.U, self.b]

    def apply(self, x, h):
        """The new state."""
        z = x @ self.W + h @ self.U
        self.kept = x.copy(), h.copy(), z, np.abs(z) + self.b
        return (np.sign(z) * np.maximum(np.abs(z) + self.b, 0),)

    def vjp(self, d):
        """All gradients."""
        x, h, z, q = self.kept
        on = d * self.ends(q, 0)
        return [x.T @ on, h.T @ on, (on * np.sign(z)).sum(0)], on @ self.W.T, [on @ self.U.T]


class ShrunkFrom(Shrunk):
    """With the other slope at the tie."""

    ends = np.greater_equal


class ShrunkBlindly(Shrunk):
    """The defect: the gradient of b lacks the sign of z."""

    def vjp(self, d):
        """All gradients."""
        (dW, dU, _), *rest = super().vjp(d)
        return [dW, dU, (d * self.ends(self.kept[3], 0)).sum(0)], *rest


@pytest.mark.parametrize(("Guest", "right"), [(Shrunk, True), (ShrunkFrom, True), (ShrunkBlindly, False)])
def test_real_numbers_settle_ties_and_jumps(Guest, right):
    """Where sign and abs of complex numbers are at 0, what they give is no derivative."""
    Cell = seen(Guest).Cell
    whole = [Problem(b, 2, 2, seed=seed, regime=regime) for b in (1, 3) for seed in range(20) for regime in ("integers", "zeros")]
    with np.errstate(all="ignore"):
        verdicts = {b.verdict for p in whole for part in ("weights", "x", "state") for b in gradients(Cell, p, part)}
    assert "certified" in verdicts and ("violated" in verdicts) != right


def test_a_clipped_loss_whose_every_gradient_is_clipped_certifies_nothing():
    """Nothing is compared, and nothing is refused."""
    Cell = seen(field.clipping_loss(1e-12)).Cell
    blocks = [b for part in ("weights", "x", "state") for b in gradients(Cell, Problem(3, 2, 4, scale=1.0), part)]
    assert {b.verdict for b in blocks} == {"trivial"}
    assert missing(Cell, {"unclipped"}) == "clips its gradients, and takes no small upstream that would undo it"


class Stateless:
    """A GRU step that takes no h, and so starts from zero, without biases: its reset gate has no effect."""

    def __init__(self, F, S):
        self.cell = GRU(F, S)
        self.weights = self.cell.weights[:2]

    def forward(self, x):
        """The sum of h'."""
        return self.cell.forward(x, np.zeros((len(x), self.cell.state_size), x.dtype))

    def backward(self, d):
        """Gradients of both matrices."""
        return self.cell.backward(d)[:2]


def test_conventions_that_coincide_are_both_named_and_none_is_chosen():
    """From h = 0 and one step the reset variants are the same: no law is to hold the cell to one of them."""
    found = seen(Stateless)
    assert (
        "convention not verified: the GRU equations" in found.notes[0] and "agree on everything that it takes" in found.notes[0]
    )
    assert "reset gate before the matrix product" in found.notes[0] and found.Cell.spec().kind is None


def sequence_of(variant):
    """A GRU over a whole sequence that takes no h, forwards only."""
    from tests.test_conventions import written

    def make(F, S):
        cell = written("GRU", "u r n", "row", "one", variant)(F, S)

        def apply(x):
            h, ys = np.zeros((x.shape[1], S)), []
            for row in x:
                (h,) = cell.apply(row, h)
                ys.append(h)
            return np.stack(ys)

        guest = type("Guest", (), {"apply": staticmethod(apply), "sequence": True, "state_names": (), "gradients": ()})()
        guest.weights, guest.fewest_steps = cell.weights, 1
        return guest

    return make


@pytest.mark.parametrize("reset", ["after", "before"])
def test_several_steps_tell_the_reset_variants_apart(reset):
    """Although the first step is the same for both."""
    found = seen(sequence_of({"reset": reset}))
    assert found.notes[0].startswith("computes the GRU equations")
    assert found.Cell.spec().variant.get("reset", "after") == reset


def test_an_output_that_backward_does_not_see_is_held_to_the_equations():
    """c' is the old c: h' is that of an LSTM, so c' is to be, too."""
    from tests.test_spec import lstm

    found = seen(lstm(stale=True))
    assert "but for c'" in found.notes[0]
    assert broken(found.Cell, ["equations_of_the_kind"]) == {"equations_of_the_kind"}


def test_a_weight_that_is_a_copy_is_refused_in_one_line():
    """Before any law."""
    message = "writing into weights[1] changes nothing that it returns, but it has a gradient"
    with pytest.raises(GuestError) as refusal:
        seen(field.CopiedBias)
    assert message in str(refusal.value) and "\n" not in str(refusal.value)


def test_a_product_that_needs_as_many_rows_as_units_is_noted_and_refused():
    """The head says at which sizes it raised, and the laws reach other batches."""
    found = seen(field.on_columns(field.MatmulForProduct))
    assert any("raised ValueError: matmul" in note for note in found.notes)
    with pytest.raises(ValueError, match="matmul"):
        laws()["weight_gradients"].check(Cell=found.Cell, problem=Problem(3, 2, 4))


def test_a_weight_without_effect_is_noted():
    """In the head of the run."""
    assert "b has no effect on what it returns, and no gradient" in seen(field.IgnoredBias).notes


def test_a_weight_without_effect_costs_no_law():
    """Its gradient is a rounding, or zero; the others are verified, and the known equations are found."""
    found = seen(field.ScoreBias)
    assert "b has no effect on what it returns, and no gradient" in found.notes
    assert broken(found.Cell, n=20) == set()
    assert next(iter(seen(field.Unread).notes)).startswith("computes the RNN equations")
    assert seen(field.Unread).Cell.spec().kind == "RNN"


class Seldom(field.Unread):
    """Its readout is added where x is beyond 3, and its gradient, zeros, is then wrong."""

    def apply(self, x, h):
        """h', and what is seldom added."""
        y = super().apply(x, h)[0]
        return (y + (np.abs(x.real).max(initial=0.0) > 3) * self.Wy.sum(),)


def test_a_weight_that_has_an_effect_elsewhere_is_verified_all_the_same():
    """What the pre-flight saw excuses no violation."""
    found = seen(Seldom)
    assert "Wy has no effect on what it returns, and no gradient" in found.notes
    assert broken(found.Cell, ["weight_gradients"], n=40) == {"weight_gradients"}


class Attention:
    """M' = M + k v^T and o = M' q over a sequence: an operator without weights, as kernels of linear attention are."""

    sequence, factor, output = True, 1, "o"

    def __init__(self, F, S):
        self.weights, self.inputs, self.output_shape = [], {"q": (F,), "k": (F,), "v": (S,)}, (S,)
        self.state_shapes = {"M": (F, S)}

    def apply(self, q, k, v, M):
        """(M', o)."""
        self.given, self.memory, o = (q.copy(), k.copy(), v.copy()), [M.copy()], np.zeros(v.shape, np.result_type(q, v, M))
        for t in range(len(q)):
            self.memory.append(self.memory[-1] + k[t][:, :, None] * v[t][:, None, :])
            o[t] = np.einsum("bf,bfs->bs", q[t], self.memory[-1])
        return self.memory[-1].copy(), o

    def vjp(self, dM, do):
        """Of q, k, v and M."""
        q, k, v = self.given
        dq, dk, dv = (np.zeros(a.shape) for a in (q, k, v))
        for t in reversed(range(len(q))):
            dq[t], dM = np.einsum("bs,bfs->bf", do[t], self.memory[t + 1]), dM + q[t][:, :, None] * do[t][:, None, :]
            dk[t], dv[t] = np.einsum("bfs,bs->bf", dM, v[t]), self.factor * np.einsum("bfs,bf->bs", dM, k[t])
        return [], (dq, dk, dv), (dM.copy(),)


def test_an_operator_without_weights_is_verified():
    """By the gradients of its inputs and states."""
    found = seen(Attention)
    assert broken(found.Cell, n=20) == set()
    assert missing(found.Cell, ("weights",)) == "no weight gradients"
    assert broken(seen(type("Guest", (Attention,), {"factor": 2})).Cell, ["input_gradients"]) == {"input_gradients"}


class Scalar:
    """h' = tanh(a x + h) with a scalar weight, in real numbers alone; its gradient is twice what it should be."""

    complex = False

    def __init__(self, F, S):
        self.a, self.features = np.array(0.0), F
        self.weights = [self.a]

    def apply(self, x, h):
        """h'."""
        self.s, self.y = x.sum(axis=1, keepdims=True), np.tanh(self.a * x.sum(axis=1, keepdims=True) + h)
        return (self.y,)

    def vjp(self, d):
        """Of a, x and h."""
        d = d * (1 - self.y**2)
        s, own = self.s, d.sum(axis=1, keepdims=True)
        return [np.array(2 * (own * s).sum())], self.a * own * np.ones((1, self.features)), (d,)


def test_a_wrong_gradient_of_a_weight_without_axes_is_found():
    """By interpolation, too, which moves every array."""
    assert broken(lift(Scalar), ["weight_gradients", "input_gradients"]) == {"weight_gradients"}


class Logarithmic:
    """h of no steps is exp(log h): off by the rounding of both; `more` is added to it."""

    sequence, more = True, 0.0

    def __init__(self, F, S):
        self.weights = [np.zeros((F, S))]

    def apply(self, x, h):
        """h' = h, without ys."""
        return (np.sign(h) * np.exp(np.log(np.abs(h), where=h != 0, out=np.zeros_like(h))) * (1 + self.more),)

    def vjp(self, d):
        """That of h, and zeros."""
        return [np.zeros(self.weights[0].shape)], None, (d,)


@pytest.mark.parametrize(("more", "expected"), [(0.0, set()), (1e-13, {"no_steps_leave_the_state"})])
def test_states_may_be_kept_as_logarithms(more, expected):
    """Which moves them by as many units as the logarithm has; a little more is refused."""
    Cell = lift(type("Guest", (Logarithmic,), {"more": more, "gradients": ("weights", "state")}), output="h")
    assert broken(Cell, ["no_steps_leave_the_state"], n=40) == expected


def test_a_sequence_of_no_steps_need_not_be_refused():
    """Nothing of it would be computed."""
    law = laws()["wrong_features_are_refused"]
    with pytest.raises(UnsatisfiedAssumption):
        law.check(Cell=lift(Attention), problem=Problem(2, 2, 3, steps=0))


def test_states_beyond_a_known_clip_are_drawn():
    """Else a clip that its gradient ignores would be of no consequence."""
    Cell = lift(LSTM, variant={"clip": 50.0})
    assert max(np.abs(Problem(3, 2, 4, seed=s, regime="long memory").build(Cell)[2][0]).max() for s in range(5)) > 60


class Rectified:
    """h' = h / 2 + relu(h U) / 2 - relu(-h), whose kinks at h = 0 may cancel in one direction."""

    def __init__(self, F, S):
        self.U = np.zeros((S, S))
        self.weights = [self.U]

    def apply(self, x, h):
        """h'."""
        self.h, self.n = h, h @ self.U
        return (0.5 * h + 0.5 * np.maximum(self.n, 0) - np.maximum(-h, 0),)

    def vjp(self, d):
        """The derivative of relu at 0 is 0."""
        dn = 0.5 * d * (self.n > 0)
        return [self.h.T @ dn], None, (0.5 * d + d * (self.h < 0) + dn @ self.U.T,)


@pytest.mark.parametrize("seed", range(8))
def test_kinks_that_nearly_cancel_are_kinks(seed):
    """Whatever the signs of the direction."""
    Cell = lift(Rectified, gradients=("weights", "state"), state_names=("h",))
    p = Problem(1, 1, 2, seed=seed).literal(Cell)
    p = replace(
        p, weights=[np.array([[-1.6, 0.0], [2.0, 0.0]])], state=(np.zeros((1, 2)),), given=[(np.array([[1.0, 0.0]]),)] * 2
    )
    laws()["state_gradients"].check(Cell=Cell, problem=p)


DECLARED = {
    "variant is {'clpi': 3}; give a dict out of forget, clip, clip_pre for kind LSTM": {"kind": "LSTM", "variant": {"clpi": 3}},
    "variant is {'clip': 3}; give a dict out of clip_pre, reset, update for kind GRU": {"kind": "GRU", "variant": {"clip": 3}},
    "variant has clip = -1; give a positive number": {"kind": "LSTM", "variant": {"clip": -1}},
    "variant has reset = 'never'; give 'after' or 'before'": {"variant": {"reset": "never"}},
    "choices has clip = 0; give the limit, a positive number": {"choices": {"clip": 0}},
    "choices has dropout = 'rows'; give 'elements'": {"choices": {"dropout": "rows"}},
}


@pytest.mark.parametrize("message", DECLARED)
def test_a_wrong_choice_or_variant_is_refused_in_one_line(message):
    """What was given, and what to give."""
    with pytest.raises(GuestError) as refusal:
        seen(type("Guest", (LSTM,), {"weight_blocks": None, "kind": None, **DECLARED[message]}))
    assert message in str(refusal.value) and "\n" not in str(refusal.value)


def test_dropout_leaves_the_laws_that_can_hold():
    """What moves rows or cuts steps does not apply, with the reason; gradients, linearity and purity do."""
    Cell = lift(RIGHT["dropout of elements"])
    applies = {law.name for law in laws().values() if law.applies(Cell)}
    assert {"weight_gradients", "vjp_is_linear", "apply_is_repeatable", "a_used_cell_equals_a_fresh_one"} <= applies
    assert not {"rows_may_be_rolled", "each_row_equals_its_solo_run", "weight_gradient_is_the_sum_over_rows"} & applies
    assert missing(Cell, {"same rows"}) == "its dropout depends on where in the batch a row is"
    steps = lift(RIGHT["dropout of units in each step"])
    assert missing(steps, {"same rows"}) is None
    assert missing(steps, {"same steps"}) == "its dropout depends on which step it is"


@pytest.mark.parametrize("Cell", [leaking.FirstOfItsShape, leaking.OfAllCells, leaking.NormOfTheFirstWeights])
def test_what_is_kept_and_even_is_found(Cell):
    """A derivative of tanh without a bias and a norm of weights are the same at -x and at -W."""
    purity = [law.name for law in laws().values() if law.group == "purity"]
    assert broken(seen(Cell).Cell, purity)
    assert not broken(seen(leaking.RNN).Cell, purity) and not broken(seen(leaking.NormOfTheWeights).Cell, purity)


def test_results_that_differ_from_run_to_run_are_named():
    """In the head, and in the reason of a law that does not fail again."""
    cell = seen(leaking.Wandering)
    assert any(note.startswith("two fresh cells with the same weights and inputs differ by up to") for note in cell.notes)
    reasons = [
        r["reason"] for r in check(leaking.Wandering, "quick", ["gradients", "purity"]).results if r["verdict"] == "broken"
    ]
    assert reasons and any("but not when it runs there again: its results differ from run to run" in reason for reason in reasons)


def test_a_cell_that_takes_long_is_told_so(monkeypatch):
    """Before a run of an hour."""
    monkeypatch.setattr(preflight, "LONG", 0.0)
    text = r"apply and vjp take \S+ s at small sizes, and a run calls them thousands of times: verify a part first"
    assert any(re.match(text, note) for note in cleared("guest.py:RNN", RNN).notes)


def test_sums_in_any_order_are_named():
    """The head says what to declare; declared, the cell holds."""
    assert any("if sums are taken in any order, declare deterministic = False" in note for note in seen(leaking.AnyOrder).notes)
    assert check(lift(leaking.AnyOrder, deterministic=False), "quick").held


def test_a_cell_of_one_size_is_told_to_declare_it():
    """It raises at all that were tried, and its weights are always the same."""
    with pytest.raises(GuestError, match=r"its weights are \(65, 8\) whatever the sizes; declare them, as sizes = "):
        seen(leaking.OneSize)


def test_a_shape_that_is_none_is_noted():
    """It may be the guest's own, and so is no reason to refuse it."""
    Guest = type("Guest", (field.Unread,), {"input_shape": 4, "output_shape": "S"})
    said = "which is no shape, and ignored; a shape is a tuple of whole numbers"
    assert {f"input_shape is 4, {said}", f"output_shape is 'S', {said}"} <= set(seen(Guest).notes)


def test_a_misspelled_declaration_is_named():
    """Where it is an attribute of the class."""

    class Misspelled(leaking.RNN):
        no_gradients, Kind, weights_of_mine = (), "RNN", 3

    assert [note for note in seen(Misspelled).notes if "no declaration" in note] == [
        "no_gradients is no declaration; if no_gradient is meant, write that",
        "Kind is no declaration; if kind is meant, write that",
    ]


def test_a_declaration_that_is_surely_misspelled_is_refused():
    """With the name that is meant; a plural or a short name may be the guest's own."""
    with pytest.raises(GuestError, match="precison is no declaration; did you mean precision"):
        seen(type("Misspelled", (leaking.RNN,), {"precison": 2.0**-24}))
    seen(type("Own", (leaking.RNN,), {"input_size": 3, "output_size": 4, "gradient": None, "dtype": float, "size": 3}))


def test_what_is_read_beside_the_weights_is_named():
    """A bias that is missing from weights; not a buffer that apply overwrites."""

    class Biased(RNN):
        def __init__(self, features, state):
            super().__init__(features, state)
            self.bias, self.buffer = np.zeros(state), np.zeros(state)
            self.weights = [self.W]

        def _apply(self, x, h):
            self.buffer[:] = self.b + self.bias
            X = np.concatenate([x, h], axis=1)
            self._cache = X, X @ self.W + self.buffer
            return (np.tanh(self._cache[1]),)

        def _vjp(self, d):
            weights, x, state = super()._vjp(d)
            return Gradients(weights[:1], x, state)

    told = "reads b, bias, which weights does not have: no gradient of that is verified"
    assert told in seen(lift(Biased, kind=None, weight_blocks=None)).notes
    assert not any("which weights does not have" in note for note in seen(RNN).notes)


def test_a_declared_clip_is_the_one_that_acts():
    """A lower one is refused; one that never acts is noted."""
    with pytest.raises(GuestError, match=r"choices has clip = 5, but a gradient of -?1\.\d+ comes back as -?0\.01; declare"):
        seen(leaking.ClipsLower)
    with pytest.raises(GuestError, match="choices has clip = 5, but gradients beyond that come back as zeros; cut them"):
        seen(leaking.DropsWhatIsLarge)
    assert not any("clip" in note for note in seen(leaking.ClipsAsItSays).notes)
    assert "declares clip = 5, but clips nothing: take the declaration away" in seen(leaking.NeverClips).notes
