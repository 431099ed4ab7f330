"""The twin of a cell that takes no complex numbers: the equations of its declared or found convention, at its weights.

Differencing float32 tells nothing of a derivative, and real numbers alone are slow; where the kind and the blocks are known, and
the twin returns what the cell returns, the twin is differentiated in its place. For float32 alone there is no other oracle.
"""

import numpy as np
from cellcheck.properties.intake.conventions import gates_of, step
from cellcheck.properties.oracles.chebyshev import Chebyshev
from cellcheck.properties.oracles.equations import STATES

AGREES = {4: 1e-4, 8: 1e-9}  # by the bytes of a float: how closely outputs of size 1 agree


class Shadow:
    """What a cell computes, in the precision of whatever it is given."""

    def __init__(self, cell):
        """cell: one that has kind and weight_blocks."""
        self.weights = [np.array(w, dtype=float) for w in cell.weights]
        self.kind, self.variant, self.transposed = cell.spec.kind, cell.spec.variant, cell.spec.transposed
        self.weight_blocks, self.names, self.sequence = cell.spec.weight_blocks, cell.spec.output_names, cell.spec.sequence
        self.spec = cell.spec

    def apply(self, x, *state):
        """The outputs of the cell."""
        gates, ys = gates_of(self.weights, self.weight_blocks, self.transposed), []
        state = state or (np.zeros((x.shape[-2], len(gates["h", "candidate"]))),) * len(STATES[self.kind])
        for row in x if self.sequence else [x]:
            state = step(self.kind, self.variant, gates, row, state)
            ys.append(state[-1])
        named = {"sum": state[-1].sum(), "h'": state[-1], "c'": state[0], "ys": np.array(ys).reshape(len(ys), *state[-1].shape)}
        return tuple(named[name] for name in self.names)


class NoOracle(Chebyshev):
    """Knows no derivative: every block that asks it is inconclusive."""

    name = "no oracle"

    def value(self, arrays, direction):
        """NaN."""
        return np.nan


def shadow(cell, x, state):
    """The Shadow of a cell, or None: its equations are not known, or it computes something else at these inputs."""
    if isinstance(cell, Shadow) or not (cell.spec.kind and cell.spec.weight_blocks):
        return None
    twin = Shadow(cell)
    beside = (x + x.dtype.type(0.25), *(s - s.dtype.type(0.125) for s in state))  # where all is zero, everything agrees
    return twin if all(_agree(cell, twin, point) for point in ((x, *state), beside)) else None


def _agree(cell, twin, point):
    """Whether the two return the same there."""
    outputs = [np.array(y) for y in cell.apply(*point)]
    wanted = twin.apply(*(a.astype(float) for a in point))
    close = AGREES[min(outputs[-1].itemsize, 8)]
    same = (
        np.max(np.abs(y - z), initial=0.0) <= close * max(1.0, np.max(np.abs(z), initial=0.0)) for y, z in zip(outputs, wanted)
    )
    return all(same)
