"""Purity: a cell computes from what it is given and from nothing else, and changes nothing that is not its own."""

import random
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from cellcheck.properties.oracles import alike, unchanged
from cellcheck.properties.verdicts.blocks import Block, identical, same
from cellcheck.properties.verdicts.run import PARTS, claimed, differentiated, outcome
from cellcheck.properties.verdicts.tally import require
from cellcheck.strategies import problems
from cellcheck.strategies.problem import another, with_weights
from hypothesis import given


@given(problem=problems())
def test_apply_is_repeatable(Cell, problem):
    """apply(x, s) = apply(x, s), bit by bit, when called again."""
    problem = problem.literal(Cell)
    cell, x, state = problem.build(Cell)
    first, again = ({n: np.array(y) for n, y in zip(cell.spec.output_names, cell.apply(x, *state))} for _ in range(2))
    require(unchanged(Cell, problem, again, first))


@given(problem=problems())
def test_vjp_is_repeatable(Cell, problem):
    """vjp(u) = vjp(u), bit by bit, when called again after vjp(v), which equals that of a fresh cell; both calls may be refused."""
    problem = problem.literal(Cell)
    cell, x, state = problem.build(Cell)
    u, v = problem.upstreams(2, cell.apply(x, *state), cell.spec)
    first, answers = differentiated(cell, u), []
    with suppress(Exception):
        for upstream in (v, u):
            answers.append(differentiated(cell, upstream))
    if not answers:
        return require([])
    cell, *_ = problem.build(Cell)
    cell.apply(x, *state)
    other = alike(Cell, problem, answers[0], differentiated(cell, v))
    require([*other, *(unchanged(Cell, problem, answers[1], first) if answers[1:] else [])])


@pytest.mark.promise
@pytest.mark.needs("gradients")
@given(problem=problems())
def test_a_second_vjp_is_answered(Cell, problem):
    """apply(x, s); vjp(u); vjp(v) raises nothing."""
    cell, x, state = problem.build(Cell)
    u, v = problem.upstreams(2, cell.apply(x, *state), cell.spec)
    cell.vjp(*u)
    require(Block(name, "an answer", "an answer") for name in differentiated(cell, v))


@given(problem=problems())
def test_what_is_given_stays_as_it_is(Cell, problem):
    """x, s, W and u are the same after apply(x, s) and vjp(u) as before."""
    cell, x, state = problem.build(Cell)
    names = [*cell.spec.array_names, *(f"upstream of {y.name}" for y in cell.spec.outputs)]
    given = [*cell.weights, x, *state]
    before = [np.array(a) for a in given]
    [u] = problem.upstreams(1, cell.apply(x, *state), cell.spec)
    before += [np.array(a) for a in u]
    cell.vjp(*u)
    taken = [True] * len(given) + [y.differentiable for y in cell.spec.outputs]  # the others are zero
    require(block for block, of in zip(map(identical, names, [*given, *u], before), taken) if of)


@given(problem=problems())
def test_the_last_apply_counts(Cell, problem):
    """apply(x', s'); apply(x, s); vjp(u) = apply(x, s); vjp(u), where a' = 1/4 - 3/4 a."""
    problem = problem.literal(Cell)
    fresh, cell = outcome(problem.build(Cell)[0], problem), problem.build(Cell)[0]
    other = problem.other()
    cell.apply(other.x, *other.state)
    require(alike(Cell, problem, outcome(cell, problem), fresh))


@given(problem=problems())
def test_a_used_cell_equals_a_fresh_one(Cell, problem):
    """apply and vjp of (x, s) on a used cell = those on a fresh one. Used: with other sizes, lengths, and numbers in the same arrays. Then at (x, s'), with s' as it was returned."""
    problem = problem.literal(Cell)
    fresh, cell = outcome(problem.build(Cell)[0], problem), problem.build(Cell)[0]
    for other in _others(cell, problem):
        outcome(cell, other)
    if cell.spec.lengths:
        lengths = np.arange(problem.batch) % (problem.steps + 1)
        outcome(cell, problem, lengths=np.maximum(lengths, cell.spec.fewest_steps))
    given = _arrays_of_others(problem)
    outcome(cell, problem, lay=lambda a: given.get(id(a), a.copy()))
    for kept, a in zip(given.values(), (problem.x, *problem.state)):
        kept[...] = a
    used = outcome(cell, problem, lay=lambda a: given.get(id(a), a.copy()))
    require([*alike(Cell, problem, used, fresh), *_handed_on(Cell, cell, problem)])


@given(problem=problems())
def test_changed_weights_count(Cell, problem):
    """apply and vjp of (x, s), after those with other weights W' and then W'[...] = W, = those on a fresh cell."""
    problem = problem.literal(Cell)
    before = _reweighted(problem)
    cell = before.build(Cell)[0]
    outcome(cell, before)
    found = outcome(with_weights(cell, problem.weights), problem)
    require(alike(Cell, problem, found, outcome(problem.build(Cell)[0], problem)))


@given(problem=problems())
def test_two_cells_are_independent(Cell, problem):
    """a.apply(x, s); b.apply(x', s'); a.vjp(u); b.vjp(u) are those of a alone and of b alone, which has other weights W'."""
    one = problem.literal(Cell)
    two = _reweighted(one.other())
    alone = [outcome(p.build(Cell)[0], p) for p in (one, two)]
    cells = [p.build(Cell)[0] for p in (one, two)]
    outputs = [dict(zip(c.spec.output_names, map(np.array, c.apply(p.x, *p.state)))) for c, p in zip(cells, (one, two))]
    asked = [p.upstreams(1, [*ys.values()], p.spec)[0] for p, ys in zip((one, two), outputs)]
    gradients = [differentiated(*pair) for pair in zip(cells, asked)]
    require(block for k, p in enumerate((one, two)) for block in alike(Cell, p, {**outputs[k], **gradients[k]}, alone[k]))


