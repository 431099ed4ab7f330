"""Mistakes in single operations of a cell of any kind, each as what it makes of the gradients that flow through them."""

import itertools

import numpy as np
from cellcheck.cells.activations import d_sigmoid, d_tanh
from cellcheck.properties.reports.diagnosis.choices import decided, of_softmax, unmasked
from cellcheck.properties.reports.diagnosis.contributions import PRODUCTS, lacking, misapplied, premature, together
from cellcheck.properties.reports.diagnosis.flow import diagonal, redone, slope_at
from cellcheck.properties.reports.diagnosis.grown import figure, same
from cellcheck.properties.reports.diagnosis.places import argument, called, inside, line, place, shown, words
from cellcheck.properties.reports.diagnosis.steps import assigned, left_out, overwritten, stale, uncarried
from cellcheck.properties.writing.text import several

JOINING = ("stack", "concatenate", "hstack", "vstack", "column_stack", "row_stack")


def mistakes(flow):
    """(sentence, edits) of everything that is tried."""
    passes = 0
    if flow.carried:
        passes = -min(node.run for node, _ in flow.carried)  # of the loop, in which the first may hand nothing on
        by_chunks = flow.g.cell.spec.sequence and passes < len(flow.g.p.x) - 1
        where = "one pass of a loop to the pass before" if by_chunks else "step t + 1 to step t"
        yield f"the gradient does not flow from {where}", dict.fromkeys(flow.carried, 0.0)
        yield from stale(flow, passes)
    yield from halved(flow)
    # what is cut off on purpose comes first: the same follows from a cut at its neighbours
    ordered = sorted(flow.edges, key=lambda edges: edges[-1][0].own not in ("detach", "detach_", "stop_gradient"))
    inner = [edges for edges in ordered if edges[-1][0].inner]
    for edges in (*(edges for edges in ordered if edges not in inner), None, *inner, *flow.helped):
        if edges is None:
            yield from whole(flow)
            continue
        node = edges[-1][0]
        arg, through = words(edges)
        yield f"no gradient flows back to {arg} through {through}", dict.fromkeys(edges, 0.0)
        yield f"the gradient that flows back to {arg} through {through} has the wrong sign", dict.fromkeys(edges, -1.0)
        yield f"the gradient that flows back to {arg} through {through} is counted twice", dict.fromkeys(edges, 2.0)
        if 0 < len(kept := [edge for edge in edges if edge not in flow.carried]) < len(edges):
            said = f"no gradient flows back to {arg} through {through} from one step to the one before"
            yield said, {edge: 0.0 for edge in edges if edge not in kept}
        if node.own in ("part", "roll", "flip", "flipud", "fliplr") and all(_reordered(n.slope(i)) for n, i in edges):
            yield (
                f"the gradient that flows back to {arg} through {through} is not put back in order",
                {(n, i): np.eye(n.value.size) for n, i in edges},
            )
        if node.own == "cumsum":
            said = f"the gradient that flows back to {arg} through {through} is a cumulative sum from the first entry to the last; it must run from the last to the first"
            yield said, {(n, i): n.slope(i).T for n, i in edges}
        if node.own == "put" and edges[-1][1] == 0:
            yield (
                f"where {through} overwrites {arg}, the gradient of what was there before is not 0",
                {(n, i): np.eye(n.value.size) for n, i in edges},
            )
        if node.own == "part" and any((np.count_nonzero(n.slope(i), axis=0) > 1).any() for n, i in edges):
            told = f"where {through} repeats an index, the gradient of {arg} keeps only the last contribution"
            shared = [other for some in flow.edges for other in some if _alike(other, edges)]
            for kept in [edges, shared] if len(shared) > len(edges) else [edges]:  # in several places of the source
                found = {(n, i): _of_the_last(n.slope(i)) for n, i in kept}
                yield f"{told}: `+=` does not accumulate there, np.add.at does", found
        if node.own == "part" and len(edges) > 1 and len({id(n.parents[i]) for n, i in edges}) == 1:
            yield from overwritten(flow, edges)
        for m, which in flow.turns(edges):
            yield f"no gradient flows back to {arg} through {through} in {which}", dict.fromkeys(m, 0.0)
    yield from uncarried(flow)
    yield from assigned(flow)
    yield from cuts(flow)
    yield from left_out(flow, passes)
    places = {}
    for pairs in flow.regions:
        yield from derivatives(flow, pairs)
        if called(pairs[-1][0].text):
            places.setdefault(called(pairs[-1][0].text), []).append(pairs)
    for edges in (*flow.edges, *flow.helped):
        yield from substitutions(flow, edges)
    for function, found in places.items():  # such as the sigmoid of several gates
        if len(found) > 1:
            name = f"the derivative of `{function}`, in {'both' if len(found) == 2 else f'all {len(found)}'} places,"
            yield from derivatives(flow, list(itertools.chain(*found)), name)
    for pairs in flow.regions:
        yield from derivatives(flow, pairs, others=True)
    yield from of_softmax(flow)
    yield from everywhere(flow)
    yield from recomputed(flow)
    yield from factors(flow)
    yield from lacking(flow)
    yield from together(flow)
    yield from misapplied(flow)
    yield from premature(flow)
    yield from decided(flow)
    yield from renewed(flow)
    yield from unmasked(flow)


