"""What a cell written in NumPy, torch or jax computes, operation by operation, with the text of each in its source."""

import ast
import itertools
import linecache
import sys
from contextlib import contextmanager, nullcontext, suppress
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np
from cellcheck.cells.activations import sigmoid
from cellcheck.properties.intake.raised import GUESTS, LIBRARIES, WRAPPERS
from cellcheck.properties.oracles.analytic import made
from cellcheck.properties.oracles.function import rebound

TINY = 2.0**-100
WIDE = 2.0**-6  # errs by WIDE**8 / 630 of the ninth derivative, and by 1e-14 in rounding
STENCIL = {1: 4 / 5, 2: -1 / 5, 3: 4 / 105, 4: -1 / 280}  # of a first derivative, B. Fornberg, Math. Comp. 51 (1988)
FORMS = {"np.tanh": np.tanh, "sigmoid": sigmoid, "1 -": lambda a: 1 - a}  # of what is computed where no tape sees it
CONTINUED = {  # functions that lose the derivative, or raise, if they are given complex numbers
    "absolute": lambda a: np.sign(np.real(a)) * a,
    "fabs": lambda a: np.sign(np.real(a)) * a,
    "sign": lambda a: np.sign(np.real(a)),
}
FRAMEWORKS = {*LIBRARIES, "torch"}
METHODS = ["sum", "mean", "reshape", "transpose", "dot", "ravel", "squeeze", "swapaxes", "max", "clip", "repeat", "std", "var"]


class Untold(Exception):
    """What a cell computes cannot be followed."""


def along(function, base, v):
    """d function(base + t v) / dt at t = 0: by complex step, or, of what takes no complex numbers, by a stencil of order 8."""
    with suppress(TypeError):
        y = function(base + 1j * TINY * v)
        if np.iscomplexobj(y):
            return np.imag(y) / TINY
    return sum(c * (function(base + k * WIDE * v) - function(base - k * WIDE * v)) for k, c in STENCIL.items()) / WIDE


class Node:
    """An array: given by its name, or computed. value; parents: by position among `arrays`, those that are nodes themselves.

    call(*arrays): computes it again; key: the place in the source, the same at every step; seen: in the function that holds most of the cell; tag: the nearest weight, by which gates in a loop are told apart.
    """

    def __init__(self, value, name="", call=None, arrays=(), parents=None, frames=(), own=""):
        self.value, self.name, self.call, self.arrays, self.parents, self.frames = (
            value,
            name,
            call,
            arrays,
            parents or {},
            frames,
        )
        near = sorted(self.parents.values(), key=lambda parent: not parent.weight)
        self.weight, self.tag = False, next((parent.tag for parent in near if parent.tag), "")
        self.own, self.key = (
            own,
            (tuple((at.code, at.place) for at in frames), self.tag if frames else name, own, np.shape(value)),
        )
        self.seen, self._slopes = frames[0] if frames else None, {}

    @property
    def inner(self):
        """Whether it is computed in a function that the cell calls, such as its sigmoid."""
        return bool(self.frames) and self.seen is not self.frames[0]

    @property
    def text(self):
        """The expression in the cell's own source, or the name."""
        return self.name or (expression(self.seen.code, self.seen.place) if self.seen else "")

    def slope(self, k, other=None, array=None):
        """d value / d arrays[k], (entries of value, of arrays[k]); with `array` in place of arrays[other], where that is given."""
        if (k, other, id(array)) not in self._slopes:
            arrays = [np.asarray(a) for a in self.arrays]
            if other is not None:
                arrays[other] = np.broadcast_to(array, np.shape(arrays[other]))
            rows, base = [], arrays[k]
            for index in np.ndindex(base.shape):
                unit = np.zeros(base.shape)
                unit[index] = 1
                rows.append(np.ravel(along(lambda a: self.call(*arrays[:k], a, *arrays[k + 1 :]), base, unit)))
            found = np.array(rows).T.reshape(np.size(self.value), base.size)
            self._slopes[k, other, id(array)] = array, found  # the array is kept, and so is its id
        return self._slopes[k, other, id(array)][1]


