"""The results of all laws, whichever worker ran them; a law that was to run and did not report is incomplete."""

import re

import pytest
from cellcheck.properties.certificate.data import certificate
from cellcheck.properties.certificate.files import FORMATS, write
from hypothesis import settings

LAW = re.compile(r"(?:^|/)test_(\w+)\.py::test_(\w+)\[(.*)\]$")
NOTHING = {"examples": 0, "blocks": {}, "worst": 0.0, "power": {}, "regimes": {}, "seconds": 0.0}


class Collector:
    """A plugin of pytest. results: one dict per law and cell, once the run is over; workers: how many there were."""

    def __init__(self, config):
        """config: pytest's, with the cells under test. Raises UsageError for a certificate of an unknown ending."""
        self.config, self.wanted, self.found, self.lost, self.workers = config, {}, {}, {}, 0
        self.paths = [config.invocation_params.dir / name for name in config.option.certificate]
        for path in self.paths:
            if path.suffix not in FORMATS:
                raise pytest.UsageError(f"--certificate {path.name}: wanted a name that ends in {' or '.join(FORMATS)}")

    @property
    def results(self):
        """What every law said, in the order of collection."""
        if not self.found and not self.lost:
            return []
        missing = {nodeid: self._incomplete(*key, self.lost.get(nodeid)) for nodeid, key in self.wanted.items()}
        return list({**missing, **self.found}.values())

    def pytest_collection_finish(self, session):
        """Remember what is to run in this process."""
        self._expect(item.nodeid for item in session.items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node, ids):
        """Remember what is to run in the workers, each of which collects everything."""
        self.workers += 1
        self._expect(ids)

    def pytest_runtest_logreport(self, report):
        """Take what the law said; a failure that says nothing is that of a worker, or of something before the law."""
        said = [value for key, value in report.user_properties if key == "cellcheck"]
        if said:
            self.found[report.nodeid] = said[0]
        elif report.failed and report.nodeid in self.wanted:
            text = report.longreprtext.strip().splitlines() or [""]
            self.lost[report.nodeid] = "its worker crashed" if report.when == "???" else f"{report.when} failed: {text[-1]}"

    def written(self):
        """Write the certificate to each file that is asked for; lines that say where it is."""
        if self.paths:
            run = {
                "profile": getattr(self.config.option, "hypothesis_profile", None) or "default",
                "examples": settings().max_examples,
            }
            strict = bool(self.config.option.strict or not self.config.option.cell)
            run |= {"strict": strict, "workers": self.workers}
            whole = certificate(self.config.cells, self.config.about, self.results, run)
            for path in self.paths:
                try:
                    yield f"certificate: {write(path, whole)}"
                except OSError as error:
                    yield f"certificate: not written: {error.strerror} ({path})"

    def _expect(self, nodeids):
        for nodeid in nodeids:
            match = LAW.search(nodeid)
            labels = {cell.encode("unicode_escape").decode(): cell for cell in self.config.cells}  # as pytest writes ids
            if match and match[3] in labels and not nodeid.startswith("tests/"):
                self.wanted[nodeid] = *match.groups()[:2], labels[match[3]]

    @staticmethod
    def _incomplete(group, law, cell, reason):
        verdict = {"verdict": "incomplete", "reason": reason or "it did not run to its end"}
        return {"cell": cell, "group": group, "law": law, **verdict, **NOTHING}
