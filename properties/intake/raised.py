"""Where an exception comes from: the guest, or Cellcheck itself."""

import os
import sysconfig
import traceback
from pathlib import Path

from cellcheck.properties.verdicts.blocks import Violation
from cellcheck.properties.writing.text import line
from hypothesis.errors import HypothesisException

LIBRARIES = {"numpy", "hypothesis", "pytest", "_pytest", "pluggy", "xdist"}
STANDARD = (sysconfig.get_path("stdlib"), "<frozen ", "<__array_function__")
GUESTS = ("cellcheck.cells", "cellcheck.properties.mutants")  # modules of ours that are what is verified
MOST = 400  # characters of a message of the guest: about five lines
WRAPPERS = (  # modules of ours that say what is wrong with a guest
    "cellcheck.cells.lift",
    "cellcheck.cells.spec",
    "cellcheck.cells.copying",
    "cellcheck.cells.adapters",
)


def said(error):
    """The message of an exception; one that cannot be had is empty."""
    try:
        return str(error)
    except Exception:
        return ""


def named(error, most=90):
    """ValueError: at most so many characters of its message, in one line."""
    message = line(said(error), most)
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def internal(error):
    """One line about an error of Cellcheck itself, or None: the innermost frame that is no library's is the guest's.

    A Violation is no error, and what Hypothesis raises is about the examples.
    """
    frames = list(_frames(error))
    if not frames or frames[-1][0] != "ours" or isinstance(error, (Violation, HypothesisException)):
        return None
    return f"internal error of Cellcheck: {named(error)} ({_place(frames[-1][1], Path(__file__).parents[2])})"


def place(error, home=Path()):
    """guest.py:12, where the guest raised; "" if it has no frame. home: what the path is relative to."""
    last = _last(error)
    return _place(last, home) if last else ""


def complaint(error, home=Path()):
    """ValueError: its first line, at guest.py:12: what a guest raised, and where."""
    message, at = line((said(error).splitlines() or [""])[0], MOST), place(error, home)
    return type(error).__name__ + f": {message}" * bool(message) + f", at {at}" * bool(at)


def source(error):
    """(guest.py:12, the text of that line) where the guest raised, or None if it has no frame."""
    last = _last(error)
    return (f"{Path(last.filename).name}:{last.lineno}", last.line.strip()) if last and last.line else None


def last_frames(error, home=Path(), most=4):
    """A line for each of the guest's innermost frames, the outermost first: place, function, source."""
    own = [frame for side, frame in _frames(error) if side == "guest"]
    return [line(f"{_place(frame, home)}, in {frame.name}: {frame.line or ''}") for frame in own[-most:]]


def _last(error):
    """The guest's innermost frame, or None."""
    own = [frame for side, frame in _frames(error) if side == "guest"]
    return own[-1] if own else None


def _frames(error):
    """(whose it is, frame) of each frame that is no library's, outermost first; of what caused the error."""
    while error.__cause__:
        error = error.__cause__
    modules = [frame.f_globals.get("__name__") or "" for frame, _ in traceback.walk_tb(error.__traceback__)]
    for module, frame in zip(modules, traceback.extract_tb(error.__traceback__)):
        standard = frame.filename.startswith(STANDARD) and "site-packages" not in frame.filename
        if not standard and module.partition(".")[0] not in LIBRARIES:
            ours = module.partition(".")[0] == "cellcheck" and not module.startswith(GUESTS)
            yield "wrapper" if module.startswith(WRAPPERS) else "ours" if ours else "guest", frame


def shown(path, home):
    """A path as it is told: relative to `home` if it lies there."""
    home = Path(home).resolve()
    return os.path.relpath(path, home) if os.path.isabs(path) and Path(path).is_relative_to(home) else str(path)


def _place(frame, home):
    return f"{shown(frame.filename, home)}:{frame.lineno}"
