"""Cells that are more than x, c and h, as in tests/guests/shapes.py: each passes the laws, and its broken twin does not."""

import re
from dataclasses import replace

import numpy as np
import pytest
from cellcheck.cells import RNN, lift
from cellcheck.cells.adapters import adapt
from cellcheck.cells.spec import Domain
from cellcheck.properties.intake.capabilities import missing
from cellcheck.properties.intake.catalogue import laws
from cellcheck.properties.intake.loading import GuestError
from cellcheck.properties.intake.preflight import cleared
from cellcheck.properties.mutants.judge import drawn
from cellcheck.properties.oracles.chained import Chained
from cellcheck.properties.oracles.gradients import gradients
from cellcheck.properties.shrinking.dropping import without
from cellcheck.properties.shrinking.shrinking import smallest
from cellcheck.properties.verdicts.tally import Tally, counting
from cellcheck.strategies import Problem

from tests.cases import broken
from tests.guests import shapes
from tests.guests.shapes import Base, Decay, Matrix, Output, Stabilised, Times, Tokens, Wide

pytestmark = pytest.mark.filterwarnings("ignore")  # of numbers that overflow in guests
GRADIENTS = ["weight_gradients", "input_gradients", "state_gradients"]


def named(Guest):
    """The id of a test parameter."""
    return Guest.__name__


@pytest.mark.parametrize("Guest", shapes.RIGHT, ids=named)
def test_a_right_guest_passes_every_law(Guest):
    """And the gradient of each array that offers one is certified."""
    Cell, tally = cleared(f"guest.py:{Guest.__name__}", Guest).Cell, Tally()
    assert broken(Cell, laws().keys() - {*GRADIENTS}, n=25) == set()
    with counting(tally):
        assert broken(Cell, GRADIENTS, n=25) == set()
    spec = Cell.spec(3, 4)
    wanted = {a.name for a, part in zip(spec.arrays, spec.offers) if part in spec.gradients}
    assert wanted <= {name.split(" ")[0] for name, seen in tally.verdicts.items() if seen["certified"]}


@pytest.mark.parametrize("Guest", shapes.WRONG, ids=named)
def test_a_broken_twin_is_refused(Guest):
    """By a law of gradients."""
    Cell = cleared(f"guest.py:{Guest.__name__}", Guest).Cell
    assert broken(Cell, GRADIENTS)


NOTES = {
    "Heads": "; verified with state 2, 4, 8 alone",
    "Residual": "verified with as many features as units alone",
    "Stabilised": "not verified: gradients of m, and of any output but h'; those of h' are, over some steps",
    "Times": "verified for dt within the declared domains alone",
}


@pytest.mark.parametrize("name", NOTES)
def test_what_is_not_verified_is_said(name):
    """In the head of the run."""
    assert any(NOTES[name] in note for note in cleared("guest.py:Guest", getattr(shapes, name)).notes)


def undeclared(Guest, *names):
    """The guest without some of its declarations."""
    taken = {
        name: () if name in ("inputs", "no_gradient") else {} if name in ("domains", "state_shapes") else None for name in names
    }
    if not {"state_shapes", "output_shape"} & set(names):
        return type("Guest", (Guest,), taken)

    def made(self, features, state):
        Guest.__init__(self, features, state)
        for name, value in taken.items():
            setattr(self, name, value)

    return type("Guest", (Guest,), {"__init__": made})


LACKS = {
    "returned 2 arrays; wanted 1: s'; if the last is no state, declare output = 'y'": undeclared(Output, "output"),
    "returned C' of shape (1, 2, 2); wanted (1, 1), or declare state_shapes": type(
        "Guest", (Base,), {"state_names": ("C",), "apply": lambda self, x, C: np.zeros((len(x), 2, 2)), "gradients": ()}
    ),
    "returned y of shape (1, 5); wanted (1, 1), or declare output_shape": type(
        "Guest", (Base,), {"output": "y", "apply": lambda self, x, s: (s, np.zeros((len(x), 5))), "gradients": ()}
    ),
    "if it takes several inputs, declare inputs = ('x', 'dt')": type(
        "Guest", (undeclared(Times, "inputs", "domains"),), {"state_names": ("h",)}
    ),
    "if x holds whole numbers, declare domains = {'x': 'tokens'}": undeclared(Tokens, "domains"),
    "wanted a tuple, one each for x, dt": type("Guest", (Times,), {"vjp": lambda self, d: (self.weights, d, (d,))}),
    "the domain of x is 'odd'; give positive, non-negative, negative, non-zero, tokens, a pair (low, high) with low < high, or a range": type(
        "Guest", (RNN,), {"domains": {"x": "odd"}}
    ),
    "the domain of x is (3, 3); give": type("Guest", (RNN,), {"domains": {"x": (3, 3)}}),
    "the shape of h is 'h'; give a tuple of whole numbers, such as (3, 4)": type("Guest", (RNN,), {"state_shapes": "h"}),
    "state_shapes takes 1 argument; give a function of (features, state), or what it returns": type(
        "Guest", (RNN,), {"state_shapes": lambda self: {"h": (self.state_size,)}}
    ),
    "domains names q; give names out of W, b, h, x": type("Guest", (RNN,), {"domains": {"q": "positive"}}),
}


