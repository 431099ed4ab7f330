"""Mistakes in how gradients flow through a cell of any kind: its own operations are differentiated again, with one mistake at a time.

A mistake is named by the expressions of the source between which the gradient is wrong.
"""

from dataclasses import replace
from functools import partial

import numpy as np
from cellcheck.properties.reports.diagnosis.flow import Flow
from cellcheck.properties.reports.diagnosis.grown import CLOSE, close, figure, gap, grown, same
from cellcheck.properties.reports.diagnosis.mistakes import matched
from cellcheck.properties.reports.diagnosis.operations import mistakes
from cellcheck.properties.reports.diagnosis.places import argument, piece, place, shown, words
from cellcheck.properties.reports.diagnosis.rare import rare
from cellcheck.properties.reports.diagnosis.tape import Untold
from cellcheck.properties.shrinking.shrinking import VISIBLE
from cellcheck.properties.writing.text import several

STEPS, NUDGE = 8, 2.0**-20  # of a search for a factor


def flow_faults(g, claims, truth, last=False):
    """Sentences about gradients that are wrong in one place of the cell's own source, or [].

    last: what is looked for if nothing else explains them: rare mistakes, or only where that place is.
    """
    if all(same(claims[name], truth[name], g.near) for name in claims):
        return []
    try:
        flow = Flow(g)
        flow.others = mistakes(flow)
        # what else is claimed depends on parts of the cell that are not followed
        known = [name for name in claims if same(flow.straight[name], truth[name], g.tolerance)]
        if not all(name in known or same(claims[name], truth[name], g.near) for name in claims):
            return []
        claims = {name: claims[name] for name in known}
        truth = {name: flow.straight[name] for name in truth}  # which has more digits than differences have
        with np.errstate(all="ignore"):
            if last:
                return (
                    multiplied(flow, claims, truth)
                    or matched(flow.predicted(rare(flow)), claims, truth, "all gradients", g.near)
                    or misdirected(flow, claims, truth)
                    or solved(flow, claims, truth)
                )
            told = matched(flow.tried(claims, truth), claims, truth, "all gradients", g.near)
            return (
                told
                or displaced(flow, claims, truth)
                or unchanged(flow, claims, truth)
                or taken(flow, claims, truth)
                or in_these_alone(flow, claims, truth)
                or of_one_output(flow)
            )
    except Untold:
        return []


def untold(g):
    """Why the operations of a cell cannot be followed, "" if they can."""
    try:
        Flow(g)
    except Untold as why:
        return str(why)
    return ""


def misdirected(flow, claims, truth):
    """Weights that get the gradient of something else in the source, summed over rows and steps, or what follows from it."""
    near = flow.g.near
    wrong, found, told = [name for name in claims if not same(claims[name], truth[name], near)], {}, []
    used = {name: [edges for edges in flow.edges if edges[0][0].parents[edges[0][1]].name == name] for name in wrong}
    for node, grad in zip(flow.order, flow.right):
        if node.text and not node.name:
            found.setdefault(node.key, []).append((node, grad.reshape(node.value.shape)))
    for name in wrong:
        shape = np.shape(claims[name])
        for runs in found.values():
            total = sum(grad for _, grad in runs)
            lead = total.ndim - len(shape)
            if lead >= 0 and total.shape[lead:] == shape and close(total.sum(tuple(range(lead))), claims[name], near):
                node = runs[-1][0]
                told.append(f"the gradient of {name} is that of {piece(node)}")
                break
            edges = used[name][0] if len(used[name]) == 1 and len(used[name][0]) == len(runs) else []
            if not edges or any(n is m or n.value.shape != grad.shape for (n, _), (m, grad) in zip(edges, runs)):
                continue
            if close(
                sum(np.ravel(grad) @ n.slope(k) for (n, k), (_, grad) in zip(edges, runs)).reshape(shape), claims[name], near
            ):
                arg, through = words(edges)
                told.append(f"the gradient of {arg} through {through} is made of that of {place(runs[-1][0])}")
                break
    off = (
        "" if len(told) != len(wrong) else f": {figure(max(gap(claims[name], truth[name]) for name in wrong))} from what is right"
    )
    return [f"{several(told)}{off}"] if off else []


