"""Which numbers a law compares: found by playing its calls back with one answer changed at a time.

Laws are equations between sums of outputs and gradients, so that what they compare is a linear combination of answers. It is
measured, and believed only if it gives back what the law saw.
"""

from dataclasses import dataclass, replace
from time import process_time

import numpy as np
from cellcheck.properties.reports.recording import leaves, recorded
from cellcheck.properties.shrinking.shrinking import entry

MOST_CALLS, MOST_PROBES, MOST_ENTRIES, MOST_TERMS = 40, 100, 500, 40  # nobody reads longer sums
SECONDS = 10.0  # of CPU: only slow cells meet it before the probes end, so that equal cases end alike


@dataclass(frozen=True)
class Term:
    """factor times the entry `index` of the answer `path` of call `call`; path ("effect", k): what the call made of array k."""

    factor: float
    call: int
    path: tuple
    index: tuple


@dataclass(frozen=True)
class Relation:
    """What a law compares: the sums of the terms, each with a constant."""

    got: tuple
    expected: tuple
    got_constant: float = 0.0
    expected_constant: float = 0.0


def relation(law, Cell, problem, tape, block):
    """The Relation of this violated block, or None where playing back does not reproduce it.

    law: the function that @given received; tape: of the run that raised the Violation.
    """
    probes, deadline = 0, process_time() + SECONDS

    def compared(changed=None):
        nonlocal probes
        probes += 1
        _, blocks, _ = recorded(law, Cell, problem, tape, changed)
        found = next((b for b in blocks if b.name == block.name), None)
        if found is None:
            return np.array([np.nan, np.nan])
        numbers = [_number(v, block.index) for v in (found.got, found.expected)]
        return np.array(numbers)

    seen = np.array([_number(block.got, block.index), _number(block.expected, block.index)])
    if not np.isfinite(seen).all() or not np.array_equal(compared(), seen):
        return None
    terms: list[tuple] = [(), ()]
    for n, path, leaf in answers(tape):
        if process_time() > deadline:
            return None
        whole = compared({(n, path): stepped(leaf)})
        if np.array_equal(whole, seen):
            continue
        for index in np.ndindex(leaf.shape):
            if probes > MOST_PROBES or leaf.size > MOST_ENTRIES or sum(map(len, terms)) > MOST_TERMS or process_time() > deadline:
                return None
            moved, step = leaf.copy(), float(_step(leaf)[index])
            moved[index] += step
            factors = (compared({(n, path): moved}) - seen) / step
            for side in (0, 1):
                factor = _rounded(factors[side])
                if factor:
                    terms[side] += (Term(factor, n, path, index),)
    return _believed(Relation(*terms), tape, seen)


def _believed(found, tape, seen):
    """The relation with its constants, if what it leaves over is not mere rounding of numbers that are compared."""
    sides = []
    for terms, value in ((found.got, seen[0]), (found.expected, seen[1])):
        numbers = [t.factor * float(answer(tape, t.call, t.path)[t.index]) for t in terms]
        rest, size = value - sum(numbers), max(map(abs, [value, *numbers]))
        sides.append(0.0 if terms and abs(rest) <= 1e-9 * size else rest)
    if not np.isfinite(sides).all() or not (found.got or found.expected):
        return None
    return replace(found, got_constant=sides[0], expected_constant=sides[1])


def answer(tape, n, path):
    """The array that call n answered at `path`, or made of array k for ("effect", k)."""
    call = tape.calls[n]
    if path and path[0] == "effect":
        return next(value for k, value in call.effects if k == path[1])
    return np.asarray(next(leaf for p, leaf in leaves(call.result) if p == path))


def answers(tape, empty=False):
    """(call, path, array) of all numbers that the first calls answered, and of what they changed; empty: with empty arrays."""
    for n, call in enumerate(tape.calls[:MOST_CALLS]):
        found = [*leaves(call.result), *((("effect", k), value) for k, value in call.effects)]
        for path, leaf in found:
            if np.asarray(leaf).dtype.kind == "f" and (np.size(leaf) or empty):
                yield n, path, np.asarray(leaf)


def stepped(leaf):
    """The array with every entry changed, by a power of two of its size; what is not finite becomes so."""
    return np.where(np.isfinite(leaf), leaf, 0) + _step(leaf)


def _step(leaf):
    """A power of two of the size of each entry."""
    with np.errstate(all="ignore"):
        size = np.where(np.isfinite(leaf), np.abs(leaf), 1)
        return np.ldexp(np.ones(leaf.shape, leaf.dtype), np.frexp(np.maximum(size, 2.0**-20))[1])


def _number(value, index):
    number = entry(value, index)
    return float(number) if isinstance(number, (int, float, np.number)) else np.nan


def _rounded(factor):
    """A factor without the noise of the subtraction that found it; a tiny power of two is what a law scales by, such as 2^-100."""
    if 0 < abs(factor) < 2.0**-80 and abs(np.frexp(factor)[0]) == 0.5:
        return factor
    near = round(factor * 1024) / 1024 if np.isfinite(factor) and abs(factor) < 1e6 else factor
    return near if abs(near - factor) <= 1e-6 * max(1.0, abs(factor)) else factor
