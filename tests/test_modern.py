"""The modern cells: their gradients entry by entry, their parallel forms against the unrolled step, their equations and mutants."""

import copy
from collections import Counter

import numpy as np
import pytest
from cellcheck.cells import Unroll
from cellcheck.cells.modern import FORMS, MODERN, SLSTM, STEPS, GatedDelta, MLSTMChunks
from cellcheck.properties.intake.catalogue import laws
from cellcheck.properties.intake.preflight import cleared
from cellcheck.properties.mutants import Mutant, killed
from cellcheck.properties.mutants.judge import drawn
from cellcheck.properties.mutants.matrix import CATALOGUES
from cellcheck.properties.mutants.modern import LOOKALIKES, MUTANTS
from cellcheck.properties.mutants.peers import installed, rejects, rms_ratio
from cellcheck.properties.oracles.equations_modern import MODERN as KINDS
from cellcheck.strategies import Problem

BATCH, FEATURES, STATE = 3, 2, 4
STEP = 2.0**-100  # of the complex step
FEW = 5  # problems a law, of the hundred that `tox -e modern` asks


def named(value):
    """The id of a test parameter."""
    return getattr(value, "__name__", None) or value.name


every_cell = pytest.mark.parametrize("Shipped", MODERN, ids=named)
every_form = pytest.mark.parametrize("Form", FORMS, ids=named)


def case(Shipped, steps=6, seed=0, scale=1.0):
    """A cell within its domains, inputs and an upstream for each output: (cell, x, state, upstreams)."""
    literal = Problem(BATCH, FEATURES, STATE, steps=steps, seed=seed, scale=scale).literal(Shipped)
    cell, x, state = literal.build(Shipped)
    return cell.guest, x, list(state), literal.given[0]


def flat(gradients):
    """All arrays of some Gradients."""
    return [*gradients.weights, gradients.x, *gradients.state]


def relative(got, expected):
    """The largest error of an entry, in units of the largest entry."""
    return np.max(np.abs(got - expected), initial=0.0) / max(np.max(np.abs(expected), initial=0.0), 1e-300)


def by_complex_step(cell, arrays, upstreams, options):
    """The derivative of sum <u, apply> by each entry of [*weights, x, *state]."""
    n, found = len(cell.weights), [np.zeros(a.shape) for a in arrays]
    for k, a in enumerate(arrays):
        for index in np.ndindex(a.shape):
            moved = a.astype(complex)
            moved[index] += 1j * STEP
            other = copy.deepcopy(cell, {id(a): moved}) if k < n else cell
            outputs = other.apply(*(moved if j == k else b for j, b in enumerate(arrays[n:], n)), **options)
            found[k][index] = sum((u * y.imag).sum() for u, y in zip(upstreams, outputs, strict=True)) / STEP
    return found


@every_cell
@pytest.mark.parametrize("scale", [0.5, 5.0])
def test_every_entry_of_every_gradient(Shipped, scale):
    """vjp(u) = d/da sum <u, apply> for each entry a of each weight, input and state, to 1e-10; of a ragged batch in forms."""
    cell, x, state, upstreams = case(Shipped, scale=scale)
    options = {"lengths": [6, 0, 5]} if Shipped.sequence else {}
    cell.apply(x, *state, **options)
    got = flat(cell.vjp(*upstreams))
    for a, b in zip(got, by_complex_step(cell, [*cell.weights, x, *state], upstreams, options), strict=True):
        assert relative(a, b) < 1e-10


@every_cell
def test_fresh_weights(Shipped):
    """Of the dtype that is asked for, the same for the same seed, each matrix its own numbers, and zero biases."""
    first, second = (Shipped(FEATURES, STATE, rng=rng, dtype=np.float32) for rng in (0, np.random.default_rng(0)))
    assert all(np.array_equal(a, b) and a.dtype == np.float32 for a, b in zip(first.weights, second.weights, strict=True))
    drawn_first = [w.flat[0] for w in first.weights if not np.isin(w, (0, 1)).all()]
    assert len({*drawn_first}) == len(drawn_first)
    assert not getattr(first, "step", first).b.any()


@every_cell
def test_the_gists_contract(Shipped):
    """forward is the sum of the output, backward the weight gradients of that sum."""
    cell, x, state, upstreams = case(Shipped)
    outputs = cell.apply(x, *state)
    expected = cell.vjp(*(np.zeros_like(u) for u in upstreams[:-1]), np.ones_like(upstreams[-1])).weights
    assert cell.forward(x, *state) == outputs[-1].sum()
    for a, b in zip(cell.backward(1.0), expected, strict=True):
        np.testing.assert_array_equal(a, b)