@pytest.mark.parametrize("message", LACKS)
def test_a_guest_that_lacks_a_declaration_is_refused(message):
    """In one line that says which."""
    with pytest.raises(GuestError, match=re.escape(message)) as refusal:
        cleared("guest.py:Guest", LACKS[message])
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("wrap", [staticmethod, lambda function: function], ids=["static", "in the body of the class"])
def test_shapes_may_be_functions_of_the_sizes(wrap):
    """With and without staticmethod; so may the names of the inputs and their shapes."""
    shapes = {"state_shapes": wrap(lambda F, S: {"h": (S,)}), "inputs": staticmethod(lambda F, S: {"x": (F,)})}
    spec = lift(type("Guest", (RNN,), shapes)).spec(4, 3)
    assert [(a.name, a.shape) for a in (*spec.inputs, *spec.states)] == [("x", (4,)), ("h", (3,))]


DOMAINS = [
    Domain(0.0),
    Domain(0.0, closed=True),
    Domain(high=0.0),
    Domain(-3.0, 3.0),
    Domain(0.0, 1e-3),
    Domain(5.0, 6.0),
    Domain(hole=2.0**-10),
    Domain(-1.0, 4.0, True),
]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("domain", DOMAINS, ids=str)
def test_numbers_are_folded_into_their_domain(domain, dtype):
    """Each is inside, what was inside stays, and, whole numbers apart, no two are the same."""
    rng = np.random.default_rng(0)
    a = np.concatenate([rng.standard_normal(200) * 10.0**e for e in (-3, 0, 3)] + [[0, 1, -1, 3, 1e6, 1e-30, -1e300]])
    a = np.append(a, [2.0**-10, -(2.0**-10), np.nextafter(dtype(2.0**-10), dtype(0)), np.nextafter(dtype(-(2.0**-10)), dtype(0))])
    a = np.append(a, np.linspace(-6, 6, 25)).astype(dtype)[np.isfinite(np.append(a, np.zeros(25)).astype(dtype))]
    folded = domain.folded(a)
    assert domain.holds(folded) and folded.dtype == dtype
    assert np.array_equal(domain.folded(folded), folded)
    assert np.isnan(domain.folded(np.array([np.nan], dtype))).all()
    if not domain.whole:
        assert len(np.unique(domain.folded(rng.standard_normal(500).astype(dtype)))) > 450


@pytest.mark.parametrize("Guest", [Times, Tokens, Decay, Stabilised], ids=named)
def test_problems_keep_to_the_domains(Guest):
    """Those that are built, moved by ulps, negated or given to a law."""
    for problem in drawn("weight_gradients")[:60]:
        literal = problem.literal(Guest)
        moved = literal.moved(np.random.default_rng(0), 1e-3)
        assert literal.inside() and moved.inside()
        assert moved.spec is literal.spec and not np.array_equal(moved.state[-1], literal.state[-1]) * np.any(literal.state[-1])


def test_more_tokens_are_wrong_beside_a_state_alone():
    """Without one they are a larger batch, which is right."""
    needs, options = laws()["a_refusal_changes_nothing"].needs, {"output": "y", "domains": {"x": "tokens"}}
    Stateless = adapt(lambda F, S: {"E": np.zeros((F, S))}, ("x E -> y", lambda x, E: E[x]), inputs={"x": "batch"}, **options)
    assert missing(Stateless, needs) == "its x is one number in each row, and it takes no state"
    assert missing(Tokens, needs) is None


