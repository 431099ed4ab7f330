"""Mistakes between several contributions to the gradient of one array: exchanged, left out, computed too early."""

import itertools

import numpy as np
from cellcheck.properties.reports.diagnosis.flow import slope_at
from cellcheck.properties.reports.diagnosis.grown import same
from cellcheck.properties.reports.diagnosis.places import argument, piece, place, shown, words

PRODUCTS = ("matmul", "dot", ".dot", "einsum")
FLAT = 1e-6  # so small slopes say nothing of what was divided by them


def together(flow):
    """Two contributions to the gradient of one array."""
    into = {}
    for edges in flow.edges:
        node, k = edges[-1]
        into.setdefault(node.parents[k].key, []).append(edges)
    for found in into.values():
        for one, two in itertools.combinations(found, 2):
            (arg, through), (_, other) = words(one), words(two)
            said = f"of {arg} through {through} and {other}"
            yield f"the gradients {said} have the wrong sign", {edge: -1.0 for edge in one + two}
            yield f"the gradients {said} are missing", {edge: 0.0 for edge in one + two}
            yield from delivered(one, two)
            yield from delivered(two, one)
            yield from exchanged(one, two)
        for kept in found if len(found) > 2 else ():
            (arg, through), lost = words(kept), [edge for edges in found if edges is not kept for edge in edges]
            said = f"of the {len(found)} contributions to the gradient of {arg} only that through {through} is kept"
            yield f"{said}: it is assigned, not added up", dict.fromkeys(lost, 0.0)
    products = {}  # as of a complex number in two parts, of which the conjugate is due
    for edges in flow.edges:
        node, k = edges[-1]
        if node.own == "multiply":
            products.setdefault(shown(argument(node, 1 - k)), []).append(edges)
    for text, found in products.items():
        if len(found) > 1:
            said = f"the gradients through all products with `{text}`"
            yield f"{said} have the wrong sign", {edge: -1.0 for edges in found for edge in edges}


def misapplied(flow):
    """A factor of one term of a sum that the gradient of the other terms gets as well, as a decay that is applied too early."""
    for edges in flow.edges:
        node, k = edges[-1]
        terms = [n.parents.get(1 - k) for n, _ in edges] if node.own in ("add", "subtract") and len(node.arrays) == 2 else [None]
        if not all(term is not None and term.own == "multiply" and len(term.arrays) == 2 for term in terms):
            continue
        for j in range(2):
            factors = [np.broadcast_to(term.arrays[j], term.value.shape) for term in terms]
            if all(f.shape == n.value.shape for f, (n, _) in zip(factors, edges)):
                arg, through = words(edges)
                said = (
                    f"the gradient that flows back to {arg} through {through} is multiplied by `{shown(argument(terms[-1], j))}`"
                )
                slopes = {(n, i): n.slope(i) * np.ravel(f)[:, None] for f, (n, i) in zip(factors, edges)}
                yield f"{said}, a factor of the other term", slopes
                more = {n: f for f, (n, _) in zip(factors, edges)}
                once = {(term, 1 - j): np.eye(term.value.size) for term in terms if (1 - j) in term.parents}
                early = f"the gradient of {place(edges[-1][0])} is multiplied by `{shown(argument(terms[-1], j))}` too early: before the gradients"
                if len(once) == len(terms) and all(np.shape(t.arrays[1 - j]) == t.value.shape for t in terms):
                    yield f"{early} of the other arrays are made of it", {**more, **once}


def premature(flow):
    """One of the gradients that are made of what flows back to a place, before all of that has been added up."""
    into = {}
    for edges in flow.edges:
        node, k = edges[-1]
        into.setdefault(node.parents[k].key, []).append(edges)
    for edges in flow.edges:
        node, k = edges[-1]
        uses, steps = into.get(node.key, []), {n: (n.parents[i], n.slope(i)) for n, i in edges}
        for used in uses if len(uses) > 1 < len(node.parents) else ():
            arg, through = words(edges)
            less = {(u, j): steps[u.parents[j]] for u, j in used if u.parents[j] in steps}
            said = f"the gradient of {arg} through {through} is computed before the gradient from {words(used)[1]} has been added"
            yield said, {(u, j): (parent, -u.slope(j) @ slope) for (u, j), (parent, slope) in less.items()}


