"""The pages of a run: one folder for each cell, one page for each law that it breaks, and none for a law that holds."""

import os
import re
from pathlib import Path
from zlib import crc32

from cellcheck.properties.reports.markdown import markdown
from cellcheck.properties.reports.origin import origin
from cellcheck.properties.reports.picture import picture
from cellcheck.properties.reports.script import script
from cellcheck.properties.writing.files import whole


def folder(label, home):
    """The name of a cell's folder: its path and class with dots, and a number where those could be another's.

    label: as given to --cell, or the name of a shipped cell; home: where relative paths start.
    """
    place, colon, name = label.rpartition(":")
    if not colon:
        return label
    if place.endswith(".py") or "/" in place:
        file = Path(home).resolve() / Path(place).expanduser()
        place = os.path.relpath(file.resolve(), Path(home).resolve()).removesuffix(".py")
    else:
        place = place.replace(".", "/")
    short = re.sub(r"[^\w/-]+", "_", place).strip("_/")
    if short == place:
        return f"{short.replace('/', '.')}.{name}"
    return f"{'.'.join(short.split('/')[-2:])}.{name}-{crc32(os.fsencode(place)):08x}"


def write(case, directory, tried):
    """Write page, script and picture of a case, all or none; returns the path of the page. Raises OSError.

    tried: the Attempts that keep the errors of Cellcheck.
    """
    home = Path(directory) / folder(case.label, case.home)
    page, code, image = (home / f"{case.name}{suffix}" for suffix in (".md", ".py", ".svg"))
    files = {}
    if text := tried(lambda: script(case, origin(case.label, case.Cell, case.home, home)), None):
        files[code] = text
    if case.panels:
        files[image] = picture(case.panels, f"{case.short_label}: {case.name}")
    files[page] = markdown(case, *(path.name if path in files else None for path in (code, image)))
    whole(files)
    for path in {code, image} - set(files):  # of an earlier run
        path.unlink(missing_ok=True)
    return page


def forget(results, directory, home):
    """Remove the pages of laws that hold again. results: of all laws of a run; raises OSError."""
    places = {cell: Path(directory) / folder(cell, home) for cell in {r["cell"] for r in results}}
    for r in results:
        for suffix in (".md", ".py", ".svg") if r["verdict"] == "held" and places[r["cell"]].is_dir() else ():
            (places[r["cell"]] / f"{r['law']}{suffix}").unlink(missing_ok=True)
