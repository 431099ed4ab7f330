"""Mistakes in how gradients flow through a cell of any kind: its own operations are differentiated again, with one mistake at a time.

The operations are those that a Tape recorded. A mistake is named by the expressions of the source between which the gradient is wrong.
"""

import ast
import itertools
from contextlib import suppress
from dataclasses import replace
from functools import cached_property, partial

import numpy as np
from cellcheck.cells.activations import d_sigmoid, d_tanh
from cellcheck.properties.reports.diagnosis.grown import CLOSE, close, figure, gap, grown, same
from cellcheck.properties.reports.diagnosis.mistakes import Mistake, matched
from cellcheck.properties.reports.diagnosis.tape import Tape, Untold, along, expression

MOST = 500  # operations of a tape that is looked at
STEPS, NUDGE = 8, 2.0**-20  # of a search for a factor
FLAT = 1e-6  # so small slopes say nothing of what was divided by them


def flow_faults(g, claims, truth, last=False):
    """Sentences about gradients that are wrong in one place of the cell's own source, or [].

    last: what is looked for if nothing else explains them: a mistake inside an activation, or only where that place is.
    """
    if all(same(claims[name], truth[name]) for name in claims):
        return []
    try:
        flow = Flow(g)
        if not all(same(flow.straight[name], truth[name]) for name in claims):
            return []
    except Untold:
        return []
    with np.errstate(all="ignore"):
        if last:
            tried = (Mistake(said, partial(flow.back, edits)) for said, edits in inside_activations(flow))
            return matched(tried, claims, truth, "all gradients") or solved(flow, claims, truth)
        return matched(flow.tried(), claims, truth, "all gradients") or of_one_output(flow)


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
        wrong = not all(same(claims[n], truth[n]) for n in claims)
        if wrong and (told := matched(flow.tried(), claims, truth, f"all gradients for an upstream of {name} alone")):
            return told
    return []


