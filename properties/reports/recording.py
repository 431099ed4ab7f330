"""What a law asks of a cell, call by call: recorded, then played back with other answers to see what it compares."""

import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from cellcheck.cells.lift import Lift, Lifted, lift
from cellcheck.properties.shrinking.shrinking import quiet
from cellcheck.properties.verdicts.blocks import Violation
from cellcheck.properties.verdicts.tally import Tally

MOST = 200  # calls on a tape: only an oracle that differences a cell makes more


@dataclass
class Call:
    """One call from outside: of which cell, with what, what came back, what changed besides.

    cell: which cell; made: how many there were; weights: before the call; writes: what the law had changed since the last call, effects: what the call
    changed, both (number of the array, its new value); flags: np.geterr() of the law; layouts: of the arrays given, by path;
    known: numbers of the arrays given, by path ("given", ...), and of the answers; drew: whether numpy's random state moved.
    """

    cell: int
    made: int
    method: str
    arguments: tuple
    options: dict
    weights: list
    flags: dict
    writes: list = field(default_factory=list)
    effects: list = field(default_factory=list)
    layouts: dict = field(default_factory=dict)
    known: dict = field(default_factory=dict)
    result: Any = None
    error: Exception | None = None
    drew: bool = False


class Refused(Exception):
    """What a call raises when it is played back as one that refuses its arguments."""


class Tape:
    """The calls of one run of a law, in order, and every array that went in or came out."""

    def __init__(self, answers=None, changed=None):
        """answers: a finished Tape to play back; changed: {(call, path): array} to answer instead.

        A path ("effect", k) stands for what the call makes of array k, ("raise",) for raising Refused.
        """
        self.answers, self.changed = answers, changed or {}
        self.calls: list[Call] = []
        self.made: list[tuple] = []  # the sizes that each cell was made with
        self.cells: list[Any] = []
        self.set: dict[int, list] = {}  # the weights that the law gave each cell, before another was made or it was called
        self.arrays: list[Any] = []  # (array, its bytes when last seen, where from: (call, path))
        self.busy = self.drew = False

    def run(self, cell, method, arguments, options):
        """Carry out, or answer, one call of a method of a cell that is recorded, as one of the first MOST."""
        if self.busy or len(self.calls) >= MOST:
            return getattr(cell.guest, method)(*arguments, **options)
        n = len(self.calls)
        weights = [np.array(w) for w in cell.weights]
        number, made = cell.mark.number, len(self.made)
        self.set.setdefault(number, weights)
        call = Call(number, made, method, _copied(arguments), _copied(options), weights, np.geterr(), self._changes())
        self.calls.append(call)
        for k, w in enumerate(cell.weights):
            self._track(w, (n, ("weights", k)))
        for path, leaf in leaves((arguments, options)):
            call.known["given", *path] = self._track(leaf, (n, ("given", *path)))
            call.layouts[path] = layout(leaf)
        state, self.busy = np.random.get_state()[1:3], True
        try:
            result = self._answer(n) if self.answers else getattr(cell.guest, method)(*arguments, **options)
        except Exception as error:
            call.error = error
            raise
        finally:
            self.busy = False
            call.effects = self._changes()
            call.drew = not all(map(np.array_equal, state, np.random.get_state()[1:3]))
        call.result = _copied(result)
        for path, leaf in leaves(result):
            call.known[path] = self._track(leaf, (n, path))
        return result

    def _answer(self, n):
        """What the recorded call returned, or what it is changed to."""
        call = self.answers.calls[n]
        for k, value in call.effects:
            self.arrays[k][0][...] = self.changed.get((n, ("effect", k)), value)
        if call.error or (n, ("raise",)) in self.changed:
            raise call.error or Refused
        return _replaced(call.result, lambda path, leaf: self._answered(call.known.get(path), (n, path), leaf))

    def _answered(self, k, place, leaf):
        """One array of an answer: changed, or the very array that it was, or a copy."""
        if place not in self.changed and k is not None and k < len(self.arrays):
            return self.arrays[k][0]
        return copy.copy(self.changed.get(place, leaf))

    def _track(self, leaf, origin):
        """The number of an array, new or known; None for what is no array of numbers."""
        if not isinstance(leaf, np.ndarray) or leaf.dtype.kind not in "biufc":
            return None
        for k, (array, *_) in enumerate(self.arrays):
            if array is leaf:
                return k
        self.arrays.append([leaf, leaf.tobytes(), origin])
        return len(self.arrays) - 1

    def _changes(self):
        """(number, new value) of the tracked arrays that are no longer what they were."""
        found = []
        for k, entry in enumerate(self.arrays):
            if (seen := entry[0].tobytes()) != entry[1]:
                entry[1] = seen
                found.append((k, entry[0].copy()))
        return found


