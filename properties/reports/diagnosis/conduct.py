"""Mistakes of conduct: a cell that is no pure function of what it is given, or whose rows depend on each other."""

from dataclasses import replace

import numpy as np
from cellcheck.properties.intake.capabilities import missing
from cellcheck.properties.intake.raised import named, source
from cellcheck.properties.oracles.analytic import made
from cellcheck.properties.reports.diagnosis.grown import PLAIN, close, figure, gap, same
from cellcheck.properties.reports.diagnosis.places import shown
from cellcheck.properties.verdicts.run import claimed, differentiated, outcome
from cellcheck.properties.writing.text import several

MEANT = 'if that is on purpose, declare choices={"float32": True}'
ROWS = ("rows", "same rows", "own row")  # what a law of rows needs


def conduct_faults(g, once=False, rounding=True):
    """Sentences, [] if nothing is found: what changes that should not, from call to call, cell to cell, row to row.

    once: only what may matter to a law that calls a fresh cell once; rounding: whether the error may be that of rounding.
    """
    before, after = ((), ()) if once else ((repeated, again), (cached, refilled, shared))
    return first(g, outputs, crashes, *[cast] * rounding, shapes, unwritten, changed, *before, alike, *after, averaged, rows)


def impure(g):
    """What a call changes, or keeps for the next one: looked for in a cell whose arrays have any shapes and domains."""
    return first(g, changed, repeated, again, alike, cached, refilled, shared)


def first(g, *looks):
    """What the first look says that says anything."""
    return next(filter(None, (look(g) for look in looks)), [])


def unwritten(g):
    """Fill np.empty with NaN: the results that become NaN are made of memory that was never written."""
    fresh = g.ran()

    def filled(array):
        if array.dtype.kind in "fc":
            array[...] = np.nan
        return array

    with made(filled, "empty", "empty_like"):
        found = g.ran()
    off = [name for name, a in found.items() if a.shape == fresh[name].shape and (np.isnan(a) & ~np.isnan(fresh[name])).any()]
    become = f"{several(off)} {'become' if len(off) > 1 else 'becomes'} NaN" if off else ""
    told = "memory of np.empty is read before it is written: with np.empty filled with NaN,"
    return [f"{told} {become}; write every entry, or use np.zeros"] if off else []


def outputs(g):
    """Outputs that are no floats, and a sequence of them of the wrong shape."""
    cell, x, state = g.p.build(g.Cell)
    try:
        found = dict(zip(g.outputs, map(np.asarray, cell.apply(x, *state))))
    except Exception:
        return []
    if odd := [name for name, y in found.items() if y.dtype.kind != "f"]:
        return [f"{several(odd)} has dtype {found[odd[0]].dtype} instead of {x.dtype}"]
    if "ys" not in found:
        return []
    ys = found["ys"]
    wanted = (*x.shape[:2], *next(y.shape for y in cell.spec.outputs if y.name == "ys"))
    if np.shape(ys) == wanted:
        return []
    said = f"ys has shape {np.shape(ys)} instead of {wanted}"
    if np.shape(ys) == (wanted[1], wanted[0], wanted[2]):
        return [f"{said}: it is (batch, steps, state)"]
    return [f"{said}: {len(ys)} steps of {wanted[0]}"] if np.shape(ys)[1:] == wanted[1:] else [said]


def cast(g):
    """Outputs of fewer digits than the arrays that they are made of, where that is not declared."""
    cell, x, state = g.p.build(g.Cell)
    found = dict(zip(g.outputs, map(np.asarray, cell.apply(x, *state))))
    off = [name for name, y in found.items() if y.dtype.kind == "f" and y.dtype.itemsize < x.dtype.itemsize]
    what = f"{several(off)} {'are' if len(off) > 1 else 'is'} {found[off[0]].dtype}" if off else ""
    return [f"{what}, but x and the weights are {x.dtype}: a cast or a buffer rounds"] if off and not g.single else []