class Flow:
    """The operations of a Grown, and gradients through them."""

    def __init__(self, g):
        """g: a Grown of a cell that is written in NumPy; Untold if it is not."""
        self.g, self.tape, self.constant, self.upstream = g, Tape(g), {}, g.upstream
        self.known_for, self.grads = None, []  # an upstream, and the right gradients for it
        self.known, self.others = [], mistakes(self)  # (sentence, edits) of what has been tried, and the rest
        needed = set(map(id, self.tape.outputs.values()))
        for node in reversed(self.tape.nodes):
            if id(node) in needed:
                needed |= set(map(id, node.parents.values()))
        self.order = [node for node in self.tape.nodes if id(node) in needed]
        if len(self.order) > MOST:
            raise Untold(f"{len(self.order)} operations are too many")
        largest = {(node, k): 0.0 for node in self.order for k in node.parents if node.own.strip(".") in ("max", "amax")}
        # what is subtracted for numerical stability alone: its gradients cancel
        if largest and all(same(a, self.straight[name]) for name, a in self.back(largest).items()):
            self.constant = largest

    def tried(self):
        """All mistakes, each with what it predicts for the present upstream. Their slopes are computed once, when they are needed."""
        for k in itertools.count():
            if k == len(self.known):
                self.known.extend(itertools.islice(self.others, 1))
            if k == len(self.known):
                return
            sentence, edits = self.known[k]
            yield Mistake(sentence, partial(self.back, edits))

    @cached_property
    def straight(self):
        """The right gradients by name."""
        return self.back({})

    def back(self, edits):
        """Gradients by name; edits: (node, position) -> another slope, or a factor of the right one; node -> factor of its gradient,
        or (head, slope of the node by this array).

        The right gradients are known. So only what the edits change of them is carried on.
        """
        edits, right = {**self.constant, **edits}, self.right
        edited = {self.numbers[key[0] if isinstance(key, tuple) else key] for key in edits}
        changes = [None] * len(right)

        def add(number, change):
            changes[number] = change if changes[number] is None else changes[number] + change

        for number in range(max(edited, default=-1), -1, -1):
            change, edges = changes[number], self.slopes[-1 - number]
            if number not in edited:
                for _, slope, parent in edges if change is not None else ():
                    add(parent, change @ slope)
                continue
            node, old = self.order[number], right[number]
            grad, factor = old if change is None else old + change, edits.get(self.order[number], 1.0)
            for _, slope, parent in edges:
                add(parent, -(old @ slope))
            if isinstance(factor, tuple):
                add(self.numbers[factor[0]], grad * np.ravel(factor[1]))
                continue
            if node in edits:
                grad = grad * np.ravel(factor)
            for k, true, parent in edges:
                slope = edits.get((node, k), 1.0)
                add(parent, slope * (grad @ true) if np.ndim(slope) == 0 else grad @ slope)
        found = {}
        for name, leaf in self.tape.leaves.items():
            number = self.numbers.get(leaf)
            whole = np.zeros(leaf.value.size) if number is None else right[number]
            found[name] = (whole if number is None or changes[number] is None else whole + changes[number]).reshape(
                leaf.value.shape
            )
        return found

    @property
    def right(self):
        """The right gradient of each operation, for the present upstream."""
        if self.known_for is not self.upstream:
            grads = [np.zeros(node.value.size) for node in self.order]
            for name, u in zip(self.g.outputs, self.upstream):
                grads[self.numbers[self.tape.outputs[name]]] += np.ravel(u)
            for grad, edges in zip(reversed(grads), self.slopes):
                for _, slope, parent in edges:
                    grads[parent] += grad @ slope
            self.known_for, self.grads = self.upstream, grads
        return self.grads

    @cached_property
    def numbers(self):
        """The position of each operation in `order`."""
        return {node: number for number, node in enumerate(self.order)}

    @cached_property
    def slopes(self):
        """Of each operation, the last first: [(position, right slope, number of the parent)]."""
        return [[(k, node.slope(k), self.numbers[parent]) for k, parent in node.parents.items()] for node in reversed(self.order)]

    @cached_property
    def edges(self):
        """What a position of the source hands back: [(node, position), one for each time that it is run]."""
        found, coarse = {}, {}
        for node in self.order:
            for k, parent in node.parents.items():
                if (
                    node.text and sum(parent is other for other in node.parents.values()) == 1
                ):  # z * z is left to what is said of z
                    found.setdefault((node.key, k), []).append((node, k))
                    coarse.setdefault((node.key[0], k), []).append((node, k))  # of all gates in a loop
        return [*found.values(), *(edges for edges in coarse.values() if edges not in found.values())]

    @cached_property
    def helped(self):
        """The same of a function that the cell calls in several places, all its calls together."""
        found = {}
        for edges in self.edges:
            node, k = edges[-1]
            if len(node.frames) > 1:
                found.setdefault((node.key[0][0], node.own, k), []).append(edges)
        together = [list(dict.fromkeys(itertools.chain(*some))) for some in found.values() if len(some) > 1]
        return [edges for edges in together if len({node.key[0] for node, _ in edges}) > 1]

    def turns(self, edges):
        """(edges, words): those of one step alone, where there are several and the cell may have made an exception of it."""
        calls = {}
        for node, k in edges:
            calls.setdefault(node.key, []).append((node, k))
        n = {len(runs) for runs in calls.values()}
        for m in range(max(n)) if len(n) == 1 and n != {1} and self.g.cell.spec.sequence else ():
            yield [runs[m] for runs in calls.values()], f"step {m} of the steps 0 to {max(n) - 1}"

    @cached_property
    def carried(self):
        """The edges by which a step hands on its gradient to the step before."""
        runs, found = {}, []
        for node in self.order:
            node.run = runs[node.key] = runs.get(node.key, -1) + 1
            found += [(node, k) for k, parent in node.parents.items() if parent.frames and parent.run == node.run - 1]
        return found

    @cached_property
    def tensors(self):
        """(text, its line, values): what the source computes or uses, once for each time that it is run; no two alike."""
        found = {}
        for node in self.order:
            found.setdefault(node.key, (node.text, line(node), []))[2].append(node.value)
        for edges in (*self.edges, *self.helped):
            node, k = edges[-1]
            at = f" in {place(node)}" if node.inner else line(node)
            found[node.key, k, len(edges)] = argument(node, k), at, [np.asarray(n.arrays[j]) for n, j in edges]
        alike = {}
        for text, at, values in found.values():
            key = tuple((np.shape(v), v.tobytes()) for v in values)
            if text and (key not in alike or len(text) < len(alike[key][0])):
                alike[key] = text, at, values
        return list(alike.values())

    def like(self, arrays, text):
        """(text, values) of the tensors that may stand for these arrays, which are called `text`."""
        alike = len(arrays) > 1 and len({a.shape for a in arrays}) == 1  # not so where a mask has chosen entries
        if alike and not all(same(arrays[0], a) for a in arrays):  # a weight is that of every step
            name, n = f"`{shown(text)}`", len(arrays)
            yield f"{name} of the step before", [np.zeros_like(arrays[0]), *arrays[:-1]]
            yield f"{name} of the step before, in the first step that of the last,", [arrays[-1], *arrays[:-1]]
            yield f"{name} of the step after, in the last step its own,", [*arrays[1:], arrays[-1]]
            yield f"{name} of the last step", [arrays[-1]] * n
            yield f"{name} of the first step", [arrays[0]] * n
        if all(a.ndim == 2 and len(a) == self.g.batch for a in arrays) and self.g.batch > 1:
            yield f"row 0 of `{shown(text)}`, for all rows,", [np.broadcast_to(a[:1], a.shape) for a in arrays]
        for other, at, values in self.tensors:
            for words, here, beside in (("before", values[1:], values[:-1]), ("after", values[:-1], values[1:])):
                fits = len(here) == len(arrays) > 1 and all(v.shape == a.shape for v, a in zip(beside, arrays))
                if fits and all(map(same, here, arrays)):  # a first or last step has no such edge
                    yield f"`{shown(text)}` of the step {words}", beside
            if len(values) != len(arrays) or any(v.shape != a.shape for v, a in zip(values, arrays)):
                continue
            if all(same(v, a) for v, a in zip(values, arrays)):
                continue
            for words, one, two in (("before", values[1:], arrays[:-1]), ("after", values[:-1], arrays[1:])):
                if len(arrays) > 1 and all(same(v, a) for v, a in zip(one, two)):
                    yield f"`{shown(text)}` of the step {words}", values
                    break
            else:
                alike = shown(other) == shown(text)  # as self.R and R are
                yield f"`{other if alike and other != text else shown(other)}`{at * alike}", values

    @cached_property
    def regions(self):
        """[(node, head)]: activations, each a function of `head` entry by entry, by position in the source."""
        found = {}
        for node in self.order:
            head = self._head(node)
            if (
                node.text
                and head is not node
                and any(self._head(user) is not head for user in self.users.get(node, [self.order[0]]))
            ):
                found.setdefault(node.key, []).append((node, head))
        return list(found.values())

    @cached_property
    def users(self):
        """The operations that use each one."""
        found = {}
        for node in self.order:
            for parent in node.parents.values():
                found.setdefault(parent, []).append(node)
        return found

    @cached_property
    def calls(self):
        """[operations] of each call of a function of the cell."""
        return [list(nodes) for _, nodes in itertools.groupby(self.order, key=lambda node: node.frames[1:])]

    def inner(self, node):
        """Whether the text of the call in which it is computed does not tell it: it is not the one result of that call."""
        nodes = next(nodes for nodes in self.calls if node in nodes)
        ends = [n for n in nodes if any(user not in nodes for user in self.users.get(n, [None]))]
        return node.inner and ends != [node]

    @cached_property
    def within(self):
        """The same of functions inside an activation, as exp(a) in cos(exp(a)): operations, and calls of the cell's own functions."""
        found, known = {}, {node for pairs in self.regions for node, _ in pairs}
        for nodes in self.calls:
            given = {p for node in nodes for p in node.parents.values() if p not in nodes}
            if nodes[-1].inner and nodes[-1] not in known and len(given) == 1 and self._head(nodes[-1]) is self._head(*given):
                found.setdefault((nodes[-1].key, ""), []).append((nodes[-1], *given))
        for node in self.order:
            inside = node not in known and len(node.parents) == 1 and _diagonal(node, *node.parents)
            for head in dict.fromkeys((self._head(node), *node.parents.values())) if inside else ():
                found.setdefault((node.key, head.key), []).append((node, head))
        return list(found.values())

    def _head(self, node):
        """The array of which the node is a function entry by entry; the node itself if there is not just one."""
        if not hasattr(node, "head"):
            heads = {id(head): head for head in map(self._head, node.parents.values())}
            entrywise = len(heads) == 1 and all(_diagonal(node, k) for k in node.parents)
            node.head = next(iter(heads.values())) if entrywise else node
        return node.head


