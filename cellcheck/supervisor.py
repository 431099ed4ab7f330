"""A run that ends early never ends with exit status 0, whatever a guest does to its process. A plugin of pytest.

A run that verifies guests forks before it imports them. The child goes on as the whole program. The original process waits for
the child and ends with its exit status. If the child ends before pytest returns, because a guest called `os._exit` or crashed,
the original process says what was running, and its exit status is not 0.

Workers of pytest-xdist are not supervised, since xdist notices when one of them ends; they only have a journal and its alarm.
Where `os.fork` is missing or another thread runs already, nobody supervises the run.
"""

import os
import shutil
import signal
import sys
import tempfile
import threading
import warnings
from contextlib import suppress
from pathlib import Path

import pytest

from cellcheck.journal import JOURNAL, Journal, Words, journal

PR_SET_PDEATHSIG = 1  # of prctl(2)


def supervise():
    """Fork. The child returns with its journal; the original process waits for the child and ends with it."""
    folder = Path(tempfile.mkdtemp(prefix="cellcheck-"))
    sys.stdout.flush()
    sys.stderr.flush()
    parent = os.getpid()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the threads of libraries, such as those of BLAS, are idle
        child = os.fork()
    if child:  # pragma: no cover: only the child is measured
        status = 1
        try:
            status = _mirrored(child, folder)
        finally:
            os._exit(status)
    bind(parent)
    return Journal(folder, "run")


def bind(parent):
    """On Linux, do not outlive the process that forked this one. parent: its number."""
    with suppress(Exception):
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it has ended already
            os._exit(1)


def _mirrored(child, folder):  # pragma: no cover: runs in the parent
    """Wait for the child, say how it ended if that was not as it should, and return the exit status of the run."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda number, _: _forward(number, child))
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    words = Words(folder, "run")
    shutil.rmtree(folder, ignore_errors=True)
    status, lines = 128 - code if code < 0 else code, []
    done, _, returned = words.what.partition("done, ")
    if returned and not done:
        if words.rang:
            status, lines = 0, ["cellcheck: a thread of a guest was still running after the run; it was ended"]
        status = status or int(returned)
    else:
        status = status if code < 0 else 1
        how = f"{signal.Signals(-code).name} ended it" if code < 0 else f"its process exited with status {code}"
        lines = ["cellcheck: this run ended early and has no verdict", *words.lines(how)]
    os.write(2, "".join(f"{line}\n" for line in lines).encode())
    return status


def _forward(number, child):  # pragma: no cover: runs in the parent
    """Pass a signal on, unless it is an interrupt from the terminal, which reaches the child by itself."""
    with suppress(OSError):
        if number == signal.SIGINT:
            with open("/dev/tty") as terminal:
                if os.tcgetpgrp(terminal.fileno()) == os.getpgrp():
                    return
    with suppress(ProcessLookupError):
        os.kill(child, number)


def wanted(config):
    """Whether this run needs a supervisor and can have one: it verifies guests, and pytest is the program, not a part of one."""
    option, program = config.option, Path(sys.argv[0])
    command = "cellcheck" in (program.stem, program.parent.name if program.name == "__main__.py" else "")
    guests = option.cell or (command and config.args_source == config.ArgsSource.ARGS)
    own = command or list(config.invocation_params.args) == sys.argv[1:]
    free = hasattr(os, "fork") and threading.active_count() == 1
    return bool(guests and own and free and not (option.usepdb or option.trace))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_cmdline_main(config):
    """Before any guest is imported: supervise the run, or, in a worker, open its journal."""
    if hasattr(config, "workerinput"):
        config.stash[JOURNAL] = Journal(Path(config.workerinput["journals"]), config.workerinput["workerid"])
    elif wanted(config):
        config.stash[JOURNAL] = supervise()
    status = pytest.ExitCode.INTERNAL_ERROR
    try:
        status = yield
        return status
    except pytest.UsageError:
        status = pytest.ExitCode.USAGE_ERROR
        raise
    finally:
        with suppress(Exception):  # a guest may end the process before Python does this, or have closed the stream
            config.get_terminal_writer().flush()
        journal(config).done(int(status))


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    """Write the traceback of a crash, which may have hundreds of lines, to the journal."""
    journal(config).catch()


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session):
    """Do so again, since pytest has meanwhile directed it to the terminal."""
    journal(session.config).catch()
    journal(session.config).begin("collecting the laws")


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session):
    """They are collected; each law that runs in this process says so itself."""
    journal(session.config).begin("running the laws")


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session):
    """The laws are over."""
    journal(session.config).begin("summing up")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node):
    """Tell a worker where the journals are."""
    node.workerinput["journals"] = str(journal(node.config).folder)
