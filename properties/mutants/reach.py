"""The code that is a cell's own: in which files, which of its functions run, what single edits they admit, and one of them made.

Own is what lies beside the guest: the package of its class or of the functions that `adapt` was given, else their folder. Code of
other packages, of the standard library and of Cellcheck is never edited. A shipped cell owns the files of cells/ that hold its
class, its bases and its step. The contract and the activations belong to no one cell, and the laws compute with the latter.
"""

import ast
import functools
import gc
import linecache
import site
import sys
import sysconfig
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, ModuleType

from cellcheck.properties.mutants.generated import COMPOUND, NAMED, RENAMED, at, edits, paths, put, word, words

from cellcheck import cells

SHIPPED = Path(cells.__file__).resolve().parent
PROJECT = [SHIPPED.parent / name for name in ("cells", "strategies", "properties", "cellcheck")]
SHARED = ("contract", "activations", "lift", "spec", "__init__")  # files of cells/ that belong to no one cell
LIBRARIES = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
FOREIGN = [*map(Path, (*LIBRARIES, *site.getsitepackages(), site.getusersitepackages())), *PROJECT]
OTHERS = sys.stdlib_module_names | {"numpy", "cellcheck"}  # what every guest may use


@dataclass(frozen=True, eq=False)
class Edit:
    """One edit of a function. before, after: the smallest statement that holds it; path, change: where, and what stands there then."""

    file: str
    line: int
    place: str
    before: str
    after: str
    number: int = 0
    path: tuple = field(default=(), repr=False)
    change: ast.AST | None = field(default=None, repr=False)
    function: tuple = field(default=(), repr=False)  # its key in Reach.functions


class Reach:
    """What can be edited of a cell.

    owns: whether a file is the cell's own; shipped: whether it is one of ours; beyond: what is out of reach, and why.
    """

    def __init__(self, Guest, guest):
        """Guest: a class or factory; guest: an instance of it."""
        made_of = list(_made_of([Guest, guest]))
        files = {file for thing in made_of if (file := _file(thing))}
        self.homes = {file for file in files if not _foreign(file)}
        shipped = {file for file in files if _shipped(file)}
        self.shipped = bool(shipped) and not self.homes
        self.owns = shipped.__contains__ if self.shipped else functools.cache(self._beside)
        self.trees, self.functions, self.lines = {}, {}, set()
        self.beyond = sorted({f"{t.__qualname__}: compiled" for t in made_of if isinstance(t, BuiltinFunctionType)})
        if not self.homes and not self.shipped:
            tops = sorted({t.__module__.partition(".")[0] for t in made_of} - {"builtins", *OTHERS})
            self.beyond += [f"{top}: the code of another package, or without a source" for top in tops]

    def _beside(self, file):
        return file in self.homes or (not _foreign(file) and any(root in Path(file).resolve().parents for root in self._roots))

    @functools.cached_property
    def _roots(self):
        return [_root(Path(file).resolve()) for file in self.homes if Path(file).is_file()]

    @contextmanager
    def watching(self):
        """Record which lines of the cell's own code run meanwhile."""

        def entered(frame, event, arg):  # pragma: no cover (a tracer is not traced)
            if not self.owns(frame.f_code.co_filename):
                return None
            self.lines.add((frame.f_code.co_filename, frame.f_code.co_firstlineno))
            return ran(frame, event, arg)

        def ran(frame, event, arg):  # pragma: no cover (likewise)
            self.lines.add((frame.f_code.co_filename, frame.f_lineno))
            return ran

        before = sys.gettrace()
        sys.settrace(entered)
        try:
            yield
        finally:
            sys.settrace(before)

    def edits(self):
        """All edits of the functions that ran, in the order of their lines; those that Python refuses are left out."""
        live = {}
        gc.unfreeze()  # what the command has frozen is not among the objects that are listed
        for f in gc.get_objects():
            if type(f) is FunctionType and self.owns(f.__code__.co_filename):
                live.setdefault((f.__code__.co_filename, f.__code__.co_name, f.__code__.co_firstlineno), []).append(f)
        for file in sorted({file for file, _ in self.lines}):
            self.trees[file] = tree = ast.parse("".join(linecache.getlines(file)))
            everything = list(paths(tree))
            self._beyond_of(file)
            for path, node in self._outermost(file, tree):
                if (key := (file, *_key(node))) in live:
                    self.functions[key] = live[key]
                    inside = [(p, place) for p, place in everything if p[: len(path)] == path and len(p) > len(path)]
                    for place, before, after, number, where, change in edits(tree, inside, words(node), _alike(node)):
                        line = next(n.lineno for k in range(len(where), 0, -1) if hasattr(n := at(tree, where[:k]), "lineno"))
                        edit = Edit(file, line, place, before, after, number, where, change, key)
                        if self._code(edit):
                            yield edit

    def ran(self, edit):
        """Whether the statement that holds the edit was seen to run."""
        tree, path = self.trees[edit.file], edit.path
        node = next(n for k in range(len(path), 0, -1) if isinstance(n := at(tree, path[:k]), ast.stmt))
        span = (node.lineno, edit.line) if isinstance(node, COMPOUND) else range(node.lineno, node.end_lineno + 1)
        return any((edit.file, line) in self.lines for line in span)

    def source(self):
        """(file, line, text) of the functions that are edited."""
        for file, tree in self.trees.items():
            spans = [(node.lineno, node.end_lineno) for _, node in self._outermost(file, tree)]
            for line in sorted({line for first, last in spans for line in range(first, last + 1)}):
                yield file, line, linecache.getline(file, line).rstrip()

    def _outermost(self, file, node, path=()):
        """(path, node) of the functions that ran and are in no other that did."""
        for name, value in ast.iter_fields(node):
            for k, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
                if isinstance(child, ast.AST):
                    step = (*path, (name, k))
                    if isinstance(child, (ast.FunctionDef, ast.Lambda)) and (file, _key(child)[1]) in self.lines:
                        yield step, child
                    else:
                        yield from self._outermost(file, child, step)

    def _beyond_of(self, file):
        """What the module of this file takes from compiled code or from other packages."""
        modules = [m for m in list(sys.modules.values()) if getattr(m, "__file__", None) == file]
        for name, value in [pair for m in modules for pair in vars(m).items()]:
            is_module = isinstance(value, ModuleType)
            home = (value.__name__ if is_module else type(value).__module__).partition(".")[0]
            if home in ("ctypes", "_ctypes", "_cffi_backend") and not is_module:
                self.beyond.append(f"{name}: compiled")
            elif is_module and home not in OTHERS and not self.owns(getattr(value, "__file__", None) or "<frozen"):
                self.beyond.append(f"{home}: the code of another package")
        self.beyond = sorted(set(self.beyond))

    @contextmanager
    def made(self, edit):
        """Every live copy of the function is the edited one meanwhile."""
        functions, code = self.functions[edit.function], self._code(edit)
        before = [f.__code__ for f in functions]
        try:
            for f in functions:
                f.__code__ = code
            yield
        finally:
            for f, kept in zip(functions, before):
                f.__code__ = kept

    def _code(self, edit):
        """The code of the edited function, or None if there is none that can take the place of the old."""
        tree, (file, name, line) = self.trees[edit.file], edit.function
        free = self.functions[edit.function][0].__code__.co_freevars
        before = at(tree, edit.path)
        put(tree, edit.path, edit.change)
        try:
            top = tree.body[edit.path[0][1]]
            future = [s for s in tree.body if isinstance(s, ast.ImportFrom) and s.module == "__future__"]
            whole = compile(ast.fix_missing_locations(ast.Module([*future, top], [])), file, "exec")
        except (SyntaxError, ValueError):
            return None
        finally:
            put(tree, edit.path, before)
        found = [code for code in _codes(whole) if (code.co_name, code.co_firstlineno) == (name, line)]
        return found[0] if len(found) == 1 and found[0].co_freevars == free else None