def _diagonal(node, k):
    slope = node.slope(k)
    square = np.shape(node.arrays[k]) == np.shape(node.value)
    return square and slope.shape[0] > 1 and not np.any(slope - np.diag(np.diag(slope)))


def redone(node, head, value):
    """The node as a function of its head, at another value."""
    if node is head:
        return value
    parents = {k: redone(parent, head, value) for k, parent in node.parents.items()}
    return node.call(*(parents.get(k, a) for k, a in enumerate(node.arrays)))


def slope_at(node, head, value):
    """The derivative of the node by its head at some value of the head, entry by entry."""
    return along(lambda a: redone(node, head, a), value, np.ones(np.shape(value)))


def mistakes(flow):
    """(sentence, edits) of everything that is tried."""
    if flow.carried:
        yield "the gradient does not flow from step t + 1 to step t", dict.fromkeys(flow.carried, 0.0)
    for edges in (*flow.edges, *flow.helped):
        node = edges[-1][0]
        arg, through = words(edges)
        yield f"no gradient flows back to {arg} through {through}", dict.fromkeys(edges, 0.0)
        yield f"the gradient that flows back to {arg} through {through} has the wrong sign", dict.fromkeys(edges, -1.0)
        yield f"the gradient that flows back to {arg} through {through} is counted twice", dict.fromkeys(edges, 2.0)
        if 0 < len(kept := [edge for edge in edges if edge not in flow.carried]) < len(edges):
            said = f"no gradient flows back to {arg} through {through} from one step to the one before"
            yield said, {edge: 0.0 for edge in edges if edge not in kept}
        if all(_reordered(n.slope(i)) for n, i in edges):
            yield (
                f"the gradient that flows back to {arg} through {through} is not put back in order",
                {(n, i): np.eye(n.value.size) for n, i in edges},
            )
        if node.own == "put" and edges[-1][1] == 0:
            yield (
                f"where {through} overwrites {arg}, the gradient of what was there before is not 0",
                {(n, i): np.eye(n.value.size) for n, i in edges},
            )
        if node.own == "part" and any((np.count_nonzero(n.slope(i), axis=0) > 1).any() for n, i in edges):
            told = f"where {through} repeats an index, the gradient of {arg} keeps only the last contribution"
            yield f"{told}: `+=` does not accumulate there, np.add.at does", {(n, i): _of_the_last(n.slope(i)) for n, i in edges}
        for m, which in flow.turns(edges):
            yield f"no gradient flows back to {arg} through {through} in {which}", dict.fromkeys(m, 0.0)
        if len(edges) > 1 and edges not in flow.helped and len({id(n.parents[i]) for n, i in edges}) == 1:
            for which, kept in (("first", 0), ("last", -1)):
                said = f"the gradient of {arg} is that of the {which} of {len(edges)} steps alone: it is assigned, not added up"
                yield said, {edge: 0.0 for edge in edges if edge != edges[kept]}
    for edges in (*flow.edges, *flow.helped):
        yield from substitutions(flow, edges)
    places = {}
    for pairs in flow.regions:
        yield from derivatives(flow, pairs)
        if called(pairs[-1][0].text):
            places.setdefault(called(pairs[-1][0].text), []).append(pairs)
    for function, found in places.items():  # such as the sigmoid of several gates
        if len(found) > 1:
            name = f"the derivative of `{function}`, in {'both' if len(found) == 2 else f'all {len(found)}'} places,"
            yield from derivatives(flow, list(itertools.chain(*found)), name)
    for pairs in flow.regions:
        yield from derivatives(flow, pairs, others=True)
    yield from everywhere(flow)
    yield from factors(flow)
    yield from lacking(flow)
    yield from together(flow)


