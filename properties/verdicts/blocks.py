"""Blocks: the single comparisons that a law makes, each with a verdict; and Violation, which carries them if one is wrong."""

from dataclasses import dataclass
from functools import cache
from math import isfinite
from typing import Any

import numpy as np


def certifies(unit):
    """How closely a certified block agrees at least, relative to the expected value: 1e-9, 1e-4 in float32, 1e-2 below that.

    unit: the unit roundoff of what is compared.
    """
    return 1e-9 if unit < 1e-10 else 1e-4 if unit < 1e-6 else 1e-2


LOST = "NaN on both sides: for the stability laws to judge"


@dataclass
class Block:
    """One compared quantity: a scalar (a directional derivative) or a whole array.

    verdict: "violated" (beyond the bound), "certified" (agrees as closely as `certifies` asks), "trivial" (both zero) or "inconclusive".
    error, bound: of the worst entry; index: where that is, None for a scalar; note: how it was compared.
    """

    name: str
    got: Any
    expected: Any
    error: float = 0.0
    bound: float = 0.0
    verdict: str = "certified"
    index: tuple[int, ...] | None = None
    note: str = ""
    array: int | None = None  # its position in [*weights, x, *state], where it is a gradient

    @property
    def agreement(self):
        """The error relative to the expected value: 0 is perfect."""
        if not self.error:
            return 0.0
        if isinstance(self.expected, float):
            return float(abs(self.error / self.expected)) if self.expected and isfinite(self.error) else float(self.error)
        scale = np.max(np.abs(self.expected), initial=0.0)
        return float(self.error / scale) if scale and np.isfinite(self.error) else float(self.error)

    @property
    def severity(self):
        """How far beyond its bound the error is; a shape or a NaN comes first."""
        return self.error / self.bound if self.bound else np.inf


class Violation(AssertionError):
    """A law does not hold. `blocks` are those violated, worst first; `all_blocks` everything the law compared."""

    def __init__(self, blocks):
        """blocks: everything the law compared."""
        self.all_blocks = blocks
        self.blocks = sorted((b for b in blocks if b.verdict == "violated"), key=lambda b: -b.severity)
        super().__init__("\n".join(map(_line, self.blocks)))


def misshapen(name, got, expected_shape):
    """A violated block if `got` is not an array of real numbers of that shape, else None: shapes come before values."""
    if got is None:
        return Block(name, None, f"an array {expected_shape}", np.inf, 0.0, "violated", note="missing")
    shape = np.shape(got)
    if shape != tuple(expected_shape):
        return Block(name, f"shape {shape}", f"shape {tuple(expected_shape)}", np.inf, 0.0, "violated", note="shape")
    dtype = np.asarray(got).dtype
    if dtype.kind not in "fiub":
        return Block(name, f"dtype {dtype}", "real numbers", np.inf, 0.0, "violated", note="dtype")
    return None


def identical(name, got, expected):
    """The block of an exact law: every entry equal, shapes first; a NaN on one side only is a difference."""
    wrong = misshapen(name, got, np.shape(expected))
    if wrong:
        return wrong
    got, expected = np.array(got), np.array(expected)  # copies: the cell may use its buffers again before the report is written
    if equal(got, expected):
        return Block(name, got, expected, verdict="certified" if np.count_nonzero(expected) else "trivial")
    unequal = ~((got == expected) | _both_nan(got, expected))
    if not unequal.any():
        return Block(name, got, expected, verdict="inconclusive", note=LOST)
    return _worst(name, got, expected, np.where(unequal, np.abs(got - expected), 0.0), np.zeros(got.shape), "exact")


def equal(a, b):
    """Whether two arrays have the same shape and the same numbers, none of them NaN; `np.array_equal` takes four times as long."""
    return a.shape == b.shape and np.count_nonzero(a == b) == a.size


def same(got, expected):
    """The blocks of an exact law on two dicts of named arrays, one for each name of `expected`."""
    return [identical(name, got[name], expected[name]) for name in expected]


