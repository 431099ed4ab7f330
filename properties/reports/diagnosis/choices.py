"""Mistakes where an operation chooses between arrays: by a condition, a mask, or as a maximum does."""

import numpy as np
from cellcheck.properties.reports.diagnosis.places import argument, place, words

CHOOSING = {  # how many arrays it takes, and whether the first of the last two is chosen
    "maximum": (2, lambda a, b: np.greater_equal(a, b)),
    "minimum": (2, lambda a, b: np.less_equal(a, b)),
    "where": (3, lambda condition, *_: np.asarray(condition, dtype=bool)),
}


def decided(flow):
    """Of two arrays the larger, the smaller, or that which a condition chooses: other numbers decide which of the two gets the gradient."""
    found, tried = {}, []
    for edges in flow.edges:
        node, k = edges[-1]
        sides = node.arrays[-2:] if len(node.arrays) == CHOOSING.get(node.own, (0,))[0] else ()
        last = {len(node.arrays) - 2, len(node.arrays) - 1}
        if set(node.parents) == last and len(sides) == 2 and all(np.shape(a) == node.value.shape for a in sides):
            found.setdefault((*node.key, len(edges)), {})[k] = edges
    both = [sorted(pair.items()) for pair in found.values() if len(pair) == 2]
    chosen = [[np.broadcast_to(CHOOSING[n.own][1](*n.arrays), n.value.shape) for n, _ in pair[0][1]] for pair in both]
    for pair, masks in zip(both, chosen):
        node, times, names = pair[0][1][-1][0], flow.times(pair[0][1]), [words(edges)[0] for _, edges in pair]
        larger = "smaller" if node.own == "minimum" else "larger"
        tried.append((pair, f"and none to {names[1]}", [m | True for m in masks]))
        tried.append((pair[::-1], f"and none to {names[0]}", [m | True for m in masks]))
        sides = [[np.asarray(n.arrays[k]) for n, _ in edges] for k, edges in pair]
        for k, here in enumerate(sides if node.own != "where" else ()):
            for text, values in flow.like(here, argument(node, k), times):
                ways = [CHOOSING[node.own][1](*(a, b)[:: 1 - 2 * k]) for a, b in zip(values, sides[1 - k])]
                one, two = (text, names[1]) if k == 0 else (names[0], text)
                tried.append((pair, f"where {one} is {larger} than {two}", ways))
        for beside, ways in zip(both, chosen):
            if beside is not pair and [m.shape for m in masks] == [m.shape for m in ways]:
                there = f"where {words(beside[0][1])[1]} chooses its"
                tried.append((pair, f"{there} first argument, not by its own condition", ways))
                tried.append((pair, f"{there} second argument, not by its own condition", [~m for m in ways]))
    for ((j, one), (k, two)), decides, ways in tried:
        if decides.startswith("where") and all(m.all() or not m.any() for m in ways):
            continue  # of a choice that is none
        arg, through = words(one)
        edits = [
            {(n, j): np.diag(1.0 * w), (m, k): np.diag(1.0 * ~w)} for (n, _), (m, _), w in zip(one, two, map(np.ravel, ways))
        ]
        yield (
            f"the gradient through {through} flows back to {arg} {decides}",
            {key: s for some in edits for key, s in some.items()},
        )


def of_softmax(flow):
    """The derivative of a softmax y, dy_i / dz_j = y_i (δ_ij - y_j), with its diagonal alone."""
    found = {}
    for node in flow.order:
        head = _exponents(node)
        if head is not None and node.text and head.value.shape == node.value.shape:
            found.setdefault(node.key, []).append((node, head))
    for pairs in found.values():
        said = f"the derivative of the softmax {place(pairs[-1][0])} is taken as y (1 - y), with its output y: its diagonal alone"
        yield said, {n: (head, n.value * (1 - n.value)) for n, head in pairs}


def _exponents(node):
    """What the node is the softmax of, None if it is none."""
    if node.own == "softmax":
        return node.parents.get(0)
    up, down = (node.parents.get(k) for k in (0, 1)) if node.own == "divide" else (None, None)
    while down is not None and down.own in ("sum", ".sum", "add.reduce", ".reshape", "part", "expand_dims"):
        down = down.parents.get(0)
    return up.parents.get(0) if up is not None and up is down and up.own == "exp" else None


def unmasked(flow):
    """Several choices by one condition, or of one array, in all of which the gradient ignores the condition."""
    chosen, taken = {}, {}
    for edges in flow.edges:
        node, k = edges[-1]
        if node.own == "where" and k == 1 and all(np.shape(n.arrays[1]) == n.value.shape for n, _ in edges):
            chosen.setdefault((argument(node, 0), len(edges)), []).append(edges)
            taken.setdefault((argument(node, 1), len(edges)), []).append(edges)
    for found in (*chosen.values(), *taken.values()):
        nodes, (arg, through) = [n for edges in found for n, _ in edges], words(found[-1])
        all_of = f" and {len(found) - 1} more" * (len(found) > 1)
        free = {(n, 1): np.eye(n.value.size) for n in nodes}
        said = f"the gradient of {arg} in {through}{all_of} is not masked"
        yield said, free
        yield f"{said}, and none flows back to the other", free | {(n, 2): 0.0 for n in nodes if 2 in n.parents}
