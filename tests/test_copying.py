"""Deep copies of our own are those of the standard library."""

import copy
from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from enum import Enum

import numpy as np
import pytest
from cellcheck.cells import LSTM, lift
from cellcheck.cells.copying import deepcopied

Pair = namedtuple("Pair", "a b")


class Plain:
    """An instance that is its `__dict__`."""

    def __init__(self, **attributes):
        vars(self).update(attributes)


class Slotted:
    """Keeps its array where `vars` does not see it."""

    __slots__ = ("a",)


class Hooked(Plain):
    """Says how to copy it: its copies share the array."""

    def __deepcopy__(self, memo):
        return Hooked(a=self.a, copied=True)


class Stateful(Plain):
    """Says what of it is copied."""

    def __getstate__(self):
        return {"a": self.a}


class Restored(Plain):
    """Says how a copy takes what was copied, as modules of torch do."""

    def __setstate__(self, state):
        vars(self).update(state, restored=True)


class Everything(Plain):
    """Answers to every name, as proxies do."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return 0


@dataclass(frozen=True)
class Frozen:
    """Cannot be set attribute by attribute."""

    a: np.ndarray


class Colour(Enum):
    """Its members are copied as themselves."""

    RED = 1


def slotted():
    """A Slotted with an array."""
    new = Slotted()
    new.a = np.arange(3.0)
    return new


def cyclic():
    """An instance that holds itself in a list, and a tuple that holds itself."""
    new = Plain(a=np.arange(3.0))
    new.me, inner = [new], []
    new.knot = (inner,)
    inner.append(new.knot)
    return new


def told(value, seen, originals=()):
    """What there is to know of a value: classes, numbers, layouts, and which parts are the same object, or one of the originals."""
    if any(value is original for original in originals):
        return "the original", type(value)
    if id(value) in seen:
        return seen[id(value)]
    seen[id(value)] = len(seen)
    if isinstance(value, np.ndarray):
        return (
            type(value),
            value.dtype,
            value.strides,
            [told(v, seen, originals) for v in value] if value.dtype == object else value.tolist(),
        )
    if isinstance(value, dict):
        return type(value), [(told(k, seen, originals), told(v, seen, originals)) for k, v in value.items()]
    if isinstance(value, (list, tuple)):
        return type(value), [told(v, seen, originals) for v in value]
    if isinstance(value, Slotted):
        return type(value), told(value.a, seen, originals)
    if hasattr(value, "__dict__") and not isinstance(value, (type, Enum)):
        return type(value), told(vars(value), seen, originals)
    return value


A = np.arange(6.0).reshape(2, 3)
TUPLES = [(1, "word"), (A, [A]), ()]
VALUES = {
    "tuples of what never changes": [*TUPLES, (TUPLES[0], 2)],
    "numbers and words": [1, 2.0, "word", None, True, b"bytes", 1j, Colour.RED, np.float32(3), int, len, told],
    "one array in two places": Plain(a=A, b=[A, A.T], c={"a": A}),
    "layouts": [A.T, A[::-1], A[:, ::2], np.asfortranarray(A), np.zeros((0, 3)), np.array(1.0)],
    "an array of objects": np.array([A, None, "word"], dtype=object),
    "a subclass of arrays": A.view(np.matrix),
    "subclasses of containers": [OrderedDict(a=A), Pair(A, 1), (), (A, [A])],
    "slots": slotted(),
    "a hook": [Hooked(a=A), A],
    "a state of its own": Stateful(a=A, b=1),
    "every name": Everything(a=A),
    "restored from a state": Restored(a=A, b={A.shape, "word"}, c=OrderedDict(a=A)),
    "a frozen dataclass": Frozen(A),
    "cycles": cyclic(),
    "keys": {(1, 2): A, Colour.RED: [A]},
    "a cell": lift(LSTM)(2, 3),
}


@pytest.mark.parametrize("name", VALUES)
def test_a_copy_is_that_of_the_standard_library(name):
    """deepcopied(value, memo) has the classes, numbers, layouts and aliases of copy.deepcopy(value, memo), whatever the memo."""
    for memo in ({}, {id(A): A}, {id(A): A.astype(complex)}):
        expected, got = copy.deepcopy(VALUES[name], dict(memo)), deepcopied(VALUES[name], dict(memo))
        assert told(got, {}, TUPLES) == told(expected, {}, TUPLES)


def test_a_copy_shares_nothing_that_can_change():
    """Writing into the copy leaves the original as it was."""
    cell = lift(LSTM)(2, 3)
    before = [w.copy() for w in cell.weights]
    new = deepcopied(cell, {})
    for w in new.weights:
        w += 1
    new.guest.weights.append(None)
    assert all(np.array_equal(w, b) for w, b in zip(cell.weights, before))


def test_what_cannot_be_copied_raises_as_in_the_standard_library():
    """A generator has no copy."""
    with pytest.raises(TypeError, match="generator"):
        deepcopied(Plain(a=(n for n in ())), {})