def _reordered(slope):
    """Whether it takes all entries, each once, in another order, but does not transpose."""
    square = slope.shape[0] == slope.shape[1]
    once = square and set(np.unique(slope)) == {0.0, 1.0} and (slope.sum(0) == 1).all() and (slope.sum(1) == 1).all()
    return once and not np.diag(slope).all()


def _of_the_last(slope):
    """The slope of a part by the whole; where an entry is taken more than once, that of the last time alone."""
    return slope * (np.cumsum(slope[::-1] != 0, axis=0)[::-1] <= 1)


def substitutions(flow, edges):
    """One tensor in the place of another."""
    node, k = edges[-1]
    arg, through = words(edges)
    where, activation = f"the gradient of {arg} in {through}", any(node is n for pairs in flow.regions for n, _ in pairs)
    for j in range(len(node.arrays)):
        if j == k and activation:
            continue  # its derivative, which is tried apart
        if not all(len(n.arrays) > j and np.asarray(n.arrays[j]).dtype.kind == "f" for n, _ in edges):
            continue
        arrays, right = [np.asarray(n.arrays[j]) for n, _ in edges], shown(argument(node, j))
        if same(node.slope(k), node.slope(k, j, 1 + arrays[-1] ** 2)):
            continue  # it does not depend on this array
        tried = [(f"uses {text} where `{right}` belongs", values) for text, values in flow.like(arrays, argument(node, j))]
        tried += [
            (f"lacks the factor `{right}`", [np.ones_like(a) for a in arrays]),
            *lessened(edges, j),
            *joined(flow, edges, j),
            *(turned(arrays, right) if node.own in ("matmul", "dot", ".dot", "einsum") else ()),
        ]
        for said, values in tried:
            yield f"{where} {said}", {(n, i): n.slope(i, j, v) for (n, i), v in zip(edges, values)}
    if node.own == "where" and _diagonal(node, k):
        yield f"{where} is not masked", {(n, i): np.eye(n.value.size) for n, i in edges}


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
    elif node is not None and node.own in ("part", "split", ".reshape") and 0 in node.parents:
        yield from ((text, node.call(value, *node.arrays[1:])) for text, value in terms(node.parents[0]))


