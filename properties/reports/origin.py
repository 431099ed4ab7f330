"""How a script of its own finds the cell: lines that import its factory as `Guest`."""

import os
import sys
from pathlib import Path

from cellcheck.properties.intake.loading import HOME


def source(label, home):
    """The file of a guest that was asked for as `label`, or None where there is none; home: where relative paths start."""
    place, _, _ = label.rpartition(":")
    if place.endswith(".py") or "/" in place:
        return (Path(home).resolve() / Path(place).expanduser()).resolve()
    file = getattr(sys.modules.get(place), "__file__", None)
    return Path(file) if file else None


def origin(label, Cell, home, folder):
    """Lines that import the factory of the cell as `Guest`.

    label: as given to --cell, or the name of a shipped cell; home: where relative paths start; folder: of the script.
    """
    place, _, name = label.rpartition(":")
    if not place:
        return _shipped(Cell, folder)
    if place.endswith(".py") or "/" in place:
        file = source(label, home)
        dotted, root = [file.stem] if file.stem != "__init__" else [], file.parent
        while (root / "__init__.py").is_file():
            dotted, root = [root.name, *dotted], root.parent
        roots, module = dict.fromkeys([root, file.parent]), ".".join(dotted)
    else:
        roots, module = {Path(home).resolve(): None}, place
    roots = [*roots, *([HOME] if _needs_us(module) else [])]
    lines = [f"sys.path.insert({k}, {_path(root, folder)})" for k, root in enumerate(roots)]
    if place.endswith(".py") and "." in file.stem:  # no statement imports it
        made = [f"spec = spec_from_file_location({file.stem!r}, {_path(file, folder)})", "module = module_from_spec(spec)"]
        run = ["spec.loader.exec_module(module)", f"Guest = module.{name}"]
        return _found(lines, ["from importlib.util import module_from_spec, spec_from_file_location", "", *made, *run])
    if all(part.isidentifier() for part in module.split(".")):
        return _found(lines, [f"from {module} import {name} as Guest"])
    return _found(lines, ["import importlib", "", f"Guest = importlib.import_module({module!r}).{name}"])


def _shipped(Cell, folder):
    lines = [f"sys.path.insert(0, {_path(HOME, folder)})"]
    Step = getattr(Cell, "Step", None)
    if Step and Step.__module__.startswith("cellcheck.cells."):
        return _found(lines, [f"from cellcheck.cells import {Step.__name__}, Unroll", "", f"Guest = Unroll({Step.__name__})"])
    return _found(lines, [f"from {Cell.__module__.rpartition('.')[0]} import {Cell.__name__} as Guest"])


def _found(paths, imports):
    return ["HERE = Path(__file__).resolve().parent", *paths, *imports]


def _path(root, folder):
    """The root seen from the script, so that both may be moved together."""
    return f"str(HERE / {os.path.relpath(root, Path(folder).resolve()).replace(os.sep, '/')!r})"


def _needs_us(module):
    """Whether the guest's module has imported something of ours, an adapter for example."""
    found = sys.modules.get(module) or sys.modules.get(f"guest_{module.split('.')[0]}")
    values = vars(found).values() if found else ()
    return any((getattr(v, "__module__", None) or getattr(v, "__name__", None) or "").startswith("cellcheck") for v in values)
