"""Which cells, how hard, and what a failure says."""

import importlib
from pathlib import Path

import pytest
from hypothesis import settings

from cellcheck import judging, profiles
from cellcheck.journal import journal
from cellcheck.properties import certificate
from cellcheck.properties.certificate import table
from cellcheck.properties.intake import expected, preflight
from cellcheck.properties.reports import overview

LAWS = Path(__file__).parents[1] / "properties"
pytest_plugins = ["cellcheck.hosts", "cellcheck.measuring", "cellcheck.supervisor"]
profiles.register()


def pytest_addoption(parser):
    """--cell and --expected-failures; pytest's own --strict also holds a guest to the promises that shipped cells keep."""
    group = parser.getgroup("cellcheck")
    group.addoption("--cell", action="append", default=[], metavar="PATH.py:NAME", help="verify this cell, not the shipped ones")
    group.addoption("--reports", default="reports", metavar="DIR", help="where counterexamples are written (default: reports/)")
    group.addoption("--limit", type=float, metavar="SECONDS", help="for one example of a guest; default 120")
    group.addoption(
        "--certificate", action="append", default=[], metavar="FILE", help="write what the run proved: a .json or .html file"
    )
    group.addoption("--expected-failures", metavar="FILE", help="lines `law: reason` or `law @ CELL: reason`, strict")


def pytest_configure(config):
    """Load the cells before anything else can fail."""
    config.addinivalue_line("markers", "needs(*capabilities): what a cell must offer for the law to apply")
    config.addinivalue_line("markers", "promise: a law that a guest may break without failing the run, unless --strict")
    texts, directory, begin = config.option.cell, config.invocation_params.dir, journal(config).begin
    try:
        config.cells, config.about = preflight.chosen(texts, directory, config.option.limit, begin)
        config.expected = expected.read(config.option.expected_failures, config.cells)
    except preflight.GuestError as error:
        raise pytest.UsageError(str(error)) from None
    config.collector = certificate.Collector(config)
    config.pluginmanager.register(config.collector)


def pytest_report_header(config):
    """The effective configuration in one line, and what the pre-flight found out about each guest."""
    strict = "strict" if config.option.strict or not config.option.cell else "promises are hazards"
    return [f"cellcheck: {', '.join(config.cells)}; {settings().max_examples} examples a law; {strict}", *config.about]


def pytest_collect_directory(path, parent):
    """The folder of the laws is no package of its own: they are imported as cellcheck.properties.test_*."""
    return pytest.Dir.from_parent(parent, path=path) if path == LAWS else None


def pytest_pycollect_makemodule(module_path, parent):
    """A module of laws has one name, wherever it was collected from."""
    if module_path.parent != LAWS:
        return None
    module = pytest.Module.from_parent(parent, path=module_path)
    module.obj = importlib.import_module(f"cellcheck.properties.{module_path.stem}")
    return module


def pytest_generate_tests(metafunc):
    """Every law on every cell."""
    if "Cell" in metafunc.fixturenames:
        metafunc.parametrize("Cell", list(metafunc.config.cells.values()), ids=list(metafunc.config.cells))


def pytest_collection_modifyitems(items, config):
    """One key of the example database for each cell, not for each law (Hypothesis looks for this marker); what may fail."""
    for item in items:
        if "Cell" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.parametrize("Cell", []))
            expected.mark(item, config.expected)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem):
    """Ask the law if it applies, and watch it run."""
    if "Cell" not in pyfuncitem.fixturenames:
        return (yield)
    if reason := judging.barred(pyfuncitem):
        pytest.skip(f"not verified: {reason}")
    with judging.watched(pyfuncitem):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """The verdict, and the numbers for the table."""
    report = yield
    if call.when == "call" and "Cell" in getattr(item, "fixturenames", ()):
        judging.judge(item, call, report)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter):
    """First what many broken laws have in common, last the table of what was verified."""
    collector = terminalreporter.config.collector
    if results := collector.results:
        overview.told(terminalreporter, results)
    yield
    if said := [*(table.lines(results) if results else ()), *collector.written()]:
        terminalreporter.section("cellcheck")
        terminalreporter.write_line("\n".join(said))
