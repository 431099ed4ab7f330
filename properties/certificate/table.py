"""The table that ends every run, the short form of the certificate: cell by group, what held, on how many examples."""

from collections import Counter
from textwrap import wrap

from cellcheck.properties.certificate.data import verdict_of
from cellcheck.properties.intake.catalogue import grouped, rank

WIDTH = 100
VERDICTS = {  # heading of the column: what is counted there; those in ALWAYS have theirs even when it is empty
    "held": ("held",),
    "vacuous": ("vacuous",),
    "broken": ("broken",),
    "hazards": ("hazard",),
    "expected": ("expected",),
    "incomplete": ("incomplete",),
    "not verified": ("not verified",),
}
ALWAYS = ("held", "broken", "not verified")
PARTS = {"weight_gradients": "weights", "input_gradients": "x", "state_gradients": "states"}


def lines(results):
    """The table of `results`, dicts with cell, group, law, verdict, reason, examples, power, and verdicts of blocks."""
    names = short_names(dict.fromkeys(r["cell"] for r in results))
    counted = {head for head, kinds in VERDICTS.items() if head in ALWAYS or any(verdict_of(r) in kinds for r in results)}
    heads = [head for head in VERDICTS if head in counted]
    table = [("cell, group", *heads, "examples", "certified", "of bound", "power")]
    for cell, name in names.items():
        ours = [r for r in results if r["cell"] == cell]
        table.append(_row(name, ours, heads))
        for group in sorted({r["group"] for r in ours}, key=rank):
            table.append(_row(f"  {group}", [r for r in ours if r["group"] == group], heads))
    widths = [max(len(row[k]) for row in table) for k in range(len(table[0]))]
    gap = "  " if sum(widths) + 2 * len(widths) <= WIDTH else " "
    rows = [gap.join(v.ljust(w) if not k else v.rjust(w) for k, (v, w) in enumerate(zip(row, widths))).rstrip() for row in table]
    return [*sources(names), *rows, *notes(results, names), *thin(results, names)]


def short_names(cells):
    """What each cell is called in the table: guests by their class alone, unless two have the same."""
    last = {cell: cell.rpartition(":")[2] for cell in cells}
    count = Counter(last.values())
    return {cell: name if count[name] == 1 else cell for cell, name in last.items()}


def sources(names):
    """Where the guests are from: one line for each file."""
    files = {}
    for cell, name in names.items():
        if cell != name:
            files.setdefault(cell.rpartition(":")[0], []).append(name)
    return [f"{file}: {', '.join(ours)}" for file, ours in files.items()]


def _row(name, results, heads):
    count, blocks = Counter(map(verdict_of, results)), sum((Counter(r["blocks"]) for r in results), Counter())
    judged = sum(blocks.values()) - blocks.get("trivial", 0)
    share = f"{100 * blocks['certified'] // judged} %" if judged else "-"
    power = [seen["worst"] for r in results for seen in r.get("power", {}).values() if seen["worst"] is not None]
    numbers = [str(sum(count[kind] for kind in VERDICTS[head])) for head in heads]
    examples, worst = sum(r["examples"] for r in results), max(r["worst"] for r in results)
    return (
        name,
        *numbers,
        str(examples),
        share,
        "<0.01" if 0 < worst < 0.01 else f"{worst:.2g}",
        f"{max(power):.0e}" if power else "",
    )


def notes(results, names):
    """What is incomplete or not verified and why, expected failures, broken promises of guests; cells alike share a line."""
    said = {}
    for cell, name in names.items():
        ours = [r for r in results if r["cell"] == cell]
        for text in (*_absent(ours), *_reasons(ours)):
            said.setdefault(text, []).append(name)
    paragraphs = [f"{', '.join(cells)}: {text}" for text, cells in said.items()]
    return [line for text in paragraphs for line in wrap(text, WIDTH, subsequent_indent="    ", break_long_words=False)]


def _absent(results):
    """Which gradients were verified and which were not, where that is not all of them."""
    verdict = {PARTS[r["law"]]: r["verdict"] for r in results if r["law"] in PARTS}
    absent = [part for part, v in verdict.items() if v == "not verified"]
    if absent:
        kept = [f"{part} {v}" for part, v in verdict.items() if v != "not verified"]
        yield f"gradients of {' and '.join(absent)} NOT verified" + f"; of {', '.join(kept)}" * bool(kept)


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
    """A warning for each cell of which fewer than half of the laws were asked; those of sequences do not count for steps."""
    for cell, name in names.items():
        meant = [r for r in results if r["cell"] == cell and r["reason"] != "a step cell"]
        ran = sum(r["verdict"] not in ("not verified", "incomplete") for r in meant)
        if 2 * ran < len(meant):
            yield f"{name}: warning: only {ran} of {len(meant)} laws could be asked"