def crashes(g):
    """What it raises, and at which sizes it does not."""
    try:
        g.ran()
        return []
    except Exception as error:
        said = named(error)
    works = []
    for word, p in _smaller(g):
        try:
            outcome(p.build(g.Cell)[0], p)
            works.append(word)
        except Exception:
            continue
    where = f"batch {g.batch}, features {g.p.recipe.features}, state {g.p.recipe.state}"
    return [
        f"it raises {said} at {where}, but not at {works[0]}" if works else f"it raises {said} at {where} and at smaller sizes"
    ]


def narrow(g):
    """What it raises where there is a single row, feature or unit."""
    for size in ("batch", "features", "state"):
        try:
            g.ran(replace(g.p.recipe, **{size: 1}).literal(g.Cell))
        except Exception as error:
            lost = ": an axis of length 1 is lost" if isinstance(error, (ValueError, IndexError)) else ""
            return [f"it raises {named(error)} where {size} is 1, and not where it is more{lost}"]
    return []


def _smaller(g):
    recipe = g.p.recipe
    yield "batch 1", g.p.rows([0])
    for change in ({"state": recipe.features}, {"features": recipe.state}, {"state": 1}, {"features": 1}):
        name, value = next(iter(change.items()))
        yield f"{name} {value}", replace(recipe, **change).literal(g.Cell)


def misshapen(g):
    """The gradients of another shape than their arrays, by name; None for one that is not returned."""
    cell, x, state = g.p.build(g.Cell)
    claims = claimed(cell, cell.vjp(*g.p.upstreams(1, cell.apply(x, *state), cell.spec)[0]), cell.spec.gradients)
    named = zip(g.names, (*cell.weights, x, *state), claims)
    return {name: claim for name, array, (claim, wanted) in named if wanted and np.shape(claim) != array.shape}


def shapes(g):
    """A gradient of another shape than its array, and what it needs to be right."""
    found = misshapen(g)
    if lost := tuple(name for name, claim in found.items() if claim is None):
        return [
            f"no gradient of {several(lost)} is returned; if {'it has' if len(lost) == 1 else 'they have'} no gradient by design, declare no_gradient = {lost}"
        ]
    for name, claim in found.items():
        true = g.truth()[name]
        said = f"the gradient of {name} has shape {np.shape(claim)} instead of {true.shape}"
        claim = np.asarray(claim, dtype=float)
        for axis, word in ((0, "first"), (-1, "last")):
            if claim.ndim and claim.shape[axis] == g.batch and same(np.ravel(total := claim.sum(axis)), np.ravel(true)):
                to = figure(gap(total.reshape(true.shape), true))
                return [f"{said}: it is not summed over the batch of {g.batch}; its sum over the {word} axis is right to {to}"]
        if claim.shape == true.T.shape and close(claim.T, true):
            return [f"{said}: it is transposed, and right to {figure(gap(claim.T, true))}"]
        return [said]
    return []


def changed(g):
    """Arrays of the caller that a call writes into."""
    cell, x, state = g.p.build(g.Cell)
    given = dict(zip(g.names, [*cell.weights, x, *state]))
    before = {name: np.array(a) for name, a in given.items()}
    outputs = cell.apply(x, *state)
    told = _differences(given, before, "apply")
    if told:
        return _with_line(g, told, "apply")
    u = [np.array(a) for a in g.p.upstreams(1, outputs, g.cell.spec)[0]]
    given |= {f"the upstream of {name}": a for name, a in zip(g.outputs, u)}
    before |= {f"the upstream of {name}": np.array(a) for name, a in zip(g.outputs, u)}
    if not g.gist:
        cell.vjp(*u)
    return _with_line(g, _differences(given, before, "vjp"), "vjp")


def _with_line(g, told, method):
    """The sentence with the line that writes in the place of numbers: it is the one that raises if nothing may be written."""
    cell, x, state = g.p.build(g.Cell)
    u = [np.array(a) for a in g.upstream]
    for a in (x, *state) if method == "apply" else u:
        a.flags.writeable = False
    try:
        cell.apply(x, *state)
        if told and method == "vjp":
            cell.vjp(*u)
    except ValueError as error:
        if told and "read-only" in str(error) and (found := source(error)):
            at, text = found
            return [f"{told[0].partition(': ')[0]}, in `{shown(text)}` (line {at.rpartition(':')[2]})"]
    return told


