"""From the case that Hypothesis leaves to one that reads in ten seconds: a smaller shape, then simple numbers.

A case stands for the original only if it breaks the same block in the same way, by a margin, with numbers that can be seen:
noise is never presented as a fault. No law knows of this: a literal problem takes the place of the recipe.
"""

import time
import warnings
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import chain, pairwise, product

import numpy as np
from cellcheck.cells import lift
from cellcheck.cells.spec import declared
from cellcheck.properties.shrinking.dropping import kept, sizes, without
from cellcheck.properties.verdicts.blocks import Violation
from cellcheck.properties.verdicts.bound import DRAWS, ROUGHLY, drawing
from cellcheck.properties.verdicts.limits import EXAMPLE, Hang, limited
from cellcheck.properties.verdicts.tally import Tally, counting
from cellcheck.strategies import Literal, Problem
from hypothesis.errors import UnsatisfiedAssumption

# calls and seconds of CPU; the calls end first on all but slow cells
RESEED, LOWER, MINIMISE = (800, 1.5), (100, 3.0), (900, 1.5)
SLOW, ENOUGH = 3.0, 20  # seconds more for each at most, for so many calls
LONGEST = 5.0  # for one call, in seconds on the clock; or as many times what the first one took
LARGE = 20.0  # beyond it, the least number that fails says more than a round one
MARGIN = 100  # times the bound, where the original failed by as much
VISIBLE = 1e-3  # so large an error, absolute and relative, may replace any; a smaller one, those up to MARGIN times as large
PLAIN = 0.05  # so large a relative error needs no oracle that is good to the last digits
SEEDS, NEAR = (0, 8, 16, 64), 3  # where so few smaller shapes are left, Hypothesis has seen enough: the first seeds will do
MANY = 9  # rows, units and the like: so many are tried one by one
RESCALES = (5.0, 1.0, 30.0, 1e3, 0.03)


@dataclass
class Failure:
    """How a law failed on a problem: a Violation, or whatever the cell raised."""

    error: Exception

    @property
    def block(self):
        """The worst block of a Violation, else None."""
        return self.error.blocks[0] if isinstance(self.error, Violation) else None

    @property
    def plain(self):
        """Whether a gradient is so wrong that a difference quotient shows it."""
        gradient = self.block is not None and self.block.array is not None and kind(self.block) == "value"
        return gradient and _sizes(self.block)[1] > PLAIN

    @property
    def visible(self):
        """Whether numbers differ by more than rounding explains, be it to float32."""
        return self.block is not None and kind(self.block) == "value" and min(_sizes(self.block)[:2]) > VISIBLE

    def stands_for(self, original, margin=MARGIN):
        """Whether this is the original failure at another problem: same block, same kind, a margin, and no vanishing numbers."""
        if original.block is None or self.block is None:
            return type(self.error) is type(original.error)
        wanted = original.block
        block = next((b for b in self.error.blocks if b.name == wanted.name), None)
        if block is None or kind(block) != kind(wanted) or block.severity < min(wanted.severity, margin):
            return False
        if kind(block) != "value":
            return True
        # What is expected of a whole array along a direction says nothing of a single entry, of which 0 may be expected.
        whole = wanted.array is not None and wanted.index is None
        compared = zip(range(2 if whole else 3), _sizes(block), _sizes(wanted))
        return all(a >= min(VISIBLE, b / MARGIN) for _, a, b in compared)


def kind(block):
    """What is wrong with a block: "shape" (or missing), "word" (no numbers are compared), "nan" (or infinite), or "value"."""
    if block.note in ("shape", "missing"):
        return "shape"
    got, expected = entry(block.got, block.index), entry(block.expected, block.index)
    if not isinstance(got, (int, float, complex, np.number)):
        return "word"
    if isinstance(expected, str) or not np.isfinite(got):
        return "nan"
    return "value"


def entry(value, index):
    """The entry of an array at the index of its block, as a number; anything else as it is."""
    if isinstance(value, np.ndarray) and index is not None and len(index) == value.ndim:
        return value[index].item()
    return value.item() if isinstance(value, (np.ndarray, np.generic)) and np.size(value) == 1 else value


def _sizes(block):
    """Error, error relative to the numbers compared, and the expected number."""
    got, expected = entry(block.got, block.index), entry(block.expected, block.index)
    with np.errstate(all="ignore"):
        error = abs(got - expected)
        return error, error / (max(abs(got), abs(expected)) or 1.0), abs(expected)


@contextmanager
def quiet(tally, draws, roughly=False):
    """Run a law off the record: its verdicts go to `tally`, warnings are off, and S of the bound is drawn at most so often.

    roughly: whether a difference quotient will do, as for an error that is as large as the numbers.
    """
    token = ROUGHLY.set(roughly)
    try:
        with counting(tally), drawing(draws), np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        ROUGHLY.reset(token)


