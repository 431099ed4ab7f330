"""Whatever a guest does to its process, the run ends, with an exit status that is right and a screen that says what was running.

Each run is a process of its own.
"""

import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from cellcheck.journal import Journal, Words
from cellcheck.supervisor import wanted
from tests.test_command_line import ROOT, cellcheck

GUEST = """
import atexit, ctypes, itertools, os, shutil, signal, sys, tempfile, threading, time
import numpy as np
from cellcheck import journal

class RNN:
    def __init__(self, features, state):
        self.W, self.U, self.b = np.full((features, state), .3), np.full((state, state), .2), np.zeros(state)
        self.weights = [self.W, self.U, self.b]

    def apply(self, x, h):
        y = np.tanh(x @ self.W + h @ self.U + self.b)
        self.cache = x.copy(), h.copy(), y.copy()
        if len(x) > 4:  # not in the pre-flight
            self.act()
        return (y,)

    def vjp(self, d):
        x, h, y = self.cache
        z = d * (1 - y**2)
        return [x.T @ z, h.T @ z, z.sum(0)], z @ self.W.T, [z @ self.U.T]

    def act(self):
        pass

class Exits(RNN):
    def act(self): os._exit(0)

class Crashes(RNN):
    def act(self): ctypes.string_at(0)

class Impatient(RNN):  # the alarm rings soon after the limit
    def __init__(self, *sizes): super().__init__(*sizes); journal.GRACE = .1

class Hangs(Impatient):  # where no signal handler runs
    def act(self): sum(itertools.repeat(0))

class Waits(Impatient):  # likewise, without burning the processor
    def act(self): signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM]); time.sleep(1000)

class Swallows(RNN):
    def act(self):
        while True:
            try: time.sleep(.01)
            except: pass

class Quits(RNN):
    def act(self): sys.exit(0)

class Skips(RNN):
    def act(self): import pytest; pytest.skip("not today")

class Leaves(RNN):
    def act(self): import pytest; pytest.exit("bye", returncode=0)

class Interrupts(RNN):
    def act(self):
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it for what it runs in the background
        os.kill(os.getpid(), signal.SIGINT); time.sleep(9)

class Patches(RNN):
    def act(self): np.tanh = np.sin

class Overrules(RNN):  # wrong, and would hide it at the very end
    def __init__(self, *sizes): super().__init__(*sizes); atexit.register(os._exit, 0)
    def vjp(self, d): W, x, h = super().vjp(d); return [2 * g for g in W], x, h

class Threads(RNN):
    def __init__(self, *sizes):
        super().__init__(*sizes)
        journal.LINGER = .5
        if threading.active_count() < 5: threading.Thread(target=time.sleep, args=[1000]).start()

class Unchecked(RNN):  # as compiled code that reads beyond its arrays
    def apply(self, x, h):
        if x.shape[1] != len(self.W) or x.dtype == np.float32: ctypes.string_at(0)
        return super().apply(x, h)

class Untidy(RNN):
    def apply(self, x, h):
        folder = tempfile.mkdtemp(); os.chdir(folder); shutil.rmtree(folder)
        sys.stdout.close(); sys.stderr.buffer.close(); np.seterr(divide="raise")
        return super().apply(x, h)
"""
HOPELESS = {  # what a module does when it is imported; the exit status; what is said
    "import os; os._exit(0)": (1, "it was importing guest.py:Cell\n    when its process exited with status 0"),
    "while True: pass": (4, "ERROR: --cell guest.py:Cell: importing it took more than 1 s; --limit SECONDS allows more"),
    "import pytest; pytest.skip('no torch', allow_module_level=True)": (4, "importing it raised Skipped: no torch"),
    "import numpy; numpy.tanh = numpy.sin": (4, "replaces numpy.tanh; keep NumPy as it is"),
}
DEADLY = {  # the exit status; what is said
    "Exits": (1, "when its process exited with status 0"),
    "Crashes": (128 + signal.SIGSEGV, 'when SIGSEGV ended it\n    File "'),
    "Hangs": (1, 'when it took too long and could not be interrupted\n    File "'),
}
WRONG = {  # what is said
    "Swallows": "Swallows breaks the law weight_gradients: it took more than 1 s at Problem(batch=",
    "Quits": "raised RuntimeError: the cell raised SystemExit: 0",
    "Skips": "RuntimeError: the cell raised Skipped: not today",
    "Leaves": "raised RuntimeError: the cell raised Exit: bye",
    "Patches": "guest.py:Patches: it replaces numpy.tanh; keep NumPy as it is",
}
QUICK = ("--reports=", "--limit", "1", "-k", "weight_gradients")
WORKER = ("-n1", "--max-worker-restart=9")


