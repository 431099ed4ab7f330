"""What cannot be verified is refused in one line, at every door; and what a signal raised is no error of the cell."""

import os
import signal
import threading
import time

import numpy as np
import pytest
from cellcheck.cells import lift
from cellcheck.cells.adapters import adapt
from cellcheck.cells.lift import Unwanted
from cellcheck.properties.intake.loading import GuestError
from cellcheck.properties.intake.preflight import cleared
from cellcheck.strategies import Problem

from cellcheck import check
from cellcheck.journal import Journal, Words
from cellcheck.options import OptionError
from tests.cases import broken
from tests.guests.gist import CorrectRNN as Gist
from tests.guests.lasts import PaddingRuns

ONE = np.zeros((1, 1))


def step(x, h, W, U):
    """An RNN without a bias."""
    return np.tanh(x @ W + h @ U)


def back(dh, new, x, h, W, U):
    """Its gradients."""
    dz = dh * (1 - new**2)
    return dz @ W.T, dz @ U.T, x.T @ dz, h.T @ dz


def weights(features, state):
    """W and U."""
    return {"W": np.zeros((features, state)), "U": np.zeros((state, state))}


def adapted(**options):
    """The RNN through `adapt`."""
    return adapt(weights, ("x h W U -> h", step), ("dh h' x h W U -> dx dh dW dU", back), **options)


REFUSED = [
    (dict(sizes=3), "sizes is 3; give a dict"),
    (dict(sizes={"feature": 2}), "sizes names feature, which is no axis of batch, features; did you mean features?"),
    (dict(domains="positive"), "domains is 'positive'; give a dict"),
    (dict(states=5), "states is 5; give names, such as states='c h'"),
    (dict(states=[5]), "states is [5]; give names"),
    (dict(weights=3), "weights is 3; give names"),
    (dict(no_gradient=3), "no_gradient is 3; give names"),
    (dict(outputs=5), "outputs is 5; give names"),
    (dict(outputs=()), "outputs is (), but of forward 'x h W U -> h' wanted some of what it returns"),
    (dict(output={"ys": "batch features"}), "output is 'ys', but forward 'x h W U -> h' does not return it"),
    (dict(targets=np.sign), "targets is given, but neither signature takes targets"),
]


@pytest.mark.parametrize(("options", "said"), REFUSED)
def test_an_adapter_refuses_what_it_cannot_use(options, said):
    """An argument of another kind, a name that names nothing, or one that would be ignored."""
    with pytest.raises((TypeError, ValueError)) as refused:
        adapted(**options)
    assert str(refused.value).startswith(said)


def test_outputs_of_a_sum_cannot_be_chosen():
    """There is one."""
    with pytest.raises(ValueError, match="its sum is all that it returns; leave outputs out"):
        adapt(weights, ("x h W U -> sum", lambda *a: step(*a).sum()), outputs="sum")


@pytest.mark.parametrize("masked", ["h", "dh", "dx", "dW"])
def test_masked_arrays_are_refused_behind_an_adapter(masked):
    """Their masks would be lost."""

    def mask(names, values):
        return [np.ma.masked_array(a) if name == masked else a for name, a in zip(names, values)]

    Cell = adapt(
        weights,
        ("x h W U -> h", lambda *a: mask(["h"] * (masked == "h") or ["_"], [step(*a)])[0]),
        ("dh h' x h W U -> dx dh dW dU", lambda *a: mask(["dx", "dh", "dW", "dU"], back(*a))),
    )
    with pytest.raises(GuestError, match=f"{masked} is a masked array"):
        cleared("guest.py:Guest", Cell)


@pytest.mark.parametrize("given", [{"W": 0}.values(), {"W": 0}, iter([0]), {0}])
def test_gradients_in_no_order_are_refused(given):
    """Views and iterators are no lists."""

    class Odd(Gist):
        def backward(self, d):
            return given

    cell, x, state = Problem(1, 2, 3).build(lift(Odd))
    cell.apply(x, *state)
    with pytest.raises(Unwanted, match=f"backward returned a {type(given).__name__}; wanted a list of arrays"):
        cell.vjp(np.float64(1))


@pytest.mark.parametrize(("laws", "strict"), [(3, False), ([], False), ([3], False), (None, "no")])
def test_check_refuses_options_of_other_kinds(laws, strict):
    """Laws that are no names, and a `strict` that is neither True nor False."""
    with pytest.raises(OptionError, match=r"^(laws|strict) "):
        check(Gist, laws=laws, strict=strict)


def test_check_names_its_own_arguments():
    """And not those of the command line."""
    with pytest.raises(GuestError, match=r"^reference nowhere\.py:RNN: there is no file"):
        check(Gist, "quick", "linearity", reference="nowhere.py:RNN")


def test_check_in_threads_leaves_the_streams_alone(capsys):
    """Each restores sys.stdout; and no limit rings outside the main thread, as the notes say."""
    found = {}

    def run(k):
        found[k] = check(Gist, "quick", ["vjp_scales"])

    threads = [threading.Thread(target=run, args=(k,)) for k in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("still here")
    assert "still here" in capsys.readouterr().out
    assert all("no limit on the time of an example" in result.notes[-1] for result in found.values())


@pytest.mark.parametrize("number", [signal.SIGALRM, signal.SIGUSR1])
@pytest.mark.parametrize(
    "run", [lambda Cell: Problem(1, 1, 1).build(Cell)[0].apply(ONE, ONE), lambda Cell: cleared("cell", Cell)]
)
def test_what_a_signal_raises_passes_through_a_cell(number, run):
    """As the time limit of a test does: it is no error of the cell."""

    class Slow(Gist):
        def forward(self, x, h):
            if number == signal.SIGUSR1:
                os.kill(os.getpid(), number)
            time.sleep(9)

    def ring(signum, frame):
        pytest.fail("too slow")

    before = signal.signal(number, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.2 * (number == signal.SIGALRM))
    try:
        with pytest.raises(pytest.fail.Exception, match="too slow"):
            run(Slow)
    finally:
        signal.signal(number, before)


def test_a_journal_takes_any_text(tmp_path):
    """Also half of a surrogate pair, as in a path that the locale cannot spell."""
    Journal(tmp_path, "one").begin("checking \udcc3.py")
    assert Words(tmp_path, "one").what == "checking ?.py"


def test_padding_of_a_declared_number_of_steps_is_verified():
    """Rows are shorter, though no shorter sequence may be run."""
    law, Fixed = "padding_is_of_no_consequence", lift(PaddingRuns, sizes={"steps": (5,)})
    assert broken(Fixed, [law, "each_ragged_row_equals_its_solo_run"], n=20) == {law}


class Tiny:
    """Its x is so small that the sum of W is lost beside that of U; its dW is twice what it should be."""

    def __init__(self, features, state):
        self.domains = {"x": (1e-16, 3e-16)}
        self.weights = [*weights(features, state).values()]

    def apply(self, x, h):
        """The new h."""
        self.kept = step(x, h, *self.weights), x, h, *self.weights
        return self.kept[:1]

    def vjp(self, d):
        """Gradients."""
        dx, dh, dW, dU = back(d, *self.kept)
        return [2 * dW, dU], dx, (dh,)


def test_a_weight_of_tiny_inputs_is_not_idle():
    """Whether or not its gradient can be certified, nothing says that it held."""
    found = check(Tiny, "quick", "gradients")
    assert found.verdicts["weight_gradients"] in ("broken", "not verified")
    assert not any("no effect" in note for note in found.notes)
