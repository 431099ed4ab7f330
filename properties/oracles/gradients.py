"""Judges gradients: compares what vjp claims along a direction with the derivative that an oracle finds there."""

from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from math import frexp

import numpy as np
from cellcheck.cells.contract import Gradients
from cellcheck.properties.oracles.analytic import AnalyticStep
from cellcheck.properties.oracles.chained import Chained
from cellcheck.properties.oracles.chebyshev import Chebyshev, Differences
from cellcheck.properties.oracles.complex_step import ComplexStep, parts_of
from cellcheck.properties.oracles.function import Function, rebound
from cellcheck.properties.oracles.handshake import LADDER, Handshake, handshake
from cellcheck.properties.oracles.memory import LARGE, copied, give_back, taken
from cellcheck.properties.oracles.noisy import Noise, noisy
from cellcheck.properties.oracles.shadow import shadow
from cellcheck.properties.oracles.wide import Widened
from cellcheck.properties.verdicts import bound
from cellcheck.properties.verdicts.blocks import Block, certifies, misshapen
from cellcheck.properties.verdicts.run import claimed

AGREES = 1e-3  # a share of what certifies: so close, a claim is certified without measuring the bound
HOPELESS = 1e3  # an error of so many bounds is violated whatever more draws would show
ENTRIES = 64  # arrays up to this size are shown entry by entry when they are wrong
EXTREME = 1e-200  # a claim below it, or above its inverse, gets a direction of its own
TURNED = 3  # directions with other signs, in which a kink is looked for as well
SLIGHT = 1e-6  # of what the bound is a share of: a smaller error may be noise of the cell that does not move with ulps
UNSHARP = 0.1  # an oracle whose own error is a larger share of the derivative than this declares no violation
NEAR = 4  # draws of roundings that a copy in float64 is not accused of
EVEN = 3  # gates of one array whose claims differ by at most 2^EVEN share a scale
# Oracles, the least demanding first.
DEMANDING = (*LADDER, Chebyshev, Differences)
CHAIN = 3  # steps at most of a cell with states that vjp treats as constants
NEARBY = 1e-3  # by so much numbers are moved away from a tie: relatively, or from 0
TINY = 1e-6  # of an error: the least kink beside a tie
ALIKE, APART = 1e-6, 1e-2  # of a claim and a difference quotient, relatively: surely right, and surely wrong
REACH = 40  # regions whose claims differ by less than 2^REACH share a direction


def gradients(Cell, problem, part):
    """The blocks of one part of vjp, "weights", "x" or "state", for the cell that the problem builds.

    A cell of which some states are constants for vjp runs for some steps, see `Chained`. In low precision the bound is wide. So a copy
    that computes in float64, backward included, is judged as well; there, roundings of the cell's own unit are allowed.
    """
    cell, x, state = problem.build(Cell)
    hand = handshake(Cell)
    if cell.spec.chained:
        cell = Chained(cell, steps_taken(cell.spec, problem))
    blocks = judged(cell, x, state, problem, hand, (part,))
    if hand.wide_backward and not cell.spec.chained and not any(b.verdict == "violated" for b in blocks):
        unit, given = cell.spec.unit(x.dtype), (x.astype(float), tuple(s.astype(float) for s in state))
        with suppress(ArithmeticError, TypeError, ValueError, RuntimeError):  # raised by the copy, which is not the user's
            found = judged(hand.copied(cell), *given, problem, hand, (part,), coarse=unit)
            blocks += [replace(b, note=f"{b.note}, in float64") for b in found]
    return blocks


def steps_taken(spec, problem):
    """How many steps a step cell takes in these laws: several if vjp treats some of its states as constants, and not all."""
    several = spec.chained and "state" in spec.gradients and not spec.sequence
    return 1 + getattr(problem, "recipe", problem).seed % CHAIN if several else 1