def test_tokens_are_whole_numbers():
    """The cell gets integers, and there are as many as features."""
    seen = set()

    class Looks(Tokens):
        def apply(self, x, h):
            assert x.dtype.kind == "i"
            seen.update(x.tolist())
            return super().apply(x, h)

    for problem in drawn("weight_gradients")[:100]:
        cell, x, state = replace(problem, features=4).build(Looks)
        cell.apply(x, *state)
    assert seen == {0, 1, 2, 3}


def test_a_smaller_case_keeps_to_the_domains():
    """The shrinker tries no number outside, although 0 would be the simplest."""

    [found, error] = smallest(law_of_times, Times, Problem(2, 2, 2, seed=3))
    assert isinstance(error, RuntimeError) and found.inside() and found.further[0].tolist() == [1.0]


def law_of_times(Cell, problem):
    """Fails for any dt."""
    literal = problem.literal(Cell)
    if literal.further[0].min() > 0:
        raise RuntimeError("for any dt")
    raise AssertionError("a number outside was tried")


@pytest.mark.parametrize("Guest", [Matrix, Wide, Output], ids=named)
def test_a_unit_is_left_out_of_every_shape_that_depends_on_it(Guest):
    """The arrays have the shapes of a cell that is one unit smaller, and so for features."""
    whole = Problem(2, 3, 4, steps=2, seed=1).literal(Guest)
    for size, sizes in (("state", (3, 3)), ("features", (2, 4))):
        spec = lift(Guest).spec(*sizes)
        for small in without(whole, Guest, size, 1):
            assert small.spec is spec
            assert [w.shape for w in small.weights] == [w.shape for w in spec.weights]
            assert [s.shape[1:] for s in small.state] == [s.shape for s in spec.states]
            cell, x, state = small.build(Guest)
            assert [y.shape for y in cell.apply(x, *state)] == [u.shape for u in small.given[0]]


def test_a_unit_of_a_matrix_is_left_out_in_both_axes():
    """C loses a row and a column."""
    whole = Problem(1, 2, 3, seed=1).literal(Matrix)
    [small, _] = without(whole, Matrix, "state", 1)
    np.testing.assert_array_equal(small.state[0], np.delete(np.delete(whole.state[0], 1, 1), 1, 2))


def test_a_whole_number_that_is_off_by_rounding_stays():
    """Else what a token cell returns would move with the ulps of its tokens, and its bounds would excuse anything."""
    for n in range(1, 9):
        tokens = np.arange(n, dtype=float)
        for step in (2.0**-53, 2.0**-24):
            for sign in (-16, 16):
                assert np.array_equal(Domain.declared("tokens", n).folded(tokens * (1 + sign * step)), tokens)


class Embedding(Tokens):
    """Its weight gradients are 1 % too large."""

    def vjp(self, d):
        """With the fault."""
        weights, *others = super().vjp(d)
        return [1.01 * g for g in weights], *others


def test_no_rounding_makes_another_token():
    """Of 2 (1 - u), were it rounded so while it is made a whole number. Its bounds would excuse anything."""
    for seed in range(4):
        blocks = gradients(lift(Embedding), Problem(3, 5, 2, seed=seed, scale=1.0), "weights")
        assert all(b.verdict == "violated" and b.bound < 1e-9 for b in blocks)


def test_sizes_that_are_not_declared_are_not_tried_by_the_shrinker():
    """There is no smaller problem of a cell with an even number of units."""
    Even = type("Even", (RNN,), {"sizes": {"state": (2, 4), "batch": (2, 3)}})
    whole = Problem(3, 2, 4, seed=1).literal(Even)
    assert without(whole, Even, "state", 0) == []
    assert len(without(whole, Even, "batch", 0)) == 1 and without(replace(whole.rows([0, 1])), Even, "batch", 0) == []


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_chain_is_as_many_steps(steps):
    """Outputs and gradients of a cell without constants equal those of the steps one by one."""
    cell, x, state = Problem(2, 3, 4, seed=1).build(RNN)
    chain, h, total = Chained(cell, steps), state[0], np.zeros(x.shape)
    for _ in range(steps):
        [h] = cell.apply(x, h)
    assert np.array_equal(chain.apply(x, *state)[0], h)
    given = [state[0]]
    for _ in range(steps - 1):
        given.append(cell.apply(x, given[-1])[0])
    d = np.ones(h.shape)
    for before in reversed(given):
        cell.apply(x, before)
        _, dx, (d,) = cell.vjp(d)
        total += dx
    found = chain.vjp(np.ones(h.shape))
    assert np.allclose(found.x, total, 1e-14) and np.allclose(found.state[0], d, 1e-14)


