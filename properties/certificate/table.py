"""The table that ends every run, the short form of the certificate: cell by group, what held, on how many examples."""

from collections import Counter

from cellcheck.properties.certificate.data import PARTS, status, status_of_cell, uncertified, unseen, verdict_of
from cellcheck.properties.intake.capabilities import NEEDS
from cellcheck.properties.intake.catalogue import grouped, rank
from cellcheck.properties.writing.text import WIDTH, folded, several

VERDICTS = {  # heading of the column: what is counted there; those in ALWAYS have theirs even when it is empty
    "held": "held",
    "vacuous": "vacuous",
    "broken": "broken",
    "hazards": "hazard",
    "expected": "expected",
    "incomplete": "incomplete",
    "not verified": "not verified",
}
NAMES = {"weights": "the weights", "x": "x", "states": "the states"}
OFFERED = {"weight_gradients": "weights", "input_gradients": "x", "state_gradients": "state"}  # the need of each law
ALWAYS = ("held", "broken", "not verified")
FIGURES = ("examples", "certified", "of bound", "power")
SPARED = ("of bound", "certified", "power")  # the columns to leave out where the table is too wide, the first one first


def lines(results):
    """The table of `results`, dicts with cell, group, law, verdict, reason, examples, power, and verdicts of blocks."""
    names = short_names(dict.fromkeys(r["cell"] for r in results))
    seen = set(map(verdict_of, results))
    heads = [head for head, verdict in VERDICTS.items() if head in ALWAYS or verdict in seen] + list(FIGURES)
    rows = []
    for cell, name in names.items():
        ours = [r for r in results if r["cell"] == cell]
        rows.append({"": name, **_figures(ours)})
        for group in sorted({r["group"] for r in ours}, key=rank):
            rows.append({"": f"  {group}", **_figures([r for r in ours if r["group"] == group])})
    table = _laid_out(rows, heads)
    return [*sources(names), *table, *notes(results, names), *thin(results, names), *folded([sentence(results)])]


def sentence(results):
    """The verdict in one sentence: HELD: 38 laws of MyRNN on 3,800 examples; 17 not verified."""
    names = short_names(dict.fromkeys(r["cell"] for r in results))
    count, whole = Counter(map(verdict_of, results)), status(results)
    of = f"of {next(iter(names.values())) if len(names) == 1 else f'{len(names)} cells'}"
    of_cell = {cell: [r for r in results if r["cell"] == cell] for cell in names}
    bare = {name: cell for cell, name in names.items() if status_of_cell(of_cell[cell]) == "not verified"} or names
    n = count.pop(whole) if whole != "not verified" else 0
    laws = f"{n} law{'s' * (n != 1)} {of}"
    said = {
        "held": f"HELD: {laws} on {sum(r['examples'] for r in results):,} examples",
        "broken": f"BROKEN: {laws}",
        "incomplete": f"INCOMPLETE: {laws} without a verdict",
        "not verified": f"NOT VERIFIED: no law of {', '.join(bare)} certified anything",
    }[whole]
    if whole == "not verified" and all(uncertified(of_cell[cell]) for cell in bare.values()):
        lost = list(dict.fromkeys(name for cell in bare.values() for name in unseen(of_cell[cell])))
        of_some = f" of {several(lost)}" if lost else ""
        said = f"NOT VERIFIED: {', '.join(bare)} offers gradients{of_some}, and none of them was certified"
    rest = ", ".join(
        f"{count[verdict]:,} {verdict}{'s' * (verdict == 'hazard' and count[verdict] > 1)}"
        for verdict in VERDICTS.values()
        if count[verdict]
    )
    free = "; the equations were not verified" if whole == "held" and all(map(_free, of_cell.values())) else ""
    if whole == "held":
        notes = {}
        for cell, name in names.items():
            for note in _unverified(of_cell[cell]):
                notes.setdefault(note, []).append(name)
        free += "".join(f"; {note}" + f" for {', '.join(some)}" * (len(some) < len(names)) for note, some in notes.items())
    if whole == "held" and (only := {r["only"] for r in results if r.get("only")}) and len(names) == 1:
        free += f"; at other sizes than {min(only)} it raises"
    if whole == "held" and len(names) == 1 and (idle := _idle(results)):
        free += (
            f"; the gradient{'s' * (len(idle) > 1)} of {', '.join(idle)} {'were' if len(idle) > 1 else 'was'} 0 in every example"
        )
    return f"{said}; {rest}{free}" if rest else said + free


def _unverified(results):
    """Notes: that no gradient was verified, or which were not although the cell offers them, and from which outputs."""
    parts = {r["law"]: r for r in results if r["law"] in PARTS}
    absent = {law: r["reason"] for law, r in parts.items() if r["verdict"] == "not verified"}
    if not parts:
        return ["no law of gradients was run"]  # as with -k
    if len(absent) == len(PARTS):
        return ["no gradient was verified"]
    left = [NAMES[part] for law, part in PARTS.items() if law not in parts]
    lost = [NAMES[PARTS[law]] for law, reason in absent.items() if reason != NEEDS[OFFERED[law]][1]]
    blind = list(dict.fromkeys(name for r in results for name in r.get("blind", ())))
    plural = "s" * (len(left) > 1)
    said = [
        (left, f"the law{plural} of the gradients of {{}} {'were' if plural else 'was'} not run"),
        (lost, "the gradients of {} were not verified"),
        (blind, "no gradient from {} was verified"),
    ]
    return [text.format(several(some)) for some, text in said if some]


