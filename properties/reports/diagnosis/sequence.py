"""Mistakes of a sequence cell forwards: it is not its steps, or its rows do not end where they should."""

from dataclasses import replace
from functools import partial

import numpy as np
from cellcheck.properties.intake.capabilities import missing
from cellcheck.properties.intake.raised import named
from cellcheck.properties.oracles.equations import equations
from cellcheck.properties.reports.diagnosis.flow_faults import flow_faults
from cellcheck.properties.reports.diagnosis.grown import CLOSE, Ended, Grown, figure, gap, lengths_of, same
from cellcheck.properties.reports.diagnosis.mistakes import Mistake, matched
from cellcheck.properties.verdicts.run import outcome
from cellcheck.properties.writing.text import several

ROUNDED = 1e-13  # as exp(log h) is


def sequence_faults(g, alone=False):
    """Sentences about the outputs of a sequence cell, [] where they are those of its steps.

    alone: leave out an output that is only undeclared, which makes no gradient wrong.
    """
    stepwise = [] if missing(g.Cell, ["finals"]) else [partial(unlike_steps, alone=alone), empty, ragged]
    looks = [ignored, *stepwise, ahead, partial(later, alone=alone), padding] if g.p.states else [later, padding]
    return next(filter(None, (look(g) for look in looks)), [])


def ignored(g):
    """An initial state that has no effect."""
    whole, off = g.ran(), []
    for k, name in enumerate(g.cell.spec.state_names):
        states = (*g.p.further, *(0 * s if j == k else s for j, s in enumerate(g.p.states)))
        if all(same(whole[n], y) for n, y in g.ran(replace(g.p, state=states)).items() if n in g.outputs):
            off.append(name)
    return (
        [f"the initial {several(off)} {'is' if len(off) == 1 else 'are'} ignored: with zeros instead, the outputs are the same"]
        if off
        else []
    )


def single(g, t, state, steps=1, p=None):
    """The outputs of a run over the steps t, t + 1, ... alone: of the equations where the cell declares them, else its own."""
    p = (p or g.p).span(slice(t, t + steps))
    cell = p.build(g.Cell)[0]
    if g.kind and g.blocks:
        return list(equations(cell, p.x, tuple(state)))
    found = [np.array(y) for y in cell.apply(p.x.copy(), *(np.array(s) for s in (*p.further, *state)))]
    return found if "ys" in g.outputs else [*found, found[-1][None]]


def walk(g, order, start=None, carried=True, kept=lambda k: True):
    """(states after each step, ys) one step at a time; kept(k): whether state k is carried, else it is the initial one again."""
    states, ys = [tuple(start or g.p.states)], []
    for t in order:
        new = single(g, t, [s if carried and kept(k) else first for k, (s, first) in enumerate(zip(states[-1], states[0]))])
        states.append(tuple(new[: len(g.p.states)]))
        ys.append(new[-1][0] if g.cell.spec.own_output else states[-1][-1])
    return states, np.array(ys)


def unlike_steps(g, alone=False):
    """What the sequence does instead of one step after another."""
    seen = {name: y for name, y in g.ran().items() if name in g.outputs}
    if not (g.kind and g.blocks) and all(map(same, single(g, 0, g.p.states), g.p.states)):
        return ["a sequence of one step returns the state that it was given: a step is left out"]
    states, ys = walk(g, range(len(g.p.x)))
    right = dict(zip(g.outputs, [*states[-1], ys]))
    if all(same(seen[n], right[n]) for n in seen):
        return []
    tried = (Mistake(said, lambda new=(*final, y): dict(zip(g.outputs, new))) for said, final, y in mistakes(g, states, ys))
    return matched(tried, seen, right, "the outputs") or ([] if alone else beside(g, seen, states))


def beside(g, seen, states):
    """Whether ys[t] comes from step t alone, but is not a state."""
    if (
        g.kind
        or "ys" not in seen
        or g.cell.spec.own_output
        or not all(same(seen[name], s) for name, s in zip(g.outputs, states[-1]))
    ):
        return []
    alone = [single(g, t, s)[-1] for t, s in enumerate(states[:-1])]
    if not same(seen["ys"], np.concatenate(alone)):
        return []
    return [f"ys[t] is not {g.outputs[-2]} after step t; if ys is an output in addition to the states, declare output = 'ys'"]


