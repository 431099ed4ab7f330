"""The case on which mistakes are told apart: sizes all different, numbers ordinary, every derivative known."""

from contextlib import suppress
from dataclasses import replace
from functools import cached_property, lru_cache

import numpy as np
from cellcheck.cells import lift
from cellcheck.cells.lift import Lifted
from cellcheck.properties.intake.conventions import STATES
from cellcheck.properties.oracles.chebyshev import Chebyshev
from cellcheck.properties.oracles.function import Function, rebound
from cellcheck.properties.oracles.handshake import handshake, in_float64
from cellcheck.properties.reports.recording import Behind, RecordedGuest
from cellcheck.properties.verdicts.run import outcome
from cellcheck.strategies import Literal, Problem

SIZES = {"batch": 3, "features": 4, "state": 5, "steps": 4}  # at (1, 1, 1) transposed, scaled and swapped are all the same
PLAIN = replace(Problem(seed=6, scale=1.0), **SIZES)  # type: ignore[arg-type]
LONG = replace(PLAIN, batch=1, features=1, state=2)  # for as many steps as a case has
LOST = 1e-13  # of the largest gradient: what 1 - t^2 has lost where it is saturated, in right cells, too
CLOSE = 1e-8  # derivatives by complex step agree to 1e-12, by differences to 1e-9
ROUGH, SINGLE = 1e-6, 1e-2  # by differences after many roundings, and in float32
ROUNDINGS = 2**8  # units by which sums of a few dozen rounded terms may be off: 1.5e-5 in float32
STEP, LOW_STEP, TINY_STEP = 1e-5, 2.0**-6, 2.0**-100


def close(a, b, tolerance=CLOSE):
    """Whether two arrays are the same but for rounding, and not both zero."""
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if a.shape != b.shape or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return False
    scale = max(np.max(np.abs(a), initial=0.0), np.max(np.abs(b), initial=0.0))
    return bool(scale > 0 and np.max(np.abs(a - b)) <= tolerance * scale)


def same(a, b, tolerance=CLOSE):
    """close, or both zero, or both empty."""
    return close(a, b, tolerance) or (np.shape(a) == np.shape(b) and not np.any(a) and not np.any(b))


def ample(Cell, problem):
    """The recipe at sizes that the cell takes: near what they were, rather larger, and unlike each other where that can be."""
    chosen, declared = {}, {name: some for name, some in lift(Cell).sizes.items() if not any(isinstance(n, str) for n in some)}
    for name, some in sorted(declared.items(), key=lambda size: len(size[1])):  # those with the least choice first
        wanted, some = getattr(problem, name), sorted(n for n in some if n > 1)
        if wanted > 1 and some:
            near = sorted(some, key=lambda n: n - wanted if wanted <= n <= 2 * wanted else 2 * wanted + abs(n - wanted))
            chosen[name] = next((n for n in near if n not in chosen.values()), near[0])
    free = {"features": problem.features, "state": problem.state, "batch": problem.batch}
    for name in [name for name in free if name not in lift(Cell).sizes]:
        chosen[name] = next(n for n in (free[name], 2, 6, 7, 8) if n not in chosen.values()) if free[name] > 1 else free[name]
    return replace(problem, **chosen) if declared else problem


