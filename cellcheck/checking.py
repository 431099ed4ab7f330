"""Verify a cell in the current process: for scripts and notebooks."""

import threading
from dataclasses import dataclass
from html import escape
from math import inf
from pathlib import Path

from hypothesis import currently_in_test_context

from cellcheck.cells import lift
from cellcheck.forks import measured
from cellcheck.judging import Broken, comparable, listed, power, trials
from cellcheck.options import OptionError, Options
from cellcheck.properties.certificate import ended, table, without
from cellcheck.properties.intake import expected
from cellcheck.properties.intake.loading import GuestError
from cellcheck.properties.mutants.apart import ENDED, HUNG, cores, results
from cellcheck.properties.mutants.own import Power
from cellcheck.properties.writing.text import folded
from cellcheck.subjects import held, subject

ALONE = threading.RLock()  # while a cell runs, sys.stdout is replaced, and that of all threads
LONG = 10  # times the limit of an example, in which a law must end that runs in a process of its own


@dataclass(frozen=True, repr=False)
class Result:
    """What the laws say of a cell.

    results: one dict for each law, as `judging.Trial` has it; notes: what the pre-flight found out; power: what the laws refuse of
    edits of the cell's own code, if that was asked for.
    """

    results: list
    notes: tuple = ()
    power: Power | None = None

    @property
    def verdicts(self):
        """The verdict of each law by name: held, broken, hazard, expected, not verified."""
        return {r["law"]: r["verdict"] for r in self.results}

    @property
    def held(self):
        """Whether no law is broken, and at least one holds."""
        return table.status(self.results) == "held"

    def __bool__(self):
        """Whether it held: what `assert check(Cell)` asks."""
        return self.held

    def raise_for_violation(self):
        """Raise an AssertionError, with the reports of all broken laws, unless the cell held."""
        if not self.held:
            raise Broken("\n\n".join([*self._reports(), table.sentence(self.results)]))

    def _reports(self):
        return [r["reason"] for r in self.results if r["verdict"] == "broken"]

    def _table(self):
        return "\n".join(folded(self.notes) + table.lines(self.results))

    def __str__(self):
        """The reports of broken laws, the table and the verdict."""
        return "\n\n".join([*self._reports(), *[str(self.power)] * bool(self.power), self._table()])

    def __repr__(self):
        """The verdict in a line, which is what pytest shows of a failed `assert check(Cell)`."""
        names = ", ".join(law for law, verdict in self.verdicts.items() if verdict == "broken")
        broken = f": {names}. Print it for the reports" * bool(names)
        return f"<{table.sentence(self.results)}{broken}>"

    def _repr_html_(self):
        """The same for a notebook, with the reports folded."""
        reports = "".join(
            f"<details><summary>{escape(text.splitlines()[0])}</summary><pre>{escape(text)}</pre></details>"
            for text in self._reports()
        )
        head = f"<p><b>{escape(table.sentence(self.results))}</b></p>"
        edits = f"<pre>{escape(str(self.power))}</pre>{self.power.picture()}" if self.power else ""
        return f"{head}{reports}{edits}<pre>{escape(self._table())}</pre>"


def check(
    Cell,
    profile="default",
    laws=None,
    *,
    reference=None,
    convention=None,
    translate=None,
    limit=120.0,
    strict=False,
    reports=None,
    expected_failures=None,
    mutants=None,
):
    """Verify a cell; returns a Result.

    Cell: a class or a function (features, state) -> cell, also one of a notebook, or a text "PATH.py:NAME" or "MODULE:NAME".
    profile: "quick", "default", "thorough" or "release": 20, 100, 2000 or 1000 examples a law. laws: names of laws or of groups,
    by default all. reference: a cell that it must equal, in the same forms or by a short name such as "torch:LSTM"; translate: a
    function from its weights to those of the reference, where names, gates and shapes do not tell. convention: "torch", "keras",
    "onnx" or another framework whose order of the gates and whose layout it must have. limit: seconds for one example. strict:
    whether a broken promise counts. reports: a folder for the reports of broken laws. expected_failures: {law: reason}, or a file.
    mutants: True, or for about how many seconds, to edit the cell's own code and see what the laws refuse, once none of them is
    broken.

    Raises GuestError if the cell does not honour the contract or there is no such law, OptionError for other wrong arguments.
    """
    if currently_in_test_context():
        raise OptionError("check draws examples itself, and cannot run inside a test with @given; call it in a test of its own")
    how = {"reference": reference, "convention": convention, "mutants": 60 if mutants is True else mutants or None}
    options, laws, home = Options(profile, limit, strict, expected_failures, reports, **how), listed(laws), Path.cwd()
    with ALONE:
        tried = subject(Cell, home)
        if translate:
            tried.Cell = lift(tried.Cell, translate=translate)
        try:
            held(tried, options, home)
        except GuestError as error:
            raise GuestError(str(error).removeprefix("--")) from None
        known = expected.read(expected_failures, [tried.label], home)
        comparable(tried, laws)
        found = list(_judged(trials(tried, options, home, known, laws)))
        in_main = threading.current_thread() is threading.main_thread()
        notes = (*tried.notes, *["not in the main thread: no limit on the time of an example"] * (not in_main))
        return Result(found, notes, options.mutants and power(tried, found, options.mutants, strict))


def _judged(tried):
    """The result of each trial. Those of unusual arguments are in processes of their own, which compiled code may damage."""
    apart = [trial for trial in tried if trial.law.unusual]
    yield from (trial.judge() for trial in tried if trial not in apart)
    limit, workers = LONG * max((trial.options.limit for trial in apart), default=0), 1 if measured() else cores()
    found = {trial.law.name: result for trial, result in results(_judge, apart, workers, limit, inf)}
    for trial in apart:
        law, cell, result = trial.law, trial.subject.label, found[trial.law.name]
        if result == HUNG:
            yield without(law, cell, "incomplete", f"it took longer than {limit:g} seconds")
        elif isinstance(result, str):
            yield ended(
                law,
                cell,
                f"the process ended{'' if result == ENDED else f' after {result}'}",
                verdict="broken" if trial.options.strict else "hazard",
            )
        else:
            yield result


def _judge(trial):
    """The result of a trial; if something has gone wrong beyond the law, what was raised."""
    try:
        return trial.judge()
    except MemoryError as error:  # what damaged memory leads to
        return repr(error)
