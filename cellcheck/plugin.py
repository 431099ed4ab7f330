"""The pytest plugin: its options, and what wakes it.

An environment imports this module in every pytest run. So it imports only pytest and the standard library; everything else is in
`session`, which begins when a cell is named, or when a module of laws or a function that `laws_of` decorates is collected.
"""

import inspect
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from unittest import TestCase

import pytest

import cellcheck
from cellcheck.options import OptionError, Options, add

LAWS = next(path for folder in cellcheck.__path__ if (path := Path(folder, "properties").resolve()).is_dir())
pytest_plugins = ["cellcheck.supervisor"]
MARKERS = (
    "needs(*capabilities): what a cell must offer for the law to apply",
    "promise: a law that a guest may break without failing the run, unless --cell-strict",
    "laws_of(*cells, **options): run this test once for each law and cell (cellcheck.laws_of)",
)


def laws_of(*cells, **options):
    """Decorate one test function, `def test_cells(law): law()`, and run it once for each law and cell.

    cells: each a class or a function (features, state) -> cell, or a text "PATH.py:NAME" or "MODULE:NAME". options: profile, laws,
    limit, strict, reports and expected_failures, as of `cellcheck.check`; by default those of the command line. Raises OptionError.
    """
    if not cells:
        raise OptionError("laws_of(): no cell is given; write laws_of(MyLSTM)")
    if bare := next((c.__name__ for c in cells if inspect.isfunction(c) and "law" in inspect.signature(c).parameters), None):
        raise OptionError(f"laws_of(): the test {bare} is given, but no cell; write @laws_of(MyLSTM)")
    names = ["laws", *(f.name for f in fields(Options) if f.name not in ("certificate", "mutants"))]
    if unknown := set(options) - set(names):
        raise OptionError(f"laws_of(): there is no option {min(unknown)}; there are {', '.join(names)}")
    return pytest.mark.laws_of.with_args(*cells, **options)


class Laws(pytest.Module):
    """A module of laws. It has one name, cellcheck.properties.test_GROUP, wherever it was collected from."""

    @classmethod
    def of(cls, parent, path, **options):
        """The node of this file."""
        module = cls.from_parent(parent, path=path, **options)
        module.obj = import_module(f"cellcheck.properties.{path.stem}")
        return module


def awake(config):
    """The Session of this run. The first call begins it."""
    from cellcheck.session import Session

    if not config.pluginmanager.has_plugin(Session.NAME):
        config.pluginmanager.register(Session(config), Session.NAME)
    return config.pluginmanager.get_plugin(Session.NAME)


def pytest_addoption(parser):
    """--cell and the options of Options, each with the prefix --cell-."""
    group = parser.getgroup("cellcheck")
    group.addoption(
        "--cell", action="append", default=[], metavar="CELL", help="verify this cell, PATH.py:NAME or MODULE:NAME; repeatable"
    )
    add(group.addoption, "cell-")


def pytest_configure(config):
    """Check the options, and load the cells before anything else can fail."""
    for line in MARKERS:
        config.addinivalue_line("markers", line)
    try:
        options = Options.parsed(config.option)
    except OptionError as error:
        raise pytest.UsageError(f"--cell-{error}") from None
    places = [Path(config.invocation_params.dir, arg.partition("::")[0]).resolve() for arg in config.args]
    shipped = not config.option.cell and (not places or any(LAWS in (place, *place.parents) for place in places))
    for name in ("reference", "convention"):
        if shipped and (given := getattr(options, name)):
            raise pytest.UsageError(f"--cell-{name} {given}: name the cell that it is for, as PATH.py:NAME")
    if config.option.cell or shipped:
        awake(config)


def pytest_collect_directory(path, parent):
    """The folder of laws is no package of its own."""
    return pytest.Dir.from_parent(parent, path=path) if path.resolve() == LAWS else None


def pytest_ignore_collect(collection_path, config):
    """The laws of equivalence are about cells that have a reference."""
    return True if collection_path == LAWS / "test_equivalence.py" and not config.option.cell_reference else None


def pytest_pycollect_makemodule(module_path, parent):
    """A module of laws."""
    if module_path.parent.resolve() != LAWS:
        return None
    awake(parent.config)
    return Laws.of(parent, module_path)


def pytest_runtest_setup(item):
    """Fail a method of unittest that laws_of decorates: nothing would give it its law."""
    if item.get_closest_marker("laws_of") and isinstance(getattr(item, "cls", None), type) and issubclass(item.cls, TestCase):
        told = "laws_of decorates a function of (law), not a method of a unittest.TestCase"
        pytest.fail(f"{told}; write a function, or call cellcheck.check(...).raise_for_violation() in it", pytrace=False)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(session, config, items):
    """Where a cell is named and no law was collected, add all laws."""
    if (config.option.cell or not config.args) and not any(isinstance(item.parent, Laws) for item in items):
        from cellcheck.properties.intake.catalogue import rank

        for path in sorted(LAWS.glob("test_*.py"), key=lambda path: rank(path.stem.removeprefix("test_"))):
            if pytest_ignore_collect(path, config):
                continue
            items += session.genitems(Laws.of(session, path, nodeid=f"cellcheck/{path.name}"))


def pytest_generate_tests(metafunc):
    """Every law on every cell."""
    marks = list(metafunc.definition.iter_markers("laws_of"))
    if len(marks) > 1:
        told = "laws_of is given twice, and would verify the cells of one alone; name all cells in one, as laws_of(MyRNN, MyLSTM)"
        raise pytest.Collector.CollectError(f"{metafunc.definition.nodeid}: {told}")
    if marks and (inspect.iscoroutinefunction(metafunc.function) or hasattr(metafunc.function, "hypothesis")):
        told = (
            "laws_of decorates a plain function of (law), not a coroutine, nor one with @given: the laws draw their own examples"
        )
        raise pytest.Collector.CollectError(f"{metafunc.definition.nodeid}: {told}")
    if marks or isinstance(metafunc.definition.parent, Laws):
        awake(metafunc.config).parametrize(metafunc, *marks)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node, ids):
    """Each worker collects everything: note which laws are to run."""
    if any("[" in i and (" of " in i or i.startswith(("properties/test_", "cellcheck/test_"))) for i in ids):
        collector = awake(node.config).collector
        collector.workers += 1
        collector.expect(ids)