class Grown:
    """A cell on one literal problem: what it claims, and the true derivatives of what it computes."""

    def __init__(self, Cell, problem=PLAIN):
        """Cell: the factory; problem: a recipe or a literal problem, of full size."""
        self.Cell, self.p = Cell, problem.literal(Cell) if isinstance(problem, Literal) else ample(Cell, problem).literal(Cell)
        self.cell, _, _ = self.p.build(Cell)
        if self.cell.spec.chained:  # only the gradients of the last output are derivatives, see `Chained`
            self.p = replace(self.p, given=[(*(0 * u for u in us[:-1]), us[-1]) for us in self.p.given])
        self.names, self.outputs = self.cell.spec.array_names, self.cell.spec.output_names
        self.kind, self.blocks, self.variant = self.cell.spec.kind, self.cell.spec.weight_blocks, self.cell.spec.variant
        self.single = np.float64 not in self.cell.spec.dtypes or "float32" in self.cell.spec.choices
        rough = any(issubclass(oracle, Chebyshev) for oracle in handshake(Cell).oracles)
        self.tolerance = SINGLE if self.single else ROUGH if rough else CLOSE  # of claims and the derivatives that are known
        low = 2.0**-24 if isinstance(Cell, Double) else self.p.spec.unit(self.p.x.dtype) if self.single else 0.0
        self.near = min(max(CLOSE, ROUNDINGS * low), SINGLE)  # of claims and what a mistake predicts
        self.n, self.gist = len(self.cell.weights), bool(self.cell.spec.scalar)
        self.plain = bool(self.cell.spec.plain)
        if self.kind in STATES and len(self.p.state) != len(STATES[self.kind]):  # it hides a state: nothing can be recomputed
            self.kind = None

    @cached_property
    def upstream(self):
        """The first upstream of the problem."""
        return self.p.given[0]

    def offered(self):
        """Names of the arrays of which the cell offers gradients."""
        return [name for name, part in zip(self.names, self.cell.spec.offers) if part in self.cell.spec.gradients]

    def ran(self, p=None):
        """Outputs and claimed gradients by name of a fresh cell on a problem, by default this one."""
        p = p or self.p
        return outcome(p.build(self.Cell)[0], p)

    def claims(self, upstream=None, p=None):
        """The claimed gradients by name, for another upstream or problem."""
        p = p or self.p
        found = self.ran(p if upstream is None else replace(p, given=[upstream, upstream]))
        return {name: np.asarray(found[name], dtype=float) for name in self.offered() if name in found}

    @cached_property
    def as_given(self):
        """What it runs to on the problem itself."""
        return self.ran()

    @cached_property
    def jacobian(self):
        """d outputs / d array for each array: (number of outputs in all, size of the array)."""
        return jacobian(self.Cell, self.p)

    def truth(self, upstream=None):
        """The true gradients by name, for an upstream, by default that of the problem."""
        u = np.concatenate([np.ravel(a) for a in upstream or self.upstream])
        arrays = [*self.p.weights, self.p.x, *self.p.state]
        return {name: (u @ J).reshape(a.shape) for name, a, J in zip(self.names, arrays, self.jacobian)}

    def masked(self, keep):
        """The upstream with all but some entries set to zero; keep(k, array) -> mask or factor of the k-th."""
        return tuple(np.asarray(u * keep(k, u)) for k, u in enumerate(self.upstream))

    @property
    def by_rows(self):
        """Whether every output has a row for each row of x, made of that one alone."""
        return (
            not self.cell.spec.choices.get("batch")
            and all(u.ndim >= 2 for u in self.upstream)
            and None not in map(self.cell.spec.batch_axis, self.outputs)
        )

    @property
    def batch(self):
        """The number of rows."""
        return self.p.batch

    def of_row(self, r):
        """The upstream of row r alone."""

        def keep(k, u):
            mask = np.zeros(u.shape)
            mask[(slice(None),) * self.cell.spec.batch_axis(self.outputs[k]) + (r,)] = 1
            return mask

        return self.masked(keep)

    @cached_property
    def by_row(self):
        """The true gradients of each row alone, by name; [] if those of the weights do not add up to those of all rows."""
        if self.by_rows:
            return [self.truth(self.of_row(r)) for r in range(self.batch)]
        if not self.gist or self.cell.spec.choices:
            return []
        with suppress(Exception):  # raised by a cell that takes no single row
            found, whole = [Grown(self.Cell, self.p.rows([r])).truth() for r in range(self.batch)], self.truth()
            if all(same(sum(row[name] for row in found), whole[name], self.tolerance) for name in self.names[: self.n]):
                return found
        return []


@lru_cache(maxsize=8)
def grown(Cell, problem):
    """The Grown of a recipe, kept: the laws that one cell breaks ask for the same."""
    return Grown(Cell, problem)


class Double(Behind):
    """The factory of a float32 cell whose weights and arguments are converted to float64."""

    def __call__(self, input_features, state_size):
        """A cell of these sizes."""
        cell = in_float64(self.Cell(input_features, state_size))
        parts = {
            name: tuple(replace(a, dtype=np.float64) for a in getattr(cell.spec, name))
            for name in ("inputs", "states", "outputs", "weights")
        }
        cell.spec = replace(cell.spec, dtypes=(np.float64,), precision=None, **parts)
        return cell


