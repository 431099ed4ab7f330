"""The laws of the activations, and the proof that they refuse the naive formulas.

A check is a function (name, activation, z): it asserts that `activation`, which claims to be `name`, is right at z.
"""

from random import Random

import numpy as np
import pytest
from cellcheck.cells.activations import d_sigmoid, d_tanh, log_sigmoid, sigmoid, softplus, tanh
from cellcheck.properties.oracles import decimals
from cellcheck.strategies.preactivations import extremes, preactivations, switches
from hypothesis import Phase, find, given, settings

SHIPPED = {f.__name__: f for f in (sigmoid, tanh, log_sigmoid, softplus, d_sigmoid, d_tanh)}
FORWARD, DERIVATIVES = ["sigmoid", "tanh", "log_sigmoid", "softplus"], ["d_sigmoid", "d_tanh"]
SLOPES = {"sigmoid": d_sigmoid, "tanh": d_tanh, "log_sigmoid": lambda z: sigmoid(-z), "softplus": sigmoid}
MAX_ULP = {**dict.fromkeys(FORWARD, 5), **dict.fromkeys(DERIVATIVES, 8)}
MAX_STEP = {"forward": 2, "derivative": 5}  # ulp by which the value at the next float may move the wrong way
RANGE = {
    "sigmoid": (0, 1),
    "tanh": (-1, 1),
    "log_sigmoid": (-np.inf, 0),
    "softplus": (0, np.inf),
    "d_sigmoid": (0, 0.25),
    "d_tanh": (0, 1),
}
LIMITS = {**RANGE, "d_sigmoid": (0, 0), "d_tanh": (0, 0)}  # at -inf and at inf
NAIVE = {
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "tanh": lambda z: (np.exp(z) - np.exp(-z)) / (np.exp(z) + np.exp(-z)),
    "log_sigmoid": lambda z: np.log(sigmoid(z)),
    "softplus": lambda z: np.log(1 + np.exp(z)),
    "d_sigmoid": lambda z: sigmoid(z) * (1 - sigmoid(z)),
    "d_tanh": lambda z: 1 - tanh(z) * tanh(z),
}
WIDE = [np.longdouble] if np.finfo(np.longdouble).nmant > 52 else []
DTYPES: list[type[np.floating]] = [np.float32, np.float64, *WIDE]
REFERENCED = [dtype for dtype in DTYPES if np.finfo(dtype).nmant <= 63]  # those that 31 digits can judge
STEP = 2.0**-100  # of the complex step

every_name = pytest.mark.parametrize("name", SHIPPED)
every_dtype = pytest.mark.parametrize("dtype", DTYPES)


def loud():
    """Turn each floating-point flag but underflow into an error."""
    return np.errstate(over="raise", invalid="raise", divide="raise", under="ignore")


def hold(check, name, activation, dtype, **options):
    """Hand the check the extremes and switches of dtype, then what Hypothesis draws."""
    check(name, activation, np.array([*extremes(dtype), *switches(dtype)]))
    hold_where_drawn(check, name, activation, dtype, **options)


