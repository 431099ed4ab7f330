"""What a mutant is and how it is made: one source edit of a shipped cell, executed in process."""

import builtins
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType

from cellcheck import cells

HOME = Path(cells.__file__).parent
ORDER = ("contract", "activations", "rnn", "lstm", "gru", "unroll")  # each imports only from those before it


class EditError(Exception):
    """An edit that cannot be made: its old text is not there, or not once."""


@dataclass(frozen=True)
class Mutant:
    """A shipped cell with one fault.

    name: the fault as a class name; cell: the shipped cell by name; old, new: the edit, `old` found exactly once in the file;
    fault: what is wrong; source: where it was seen; law: the one that names the fault; file: in cells/, by default the cell's.
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
        """The name of the edited file in cells/, without .py."""
        return self.file or ("unroll" if self.cell.startswith("Unrolled") else self.cell.lower())

    @property
    def cls(self):
        """The broken class."""
        return executed(self.cell, self.edited, replaced(self.edited, self.old, self.new), self.name)


@lru_cache
def text(file):
    """The source of cells/FILE.py."""
    return (HOME / f"{file}.py").read_text(encoding="utf-8")


def replaced(file, old, new):
    """The source of cells/FILE.py with `old`, which is found exactly once, replaced by `new`. Raises EditError."""
    source, found = text(file), text(file).count(old)
    if found != 1:
        raise EditError(f"cells/{file}.py has {old!r} {found} times; wanted once")
    return source.replace(old, new)


def executed(cell, file, source, name):
    """The shipped cell as it would be, had cells/FILE.py this source; the class is called `name`.

    cell: "LSTM" or "UnrolledLSTM". Modules that come before the file are the real ones, those after it are executed anew, so
    that an edited activation or contract reaches the cell.
    """
    step, modules = cell.removeprefix("Unrolled"), dict[str, ModuleType]()
    for other in ORDER[ORDER.index(file) :]:
        if other in (file, step.lower(), "unroll" if cell != step else file):
            modules[other] = _module(other, source if other == file else text(other), modules)
    Step = getattr(modules.get(step.lower(), cells), step)
    if cell == step:
        Step.__name__ = name
        return Step
    Unrolled = modules["unroll"].Unroll(Step) if "unroll" in modules else cells.Unroll(Step)
    Unrolled.__name__ = name
    return Unrolled


def _module(name, source, modules):
    """A module of the package cells made of `source`, whose imports see `modules` first."""

    def importer(target, globals=None, locals=None, fromlist=(), level=0):
        file = target.removeprefix("cellcheck.cells.")
        if file in modules:
            return modules[file]
        return builtins.__import__(target, globals, locals, fromlist, level)

    module = ModuleType(f"cellcheck.cells.{name}")
    module.__package__ = "cellcheck.cells"
    module.__dict__["__builtins__"] = {**vars(builtins), "__import__": importer}
    exec(_compiled(source, name), module.__dict__)
    return module


@lru_cache(maxsize=512)
def _compiled(source, name):
    return compile(source, f"cells/{name.replace('.', '/')}.py", "exec")
