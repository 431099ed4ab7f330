"""Sequences: one step after another, wherever they are cut; rows of different lengths end alone."""

from dataclasses import replace

import numpy as np
import pytest
from cellcheck.properties.oracles import agree, unchanged
from cellcheck.properties.verdicts import bound
from cellcheck.properties.verdicts.blocks import identical, within
from cellcheck.properties.verdicts.run import apply, both, claimed, joined, vjp
from cellcheck.properties.verdicts.tally import require
from cellcheck.strategies import problems
from hypothesis import given, reject


@pytest.mark.needs("sequence", "finals", "single step", "same steps", "any time", "own past")
@given(problem=problems())
def test_a_sequence_is_its_steps(Cell, problem):
    """ys[t] = h'(t), where (..., h'(t)) = apply(x[t], apply(x[t-1], ... apply(x[0], s))); the final states are the last."""

    def one_by_one(p):
        cell = p.build(Cell)[0]
        start = {} if p.steps else _run(cell, p, p.states)
        start |= {f"{s.name}'": a for s, a in zip(p.spec.states, p.states)}
        runs = [start | {y.name: np.zeros((0, p.batch, *y.shape)) for y in p.spec.outputs if y.name == "ys"}]
        for t in range(p.steps):
            before = _finals(p, runs[-1])
            found = _from(p, before, _run(cell, p.span(slice(t, t + 1)), before))
            if "ys" in found and not p.spec.own_output:
                found["ys"] = _finals(p, found)[-1][None]
            runs.append(found)
        return _one_after_another(runs)

    require(_agree(Cell, problem, lambda p: apply(Cell, p), one_by_one, bound.size_of_outputs))


@pytest.mark.needs("sequence", "finals", "splits", "same steps", "any time", "own past")
@given(problem=problems())
def test_a_sequence_may_be_split(Cell, problem):
    """apply(x, s) = apply(x[k:], apply(x[:k], s)), its ys one after the other."""

    def split(p):
        cell, k = p.build(Cell)[0], p.cut()
        early = _run(cell, p.span(slice(k)), p.states)
        between = _finals(p, early)
        return _one_after_another([early, _from(p, between, _run(cell, p.span(slice(k, None)), between))])

    require(_agree(Cell, problem, lambda p: apply(Cell, p), split, bound.size_of_outputs))


@pytest.mark.needs("sequence", "finals", "x", "state", "upstreams", "splits", "same steps", "any time", "own past")
@given(problem=problems())
def test_vjp_of_a_sequence_may_be_split(Cell, problem):
    """vjp over x = vjp over x[:k] of what vjp over x[k:] returns for the state between; dW is their sum."""

    def split(p):
        first, second, k, n = p.build(Cell)[0], p.build(Cell)[0], p.cut(), len(p.further)
        between = _finals(p, _run(first, p.span(slice(k)), p.states))
        _run(second, p.span(slice(k, None)), between)
        late = second.vjp(*p.span(slice(k, None)).given[0])
        early = first.vjp(*_upstreams(p.span(slice(k)), late[2][n:]))
        sums = [[None] * len(p.weights) if g[0] is None else g[0] for g in (early, late)]
        whole = [(a, lambda a, b: a + b, b) for a, b in zip(*sums)]
        whole += [(a, lambda a, b: np.concatenate([a, b]), b) for a, b in zip((early[1], *early[2][:n]), (late[1], *late[2][:n]))]
        whole += [(a, lambda a, b: a, None) for a in early[2][n:]]
        offered = zip(p.spec.array_names, whole, p.spec.offers)
        found = {name: join(a, b) for name, (a, join, b), part in offered if part and a is not None}
        return _from(p, between, found)

    require(_agree(Cell, problem, lambda p: vjp(Cell, p), split, bound.size))


@pytest.mark.promise
@pytest.mark.needs("sequence", "ys", "same steps", "own past", "uncut")
@given(problem=problems())
def test_outputs_do_not_depend_on_later_steps(Cell, problem):
    """ys[:k] of apply(x, s) does not depend on x[k:]."""
    problem = problem.literal(Cell)
    if problem.steps < 2:
        reject()
    k = 1 + problem.recipe.seed % (problem.steps - 1)
    later, other = slice(k, None), problem.elsewhere(slice(k, None))
    if np.array_equal(problem.x[k:], other.x[k:]):
        return require([], "its x can have one value alone")

    def early(p):
        return {"ys": apply(Cell, p)["ys"][:k]}

    # From another end on, since x may be zero: what a convolution rounds has the size of all steps.
    require(agree(Cell, other, early, lambda p: early(p.elsewhere(later)), bound.size_of_outputs))