def _differences(given, before, method):
    moved = [name for name in given if not np.array_equal(given[name], before[name], equal_nan=True)]
    if not moved:
        return []
    name = moved[0]
    k = np.unravel_index(np.argmax(np.abs(given[name] - before[name])), before[name].shape)
    was, now = figure(before[name][k]), figure(given[name][k])
    was, now = (was, now) if was != now else (f"{before[name][k]:.17g}", f"{given[name][k]:.17g}")
    entry = f"{name}{list(map(int, k))} was {was} and is {now} afterwards"
    return [f"{method} writes into {several(moved)}, which {'belongs' if len(moved) == 1 else 'belong'} to the caller: {entry}"]


def repeated(g):
    """Answers that differ when the same is asked again, a few times."""
    cell, x, state = g.p.build(g.Cell)
    once = [np.array(y) for y in cell.apply(x, *state)]
    for which in ("second", "third", "fourth", "fifth"):
        for name, a, b in zip(g.outputs, once, [np.array(y) for y in cell.apply(x, *state)]):
            if a.shape != b.shape:
                return [
                    f"a {which} identical apply on the same cell returns {name} of shape "
                    f"{b.shape} instead of {a.shape}: something is kept from the call before"
                ]
            if not np.array_equal(a, b, equal_nan=True):
                other = g.p.build(g.Cell)[0]
                fresh = np.array(other.apply(x, *state)[g.outputs.index(name)])
                kept = np.array_equal(fresh, a)
                why = "something is kept from the call before" if kept else "it is not deterministic, as with dropout"
                return [f"a {which} identical apply returns another {name}, by {figure(np.max(np.abs(a - b)))}: {why}"]
    return []


def again(g):
    """Gradients that differ when they are asked for again."""
    cell, x, state = g.p.build(g.Cell)
    cell.apply(x, *state)
    u = g.upstream
    try:
        one, two = (differentiated(cell, u) for _ in range(2))
    except Exception:  # a promise, told by its own law
        return []
    for name in one:
        if one[name].shape == two[name].shape and not np.array_equal(one[name], two[name], equal_nan=True):
            if close(two[name], 2 * one[name]):
                return [f"gradients accumulate: a second vjp returns 2 times the gradient of {name}"]
            if np.any(rest := g.claims(g.masked(lambda k, u: 0.0)).get(name, 0)):
                return [
                    f"with an upstream of zero the gradient of {name} is not zero, but up to {figure(np.max(np.abs(rest)))}: "
                    "what it is added up in does not start from zero"
                ]
            return [
                "a second vjp after the same apply returns another gradient "
                f"of {name}, by {figure(np.max(np.abs(one[name] - two[name])))}"
            ]
    return []


def alike(g):
    """What differs between two cells of the same weights."""
    cell = g.p.build(g.Cell)[0]
    one, again, two = outcome(cell, g.p), outcome(cell, g.p), g.ran()
    for name, a in one.items():
        if np.isfinite(a).all() and same(a, again[name], 1e-6) and not same(a, two[name], 1e-6):
            what = name if name in g.outputs else f"gradients of {name}"
            return [
                f"two cells of the same weights return different {what}, in {np.sum(a != two[name])} of {a.size} entries: "
                "something random that is none of the weights is kept when a cell is made"
            ]
    return []


