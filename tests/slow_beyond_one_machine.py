"""Many workers, hosts and checkouts: nothing is lost, nothing is missed in silence, and a release sees the same examples everywhere.

Workers, a socket server on loopback, a shared directory: run by name, and under coverage. .ci/hosts and .ci/fuzz try two ssh hosts and
HypoFuzz with Redis.
"""

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from time import monotonic, sleep
from types import SimpleNamespace

import execnet.script
import pytest
from hypothesis.database import DirectoryBasedExampleDatabase, MultiplexedDatabase

from cellcheck import database, fuzzing, profiles
from cellcheck.options import Options

ROOT = Path(__file__).parents[1]
GUESTS = "tests/guests"


def verified(guest, *options, **environment):
    """The finished run of the laws of a guest, few examples each."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--cell-profile", "quick"]
    command += ["--cell", f"{GUESTS}/{guest}", *options]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "CELLCHECK_"))}
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, env={**inherited, **environment})
    return run.returncode, run.stdout + run.stderr


@pytest.fixture
def host(tmp_path):
    """A host with one worker and a checkout of its own: execnet's socket server on loopback. It ends when its worker does."""
    checkout = tmp_path / "host"
    for folder in ("cellcheck", "cells", "strategies", "properties", "tests/guests"):
        shutil.copytree(ROOT / folder, checkout / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("conftest.py", "tox.ini"):
        shutil.copy(ROOT / file, checkout)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{free.getsockname()[1]}"
    server = Path(execnet.script.__path__[0], "socketserver.py")
    with subprocess.Popen([sys.executable, str(server), place], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
        until = monotonic() + 10
        while monotonic() < until and not _listens(place):
            sleep(0.05)
        yield f"socket={place}//chdir={checkout}"
        run.kill()


def _listens(place):
    """Whether a server listens there, without a connection that it would have to answer."""
    name, port = place.split(":")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((name, int(port)))
        except OSError:
            return True
    return False


def test_a_law_whose_worker_is_lost_runs_again(tmp_path):
    """A worker that crashes once costs time; the run names the law and passes."""
    code, said = verified("crashing.py:Once", "-n", "2", "-k", "weight_gradients or scales", CRASHED=str(tmp_path / "crashed"))
    assert code == 0, said
    assert "run again: properties/test_gradients.py::test_weight_gradients" in said
    assert "INCOMPLETE" not in said


def test_a_law_that_cannot_be_run_is_missing():
    """A cell that crashes each time has no verdict: the run fails and says for which law, and the others are skipped."""
    code, said = verified("crashing.py:Always", "-n", "1", "-k", "weight_gradients or scales")
    assert code == 1, said
    assert "INCOMPLETE: 1 of 2 have no verdict" in said
    assert "took its worker down twice" in said
    assert "the cell ended its process in an earlier law" in said


def test_a_run_cut_short_is_incomplete():
    """Laws left out after a failure are counted."""
    code, said = verified("gist.py:BiasNotSummedOverBatch", "-x", "-k", "gradients")
    assert code == 1, said
    assert "INCOMPLETE" in said


def test_a_lost_host_loses_nothing(host, tmp_path):
    """Its laws run on this machine, and the run says so."""
    crashed = str(tmp_path / "crashed")
    options = ["--dist", "load", "--tx", f"{host}//env:CRASHED={crashed}", "-k", "weight_gradients or scales"]
    code, said = verified("crashing.py:Once", *options, CRASHED=crashed)
    assert code == 0, said
    assert "host lost" in said and "run again" in said
    assert "2 laws, 40 examples" in said or "1 laws, 20 examples" in said


def test_a_host_that_does_not_answer_is_named():
    """Before anything runs, in one line."""
    code, said = verified("gist.py:CorrectRNN", "--dist", "load", "--tx", "socket=127.0.0.1:1")
    assert code == pytest.ExitCode.USAGE_ERROR, said
    assert "no answer from 127.0.0.1:1" in said


def test_a_release_sees_the_same_examples_everywhere(tmp_path):
    """Without workers, with two, and where other laws are collected; derandomised as in the release profile and under CI."""
    chosen = profiles.profile("release")
    assert chosen.derandomize and chosen.database is None
    notes = {}
    law = "sum_output_is_additive_over_rows"
    for name, options in {"none": [], "two": ["-n", "2"], "alone": ["properties/test_linearity.py"]}.items():
        (tmp_path / name).mkdir()
        code, said = verified("recording.py:Recorder", *options, "-k", law, NOTES=str(tmp_path / name), CI="1")
        assert code == 0, said
        notes[name] = (tmp_path / name / f"test_{law}").read_text()
    assert notes["none"] == notes["two"] == notes["alone"]


def test_what_is_found_in_one_checkout_is_there_in_another(tmp_path):
    """Through the place that both name; without one, Hypothesis decides."""
    shared, own = tmp_path / "shared", DirectoryBasedExampleDatabase(tmp_path / "own")
    MultiplexedDatabase(own, database.shared(str(shared))).save(b"law", b"choices")
    assert set(database.opened(str(shared)).fetch(b"law")) == {b"choices"}
    assert not isinstance(database.opened(None), MultiplexedDatabase)


@pytest.mark.parametrize("place", ["redis://127.0.0.1:1/0", "redis://127.0.0.1:port/0"])
def test_a_database_that_cannot_be_used_is_refused(place):
    """In one line that names it, whether the server or the package is missing."""
    with pytest.raises(database.DatabaseError, match=f"CELLCHECK_DATABASE={place}"):
        database.shared(place)


def test_a_search_runs_the_law_as_pytest_does():
    """No warning reaches the search, and a hang is an exception that it can keep."""

    def law(Cell, problem):
        import warnings

        warnings.warn(problem, stacklevel=1)
        while problem == "hang":
            pass

    tried = SimpleNamespace(law=SimpleNamespace(check=law), subject=SimpleNamespace(Cell=None), options=Options(limit=0.1))
    fuzzing.quiet(tried)(Cell=None, problem="a guest's own")
    with pytest.raises(TimeoutError, match=r"took more than 0\.1 s"):
        fuzzing.quiet(tried)(Cell=None, problem="hang")


@pytest.mark.skipif(not importlib.util.find_spec("hypofuzz"), reason="HypoFuzz wants an older Hypothesis: tox -e fuzz")
def test_hypofuzz_collects_the_laws_that_apply():  # pragma: no cover (HypoFuzz is optional)
    """Every law that the cell offers enough for, no other."""
    code, said = verified("gist.py:CorrectRNN", "--co", "-q", "-p", "cellcheck.fuzzing")
    assert code == 0, said
    assert "test_weight_gradients" in said
    assert "test_state_gradients" not in said
