"""Classic mistakes in gradients: each predicts numbers, and is named only if the cell claims exactly these."""

import re
from dataclasses import replace
from functools import lru_cache, partial
from itertools import combinations, pairwise, product

import numpy as np
from cellcheck.cells import lift
from cellcheck.properties.reports.diagnosis.conduct import mingled
from cellcheck.properties.reports.diagnosis.flow_faults import flow_faults, untold
from cellcheck.properties.reports.diagnosis.grown import CLOSE, LOST, PLAIN, Grown, close, figure, gap, grown, same, the
from cellcheck.properties.reports.diagnosis.mistakes import Mistake, matched
from cellcheck.properties.reports.diagnosis.outer import product_faults
from cellcheck.properties.reports.diagnosis.through_time import cut_off, reached, through_time
from cellcheck.properties.reports.diagnosis.within_gates import within_gates
from cellcheck.properties.shrinking.shrinking import VISIBLE
from cellcheck.properties.writing.text import several

NUMBER = re.compile(r"-?\d+\.\d+(e[-+]\d+)?")
FEW = 3  # values of a step function
EQUAL = 6  # of two sizes: no other size is that
LONGEST = 16  # axis of a fixed length with which a size is confused
LARGER = 1e2, 1e4, 1e6, 1e9  # upstreams
TIMES = (10.0, 100.0)  # as large, x or a state
SCALES = (None, 0.01, 0.1, 1.0, 3.0, 10.0, 30.0, 100.0)  # of pre-activations


def gradient_faults(g, tried):
    """Sentences about the gradients of a Grown, [] if they are right or match no mistake; and whether they are right.

    tried: the Attempts that keep the errors of Cellcheck.
    """
    claims, truth = g.claims(), g.truth()
    wrong = differing(g, claims, truth)
    if not wrong or not all(np.isfinite(t).all() for t in truth.values()):
        return [], not wrong
    if lost := [name for name in wrong if not np.isfinite(claims[name]).all()]:
        n, size = int(np.sum(~np.isfinite(claims[lost[0]]))), claims[lost[0]].size
        return [f"the gradient of {several(lost)} is not finite: {n} of {size} entries of {lost[0]}, where all should be"], False
    told = surrogate(g) or ruled(g) or unread(g, claims, truth, wrong) or all_at_once(g, claims, truth, wrong)
    if told and told[0].startswith("each gradient of ") and not g.kind:  # from where on tells more
        told = tried(lambda: flow_faults(g, claims, truth) or flow_faults(g, claims, truth, last=True)) or told
    if not told and g.cell.spec.sequence:
        told = (
            (through_time(g, claims, truth) if g.plain else [])
            or tried(lambda: flow_faults(g, claims, truth))
            or tried(lambda: mingled(g))
            or cut_off(claims, truth)
            or reached(g, vague=False)
            or ([] if meant(g, claims, truth, wrong) else tried(lambda: flow_faults(g, claims, truth, last=True)))
            or of_one_step(g, tried)
            or reached(g)
            or tried(lambda: product_faults(g))
            or severed(g, 2)
        )
    elif not told and not g.kind and any(np.any(claims[name]) for name in wrong):
        told = tried(lambda: flow_faults(g, claims, truth)) or tried(lambda: mingled(g)) or severed(g, 2)
    if told:
        return told, False
    singly = {name: lasting(g, name, one_array(g, name, claims[name], truth)) for name in wrong}
    told = [s for said in singly.values() for s in said if len(wrong) == 1 or not s.startswith("only ")]
    if not all(singly.values()) and g.plain and g.kind and g.blocks and not g.gist:
        told = within_gates(g) or told
    if not told or not (all(singly.values()) or g.kind):
        told = tried(lambda: flow_faults(g, claims, truth, last=not g.kind)) or told
    explained = [name for name in wrong if singly[name]]
    if told and explained and len(explained) < len(wrong):
        others = {name: claim for name, claim in claims.items() if name not in explained}
        more = tried(lambda: flow_faults(g, others, truth))
        told = [*told, *(f"of the other arrays, {sentence}" for sentence in more)]
    told = told or tried(lambda: product_faults(g)) or tried(lambda: mingled(g)) or severed(g)
    right = [name for name in claims if name not in wrong]
    if told and right:
        told[0] += f" ({several(wrong)} {'is' if len(wrong) == 1 else 'are'} wrong, {several(right)} right)"
    return told, False


def of_one_step(g, tried):
    """What is said of a single step if that alone is wrong, with other numbers, too."""
    seeds = (g.p.recipe.seed, g.p.recipe.seed + 1) if g.p.steps > 1 and g.cell.spec.takes("steps", 1) else ()
    found = [gradient_faults(grown(g.Cell, replace(g.p.recipe, steps=1, seed=seed)), tried)[0] for seed in seeds]
    again = [NUMBER.sub("", sentence) for sentence in (found[-1] if found else ())]
    return [f"with a single step, {s}" for s in found[0] if NUMBER.sub("", s) in again and "belongs" not in s] if found else []


def meant(g, claims, truth, wrong):
    """What is said of the one weight whose gradient is wrong; [] for a mere factor, of which a place in the source tells more."""
    name = wrong[0]
    told = lasting(g, name, one_array(g, name, claims[name], truth)) if len(wrong) == 1 and name in g.names[: g.n] else []
    return [sentence for sentence in told if " is scaled by " not in sentence]