def displaced(flow, claims, truth):
    """The upstream of a final state, which enters the reverse pass at another step than the last."""
    g, near = flow.g, flow.g.near
    for j, name in enumerate(g.outputs if g.cell.spec.sequence else ()):
        end, u = flow.tape.outputs[name], np.ravel(flow.upstream[j])
        while not end.frames and len(end.parents) == 1:  # as where axes are put in another order
            [(k, parent)] = end.parents.items()
            end, u = parent, u @ end.slope(k)
        runs = [node for node in flow.order if node.key == end.key and node.frames]
        if name == "ys" or len(runs) < 2:
            continue
        kept, flow.upstream = flow.upstream, g.masked(lambda k, u, j=j: float(k != j))
        grads = [flow.right[flow.numbers[node]] for node in runs[:-1]]
        found = flow.backs([{node: 1 + u / grad} if np.all(grad) else {} for node, grad in zip(runs, grads)])
        flow.upstream = kept
        for step, told in enumerate(found):
            if all(same(claims[n], told[n], near) for n in claims):
                return [
                    f"the upstream of {name} enters the reverse pass at step {step}, not at the last: "
                    f"this predicts all gradients; the right numbers are {figure(max(gap(claims[n], truth[n]) for n in claims))} away"
                ]
    return []


def unchanged(flow, claims, truth):
    """The gradient of a state that is the upstream of an output, as it came in."""
    wrong, g = [name for name in claims if not same(claims[name], truth[name], flow.g.near)], flow.g
    told = [
        f"the gradient of {name} is the upstream of {output}, as it came in"
        for name in wrong
        for output, u in zip(g.outputs, flow.upstream)
        if u.size > 1 and np.shape(u) == np.shape(claims[name]) and same(claims[name], u, g.near)
    ]
    if len(told) != len(wrong):
        return []
    return [f"{several(told)}: {figure(max(gap(claims[n], truth[n]) for n in wrong))} from what is right"]


def in_these_alone(flow, claims, truth):
    """A mistake in the gradients of some arrays alone, such as those of the weights, where what flows on is right."""
    wrong = [name for name in claims if not same(claims[name], truth[name], flow.g.near)]
    told = matched(flow.tried(seen := {name: claims[name] for name in wrong}, truth), seen, truth, "it", flow.g.near)
    return (
        [f"in the gradient{'s' * (len(wrong) > 1)} of {several(wrong)} alone, {told[0]}"]
        if told and len(wrong) < len(claims)
        else []
    )


def of_one_output(flow):
    """The same for the upstream of a single output, on which a fault on one path shows plainly."""
    g = flow.g
    for k, name in enumerate(g.outputs if len(g.outputs) > 1 else ()):
        flow.upstream = g.masked(lambda j, u, k=k: float(j == k))
        claims, truth = g.claims(flow.upstream), g.truth(flow.upstream)
        if not any(np.any(truth[n]) for n in claims):
            continue
        if not any(map(np.any, claims.values())):
            return [f"the upstream of {name} has no effect: with it alone every gradient is 0, of {len(claims)} arrays"]
        wrong = not all(same(claims[n], truth[n], g.near) for n in claims)
        if wrong and (
            told := matched(flow.tried(claims, truth), claims, truth, f"all gradients for an upstream of {name} alone", g.near)
        ):
            return told
    return []


def multiplied(flow, claims, truth):
    """The place from which on gradients are a factor times the right ones."""
    for edges, factor, off in scaled(flow, claims, truth):
        batch = flow.g.batch
        other = grown(flow.g.Cell, replace(flow.g.p.recipe, seed=flow.g.p.recipe.seed + 1, batch=batch + 1))
        arg, through = words(edges)
        there = next((f for e, f, _ in scaled(Flow(other), other.claims(), other.truth()) if words(e) == (arg, through)), None)
        varies = there is not None and abs(there - factor) > flow.g.near * abs(factor)
        by = f"{factor:.6g}" if abs(factor - 1) > 0.01 else _times(factor)
        by = f"{factor:.4g}, a factor that varies: with other numbers, by {there:.4g}" if varies else by
        if varies and abs(factor - batch) < CLOSE > abs(there - other.batch):
            by = f"{batch}, the number of rows"
        if abs(factor * batch - 1) < CLOSE and (there is None or abs(there * other.batch - 1) < CLOSE):
            by = f"1 / {batch}, as in a mean over the rows"
        node, k = edges[-1]
        node, k = next(((user, 0) for user in flow.users.get(node, ()) if "mean" in user.own), (node, k))  # of what it makes
        many = np.size(node.arrays[k]) / node.value.size
        mean = "mean" in node.own and abs(factor - many) < CLOSE * many
        by += f", as if a sum of {many:g} numbers stood in the place of their mean" if mean else ""
        by += "" if varies else next((f", {said}" for said in named(flow, factor)), "")
        said = f"the gradient that flows back to {arg} through {through} is scaled by {by}"
        return [f"{said}: this predicts all gradients to within {figure(off)}"]
    return []


