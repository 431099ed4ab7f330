"""Mistakes that are repeated in several calls, that follow from a second computation, or that show only where numbers are large."""

import os
import warnings

import numpy as np
import pytest
from cellcheck.cells import lift
from cellcheck.cells.adapters import adapt
from cellcheck.properties.intake.loading import GuestError
from cellcheck.properties.oracles.chebyshev import Chebyshev
from cellcheck.properties.oracles.function import Function
from cellcheck.properties.reports.diagnosis.gradients import with_large_arguments
from cellcheck.properties.reports.diagnosis.grown import PLAIN, grown
from cellcheck.properties.reports.diagnosis.sequence import ahead
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.errors import UnsatisfiedAssumption

from cellcheck import check
from cellcheck.options import OptionError
from tests.cases import told
from tests.test_upstreams_and_sizes import layer, said, weights


def both_ways(mistake=""):
    """Two layers, one of which runs backwards in time; both have the mistake."""

    def layer(x, W, U, b):
        h, hs = np.zeros((x.shape[1], len(b))), []
        for x_t in x:
            h = np.tanh(x_t @ W + h @ U + b)
            hs.append(h)
        return np.reshape(hs, (*x.shape[:2], len(b)))

    def back(dhs, x, hs, W, U):
        dW, dU, db, dx, dh = np.zeros(W.shape), np.zeros(U.shape), np.zeros(len(U)), np.zeros(x.shape), np.zeros(hs.shape[1:])
        for t in reversed(range(len(x))):
            dz = (dhs[t] + dh) * (1 - hs[t] ** 2)
            before = hs[t - 1] if t or mistake else 0 * hs[t]
            dW, dU, db, dx[t], dh = dW + x[t].T @ dz, dU + before.T @ dz, db + dz.sum(0), dz @ W.T, dz @ U.T
        return dx, dW, dU, db

    def forward(x, W, U, b, V, R, a):
        there, again = layer(x, W, U, b), layer(x[::-1], V, R, a)
        return np.concatenate([there, again[::-1]], axis=2), (there, again)

    def backward(dys, x, W, U, V, R, kept):
        n = len(U)
        dx, dW, dU, db = back(dys[:, :, :n], x, kept[0], W, U)
        more, dV, dR, da = back(dys[::-1, :, n:], x[::-1], kept[1], V, R)
        return dx + more[::-1], dW, dU, db, dV, dR, da

    return adapt(
        lambda F, S: weights(F, S) | dict(zip("VRa", weights(F, S).values())),
        forward=("x W U b V R a -> ys kept", forward),
        backward=("dys x W U V R kept -> dx dW dU db dV dR da", backward),
        axes="steps batch features",
        output={"ys": "steps batch both"},
        sizes={"both": lambda F, S: 2 * S},
        choices={"future": True},
    )


def test_the_same_mistake_in_all_calls_of_a_function():
    """At step 0 the state before is zeros; hs[-1] is that after the last step. Either direction has a last step of its own."""
    said = told(both_ways("hs[-1] at step 0"), "weight_gradients")[0]
    assert "in both calls of `layer` uses" in said and "of the last run, in the first one, where `h` belongs" in said


def gated(lacking=""):
    """h' = f h + (1 - f) tanh(x V), f = sigmoid(x W + b + 1); the backward pass computes f again."""

    def gate(x, W, b, one=1.0):
        return 0.5 + 0.5 * np.tanh(0.5 * (x @ W + b + one))

    def forward(x, h, W, b, V):
        f, y = gate(x, W, b), np.tanh(x @ V)
        return f * h + (1 - f) * y

    def backward(dh, x, h, W, b, V):
        y, f = np.tanh(x @ V), gate(x, W, b * (lacking != "b"), float(lacking != "one"))
        dz, dy = dh * (h - y) * f * (1 - f), dh * (1 - f) * (1 - y * y)
        return dz @ W.T + dy @ V.T, dh * f, x.T @ dz, dz.sum(0), x.T @ dy

    return adapt(
        lambda F, S: {"W": np.zeros((F, S)), "b": np.zeros(S), "V": np.zeros((F, S))},
        forward=("x h W b V -> h", forward),
        backward=("dh x h W b V -> dx dh dW db dV", backward),
    )