def within(name, got, expected, bound, note="", unit=0.0):
    """The block of an inexact law: |got - expected| <= bound entry by entry; a NaN on one side only is a violation.

    unit: the unit roundoff of the cell, if that is more than the dtype says.
    """
    wrong = misshapen(name, got, np.shape(expected))
    if wrong:
        return wrong
    got, expected = np.asarray(got), np.asarray(expected)
    with np.errstate(all="ignore"):
        error = np.abs(got - expected)
    if np.count_nonzero((error <= bound) & np.isfinite(got)) < error.size:  # also if there are infinities or NaNs
        error = np.where((got == expected) | _both_nan(got, expected), 0.0, error)
        error = np.where(np.isinf(got) != np.isinf(expected), np.nan, error)
        if not ((error <= bound) | (error == 0)).all():  # where both are NaN, so is a bound
            return _worst(name, got, expected, error, np.broadcast_to(bound, error.shape), note)
        if _both_nan(got, expected).any():
            return Block(name, got, expected, verdict="inconclusive", note=LOST)
    worst = (0.0, 0.0)
    if error.size:
        k = error.argmax()
        whole = np.shape(bound) == error.shape
        at = bound if np.ndim(bound) == 0 else (bound if whole else np.broadcast_to(bound, error.shape)).flat[k]
        worst = (float(error.flat[k]), float(at))
    scale = np.where(np.isfinite(expected), np.abs(expected), 0.0).max(initial=0.0)
    close = certifies(max(unit, _roundoff(got.dtype))) * scale
    verdict = "trivial" if not np.count_nonzero(expected) else "certified" if worst[0] <= close else "inconclusive"
    return Block(name, got, expected, *worst, verdict, note=note)


@cache
def _roundoff(dtype):
    """The unit roundoff of numbers of this dtype; integers are taken as floats."""
    return np.finfo(np.result_type(dtype, np.float16)).eps / 2


def _both_nan(got, expected):
    return np.isnan(got) & np.isnan(expected)


def finite(name, value):
    """The block of a law that requires finite numbers."""
    value = np.asarray(value)
    if np.isfinite(value).all():
        return Block(name, value, value)
    index = tuple(int(i) for i in np.argwhere(~np.isfinite(value))[0])
    return Block(name, value, "finite", np.inf, 0.0, "violated", index)


def unflagged(run):
    """The block of a law that allows no floating-point flag but underflow while `run()` runs."""
    try:
        with np.errstate(over="raise", invalid="raise", divide="raise", under="ignore"):
            run()
            if any(np.geterr()[flag] != "raise" for flag in ("over", "invalid", "divide")):
                told = "the handling of floating-point errors was changed, which hides flags"
                return Block("flags", told, "no flag but underflow", np.inf, 0.0, "violated")
    except FloatingPointError as flag:
        return Block("flags", str(flag), "no flag but underflow", np.inf, 0.0, "violated")
    return Block("flags", "none", "none")


def _worst(name, got, expected, error, bound, note):
    """The violated block at its worst entry; NaN counts as the worst."""
    with np.errstate(all="ignore"):
        excess = np.where(
            (error <= bound) | (error == 0), 0.0, np.where(bound > 0, error / np.where(bound > 0, bound, 1), np.inf)
        )
    excess = np.where(np.isnan(error), np.inf, excess)
    k = tuple(int(i) for i in np.unravel_index(np.argmax(excess), excess.shape))
    return Block(name, got, expected, float(error[k]), float(bound[k]), "violated", k, note)


def _line(block):
    where = "" if block.index in (None, ()) else str(list(block.index))
    got, expected = (_at(v, block.index) for v in (block.got, block.expected))
    bound = f", bound {block.bound:.1e}" if block.bound else ""
    return (
        f"{block.name}{where}: got {_number(got)}, expected {_number(expected)}{bound}{f' ({block.note})' if block.note else ''}"
    )


def _at(value, index):
    return value[index] if isinstance(value, np.ndarray) and index is not None else value


def _number(value):
    return f"{value:.12g}" if isinstance(value, (float, np.floating)) else str(value)
