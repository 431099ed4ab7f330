"""The certificate as one page of HTML that needs nothing else: light and dark, wide and narrow."""

import os
from html import escape
from pathlib import Path

from cellcheck.properties.certificate import drawings
from cellcheck.properties.intake.catalogue import grouped

STYLE = (Path(__file__).parent / "style.css").read_text(encoding="utf-8")
WORDS = {
    "held": "No example broke a law that decides the verdict.",
    "broken": "At least one law is broken; its counterexample is linked.",
    "incomplete": "Some laws did not run to their end: this is not a pass.",
}


def page(certificate, folder):
    """The whole page. folder: where it will lie, which links to reports start from."""
    cells, env = certificate["cells"], certificate["environment"]
    title = f"Cellcheck certificate: {', '.join(cell['name'] for cell in cells)}"
    workers = f"{env['workers']} workers" if env["workers"] else "one process"
    promises = "promises enforced" if env["strict"] else "broken promises are hazards"
    versions = (
        f"Python {env['python']}, NumPy {env['numpy']}, Hypothesis {env['hypothesis']}, pytest {env['pytest']}, {env['platform']}"
    )
    parts = [
        "<!doctype html>",
        f'<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<style>{STYLE}</style></head><body>",
        f"<h1>Cellcheck certificate {_status(certificate['status'])}</h1>",
        f"<p>{WORDS[certificate['status']]}{_gaps(cells)}</p>",
        _figures(cells),
        f'<p class="dim">{escape(certificate["written"])} · profile {escape(env["profile"])}, {env["examples"]} examples a law'
        f" · {workers} · {promises}<br>{escape(versions)}</p>",
        *_body(cells, Path(folder)),
        "</body></html>",
    ]
    return "\n".join(parts) + "\n"


def _body(cells, folder):
    """One cell beside its laws; of several first a list, then each."""
    if len(cells) == 1:
        return [f'<div class="two one">{_cell(0, cells[0], folder, alone=True)}{_verdicts(cells)}</div>']
    return [
        f'<div class="two">{_cells(cells)}{_verdicts(cells)}</div>',
        *(_cell(k, cell, folder) for k, cell in enumerate(cells)),
    ]


def _verdicts(cells):
    """The heat map and what it shows."""
    used = [v for v in cells[0]["verdicts"] if any(cell["verdicts"][v] for cell in cells)]
    return (
        '<div><h3>Every law on every cell</h3><p class="dim">The deeper the green, the more of what was compared agreed as closely'
        f" as a certificate asks. {drawings.MARK} a promise: a guest that breaks it has a hazard.</p>"
        f'<div class="scroll">{drawings.legend(used)}</div><div class="scroll">{drawings.heat_map(cells)}</div></div>'
    )


def _cells(cells):
    """One line for each cell, which leads to its section."""
    rows = []
    for k, cell in enumerate(cells):
        certified = sum(not row["reason"] and row["certified"] > 0 for row in cell["power"])
        worst = max((row["worst"] for row in cell["power"] if row["worst"] is not None), default=None)
        share, sharp = f"{certified} of {len(cell['power'])}", "–" if worst is None else drawings.figure(worst)
        less = " class='number t-broken'" if certified < len(cell["power"]) else ' class="number"'
        link = f'<td><a href="#cell-{k}">{escape(cell["name"])}</a></td><td>{_status(cell["status"])}</td>'
        rows.append(f'<tr>{link}<td{less}>{share}</td><td class="number">{sharp}</td></tr>')
    heads = '<th>cell</th><th></th><th class="number">gradients certified</th><th class="number">worst agreement</th>'
    return f"<div><h3>Cells</h3><table><tr>{heads}</tr>{''.join(rows)}</table></div>"


def _status(word):
    return f'<span class="status s-{word}">{word}</span>'


def _figures(cells):
    """The numbers that sum the run up."""
    total = {verdict: sum(cell["verdicts"][verdict] for cell in cells) for verdict in cells[0]["verdicts"]}
    shown = [("held", "laws held"), ("broken", "broken"), ("hazard", "hazards"), ("vacuous", "vacuous")]
    shown += [
        ("expected", "failed as expected"),
        ("incomplete", "incomplete"),
        ("not verified", "not verified"),
        ("not asked", "not asked"),
    ]
    numbers = [(name, total[key]) for key, name in shown if total[key] or key in ("held", "broken", "not verified")]
    numbers.append(("examples", sum(cell["examples"] for cell in cells)))
    worst = [row["worst"] for cell in cells for row in cell["power"] if row["worst"] is not None]
    if worst:
        numbers.append(("worst agreement of a certified gradient", max(worst)))
    boxes = [f"<div><b>{value if isinstance(value, str) else _shown(value)}</b>{name}</div>" for name, value in numbers]
    return f'<div class="figures">{"".join(boxes)}</div>'


def _shown(value):
    return f"{value:,}" if isinstance(value, int) else drawings.figure(value)