def differing(g, claims, truth):
    """The names of the gradients that are wrong by more than rounding.

    Where a gate is saturated, 1 - t^2 errs by a unit of 1, and so a gradient by a unit of the upstream times x or a state.
    """
    sizes = (np.max(np.abs(a), initial=0.0) for a in (*(truth[name] for name in claims), *g.upstream))
    floor = LOST * max(sizes, default=0.0) * max(1.0, *(np.max(np.abs(a), initial=0.0) for a in (g.p.x, *g.p.state)))
    return [
        name
        for name, claim in claims.items()
        if not same(claim, truth[name], g.tolerance) and not np.max(np.abs(claim - truth[name])) <= floor
    ]


@lru_cache(maxsize=64)
def misjudged(Cell, problem):
    """(names of wrong gradients, how many of their entries should be 0 and are not, of how many) of a cell on a problem."""
    g = grown(Cell, problem)
    claims = g.claims()
    wrong = tuple(differing(g, claims, truth := g.truth())) if claims else ()
    lost = sum(int(np.sum((truth[name] == 0) & (claims[name] != 0))) for name in wrong)
    return wrong, lost, sum(truth[name].size for name in wrong)


def with_large_numbers(Cell, most):
    """A sentence about gradients that are wrong with large weights only, as where something is clipped; [] if there are none.

    most: about the largest pre-activation of the case. None of a cell in float32, of which small gradients are lost in rounding.
    """
    scales = pairwise(scale for scale in SCALES if scale is None or scale <= 3 * most)
    for small, scale in () if grown(Cell, PLAIN).single else scales:
        for seed in range(PLAIN.seed, PLAIN.seed + 3):
            wrong, lost, size = misjudged(Cell, replace(PLAIN, scale=scale, seed=seed))
            if wrong and small is None:
                return []
            if wrong:
                many = f"; {lost} of {size} entries should be 0" * bool(lost)
                said = f"gradients are right with pre-activations of about {small:g}, and wrong with those of about {scale:g} ({several(wrong)}{many})"
                return [f"{said}: something is clipped, saturates or switches there"]
    return []


def with_large_arguments(Cell):
    """A sentence about gradients that are wrong only where x or one of the states is large; [] if there are none."""
    plain = grown(Cell, PLAIN)
    given = () if plain.single or misjudged(Cell, PLAIN)[0] else (plain.p.x, *plain.p.state)
    for k, name in enumerate(plain.names[plain.n :][: len(given)]):
        for times in TIMES:
            x, *state = (np.asarray(times * a) if j == k else a for j, a in enumerate(given))
            g = Grown(Cell, replace(plain.p, x=x, state=tuple(state)).folded())
            claims, truth = g.claims(), g.truth()
            if wrong := differing(g, claims, truth):
                lost = sum(int(np.sum((claims[n] == 0) & (truth[n] != 0))) for n in wrong)
                many = f"; {lost} of {sum(truth[n].size for n in wrong)} entries are 0 and should not be" * bool(lost)
                said = f"gradients are right with ordinary numbers, and wrong where {name} is {times:g} times as large"
                return [f"{said} ({several(wrong)}{many}): something is clipped, saturates or switches there"]
    return []


def whereabouts(g):
    """Which gradients are wrong, and where in them or by how much, if no mistake explains them."""
    claims, truth = g.claims(), g.truth()
    wrong = differing(g, claims, truth)
    right = [name for name in claims if name not in wrong]
    if not wrong:
        return []
    parts = {name: _parts(g, name, claims[name], truth[name]) for name in wrong}
    told = several(f"{name}{f' ({part})' * bool(part)}" for name, part in parts.items())
    why = untold(g)
    lost = f"; which line it is cannot be told: {why}" * bool(why)
    if not right and not all(parts.values()):
        seen, true = (np.concatenate([np.ravel(side[name]) for name in wrong]) for side in (claims, truth))
        many = "all should be 0"
        if np.any(true):
            low, high = np.percentile(seen[true != 0] / true[true != 0], (25, 75))
            span = figure(low) if figure(low) == figure(high) else f"{figure(low)} to {figure(high)}"
            off = f"they are off by up to {figure(np.max(np.abs(seen - true)))}"
            many = off if span == "1" else f"half of their entries are {span} times the right ones"
        return [f"no known mistake matches; all gradients are wrong ({told}): {many}{lost}"]
    others = f", and right {'is that' if len(right) == 1 else 'are those'} of {several(right)}" if right else ""
    return [
        f"no known mistake matches; wrong {'is the gradient' if len(wrong) == 1 else 'are the gradients'} of {told}{others}{lost}"
    ]


def onwards(g):
    """The first step of ys whose upstream, alone, gives wrong gradients, if each later one does so as well."""
    T = len(g.upstream[-1]) if g.outputs[-1] == "ys" else 0
    upstreams = (
        g.masked(lambda k, u, t=t: (np.arange(T) == t).reshape(-1, *[1] * (u.ndim - 1)) if u is g.upstream[-1] else 0)
        for t in range(T)
    )
    off = [t for t, u in enumerate(upstreams) if differing(g, g.claims(u), g.truth(u))]
    if not off or not off[0] or len(off) < T - off[0]:
        return []
    said = f"gradients are right for an upstream at any single step of ys before step {off[0]}"
    return [f"no known mistake matches; {said}, and wrong for one at that step or later"]


