"""Loading a guest from wherever it lives, whatever its package is called, and what else it brings along."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cellcheck.properties.intake.loading import GuestError, load

from cellcheck import cells
from cellcheck.subjects import label, named, subject

HOME = Path(__file__).resolve().parents[1]
CELL = (HOME / "tests" / "guests" / "gist.py").read_text(encoding="utf-8")


def planted(folder, files):
    """Write the files, a dict from path to source, and return the folder."""
    for path, source in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(source, encoding="utf-8")
    return folder


def namesake(folder):
    """A package called cells, with relative imports, a conftest and a namesake of LSTM."""
    mine = "from .activations import tanh\nfrom . import contract\n" + CELL.replace("return np.tanh(z)", "return tanh(z)")
    return planted(
        folder,
        {
            "conftest.py": "raise RuntimeError('not for you')",
            "cells/__init__.py": "from .lstm import CorrectRNN as LSTM",
            "cells/conftest.py": "raise RuntimeError('nor you')",
            "cells/contract.py": "ours = False",
            "cells/activations.py": "import numpy\ntanh = lambda z: numpy.tanh(z)",
            "cells/lstm.py": mine,
        },
    )


@pytest.mark.parametrize("given", ["cells/lstm.py:CorrectRNN", "cells/__init__.py:LSTM", "cells.lstm:CorrectRNN", "cells:LSTM"])
def test_a_package_called_cells_is_loaded(given, tmp_path):
    """By path or by name, under its own name: ours is called cellcheck.cells."""
    Guest = load(given, namesake(tmp_path))
    assert Guest.__module__ == "cells.lstm" and Guest(2, 3).tanh(0) == 0


def test_an_absolute_import_of_the_own_package_finds_it(tmp_path):
    """`cells` is theirs, `cellcheck.cells` is ours."""
    planted(
        namesake(tmp_path), {"cells/lstm.py": f"from cells.activations import tanh\nfrom cellcheck.cells import LSTM\n{CELL}"}
    )
    Guest = load("cells/lstm.py:CorrectRNN", tmp_path)
    assert Guest.__init__.__globals__["LSTM"] is cells.LSTM


def test_loading_leaves_no_compiled_files(tmp_path):
    """What is verified is only read."""
    load("cells/lstm.py:CorrectRNN", namesake(tmp_path))
    assert not list(tmp_path.rglob("*.pyc"))


def test_the_invocation_directory_and_the_own_one_are_on_the_path(tmp_path):
    """A guest finds its neighbours, and what is where the command was given."""
    planted(tmp_path, {"a/guest.py": f"import near_one, far_one\n{CELL}", "a/near_one.py": "", "far_one.py": ""})
    assert load("a/guest.py:CorrectRNN", tmp_path).__name__ == "CorrectRNN"


def test_a_package_beside_our_own_folders_is_loaded(monkeypatch, tmp_path):
    """In a checkout that is installed, nothing else puts its folder on the path."""
    monkeypatch.setattr(sys, "path", [folder for folder in sys.path if Path(folder or ".").resolve() != HOME])
    for name in [name for name in sys.modules if name.split(".")[0] == "bench"]:
        monkeypatch.delitem(sys.modules, name)
    assert load(f"{HOME / 'bench' / 'guests.py'}:GRU", tmp_path).__module__ == "bench.guests"


def test_two_guests_may_have_neighbours_of_one_name(tmp_path):
    """Each gets its own."""
    source = f"from activations_of_mine import which\n{CELL}"
    for name in "ab":
        planted(tmp_path, {f"{name}/guest.py": source, f"{name}/activations_of_mine.py": f"which = '{name}'"})
    loaded = [load(f"{name}/guest.py:CorrectRNN", tmp_path) for name in "ab"]
    assert [Guest.__init__.__globals__["which"] for Guest in loaded] == ["a", "b"]


def test_a_file_may_have_the_name_of_a_library(tmp_path):
    """And the library stays what it was."""
    import json

    assert load("json.py:CorrectRNN", planted(tmp_path, {"json.py": CELL})).__name__ == "CorrectRNN"
    assert sys.modules["json"] is json


def test_a_package_imports_itself_by_name(tmp_path):
    """Where its name is none of ours."""
    planted(
        tmp_path, {"my_rnns/__init__.py": "", "my_rnns/base.py": CELL, "my_rnns/top.py": "from my_rnns.base import CorrectRNN"}
    )
    assert load("my_rnns/top.py:CorrectRNN", tmp_path).__module__ == "my_rnns.base"


def test_shipped_cells_can_be_given_by_name():
    """As modules and as files."""
    assert load("cellcheck.cells.lstm:LSTM", HOME) is cells.LSTM
    assert load("cells/lstm.py:LSTM", HOME) is cells.LSTM


SPELLINGS = [
    "guest.py:CorrectRNN",
    "./guest.py:CorrectRNN",
    "pack/../guest.py:CorrectRNN",
    "guest:CorrectRNN",
    "{folder}/guest.py:CorrectRNN",
]


@pytest.mark.parametrize("again", SPELLINGS)
def test_one_guest_is_not_given_twice(again, tmp_path):
    """Its results could not be told apart, however it is spelled."""
    planted(tmp_path, {"guest.py": CELL, "pack/other.py": CELL})
    again = again.replace("{folder}", str(tmp_path))
    with pytest.raises(GuestError, match=f"^--cell {again}: given twice") as refusal:
        named(["guest.py:CorrectRNN", "pack/other.py:CorrectRNN", again], tmp_path)
    assert "\n" not in str(refusal.value)


def test_a_class_is_called_as_it_would_be_named(tmp_path):
    """By its module in a package, else by its file; by its name alone where neither leads to it."""
    planted(tmp_path, {"pack/__init__.py": "", "pack/mine.py": CELL, "alone.py": CELL})
    assert label(load("pack.mine:CorrectRNN", tmp_path), tmp_path) == "pack.mine:CorrectRNN"
    assert label(load("alone.py:CorrectRNN", tmp_path), tmp_path) == "alone.py:CorrectRNN"
    assert label(load("alone.py:CorrectRNN", tmp_path), HOME) == f"{tmp_path}/alone.py:CorrectRNN"
    assert label(type("Local", (), {}), tmp_path) == "Local"
    assert (
        label(load("pack.mine:CorrectRNN", tmp_path), tmp_path.parent) == f"{tmp_path.name}/pack/mine.py:CorrectRNN"
    )  # as in src
    assert subject(cells.LSTM, tmp_path).label == "LSTM" and subject(cells.LSTM, tmp_path).shipped


def test_what_is_no_class_is_refused(tmp_path):
    """In one line, without an option that was not given."""
    with pytest.raises(GuestError, match=r"^3 is no class or function, but of type int; give a class"):
        subject(3, tmp_path)
    with pytest.raises(GuestError, match=r"^lost\.py:A: there is no file"):
        subject("lost.py:A", tmp_path)


def run(folder, *arguments):
    """`cellcheck` in another directory, as a user types it: (exit code, what it printed)."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(HOME), "XDG_CACHE_HOME": str(folder.parent / "cache")}
    environment.pop("PYTEST_CURRENT_TEST", None)
    command = [sys.executable, "-m", "cellcheck", "--profile", "quick", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout + done.stderr


def test_a_guest_is_verified_from_another_directory_with_a_worker(tmp_path):
    """A package called cells, its conftests untouched, by pytest-xdist."""
    code, text = run(namesake(tmp_path), "cells/lstm.py:CorrectRNN", "-n", "1", "-k", "gradients_have or weight_gradients")
    assert code == 0, text
    assert "cells/lstm.py:CorrectRNN: computes the RNN equations, one bias, as keras keeps them" in " ".join(text.split())