def _codes(code):
    for inner in code.co_consts:
        if isinstance(inner, type(code)):
            yield inner
            yield from _codes(inner)


def _key(node):
    """(name, first line) of the code of a function."""
    decorators = [d.lineno for d in getattr(node, "decorator_list", [])]
    return getattr(node, "name", "<lambda>"), min([node.lineno, *decorators])


def _alike(node):
    """For each type of node the pairs of names in a function that are easily taken for one another.

    Those of the shipped cells, and names of one length that differ in one letter.
    """
    found = {}
    for kind in NAMED:
        names = sorted({word(n) for n in ast.walk(node) if type(n) is kind and word(n)})
        close = [[m for m in names if len(m) == len(n) and sum(a != b for a, b in zip(m, n)) == 1 and m > n] for n in names]
        found[kind] = [tuple(m for m in group if m in names) for group in RENAMED]
        found[kind] += [(n, others[0]) for n, others in zip(names, close) if others]
    return found


def _made_of(things, seen=None):
    """The classes and functions of a guest: bases, what a factory or an adapter holds."""
    seen = {} if seen is None else seen
    for thing in things:
        if id(thing) in seen:
            continue
        seen[id(thing)] = thing
        if isinstance(thing, type):
            yield from (c for c in thing.__mro__ if c is not object)
            yield from _made_of([c for c in [getattr(thing, "Step", None)] if isinstance(c, type)], seen)
        elif isinstance(thing, FunctionType):
            yield thing
            inside = [c.cell_contents for c in thing.__closure__ or ()] + [getattr(thing, "__wrapped__", None)]
            yield from _made_of([c for c in inside if c is not None], seen)
        elif isinstance(thing, BuiltinFunctionType):
            yield thing
        elif isinstance(thing, functools.partial):
            yield from _made_of([thing.func, *thing.args], seen)
        elif hasattr(thing, "__func__"):
            yield from _made_of([thing.__func__, thing.__self__], seen)
        elif hasattr(thing, "__dict__") and not isinstance(thing, ModuleType):
            yield from _made_of([type(thing)], seen)
            if type(thing).__module__.startswith("cellcheck.cells.adapters"):
                yield from _made_of(vars(thing).values(), seen)


def _file(thing):
    """The file of the source of a class or function, or None."""
    codes = [thing] if isinstance(thing, FunctionType) else list(getattr(thing, "__dict__", {}).values())
    codes = [getattr(getattr(c, "fget", None) or getattr(c, "__func__", c), "__code__", None) for c in codes]
    return next((c.co_filename for c in codes if c and linecache.getlines(c.co_filename)), None)


def _root(file):
    """The topmost package of a file, or its folder."""
    folder = file.parent
    while (folder.parent / "__init__.py").is_file():
        folder = folder.parent
    return folder


def _foreign(file):
    """Whether a file is of another package, of the standard library, or ours."""
    above = Path(file).resolve().parents
    return file.startswith("<frozen") or any(folder in above for folder in FOREIGN) or "site-packages" in file


def _shipped(file):
    """Whether a file holds equations of a shipped cell."""
    path = Path(file).resolve()
    return SHIPPED in path.parents and SHIPPED / "adapters" not in path.parents and path.stem not in SHARED
