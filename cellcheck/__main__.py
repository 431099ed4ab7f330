"""The command: cellcheck CELL... [options]. It runs pytest on the laws, from any folder, and leaves nothing behind but reports."""

import argparse
import atexit
import gc
import os
import re
import sys
import threading
from contextlib import suppress
from dataclasses import fields
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path

import pytest

from cellcheck import __version__
from cellcheck.options import PROFILES, Options, add
from cellcheck.plugin import LAWS

PLUGINS = (
    "-p",
    "cellcheck.plugin",
    "-p",
    "cellcheck.__main__",
    "-p",
    "cellcheck.forks",
    "-p",
    "no:cacheprovider",
    "-p",
    "no:benchmark",
)
PLAIN = ("-c", os.devnull, "--noconftest", "--tb=native", "--assert=plain")  # asserts are rewritten at import; ours is over


def main(arguments=None):
    """Verify the cells that the arguments name, or the shipped ones if none is named; returns the exit status."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if {"-h", "--help"} & set(arguments):
        print(_help().format_help(), end="")
        return 0
    if "--version" in arguments:
        print(f"cellcheck {__version__}")
        return 0
    os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", str(_cache() / "hypothesis"))
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # one thread for each worker
    gc.disable()  # imports leave hardly any garbage
    ours = ["cellcheck.session", "cellcheck.forks", *(f"cellcheck.properties.{path.stem}" for path in LAWS.glob("test_*.py"))]
    for name in ours:  # before bytecode is switched off: ours is kept, but none is left beside the user's files
        import_module(name)
    profiles = import_module("cellcheck.profiles")
    os.environ["PYTHONDONTWRITEBYTECODE"], sys.dont_write_bytecode = "1", True
    arguments = [*PLUGINS, *PLAIN, f"--rootdir={Path.cwd()}", *map(_prefixed, arguments)]
    try:
        with profiles.settled():
            return int(pytest.main(arguments, plugins=["cellcheck.__main__"]))
    except BrokenPipeError:  # whoever reads it has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    finally:
        gc.unfreeze()
        gc.enable()


def run():
    """The program: `main`, then the end of the process at once. Python's own end would first take apart all that was imported."""
    status, forks = main(), sys.modules.get("cellcheck.forks")  # which is imported where laws run
    if forks and threading.active_count() == 1 and not forks.measured():
        with suppress(Exception):  # which Python's own end tells
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    sys.exit(status)


@pytest.hookimpl(wrapper=True)
def pytest_cmdline_parse():
    """Of a usage error, only what is wrong."""
    try:
        return (yield)
    except pytest.UsageError as error:
        said = re.sub(r"(?s).* error: ([^\n]*).*", r"\1", str(error))
        unknown = re.search(r"unrecognized arguments: --([\w-]+)", said)
        meant = {f.name.replace("_", "-"): f.name.replace("_", "-") for f in fields(Options)}
        meant |= {name: f"profile {name}" for name in PROFILES}
        near = get_close_matches(unknown[1].removeprefix("cell-"), meant, 1) if unknown else []
        raise pytest.UsageError(said + "".join(f"; did you mean --{meant[name]}?" for name in near)) from None


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    """As a plugin of the command's own run: what pytest takes for paths are cells, and nothing but laws is collected."""
    if config.args_source == config.ArgsSource.ARGS:
        config.option.cell += config.args
    config.args = []


def pytest_collection_finish():
    """Collect garbage from here on. What is loaded by now stays to the end of the run, and forks share its memory."""
    gc.freeze()
    gc.enable()


def _prefixed(argument):
    """--limit=30 as --cell-limit=30."""
    ours = [f.name.replace("_", "-") for f in fields(Options)]
    name = argument.removeprefix("--").partition("=")[0]
    return f"--cell-{argument[2:]}" if argument.startswith("--") and name in ours else argument


def _cache():
    """The user's folder for what may be deleted."""
    return Path(os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA") or Path.home() / ".cache", "cellcheck")


def _help():
    parser = argparse.ArgumentParser(
        "cellcheck",
        usage="cellcheck [CELL ...] [options]",
        description="Verify cells, by default the shipped ones: every law, on random problems.",
        epilog="All other options go to pytest: -k EXPRESSION, -x, -v, -n WORKERS, ...",
        formatter_class=lambda prog: argparse.HelpFormatter(prog, width=80, max_help_position=30),
    )
    parser.add_argument(
        "CELL",
        nargs="*",
        help="PATH.py:NAME or MODULE:NAME, a class or a function (features, state) -> cell",
    )
    add(parser.add_argument, "")
    parser.add_argument("--version", action="store_true", help="print the version")
    return parser


if __name__ == "__main__":
    run()
