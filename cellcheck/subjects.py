"""The cells under test: from what a user names to a factory that has passed the pre-flight."""

import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cellcheck.cells import CELLS, lift
from cellcheck.properties.intake import conventions, references
from cellcheck.properties.intake.loading import GuestError, load
from cellcheck.properties.intake.preflight import SECONDS, allowed, cleared
from cellcheck.properties.verdicts.limits import EXAMPLE


@dataclass
class Subject:
    """A cell under test.

    label: what it is called in this run; Cell: its factory (features, state) -> cell; notes: lines of the pre-flight; only: the sizes
    at which alone it does not raise; blind: outputs that its vjp takes no upstream for; shipped: whether it comes with Cellcheck, and so
    must keep all promises; hung: whether a law has exceeded its limit on it; deadly: whether it has ended two workers of this run;
    damaged: whether it raises at every problem since a law in this process; broken: how many laws it has broken in this process, each
    of which leaves less patience for the next.
    """

    label: str
    Cell: object
    notes: tuple = ()
    only: str = ""
    blind: tuple = ()
    shipped: bool = False
    hung: bool = False
    deadly: bool = False
    damaged: bool = False
    broken: int = 0


def shipped():
    """The cells that come with Cellcheck."""
    return [Subject(Cell.__name__, Cell, shipped=True) for Cell in CELLS]


def named(texts, directory, limit=None, begin=lambda what, seconds: None):
    """The cells that `texts` name, each "PATH.py:NAME" or "MODULE:NAME".

    directory: where relative paths and modules start; limit: in seconds, if one was given; begin: called before each step, with
    what it is and its limit. Raises GuestError, also for a cell that is named twice.
    """
    found = {}
    for text in texts:
        begin(f"importing {text}", limit or EXAMPLE)
        with allowed(text, "importing it", limit or EXAMPLE):
            Guest = load(text, directory)
        begin(
            f"checking {text} before the laws, with 1 to 4 features and units (if it takes only some, declare sizes)",
            limit or SECONDS,
        )
        place = _place(text, directory)
        if place in found:
            again = f" as {found[place].label}" if text != found[place].label else ""
            raise GuestError(f"--cell {text}: given twice{again}; name each cell once")
        found[place] = _guest(text, Guest, limit or SECONDS)
    return list(found.values())


def held(tried, options, directory, limit=SECONDS):
    """Hold a Subject to the convention and the reference of the Options, if there are any. Raises GuestError."""
    if options.convention:
        convened(tried, options.convention, limit)
    if options.reference is not None:
        compared(tried, options.reference, directory, limit)


def compared(tried, reference, directory, limit=SECONDS):
    """Hold a Subject equal to a reference, a cell in any form that `subject` takes or a short name as torch:LSTM. Raises GuestError."""
    short = references.named(reference) if isinstance(reference, str) else None
    try:
        other = _guest(reference, short, limit) if short else subject(reference, directory)
    except GuestError as error:
        raise GuestError(f"--reference {str(error).removeprefix('--cell ')}") from None
    with allowed(tried.label, f"comparing it with {other.label}", limit):
        held = references.referred(lift(tried.Cell), other.label, lift(other.Cell))
    held.__name__ = tried.Cell.__name__
    same = lift(other.Cell).Guest is lift(held).Guest or (":" in tried.label and other.label == tried.label)
    same &= not held.spec().translate
    told = "that is the cell itself, so the laws that compare the two say nothing" if same else held.spec().reference.matched
    tried.Cell, tried.notes = held, (*tried.notes, f"reference {other.label}: {told}")