def at_once(folder, *runs, source=GUEST):
    """(exit status, standard output, standard error) of each run of the command. runs: the arguments of each; source: of the guests."""
    (folder / "guest.py").write_text(source)
    with ThreadPoolExecutor() as pool:
        done = pool.map(lambda arguments: cellcheck(folder, *QUICK, *arguments), runs)
        return [(d.returncode, d.stdout, d.stderr) for d in done]


@pytest.mark.parametrize("source", HOPELESS)
def test_a_module_that_ends_or_stops_its_import_is_named(source, tmp_path):
    """With workers or without: the first process imports it before there are any."""
    status, text = HOPELESS[source]
    for got, out, error in at_once(tmp_path, ["guest.py:Cell"], ["guest.py:Cell", *WORKER], source=source):
        assert got == status and text in error
        assert not out and len(error.splitlines()) <= 4


def test_a_law_that_ends_its_process_is_named(tmp_path):
    """With its cell, its problem and how the process ended, on one screen."""
    for guest, (got, out, error) in zip(DEADLY, at_once(tmp_path, *([f"guest.py:{guest}", "-n0"] for guest in DEADLY))):
        status, text = DEADLY[guest]
        assert got == status
        assert f"it was running the law weight_gradients of guest.py:{guest}\n    with Problem(batch=" in error and text in error
        assert len((out + error).splitlines()) <= 24


def test_a_law_that_ends_its_worker_is_named(tmp_path):
    """A law runs again, unless it hung; then the other laws of the cell are skipped, and those of other cells run."""
    guests = [f"guest.py:{name}" for name in ("Crashes", "Waits", "RNN")]
    alone, several = ["guest.py:Exits", *WORKER], [*guests, *WORKER, "-k", "weight_gradients or vjp_is_linear", "-v"]
    (status, screen, _), (worse, out, error) = at_once(tmp_path, alone, several)
    assert status == worse == 1 and not error
    assert "it was running the law weight_gradients of guest.py:Exits\n    with Problem(batch=" in screen
    assert len(screen.splitlines()) <= 50
    for guest, how in {"Crashes": "took its worker down twice", "Waits": "took too long and could not be interrupted"}.items():
        assert f"of guest.py:{guest}\n    with Problem(batch=" in out
        assert f"[guest.py:{guest}] {how}" in out
        assert re.search(f"{guest}[^:]*: not verified: the cell ended its process in an earlier law", out)
    assert out.count(" RERUN ") == 1
    rnn = "cellcheck/test_gradients.py::test_weight_gradients[guest.py:RNN]"
    assert f"PASSED {rnn}" in out or f"{rnn} PASSED" in out


def test_a_run_that_is_ended_from_outside_says_that_it_ran_the_laws(tmp_path):
    """The process that waits for its workers, too."""
    kills = GUEST.replace("os._exit(0)", "os.kill(os.getppid(), signal.SIGTERM), time.sleep(9)")
    [(status, _, error)] = at_once(tmp_path, ["guest.py:Exits", "--dist=loadfile", *WORKER], source=kills)
    assert status == 128 + signal.SIGTERM and "it was running the laws\n    when SIGTERM ended it" in error