@pytest.mark.needs("sequence", "finals", "empty")
@given(problem=problems())
def test_no_steps_leave_the_state(Cell, problem):
    """apply(x[:0], s) = s and no ys, vjp(d, []).state = d where it is offered, but for the rounding of exp(log(s))."""
    p = problem.literal(Cell).span(slice(0))
    cell, spec = p.build(Cell)[0], p.spec
    new, d_state = _run(cell, p, p.states), _finals(p, dict(zip(spec.output_names, p.given[0])))
    passed = claimed(cell, cell.vjp(*_upstreams(p, d_state)), {"state"} & {*spec.gradients})[-len(d_state) :]
    shapes = [(np.shape(new[y.name]), (0, p.batch, *y.shape)) for y in spec.outputs if y.name == "ys"]
    require(
        [
            *(within(f"{name}'", y, s, _rounded(spec, s, s)) for name, y, s in zip(spec.state_names, _finals(p, new), p.states)),
            *(identical("shape of ys", *pair) for pair in shapes),
            *(
                within(name, d, u, _rounded(spec, u, s))
                for name, (d, offered), u, s in zip(spec.state_names, passed, d_state, p.states)
                if offered
            ),
        ]
    )


@pytest.mark.needs("sequence", "lengths", "several lengths", "single row", "same steps", "own row")
@given(problem=problems())
def test_each_ragged_row_equals_its_solo_run(Cell, problem):
    """apply(X, S, lengths=l)[k] = apply(X[:l[k], k], S[k]) and its vjp, for each row k; dW is the sum over rows."""

    def together(p):
        return _of_the_living(Cell, p, _solo_lengths(p))

    def alone(p):
        runs = [both(Cell, p.rows([k]).span(slice(n))) for k, n in enumerate(_solo_lengths(p))]
        long = [name for name in runs[0] if p.spec.batch_axis(name) == 1]
        return joined(p.spec, [{**run, **{name: _padded(run[name], p.steps) for name in long}} for run in runs])

    require(agree(Cell, _asked(Cell, problem.literal(Cell)), together, alone, bound.size_of_a_run))


@pytest.mark.needs("sequence", "lengths")
@given(problem=problems())
def test_padding_is_of_no_consequence(Cell, problem):
    """apply(X, S, lengths=l) and its vjp do not depend on X[t, k] for t >= l[k]."""
    p = problem.literal(Cell)
    require(_padding_changes_nothing(Cell, p, lambda a: 1 - 2 * a))


@pytest.mark.promise
@pytest.mark.needs("sequence", "lengths")
@given(problem=problems())
def test_padding_of_any_size_is_of_no_consequence(Cell, problem):
    """apply(X, S, lengths=l) and its vjp are the same where X[t, k] for t >= l[k] is the largest float."""
    p = problem.literal(Cell)
    require(_padding_changes_nothing(Cell, p, lambda a: np.finfo(a.dtype).max))


@pytest.mark.promise
@pytest.mark.needs("sequence", "lengths", "ys")
@given(problem=problems())
def test_outputs_of_padding_are_zero(Cell, problem):
    """apply(X, S, lengths=l): ys[t, k] = 0 for t >= l[k], and no upstream that is given for it has an effect."""
    p = problem.literal(Cell)
    lengths = _lengths(p)
    asked, unasked = both(Cell, p, lengths=lengths), both(Cell, _unasked(p, lengths), lengths=lengths)
    require(unchanged(Cell, p, asked, _without_padding(p, unasked, lengths), lengths=lengths))


def _agree(Cell, problem, whole, parts, size):
    """The blocks of a whole sequence against its parts, without an output that is pooled over steps and without its upstream."""
    p = problem.literal(Cell)
    if not p.spec.pooled:
        return agree(Cell, p, whole, parts, size)
    *_, pooled = p.spec.output_names
    given = [(*us[:-1], 0 * us[-1]) for us in p.given]
    runs = [lambda p, run=run: {name: y for name, y in run(p).items() if name != pooled} for run in (whole, parts)]
    return agree(Cell, replace(p, given=given), *runs, size)


