"""One law on one cell, from the examples to the verdict and the report, with or without pytest."""

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cellcheck import profiles
from cellcheck.cells import lift
from cellcheck.journal import Silence
from cellcheck.options import OptionError, Options
from cellcheck.properties.certificate import table
from cellcheck.properties.intake import expected
from cellcheck.properties.intake.capabilities import missing
from cellcheck.properties.intake.catalogue import GROUPS, Law, laws
from cellcheck.properties.intake.loading import GuestError
from cellcheck.properties.intake.raised import complaint, internal
from cellcheck.properties.intake.surroundings import Replaced, restored
from cellcheck.properties.reports import Case, reported
from cellcheck.properties.reports.diagnosis.conduct import unwritten
from cellcheck.properties.reports.diagnosis.grown import Grown
from cellcheck.properties.reports.overview import finding
from cellcheck.properties.verdicts.limits import Hang, limited
from cellcheck.running import ENDINGS, Run, observed
from cellcheck.strategies import TOGETHER, regimes
from cellcheck.subjects import Subject


def listed(names):
    """The names of laws or groups as a list, None for all. names: a name, or some. Raises OptionError for anything else."""
    given = [names] if isinstance(names, str) else names
    if given is not None and not (isinstance(given, (list, tuple, set)) and given and all(isinstance(n, str) for n in given)):
        raise OptionError(f"laws {names!r}: give names of laws or of groups, such as 'gradients', or leave it out for all")
    return given and list(given)


class Broken(AssertionError):
    """A law is broken; the message is the short report."""


@dataclass(repr=False)
class Trial:
    """One law on one cell. Call it in a test, or `judge` it anywhere else.

    law, subject, options: what is tried, and how; home: where relative paths start; expected: why the law is known to fail, or
    None; run: what happened; result: the verdict and the numbers as plain values, once it has been judged; journal: where to
    write down each step, see journal.py.
    """

    law: Law
    subject: Subject
    options: Options = field(default_factory=Options)
    home: Path = field(default_factory=Path.cwd)
    expected: str | None = None
    run: Run = field(default_factory=Run)
    result: dict | None = None
    journal: object = field(default_factory=Silence)

    def __repr__(self):
        """The law and the cell: the name of the test."""
        return f"{self.law.name} of {self.subject.label}"

    def __call__(self):
        """Judge, as a test: raise Broken for a broken law, and pytest's skip for one that is not verified."""
        __tracebackhide__ = True
        result = self.judge()
        if result["verdict"] in ("broken", "incomplete"):
            raise Broken(result["reason"]) from self.run.error
        if result["verdict"] == "not verified":
            pytest.skip(f"not verified: {result['reason']}")

    def judge(self):
        """Run the law, and return its result: cell, group, law, verdict, reason, numbers, and what the overview needs of a failure."""
        self.run = Run()
        try:
            with restored():  # the cell is also made between its runs, as for its description
                verdict, reason = self._verdict()
                steps = self._longest()
        finally:
            self.journal.begin(f"after the law {self}")  # and no alarm any more
        result = self.run.result(self.subject.label, self.law.group, self.law.name, verdict, reason)
        told = {"steps": steps, "only": self.subject.only, "blind": list(self.subject.blind)}
        told["finding"] = self.run.case and finding(self.run.case)
        self.result = {**result, **told}
        return self.result

    def _longest(self):
        """How many steps a sequence cell ran at most, as far as is known: 0 of a broken law."""
        if self.law.group in ("gradients", "sequences") and not self.run.error:
            with suppress(Exception, Hang), restored(), limited(self.options.limit):
                return regimes.longest(self.run.problems, self.subject.Cell)
        return 0

    def _verdict(self):
        Cell, label, law = self.subject.Cell, self.subject.label, self.law
        if self.subject.hung:
            return "not verified", "the cell hung in an earlier law"
        if self.subject.deadly:
            return "not verified", "the cell ended its process in an earlier law"
        if self.subject.damaged:
            return "not verified", "it has raised at every problem in this process since an earlier law"
        if reason := missing(Cell, law.needs):
            return "not verified", reason
        chosen = profiles.profile(self.options.profile, TOGETHER)
        how = {"shrink": not self.expected, "step": self.journal.step, "examples": self.options.examples}
        how |= {"idle": lift(Cell).spec().idle, "patience": 1 / (1 + self.subject.broken)}
        self.run = run = observed(law.check, Cell, label, chosen, self.options.limit, **how)
        self.subject.hung, self.subject.damaged = isinstance(run.error, Hang), run.damaged
        self.subject.broken += run.smallest is not None
        if self.expected and run.error:
            return "expected", f"expected failure: {self.expected}"
        if self.expected:
            return "broken", f"{label}: the law {law.name} holds, but was expected to fail: {self.expected}"
        if run.error is None:
            if run.tally.examples and not run.tally.verdicts:
                return "not verified", run.tally.nothing
            if not self.subject.shipped and (nothing := run.uncertified(lift(Cell).spec().reference)):
                return "not verified", nothing
            vacuous = run.vacuous() if self.subject.shipped else None
            return ("broken", vacuous) if vacuous else ("held", "")
        if self.subject.hung:
            return "broken", f"{label} breaks the law {law.name}: it {run.error} at {run.failure}"
        if isinstance(run.error, Replaced):
            return "broken", f"{label}: it {run.error}; keep NumPy as it is, since the laws compute with it"
        if fault := internal(run.error):
            return "incomplete", f"{label}: {law.name}: {fault}"
        verdict = "hazard" if law.promise and not (self.subject.shipped or self.options.strict) else "broken"
        if run.flaky:
            again = "but not when it runs there again: its results differ from run to run"
            told = "if sums are taken in any order, declare deterministic = False; if not, look for random numbers, as of"
            told = f"{told} dropout, or for globals that keep something from call to call"
            if not lift(Cell).spec().deterministic:
                told = "the order of sums does not explain that; if it draws random numbers, as dropout does, call eval()"
            with suppress(Exception, Hang), restored(), limited(self.options.limit):  # of a wild guest
                told = next(iter(unwritten(Grown(Cell, run.failure))), told)
            return verdict, f"{label} breaks the law {law.name} at {run.failure}, {again}; {told}"
        if run.damaged:
            verdict = verdict if law.unusual else "broken"  # other laws remain, and none of them is verified
            raised = f"{label} breaks the law {law.name}: it raised {complaint(run.error, self.home)}, with {run.failure}"
            since = "it has raised at every problem in this process since then"
            return verdict, f"{raised}; {since}, so this case is as it was drawn; after a CUDA error, try compute-sanitizer"
        return verdict, self._report()

    def _held(self):
        """The options by which the command holds the cell to the same reference and convention."""
        reference, name = lift(self.subject.Cell).spec().reference, self.options.convention
        return (*(("--reference", reference.label) if reference else ()), *(("--convention", name) if name else ()))

    def _report(self):
        """The short report of a broken law; the rest of it is written to the folder of reports."""
        law, label = self.law, self.subject.label
        found = self.subject.shipped or ":" in label  # no script finds a class without a file
        directory = self.options.reports if found else None
        problem, error = self.run.smallest or (self.run.failure, self.run.error)
        where = law.name, law.group, law.equation, law.check
        self.run.case = Case(label, *where, self.subject.Cell, problem, error, self.home, options=self._held())
        self.journal.begin(f"writing the report of the law {self}", self.options.limit)
        try:
            with restored(), limited(self.options.limit):
                told = reported(self.run.case, directory and self.home / directory)
                nameless = self.options.reports and not directory
                return told + "\n  no report: bind the cell to a name in a module" * bool(nameless)
        except (Exception, SystemExit, *ENDINGS, Hang) as other:  # whatever a wild guest does while it is asked for more
            return f"{label} breaks the law {law.name}: {_named(error)} at {problem} (no report: {_named(other)})"