def _alike(edge, edges):
    """Whether it takes the same entries of the same array as one of these."""
    (node, k), slope = edge, edge[0].slope(edge[1])
    return node.own == "part" and any(node.parents[k] is n.parents[i] and np.array_equal(slope, n.slope(i)) for n, i in edges)


def whole(flow):
    """All that flows back to what a function of the cell returns, such as a gate."""
    ends = {}
    for nodes in flow.calls:
        if nodes[-1].inner and nodes[-1].text and not flow.inner(nodes[-1]):
            ends.setdefault(nodes[-1].key, []).append(nodes[-1])
    for found in ends.values():
        name = f"the gradient of {place(found[-1])}"
        yield f"{name} has the wrong sign", dict.fromkeys(found, -1.0)
        yield f"{name} is counted twice", dict.fromkeys(found, 2.0)


def halved(flow):
    """Of an array that an operation takes twice, as in the outer product of h and h, the gradient of one of the two; and that of a square."""
    found = {}
    for node in flow.order:
        for k, parent in node.parents.items():
            twice = [j for j, other in node.parents.items() if parent is other]
            if node.text and len(twice) > 1 and len({argument(node, j) for j in twice}) == 1:
                found.setdefault((node.key, k), []).append((node, k))
    for edges in found.values():
        arg, through = words(edges)
        yield f"one of the two {arg} in {through} gets no gradient", dict.fromkeys(edges, 0.0)
        if edges[-1][1] == 0 and edges[-1][0].own == "multiply":
            arrays = [np.asarray(n.arrays[0]) for n, _ in edges]
            others = [(f"lacks the factor {arg}", [np.ones_like(a) for a in arrays])]
            others += [
                (f"uses {text} where {arg} belongs", values)
                for text, values in flow.like(arrays, argument(*edges[-1]), flow.times(edges))
            ]
            for said, values in others:
                slopes = {(n, k): n.slope(k, 1 - k, v) for (n, _), v in zip(edges, values) for k in (0, 1)}
                yield f"the gradient of {arg} in {through} {said}", slopes


def cuts(flow):
    """The gradient of a part of an array that is put together, cut out of the whole in another place."""
    joined = {}
    for edges in flow.edges:
        node, k = edges[-1]
        if node.own in JOINING[1:] or (node.own == "put" and k):
            arg, through = words(edges)
            places = [_place(n, i) for n, i in edges]
            axis, start, many = places[-1]
            joined.setdefault((node.key[0], len(edges)), []).append((start, many, edges))
            last = node.value.shape[axis] - many
            for there in {0, start - 1, start + 1, last} - {start} if len(set(places)) == 1 and last else ():
                if 0 <= there <= last:
                    said = f"the gradient of {arg} is cut from that of {through} at {there} to {there + many - 1}"
                    yield f"{said}, where {start} to {start + many - 1} belong", _cut(edges, axis, there - start)
    for pair in (sorted(pair, key=lambda one: one[0]) for pair in joined.values() if len(pair) == 2):
        (start, many, edges), (behind, more, others) = pair
        said = (
            f"the gradients of {words(edges)[0]} and {words(others)[0]} are cut from that of {words(edges)[1]} in reverse order"
        )
        if many != more and start + many == behind:
            axis = _place(*edges[-1])[0]
            yield said, _cut(edges, axis, more) | _cut(others, axis, start - behind)


