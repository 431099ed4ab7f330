"""Expected failures of a guest: a plain file of `law: reason` or `law @ PATH.py:NAME: reason`, strict."""

import re
from pathlib import Path
from typing import NamedTuple

import pytest
from cellcheck.properties.intake.catalogue import laws
from cellcheck.properties.intake.loading import GuestError

LINE = re.compile(r"(?P<law>\w+)(\s*@\s*(?P<cell>\S+?))?\s*:\s+(?P<reason>\S.*)")


class Expected(NamedTuple):
    """A law that fails for a known reason, on one cell or, where that is None, on all."""

    law: str
    cell: str | None
    reason: str


def read(file, cells):
    """The Expected of each line; empty lines and those that begin with # are comments. Raises GuestError for any other.

    file: the value of --expected-failures, or None; cells: the names of the cells under test.
    """
    if file is None:
        return []
    path = Path(file)
    if not path.is_file():
        raise GuestError(f"--expected-failures {file}: there is no such file")
    known, found = laws(), []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match, where = LINE.fullmatch(line.strip()), f"--expected-failures {file}, line {number}"
        if not match:
            raise GuestError(f"{where}: wanted `law: reason` or `law @ CELL: reason`, got {line.strip()!r}")
        law = match["law"].removeprefix("test_")
        if law not in known:
            raise GuestError(f"{where}: there is no law {law}; there are {', '.join(known)}")
        if match["cell"] not in (None, *cells):
            raise GuestError(f"{where}: {match['cell']} is not verified in this run; there are {', '.join(cells)}")
        found.append(Expected(law, match["cell"], match["reason"]))
    return found


def mark(item, expected):
    """Let the item fail if it is expected to, and only then."""
    for law, cell, reason in expected:
        if item.originalname == f"test_{law}" and cell in (None, item.callspec.id):
            item.add_marker(pytest.mark.xfail(reason=reason, strict=True))
