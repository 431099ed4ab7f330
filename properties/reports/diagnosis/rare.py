"""Rare mistakes, which are tried if nothing else explains the gradients: what flows back, or is used there, belongs somewhere else."""

import itertools

import numpy as np
from cellcheck.properties.reports.diagnosis.contributions import swapped
from cellcheck.properties.reports.diagnosis.operations import JOINING, derivatives
from cellcheck.properties.reports.diagnosis.places import argument, place, words


def rare(flow):
    """(sentence, edits) of what is tried if nothing else explains the gradients: exchanges, and wrong derivatives inside an activation."""
    yield from swapped(flow)
    yield from askew(flow)
    yield from in_reverse(flow)
    yield from of_another_part(flow)
    for others in (False, True):
        for pairs in flow.within:
            yield from derivatives(flow, pairs, others=others)
    yield from misread(flow)


def askew(flow):
    """What flows back to a place, with two axes of one length exchanged."""
    for edges in flow.edges:
        shape = edges[-1][0].value.shape
        for one, two in itertools.combinations(range(len(shape)), 2):
            if shape[one] == shape[two] > 1 and all(n.value.shape == shape for n, _ in edges):
                order = np.arange(edges[-1][0].value.size).reshape(shape).swapaxes(one, two).ravel()
                arg, through = words(edges)
                said = f"the gradient of {arg} through {through} is made of what flows back there with its axes {one} and {two} exchanged"
                yield said, {(n, i): n.slope(i)[order] for n, i in edges}


def in_reverse(flow):
    """Arrays that are put together, as the states of all steps, each with the gradient of another: the last comes first."""
    found = {}
    for node in flow.order:
        count, shapes = len(node.parents), {parent.value.shape for parent in node.parents.values()}
        if node.own in JOINING and node.text and count > 1 == len(shapes) and set(node.parents) == set(range(count)):
            found.setdefault(node.key, []).append(node)
    for nodes in found.values():
        edits = {(n, k): n.slope(len(n.parents) - 1 - k) for n in nodes for k in n.parents}
        yield f"the gradient of what {place(nodes[-1])} puts together is handed back in reverse order", edits


def of_another_part(flow):
    """The weights of one part of the cell in the place of those of another: of the other direction, or of the next layer."""
    parts = {}
    for name, leaf in flow.tape.leaves.items():
        part, dot, key = name.rpartition(".")
        if dot:
            parts.setdefault(part, {})[key] = leaf
    for one, other in itertools.permutations(parts, 2):
        twins = {leaf: parts[other].get(key) for key, leaf in parts[one].items()}
        if all(twin is not None and twin.value.shape == leaf.value.shape for leaf, twin in twins.items()):
            uses = [(n, i, j, p) for edges in flow.edges for n, i in edges for j, p in n.parents.items() if j != i and p in twins]
            said = f"what flows back through {one} uses the weights of {other}"
            yield said, {(n, i): n.slope(i, j, twins[p].value) for n, i, j, p in uses}


def misread(flow):
    """A variable that the forward pass reads, in the place of which the gradient is that of another one of the same call."""
    scopes = {}
    for node, k in [(n, i) for n in flow.order if n.frames and n.text for i in n.parents]:
        if (text := argument(node, k)).isidentifier():
            scopes.setdefault((node.frames[0].code, node.key[0][1:]), {}).setdefault(text, {})[node.parents[k]] = None
    for edges in flow.edges:
        (arg, through), variable = words(edges), argument(*edges[-1]).isidentifier()
        here = [scopes.get((node.frames[0].code, node.key[0][1:]), {}) if variable and node.frames else {} for node, _ in edges]
        for text in here[0]:
            fit = [
                [p for p in names.get(text, ()) if flow.when[p] < flow.when[n] and p.value.shape == n.parents[k].value.shape]
                for (n, k), names in zip(edges, here)
            ]
            if not all(fit):
                continue
            read, edits = [max(some, key=flow.when.get) for some in fit], {}
            for (node, k), p in zip(edges, read):
                edits[node, k] = p, node.slope(k), 0.0
                edits |= {(node, j): node.slope(j, k, p.value) for j in node.parents if j != k}
            if any(p is not n.parents[k] for (n, k), p in zip(edges, read)):
                yield f"the gradient through {through} is that of `{text}`, and the forward pass uses {arg} there", edits