def _parts(g, name, claim, true):
    """Along the axes of a gradient: where alone it is wrong, or ""."""
    tolerance = min(g.tolerance, 10 * g.near)
    off = ~np.isclose(claim, true, tolerance, tolerance * np.max(np.abs(true), initial=0.0))
    k, said = g.names.index(name), []
    axes = ["steps"] * (k >= g.n and g.cell.spec.batch_axis(name) == 1) + ["rows"] * (k >= g.n and g.by_rows)
    for axis, length in enumerate(off.shape):
        at = np.flatnonzero(np.moveaxis(off, axis, 0).reshape(length, -1).any(1))
        gates, rest = divmod(length, g.p.recipe.state)
        others = np.delete(np.moveaxis(true, axis, 0), at, 0)  # where 0 is right, as of tokens that are not there, tells nothing
        if not 0 < len(at) < length or not np.any(others):
            continue
        tail = len(at) == length - at[0] > 1
        where = f"from {at[0]} on" if tail else several(map(str, at))
        if axis < len(axes):
            said.append(f"in {axes[axis][: None if tail or len(at) > 1 else -1]} {where}")
        elif gates > 1 and not rest and len(of := {int(i) // g.p.recipe.state for i in at}) < gates:
            said.append(f"in {_gates(g, name, axis, sorted(of), gates)}")
        else:
            said.append(
                f"in units {where}" if gates == 1 and not rest and tail else f"{'' if tail else 'at '}{where} along axis {axis}"
            )
    return ", ".join(said)


def _gates(g, name, axis, which, many):
    """What some gates of a weight are called: by name where the cell's blocks are known, else by number."""
    known, state = {}, g.p.recipe.state
    for (_, gate), where in (g.blocks[g.names.index(name)] if g.blocks and name in g.names[: g.n] else {}).items():
        places = np.zeros(np.shape(g.p.weights[g.names.index(name)]))
        places[where] = 1
        at = np.flatnonzero(np.moveaxis(places, axis, 0).reshape(len(np.moveaxis(places, axis, 0)), -1).any(1))
        known |= {int(at[0]) // state: the(gate)} if len(at) == state else {}
    if all(k in known for k in which):
        return several(known[k] for k in which)
    return f"gate{'s' * (len(which) > 1)} {several(map(str, which))} of its gates 0 to {many - 1}"


def at_a_limit(Cell):
    """A sentence about gradients that never exceed a number, however large the upstream is; [] if there are none."""
    g = grown(Cell, replace(PLAIN, batch=1, steps=1))
    for large in LARGER if not g.single and not g.gist else ():
        upstream = tuple(large * u for u in g.upstream)
        claims, truth = g.claims(upstream), g.truth(upstream)
        for name in differing(g, claims, truth):
            most = float(f"{np.max(np.abs(claims[name])):.2g}")  # a round number
            at = np.isclose(np.abs(claims[name]), most, 1e-6, 0)
            if most and at.sum() > 1 and np.all(np.abs(truth[name][at]) > most * 1.01):
                seen = f"{at.sum()} of {at.size} entries of the gradient of {name} are that, where {figure(np.max(np.abs(truth[name])))} is right"
                return [f"what flows back is clipped at {most:g}: with an upstream of about {large:g}, {seen}"]
    return []


def where_a_size_is_one(Cell):
    """A sentence about gradients that are wrong only where there is one row, feature, unit or step; [] if there are none."""

    def wrong(problem):
        """The names of the gradients that are wrong; None at sizes that the cell does not take."""
        return misjudged(Cell, problem)[0] if problem.fitted(Cell) == problem else None

    def alone(these, those):
        return all(map(wrong, these)) and all(wrong(problem) == () for problem in those)

    plain = PLAIN.fitted(Cell)
    if any(wrong(replace(plain, seed=plain.seed + k)) for k in range(3)):
        return []
    sizes = ("batch", "features", "state", "steps")[: 3 + grown(Cell, plain).cell.spec.sequence]
    right = f"gradients are right at {several(f'{size} {getattr(plain, size)}' for size in sizes)}, and wrong where"
    more = grown(Cell, replace(plain, features=plain.features + 2, state=plain.state + 3))
    weights = zip(grown(Cell, plain).p.weights, more.p.weights)
    fixed = {n for a, b in weights for n, m in zip(np.shape(a), np.shape(b)) if 1 < n == m <= LONGEST}
    for size, n in product(sizes, sorted(fixed)):
        alike, unlike = ([replace(plain, **{size: m, "seed": plain.seed + k}) for k in range(3)] for m in (n, n + 1))
        if alone(alike, unlike):
            return [f"{right} {size} is {n}, the length of another axis ({several(wrong(alike[0]))})"]
    for one, two in combinations(sizes, 2):  # a branch, or a broadcast, that goes by the wrong one
        alike = [replace(plain, **{one: EQUAL, two: EQUAL, "seed": plain.seed + k}) for k in range(3)]
        unlike = [replace(problem, **{two: EQUAL + 1}) for problem in alike]  # else it is what more of them make likely
        if alone(alike, unlike):
            return [f"{right} {one} and {two} are both {EQUAL} ({several(wrong(alike[0]))})"]
    for size in (size for size in sizes if getattr(plain, size) > 1):
        single = [replace(plain, **{size: 1, "seed": plain.seed + k}) for k in range(3)]
        if all(map(wrong, single)):
            return [f"{right} {size} is 1 ({several(wrong(single[0]))})"]
    return []


def with_more_steps(Cell, most):
    """A sentence about gradients that are right up to a number of steps, and wrong with each larger one up to `most`; [] if they are not."""
    problems = [replace(PLAIN, batch=1, steps=n) for n in range(1, most + 1) if lift(Cell).spec().takes("steps", n)]
    wrong = [p.steps for p in problems if misjudged(Cell, p)[0]] if lift(Cell).spec().sequence else []
    right = [p.steps for p in problems if p.steps not in wrong]
    if not wrong or not right or max(right) > min(wrong):
        return []
    low, high, k = min(wrong), max(wrong), max(right)
    said = (
        f"gradients are right for sequences of up to {k} steps and wrong for those of {low}{f' to {high}' * (high > low)} steps"
    )
    meant = f"; if backpropagation is truncated on purpose, declare choices = {{'truncated': {k}}}"
    return [said + meant * (low == k + 1)]


def all_at_once(g, claims, truth, wrong):
    """Mistakes that explain all gradients."""
    largest = np.max(np.abs(truth[wrong[0]]))
    if not any(np.any(claim) for claim in claims.values()) and largest > VISIBLE:
        return [f"every gradient is zero, but {figure(largest)} is the largest of {wrong[0]}"]
    claimed, right = (np.concatenate([np.ravel(side[name]) for name in wrong]) for side in (claims, truth))
    whole = len(wrong) == len(claims)
    if g.gist and same(claimed * float(g.upstream[0]), right):
        return [f"the upstream is ignored: for one of {figure(float(g.upstream[0]))} the gradients are those for 1"]
    one = float(g.upstream[0]) if g.gist else 0.0
    if len(blind := [name for name in wrong if one and same(claims[name] * one, truth[name])]) > 1:
        return [f"the gradients of {several(blind)} are those for an upstream of 1, whatever it is: it is ignored"]
    if (whole or len(wrong) > 1) and (k := ratio(g, claimed, right)) is not None:
        told = factor(g, k, claimed)
        if told.startswith("clipped to a norm"):
            whose = "all gradients" if whole else f"the gradients of {several(wrong)}"
            return [f"{whose} are {told.replace(' a norm', ' a common norm')}"]
        return [f"{'every gradient' if whole else f'each gradient of {several(wrong)}'} is {told}"]
    told = clipped(g, claims, truth, wrong) or exchanged(g, claims, truth, wrong) or reordered(g, claims, truth, wrong)
    return told or matched(everywhere(g, truth), claims, truth, "all gradients", g.near)


def exchanged(g, claims, truth, wrong):
    """Gradients of several arrays, each of which is that of another array."""
    theirs = [[o for o, t in truth.items() if o != name and close(claims[name], t, g.near)] for name in wrong]
    if len(wrong) == 1 or not all(theirs):
        return []
    off = figure(max(gap(claims[name], truth[name]) for name in wrong))
    return [f"the gradients of {several(wrong)} are those of {several(names[0] for names in theirs)}: {off} from what is right"]


def reordered(g, claims, truth, wrong):
    """Gradients that are right but for the order along an axis that is put together, as [h, x] is."""
    orders = {name: _order(claims[name], truth[name]) for name in wrong}
    if not all(orders.values()) or any(len(order) % g.p.recipe.state == 0 for _, order in orders.values()):
        return []  # as long as some states: gates, of which other sentences tell
    axis, order = orders[wrong[0]]
    starts = [0, *(k for k in range(1, len(order)) if order[k] != order[k - 1] + 1)]
    runs = [f"{order[a]} to {order[b - 1]}" if b - a > 1 else f"{order[a]}" for a, b in pairwise([*starts, len(order)])]
    if len(runs) > FEW or len(set(map(str, orders.values()))) > 1:
        return []
    said = (
        f"the gradient{'s' * (len(wrong) > 1)} of {several(wrong)} {'is' if len(wrong) == 1 else 'are'} right but for the order"
    )
    if axis == 0 and all(g.cell.spec.batch_axis(name) == 1 for name in wrong):
        return [f"{said} of the steps: where those of steps 0 to {len(order) - 1} belong are those of {several(map(str, order))}"]
    return [f"{said} along axis {axis}, {', then '.join(runs)}, as where [h, x] is written for [x, h]"]


def _order(claim, true):
    """(axis, order) in which the slices of what is right give the claim, None if there is none."""
    for axis in range(true.ndim if true.ndim > 1 else 0):
        own, right = np.moveaxis(claim, axis, 0), np.moveaxis(true, axis, 0)
        order = [next((k for k, part in enumerate(right) if close(part, slice_)), None) for slice_ in own]
        if None not in order and sorted(order) == list(range(len(order))) != order:
            return axis, order
    return None


def clipped(g, claims, truth, wrong):
    """A largest entry that no gradient exceeds."""
    size = unit(g)
    claimed, right = (np.concatenate([np.ravel(side[name]) for name in wrong]) / size for side in (claims, truth))
    off = ~np.isclose(claimed, right, CLOSE, CLOSE * np.max(np.abs(right)))
    c = float(f"{np.max(np.abs(claimed[off]), initial=0.0):.6g}")
    alike = np.allclose(claimed[off], np.copysign(c, right[off]), 1e-6, 0)
    if not c or not alike or not (np.abs(right[off]) > c).all() or not (np.abs(right[~off]) <= c * (1 + 1e-6)).all():
        return []
    if off.sum() < 2 and (size != 1 or c != float(f"{c:.1g}")):
        return []
    large = claims if size != 1 else enlarged_claims(g)
    most = {name: np.max(np.abs(a), initial=0.0) / size for name, a in large.items()}
    if not all(most[name] <= c * (1 + 1e-6) for name in wrong):
        return []
    names = wrong + [name for name, found in most.items() if name not in wrong and np.isclose(found, c, 1e-6, 0)]
    said = f"every gradient entry beyond {c:g}" if len(names) == len(claims) else f"the gradient of {several(names)}"
    many = f"{off.sum()} of {off.size} entries; {figure(np.max(np.abs(right)))} is right"
    return [f"{said} is clipped at {c:g}; if that is meant, declare choices = {{'clip': {c:g}}} ({many})"]


def unit(g):
    """What a sum or a loss multiplies what is clipped with: 1, or its upstream if all gradients grow with that."""
    grows = g.gist and all(same(1e3 * g.claims()[name], a) for name, a in enlarged_claims(g).items())
    return abs(float(g.upstream[0])) if grows else 1.0


def enlarged_claims(g):
    """The claims for a thousand times the upstream."""
    return g.claims(tuple(1e3 * u for u in g.upstream))


def everywhere(g, truth):
    """Mistakes in what all gradients have in common: the upstream, the halves of [dx, dh], what is there without an upstream."""
    x, h = g.names[g.n], g.names[-1]
    if h != x and g.p.x.ndim == 2 and truth[x].shape[:-1] == truth[h].shape[:-1]:
        halves = np.split(np.concatenate([truth[x], truth[h]], axis=-1), [g.p.recipe.state], axis=-1)
        cut = {**truth, h: halves[0], x: halves[1]}
        yield Mistake(f"the gradients of {x} and {h} are cut from [d{x}, d{h}] as if it were [d{h}, d{x}]", lambda: cut)
    for sentence, upstream in upstreams(g):
        yield Mistake(sentence, partial(g.truth, upstream))
    yield from both_ways(g, truth)
    rest = g.claims(g.masked(lambda k, u: 0.0))
    names = [name for name, r in rest.items() if np.any(r)]
    if names:
        largest = figure(max(np.max(np.abs(rest[name])) for name in names))
        said = f"with an upstream of zero the gradient of {several(names)} is not zero, but up to {largest}: "
        decay = {name: ratio(g, rest[name], 0 * rest[name] + dict(zip(g.names, g.p.weights)).get(name, 0)) for name in names}
        if len(set(decay.values())) == 1 and None not in decay.values():
            said += f"{figure(decay[names[0]])} times the weights is added to it"
        else:
            said += "what it is added up in does not start from zero"
        yield Mistake(said, lambda: {name: truth[name] + rest[name] for name in rest})


def both_ways(g, truth):
    """Mistakes in turning around in time what belongs to one of the two halves of a wide ys."""
    width, x = g.upstream[-1].shape[-1] if g.outputs == ["ys"] else 0, g.names[g.n]
    for k, half in enumerate(("first", "second") if width == 2 * g.p.recipe.state else ()):
        mine = (np.arange(width) // g.p.recipe.state == k) * g.upstream[0]
        other = g.truth((g.upstream[0] - mine,))
        for turned, words in ((mine[::-1], "the upstream and the gradient of x"), (mine, "the gradient of x")):
            own = g.truth((turned,))
            parts = {name: other[name] + (a[::-1] if name == x else a) for name, a in own.items()}
            are = "is" if turned is mine else "are"
            yield Mistake(f"{words} of the {half} half of ys {are} not turned around in time", lambda parts=parts: parts)
        parts = {name: other[name] + a for name, a in g.truth((mine[::-1],)).items()}
        yield Mistake(
            f"the upstream of the {half} half of ys is not turned around in time, or that half itself ought not to be",
            lambda parts=parts: parts,
        )


def upstreams(g):
    """(sentence, upstream that the cell would have been given)."""
    full = g.upstream
    if len(full) > 1:
        for k, name in enumerate(g.outputs):
            yield f"the upstream of {name} is ignored", g.masked(lambda j, u, k=k: float(j != k))
            yield f"only the upstream of {name} is used", g.masked(lambda j, u, k=k: float(j == k))
        yield "the upstreams are taken in reverse order", tuple(full[::-1]) if len({u.shape for u in full}) == 1 else full
    yield "the upstream is ignored, 1 is taken for it", tuple(np.ones(u.shape) for u in full)
    for c in (0.1, 0.5, 1.0):
        yield f"the upstream is clipped at {c:g}", tuple(np.clip(u, -c, c) for u in full)
    if g.cell.spec.sequence and g.outputs[-1] == "ys":
        steps = np.arange(len(full[-1])).reshape(-1, *[1] * (full[-1].ndim - 1))
        for t, which in ((steps.size - 1, "last"), (0, "first")):
            yield f"of ys only the upstream of the {which} step is used", (*full[:-1], (steps == t) * full[-1])
            yield f"the upstream of ys at the {which} step is used at every step", (*full[:-1], full[-1][t] + 0 * full[-1])
            yield f"the upstream of ys at the {which} step is left out", (*full[:-1], (steps != t) * full[-1])
        if full[-1].shape[-1] == 2 * g.p.recipe.state:
            yield "the two halves of the upstream of ys are exchanged", (*full[:-1], np.roll(full[-1], g.p.recipe.state, -1))
        shifted = {"turned around in time": full[-1][::-1]}
        shifted |= {f"taken one step too {way}": np.roll(full[-1], k, 0) for k, way in ((1, "late"), (-1, "early"))}
        for way, u in shifted.items():
            yield f"the upstream of ys is {way}", (*full[:-1], u)
            if "one" in way:
                yield f"the upstream of ys is {way}", (*full[:-1], u * (steps != (0 if "late" in way else steps.size - 1)))
    for r in range(g.batch if g.by_rows else 0):
        yield f"only row {r} of the batch is differentiated", g.of_row(r)
        yield f"row {r} of the batch is left out", tuple(u - v for u, v in zip(full, g.of_row(r)))


def surrogate(g):
    """Outputs that take a few values alone, as spikes do, and are differentiated as if they were smooth."""
    for k, name in enumerate(g.outputs):
        if len(np.unique(g.as_given[name])) > FEW:
            continue
        values = np.unique(np.concatenate([np.ravel(grown(g.Cell, replace(g.p.recipe, seed=s)).ran()[name]) for s in range(3)]))
        alone = g.masked(lambda j, u, k=k: float(j == k))
        if (
            1 < len(values) <= FEW
            and any(np.any(c) for c in g.claims(alone).values())
            and not any(map(np.any, g.truth(alone).values()))
        ):
            said = f"{name} takes the values {several(f'{v:g}' for v in values)} alone, so its derivative is 0, and the gradients are not"
            meant = "if it is a surrogate, verify the cell with that smooth function in the place of the step"
            return [f"{said}; {meant}; if not, look for what is rounded or kept as whole numbers"]
    return []


def ruled(g):
    """A rule of jax.custom_vjp whose own forward pass computes something else than the function."""
    cell, x, rest = g.p.build(g.Cell)
    if not hasattr(cell.guest, "outputs_with_rules"):
        return []
    outputs = dict(zip(g.outputs, cell.apply(x, *rest)))
    off = {name: gap(y, other) for (name, y), other in zip(outputs.items(), cell.guest.outputs_with_rules())}
    if not (most := max(off.values())) > g.tolerance * max(map(np.max, map(np.abs, outputs.values()))):
        return []
    names = several([name for name in off if off[name]])
    return [
        f"the forward pass in a rule of jax.custom_vjp returns other numbers than the function: {names} differ by {figure(most)}"
    ]


def unread(g, claims, truth, wrong):
    """A gate that no output depends on, though there are gradients of it: what is wrong is that it is never read."""
    found = {}
    single = g.cell.spec.sequence and g.p.steps == 1  # in which what is not carried has no effect
    for name in wrong if not single else ():
        for axis, length in enumerate(truth[name].shape if name in g.names[: g.n] else ()):
            gates, rest = divmod(length, g.p.recipe.state)
            for k in range(gates if gates > 1 and not rest else 0):
                own, right = (np.split(side[name], gates, axis)[k] for side in (claims, truth))
                if not np.any(own) or np.any(right):
                    continue
                other = grown(g.Cell, replace(PLAIN, seed=PLAIN.seed + 1)).truth()[name]
                if not np.any(np.split(other, gates, axis)[k]):  # nor is it saturated by a large number
                    found.setdefault((k, gates), []).append(name)
    if len(found) != 1:
        return []
    [((k, gates), names)] = found.items()
    return [
        f"no output depends on gate {k} of the gates 0 to {gates - 1} of {several(names)}, of which there are gradients all the same: "
        f"up to {figure(max(np.max(np.abs(claims[name])) for name in names))}; is another gate read in its place?"
    ]


def severed(g, least=1):
    """Outputs from which no gradient flows to so many arrays on which they depend; of a single output, other sentences say so."""
    lost = {}
    for k, output in enumerate(g.outputs if len(g.outputs) > 1 else ()):
        alone = g.masked(lambda j, u, k=k: float(j == k))
        claims, truth = g.claims(alone), g.truth(alone)
        seen = VISIBLE * max((np.max(np.abs(t), initial=0.0) for t in truth.values()), default=0.0)
        due = [name for name in claims if np.max(np.abs(truth[name]), initial=0.0) > seen]
        off = tuple(name for name in due if not np.any(claims[name]))
        if least <= len(off) < len(claims):
            lost.setdefault((*off[::-1],), []).append((output, len(due)))
    for names, found in lost.items():
        outputs, many = [output for output, _ in found], max(many for _, many in found)
        to = several(names if len(names) < 5 else [*names[:3], "others"])
        count = f"{len(names)} of {many} arrays get none that should"
        return [f"no gradient flows from {several(outputs)} to {to}, as where a state is detached ({count})"]
    return []


def lasting(g, name, told):
    """What is said of the gradient of one array, [] where that is a coincidence: with other numbers, other things are wrong."""
    seeds = [grown(g.Cell, replace(g.p.recipe, seed=g.p.recipe.seed + k)) for k in range(1, 5 if told else 1)]
    pairs = [(other, other.claims()[name], other.truth()) for other in seeds]
    found = [pair for pair in pairs if not same(pair[1], pair[2][name], g.tolerance)][:1]
    if not found:
        return [sentence for sentence in told if not sentence.startswith("only ") and " is scaled by " not in sentence]
    if g.cell.spec.sequence and g.p.steps == 1 and any("is scaled by" in sentence for sentence in told):
        longer = grown(g.Cell, PLAIN)
        found.append((longer, longer.claims()[name], longer.truth()))
    stem = re.compile(r"( \(factor|: |, but).*")
    here, *there = (
        [NUMBER.sub(_rounded, stem.sub("", s)) for s in some]
        for some in (told, *(one_array(o, name, *rest) for o, *rest in found))
    )
    return told if all(other == here for other in there) else []


def _rounded(number):
    return figure(float(number[0]) - (abs(float(number[0]) - 1) < 0.01))  # of a factor near 1, the distance from 1


def one_array(g, name, claim, truth):
    """Sentences about the gradient of one array."""
    true = truth[name]
    if not np.any(claim):
        return [f"the gradient of {name} is zero everywhere, but should reach {figure(np.max(np.abs(true)))}"]
    multiple = [] if (k := ratio(g, claim, true)) is None else [f"the gradient of {name} is {factor(g, k, claim)}"]
    mistakes = (Mistake(f"the gradient of {name} {said}", partial(dict, {name: a})) for said, a in of_one(g, name, claim, truth))
    single = claim.size == 1  # and a multiple of anything
    if told := (not single and multiple) or matched(mistakes, {name: claim}, {name: true}, "it", g.near) or multiple:
        return told
    if np.array_equal(claim, claim.astype(np.float32)) and gap(claim, true) < 1e-6:
        said = f"has passed through float32: all its {claim.size} numbers are float32, {figure(gap(claim, true))} from right"
        return [f"the gradient of {name} {said}"]
    differ = ~np.isclose(claim, true, CLOSE, CLOSE * np.max(np.abs(true)))
    if differ.sum() == 1 and differ.size > 4 and close(claim[~differ], true[~differ], CLOSE / 10):
        at = tuple(map(int, np.argwhere(differ)[0]))
        return [f"only {name}{list(at)} is wrong: {figure(claim[at])}, {claim[at] / (true[at] or 1):.10g} times what is right"]
    return by_blocks(g, name, claim, true) or by_gates(g, name, claim, true)


def of_one(g, name, claim, truth):
    """(what is said of the gradient of one array, what it is then)."""
    true, weight = truth[name], name in g.names[: g.n]
    if true.ndim == 2 and true.shape[0] == true.shape[1]:
        yield "is transposed", true.T
    for other, t in truth.items():
        if other != name and t.shape == true.shape:
            yield f"is that of {other}", t
    if true.ndim == 3 and name == g.names[g.n] and g.cell.spec.sequence:
        yield "runs backwards in time", true[::-1]
    yield from _blocks_transposed(g, true) if weight else ()
    rows = [row[name] for row in g.by_row] if weight and g.batch > 1 else []
    for m in range(2, len(rows) - 1):
        yield f"is that of the first {m} of {g.batch} rows alone", sum(rows[:m])
        yield f"is that of the last {m} of {g.batch} rows alone", sum(rows[-m:])
    for r, part in enumerate(rows):
        yield f"is that of row {r} alone, not summed over the batch of {g.batch}", part
        yield f"is that of row {r} times the batch of {g.batch}, not summed over it", g.batch * part
        yield f"leaves out row {r} of the batch", true - part
        yield f"counts row {r} of the batch twice", true + part
    if weight and claim.size > 1:
        yield f"is multiplied by {name} itself", true * g.p.weights[g.names.index(name)]
    extra = {f"the gradient of {other}": t for other, t in truth.items() if other != name}
    extra |= {f"the upstream of {other}": u for other, u in zip(g.outputs, g.upstream)}
    for words, a in {**extra, name: dict(zip(g.names, [*g.p.weights, g.p.x, *g.p.state]))[name]}.items():
        if a.shape == true.shape and np.count_nonzero(a) > 2:
            k = float(np.sum((claim - true) * a) / np.sum(a * a))
            times = "" if abs(k - 1) < CLOSE else f"{k:.6g} times "
            yield f"is off by {times}{words}", true + k * a
    for axis in range(true.ndim if true.size > 2 else 0):
        whole = true.sum(axis, keepdims=True) + 0 * true
        yield f"is summed over axis {axis} as well, where each entry has a gradient of its own", whole
        yield f"is averaged over axis {axis}, where each entry has a gradient of its own", whole / true.shape[axis]
    for axis, length in enumerate(true.shape):
        gates, rest = divmod(length, g.p.recipe.state)
        if not rest and gates > 1:
            for k in range(gates if weight else 0):
                lost = np.arange(length) // g.p.recipe.state == k
                zeroed = true * ~lost.reshape([-1 if n == axis else 1 for n in range(true.ndim)])
                yield f"is zero in gate {k} of its gates 0 to {gates - 1}: no gradient flows through it", zeroed
            claimed, right = (np.split(a, gates, axis) for a in (claim, true))
            order = [next((k for k, part in enumerate(right) if same(own, part)), None) for own in claimed]
            if sorted(order, key=str) == list(range(gates)) != order:
                said = f"has the gradients of its gates 0 to {gates - 1} in the order {several(map(str, order))}"
                yield said, np.concatenate([right[k] for k in order], axis)
        own, right = (np.moveaxis(a, axis, 0) for a in (claim, true))
        order = [next((k for k, part in enumerate(right) if close(part, slice_)), None) for slice_ in own]
        if length > 1 and None not in order and order != list(range(length)):
            yield (
                f"has at 0 to {length - 1} along axis {axis} what belongs at {several(map(str, order))}",
                np.moveaxis(right[order], 0, axis),
            )


def _blocks_transposed(g, true):
    """(words, gradient) with one square block transposed, of gates side by side or behind each other."""
    state = g.p.recipe.state
    for axis, length in enumerate(true.shape if true.ndim > 1 else ()):
        n = length // state if true.ndim == 2 and length % state == 0 else length * (true.ndim == 3)
        blocks = np.split(true, n, axis) if n > 1 else []
        wide = [i for i, s in enumerate(np.shape(blocks[0]) if blocks else ()) if s > 1]
        for k in range(n if len(wide) == 2 and len({blocks[0].shape[i] for i in wide}) == 1 else 0):
            turned = [np.swapaxes(block, *wide) if j == k else block for j, block in enumerate(blocks)]
            yield f"is transposed in gate {k} of its gates 0 to {n - 1}", np.concatenate(turned, axis)


def by_blocks(g, name, claim, true):
    """The blocks of one weight, exchanged."""
    if name not in g.names[: g.n] or not g.blocks:
        return []
    blocks, told = g.blocks[g.names.index(name)], []
    off = [key for key, where in blocks.items() if not same(claim[where], true[where], g.near)]
    for key in off:
        for other, where in blocks.items():
            if other != key and close(claim[blocks[key]], true[where], g.near):
                told.append(f"block {' '.join(key)} of the gradient of {name} is that of {' '.join(other)}")
    return told if len(told) == len(off) else []


def by_gates(g, name, claim, true):
    """Parts of one weight, as long as a state, that are a constant times what is right, while the others are right."""
    for axis, length in enumerate(true.shape if name in g.names[: g.n] else ()):
        gates, rest = divmod(length, g.p.recipe.state)
        if rest or gates < 2:
            continue
        parts = list(zip(np.split(claim, gates, axis), np.split(true, gates, axis)))
        off = [k for k, (own, right) in enumerate(parts) if not same(own, right, g.near)]
        factors = [ratio(g, *parts[k]) for k in off]
        if 0 < len(off) < gates and None not in factors and np.ptp(factors) < 1e-9:
            said = f"the gradient of {name} is {factor(g, factors[0], parts[off[0]][0])}"
            return [f"{said} in {_gates(g, name, axis, off, gates)}, and right in the others"]
    return []


def factor(g, k, claim):
    """What a constant factor means at these sizes. One that is made of a size must follow it where that is larger."""
    batch, steps, state = g.batch, g.p.steps, g.p.recipe.state
    if abs(k - batch) <= 1e-9 * batch and follows(g, "batch", lambda n: n):
        return f"{batch} times too large, as many as there are rows (factor {batch})"
    meanings = {"negated: its sign is wrong": -1.0, "counted twice": 2.0}
    if g.gist and steps > 1:
        meanings[f"{steps} times too large, as many as there are steps"] = float(steps)
    for words, value in meanings.items():
        if abs(k - value) <= 1e-9 * abs(value):
            return f"{words} (factor {figure(k)})"
    means = [
        (f"the batch of {batch}", "batch", lambda n: 1 / n),
        (f"the {steps} steps", "steps", lambda n: 1 / n),
        (f"the {state} units", "state", lambda n: 1 / n),
        (f"the {g.p.recipe.features} features", "features", lambda n: 1 / n),
        ("batch and steps", "batch", lambda n: 1 / n / steps),
        ("batch and units", "batch", lambda n: 1 / n / state),
    ]
    for words, size, value in means:
        n = sizes_of(g)[size]
        if n > 1 and abs(k - value(n)) <= 1e-9 * k and follows(g, size, value):
            return f"the mean over {words} instead of the sum (factor {figure(k)})"
    norm = float(np.linalg.norm(claim)) / unit(g)
    near = float(f"{norm:.2g}")
    if 0 < k < 1 and abs(norm - near) <= 1e-6 * norm:  # some divide by the norm plus 1e-6
        return f"clipped to a norm of {near:g}; if that is meant, declare choices = {{'clip': {near:g}}}"
    return f"scaled by {k:.10g}"


def sizes_of(g):
    """The sizes of a Grown by name."""
    return {"batch": g.batch, "steps": g.p.steps, "features": g.p.recipe.features, "state": g.p.recipe.state}


def follows(g, size, value):
    """Whether a gradient is off by the factor value(n) with one more of this size, too; True if the cell takes no other."""
    some = lift(g.Cell).sizes.get(size, ())  # or the name of the size that it equals
    declared = [n for n in some if not isinstance(n, str) and n > 1 and n != sizes_of(g)[size]]
    larger = grown(g.Cell, replace(g.p.recipe, **{size: max(declared, default=sizes_of(g)[size] + 1)}))
    n = sizes_of(larger)[size]
    factors = [ratio(g, claim, larger.truth()[name]) for name, claim in larger.claims().items()]
    return n == sizes_of(g)[size] or any(k and abs(k - value(n)) <= 1e-9 * abs(k) for k in factors)


def ratio(g, claim, true):
    """The constant k != 1 with claim = k true, or None."""
    exact = g.near if g.single else 1e-10
    claim, true = np.ravel(claim), np.ravel(true)
    k = float(claim @ true / (true @ true)) if true @ true else 0.0
    if k and np.max(np.abs(claim - k * true)) <= exact * np.max(np.abs(claim)) and abs(k - 1) > 10 * exact:
        return k
    return None