def joined(flow, edges, j):
    """(words, values): another part in what is put together of several arrays, as [h, x] is."""
    whole = [node.parents.get(j) for node, _ in edges]
    if None in whole or not all(node.own in ("concatenate", "hstack", "vstack") for node in whole):
        return
    for i in range(len(whole[0].arrays)):
        text = argument(whole[-1], i)
        for words, values in flow.like([node.arrays[i] for node in whole], text):
            parts = [[v if n == i else a for n, a in enumerate(node.arrays)] for node, v in zip(whole, values)]
            yield f"uses {words} where `{shown(text)}` belongs", [node.call(*some) for node, some in zip(whole, parts)]


def turned(arrays, name):
    """(words, values): a matrix, or the square part of it that belongs to h, without its transpose."""
    alike = arrays[0].ndim == 2 and len({a.shape for a in arrays}) == 1
    short, long = sorted(arrays[0].shape) if alike else (0, 0)
    for start in {0, long - short} if short > 1 else ():
        part = slice(start, start + short)
        where, found = (part, slice(None)) if arrays[0].shape[0] == long else (slice(None), part), [a.copy() for a in arrays]
        for a in found:
            a[where] = a[where].T.copy()
        words = f"`{name}`" if short == long else f"the square part of `{name}`"
        yield f"multiplies {words} without transposing it", found


def called(text):
    """The name of the function that is called, or None for any other expression."""
    name, bracket, _ = text.partition("(")
    return name if bracket and name.replace(".", "").isidentifier() else None