class Undetached(Stabilised):
    """Declares nothing: its gradients of c' and n' alone are no derivatives."""

    no_gradient = ()


def test_a_constant_that_is_not_declared_is_refused():
    """As a wrong gradient, since nobody can know that it is meant; the head names the declaration."""
    clear = cleared("guest.py:Guest", Undetached)
    assert "upstreams of m give zero gradients; if vjp treats that as a constant, declare no_gradient = ('m',)" in clear.notes
    assert broken(clear.Cell, GRADIENTS)
    assert not any("constant" in note for Right in (RNN, Matrix, Stabilised) for note in cleared("guest.py:Guest", Right).notes)


def linear_attention(wrong=False):
    """Functions on C (heads, d, d, batch), as a kernel may keep it, with a stabiliser-free gate g of each head."""

    def forward(q, g, C, W):
        k = np.einsum("bf,fhd->bhd", q, W)
        new = C * g.T[:, None, None, :] + np.einsum("bhd,bhe->hdeb", k, k)
        return new, np.einsum("hdeb,bhd->bhe", new, k), (q, g, C, W, k, new)

    def backward(dC, dy, cache):
        q, g, C, W, k, new = cache
        dC = dC + np.einsum("bhd,bhe->hdeb", k, dy)
        dk = np.einsum("hdeb,bhe->bhd", new, dy) + np.einsum("hdeb,bhe->bhd", dC, k)
        dk += 0 if wrong else np.einsum("hdeb,bhd->bhe", dC, k)
        dg = np.einsum("hdeb,hdeb->bh", dC, C)
        return np.einsum("bhd,fhd->bf", dk, W), dg, dC * g.T[:, None, None, :], np.einsum("bf,bhd->fhd", q, dk)

    return adapt(
        lambda F, S: {"W": np.zeros((F, 2, S // 2))},
        ("q g C W -> C y cache", forward),
        ("dC dy cache -> dq dg dC dW", backward),
        states={"C": "heads d d batch"},
        inputs={"q": "batch features", "g": "batch heads"},
        output={"y": "batch heads d"},
        sizes={"state": (2, 4), "heads": 2, "d": lambda F, S: S // 2},
        domains={"g": (0, 1)},
    )


def test_named_axes_are_described():
    """Their lengths are those of sizes, as functions or numbers."""
    spec = lift(linear_attention()).spec(3, 4)
    assert [(a.name, a.shape) for a in (*spec.inputs, *spec.states)] == [("q", (3,)), ("g", (2,)), ("C", (2, 2, 2))]
    assert [(y.name, y.shape) for y in spec.outputs] == [("C'", (2, 2, 2)), ("y", (2, 2))]


def test_an_output_has_the_shape_of_the_first_call():
    """Where its axes are not named."""

    def forward(x, s, W):
        return s + x @ W, np.concatenate([s, x], axis=1)

    spec = lift(adapt(lambda F, S: {"W": np.zeros((F, S))}, ("x s W -> s y", forward), states="s", output="y")).spec(3, 4)
    assert [(y.name, y.shape) for y in spec.outputs] == [("s'", (4,)), ("y", (7,))]


def test_an_adapter_of_named_axes_passes():
    """And its wrong twin does not."""
    assert broken(cleared("guest.py:Guest", linear_attention()).Cell, n=25) == set()
    assert broken(cleared("guest.py:Guest", linear_attention(wrong=True)).Cell, GRADIENTS)


def test_an_axis_without_a_length_is_refused():
    """In one line."""
    with pytest.raises(ValueError, match="the axis d has no length; give it in sizes, as a number or a function of"):
        adapt(lambda F, S: {"W": np.zeros((F, S))}, ("x C W -> C", None), states={"C": "batch d d"})(2, 3)


class Accumulates:
    """h' = tanh(x W + h U); backward adds to dW and dU, and is given the old h and the new."""

    def __init__(self, features, state):
        self.W, self.U = np.zeros((features, state)), np.zeros((state, state))
        self.dW, self.dU = np.zeros_like(self.W), np.zeros_like(self.U)

    def forward(self, x, h):
        """h'."""
        return np.tanh(x @ self.W + h @ self.U)

    def backward(self, dh, x, h, new):
        """dx and dh."""
        z = dh * (1 - new * new)
        self.dW += x.T @ z
        self.dU += h.T @ z
        return z @ self.W.T, z @ self.U.T


def accumulates(backward):
    """The adapter with this signature of its backward."""
    return adapt(Accumulates, ("x h -> h", "forward"), (backward, "backward"), weights="W U")


def test_accumulators_are_cleared_by_pattern_and_backward_takes_the_new_state():
    """Without the pattern vjp is not repeatable; with the old state in the place of the new one gradients are wrong."""
    assert broken(lift(accumulates(".d*=0 dh x h h' -> dx dh dweights=.d*")), n=25) == set()
    assert broken(lift(accumulates("dh x h h' -> dx dh dweights=.d*")), ["vjp_is_repeatable"])
    assert broken(lift(accumulates(".d*=0 dh x h h -> dx dh dweights=.d*")), ["weight_gradients"])


def nested(wrong=False):
    """Functions on weights in nested dicts, as jax and flax keep them."""

    def forward(x, h, params):
        return np.tanh(x @ params["in"]["kernel"] + h @ params["rec"]["kernel"] + params["rec"]["bias"])

    def backward(dh, x, h, new, params):
        z = dh * (1 - new * new)
        rec = {"kernel": h.T @ z, "bias": z.sum(axis=0)}
        return (
            {"in": {"kernel": x.T @ (dh if wrong else z)}, "rec": rec},
            z @ params["in"]["kernel"].T,
            z @ params["rec"]["kernel"].T,
        )

    def make(F, S):
        return {"in": {"kernel": np.zeros((F, S))}, "rec": {"kernel": np.zeros((S, S)), "bias": np.zeros(S)}}

    return adapt(make, ("x h weights -> h", forward), ("dh x h h' weights -> dweights dx dh", backward))


def test_weights_may_be_in_nested_dicts():
    """Each is called as its path."""
    Cell = cleared("guest.py:Guest", nested()).Cell
    assert [w.name for w in Cell.spec().weights] == ["in.kernel", "rec.kernel", "rec.bias"] and Cell.spec().kind == "RNN"
    assert broken(Cell, n=25) == set()
    assert broken(cleared("guest.py:Guest", nested(wrong=True)).Cell, ["weight_gradients"])


def keras(wrong=False):
    """A layer that returns the last h alone and takes none, its axes (batch, steps, features)."""

    def forward(x, W, U):
        seen = [np.zeros((len(x), len(U)))]
        for t in range(x.shape[1]):
            seen.append(np.tanh(x[:, t] @ W + seen[-1] @ U))
        return seen[-1], seen

    def backward(dh, x, seen, W, U):
        dx, dW, dU = np.zeros(x.shape), np.zeros(W.shape), np.zeros(U.shape)
        for t in reversed(range(wrong, x.shape[1])):
            z = dh * (1 - seen[t + 1] ** 2)
            dx[:, t], dh = z @ W.T, z @ U.T
            dW += x[:, t].T @ z
            dU += seen[t].T @ z
        return dx, dW, dU

    def make(F, S):
        return {"W": np.zeros((F, S)), "U": np.zeros((S, S))}

    signatures = ("x W U -> h seen", forward), ("dh x seen W U -> dx dW dU", backward)
    return adapt(make, *signatures, output="h", axes="batch steps features")


def test_a_layer_that_returns_the_last_state_alone_passes():
    """Its equations are those of its kind from zeros; the twin leaves out the first step."""
    Cell = cleared("guest.py:Guest", keras()).Cell
    assert Cell.spec().output_names == ["h'"] and Cell.spec().kind == "RNN" and not Cell.spec().own_output
    assert laws()["equations_of_the_kind"].applies(Cell) and broken(Cell, n=25) == set()
    assert broken(cleared("guest.py:Guest", keras(wrong=True)).Cell, ["weight_gradients"])


class Chunkwise(Wide):
    """Takes 16 steps at once; if it is wrong, each chunk but the first starts from zeros."""

    chunk = 16

    def apply(self, x, s):
        """The last s, and ys."""
        parts = []
        for k in range(0, len(x), self.chunk):
            start = np.zeros(s.shape) if self.wrong and k else s
            s, part = super().apply(x[k : k + self.chunk], start)
            parts.append((self.kept, part))
        self.chunks = [kept for kept, _ in parts]
        return s, np.concatenate([part for _, part in parts] or [np.zeros((0, len(s), *self.output_shape))])

    def vjp(self, d, d_ys):
        """Of chunk after chunk, from the last."""
        wrong, self.wrong = self.wrong, False
        total, dx = [np.zeros(w.shape) for w in self.weights], [np.zeros((0, len(d), self.features))]
        for k in reversed(range(len(self.chunks))):
            self.kept = self.chunks[k]
            one, part, (d,) = super().vjp(d, d_ys[k * self.chunk : (k + 1) * self.chunk])
            total, dx = [a + b for a, b in zip(total, one)], [part, *dx]
            d = d * (0 if wrong and k else 1)
        self.wrong = wrong
        return total, np.concatenate(dx), (d,)


def test_long_problems_lie_around_the_borders_of_chunks():
    """Just before, at and after the first, and far beyond; with a short chunk they stay."""
    seen = {len(problem.build(Chunkwise)[1]) for name in (*GRADIENTS, "vjp_is_linear") for problem in drawn(name)}
    assert {15, 16, 17, 36} <= seen
    assert Problem(steps=8).build(type("Short", (Chunkwise,), {"chunk": 4}))[1].shape[0] == 8


def test_a_fault_at_the_border_of_a_chunk_is_found():
    """Its gradients are right for what it computes; the law that a sequence is its steps is not."""
    assert broken(lift(Chunkwise), n=100) == set()
    wrong = type("Guest", (Chunkwise,), {"wrong": True})
    assert "a_sequence_is_its_steps" in broken(lift(wrong), ["a_sequence_is_its_steps"], n=100)


def kernel(wrong=False):
    """A sequence of functions, ys no state, m a constant of its backward: running sums with a running maximum, as kernels have."""

    def forward(x, s, m, W):
        z, seen = x @ W, [(s, m)]
        for row in z:
            new = np.where(row.real > seen[-1][1].real, row, seen[-1][1])
            seen.append((seen[-1][0] * np.exp(seen[-1][1] - new) + np.exp(row - new), new))
        ys = np.array([np.log(s) + m for s, m in seen[1:]]).reshape(z.shape)
        return *seen[-1], ys, (z, seen)

    def backward(ds, dys, x, cache, W):
        z, seen = cache
        dz = np.zeros(z.shape)
        for t in reversed(range(len(z))):
            s, m = seen[t + 1]
            ds = (0 if wrong else ds) + dys[t] / s
            dz[t], ds = ds * np.exp(z[t] - m), ds * np.exp(seen[t][1] - m)
        return np.einsum("tbf,tbs->fs", x, dz), dz @ W.T, ds

    signatures = ("x s m W -> s m ys cache", forward), ("ds dys x cache W -> dW dx ds", backward)
    options = {"states": "s m", "output": "ys", "no_gradient": "m", "domains": {"s": (0.1, 10)}, "axes": "steps batch features"}
    return adapt(lambda F, S: {"W": np.zeros((F, S))}, *signatures, **options)


def test_a_kernel_with_a_constant_passes():
    """ys = log(s) + m does not depend on how s exp(m) is split; its twin carries nothing from step to step."""
    clear = cleared("guest.py:Guest", kernel())
    assert "not verified: gradients of m, and of any output but ys; those of ys are, over some steps" in clear.notes
    assert broken(clear.Cell, n=25) == set()
    assert broken(cleared("guest.py:Guest", kernel(wrong=True)).Cell, GRADIENTS)


@pytest.fixture(name="torch_shapes")
def _torch_shapes():
    """The guests that need torch."""
    pytest.importorskip("torch")
    from tests.guests import torch_shapes

    return torch_shapes


@pytest.mark.parametrize("name", ["NoState", "StopGradient", "Kept", "Timed", "Embedded"])
def test_a_right_torch_module_passes(torch_shapes, name):
    """Once it declares what it takes."""
    assert broken(cleared("guest.py:Guest", torch_shapes.RIGHT[name]).Cell, n=8) == set()


@pytest.mark.parametrize("name", ["NoState", "StopGradient", "Timed", "Embedded"])
def test_a_wrong_torch_module_is_refused(torch_shapes, name):
    """By a law of gradients."""
    assert broken(cleared("guest.py:Guest", torch_shapes.WRONG[name]).Cell, GRADIENTS, n=15)


def test_a_torch_module_that_detaches_a_state_must_say_so(torch_shapes):
    """The head names the declaration; without it, gradients are wrong."""
    clear = cleared("guest.py:Guest", torch_shapes.UNDECLARED)
    assert any("if vjp treats m as a constant, declare no_gradient = ('m',)" in note for note in clear.notes)
    assert broken(clear.Cell, GRADIENTS, n=15)
