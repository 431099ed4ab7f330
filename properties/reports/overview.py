"""Many broken laws of one cell read as one: which they are, most telling first, and what they have in common."""

import re
from pathlib import Path

import numpy as np
from cellcheck.properties.intake.catalogue import rank
from cellcheck.properties.intake.raised import shown
from cellcheck.properties.reports.pages import folder, forget
from cellcheck.properties.writing.files import whole
from cellcheck.properties.writing.text import folded, line, marked, prose

FINITE = {"outputs_are_finite": 0, "gradients_are_finite": 1}
MEASURED = re.compile(  # numbers of one case, shapes, and what overflows
    r"\b(by|by only|within|are|ends|right to|was|and is) -?(\d[\d.e+-]*|nan|inf)|\([\d, ]+\)(, )?|with \S+ = .* not finite|domains = \S+|with \S+ (up|down) to \S+|up to [\d.e+-]+"
)
UNKNOWN = dict.fromkeys(("broken", "expected"), "no known mistake matches these laws") | {
    "hazard": "no known mistake matches these promises"
}
CAUSE = 600  # characters of a cause: what to declare comes last, and is not to be cut off
LOST = re.compile(r"\b(got|expected) -?(nan|inf)\b")


def findings(results):
    """The findings among results by cell, most telling first."""
    found = {}
    for r in results:
        if r.get("finding"):
            found.setdefault(r["cell"], []).append(r)
    return {cell: _smallest_first(sorted(rows, key=_telling)) for cell, rows in found.items()}


def _smallest_first(rows):
    """The findings, the smallest case of the first cause and group before all others: it is the one that is shown in full."""
    first = rows[0]
    alike = [r for r in next(iter(_causes(rows).values())) if r["group"] == first["group"] and r["verdict"] == first["verdict"]]
    smallest = min(alike, key=lambda r: r["finding"].get("size", 0))
    return [smallest, *(r for r in rows if r is not smallest)]


def _telling(r):
    """Broken laws before hazards, those with a diagnosis first, then by group: gradients say more than symmetries.

    A cell that changes what it is given makes all other numbers doubtful, so that is told first. Wrong numbers come before NaN and
    infinity. Among those, the laws of finite results come first.
    """
    lost = bool(LOST.search(r["finding"]["blame"])) * (1 + FINITE.get(r["law"], len(FINITE)))
    changes = r["law"] == "what_is_given_stays_as_it_is"
    return (r["verdict"] == "hazard", not changes, not r["finding"]["sentences"], lost, rank(r["group"]), r["law"])


def finding(case):
    """What the overview needs of a case, as plain values."""
    path = str(case.path) if case.path else None
    page = shown(path, case.home) if path else None
    size = sum(a.size + np.count_nonzero(a) for _, a in case.arrays())
    told = {"sentences": case.sentences, "blame": case.blames()[0], "path": path, "page": page, "name": case.short_label}
    return {**told, "size": int(size), "unwritten": case.unwritten}


def sentence(result):
    """A broken law in one line."""
    what = result["finding"]["blame"] if result.get("finding") else result["reason"].partition("\n")[0]
    return line(f"{result['law']}: {what}")


def told(terminalreporter, results):
    """The overview in the terminal, before the single failures, which it cuts short."""
    said = list(lines(results))
    if said:
        terminalreporter.section("broken laws" if any(r["verdict"] == "broken" for r in results) else "hazards")
        terminalreporter.write_line("\n".join(folded(said)))
        if terminalreporter.config.get_verbosity() < 1:
            shortened(terminalreporter.stats.get("failed", []), results)