class Subject:
    """One law on one cell, asked directly and not counted, until the budget is spent."""

    def __init__(self, law, Cell):
        """law: the function that @given received; Cell: the factory."""
        self.law, self.Cell, self.calls = law, Cell, 0
        self.sizes, self.declared = ("batch", "features", "state"), {}
        with suppress(Exception):  # a cell that cannot be made
            spec = lift(Cell).spec()
            self.sizes += ("steps",) * spec.sequence
            self.declared = {name: declared(spec.sizes, name) for name in self.sizes}
        self.few, self.many = DRAWS.get()
        self.draws, self.longest, self.roughly = self.many, EXAMPLE, False
        self.grant(RESEED)

    def grant(self, budget, more=0.0):
        """A new budget, of calls and seconds, and so many seconds more."""
        calls, seconds = budget
        self.limit, self.deadline = self.calls + calls, time.process_time() + seconds + more

    def spent(self):
        """Whether the budget is used up."""
        return self.calls >= self.limit or time.process_time() > self.deadline

    def failure(self, problem):
        """The Failure of the law on this problem, or None."""
        self.calls += 1
        try:
            with quiet(Tally(), self.draws, self.roughly), limited(self.longest):
                self.law(Cell=self.Cell, problem=problem)
        except (Hang, UnsatisfiedAssumption):
            return None
        except Exception as error:
            return Failure(error)
        return None

    def surely(self, problem):
        """The same Failure, with a bound of more draws, which may be some times as large, and from an oracle that is good to the last digits."""
        draws, roughly, self.draws, self.roughly = self.draws, self.roughly, self.many, False
        try:
            return self.failure(problem)
        finally:
            self.draws, self.roughly = draws, roughly


def smallest(law, Cell, problem, patience=1.0):
    """(problem, error): a smaller problem, literal if possible, on which the law fails as it does on this one.

    law: the function that @given received; problem: where it failed; patience: with a cell of which one call takes long, as a share of
    the usual. If it does not fail there again, error is None.
    """
    subject, start, clock = Subject(law, Cell), time.process_time(), time.monotonic()
    original = subject.failure(problem)
    took, subject.longest = time.process_time() - start, LONGEST * max(1.0, time.monotonic() - clock)
    slow = patience * min(SLOW, ENOUGH * took) if took < 1 else 0.0  # more for a cell so large that one call takes long
    if original is None:
        return problem, None
    for subject.roughly in (True, False) if original.plain else (False,):
        small, error = smaller(subject, problem, original, slow)
        if error is not None:
            return small, error
    return problem, None


def smaller(subject, problem, original, slow):
    """(problem, error) of fewer and of simpler numbers. error is None if the law does not fail there as it does on the original."""
    small, error = simplest(subject, fewest(subject, problem, original, slow), original, slow)
    worst = Failure(error)
    if isinstance(small, Literal) and original.block and worst.block and worst.block.name != original.block.name:
        # Another block is the worst by now. It may fail at sizes at which the first one does not.
        fewer = fewest(subject, small.recipe, worst, slow)
        if any(getattr(fewer, name) < getattr(small.recipe, name) for name in subject.sizes):
            fewest_numbers, again = simplest(subject, fewer, worst, slow)
            return (fewest_numbers, again) if again else (small, error)
    return small, error


def fewest(subject, problem, original, slow):
    """A recipe of fewer rows, features, units and steps that fails so, if there is one. slow: seconds more for each of two searches."""
    sure = original.block is not None and original.block.severity >= MARGIN
    subject.draws = subject.few if sure else subject.many  # a margin leaves no doubt
    if not isinstance(problem, Problem):
        return problem
    subject.grant(RESEED, slow)
    problem = reseeded(subject, problem, original)
    subject.grant(LOWER, slow)
    return lowered(subject, problem, original)


def simplest(subject, problem, original, slow):
    """(problem, error): the problem with literal, simple numbers, if it fails so with them. If it does not fail, error is None."""
    try:
        with quiet(Tally(), subject.draws):
            literal = problem.literal(subject.Cell)
        problem = literal.recipe if isinstance(problem, Problem) else problem  # of declared sizes, as it has been run
    except Exception:
        literal = problem
    best = subject.failure(literal)
    if not (isinstance(literal, Literal) and best and best.stands_for(original)):
        again = None if subject.roughly else subject.failure(problem)
        return problem, again and again.error
    subject.grant(MINIMISE, slow)
    small = Minimiser(subject, literal, original).run()
    failed = subject.surely(small)
    if failed and failed.stands_for(original, MARGIN / 10):
        return small, failed.error
    return literal, None if subject.roughly else best.error


