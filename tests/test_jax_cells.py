"""jax functions with a backward pass of their own: what is wrong in it is found in the operations that jax sees."""

import numpy as np
import pytest

jax = pytest.importorskip("jax", reason="a framework, and optional")
import jax.numpy as jnp  # noqa: E402
from cellcheck.cells import lift  # noqa: E402
from cellcheck.cells.adapters import jax_function  # noqa: E402
from cellcheck.properties.reports.diagnosis import examined  # noqa: E402
from cellcheck.properties.reports.diagnosis.flow_faults import untold  # noqa: E402
from cellcheck.properties.reports.diagnosis.grown import PLAIN, grown  # noqa: E402

from tests.test_field_cases import broken  # noqa: E402


def weights(F, S):
    """A matrix for each of two gates, and a bias."""
    return {"U": np.zeros((F, S)), "G": np.zeros((F, S)), "b": np.zeros(S)}


def scanned(mistake="", loop=False):
    """h' = g h + (1 - g) |u| in a scan over the steps, with a scan backwards; with a loop, jax does not know how long it is."""

    @jax.custom_vjp
    def run(u, g, h):
        return forward(u, g, h)[0]

    def forward(u, g, h):
        def step(h, both):
            u, g = both
            new = g * h + (1 - g) * jnp.abs(u)
            return new, (new, h)

        last, (ys, before) = jax.lax.scan(step, h, (u, g))
        return (last, ys), (u, g, before)

    def backward(kept, d):
        def step(dh, one):
            u, g, h, dy = one
            dh = dh + dy
            dg = dh * (h if mistake == "gate" else h - jnp.abs(u))
            du = dh * (1 - g) * (1 if mistake == "sign" else jnp.sign(u))
            return dh * g, (du, dg)

        dlast, dys = d
        dh, (du, dg) = jax.lax.scan(step, dlast, (*kept, dys), reverse=True)
        return du, dg, dh

    run.defvjp(forward, backward)

    def call(p, x, h):
        g = jax.nn.sigmoid(x @ p["G"] + p["b"])
        g = jax.lax.cond(True, lambda g: g, lambda g: 0 * g, g)
        if loop:
            g = jax.lax.while_loop(lambda one: one[0] < 2, lambda one: (one[0] + 1, one[1]), (0, g))[1]
        return run(x @ p["U"], g, h)

    return lift(jax_function(weights, call, sequence=True))


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        ("gate", "no gradient flows back to `g` through `1 - g` (line"),
        ("sign", "the derivative of `jnp.abs(u)` (line"),
    ],
)
def test_a_mistake_is_found_in_the_operations_of_jax(mistake, said):
    """With its line, in scans and branches, where numbers are complex and where they cannot be."""
    sentences, wrong, faults = examined(scanned(mistake), PLAIN)
    assert wrong and not faults and sentences[0].startswith(said)


def test_what_is_right_is_not_told_to_be_wrong():
    """Nor what is computed in a loop whose length jax does not know, which is not followed."""
    assert untold(grown(scanned(), PLAIN)) == "" and examined(scanned(), PLAIN).sentences == ()
    assert untold(grown(scanned(loop=True), PLAIN)) == "it has a loop whose number of steps jax does not know"


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda z: jax.nn.softplus(z), "is missing"),
        (lambda z: jnp.where(z > 0, z, 0.1 * z), "no gradient flows back to"),
        (lambda z: jnp.sin(jax.lax.stop_gradient(z)), "no gradient flows back to"),
    ],
)
def test_functions_of_the_library_have_the_line_that_calls_them(function, said):
    """Their own operations are not shown; what is detached has its values; a scan may have no steps."""

    @jax.custom_vjp
    def run(z):
        return function(z)

    run.defvjp(lambda z: (function(z), None), lambda kept, d: (d if said == "is missing" else 0 * d,))

    def call(p, x, h):
        h, _ = jax.lax.scan(lambda h, z: (h, None), run(z := x @ p["U"] + p["b"]) + z / 3 + h, jnp.zeros((0, 1)))
        return (h + 0.0 * p["G"].sum(),)

    (sentence, *_), wrong, faults = examined(lift(jax_function(weights, call)), PLAIN)
    assert wrong and not faults and said in sentence


def test_a_function_of_whole_numbers_is_not_followed():
    """jax traces it with tokens, not with floats."""
    Cell = lift(
        jax_function(
            weights,
            lambda p, x, h: (jnp.tanh(jnp.asarray(p["U"])[x[:, 0]] + h + p["b"]),),
            inputs={"x": (1,)},
            domains={"x": "tokens"},
        )
    )
    assert "integer" in untold(grown(Cell, PLAIN))


def ragged(lost):
    """h' = tanh(x W + h) where a row has not ended; what flows back through its padding may be lost."""

    @jax.custom_vjp
    def run(W, x, mask, h):
        return forward(W, x, mask, h)[0]

    def forward(W, x, mask, h):
        def step(h, one):
            new = jnp.tanh(one[0] @ W + h)
            return one[1] * new + (1 - one[1]) * h, new

        last, new = jax.lax.scan(step, h, (x, mask))
        return (last, new * mask), (W, x, mask, new)

    def backward(kept, d):
        W, *rest = kept

        def step(carry, one):
            (dh, dW), (x, mask, new, dy) = carry, one
            dz = mask * (dh + dy) * (1 - new**2)
            return (dz + (0 if lost else 1 - mask) * dh, dW + x.T @ dz), dz @ W.T

        (dh, dW), dx = jax.lax.scan(step, (d[0], jnp.zeros_like(W)), (*rest, d[1]), reverse=True)
        return dW, dx, jnp.zeros_like(rest[1]), dh

    run.defvjp(forward, backward)

    def call(W, x, h, lengths):
        return run(W, x, (jnp.arange(len(x))[:, None] < lengths)[..., None] + 0.0 * x[..., :1], h)

    return lift(jax_function(lambda F, S: np.zeros((F, S)), call, sequence=True))


@pytest.mark.parametrize("lost", [False, True])
def test_rows_that_end_early_are_judged_at_declared_steps(lost):
    """Their lengths are some of the numbers of steps for which jax compiles."""
    law = "each_ragged_row_equals_its_solo_run"
    assert broken(ragged(lost), [law], n=20) == ({law} if lost else set())


@pytest.mark.parametrize("bound", [1.0, 20.0])
def test_an_abs_that_drops_imaginary_parts_leaves_no_complex_step(bound):
    """A denominator max(|h z|, bound) that is treated as a constant is seen by real numbers."""

    def call(W, x, h):
        z = x @ W + h
        return (z / jax.lax.stop_gradient(jnp.maximum(jnp.abs(h * z), bound)),)

    Cell = lift(jax_function(lambda F, S: np.zeros((F, S)), call))
    assert broken(Cell, ["state_gradients"], n=40) == {"state_gradients"}


def test_a_rule_that_runs_another_forward_pass_is_told():
    """Of a jax.custom_vjp, where outputs are right and gradients are those of something else."""

    @jax.custom_vjp
    def run(z):
        return jnp.tanh(z)

    run.defvjp(lambda z: (jnp.sin(z), z), lambda z, d: (d * jnp.cos(z),))
    Cell = lift(jax_function(weights, lambda p, x, h: (run(x @ p["U"] + p["b"] + h) + 0.0 * p["G"].sum(),)))
    (sentence, *_), wrong, faults = examined(Cell, PLAIN)
    assert (
        wrong
        and not faults
        and sentence.startswith("the forward pass in a rule of jax.custom_vjp returns other numbers than the function: h' differ")
    )
