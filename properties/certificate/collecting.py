"""The results of all laws of a run, whichever worker ran them. A law that was to run and has no result is incomplete."""

import re

from cellcheck.properties.intake.catalogue import laws

# A test of a module of laws, test_LAW[CELL], or of a function that laws_of decorates, test_it[LAW of CELL].
TEST = re.compile(r"(?:properties|cellcheck)/test_(?P<group>\w+)\.py::test_(?P<law>\w+)\[(?P<cell>.+)\]")
DECORATED = re.compile(r".*::\w+\[(?P<law>\w+) of (?P<cell>.+)\]")
UNUSUAL = {"layout": "given arrays of another dtype or memory layout", "errors": "given wrong shapes"}
NOTHING = {"examples": 0, "blocks": {}, "worst": 0.0, "power": {}, "regimes": {}, "seconds": 0.0}


def tried(nodeid):
    """(law, label of the cell) of a test's id, or None where it is no law's."""
    match = TEST.fullmatch(nodeid) or DECORATED.fullmatch(nodeid)
    law = match and laws().get(match["law"])
    if not law or match.groupdict().get("group") not in (None, law.group):
        return None
    return law, match["cell"].encode("ascii", "backslashreplace").decode("unicode_escape")  # pytest escapes what is not ASCII


class Collector:
    """Which laws were to run, and what they said.

    wanted: (law, cell) by id; found: results by id; lost: why a law has no result, by id; workers: how many there were.
    """

    def __init__(self):
        """Nothing is to run yet."""
        self.wanted, self.found, self.lost, self.workers = {}, {}, {}, 0

    def expect(self, nodeids):
        """Remember which of these tests are laws that are to run."""
        self.wanted |= {nodeid: trial for nodeid in nodeids if (trial := tried(nodeid))}

    def take(self, report):
        """Take what a law said. A failure that says nothing is that of a worker, or of something around the law."""
        said = [value for key, value in report.user_properties if key == "cellcheck"]
        if said:
            self.found[report.nodeid] = said[0]
        elif report.failed and report.nodeid in self.wanted:
            text = report.longreprtext.strip().splitlines() or [""]
            self.lost[report.nodeid] = "its worker crashed" if report.when == "???" else f"{report.when} failed: {text[-1]}"

    @property
    def missing(self):
        """The ids of laws that have no result, in order."""
        return [nodeid for nodeid in self.wanted if nodeid not in self.found]

    @property
    def results(self):
        """The result of every law that was to run, in the order of the catalogue; none where nothing was run."""
        if not self.found and not self.lost:
            return []
        missing = {
            nodeid: without(*self.wanted[nodeid], "incomplete", self.lost.get(nodeid) or "it did not run to its end")
            for nodeid in self.missing
        }
        results, order = {**dict.fromkeys(self.wanted), **missing, **self.found}.values(), list(laws())
        return sorted(results, key=lambda r: order.index(r["law"]))


def without(law, cell, verdict, reason):
    """The result of a law that has not run to its end. cell: its label."""
    return {"cell": cell, "group": law.group, "law": law.name, "verdict": verdict, "reason": reason, **NOTHING}


def ended(law, cell, how="the process ended", verdict="hazard"):
    """The result of a law of unusual arguments that ended its process. how: what is known of the end."""
    cause = f"apply or vjp does not check its arguments: {UNUSUAL[law.group]}, it reads or writes beyond its arrays"
    finding = {"sentences": [cause], "blame": how, "path": None, "page": None, "name": cell.rpartition(":")[2]}
    return {**without(law, cell, verdict, f"{cell} breaks the law {law.name}: {how}"), "finding": finding}