def _cell(k, cell, folder, alone=False):
    """The section of one cell."""
    source = f'<p class="dim"><code>--cell {escape(cell["source"])}</code></p>' if cell["source"] else ""
    notes = "".join(f"<li>{escape(note)}</li>" for note in cell["notes"])
    graphs = "".join(drawings.reached(name, counts) for name, counts in cell["regimes"].items())
    parts = [
        f'<section id="cell-{k}" data-cell="{escape(cell["source"] or cell["name"])}">',
        f"<h2>{escape(cell['name'])} {_status(cell['status'])}</h2>",
        source,
        f"<p>{escape(_about(cell['capabilities'], cell['power']))}</p>",
        f"<ul>{notes}</ul>" if notes else "",
        "" if alone else _figures([cell]),
        _absent(cell["power"]),
        *(_failure(law, folder) for law in cell["laws"] if law["verdict"] in ("broken", "incomplete")),
        _lesser([law for law in cell["laws"] if law["verdict"] in ("hazard", "expected", "vacuous")], folder),
        _reasons(cell["laws"]),
        "<h3>Power: how closely each gradient agreed with its oracle</h3>",
        '<p class="dim">Examples that certified it, by powers of ten of the relative difference.'
        " An error larger than the worst would have shown.</p>",
        f'<div class="scroll">{drawings.power(cell["power"])}</div>',
        "<h3>Problems that ran</h3>",
        '<p class="dim">Examples by what they were like; pre-activation: their typical size, as drawn'
        " (linear up to 0.3, curved up to 4, saturated up to 36, then flat to the last digit).</p>",
        f'<div class="regimes">{graphs}</div>' if graphs else "<p>None.</p>",
        _laws(cell["laws"]),
        "</section>",
    ]
    return "\n".join(part for part in parts if part)


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
    absent = [row for row in rows if row["reason"] or not row["certified"]]
    if not absent:
        return ""
    names = ", ".join(row["block"] for row in absent)
    return f'<p class="t-broken">{len(absent)} of {len(rows)} gradients are not verified: {escape(names)}.</p>'


def _gaps(cells):
    """The same of all cells, for the head of the page."""
    rows = [row for cell in cells for row in cell["power"]]
    absent = sum(bool(row["reason"]) or not row["certified"] for row in rows)
    return f' <span class="t-broken">{absent} of {len(rows)} gradients are not verified.</span>' if absent else ""


def _failure(law, folder):
    """A law that is broken, or has not shown anything: its equation, what was said, where the report is."""
    link = ""
    if law["report"]:
        link = f' · <a href="{escape(os.path.relpath(law["report"], folder.resolve()))}">report</a>'
    head = f'<h3><span class="t-{law["verdict"]}">{law["verdict"]}</span>: {law["law"].replace("_", " ")}{link}</h3>'
    return f"{head}<p><code>{escape(law['equation'])}</code></p><pre>{escape(law['reason'])}</pre>"


def _lesser(laws, folder):
    """Hazards and the like, folded away."""
    if not laws:
        return ""
    count = {verdict: sum(law["verdict"] == verdict for law in laws) for verdict in dict.fromkeys(law["verdict"] for law in laws)}
    head = ", ".join(f"{n} {verdict}{'s' if verdict == 'hazard' and n > 1 else ''}" for verdict, n in count.items())
    return f"<details><summary>{head}</summary>{''.join(_failure(law, folder) for law in laws)}</details>"


def _reasons(laws):
    """What was not verified and why."""
    reasons = {}
    for law in laws:
        if law["verdict"] in ("not verified", "not asked"):
            reasons.setdefault(law["reason"] or "not asked in this run", []).append(law)
    items = "".join(f"<li><b>{escape(why)}</b>: {grouped(some, laws).replace('_', ' ')}</li>" for why, some in reasons.items())
    return f"<h3>Not verified</h3><ul>{items}</ul>" if items else ""


def _laws(laws):
    """All laws in a table that folds."""
    rows = []
    for law in laws:
        share = "–" if law["certified"] is None else f"{law['certified']:.1%}"
        numbers = (f"{law['examples']:,}", share, f"{law['worst']:.2g}", f"{law['seconds']:.1f}")
        name = f"{law['law'].replace('_', ' ')}<br><code>{escape(law['equation'])}</code>"
        cells = "".join(f'<td class="number">{n}</td>' for n in numbers)
        said = f'<td class="t-{law["verdict"].replace(" ", "-")}">{law["verdict"]}</td>'
        rows.append(f'<tr data-law="{law["law"]}"><td>{name}</td>{said}{cells}</tr>')
    heads = "".join(f'<th class="number">{h}</th>' for h in ("examples", "certified", "worst / bound", "seconds"))
    table = f"<table><tr><th>law</th><th>verdict</th>{heads}</tr>{''.join(rows)}</table>"
    return (
        f'<details><summary>All {len(laws)} laws, with equations and figures</summary><div class="scroll">{table}</div></details>'
    )