def convened(tried, name, limit=SECONDS):
    """Hold a Subject to the order of gates and the layout of a framework. Raises GuestError."""
    if name not in conventions.NAMES:
        raise GuestError(f"--convention {name}: there is no such convention; choose from {', '.join(conventions.NAMES)}")
    sizes = conventions.distinct(lift(tried.Cell).sizes)
    if sizes is None:
        told = "its shapes do not tell features from units; let it take two different numbers of them"
        raise GuestError(f"--convention {name}: at the sizes of {tried.label} {told}")
    with allowed(tried.label, f"holding it to the convention {name}", limit):
        found = conventions.held_to(lift(tried.Cell), name)
    if found is None:
        spec = lift(tried.Cell).spec(*sizes)
        shapes, at = ", ".join(f"{w.name} {w.shape}" for w in spec.weights), f"at {spec.features} features and {spec.state} units"
        raise GuestError(
            f"--convention {name}: its weights are {shapes} {at}; {conventions.NAMES[name]} has no cell of these shapes"
        )
    held = lift(tried.Cell, **found.declared())
    held.__name__ = tried.Cell.__name__
    tried.Cell, tried.notes = held, (*tried.notes, f"held to the convention of {conventions.NAMES[name]}: {found}")


def subject(Cell, directory):
    """The Subject of a class, of a factory, or of a text as in `named`. Raises GuestError, one line."""
    try:
        if isinstance(Cell, str):
            return named([Cell], directory)[0]
        if Cell in CELLS:
            return Subject(Cell.__name__, Cell, shipped=True)
        return _guest(label(Cell, directory), Cell)
    except GuestError as error:
        raise GuestError(str(error).removeprefix("--cell ")) from None


def label(Cell, directory):
    """What --cell would be given for this cell: "MODULE:NAME" in a package, else "PATH.py:NAME"; its name alone if it has no file."""
    name = getattr(Cell, "__qualname__", "")
    module = sys.modules.get(getattr(Cell, "__module__", ""))
    if not name.isidentifier() or getattr(module, name, None) is not Cell:
        module, name = _bound(Cell)
    file = getattr(module, "__file__", None)
    if not file:
        return name or getattr(Cell, "__name__", type(Cell).__name__)
    path = Path(file).resolve()
    if "." in module.__name__ and _found(path, module.__name__, Path(directory).resolve()):
        return f"{module.__name__}:{name}"
    inside = path.is_relative_to(Path(directory).resolve())
    return f"{os.path.relpath(path, directory) if inside else path}:{name}"


def _bound(Cell):
    """(module, name) of what an adapter made: of those where it has a name, the module that was loaded first; else (None, "")."""
    for called, module in sorted(sys.modules.items(), key=lambda pair: pair[0] in ("__main__", "__mp_main__")):
        names = {}
        with suppress(Exception):  # of a module that is loaded when it is asked for anything
            names = vars(module) if called.partition(".")[0] != "cellcheck" else {}
        for name, value in list(names.items()):
            if value is Cell and name.isidentifier():
                return module, name
    return None, ""


def _found(path, module, directory):
    """Whether the command finds the module by its name there: not if its package is in a folder such as src, and not installed."""
    root = [*path.parents, path.parents[-1]][min(module.count(".") + (path.name == "__init__.py"), len(path.parents))]
    return root == directory or not root.is_relative_to(directory) or "site-packages" in root.parts


def _guest(text, Guest, limit=SECONDS):
    if not callable(Guest):
        raise GuestError(
            f"{Guest!r:.60} is no class or function, but of type {type(Guest).__name__}; give a class or a function (features, state) -> cell"
        )
    if hasattr(Guest, "named_parameters") and not isinstance(Guest, type):
        kind = type(Guest).__name__
        raise GuestError(
            f"--cell {text}: this {kind} is one module, of one size; wrap its class, as torch_module({kind}) of cellcheck.cells.adapters"
        )
    found = cleared(text, Guest, limit)
    found.Cell.__name__ = text.rpartition(":")[2]
    return Subject(text, found.Cell, tuple(found.notes), only=found.only, blind=found.Cell.spec().blind)


def _place(text, directory):
    """(file, name) of a cell that has been loaded, however it was spelled."""
    place, _, name = text.rpartition(":")
    file = getattr(sys.modules.get(place), "__file__", None) or Path(directory, Path(place).expanduser())
    return Path(file).resolve(), name