@pytest.mark.parametrize("lacking", ["b", "one"])
def test_what_is_computed_again_without_a_term(lacking):
    """As where a gate is computed again to save memory, and its bias is forgotten."""
    assert said(gated(lacking)).endswith(f"again, without `{lacking}`")


def layers(whole=False):
    """Three layers with biases b[0], b[1] and b[2]."""

    def forward(x, h, W, b):
        hs = [h + x @ W]
        for bias in b:
            hs.append(np.tanh(hs[-1] + bias))
        return hs[-1], hs

    def backward(dh, x, W, b, hs):
        db = np.zeros(b.shape)
        for k in reversed(range(3)):
            dh = dh * (1 - hs[k + 1] ** 2)
            db[slice(None) if whole else k] = dh.sum(0)
        return dh @ W.T, dh, x.T @ dh, db

    return adapt(
        lambda F, S: {"W": np.zeros((F, S)), "b": np.zeros((3, S))},
        forward=("x h W b -> h hs", forward),
        backward=("dh x W b hs -> dx dh dW db", backward),
    )


def test_the_gradient_of_one_layer_in_the_place_of_all():
    """db[:] = where db[k] = belongs."""
    assert said(layers(True)).startswith("the gradient of b has at 0 to 2 along axis 0 what belongs at 0, 0 and 0")


def test_an_upstream_of_ys_that_is_left_out_at_the_first_step():
    """At any length, and so it is not said of a single step alone."""
    inner = lift(layer())

    class Cell:
        """The layer, with dys[0] = 0."""

        sequence = True

        def __init__(self, F, S):
            self.cell = inner(F, S)
            self.weights = self.cell.weights

        def apply(self, x, h):
            return self.cell.apply(x, h)

        def vjp(self, dh, dys):
            dys = dys * (np.arange(len(dys)) > 0)[:, None, None]
            return tuple(self.cell.vjp(dh, dys))

    assert said(Cell).startswith("the upstream of ys at the first step is left out")


def flat(least=1.0):
    """h' = tanh(c + x W); its gradient is 0 where |h'| exceeds `least`."""

    def backward(dc, x, W, y):
        dz = dc * (1 - y * y) * (np.abs(y) < least)
        return dz @ W.T, dz, x.T @ dz

    def forward(x, c, W):
        y = np.tanh(c + x @ W)
        return y, y

    return adapt(lambda F, S: {"W": np.zeros((F, S))}, ("x c W -> c y", forward), ("dc x W y -> dx dc dW", backward))


def test_gradients_that_are_wrong_where_an_input_is_large():
    """Weights of an ordinary size do not show it."""
    assert with_large_arguments(lift(flat())) == []
    assert "wrong where x is 10 times as large" in with_large_arguments(lift(flat(0.9999)))[0]


def test_a_step_that_looks_at_the_largest_of_all():
    """Another number at the last step changes nothing as long as the largest one lies elsewhere."""

    def forward(x, h, W):
        hs = [h]
        for x_t in x / np.maximum(np.max(np.abs(x), initial=0.0), 1):
            hs.append(np.tanh(x_t @ W + hs[-1]))
        return hs[-1], np.reshape(hs[1:], (*x.shape[:2], len(W[0])))

    how = {"axes": "steps batch features", "complex": False}
    Cell = lift(adapt(lambda F, S: {"W": np.zeros((F, S))}, ("x h W -> h ys", forward), None, **how))
    assert "which is later" in ahead(grown(Cell, PLAIN))[0]


def rounded(inner):
    """h' = inner(x W + h)."""
    how = {"complex": False}
    return lift(adapt(lambda F, S: {"W": np.zeros((F, S))}, ("x h W -> h", lambda x, h, W: inner(x @ W + h)), None, **how))


def test_an_oracle_gives_up_soon_where_results_leap():
    """Of a number in float32 no halving of the radius makes interpolation exact; a function that is smooth takes one."""
    calls = {}
    for name, inner in (("smooth", np.tanh), ("leaps", lambda z: np.tanh(z).astype(np.float32).astype(float))):
        cell, x, state = PLAIN.build(rounded(inner))
        oracle, arrays, calls[name] = Chebyshev(Function(cell), [np.ones((3, 5))]), [*cell.weights, x, *state], []
        oracle._at = lambda *given, at=oracle._at, seen=calls[name]: (seen.append(1), at(*given))[1]
        values = [oracle.value(arrays, {0: np.ones(arrays[0].shape)}) for _ in range(3)]
        assert np.isfinite(values).all() == (name == "smooth")
    assert len(calls["leaps"]) < 2 * len(calls["smooth"])