def cached(g):
    """A vjp that belongs to an earlier apply, or a cell that remembers earlier inputs."""
    other = replace(g.p, x=-g.p.x, state=tuple(-s for s in g.p.state)).folded()
    fresh, stale = g.ran(), g.ran(other)
    cell = g.p.build(g.Cell)[0]
    outcome(cell, other)
    try:
        used = outcome(cell, g.p)
    except Exception as error:
        return [f"a second call with other numbers on the same cell raises {type(error).__name__}"]
    for name, value in fresh.items():
        if value.shape == used[name].shape and not np.array_equal(value, used[name], equal_nan=True):
            if name in g.names and close(used[name], stale[name]) and not close(stale[name], value):
                return [
                    "after a second apply, vjp still returns the gradient of "
                    f"{name} of the first, to within {figure(gap(used[name], stale[name]))}"
                ]
            if close(used[name], value + stale[name]):
                return [
                    f"the gradient of {name} is added to that of the call "
                    f"before, to {figure(gap(used[name], value + stale[name]))}"
                ]
            what = "output" if name in g.outputs else "gradient of"
            return [
                f"the {what} {name} depends on what the same cell was called "
                f"with before, by {figure(np.max(np.abs(value - used[name])))}"
            ]
    others = () if g.cell.spec.batch else (("more rows", g.p.rows([*range(g.batch), 0])), ("fewer rows", g.p.rows([0])))
    for word, p in others:
        cell, wanted = g.p.build(g.Cell)[0], g.ran(p)
        outcome(cell, g.p)
        try:
            found = outcome(cell, p)
        except Exception as error:
            return [
                f"a second call with {word} on the same cell raises {type(error).__name__}: the first call's batch size is kept"
            ]
        off = [n for n in wanted if wanted[n].shape != found[n].shape or not np.array_equal(wanted[n], found[n], equal_nan=True)]
        if off:
            return [
                f"a second call with {word} on the same cell gives another "
                f"{off[0]} than a fresh cell: something of the first is kept"
            ]
    return []


def refilled(g):
    """A cell that goes by the array that it is given, or by a part of its numbers, where others have been written into it."""
    fresh = g.ran()
    for kept, said in enumerate(("other numbers in the same arrays", "other numbers after the first row or step")):
        other, cell = g.p.other(kept), g.p.build(g.Cell)[0]
        given = {id(a): np.array(a) for a in (g.p.x, *g.p.state)}
        for arrays in ((other.x, *other.state), (g.p.x, *g.p.state)):
            for array, a in zip(given.values(), arrays):
                array[...] = a
            used = outcome(cell, g.p, lay=lambda a, given=given: given.get(id(a), a.copy()))
        off = [n for n, y in fresh.items() if np.isfinite(y).all() and (y.shape != used[n].shape or not same(y, used[n]))]
        if off:
            moved = figure(gap(used[off[0]], fresh[off[0]])) if fresh[off[0]].shape == used[off[0]].shape else "its shape"
            return [
                f"a second call with {said} gives another {off[0]} than a fresh cell, by {moved}: something of the first is kept"
            ]
    return []


def shared(g):
    """Two cells that share what they keep."""
    two = replace(g.p, x=-g.p.x, state=tuple(-s for s in g.p.state), weights=[-w for w in g.p.weights]).folded()
    alone = g.ran()
    one, other = g.p.build(g.Cell)[0], two.build(g.Cell)[0]
    outputs = [np.array(y) for y in one.apply(g.p.x.copy(), *(s.copy() for s in g.p.state))]
    for name, y in zip(g.outputs, outputs):
        if not np.array_equal(y, alone[name], equal_nan=True):
            return [
                f"making a second cell changes the first: its {name} moves by "
                f"{figure(np.max(np.abs(y - alone[name])))}; they share weights"
            ]
    other.apply(two.x.copy(), *(s.copy() for s in two.state))
    found = differentiated(one, g.upstream)
    off = [n for n in found if not np.array_equal(found[n], alone[n], equal_nan=True)]
    if not all(same(found[n], alone[n], 1e-6) for n in off):  # in other memory, sums are rounded otherwise
        return [
            "two cells share what they keep: after an apply of the second, the first returns another "
            f"gradient of {off[0]}, by {figure(np.max(np.abs(found[off[0]] - alone[off[0]])))}"
        ]
    return []


def single(g):
    """Outputs that are float32 numbers, although the cell takes float64, or arrays of which it reads no more than that."""
    if g.single:
        return [] if g.cell.spec.precision else coarse(g)
    found = {name: y for name, y in g.ran().items() if name in g.outputs and y.dtype == np.float64 and np.any(y % 1)}
    found = {name: y for name, y in found.items() if np.array_equal(y, y.astype(np.float32))}
    if not found:
        return rounded(g)
    said = f"all {sum(y.size for y in found.values())} numbers of {several(found)} are float32 numbers: they are computed or stored so"
    return [f"{said}; {MEANT}"]


