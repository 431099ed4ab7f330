"""A limit in seconds on what a guest may take, so that a guest that hangs does not stop the run."""

import random
import signal
import threading
from math import inf
from time import monotonic

EXAMPLE = 120.0  # seconds for one example: a correct cell takes milliseconds, or some seconds if it takes no complex numbers
UNWIND = 1.0  # seconds for a guest's clean-up and ours, before the limit rings for the second time
OFTEN = (-5.5, -4.5)  # it then rings every 10^-5.5 to 10^-4.5 seconds, which was measured to leave a bare `except:` soonest
AGAIN = 1e-4  # seconds until it rings again where it must not raise


class Hang(BaseException):
    """A guest took longer than its limit. Not an Exception: nobody should shrink it, since each try takes as long again."""


class limited:
    """Raise Hang in a block of Python code that takes more than so many seconds, again and again until the block is left.

    A guest may catch the first Hang with a bare `except:`. The limit then rings at short random intervals, so that one Hang
    arrives between two tries. Limits nest: the earlier deadline rings, and the outer limit, or any other timer of the
    process, keeps its remaining time. There is no limit without interval timers or outside the main thread, where no signal
    arrives, and none inside compiled code.
    """

    def __init__(self, seconds):
        """seconds: more than 0."""
        self.seconds, self.rung, self.leaving = seconds, False, False
        self.active = hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()

    def __enter__(self):
        if self.active:
            left, self.interval = signal.setitimer(signal.ITIMER_REAL, 0)
            self.outer = signal.getsignal(signal.SIGALRM) or signal.SIG_DFL
            self.end, self.outer_end = monotonic() + self.seconds, self._end_of_outer(left)
            signal.signal(signal.SIGALRM, self._ring)
            self._wait()
        return self

    def pause(self):
        """Suspend the limit until `begin`. To install the handler takes as long as an example of a small cell, so it is done once for many."""
        self.end = inf
        if self.active:
            self._wait()

    def begin(self):
        """So many seconds from now on."""
        if self.active:
            if signal.getsignal(signal.SIGALRM) != self._ring:  # a guest has set its own
                signal.signal(signal.SIGALRM, self._ring)
            self.end, self.rung = monotonic() + self.seconds, False
            self._wait()

    def __exit__(self, *_):
        self.leaving = True
        if self.active:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self.outer)
            left = self.outer_end - monotonic()
            signal.setitimer(signal.ITIMER_REAL, 0 if left == inf else left if left > 0 else _pause(), self.interval)

    def _wait(self):
        """Ring when the earlier of both limits ends."""
        end = min(self.end, self.outer_end)
        signal.setitimer(signal.ITIMER_REAL, max(end - monotonic(), 1e-6) if end < inf else 0)

    def _end_of_outer(self, left):
        """When the outer limit or timer rings. left: its seconds; a limit knows better, since its ring may be on its way."""
        outer = getattr(self.outer, "__self__", None)
        if isinstance(outer, limited):
            return min(outer.end, outer.outer_end)
        return monotonic() + (left or self.interval) if left or self.interval else inf

    def _ring(self, signum, frame):
        """The handler of the signal. frame: the interrupted one; an exception in ours would leave the timer running."""
        if self.leaving:
            return
        now = monotonic()
        if frame and frame.f_globals is globals():
            signal.setitimer(signal.ITIMER_REAL, AGAIN)
        elif now < min(self.end, self.outer_end):
            self._wait()
        elif self.outer_end < self.end:
            self._ring_outer(signum, frame)
        else:
            self.end = now + (_pause() if self.rung else UNWIND)
            self.rung = True
            self._wait()
            raise Hang(f"took more than {self.seconds:g} s")

    def _ring_outer(self, signum, frame):
        """Call the handler of the outer timer, and let it set the timer again."""
        if not callable(self.outer):  # the process wants to be ended by its alarm
            signal.signal(signal.SIGALRM, self.outer)
            signal.raise_signal(signal.SIGALRM)
        try:
            self.outer(signum, frame)
        finally:
            self.outer_end = self._end_of_outer(signal.getitimer(signal.ITIMER_REAL)[0])
            self._wait()


def _pause():
    """Seconds until it rings again: random, but not drawn from the random numbers that a guest may use."""
    return 10 ** random.SystemRandom().uniform(*OFTEN)
