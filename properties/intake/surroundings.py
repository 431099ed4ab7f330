"""What a guest shares with the run: working directory, standard streams, filters of warnings, and NumPy with its error handling."""

import os
import sys
import warnings
from contextlib import contextmanager, suppress
from operator import is_

import numpy as np


class Replaced(Exception):
    """A guest has replaced functions of NumPy, with which the run computes what it compares."""


class Stream:
    """A standard stream that a guest may write to and cannot close."""

    def __init__(self, stream):
        self.stream, self.asked = stream, False

    def __getattr__(self, name):
        return getattr(self.stream, name)

    @property
    def buffer(self):
        """The stream of bytes, which it cannot close either."""
        return Stream(self.stream.buffer)

    def close(self):
        """Leave it open, and note that the guest wants it closed."""
        self.asked = True


@contextmanager
def restored(out=None, err=None):
    """Put back what a guest changes; yields a list that names it afterwards. Raises Replaced.

    out, err: streams in place of the standard ones.
    """
    changed, home, numpy = [], os.getcwd(), dict(vars(np))
    streams, own = (sys.stdout, sys.stderr), (Stream(out or sys.stdout), Stream(err or sys.stderr))
    with warnings.catch_warnings(), np.errstate():
        handling, (sys.stdout, sys.stderr) = np.geterr(), own
        try:
            yield changed
        finally:
            if (sys.stdout, sys.stderr) != own or any(stream.asked for stream in own):
                changed.append("sys.stdout or sys.stderr")
            sys.stdout, sys.stderr = streams
            if np.geterr() != handling:
                changed.append("the floating-point error handling of NumPy")
            if returned(home):
                changed.append("the working directory")
            if not all(map(is_, map(vars(np).get, numpy), numpy.values())):
                replaced = [f"numpy.{name}" for name, value in numpy.items() if vars(np).get(name) is not value]
                vars(np).update(numpy)
                raise Replaced(f"replaces {', '.join(replaced)}")


def returned(home):
    """Whether the working directory was another one than `home`; it is home now."""
    with suppress(FileNotFoundError):  # it has been removed
        if os.getcwd() == home:
            return False
    os.chdir(home)
    return True