class Tape:
    """nodes: in the order in which they were computed; leaves: of weights, x and states by name; outputs: by name."""

    def __init__(self, g):
        """g: a Grown. Raises Untold where an output is no node."""
        self.nodes, self.known, self.runs = [], {}, True
        cell, x, state = g.p.build(g.Cell)
        given = [self.add(Node(np.array(a, float), name)) for name, a in zip(g.names, (*cell.weights, x, *state))]
        self.leaves = dict(zip(g.names, given))
        for node in given[: g.n]:
            node.weight, node.tag = True, node.name
        for node in given[g.n :]:
            for part in (node.value, *(node.value if node.value.ndim == 3 else ())):
                for change in (lambda a: a, np.transpose, lambda a: a[0], lambda a: a[0, :, None])[: 2 + part.ndim]:
                    self._lazy(node, part, change)
            for turn in turns(node.value):
                self._lazy(node, node.value, turn)
        if hasattr(cell.guest, "jaxpr"):
            from cellcheck.properties.reports.diagnosis.jax_tape import outputs

            found = outputs(self, cell.guest, given)
        else:
            traced = [self.hand(node) for node in given]
            with (
                np.errstate(all="ignore"),
                made(self._buffer, "zeros", "empty"),
                made(self._joined, "array", "asarray"),
                self._torch(),
                uncompiled(),
            ):
                run = rebound(cell, traced[: g.n])
                found = [self.find(y) or self._averaged(y, run.averaged) for y in run.apply(*traced[g.n :])]
        self.outputs = dict(zip(g.outputs, found))
        if None in self.outputs.values():
            raise Untold("its outputs are not computed by NumPy, torch or jax in real numbers alone")
        self.runs, seen = False, {}
        for code, place, _ in dict.fromkeys(at for node in self.nodes for at in node.frames):
            seen.setdefault(code, set()).add(place)
        home = max(seen, key=lambda code: len(seen[code]), default=None)
        for node in self.nodes:
            node.seen = next((at for at in node.frames if at.code is home), node.seen)

    def _torch(self):
        """A context in which calls of torch are recorded, once torch is there."""
        if "torch" not in sys.modules:
            return nullcontext()
        from cellcheck.properties.reports.diagnosis.torch_tape import Followed

        return Followed(self)

    def add(self, node):
        """The node, remembered by what it holds."""
        self.nodes.append(node)
        if np.any(node.value):
            self.known[_bytes(node.value)] = node
        return node

    def _lazy(self, node, part, change):
        """A part of an input, as a guest that makes arrays of its own may see it."""
        if part is node.value and change(part).shape == part.shape and np.array_equal(change(part), part):
            return
        k = next((k for k, own in enumerate(node.value) if own is part or np.shares_memory(own, part)), 0)
        call = change if part is node.value else lambda a: change(a[k])
        self.known.setdefault(_bytes(change(part)), (call, node))

    def hand(self, node):
        """The array of a node, which records what is done to it."""
        array = np.array(node.value).view(Traced)
        array.node, array.tape = node, self
        return array

    def _buffer(self, array):
        if self.runs and array.dtype.kind == "f":
            array = np.zeros_like(array, float).view(Traced)  # in float64, whatever was asked for
            array.tape, array.buffer = self, True
        return array

    def _joined(self, array):
        """What a guest makes of a list of known arrays; what others make, Cellcheck included, stays as it is."""
        by = sys._getframe(2).f_globals.get("__name__", "")
        theirs = by.partition(".")[0] not in (*LIBRARIES, "cellcheck") or by.startswith(GUESTS)
        node = self.find(array) if theirs and self.runs and type(array) is np.ndarray and array.ndim > 1 else None
        return self.hand(node) if node else array

    def find(self, array, halves=True):
        """The node of an array, or None of a constant; of a stack of known arrays, or of two halves of it, a new one."""
        own = array.node if isinstance(array, Traced) else None
        if own is not None and not array.buffer:
            return own
        array = np.asarray(array)
        if array.dtype.kind != "f" or not np.any(array):
            return None
        found = self.known.get(_bytes(array))
        if isinstance(found, tuple):
            call, node = found
            found = self.add(Node(np.array(array), node.name, call, [node.value], {0: node}))
        for back, there in zip(turns(array, back=True), turns(array)) if found is None else ():
            if isinstance(turned := self.known.get(_bytes(there(array))), Node):
                return self.add(Node(np.array(array), turned.name, back, [turned.value], {0: turned}))
        axes = range(array.ndim) if found is None else ()
        ways = [(np.stack, axis, [*np.moveaxis(array, axis, 0)]) for axis in axes if array.ndim > 1]
        ways += [(np.concatenate, axis, np.split(array, 2, axis)) for axis in axes if halves and not array.shape[axis] % 2]
        for join, axis, parts in ways if array.size > 2 else ():  # each part of a buffer, or both ways in time, side by side
            nodes = [*itertools.takewhile(bool, (self.find(part, halves and join is np.stack) for part in parts))]
            if len(nodes) == len(parts):
                call = lambda *a, join=join, axis=axis: join(a, axis)  # noqa: E731
                return self.add(Node(np.array(array), "", call, [n.value for n in nodes], dict(enumerate(nodes))))
        return found or own or self._formed(array)

    def _averaged(self, array, rows):
        """The node of a loss that is the mean over so many rows, and that has been multiplied by their number; None of others."""
        for node in reversed(self.nodes if rows > 1 else ()):
            if np.array_equal(node.value * rows, array):
                return self.add(Node(np.array(array), "", lambda a: a * rows, [node.value], {0: node}))
        return None

    def _formed(self, array):
        """The node of an array that is made of a known one out of sight, as in np.tanh(np.array(hs)); None if it is not."""
        for node in self.nodes if array.size > 1 else ():
            for name, form in FORMS.items() if node.value.shape == array.shape and node.frames else ():
                if np.allclose(form(node.value), array, 1e-14, 1e-14):
                    text = f"{name}({node.text})"
                    return self.add(Node(np.array(array), text, form, [node.value], {0: node}, node.frames, name))
        return None

    def record(self, name, function, args, kwargs):
        """The value of function(*args, **kwargs), as a Traced; other results as they are, and all of them once the tape has ended.

        A guest may keep what it was given, as in a global, and go on computing with it.
        """
        if not self.runs:
            kept = [np.asarray(a) if isinstance(a, np.ndarray) else a for a in _arrays(args)]
            return function(*_put(args, iter(kept)), **kwargs)
        function, args = CONTINUED.get(name, function), _put(args, _arrays(args))  # a guest may append to its lists later
        arrays = list(_arrays(args))
        parents = {k: node for k, a in enumerate(arrays) if (node := self.find(a)) is not None}
        plain = [np.array(a) for a in arrays]  # a guest may write into its own later
        result = function(*_put(args, iter(plain)), **kwargs)
        many = isinstance(result, (list, tuple))
        wrapped = []
        for part, value in enumerate(result if many else [result]):
            if not isinstance(value, (np.ndarray, np.floating)) or np.asarray(value).dtype.kind != "f" or not parents:
                wrapped.append(value)
                continue

            def call(*arrays, part=part, shape=np.shape(value)):
                try:
                    found = function(*_put(args, iter(arrays)), **kwargs)
                except np.linalg.LinAlgError:  # of another matrix, such as 0 in the place of one
                    return np.full(shape, np.nan)
                return found[part] if many else found

            node = Node(np.array(value), "", call, plain, parents, frames(), f"{name}{part or ''}")
            wrapped.append(self.hand(self.add(node)))
        return type(result)(wrapped) if many else wrapped[0]


