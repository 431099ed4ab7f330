"""A run over many workers or hosts: the share of each host, what was run again after a worker was lost, and what is missing.

A pytest plugin. pytest-xdist makes the law that a lost worker was running a failure, and replaces the worker on the same host;
here the law is run once more, and where the host no longer answers the replacement starts on a host that does.
"""

import platform
from collections import Counter
from dataclasses import dataclass, field
from itertools import cycle

import execnet
import pytest

from cellcheck import profiles
from cellcheck.journal import Words, journal


@dataclass
class Ledger:
    """What a run was to do and what came back.

    wanted, reported: node ids of laws; again: those run once more, and why; lost: those that took their worker down twice; shares: of
    each host, laws and examples; places: where live workers are, by id; remote: whether a worker is on another host.
    """

    wanted: dict = field(default_factory=dict)
    reported: set = field(default_factory=set)
    again: dict = field(default_factory=dict)
    lost: dict = field(default_factory=dict)
    shares: dict = field(default_factory=dict)
    places: dict = field(default_factory=dict)
    moves: list = field(default_factory=list)
    remote: bool = False

    def missing(self):
        """The laws that have no verdict, in order."""
        return [law for law in self.wanted if law not in self.reported]

    def lines(self):
        """What the end of the run says of all this; nothing of a run on one machine in which nothing was lost."""
        if self.remote:
            for host, share in sorted(self.shares.items()):
                yield f"{host}: {share['laws']} laws, {share['examples']} examples"
        yield from self.moves
        for law, why in self.again.items():
            if law not in self.lost:
                yield f"run again: {law} ({why}){'' if law in self.reported else ', without a verdict'}"
        missing = self.missing()
        if missing:
            yield f"INCOMPLETE: {len(missing)} of {len(self.wanted)} have no verdict"
            yield from (f"    {law}{': ' + self.lost[law] if law in self.lost else ''}" for law in missing)


LEDGER = pytest.StashKey[Ledger]()


def pytest_configure(config):
    """Open the ledger."""
    config.stash[LEDGER] = Ledger()


def answers(spec):
    """Whether a worker can be started where the spec says: ssh hosts, sockets, and this machine always."""
    if spec.popen:
        return True
    group = execnet.Group()
    try:
        group.makegateway("//".join(part for part in str(spec).split("//") if not part.startswith("id=")))
    except Exception:
        return False
    group.terminate(1)
    return True


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config, specs):
    """Say which host does not answer before anything runs."""
    config.stash[LEDGER].remote = any(not spec.popen for spec in specs)
    hosts = {spec.ssh or spec.socket: spec for spec in specs if not spec.popen}
    if silent := [host for host, spec in hosts.items() if not answers(spec)]:
        raise pytest.UsageError(
            f"no answer from {', '.join(silent)}: wanted ssh (or a socket server) and Python with execnet there"
        )


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node):
    """Tell a new worker which cells have taken workers down twice: it skips their other laws."""
    lost = node.config.stash[LEDGER].lost
    node.workerinput["deadly"] = [law.partition("[")[2].removesuffix("]") for law in lost]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodeready(node):
    """Note where the worker is."""
    node.config.stash[LEDGER].places[node.gateway.id] = node.gateway.spec


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    """Let xdist replace a lost worker on a host that answers: its own, else in turn those of the other workers, else here."""
    ledger = node.config.stash[LEDGER]
    ledger.places.pop(node.gateway.id, None)
    if not error or answers(node.gateway.spec):
        return
    lost = node.gateway.spec.ssh or node.gateway.spec.socket
    ledger.places = {name: spec for name, spec in ledger.places.items() if (spec.ssh or spec.socket) != lost}
    others = [spec for _, spec in zip(range(len(ledger.moves) + 1), cycle(ledger.places.values()))]
    chosen = others[-1] if others else execnet.XSpec("popen")
    parts = [part for part in str(chosen).split("//") if not part.startswith(("id=", "execmodel="))]
    node.gateway.spec = execnet.XSpec("//".join(["execmodel=main_thread_only", *parts]))
    ledger.moves.append(f"host lost: {lost} no longer answers; its worker {node.gateway.id} was replaced on {parts[0]}")


@pytest.hookimpl(optionalhook=True)
def pytest_handlecrashitem(crashitem, report, sched):
    """Run the law that a lost worker was running once more; the second time it is a failure."""
    ledger = sched.config.stash[LEDGER]
    if crashitem in ledger.again:
        ledger.lost[crashitem] = "took its worker down twice"
        words = Words(journal(sched.config).folder, report.node.gateway.id)
        report.longrepr = "\n".join([f"{report.longrepr}, for the second time", *words.lines("its process ended")])
        return
    ledger.again[crashitem] = f"worker {report.node.gateway.id} was lost while running it"
    report.outcome = "rerun"
    sched.mark_test_pending(crashitem)


def pytest_report_teststatus(report):
    """An R for a law that is run again."""
    return ("rerun", "R", "RERUN") if report.outcome == "rerun" else None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node, ids):
    """What was to run, with workers."""
    node.config.stash[LEDGER].wanted.update(dict.fromkeys(ids))


def pytest_collection_finish(session):
    """What was to run, without workers."""
    if not session.config.option.collectonly:
        session.config.stash[LEDGER].wanted.update(dict.fromkeys(item.nodeid for item in session.items))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """On a worker: note on which host."""
    report = yield
    if hasattr(item.config, "workerinput") and call.when == "call":
        report.user_properties.append(("host", platform.node()))
    return report


class Reports:
    """Takes reports down as they arrive; an object of its own, since pytest_runtest_logreport does not say which run it is of."""

    def __init__(self, ledger):
        """ledger: where."""
        self.ledger = ledger

    def pytest_runtest_logreport(self, report):
        """A law has a verdict once it was called, or failed or was skipped before."""
        if report.when == "call" or (report.when == "setup" and not report.passed):
            self.ledger.reported.add(report.nodeid)
        properties = dict(report.user_properties)
        if report.when == "call" and "host" in properties:
            share = self.ledger.shares.setdefault(properties["host"], Counter())
            share.update(laws=1, examples=properties.get("cellcheck", {}).get("examples", 0))


def pytest_sessionstart(session):
    """Start to take reports down; by now the profile is chosen."""
    profiles.settle()
    session.config.pluginmanager.register(Reports(session.config.stash[LEDGER]))


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session, exitstatus):
    """A run with laws missing has not passed."""
    if exitstatus == pytest.ExitCode.OK and session.config.stash[LEDGER].missing() and not hasattr(session.config, "workerinput"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter):
    """What the ledger says."""
    if lines := list(terminalreporter.config.stash[LEDGER].lines()):
        terminalreporter.section("hosts")
        terminalreporter.write_line("\n".join(lines))