class Mark:
    """What makes a cell recorded. A copy of the cell is recorded too, as the same cell, if nothing had been asked of it yet."""

    def __init__(self, tape, number):
        """tape: where calls go; number: of the cell."""
        self.tape, self.number = tape, number

    def __deepcopy__(self, memo):
        used = self.tape is None or any(call.cell == self.number for call in self.tape.calls)
        return Mark(None, self.number) if used else self


class RecordedGuest:
    """A guest whose calls go to a tape."""

    def __init__(self, guest, mark):
        """guest: the instance; mark: which cell on which tape it is."""
        self.guest, self.mark = guest, mark

    @property
    def weights(self):
        """The guest's live weights."""
        return self.guest.weights

    def apply(self, *arguments, **options):
        """The guest's apply, recorded or played back."""
        return self._called("apply", arguments, options)

    def vjp(self, *arguments, **options):
        """The guest's vjp, recorded or played back."""
        return self._called("vjp", arguments, options)

    def forward(self, *arguments, **options):
        """The guest's forward, recorded or played back."""
        return self._called("forward", arguments, options)

    def backward(self, *arguments, **options):
        """The guest's backward, recorded or played back."""
        return self._called("backward", arguments, options)

    def _called(self, method, arguments, options):
        if self.mark.tape is None:
            return getattr(self.guest, method)(*arguments, **options)
        return self.mark.tape.run(self, method, arguments, options)


class SparedGuest(RecordedGuest):
    """A guest that is given copies, whose answers are copied, and whose weights are put back after each call."""

    def _called(self, method, arguments, options):
        before = [np.array(w) for w in self.guest.weights]
        try:
            return _copied(getattr(self.guest, method)(*_copied(arguments), **_copied(options)))
        finally:
            for w, kept in zip(self.guest.weights, before):
                w[...] = kept


class MendedGuest(RecordedGuest):
    """A guest whose gradients of weights are summed over the batch, or transposed, where that gives them the shapes of the weights."""

    def _called(self, method, arguments, options):
        found = getattr(self.guest, method)(*arguments, **options)
        if method == "backward":
            return self._mended(found)
        return (self._mended(found[0]), *found[1:]) if method == "vjp" else found

    def _mended(self, gradients):
        if not isinstance(gradients, (list, tuple)):
            return gradients
        mended = [_mended(g, np.shape(w)) for g, w in zip(gradients, self.guest.weights)]
        return [*mended, *gradients[len(mended) :]]


def _mended(gradient, shape):
    """The gradient in this shape, if a sum over its first or last axis, or its transpose, has it."""
    g = gradient if gradient is None else np.asarray(gradient)
    if g is None or g.shape == shape or not g.ndim:
        return gradient
    long = [n for n in shape if n > 1]
    fits = (a.reshape(shape) for a in (g.T, g.sum(0), g.sum(-1)) if [n for n in a.shape if n > 1] == long)
    return next(fits, gradient)


class Behind(Lift):
    """The factory of a cell in another form; equal to every other one of the same cell and form."""

    def __init__(self, Cell):
        """Cell: the factory."""
        self.Cell = lift(Cell)
        super().__init__(self.Cell.Guest, self.Cell.declared)

    def __hash__(self):
        return hash((type(self), self.Cell))

    def __eq__(self, other):
        return type(other) is type(self) and other.Cell == self.Cell