def _place(node, k):
    """(axis, start, length): where array k is in the value."""
    here, there = node.value.shape, np.shape(node.arrays[k])
    axis = next((i for i, pair in enumerate(zip(here, there)) if len(here) == len(there) and pair[0] != pair[1]), len(here) - 1)
    filled = np.any(node.slope(k), axis=1).reshape(here)
    at = np.flatnonzero(filled.any(axis=tuple(i for i in range(len(here)) if i != axis)))
    return (axis, int(at[0]), int(at[-1] - at[0]) + 1) if at.size else (axis, 0, here[axis])


def _cut(edges, axis, shift):
    """The slopes of what is so many places further on."""

    def moved(slope, shape):
        return np.roll(slope.reshape(*shape, -1), shift, axis).reshape(slope.shape)

    return {(n, k): moved(n.slope(k), n.value.shape) for n, k in edges}


def _reordered(slope):
    """Whether it takes all entries, each once, in another order."""
    square = slope.shape[0] == slope.shape[1]
    once = square and set(np.unique(slope)) == {0.0, 1.0} and (slope.sum(0) == 1).all() and (slope.sum(1) == 1).all()
    return once and not np.diag(slope).all()


def _of_the_last(slope):
    """The slope of a part by the whole; where an entry is taken more than once, that of the last time alone."""
    return slope * (np.cumsum(slope[::-1] != 0, axis=0)[::-1] <= 1)


def substitutions(flow, edges):
    """One tensor in the place of another; in a function of the cell, in all its calls or, call by call, in each of them."""
    node, k = edges[-1]
    arg, through = words(edges)
    where, calls = f"the gradient of {arg} in {through}", {}
    for edge in edges:
        calls.setdefault(edge[0].key[0][1:], []).append(edge)
    if (node.own == "where" or (node.own in ("maximum", "minimum") and len(node.parents) == 2)) and diagonal(node, k):
        said = "is not masked" if node.own == "where" else f"flows where the other is the {node.own}, too"
        yield f"{where} {said}", {(n, i): np.eye(n.value.size) for n, i in edges}
    for j in range(len(node.arrays)):
        whole = list(replaced(flow, edges, j))
        for said, values in whole:
            yield f"{where} {said}", {(n, i): n.slope(i, j, v) for (n, i), v in zip(edges, values)}
        each = [dict(replaced(flow, some, j)) for some in calls.values()] if len(calls) > 1 else [{}]
        known = dict(whole)
        for said in each[0]:
            if said not in known and all(said in some for some in each):
                both = [pair for some, own in zip(calls.values(), each) for pair in zip(some, own[said])]
                yield f"{where} {said}", {(n, i): n.slope(i, j, v) for (n, i), v in both}
    if node.own == "divide" and k == 1:
        said = f"{where} is divided by `{shown(argument(node, 1))}` once, not by its square"
        yield said, {(n, i): n.slope(i) * np.ravel(n.arrays[1]) for n, i in edges}
    for axis in spread(edges):
        for which, at in (("first", 0), ("last", -1)):
            said = f"{where} is that of the {which} of {node.value.shape[axis]} along axis {axis} alone, not summed over all"
            yield said, {(n, i): _kept(n, i, axis, at) for n, i in edges}


