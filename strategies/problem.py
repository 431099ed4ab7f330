"""What laws are quantified over: a small recipe that builds large arrays, and the same problem as literal arrays."""

import copy
from dataclasses import InitVar, dataclass, fields, replace
from functools import cache, cached_property, lru_cache
from itertools import product
from math import prod, sqrt
from types import MappingProxyType
from typing import NamedTuple
from zlib import crc32

import hypothesis.strategies as st
import numpy as np
from cellcheck.cells.lift import lift
from cellcheck.cells.spec import CellSpec, declared, fit
from hypothesis import reject


class Regime(NamedTuple):
    """Typical sizes of the entries of x, of the states before the last (c), of the last (h) and of the upstream; and what entries
    are like.
    """

    x: float = 1.0
    memory: float = 1.0
    last: float = 1.0
    upstream: float = 1.0
    entries: str = "dense"


REGIMES = {
    "plain": Regime(),
    "long memory": Regime(memory=40.0),
    "large states": Regime(memory=40.0, last=40.0),
    "large inputs": Regime(x=100.0),
    "small inputs": Regime(x=0.01),
    "large upstream": Regime(upstream=1000.0),
    "cold rows": Regime(memory=5.0, entries="cold rows"),
    "one-hot": Regime(memory=5.0, entries="one-hot"),
    "integers": Regime(memory=3.0, entries="integers"),
    "zeros": Regime(entries="zeros"),
}
BOUNDED = ("RNN", "LSTM", "GRU")  # kinds whose h lies within +-1
MANY_LOGITS = 30.0  # the largest scale of a loss
MANY_STEPS = 4.0  # the largest last state of a sequence: of a cubic, as an Euler step has, the next steps make powers
UPSTREAMS = ("every", "last", "first", "second", "one-hot")
# 5 comes first because counterexamples shrink towards it: 1 gets stuck on bugs of large pre-activations, 1e3 ends saturated.
SCALES = (5.0, 1.0, 0.3, 30.0, 1e3, 0.03, 1e-3, 1e-8, 1e6)
# One draw for three fields, since each draw costs as much as a forward pass; what differs from the defaults in fewer comes first.
STYLES = sorted(product(SCALES, REGIMES, UPSTREAMS), key=lambda s: (s[0] != SCALES[0]) + (s[1] != "plain") + (s[2] != "every"))
BATCHES = (1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 5, 7) * 5 + (32, 65)  # the large ones are rare: one or two in a hundred
SIZES = (1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 3, 4, 4, 4, 5, 5, 5, 6, 7, 8, 9)
STEPS = (1, 2, 2, 3, 3, 4, 5, 0, 1, 2, 3, 1, 2, 3, 1, 2) * 3 + (8, 12, 36)  # two in fifty are longer than eight
SEEDS = range(2**16)
TOGETHER = 20  # problems for each example of Hypothesis, whose own work costs as much as one or two of them
LONGEST = 10**6  # steps: more than any sequence has
LARGE = 130  # beyond a block of 128 units
FEATURES = STATES = SIZES * 2 + (33, LARGE)  # a problem of LARGE units takes as long as eight others
# Each shows the borders of other blocks.
RARE = {"batch": (32, 65), "features": (33, LARGE), "state": (33, LARGE), "steps": (12, 36)}
ROOM = 3  # the place in a family of a problem without a RARE size
LASTING = 1.0  # the scale at which gradients live longest: larger pre-activations are saturated, smaller weights let go
POOL, AHEAD = 65521, 97  # primes: larger directions repeat so many entries, never in step with rows or columns
BITS = np.random.PCG64(0)
START, STREAM = BITS.state, np.random.Generator(BITS)
# 2^128 / the golden ratio: the places of numbers that differ by little lie far apart in the period.
APART = 0x9E3779B97F4A7C15F39CC0605CEDC835
FILLED = 3  # of so many problems one has its bounded arrays spread between their ends; the same as GIVEN
GIVEN = 3  # of so many problems one has the given weights, if there are any
NORM = 3  # by so much a recurrent matrix of scale 1 may enlarge a state, in each step


