"""The operations that a Tape recorded, and gradients through them."""

import itertools
from bisect import bisect
from functools import cached_property, partial
from itertools import pairwise

import numpy as np
from cellcheck.properties.reports.diagnosis.grown import LOST, same
from cellcheck.properties.reports.diagnosis.mistakes import Mistake
from cellcheck.properties.reports.diagnosis.places import argument, line, place, shown
from cellcheck.properties.reports.diagnosis.tape import Untold, along, followed

MOST, ENTRIES = 2000, 10**7  # operations of a tape that is looked at, and entries of all their slopes
GIVEN = ", as it was given,"  # of an input, beside a new array of the same name
BLOCK = 32  # mistakes whose gradients are computed together


class Flow:
    """The operations of a Grown, and gradients through them."""

    def __init__(self, g):
        """g: a Grown of a cell that is written in NumPy; Untold if it is not."""
        self.g, self.tape, self.constant, self.upstream = g, followed(g), {}, g.upstream
        self.known_for, self.grads = None, []  # an upstream, and the right gradients for it
        self.known, self.others = [], iter(())  # (sentence, edits) of what has been tried, and the rest
        needed = set(map(id, self.tape.outputs.values()))
        for node in reversed(self.tape.nodes):
            if id(node) in needed:
                needed |= set(map(id, node.parents.values()))
        self.order = [node for node in self.tape.nodes if id(node) in needed]
        if len(self.order) > MOST:
            raise Untold(f"{len(self.order)} operations are too many")
        if (n := sum(node.value.size * p.value.size for node in self.order for p in node.parents.values())) > ENTRIES:
            raise Untold(f"slopes with {n} entries are too large")
        largest = {}
        for node in self.order:
            if node.own.strip(".") in ("max", "amax", "maximum"):
                largest.setdefault(node.key[0], {}).update({(node, k): 0.0 for k in node.parents})
        for edits in largest.values():  # what is subtracted for numerical stability alone: its gradients cancel
            if all(same(a, self.straight[name]) for name, a in self.back(edits).items()):
                self.constant |= edits

    def tried(self, claims, truth):
        """All mistakes that may change every wrong gradient, each with what it predicts for the present upstream.

        Their slopes are computed once, when they are needed.
        """
        wrong = {name for name in claims if not same(claims[name], truth[name], self.g.near)}
        return self.predicted((said, edits) for said, edits in self._all() if wrong <= self.changed(edits))

    def predicted(self, mistakes):
        """The Mistakes of these (sentence, edits), BLOCK of them at a time."""
        while block := list(itertools.islice(mistakes, BLOCK)):
            for (sentence, _), found in zip(block, self.backs([edits for _, edits in block])):
                yield Mistake(sentence, partial(dict, found))

    def _all(self):
        for k in itertools.count():
            if k == len(self.known):
                self.known.extend(itertools.islice(self.others, 1))
            if k == len(self.known):
                return
            yield self.known[k]

    def changed(self, edits):
        """The names of the gradients that edits may change."""
        found = set()
        for key, value in edits.items():
            node, *k = key if isinstance(key, tuple) else (key,)
            besides = isinstance(value, tuple)
            parents = [value[0]] if besides else []
            if not (k and besides and len(value) == 2):  # else its own slope stays as it is
                parents += [node.parents[k[0]]] if k else node.parents.values()
            found.update(*(self.reach[parent] for parent in parents))
        return found

    @cached_property
    def reach(self):
        """Of each operation, the names of the arrays that its gradient flows back to."""
        found = {}
        for node in self.order:
            found[node] = frozenset([node.name] * (node in self.tape.leaves.values())).union(
                *(found[p] for p in node.parents.values())
            )
        return found

    @cached_property
    def straight(self):
        """The right gradients by name."""
        return self.back({})

    def back(self, edits):
        """Gradients by name; edits: (node, position) -> another slope, or a factor of the right one, or (head, slope of what this array gets
        besides, factor of the right slope or 1); node -> factor of its gradient, or (head, slope of the node by this array).
        """
        return self.backs([edits])[0]

    def backs(self, many):
        """Of each of these edits, what `back` returns.

        The right gradients are known. So only what the edits change of them is carried on, of all of them together.
        """
        many, right, edited = [{**self.constant, **edits} for edits in many], self.right, {}
        for row, edits in enumerate(many):
            for key in edits:
                edited.setdefault(self.numbers[key[0] if isinstance(key, tuple) else key], set()).add(row)
        changes = [None] * len(right)

        def add(number, rows, change):
            if changes[number] is None:
                changes[number] = np.zeros((len(many), right[number].size))
            changes[number][rows] += change

        for number in range(max(edited, default=-1), -1, -1):
            change, edges, rows = changes[number], self.slopes[-1 - number], edited.get(number, ())
            if change is not None:
                others = [row for row in range(len(many)) if row not in rows] if rows else slice(None)
                for _, slope, parent in edges:
                    add(parent, others, change[others] @ slope)
            for row in rows:
                node, old, edits = self.order[number], right[number], many[row]
                grad, factor = old if change is None else old + change[row], edits.get(node, 1.0)
                for _, slope, parent in edges:
                    add(parent, row, -(old @ slope))
                if isinstance(factor, tuple):
                    add(self.numbers[factor[0]], row, grad * np.ravel(factor[1]))
                    continue
                if node in edits:
                    grad = grad * np.ravel(factor)
                for k, true, parent in edges:
                    slope = edits.get((node, k), 1.0)
                    if isinstance(slope, tuple):
                        head, besides, *slope = slope
                        add(self.numbers[head], row, grad @ besides)
                        slope = slope[0] if slope else 1.0
                    add(parent, row, slope * (grad @ true) if np.ndim(slope) == 0 else grad @ slope)
        found = [{} for _ in many]
        for name, leaf in self.tape.leaves.items():
            number = self.numbers.get(leaf)
            whole = np.zeros(leaf.value.size) if number is None else right[number]
            rows = 0 if number is None or changes[number] is None else changes[number]
            total = np.array(np.broadcast_to(whole + rows, (len(many), leaf.value.size)))
            total[np.abs(total) < LOST * np.max(np.abs(whole), initial=0.0)] = 0.0  # what cancels
            for known, grad in zip(found, total):
                known[name] = grad.reshape(leaf.value.shape)
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
                if node.own == parent.own == "put" and not k:
                    continue  # an array that is filled step by step: what is put there tells more
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
        """(edges, words): those of one run alone, where there are several and the cell may have made an exception of it."""
        calls = {}
        for node, k in edges:
            calls.setdefault(node.key, []).append((node, k))
        n = {len(runs) for runs in calls.values()}
        for m in range(max(n)) if len(n) == 1 and n != {1} and self.g.cell.spec.sequence else ():
            yield [runs[m] for runs in calls.values()], f"run {m + 1} of {max(n)}"

    def run(self, n):
        """What it is called that is computed n times."""
        forwards = self.g.cell.spec.sequence and "future" not in self.g.cell.spec.choices
        return "step" if forwards and n in (len(self.g.p.x), len(self.g.p.x) - 1) else "run"  # the first may have no such edge

    @cached_property
    def carried(self):
        """The edges by which a step hands on its gradient to the step before."""
        runs, found = {}, []
        for node in self.tape.nodes[::-1]:  # counted from the last: the first may start from something else
            node.run = runs[node.key] = runs.get(node.key, 0) - 1
        for node in self.order:
            kept = node.own == "put"  # what was in an array before a part of it was filled
            found += [
                (node, k)
                for k, p in node.parents.items()
                if p.frames and p.run == node.run - 1 and (k or not kept) and not self._adds_up(node, p)
            ]
        return found

    def _adds_up(self, node, parent):
        """Whether it is a loss to which each step adds its own."""
        total = self.g.cell.spec.scalar and node.key == parent.key and node.own == "add"
        return bool(total) and all(user is node for user in self.users.get(parent, []))

    @cached_property
    def tensors(self):
        """(text, its line, values, when): what the source computes or uses, once for each time that it is run; no two alike."""
        found = {}
        for node in self.tape.nodes:
            frames, _, *rest = node.key
            calls = [(frames[:n], *rest) for n in range(len(frames))]  # of all calls of the functions around it
            for key in (node.key, (frames, *rest), *calls[1:]):  # the first step may lack the nearest weight
                *_, values, times = found.setdefault(key, (node.text, line(node) or GIVEN, [], []))
                values.append(node.value)
                times.append(self.when[node])
        for edges in (*self.edges, *self.helped):
            node, k = edges[-1]
            at = f" in {place(node)}"
            times = self.times(edges)
            found[node.key, k, len(edges)] = argument(node, k), at, [np.asarray(n.arrays[j]) for n, j in edges], times
            for i, a in enumerate(node.arrays):  # what else is used there, though nothing may flow back to it
                if i != k and np.ndim(a) and all(len(n.arrays) == len(node.arrays) for n, _ in edges):
                    beside = [np.asarray(n.arrays[i]) for n, _ in edges]
                    found.setdefault((node.key, i, len(edges)), (argument(node, i), at, beside, times))
        for name, leaf in self.tape.leaves.items():  # whole inputs, too
            found.setdefault(leaf.key, (name, GIVEN, [leaf.value], [0]))
        alike = {}
        for text, at, values, times in found.values():
            key = tuple((np.shape(v), v.tobytes()) for v in values)
            if text:
                known = alike.get(key, (text, at, values, times))
                name, where = (text, at) if len(text) < len(known[0]) else known[:2]
                alike[key] = name, where, values, min(times, known[3])  # when it was first there
        return list(alike.values())

    def times(self, edges):
        """When each of the operations was run."""
        return [self.when[n] for n, _ in edges]

    @cached_property
    def when(self):
        """The position of each operation on the tape."""
        return {node: number for number, node in enumerate(self.tape.nodes)}

    def like(self, arrays, text, times=()):
        """(text, values) of the tensors that may stand for these arrays, which are called `text`.

        times: when they are used; of what is computed more often, the latest before that may stand for each.
        """
        run = self.run(len(arrays))
        alike = len(arrays) > 1 and len({a.shape for a in arrays}) == 1  # not so where a mask has chosen entries
        if alike and not all(same(arrays[0], a) for a in arrays):  # a weight is that of every step
            name, n = f"`{shown(text)}`", len(arrays)
            yield f"{name} of the {run} before", [np.zeros_like(arrays[0]), *arrays[:-1]]
            yield f"{name} of the {run} before, in the first {run} that of the last,", [arrays[-1], *arrays[:-1]]
            yield f"{name} of the {run} after, in the last {run} its own,", [*arrays[1:], arrays[-1]]
            yield f"{name} of the last {run}", [arrays[-1]] * n
            yield f"{name} of the first {run}", [arrays[0]] * n
        steps = len(self.g.p.x) if self.g.cell.spec.sequence else 0
        if len(arrays) == 1 and (a := arrays[0]).ndim > 1 and 1 < steps == len(a):  # of all steps, as in a scan
            name = f"`{shown(text)}`"
            starts = [s for s in self.g.p.states if s.shape == a.shape[1:]]
            yield from ((f"{name} of the step before", [np.concatenate([[s], a[:-1]])]) for s in (*starts, 0 * a[0]))
            yield f"{name} of the step after", [np.concatenate([a[1:], a[-1:]])]
        if all(a.ndim == 2 and len(a) == self.g.batch for a in arrays) and self.g.batch > 1:
            yield f"row 0 of `{shown(text)}`, for all rows,", [np.broadcast_to(a[:1], a.shape) for a in arrays]
        for other, at, values, made in self.tensors:
            for words, here, beside in (("before", values[1:], values[:-1]), ("after", values[:-1], values[1:])):
                fits = len(here) == len(arrays) > 1 and all(v.shape == a.shape for v, a in zip(beside, arrays))
                if fits and all(map(same, here, arrays)):  # a first or last step has no such edge
                    yield f"`{shown(text)}` of the {run} {words}", beside
            if len(values) > len(arrays) > 1 and times and made == sorted(made):
                latest = [bisect(made, t) - 1 for t in times]
                values = [values[k] for k in latest] if latest[0] > -1 and all(a < b for a, b in pairwise(latest)) else []
            if len(values) == 1 and len(arrays) == steps > 1 and values[0].shape == (steps, *arrays[0].shape):
                other, values = f"{other}[t]", list(values[0])
            if len(values) != len(arrays) or any(v.shape != a.shape for v, a in zip(values, arrays)):
                continue
            if all(same(v, a) for v, a in zip(values, arrays)) or all(np.all(v == 1) for v in values):
                continue  # a missing factor, which has a sentence of its own
            for words, one, two in (("before", values[1:], arrays[:-1]), ("after", values[:-1], arrays[1:])):
                if len(arrays) > 1 and all(same(v, a) for v, a in zip(one, two)):
                    new = f", the new `{shown(text)}`," * (words == "after" and shown(text).isidentifier())
                    yield f"`{shown(text)}` of the {run} {words}{new}", values
                    if words == "after":  # what the run makes of it
                        yield f"`{shown(other)}`, in every {run} but the first,", [arrays[0], *values[1:]]
                        yield f"`{shown(other)}` of the last {run}, in the first one,", [values[-1], *arrays[1:]]
                        yield f"`{shown(other)}` of the last {run}, as if all were one array,", [values[-1]] * len(values)
                    break
            else:
                alike = shown(other) == shown(text)  # as self.R and R are
                yield f"`{other if alike and other != text else shown(other)}`{at * alike}", values

    @cached_property
    def regions(self):
        """[(node, head)]: activations, each a function of `head` entry by entry, by position in the source."""
        found = {}
        for node in self.order:
            head = self.head(node)
            if (
                node.text
                and head is not node
                and any(not user.frames or self.head(user) is not head for user in self.users.get(node, [self.order[0]]))
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
            if nodes[-1].inner and nodes[-1] not in known and len(given) == 1 and self.head(nodes[-1]) is self.head(*given):
                found.setdefault((nodes[-1].key, ""), []).append((nodes[-1], *given))
        for node in self.order:
            inside = node not in known and len(node.parents) == 1 and diagonal(node, *node.parents)
            for head in dict.fromkeys((self.head(node), *node.parents.values())) if inside else ():
                found.setdefault((node.key, head.key), []).append((node, head))
        return list(found.values())

    def head(self, node):
        """The array of which the node is a function entry by entry; the node itself if there is not just one."""
        if not hasattr(node, "head"):
            heads = {id(head): head for head in map(self.head, node.parents.values())}
            entrywise = len(heads) == 1 and all(diagonal(node, k) for k in node.parents)
            node.head = next(iter(heads.values())) if entrywise else node
        return node.head


def diagonal(node, k):
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
