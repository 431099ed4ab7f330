"""The pictures of the certificate: what held, how sharply, on which problems. Colours are those of the page."""

from cellcheck.properties.writing import svg

GLYPHS = {"broken": "✕", "hazard": "!", "vacuous": "~", "expected": "e", "not verified": "–", "incomplete": "?", "not asked": "·"}
LETTER, BOLD = 6.0, 7.7  # width of a letter of a label, at most, in pixels
SQUARE, LAW = 21, 246
MARK = "†"  # of a promise
BIN, ROW = 16, 21
SHARPEST, DOUBLE, SINGLE = -16, -9, -4  # powers of ten: below the first bin, and what certifies


def heat_map(cells):
    """Laws down, cells across: the verdict of each, the shade of those that held by the share of blocks that was certified."""
    top = 12 + round(BOLD * max(len(cell["name"]) for cell in cells))
    parts, y, group = [], top, None
    for k, cell in enumerate(cells):
        place = f"translate({LAW + k * SQUARE + 13} {top - 6}) rotate(-90)"
        parts.append(svg.text(cell["name"], 0, 0, "name", transform=place))
    for row, law in enumerate(cells[0]["laws"]):
        if law["group"] != group:
            group, y = law["group"], y + 20
            parts.append(svg.text(group, 0, y - 5, "name"))
        parts.append(svg.text(law["law"].replace("_", " ") + f" {MARK}" * bool(law["promise"]), 0, y + 12))
        for k, cell in enumerate(cells):
            parts += _square(cell["name"], cell["laws"][row], LAW + k * SQUARE, y)
        y += 17
    return _chart(LAW + len(cells) * SQUARE, y + 4, parts, "Verdict of each law on each cell")


def _chart(width, height, parts, title):
    """A picture that is at least as wide as a narrow page."""
    return svg.picture(width, height, parts, title, class_="chart", style_=f"--width: {width:g}px")


def _square(name, law, x, y):
    share, shade = law["certified"], {}
    if law["verdict"] == "held":
        shade = {"fill_opacity": 0.35 + 0.65 * (1 if share is None else share)}
    certified = "" if share is None else f", {share:.0%} certified"
    said = f"{name}, {law['law']}: {law['verdict']}, {law['examples']} examples{certified}"
    return _sample(law["verdict"], x, y, said, **shade)


def _sample(verdict, x, y, tip=None, **shade):
    """The square of a verdict, with its glyph."""
    kind = verdict.replace(" ", "-")
    yield svg.box(f"v-{kind}", x, y, 18, 15, tip, rx=3, **shade)
    if verdict in GLYPHS:
        yield svg.text(GLYPHS[verdict], x + 9, y + 12, f"glyph g-{kind}")


def legend(verdicts):
    """One sample of each verdict that occurs."""
    parts, x = [], 0
    for verdict in verdicts:
        parts += [*_sample(verdict, x, 2), svg.text(verdict, x + 23, 14)]
        x += 36 + round(LETTER * len(verdict))
    return svg.picture(x, 20, parts, "Legend")


def power(rows):
    """Per block how closely the certified examples agreed with the oracle, as shares by powers of ten, the worst in figures."""
    left = 10 + round(LETTER * max(len(row["block"]) for row in rows))
    last = max([DOUBLE, *(int(k) for row in rows for k in row["decades"] if k != "exact")])
    last = DOUBLE if last <= DOUBLE else SINGLE
    bins = ["exact", *range(SHARPEST, last + 1)]
    right = left + BIN * len(bins)
    parts = [svg.text("exact", left, 12, "small")]
    for k in range(SHARPEST + 2, last + 1):
        if (last - k) % 5 == 0:
            parts.append(svg.text(f"1e{k}", left + BIN * (bins.index(k) + 1), 12, "small", "end"))
    parts += [svg.text("worst", right + 46, 12, "small", "end"), svg.text("certified", right + 102, 12, "small", "end")]
    for k, row in enumerate(rows):
        parts += _power_row(row, 19 + k * ROW, left, right, bins)
    return _chart(right + 104, 24 + ROW * len(rows), parts, "How closely each gradient agreed")


def _power_row(row, y, left, right, bins):
    name = row["block"]
    yield svg.text(name, 0, y + 13)
    if not agreed(row):
        said = f"not verified: {row['reason']}" if row["reason"] else "certified in no example"
        said = f"wrong in {row['violated']} of the examples" if row["violated"] else said
        yield svg.text(said, left, y + 13, "absent", data_block=name)
        return
    total, seen = sum(row["decades"].values()), dict.fromkeys(bins, 0)
    for decade, n in row["decades"].items():
        seen["exact" if decade == "exact" else min(max(int(decade), SHARPEST), bins[-1])] += n
    for j, (decade, n) in enumerate(seen.items()):
        within = "exactly" if decade == "exact" else f"to 1e{decade}"
        shade = {"fill_opacity": 0.15 + 0.85 * n / total} if n else {}
        said = f"{name}: {n} examples agree {within}"
        yield svg.box("bar" if n else "none", left + j * BIN, y, BIN - 1, ROW - 4, said, **shade)
    yield svg.text(figure(row["worst"]), right + 46, y + 13, "worst", "end", data_block=name)
    yield svg.text(f"{row['certified']:,}", right + 102, y + 13, "count", "end", data_block=name)


def agreed(row):
    """Whether a gradient was certified, and wrong in no example."""
    return not row["reason"] and row["certified"] > 0 and not row["violated"]


def figure(value):
    """A small number in one digit: 3e-12."""
    return "exact" if value == 0 else f"{value:.0e}"


def reached(dimension, counts):
    """How many examples there were of each value of one dimension; what was never reached stands out."""
    label, most, width = 14 + round(5.4 * max(map(len, counts))), max(counts.values()) or 1, 172
    parts = [svg.text(dimension, 0, 12, "name")]
    for k, (value, n) in enumerate(counts.items()):
        y, long = 19 + 15 * k, (width - label - 40) * n / most
        parts.append(svg.text(value, label - 6, y + 10, None if n else "absent", "end"))
        parts.append(svg.box("bar", label, y + 1, long, 10))
        parts.append(svg.text(f"{n:,}" if n else "never", label + long + 4 * bool(n), y + 10, "small"))
    return _chart(width, 24 + 15 * len(counts), parts, f"Examples by {dimension}")
