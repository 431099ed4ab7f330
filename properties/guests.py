"""Cells to verify, from the command line: MODULE:NAME or PATH.py:NAME."""

import importlib
import importlib.util
import sys
import types
from contextlib import contextmanager
from pathlib import Path

import cells.adapters  # noqa: F401  (so that a guest finds them, whatever else is hidden from it)

HOME = Path(__file__).resolve().parents[1]
OURS = ("cells", "strategies", "properties", "conftest")


class GuestError(Exception):
    """One line that says what was given and what is wanted."""


def load(text, directory):
    """The class or callable that "MODULE:NAME" or "PATH.py:NAME" names."""
    place, colon, name = text.rpartition(":")
    if not (colon and place and name.isidentifier()):
        raise GuestError(f"--cell {text}: wanted MODULE:NAME or PATH.py:NAME")
    directory = Path(directory).resolve()
    file = _file(text, place, directory)
    try:
        module = _from_file(file, directory) if file else _from_name(place, directory)
    except SyntaxError as error:
        raise GuestError(f"--cell {text}: {error.filename}, line {error.lineno}: {error.msg}") from None
    except (Exception, SystemExit) as error:
        ours = (getattr(error, "name", None) or "").split(".")[0] if isinstance(error, ImportError) else ""
        if ours in OURS:
            why = f"it imports {error.name}, and {ours} is also a name of Cellcheck's own"
            raise GuestError(f"--cell {text}: {why}; inside a package write `from . import ...`, else rename it") from None
        said = (str(error).splitlines() or [""])[0]
        raise GuestError(f"--cell {text}: importing {place} raised {type(error).__name__}: {said}") from None
    if not hasattr(module, name):
        there = [n for n, v in vars(module).items() if callable(v) and not n.startswith("_") and _home(v) == module.__name__]
        raise GuestError(f"--cell {text}: {place} has no {name}; it has {', '.join(there) or 'no classes or functions'}")
    if not callable(getattr(module, name)):
        kind = type(getattr(module, name)).__name__
        raise GuestError(f"--cell {text}: {name} is a {kind}; wanted a class or a function (features, state) -> cell")
    return getattr(module, name)


def _home(value):
    return getattr(value, "__module__", None)


def _file(text, place, directory):
    """The file that is meant, or None for a module to be found by name."""
    if place.endswith(".py") or "/" in place or "\\" in place:
        file = (directory / Path(place).expanduser()).resolve()
        if file.is_dir():
            raise GuestError(f"--cell {text}: {file} is a directory; wanted a file in it")
        if file.suffix != ".py" and file.with_suffix(".py").is_file():
            raise GuestError(f"--cell {text}: there is no file {file}, but {file.name}.py beside it")
        if not file.is_file():
            raise GuestError(f"--cell {text}: there is no file {file}")
        return file
    if place.split(".")[0] in OURS and directory != HOME:  # a package of theirs with a name of ours
        file = directory.joinpath(*place.split("."))
        file = file / "__init__.py" if file.is_dir() else file.with_suffix(".py")
        return file if file.is_file() else None
    return None


def _from_name(place, directory):
    with _on_path([directory]):
        return importlib.import_module(place)


def _from_file(file, directory):
    """The module of a file, as part of its package if it is in one; a package with a name of ours goes by another name."""
    package = [file.stem] if file.stem != "__init__" else []
    root = file.parent
    while (root / "__init__.py").is_file():
        package, root = [root.name, *package], root.parent
    top = package[0]
    with _on_path([root, file.parent, directory]):
        if len(package) == 1 and file.stem != "__init__":
            return _executed(f"guest_{top}" if top in sys.modules or top in OURS else top, file, None)
        if top not in OURS or root == HOME:
            return importlib.import_module(".".join(package))
        folder = root / top
        if folder not in _ALIASES:
            _ALIASES[folder] = f"guest_{top}" if not _ALIASES else f"guest{len(_ALIASES)}_{top}"
            _executed(_ALIASES[folder], folder / "__init__.py", [str(folder)])
        alias = _ALIASES[folder]
        return importlib.import_module(".".join([alias, *package[1:]]))


def _executed(name, file, folders):
    spec = importlib.util.spec_from_file_location(name, file, submodule_search_locations=folders)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


@contextmanager
def _on_path(folders):
    """Import a guest from these folders; a name of ours that they hold as well is refused meanwhile, but for cells.adapters.

    The folders stay at the end of the path, for what a guest imports while it runs.
    """
    folders = [str(folder) for folder in dict.fromkeys(folders) if folder != HOME]
    _forget_namesakes(folders)
    theirs = {name for name in OURS if _holds(folders, name)}
    path, hidden = sys.path[:], {name: module for name, module in sys.modules.items() if name.split(".")[0] in theirs}
    for name in hidden:
        del sys.modules[name]
    sys.modules.update({name: StandIn(name) for name in theirs})
    sys.modules.update({name: module for name, module in hidden.items() if name.startswith("cells.adapters")})
    sys.path[:0] = folders
    try:
        yield
    finally:
        sys.path[:] = [*path, *(folder for folder in folders if folder not in path)]
        for name in [n for n in sys.modules if n.split(".")[0] in theirs]:
            del sys.modules[name]
        sys.modules.update(hidden)
        _FOLDERS.update(folders)


class StandIn(types.ModuleType):
    """In place of a package of ours, while a guest is imported that has one of the same name: whatever it wants is refused."""

    __path__: list[str] = []  # noqa: RUF012

    def __getattr__(self, name):
        if name.startswith("__") and name != "__all__":  # others are asked for by whoever looks through all modules
            raise AttributeError(name)
        raise ImportError(f"cannot import {name}", name=self.__name__)


_FOLDERS: set[str] = set()  # of the guests so far
_ALIASES: dict[Path, str] = {}  # of packages of theirs that have a name of ours


def _holds(folders, name):
    return any(Path(folder, name).is_dir() or Path(folder, f"{name}.py").is_file() for folder in folders)


def _forget_namesakes(folders):
    """Let go of modules of earlier guests of which these folders have their own."""
    for name, module in list(sys.modules.items()):
        file, top = getattr(module, "__file__", None) or "", name.split(".")[0]
        holder = next((folder for folder in folders if _holds([folder], top)), None)
        if holder and file.startswith(tuple(f"{f}/" for f in _FOLDERS)) and not file.startswith(str(Path(holder, top))):
            del sys.modules[name]
