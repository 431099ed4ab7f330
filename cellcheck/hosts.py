"""A run over many workers or hosts: the share of each host, what was run again after a worker was lost, and what is missing.

pytest-xdist makes the law that a lost worker was running a failure, and replaces the worker on the same host. Here the law is run
once more, and where the host no longer answers the replacement starts on a host that does.
"""

from collections import Counter
from itertools import cycle

import execnet
import pytest

from cellcheck.journal import Words, journal
from cellcheck.properties.certificate import ended


class Hosts:
    """A plugin of pytest.

    collector: the laws that are to run, and their results; again: ids of those run once more, and why; here: those of
    them whose worker was on this machine; ended: those that count as broken for it, once the run is over; lost: of those that will
    not run again, and why; places: where live workers are, by id; moves: what was replaced; remote: whether a worker is elsewhere;
    excused: whether a cell, by its label, may break this law without failing the run.
    """

    def __init__(self, config, collector, excused=lambda law, cell: False):
        """config: pytest's."""
        self.config, self.collector, self.excused = config, collector, excused
        self.again, self.lost, self.places, self.moves, self.remote = {}, {}, {}, [], False
        self.here, self.ended = [], []

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_setupnodes(self, specs):
        """Say which host does not answer before anything runs."""
        self.remote = any(not spec.popen for spec in specs)
        hosts = {spec.ssh or spec.socket: spec for spec in specs if not spec.popen}
        if silent := [host for host, spec in hosts.items() if not answers(spec)]:
            raise pytest.UsageError(
                f"no answer from {', '.join(silent)}: each host needs ssh (or a socket server), and Python with execnet"
            )

    @property
    def deadly(self):
        """The labels of the cells that have lost a law with its worker."""
        return [self.collector.wanted[law][1] for law in self.lost]

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node):
        """Tell a new worker which cells are deadly: it skips their other laws."""
        node.workerinput["deadly"] = self.deadly

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodeready(self, node):
        """Note where the worker is."""
        self.places[node.gateway.id] = node.gateway.spec

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node, error):
        """Let xdist replace a lost worker on a host that answers: its own, else in turn those of the other workers, else here."""
        self.places.pop(node.gateway.id, None)
        if not error or answers(node.gateway.spec):
            return
        lost = node.gateway.spec.ssh or node.gateway.spec.socket
        self.places = {name: spec for name, spec in self.places.items() if (spec.ssh or spec.socket) != lost}
        others = [spec for _, spec in zip(range(len(self.moves) + 1), cycle(self.places.values()))]
        chosen = others[-1] if others else execnet.XSpec("popen")
        parts = [part for part in str(chosen).split("//") if not part.startswith(("id=", "execmodel="))]
        node.gateway.spec = execnet.XSpec("//".join(["execmodel=main_thread_only", *parts]))
        self.moves.append(f"host lost: {lost} no longer answers; its worker {node.gateway.id} was replaced on {parts[0]}")

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node):
        """Let the scheduler know a worker that was ready while xdist was about to end, which another lost worker has put off.

        xdist has told it to stop and not added it, and then asserts that it has; since it stops, it is given nothing to run.
        """
        scheduler = self.config.pluginmanager.getplugin("dsession").sched
        if node not in scheduler.nodes:
            scheduler.add_node(node)

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, crashitem, report, sched):
        """Let xdist run the law that a lost worker was running once more."""
        if self.repeats(report.node.gateway.id, report):
            sched.mark_test_pending(crashitem)

    def repeats(self, worker, report):
        """Whether the law that a lost worker was running is to run once more; it is a failure the second time, and at once if it hung.

        worker: the name of its journal; report: that it was lost, which is told whether it was a failure.
        """
        law = report.nodeid
        if law not in self.collector.wanted:
            return False
        words = Words(journal(self.config).folder, worker)
        if law in self.again and not words.rang and self.excused(*self.collector.wanted[law]):
            self._hazard(report, words)
            return False
        if words.rang or law in self.again:
            self.lost[law] = "took too long and could not be interrupted" if words.rang else "took its worker down twice"
            report.longrepr = "\n".join([f"{law} {self.lost[law]}", *words.lines("its process ended")])
            return False
        self.again[law] = f"worker {worker} was lost while running it"
        if getattr(self.places.get(worker), "popen", True):
            self.here.append(law)
        report.outcome = "rerun"
        return True

    @property
    def crashed(self):
        """Laws that ended a worker of this machine and held when they ran again, of cells with several: once may be by accident."""
        found = self.collector.found
        own = [law for law in self.here if law in found and found[law]["verdict"] == "held" and law not in self.lost]
        own = [law for law in own if not self.excused(*self.collector.wanted[law])]
        times = Counter(self.collector.wanted[law][1] for law in own)
        return [law for law in own if times[self.collector.wanted[law][1]] > 1]

    def _hazard(self, report, words):
        """Report a law that has ended its process twice, the second time a fresh one, as a broken promise."""
        law, cell = self.collector.wanted[report.nodeid]
        del self.again[report.nodeid]
        report.outcome, report.wasxfail = "skipped", "its process ended"
        report.user_properties.append(("cellcheck", ended(law, cell, f"the process ended {words.inputs}".strip())))

    def pytest_report_teststatus(self, report):
        """An R for a law that is run again."""
        return ("rerun", "R", "RERUN") if report.outcome == "rerun" else None

    def pytest_terminal_summary(self, terminalreporter):
        """The share of each host, what moved, what ran again, and what has no verdict."""
        if lines := list(self.lines()):
            ended = "processes that ended" if self.again or self.lost else "without a verdict"
            terminalreporter.section("hosts" if self.remote else ended)
            terminalreporter.write_line("\n".join(lines))

    def lines(self):
        """What the end of the run says of all this; nothing of a run on one machine in which nothing was lost."""
        if self.remote:
            shares = {}
            for r in self.collector.found.values():
                shares.setdefault(r.get("host", ""), Counter()).update(laws=1, examples=r["examples"])
            for host, share in sorted(shares.items()):
                yield f"{host}: {share['laws']} laws, {share['examples']} examples"
        yield from self.moves
        missing = [] if self.config.option.collectonly else self.collector.missing
        for law, why in self.again.items():
            if law in self.lost:
                continue
            yield f"run again: {law} ({why}){', without a verdict' if law in missing else ''}"
        if self.ended:
            yield f"a cell must not end its process: the {len(self.ended)} laws that did so count as broken, though they held when run again"
        if missing:
            yield f"INCOMPLETE: {len(missing)} of {len(self.collector.wanted)} have no verdict"
            yield from (f"    {law}{': ' + self.lost[law] if law in self.lost else ''}" for law in missing)


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
