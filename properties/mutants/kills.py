"""python -m cellcheck.properties.mutants.kills [DIRECTORY [NAME ...]]: run all mutants under all laws and peers, write pages.

NAME: a page, by default all: kills, of the shipped cells, and kills-modern. Each has a table NAME.md and a picture NAME.svg.
"""

import os
import platform
import sys
from collections import Counter
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from time import perf_counter

from cellcheck.properties.intake.catalogue import laws
from cellcheck.properties.mutants.judge import EXAMPLES
from cellcheck.properties.mutants.matrix import CATALOGUES, QUICK, measured
from cellcheck.properties.mutants.picture import kills

OURS = "Cellcheck"
REFERENCE = "it asks for a reference; the cells that it alone refuses are in tests/test_references.py"
UNCUT = "it needs a sequence that cannot be cut; the cells that only this law refuses are in tests/test_looking_ahead.py"
LOSS = "it needs a loss; the cell that only this law refuses is in tests/test_from_outside.py"
ROUNDED = (
    "in a cell of known equations, these refuse it as well; the cells that only this law refuses are in tests/test_resolution.py"
)
BECAUSE = {"reference": REFERENCE, "uncut": UNCUT, "loss": LOSS, "float64": ROUNDED}
STAYS = {law.name: BECAUSE[need] for law in laws().values() for need in BECAUSE if need in law.needs}  # that no mutant names
DESCRIBED = {  # peers
    "the gist's check": "central differences of the sum output, weights only, line at 1e-3; a NaN passes it.",
    "fixed data": "outputs for constant weights and zero states, as in ONNX's node cases.",
    "torch gradcheck": "`torch.autograd.gradcheck` with its defaults, all arrays and outputs; fast: along one direction.",
    "jax check_grads": "order 1, reverse mode, 64 bits. Neither it nor gradcheck knows what the cell should compute.",
    "RMS ratio": "flash-linear-attention's `assert_close`: outputs, states and gradients of 63 steps in float32 against the "
    "unrolled step; the root mean square of the error must be below 0.005 of theirs.",
}
DOCS = Path(__file__).parents[2] / "docs"


def main(directory=DOCS, *names, catalogues=CATALOGUES, **chosen):
    """Measure, write the pages into the directory, and return 1 if anything lives that should not, or dies that should."""
    directory, failed = Path(directory), False
    directory.mkdir(exist_ok=True, parents=True)
    for name in names or catalogues:
        start, catalogue = perf_counter(), catalogues[name]
        matrix = measured(catalogue, **chosen)
        seconds = perf_counter() - start
        (directory / f"{name}.md").write_text(markdown(matrix, catalogue, seconds, name, **chosen), encoding="utf-8")
        (directory / f"{name}.svg").write_text(kills(matrix, groups(), totals(matrix.rows, matrix.peers)), encoding="utf-8")
        failures = broken(matrix)
        print(*summary(matrix), *failures, f"{name}: {seconds:.0f} s", sep="\n")
        failed |= bool(failures)
    return int(failed)


def broken(matrix):
    """What contradicts the claim that every mutant dies, by the law that names it, and nothing else does."""
    lives = [f"{row.name} survives {row.law}" for row in matrix.rows if row.law not in row.deaths]
    unexplained = [f"generated, unexplained: {key}" for fates in matrix.fates.values() for key, fate in fates.items() if not fate]
    alarms = [f"{name} is correct but breaks {', '.join(names)}" for name, names in matrix.alarms.items() if names]
    return lives + unexplained + alarms


def groups():
    """The names of the laws by group."""
    found: dict[str, list] = {}
    for name, law in laws().items():
        found.setdefault(law.group, []).append(name)
    return found


def killers(row, peers):
    """Whether each checker kills the mutant: ours, then the peers."""
    return {OURS: bool(row.deaths), **{name: row.peers[name] for name in peers}}


def totals(rows, peers):
    """(checker, killed, asked) for ours and each peer."""
    return [(name, sum(killers(row, peers)[name] for row in rows), len(rows)) for name in (OURS, *peers)]


