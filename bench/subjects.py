"""What is verified: a cell on a problem, right or wrong by a little in one place."""

from dataclasses import dataclass

import numpy as np
from cellcheck.cells import GRU, LSTM, Gradients
from cellcheck.properties.oracles.handshake import handshake
from cellcheck.strategies import Problem

CELLS = (LSTM, GRU)
SIZES = ((1, 10, 4), (4, 16, 32), (8, 64, 128), (16, 256, 256))  # (batch, features, state)


@dataclass
class Subject:
    """A cell of this class on the standard problem of a size; hand: what its oracles may ask of it, found once per cell."""

    Cell: type
    sizes: tuple
    hand: object = None

    def __post_init__(self):
        """Build the cell and its inputs."""
        self.problem = Problem(*self.sizes, seed=1, scale=1.0)
        self.cell, self.x, self.state = self.problem.build(self.Cell)
        self.hand = self.hand or handshake(self.Cell)

    @property
    def arrays(self):
        """[*weights, x, *state]."""
        return [*self.cell.weights, self.x, *self.state]

    @property
    def parameters(self):
        """How many numbers the weights are."""
        return sum(w.size for w in self.cell.weights)

    @property
    def regions(self):
        """The parts that get a verdict of their own: each gate of each weight, x and each state."""
        return self.cell.spec.regions

    @property
    def gate(self):
        """The region that stands for all where one is tried: a gate of the last matrix."""
        return next(r for r in self.regions if r.k == sum(w.ndim > 1 for w in self.cell.weights) - 1 and "gate" in r.name)

    def wrong(self, region, error, entry=False):
        """The same subject with a wrong gradient: the region, or its median entry alone, times 1 + error."""
        return Subject(tampered(self.Cell, region, error, entry), self.sizes, self.hand)


def tampered(Cell, region, error, entry):
    """The class whose gradients are wrong by a relative error in one region, or in one entry of it."""

    class Tampered(Cell):
        def vjp(self, *d_outputs):
            weights, x, state = super().vjp(*d_outputs)
            arrays = [np.array(g) for g in (*weights, x, *state)]
            claim, n = arrays[region.k], len(weights)
            if entry:
                claim[median(claim, region)] *= 1 + error
            else:
                for index in region.indices:
                    claim[index] *= 1 + error
            return Gradients(arrays[:n], arrays[n], tuple(arrays[n + 1 :]))

    Tampered.__name__ = Cell.__name__
    return Tampered


def median(claim, region):
    """The index of the entry of median size in the first part of a region."""
    number = np.arange(claim.size).reshape(claim.shape)[region.indices[0]].ravel()
    sizes = np.abs(claim.ravel()[number])
    return np.unravel_index(number[np.argsort(sizes)[len(sizes) // 2]], claim.shape)


def smallest_detected(rejects, decades=15):
    """The smallest power of ten, from 1 to 1e-15, for which rejects(error) holds, by bisection; None if not even 1."""
    if not rejects(1.0):
        return None
    low, high = 0, decades + 1  # 10^-low is rejected, 10^-high is not
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if rejects(10.0**-middle) else (low, middle)
    return 10.0**-low
