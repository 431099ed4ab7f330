"""The pictures of the certificate, as inline SVG: what held, how sharply, on which problems. Colours are those of the page."""

from html import escape

GLYPHS = {"broken": "✕", "hazard": "!", "vacuous": "~", "expected": "e", "not verified": "–", "incomplete": "?", "not asked": "·"}
LETTER, BOLD = 6.0, 7.7  # width of a letter of a label, at most
SQUARE, LAW = 21, 246
MARK = "†"  # of a promise
BIN, ROW = 16, 21
SHARPEST, DOUBLE, SINGLE = -16, -9, -4  # powers of ten: below the first bin, and what certifies


def heat_map(cells):
    """Laws down, cells across: the verdict of each, the shade of those that held by the share of blocks that was certified."""
    laws = cells[0]["laws"]
    top = 12 + round(BOLD * max(len(cell["name"]) for cell in cells))
    parts, y, group = [], top, None
    for k, cell in enumerate(cells):
        x = LAW + k * SQUARE + 13
        parts.append(f'<text class="name" transform="translate({x} {top - 6}) rotate(-90)">{escape(cell["name"])}</text>')
    for row, law in enumerate(laws):
        if law["group"] != group:
            group, y = law["group"], y + 20
            parts.append(f'<text class="name" x="0" y="{y - 5}">{group}</text>')
        parts.append(f'<text x="0" y="{y + 12}">{law["law"].replace("_", " ")}{f" {MARK}" if law["promise"] else ""}</text>')
        parts += [_square(cell, cell["laws"][row], LAW + k * SQUARE, y) for k, cell in enumerate(cells)]
        y += 17
    return _svg(LAW + len(cells) * SQUARE, y + 4, parts, "Verdict of each law on each cell")


def _square(cell, law, x, y):
    verdict, share = law["verdict"], law["certified"]
    shade = f' fill-opacity="{0.35 + 0.65 * (1 if share is None else share):.2f}"' if verdict == "held" else ""
    certified = "" if share is None else f", {share:.0%} certified"
    said = f"{cell['name']}, {law['law']}: {verdict}, {law['examples']} examples{certified}"
    glyph = GLYPHS.get(verdict)
    letter = f'<text class="glyph g-{_class(verdict)}" x="{x + 9}" y="{y + 12}">{glyph}</text>' if glyph else ""
    box = f'<rect class="v-{_class(verdict)}" x="{x}" y="{y}" width="18" height="15" rx="3"{shade}>'
    return f"{box}<title>{escape(said)}</title></rect>{letter}"


def legend(verdicts):
    """One sample of each verdict that occurs."""
    parts, x = [], 0
    for verdict in verdicts:
        glyph = (
            f'<text class="glyph g-{_class(verdict)}" x="{x + 9}" y="14">{GLYPHS[verdict]}</text>' if verdict in GLYPHS else ""
        )
        parts.append(f'<rect class="v-{_class(verdict)}" x="{x}" y="2" width="18" height="15" rx="3"/>{glyph}')
        parts.append(f'<text x="{x + 23}" y="14">{verdict}</text>')
        x += 36 + round(LETTER * len(verdict))
    return _svg(x, 20, parts, "Legend")


def power(rows):
    """Per block how closely the certified examples agreed with the oracle, as shares by powers of ten, the worst in figures."""
    left = 10 + round(LETTER * max(len(row["block"]) for row in rows))
    last = max([DOUBLE, *(int(k) for row in rows for k in row["decades"] if k != "exact")])
    last = DOUBLE if last <= DOUBLE else SINGLE
    bins = ["exact", *range(SHARPEST, last + 1)]
    right = left + BIN * len(bins)
    parts = [f'<text class="small" x="{left}" y="12">exact</text>']
    marks = [k for k in range(SHARPEST + 2, last + 1) if (last - k) % 5 == 0]
    parts += [f'<text class="small" x="{left + BIN * (bins.index(k) + 1)}" y="12" text-anchor="end">1e{k}</text>' for k in marks]
    parts += [f'<text class="small" x="{right + 46}" y="12" text-anchor="end">worst</text>']
    parts += [f'<text class="small" x="{right + 102}" y="12" text-anchor="end">certified</text>']
    for k, row in enumerate(rows):
        parts += _power_row(row, 19 + k * ROW, left, right, bins)
    return _svg(right + 104, 24 + ROW * len(rows), parts, "How closely each gradient agreed")


def _power_row(row, y, left, right, bins):
    name = escape(row["block"])
    yield f'<text x="0" y="{y + 13}">{name}</text>'
    if row["reason"] or not row["certified"]:
        said = f"not verified: {row['reason']}" if row["reason"] else "certified in no example"
        yield f'<text class="absent" data-block="{name}" x="{left}" y="{y + 13}">{escape(said)}</text>'
        return
    total = sum(row["decades"].values())
    seen = dict.fromkeys(bins, 0)
    for decade, n in row["decades"].items():
        seen["exact" if decade == "exact" else min(max(int(decade), SHARPEST), bins[-1])] += n
    for j, (decade, n) in enumerate(seen.items()):
        within = "exactly" if decade == "exact" else f"to 1e{decade}"
        shade = f' class="bar" fill-opacity="{0.15 + 0.85 * n / total:.2f}"' if n else ' class="none"'
        box = f'<rect{shade} x="{left + j * BIN}" y="{y}" width="{BIN - 1}" height="{ROW - 4}">'
        yield f"{box}<title>{name}: {n} examples agree {within}</title></rect>"
    yield f'<text class="worst" data-block="{name}" x="{right + 46}" y="{y + 13}" text-anchor="end">{figure(row["worst"])}</text>'
    count = f'class="count" data-block="{name}" x="{right + 102}" y="{y + 13}" text-anchor="end"'
    yield f"<text {count}>{row['certified']:,}</text>"


def figure(value):
    """A small number in one digit: 3e-12."""
    return "exact" if value == 0 else f"{value:.0e}"


def reached(dimension, counts):
    """How many examples there were of each value of one dimension; what was never reached stands out."""
    label, most = 14 + round(5.4 * max(map(len, counts))), max(counts.values())
    width = 172
    room = width - label - 40
    parts = [f'<text class="name" x="0" y="12">{escape(dimension)}</text>']
    for k, (value, n) in enumerate(counts.items()):
        y = 19 + 15 * k
        missed = "" if n else ' class="absent"'
        parts.append(f'<text{missed} x="{label - 6}" y="{y + 10}" text-anchor="end">{escape(value)}</text>')
        parts.append(f'<rect class="bar" x="{label}" y="{y + 1}" width="{room * n / most if most else 0:.1f}" height="10"/>')
        shown = f"{n:,}" if n else "never"
        parts.append(f'<text class="small" x="{label + room * n / most + 4 if most else label:.1f}" y="{y + 10}">{shown}</text>')
    return _svg(width, 24 + 15 * len(counts), parts, f"Examples by {dimension}")


def _class(verdict):
    return verdict.replace(" ", "-")


def _svg(width, height, parts, title):
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    return f'<svg {size} role="img" aria-label="{escape(title)}">{"".join(parts)}</svg>'
