"""The smallest relative error of one gate that is seen, by precision: by Cellcheck, and by the RMS ratios kernels are tested with.

    python -m bench.sharpness

The cell is a correct LSTM whose gradient of one gate of W is multiplied by 1 + error. It is the reference of itself in float64.
A ratio is rms(got - expected) / rms(expected) over the whole array; kernels are accepted at 0.005 or 0.02.
"""

import numpy as np
from cellcheck.cells import LSTM, Gradients
from cellcheck.properties.oracles import agree, gradients
from cellcheck.properties.oracles.reference import beside, roundings
from cellcheck.properties.oracles.reference import gradients as of_reference
from cellcheck.properties.verdicts import bound
from cellcheck.properties.verdicts.run import vjp
from cellcheck.strategies import Problem

from cellcheck.options import Options
from cellcheck.subjects import Subject, held

DTYPES = (np.float64, np.float32, np.float16)
GATES = ("input", "forget", "output", "candidate")
PROBLEMS = 40  # fewer than a default run has
ERRORS = 10 ** np.arange(-15, 0.01, 0.2)


def faulty(gate, error):
    """The LSTM whose gradient of this gate of W is 1 + error times what it should be."""

    class Faulty(LSTM):
        def _vjp(self, dc, dh):
            weights, x, state = super()._vjp(dc, dh)
            index = next(i for (source, g), i in self.weight_blocks[0].items() if (source, g) == ("x", gate))
            columns = np.ones(weights[0].shape, weights[0].dtype)
            columns[index] = 1 + error
            return Gradients([weights[0] * columns, *weights[1:]], x, state)

    return Faulty


def problems(dtype):
    """Ordinary problems of this precision."""
    rng = np.random.default_rng(0)
    for _ in range(PROBLEMS):
        batch, features, state = (int(n) for n in rng.integers(1, 6, 3))
        yield Problem(
            batch, features, state, seed=int(rng.integers(2**31)), scale=float(rng.choice([0.5, 1.0, 2.0])), dtype=dtype
        )


def seen(gate, error, dtype):
    """How many problems show the error: to the law of the reference, to the law of gradients, and at a ratio of 0.005 and 0.02."""
    Cell = faulty(gate, error)
    tried, counts = Subject("LSTM", Cell), np.zeros(4, int)
    held(tried, Options(reference=LSTM), ".")
    for problem in problems(dtype):
        p = beside(tried.Cell, problem)
        blocks = agree(
            tried.Cell,
            p,
            lambda p: vjp(tried.Cell, p),
            of_reference,
            bound.size,
            lambda p: roundings(tried.Cell, p, of_reference),
        )
        own = gradients(Cell, problem, "weights")
        got, wanted = (g["W"].astype(float) for g in (vjp(tried.Cell, p), of_reference(p)))
        ratio = np.sqrt(np.mean((got - wanted) ** 2) / (np.mean(wanted**2) or 1.0))
        counts += [any(b.verdict == "violated" for b in found) for found in (blocks, own)] + [ratio > 0.005, ratio > 0.02]
    return counts


def smallest(gate, dtype):
    """For each of the four, the smallest of ERRORS from which on at least one problem shows it."""
    low = np.zeros(4, int)
    high = np.full(4, len(ERRORS) - 1)
    while (low < high).any():
        k = int(np.argmax(high - low))
        middle = (low[k] + high[k]) // 2
        shown = seen(gate, ERRORS[middle], dtype) > 0
        high = np.where(shown & (middle < high), np.maximum(middle, low), high)
        low = np.where(~shown & (middle >= low), np.minimum(middle + 1, high), low)
    return ERRORS[high]


def main():
    """Print the table, the median and the worst of the four gates."""
    print("| precision | reference | own gradients | RMS ratio 0.005 | RMS ratio 0.02 |\n|---|---|---|---|---|")
    for dtype in DTYPES:
        found = np.array([smallest(gate, dtype) for gate in GATES])
        cells = [f"{m:.0e} (at most {w:.0e})" for m, w in zip(np.median(found, axis=0), found.max(axis=0))]
        print(f"| {np.dtype(dtype).name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