def replaced(flow, edges, j):
    """(words, values) of what may stand in the place of the array at position j, in a slope that depends on it."""
    node, k = edges[-1]
    if j == k and any(node is n for pairs in flow.regions for n, _ in pairs):
        return  # its derivative, which is tried apart
    kinds = "fb" if node.own == "multiply" else "f"  # a mask may be a factor
    if not all(len(n.arrays) > j and np.asarray(n.arrays[j]).dtype.kind in kinds for n, _ in edges):
        return
    arrays, right = [np.asarray(n.arrays[j], float) for n, _ in edges], shown(argument(node, j))
    if same(node.slope(k), node.slope(k, j, 1 + arrays[-1] ** 2)):
        return  # it does not depend on this array
    for text, values in flow.like(arrays, argument(node, j), flow.times(edges)):
        yield f"uses {text} where `{right}` belongs", values
    if all(np.all((a > 0) & (a < 1)) for a in arrays):
        yield f"uses `1 - {right}` where `{right}` belongs", [1 - a for a in arrays]
    yield _without(node, k, j, right), [np.ones_like(a) for a in arrays]
    yield from lessened(edges, j)
    yield from joined(flow, edges, j)
    if node.own in PRODUCTS:
        yield from turned(arrays, right)


def _without(node, k, j, name):
    """What a slope is said to be where 1 stands for an array, by the power of it that the slope has."""
    with np.errstate(all="ignore"):
        rise = node.slope(k, j, 2 * np.asarray(node.arrays[j])) / node.slope(k)
    rise = rise[np.isfinite(rise)]
    powers = {2.0: "the factor", 4.0: "the square of", 0.5: "", 0.25: "the square of ", 2.0**-0.5: "the root of "}
    power = next((p for p in powers if rise.size and np.allclose(rise, p, 1e-9)), None)
    if power is None:
        return f"is taken with 1 where `{name}` belongs"
    return f"lacks {powers[power]} `{name}`" if power > 1 else f"is not divided by {powers[power]}`{name}`"


def spread(edges):
    """The axes, but the first, along which an array is repeated to fit the others."""
    node, k = edges[-1]
    there, here = node.value.shape, np.shape(node.arrays[k])
    whole = (1,) * (len(there) - len(here)) + here
    entrywise = node.own in ("add", "subtract", "multiply", "divide", "maximum", "minimum") and len(there) > 2
    entrywise = entrywise and len({(n.value.shape, np.shape(n.arrays[i])) for n, i in edges}) == 1
    return [axis for axis in range(1, len(there)) if entrywise and there[axis] > 1 == whole[axis]]


def _kept(node, k, axis, at):
    """The slope where the entries at one place of an axis alone hand back a gradient."""
    kept = np.zeros(node.value.shape)
    kept[(slice(None),) * axis + (at,)] = 1.0
    return node.slope(k) * np.ravel(kept)[:, None]


def lessened(edges, j):
    """(words, values): a sum, or a part of one, without one of its terms."""
    found = {}
    for node, _ in edges:
        for text, value in terms(node.parents.get(j)):
            found.setdefault(text, []).append(value)
    for text, values in found.items():
        if len(values) == len(edges):
            yield f"lacks `{shown(text)}` in `{shown(argument(edges[-1][0], j))}`", values


def terms(node):
    """(text of a term, the sum without it) of what is computed as a sum and perhaps cut."""
    if node is not None and node.own in ("add", "subtract"):
        for k in range(len(node.arrays)):
            rest = [np.zeros_like(b) if i == k else b for i, b in enumerate(node.arrays)]
            yield argument(node, k), np.broadcast_to(node.call(*rest), np.shape(node.value))
            term = node.parents.get(k)
            for m in range(len(term.arrays) if term is not None and term.own == "multiply" else 0):
                other = [np.ones_like(b) if i == m else b for i, b in enumerate(term.arrays)]
                rest[k] = np.broadcast_to(term.call(*other), np.shape(term.value))
                yield argument(term, m), np.broadcast_to(node.call(*rest), np.shape(node.value))
    elif node is not None and (node.own in ("part", ".reshape") or node.own.startswith("split")) and 0 in node.parents:
        yield from ((text, node.call(value, *node.arrays[1:])) for text, value in terms(node.parents[0]))


def joined(flow, edges, j):
    """(words, values): another part in what is put together of several arrays, as [h, x] is."""
    whole = [node.parents.get(j) for node, _ in edges]
    if None in whole or not all(node.own in ("concatenate", "hstack", "vstack") for node in whole):
        return
    for i in range(len(whole[0].arrays)):
        text = argument(whole[-1], i)
        for other, values in flow.like([node.arrays[i] for node in whole], text):
            parts = [[v if n == i else a for n, a in enumerate(node.arrays)] for node, v in zip(whole, values)]
            yield f"uses {other} where `{shown(text)}` belongs", [node.call(*some) for node, some in zip(whole, parts)]