def lines(results):
    """For each cell that breaks several laws, or a promise: how many, of what cause, and each law in one line."""
    found = findings(results)
    names = [cell.rpartition(":")[2] for cell in found]
    for cell, rows in found.items():
        if len(rows) < 2 and rows[0]["verdict"] == "broken":  # its failure says it all
            continue
        name = rows[0]["finding"]["name"]
        others = [r for r in results if r["cell"] == cell and r["verdict"] == "broken" and not r.get("finding")]
        promises = sum(r["verdict"] == "hazard" for r in rows)
        counts = [_counted(len(rows) - promises + len(others), "law"), _counted(promises, "promise")]
        name = cell if names.count(name) > 1 else name
        first = ". Most telling first:" if len(rows) > 1 else ":"
        yield line(f"{name} breaks {' and '.join(filter(None, counts))}{first}")
        for cause, members in _causes(rows).items():
            yield f"  {line(cause, CAUSE)}{':' * (cause in UNKNOWN.values())}"
            shown = members[:6]
            for r in shown:
                yield f"    {line(r['law'] + ': ' + r['finding']['blame'], 146)}"
            if len(members) > len(shown):
                yield f"    and {len(members) - len(shown)} more: {', '.join(r['law'] for r in members[len(shown) :])}"
        if others:
            yield "  told below, without a smallest case:"
            yield f"    {', '.join(r['law'] for r in others)}"
        if page := next((r["finding"]["page"] for r in rows if r["finding"]["page"]), None):
            yield f"  reports: {Path(page).parent / 'README.md'}" if len(rows) > 1 else f"  report: {page}"
        elif why := next((r["finding"].get("unwritten") for r in rows if r["finding"].get("unwritten")), None):
            yield f"  reports: {why}"


def _counted(n, what):
    return f"{n} {what}{'s' * (n > 1)}" if n else ""


def _causes(rows):
    """The findings by their first sentence, the most telling cause first.

    Sentences that differ in measured numbers are one cause, and so are equal errors at one place.
    """
    causes, firsts = {}, {}
    found = [r["finding"] for r in rows[::-1] if r["finding"]["sentences"] and r["finding"]["blame"].startswith("raised ")]
    raised = {finding["blame"]: finding["sentences"] for finding in found}
    for r in rows:
        said = r["finding"]["sentences"] or raised.get(r["finding"]["blame"], ())
        cause = next(iter(said), UNKNOWN[r["verdict"]])
        causes.setdefault(firsts.setdefault(MEASURED.sub("", cause), cause), []).append(r)
    return causes


def shortened(reports, results):
    """Cut the reports of all but the most telling law of a cell to one line: the overview has said the rest.

    Of several that say the same after their first line, as where results differ from run to run, all but the first are cut as well.
    """
    first, advice = {id(rows[0]) for rows in findings(results).values()}, set()
    for report in reports:
        for key, value in getattr(report, "user_properties", ()):
            if key == "cellcheck" and value.get("finding") and id(value) not in first:
                page = value["finding"]["page"]
                said = [sentence(value), *([f"report: {page}"] if page else [])]
                report.longrepr = "\n".join(folded(said))
            elif key == "cellcheck" and value["verdict"] == "broken" and not value.get("finding"):
                said, _, rest = value.get("reason", "").partition("; ")
                report.longrepr = "\n".join(folded([said])) if (value["cell"], rest) in advice else report.longrepr
                advice.add((value["cell"], rest))


def settle(results, directory, home):
    """Bring the folders of all cells of a run up to date; lines about what could not be written.

    Pages of laws that hold again are removed. Where others remain, a README lists them, the most telling first. results: of all
    laws of the run; directory: where the pages are; home: where paths of guests start.
    """
    try:
        forget(results, directory, home)
        found = findings(results)
        for cell in dict.fromkeys(r["cell"] for r in results):
            place = Path(directory) / folder(cell, home)
            pages = {page.stem for page in place.glob("*.md")} - {"README"}
            if pages:
                whole({place / "README.md": markdown(cell, found.get(cell, []), pages)})
            elif place.is_dir():
                (place / "README.md").unlink(missing_ok=True)
                if not any(place.iterdir()):
                    place.rmdir()
    except OSError as error:
        yield f"reports: {shown(directory, home)} is not up to date: {error.strerror}"


def markdown(cell, rows, pages):
    """The README of one cell's reports. rows: its findings; pages: the laws that have a page, of this run or an earlier one."""
    parts = [f"# {prose(cell.rpartition(':')[2])}: what it breaks, most telling first"]
    for cause, members in _causes(rows).items():
        table = ["| law | worst block | verdict |", "|---|---|---|"]
        for r in members:
            law = f"[`{r['law']}`]({r['law']}.md)" if r["law"] in pages else f"`{r['law']}`"
            table.append(f"| {law} | {prose(r['finding']['blame'])} | {r['verdict']} |")
        known = cause not in UNKNOWN.values()
        parts += [f"Likely cause: {marked(cause)}." if known else f"{cause.capitalize()}:", "\n".join(table)]
    if earlier := sorted(pages - {r["law"] for r in rows}):
        parts.append("Of earlier runs: " + ", ".join(f"[`{law}`]({law}.md)" for law in earlier) + ".")
    return "\n\n".join(parts) + "\n"
