"""What other checkers say of the same cells, through the same forward and backward: each returns why it rejects a cell, or None.

None of them sees more than one problem, as in everyday use. A peer that is not installed is not asked.
"""

from importlib.util import find_spec

import numpy as np
from cellcheck.cells.modern import STEPS
from cellcheck.properties.mutants import frameworks
from cellcheck.properties.mutants.frameworks import case
from cellcheck.strategies import Problem

from cellcheck import cells

LINE, EPS = 1e-3, 1e-5


def gist(Cell):
    """The gist's check: central differences of the sum, weight by weight, relative error above 1e-3; a NaN is above nothing."""
    cell, x, state = case(Cell, 1, 10, 4)
    cell.forward(x, *state)
    for k, (w, given) in enumerate(zip(cell.weights, [np.array(g) for g in cell.backward(1.0)], strict=True)):
        for index in np.ndindex(w.shape):
            kept, sums = w[index], []
            for moved in (kept + EPS, kept - EPS):
                w[index] = moved
                sums.append(cell.forward(x, *state))
            w[index] = kept
            numerical, analytic = (sums[0] - sums[1]) / (2 * EPS), given[index]
            size = abs(numerical + analytic)
            if size and abs(numerical - analytic) / size > LINE:
                return f"weights[{k}]{list(index)}: {analytic:.3g} against {numerical:.3g}"
    return None


def fixed_data(Cell):
    """Node cases in the manner of ONNX: constant weights 0.1, zero states, x = 1, 2, 3, ...; outputs to rtol 1e-3, atol 1e-7."""
    Correct = next(C for C in cells.CELLS if (C.kind, C.sequence) == (Cell.kind, Cell.sequence))
    for batch, features, state, bias in ((3, 2, 4, 0.0), (3, 3, 5, 0.1), (1, 2, 3, 0.0)):
        x = np.arange(1.0, batch * features + 1).reshape(batch, features)
        x = np.stack([x] * 2) if Correct.sequence else x
        outputs = []
        for Any in (Cell, Correct):
            cell = Any(features, state)
            for w in cell.weights:
                w[...] = bias if w.ndim == 1 else 0.1
            outputs.append(cell.apply(x, *(np.zeros((batch, state)) for _ in cell.state_names)))
        for k, (got, expected) in enumerate(zip(*outputs, strict=True)):
            if np.shape(got) != np.shape(expected) or not np.allclose(got, expected, rtol=1e-3, atol=1e-7):
                return f"output {k} differs"
    return None


def rms_ratio(Cell):
    """flash-linear-attention's assert_close: in float32, the root mean square of the error against the unrolled step, divided by
    that of what is right, must be below 0.005, or no entry off by 1e-6; outputs, final states and all gradients."""
    Step = next(Step for Step in STEPS if Step.kind == Cell.kind)
    Whole = Cell if Cell.sequence else cells.Unroll(Cell)
    rng, runs = np.random.default_rng(0), []
    problem = Problem(2, 8, 16, steps=63, seed=1, scale=1.0, dtype=np.float32)
    cell, x, state = problem.build(Whole)
    upstreams = [rng.standard_normal(y.shape).astype(np.float32) for y in cell.apply(x, *state)]
    for Any in (Whole, cells.Unroll(Step)):
        cell, x, state = problem.build(Any)
        runs.append([*cell.apply(x, *state), *frameworks.flat(cell.vjp(*upstreams))])
    for k, (got, right) in enumerate(zip(*runs, strict=True)):
        error, size = (np.sqrt(np.mean(np.square(a, dtype=float))) for a in (got - right, right))
        if not np.isfinite(got).all() or (np.abs(got - right).max() > 1e-6 and error >= 0.005 * (size + 1e-8)):
            return f"array {k}: ratio {error / size:.3g}"
    return None


PEERS = {
    "the gist's check": (gist, None),
    "fixed data": (fixed_data, None),
    "torch gradcheck": (frameworks.torch_gradcheck, "torch"),
    "torch gradcheck, fast": (frameworks.torch_gradcheck_fast, "torch"),
    "jax check_grads": (frameworks.jax_check_grads, "jax"),
    "RMS ratio": (rms_ratio, None),
}


def installed():
    """The peers that can be asked here, by name."""
    return {name: peer for name, (peer, library) in PEERS.items() if library is None or find_spec(library)}


def rejects(peer, Cell):
    """Whether the peer rejects the cell: it says why, or something raises."""
    with np.errstate(all="ignore"):
        try:
            return peer(Cell) is not None
        except Exception:
            return True