def mistakes(g, states, ys):
    """(sentence, final states, ys) of everything that is tried; states, ys: of one step after another."""
    T = len(g.p.x)
    alone_states, alone_ys = walk(g, range(T), carried=False)
    zero_states, zero_ys = walk(g, range(T), tuple(map(np.zeros_like, g.p.states)))
    back_states, back_ys = walk(g, range(T - 1, -1, -1))
    before = np.array([s[-1] for s in states[:-1]])
    yield "every step starts from the initial state: the state is not carried", alone_states[-1], alone_ys
    yield "the initial state is ignored: the sequence starts from zeros", zero_states[-1], zero_ys
    meant = 'if that is on purpose, declare choices={"future": True}'
    yield f"the steps are taken last to first ({meant})", back_states[-1], back_ys
    yield f"the steps are taken last to first, and ys is put back in order ({meant})", back_states[-1], back_ys[::-1]
    yield "ys runs backwards in time", states[-1], ys[::-1]
    yield "ys holds the states before the steps instead of after them", states[-1], before
    yield "ys is (batch, steps, state) instead of (steps, batch, state)", states[-1], np.swapaxes(ys, 0, 1)
    yield "the final state is that before the last step", states[-2], ys
    yield "the initial state is returned as the final one", states[0], ys
    yield "the state after the first step is returned as the final one", states[1], ys
    yield "the last step is left out", states[-2], ys[:-1]
    yield "the last step is left out, and ys holds the one before it twice", states[-2], np.concatenate([ys[:-1], ys[-2:-1]])
    yield "the first step is left out", walk(g, range(1, T))[0][-1], ys[1:]
    for n in range(2, T):
        starts = [walk(g, range(first, min(first + n, T))) for first in range(0, T, n)]
        said = f"the state is not carried over the borders of chunks of {n} steps"
        yield said, starts[-1][0][-1], np.concatenate([part for _, part in starts])
    for k, name in enumerate(g.cell.spec.state_names[:-1]):
        yield f"ys holds {name} instead of the output", states[-1], np.array([s[k] for s in states[1:]])
        fresh, fresh_ys = walk(g, range(T), kept=lambda j, k=k: j != k)
        yield f"{name} is not carried from step to step", fresh[-1], fresh_ys


def empty(g):
    """A sequence of no steps."""
    if g.cell.spec.fewest_steps:
        return []
    p = g.p.span(slice(0))
    try:
        found = g.ran(p)
    except Exception as error:
        return [f"a sequence of 0 steps raises {named(error)}"]
    for name, s in zip(g.outputs, p.states):
        if not same(found[name], s, g.cell.spec.precision or ROUNDED):
            single = np.array_equal(found[name], s.astype(np.float32))
            off = "rounded to float32" if single else f"off by {figure(np.max(np.abs(found[name] - s)))}"
            return [f"a sequence of 0 steps does not return the state it was given: {name} is {off}"]
    return []


def ahead(g):
    """Outputs of a step that depend on later steps."""
    if missing(g.Cell, ["own past"]):
        return []
    last, large = g.p.elsewhere(slice(len(g.p.x) - 1, None)), np.array(g.p.x)
    large[-1] *= 16  # a largest entry of all steps may lie in another one
    seen, *others = (g.ran(p).get("ys", np.zeros(0)) for p in (g.p, last, replace(g.p, x=large).folded()))
    early = [t for t in range(len(seen) - 1) if not all(same(seen[t], other[t]) for other in others)]
    given = several(a.name for a in g.cell.spec.inputs)
    said = f"changes with {given} of step {len(seen) - 1}, which is later (a bidirectional layer takes and returns no state: docs/plugging-in.md, 27)"
    return [f"ys of step {early[0]} {said}"] if early else []


def later(g, alone=False):
    """A length beyond which steps are dropped. alone: say nothing of a state that is handed on, which makes no gradient wrong."""
    if g.cell.spec.most_steps:
        return []
    p = replace(g.p.recipe, steps=12).literal(g.Cell)
    whole, T = g.ran(p), len(p.x)  # of declared sizes, there may be fewer steps
    given = dict(zip((f"{name}'" for name in g.cell.spec.state_names), p.states))
    kept = [name for name, s in given.items() if name in whole and np.array_equal(whole[name], s)]
    if kept and len(kept) < len(g.outputs) and not alone:
        return [f"{kept[0]} is the initial {kept[0].rstrip(chr(39))}: it is what was given, bit for bit, after {T} steps"]
    name = next((name for name in g.outputs if name not in kept), None)
    if name is None:
        return []
    for k in range(1, T - 1):
        ends = (g.ran(p.span(slice(n)))[name] for n in range(k, T) if g.cell.spec.takes("steps", n))
        if g.cell.spec.takes("steps", k) and all(same(end, whole[name]) for end in ends):
            return [f"steps beyond {k} are dropped: {T} steps end in the same {name} as {k}"]
    return []


CONTINUED = ("a_sequence_is_its_steps", "a_sequence_may_be_split", "vjp_of_a_sequence_may_be_split")