def rounded(g):
    """Arrays that are rounded to float32 before they are used: 2^-36 of each number makes no difference, 2^-10 a large one."""

    if (g.p.recipe.scale, g.p.recipe.regime) != (PLAIN.scale, PLAIN.regime):  # a saturated unit stays, and then leaps
        return []
    names = [
        name
        for k, name in enumerate(g.names)
        if not moved(g, k, lambda a: a * (1 + 2.0**-36)) and moved(g, k, lambda a: a * (1 + 2.0**-10)) > 2.0**-16
    ]
    if not names:
        return []
    said = f"{several(names)} {'is' if len(names) == 1 else 'are'} rounded to float32 or less: a change by 1e-11 of the size changes no output"
    return [f"{said}; {MEANT}"]


def coarse(g):
    """Arrays in float32 of which the outputs depend on fewer bits: rounded or cut off beforehand, they are the same."""
    for bits, formats in ((8, "bfloat16 has"), (11, "float16 and TF32 have")):
        for to in (np.rint, np.trunc):

            def fewer(a, bits=bits, to=to):
                part, power = np.frexp(a)
                return np.ldexp(to(part * 2.0**bits), power - bits).astype(a.dtype)

            names = [
                name
                for k, (name, a) in enumerate(zip(g.names, (*g.p.weights, g.p.x, *g.p.state)))
                if np.any(fewer(a) != a) and not moved(g, k, fewer) and moved(g, k, lambda a: a * 1.25) > 2.0**-8
            ]
            if names:
                said = f"{several(names)} {'is' if len(names) == 1 else 'are'} rounded to {bits} bits, as {formats}"
                return [f"{said}; if that is on purpose, declare precision = 2.0**-{bits}"]
    return []


def moved(g, k, change):
    """How far the outputs move, as a share of the largest, if array k is changed."""
    arrays = [change(a) if j == k else a for j, a in enumerate((*g.p.weights, g.p.x, *g.p.state))]
    there = g.ran(replace(g.p, weights=arrays[: g.n], x=arrays[g.n], state=tuple(arrays[g.n + 1 :])))
    return max((gap(there[name], g.as_given[name]) for name in g.outputs), default=0.0)


def averaged(g):
    """A loss that is the mean over the rows, or of rows that depend on each other."""
    if not g.gist or g.batch == 1 or missing(g.Cell, [*ROWS, "single row", "own targets"]):
        return []
    [name], batch = g.outputs, g.batch
    whole, alone = g.ran()[name], sum(g.ran(g.p.rows([r]))[name] for r in range(batch))
    if not close(batch * whole, alone):
        if close(whole, alone, g.tolerance) or figure(whole) == figure(alone) or not same(whole, g.ran()[name]):
            return []
        return [
            f"rows depend on each other: the {name} of {batch} rows is {figure(whole)}, and those of each alone add up to {figure(alone)}"
        ]
    loss = g.cell.spec.scalar == "loss"
    over = f"the mean over the {batch} rows" if loss else f"a mean over the {batch} rows, or over all entries,"
    said = f"the {'loss' if loss else name} is {over} instead of the sum"
    return [f'{said}; if that is on purpose, declare choices={{"mean": True}}' if loss else said]


def rows(g):
    """Rows that are another thing in a batch than alone."""
    if not g.by_rows or g.batch == 1 or missing(g.Cell, [*ROWS, "single row"]):
        return []
    together, alone = g.ran(), [g.ran(g.p.rows([r])) for r in range(g.batch)]
    for name in g.outputs:
        if not np.isfinite(together[name]).all():
            return []
        single = np.array_equal(together[name], together[name].astype(np.float32))  # computed, or at least rounded, in float32
        near = 1e-4 if single else 1e-10
        pairs = [(row(g, together, name, r), row(g, alone[r], name)) for r in range(g.batch)]
        if off := [r for r, (a, b) in enumerate(pairs) if not close(a, b, near) and (np.any(a) or np.any(b))]:
            if not same(again := g.ran()[name], together[name], near):
                by = figure(gap(again, together[name]))
                return [
                    f"{name} differs between two fresh cells with the same numbers, by {by}: random numbers are drawn, as in dropout"
                ]
            cause, worst = _mixed(g, together, off) or _placed(g, name, off[0]), max(gap(*pairs[r]) for r in off)
            told = f"in a batch of {g.batch}, rows {off} of {name} differ from what each gives alone, by {figure(worst)}"
            meant = '; if that is on purpose, as in batch normalisation, declare choices={"batch": True}' * (not cause)
            return [f"{cause or 'rows depend on each other'}: {told}{meant}"]
    return []


