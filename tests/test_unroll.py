"""A sequence cell is its step cell, applied step by step, row by row."""

import numpy as np
import pytest

from tests.cases import BATCH, LENGTHS, STATE, STEPS, case, close, every_sequence_cell, flat, same, upstreams


def ragged(Shipped):
    """A cell that has run over rows of LENGTHS steps: (cell, x, state, outputs, upstreams)."""
    cell, x, state = case(Shipped)
    outputs = cell.apply(x, *state, lengths=LENGTHS)
    return cell, x, state, outputs, upstreams(outputs)


def row(a, k):
    """Row k, alone in its batch, of an array (..., batch, size)."""
    return a[..., k : k + 1, :]


@every_sequence_cell
def test_outputs_are_those_of_a_loop(Shipped):
    """state_t = Step(x_t, state_{t-1}), ys_t its last."""
    cell, x, state = case(Shipped)
    outputs, ys = cell.apply(x, *state), []
    for x_t in x:
        state = cell.step.apply(x_t, *state)
        ys.append(state[-1])
    same(outputs, [*state, np.stack(ys)])


@every_sequence_cell
def test_gradients_are_those_of_a_loop(Shipped):
    """Backwards: the upstream of step t is that of ys_t besides what step t+1 hands to its state."""
    cell, x, state = case(Shipped)
    *d_state, d_ys = given = upstreams(cell.apply(x, *state))
    got, states = cell.vjp(*given), [state]
    for x_t in x:
        states.append(cell.step.apply(x_t, *states[-1]))
    d_weights, d_x = [0 * w for w in cell.weights], []
    for x_t, before, d_y in zip(x[::-1], states[-2::-1], d_ys[::-1], strict=True):
        cell.step.apply(x_t, *before)
        step = cell.step.vjp(*d_state[:-1], d_state[-1] + d_y)
        d_weights, d_state = [total + d for total, d in zip(d_weights, step.weights, strict=True)], step.state
        d_x.insert(0, step.x)
    close(flat(got), [*d_weights, np.stack(d_x), *d_state])


@every_sequence_cell
def test_no_steps_return_the_states(Shipped):
    """Over zero steps apply is the identity on states, and so is its vjp."""
    cell, x, state = case(Shipped, steps=0)
    *final, ys = cell.apply(x, *state)
    same(final, state)
    assert ys.shape == (0, BATCH, STATE)
    *d_state, _ = given = upstreams([*final, ys])
    same(flat(cell.vjp(*given)), [*(np.zeros_like(w) for w in cell.weights), np.zeros_like(x), *d_state])


@every_sequence_cell
def test_full_lengths_change_nothing(Shipped):
    """lengths = steps for every row is no lengths."""
    cell, x, state = case(Shipped)
    same(cell.apply(x, *state, lengths=[STEPS] * BATCH), cell.apply(x, *state))


@every_sequence_cell
@pytest.mark.parametrize("k", range(BATCH))
def test_a_ragged_row_is_its_solo_run(Shipped, k):
    """Row k of length n: the run of that row alone over n steps, ys zero from there on."""
    cell, x, state, (*final, ys), _ = ragged(Shipped)
    n = LENGTHS[k]
    close([*(row(f, k) for f in final), row(ys, k)[:n]], cell.apply(row(x, k)[:n], *(row(s, k) for s in state)))
    assert not ys[n:, k].any()


@every_sequence_cell
@pytest.mark.parametrize("k", range(BATCH))
def test_the_gradients_of_a_ragged_row_are_those_of_its_solo_run(Shipped, k):
    """Likewise x and state gradients, zero where x is padding."""
    cell, x, state, _, (*d_state, d_ys) = ragged(Shipped)
    together, n = cell.vjp(*d_state, d_ys), LENGTHS[k]
    cell.apply(row(x, k)[:n], *(row(s, k) for s in state))
    solo = cell.vjp(*(row(d, k) for d in d_state), row(d_ys, k)[:n])
    close([row(together.x, k)[:n], *(row(d, k) for d in together.state)], [solo.x, *solo.state])
    assert not together.x[n:, k].any()


@every_sequence_cell
def test_the_weight_gradients_of_a_ragged_batch_are_the_sum_of_solo_runs(Shipped):
    """sum_k vjp of row k alone over its length."""
    cell, x, state, _, (*d_state, d_ys) = ragged(Shipped)
    together, total = cell.vjp(*d_state, d_ys).weights, [0 * w for w in cell.weights]
    for k, n in enumerate(LENGTHS):
        cell.apply(row(x, k)[:n], *(row(s, k) for s in state))
        solo = cell.vjp(*(row(d, k) for d in d_state), row(d_ys, k)[:n]).weights
        total = [t + w for t, w in zip(total, solo, strict=True)]
    close(together, total)


@every_sequence_cell
def test_length_zero_returns_the_initial_state(Shipped):
    """A row of length 0 keeps its state and hands its upstream back, bit by bit."""
    cell, _, state, (*final, _), (*d_state, d_ys) = ragged(Shipped)
    k = LENGTHS.index(0)
    same([row(f, k) for f in final], [row(s, k) for s in state])
    same([row(d, k) for d in cell.vjp(*d_state, d_ys).state], [row(d, k) for d in d_state])


@every_sequence_cell
@pytest.mark.parametrize("content", [0.0, 1e300, np.inf, np.nan])
def test_padding_is_irrelevant(Shipped, content):
    """What x and the upstream of ys hold beyond a row's length changes nothing, bit by bit."""
    cell, x, state, outputs, (*d_state, d_ys) = ragged(Shipped)
    gradients = flat(cell.vjp(*d_state, d_ys))
    padding = np.arange(STEPS)[:, None] >= LENGTHS
    x, d_ys = x.copy(), d_ys.copy()
    x[padding] = d_ys[padding] = content
    same(cell.apply(x, *state, lengths=LENGTHS), outputs)
    same(flat(cell.vjp(*d_state, d_ys)), gradients)


@every_sequence_cell
def test_lengths_are_of_the_last_apply_only(Shipped):
    """The next apply without lengths takes all steps."""
    cell, x, state, _, _ = ragged(Shipped)
    same(cell.apply(x, *state), case(Shipped)[0].apply(x, *state))
