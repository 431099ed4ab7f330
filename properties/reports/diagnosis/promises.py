"""Broken promises: which array, which call. Asked only about the law that was broken, since a correct cell may break them."""

from contextlib import suppress
from dataclasses import replace

import numpy as np
from cellcheck.properties.intake.raised import named
from cellcheck.properties.reports.diagnosis.grown import figure, same
from cellcheck.properties.reports.diagnosis.numerics import tail, textbook
from cellcheck.properties.verdicts.run import claimed, differentiated, outcome
from cellcheck.properties.writing.text import several
from cellcheck.strategies.problem import with_weights


def promise_faults(g, law):
    """Sentences about one broken promise, [] where nothing more can be said than the law does."""
    look = LOOKS.get(law)
    return look(g) if look else []


def outputs_alias(g):
    """An output that is the cell's own."""
    fresh = g.ran()
    for k, name in enumerate(g.outputs):
        cell = g.p.build(g.Cell)[0]
        outputs = cell.apply(g.p.x.copy(), *(s.copy() for s in g.p.state))
        outputs[k][...] += 1
        found = differentiated(cell, g.upstream)
        off = [n for n in found if not np.array_equal(found[n], fresh[n], equal_nan=True)]
        if off:
            told = (
                f"{name} as returned is the cell's cache: adding 1 to it moves "
                f"the gradient of {several(off)}, by {_moved(found, fresh, off)}"
            )
            return [f"{told}; and the next apply overwrites it" if overwritten(g) else told]
    return overwritten(g)


def overwritten(g):
    """An output that the next call changes."""
    cell = g.p.build(g.Cell)[0]
    outputs = cell.apply(g.p.x.copy(), *(s.copy() for s in g.p.state))
    kept = [np.array(y) for y in outputs]
    cell.apply(-g.p.x, *(-s for s in g.p.state))
    for name, y, before in zip(g.outputs, outputs, kept):
        if not np.array_equal(y, before, equal_nan=True):
            return [
                f"the next apply overwrites the {name} that was returned, by "
                f"{figure(np.max(np.abs(y - before)))}: a buffer is used again"
            ]
    return []


def handed_on(g):
    """A state that is given back as it was returned, and that the call overwrites."""
    cell = g.p.build(g.Cell)[0]
    outputs = dict(zip(g.outputs, cell.apply(g.p.x.copy(), *map(np.copy, g.p.state))))
    if any(f"{s.name}'" not in outputs for s in cell.spec.states):  # of a sum alone, nothing is handed on
        return []
    state = [outputs[f"{s.name}'"] for s in cell.spec.states]
    later = replace(g.p, state=tuple(map(np.array, state)))
    cell.apply(g.p.x.copy(), *state)
    found, right = differentiated(cell, g.upstream), outcome(g.p.build(g.Cell)[0], later)
    return overwritten(g) if any(not np.array_equal(found[n], right[n], equal_nan=True) for n in found) else []


def inputs_alias(g):
    """An input that is kept without a copy."""
    fresh = g.ran()
    given = [g.p.x, *g.p.state]
    for k, name in enumerate(g.names[g.n :]):
        cell, arrays = g.p.build(g.Cell)[0], [a.copy() for a in given]
        cell.apply(*arrays)
        arrays[k] += 1
        found = differentiated(cell, g.upstream)
        off = [n for n in found if not np.array_equal(found[n], fresh[n], equal_nan=True)]
        if off:
            return [
                f"the cell keeps {name} itself, not a copy: adding 1 to it after apply "
                f"moves the gradient of {several(off)}, by {_moved(found, fresh, off)}"
            ]
        outputs = zip(g.outputs, g.p.build(g.Cell)[0].apply(*(arrays := [a.copy() for a in given])))
        if own := [output for output, y in outputs if np.shares_memory(y, arrays[k])]:
            return [f"{several(own)} as returned is {name} itself, not a copy: adding 1 to {name} changes it"]
    return []


def answered_once(g):
    """A backward that uses up what it needs."""
    cell = g.p.build(g.Cell)[0]
    cell.apply(g.p.x.copy(), *(s.copy() for s in g.p.state))
    differentiated(cell, g.upstream)
    try:
        differentiated(cell, g.upstream)
    except Exception as error:
        return [f"a second vjp after the same apply raises {named(error)}"]
    return []


def gradients_alias(g):
    """A gradient buffer that is used again, unless a second vjp raises."""
    if told := answered_once(g):
        return told
    cell = g.p.build(g.Cell)[0]
    cell.apply(g.p.x.copy(), *(s.copy() for s in g.p.state))
    weights = cell.vjp(*map(np.copy, g.p.given[0]))[0]
    before = [np.array(a) for a in weights]
    cell.vjp(*map(np.copy, g.p.given[1]))
    off = [n for n, a, b in zip(g.names, weights, before) if not np.array_equal(a, b)]
    if off:
        return [f"the next vjp overwrites the gradient of {several(off)} that was returned: a buffer is used again"]
    upstream = list(map(np.copy, g.p.given[0]))
    found = dict(zip(g.names, (claim for claim, _ in claimed(cell, cell.vjp(*upstream), g.cell.spec.gradients))))
    return [
        f"the gradient of {name} that vjp returns is the upstream of {output} itself, not a copy: adding 1 to it changes that"
        for name, claim in found.items()
        for output, u in zip(g.outputs, upstream)
        if claim is not None and np.shares_memory(claim, u)
    ][:1]