def continued(g):
    """A memory beside the states that are returned: the laws of sequences ask for none."""
    whole, first = g.ran(), g.ran(g.p.span(slice(1)))
    later, names = g.p.span(slice(1, None)), g.outputs[: len(g.p.states)]
    rest = g.ran(replace(later, state=(*later.further, *(first[name] for name in names))))
    off = {name: gap(whole[name], rest[name]) for name in names if not same(whole[name], rest[name], g.tolerance)}
    if not off:
        return []
    given, away = several([*(a.name for a in g.cell.spec.inputs), *g.cell.spec.state_names]), figure(max(off.values()))
    said = (
        f"steps depend on more than {given}, or are put together wrongly: continued after its first step, a run ends {away} away"
    )
    if "ys" in whole and (
        late := [t for t, pair in enumerate(zip(whole["ys"][1:], rest["ys"]), 1) if not same(*pair, g.tolerance)]
    ):
        said += f", and first differs in ys of step {late[0]}"
    forward = getattr(getattr(g.cell.guest, "plan", None), "forward", None)
    if forward and "ys" in whole and len(names) == 1 and names[0].rstrip("'") not in forward.given:  # taken from ys
        said += "; if a call keeps more, such as a c that starts at 0, and returns ys alone, declare outputs=('ys',)"
    meant = (
        "only if the number of the step shall matter, declare choices = {'time': True}; then no law tests how steps go together"
    )
    return [f"{said}; {meant}"]


def ragged(g):
    """Rows that end early."""
    if (lengths := lengths_of(g.cell.spec, g.batch, len(g.p.x))) is None:
        return []
    T, batch = len(g.p.x), g.batch
    try:
        found = dict(zip(g.outputs, map(np.array, g.p.build(g.Cell)[0].apply(g.p.x, *g.p.state, lengths=lengths))))
    except Exception as error:
        return [f"lengths {lengths.tolist()} raise {named(error)}"]
    finals = {}
    for n in range(T + 1):
        for r in range(batch):
            finals[n, r] = single(g, 0, g.p.states, n)[: len(g.p.states)] if n else g.p.states
            finals[n, r] = [s[r] for s in finals[n, r]]
    if any(same(a, b) for r in range(batch) for n in range(T) for m in range(n) for a, b in zip(finals[n, r], finals[m, r])):
        return []  # states that stand still tell nothing
    padded = single(g, 0, g.p.states, T, replace(g.p, x=np.where(within(lengths, g.p.x), g.p.x, 0)).folded())[: len(g.p.states)]
    for j, (name, y) in enumerate(zip(g.outputs, padded)):
        right = all(same(found[name][r], finals[n, r][j]) for r, n in enumerate(lengths))  # steps of zeros may change nothing
        if not right and same(found[name], y) and not same(y, single(g, 0, g.p.states, T)[g.outputs.index(name)]):
            return [
                f"padding updates {name}: rows of lengths {lengths.tolist()} end as if x were 0 for the rest of the {T} steps"
            ]
    for j, name in enumerate([name for name in g.outputs if name != "ys"][: len(g.p.states)]):
        taken = [next((n for n in range(T + 1) if same(found[name][r], finals[n, r][j])), None) for r in range(batch)]
        if taken == lengths.tolist():
            continue
        if None not in taken:
            return [f"lengths are {lengths.tolist()}, but the rows of {name} end as after {taken} steps"]
        for words, p in (("goes on with x", g.p), ("goes on as if x were 0", replace(g.p, x=0 * g.p.x).folded())):
            ends = [_going_on(g, p, j, finals[n, r], r, n) for r, n in enumerate(lengths)]
            if same(found[name], np.array(ends)) and not all(
                same(e, finals[n, r][j]) for r, (n, e) in enumerate(zip(lengths, ends))
            ):
                return [f"padding updates {name}: in rows of lengths {lengths.tolist()} it {words} to the end of the {T} steps"]
        of = [next((k for k, n in enumerate(lengths) if same(found[name][r], finals[n, k][j])), -1) for r in range(batch)]
        if sorted(of) == list(range(batch)):
            return [f"with lengths {lengths.tolist()} the rows of {name} come in the order {of}"]
        off = [r for r in range(batch) if taken[r] is None]
        reset = all(not np.any(found[name][r]) for r in off)
        if reset:
            return [f"{name} is zero in rows {off} of lengths {lengths[off].tolist()}: their state is lost"]
        if T in lengths[off] and not all(same(g.ran()[name][r], finals[T, r][j]) for r in range(batch)):
            return []
        away = figure(max(gap(found[name][r], finals[lengths[r], r][j]) for r in off))
        return [
            f"rows {off} of lengths {lengths[off].tolist()} do not end in the {name} of their last step, but {away} away from it"
        ]
    if "ys" not in g.outputs:
        return []
    alive, ys = within(lengths, found["ys"]), found["ys"]
    if np.any(np.where(alive, 0, ys)):
        return [
            f"ys holds up to {figure(np.max(np.abs(np.where(alive, 0, ys))))} "
            f"beyond the ends of rows of lengths {lengths.tolist()}, instead of 0"
        ]
    return []


