"""The twin of a cell that takes no complex numbers: the equations of its declared or found convention, at its weights.

Real numbers alone are slow, and in float32 they tell little of a derivative: where the kind and the blocks are known, and the twin
returns what the cell returns, the twin is differentiated in its place.
"""

import copy

import numpy as np
from cellcheck.properties.intake.conventions import gates_of, step
from cellcheck.properties.oracles.equations import STATES

AGREES = {2: 3e-2, 4: 1e-4, 8: 1e-9}  # by the bytes of a float: how closely outputs of size 1 agree


class Shadow:
    """The equations of a cell at its weights, computed in the dtype of the arrays that it is given."""

    def __init__(self, cell):
        """cell: one that has kind and weight_blocks."""
        self.weights = [np.array(w, dtype=float) for w in cell.weights]
        self.kind, self.variant, self.transposed = cell.spec.kind, cell.spec.variant, cell.spec.transposed
        self.weight_blocks, self.names, self.sequence = cell.spec.weight_blocks, cell.spec.output_names, cell.spec.sequence
        self.spec = cell.spec

    def __deepcopy__(self, memo):
        """The same equations at other weights; nothing else changes."""
        new = copy.copy(self)
        new.weights = [memo.get(id(w), w) for w in self.weights]
        return new

    def apply(self, x, *state):
        """The outputs of the cell."""
        gates, ys = gates_of(self.weights, self.weight_blocks, self.transposed), []
        state = state or (np.zeros((x.shape[-2], len(gates["h", "candidate"]))),) * len(STATES[self.kind])
        for row in x if self.sequence else [x]:
            state = step(self.kind, self.variant, gates, row, state)
            ys.append(state[-1])
        named = {"sum": state[-1].sum(), "ys": np.array(ys).reshape(len(ys), *state[-1].shape)}
        named.update((f"{name}'", s) for name, s in zip(self.spec.state_names or STATES[self.kind], state))
        return tuple(named[name] for name in self.names)


def shadow(cell, x, state):
    """The Shadow of a cell; None if its equations are not known, or if it computes something else at these inputs."""
    spec = cell.spec
    if isinstance(cell, Shadow) or spec.kind not in STATES or not spec.weight_blocks:
        return None
    names = spec.state_names or STATES[spec.kind]
    if len(names) != len(STATES[spec.kind]) or not {*spec.output_names} <= {"sum", "ys", *(f"{name}'" for name in names)}:
        return None  # it hides a state, or puts out something else
    twin = Shadow(cell)
    # a second point: at zero inputs different equations may agree
    beside = (x + x.dtype.type(0.25), *(s - s.dtype.type(0.125) for s in state))
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
