"""The workers of the command: forks where that is possible, else those of pytest-xdist, unless laws are few."""

import os
import sys
from types import SimpleNamespace

import pytest

from cellcheck import forks
from tests.test_command_line import cellcheck
from tests.test_ending_early import GUEST as CELLS

GUEST = f"""{CELLS}
class Wrong(RNN):
    def apply(self, x, h):
        print("one line of", type(self).__name__)
        return super().apply(x, h)

    def vjp(self, d):
        W, x, h = super().vjp(d)
        return W[:2] + [2 * W[2]], x, h
"""


class Config(SimpleNamespace):
    """What the plugin reads and changes of pytest's config."""

    def __init__(self, **option):
        """option: what differs from a run without options."""
        plain = {"tx": [], "dist": "no", "numprocesses": None, "keyword": "", "markexpr": "", "cell_profile": "default"}
        plain |= {"collectonly": False, "usepdb": False, "trace": False, "capture": "fd", "maxworkerrestart": None}
        workers = SimpleNamespace(pytest_xdist_auto_num_workers=lambda config: 3)
        super().__init__(option=SimpleNamespace(**plain | option), stash={}, hook=workers, registered=[])
        self.pluginmanager = SimpleNamespace(register=self.registered.append, has_plugin=lambda name: True)


@pytest.fixture(params=[1, 4], ids=["alone", "with threads"])
def threads(request, tmp_path, monkeypatch):
    """How many threads this process seems to have; nothing measures coverage."""
    for number in range(request.param):
        (tmp_path / str(number)).mkdir()
    monkeypatch.setattr(forks, "THREADS", tmp_path)
    monkeypatch.setitem(forks.sys.modules, "coverage", SimpleNamespace(Coverage=SimpleNamespace(current=lambda: None)))
    return request.param


@pytest.mark.parametrize(
    ("option", "number", "without"),
    [
        ({}, 3, 3),
        ({"keyword": "gradients"}, 3, 0),
        ({"cell_profile": "quick"}, 3, 0),
        ({"numprocesses": 2, "tx": ["popen"] * 2, "dist": "load", "keyword": "gradients"}, 2, 2),
        ({"numprocesses": 0}, 0, 0),
        ({"collectonly": True}, 0, 0),
        ({"capture": "no"}, 0, 0),
    ],
    ids=str,
)
def test_workers_are_started_where_that_saves_time(threads, option, number, without):
    """number: of forks; without: of workers of pytest-xdist where there can be no forks."""
    config = Config(**option)
    forks.pytest_configure(config)
    forked = [plugin.number for plugin in config.registered]
    assert forked == ([number] if threads == 1 and number else [])
    assert len(config.option.tx) == (0 if forked else without)
    assert config.option.numprocesses in (None, 0, 2, 3)  # of a text pytest-xdist cannot tell how many workers may be lost
    assert (config.option.dist != "no") == bool(config.option.tx)


def test_hosts_are_left_to_xdist(threads):
    """And so is any other choice of workers."""
    config = Config(tx=["popen", "ssh=alpha"], dist="load")
    forks.pytest_configure(config)
    assert not config.registered and config.option.tx == ["popen", "ssh=alpha"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_results_of_all_processes_are_told(tmp_path):
    """Each law once, the first broken one at once, little of what cells print, and a stop after the first failure."""
    (tmp_path / "guest.py").write_text(GUEST)
    options = ("--profile", "quick", "--reports=", "-k", "gradients and not float32", "-n2")
    run = cellcheck(tmp_path, "guest.py:RNN", "guest.py:Wrong", *options)
    assert run.returncode == 1 and not run.stderr
    before, _, after = run.stdout.partition("FAILURES")
    assert "\nweight_gradients: b[" in before
    assert "BROKEN: 1 law of 2 cells; 11 held" in after
    assert run.stdout.count("one line of Wrong") == 6 and " lines, and then" in after
    stopped = cellcheck(tmp_path, "guest.py:Wrong", *options, "-x")
    assert stopped.returncode != 0 and "stopping after 1 failures" in stopped.stdout


def test_a_guest_that_starts_threads_is_verified_by_as_many_workers_as_there_are_cores(tmp_path):
    """As frameworks do when they are imported; no worker starts workers of its own."""
    threaded = "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    (tmp_path / "guest.py").write_text(threaded + GUEST)
    run = cellcheck(tmp_path, "guest.py:RNN", "--reports=")
    assert run.returncode == 0, run.stdout
    assert "created: " in run.stdout and "HELD" in run.stdout
    config = Config()
    config.workerinput = {}
    forks.pytest_configure(config)
    assert not config.registered and not config.option.tx


FORKING = """
import multiprocessing, os, time
from guest import RNN

class Leaves(RNN):
    def apply(self, x, h):
        if len(x) > 4:  # not in the pre-flight
            multiprocessing.get_context("fork").Process(target=time.sleep, args=[1000], daemon=True).start()
        return super().apply(x, h)

class Crashes(RNN):
    def apply(self, x, h):
        if len(x) > 4:
            if not os.fork():
                time.sleep(1000)
            os._exit(3)
        return super().apply(x, h)

class Doubles(RNN):
    once = [None]
    def apply(self, x, h):
        if len(x) > 4 and self.once:
            self.once.clear()
            os.fork()  # and goes on in both
        return super().apply(x, h)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.parametrize(
    ("guest", "status", "said"), [("Leaves", 0, "HELD"), ("Crashes", 1, "its worker down twice"), ("Doubles", 0, "HELD")]
)
def test_a_guest_that_forks_does_not_hold_up_the_run(guest, status, said, tmp_path):
    """Neither a process that it leaves, nor one that outlives a crash, nor one that runs on in the law."""
    if "coverage" in sys.modules and sys.modules["coverage"].Coverage.current():
        pytest.skip("nothing is forked while coverage is measured")
    (tmp_path / "guest.py").write_text(GUEST)
    (tmp_path / "forking.py").write_text(FORKING)
    run = cellcheck(tmp_path, f"forking.py:{guest}", "--reports=", "-k", "weight_gradients", "-n2")
    assert run.returncode == status and said in run.stdout, run.stdout + run.stderr