def hold_where_drawn(check, name, activation, dtype, **options):
    """Hand the check a fifth of the examples of the profile: there are a hundred of these runs, of eight numbers each."""

    @settings(deadline=None, database=None, **{"max_examples": settings().max_examples // 5, **options})
    @given(z=preactivations(dtype=dtype))
    def law(z):
        check(name, activation, z)

    law()


def raises_no_flag(name, activation, z):
    """f(z) overflows nowhere, divides by no zero and makes no NaN."""
    with loud():
        activation(z)


def accurate(name, activation, z):
    """|f(z) - exact| <= MAX_ULP ulp(exact)."""
    with np.errstate(all="ignore"):
        errors = decimals.ulps(activation(z), name, z)
    assert (errors <= MAX_ULP[name]).all(), f"{name} is {errors.max():.3g} ulp off at {z[errors.argmax()]!r}"


def in_range(name, activation, z):
    """low <= f(z) <= high."""
    low, high = RANGE[name]
    with np.errstate(all="ignore"):
        y = activation(z)
    assert ((low <= y) & (y <= high)).all()


def odd(name, activation, z):
    """f(-z) = -f(z), bit by bit."""
    with np.errstate(all="ignore"):
        same_bits(activation(-z), -activation(z))


def even(name, activation, z):
    """f(-z) = f(z), bit by bit."""
    with np.errstate(all="ignore"):
        same_bits(activation(-z), activation(z))


def same_bits(a, b):
    """Equal, with equal signs of zero."""
    np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(np.signbit(a), np.signbit(b))


def rises(name, activation, z):
    """f(next float up) >= f(z) - 2 ulp."""
    with np.errstate(all="ignore"):
        here, above = activation(z), activation(np.nextafter(z, z.dtype.type(np.inf)))
        slack = MAX_STEP["forward"] * np.spacing(np.abs(here))
        assert ((above >= here) | (above >= here - slack)).all()


def falls_outwards(name, activation, z):
    """f(next float away from 0) <= f(z) + 5 ulp."""
    with np.errstate(all="ignore"):
        here, further = activation(z), activation(np.nextafter(z, np.copysign(z.dtype.type(np.inf), z)))
        assert (further <= here + MAX_STEP["derivative"] * np.spacing(here)).all()


def takes_a_complex_step(name, activation, z):
    """f(z + ih) = f(z) + i h f'(z) to 8 eps each; i h f'(z) may be subnormal, so f' has a floor of tiny/h."""
    z, info = z[np.isfinite(z)], np.finfo(z.dtype)
    with loud():
        y, real, slope = activation(z + 1j * STEP), activation(z), SLOPES[name](z)
    assert (np.abs(y.real - real) <= 8 * info.eps * np.abs(real)).all()
    assert (np.abs(y.imag / STEP - slope) <= 8 * info.eps * slope + info.tiny / STEP).all()


@every_name
@every_dtype
def test_no_flag_but_underflow_is_raised(name, dtype):
    """f(z) overflows nowhere, divides by no zero and makes no NaN."""
    hold(raises_no_flag, name, SHIPPED[name], dtype)


@every_name
@pytest.mark.parametrize("dtype", REFERENCED)
def test_accurate_over_every_float(name, dtype):
    """|f(z) - exact| <= 5 ulp, and 8 ulp for derivatives, deep saturation and subnormal results included."""
    hold(accurate, name, SHIPPED[name], dtype)


@every_name
@every_dtype
def test_in_range(name, dtype):
    """0 <= sigmoid <= 1, |tanh| <= 1, log_sigmoid <= 0 <= softplus, 0 <= sigmoid' <= 1/4, 0 <= tanh' <= 1."""
    hold(in_range, name, SHIPPED[name], dtype)


@every_dtype
def test_tanh_is_odd(dtype):
    """tanh(-z) = -tanh(z), bit by bit, -0.0 included."""
    hold(odd, "tanh", tanh, dtype)


@pytest.mark.parametrize("name", DERIVATIVES)
@every_dtype
def test_derivatives_are_even(name, dtype):
    """f'(-z) = f'(z), bit by bit."""
    hold(even, name, SHIPPED[name], dtype)


@pytest.mark.parametrize("name", FORWARD)
@every_dtype
def test_forward_never_drops(name, dtype):
    """f(next float up) >= f(z) - 2 ulp."""
    hold(rises, name, SHIPPED[name], dtype)


@pytest.mark.parametrize("name", DERIVATIVES)
@every_dtype
def test_derivatives_never_rise_away_from_zero(name, dtype):
    """f'(next float away from 0) <= f'(z) + 5 ulp."""
    hold(falls_outwards, name, SHIPPED[name], dtype)


@pytest.mark.parametrize("name", FORWARD)
def test_complex_step_gives_value_and_derivative(name):
    """f(z + ih) = f(z) + i h f'(z)."""
    hold(takes_a_complex_step, name, SHIPPED[name], np.float64)


@every_dtype
def test_sigmoid_of_zero_is_a_half(dtype):
    """sigmoid(0) = sigmoid(-0.0) = 1/2."""
    assert (sigmoid(np.array([0.0, -0.0], dtype)) == 0.5).all()


@every_name
@every_dtype
def test_limits_at_infinity(name, dtype):
    """f(-inf) and f(inf) are the limits, without a flag."""
    with loud():
        y = SHIPPED[name](np.array([-np.inf, np.inf], dtype))
    assert tuple(y) == LIMITS[name]


@every_name
@every_dtype
def test_nan_in_nan_out(name, dtype):
    """f(NaN) is NaN, without a flag, and its neighbours do not notice."""
    z = np.array([np.nan, 1, -800], dtype)
    with loud():
        y = SHIPPED[name](z)
    assert np.isnan(y[0])
    same_bits(y[1:], SHIPPED[name](z[1:]))


@every_name
@pytest.mark.parametrize("shape", [(), (0,), (2, 3)])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble])
def test_dtype_and_shape_are_kept(name, shape, dtype):
    """A float array gives an array of its dtype and shape."""
    y = SHIPPED[name](np.ones(shape, dtype))
    assert (y.dtype, y.shape) == (dtype, shape)