def named(flow, factor):
    """What the source calls a constant that is the factor, or one by which it divides."""
    for node in flow.order:
        for k, a in enumerate(node.arrays):
            text = argument(node, k) if node.text and k not in node.parents and np.size(a) == 1 else ""
            if text.replace("_", "").replace(".", "").isalnum() and not text[0].isdigit():
                for said, value in ((f"`{text}`", np.ravel(a)[0]), (f"1 / `{text}`", 1 / np.ravel(a)[0])):
                    if abs(value - factor) <= flow.g.near * abs(factor):
                        yield said


def solved(flow, claims, truth):
    """Where the right gradients turn wrong: numbers that are solved for, at one place that is run once."""
    for node, factors, off in solutions(flow, claims):
        if np.max(np.abs(factors - 1)) < VISIBLE:
            return []
        return [
            f"the gradient of {place(node)} is wrong, and what follows from it right: with entries that are "
            f"{_times(factors.min())} to {_times(factors.max())} times the right ones, this predicts all gradients to within {figure(off)}"
        ]
    return []


def taken(flow, claims, truth):
    """Some other array that stands in the place of a gradient, such as z in the place of dz."""
    for node, factors, off in solutions(flow, claims):
        found = factors * flow.right[flow.numbers[node]]
        for text, at, values, _ in flow.tensors:
            if len(values) == 1 and values[0].shape == node.value.shape and close(np.ravel(values[0]), found, flow.g.near):
                what = "its own value" if close(values[0], node.value) else f"`{shown(text)}`{at}"
                return [
                    f"what is taken for the gradient of {place(node)} is {what}: this predicts all gradients to within {figure(off)}"
                ]
    return []


def solutions(flow, claims):
    """(node, factors of its gradient, how closely these predict all gradients) of places that are run once."""
    flat = partial(_flat, claims)
    seen, keys = flat(claims), [node.key for node in flow.order]
    for node in flow.order:
        size = node.value.size
        if not node.text or node.name or keys.count(node.key) > 1 or not 0 < size <= 64:
            continue
        none = flat(flow.back({node: np.zeros(size)}))
        columns = np.array([flat(grads) - none for grads in flow.backs([{node: row} for row in np.eye(size)])]).T
        reached = columns.any(axis=1).sum()
        if reached < 2 * size:
            continue
        found, _, rank, _ = np.linalg.lstsq(columns, seen - none, rcond=None)
        predicted = none + columns @ found
        if rank == size and close(predicted, seen, flow.g.near):
            yield node, found, gap(seen, predicted)


def _flat(names, grads):
    """All these gradients in one array."""
    return np.concatenate([np.ravel(grads[name]) for name in names])


def scaled(flow, claims, truth):
    """(edges, factor, how closely it predicts all gradients) of each place where a factor of what flows back there does."""
    flat = partial(_flat, claims)
    right, seen = flat(truth), flat(claims)
    for edges in (*flow.edges, *flow.helped):
        factor, here = 1.0, right
        for _ in range(STEPS):  # Newton's; what flows through a place once is linear in the factor
            path = (flat(flow.back(dict.fromkeys(edges, factor + NUDGE))) - here) / NUDGE
            if gap(right, right - path) < flow.g.near:
                break
            better = factor + float((seen - here) @ path / (path @ path))
            there = flat(flow.back(dict.fromkeys(edges, better)))
            if not np.max(np.abs(seen - there)) < np.max(np.abs(seen - here)) / 2:
                break
            factor, here = better, there
        if close(here, seen, flow.g.near) and gap(here, seen) < gap(right, seen) / 100:
            yield edges, factor, gap(seen, here)


def _times(factor):
    return f"1 {'-' if factor < 1 else '+'} {abs(factor - 1):.2g}" if 0 < abs(factor - 1) < 0.01 else figure(factor)
