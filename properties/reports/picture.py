"""The picture of a report: the error of every entry, array by array."""

import math

import numpy as np
from cellcheck.properties.writing import svg

CELL, GAP, LEFT, TOP = 18, 34, 92, 66  # pixels
BINS = (
    (1e-9, "right, to 1e-9"),
    (1e-3, "up to 0.1 %"),
    (0.1, "up to 10 %"),
    (1.0, "up to its size"),
    (math.inf, "beyond, or not a number"),
)
STYLE = """.page { fill: #ffffff }
.e0 { fill: #eaeef2 } .e1 { fill: #fdd49e } .e2 { fill: #fc8d59 } .e3 { fill: #d7301f } .e4 { fill: #7f0000 }
@media (prefers-color-scheme: dark) { .page { fill: #0d1117 }
.e0 { fill: #21262d } .e1 { fill: #6b4a1e } .e2 { fill: #c2601c } .e3 { fill: #ff6a4d } .e4 { fill: #ffd0c2 } }
"""


def picture(panels, title):
    """The SVG of some panels, one under the other, with a legend."""
    parts, x, y = [svg.text(title, 16, 24, "title")], 16, TOP
    for k, (_, words) in enumerate(BINS):
        parts += [svg.box(f"e{k}", x, 40, 11, 11), svg.text(words, x + 15, 50, "small")]
        x += 26 + 6 * len(words)
    width = max(x, 16 + 9 * len(title))
    for panel in panels:
        rows, columns = panel.errors.shape
        size = max(4, min(CELL, 900 // max(columns, 1), 600 // max(rows, 1)))
        y += 34 if panel.columns else 18
        parts += _panel(panel, y, size)
        y += rows * size + GAP - 12
        width = max(width, LEFT + columns * size + 40)
    return svg.picture(width, y + 8, [svg.box("page", 0, 0, width, y + 8), *parts], title, STYLE)


def _panel(panel, y, size):
    rows, columns = panel.errors.shape
    yield svg.text(panel.name, LEFT, y - (20 if panel.columns else 6), "name")
    for (i, j), error in np.ndenumerate(panel.errors):
        shown = "not a number" if not np.isfinite(error) else f"{error:.2g}"
        bin = next((k for k, (top, _) in enumerate(BINS) if error <= top), len(BINS) - 1)
        yield svg.box(f"e{bin}", LEFT + j * size, y + i * size, size - 1, size - 1, f"{panel.name}[{i}, {j}]: {shown}")
    for words, first, last in panel.columns:
        left, right = LEFT + first * size, LEFT + (last + 1) * size - 1
        yield svg.text(words, (left + right) / 2, y - 6, "small", "middle")
        yield svg.path("line", f"M{left - 0.5} {y - 3}V{y + rows * size}")
    for words, first, last in panel.rows:
        top, bottom = y + first * size, y + (last + 1) * size - 1
        yield svg.text(words, LEFT - 8, (top + bottom) / 2 + 4, "small", "end")
        yield svg.path("line", f"M{LEFT - 4} {top - 0.5}H{LEFT + columns * size}")