def derivatives(flow, pairs, name=None, others=False):
    """Another derivative of an activation: by a formula, or, with `others`, another tensor or the derivative there.

    name: of what is wrong, by default the activation where it is computed.
    """
    node, head = pairs[-1]
    ys, zs = [n.value for n, _ in pairs], [h.value for _, h in pairs]
    right = [slope_at(n, h, z) for (n, h), z in zip(pairs, zs)]
    if all(np.ptp(slope) <= 1e-12 for slope in right):
        return  # linear
    inner = name is None and flow.inner(node)
    text, where = (inside(node), f" (line {node.frames[0].line}) in {place(node)}") if inner else (node.text, line(node))
    k = next((k for k, parent in node.parents.items() if parent is head), None)
    of = argument(node, k) if inner and k is not None else inside(head) if inner else head.text
    by = "" if called(text) or not of else f" by `{shown(of)}`"
    name = name or f"the derivative of `{shown(text)}`{by}{where}"
    tried = [("is missing", [np.ones_like(z) for z in zs]), ("is applied twice", [s * s for s in right])]
    ends = {float(f"{s:.9g}") for slope in right for s in np.ravel(slope)}
    if len(ends) == 2 and 0.0 in ends:  # a function that is clipped
        steep, y, flat = max(ends, key=abs), *(np.concatenate(list(map(np.ravel, some))) for some in (ys, right))
        low, high = np.max(y[flat == 0]) < np.min(y[flat != 0]), np.min(y[flat == 0]) > np.max(y[flat != 0])
        which = "its lower end" if low else "its upper end" if high else "its ends"
        tried *= head in node.parents.values()  # in one operation, as of relu
        tried += [(f"is taken as {figure(steep)} everywhere, not 0 beyond {which}", [0 * z + steep for z in zs])]
    tried.append(("is taken at its output", [slope_at(n, h, y) for (n, h), y in zip(pairs, ys)]))
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
    for words, f in formulas.items():
        slopes = [f(y, z) for y, z in zip(ys, zs)]
        whole = all(np.allclose(s[r != 0], r[r != 0], 1e-9, 1e-12) for s, r in zip(map(np.asarray, slopes), right))
        cut = "is not 0 where its argument is cut off" if 0.0 in ends and whole else f"is taken as {words}"
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
    for words, slopes in tried:
        yield f"{name} {words}", {n: (h, slope) for (n, h), slope in zip(pairs, slopes)}


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
        for other, values in flow.like(arrays, text) if len(found) > 1 else ():
            slopes = {(n, i): n.slope(i, j, v) for edges, j in found for (n, i), v in zip(edges, values)}
            yield f"all gradients use {other} where `{shown(text)}` belongs", slopes


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
            yield from exchanged(one, two)
    products = {}  # as of a complex number in two parts, of which the conjugate is due
    for edges in flow.edges:
        node, k = edges[-1]
        if node.own == "multiply":
            products.setdefault(shown(argument(node, 1 - k)), []).append(edges)
    for text, found in products.items():
        if len(found) > 1:
            said = f"the gradients through all products with `{text}`"
            yield f"{said} have the wrong sign", {edge: -1.0 for edges in found for edge in edges}


def exchanged(one, two):
    """Two products, each with the matrix of the other."""
    (node, k), (other, j) = one[-1], two[-1]
    if not (node.own == other.own == "matmul" and k == j and len(one) == len(two)):
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
        if not all(np.all(np.abs(slope) > FLAT) for slope in slopes):
            continue
        for edges in flow.edges:
            node = edges[-1][0]
            if node.own == "matmul" and len(edges) == len(pairs) and all(n in some for (n, _), some in zip(edges, inside)):
                arg, through = words(edges)
                said = f"the gradient of {arg} through {through} lacks the derivative of `{shown(pairs[-1][0].text)}`"
                yield said, {(n, i): n.slope(i) / slope[:, None] for (n, i), slope in zip(edges, slopes)}


def _summed(head):
    """The head and the terms of which it is the sum."""
    found = [head]
    for node in found:
        found += [p for p in node.parents.values() if node.own == "add" and np.shape(p.value) == np.shape(head.value)]
    return found


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


def inside_activations(flow):
    """(sentence, edits) of wrong derivatives of what is computed on the way to an activation."""
    for others in (False, True):
        for pairs in flow.within:
            yield from derivatives(flow, pairs, others=others)


def solved(flow, claims, truth):
    """Where the right gradients turn wrong: a factor, or numbers that are solved for, at one place that is run once."""

    def flat(grads):
        return np.concatenate([np.ravel(grads[name]) for name in claims])

    seen = flat(claims)
    for edges, factor, off in scaled(flow, claims, truth):
        other = grown(flow.g.Cell, replace(flow.g.p.recipe, seed=flow.g.p.recipe.seed + 1))
        arg, through = words(edges)
        there = next((f for e, f, _ in scaled(Flow(other), other.claims(), other.truth()) if words(e) == (arg, through)), None)
        varies = there is not None and abs(there - factor) > CLOSE * abs(factor)
        by = f"{factor:.6g}" if abs(factor - 1) > 0.01 else _times(factor)
        by = f"{factor:.4g}, and by {there:.4g} at other numbers, on which it depends" if varies else by
        node = edges[-1][0]
        many = np.size(node.arrays[edges[-1][1]]) / node.value.size
        mean = "mean" in node.own and abs(factor - many) < CLOSE * many
        by += f", as if a sum of {many:g} numbers stood in the place of their mean" if mean else ""
        said = f"the gradient that flows back to {arg} through {through} is scaled by {by}"
        return [f"{said}: this predicts all gradients to within {figure(off)}"]
    keys = [node.key for node in flow.order]
    for node in flow.order:
        size = node.value.size
        if not node.text or node.name or keys.count(node.key) > 1 or not 0 < size <= 64:
            continue
        none = flat(flow.back({node: np.zeros(size)}))
        columns = np.array([flat(flow.back({node: row})) - none for row in np.eye(size)]).T
        reached = columns.any(axis=1).sum()
        found, _, rank, _ = np.linalg.lstsq(columns, seen - none, rcond=None)
        predicted = none + columns @ found
        if rank == size and reached >= 2 * size and close(predicted, seen):
            return [
                f"the gradient of {place(node)} is wrong, and what follows from it right: with entries that are "
                f"{_times(found.min())} to {_times(found.max())} times the right ones, this predicts all gradients to within {figure(gap(seen, predicted))}"
            ]
    return []