def _rounded(spec, a, s):
    """What may become of a, a state s or its upstream, that is passed on: it is stored in a declared lower precision, or s is exp(log(s)).

    log s is off by a unit of it, so exp(log(s)) and its derivative by |log s| units; both functions may add some units of their own.
    """
    logarithm = np.abs(np.log(np.abs(s), where=s != 0, out=np.zeros(s.shape)))
    return (2 * (spec.precision or 0.0) + 2 * (2 + logarithm) * spec.unit(a.dtype)) * np.abs(a)


def _lengths(p):
    """The lengths of the rows of a literal problem, none shorter than the cell takes."""
    return np.maximum(p.lengths(p.steps, p.batch), p.spec.fewest_steps)


def _solo_lengths(p):
    """The same for rows that are also run alone: each is one of the numbers of steps that the cell declares, if it declares any."""
    takes = p.spec.declared_steps
    return np.array([max((k for k in takes if k <= n), default=p.steps) if takes else n for n in _lengths(p)], int)


def _alive(p, a, lengths, padding=0):
    """An input or ys of the problem with this in the place of what lies beyond the end of its row."""
    before = np.arange(p.steps)[:, None] < lengths
    return np.where(before.reshape(before.shape + (1,) * (a.ndim - 2)), a, padding)


def _unasked(p, lengths):
    """The problem without upstreams of padding."""
    named = [dict(zip(p.spec.output_names, us)) for us in p.given]
    return replace(p, given=[tuple(_without_padding(p, us, lengths).values()) for us in named])


def _asked(Cell, p):
    """The problem; without upstreams of padding, unless ys is masked there: 0 at these numbers and at others, and so its derivative."""
    lengths = _solo_lengths(p)

    def masked(q):
        found = p.build(Cell)[0].apply(q.x.copy(), *map(np.copy, q.state), lengths=lengths)
        ys = np.asarray(dict(zip(p.spec.output_names, found)).get("ys", np.zeros((p.steps, p.batch, 0))))
        return np.array_equal(ys, _alive(p, ys, lengths))

    return p if masked(p) and masked(p.other()) else _unasked(p, lengths)


def _without_padding(p, named, lengths):
    """Outputs or upstreams by name, ys with zeros beyond the end of each row."""
    return {name: _alive(p, a, lengths) if name == "ys" else a for name, a in named.items()}


def _padded(a, steps):
    """The array with zeros up to this many steps."""
    return np.concatenate([a, np.zeros((steps - len(a), *a.shape[1:]), a.dtype)])


def _padding_changes_nothing(Cell, p, padding):
    """The blocks of a run with padding(a) at the end of each input a against a run of the problem itself, upstreams of padding left out."""
    lengths = _lengths(p)
    p = _unasked(p, lengths)
    inputs = [_alive(p, a, lengths, padding(a)) for a in (p.x, *p.further)]
    other = replace(p, x=inputs[0], state=(*inputs[1:], *p.states)).folded()
    return unchanged(Cell, p, *(_of_the_living(Cell, q, lengths) for q in (other, p)), lengths=lengths)


def _of_the_living(Cell, p, lengths):
    """The run of the problem with these lengths, the ys of padding left out."""
    return _without_padding(p, both(Cell, p, lengths=lengths), lengths)


def _run(cell, p, state):
    """Copies of the outputs by name of this instance on the inputs of the problem, from these states."""
    return dict(zip(p.spec.output_names, map(np.array, cell.apply(*map(np.copy, (p.x, *p.further, *state))))))


def _finals(p, run):
    """The final states among outputs by name, in the order in which the cell takes them."""
    return [run[f"{name}'"] for name in p.spec.state_names]


def _from(p, states, found):
    """What was found from these states on. Rejects the problem where a state has left its domain, as by underflow, and so that is not finite."""
    if p.lost(states, found.values()):
        reject()
    return found


def _one_after_another(runs):
    """The outputs of the last run, but the ys of all of them."""
    return {**runs[-1], **({"ys": np.concatenate([run["ys"] for run in runs])} if "ys" in runs[0] else {})}


def _upstreams(p, gradients):
    """Gradients of states as upstreams of the final states; ys keeps its own, and the upstream of any other output is zero."""
    finals = {f"{name}'": g for name, g in zip(p.spec.state_names, gradients)}
    given = zip(p.spec.outputs, p.given[0])
    return [d if y.name == "ys" else finals[y.name] if y.name in finals and y.differentiable else 0 * d for y, d in given]
