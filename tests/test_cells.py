"""The contract of the shipped cells: shapes, dtypes, live weights, blocks."""

import copy

import numpy as np
import pytest
from cellcheck.cells import Gradients

from tests.cases import BATCH, FEATURES, GATES, STATE, STEPS, case, close, every_cell, flat, same, upstreams


@every_cell
def test_a_seed_is_a_generator_of_that_seed(Shipped):
    """rng=7 and rng=default_rng(7) give the same weights, rng=8 others."""
    seeded, drawn, other = (Shipped(3, 2, rng=rng).weights for rng in (7, np.random.default_rng(7), 8))
    same(seeded, drawn)
    assert (seeded[0] != other[0]).all()


@every_cell
def test_without_a_seed_weights_differ(Shipped):
    """Two cells without rng do not share their weights, in value or in memory."""
    a, b = Shipped(3, 2).weights, Shipped(3, 2).weights
    assert (a[0] != b[0]).all()
    assert not any(np.shares_memory(v, w) for v, w in zip(a, b, strict=True))


@every_cell
def test_global_random_state_is_untouched(Shipped):
    """np.random has the same state before and after."""
    before = np.random.get_state(legacy=False)["state"]
    Shipped(3, 2)
    after = np.random.get_state(legacy=False)["state"]
    assert after["pos"] == before["pos"]
    same([after["key"]], [before["key"]])


@every_cell
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_matrices_are_standard_normal_and_biases_zero_vectors(Shipped, dtype):
    """The first matrix is what the generator gives; 1-D biases are zero; all have the dtype."""
    weights = Shipped(3, 2, rng=7, dtype=dtype).weights
    same(weights[:1], [np.random.default_rng(7).standard_normal(weights[0].shape).astype(dtype)])
    assert {w.dtype for w in weights} == {np.dtype(dtype)}
    assert [w.ndim for w in weights] == [2 if w.any() else 1 for w in weights]


@every_cell
@pytest.mark.parametrize(
    ("bad", "exception", "says"),
    [
        ({"input_features": -1}, ValueError, "input_features is -1; .* wants a whole number"),
        ({"input_features": 2.5}, ValueError, "input_features is 2.5; .* wants a whole number"),
        ({"state_size": "two"}, ValueError, "state_size is 'two'; .* wants a whole number"),
        ({"dtype": int}, TypeError, "dtype is .*int.*; wanted a floating one"),
    ],
)
def test_bad_arguments_are_refused(Shipped, bad, exception, says):
    """One line that says what was given and what is wanted."""
    with pytest.raises(exception, match=rf"^{says}.*\Z"):
        Shipped(**{"input_features": 3, "state_size": 2, **bad})


@every_cell
def test_apply_returns_states_of_the_right_shape(Shipped):
    """(batch, state) for each state; for a sequence cell ys (steps, batch, state) besides."""
    cell, x, state = case(Shipped)
    ys = [(STEPS, BATCH, STATE)] if Shipped.sequence else []
    assert [y.shape for y in cell.apply(x, *state)] == [(BATCH, STATE)] * len(state) + ys


@every_cell
def test_forward_is_the_sum_of_the_output(Shipped):
    """forward = apply(...)[-1].sum(), a scalar."""
    cell, x, state = case(Shipped)
    total = cell.forward(x, *state)
    assert np.ndim(total) == 0
    assert total == cell.apply(x, *state)[-1].sum()


@every_cell
def test_vjp_returns_gradients_of_the_right_shape(Shipped):
    """A Gradients of one array for each weight, x and each state, of its shape and dtype."""
    cell, x, state = case(Shipped)
    gradients = cell.vjp(*upstreams(cell.apply(x, *state)))
    assert isinstance(gradients, Gradients)
    assert [(g.shape, g.dtype) for g in flat(gradients)] == [(a.shape, a.dtype) for a in [*cell.weights, x, *state]]


@every_cell
@pytest.mark.parametrize("scalar", [2, 2.0, np.float32(2), np.array(2)], ids=repr)
def test_backward_of_a_scalar(Shipped, scalar):
    """backward(d) = vjp(0, ..., d).weights with d at every unit of every row, aligned with weights."""
    cell, x, state = case(Shipped)
    *others, y = cell.apply(x, *state)
    got = cell.backward(scalar)
    same(got, cell.vjp(*map(np.zeros_like, others), np.full_like(y, 2)).weights)
    assert [g.shape for g in got] == [w.shape for w in cell.weights]


@every_cell
def test_backward_of_an_array(Shipped):
    """backward(d) = vjp(0, ..., d).weights, d of the shape of the output."""
    cell, x, state = case(Shipped)
    *others, y = cell.apply(x, *state)
    [d] = upstreams([y])
    same(cell.backward(d), cell.vjp(*map(np.zeros_like, others), d).weights)


@every_cell
def test_without_states_from_zeros(Shipped):
    """apply(x) = apply(x, 0, ...)."""
    cell, x, state = case(Shipped)
    same(cell.apply(x), cell.apply(x, *map(np.zeros_like, state)))


@every_cell
def test_batch_of_zero_rows(Shipped):
    """Outputs without rows, and weight gradients that are zero."""
    cell, x, state = case(Shipped, batch=0)
    outputs = cell.apply(x, *state)
    gradients = cell.vjp(*outputs)
    assert {y.shape[-2:] for y in outputs} == {(0, STATE)}
    same(gradients.weights, [np.zeros_like(w) for w in cell.weights])