@dataclass(frozen=True)
class Problem:
    """A recipe for a cell's weights, inputs, states and upstreams.

    batch, features, state, steps: sizes (steps is for sequence cells, others ignore it); seed: of all random numbers; scale:
    typical size of a pre-activation; regime: a name in REGIMES; upstream: which outputs receive one, a name in UPSTREAMS;
    dtype: of every array, None for the cell's own.
    """

    batch: int = 1
    features: int = 1
    state: int = 1
    steps: int = 1
    seed: int = 0
    scale: float = SCALES[0]
    regime: str = "plain"
    upstream: str = "every"
    dtype: type | None = None

    def __repr__(self):
        """The call that makes it; what has its default is left out, but for the sizes."""
        return self._call

    @cached_property
    def _call(self):
        values = [(f.name, getattr(self, f.name), f.default) for f in fields(self)]
        shown = [(name, value) for name, value, default in values if name in ("batch", "features", "state") or value != default]
        return "Problem(" + ", ".join(f"{name}={getattr(value, '__name__', None) or repr(value)}" for name, value in shown) + ")"

    def _stream(self, purpose):
        """The shared generator, set to where the numbers of this purpose and recipe begin; the next call moves it.

        A new one costs as much as a step of a small cell. The place is that of the whole recipe, since Hypothesis repeats seeds far
        more often than recipes.
        """
        BITS.state = START
        BITS.advance((purpose << 32 | self._digest) * APART)
        return STREAM

    @cached_property
    def _digest(self):
        """Of all but the dtype: a problem in another precision has the same numbers, rounded."""
        return crc32(self._call.encode()) if self.dtype is None else replace(self, dtype=None)._digest

    def family(self, sizes=MappingProxyType({})):
        """This problem and others, with this one as the seed: TOGETHER in all. sizes: those that a cell declares, by name.

        They are drawn from the lists of `problems`, but declared sizes as often as each other. Of each size, one problem has a RARE
        one, and the others have none: so no run is without them. In the problems of many steps and of many units, and in one whose
        states are large, gradients live. The simplest problem is alone, since Hypothesis begins with it.
        """
        if self == Problem(*(one[0] for one in (BATCHES, FEATURES, STATES, STEPS, SEEDS)), *STYLES[0]):
            return [self]
        usual = {"batch": BATCHES, "features": FEATURES, "state": STATES, "steps": STEPS}
        lists = [declared(sizes, name) or [n for n in some if n not in RARE[name]] for name, some in usual.items()]
        lists += [SEEDS, STYLES]
        rng = self._stream(4)
        drawn = rng.integers([len(one) for one in lists], size=(TOGETHER - 1, len(lists))).tolist()
        chosen = [[one[k] for one, k in zip(lists, ks)] for ks in drawn]
        for k, (name, some) in enumerate(RARE.items()):
            if not declared(sizes, name):
                chosen[4 * k][k] = some[rng.integers(len(some))]
        found = [self, *(Problem(*rest, *style) for *rest, style in chosen)]
        long = 1 + 4 * [*RARE].index("steps")
        for k, regime in ((long, "plain"), (ROOM, "large states")):
            found[k] = replace(found[k], scale=LASTING, regime=regime)
        wide = 1 + 4 * [*RARE].index("state")
        found[wide] = replace(found[wide], scale=min(found[wide].scale, LASTING))
        return found

    def fitted(self, Cell):
        """This problem at sizes that the cell takes: each that is not declared is replaced by one that is."""
        sizes = lift(Cell).sizes
        return replace(self, **fit(sizes, {name: getattr(self, name) for name in sizes})) if sizes else self

    def build(self, Cell):
        """A cell with this problem's weights, and its inputs: (cell, x, state).

        x is (batch, *input shape), after an axis of steps for a sequence cell; state a tuple of what apply takes after x: further
        inputs like x, then the states, each (batch, *state shape). A cell that takes a single row gets batch 1, one that takes no
        empty sequence at least a step. States lie within what the regime says, the last one of an RNN, an LSTM or a GRU within
        +-1. Numbers outside a declared domain are folded into it.
        """
        return self.fitted(Cell)._build(lift(Cell))

    @np.errstate(over="ignore")  # a weight beyond float16 is infinite, and for the laws
    def _build(self, Cell):
        cell = Cell(self.features, self.state)
        spec, rng = cell.spec, self._stream(0)
        dtype = self.dtype or spec.dtype
        regime = _within(REGIMES[self.regime], dtype)
        steps = max(min(self._bordering(spec.chunk), spec.most_steps or LONGEST), spec.fewest_steps)
        scale = min(self.scale, _largest(spec.computed_in(dtype), max(self.steps, steps * spec.sequence), spec.sequence))
        if spec.scalar == "loss":  # probabilities below 1e-308 have no digits left
            scale = min(scale, MANY_LOGITS)
        weights = [self._weight(rng, w.shape, scale).astype(dtype, copy=False) for w in spec.weights]
        if spec.given and self._digest % GIVEN == 0:
            weights = [np.array(w, dtype) for w in spec.given]
        batch = min(self.batch, spec.batch or self.batch)
        leading = ((steps,) if spec.sequence else ()) + (batch,)
        inputs = [_times(regime.x, _entries(rng, regime.entries, leading + a.shape)) for a in spec.inputs]
        state = [_state(rng, regime.entries, (batch, *s.shape)) for s in spec.states]
        memory = max(regime.memory, 2 * spec.variant.get("clip", 0.0)) if regime.memory > 5 else regime.memory
        last = 1.0 if spec.kind in BOUNDED or spec.narrow else min(regime.last, MANY_STEPS) if spec.sequence else regime.last
        sizes = [memory] * len(state[:-1]) + [last] * len(state[-1:])  # some beyond the limit at which a known cell clips them
        state = list(map(_times, sizes, state))
        arrays = [*weights, *(a.astype(dtype, copy=False) for a in inputs + state)]
        if spec.bounded:
            arrays = spec.folded(self._filling(arrays, spec))
        n = len(weights)
        return with_weights(cell, arrays[:n]), arrays[n], tuple(arrays[n + 1 :])

    def _filling(self, arrays, spec):
        """The arrays, some of those between two ends spread evenly between them: what is folded is mostly near the lower end.

        Of whole numbers that is so in two problems of three, since equal ones are wanted as well, and of others in one of these two:
        not in the third, which may have the given weights.
        """
        rng, apart = self._stream(5), self._digest % FILLED
        drawn = [rng.uniform(size=a.shape) if s.domain else None for a, s in zip(arrays, spec.arrays)]
        return [
            s.domain.between(share).astype(a.dtype) if s.domain and s.domain.bounded and 1 <= apart <= 1 + s.domain.whole else a
            for a, s, share in zip(arrays, spec.arrays, drawn)
        ]

    def _bordering(self, chunk):
        """The steps; where they are many, those around the border of a chunk of this length, unless that is fewer."""
        around = {8: chunk - self.seed % 2, 12: chunk + 1, 36: 2 * chunk + 1} if chunk else {}
        return max(self.steps, around.get(self.steps, 0))

    def upstreams(self, n, outputs, spec):
        """n upstreams, each a tuple of arrays of the shapes of `outputs`, in the pattern `self.upstream`.

        spec: of the cell that returned them: outputs that are not differentiable get zeros.
        """
        rng = self._stream(1)
        return [self._upstream(rng, outputs, spec) for _ in range(n)]

    def directions(self, arrays):
        """One direction per array, entries +-U[1, 2]: none is zero, and no two hide a pair of opposite errors. Read only.

        Long rows overlap, each AHEAD entries further on in the pool: so large directions take little memory, and reading them little time.
        """
        n, places = _places(tuple([a.shape for a in arrays]))
        entries, start = pool(POOL + n), 8 * (self._digest % POOL)
        return [np.ndarray(shape, buffer=entries, offset=start + offset, strides=strides) for shape, offset, strides in places]

    def lengths(self, steps, batch):
        """One length from 0 to `steps` for each row: none, all, or any."""
        rng = self._stream(3)
        kind, length = rng.integers(3, size=batch), rng.integers(steps + 1, size=batch)
        return np.where(kind == 2, length, steps * (kind == 1))

    def literal(self, Cell):
        """The same problem holding its arrays, for this cell."""
        p = self.fitted(Cell)
        cell, x, state = p._build(lift(Cell))
        spec, weights, leading = cell.spec, [w.copy() for w in cell.weights], x.shape[: x.ndim - len(cell.spec.inputs[0].shape)]
        if spec.scalar:
            outputs = (np.zeros((), x.dtype),)
        else:
            outputs = [np.zeros((*leading[-1 - spec.batch_axis(y.name) :], *y.shape), x.dtype) for y in spec.outputs]
        literal = Literal(p, spec, weights, x, state, p.upstreams(2, outputs, spec))
        vars(literal)["fresh"] = lift(Cell), cell
        return literal

    def _weight(self, rng, shape, scale):
        """Normal, divided by the root of the fan-in so that pre-activations have the size of `scale` whatever the shape."""
        w = _times(scale, rng.standard_normal(shape))
        if len(shape) > 1:
            w = w / sqrt(self.features + self.state)
        if REGIMES[self.regime].entries == "zeros" and len(shape) == 1:
            return np.zeros(shape)
        return np.rint(w) if REGIMES[self.regime].entries == "integers" else w

    def _upstream(self, rng, outputs, spec):
        seen = [y.differentiable for y in spec.outputs]
        given = outputs[0].dtype if outputs[0].dtype.kind not in "biu" else np.dtype(float)  # a law tells of whole numbers
        size = _within(REGIMES[self.regime], given).upstream
        differentiable = [k for k in range(len(outputs)) if k >= len(seen) or seen[k]]
        chosen = {"last": differentiable[-1:], "first": differentiable[:1], "second": differentiable[:2][-1:]}.get(
            self.upstream, differentiable
        )
        drawn = [rng.standard_normal(y.shape) for y in outputs]  # also what is not needed: then the others stay the same
        arrays = [_times(size, a) if k in chosen else np.zeros(a.shape) for k, a in enumerate(drawn)]
        if self.upstream == "one-hot":
            arrays = [np.zeros(y.shape) for y in outputs]
            filled = [arrays[k] for k in differentiable if arrays[k].size]
            if filled:
                a = filled[rng.integers(len(filled))]
                a[tuple(rng.integers(n) for n in a.shape)] = size
        return tuple(a.astype(y.dtype, copy=False) for a, y in zip(arrays, outputs))