@every_cell
def test_float32_twin(Shipped):
    """float32 outputs and gradients are those of float64 at the same numbers, and float32 arrays."""
    cell, x, state, upstreams = case(Shipped, scale=0.5)
    narrow = [np.float32(a) for a in (x, *state)]
    twin = copy.deepcopy(cell, {id(w): np.float32(w) for w in cell.weights})
    for w, v in zip(cell.weights, twin.weights, strict=True):
        w[...] = v
    got, expected = twin.apply(*narrow), cell.apply(*(a.astype(float) for a in narrow))
    got = [*got, *flat(twin.vjp(*map(np.float32, upstreams)))]
    expected = [*expected, *flat(cell.vjp(*upstreams))]
    for a, b in zip(got, expected, strict=True):
        assert a.dtype == np.float32 and relative(a, b) < 1e-4


@every_cell
@pytest.mark.parametrize("sign", [-1, 0, 1])
@pytest.mark.parametrize("size", [-1e3, 1e3])
def test_extreme_numbers_give_finite_ones(Shipped, sign, size):
    """Weights, inputs and states of +-1000, within the domains: no flag but underflow, no NaN, no infinity."""
    cell, x, state, upstreams = case(Shipped)
    inside = {"A_log": 2.9 * sign, "n": 1e3, "m": 39.0 * sign}
    for name, w in vars(getattr(cell, "step", cell)).items():
        if any(w is one for one in cell.weights):
            w[...] = inside.get(name, sign * 1e3)
    x[...] = size
    for name, s in zip(cell.state_names, state, strict=True):
        s[...] = inside.get(name, size) if name in cell.domains else size
    with np.errstate(all="raise", under="ignore"):
        outputs = cell.apply(x, *state)
        assert all(np.isfinite(a).all() for a in (*outputs, *flat(cell.vjp(*upstreams))))