@pytest.mark.promise
@given(problem=problems())
def test_outputs_are_the_callers(Cell, problem):
    """y = apply(x, s); y += 1 changes neither vjp(u) nor, like any later call, what the caller holds."""
    problem = problem.literal(Cell)
    cell, x, state = problem.build(Cell)
    outputs = cell.apply(x, *state)
    before, expected = [np.array(y) for y in outputs], differentiated(cell, problem.given[0])
    other = problem.other()
    cell.apply(other.x, *other.state)
    kept = list(map(identical, cell.spec.output_names, outputs, before))
    for y in cell.apply(x, *state):
        _spoil(y)
    require([*kept, *unchanged(Cell, problem, differentiated(cell, problem.given[0]), expected)])


@pytest.mark.promise
@given(problem=problems())
def test_inputs_are_the_callers(Cell, problem):
    """y = apply(x, s); x += 1, s += 1 changes neither vjp(u) nor y."""
    problem = problem.literal(Cell)
    fresh = outcome(problem.build(Cell)[0], problem)
    cell, x, state = problem.build(Cell)
    outputs = cell.apply(x, *state)
    for a in (x, *state):
        _spoil(a)
    found = {name: np.array(y) for name, y in zip(cell.spec.output_names, outputs)}
    [upstream] = problem.upstreams(1, [*found.values()], problem.spec)
    require(alike(Cell, problem, {**found, **differentiated(cell, upstream)}, fresh))


@pytest.mark.promise
@pytest.mark.needs("gradients")
@given(problem=problems())
def test_gradients_are_the_callers(Cell, problem):
    """g = vjp(u); g += 1 changes neither u nor a later vjp(u), and vjp(v) does not change g."""
    problem = problem.literal(Cell)
    cell, x, state = problem.build(Cell)
    cell.apply(x, *state)
    u, v = problem.given
    given = [np.copy(a) for a in u]
    found = _raw(cell, cell.vjp(*given))
    names, gradients = list(found), list(found.values())
    before = list(map(np.copy, gradients))
    cell.vjp(*map(np.copy, v))
    kept = list(map(identical, names, gradients, before))
    for g in gradients:
        _spoil(g)
    own = [identical(f"upstream of {y.name}", *pair) for y, *pair in zip(cell.spec.outputs, given, u) if y.differentiable]
    again = unchanged(Cell, problem, _raw(cell, cell.vjp(*map(np.copy, u))), dict(zip(names, before)))
    require([*kept, *own, *again])


@pytest.mark.promise
@given(problem=problems())
def test_global_random_state_is_left_alone(Cell, problem):
    """The states of numpy.random and random are the same after Cell(...), apply and vjp as before."""
    np.random.random(), random.random()  # so that a constant seed, of ours or of a cell, leaves a trace
    before = _random_states()
    outcome(problem.build(Cell)[0], problem.literal(Cell))
    require(same(_random_states(), before))


def _random_states():
    """The global random states as arrays by name."""
    return {"numpy.random": np.hstack(np.random.get_state()[1:3]), "random": np.array(random.getstate()[1])}


def _reweighted(p):
    """The problem at other weights."""
    return replace(p, weights=list(map(another, p.weights))).folded()


def _others(cell, p):
    """Problems of other sizes that this instance may have seen before: one row and more, one step and more, or those declared."""
    found, spec = [], cell.spec
    if spec.batch is None:
        found += [p.rows([k % p.batch for k in range(n)]) for n in spec.sizes.get("batch", (1, 2 * p.batch)) if p.batch and n]
    if spec.sequence:
        found += [p.span([k % p.steps for k in range(n)]) for n in spec.sizes.get("steps", (1, 2 * p.steps)) if p.steps and n]
    return found


def _arrays_of_others(p):
    """Arrays to be given in the place of x and the states, by id: with other numbers, but for the first of several rows or steps of x."""
    other = p.other(kept=len(p.x) > 1)
    return {id(a): np.array(b) for a, b in zip((p.x, *p.state), (other.x, *other.state))}


def _handed_on(Cell, cell, p):
    """The blocks of a run at the very states that the cell has returned, against a fresh cell at copies of them."""
    outputs = dict(zip(cell.spec.output_names, cell.apply(p.x.copy(), *map(np.copy, p.state))))
    state = [outputs.get(f"{s.name}'") for s in cell.spec.states]
    if not state or any(np.shape(new) != old.shape for new, old in zip(state, p.state[len(p.further) :])):
        return []
    later = replace(p, state=(*p.further, *(np.array(new, order="C") for new in state)))
    if not later.inside():
        return []
    expected = outcome(later.build(Cell)[0], later)
    given = dict(zip(map(id, later.state[len(p.further) :]), state))
    try:
        found = outcome(cell, later, lay=lambda a: given.get(id(a), a.copy()))
    except Exception:
        if all(new.flags.carray for new in state):
            raise
        return []  # it refuses the layout in which it returns them, or that it may not write: other laws judge that
    return [replace(b, note=b.note or "at the states that it returned") for b in alike(Cell, later, found, expected)]


def _raw(cell, gradients):
    """The gradients by name, as the cell returned them."""
    return {name: np.asarray(g) for name, (g, _) in zip(cell.spec.array_names, claimed(cell, gradients, PARTS)) if g is not None}


def _spoil(array):
    """Write into it, where that is allowed."""
    if array.flags.writeable:
        array += 1
