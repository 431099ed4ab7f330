"""A plugin of pytest for runs under coverage: which law runs a line, and which lines and branches of a guest no law reaches."""

from pathlib import Path

import coverage
import pytest

from cellcheck.properties.intake.loading import HOME

PACKAGES = ("cells", "strategies", "properties")


def patterns(texts, directory):
    """Patterns of the files in which the guests live. texts: the values of --cell; directory: where relative paths start."""
    found = []
    for text in texts:
        place = text.rpartition(":")[0]
        if place.endswith(".py") or "/" in place or "\\" in place:
            found.append(str((Path(directory) / Path(place).expanduser()).resolve()))
        else:
            parts = place.replace(".", "/")
            found += [f"*/{parts}.py", f"*/{parts}/__init__.py"]
    return found


def start(texts, directory):
    """Where coverage is running, let it measure the guests' own files beside ours; returns what measures, or None.

    `source` in the configuration names our packages, and no coverage that has begun can be told of another file. So a new one
    takes over, which writes its own data file beside the first.
    """
    running = coverage.Coverage.current()
    if not (texts and running):
        return None
    running.stop()
    ours = coverage.Coverage(
        data_file=running.get_option("run:data_file"),
        data_suffix=True,
        config_file=str(HOME / "tox.ini"),
        branch=True,
        include=[*patterns(texts, directory), *(str(HOME / folder / "*") for folder in PACKAGES)],
    )
    ours.set_option("run:source", None)
    ours.start()
    return ours


MEASURED = pytest.StashKey[coverage.Coverage | None]()


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    """Before any guest is imported."""
    config.stash[MEASURED] = start(config.option.cell, config.invocation_params.dir)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """The context of a line is the law that runs it."""
    if running := coverage.Coverage.current():
        running.switch_context(item.nodeid)
    return (yield)


def pytest_unconfigure(config):
    """Write what was seen of a guest."""
    if measured := config.stash.get(MEASURED, None):
        measured.stop()
        measured.save()
