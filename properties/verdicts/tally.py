"""Counts what a law did on a cell: its examples, their verdicts, and how closely derivatives agreed."""

from collections import Counter
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from math import ceil, log10

from cellcheck.properties.verdicts.blocks import Block, Violation


@dataclass
class Tally:
    """What one law did on one cell: examples that ran, verdicts per block, the worst error as a share of its bound.

    power: for each block that is a derivative, how closely it agreed in the worst example that certified it; decades: how many
    examples certified it by the power of ten of their agreement, None where that was perfect; oracles: who was asked about it;
    nothing: why an example had nothing to compare.
    """

    examples: int = 0
    verdicts: dict[str, Counter] = field(default_factory=dict)
    worst: float = 0.0
    power: dict[str, float] = field(default_factory=dict)
    decades: dict[str, Counter] = field(default_factory=dict)
    oracles: dict[str, str] = field(default_factory=dict)
    nothing: str = "it offers nothing that the law could compare"

    def add(self, blocks):
        """Count one example. Of blocks that share a name, keep the strongest verdict, then the closest agreement."""
        self.examples += 1
        telling: dict[str, Block] = {}
        for b in blocks:
            if b.verdict != "violated" and b.bound:
                self.worst = max(self.worst, b.error / b.bound)
            if b.name not in telling or _says(b) > _says(telling[b.name]):
                telling[b.name] = b
        for name, b in telling.items():
            self.verdicts.setdefault(name, Counter())[b.verdict] += 1
            if b.array is not None:
                self._sharpness(name, b)

    def _sharpness(self, name, b):
        seen = self.decades.setdefault(name, Counter())
        if b.verdict == "certified":
            agreement = b.agreement
            self.oracles[name] = b.note
            self.power[name] = max(self.power.get(name, 0.0), agreement)
            seen[ceil(log10(agreement)) if agreement else None] += 1


def _says(b):
    return ("trivial", "inconclusive", "certified", "violated").index(b.verdict), -b.agreement if b.array is not None else 0.0


_current: ContextVar[Tally] = ContextVar("tally")  # of the law that is running


@contextmanager
def counting(tally):
    """Within this context, count the verdicts of laws in this Tally."""
    token = _current.set(tally)
    try:
        yield tally
    finally:
        _current.reset(token)


def require(blocks, nothing=""):
    """Count these blocks, and raise one Violation if any of them is violated. nothing: why there are none."""
    blocks = list(blocks)
    if tally := _current.get(None):
        tally.add(blocks)
        tally.nothing = nothing or tally.nothing
    if any(b.verdict == "violated" for b in blocks):
        raise Violation(blocks)