class Spared(Behind):
    """The factory of a cell that is given copies of all arrays. A law that it breaks even so is not broken by writing into them."""

    guest: type[RecordedGuest] = SparedGuest

    def __call__(self, input_features, state_size):
        """A cell whose guest is behind one of ours."""
        cell = self.Cell(input_features, state_size)
        return Lifted(self.guest(cell.guest, None), cell.spec)


class Mended(Spared):
    """The factory of a cell whose gradients have the shapes of their weights. A law that it breaks even so is not broken by a shape."""

    guest = MendedGuest


class Recorded(Lift):
    """The factory of a cell whose calls go to a tape. It equals the factory it stands for, so that oracles know the cell."""

    def __init__(self, Cell, tape):
        """Cell: the factory; tape: a fresh Tape."""
        lifted = lift(Cell)
        super().__init__(lifted.Guest, lifted.declared)
        self.Cell, self.tape = Cell, tape

    def __call__(self, input_features, state_size):
        """A cell that is recorded."""
        for k, earlier in enumerate(self.tape.cells):
            self.tape.set.setdefault(k, [np.array(w) for w in earlier.weights])
        state = np.random.get_state()[1:3]
        cell = super().__call__(input_features, state_size)
        self.tape.drew |= not all(map(np.array_equal, state, np.random.get_state()[1:3]))
        mark = Mark(self.tape, len(self.tape.made))
        self.tape.made.append((cell.spec.features, cell.spec.state))
        new = Lifted(RecordedGuest(cell.guest, mark), cell.spec)
        self.tape.cells.append(new)
        return new

    def __hash__(self):
        return hash(self.Cell)

    def __eq__(self, other):
        return other is self.Cell or other is self


def recorded(law, Cell, problem, answers=None, changed=None):
    """(tape, blocks, error) of one run of the law; blocks are all that it compared, those violated first.

    law: the function that @given received; answers, changed: as of Tape.
    """
    tape, seen, error = Tape(answers, changed), _Seen(), None
    try:
        with quiet(seen, draws=0):  # the bound has been measured before
            law(Cell=Recorded(Cell, tape), problem=problem)
    except Exception as raised:
        error = raised
    blocks = error.all_blocks if isinstance(error, Violation) else seen.blocks
    return tape, sorted(blocks, key=lambda b: b.verdict != "violated"), error


class _Seen(Tally):
    """A tally that keeps the blocks themselves."""

    blocks: tuple = ()

    def add(self, blocks):
        """Keep them."""
        self.blocks = list(blocks)


def layout(array):
    """How an array lies in memory, where that is not plain: "column order", "strided", "reversed", "read-only"."""
    if not isinstance(array, np.ndarray):
        return ""
    words = ["read-only"] * (not array.flags.writeable)
    if min(array.strides, default=0) < 0:
        words.append("reversed")
    elif array.flags.f_contiguous and not array.flags.c_contiguous:
        words.append("column order")
    elif not array.flags.c_contiguous:
        words.append("strided")
    return ", ".join(words)


def leaves(value, path=()):
    """(path, leaf) of every array and number in nested tuples, lists and dicts."""
    if isinstance(value, (tuple, list)):
        for k, part in enumerate(value):
            yield from leaves(part, (*path, k))
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from leaves(part, (*path, key))
    elif value is not None:
        yield path, value


def _replaced(value, change, path=()):
    """The same nesting with change(path, leaf) in the place of each leaf, copied."""
    if isinstance(value, (tuple, list)):
        parts = [_replaced(part, change, (*path, k)) for k, part in enumerate(value)]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    if isinstance(value, dict):
        return {key: _replaced(part, change, (*path, key)) for key, part in value.items()}
    return value if value is None else change(path, value)


def _copied(value):
    return _replaced(value, lambda path, leaf: copy.copy(leaf))