def random_state(g):
    """Which call moves numpy's global random state."""

    def drew(call):
        before = np.random.get_state()[1:3]
        call()
        return not all(map(np.array_equal, before, np.random.get_state()[1:3]))

    kept = np.random.get_state()
    try:
        np.random.seed(12345)
        if drew(lambda: g.Cell(4, 5)):
            return ["making the cell draws from, or seeds, numpy's global random state"]
        cell = g.p.build(g.Cell)[0]
        if drew(lambda: cell.apply(g.p.x, *g.p.state)):
            return ["apply draws from, or seeds, numpy's global random state"]
        return (
            ["vjp draws from, or seeds, numpy's global random state"] if drew(lambda: cell.vjp(*map(np.copy, g.upstream))) else []
        )
    finally:
        np.random.set_state(kept)


def layouts(lay, words):
    """A look for the array whose layout is not accepted."""

    def look(g):
        fresh = g.ran()
        given = [g.p.x, *g.p.state]
        for k, name in enumerate(g.names[g.n :]):
            cell = g.p.build(g.Cell)[0]
            try:
                outputs = cell.apply(*(lay(a) if j == k else a.copy() for j, a in enumerate(given)))
            except Exception as error:
                return [f"{name} {words} makes apply raise {named(error)}"]
            for output, y in zip(g.outputs, outputs):
                if not np.allclose(y, fresh[output], 1e-9, 1e-12, equal_nan=True):
                    return [
                        f"{name} {words} gives another {output} than the same numbers "
                        f"in order, by {figure(np.max(np.abs(y - fresh[output])))}"
                    ]
        return []

    return look


def _locked(a):
    a = a.copy()
    a.flags.writeable = False
    return a


def kept_weights(g):
    """A copy of the weights that outlives them."""
    before = replace(g.p, weights=[-w for w in g.p.weights])
    cell, fresh = before.build(g.Cell)[0], g.ran()
    outcome(cell, before)
    found = outcome(with_weights(cell, g.p.weights), g.p)
    off = [n for n in fresh if not np.array_equal(found[n], fresh[n], equal_nan=True)]
    used = g.p.build(g.Cell)[0]
    outcome(used, g.p)
    if not all(same(a, fresh[n]) for n, a in outcome(used, g.p).items()):
        return []  # it goes by what it was called with before, whatever the weights
    said = "after the weights are changed in place, a copy made before is still in use"
    return [f"{said}: it moves {several(off)} by up to {_moved(found, fresh, off)}"] if off else []


def dtypes(g):
    """What leaves float32, perhaps only where there are no steps."""
    p, spec = replace(g.p, dtype=np.float32), g.cell.spec
    for q, when in ((p, ""), (p.span(slice(0)), " where there are no steps"))[: 1 + (spec.sequence and not spec.fewest_steps)]:
        found = outcome(q.build(g.Cell)[0], q)
        if off := [n for n, a in found.items() if a.dtype != np.float32]:
            return [f"float32 in, {found[off[0]].dtype} out{when}: {several(off)}"]
    return []


def accuracy(g):
    """How many bits are left in float32."""
    p = replace(g.p, dtype=np.float32)
    wide = replace(p, dtype=np.float64)
    found, right = outcome(p.build(g.Cell)[0], p), g.ran(wide)
    errors = {
        n: float(np.max(np.abs(found[n] - right[n])) / (np.max(np.abs(right[n])) or 1))
        for n in right
        if found[n].shape == right[n].shape
    }
    name = max(errors, key=lambda n: errors[n])
    if 1e-5 < errors[name] < 1e-2:
        return [
            f"in float32, {name} is off by {figure(errors[name])} of its "
            "size: as much as half precision (1e-3), far from float32 (1e-7)"
        ]
    return []


def omitted(g):
    """What the cell starts from where states are omitted."""
    cell = g.p.build(g.Cell)[0]
    found = [np.array(y) for y in cell.apply(g.p.x)]
    for said, fill in (("ones", 1.0), ("0.5", 0.5)) if g.p.state else ():
        states = tuple(np.full_like(s, fill) for s in g.p.state)
        if all(map(np.array_equal, found, list(g.ran(replace(g.p, state=states)).values())[: len(found)])):
            return [f"without states the cell starts from {said}, not from zeros: exactly the outputs of that"]
    return []