@dataclass(frozen=True)
class Literal:
    """A problem that holds arrays instead of a recipe; it can take the place of its recipe in any law.

    state: what apply takes after x, further inputs and then the states; given: two upstreams, each with an array for each output.
    """

    recipe: Problem
    spec: CellSpec
    weights: list
    x: np.ndarray
    state: tuple
    given: list
    dtype: InitVar[type | None] = None

    def __post_init__(self, dtype):
        """Every array takes the dtype, if one is given."""
        if dtype:
            for name in ("weights", "state"):
                object.__setattr__(self, name, type(getattr(self, name))(a.astype(dtype) for a in getattr(self, name)))
            object.__setattr__(self, "x", self.x.astype(dtype))
            object.__setattr__(self, "given", [tuple(u.astype(dtype) for u in us) for us in self.given])

    @property
    def batch(self):
        """How many rows there are."""
        return self.x.shape[self.spec.sequence]

    @property
    def steps(self):
        """How many steps there are; 1 for a step cell."""
        return len(self.x) if self.spec.sequence else 1

    @property
    def further(self):
        """The inputs after x."""
        return self.state[: len(self.spec.inputs) - 1]

    @property
    def states(self):
        """The states alone."""
        return self.state[len(self.spec.inputs) - 1 :]

    def __repr__(self):
        """The arrays, as far as they are small."""
        parts = [("weights", self.weights), ("x", self.x), ("state", self.state), ("given", self.given)]
        return "Literal(" + ", ".join(f"{name}={_shown(value)}" for name, value in parts) + ")"

    def build(self, Cell):
        """A cell with these weights, and copies of these inputs: (cell, x, state)."""
        made_by, cell = vars(self).pop("fresh", (None, None))  # which `literal` has made
        if made_by is not lift(Cell):
            cell = with_weights(lift(Cell)(self.recipe.features, self.recipe.state), self.weights)
        return cell, self.x.copy(), tuple(s.copy() for s in self.state)

    def upstreams(self, n, outputs, spec):
        """The first n upstreams, in the dtype of `outputs`; those of the recipe where a broken cell's outputs have other shapes."""
        if [np.shape(u) for u in self.given[0]] != [np.shape(y) for y in outputs]:
            return self.recipe.upstreams(n, outputs, spec)
        return [tuple(a.astype(y.dtype) for a, y in zip(u, outputs)) for u in self.given[:n]]

    def directions(self, arrays):
        """One direction per array, as of the recipe: entries +-U[1, 2]."""
        return self.recipe.directions(arrays)

    def lengths(self, steps, batch):
        """One length for each row, as of the recipe."""
        return self.recipe.lengths(steps, batch)

    def literal(self, Cell):
        """Itself."""
        return self

    def rows(self, index):
        """The same problem for some rows of the batch only."""

        def some(name, array):
            axis = self.spec.batch_axis(name)
            return array if axis is None else array[(slice(None),) * axis + (index,)]

        return self._reduced(some)

    def span(self, index):
        """The same problem of a sequence cell for some of its steps only."""
        return self._reduced(lambda name, array: array[index] if self.spec.batch_axis(name) == 1 else array)

    def cut(self):
        """Where to split the steps: any place, the ends included if the cell takes an empty sequence. Rejects the problem if there is none."""
        splits, fewest = self.spec.splits(), self.spec.fewest_steps
        places = range(fewest, self.steps - fewest + 1) if splits is None else [k for n, k in splits if n == self.steps]
        if not places:
            reject()
        return places[self.recipe.seed % len(places)]

    def _reduced(self, some):
        """The problem with some(name, array) in the place of each input, state and upstream."""
        state = tuple(some(a.name, s) for a, s in zip(self.spec.rest, self.state))
        given = [tuple(map(some, self.spec.output_names, us)) for us in self.given]
        return replace(self, x=some(self.spec.inputs[0].name, self.x), state=state, given=given)

    def moved(self, rng, step):
        """This problem with every number x replaced by x (1 +- step), signs drawn from rng."""

        def move(a):
            return a * np.where(rng.integers(0, 2, a.shape, bool), 1 + step, 1 - step).astype(a.dtype)

        return self.mapped(move).folded()

    def mapped(self, change):
        """This problem with change(array) in the place of each array."""

        def changed(a):
            return np.asanyarray(change(a))  # of an array without axes, a number

        given = [tuple(map(changed, u)) for u in self.given]
        state, weights = tuple(map(changed, self.state)), [*map(changed, self.weights)]
        return replace(self, weights=weights, x=changed(self.x), state=state, given=given)

    def other(self, kept=0):
        """This problem at other inputs and states, in their domains. kept: so many of the first rows or steps of x stay as they are."""
        x = another(self.x, self.spec.inputs[0].domain)
        x[:kept] = self.x[:kept]
        return replace(self, x=x, state=tuple(another(s, a.domain) for s, a in zip(self.state, self.spec.rest))).folded()

    def elsewhere(self, steps):
        """This problem at other inputs, in their domains, in the place of those of some steps of a sequence. steps: an index."""

        def other(a, spec):
            new = a.copy()
            new[steps] = another(a[steps], spec.domain)
            return new

        x, *further = map(other, (self.x, *self.further), self.spec.inputs)
        return replace(self, x=x, state=(*further, *self.states)).folded()

    def folded(self):
        """This problem with every number in its domain."""
        if not self.spec.bounded:
            return self
        n, arrays = len(self.weights), self.spec.folded([*self.weights, self.x, *self.state])
        return replace(self, weights=arrays[:n], x=arrays[n], state=tuple(arrays[n + 1 :]))

    def lost(self, states, found):
        """Whether what was found from these states on is not finite because one of them, though finite, has left its domain."""
        if not self.spec.bounded or all(np.isfinite(a).all() for a in found) or not all(np.isfinite(s).all() for s in states):
            return False
        return not replace(self, state=(*self.further, *states)).inside()

    def inside(self):
        """Whether every number is in its domain."""
        arrays = (*self.weights, self.x, *self.state)
        return not self.spec.bounded or all(a.domain is None or a.domain.holds(v) for a, v in zip(self.spec.arrays, arrays))


