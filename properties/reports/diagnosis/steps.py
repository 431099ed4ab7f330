"""Mistakes between the steps of a loop: what is not handed on, assigned instead of added up, or kept in one place."""

import itertools

import numpy as np
from cellcheck.properties.reports.diagnosis.grown import same
from cellcheck.properties.reports.diagnosis.places import words
from cellcheck.properties.writing.text import several


def stale(flow, passes):
    """What all steps keep in one place: each finds there what the last one has kept."""
    runs, edits = {}, {}
    for node in flow.order:
        frames, _, *rest = node.key  # the first step may lack the nearest weight
        for key in (node.key, (frames, *rest)):
            runs.setdefault(key, []).append(node)
    for *some, last in runs.values():
        for n in some if len(some) == passes and last.own not in ("part", "put") else ():
            edits |= {
                (n, k): last.slope(k)
                for k in n.parents
                if k in last.parents and np.shape(n.arrays[k]) == np.shape(last.arrays[k])
            }
    run = flow.run(passes + 1)
    yield f"every {run} is differentiated at the last {run}'s values: one cache for all {run}s", edits


def uncarried(flow):
    """Of several states, the gradient of one that is not handed on to the step before."""
    states = {}
    for node, k in flow.carried:
        if node.frames and node.text:
            states.setdefault(node.parents[k].key, []).append((node, k))
    for edges in states.values() if len(states) > 1 else ():
        yield f"no gradient flows back to {words(edges)[0]} from one step to the one before", dict.fromkeys(edges, 0.0)


def assigned(flow):
    """Assigns the gradient at every step, of one array that all steps use, or of all weights whose gradients are wrong."""
    used = [edges for edges in flow.edges if len(edges) > 1 and len({id(n.parents[i]) for n, i in edges}) == 1]
    claims, truth = flow.g.claims(), flow.g.truth()
    wrong = {name: [] for name in claims if not same(claims[name], truth[name])}
    for edges in used:
        wrong.get(edges[0][0].parents[edges[0][1]].name, []).append(edges)
    names = [name for name, some in wrong.items() if some]
    tried = [([edges], f"the gradient of {words(edges)[0]} is that", "it is") for edges in used]
    if len(names) > 1:
        tried.append(([*itertools.chain(*wrong.values())], f"the gradients of {several(names)} are those", "they are"))
    for some, of, what in tried:
        n = len(some[0])
        for which, kept in (("first", 0), ("last", -1)):
            edits = {edge: 0.0 for edges in some for edge in edges if edge != edges[kept]}
            yield f"{of} of the {which} of {n} {flow.run(n)}s alone: {what} assigned, not added up", edits


def overwritten(flow, edges):
    """Of entries that several steps read, as a row of an embedding, keeps the gradient of one of the steps."""
    arg, through = words(edges)
    for which, some in (("first", edges), ("last", edges[::-1])):
        seen, kept = 0.0, {}
        for n, k in some:
            slope = n.slope(k)
            kept[n, k] = slope * (seen == 0) if np.any(seen) else slope
            seen = seen + np.abs(slope).sum(0)
        if any(not np.array_equal(slope, n.slope(k)) for (n, k), slope in kept.items()):
            said = f"where several {flow.run(len(edges))}s read the same entries of {arg} through {through}"
            yield f"{said}, the gradient is that of the {which} one alone: it is assigned, not added up", kept


def left_out(flow, passes):
    """Leaves out the first or the last step; the gradient of its states is lost, or passed on unchanged to the step before.

    passes: how often a loop hands on a state, if there is one.
    """
    runs, T = {}, len(flow.g.p.x) if flow.g.cell.spec.sequence else passes + 1
    for node in flow.order:
        runs.setdefault(node.key, []).append(node)
    looped = [nodes for nodes in runs.values() if len(nodes) == T > 1 and nodes[0].frames]
    before = {n.parents[k].key: runs[n.key][0].parents.get(k) for n, k in flow.carried}  # the initial state
    for which, at in (("last", -1), ("first", 0)) if looped else ():
        said = f"the {which} {flow.run(T)} is left out of the reverse pass"
        yield said, (lost := {nodes[at]: 0.0 for nodes in looped})
        states = [(nodes[at], nodes[-2] if at else before[nodes[0].key]) for nodes in looped if nodes[0].key in before]
        passed = [(n, b) for n, b in states if b is not None and b is not n and np.shape(b.value) == np.shape(n.value)]
        yield (
            f"{said}, and what flows back to its states goes on unchanged",
            lost | {n: (b, np.ones(n.value.size)) for n, b in passed},
        )