def judged(cell, x, state, problem, hand, parts, coarse=0.0):
    """The blocks of the given parts of vjp, with a verdict on each gate of each weight. Shapes come first.

    Along directions v aligned with the claim's signs, and along a random one through all arrays, <claim, v> must equal the
    oracle's derivative of <upstream, apply> within the one bound. coarse: the relative rounding to allow in the claim, 0 for none.
    """
    judge, blocks = prepared(cell, x, state, problem, hand, parts)
    if judge is None:
        return blocks
    if coarse:
        judge.coarse, judge.unit, judge.certifies = coarse, 2.0**-53, certifies(2.0**-53)
    blocks = judge.aligned()
    if blocks and not any(b.verdict == "violated" for b in blocks):
        blocks += judge.random()
    blocks = [judge.shown(b) if b.verdict == "violated" else b for b in blocks]
    judge.release()
    return blocks


def prepared(cell, x, state, problem, hand, parts):
    """(the Judge of these parts, no blocks), or (None, the blocks of the shapes that are wrong)."""
    arrays, names = [copied(a) for a in (*cell.weights, x, *state)], cell.spec.array_names
    function = Function(Widened(cell) if hand.copied is Widened else cell, hand.rebinds)
    if not hand.wide:  # of a cell in low precision: its equations, else differences of its own numbers
        known = shadow(cell, x, state)
        function = Function(known) if known else Function(cell, hand.rebinds, x.dtype)
        hand = Handshake(True, (ComplexStep if known else Differences,) * len(arrays), wide=bool(known))
    outputs = cell.apply(x, *state)
    [upstream] = problem.upstreams(1, outputs, cell.spec)
    upstream = [u if y.differentiable else np.zeros_like(u) for u, y in zip(upstream, cell.spec.outputs)]
    given = cell.vjp(*(u.copy() for u in upstream))
    claims = claimed(cell, given, parts)
    asked = [k for k, (_, wanted) in enumerate(claims) if wanted and arrays[k].size]
    wrong = [misshapen(names[k], claims[k][0], arrays[k].shape) for k in asked]
    if any(wrong):
        return None, [block for block in wrong if block]
    values = {k: copied(claims[k][0]) for k in asked}
    judge = Judge(cell.spec, function, hand, arrays, upstream, values, x.dtype)
    judge.cell, judge.parts, judge.dtype = cell, parts, x.dtype
    cast = [np.finfo(y.dtype).eps / 2 for y in outputs if y.dtype.kind == "f" and y.dtype.itemsize < x.dtype.itemsize]
    judge.noise = max([judge.noise, *cast])  # of an output that is float32, though all else is float64
    judge.regions = [region for region in cell.spec.regions if region.k in asked]
    judge.directions = dict(zip(asked, problem.directions([arrays[k] for k in asked])))
    for k in asked:
        if domain := cell.spec.arrays[k].domain:  # so that real steps along it stay inside
            judge.directions[k] = judge.directions[k] * np.minimum(1.0, domain.room(arrays[k]))
    if "clip" in cell.spec.choices and not cell.spec.takes_upstream:
        judge.directions = {k: np.where(_clipped(cell.spec, x, upstream, values[k]), 0.0, v) for k, v in judge.directions.items()}
    judge.names = names
    judge.given = given
    judge.chained = cell.spec.sequence or cell.spec.weight_blocks is None
    return judge, []


