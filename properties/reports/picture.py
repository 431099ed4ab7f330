"""The picture of a report: the error of every entry, block by block, in light and dark."""

import math
from html import escape

import numpy as np

CELL, GAP, LEFT, TOP = 18, 34, 92, 66
BINS = (
    (1e-9, "right, to 1e-9"),
    (1e-3, "up to 0.1 %"),
    (0.1, "up to 10 %"),
    (1.0, "up to its size"),
    (math.inf, "beyond, or not a number"),
)

STYLE = """
  .page { fill: #ffffff } text { fill: #24292f; font: 12px ui-sans-serif, system-ui, sans-serif }
  .title { font-weight: 600; font-size: 14px } .name { font-weight: 600 } .small { font-size: 11px; fill: #57606a }
  .line { stroke: #8c959f; stroke-width: 1 } .edge { stroke: #24292f; stroke-width: 1.5; fill: none }
  .e0 { fill: #eaeef2 } .e1 { fill: #fdd49e } .e2 { fill: #fc8d59 } .e3 { fill: #d7301f } .e4 { fill: #7f0000 }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117 } text { fill: #e6edf3 } .small { fill: #9198a1 } .line { stroke: #656c76 } .edge { stroke: #e6edf3 }
    .e0 { fill: #21262d } .e1 { fill: #6b4a1e } .e2 { fill: #c2601c } .e3 { fill: #ff6a4d } .e4 { fill: #ffd0c2 }
  }
"""


def picture(panels, title):
    """The SVG of some panels, one under the other, with a legend."""
    parts, y, width = [], TOP, 16 + sum(26 + 6 * len(words) for _, words in BINS)
    for panel in panels:
        size = max(4, min(CELL, 900 // max(panel.errors.shape[1], 1), 600 // max(panel.errors.shape[0], 1)))
        head = 34 if panel.columns else 18
        parts.append(_panel(panel, y + head, size))
        y += head + panel.errors.shape[0] * size + GAP - 12
        width = max(width, LEFT + panel.errors.shape[1] * size + 40)
    width = max(width, 16 + 9 * len(title))
    height = y + 8
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n"
        f'<rect class="page" width="{width}" height="{height}"/>\n<text class="title" x="16" y="24">{escape(title)}</text>\n'
        + _legend()
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _legend():
    x, parts = 16, []
    for k, (_, words) in enumerate(BINS):
        parts.append(
            f'<rect class="e{k}" x="{x}" y="40" width="11" height="11"/><text class="small" x="{x + 15}" y="50">{words}</text>'
        )
        x += 26 + 6 * len(words)
    return "\n".join(parts) + "\n"


def _panel(panel, y, size):
    rows, columns = panel.errors.shape
    above = y - (20 if panel.columns else 6)
    parts = [f'<text class="name" x="{LEFT}" y="{above}">{escape(panel.name)}</text>']
    for (i, j), error in np.ndenumerate(panel.errors):
        shown = "not a number" if not np.isfinite(error) else f"{error:.2g}"
        where = f"[{i}, {j}]"
        parts.append(
            f'<rect class="e{_bin(error)}" x="{LEFT + j * size}" y="{y + i * size}" width="{size - 1}" height="{size - 1}">'
            f"<title>{escape(panel.name)}{where}: {shown}</title></rect>"
        )
    for text, first, last in panel.columns:
        x0, x1 = LEFT + first * size, LEFT + (last + 1) * size - 1
        parts.append(f'<text class="small" x="{(x0 + x1) / 2:g}" y="{y - 6}" text-anchor="middle">{escape(text)}</text>')
        parts.append(f'<path class="line" d="M{x0 - 0.5} {y - 3}V{y + rows * size}"/>')
    for text, first, last in panel.rows:
        y0, y1 = y + first * size, y + (last + 1) * size - 1
        parts.append(f'<text class="small" x="{LEFT - 8}" y="{(y0 + y1) / 2 + 4:g}" text-anchor="end">{escape(text)}</text>')
        parts.append(f'<path class="line" d="M{LEFT - 4} {y0 - 0.5}H{LEFT + columns * size}"/>')
    return "\n".join(parts)


def _bin(error):
    return next((k for k, (top, _) in enumerate(BINS) if error <= top), len(BINS) - 1)
