"""What preactivations() reaches, and what it refuses."""

import numpy as np
import pytest
from cellcheck.strategies.preactivations import preactivations
from hypothesis import Phase, given, settings
from hypothesis.errors import InvalidArgument

from tests.test_activations import DTYPES


@pytest.fixture(scope="module")
def drawn():
    """Everything that Hypothesis draws in 500 examples, the same each time."""
    found = []

    @settings(deadline=None, database=None, derandomize=True, max_examples=500, phases=[Phase.generate])
    @given(z=preactivations())
    def collect(z):
        found.append(z)

    collect()
    return np.concatenate(found)


@pytest.mark.parametrize(
    "regime",
    [
        lambda z, info: (z != 0) & (np.abs(z) < info.tiny),
        lambda z, info: (np.abs(z) > info.tiny) & (np.abs(z) < np.sqrt(info.tiny)),
        lambda z, info: (np.abs(z) > np.sqrt(info.max)) & np.isfinite(z),
        lambda z, info: (np.abs(z) > 1) & (np.abs(z) < 10),
        lambda z, info: (z < -np.log(info.max)) & (z > np.log(info.smallest_subnormal)),
        lambda z, info: np.abs(z) == info.max,
        lambda z, info: np.isinf(z),
        lambda z, info: (z == 0) & np.signbit(z),
    ],
    ids=["subnormal", "tiny", "huge", "ordinary", "where exp(z) is subnormal", "greatest", "infinite", "minus zero"],
)
def test_preactivations_reach(regime, drawn):
    """Five hundred examples hold every regime of floats."""
    assert regime(drawn, np.finfo(drawn.dtype)).any()


@pytest.mark.parametrize("dtype", [np.float16, *DTYPES])
def test_preactivations_are_as_asked(dtype):
    """dtype and shape as given; no NaN; no infinity where none is allowed."""

    @settings(deadline=None, database=None, max_examples=20)
    @given(z=preactivations(dtype=dtype, shape=(2, 3), allow_infinity=False))
    def as_asked(z):
        assert (z.dtype, z.shape) == (dtype, (2, 3))
        assert np.isfinite(z).all()

    as_asked()


@pytest.mark.parametrize(
    "bad",
    [
        *[{"dtype": bad} for bad in (None, int, np.complex128, "float99", object)],
        *[{"shape": bad} for bad in (-1, 2.0, None, True, "8", (2, -1), (2.0,), 257, (2**62, 4))],
        *[{"allow_infinity": bad} for bad in (None, 1)],
    ],
    ids=str,
)
def test_bad_arguments_are_refused(bad):
    """InvalidArgument, in one line that says what was given and what is wanted."""
    with pytest.raises(InvalidArgument, match=r"^[^\n]* is [^\n]*, wanted [^\n]*\Z"):
        preactivations(**bad)