class Judge:
    """Compares claims with the oracles at one point; measures the bound only when a claim is not obviously right."""

    regions: list  # what gets a verdict of its own
    directions: dict  # v by the index of its array
    names: list  # of all arrays
    given: Gradients  # all gradients
    chained: bool  # a sequence, or unknown equations: a matrix may be behind another
    coarse = 0.0  # the relative rounding to allow in a claim of `cell`, about its `parts`, beside that of the unit

    def __init__(self, spec, function, hand, arrays, upstream, claims, dtype):
        """arrays: the point; upstream: one array per output; claims: by the index of their array; dtype: of the cell's arithmetic."""
        self.function, self.hand, self.claims = function, hand, claims
        self.oracles: dict[type, ComplexStep | Chebyshev] = {}
        self.entries: dict[tuple, np.ndarray] = {}  # the derivatives by single entries that each oracle has found so far
        self.upstream = tuple(np.asarray(u, dtype=float) for u in upstream)
        self.arrays = [a.astype(float, copy=False) for a in arrays]
        self.spec, self.unit, self.certifies = spec, spec.unit(dtype), certifies(spec.unit(dtype))
        low = np.float64 not in spec.dtypes
        self.largest = spec.largest(dtype)
        self.noise = 2.0**-53 if low and hand.wide else self.unit  # of what the oracles evaluate
        self.terms = spec.features + spec.state * bool(spec.states)

    @cached_property
    def size(self):
        """F of the bound, without the factor of the direction."""
        n = len(self.function.cell.weights)
        return bound.size(self.spec, self.arrays[:n], self.arrays[n], self.arrays[n + 1 :], self.upstream)

    def aligned(self):
        """The blocks of the regions, along |v| with the signs of the claims: several at once if that certifies them, else one by one."""
        signed = {k: self.signed(k) for k in self.directions}
        parts = [[(index, signed[k][index], 1.0) for index in indices] for _, k, indices in self.regions]
        claims = [sum([_inner(self.claims[r.k][i], v) for i, v, _ in part]) for r, part in zip(self.regions, parts)]
        settled: dict[int, Block] = {}
        for members in self._alike(claims):
            settled.update(self._together(signed, parts, claims, members))
        blocks = [settled.get(j) or self.verdict(r.name, {r.k: parts[j]}) for j, r in enumerate(self.regions)]
        give_back(signed.values())
        return blocks

    def signed(self, k):
        """|v| of array k with the signs of its claim."""
        v, claim = self.directions[k], self.claims[k]
        return np.copysign(v, claim, out=taken(v.shape) if v.size >= LARGE else None)

    def release(self):
        """Give back the memory of large arrays; the Judge must not be used afterwards."""
        give_back([*self.arrays, *self.claims.values()])
        for oracle in self.oracles.values():
            if isinstance(oracle, ComplexStep):
                oracle.release()

    def random(self):
        """No blocks if the claims agree along the random directions taken together, else the violated blocks array by array."""
        whole = self.verdict(" + ".join(self.names[k] for k in self.directions), self.directions)
        if whole.verdict != "violated":
            return []
        alone = [self.verdict(self.names[k], {k: v}) for k, v in self.directions.items()]
        return alone if any(b.verdict == "violated" for b in alone) else [whole]

    def _alike(self, claims):
        """Groups of two or more regions that can share one complex direction: all their <claim, v> are zero, or of similar size."""
        sizes = [frexp(claim)[1] if EXTREME < claim < 1 / EXTREME else None for claim in claims]
        top = max((e for e in sizes if e is not None), default=0)
        groups: dict[tuple, list[int]] = {}
        oracles = {k: self._oracle([k]) for k in self.directions}
        for j, (region, e) in enumerate(zip(self.regions, sizes)):
            oracle = oracles[region.k]
            if isinstance(oracle, ComplexStep) and (claims[j] == 0 or e is not None):
                groups.setdefault((oracle.name, "zero" if e is None else (top - e) // REACH), []).append(j)
        return [members for members in groups.values() if len(members) > 1]

    def _together(self, signed, parts, claims, members):
        """The blocks of these regions by number if one direction through all of them certifies each of them, else no blocks.

        Each region is scaled by a power of two such that all weigh alike: the fault of one is not lost in others. An array whose
        regions differ by no more than EVEN is scaled as a whole, which takes half the time.
        """
        sizes, direction = {j: frexp(claims[j])[1] for j in members}, {}
        own = {k: [j for j in members if self.regions[j].k == k] for k in signed}
        for k, js in own.items():
            inside = [sizes[j] for j in js]
            if js and max(inside) - min(inside) <= EVEN and sum(v.size for j in js for _, v, _ in parts[j]) == signed[k].size:
                sizes.update(dict.fromkeys(js, max(inside)))
                direction[k] = [(..., signed[k], max(inside))]
            elif js:
                direction[k] = [(index, v, sizes[j]) for j in js for index, v, _ in parts[j]]
        least = min(sizes.values())
        direction = {k: [(index, v, 2.0 ** (least - e)) for index, v, e in scaled] for k, scaled in direction.items()}
        scales = [2.0 ** (least - sizes[j]) for j in members]
        shares, oracle = [claims[j] * scale for j, scale in zip(members, scales)], self._oracle(direction)
        excess = sum(shares) - self._value(oracle, direction)
        if not abs(excess) <= AGREES * self.certifies * min(shares):
            return {}
        note, verdict = oracle.name, "certified" if any(shares) else "trivial"
        found = [(self.regions[j], claims[j], excess / scale) for j, scale in zip(members, scales)]
        blocks = [Block(r.name, got, got - off, abs(off), 0.0, verdict, note=note, array=r.k) for r, got, off in found]
        return dict(zip(members, blocks))

    def verdict(self, name, direction, oracle=None):
        """The block of one direction: certified if the two agree; violated only beyond the bound, and if real numbers do not contradict.

        direction: v by the index of its array: all of it, or a list of (index, part, scale of the part), zero elsewhere. oracle: in
        the place of the one that the cell admits.
        """
        oracle = oracle or self._oracle(direction)
        if bound.ROUGHLY.get() and (rough := self._rough(name, direction, oracle)):
            return rough
        value = self._value(oracle, direction)
        if not np.isfinite(value) and not isinstance(oracle, Chebyshev):
            oracle = self._real()
            value = oracle.value(self.arrays, direction)
        with np.errstate(all="ignore"):
            got = self._claimed(direction)
        block = Block(name, got, value, note=oracle.name, array=next(iter(direction)) if len(direction) == 1 else None)
        if not np.isfinite(value):
            return replace(block, verdict="inconclusive", note="no oracle")
        block.error = abs(got - value)
        if got == value == 0:
            return replace(block, verdict="trivial")
        if not np.isfinite(got):
            beyond = abs(value) > self.largest * sum(float(np.abs(scale * v).sum()) for *_, v, scale in parts_of(direction))
            return replace(block, verdict="inconclusive" if beyond else "violated", note="overflow" if beyond else block.note)
        close = max(self.certifies, oracle.resolution)
        if block.error <= AGREES * close * abs(value):
            return block
        floor = bound.FACTOR * self.unit * self._magnitude(direction) + bound.TINY + oracle.error()
        block.bound = floor if np.isfinite(floor) else np.inf
        few, many = bound.DRAWS.get()
        if block.error > block.bound / 2:
            block.bound = floor + bound.FACTOR * self._sensitivity(oracle, value, direction, few)
            if block.bound / 2 < block.error <= HOPELESS * block.bound:
                enough = (2 * block.error - floor) / bound.FACTOR
                block.bound = floor + bound.FACTOR * self._sensitivity(oracle, value, direction, many, enough)
        if block.error > block.bound and self.chained:
            block.bound += bound.FACTOR * self.unit * self._of_steps(direction)
        if block.error > block.bound and (self.coarse or (self.spec.kind is None and self.spec.deterministic)):
            block.bound += bound.FACTOR * self._of_roundings(direction)
            if block.bound < block.error < SLIGHT * (size := self._magnitude(direction)):
                block.bound += bound.FACTOR * Chebyshev(self.function, self.upstream).ripple(self.arrays, direction) * size
        if block.error > block.bound and oracle.error() > UNSHARP * max(abs(got), abs(value)):
            return replace(block, verdict="inconclusive", bound=np.inf, note=f"{oracle.name}, lost in noise")
        if block.error > block.bound and (other := self._continued(oracle, block, direction)):
            return self.verdict(name, direction, other)
        if block.error > block.bound:
            note = ""
            if self._refuted(oracle, block, direction):
                note = f"{oracle.name}, contradicted by real numbers"
            elif self._kinked(oracle, direction, block.error):
                note = "a kink, and so no derivative"
            elif self._tied(oracle, block, direction):
                note = "a tie, and so no derivative"
            return replace(block, verdict="inconclusive", bound=np.inf, note=note) if note else replace(block, verdict="violated")
        return replace(block, verdict="certified" if block.error <= close * abs(value) else "inconclusive")

    def _rough(self, name, direction, oracle):
        """The block as a difference quotient has it, where that tells right from wrong; else None. Kinks are not looked for."""
        if isinstance(oracle, Differences):
            return None
        value = self._value(oracle, direction) if isinstance(oracle, ComplexStep) else oracle.quotient(self.arrays, direction)
        with np.errstate(all="ignore"):
            got, array = self._claimed(direction), next(iter(direction)) if len(direction) == 1 else None
            size = max(abs(got), abs(value))
            block = Block(name, got, value, abs(got - value), ALIKE * size, note=oracle.name, array=array)
        if block.error <= block.bound:
            return replace(block, verdict="certified" if size else "trivial")
        return replace(block, verdict="violated") if block.error >= APART * size and np.isfinite(size) else None

    def _value(self, oracle, direction):
        """The derivative of the oracle; NaN if the cell takes no complex numbers here, in a branch that the handshake has not seen."""
        try:
            return oracle.value(self.arrays, direction)
        except Exception:
            if isinstance(oracle, Chebyshev):
                raise
            return np.nan

    def _claimed(self, direction):
        """<claim, v>."""
        return sum([scale * _inner(self.claims[k][index], v) for k, index, v, scale in parts_of(direction)])

    def _magnitude(self, direction):
        """sum|g v| + F sum|v|, of the bound."""
        parts = [(k, index, scale * v) for k, index, v, scale in parts_of(direction)]
        claimed = sum(np.abs(self.claims[k][index] * v).sum() for k, index, v in parts)
        return float(claimed + self.size * sum(np.abs(v).sum() for *_, v in parts))

    def _of_roundings(self, direction):
        """What roundings of the cell's unit may change of <claim, v>: of every number in each step, and of all that it is given.

        Unknown equations may divide by a small difference. The claim then moves with the ulps of what it is made of, and the
        derivative need not.
        """
        steps = max(len(self.arrays[len(self.spec.weights)]), 1) if self.spec.sequence else 1
        terms = [(k, index, scale * v) for k, index, v, scale in parts_of(direction)]
        own = sum(np.abs(self.claims[k][index] * v).sum() for k, index, v in terms)
        moves = [abs(sum(_inner(near[k][index] - self.claims[k][index], v) for k, index, v in terms)) for near in self.nearby]
        return float(steps * self.coarse * own + max(moves, default=0.0))

    @cached_property
    def nearby(self):
        """The claims where every number that the cell is given is moved by its unit, for a few draws of signs.

        In half of them, results of operations are rounded at random as well: a softmax may subtract what is nearly equal, and does
        not move with what it is given. None of a cell that does not repeat its claims where nothing is moved: what it draws is no
        rounding.
        """
        found, unit = [], self.coarse or self.unit
        rounded = NEAR * (self.dtype == np.float64)  # draws, as such arrays are of float64
        for draw in range(NEAR + rounded + 1 if self.hand.rebinds else 0):
            rng, step = np.random.default_rng(draw), unit * (draw > 0)
            moved = [a * np.where(rng.integers(0, 2, a.shape, bool), 1 + step, 1 - step) for a in self.arrays]
            moved = [np.asarray(a, self.dtype) for a in (self.spec.folded(moved) if self.spec.bounded else moved)]
            if draw <= NEAR:
                found.append(self._claims_at(moved))
            else:
                with suppress(Exception):  # a cell that does not take such arrays
                    found.append(self._claims_at([noisy(a, Noise(rng, unit)) for a in moved]))
            if not draw and not self.coarse and not all(np.array_equal(found[0][k], g) for k, g in self.claims.items()):
                return []
        return found

    def _claims_at(self, arrays):
        """The claims of a copy of the cell at these arrays."""
        n = len(self.spec.weights)
        copied = rebound(self.cell, arrays[:n])
        copied.apply(*arrays[n:])
        claims = claimed(copied, copied.vjp(*(u.astype(self.dtype) for u in self.upstream)), self.parts)
        return {k: np.array(claims[k][0], dtype=float) for k in self.claims}

    def _claim_along(self, direction, arrays):
        """<claim, v> of a copy of the cell at these arrays."""
        claims = self._claims_at([np.asarray(a, self.dtype) for a in arrays])
        return sum(scale * _inner(claims[k][index], v) for k, index, v, scale in parts_of(direction))

    def _of_steps(self, direction):
        """F of all steps of a sequence, or matrices behind another.

        With sum|v| for the first, and for the others what the outputs before them move by.
        """
        n = len(self.function.cell.weights)
        offered = [g for g, _ in claimed(self.cell, self.given, self.spec.gradients) if g is not None]
        largest = max((np.max(np.abs(g), initial=0.0) for g in (*self.claims.values(), *offered)), default=0.0)
        size = bound.size_of_steps(
            self.spec, self.arrays[:n], self.arrays[n], self.arrays[n + 1 :], self.upstream, float(largest)
        )
        start = sum(np.abs(scale * v).sum() for *_, v, scale in parts_of(direction))
        return float(size * (start + Chebyshev(self.function, self.upstream, self.noise).moves(self.arrays, direction)))

    def _sensitivity(self, oracle, value, direction, draws, enough=np.inf):
        """S: the largest change of the derivative when every input changes by `terms` ulps; infinite if it becomes NaN or infinite.

        enough: so large an S settles the verdict, and a slow oracle is asked no more.
        """
        rng, step = np.random.default_rng(draws), self.unit * self.terms
        moves = [0.0]
        for _ in range(draws):
            moved = [np.asarray(a * np.where(rng.integers(0, 2, a.shape, bool), 1 + step, 1 - step)) for a in self.arrays]
            moved = self.spec.folded(moved) if self.spec.bounded else moved
            moves.append(abs(oracle.value(moved, direction) - value))
            if not np.isfinite(moves[-1]):
                return np.inf
            if isinstance(oracle, Chebyshev) and moves[-1] >= enough:
                break
        return max(moves)

    def _continued(self, oracle, block, direction):
        """The analytic step if complex step is wrong here, in a branch that the handshake has not seen; else None.

        A difference quotient must confirm it: what does not continue a function at all returns 0, as a wrong claim may be.
        """
        if type(oracle) is not ComplexStep:
            return None
        other = AnalyticStep(oracle.function, self.upstream)
        with suppress(Exception):  # of a function that takes no such arrays
            value = other.value(self.arrays, direction)
            apart = abs(value - block.expected)
            quotient = Chebyshev(self.function, self.upstream, self.noise).quotient(self.arrays, direction)
            return other if apart > block.bound and abs(quotient - value) < apart / 10 else None
        return None

    def _refuted(self, oracle, block, direction):
        """Whether real numbers confirm the claim: then the oracle is wrong, in complex arithmetic or by interpolation over a feature.

        A plain difference quotient settles most cases at once, by lying ten times closer to the oracle, or to the claim, than these
        do to each other. Where it is too rough, interpolation decides.
        """
        real, tenth = Chebyshev(self.function, self.upstream, self.noise), abs(block.got - block.expected) / 10
        quotient = real.quotient(self.arrays, direction)
        if not isinstance(oracle, Chebyshev) and abs(quotient - block.expected) < tenth:
            return False
        if real.near(self.arrays, direction, block.got, tenth):
            return True
        if isinstance(oracle, Chebyshev):
            return False
        value = real.value(self.arrays, direction)
        if not np.isfinite(value):
            return abs(quotient - block.got) < tenth
        slack = block.bound + real.error()
        return abs(block.got - value) <= slack < abs(block.expected - value)

    def _kinked(self, oracle, direction, error):
        """Whether there is a jump, or the slopes to both sides differ, and still do from nearer: at a tie of relu there is no derivative."""
        if self._jumps(oracle, self.arrays, direction):
            return True
        if self._bent(oracle, self.arrays, direction, error / 10, self.upstream):
            return True
        if all(map(np.all, self.arrays)):
            return False
        rng = np.random.default_rng(0)  # where numbers are 0, two kinks may cancel in one direction, and not in another
        for _ in range(TURNED):
            other: dict[int, list] = {}
            for k, index, v, scale in parts_of(direction):
                other.setdefault(k, []).append((index, v * rng.choice((-1, 1), np.shape(v)), scale))
            if self._bent(oracle, self.arrays, other, error / 10, self.upstream):
                return True
        return False

    def _jumps(self, oracle, arrays, direction):
        """Whether there is a jump at these arrays.

        The difference quotient over 1/16 of the distance is then 16 times as large, from however near, and beyond any derivative.
        """
        real = Chebyshev(self.function, self.upstream, self.noise)
        rises = [(real.rise(arrays, direction, t), real.rise(arrays, direction, t / 16)) for t in real.beside]
        seen = all(near > 100 * real.blur(arrays, direction, t / 16) for t, (_, near) in zip(real.beside, rises))
        steep = all(near > 8 * far > 0 for far, near in rises)
        return seen and steep and rises[-1][1] > abs(oracle.value(arrays, direction))

    def _bent(self, oracle, arrays, direction, least, upstream):
        """Whether there is a kink of at least this size at these arrays, for this upstream.

        What bends smoothly differs by 1/16 of that from 1/16 of the distance; what rounding may have made is no kink.
        """
        real = Chebyshev(self.function, upstream, self.noise)
        for judge in (type(oracle)(oracle.function, upstream) if isinstance(oracle, ComplexStep) else real, real):
            for t in judge.beside:
                far = judge.bend(arrays, direction, t)
                if far > least:
                    near = judge.bend(arrays, direction, t / 16)
                    if abs(near - far) < far / 10 and near > 100 * judge.blur(arrays, direction, t / 16):
                        return True
        return False

    def _tied(self, oracle, block, direction):
        """Whether the claim is wrong at this very point alone, where numbers of several arrays meet: relu(z) - relu(-z) at z = 0.

        Then it is right once all numbers are moved a little, and also if any one of the arrays stays as it is. A cell that treats
        x = 0 in a way of its own is wrong wherever x stays 0. And there is a kink once some array alone is moved: a cell that treats
        z = 0 in a way of its own has none, if its function is smooth. Where x stays 0 there may be a jump instead, which only the
        zeros of other arrays hide: a masked step keeps h, and at h = 0 that is what an unmasked one returns.
        """
        if not self.hand.rebinds:
            return False
        rng, most = np.random.default_rng(0), block.error / 10
        moves = [rng.choice((-1, 1), a.shape) * rng.uniform(1, 3, a.shape) * np.where(a == 0, 1.0, a) for a in self.arrays]
        near = [np.asarray(a + NEARBY * move) for a, move in zip(self.arrays, moves)]
        near = self.spec.folded(near) if self.spec.bounded else near
        every, jumps = range(len(near)), False
        for kept in (None, *every):
            point = [a if k == kept else b for k, (a, b) in enumerate(zip(self.arrays, near))]
            got = self._claim_along(direction, point)
            if isinstance(oracle, ComplexStep):
                right = abs(got - oracle.value(point, direction)) < most
            else:
                right = Chebyshev(self.function, self.upstream, self.noise).near(point, direction, got, most)
            if not right and (kept is None or not self._jumps(oracle, point, direction)):
                return False
            jumps |= not right
        if jumps:
            return True
        alone = ([b if k == one else a for k, (a, b) in enumerate(zip(self.arrays, near))] for one in every)
        ones = [np.ones(u.shape) for u in self.upstream]
        return any(self._bent(oracle, point, direction, TINY * block.error, ones) for point in alone)

    def _oracle(self, direction):
        """The oracle for this direction: of those that its arrays need, the least demanding one."""
        kind = max([self.hand.oracles[k] for k in direction], key=DEMANDING.index)
        if kind not in self.oracles:
            if kind is Differences:
                self.oracles[kind] = Differences(self.function, self.upstream, self.noise)
            else:
                self.oracles[kind] = self._real() if kind is Chebyshev else kind(self.function, self.upstream)
        return self.oracles[kind]

    def _real(self):
        """An oracle that needs real numbers only: the complex step of the shadow if the equations are known, else Chebyshev."""
        if self.shadow is None:
            return Chebyshev(self.function, self.upstream, self.noise)
        return ComplexStep(Function(self.shadow), self.upstream)

    @cached_property
    def shadow(self):
        """The Shadow of the cell at this point, or None. It runs the cell again, so the claims must have been copied before."""
        n, cell = len(self.function.cell.weights), self.function.cell
        return shadow(cell, self.arrays[n], self.arrays[n + 1 :])

    def shown(self, block):
        """The violated block; if its array is small, with claim and derivative entry by entry."""
        if block.array is None:
            return block
        k, claim = block.array, self.claims[block.array]
        oracle = self._oracle({k: claim})
        if block.note != oracle.name:  # another one had to take its place
            oracle = AnalyticStep(self.function, self.upstream) if block.note == AnalyticStep.name else self._real()
        if claim.size > (8 if isinstance(oracle, Chebyshev) else ENTRIES):
            return block
        expected = self._entries(k, oracle)
        error = np.where(self.directions[k] != 0, np.abs(claim - expected), 0.0)
        if not np.isfinite(expected).all():
            return block
        worst = np.unravel_index(np.argmax(np.where(np.isnan(error), np.inf, error)), error.shape)
        if error[worst] <= block.bound:
            return block
        return replace(block, got=claim, expected=expected, index=tuple(map(int, worst)))

    def _entries(self, k, oracle):
        """The derivative with respect to each entry of array k; computed once for all gates of that array."""
        key = k, oracle.name
        if key not in self.entries:
            found = np.zeros_like(self.claims[k])
            rough = bound.ROUGHLY.get() and type(oracle) is Chebyshev
            for index in np.ndindex(found.shape):
                v = np.zeros_like(found)
                v[index] = 1.0
                found[index] = (oracle.quotient if rough else oracle.value)(self.arrays, {k: v})
            self.entries[key] = found
        return self.entries[key].copy()


def _clipped(spec, x, upstream, claim):
    """Where a loss that declares a clip claims that very number: what it clipped is lost, and not compared."""
    rows = x.shape[spec.sequence] if spec.choices.get("mean") else 1
    at = np.abs(upstream[0]) * spec.choices["clip"]
    return np.isclose(np.abs(claim), at, 1e-6, 0) | np.isclose(np.abs(claim), rows * at, 1e-6, 0)


def _inner(a, b):
    """sum a b; large parts of matrices are summed row by row, which needs no copy."""
    whole = a.size < LARGE or (a.flags.c_contiguous and b.flags.c_contiguous)
    return float(np.vdot(a, b) if whole else (a[..., None, :] @ b[..., None]).sum())
