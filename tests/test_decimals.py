"""The exact reference of the activations, and the measure of distance from it."""

from decimal import Decimal, localcontext

import numpy as np
import pytest
from cellcheck.properties.oracles import decimals

from tests.test_activations import every_dtype, every_name


def textbook(name, z):
    """The definition, in 400 digits: no cancellation matters."""
    with localcontext(decimals.CONTEXT) as context:
        context.prec = 400
        e, e2 = (-Decimal(z)).exp(), (-2 * Decimal(z)).exp()
        return {
            "sigmoid": lambda: 1 / (1 + e),
            "tanh": lambda: (1 - e2) / (1 + e2),
            "log_sigmoid": lambda: -(1 + e).ln(),
            "softplus": lambda: (1 + 1 / e).ln(),
            "d_sigmoid": lambda: e / (1 + e) ** 2,
            "d_tanh": lambda: 4 * e2 / (1 + e2) ** 2,
        }[name]()


@every_name
@pytest.mark.parametrize("z", [-745.0, -18.43, -18.42, -1.0, -1e-300, 9.9e-9, 1e-8, 18.42, 18.43, 700.0])
def test_reference_agrees_with_the_definition(name, z):
    """decimals.f(z) equals the textbook formula in 400 digits, to 31 of them."""
    exact = textbook(name, z)
    assert abs(decimals.EXACT[name](z) - exact) <= Decimal("1e-31") * abs(exact)


@every_dtype
@pytest.mark.parametrize("steps", [0, 1, 7])
def test_ulps_counts_floats(dtype, steps):
    """The float k floats from the exact value is k ulp off: sigmoid(0) + k eps/2, and subnormal exp(-|z|) likewise."""
    z = np.array([0.0], dtype)
    got = np.array([0.5], dtype) * (1 + steps * np.finfo(dtype).eps)
    assert decimals.ulps(got, "sigmoid", z) == [steps]


def test_ulps_of_subnormals_are_the_least_spacing():
    """A false zero is exp(-740) / 2^-1074 ulp off: the gap never falls below the least subnormal."""
    assert decimals.ulps(np.zeros(1), "sigmoid", np.array([-740.0])) == pytest.approx(np.exp(1074 * np.log(2) - 740))


def test_ulps_below_a_power_of_two_are_of_the_lower_binade():
    """1 - 2^-53 is one ulp from sigmoid(37) = 1 - 8.5e-17, not half of one."""
    assert decimals.ulps(np.array([1 - 2.0**-53]), "sigmoid", np.array([40.0])) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(("got", "z"), [(np.nan, 1.0), (np.inf, 1.0), (np.nan, np.inf), (1.0, np.inf)])
def test_ulps_never_excuses_a_nan(got, z):
    """A NaN or an infinity in the place of a number is infinitely wrong, and the reverse."""
    assert decimals.ulps(np.array(got), "softplus", np.array(z)) == np.inf


@pytest.mark.parametrize(("got", "z"), [(np.zeros(2), np.zeros(3)), (np.zeros(1), np.array([np.nan]))])
def test_ulps_refuses_what_has_no_answer(got, z):
    """A NaN argument has no exact value, and shapes are not broadcast."""
    with pytest.raises(ValueError, match="wanted"):
        decimals.ulps(got, "tanh", z)