def swapped(flow):
    """The two factors of a product, or two parts of one array, each with the gradient of the other."""
    parts = {}
    for edges in (*flow.edges, *flow.helped):
        node, k = edges[-1]
        if node.own == "multiply" and k == 0 and len(node.parents) == 2 and np.shape(node.arrays[0]) == np.shape(node.arrays[1]):
            said = f"the gradients of `{shown(argument(node, 0))}` and `{shown(argument(node, 1))}` in {words(edges)[1]} are exchanged"
            yield said, {(n, i): n.slope(1 - i) for n, _ in edges for i in n.parents if len(n.parents) == 2}
        if node.own == "part" or "split" in node.own:
            parts.setdefault((shown(argument(node, k)), len(edges), node.value.shape), []).append(edges)
    for (whole, *_), found in parts.items():
        for one, two in itertools.combinations(found, 2):
            if all(n.parents[i] is m.parents[j] and n.value.shape == m.value.shape for (n, i), (m, j) in zip(one, two)):
                said = f"the gradients of {piece(one[-1][0])} and {piece(two[-1][0])} are exchanged in that of `{whole}`"
                slopes = {(n, i): m.slope(j) for (n, i), (m, j) in zip(one, two)}
                yield said, slopes | {(m, j): n.slope(i) for (n, i), (m, j) in zip(one, two)}


def delivered(one, two):
    """The gradient that flows back through one place, made of what flows back to another, as of the delta of another gate."""
    (arg, through), (_, other) = words(one), words(two)
    pairs = [(n, n.parents[i], m, m.parents[j]) for (n, i), (m, j) in zip(one, two)]
    if len(one) == len(two) and all(a is b and n.value.shape == m.value.shape for n, a, m, b in pairs):
        said = f"the gradient of {arg} through {through} uses what flows back to {other}"
        yield said, dict.fromkeys(one, 0.0) | {(m, j): m.slope(j) + n.slope(i) for (n, i), (m, j) in zip(one, two)}


def exchanged(one, two):
    """Two products, each with the matrix of the other."""
    (node, k), (other, j) = one[-1], two[-1]
    if not (node.own == other.own and node.own in PRODUCTS and k == j and len(one) == len(two)):
        return
    if np.shape(node.arrays[1 - k]) == np.shape(other.arrays[1 - j]) and not same(node.arrays[1 - k], other.arrays[1 - j]):
        (arg, through), (_, beside) = words(one), words(two)
        swapped = {(n, k): n.slope(k, 1 - k, m.arrays[1 - k]) for (n, _), (m, _) in zip(one, two)}
        swapped |= {(m, j): m.slope(j, 1 - j, n.arrays[1 - j]) for (n, _), (m, _) in zip(one, two)}
        yield f"the gradients of {arg} through {through} and {beside} use each other's matrix", swapped


def lacking(flow):
    """The derivative of an activation that is there in all gradients but one."""
    for pairs in flow.regions:
        inside = [_summed(head) for _, head in pairs]
        slopes = [np.ravel(slope_at(node, head, head.value)) for node, head in pairs]
        if not all(np.all(np.abs(slope) > FLAT) for slope in slopes) or all(np.ptp(slope) < FLAT for slope in slopes):
            continue  # where it is 0, it has left nothing; a constant is a factor, which has sentences of its own
        for edges in flow.edges:
            terms = len(edges) == len(pairs) and all(n in some for (n, _), some in zip(edges, inside))
            if terms and not any(n.parents[k] in some for (n, k), some in zip(edges, inside)):
                arg, through = words(edges)
                said = f"the gradient of {arg} through {through} lacks the derivative of `{shown(pairs[-1][0].text)}`"
                yield said, {(n, i): n.slope(i) / slope[:, None] for (n, i), slope in zip(edges, slopes)}
    for edges in flow.edges:
        users = [flow.users.get(n, []) for n, _ in edges]
        alone = all(
            len(u) == 1 and u[0].own == "multiply" and u[0].value.shape == n.value.shape for u, (n, _) in zip(users, edges)
        )
        if edges[-1][0].own in PRODUCTS and alone:
            others = [
                next((a for i, a in enumerate(u.arrays) if u.parents.get(i) is not n), n.value)
                for (n, _), (u,) in zip(edges, users)
            ]
            factors = [np.ravel(np.broadcast_to(a, n.value.shape)) for a, (n, _) in zip(others, edges)]
            if all(np.all(np.abs(factor) > FLAT) for factor in factors):
                arg, through = words(edges)
                said = f"the gradient of {arg} through {through} lacks the other factor of {place(users[-1][0])}"
                yield said, {(n, i): n.slope(i) / factor[:, None] for (n, i), factor in zip(edges, factors)}


def _summed(head):
    """The head and the terms of which it is the sum."""
    found = [head]
    for node in found:
        found += [p for p in node.parents.values() if node.own == "add" and np.shape(p.value) == np.shape(head.value)]
    return found