def reseeded(subject, problem, original):
    """The recipe of the smallest shape that fails for one of a few seeds and scales, the simplest regime first; else this one."""
    best = problem
    for shape in shapes(problem, subject.sizes):
        failed = None if subject.spent() else subject.failure(replace(problem, **shape))
        if failed and failed.stands_for(original):
            best = replace(problem, **shape)
            break
    styles = dict.fromkeys([("plain", "every"), (problem.regime, problem.upstream), ("large upstream", "every")])
    for first, last in pairwise(SEEDS):
        if first and len(shapes(best, subject.sizes)) <= NEAR:
            break
        for shape in shapes(best, subject.sizes):
            small = replace(problem, **shape)
            for seed, (regime, upstream), scale in product(range(first, last), styles, RESCALES):
                if subject.spent():
                    return _plainer(subject, best, original)
                candidate = replace(small, seed=seed, regime=regime, upstream=upstream, scale=scale)
                failed = subject.failure(candidate)
                if failed and failed.stands_for(original):
                    best = candidate
                    break
            if best == candidate:
                break
    return _plainer(subject, best, original)


def lowered(subject, problem, original):
    """The recipe with each size beyond 3, or declared, at the least at which it fails still, found by halving."""
    problem = problem.fitted(subject.Cell) if any(subject.declared.values()) else problem
    for name in reversed(subject.sizes):
        some = sorted(subject.declared.get(name) or range(getattr(problem, name) + 1))
        least = 0 if subject.declared.get(name) else NEAR + 1  # so few were tried
        low, high = least - 1, some.index(getattr(problem, name))
        while high - low > 1 and not subject.spent():
            middle = (low + high) // 2
            candidate = replace(problem, **{name: some[middle]})
            failed = subject.failure(candidate)
            if failed and failed.stands_for(original):
                problem, high = candidate, middle
            else:
                low = middle
        while high > least:  # one smaller: halving kept the numbers, and others may fail there
            smaller = _resized(subject, problem, original, name, some[high - 1])
            if smaller is None:
                break
            problem, high = smaller, high - 1
    return problem


def _resized(subject, problem, original, name, n):
    """The recipe with this size at n, if one of a few seeds and scales fails there, else None."""
    smaller = replace(problem, **{name: n})
    for other in [{}, *({"seed": seed, "scale": scale} for seed, scale in product(range(2), RESCALES[:2]))]:
        failed = None if subject.spent() else subject.failure(replace(smaller, **other))
        if failed and failed.stands_for(original):
            return replace(smaller, **other)
    return None


def _plainer(subject, problem, original):
    """The recipe with every field that allows it at its default."""
    for change in ({"regime": "plain"}, {"upstream": "every"}, {"scale": Problem.scale}, {"seed": 0}):
        candidate = replace(problem, **change)
        if candidate != problem:
            failed = subject.failure(candidate)
            problem = candidate if failed and failed.stands_for(original) else problem
    return problem


def shapes(problem, names):
    """The smaller shapes to try, as dicts of the sizes with these names: fewest numbers first."""
    top = tuple(getattr(problem, name) for name in names)
    choices = [sorted({min(n, n_top) for n in (1, 2, 3)} | {n_top}) for n_top in top]
    smaller = [s for s in product(*choices) if s != top]
    return [dict(zip(names, s)) for s in sorted(smaller, key=lambda s: (sum(s), s))]