@lru_cache(maxsize=2)
def followed(g):
    """The Tape of a Grown, kept with the slopes of its operations, which several looks ask for."""
    return Tape(g)


@contextmanager
def uncompiled():
    """Run the Python functions of which numba has made compiled ones."""
    dispatcher = sys.modules["numba.core.registry"].CPUDispatcher if "numba.core.registry" in sys.modules else None
    if dispatcher:
        dispatcher.__call__ = lambda compiled, *args, **kwargs: compiled.py_func(*args, **kwargs)
    try:
        yield
    finally:
        if dispatcher:
            del dispatcher.__call__


class Traced(np.ndarray):
    """An array that records what is done to it on its tape."""

    node, tape, buffer = None, None, False  # buffer: an array to be filled, which is known by what has been put there

    def __array_finalize__(self, other):
        self.tape = getattr(other, "tape", None)

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **kwargs):
        tape = next(a.tape for a in (*inputs, *(out or ())) if isinstance(a, Traced))
        inputs = tuple(np.asarray(a) if isinstance(a, int) else a for a in inputs)
        result = tape.record(ufunc.__name__, getattr(ufunc, method), inputs, kwargs)
        if out is None:
            return result
        np.asarray(out[0])[...] = np.asarray(result)
        if isinstance(out[0], Traced) and isinstance(result, Traced):
            out[0].node = result.node
        return out[0]

    def __array_function__(self, func, types, args, kwargs):
        kwargs = {k: np.asarray(v) if isinstance(v, Traced) else v for k, v in kwargs.items()}
        return self.tape.record(func.__name__, func, args, kwargs)

    def __getitem__(self, index):
        if self.buffer and self.tape.runs and isinstance(node := self.tape.known.get(_bytes(np.asarray(self)[index])), Node):
            return self.tape.hand(node)
        return self.tape.record("part", lambda a: a[index], (self,), {}) if self.tape else super().__getitem__(index)

    def __setitem__(self, index, value):
        if not self.tape or not self.tape.runs:
            super().__setitem__(index, value)
            return

        def put(whole, part):
            new = np.array(whole, np.result_type(whole, part))
            new[index] = part
            return new

        self.node = getattr(self.tape.record("put", put, (self, np.asanyarray(value)), {}), "node", None)
        np.asarray(self)[index] = np.asarray(value)

    def astype(self, dtype, *arguments, **options):
        """The array itself, which no cast makes narrower; of another type only where that is no float."""
        return self if np.dtype(dtype).kind == "f" else super().astype(dtype, *arguments, **options)

    def __iter__(self):
        return (self[k] for k in range(len(self)))

    @property
    def T(self):
        """Transposed."""
        return self.tape.record("transpose", np.transpose, (self,), {})


