"""The one comparison: shapes before values, NaN for other laws to judge, agreement by size."""

import numpy as np
import pytest
from cellcheck.properties.verdicts.blocks import LOST, Block, identical, within

NAN = np.array([1.0, np.nan])


@pytest.mark.parametrize("got", [[np.inf, 5.0], [1.0, 1.0]])
def test_an_infinity_does_not_certify_what_is_beside_it(got):
    """Neither a finite number that is off, nor one in its place."""
    assert within("a", np.array(got), np.array([np.inf, 1.0]), np.array(10.0)).verdict != "certified"


@pytest.mark.parametrize(
    ("got", "note", "said"),
    [
        (None, "missing", None),
        (np.zeros(3), "shape", "shape (3,)"),
        (np.array(["a", "b"]), "dtype", "dtype <U1"),
        (np.zeros(2, complex), "dtype", "dtype complex128"),
    ],
)
@pytest.mark.parametrize("compare", [identical, lambda name, got, wanted: within(name, got, wanted, np.inf)])
def test_what_is_no_array_of_that_shape_is_violated_before_any_value(compare, got, note, said):
    """However wide the bound: nothing, another shape, other things than real numbers."""
    block = compare("W", got, np.zeros(2))
    assert (block.verdict, block.note, block.got, block.severity) == ("violated", note, said, np.inf)


def test_an_entry_that_is_nan_on_both_sides_is_never_the_worst():
    """Even if its bound is NaN as well."""
    bound = np.array([1e-9, np.nan])
    assert within("W", NAN, NAN, bound).verdict == "inconclusive"
    assert within("W", NAN, NAN + 1, bound).index == (0,)


@pytest.mark.parametrize("compare", [identical, lambda name, got, wanted: within(name, got, wanted, 1.0)])
def test_nan_on_both_sides_proves_nothing_and_on_one_is_a_difference(compare):
    """The stability laws judge the first."""
    both = compare("W", NAN, NAN)
    assert (both.verdict, both.note) == ("inconclusive", LOST)
    assert compare("W", NAN, np.ones(2)).verdict == "violated"
    assert compare("W", np.ones(2), NAN).verdict == "violated"


def test_infinities_on_both_sides_agree():
    """Equal ones; the difference of an infinity from itself is no number."""
    infinite = np.array([np.inf, 1.0])
    assert within("W", infinite, infinite, 0.0).verdict != "violated"
    assert within("W", infinite, -infinite, 1.0).verdict == "violated"


@pytest.mark.parametrize(
    ("expected", "error", "agreement"),
    [(4.0, 1.0, 0.25), (0.0, 1.0, 1.0), (np.array([1.0, -4.0]), 1.0, 0.25), (np.zeros(2), 1.0, 1.0), (np.ones(2), 0.0, 0.0)],
)
def test_agreement_is_the_error_relative_to_what_is_expected(expected, error, agreement):
    """To its largest entry; the error itself where zero is expected."""
    assert Block("W", None, expected, error).agreement == agreement