class Minimiser:
    """Makes the numbers of a literal problem simple, one after the other, as long as the law fails in the same way."""

    def __init__(self, subject, literal, original):
        """subject: what to ask; literal: a problem that fails as `original` did."""
        self.subject, self.literal, self.original = subject, literal, original

    def run(self):
        """The literal problem when nothing gets simpler, or the budget is spent."""
        # first, since the budget of a slow cell ends soon, and each simpler number may leave a smaller error
        any(self._take(_rounded(self.literal, digits)) for digits in (1, 2, 3))
        self._smaller()
        while not self.subject.spent():
            before = self.literal
            for k in self._order():
                self._zero(k, np.arange(parts(self.literal)[k].size))
            self._smaller()
            for k in self._order():
                self._round(k)
            for k in self._order():
                for j in np.flatnonzero(np.asarray(parts(self.literal)[k])):
                    if self.subject.spent():
                        return self.literal
                    self._simplify(k, int(j))
            if before is self.literal:
                break
        return self.literal

    def _order(self):
        """Upstreams first, then states, inputs and weights; vectors before matrices."""
        every = parts(self.literal)
        n = len(self.literal.weights)
        return [*range(n + 1, len(every))[::-1], *sorted(range(n), key=lambda k: every[k].ndim), n]

    def _try(self, k, indices, values):
        """Put values at the flat indices of part k, if the law still fails as it should."""
        if self.subject.spent():
            return False
        old = np.asarray(parts(self.literal)[k])
        new = np.array(old)
        new.flat[indices] = values
        return not np.array_equal(old, new) and self._take(with_part(self.literal, k, new))

    def _take(self, candidate):
        """Whether the law fails on this problem as it should, which then takes the place of the present one.

        A problem with a number outside its domain is not tried.
        """
        failed = None if self.subject.spent() or not candidate.inside() else self.subject.failure(candidate)
        if not (failed and failed.stands_for(self.original)):
            return False
        self.literal = candidate
        return True

    def _zero(self, k, indices):
        """Zero all of these, else halves of them, and so on."""
        if self.subject.spent():
            return
        indices = indices[np.ravel(parts(self.literal)[k])[indices] != 0]
        if not indices.size or self._try(k, indices, 0) or indices.size == 1:
            return
        for half in np.array_split(indices, 2):
            self._zero(k, half)

    def _smaller(self):
        """Leave out what can be left out of each size."""
        for size in ("steps", "batch", "state", "features"):
            if size in ("steps", "batch"):
                self._halve(size)
            self._drop(size)

    def _halve(self, size):
        """Leave out half of very many rows or steps, the last ones or the first, or a quarter, and so on."""
        part = (n := sizes(self.literal)[size]) // 2
        while n > MANY and part > 1:
            some = (kept(self.literal, self.subject.Cell, size, which) for which in (np.arange(n - part), np.arange(part, n)))
            if any(map(self._take, chain.from_iterable(some))):
                n -= part
                part = min(part, n // 2)
            else:
                part //= 2

    def _drop(self, size):
        """Leave out each row, step, feature or unit, the last first; of very many, as long as that succeeds."""
        for j in reversed(range(n := sizes(self.literal)[size])):
            try:
                smaller = without(self.literal, self.subject.Cell, size, j) if n > 1 else []
            except Exception:  # the shapes of the weights do not tell which entries to leave out
                return
            if any(map(self._take, smaller)):
                n -= 1
            elif n > MANY:
                return

    def _round(self, k):
        """All numbers of one part at once: to +-1, to few digits."""
        part = np.ravel(parts(self.literal)[k])
        j = np.flatnonzero(part)
        for values in (np.ones(j.size), np.sign(part[j]), _digits(part[j], 1), _digits(part[j], 2)):
            if j.size < 2 or (_simple(part[j]) and not _simple(part[j], 1)) or self._try(k, j, values):
                return

    def _simplify(self, k, j):
        """One number: +-1, the nearest power of two, one digit, two; then the least magnitude of two digits."""
        v = float(np.ravel(parts(self.literal)[k])[j])
        if abs(v) == 1 or not np.isfinite(v):
            return
        sign, power = np.copysign(1, v), 2.0 ** np.clip(np.round(np.log2(abs(v))), -1000, 1000)
        for new in (sign, -sign, 2 * sign, 0.5 * sign, _digits(v, 1), sign * power, _digits(v, 2), _digits(v, 3)):
            if _rank(new) < _rank(v) and self._try(k, [j], new):
                break
        else:
            new = v
        low, high = 1.0, abs(new)
        while high > LARGE:  # low does not fail, high does
            middle = float(_digits(np.sqrt(low * high) if high > 100 * low else (low + high) / 2, 2))
            if not low < middle < high:
                break
            low, high = (low, middle) if self._try(k, [j], sign * middle) else (middle, high)


def _rank(v):
    """How hard a number is to read: digits first, then the distance of its magnitude from 1."""
    digits = len(f"{abs(v):.16e}".split("e")[0].replace(".", "").rstrip("0"))
    return (max(digits, 1), abs(np.log10(abs(v))))


def _simple(values, digits=2):
    return bool((values == _digits(values, digits)).all())


def _digits(values, n):
    """Rounded to n significant digits."""
    values = np.asarray(values, dtype=float)
    return np.vectorize(lambda v: float(f"{v:.{n - 1}e}"), otypes=[float])(values)


def parts(literal):
    """[*weights, x, *state, *first upstream, *second upstream]."""
    return [*literal.weights, literal.x, *literal.state, *(u for given in literal.given for u in given)]


def _rounded(literal, digits):
    """The literal problem with all its numbers to so many digits."""
    for k, part in enumerate(parts(literal)):
        literal = with_part(literal, k, _digits(part, digits).astype(part.dtype) if part.size else part)
    return literal


def with_part(literal, k, new):
    """The literal problem with its part k replaced."""
    every = [new if j == k else part for j, part in enumerate(parts(literal))]
    n, s = len(literal.weights), len(literal.state)
    given, rest = [], every[n + 1 + s :]
    for upstream in literal.given:
        given.append(tuple(rest[: len(upstream)]))
        rest = rest[len(upstream) :]
    return replace(literal, weights=every[:n], x=every[n], state=tuple(every[n + 1 : n + 1 + s]), given=given)