def _method(name):
    def method(self, *args, **kwargs):
        return self.tape.record(f".{name}", lambda a, *args, **kwargs: getattr(a, name)(*args, **kwargs), (self, *args), kwargs)

    return method


for _name in METHODS:
    setattr(Traced, _name, _method(_name))


def turns(array, back=False):
    """Functions that put the axes of a matrix, or of a sequence, in another order, or back."""
    orders = list(itertools.permutations(range(array.ndim)))[1:] if 1 < array.ndim < 5 else ()
    return [partial(np.transpose, axes=np.argsort(order) if back else order) for order in orders]


def _bytes(array):
    array = np.ascontiguousarray(array, float)
    return array.shape, array.tobytes()


def _arrays(tree):
    if isinstance(tree, (list, tuple)):
        for part in tree:
            yield from _arrays(part)
    elif isinstance(tree, (np.ndarray, float)):
        yield tree


def _put(tree, arrays):
    """The tree with other arrays in it."""
    if isinstance(tree, (list, tuple)):
        return [_put(part, arrays) for part in tree] if isinstance(tree, list) else tuple(_put(part, arrays) for part in tree)
    return next(arrays) if isinstance(tree, (np.ndarray, float)) else tree


class At(NamedTuple):
    """code, place in it, line of a frame: a place is (first line, last line, first column, last column)."""

    code: object
    place: tuple
    line: int


def frames():
    """The guest's frames, innermost first."""
    found, frame = [], sys._getframe(2)
    while frame is not None:
        name = frame.f_globals.get("__name__") or ""
        ours = name.startswith("cellcheck") and (not name.startswith(GUESTS) or name.startswith(WRAPPERS))
        if not ours and name.partition(".")[0] not in FRAMEWORKS:
            found.append(At(frame.f_code, places(frame.f_code)[frame.f_lasti // 2], frame.f_lineno))
        elif name == __name__ and frame.f_code.co_name == "__init__":
            break
        frame = frame.f_back
    return tuple(found)


@lru_cache(maxsize=256)
def places(code):
    """(first line, last line, first column, last column) of each instruction of a code."""
    return list(code.co_positions())


@lru_cache(maxsize=4096)
def expression(code, place):
    """The source of the expression at this place, in one line; "" where it is not known."""
    line, last, start, end = place
    lines = [linecache.getline(code.co_filename, n).encode() for n in range(line, last + 1)] if start is not None else []
    text = b"".join(lines)[start : sum(map(len, lines[:-1])) + (end or 0)].decode()
    try:
        return ast.unparse(ast.parse(text.strip(), mode="eval"))
    except SyntaxError:
        return ""