def test_arguments_that_are_no_cells_are_refused_in_a_line():
    """What is masked would be compared as if it were not; examples within examples would be many."""

    class Masked:
        """A cell in the manner of the gist whose gradients are masked."""

        def __init__(self, F, S):
            self.weights = [np.zeros((F, S))]

        def forward(self, x, h):
            self.x, self.y = x, np.tanh(x @ self.weights[0] + h)
            return self.y.sum()

        def backward(self, d):
            return [np.ma.masked_array(self.x.T @ (d * (1 - self.y**2)), mask=True)]

    with pytest.raises(GuestError, match="backward returned a masked array; wanted plain arrays"):
        check(Masked, profile="quick")

    class Named(Masked):
        """Its gradients are in a dict."""

        def backward(self, d):
            return {"W": self.x.T @ (d * (1 - self.y**2))}

    with pytest.raises(GuestError, match="backward returned a dict; wanted a list of arrays, one for each of weights"):
        check(Named, profile="quick")

    class Mask(Masked):
        """Its gradients are true or false."""

        def backward(self, d):
            return [self.x.T @ (d * (1 - self.y**2)) > 0]

    with pytest.raises(GuestError, match="backward returned booleans; wanted arrays of numbers"):
        check(Mask, profile="quick")

    class Long(Masked):
        """Its weights have more digits than the oracles."""

        def __init__(self, F, S):
            self.weights = [np.zeros((F, S), np.longdouble)]

    with pytest.raises(GuestError, match=r"weights\[0\] has dtype .*, more than the oracles compute in; wanted float64 or less"):
        check(Long, profile="quick")

    @settings(max_examples=1)
    @given(st.integers())
    def within(_):
        check(Masked, profile="quick")

    with pytest.raises(OptionError, match="call it in a test of its own"):
        within()


def test_a_result_reads_in_a_line():
    """It is what pytest shows of `assert check(Cell)`."""
    found = check(gated("b"), profile="quick", laws=["weight_gradients", "dtypes_are_kept"])
    assert repr(found).startswith("<BROKEN: 1 law of ") and "weight_gradients" in repr(found)


def test_an_assumption_of_hypothesis_in_a_cell_is_no_reason_to_skip():
    """A cell that refuses some batches would hold on all others."""

    def forward(x, h, W):
        if len(x) > 2:
            raise UnsatisfiedAssumption("as assume does")
        return np.tanh(x @ W + h)

    cell = lift(adapt(lambda F, S: {"W": np.zeros((F, S))}, ("x h W -> h", forward), None))(4, 5)
    with pytest.raises(RuntimeError, match="the cell raised UnsatisfiedAssumption: as assume does"):
        cell.apply(np.zeros((3, 4)), np.zeros((3, 5)))


def test_a_process_that_a_cell_forks_ends_there():
    """Else it would go on with our code, and fork again in each call."""
    forked = []

    def forward(x, h, W):
        forked.append(os.fork())
        return np.tanh(x @ W + h)

    cell, own = lift(adapt(lambda F, S: {"W": np.zeros((F, S))}, ("x h W -> h", forward), None))(4, 5), os.getpid()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of threads, which a fork loses
        cell.apply(np.zeros((3, 4)), np.zeros((3, 5)))
    assert os.getpid() == own
    assert os.waitstatus_to_exitcode(os.waitpid(forked[0], 0)[1]) == 1


def test_the_last_line_names_outputs_from_which_no_gradient_was_verified():
    """As of a state whose upstream the backward pass does not take."""

    def forward(x, c, h, W):
        new = np.tanh(x @ W + h)
        return c + new, new, new

    def backward(dh, x, W, y):
        dz = dh * (1 - y * y)
        return dz @ W.T, dz, x.T @ dz

    how = ("x c h W -> c h y", forward), ("dh x W y -> dx dh dW", backward)
    found = check(adapt(lambda F, S: {"W": np.zeros((F, S))}, *how), profile="quick", laws=["gradients"])
    assert repr(found).endswith("; no gradient from c' was verified>")
