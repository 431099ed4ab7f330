"""Cost against the number of parameters, both on logarithmic axes, as an SVG that reads on light and dark pages."""

from math import ceil, floor, log10

LEFT, TOP, WIDTH, HEIGHT, MARGIN = 70, 50, 520, 340, 300
COLOURS = ("#57606a", "#2563eb", "#0891b2", "#7c3aed", "#dc2626", "#ea580c", "#ca8a04", "#16a34a")
STYLE = """text { font: 12px system-ui, sans-serif; fill: #57606a } .title { font-size: 15px; font-weight: 600 }
.grid { stroke: #8b949e; stroke-opacity: .25 } .line { fill: none; stroke-width: 2 }
@media (prefers-color-scheme: dark) { text { fill: #c9d1d9 } .first { stroke: #c9d1d9; fill: #c9d1d9 } }
.line.first { fill: none }"""


def svg(series, title):
    """The picture as text. series: by name, points (parameters, seconds, whether measured in full), ascending."""
    points = [point for line in series.values() for point in line]
    x_low, x_high = log10(min(x for x, *_ in points)) - 0.15, log10(max(x for x, *_ in points)) + 0.15
    y_low, y_high = floor(log10(min(y for _, y, _ in points))), ceil(log10(max(y for _, y, _ in points)))

    def across(x):
        return LEFT + WIDTH * (log10(x) - x_low) / (x_high - x_low)

    def down(y):
        return TOP + HEIGHT * (y_high - log10(y)) / (y_high - y_low)

    body = [f'<text class="title" x="{LEFT}" y="26">{title}</text>', *_grid(x_low, x_high, y_low, y_high, across, down)]
    ends = _spread({name: down(line[-1][1]) for name, line in series.items()})
    for k, (name, line) in enumerate(series.items()):
        colour, first = COLOURS[k % len(COLOURS)], ' first"' if not k else '"'
        path = " ".join(f"{across(x):.1f},{down(y):.1f}" for x, y, _ in line)
        body.append(f'<polyline class="line{first} stroke="{colour}" points="{path}"/>')
        for x, y, full in line:
            fill = colour if full else "none"
            body.append(
                f'<circle class="{"first" if not k and full else ""}" cx="{across(x):.1f}" cy="{down(y):.1f}" r="3.5" '
                f'fill="{fill}" stroke="{colour}"/>'
            )
        x, y, _ = line[-1]
        body.append(
            f'<path class="grid" d="M{across(x) + 6:.1f},{down(y):.1f} L{LEFT + WIDTH + 8},{ends[name]:.1f}" fill="none"/>'
        )
        body.append(f'<circle cx="{LEFT + WIDTH + 16}" cy="{ends[name]:.1f}" r="4" fill="{colour}"/>')
        body.append(f'<text x="{LEFT + WIDTH + 26}" y="{ends[name] + 4:.1f}">{name}</text>')
    whole = f'viewBox="0 0 {LEFT + WIDTH + MARGIN} {TOP + HEIGHT + 70}" width="{LEFT + WIDTH + MARGIN}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {whole} role="img"><title>{title}</title><style>{STYLE}</style>'
    return "\n".join([head, *body, "</svg>\n"])


def _grid(x_low, x_high, y_low, y_high, across, down):
    """Lines and labels at the powers of ten."""
    for e in range(ceil(x_low), floor(x_high) + 1):
        x = across(10.0**e)
        yield f'<path class="grid" d="M{x:.1f},{TOP} V{TOP + HEIGHT}"/>'
        yield f'<text x="{x:.1f}" y="{TOP + HEIGHT + 20}" text-anchor="middle">{10**e:,}</text>'
    for e in range(y_low, y_high + 1):
        y = down(10.0**e)
        label = f"{10**e} s" if e >= 0 else f"{10 ** (e + 3)} ms" if e >= -3 else f"{10 ** (e + 6)} µs"
        yield f'<path class="grid" d="M{LEFT},{y:.1f} H{LEFT + WIDTH}"/>'
        yield f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{label}</text>'
    yield f'<text x="{LEFT + WIDTH / 2}" y="{TOP + HEIGHT + 42}" text-anchor="middle">parameters (hollow: scaled from a sample)</text>'


def _spread(places, gap=18):
    """The heights of labels, moved apart so that none covers another."""
    found, last = {}, -float("inf")
    for name, y in sorted(places.items(), key=lambda item: item[1]):
        last = max(y, last + gap)
        found[name] = last
    return found
