"""What a cell of a declared kind must return: the textbook equations, in extended precision, read through `weight_blocks`.

Each gate's weights are taken alone from wherever the cell keeps them, so that any gate order, transposed weights, fused or
separate matrices, one bias or two all come to the same equations. Nothing here is shared with the cells under test.
"""

from functools import partial

import numpy as np
from cellcheck.properties.oracles.equations_modern import MODERN, modern

Wide = np.longdouble


def equations(cell, x, state):
    """What apply(x, *state) of a cell that declares `kind` and `weight_blocks` must return, as a tuple; without states, from zeros.

    RNN    h' = tanh([x, h] W + b)
    LSTM   c' = sigmoid(f) c + sigmoid(i) tanh(g),  h' = sigmoid(o) tanh(c')
    GRU    h' = u (n - h) + h  with  n = tanh(a_n + r s_n)

    A guest may declare a `variant` of them: {"forget": 1.0} is added to f, {"reset": "before"} the product with the weights of h,
    {"update": "old"} exchanges u and 1 - u. {"clip": 10} keeps c' within +-10, {"clip_pre": 10} whatever an activation is given.
    For the kinds of `equations_modern`, see there: they need no `weight_blocks`.
    """
    if cell.spec.kind in MODERN:
        return modern(cell, x, state)
    step, ys = partial(KINDS[cell.spec.kind], **cell.spec.variant), []
    gates = {(s, g): _block(cell, s, g) for s in SOURCES for g in GATES[cell.spec.kind]}
    zeros = np.zeros((x.shape[-2], len(gates["h", "candidate"])))
    state = tuple(s.astype(Wide) for s in state or [zeros] * len(STATES[cell.spec.kind]))
    with np.errstate(all="ignore"):
        for row in x.astype(Wide) if cell.spec.sequence else [x.astype(Wide)]:
            state = step(gates, row, *state)
            ys.append(state[-1])
        outputs = [s.astype(x.dtype) for s in state]
        if cell.spec.sequence:
            outputs.append(np.array(ys, dtype=x.dtype).reshape(len(x), *state[-1].shape))
    return tuple(outputs)


def rnn(weights, x, h, clip_pre=np.inf):
    """The next (h,)."""
    a, s = _parts(weights, "candidate", x, h)
    return (tanh(_within(a + s, clip_pre)),)


def lstm(weights, x, c, h, forget=0.0, clip=np.inf, clip_pre=np.inf):
    """The next (c, h); forget: the constant that is added to the forget gate's bias."""
    i, f, o, g = (sum(_parts(weights, gate, x, h)) for gate in GATES["LSTM"])
    i, f, o, g = (_within(z, clip_pre) for z in (i, f + Wide(forget), o, g))
    c = _within(sigmoid(f) * c + sigmoid(i) * tanh(g), clip)
    return c, sigmoid(o) * tanh(_within(c, clip_pre))


def gru(weights, x, h, reset="after", update="new", clip_pre=np.inf):
    """The next (h,): the reset gate acts on the state's half of the candidate, its bias included, or on h before that."""
    z_r, z_u = (_within(sum(_parts(weights, gate, x, h)), clip_pre) for gate in ("reset", "update"))
    r, u = sigmoid(z_r), sigmoid(-z_u if update == "old" else z_u)
    a, s = _parts(weights, "candidate", x, r * h if reset == "before" else h)
    return (u * (tanh(_within(a + (s if reset == "before" else r * s), clip_pre)) - h) + h,)


def _within(z, limit):
    """z, but at most `limit` and at least -limit."""
    return np.minimum(np.maximum(z, -Wide(limit)), Wide(limit))


KINDS = {"RNN": rnn, "LSTM": lstm, "GRU": gru}
STATES = {"RNN": ("h",), "LSTM": ("c", "h"), "GRU": ("h",)}
GATES = {"RNN": ("candidate",), "LSTM": ("input", "forget", "output", "candidate"), "GRU": ("reset", "update", "candidate")}
SOURCES = ("x", "h", "bias", "bias_x", "bias_h")


def sigmoid(z):
    """1 / (1 + e) for z >= 0, e / (1 + e) for z < 0, with e = exp(-|z|)."""
    e = np.exp(-np.abs(z))
    return np.where(z < 0, e, 1) / (1 + e)


def tanh(z):
    """+-m / (2 - m) with the sign of z, where m = 1 - exp(-2|z|)."""
    m = -np.expm1(-2 * np.abs(z))
    return np.copysign(m / (2 - m), z)


def _parts(weights, gate, x, h):
    """The halves of a pre-activation: what x contributes and what h contributes, each with its bias; a lone bias joins x."""
    return (
        x @ weights["x", gate] + weights["bias", gate] + weights["bias_x", gate],
        h @ weights["h", gate] + weights["bias_h", gate],
    )


def _block(cell, source, gate):
    """The weights from a source to a gate: (fan_in, state), or (state,) of a bias; a bias that the cell does not have is 0."""
    for weight, blocks in zip(cell.weights, cell.spec.weight_blocks):
        if (source, gate) in blocks:
            block = np.asarray(weight)[blocks[source, gate]].astype(Wide)
            return block.reshape(-1) if source.startswith("bias") else block.T if cell.spec.transposed else block
    if not source.startswith("bias"):
        raise LookupError(f"weight_blocks of a {cell.spec.kind} name no block {(source, gate)}")
    return Wide(0)
