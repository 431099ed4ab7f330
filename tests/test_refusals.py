"""Bad input is refused in one line that says what was given and what is wanted, and the cell works afterwards."""

import numpy as np
import pytest
from cellcheck.cells import LSTM

from tests.cases import case, every_cell, every_sequence_cell, flat, same, upstreams

BAD_CALLS = {
    "too few features": (ValueError, "x has 2 features, but .* wants 3", lambda cell, x, s, d: cell.apply(x[..., :-1], *s)),
    "an axis short": (ValueError, r"x is \(.*\), but .* wants \(.*features\)", lambda cell, x, s, d: cell.apply(x[0], *s)),
    "an axis long": (ValueError, r"x is \(.*\), but .* wants \(.*features\)", lambda cell, x, s, d: cell.apply(x[None], *s)),
    "a scalar x": (ValueError, r"x is \(\), but .* wants", lambda cell, x, s, d: cell.apply(1.0, *s)),
    "another batch in a state": (
        ValueError,
        r"h is \(3, 2\), .* \(4, 2\)",
        lambda cell, x, s, d: cell.apply(x, *s[:-1], s[-1][:-1]),
    ),
    "a row for all": (ValueError, r"h is \(1, 2\), .* \(4, 2\)", lambda cell, x, s, d: cell.apply(x, *s[:-1], s[-1][:1])),
    "a state of three units": (
        ValueError,
        r"h is \(4, 3\), .* \(4, 2\)",
        lambda cell, x, s, d: cell.apply(x, *s[:-1], np.ones((4, 3))),
    ),
    "a state too many": (
        ValueError,
        r"\d states given, but .* has .*h: give all or none",
        lambda cell, x, s, d: cell.apply(x, *s, s[0]),
    ),
    "words": (TypeError, "x has dtype <U5; wanted an array of numbers", lambda cell, x, s, d: cell.apply([["seven"]], *s)),
    "None": (TypeError, "x has dtype object; wanted an array of numbers", lambda cell, x, s, d: cell.apply(None, *s)),
    "a ragged x": (
        TypeError,
        "x is a ragged list; wanted an array of numbers",
        lambda cell, x, s, d: cell.apply([[1.0], [1.0, 2.0]]),
    ),
    "a state of words": (
        TypeError,
        "h has dtype <U3; wanted",
        lambda cell, x, s, d: cell.apply(x, *s[:-1], np.full((4, 2), "six")),
    ),
    "no upstream": (ValueError, "0 upstream gradients given, but .* has . outputs", lambda cell, x, s, d: cell.vjp()),
    "an upstream too many": (ValueError, r"\d upstream gradients given, but", lambda cell, x, s, d: cell.vjp(*d, d[0])),
    "an upstream of one row": (
        ValueError,
        r"d_outputs\[0\] is \(1, 2\), but the output is \(4, 2\)",
        lambda cell, x, s, d: cell.vjp(d[0][:1], *d[1:]),
    ),
    "an upstream None": (TypeError, r"d_outputs\[0\] has dtype object", lambda cell, x, s, d: cell.vjp(None, *d[1:])),
    "a complex upstream": (
        TypeError,
        r"d_outputs\[0\] is complex, but .* real weights",
        lambda cell, x, s, d: cell.vjp(1j * d[0], *d[1:]),
    ),
    "a vector backward": (
        ValueError,
        r"d_output is \(2,\), but .* wants a scalar or \(.*4, 2\)",
        lambda cell, x, s, d: cell.backward([1.0, 2.0]),
    ),
    "a word backward": (TypeError, "d_output has dtype <U3; wanted", lambda cell, x, s, d: cell.backward("one")),
}
BAD_LENGTHS = {
    "too many": ([5, 0, 2, 6], ValueError, r"lengths is \[5, 0, 2, 6\], but .* wants one integer from 0 to 5 for each"),
    "negative": ([5, 0, 2, -1], ValueError, r"lengths is \[5, 0, 2, -1\], but"),
    "a row short": ([5, 0, 2], ValueError, r"lengths is \[5, 0, 2\], but"),
    "one for all": (3, ValueError, "lengths is 3, but"),
    "not whole": ([5, 0, 2, 0.5], ValueError, r"lengths is \[5.0, 0.0, 2.0, 0.5\], but"),
    "words": (["all"] * 4, TypeError, "lengths has dtype <U3; wanted an array of numbers"),
}


@every_cell
@pytest.mark.parametrize(("exception", "says", "call"), BAD_CALLS.values(), ids=BAD_CALLS)
def test_a_bad_call_is_refused_and_leaves_no_trace(Shipped, exception, says, call):
    """After the error vjp is still that of the last apply, and apply gives the same."""
    cell, x, state = case(Shipped)
    outputs = cell.apply(x, *state)
    given = upstreams(outputs)
    gradients = flat(cell.vjp(*given))
    with pytest.raises(exception, match=rf"^{says}[^\n]*\Z"):
        call(cell, x, state, given)
    same(flat(cell.vjp(*given)), gradients)
    same(cell.apply(x, *state), outputs)


@every_cell
@pytest.mark.parametrize("call", [lambda cell: cell.vjp(1.0), lambda cell: cell.backward(1.0)], ids=["vjp", "backward"])
def test_nothing_to_differentiate(Shipped, call):
    """vjp and backward before the first apply say so, and the cell works afterwards; a refused apply is no apply."""
    cell, x, state = case(Shipped)
    with pytest.raises(ValueError, match="features"):
        cell.apply(x[..., :-1])
    with pytest.raises(RuntimeError, match=r"^.* has nothing to differentiate: call apply or forward first\Z"):
        call(cell)
    same(cell.apply(x, *state), case(Shipped)[0].apply(x, *state))


def test_a_state_too_few():
    """Some of the states are not enough."""
    cell, x, (c, _) = case(LSTM)
    with pytest.raises(ValueError, match=r"^1 states given, but .* has c, h: give all or none\Z"):
        cell.apply(x, c)


@every_sequence_cell
@pytest.mark.parametrize(("lengths", "exception", "says"), BAD_LENGTHS.values(), ids=BAD_LENGTHS)
def test_bad_lengths_are_refused(Shipped, lengths, exception, says):
    """One line that says what was given and what is wanted; the cell still works."""
    cell, x, state = case(Shipped)
    outputs = cell.apply(x, *state)
    with pytest.raises(exception, match=rf"^{says}[^\n]*\Z"):
        cell.apply(x, *state, lengths=lengths)
    same(cell.apply(x, *state), outputs)
