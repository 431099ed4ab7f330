"""A broken law told: in the terminal, as Markdown, as a script that reproduces it alone, as a picture."""

from contextlib import suppress

from cellcheck.properties.intake.raised import shown
from cellcheck.properties.reports.case import Case
from cellcheck.properties.reports.diagnosis import Attempts, diagnose
from cellcheck.properties.reports.located import located
from cellcheck.properties.reports.pages import write
from cellcheck.properties.reports.recording import recorded
from cellcheck.properties.reports.short import short
from cellcheck.properties.verdicts.limits import Hang, limited

PATIENCE = 30.0  # seconds to look for the cause of one failure

__all__ = ["Case", "reported"]


def reported(case, directory=None):
    """The short form of the report; the whole of it is written into `directory` (None: nowhere).

    What a broken cell raises while it is asked for more is not told; an error of Cellcheck itself is. A folder that cannot be
    written is one line of the report.
    """
    attempts = Attempts()
    case.error = attempts(lambda: located(case), case.error)
    case.lengths = attempts(lambda: lengths(case), None)
    with suppress(Hang), limited(PATIENCE):
        case.sentences, case.panels = attempts(lambda: diagnose(case, attempts), ([], []))
    case.faults = attempts.faults
    if not directory:
        return short(case)
    try:
        case.path = write(case, directory, attempts)
    except OSError as error:
        case.unwritten = f"not written: {error.strerror} ({shown(directory, case.home)})"
        return short(case, case.unwritten)
    return short(case, shown(case.path, case.home))


def lengths(case):
    """The lengths of the rows that the law passes to the cell, of those that it does not refuse the first; or None."""
    calls = [call for call in recorded(case.law, case.Cell, case.problem)[0].calls if "lengths" in call.options]
    return next((call.options["lengths"] for call in sorted(calls, key=lambda call: call.error is not None)), None)
