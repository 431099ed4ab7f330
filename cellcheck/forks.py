"""The workers of the command: forks of a process that has imported everything and loaded the cells. A plugin of pytest.

A worker of pytest-xdist imports and checks everything again, which takes longer than its share of the laws of most cells. A fork
is there at once. pytest-xdist starts the workers on other hosts, on systems other than Linux, if the process has threads (a fork
would lose them), and if coverage is measured (a fork would not report it).
"""

import os
import signal
import sys
import traceback
import warnings
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import Pipe, active_children
from multiprocessing.connection import wait
from pathlib import Path
from time import monotonic, sleep

import pytest

from cellcheck.journal import JOURNAL, LINGER, Journal, journal
from cellcheck.judging import trial_of
from cellcheck.supervisor import bind

RESTARTS = 999  # of workers of pytest-xdist: no limit, since a law that ends its worker runs at most twice
THREADS = Path("/proc/self/task")  # a folder for each, those of compiled code included


@pytest.hookimpl(trylast=True)
def pytest_configure(config):
    """One worker for each core, or as many as -n says: forks if that is possible, else those of pytest-xdist, unless laws are few."""
    option = config.option
    if not config.pluginmanager.has_plugin("xdist") or hasattr(config, "workerinput"):  # a worker starts none of its own
        return
    if option.collectonly or option.usepdb or option.trace or option.capture == "no":
        return
    chosen = option.numprocesses is not None or option.dist != "no" or option.tx
    if not chosen:
        option.numprocesses, option.dist = config.hook.pytest_xdist_auto_num_workers(config=config), "load"
        option.tx = ["popen"] * option.numprocesses
    if option.maxworkerrestart is None:
        option.maxworkerrestart = str(RESTARTS)
    if option.dist != "load" or set(option.tx) != {"popen"}:
        return
    journal(config).begin("starting workers")  # and no thread of its alarm any more
    few = option.keyword or option.markexpr or option.cell_profile == "quick"
    if THREADS.is_dir() and len(list(THREADS.iterdir())) == 1 and not measured():
        config.pluginmanager.register(Forks(config, len(option.tx)))
        option.tx, option.dist = [], "no"
    elif few and not chosen:
        option.tx, option.dist, option.numprocesses = [], "no", None


def measured():
    """Whether coverage is measured in this process."""
    coverage = getattr(sys.modules.get("coverage"), "Coverage", None)
    return bool(coverage and coverage.current())


@dataclass
class Worker:
    """A forked process. pid: its own; name: of its journal; test: the number of the one it runs."""

    pid: int
    name: str
    test: int

    def end(self, seconds=0.0):
        """Wait so long for its end, then kill it, and what a guest has forked there."""
        latest = monotonic() + seconds
        with suppress(ChildProcessError):
            while monotonic() < latest and not os.waitpid(self.pid, os.WNOHANG)[0]:
                sleep(0.001)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(self.pid, 0)


