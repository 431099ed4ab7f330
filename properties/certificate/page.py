"""The certificate as one page of HTML that needs nothing else: light and dark, wide and narrow."""

import os
from pathlib import Path

from cellcheck.properties.certificate import drawings
from cellcheck.properties.intake.catalogue import grouped
from cellcheck.properties.writing.listing import listing
from cellcheck.properties.writing.markup import Markup, joined, tag

STYLE = Markup((Path(__file__).parent / "style.css").read_text(encoding="utf-8"))
WORDS = {
    "held": "No example broke a law that decides the verdict.",
    "broken": "At least one law is broken; its counterexample is linked.",
    "incomplete": "Some laws did not run to their end: this is not a pass.",
    "not verified": "Nothing, or no gradient, was certified: this is not a pass.",
}


def page(certificate, folder):
    """The whole page. folder: where it will lie, which links to reports start from."""
    cells, env = certificate["cells"], certificate["environment"]
    head = (
        tag("meta", charset="utf-8"),
        tag("title", f"Cellcheck certificate: {', '.join(cell['name'] for cell in cells)}"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("style", STYLE),
    )
    run = (
        f"{certificate['written']} · profile {env['profile']}, {env['examples']} examples a law",
        f"{env['workers']} workers" if env["workers"] else "one process",
        "promises enforced" if env["strict"] else "broken promises are hazards",
    )
    versions = (
        f"Python {env['python']}, NumPy {env['numpy']}, Hypothesis {env['hypothesis']}, pytest {env['pytest']}, {env['platform']}"
    )
    body = (
        tag("h1", "Cellcheck certificate ", _status(certificate["status"])),
        tag("p", WORDS[certificate["status"]], _gaps(cells)),
        _figures(cells),
        tag("p", " · ".join(run), tag("br"), versions, class_="dim"),
        *_body(cells, Path(folder)),
    )
    html = tag("html", tag("head", *head), "\n", tag("body", joined(body, "\n")), lang="en")
    return f"<!doctype html>\n{html}\n"


def _body(cells, folder):
    """One cell beside its laws; of several first a list, then each."""
    if len(cells) == 1:
        return [tag("div", _cell(0, cells[0], folder, alone=True), _verdicts(cells), class_="two one")]
    return [
        tag("div", _cells(cells), _verdicts(cells), class_="two"),
        *(_cell(k, cell, folder) for k, cell in enumerate(cells)),
    ]


def _verdicts(cells):
    """The heat map and what it shows."""
    used = [v for v in cells[0]["verdicts"] if any(cell["verdicts"][v] for cell in cells)]
    said = (
        "The deeper the green, the more of what was compared agreed as closely as a certificate asks. "
        f"{drawings.MARK} a promise: a guest that breaks it has a hazard."
    )
    maps = (tag("div", drawn, class_="scroll") for drawn in (drawings.legend(used), drawings.heat_map(cells)))
    return tag("div", tag("h3", "Every law on every cell"), tag("p", said, class_="dim"), *maps)


def _cells(cells):
    """One line for each cell, which leads to its section."""
    rows = [_row("th", "cell", "", Number("gradients certified"), Number("worst agreement"))]
    for k, cell in enumerate(cells):
        certified = sum(map(drawings.agreed, cell["power"]))
        agreed = [row["worst"] for row in cell["power"] if row["worst"] is not None and cell["status"] != "broken"]
        worst = max(agreed, default=None)
        share = tag("span", f"{certified} of {len(cell['power'])}", class_="t-broken" if certified < len(cell["power"]) else None)
        sharp = "–" if worst is None else drawings.figure(worst)
        rows.append(_row("td", tag("a", cell["name"], href=f"#cell-{k}"), _status(cell["status"]), Number(share), Number(sharp)))
    return tag("div", tag("h3", "Cells"), tag("table", *rows))


class Number(Markup):
    """What stands at the right of its column."""

    def __new__(cls, content):
        """content: text or Markup."""
        return super().__new__(cls, joined([content]))


def _row(cell, *contents, **attributes):
    """A row of a table; cell: td or th."""
    return tag("tr", *(tag(cell, c, class_="number" if isinstance(c, Number) else None) for c in contents), **attributes)


def _status(word):
    return tag("span", word, class_=f"status s-{word.replace(' ', '-')}")


def _verdict(word, *more):
    """A verdict in its colour."""
    return tag("span", word, *more, class_=f"t-{word.replace(' ', '-')}")


def _figures(cells):
    """The numbers that sum the run up."""
    total = {verdict: sum(cell["verdicts"][verdict] for cell in cells) for verdict in cells[0]["verdicts"]}
    names = {"held": "laws held", "hazard": "hazards", "expected": "failed as expected"}
    order = ("held", "broken", "hazard", "vacuous", "expected", "incomplete", "not verified", "not asked")
    shown = [(names.get(v, v), f"{total[v]:,}") for v in order if total[v] or v in ("held", "broken", "not verified")]
    shown.append(("examples", f"{sum(cell['examples'] for cell in cells):,}"))
    worst = [row["worst"] for cell in cells for row in cell["power"] if row["worst"] is not None]
    if worst and not total["broken"]:
        shown.append(("worst agreement of a certified gradient", drawings.figure(max(worst))))
    return tag("div", *(tag("div", tag("b", value), name) for name, value in shown), class_="figures")


def _cell(k, cell, folder, alone=False):
    """The section of one cell."""
    graphs = [drawings.reached(name, counts) for name, counts in cell["regimes"].items()]
    parts = (
        tag("h2", cell["name"], " ", _status(cell["status"])),
        tag("p", tag("code", f"--cell {cell['source']}"), class_="dim") if cell["source"] else None,
        tag("p", _about(cell["capabilities"], cell["power"])),
        tag("ul", *(tag("li", note) for note in cell["notes"])) if cell["notes"] else None,
        None if alone else _figures([cell]),
        _absent(cell["power"]),
        *(_failure(law, folder) for law in cell["laws"] if law["verdict"] in ("broken", "incomplete")),
        _spec(cell["spec"], cell["capabilities"]),
        _lesser([law for law in cell["laws"] if law["verdict"] in ("hazard", "expected", "vacuous")], folder),
        _reasons(cell["laws"]),
        tag("h3", "Power: how closely each gradient agreed with its oracle"),
        tag(
            "p",
            "Examples that certified it, by powers of ten of the relative difference. "
            "An error larger than the worst would have shown.",
            class_="dim",
        ),
        tag("div", drawings.power(cell["power"]), class_="scroll"),
        tag("h3", "Problems that ran"),
        tag(
            "p",
            "Examples by what they were like; pre-activation: their typical size, as drawn "
            "(linear up to 0.3, curved up to 4, saturated up to 36, then flat to the last digit).",
            class_="dim",
        ),
        tag("div", *graphs, class_="regimes") if graphs else tag("p", "None."),
        _mutants(cell["mutants"]) if cell["mutants"] else None,
        _laws(cell["laws"]),
    )
    return tag("section", joined(parts, "\n"), id=f"cell-{k}", data_cell=cell["source"] or cell["name"])


def _about(offers, rows):
    """What the cell is and offers, in a sentence."""
    what = f"{offers['kind'] or 'A cell of no declared kind'}, {'whole sequences' if offers['sequence'] else 'one step'}"
    states = f"states {', '.join(offers['states'])}" if len(offers["states"]) > 1 else f"state {', '.join(offers['states'])}"
    gradients = f"offers gradients of {', '.join(offers['gradients'])}" if offers["gradients"] else "offers no gradients"
    oracles = sorted({row["oracle"] for row in rows if row["oracle"]})
    judged = f"; judged by {', '.join(oracles)}" if oracles else ""
    single = f"; batch of {offers['batch']} only" if offers["batch"] else ""
    return f"{what}; {states}; {gradients}{judged}; {' and '.join(offers['dtypes'])}{single}."


def _absent(rows):
    """Plain words for gradients that nobody looked at."""
    return joined([tag("p", f"{said}: {', '.join(names)}.", class_="t-broken") for said, names in _lacking(rows)])


def _lacking(rows):
    """(3 of 11 gradients are wrong, their names), and the same of those that are not verified."""
    wrong = [row["block"] for row in rows if row["violated"]]
    absent = [row["block"] for row in rows if not row["violated"] and not drawings.agreed(row)]
    for word, names in (("wrong", wrong), ("not verified", absent)):
        if names:
            yield f"{len(names)} of {len(rows)} gradients {'is' if len(names) == 1 else 'are'} {word}", names


def _gaps(cells):
    """The same of all cells, for the head of the page."""
    said = "".join(f" {said}." for said, _ in _lacking([row for cell in cells for row in cell["power"]]))
    return tag("span", said, class_="t-broken") if said else None


def _spec(spec, offers):
    """What the cell takes and returns, what it declares, and the reference, folded away."""

    def shapes(arrays):
        return ", ".join(f"{name} ({', '.join(map(str, shape))})" for name, shape in arrays.items())

    rows = {part: shapes(spec[part]) for part in ("inputs", "states", "outputs", "weights")}
    rows |= {f"only {name}": ", ".join(some) for name, some in spec["sizes"].items()}
    rows |= {name: ", ".join(f"{key} {value}" for key, value in offers[name].items()) for name in ("choices", "variant")}
    rows |= {
        "precision": f"{spec['precision']:.1e}" if spec["precision"] else "",
        "sums": "" if spec["deterministic"] else "in any order",
    }
    if spec["reference"]:
        rows["reference"] = f"{spec['reference']['name']}; {spec['reference']['weights']}"
    table = tag("table", *(_row("td", name, value) for name, value in rows.items() if value))
    said = f"What it takes and returns, in shapes at {spec['features']} features and {spec['state']} units"
    return tag("details", tag("summary", said), tag("div", table, class_="scroll"), open="" if spec["reference"] else None)


def _failure(law, folder):
    """A law that is broken, or has not shown anything: its equation, what was said, where the report is."""
    link = ()
    if law["report"]:
        link = " · ", tag("a", "report", href=os.path.relpath(law["report"], folder.resolve()).replace(os.sep, "/"))
    head = tag("h3", _verdict(law["verdict"]), f": {law['law'].replace('_', ' ')}", *link)
    lines = law["reason"].splitlines()
    if lines and f" breaks the law {law['law']}" in lines[0]:  # the heading and the link say so
        lines = [line.removeprefix("  ") for line in lines[1:] if not line.startswith("  report: ")]
    return joined([head, tag("p", tag("code", law["equation"])), tag("pre", "\n".join(lines))])


def _lesser(laws, folder):
    """Hazards and the like, folded away."""
    if not laws:
        return None
    count = {verdict: sum(law["verdict"] == verdict for law in laws) for verdict in dict.fromkeys(law["verdict"] for law in laws)}
    head = ", ".join(f"{n} {verdict}{'s' if verdict == 'hazard' and n > 1 else ''}" for verdict, n in count.items())
    return tag("details", tag("summary", head), *(_failure(law, folder) for law in laws))


def _reasons(laws):
    """What was not verified and why."""
    reasons = {}
    for law in laws:
        if law["verdict"] in ("not verified", "not asked"):
            reasons.setdefault(law["reason"] or "not asked in this run", []).append(law)
    items = [tag("li", tag("b", why), f": {grouped(some, laws).replace('_', ' ')}") for why, some in reasons.items()]
    return joined([tag("h3", "Not verified"), tag("ul", *items)]) if items else None


def _mutants(power):
    """What the laws refuse of edits of the cell's own code: figures, the source in colours, survivors."""
    head = tag("h3", "Edits: what the laws refuse of changes to its own code")
    beyond = f" Out of reach: {'; '.join(power['beyond'])}." if power["beyond"] else ""
    if not power["tried"]:
        return joined([head, tag("p", f"No single edit could be tried.{beyond}")])
    low, high = power["interval"]
    sample = f" (a sample of {power['edits']}; of all, {low:.1%} to {high:.1%})" if power["tried"] < power["edits"] else ""
    said = f"{power['refused']} of {power['tried']} single edits are refused: {power['share']:.1%}{sample}."
    useful = f" Of those that change a result: {power['share_of_effective']:.1%}." if power["share_of_effective"] else ""
    alone = ", ".join(f"{law.replace('_', ' ')} {n}" for law, n in power["alone"].items())
    rows = [_row("th", "line", "edit that no law refuses", "why it may live")]
    for s in power["survivors"]:
        edit = tag("pre", f"- {s['before']}\n+ {s['after']}")
        rows.append(_row("td", f"{s['file']}:{s['line']}", edit, f"{s['reason']}. {s['known']}"))
    survivors = tag("details", tag("summary", f"{len(rows) - 1} survivors"), tag("div", tag("table", *rows), class_="scroll"))
    return joined(
        [
            head,
            tag("p", said, useful, beyond),
            tag(
                "p",
                f"Of {power['alone_of']} refused edits that were put to further laws, one law alone refuses: {alone}.",
                class_="dim",
            )
            if alone
            else None,
            tag("div", listing(power["lines"], "Edits refused, by line"), class_="scroll"),
            survivors if power["survivors"] else None,
        ]
    )


def _laws(laws):
    """All laws in a table that folds."""
    heads = ("examples", "certified", "worst / bound", "seconds")
    rows = [_row("th", "law", "verdict", *map(Number, heads))]
    for law in laws:
        share = "–" if law["certified"] is None else f"{law['certified']:.1%}"
        numbers = (f"{law['examples']:,}", share, f"{law['worst']:.2g}", f"{law['seconds']:.1f}")
        name = joined([law["law"].replace("_", " "), tag("br"), tag("code", law["equation"])])
        rows.append(_row("td", name, _verdict(law["verdict"]), *map(Number, numbers), data_law=law["law"]))
    table = tag("div", tag("table", *rows), class_="scroll")
    return tag("details", tag("summary", f"All {len(laws)} laws, with equations and figures"), table)
