"""A run over many workers or hosts: what was lost is run again, and what has no verdict is listed."""

from types import SimpleNamespace

import pytest
from cellcheck.properties.certificate import Collector

from cellcheck.hosts import Hosts

LAWS = [f"properties/test_gradients.py::test_{law}[LSTM]" for law in ("weight_gradients", "input_gradients")]


@pytest.fixture
def hosts():
    """The plugin in a run that is to verify LAWS."""
    collector = Collector()
    collector.expect(LAWS)
    return Hosts(SimpleNamespace(option=SimpleNamespace(collectonly=False), stash={}), collector)


def held(hosts, law, host):
    """Let a law hold on this host."""
    hosts.collector.found[law] = {"host": host, "examples": 20}


def crashed(hosts, law):
    """(outcome, whether it is to run again) of a law whose worker was lost."""
    again, node = [], SimpleNamespace(gateway=SimpleNamespace(id="gw1"))
    report = SimpleNamespace(nodeid=law, outcome="failed", node=node)
    hosts.pytest_handlecrashitem(law, report, SimpleNamespace(mark_test_pending=again.append))
    return report.outcome, again == [law]


def test_what_is_missing_is_listed(hosts):
    """One line for each law without a verdict."""
    held(hosts, LAWS[0], "alpha")
    assert list(hosts.lines()) == ["INCOMPLETE: 1 of 2 have no verdict", f"    {LAWS[1]}"]
    hosts.config.option.collectonly = True
    assert list(hosts.lines()) == []


def test_a_law_whose_worker_is_lost_runs_again_once(hosts):
    """The second time it is a failure, and so is at once any other test than a law."""
    assert crashed(hosts, LAWS[0]) == ("rerun", True)
    assert f"run again: {LAWS[0]} (worker gw1 was lost while running it), without a verdict" in list(hosts.lines())
    assert crashed(hosts, LAWS[0]) == ("failed", False)
    assert crashed(hosts, "tests/test_mine.py::test_it") == ("failed", False)
    assert f"    {LAWS[0]}: took its worker down twice" in list(hosts.lines())


def test_a_cell_that_ends_several_workers_is_broken(hosts):
    """Though each law held when it ran again; once may be by accident, and of another host the machine may be the cause."""
    hosts.places = {"gw1": SimpleNamespace(popen=True)}
    for n, law in enumerate(LAWS):
        crashed(hosts, law)
        hosts.collector.found[law] = {"verdict": "held", "host": "", "examples": 20}
        assert hosts.crashed == (LAWS if n else [])
    hosts.ended = hosts.crashed
    assert list(hosts.lines())[-1].startswith("a cell must not end its process: the 2 laws that did so count as broken")
    hosts.collector.found[LAWS[1]]["verdict"] = "broken"
    assert hosts.crashed == []


def test_workers_of_a_host_that_is_gone_do_not_count(hosts):
    """Its cells are not to blame."""
    hosts.places = {"gw1": SimpleNamespace(popen=False)}
    for law in LAWS:
        crashed(hosts, law)
        hosts.collector.found[law] = {"verdict": "held", "host": "", "examples": 20}
    assert hosts.crashed == []


def test_each_host_has_its_share(hosts):
    """Where any worker is on another host."""
    for law, host in zip(LAWS, ("beta", "alpha")):
        held(hosts, law, host)
    assert list(hosts.lines()) == []
    hosts.remote = True
    assert list(hosts.lines()) == ["alpha: 1 laws, 20 examples", "beta: 1 laws, 20 examples"]


def test_a_worker_that_was_turned_away_is_known_to_the_scheduler(hosts):
    """One that is known already stays."""
    scheduler = SimpleNamespace(nodes=["gw0"])
    scheduler.add_node = scheduler.nodes.append
    hosts.config = SimpleNamespace(pluginmanager=SimpleNamespace(getplugin=lambda name: SimpleNamespace(sched=scheduler)))
    for node in ("gw0", "gw1"):
        hosts.pytest_xdist_node_collection_finished(node)
    assert scheduler.nodes == ["gw0", "gw1"]


def test_the_heading_says_what_is_below_it(hosts):
    """Laws that were left out, or processes that ended."""
    headings = []
    terminal = SimpleNamespace(section=headings.append, write_line=lambda text: None)
    hosts.pytest_terminal_summary(terminal)
    crashed(hosts, LAWS[0])
    hosts.pytest_terminal_summary(terminal)
    assert headings == ["without a verdict", "processes that ended"]