def lengths_of(spec, batch, steps):
    """Lengths for the rows of a Grown, all different; None where the cell takes none."""
    return np.array([2, spec.fewest_steps, steps])[:batch] if spec.lengths else None


class EndedGuest(RecordedGuest):
    """A guest whose rows always end early."""

    def _called(self, method, arguments, options):
        if method == "apply":
            steps, batch = arguments[0].shape[:2]
            options = {"lengths": lengths_of(self.mark, batch, steps)}
        return getattr(self.guest, method)(*arguments, **options)


class Ended(Behind):
    """The factory of a cell whose rows always end early, so that its gradients can be looked at as those of any other cell."""

    def __call__(self, input_features, state_size):
        """A cell of these sizes."""
        cell = self.Cell(input_features, state_size)
        return Lifted(EndedGuest(cell.guest, cell.spec), replace(cell.spec, lengths=False, kind=None))


@lru_cache(maxsize=8)
def doubled(Cell):
    """The `Double` of a float32 cell whose vjp then computes in float64, so that its mistakes show to all digits. Any other cell as it is."""
    hand = handshake(Cell)
    return Double(Cell) if hand.wide_backward and hand.copied is in_float64 else Cell


def jacobian(Cell, p):
    """d outputs / d array, one column for each entry, by the oracle that the cell admits."""
    cell, x, state = p.build(Cell)
    hand, arrays = handshake(Cell), [np.array(a, dtype=float) for a in (*cell.weights, x, *state)]
    function, found = Function(cell, hand.rebinds, None if hand.wide else x.dtype), []
    n = sum(np.size(y) for y in cell.apply(x, *state))
    for k, a in enumerate(arrays):
        if issubclass(hand.oracles[k], Chebyshev):
            columns = _quotients(function, arrays, k, STEP if hand.wide else LOW_STEP)
        else:
            columns = _slopes(cell, arrays, k, hand.oracles[k])
        found.append(np.array([np.concatenate([np.ravel(y) for y in ys]) for ys in columns]).T if a.size else np.zeros((n, 0)))
    return found


def _slopes(cell, arrays, k, oracle):
    """By complex step: one copy of the cell with array k complex, its entries moved one after the other."""
    moved = [oracle.number(a.astype(complex)) if j == k else a for j, a in enumerate(arrays)]
    n = len(cell.weights)
    copied = rebound(cell, moved[:n])
    own = k >= n or any(w is moved[k] for w in copied.weights)  # not so in torch, which copies what it is given
    for index in np.ndindex(arrays[k].shape):
        moved[k][index] += 1j * TINY_STEP
        copied = copied if own else rebound(cell, moved[:n])
        with oracle.surroundings():
            slopes = [np.imag(np.asarray(y)) / TINY_STEP for y in copied.apply(moved[n], *moved[n + 1 :])]
        yield slopes
        moved[k][index] = arrays[k][index]


def _quotients(function, arrays, k, step):
    for index in np.ndindex(arrays[k].shape):
        v = np.zeros(arrays[k].shape)
        v[index] = 1
        yield _quotient(function, arrays, k, v, step)


def _quotient(function, arrays, k, v, step):
    """Central differences."""
    plus, minus = (function([a + s * step * v if j == k else a for j, a in enumerate(arrays)]) for s in (1, -1))
    return [(np.asarray(y, dtype=float) - np.asarray(z, dtype=float)) / (2 * step) for y, z in zip(plus, minus)]


def figure(value):
    """A number in a sentence."""
    return f"{float(value):.3g}"


def gap(a, b):
    """The largest difference of two arrays, as a share of the larger."""
    scale = max(np.max(np.abs(a), initial=0.0), np.max(np.abs(b), initial=0.0)) or 1.0
    return float(np.max(np.abs(np.asarray(a) - b), initial=0.0) / scale)


def the(gate):
    """The gate in a sentence."""
    return "the candidate" if gate == "candidate" else f"the {gate} gate"
