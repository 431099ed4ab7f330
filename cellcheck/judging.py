"""From one law on one cell to its verdict: what bars the law, what its outcome means, what the table is told."""

from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import Phase, settings

from cellcheck.journal import journal
from cellcheck.properties.intake.capabilities import missing
from cellcheck.properties.intake.surroundings import restored
from cellcheck.properties.reports import Case, reported
from cellcheck.properties.reports.overview import finding
from cellcheck.properties.verdicts.blocks import Violation
from cellcheck.properties.verdicts.limits import EXAMPLE, Hang, limited
from cellcheck.properties.verdicts.run import array_names
from cellcheck.running import Run, observed

FLOAT32 = 2.0**29  # how much larger a rounding is, and so the one bound, than in float64
RUN, HUNG = pytest.StashKey[Run](), pytest.StashKey[set]()


def barred(item):
    """Why this law is not asked of this cell, or None: it lacks what the law needs, or it has hung before."""
    needs = {need for mark in item.iter_markers("needs") for need in mark.args}
    if item.callspec.id in getattr(item.config, "workerinput", {}).get("deadly", ()):
        return "the cell ended its process in an earlier law"
    if item.callspec.id in item.config.stash.setdefault(HUNG, set()):
        return "the cell hung in an earlier law"
    return missing(item.callspec.params["Cell"], needs)


@contextmanager
def watched(item):
    """Run the law of this item under observation; one that is expected to fail is not shrunk."""
    law, kept = item.obj, item.obj._hypothesis_internal_use_settings
    if any(item.iter_markers("xfail")):
        law._hypothesis_internal_use_settings = settings(kept, phases=[p for p in kept.phases if p != Phase.shrink])
    try:
        shrink, limit = not any(item.iter_markers("xfail")), item.config.option.limit or EXAMPLE
        with observed(law, shrink, limit, journal(item.config).step) as item.stash[RUN]:
            yield
    finally:
        law._hypothesis_internal_use_settings = kept


def judge(item, call, report):
    """Put the verdict on the report: a broken law in few lines, a guest's broken promise as a hazard, numbers for the table."""
    run, law, cell = item.stash.get(RUN, Run()), item.originalname.removeprefix("test_"), item.callspec.id
    verdict, reason = _verdict(item, call, report, run, law, cell)
    if report.failed and verdict != "broken":
        report.outcome, report.wasxfail = "skipped", reason
    elif verdict == "broken":
        report.outcome = "failed"
        if item.config.get_verbosity() < 2 or not report.longrepr:
            report.longrepr = reason
    result = run.result(cell, item.path.stem.removeprefix("test_"), law, verdict, reason)
    report.user_properties.append(("cellcheck", {**result, "finding": run.case and finding(run.case)}))


def _verdict(item, call, report, run, law, cell):
    config, error = item.config, call.excinfo and call.excinfo.value
    if hasattr(report, "wasxfail"):
        return "expected", f"expected failure: {report.wasxfail}"
    if report.skipped:
        return "not verified", str(error).removeprefix("not verified: ")
    if report.passed:
        if run.tally.examples and not run.tally.verdicts:
            return "not verified", "it offers nothing that the law could compare"
        vacuous = None if config.option.cell else run.vacuous()
        return ("broken", vacuous) if vacuous else ("held", "")
    if error is None:
        return (
            "broken",
            f"{cell}: the law {law} holds, but {str(report.longrepr).replace('[XPASS(strict)] ', 'was expected to fail: ')}",
        )
    if isinstance(error, Hang):
        config.stash.setdefault(HUNG, set()).add(cell)  # nor is it asked again for a report
        return "broken", f"{cell} breaks the law {law}: it {error} at {(run.failure or {}).get('problem')}"
    if reason := _chosen(item.callspec.params["Cell"], error):
        return "not verified", reason
    promise = item.get_closest_marker("promise") and config.option.cell and not config.option.strict
    return "hazard" if promise else "broken", told(item, run, law, cell, error)


def told(item, run, law, cell, error):
    """The short report of a broken law; the rest of it is written where --reports says."""
    equation, failure = " ".join(item.obj.__doc__.split()).rstrip("."), run.failure or {}
    problem, error = run.smallest or (failure.get("problem"), error)
    group, directory = item.path.stem.removeprefix("test_"), item.config.option.reports
    home, root = item.config.invocation_params.dir, item.config.rootpath
    elsewhere = "" if home == root else f"{root}/"
    run.case = Case(cell, law, group, equation, run.law, item.callspec.params["Cell"], problem, error, elsewhere)
    limit = item.config.option.limit or EXAMPLE
    journal(item.config).begin(f"writing the report of the law {law} on {cell}", limit)
    try:
        with restored(), limited(limit):
            return reported(run.case, directory and home / directory, home)
    except (Exception, SystemExit, Hang) as other:  # whatever a wild guest does while it is asked for more
        return f"{cell} breaks the law {law}: {_named(error)} at {problem} (no report: {_named(other)})"


def _named(error):
    """The kind and the first line of what was raised."""
    return f"{type(error).__name__}: {error}".splitlines()[0]


def _chosen(Cell, error):
    """What was declared as a choice, if that is all that is wrong: float32 inside, or clipping that cannot be undone."""
    if not isinstance(error, Violation):
        return None
    cell = Cell(2, 3)
    choices, names = getattr(cell, "choices", {}), set(array_names(cell))
    if "float32" in choices and all(b.error <= b.bound * FLOAT32 for b in error.blocks):
        return "declared: computes in float32 inside"
    if "clip" not in choices or getattr(cell, "takes_upstream", True):
        return None
    only = all(set(b.name.split()) & names and _clipped(b, choices["clip"]) for b in error.blocks)
    return f"declared: clips its gradients at {choices['clip']}" if only else None


def _clipped(block, limit):
    """Whether every entry is the right one clipped at +-limit."""
    both = isinstance(block.got, np.ndarray) and isinstance(block.expected, np.ndarray)
    return both and np.allclose(block.got, np.clip(block.expected, -limit, limit), 1e-6, 0)