def left_behind(g):
    """What is left of an apply after another one that raises."""
    fresh, wider = g.ran(), np.concatenate([g.p.x, g.p.x[..., -1:]], -1)
    for x in (wider, g.p.rows([*range(g.batch)] * 2).x):
        cell, said = g.p.build(g.Cell)[0], f"after an apply that raises, here for x of shape {x.shape},"
        cell.apply(g.p.x.copy(), *map(np.copy, g.p.state))
        with suppress(Exception):
            cell.apply(x, *map(np.copy, g.p.state))
            continue
        try:
            found = differentiated(cell, g.upstream)
        except Exception as error:
            return [f"{said} vjp raises {named(error)}: what the apply before it had kept is gone"]
        if off := [n for n in found if not np.array_equal(found[n], fresh[n], equal_nan=True)]:
            moved = f", by {_moved(found, fresh, off)}" if all(found[n].shape == fresh[n].shape for n in off) else ""
            return [
                f"{said} vjp returns another gradient of {several(off)}{moved}: what the apply before it had kept is overwritten"
            ]
    return []


def empty_batch(g):
    """What a batch of no rows gives."""
    found = g.ran(g.p.rows(slice(0)))
    lost = [n for n, a in found.items() if a.size and not np.isfinite(a).all()]
    return [f"a batch of no rows gives nan for {_titled(g, lost)}, instead of 0"] if lost else []


def large_loss(g):
    """What a loss is where the numbers before it are large."""
    if g.cell.spec.scalar != "loss":
        return []
    for times in (1000, 10**6):
        p = replace(g.p, weights=[times * w for w in g.p.weights]).folded()
        lost = [name for name, a in g.ran(p).items() if not np.isfinite(a).all()]
        if lost:
            break
    else:
        return []
    told = f"with weights {times} times as large, {_titled(g, lost)} {'are' if len(lost) > 1 else 'is'} not finite"
    try:
        with np.errstate(over="raise"):
            g.ran(p)
        why = "log is taken of a softmax that is 0. Take log(softmax(z)) as z - max(z) - log(sum(exp(z - max(z))))"
    except FloatingPointError:
        why = (
            "exp of a large number overflows. In a softmax, subtract the largest entry first, and take the log of the sum of exp"
        )
    return [f"{told}: {why}; or, if weights are never so large, declare domains"]


def read_ahead(g):
    """The first step whose output changes with later ones, and with which of them."""
    seen, changed = g.ran().get("ys", ()), []
    for t in range(1, len(seen)):
        other = g.ran(g.p.elsewhere(t))["ys"]
        changed += [(k, t) for k in range(t) if not np.allclose(other[k], seen[k], 1e-9, 1e-12, equal_nan=True)]
    if not changed:
        return []
    first = min(k for k, _ in changed)
    later = [t for k, t in changed if k == first]
    told = f"ys of step {first} changes with x of step{'s' * (len(later) > 1)} {several(list(map(str, later)))}"
    ahead = ": each output reads one step ahead" * all(t == k + 1 for k, t in changed)
    return [f'{told}{ahead}; if that is on purpose, as in a bidirectional layer, declare choices={{"future": True}}']


LOOKS = {
    "a_large_loss_is_finite": large_loss,
    "outputs_do_not_depend_on_later_steps": read_ahead,
    "a_second_vjp_is_answered": answered_once,
    "an_empty_batch_adds_nothing": empty_batch,
    "outputs_are_the_callers": outputs_alias,
    "inputs_are_the_callers": inputs_alias,
    "gradients_are_the_callers": gradients_alias,
    "global_random_state_is_left_alone": random_state,
    "column_order_is_accepted": layouts(lambda a: np.array(a, order="F"), "in column (Fortran) order"),
    "strided_views_are_accepted": layouts(lambda a: np.repeat(a, 2, axis=-1)[..., ::2], "as a strided view"),
    "reversed_views_are_accepted": layouts(lambda a: np.flip(np.flip(a).copy()), "as a view that runs backwards"),
    "read_only_arrays_are_accepted": layouts(_locked, "that is read-only"),
    "dtypes_are_kept": dtypes,
    "float32_outputs": accuracy,
    "float32_gradients": accuracy,
    "an_omitted_state_is_zero": omitted,
    "a_refusal_changes_nothing": left_behind,
    "activations_of_the_cell_keep_their_tails": tail,
    "derivatives_of_the_cell_keep_their_tails": textbook,
    "changed_weights_count": kept_weights,
    "a_used_cell_equals_a_fresh_one": handed_on,
}


def _titled(g, names):
    outputs, arrays = ([name for name in names if (name in g.outputs) is which] for which in (True, False))
    return several([*outputs, *([f"the gradient of {several(arrays)}"] if arrays else [])])


def _moved(found, fresh, off):
    return figure(max(np.max(np.abs(found[n] - fresh[n])) for n in off))


# Laws that break for reasons of their own: what else is wrong with the cell does not explain them.
ALONE = [
    law
    for law in LOOKS
    if not law.startswith(("float32", "dtypes", "an_empty", "activations", "derivatives", "changed", "a_used"))
]
