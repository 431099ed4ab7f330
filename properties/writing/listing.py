"""Source text as a picture, each line shaded by a share."""

from cellcheck.properties.writing import svg

HIGH, LETTER, LEFT = 15, 6.7, 76  # pixels
GOOD, BAD = "#2da44e", "#cf222e"
CODE = "font: 11px ui-monospace, monospace; white-space: pre"


def listing(lines, title, style=None):
    """Lines of source: green as far as their edits were refused, red as far as not, with the figures before them.

    lines: dicts with file, line, text, refused and tried; a new file or a gap in the numbers starts a new block.
    """
    parts, y, before = [], 4, None
    for row in lines:
        if (row["file"], row["line"] - 1) != before:
            y += HIGH
            parts.append(svg.text(f"{row['file']}:{row['line']}", 0, y, "name"))
            y += 4
        before = row["file"], row["line"]
        if row["tried"]:
            share = row["refused"] / row["tried"]
            said = f"{row['refused']} of {row['tried']} edits of line {row['line']} refused"
            wide = LETTER * len(row["text"]) + 6
            parts.append(svg.box(None, LEFT - 3, y, wide * share, HIGH, said, fill=GOOD, fill_opacity=0.3))
            parts.append(svg.box(None, LEFT - 3 + wide * share, y, wide * (1 - share), HIGH, said, fill=BAD, fill_opacity=0.45))
            parts.append(svg.text(f"{row['refused']}/{row['tried']}", LEFT - 10, y + 11, "small", "end"))
        parts.append(svg.text(row["text"], LEFT, y + 11, style=CODE))
        y += HIGH
    width = LEFT + LETTER * max((len(row["text"]) for row in lines), default=60) + 20
    return svg.picture(width, y + 8, parts, title, style)
