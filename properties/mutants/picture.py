"""The kill matrix as an SVG that reads on light and dark pages."""

from xml.sax.saxutils import escape

LEFT, TOP, WIDE, HIGH, GAP = 215, 90, 12, 3, 8
STYLE = """text { font: 11px system-ui, sans-serif; fill: #6e7781 } .title { font-size: 14px; font-weight: 600 }
.kill { fill: #3b82f6 } .named { fill: #f59e0b } .lives { fill: #8b949e; fill-opacity: .13 } .bar { fill: #3b82f6 }
.peer { fill: #8b949e }
.rail { fill: #8b949e; fill-opacity: .13 } @media (prefers-color-scheme: dark) { text { fill: #adbac7 } }"""


def svg(matrix, groups, totals):
    """The picture as text.

    groups: the laws by group, in order; totals: (checker, killed, asked) for each bar, ours first.
    """
    columns, x = [], LEFT
    for names in [*groups.values(), matrix.peers]:
        columns += [(name, x + k * WIDE) for k, name in enumerate(names)]
        x += len(names) * WIDE + GAP
    width = x + 40
    body, y = bars(totals, width), TOP + 30 * len(totals)
    start = y
    for group, names in [*groups.items(), ("peers", matrix.peers)]:
        place = next(at for name, at in columns if name == names[0]) if names else 0
        body += [_text(group, place, start - 8, rotate=-38)] if names else []
    for bugs in dict.fromkeys(row.bugs for row in matrix.rows):
        rows = [row for row in matrix.rows if row.bugs == bugs]
        body.append(_text(bugs, LEFT - 8, y + len(rows) * HIGH / 2 + 4, anchor="end"))
        for style in ("lives", "kill", "named"):
            body.append(
                _cells(
                    style, [(at, y + k * HIGH) for k, row in enumerate(rows) for name, at in columns if _fate(row, name) == style]
                )
            )
        y += len(rows) * HIGH + GAP
    body += legend(y + 14)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {y + 30}" width="{width}" height="{y + 30}" role="img">'
    return "\n".join([head, f"<title>{escape(title(totals))}</title><style>{STYLE}</style>", *filter(None, body), "</svg>\n"])


def title(totals):
    """The figures in a sentence."""
    return "Mutants killed: " + ", ".join(f"{name} {killed} of {asked}" for name, killed, asked in totals)


def bars(totals, width):
    """One bar for each checker."""
    long, lines = width - LEFT - 110, [_text("Mutants killed", LEFT, 22, style="title")]
    for k, (name, killed, asked) in enumerate(totals):
        y = 36 + 26 * k
        lines += [
            _text(name, LEFT - 8, y + 13, anchor="end"),
            f'<rect class="rail" x="{LEFT}" y="{y}" width="{long}" height="18" rx="3"/>',
            f'<rect class="{"peer" if k else "bar"}" x="{LEFT}" y="{y}" width="{long * killed / asked:.1f}" height="18" rx="3"/>',
            _text(f"{killed} of {asked}", LEFT + long + 8, y + 13),
        ]
    return lines


def legend(y):
    """What the colours mean."""
    parts = (("named", "killed by the law that names its fault"), ("kill", "killed as well"), ("lives", "asked, lives"))
    places = [LEFT, LEFT + 250, LEFT + 360]
    return [
        item
        for (style, words), x in zip(parts, places)
        for item in (f'<rect class="{style}" x="{x}" y="{y - 9}" width="10" height="10"/>', _text(words, x + 15, y))
    ]


def _fate(row, name):
    """The style of one mutant under one law or peer; None where the law does not apply."""
    if name in row.peers:
        return "kill" if row.peers[name] else "lives"
    if name not in row.asked:
        return None
    return "lives" if name not in row.deaths else "named" if name == row.law else "kill"


def _cells(style, places):
    """Small boxes of one style as one path."""
    box = f"h{WIDE - 1}v{HIGH - 0.5}h-{WIDE - 1}z"
    return f'<path class="{style}" d="{"".join(f"M{x} {y}{box}" for x, y in places)}"/>' if places else None


def _text(words, x, y, anchor="start", style="", rotate=0):
    turn = f' transform="rotate({rotate} {x} {y})"' if rotate else ""
    return f'<text class="{style}" x="{x}" y="{y}" text-anchor="{anchor}"{turn}>{escape(words)}</text>'
