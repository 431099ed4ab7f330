"""What a mutant is and how it is made: one source edit of a shipped cell, executed in process."""

import builtins
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType

from cellcheck.cells.modern import MODERN

from cellcheck import cells

HOME = Path(cells.__file__).parent
ORDER = (  # each imports only from those before it
    *("contract", "activations", "rnn", "lstm", "gru", "unroll", "modern.gated", "modern.linear", "modern.chunks"),
    *("modern.peephole_lstm", "modern.projected_lstm", "modern.min_gru", "modern.min_lstm", "modern.rg_lru", "modern.slstm"),
    *("modern.mlstm", "modern.s6", "modern.gla", "modern.gated_delta"),
    *("modern.scan", "modern.mlstm_chunks", "modern.gated_delta_chunks"),
)
HOMES = {Cell.__name__: Cell.__module__.removeprefix("cellcheck.cells.") for Cell in (*cells.CELLS, *MODERN)}


class EditError(Exception):
    """An edit that cannot be made: its old text is not there, or not once."""


@dataclass(frozen=True)
class Mutant:
    """A shipped cell with one fault.

    name: the fault as a class name; cell: the shipped cell by name; old, new: the edit, `old` found exactly once in the file;
    fault: what is wrong; source: where it was seen; law: the one that names the fault; file: that is edited, by default the
    cell's, "modern.gated" for cells/modern/gated.py.
    """

    name: str
    cell: str
    old: str
    new: str
    fault: str
    source: str
    law: str
    file: str = ""

    @property
    def edited(self):
        """The edited file, one of ORDER."""
        return self.file or HOMES[self.cell]

    @property
    def cls(self):
        """The broken class."""
        return executed(self.cell, self.edited, replaced(self.edited, self.old, self.new), self.name)


def path(file):
    """Where a file of ORDER is."""
    return HOME / f"{file.replace('.', '/')}.py"


@lru_cache
def text(file):
    """The source of a file of ORDER."""
    return path(file).read_text(encoding="utf-8")


def replaced(file, old, new):
    """The source of the file with `old`, which is found exactly once, replaced by `new`. Raises EditError."""
    source, found = text(file), text(file).count(old)
    if found != 1:
        raise EditError(f"{path(file).relative_to(HOME.parent)} has {old!r} {found} times; wanted once")
    return source.replace(old, new)


def executed(cell, file, source, name):
    """The shipped or modern cell as it would be, had this file this source; the class is called `name`.

    cell: "LSTM", "UnrolledLSTM" or "MLSTMChunks". Whatever imports from the file is executed anew, so that an edited activation
    or contract reaches the cell.
    """
    modules: dict[str, ModuleType] = {}
    for other in ORDER[ORDER.index(file) :]:
        if other == file or any(f"from cellcheck.cells.{module} import" in text(other) for module in modules):
            modules[other] = _module(other, source if other == file else text(other), modules)
    step = cell.removeprefix("Unrolled")
    Made = getattr(modules.get(HOMES[step], cells), step)
    if cell != step:
        Made = modules.get("unroll", cells).Unroll(Made)
    Made.__name__ = name
    return Made


def _module(name, source, modules):
    """A module of the package cells made of `source`, whose imports see `modules` first."""

    def importer(target, globals=None, locals=None, fromlist=(), level=0):
        file = target.removeprefix("cellcheck.cells.")
        return modules[file] if file in modules else builtins.__import__(target, globals, locals, fromlist, level)

    module = ModuleType(f"cellcheck.cells.{name}")
    module.__package__ = "cellcheck.cells"
    module.__dict__["__builtins__"] = {**vars(builtins), "__import__": importer}
    exec(_compiled(source, name), module.__dict__)
    return module


@lru_cache(maxsize=512)
def _compiled(source, name):
    return compile(source, f"cells/{name.replace('.', '/')}.py", "exec")
