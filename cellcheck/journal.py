"""What a process of a run is doing, written where it can be read after the process has ended; and an alarm that ends one that hangs."""

import faulthandler
import mmap
import os
import sys
import threading
from contextlib import suppress
from pathlib import Path
from time import monotonic

import pytest

import cellcheck

GRACE = 5.0  # seconds after its limit in which a step may end by itself
LINGER = 5.0  # seconds in which threads that a guest left must end after pytest
ENDING = 60.0  # seconds in which the process must end where there are none: coverage may have much to save
SIZE = 4096  # bytes of a journal
FRAMES = 3  # lines of a traceback


class Journal:
    """The journal of one process.

    The alarm ends the process with exit status 1 even inside compiled code, where a limit (see limits.py) does not ring.
    """

    def __init__(self, folder, name):
        """folder: where to keep it. Where it does not exist, as on another host, only the alarm remains."""
        self.folder, self.pid, self.what, self.rings = folder, os.getpid(), "", 0.0
        try:
            self.trace = os.open(folder / f"{name}.trace", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)  # it stays open
            with open(folder / name, "w+b") as file:
                file.write(bytes(SIZE))
                file.flush()
                self.memory = mmap.mmap(file.fileno(), SIZE)
        except OSError:
            self.trace, self.memory = os.open(os.devnull, os.O_WRONLY), bytearray(SIZE)
        self.begin("starting")

    def begin(self, what, seconds=None):
        """Something new begins. what: completes the sentence "it was ..."; seconds: its limit, if it has one."""
        if self._elsewhere():
            return
        self.what, self.rings = what, 0.0
        faulthandler.cancel_dump_traceback_later()
        self._write("")
        if seconds:
            self._alarm(seconds + GRACE)

    def step(self, inputs, seconds):
        """A step of what has begun. inputs: where it is, shown by their repr; seconds: its limit."""
        if self._elsewhere():
            return
        self._write(f"with {inputs!r}")
        latest = monotonic() + seconds + GRACE + 1
        if not latest - 1 <= self.rings <= latest:  # setting the alarm takes 40 us, so it is done once a second
            self.rings = latest
            self._alarm(seconds + GRACE + 1)

    def catch(self):
        """If the process crashes, write its traceback here."""
        faulthandler.enable(self.trace)

    def done(self, status):
        """Pytest has returned this exit status, and the process will end."""
        if self._elsewhere():  # nor can Python end there by itself
            os._exit(1)
        self.begin(f"done, {status}")
        left = [thread for thread in threading.enumerate() if not thread.daemon and thread is not threading.current_thread()]
        self._alarm(LINGER if left else ENDING)

    def _alarm(self, seconds):
        faulthandler.dump_traceback_later(seconds, exit=True, file=self.trace)

    def _write(self, inputs):
        text = f"{self.what}\n{inputs}".encode(errors="replace")[: SIZE - 1] + b"\0"
        self.memory[: len(text)] = text

    def _elsewhere(self):
        """Whether this is a process that a guest forked: it has no thread of the alarm, and to stop one would take forever."""
        return os.getpid() != self.pid


class Silence:
    """The journal of a process that nobody supervises."""

    folder = Path("nowhere")

    def begin(self, what, seconds=None):
        """Write nothing."""

    def step(self, inputs, seconds):
        """Write nothing."""

    def catch(self):
        """Write nothing."""

    def done(self, status):
        """Write nothing."""


JOURNAL = pytest.StashKey[Journal]()


def journal(config):
    """The journal of this process."""
    return config.stash.get(JOURNAL, Silence())


class Words:
    """The last words of a process that has ended.

    what: it was doing; inputs: of its last step; rang: whether its alarm ended it; frames: the innermost lines of the guest.
    """

    def __init__(self, folder, name):
        """folder, name: as of its journal."""
        text = trace = ""
        with suppress(OSError):
            text = (folder / name).read_bytes().split(b"\0")[0].decode(errors="replace")
            trace = (folder / f"{name}.trace").read_text(errors="replace")
        self.what, _, self.inputs = text.partition("\n")
        self.rang = trace.startswith("Timeout")
        others = (sys.prefix, sys.base_prefix, *(os.path.join(folder, "cells") for folder in cellcheck.__path__))
        libraries = tuple(f'File "{folder}{os.sep}' for folder in others)
        frames = [line.strip() for line in trace.splitlines() if line.startswith('  File "')]
        self.frames = [line for line in frames if not line.startswith(libraries)][:FRAMES]

    def lines(self, how):
        """The sentence about it. how: it ended, if not by its alarm."""
        lines = [
            f"it was {self.what}",
            self.inputs,
            f"when {'it took too long and could not be interrupted' if self.rang else how}",
            *self.frames,
        ]
        return [f"    {line}" for line in lines if line]
