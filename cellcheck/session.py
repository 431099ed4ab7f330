"""A run of pytest in which laws are verified: the cells, a Trial for each test, the results, and the table that ends the run."""

import platform
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from cellcheck.database import DatabaseError
from cellcheck.hosts import Hosts
from cellcheck.journal import journal
from cellcheck.judging import comparable, listed, power, trial_of, trials
from cellcheck.options import OptionError, Options
from cellcheck.plugin import Laws
from cellcheck.profiles import profile
from cellcheck.properties.certificate import Collector, certificate, described, table, write
from cellcheck.properties.intake import expected
from cellcheck.properties.intake.loading import GuestError
from cellcheck.properties.reports import overview
from cellcheck.properties.writing.text import folded
from cellcheck.subjects import SECONDS, held, named, shipped, subject

IDLE = (  # options with which no law runs
    "help",
    "version",
    "markers",
    "showfixtures",
    "show_fixtures_per_test",
    "setupplan",
    "collectonly",
)
PRINTED = 5  # lines of what a cell prints that are shown


class Session:
    """A plugin of pytest, registered once something is to be verified.

    guests: the cells that the command line names; decorated: those of laws_of, by object or text; collector: the results; cards:
    what workers have told of their cells, by label; told: the labels whose notes are in the head of the run; run: pytest's session, once
    it ends.
    """

    NAME = "cellcheck.session"

    def __init__(self, config):
        """config: pytest's. Raises UsageError, one line, for a cell or an option that cannot be used."""
        self.config, self.home, self.options = config, config.invocation_params.dir, Options.parsed(config.option)
        self.collector, self.decorated, self.cards, self.told, self.run = Collector(), {}, {}, set(), None
        if self.options.reports and Path(self.home, self.options.reports).is_file():
            raise pytest.UsageError(f"--cell-reports {self.options.reports}: this is a file; name a folder")
        idle = any(getattr(config.option, name, None) for name in IDLE) or hasattr(config, "workerinput")
        for name in () if idle else self.options.certificate:
            with suppress(OSError):  # which writing the new one tells
                Path(self.home, name).unlink()  # if the run ends early, an old one would say that the cell held
        try:
            profile(self.options.profile)  # raises DatabaseError
            limit = self.options.limit if self.options.limit != Options.limit else None
            self.guests = named(config.option.cell, self.home, limit, journal(config).begin)
            for cell in self.guests:
                journal(config).begin(f"comparing {cell.label} with its reference", limit or SECONDS)
                held(cell, self.options, self.home, limit or SECONDS)
            for cell in self.guests:
                cell.deadly = cell.label in getattr(config, "workerinput", {}).get("deadly", ())
            labels = [cell.label for cell in self.cells]
            self.expected = expected.read(self.options.expected_failures, labels, self.home)
        except (DatabaseError, GuestError) as error:
            raise pytest.UsageError(str(error)) from None
        except KeyboardInterrupt:
            pytest.exit("interrupted before any law ran", returncode=pytest.ExitCode.INTERRUPTED)
        self.hosts = Hosts(config, self.collector, self._excused)
        config.pluginmanager.register(self.hosts)

    @property
    def cells(self):
        """The cells that modules of laws verify: those of the command line, else the shipped ones."""
        return self.guests or shipped()

    def _excused(self, law, label):
        """Whether a guest of the command line may break this law of unusual arguments without failing the run."""
        return law.unusual and not self.options.strict and label in [cell.label for cell in self.guests]

    def pytest_report_header(self):
        """What is verified and how, in one line, and what the pre-flight found out about each guest."""
        self.told |= {cell.label for cell in self.cells}
        strict = "promises are hazards" if self.guests and not self.options.strict else "strict"
        head = f"cellcheck: {', '.join(cell.label for cell in self.cells)}; {self.options.examples} examples a law; {strict}"
        return folded([head, *(f"{cell.label}: {note}" for cell in self.guests for note in cell.notes)])

    def parametrize(self, metafunc, mark=None):
        """Give a law every cell; or, for a function that `laws_of` marks, give it every law of its cells."""
        if mark:
            tried = self._marked(metafunc.definition.nodeid, metafunc.module, *mark.args, **mark.kwargs)
            metafunc.parametrize("law", tried, ids=list(map(str, tried)))
        else:
            law = [metafunc.definition.originalname]
            tried = [t for cell in self.cells for t in trials(cell, self.options, self.home, self.expected, law)]
            metafunc.parametrize("Cell", tried, ids=[t.subject.label for t in tried])

    def _marked(self, nodeid, module, *cells, laws=None, **options):
        """The trials of a function of this module that `laws_of` marks."""
        try:
            how = replace(self.options, **options)
            if again := next((Cell for k, Cell in enumerate(cells) if Cell in cells[:k]), None):
                raise OptionError(f"laws_of is given {getattr(again, '__name__', again)} twice; name each cell once")
            cells = [self._subject(Cell, how, module) for Cell in cells]
            known = expected.read(options.get("expected_failures"), [cell.label for cell in cells], self.home)
            laws = listed(laws)
            for cell in cells:
                comparable(cell, laws)
            return [t for cell in cells for t in trials(cell, how, self.home, known, laws)]
        except (GuestError, OptionError) as error:
            raise pytest.Collector.CollectError(f"{nodeid}: {str(error).removeprefix('--')}") from None

    def _subject(self, Cell, how, module):
        """The Subject of a decorated cell and its reference, once for each; cells that are called alike are numbered.

        What an adapter returns has no name of its own, and takes the one that it has in the module of the test.
        """
        key = tuple(one if isinstance(one, str) else id(one) for one in (Cell, how.reference, how.convention))
        if key not in self.decorated:
            new = subject(Cell, self.home)
            if ":" not in new.label and not new.shipped:
                new.label = next((name for name, value in vars(module).items() if value is Cell), new.label)
            held(new, how, self.home)
            alike = sum(other.label.partition("-")[0] == new.label for other in self.decorated.values())
            new.label += f"-{alike + 1}" * bool(alike)
            self.decorated[key] = new
        return self.decorated[key]

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item):
        """Write down which law runs, for whoever reads it if the process ends there."""
        if trial := trial_of(item):
            trial.journal = journal(self.config)
            trial.journal.begin(f"running the law {trial}")
        result = yield
        journal(self.config).begin(f"between two tests, after {trial or item.nodeid}")
        return result

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem):
        """A law is run as a Trial."""
        if isinstance(pyfuncitem.parent, Laws):
            trial_of(pyfuncitem)()
            return True
        return None

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item, call):
        """Put the verdict on the report: a broken law in few lines, a guest's broken promise as a hazard, numbers for the table."""
        report, trial = (yield), trial_of(item)
        if call.when != "call" or not trial:
            return report
        if trial.result is None:
            if report.passed:
                report.outcome, report.longrepr = "failed", f"{item.name} has not called law()"
            return report
        result = dict(trial.result)
        if hasattr(report, "wasxfail") and result["verdict"] == "broken":
            result |= {"verdict": "expected", "reason": f"expected failure: {report.wasxfail}"}
        elif result["verdict"] in ("broken", "incomplete"):
            report.outcome = "failed"
            if self.config.get_verbosity() < 2:
                report.sections = [(name, _few(text)) for name, text in report.sections]
            if self.config.get_verbosity() < 2 or not report.longrepr:
                report.longrepr = "\n".join(folded(result["reason"].splitlines()))
        elif result["verdict"] in ("expected", "hazard") and report.passed:
            report.outcome, report.wasxfail = "skipped", result["reason"].partition("\n")[0]
        if hasattr(self.config, "workerinput"):
            result["host"] = platform.node()
        report.user_properties.append(("cellcheck", result))
        return report

    def pytest_collection_finish(self, session):
        """Note which laws are to run in this process."""
        self.collector.expect(item.nodeid for item in session.items)

    def pytest_runtest_logreport(self, report):
        """Take what a law said. The first broken one is told at once."""
        broken = [r for r in self.collector.found.values() if r["verdict"] == "broken"]
        self.collector.take(report)
        result, terminal = self.collector.found.get(report.nodeid), self.config.pluginmanager.get_plugin("terminalreporter")
        if result and result["verdict"] == "broken" and not broken and terminal and self.config.get_verbosity() == 0:
            terminal.write_line("\n" + "\n".join(folded([overview.sentence(result)])))

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node, error):
        """Take what a worker tells of its cells."""
        self.cards |= (getattr(node, "workeroutput", None) or {}).get("cellcheck", {})

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session, exitstatus):
        """A run has passed if every law that was to run has a verdict, and the laws certified something."""
        if hasattr(self.config, "workeroutput"):
            cells = [*self.cells, *self.decorated.values()]
            self.config.workeroutput["cellcheck"] = {cell.label: self._card(cell) for cell in cells}
            return
        self.run = session
        self.hosts.ended = self.hosts.crashed
        for law in self.hosts.ended:
            self.collector.found[law] |= {"verdict": "broken", "reason": "it ended its process, and held when it ran again"}
        results, missing = self.collector.results, self.collector.missing and not self.config.option.collectonly
        if exitstatus == pytest.ExitCode.OK and (missing or (results and table.status(results) != "held")):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter):
        """First what many broken laws have in common; last the table of what was verified, and the verdict."""
        unwritten, directory = [], self.options.reports
        if results := self.collector.results:
            unwritten = [*overview.settle(results, self.home / directory, self.home)] if directory else []
            overview.told(terminalreporter, results)
        yield
        powers = self._powers(results)
        if powers:
            terminalreporter.section("edits of the cells' own code")
            terminalreporter.write_line("\n\n".join(map(str, powers.values())))
        if self.guests and self.config.option.keyword and not self.collector.wanted and terminalreporter.stats.get("deselected"):
            terminalreporter.write_line(f"no law matches -k {self.config.option.keyword!r}; docs/laws.md has their names")
        said = [*folded(self._notes()), *(table.lines(results) if results else ()), *unwritten]
        said += self._certified(results, powers)
        if said and not self.config.option.collectonly:
            terminalreporter.section("cellcheck")
            terminalreporter.write_line("\n".join(said))

    def _powers(self, results):
        """The Power of the laws on each cell on which none is broken, by label, if it is asked for."""
        cells = [*self.cells, *self.decorated.values()] if self.options.mutants else []
        found = {cell.label: power(cell, results, self.options.mutants, self.options.strict) for cell in cells}
        return {label: one for label, one in found.items() if one}

    def _card(self, cell):
        """What is told of a cell, for the end of the run and for the certificate."""
        return described(cell.Cell, cell.notes) if self.options.certificate else {"notes": list(cell.notes)}

    def _cards(self):
        """Those of all cells of this run, whichever process has them."""
        return self.cards | {cell.label: self._card(cell) for cell in (*self.cells, *self.decorated.values())}

    def _notes(self):
        """What the pre-flight found out about cells that were not known at the head of the run."""
        return [f"{label}: {note}" for label, card in self._cards().items() if label not in self.told for note in card["notes"]]

    def _certified(self, results, powers):
        """Write the certificate to each file that is asked for; yields lines that say where it is. One that cannot be written fails the run."""
        if not self.options.certificate:
            return
        cards, labels = self._cards(), {r["cell"] for r in results} or {cell.label for cell in self.cells}
        cards = {label: card for label, card in cards.items() if label in labels | {guest.label for guest in self.guests}}
        strict = self.options.strict or not self.guests
        run = {"profile": self.options.profile, "examples": self.options.examples, "strict": strict}
        edits = {label: one.as_dict() for label, one in powers.items()}
        whole = certificate(cards, results, {**run, "workers": self.collector.workers}, edits)
        for name in self.options.certificate:
            try:
                yield f"certificate: {write(self.home / name, whole)}"
            except OSError as error:
                if self.run.exitstatus == pytest.ExitCode.OK:
                    self.run.exitstatus = pytest.ExitCode.TESTS_FAILED
                yield f"certificate: {name} is not written: {error.strerror}"


def _few(text):
    """How many lines a cell has printed, and the last ones."""
    lines = text.splitlines()
    more = [f"{len(lines) - PRINTED} lines, and then"] if len(lines) > PRINTED else []
    return "\n".join([*more, *lines[-PRINTED:]])
