"""All mutants, generated mutants and look-alikes of a catalogue under all laws and peers, on all cores."""

import os
import resource
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from multiprocessing import get_context

from cellcheck.cells import CELLS
from cellcheck.cells.modern import MODERN
from cellcheck.properties.intake.catalogue import laws
from cellcheck.properties.mutants import CLASSES, modern
from cellcheck.properties.mutants.generated import SUBJECTS, equivalent, generated
from cellcheck.properties.mutants.judge import examples, killed
from cellcheck.properties.mutants.lookalikes import LOOKALIKES
from cellcheck.properties.mutants.peers import PEERS, installed, rejects
from cellcheck.properties.verdicts.limits import Hang, limited

MEMORY = 10 * 2**30  # bytes of addresses, of which torch and jax take some from the start
PATIENCE = 60  # seconds that one law may take on a generated mutant
QUICK = 10  # examples of a law that does not name the mutant; the one that does has all of them
FIRST = (  # what kills most comes first: a generated mutant dies once
    "gradients_have_the_shapes_of_their_arrays",
    "equations_of_the_kind",
    "weight_gradients",
    "input_gradients",
    "state_gradients",
    "each_ragged_row_equals_its_solo_run",
    "a_sequence_is_its_steps",
)


@dataclass(frozen=True)
class Catalogue:
    """What is measured together. cells: what a mutant is made of, in a word; classes: mutants by class of bugs; files: of which
    all mutants are generated; lookalikes: correct cells; peers: names."""

    cells: str
    classes: dict
    files: tuple
    lookalikes: list
    peers: tuple


CATALOGUES = {  # by the name of the page
    "kills": Catalogue(
        "shipped",
        CLASSES,
        tuple(file for file in SUBJECTS if not file.startswith("modern")),
        LOOKALIKES,
        tuple(name for name in PEERS if name != "RMS ratio"),
    ),
    "kills-modern": Catalogue(
        "modern",
        modern.CLASSES,
        tuple(file for file in SUBJECTS if file.startswith("modern")),
        modern.LOOKALIKES,
        tuple(name for name in PEERS if name != "fixed data"),
    ),
}


@dataclass
class Row:
    """One mutant: its class of bugs and cell; the laws that killed it, those asked, the peers' verdicts."""

    name: str
    bugs: str
    cell: str
    law: str
    fault: str
    source: str
    deaths: dict = field(default_factory=dict)
    asked: list = field(default_factory=list)
    peers: dict = field(default_factory=dict)


@dataclass
class Matrix:
    """Everything that was measured. fates: of each generated mutant by file, the killing law, a reason, or None.

    alarms: of each look-alike, the laws that it broke and that are no promise of its hazards; hazards: those that are.
    """

    rows: list
    fates: dict
    alarms: dict
    hazards: dict
    peers: list


def measured(catalogue, processes=None, per_file=None, quick=QUICK):
    """The Matrix of a Catalogue, with all (or the first per_file) generated mutants of each file.

    processes: 1 for this one only, None for one on each core; quick: examples of a law that does not name the mutant.
    """
    peers = [name for name in catalogue.peers if name in installed()]
    edits = [(file, k) for file in catalogue.files for k in range(len(list(generated(file))[:per_file]))]
    mutants = [(bugs, mutant) for bugs, mutants in catalogue.classes.items() for mutant in mutants]
    jobs = [
        (partial(row, peers=peers, quick=quick), mutants),
        (partial(fate, quick=quick), edits),
        (partial(broken_by, quick=quick), catalogue.lookalikes),
    ]
    rows, fates, broken = _alone(jobs) if processes == 1 else _together(jobs, processes)
    by_file = {file: dict(f for f, (where, _) in zip(fates, edits) if where == file) for file in catalogue.files}
    looks = list(zip(catalogue.lookalikes, broken))
    alarms = {look.name: [n for n in found if n not in look.hazards] for look, found in looks}
    hazards = {look.name: [n for n in found if n in look.hazards] for look, found in looks}
    return Matrix(rows, by_file, alarms, hazards, peers)


def row(mutant, peers, quick=QUICK):
    """The Row of a mutant. mutant: its class of bugs, and itself; peers: names."""
    bugs, mutant = mutant
    Cell = mutant.cls
    found = Row(mutant.name, bugs, mutant.cell, mutant.law, mutant.fault, mutant.source)
    for name, law in laws().items():
        if law.applies(Cell):
            found.asked.append(name)
            death = killed(law, Cell, islice(examples(name), None if name == mutant.law else quick))
            if death:
                found.deaths[name] = death.examples, death.seconds
    found.peers = {name: rejects(installed()[name], Cell) for name in peers}
    return found


def fate(edit, quick=QUICK):
    """(key, the law that kills the generated mutant, or why nothing can, or None). edit: (file, position)."""
    mutant = _generated(edit[0])[edit[1]]
    if reason := equivalent(mutant.key):
        return mutant.key, f"equivalent: {reason}"
    return mutant.key, first_death(mutant, quick)


def first_death(mutant, quick=QUICK):
    """The first law that kills the mutant, all laws asked for a few examples before any is asked for all; None if none does."""
    order = [laws()[name] for name in (*FIRST, *(name for name in laws() if name not in FIRST))]
    for n in (quick, None):
        for cell in SUBJECTS[mutant.file]:
            Shipped = next(Cell for Cell in (*CELLS, *MODERN) if Cell.__name__ == cell)
            for law in order:
                try:
                    with limited(PATIENCE):
                        if cause := _cause(law, mutant.cls(cell), Shipped, islice(examples(law.name), n)):
                            return cause
                except Hang:
                    return f"{law.name} does not end"
                except Exception as error:  # it cannot even be made
                    return f"{type(error).__name__} before any law"
    return None


def _cause(law, Cell, Shipped, asked):
    """The name of the law, if it kills the cell or no longer applies to it."""
    if not law.applies(Cell):
        return f"{law.name} no longer applies" if law.applies(Shipped) else None
    return law.name if killed(law, Cell, asked) else None


def broken_by(look, quick=QUICK):
    """The laws that the look-alike breaks."""
    Cell = look.cls
    return [name for name, law in laws().items() if law.applies(Cell) and killed(law, Cell, islice(examples(name), quick))]


def _alone(jobs):
    """The results of each job, a function and its arguments, in this process."""
    return [[function(given) for given in arguments] for function, arguments in jobs]


def _together(jobs, processes):  # pragma: no cover (other processes are not watched)
    """The same on several cores, by default on all."""
    with get_context("spawn").Pool(processes or os.cpu_count(), _limited) as pool:
        waiting = [pool.map_async(function, arguments, chunksize=1) for function, arguments in jobs]
        return [results.get() for results in waiting]


def _limited():  # pragma: no cover
    """A mutant that asks for more and more memory raises MemoryError. Else the system ends the process, and its result never comes."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


_kept: dict[str, list] = {}


def _generated(file):
    """The generated mutants of a file, made once in each process."""
    return _kept.setdefault(file, _kept.get(file) or list(generated(file)))
