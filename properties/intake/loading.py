"""Loads the cell that MODULE:NAME or PATH.py:NAME names."""

import importlib
import importlib.util
import sys
from contextlib import contextmanager
from difflib import SequenceMatcher
from pathlib import Path

from cellcheck.cells.lift import by_signal
from cellcheck.properties.intake.raised import complaint

HOME = Path(__file__).resolve().parents[2]  # where `cellcheck` is found: a checkout, or the package itself
SHOWN = 8  # names of a module that are listed; of more, those that are closest to what was asked for


class GuestError(Exception):
    """One line: what was given, what is needed, what to do."""


def load(text, directory):
    """The class or callable that "MODULE:NAME" or "PATH.py:NAME" names.

    directory: where relative paths and modules start. Raises GuestError.
    """
    place, colon, name = text.rpartition(":")
    if not (colon and place and name.isidentifier()) or ":" in Path(place).name:
        raise GuestError(f"--cell {text}: write MODULE:NAME or PATH.py:NAME{', with one colon' * (text.count(':') > 1)}")
    directory = Path(directory).resolve()
    file = _file(text, place, directory)
    try:
        module = _from_file(file, directory) if file else _from_name(place, directory)
    except SyntaxError as error:
        at = f"{error.filename}, line {error.lineno}" if error.filename else place
        raise GuestError(f"--cell {text}: {at}: {error.msg}") from None
    except (Exception, SystemExit, KeyboardInterrupt) as error:
        if not isinstance(error, Exception) and by_signal(error):
            raise
        raise GuestError(f"--cell {text}: importing {place} raised {complaint(error, directory)}") from None
    if not hasattr(module, name):
        named = {n: _home(v) for n, v in vars(module).items() if callable(v) and not n.startswith("_")}
        own = [n for n, home in named.items() if home == module.__name__] or [*named]
        shown = (
            sorted(own, key=lambda n: -SequenceMatcher(None, n.lower(), name.lower()).ratio())[:SHOWN]
            if len(own) > SHOWN
            else own
        )
        more = f" and {len(own) - len(shown)} more" if len(own) > len(shown) else ""
        raise GuestError(f"--cell {text}: {place} has no {name}; it has {', '.join(shown) or 'no classes or functions'}{more}")
    if not callable(getattr(module, name)):
        kind = type(getattr(module, name)).__name__
        raise GuestError(f"--cell {text}: {name} is of type {kind}; name a class or a function (features, state) -> cell")
    return getattr(module, name)


def _home(value):
    return getattr(value, "__module__", None)


def _file(text, place, directory):
    """The file that is meant, or None if the module is to be found by its name."""
    if Path(place).suffix not in ("", ".py") and (directory / place).is_file():
        raise GuestError(f"--cell {text}: {place} is no Python file; name one that ends in .py")
    if not (place.endswith(".py") or "/" in place or "\\" in place):
        return None
    file = (directory / Path(place).expanduser()).resolve()
    if file.is_dir():
        raise GuestError(f"--cell {text}: {file} is a directory; name a file in it")
    if file.suffix != ".py" and file.with_suffix(".py").is_file():
        raise GuestError(f"--cell {text}: there is no file {file}, but {file.name}.py beside it")
    if not file.is_file():
        raise GuestError(f"--cell {text}: there is no file {file}")
    return file


def _from_name(place, directory):
    with _importing([directory]):
        return importlib.import_module(place)


def _from_file(file, directory):
    """The module of a file, as part of its package if it is in one."""
    package = [file.stem] if file.stem != "__init__" else []
    root = file.parent
    while (root / "__init__.py").is_file():
        package, root = [root.name, *package], root.parent
    if root == HOME and package[0] in ("cells", "strategies", "properties"):
        package = ["cellcheck", *package]
    with _importing([root, file.parent, directory]):
        if len(package) > 1 or file.stem == "__init__":
            return importlib.import_module(".".join(package))
        [name] = package
        return _executed(f"guest_{name}" if name in sys.modules else name, file)


def _executed(name, file):
    spec = importlib.util.spec_from_file_location(name, file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


@contextmanager
def _importing(folders):
    """Import a guest from these folders, and leave no compiled files there.

    The folders stay at the end of the path, for what a guest imports while it runs. HOME is at the end from the start: a guest's own
    `cells` must come before ours.
    """
    folders = list(map(str, dict.fromkeys(folders)))
    _forget_namesakes(folders)
    path, first = sys.path[:], [folder for folder in folders if folder != str(HOME)]
    sys.path[:] = [*first, *path, *(folder for folder in folders if folder not in (*first, *path))]
    compiles, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = compiles
        sys.path[:] = [*path, *(folder for folder in folders if folder not in path)]
        _FOLDERS.update(folders)


_FOLDERS: set[str] = set()  # of all guests so far


def _holds(folder, name):
    return Path(folder, name).is_dir() or Path(folder, f"{name}.py").is_file()


def _forget_namesakes(folders):
    """Forget modules of earlier guests of which these folders have their own.

    The environment may lie inside the folder of a guest, as a .venv does; what is installed in it stays.
    """
    earlier = tuple(f"{folder}/" for folder in _FOLDERS)
    for name, module in list(sys.modules.items()):
        file, top = getattr(module, "__file__", None) or "", name.split(".")[0]
        if not file.startswith(earlier) or top == "cellcheck" or Path(file).is_relative_to(sys.prefix):
            continue
        holder = next((folder for folder in folders if _holds(folder, top)), None)
        if holder and not file.startswith(str(Path(holder, top))):
            del sys.modules[name]