def scaled(flow, claims, truth):
    """(edges, factor, how closely it predicts all gradients) of each place where a factor of what flows back there does."""

    def flat(grads):
        return np.concatenate([np.ravel(grads[name]) for name in claims])

    right, seen = flat(truth), flat(claims)
    for edges in (*flow.edges, *flow.helped):
        factor, here = 1.0, right
        for _ in range(STEPS):  # Newton's; what flows through a place once is linear in the factor
            path = (flat(flow.back(dict.fromkeys(edges, factor + NUDGE))) - here) / NUDGE
            if gap(right, right - path) < CLOSE:
                break
            better = factor + float((seen - here) @ path / (path @ path))
            there = flat(flow.back(dict.fromkeys(edges, better)))
            if not np.max(np.abs(seen - there)) < np.max(np.abs(seen - here)) / 2:
                break
            factor, here = better, there
        if close(here, seen) and gap(here, seen) < gap(right, seen) / 100:
            yield edges, factor, gap(seen, here)


def _times(factor):
    return f"1 {'-' if factor < 1 else '+'} {abs(factor - 1):.2g}" if 0 < abs(factor - 1) < 0.01 else figure(factor)


def words(edges):
    """(an argument of an operation, the operation with its line) in a sentence."""
    node, k = edges[-1]
    calls, through = {n.key[0][1:] for n, _ in edges}, place(node)
    if node.inner or len(calls) > 1:
        many = "both" if len(calls) == 2 else f"all {len(calls)}"
        where = f"{many} calls of `{node.frames[0].code.co_name}`" if len(calls) > 1 else through
        through = f"`{shown(inside(node))}` (line {node.frames[0].line}) in {where}"
    return f"`{shown(argument(node, k))}`", through


def place(node):
    """The expression in the cell's own source, with its line."""
    return f"`{shown(node.text)}`{line(node)}"


def inside(node):
    """The expression in the function where it is computed."""
    return expression(node.frames[0].code, node.frames[0].place) if node.frames else node.text


def argument(node, k):
    """The text of an argument of an operation, where that is computed."""
    parent = node.parents.get(k)
    if parent is not None and parent.name and not parent.frames:
        return parent.name
    if not node.frames:
        return "its argument"
    try:
        tree = ast.parse(expression(node.frames[0].code, node.frames[0].place), mode="eval").body
    except SyntaxError:
        tree = None
    parts = []
    if isinstance(tree, ast.BinOp):
        parts = [tree.left, tree.right]
    elif isinstance(tree, ast.UnaryOp):
        parts = [tree.operand]
    elif isinstance(tree, (ast.Subscript, ast.Attribute)):
        parts = [tree.value]
    elif isinstance(tree, ast.Call):
        given = [tree.func.value, *tree.args] if node.own.startswith(".") else tree.args
        parts = [part for arg in given for part in (arg.elts if isinstance(arg, (ast.List, ast.Tuple)) else [arg])]
        parts = [part for part in parts if not _switch(part)]
    if len(parts) == len(node.arrays):
        return ast.unparse(parts[k])
    if len(parts) == 1 and node.own in ("stack", "concatenate", "vstack", "hstack"):  # of a list
        return f"{ast.unparse(parts[0])}[{k}]"
    return parent.text if parent is not None and parent.text else "its argument"


def _switch(part):
    """Whether an argument is no array, but an axis, a shape or a text."""
    with suppress(ValueError):
        return isinstance(ast.literal_eval(part), (int, str))
    return False


def shown(text, most=44):
    """An expression, cut if it is long."""
    text = text.replace("self.", "")
    return text if len(text) <= most else text[: most - 3] + "..."


def line(node):
    """Where it stands in the source."""
    return f" (line {node.seen.line})" if node.seen else ""