def trials(subject, options, home, known, names=None):
    """A Trial of each law on this cell.

    known: the expected failures, of `expected.read`; names: of the laws or of their groups, by default all. Raises GuestError.
    """
    chosen = [names] if isinstance(names, str) else names or GROUPS
    wanted = {expected.known(name, "laws", GROUPS) for name in chosen}
    return [
        Trial(law, subject, options, home, expected.reason(known, law.name, subject.label))
        for law in laws().values()
        if {law.name, law.group} & wanted and ("reference" not in law.needs or lift(subject.Cell).spec().reference)
    ]


def comparable(subject, names):
    """Raise GuestError if a law or a group is asked for that compares this cell with a reference, and it has none."""
    lost = [
        name for name in names or () if any("reference" in law.needs for law in laws().values() if name in (law.name, law.group))
    ]
    if lost and not lift(subject.Cell).spec().reference:
        raise GuestError(
            f"laws {', '.join(lost)}: there is no reference to compare {subject.label} with; pass one, as reference="
        )


def power(subject, results, seconds, strict=False):
    """The Power of the laws over edits of this cell's own code, or None if one of them is broken on the cell itself.

    results: of all laws, as dicts; seconds: about how long it may take; strict: whether promises decide.
    """
    ours = [r for r in results if r["cell"] == subject.label]
    if table.status(ours) != "held":
        return None
    from cellcheck.properties.mutants.own import measured  # few runs need it

    held = [r["law"] for r in ours if r["verdict"] == "held"]
    return measured(subject.Cell, subject.label, seconds, held, strict=subject.shipped or strict)


def trial_of(item):
    """The Trial that a test of pytest's was given, or None."""
    given = getattr(item, "callspec", None)
    return next((value for value in given.params.values() if isinstance(value, Trial)), None) if given else None


def _named(error):
    """The kind and the first line of what was raised."""
    return f"{type(error).__name__}: {error}".splitlines()[0]
