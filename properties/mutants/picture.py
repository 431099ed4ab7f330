"""The kill matrix as a picture: one column for each law, one row for each mutant."""

from cellcheck.properties.writing import svg

LEFT, TOP, WIDE, HIGH, GAP = 215, 90, 12, 3, 8  # pixels
STYLE = ".kill, .bar { fill: #3b82f6 } .named { fill: #f59e0b } .peer { fill: #8c959f }"


def kills(matrix, groups, totals):
    """The picture as text.

    groups: the laws by group, in order; totals: (checker, killed, asked) for each bar, ours first.
    """
    columns, x, start = {}, LEFT, TOP + 30 * len(totals)
    parts = []
    for group, names in [*groups.items(), ("peers", matrix.peers)]:
        if names:
            parts.append(svg.text(group, x, start - 8, transform=f"rotate(-38 {x} {start - 8})"))
        columns |= {name: x + k * WIDE for k, name in enumerate(names)}
        x += len(names) * WIDE + GAP
    width, y = x + 40, start
    for bugs in dict.fromkeys(row.bugs for row in matrix.rows):
        rows = [row for row in matrix.rows if row.bugs == bugs]
        parts.append(svg.text(bugs, LEFT - 8, y + len(rows) * HIGH / 2 + 4, anchor="end"))
        for fate in ("faint", "kill", "named"):
            boxes = [(at, y + k * HIGH) for k, row in enumerate(rows) for name, at in columns.items() if _fate(row, name) == fate]
            shape = f"h{WIDE - 1}v{HIGH - 0.5}h-{WIDE - 1}z"
            parts.append(svg.path(fate, "".join(f"M{left} {top}{shape}" for left, top in boxes)))
        y += len(rows) * HIGH + GAP
    for x, fate, words in (
        (LEFT, "named", "killed by the law that names its fault"),
        (LEFT + 250, "kill", "killed as well"),
        (LEFT + 360, "faint", "asked, lives"),
    ):
        parts += [svg.box(fate, x, y + 5, 10, 10), svg.text(words, x + 15, y + 14)]
    title = "Mutants killed: " + ", ".join(f"{name} {killed} of {asked}" for name, killed, asked in totals)
    return svg.picture(width, y + 30, [*_bars(totals, width - LEFT - 110), *parts], title, STYLE)


def _bars(totals, long):
    """One bar for each checker."""
    yield svg.text("Mutants killed", LEFT, 22, "title")
    for k, (name, killed, asked) in enumerate(totals):
        y = 36 + 26 * k
        yield svg.text(name, LEFT - 8, y + 13, anchor="end")
        yield svg.box("faint", LEFT, y, long, 18, rx=3)
        yield svg.box("peer" if k else "bar", LEFT, y, long * killed / asked, 18, rx=3)
        yield svg.text(f"{killed} of {asked}", LEFT + long + 8, y + 13)


def _fate(row, name):
    """The style of one mutant under one law or peer; None where the law does not apply."""
    if name in row.peers:
        return "kill" if row.peers[name] else "faint"
    if name not in row.asked:
        return None
    return "faint" if name not in row.deaths else "named" if name == row.law else "kill"
