"""A limit in seconds on what a guest may take, so that one that hangs does not take the run down."""

import signal
import threading
from contextlib import contextmanager

SECONDS = (
    120.0  # for one example, or --limit: a correct cell takes milliseconds, one that is asked in real numbers only some seconds
)


class Hang(BaseException):
    """A guest took longer than its limit; no Exception, so that nobody shrinks it, each try taking as long again."""


@contextmanager
def limited(seconds=None):
    """Raise Hang after so many seconds (default SECONDS) in Python code; never without interval timers or off the main thread."""
    seconds = seconds or SECONDS
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(*_):
        raise Hang(f"took more than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    left, _ = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, left)
        signal.signal(signal.SIGALRM, before)