class Forks:
    """Runs the tests of a session in forked processes. Each takes the next test when it has done one.

    number: of processes; waiting: numbers of the tests that none has taken yet; running: a Worker for each pipe; ending: those that
    have done their last test; begun: the number of processes started so far.
    """

    def __init__(self, config, number):
        """config: pytest's."""
        self.config, self.number, self.waiting, self.running, self.begun = config, number, deque(), {}, 0
        self.ending = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session):
        """In the place of pytest's own loop, unless that has something to say."""
        if session.testsfailed:
            return None
        if reporter := self.config.pluginmanager.get_plugin("terminalreporter"):
            reporter.showfspath = False
        self.waiting = deque(range(len(session.items)))
        journal(self.config).begin("running the laws in other processes")
        try:
            while self.waiting or self.running:
                while self.waiting and len(self.running) < self.number:
                    self._fork(session)
                for pipe in wait(list(self.running)):
                    self._hear(session, pipe)
                    if session.shouldfail:
                        raise session.Failed(session.shouldfail)
                    if session.shouldstop:
                        raise session.Interrupted(session.shouldstop)
        finally:
            for worker in self.running.values():
                worker.end()
            for worker in self.ending:
                worker.end(LINGER)
        return True

    def _fork(self, session):
        """Begin a process with the next test."""
        (ours, theirs), test, name = Pipe(), self.waiting.popleft(), f"fork{self.begun}"
        sys.stdout.flush()
        sys.stderr.flush()
        held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # it must not reach the loop of the first process
        parent = os.getpid()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pid = os.fork()
        if not pid:
            try:
                os.setpgid(0, 0)  # so that all of it can be ended
                bind(parent)
                signal.pthread_sigmask(signal.SIG_SETMASK, held)
                ours.close()
                _work(session, theirs, name, test)
            except KeyboardInterrupt:
                theirs.send("interrupted")
            except Exception:  # of ours; the run says which law has no verdict
                traceback.print_exc()
                sys.stderr.flush()
            finally:
                os._exit(0)
        with suppress(OSError):  # whichever of the two is first
            os.setpgid(pid, pid)
        signal.pthread_sigmask(signal.SIG_SETMASK, held)
        theirs.close()
        self.begun += 1
        self.running[ours] = Worker(pid, name, test)
        self._awake.collector.workers = max(self._awake.collector.workers, len(self.running))

    @property
    def _awake(self):
        """What knows the cells and takes the results."""
        return self.config.pluginmanager.get_plugin("cellcheck.session")

    def _hear(self, session, pipe):
        """Take what a process has sent: its reports and which cells hang, or a text if it was interrupted. Or it has ended."""
        worker = self.running[pipe]
        try:
            said = pipe.recv()
        except (EOFError, OSError):
            del self.running[pipe]
            worker.end()
            self._lose(worker, session.items[worker.test])
            return
        if isinstance(said, str):
            raise KeyboardInterrupt
        reports = [self.config.hook.pytest_report_from_serializable(config=self.config, data=data) for data in said[0]]
        results = [value for report in reports for key, value in report.user_properties if key == "cellcheck"]
        trial = trial_of(session.items[worker.test])
        if trial and trial.law.unusual and not results:  # compiled code has damaged its memory, and the law was not judged
            del self.running[pipe]
            worker.end()
            self._lose(worker, session.items[worker.test])
            return
        for report in reports:
            self.config.hook.pytest_runtest_logreport(report=report)
        for cell in self._awake.cells:
            cell.hung |= cell.label in said[1]
        if not (session.shouldfail or session.shouldstop):
            self._give(pipe)

    def _give(self, pipe):
        """Give a process the next test, or let it end."""
        worker, hung = self.running.pop(pipe), [cell.label for cell in self._awake.cells if cell.hung]
        try:
            pipe.send((self.waiting[0] if self.waiting else None, hung))
        except OSError:  # it has ended meanwhile
            worker.end()
            return
        if self.waiting:
            worker.test, self.running[pipe] = self.waiting.popleft(), worker
        else:
            self.ending.append(worker)

    def _lose(self, worker, item):
        """A process has ended while it ran a test: run that again, or make it a failure."""
        report = pytest.TestReport(
            item.nodeid, item.location, {}, "failed", f"its process ended while it ran {item.nodeid}", "???"
        )
        hosts = self._awake.hosts
        if hosts.repeats(worker.name, report):
            self.waiting.appendleft(worker.test)
        for cell in self._awake.cells:
            cell.deadly = cell.label in hosts.deadly
        self.config.hook.pytest_runtest_logreport(report=report)


def _work(session, pipe, name, test):
    """In a forked process: run one test after the other, and send the reports."""
    config, manager = session.config, session.config.pluginmanager
    os.register_at_fork(after_in_child=pipe.close)  # else a process that a guest forks would hide the end of this one
    config.stash[JOURNAL] = Journal(journal(config).folder, name)
    journal(config).catch()
    capture = manager.get_plugin("capturemanager")
    capture.stop_global_capturing()  # into a file that all would write
    capture.start_global_capturing()
    capture.suspend_global_capture()
    manager.unregister(name="terminalreporter")
    manager.register(sender := Sender(config))
    cells = manager.get_plugin("cellcheck.session").cells
    while test is not None:
        config.hook.pytest_runtest_protocol(item=session.items[test], nextitem=None)
        pipe.send((sender.reports, [cell.label for cell in cells if cell.hung]))
        sender.reports = []
        test, hung = pipe.recv()
        for cell in cells:
            cell.hung |= cell.label in hung
    for process in active_children():  # that a guest has left
        process.terminate()


class Sender:
    """A plugin of a forked process: keeps the reports of a test for the first process."""

    def __init__(self, config):
        """config: pytest's."""
        self.config, self.reports, self.pid = config, [], os.getpid()

    def pytest_runtest_logreport(self, report):
        """Keep it, unless this is a process that a guest forked and that runs on in our code."""
        if os.getpid() != self.pid:
            os._exit(1)
        self.reports.append(self.config.hook.pytest_report_to_serializable(config=self.config, report=report))
