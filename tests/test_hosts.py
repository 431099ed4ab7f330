"""The ledger of a run: what was to run is counted, and what has no verdict makes the run fail."""

from types import SimpleNamespace

import pytest

from cellcheck import hosts

LAWS = ["test_gradients.py::test_a[LSTM]", "test_gradients.py::test_b[LSTM]"]


def session(reported=(), collectonly=False, **worker):
    """A session that collected LAWS, of which these have reported. worker: workerinput, in a worker."""
    stash = pytest.Stash()
    stash[hosts.LEDGER] = hosts.Ledger(reported=set(reported))
    config = SimpleNamespace(option=SimpleNamespace(collectonly=collectonly), stash=stash, **worker)
    found = SimpleNamespace(config=config, items=[SimpleNamespace(nodeid=law) for law in LAWS], exitstatus=pytest.ExitCode.OK)
    hosts.pytest_collection_finish(found)
    hosts.pytest_sessionfinish(found, found.exitstatus)
    return found


RUNS = {
    "all reported": (session(LAWS), pytest.ExitCode.OK),
    "one missing": (session(LAWS[:1]), pytest.ExitCode.TESTS_FAILED),
    "one missing, in a worker": (session(LAWS[:1], workerinput={}), pytest.ExitCode.OK),
    "nothing was to run": (session(collectonly=True), pytest.ExitCode.OK),
}


@pytest.mark.parametrize("run", RUNS)
def test_a_run_with_laws_missing_has_not_passed(run):
    """The process that counts says so; a worker has seen only its share."""
    ended, status = RUNS[run]
    assert ended.exitstatus == status


def test_what_is_missing_is_listed():
    """One line for each law without a verdict."""
    assert list(session(LAWS[:1]).config.stash[hosts.LEDGER].lines()) == ["INCOMPLETE: 1 of 2 have no verdict", f"    {LAWS[1]}"]
