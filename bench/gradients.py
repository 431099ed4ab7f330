"""Full verification of all gradients: its cost in forward passes, and the smallest error that it detects."""

import warnings
from dataclasses import dataclass
from functools import partial

import numpy as np

from bench import checkers
from bench.checkers import FRAMEWORKS, MOST, OURS, affordable, every_entry, frameworks, loop
from bench.clock import once, seconds
from bench.subjects import CELLS, SIZES, Subject, median, smallest_detected

LOOP = "the gist's loop (weights only)"
NAMES = [*OURS, LOOP, *FRAMEWORKS]


@dataclass
class Cost:
    """One checker on one subject: seconds, of which `forward` is one forward pass, and the smallest errors detected."""

    checker: str
    cell: str
    sizes: tuple
    parameters: int
    forward: float
    seconds: float
    in_gate: float | None = None
    in_entry: float | None = None
    worst: float | None = None  # of all gates and arrays, for ours
    agreement: float | None = None  # of the worst block, for ours
    note: str = ""

    @property
    def forwards(self):
        """The cost in forward passes."""
        return self.seconds / self.forward


def costs(sizes=SIZES, cells=CELLS, detect=True):
    """A Cost for each checker that can be asked, cell and size."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [cost for Cell in cells for size in sizes for cost in of_subject(Subject(Cell, size), detect)]


def of_subject(subject, detect):
    """The costs on one subject, each next to a forward pass that is timed again beside it."""
    common = (subject.Cell.__name__, subject.sizes, subject.parameters)
    for name, check in OURS.items():
        forward, spent = beside(subject, partial(check, subject))
        cost = Cost(name, *common, forward, spent)
        if detect:
            cost.in_gate, cost.in_entry = detected(subject, check)
            cost.worst = max(smallest_detected(rejecting(subject, check, r)) or np.inf for r in subject.regions)
            cost.agreement = agreement(subject, name)
        yield cost
    yield of_loop(subject, common, detect)
    for name, check in frameworks().items():
        if affordable(name, subject):
            forward, spent = beside(subject, partial(check, subject), tries=2)
            yield Cost(name, *common, forward, spent, *(detected(subject, check) if detect and spent < 2 else ()))


def of_loop(subject, common, detect):
    """The loop; timed on some entries where there are many, and scaled."""
    entries = list(every_entry(subject.cell))
    chosen = entries[:: -(-len(entries) // MOST)] if len(entries) > MOST else None
    found = dict.fromkeys([loop(subject, [e]) for e in chosen or entries])
    tried = chosen or entries

    def timed():
        for entry in tried:  # one by one, since the loop stops where it rejects
            one_entry(subject, *entry)

    forward, spent = beside(subject, timed, tries=2)
    note = "rejects a correct cell" if True in found else ""
    cost = Cost(LOOP, *common, forward, spent * len(entries) / len(tried), note=note)
    if chosen:
        cost.note = ", ".join(filter(None, [f"timed on {len(tried)} of {len(entries)} entries, scaled", note]))
    if detect:
        region = subject.gate
        entry = (region.k, median(subject.cell.weights[region.k], region))
        cost.in_gate = cost.in_entry = smallest_detected(lambda error: loop(subject.wrong(region, error), [entry]))
    return cost


def one_entry(subject, k, index):
    """What the loop does for one entry: two forward passes."""
    w, inputs = subject.cell.weights[k], (subject.x, *subject.state)
    kept = w[index]
    for moved in (kept + checkers.EPSILON, kept - checkers.EPSILON):
        w[index] = moved
        subject.cell.guest.forward(*inputs)
    w[index] = kept


def beside(subject, check, tries=7):
    """(seconds of a forward pass, seconds of the check), timed in turn: the least of each."""
    check()
    first = once(check)
    forward = spent = np.inf
    for _ in range(tries if first < 1 else 1):
        forward = min(forward, seconds(lambda: subject.cell.apply(subject.x, *subject.state), 3, 0.004))
        spent = min(spent, seconds(check, 2, 0.01) if first < 0.5 else once(check))
    return forward, spent


def detected(subject, check):
    """The smallest relative error of a gate, and of its median entry, that the check rejects."""
    return tuple(smallest_detected(rejecting(subject, check, subject.gate, entry)) for entry in (False, True))


def rejecting(subject, check, region, entry=False):
    """rejects(error): of the subject whose gradients are wrong by it."""
    return lambda error: check(subject.wrong(region, error, entry))


def agreement(subject, name):
    """The worst relative difference of claim and derivative over all blocks that get a verdict."""
    judge = checkers.asked(subject)
    if name == "two directions through everything":
        return max(b.agreement for b in judge.aligned())
    if name == "a direction per array":
        return max(judge.verdict("", {k: judge.signed(k)}).agreement for k in judge.directions)
    parts = [(r.k, [(i, judge.signed(r.k)[i], 1.0) for i in r.indices]) for r in judge.regions]
    return max(judge.verdict("", {k: part}).agreement for k, part in parts)


def slope(costs):
    """The slope of log seconds against log parameters, by least squares; None for fewer than two points."""
    points = [(np.log(c.parameters), np.log(c.seconds)) for c in costs]
    return float(np.polyfit(*zip(*points), 1)[0]) if len(points) > 1 else None