def table(head, rows):
    """A table in Markdown."""
    return [
        "",
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
        *("| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows),
    ]


def summary(matrix):
    """The summary table: killed of asked, by class of bugs and checker."""
    lines = []
    for bugs in dict.fromkeys(row.bugs for row in matrix.rows):
        rows = [row for row in matrix.rows if row.bugs == bugs]
        lines.append([bugs, len(rows), *(killed for _, killed, _ in totals(rows, matrix.peers))])
    everything = totals(matrix.rows, matrix.peers)
    shares = [f"**{killed}** ({100 * killed // asked} %)" for _, killed, asked in everything]
    return table(["bugs", "mutants", OURS, *matrix.peers], [*lines, ["all", len(matrix.rows), *shares]])


def markdown(matrix, catalogue, seconds, name, processes=None, **_):
    """The whole report of a Catalogue; name: of its picture, without .svg."""
    costs = [row.deaths[row.law] for row in matrix.rows if row.law in row.deaths]
    cost = f"{median(c[0] for c in costs):g} and {1000 * median(c[1] for c in costs):.0f} ms" if costs else "none"
    lines = [
        f"# What the laws kill of the {catalogue.cells} cells, and what others kill",
        "",
        f"Written by `tox -e kills` in {seconds:.0f} s on {processes or os.cpu_count()} of {os.cpu_count()} cores, {_versions()}.",
        f"A mutant is a {catalogue.cells} cell with one edit that recreates a bug seen in the field, or one of our own. The law that",
        f"names its fault has {EXAMPLES} examples, derandomised; any other {QUICK}. Examples and time until that law kills a mutant, in the",
        f"median: {cost}. Every checker sees the same forward and backward, and each peer accepts",
        f"all {catalogue.cells} cells.",
        *summary(matrix),
        "",
        *(f"- **{peer}**: {DESCRIBED[peer]}" for peer in matrix.peers if peer in DESCRIBED),
        "",
        f"![mutants killed by each law and each checker]({name}.svg)",
        *_generated(matrix),
        *_lookalikes(matrix, catalogue.lookalikes),
        *_laws(matrix),
        *_mutants(matrix),
    ]
    return "\n".join(lines) + "\n"


def _versions():
    found = [f"Python {platform.python_version()}"]
    for name in ("numpy", "hypothesis", "torch", "jax"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"{name} not installed")
    return ", ".join(found)


def _generated(matrix):
    counts = []
    for file, fates in matrix.fates.items():
        explained = sum(str(fate).startswith("equivalent: ") for fate in fates.values())
        lives = sum(fate is None for fate in fates.values())
        counts.append([f"cells/{file.replace('.', '/')}.py", len(fates), len(fates) - explained - lives, explained, lives])
    reasons = [
        [f"`{key}`", fate.removeprefix("equivalent: ")]
        for fates in matrix.fates.values()
        for key, fate in fates.items()
        if str(fate).startswith("equivalent: ")
    ]
    everything = ["all", *(sum(row[k] for row in counts) for k in range(1, 5))]
    return [
        "",
        "## Generated mutants",
        "",
        "Every single edit of the syntax tree by rule: operators, operands, indices, constants, arguments, names, statements.",
        *table(["file", "mutants", "killed", "explained", "unexplained"], [*counts, everything]),
        "",
        "Those that no law kills, and why: most compute the same thing, and for a few the tests that kill them are named.",
        *table(["edit", "why no law can kill it"], reasons),
    ]


def _lookalikes(matrix, lookalikes):
    by_name = {look.name: look for look in lookalikes}
    rows = [
        [name, by_name[name].why, ", ".join(alarms) or "none", ", ".join(matrix.hazards[name]) or "none"]
        for name, alarms in matrix.alarms.items()
    ]
    return [
        "",
        "## Correct cells that look wrong",
        "",
        f"{len(rows)} of them, {QUICK} examples a law; a hazard is a promise that the cell breaks.",
        *table(["cell", "looks wrong for", "alarms", "hazards"], rows),
    ]


def _laws(matrix):
    kills, alone, named = Counter(), Counter(), Counter(row.law for row in matrix.rows)
    for row in matrix.rows:
        kills.update(row.deaths.keys())
        if len(row.deaths) == 1:
            alone.update(row.deaths.keys())
    rows = [
        [name, law.group, named[name], kills[name], alone[name], STAYS.get(name, "")]
        for name, law in laws().items()
        if kills[name] or name in STAYS
    ]
    return [
        "",
        "## Laws",
        "",
        "named: mutants that this law, and no other, is asked to kill; alone: mutants that no other law kills.",
        *table(["law", "group", "named", "kills", "alone", "stays because"], rows),
    ]


def _mutants(matrix):
    rows = []
    for row in matrix.rows:
        examples = row.deaths.get(row.law, ("-",))[0]
        others = ", ".join(sorted({laws()[name].group for name in row.deaths if name != row.law}))
        peers = ["killed" if row.peers[name] else "" for name in matrix.peers]
        rows.append([row.name, row.cell, f"{row.fault} ({row.source})", row.law, examples, others, *peers])
    head = ["mutant", "cell", "fault (seen in)", "law that names it", "examples", "also killed by", *matrix.peers]
    return ["", "## Mutants", *table(head, rows)]


if __name__ == "__main__":  # pragma: no cover (minutes; main is tested)
    sys.exit(main(*sys.argv[1:]))