@pytest.mark.parametrize("name", FORWARD)
@pytest.mark.parametrize("dtype", [np.complex64, np.complex128, np.clongdouble])
def test_complex_dtype_is_kept(name, dtype):
    """A complex array gives an array of its dtype."""
    assert SHIPPED[name](np.ones(2, dtype)).dtype == dtype


@every_name
@pytest.mark.parametrize("one", [1, 1.0, True, np.int8(1), np.uint64(1), np.array(1)])
def test_integers_and_scalars_are_float64(name, one):
    """Python scalars, integers and booleans give float64 scalars, equal to f(1.0)."""
    y = SHIPPED[name](one)
    assert type(y) is np.float64
    assert y == SHIPPED[name](np.ones(1))[0]


@every_name
def test_argument_is_unmodified(name):
    """The caller's array is only read."""
    z = np.array([-800.0, -1.0, 0.0, 800.0])
    z.flags.writeable = False
    SHIPPED[name](z)
    assert z.tolist() == [-800, -1, 0, 800]


@every_name
@pytest.mark.parametrize(
    "bad", ["1", b"1", None, object(), [1, None], [[1], [1, 2]], {}, np.datetime64("2020"), np.timedelta64(1)]
)
def test_what_is_not_numbers_is_refused(name, bad):
    """TypeError, in one line that names the function."""
    with pytest.raises(TypeError, match=rf"^[^\n]*\b{name}\b[^\n]*\Z"):
        SHIPPED[name](bad)


@pytest.mark.parametrize("name", DERIVATIVES)
@pytest.mark.parametrize("bad", [1j, np.ones(2, np.complex64)])
def test_complex_numbers_are_refused_where_there_is_a_modulus(name, bad):
    """TypeError, in one line that names the function."""
    with pytest.raises(TypeError, match=rf"^{name} takes real numbers[^\n]*\Z"):
        SHIPPED[name](bad)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("name", "check"),
    [
        *[(name, accurate) for name in NAIVE],
        *[(name, raises_no_flag) for name in ("sigmoid", "tanh", "log_sigmoid", "softplus")],
        ("tanh", in_range),
        ("tanh", odd),
        ("tanh", rises),
        ("tanh", takes_a_complex_step),
        ("sigmoid", takes_a_complex_step),
        ("d_sigmoid", even),
    ],
)
def test_naive_formulas_are_refused(name, check, dtype):
    """Each check finds, in what Hypothesis draws, the naive formula that it is there for."""
    with pytest.raises((AssertionError, FloatingPointError)):
        hold_where_drawn(check, name, NAIVE[name], dtype, phases=[Phase.generate], max_examples=1000)


@pytest.mark.parametrize(("name", "least"), [("sigmoid", -710), ("softplus", 710)])
def test_overflow_shrinks_to_710(name, least):
    """The smallest counterexample of an overflow of exp is 710 in one element and 0 in the others."""

    def overflows(z):
        with np.errstate(over="ignore"):
            return np.isinf(np.exp(np.sign(least) * z[np.isfinite(z)])).any()

    z = find(
        preactivations(), overflows, settings=settings(database=None, phases=[Phase.generate, Phase.shrink]), random=Random(0)
    )
    assert sorted(z, key=abs) == [0] * 7 + [least]
