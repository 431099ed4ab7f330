"""A limit on what a guest may take: it rings, again and again, and it disturbs neither other limits nor its own clean-up."""

import signal
from threading import Thread
from time import monotonic, sleep

import pytest
from cellcheck.properties.verdicts import limits
from cellcheck.properties.verdicts.limits import Hang, limited

PATIENCE = 10.0  # seconds after which these tests stop waiting


def waiting():
    """True for some seconds."""
    end = monotonic() + PATIENCE
    while monotonic() < end:
        yield True


@pytest.fixture(autouse=True)
def undisturbed():
    """No test leaves a timer or a handler behind."""
    before = signal.getsignal(signal.SIGALRM)
    yield
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    assert signal.getsignal(signal.SIGALRM) is before


def test_a_limit_rings_in_the_main_thread():
    """Whatever Python code is running."""
    with pytest.raises(Hang, match=r"took more than 0\.01 s"), limited(0.01):
        sleep(PATIENCE)


def test_off_the_main_thread_there_is_no_limit():
    """A signal could not reach it."""
    done = []

    def patient():
        with limited(0.001):
            sleep(0.01)
        done.append(True)

    thread = Thread(target=patient)
    thread.start()
    thread.join()
    assert done


def test_a_bare_except_does_not_swallow_a_limit(monkeypatch):
    """It rings again until it arrives between two tries, here of two functions inside each other."""
    monkeypatch.setattr(limits, "UNWIND", 0.01)

    def step():
        try:
            sleep(0.01)
        except:  # noqa: E722, what a guest does
            return

    with pytest.raises(Hang), limited(0.01):
        for _ in waiting():
            try:
                step()
            except BaseException:
                continue


def test_inner_limits_do_not_put_off_the_outer_one():
    """Each of them is longer than what is left of it, or begins anew."""
    with pytest.raises(Hang, match=r"more than 0\.05 s"), limited(0.05):
        for _ in waiting():
            with limited(0.04):
                sleep(0.01)
    with pytest.raises(Hang, match=r"more than 0\.05 s"), limited(0.05), limited(100), limited(200):
        sleep(PATIENCE)


def test_an_outer_limit_that_is_caught_inside_rings_again(monkeypatch):
    """What catches the ring of an inner limit may catch that of the outer one."""
    monkeypatch.setattr(limits, "UNWIND", 0.01)
    with pytest.raises(Hang, match=r"more than 0\.02 s"), limited(0.02):
        for _ in waiting():
            try:
                with limited(PATIENCE):
                    sleep(PATIENCE)
            except Hang:
                pass
            sum(range(1000))


def test_an_outer_limit_keeps_its_remaining_time():
    """Less than all of it, whether or not the inner one has rung."""
    with limited(100):
        with pytest.raises(Hang), limited(0.01):
            sleep(PATIENCE)
        left, _ = signal.getitimer(signal.ITIMER_REAL)
        assert 0 < left <= 100 - 0.01
        with limited(0.5):
            pass
        assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] < left


@pytest.mark.parametrize("interval", [0, 0.02])
def test_other_timers_ring_at_their_time(interval):
    """Such as that of pytest-timeout, inside a limit and after it."""
    rings = []
    before = signal.signal(signal.SIGALRM, lambda *_: rings.append(1))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02, interval)
        with limited(PATIENCE):
            for _ in waiting():
                if len(rings) > bool(interval):
                    break
            seen = len(rings)
        assert seen == 1 + bool(interval)
        assert bool(signal.getitimer(signal.ITIMER_REAL)[0]) == bool(interval)
        signal.setitimer(signal.ITIMER_REAL, 100)
        with limited(PATIENCE):
            pass
        assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] < 100
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_a_limit_never_rings_outside_its_block(monkeypatch):
    """Nor while it begins or ends, however often it rings."""
    monkeypatch.setattr(limits, "UNWIND", 1e-6)
    rung = 0
    for k in range(1, 2000):
        try:
            with limited(1e-7 * k), limited(1e-7 * (2000 - k)):
                sum(range(k))
        except Hang:
            rung += 1
        assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    assert rung > 0