def test_a_cell_that_ends_its_process_at_unusual_arguments_holds_all_the_rest(tmp_path):
    """In workers and in a script: these laws come last, and a process that they end is a hazard, but no pass with --strict."""
    (tmp_path / "script.py").write_text(
        "import sys, cellcheck, guest\n"
        "r = cellcheck.check(guest.Unchecked, 'quick', strict=len(sys.argv) > 1)\n"
        "print(r.verdicts['wrong_features_are_refused'], r.verdicts['float32_outputs'], r.held)\n"
    )
    runs = [
        ["guest.py:Unchecked", "-k", "", "--profile", "quick", "--limit", "60", *how]
        for how in (["-n2"], ["-n1"], ["-n2", "--strict"])
    ]
    (status, forked, _), (same, remote, _), (strict, told, _) = at_once(tmp_path, *runs)
    assert (status, same, strict) == (0, 0, 1), forked + remote
    for out in (forked, remote):
        assert all(f"    {law}: the process ended" in out for law in ("a_refusal_changes_nothing", "dtypes_are_kept"))
        assert "not verified: the cell ended" not in out
        assert re.search(r"HELD: \d\d laws of Unchecked .* \d hazards", " ".join(out.split()))
    assert "incomplete: its worker crashed" in told
    for how, said in {(): "hazard hazard True", ("strict",): "broken broken False"}.items():
        script = [sys.executable, "script.py", *how]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")} | {
            "PYTHONPATH": str(ROOT)
        }
        done = subprocess.run(script, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == said


def test_what_would_end_or_skip_a_law_fails_it(tmp_path):
    """And what it changes of the process is put back: a correct cell that closes the standard streams still holds the law."""
    cells = [f"guest.py:{guest}" for guest in (*WRONG, "Untidy", "Overrules")]
    for status, out, error in at_once(tmp_path, cells, [*cells, *WORKER]):
        assert status == 1 and not error
        assert [text for text in WRONG.values() if text not in " ".join(out.split())] == []
        assert "BROKEN: 6 laws of 7 cells; 1 held" in out and "[guest.py:Untidy]" not in out
        for what in ("sys.stdout or sys.stderr", "the floating-point error handling of NumPy", "the working directory"):
            assert f"guest.py:Untidy: hazard: changes {what}, which is restored" in " ".join(out.split())


def test_an_interrupt_leaves_the_run_incomplete(tmp_path):
    """As when the user types it."""
    for status, out, _ in at_once(tmp_path, ["guest.py:Interrupts"], ["guest.py:Interrupts", *WORKER]):
        assert status == 2 and "INCOMPLETE: 1 of 1 have no verdict" in out and "test_weight_gradients[guest.py:Interrupts]" in out


def test_a_thread_that_runs_on_does_not_hold_up_the_run(tmp_path):
    """The verdict counts, and one line says why the end took longer."""
    for status, out, error in at_once(tmp_path, ["guest.py:Threads"], ["guest.py:Threads", *WORKER]):
        assert status == 0 and "HELD: 1 law of Threads" in out
        assert error == "cellcheck: a thread of a guest was still running after the run; it was ended\n"


def test_coverage_is_measured_in_a_supervised_run(tmp_path):
    """The process that measures is the one that runs the laws, and only its data are written."""
    pytest.importorskip("coverage")
    (tmp_path / "guest.py").write_text(GUEST)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV"))}
    environment |= {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    coverage = [sys.executable, "-m", "coverage"]
    steps = [
        [*coverage, "run", "--rcfile=", "--source=.", "-m", "cellcheck", "guest.py:RNN", *QUICK],
        [*coverage, "report", "--rcfile="],
    ]
    first, second = (subprocess.run(s, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300) for s in steps)
    assert first.returncode == 0, first.stdout + first.stderr
    assert second.stdout.splitlines()[-1].split()[-1] != "0%", second.stdout
    assert [path.name for path in tmp_path.glob(".coverage*")] == [".coverage"]


def config(cell=("guest.py:RNN",), **option):
    """What `wanted` reads of pytest's config, for a run whose arguments are those of this process."""
    option = SimpleNamespace(**{"cell": cell, "usepdb": False, "trace": False, **option})
    params = SimpleNamespace(args=tuple(sys.argv[1:]))
    return SimpleNamespace(
        option=option, invocation_params=params, args_source=None, ArgsSource=SimpleNamespace(ARGS="arguments")
    )


def test_a_run_is_supervised_if_it_can_be(monkeypatch):
    """It verifies guests, is the whole program, can fork, and nobody debugs it."""
    monkeypatch.setattr("threading.active_count", lambda: 1)
    assert wanted(config())
    assert not wanted(config(cell=()))
    assert not wanted(config(usepdb=True)) and not wanted(config(trace=True))
    monkeypatch.setattr(sys, "argv", ["script.py", "other arguments"])
    monkeypatch.setattr("tests.test_ending_early.sys.argv", ["/v/bin/cellcheck", "guest.py:RNN"])
    assert wanted(config())
    monkeypatch.setattr("threading.active_count", lambda: 2)
    assert not wanted(config())
    monkeypatch.setattr("threading.active_count", lambda: 1)
    monkeypatch.delattr(os, "fork")
    assert not wanted(config())


def test_a_journal_outlives_its_process(tmp_path):
    """And another process that a guest forks does not write into it."""
    child = os.fork()
    if not child:
        mine = Journal(tmp_path, "gw0")
        mine.begin("running a law")
        mine.step(("x", 3), 60)
        if not os.fork():
            mine.begin("running something else")
            os._exit(0)
        os.wait()
        os._exit(0)
    os.waitpid(child, 0)
    words = Words(tmp_path, "gw0")
    assert words.lines("it ended") == ["    it was running a law", "    with ('x', 3)", "    when it ended"]


def test_without_its_folder_a_journal_says_nothing(tmp_path):
    """As on another host."""
    journal = Journal(tmp_path / "elsewhere", "gw0")
    journal.begin("running a law")
    os.close(journal.trace)
    words = Words(tmp_path / "elsewhere", "gw0")
    assert (words.what, words.inputs, words.rang, words.frames) == ("", "", False, [])