def _idle(results):
    """The derivatives that were 0 in every example of every law."""
    seen = {}
    for r in results:
        for name, found in r.get("power", {}).items():
            some = seen.setdefault(name, Counter())
            some.update({verdict: found.get(verdict, 0) for verdict in ("certified", "inconclusive", "trivial")})
    return [name for name, found in seen.items() if found["trivial"] and not found["certified"] and not found["inconclusive"]]


def short_names(cells):
    """What each cell is called in the table: guests by their class alone, unless two have the same."""
    last = {cell: cell.rpartition(":")[2] for cell in cells}
    count = Counter(last.values())
    return {cell: name if count[name] == 1 else cell for cell, name in last.items()}


def sources(names):
    """Where the guests are from: a line for each file."""
    files = {}
    for cell, name in names.items():
        if cell != name:
            files.setdefault(cell.rpartition(":")[0], []).append(name)
    return folded(f"{file}: {', '.join(ours)}" for file, ours in files.items())


def _laid_out(rows, heads):
    """The rows, dicts by heading, in columns; a heading of two words takes two lines."""
    for spared in (None, *SPARED):
        heads = [head for head in heads if head != spared]
        widths = [max(map(len, [*head.split(), *(row[head] for row in rows)])) for head in heads]
        room = WIDTH - sum(widths) - len(widths)
        if room >= max(len(row[""]) for row in rows):
            break
    room = max(room, len("  symmetries"))
    names = [row[""] if len(row[""]) <= room else f"...{row[''][3 - room :]}" for row in rows]
    first = max(map(len, ["cell, group", *names]))
    gap = " " * (1 + (sum(widths) + first + 2 * len(widths) <= WIDTH))
    top = ["", *(head.rpartition(" ")[0] for head in heads)]
    table = [top, ["cell, group", *(head.rpartition(" ")[2] for head in heads)]]
    table += [[name, *(row[head] for head in heads)] for name, row in zip(names, rows)]
    return [gap.join([line[0].ljust(first), *(v.rjust(w) for v, w in zip(line[1:], widths))]).rstrip() for line in table]


def _figures(results):
    """The entries of one row by heading, as text."""
    count, blocks = Counter(map(verdict_of, results)), sum((Counter(r["blocks"]) for r in results), Counter())
    judged = sum(blocks.values()) - blocks.get("trivial", 0)
    power = [seen["worst"] for r in results for seen in r.get("power", {}).values() if seen["worst"] is not None]
    worst = max(r["worst"] for r in results)
    return {
        **{head: str(count[verdict]) for head, verdict in VERDICTS.items()},
        "examples": str(sum(r["examples"] for r in results)),
        "certified": f"{100 * blocks['certified'] // judged} %" if judged else "-",
        "of bound": "<0.01" if 0 < worst < 0.01 else f"{worst:.2g}",
        "power": f"{max(power):.0e}" if power else "",
    }


def notes(results, names):
    """What is incomplete or not verified and why, expected failures, broken promises of guests; cells alike share a line."""
    said = {}
    for cell, name in names.items():
        ours = [r for r in results if r["cell"] == cell]
        for text in (*_longest(ours), *_absent(ours), *_reasons(ours)):
            said.setdefault(text, []).append(name)
    return folded(f"{', '.join(cells)}: {text}" for text, cells in said.items())


def _longest(results):
    """How many steps a sequence cell has been run for: a fault beyond would not be seen."""
    if (steps := max(r.get("steps", 0) for r in results)) > 1:
        yield f"sequences of at most {steps} steps"


def _absent(results):
    """Which gradients were not verified, and whether the equations were not."""
    verdict = {PARTS[r["law"]]: r["verdict"] for r in results if r["law"] in PARTS}
    absent = [part for part, v in verdict.items() if v == "not verified"]
    if absent:
        kept = [f"{part} {v}" for part, v in verdict.items() if v != "not verified"]
        yield f"gradients of {several(absent)} NOT verified" + f"; of {', '.join(kept)}" * bool(kept)

    if reason := _free(results):
        yield f"equations NOT verified ({reason}); give --reference to compare with another cell"


def _free(results):
    """Why no law knows what the cell should compute, or None."""
    found = {r["law"]: r for r in results}
    law = found.get("equations_of_the_kind")
    return law["reason"] if law and law["verdict"] == "not verified" and "equals_the_reference" not in found else None


def _reasons(results):
    laws = {}
    for r in results:
        reason = (r["reason"].splitlines() or [""])[0]
        if r["verdict"] == "expected":
            laws.setdefault(reason, []).append(r)
        elif r["verdict"] == "hazard":
            laws.setdefault("hazard", []).append(r)
        elif r["verdict"] in ("not verified", "incomplete"):
            laws.setdefault(f"{r['verdict']}: {reason}", []).append(r)
        elif reason.startswith("vacuous"):
            laws.setdefault(f"not verified: {reason}", []).append(r)
    for reason, ours in laws.items():
        yield f"{reason} ({grouped(ours, results)})"


def thin(results, names):
    """A warning for each cell of which fewer than half of the laws could be checked; those of sequences do not count for steps."""
    for cell, name in names.items():
        meant = [r for r in results if r["cell"] == cell and r["reason"] != "a step cell"]
        ran = sum(r["verdict"] not in ("not verified", "incomplete") for r in meant)
        if 2 * ran < len(meant):
            yield from folded([f"{name}: warning: only {ran} of {len(meant)} laws could be checked"])