def turned(arrays, name):
    """(words, values): a matrix, or the square part of it that belongs to h, without its transpose; a state that is a matrix, too."""
    if arrays[0].ndim == 3 and len({a.shape for a in arrays}) == 1 and arrays[0].shape[1] == arrays[0].shape[2]:
        yield f"uses the transpose of `{name}`", [a.swapaxes(1, 2) for a in arrays]
    alike = arrays[0].ndim == 2 and len({a.shape for a in arrays}) == 1
    short, long = sorted(arrays[0].shape) if alike else (0, 0)
    for start in {0, long - short} if short > 1 else ():
        part = slice(start, start + short)
        where, found = (part, slice(None)) if arrays[0].shape[0] == long else (slice(None), part), [a.copy() for a in arrays]
        for a in found:
            a[where] = a[where].T.copy()
        words = f"`{name}`" if short == long else f"the square part of `{name}`"
        yield f"multiplies {words} without transposing it", found


def derivatives(flow, pairs, name=None, others=False):
    """Another derivative of an activation: by a formula, or, with `others`, another tensor or the derivative there.

    name: of what is wrong, by default the activation where it is computed.
    """
    node, head = pairs[-1]
    ys, zs = [n.value for n, _ in pairs], [h.value for _, h in pairs]
    right = [slope_at(n, h, z) for (n, h), z in zip(pairs, zs)]
    if all(np.ptp(slope) <= 1e-12 for slope in right) or (
        node.own == "multiply" and any(np.asarray(a).dtype == bool for a in node.arrays)
    ):
        return  # linear, or a mask
    inner = name is None and flow.inner(node)
    text, where = (inside(node), f" (line {node.frames[0].line}) in {place(node)}") if inner else (node.text, line(node))
    k = next((k for k, parent in node.parents.items() if parent is head), None)
    of = argument(node, k) if inner and k is not None else inside(head) if inner else head.text
    by = "" if called(text) or not of else f" by `{shown(of)}`"
    name = name or f"the derivative of `{shown(text)}`{by}{where}"
    tried = [("is missing", [np.ones_like(z) for z in zs]), ("is applied twice", [s * s for s in right])]
    tried.append(("is taken as 1 minus what it is", [1 - s for s in right]))
    if all(np.all(s < 0) for s in right):
        tried.append(("is missing, but for its sign", [-np.ones_like(z) for z in zs]))
    ends = {float(f"{s:.9g}") for slope in right for s in np.ravel(slope)}
    if len(ends) == 2 and 0.0 in ends:  # a function that is clipped
        steep, y, flat = max(ends, key=abs), np.concatenate(list(map(np.ravel, ys))), np.concatenate(list(map(np.ravel, right)))
        low, high = np.max(y[flat == 0]) < np.min(y[flat != 0]), np.min(y[flat == 0]) > np.max(y[flat != 0])
        which = "its lower end" if low else "its upper end" if high else "its ends"
        tried *= head in node.parents.values()  # in one operation, as of relu
        tried += [(f"is taken as {figure(steep)} everywhere, not 0 beyond {which}", [0 * z + steep for z in zs])]
    tried.append(("is taken at its output", [slope_at(n, h, y) for (n, h), y in zip(pairs, ys)]))
    before = [next(iter(n.parents.values())) if len(n.parents) == 1 else h for n, h in pairs]
    if all(parent is not h for parent, (_, h) in zip(before, pairs)):
        rest = [slope_at(parent, h, h.value) for parent, (_, h) in zip(before, pairs)]
        tried += [("lacks that of its outer function", rest)] * (not multiple(rest, right))
    formulas = {
        "1 - y^2, with its output y": lambda y, z: 1 - y * y,
        "1 - y, with its output y": lambda y, z: 1 - y,
        "y (1 - y), with its output y": lambda y, z: y * (1 - y),
        "1 - z^2, with its argument z": lambda y, z: 1 - z * z,
        "z (1 - z), with its argument z": lambda y, z: z * (1 - z),
        "that of tanh": lambda y, z: d_tanh(z),
        "that of a sigmoid": lambda y, z: d_sigmoid(z),
        "its output y": lambda y, z: y,
        "its argument z": lambda y, z: z,
        "y / z, its output by its argument": lambda y, z: y / z,
        "1 where z > 0, else 0": lambda y, z: 1.0 * (z > 0),
        "1 where z > 0, else its output": lambda y, z: np.where(z > 0, 1, y),
    }
    for formula, f in formulas.items():
        slopes = [f(y, z) for y, z in zip(ys, zs)]
        if multiple(slopes, right):
            continue  # a factor, which has a sentence of its own
        whole = all(np.allclose(s[r != 0], r[r != 0], 1e-9, 1e-12) for s, r in zip(map(np.asarray, slopes), right))
        cut = "is not 0 where its argument is cut off" if 0.0 in ends and whole else f"is taken as {formula}"
        tried.append((cut, slopes))
    tried = [] if others else tried
    for other, values in flow.like(ys, text) if others else ():
        tried.append((f"is taken as 1 - y^2 with {other} as y, not its output", [1 - v * v for v in values]))
        tried.append((f"is taken as y (1 - y) with {other} as y, not its output", [v * (1 - v) for v in values]))
    for other, values in flow.like(zs, head.text) if others else ():
        tried.append((f"is taken at {other} instead of its argument", [slope_at(n, h, v) for (n, h), v in zip(pairs, values)]))
        tried.append((f"is replaced by {other}", values))
        if ends == {0.0, 1.0}:
            tried.append((f"is taken as 1 where {other} > 0, else 0", [1.0 * (v > 0) for v in values]))
    for said, slopes in tried:
        yield f"{name} {said}", {n: (h, slope) for (n, h), slope in zip(pairs, slopes)}