@every_cell
def test_float32_stays_float32(Shipped):
    """A float32 cell gives float32 outputs and gradients."""
    cell, x, state = case(Shipped, dtype=np.float32)
    outputs = cell.apply(x, *state)
    results = [*outputs, *cell.apply(x), *flat(cell.vjp(*outputs)), *cell.backward(1.0)]
    assert {a.dtype for a in results} == {np.dtype(np.float32)}


@every_cell
@pytest.mark.parametrize("dtype", [np.float64, int])
def test_float32_cell_computes_in_float32_whatever_it_is_given(Shipped, dtype):
    """Real inputs are taken in the dtype of the weights, so that gradients have it as well."""
    cell, x, state = case(Shipped, dtype=np.float32)
    outputs = cell.apply((8 * x).astype(dtype), *(s.astype(dtype) for s in state))
    assert {a.dtype for a in [*outputs, *flat(cell.vjp(*upstreams(outputs)))]} == {np.dtype(np.float32)}


@every_cell
def test_lists_will_do(Shipped):
    """Nested lists of numbers are arrays."""
    cell, x, state = case(Shipped)
    same(cell.apply(x.tolist(), *(s.tolist() for s in state)), cell.apply(x, *state))


@every_cell
def test_complex_weights_are_accepted(Shipped):
    """Complex copies of the weights give complex outputs with the same real part, and no warning."""
    cell, x, state = case(Shipped)
    rebound = copy.deepcopy(cell, {id(w): w.astype(complex) for w in cell.weights})
    outputs = rebound.apply(x, *state)
    assert {y.dtype for y in outputs} == {np.dtype(complex)}
    close([y.real for y in outputs], cell.apply(x, *state))


@every_cell
@pytest.mark.parametrize("k", range(2))
def test_weights_are_live(Shipped, k):
    """Writing into an entry of weights changes the outputs."""
    cell, x, state = case(Shipped)
    before = cell.forward(x, *state)
    cell.weights[k][...] *= 2
    assert cell.forward(x, *state) != before


@every_cell
def test_deepcopy_rebinds_the_weights(Shipped):
    """deepcopy(cell, {id(w): new}) has the new weights throughout, and leaves the old cell alone."""
    cell, x, state = case(Shipped)
    before = cell.apply(x, *state)
    news = [2 * w for w in cell.weights]
    rebound = copy.deepcopy(cell, {id(w): new for w, new in zip(cell.weights, news, strict=True)})
    assert all(w is new for w, new in zip(rebound.weights, news, strict=True))
    same(cell.apply(x, *state), before)
    for w in cell.weights:
        w *= 2
    same(cell.apply(x, *state), rebound.apply(x, *state))


@every_cell
def test_inputs_and_upstreams_are_only_read(Shipped):
    """Read-only inputs, states, upstreams and weights do."""
    cell, x, state = case(Shipped)
    given = upstreams(cell.apply(x, *state))
    for a in [x, *state, *given, *cell.weights]:
        a.flags.writeable = False
    cell.apply(x, *state)
    cell.vjp(*given)
    cell.backward(given[-1])


@every_cell
@pytest.mark.parametrize("steps", [0, STEPS])
def test_results_share_no_memory_with_what_was_given(Shipped, steps):
    """Outputs alias no input, gradients alias no upstream, also where a state is passed through."""
    cell, x, state = case(Shipped, steps=steps)
    outputs = cell.apply(x, *state)
    given = upstreams(outputs)
    results, sources = [*outputs, *flat(cell.vjp(*given))], [x, *state, *given, *cell.weights]
    assert not any(np.shares_memory(a, b) for a in results for b in sources)


@every_cell
def test_vjp_remembers_the_last_apply(Shipped):
    """Writing into x, states, outputs or an upstream afterwards changes no gradient."""
    cell, x, state = case(Shipped)
    outputs = cell.apply(x, *state)
    given = upstreams(outputs)
    before = flat(cell.vjp(*given))
    kept = copy.deepcopy([given, before])
    for a in [x, *state, *outputs, *given]:
        a[...] = 7
    same(before, kept[1])
    same(flat(cell.vjp(*kept[0])), kept[1])


@every_cell
def test_weight_blocks_tile_each_weight_once(Shipped):
    """Every entry of a weight belongs to one block."""
    cell, _, _ = case(Shipped)
    counts = [np.zeros(w.shape, int) for w in cell.weights]
    for count, blocks in zip(counts, cell.weight_blocks, strict=True):
        for index in blocks.values():
            count[index] += 1
    same(counts, [np.ones_like(count) for count in counts])


@every_cell
def test_weight_blocks_have_the_shape_of_their_source(Shipped):
    """A block of x is (features, state), of h (state, state), of a bias (state,); every gate of the kind has one of each."""
    cell, _, _ = case(Shipped)
    shapes = {"x": (FEATURES, STATE), "h": (STATE, STATE), "bias": (STATE,), "bias_x": (STATE,), "bias_h": (STATE,)}
    pairs = zip(cell.weights, cell.weight_blocks, strict=True)
    found = [(key, w[index].shape) for w, blocks in pairs for key, index in blocks.items()]
    assert found == [((source, gate), shapes[source]) for (source, gate), _ in found]
    sources, gates = {source for (source, _), _ in found}, GATES[cell.kind]
    assert sorted(key for key, _ in found) == sorted((source, gate) for source in sources for gate in gates)
