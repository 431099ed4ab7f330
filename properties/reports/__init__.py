"""A broken law told: in the terminal, as Markdown, as a script that reproduces it alone, as a picture."""

import contextlib
from pathlib import Path

from cellcheck.properties.reports.case import Case
from cellcheck.properties.reports.diagnosis import diagnose
from cellcheck.properties.reports.files import whole
from cellcheck.properties.reports.located import located
from cellcheck.properties.reports.markdown import markdown
from cellcheck.properties.reports.origin import origin
from cellcheck.properties.reports.picture import picture
from cellcheck.properties.reports.script import script
from cellcheck.properties.reports.short import short

__all__ = ["Case", "reported", "write"]


def reported(case, directory=None, home=Path()):
    """The short form of the report, all of it once written into `directory` (None: nowhere).

    home: where relative paths of guests start.
    """
    with contextlib.suppress(Exception):  # a broken cell may break anything that is asked of it: the case itself is still told
        case.error = located(case)
        case.sentences, case.panels = diagnose(case)
    case.path = write(case, Path(directory), home) if directory else None
    return short(case, case.path)


def write(case, directory, home):
    """Write report, script and picture, each at once or not at all; returns the path of the report."""
    folder = Path(directory) / case.folder
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    text = script(case, origin(case.label, case.Cell, home, folder))
    if text:
        files[f"{case.name}.py"] = text
    if case.panels:
        files[f"{case.name}.svg"] = picture(case.panels, f"{case.short_label}: {case.name}")
    files[f"{case.name}.md"] = markdown(
        case, *(name if name in files else None for name in (f"{case.name}.py", f"{case.name}.svg"))
    )
    for name, content in files.items():
        whole(folder / name, content)
    return folder / f"{case.name}.md"
