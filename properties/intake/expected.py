"""Expected failures of a guest: a plain file of `law: reason` or `law @ PATH.py:NAME: reason`, strict."""

import os
import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

from cellcheck.properties.intake.catalogue import laws
from cellcheck.properties.intake.loading import GuestError

LINE = re.compile(r"(?P<law>[\w ]*\w)(\s*@\s*(?P<cell>\S.*?))?\s*:\s+(?P<reason>\S.*)")


class Expected(NamedTuple):
    """A law that fails for a known reason, on one cell or, where that is None, on all."""

    law: str
    cell: str | None
    reason: str


def read(given, cells, directory):
    """The Expected of a file or of a dict {law: reason}; none of None. Raises GuestError, one line.

    Each line of a file is `law: reason` or `law @ CELL: reason`; empty lines and those that begin with # are skipped.
    cells: the labels of the cells under test; directory: where a relative path starts.
    """
    if isinstance(given, Mapping):
        return [Expected(known(law, "expected failures"), None, str(reason)) for law, reason in given.items()]
    if given and not isinstance(given, (str, os.PathLike)):
        raise GuestError(f"expected failures {given!r:.60}: give a dict {{law: reason}}, or the name of a file")
    return [_parsed(line, cells, f"{given}, line {n}") for n, line in _lines(given, directory)] if given else []


def reason(expected, law, cell):
    """Why this law is known to fail on this cell, or None."""
    return next((e.reason for e in expected if e.law == law and e.cell in (None, cell)), None)


def known(law, where, groups=()):
    """The name of a law, without a leading test_, or of one of these groups.

    where: begins the GuestError for a law that does not exist.
    """
    name = "_".join(law.removeprefix("test_").split())
    if name not in laws() and name not in groups:
        close = get_close_matches(name, [*groups, *laws()], 1)
        raise GuestError(
            f"{where}: there is no law {name}; {f'the closest is {close[0]}' if close else 'docs/laws.md lists all laws'}"
        )
    return name


def _lines(file, directory):
    try:
        text = Path(directory, file).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise GuestError(f"expected failures {file}: there is no such file") from None
    except UnicodeDecodeError as error:
        raise GuestError(f"expected failures {file}: byte {error.start} is not UTF-8; save the file as UTF-8") from None
    except OSError as error:
        raise GuestError(f"expected failures {file}: {error.strerror}") from None
    lines = enumerate(text.splitlines(), 1)
    return [(n, line.strip()) for n, line in lines if line.strip() and not line.lstrip().startswith("#")]


def _parsed(line, cells, where):
    match = LINE.fullmatch(line)
    if not match:
        raise GuestError(f"{where}: got {line[:60]!r}; write `law: reason` or `law @ CELL: reason`")
    law = known(match["law"], where)
    if match["cell"] not in (None, *cells):
        raise GuestError(f"{where}: {match['cell']} is not verified in this run; it verifies {', '.join(cells)}")
    return Expected(law, match["cell"], match["reason"])