def _going_on(g, p, j, states, r, n):
    """State j of row r if it alone goes on after the n steps of that row, while the others stay."""
    kept = [np.repeat(s[None], g.batch, 0) for s in states]
    for t in range(n, len(p.x)):
        kept[j] = single(g, t, kept, p=p)[j]
        kept[j] = np.repeat(kept[j][r : r + 1], g.batch, 0)
    return kept[j][r]


def padding(g):
    """Units of ys that depend on what lies beyond the end of a row, such as those of a direction that knows nothing of lengths."""
    lengths = lengths_of(g.cell.spec, g.batch, len(g.p.x)) if "ys" in g.outputs else None
    if lengths is None:
        return []
    alive = within(lengths, g.p.x)
    other = replace(g.p, x=np.where(alive, g.p.x, 1 - 2 * g.p.x)).folded()
    runs = [dict(zip(g.outputs, p.build(g.Cell)[0].apply(p.x.copy(), *p.state, lengths=lengths)))["ys"] for p in (g.p, other)]
    moved = np.where(within(lengths, runs[0]), np.abs(runs[0] - runs[1]), 0).reshape(-1, runs[0].shape[-1]).max(0, initial=0.0)
    units = np.flatnonzero(moved)
    if not units.size:
        return []
    n, row = len(moved), units[-1] - units[0] == len(units) - 1
    of = (
        ""
        if len(units) == n
        else f" in units {units[0]} to {units[-1]} of 0 to {n - 1}"
        if row
        else f" in units {several(map(str, units))}"
    )
    said = f"ys{of} depends on what lies beyond the end of its row: with lengths {lengths.tolist()}, other padding changes it"
    return [f"{said} by up to {figure(moved.max())} at steps that count"]


def within(lengths, array):
    """Which steps of each row of an array (steps, batch, ...) are before its end."""
    return (np.arange(len(array))[:, None] < lengths).reshape(*array.shape[:2], *[1] * (array.ndim - 2))


def ended_early(g, lengths):
    """A mistake in the gradients of rows that end early; of what is put out beyond their ends none is asked, unless it is 0."""
    short = Grown(Ended(g.Cell), g.p.recipe)
    alive, beyond = within(lengths, short.upstream[-1]), np.any(np.where(within(lengths, g.upstream[-1]), 0, short.ran()["ys"]))
    asked = [short.masked(lambda k, u: alive if u is short.upstream[-1] else 1.0)]
    for upstream in asked + [short.upstream] * (not beyond):
        short.upstream = upstream
        claims, truth = short.claims(upstream), short.truth()
        if told := flow_faults(short, claims, truth) or flow_faults(short, claims, truth, last=True):
            return [f"with rows of lengths {lengths.tolist()}, {told[0]}"]
    return []


def ragged_gradients(g):
    """Gradients of rows that end early, other than those of the rows alone, where those of whole rows are right."""
    lengths = lengths_of(g.cell.spec, g.batch, len(g.p.x)) if g.p.state and "ys" in g.outputs else None
    if lengths is None:
        return []
    if told := ended_early(g, lengths):
        return told
    alive = within(lengths, g.upstream[-1])
    unasked = [(*u[:-1], np.where(alive, u[-1], 0)) for u in g.p.given]
    claims = outcome(g.p.build(g.Cell)[0], replace(g.p, given=unasked), lengths=lengths)
    rows = [g.claims(p=g.p.rows([r]).span(slice(n))) for r, n in enumerate(lengths)]
    said = f"with lengths {lengths.tolist()} the gradient of"
    states = [name for name in g.cell.spec.state_names if name in claims]
    away = {name: [gap(claims[name][r], row[name][0]) for r, row in enumerate(rows)] for name in states}
    for name in sorted(away, key=lambda name: -max(away[name])):
        if off := [r for r, far in enumerate(away[name]) if far > CLOSE]:
            return [f"{said} {name} of rows {off} is not that of each row alone, by {figure(max(away[name]))}"]
    for name in (name for name in claims if name in g.names[: g.n]):
        if not same(claims[name], total := sum(row[name] for row in rows)):
            return [f"{said} {name} is not the sum of those of each row alone, by {figure(gap(claims[name], total))}"]
    asked = outcome(g.p.build(g.Cell)[0], g.p, lengths=lengths)
    moved = [name for name in claims if name in g.names and not same(asked[name], claims[name])]
    if moved and not np.any(np.where(alive, 0, asked["ys"])):
        worst = figure(max(gap(asked[name], claims[name]) for name in moved))
        return [f"an upstream of ys beyond the end of a row, where ys is 0, moves the gradient of {several(moved)}, by {worst}"]
    return []