def row(g, run, name, r=0):
    """One row of an array of a run, by name."""
    return np.take(run[name], r, g.cell.spec.batch_axis(name))


def mingled(g):
    """Gradients of a row that change with another row, where the outputs do not."""
    if not g.by_rows or missing(g.Cell, ROWS):
        return []
    whole, again, changes = g.ran(), g.ran(), {}
    names = [name for name in whole if name not in g.names[: g.n] and same(whole[name], again[name]) and np.any(whole[name])]
    for other in range(g.batch):
        run = g.ran(g.p.rows([(r + 1) % g.batch if r == other else r for r in range(g.batch)]))
        for name, r in ((name, r) for name in names for r in range(g.batch) if r != other):
            away = np.max(np.abs(row(g, run, name, r) - row(g, whole, name, r)), initial=0.0) / np.max(np.abs(whole[name]))
            if away > g.tolerance:
                changes.setdefault(name, []).append((away, r, other))
    if set(changes) & set(g.outputs):
        return []
    for name, found in changes.items():
        side = "earlier " * all(r > k for _, r, k in found) + "later " * all(r < k for _, r, k in found)
        off, many = sorted({r for _, r, _ in found}), f"in a batch of {g.batch}, that of {name} in row"
        said = (
            f"the gradient of a row depends on {side or 'other '}rows, although its outputs do not: {many}{'s' * (len(off) > 1)}"
        )
        return [f"{said} {several(map(str, off))} changes with them, by {figure(max(found)[0])}"]
    return []


def _placed(g, name, r):
    """Whether a row depends on its place in the batch alone, and not on what the other rows hold."""
    others, alike = (
        g.ran(g.p.rows(order)) for order in ([k if k == r else (k + 1) % g.batch for k in range(g.batch)], [r] * g.batch)
    )
    if not close(row(g, g.ran(), name, r), row(g, others, name, r)):
        return None
    if all(close(row(g, alike, name), row(g, alike, name, k)) for k in range(g.batch)):
        if close(row(g, alike, name), row(g, g.ran(g.p.rows([r])), name)):
            return None
        return "what a row gives depends on how many rows there are, not on what they hold"
    dropped, said = int(np.sum(alike[name] == 0)), f"what row {r} gives depends on its place in the batch, not on the other rows"
    mask = (
        f", and of rows that are all alike {dropped} of {alike[name].size} entries are exactly 0: as in dropout with a fixed seed"
    )
    return said + mask * bool(dropped)


def _mixed(g, together, off):
    """How the rows of the state are mixed up, if that gives the outputs, and if the rows differ at all."""
    if any(len(np.unique(s, axis=0)) < len(s) or not all(map(np.any, s)) for s in g.p.states):
        return None
    batch = g.batch
    for j, state_name in enumerate(g.cell.spec.state_names):
        for said, order in (
            ("every row continues the state {} of row 0", [0] * batch),
            ("each row continues the state {} of the row before", [(r - 1) % batch for r in range(batch)]),
            ("each row continues the state {} of the next row", [(r + 1) % batch for r in range(batch)]),
        ):
            for only in ([j], range(len(g.p.states))):
                states = tuple(s[order] if k in only else s for k, s in enumerate(g.p.states))
                alone = [replace(g.p, state=(*g.p.further, *states)).rows([r]) for r in range(batch)]
                if all(close(row(g, together, n, r), row(g, g.ran(alone[r]), n)) for n in g.outputs[:1] for r in off):
                    return said.format(state_name)
    return None