def another(a, domain=None):
    """Other numbers: 1/4 - 3/4 a, or the next whole number of a domain.

    Not -a: what is even or odd in a, such as a norm or a derivative of tanh, would be the same.
    """
    if domain and domain.whole:
        return domain.low + 1 + (a - domain.low) % (domain.high - domain.low - 1)
    return np.asarray(a.dtype.type(0.25) - a.dtype.type(0.75) * a, a.dtype)


@cache
def _largest(dtype, steps, sequence):
    """The largest scale: no product over the steps overflows, and half of the digits of a pre-activation are right."""
    info = np.finfo(dtype)
    most = info.max ** (0.8 / (steps + 3))
    return min(most / NORM if sequence else most, info.eps**-0.5)


@cache
def _within(regime, dtype):
    """The regime with sizes of which products stay finite: at most 16 in float16."""
    most = float(np.finfo(dtype).max) ** 0.25
    return regime._replace(
        x=min(regime.x, most), memory=min(regime.memory, most), last=min(regime.last, most), upstream=min(regime.upstream, most)
    )


def _shown(value):
    """Arrays as nested lists, large ones as their shape."""
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_shown, value)) + "]"
    return str(value.tolist()) if value.size <= 64 else f"array{value.shape}"


@lru_cache(maxsize=1024)
def _places(shapes):
    """(How many entries of a pool directions of these shapes take, for each its shape, offset and strides in bytes)."""
    places, start, end = [], 0, 0
    for shape in shapes:
        columns = shape[-1] if shape else 1
        rows, ahead = prod(shape[:-1]), min(columns, AHEAD)
        strides = [8 * ahead * prod(shape[k + 1 : -1]) for k in range(len(shape) - 1)] + [8] * (len(shape) > 0)
        places.append((shape, 8 * start, strides))
        start, end = start + rows * ahead + columns - ahead, end + rows * ahead + columns
    return end, places