@every_form
@pytest.mark.parametrize("steps", [0, 1, 2, 15, 16, 17, 33])
@pytest.mark.parametrize("chunk", [1, 4, 16, 64])
def test_parallel_form_is_the_unrolled_step(Form, steps, chunk):
    """Outputs and gradients are those of Unroll(Step), from any state, with and without lengths, whatever the chunk."""
    Form = type(Form.__name__, (Form,), {"chunk": chunk})
    cell, x, state, upstreams = case(Form, steps=steps, scale=3.0)
    unrolled = Unroll(type(cell.step))(FEATURES, STATE)
    for w, v in zip(unrolled.weights, cell.weights, strict=True):
        w[...] = v
    for lengths in (None, [steps, 0, steps // 2]):
        got, expected = ([*c.apply(x, *state, lengths=lengths), *flat(c.vjp(*upstreams))] for c in (cell, unrolled))
        for a, b in zip(got, expected, strict=True):
            assert a.shape == b.shape and relative(a, b) < 1e-11


def test_a_very_negative_gate_loses_nothing():
    """What is written after a gate of -1e6 decays as in the step: the chunk sums small decays apart from large ones."""
    cell, x, state, _ = case(next(Form for Form in FORMS if Form.kind == GatedDelta.kind), steps=4)
    a = sum(cell.step.widths[:3])
    cell.step.W[:, a], cell.step.b[a] = [1e6, 0.0], 0.0
    x[:, :, 0] = np.array([0.0, -1.0, 1e-6, 2e-6])[:, None]
    unrolled = Unroll(GatedDelta)(FEATURES, STATE)
    for w, v in zip(unrolled.weights, cell.weights, strict=True):
        w[...] = v
    for got, expected in zip(cell.apply(x, *state), unrolled.apply(x, *state), strict=True):
        assert relative(got, expected) < 1e-14


def test_roundings_of_many_steps_are_no_violation():
    """36 decays exp(log F + m - m') with m' = 15 and saturated gates: chunks and steps differ by more than moves of inputs do."""
    problem = Problem(4, 1, 4, steps=36, seed=7239, scale=1e6, upstream="first")
    laws()["a_sequence_is_its_steps"].check(Cell=MLSTMChunks, problem=problem)


def test_an_empty_memory_is_forgotten():
    """sLSTM from zeros: n = 0 stands for no memory, so that h' = sigmoid(o) tanh(g) however small exp(i) is."""
    cell = SLSTM(1, 1)
    cell.b[...] = [-2000.0, 5.0, 1000.0, 0.5]
    c, n, m, h = cell.apply(np.zeros((1, 1)))
    assert (n, m) == (1.0, -2000.0) and c == h == np.tanh(0.5)


def test_problems_reach_an_empty_memory():
    """Some rows of some problems have n = 0, and no n is negative."""
    states = [problem.build(SLSTM)[2] for problem in drawn("equations_of_the_kind")]
    assert any((n == 0).any() for _, n, _, _ in states) and all((n >= 0).all() for _, n, _, _ in states)


@every_cell
def test_wrong_states_are_refused_before_anything_changes(Shipped):
    """ValueError that names the state, its shape and the one that is wanted; the last apply still counts."""
    cell, x, state, upstreams = case(Shipped)
    cell.apply(x, *state)
    before = flat(cell.vjp(*upstreams))
    name = cell.state_names[0]
    with pytest.raises(ValueError, match=rf"{name} is \(3, .*wants"):
        cell.apply(x, state[0][..., :-1], *state[1:])
    for a, b in zip(flat(cell.vjp(*upstreams)), before, strict=True):
        np.testing.assert_array_equal(a, b)


@every_cell
def test_every_law_holds(Shipped):
    """Promises included; only laws of another sort of cell do not apply."""
    clear = cleared(f"modern:{Shipped.__name__}", Shipped)
    assert all("within the declared domains" in note for note in clear.notes)
    asked = [law for law in laws().values() if law.applies(clear.Cell)]
    assert {"equations_of_the_kind", "weight_gradients", "input_gradients", "state_gradients"} <= {law.name for law in asked}
    assert not {law.name: death for law in asked if (death := killed(law, clear.Cell, drawn(law.name)[:FEW]))}


def test_every_kind_has_equations_of_its_own():
    """Each step cell has a kind, each kind an oracle; a form has the kind of its step."""
    assert {Step.kind for Step in STEPS} == set(KINDS) and len(KINDS) == len(STEPS) == 10
    assert {Form.kind for Form in FORMS} <= set(KINDS)


@pytest.mark.parametrize("mutant", MUTANTS, ids=named)
def test_mutant_dies_by_the_law_that_names_its_fault(mutant):
    """Within the examples of a derandomised run under the default profile."""
    law, Cell = laws()[mutant.law], mutant.cls
    assert law.applies(Cell)
    assert killed(law, Cell), f"{mutant.name} survives {mutant.law}: {mutant.fault}"


@pytest.mark.parametrize("look", LOOKALIKES, ids=named)
def test_lookalike_lives(look):
    """It is right, and no law refuses it."""
    Cell = look.cls
    assert not {
        law.name: death for law in laws().values() if law.applies(Cell) and (death := killed(law, Cell, drawn(law.name)[:FEW]))
    }


def test_mutants_are_told_apart():
    """No two have one name or one edit, each modern cell has some, and there are at least 60."""
    assert max(Counter(m.name for m in MUTANTS + LOOKALIKES).values()) == 1
    edits = [(m.edited, (m.old, m.new)) for m in MUTANTS] + [(look.file, *look.edits) for look in LOOKALIKES]
    assert max(Counter(edits).values()) == 1
    assert {m.cell for m in MUTANTS} == {Cell.__name__ for Cell in MODERN} and len(MUTANTS) >= 60


def test_an_edit_of_nothing_breaks_nothing():
    """The machinery alone makes the cell that it started from."""
    Same = Mutant("Same", "MLSTMChunks", "import numpy as np\n", "import numpy as np \n", "", "", "", "contract").cls
    cell, x, state, _ = case(MLSTMChunks)
    same = Same(FEATURES, STATE)
    for w, v in zip(same.weights, cell.weights, strict=True):
        w[...] = v
    for a, b in zip(cell.apply(x, *state), same.apply(x, *state), strict=True):
        np.testing.assert_array_equal(a, b)


@every_cell
@pytest.mark.parametrize("name", CATALOGUES["kills-modern"].peers)
def test_peers_accept_the_modern_cells(Shipped, name):
    """A peer that rejects a correct cell would kill every mutant."""
    if name not in installed():
        pytest.skip(f"{name} is optional")
    assert not rejects(installed()[name], Shipped)


def test_peer_sees_what_is_large_and_typical():
    """A missing term is far above a ratio of 0.005; 2e-9 and what happens only to large gates are not."""
    cells = {m.name: m.cls for m in MUTANTS if m.name in ("CandidateGradientUngated", "SoftplusWithThreshold", "QuotientOfGates")}
    assert rejects(rms_ratio, cells["CandidateGradientUngated"])
    assert not rejects(rms_ratio, cells["SoftplusWithThreshold"]) and not rejects(rms_ratio, cells["QuotientOfGates"])