def recomputed(flow):
    """An activation that the backward pass computes again, without one of the terms of its argument."""
    found = {}
    for pairs in flow.regions:
        found.setdefault(tuple(head for _, head in pairs), []).append(pairs)
    for heads, regions in found.items():
        node, _ = regions[0][-1]
        for text, values in altered(flow, heads):
            at, edits = dict(zip(heads, values)), {}
            for n, head in itertools.chain(*regions):
                edits[n], new = (head, slope_at(n, head, at[head])), redone(n, head, at[head])
                for user in flow.users.get(n, ()):
                    own = [k for k, parent in user.parents.items() if parent is n]
                    if flow.head(user) is not head and len(own) == 1:
                        edits |= {(user, k): user.slope(k, own[0], new) for k in user.parents if k != own[0]}
            yield f"the backward pass computes {place(node)} again, {text}", edits


def altered(flow, heads):
    """(words, values): arguments of activations without one of their terms, without a constant that is added to them, or with it twice."""
    found = {}
    for head in heads:
        for text, value in terms(head):
            found.setdefault(f"without `{shown(text)}`", []).append(value)
        for user in flow.users.get(head, ()):
            if user.own == "add" and len(user.parents) == 1 and np.shape(user.value) == np.shape(head.value):
                (k,) = user.parents
                added, text = user.value - head.value, shown(argument(user, 1 - k))
                found.setdefault(f"without `{text}`", []).append(head.value - added)
                found.setdefault(f"with `{text}` twice", []).append(head.value + added)
    yield from ((text, values) for text, values in found.items() if len(values) == len(heads))


def multiple(slopes, right):
    """Whether slopes are a constant other than 1 times the right ones."""
    s, r = (np.concatenate([np.ravel(a) for a in arrays]) for arrays in (slopes, right))
    ratio = s[r != 0] / r[r != 0]
    return bool(ratio.size and np.ptp(ratio) <= 1e-9 * abs(ratio[0]) and abs(ratio[0] - 1) > 1e-9)