def pool(n):
    """At least n random numbers +-U[1, 2], always the same, read only: those that directions are cut from."""
    return _pool((n - 1).bit_length())


@cache
def _pool(bits):
    rng = np.random.default_rng(0)
    entries = np.resize(rng.uniform(1, 2, POOL) * rng.choice((-1.0, 1.0), POOL), 2**bits)
    entries.flags.writeable = False
    return entries


def with_weights(cell, weights):
    """The cell with other weights: written in place, or, where dtype or class differ, a copy that holds the new arrays."""
    weights = [np.asanyarray(w) for w in weights]  # NumPy makes a number of an array without axes
    if all(w.dtype == new.dtype and type(new) is np.ndarray for w, new in zip(cell.weights, weights)):
        for w, new in zip(cell.weights, weights):
            w[...] = new
        return cell
    return copy.deepcopy(cell, {id(w): new for w, new in zip(cell.weights, weights)})


def problems():
    """Strategy of problems that reaches every regime of sizes, scales, inputs, states and upstreams within 300 examples."""
    return st.tuples(
        st.sampled_from(BATCHES),
        st.sampled_from(FEATURES),
        st.sampled_from(STATES),
        st.sampled_from(STEPS),
        st.integers(0, SEEDS[-1]),
        st.sampled_from(STYLES),
    ).map(lambda drawn: Problem(*drawn[:5], *drawn[5]))


def _times(size, a):
    """size a; as it is where that changes nothing."""
    return a if size == 1 else size * a


def _entries(rng, kind, shape):
    if kind == "zeros":
        return np.zeros(shape)
    if kind == "integers":
        return rng.integers(-2, 3, shape).astype(float)
    if kind == "one-hot":
        return np.eye(shape[-1])[rng.integers(shape[-1], size=shape[:-1])]
    x = rng.standard_normal(shape)
    if kind == "cold rows":  # of a sequence: steps
        x[rng.integers(2) :: 2] = 0
    return x


def _state(rng, kind, shape):
    if kind == "zeros":
        return np.zeros(shape)
    if kind == "integers":
        return rng.integers(-1, 2, shape).astype(float)
    s = rng.uniform(-1, 1, shape)
    if kind == "cold rows":
        s[::2] = 0
    return s
