"""jax functions of a dict of weights, a hand-written derivative, and an equinox module; the twins have one defect each."""

import jax
import jax.numpy as jnp
import numpy as np


def init(features, state):
    """Weights of an LSTM."""
    rng = np.random.default_rng(0)
    shapes = {"W": (features, 4 * state), "U": (state, 4 * state), "b": (4 * state,)}
    return {name: rng.standard_normal(shape) for name, shape in shapes.items()}


def step(weights, x, c, h):
    """One step of an LSTM, gates i f g o."""
    i, f, g, o = jnp.split(x @ weights["W"] + h @ weights["U"] + weights["b"], 4, axis=-1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    return c, jax.nn.sigmoid(o) * jnp.tanh(c)


def scan(weights, x, c, h, step=step):
    """An LSTM over a whole sequence."""

    def carry(state, x):
        state = step(weights, x, *state)
        return state, state[-1]

    state, ys = jax.lax.scan(carry, (c, h), x)
    return *state, ys


def detached_scan(weights, x, c, h):
    """The defect: no gradient goes back through c."""
    return scan(weights, x, c, h, lambda weights, x, c, h: step(weights, x, jax.lax.stop_gradient(c), h))


@jax.custom_vjp
def gate(a, g, h):
    """h + sigmoid(a) (tanh(g) - h), differentiated by hand."""
    return h + jax.nn.sigmoid(a) * (jnp.tanh(g) - h)


def _backward(given, d):
    a, g, h = given
    s, t = jax.nn.sigmoid(a), jnp.tanh(g)
    return d * (t - h) * s * (1 - s), d * s * (1 - t * t), d * (1 - s)


gate.defvjp(lambda *given: (gate(*given), given), _backward)


@jax.custom_vjp
def wrong_gate(a, g, h):
    """The defect: the gradient of the gate has the wrong sign."""
    return gate(a, g, h)


wrong_gate.defvjp(lambda *given: (gate(*given), given), lambda given, d: (-_backward(given, d)[0], *_backward(given, d)[1:]))


def init_gated(features, state):
    """Weights of both gates."""
    return {name: w[..., : 2 * state] for name, w in init(features, state).items()}


def gated(weights, x, h, gate=gate):
    """One step of a cell with one gate."""
    return (gate(*jnp.split(x @ weights["W"] + h @ weights["U"] + weights["b"], 2, axis=-1), h),)


def wrongly_gated(weights, x, h):
    """With the defect."""
    return gated(weights, x, h, wrong_gate)