def everywhere(flow):
    """One tensor in the place of another in all gradients, such as a cached tensor that was overwritten."""
    uses = {}
    for edges in flow.edges:
        for j in range(len(edges[-1][0].arrays)):
            arrays = [np.asarray(n.arrays[j]) for n, k in edges if k != j and len(n.arrays) > j]
            if len(arrays) == len(edges) and all(a.dtype.kind == "f" and a.ndim for a in arrays):
                key = tuple((a.shape, a.tobytes()) for a in arrays)
                uses.setdefault(key, (arrays, argument(edges[-1][0], j), []))[2].append((edges, j))
    for arrays, text, found in uses.values():
        rest = tuple((a.shape, (1 - a).tobytes()) for a in arrays)  # as of a mask
        *_, beside = uses.get(rest, ((),))
        for other, values in flow.like(arrays, text) if len(found) + len(beside) > 1 else ():
            slopes = {(n, i): n.slope(i, j, v) for edges, j in found for (n, i), v in zip(edges, values)}
            slopes |= {(n, i): n.slope(i, j, 1 - v) for edges, j in beside for (n, i), v in zip(edges, values)}
            yield (said := f"all gradients use {other} where `{shown(text)}` belongs"), slopes
            for made, (edges, j) in uses_of_what_is_made(uses, found, values):
                slopes = slopes | {(n, i): n.slope(i, j, v) for (n, i), v in zip(edges, made)}
                yield said, slopes


def uses_of_what_is_made(uses, found, values):
    """(values, edges and position) of each use of a product of a tensor, or of a part of it, where other values stand for the tensor."""
    for edges, j in found:
        nodes = [n for n, _ in edges]
        if nodes[-1].own in ("multiply", "concatenate", "hstack", "part"):
            made = [n.call(*(v if i == j else a for i, a in enumerate(n.arrays))) for n, v in zip(nodes, values)]
            *_, uses_of_these = uses.get(tuple((n.value.shape, n.value.tobytes()) for n in nodes), ((), "", []))
            yield from ((made, use) for use in uses_of_these)


def renewed(flow):
    """A variable of which the forward pass uses the new value, and the gradient the one before, as where two lines update two states."""
    named = {}
    for edges in flow.edges:
        if (text := argument(*edges[-1])).isidentifier() and all(node.frames for node, _ in edges):
            for node, k in edges:
                named.setdefault((text, node.frames[0].code, node.key[0][1:]), {})[node.parents[k]] = None
    together = {}
    for edges in flow.edges:
        text, new = argument(*edges[-1]), [node.parents[k] for node, k in edges]
        here = [(text, node.frames[0].code, node.key[0][1:]) for node, _ in edges if node.frames]  # in one call of one function
        old = [
            [p for p in named.get(key, ()) if flow.when[p] < flow.when[n] and p.value.shape == n.value.shape]
            for n, key in zip(new, here)
        ]
        if len(here) < len(edges) or not all(old) or not all(n.frames for n in new):
            continue
        before = [max(some, key=flow.when.get) for some in old]
        edits = {}
        for (node, k), p in zip(edges, before):
            edits[node, k] = p, node.slope(k), 0.0
            edits |= {(node, j): node.slope(j, k, p.value) for j in node.parents if j != k}
        said = f"is that of `{text}` as it was before {place(new[-1])}, which the forward pass uses"
        together.setdefault(said, []).append((words(edges)[1], edits))
    for said, found in together.items():
        for through, edits in found:
            yield f"the gradient through {through} {said}", edits
        if len(found) > 1:
            yield (
                f"the gradient through {several(through for through, _ in found)} {said}",
                {k: v for _, edits in found for k, v in edits.items()},
            )


def factors(flow):
    """The derivative of an activation that is not there."""
    runs = {}
    for node in flow.order:
        runs.setdefault(node.key, []).append(node)
    for nodes in runs.values():
        name = f"the gradient of `{shown(nodes[-1].text)}`{line(nodes[-1])}"
        for act, slope in (("tanh", lambda y: 1 - y * y), ("a sigmoid", lambda y: y * (1 - y))):
            if nodes[-1].text and nodes[-1].frames:
                yield f"{name} is multiplied by the derivative of {act}, which is not there", {n: slope(n.value) for n in nodes}
