"""Cost against the number of parameters, both on logarithmic axes."""

from math import ceil, floor, log10

from cellcheck.properties.writing import svg
from cellcheck.properties.writing.markup import tag

LEFT, TOP, WIDTH, HEIGHT, MARGIN = 70, 50, 520, 340, 300  # pixels
COLOURS = ("#6e7781", "#2563eb", "#0891b2", "#7c3aed", "#dc2626", "#ea580c", "#ca8a04", "#16a34a")
STYLE = "text { font-size: 12px } polyline { fill: none; stroke-width: 2 }"
UNITS = ((0, "s"), (-3, "ms"), (-6, "µs"))  # power of ten from which on a time is told in it


def chart(series, title):
    """The picture as text. series: by name, points (parameters, seconds, whether measured in full), ascending."""
    points = [point for line in series.values() for point in line]
    x_low, x_high = log10(min(x for x, *_ in points)) - 0.15, log10(max(x for x, *_ in points)) + 0.15
    y_low, y_high = floor(log10(min(y for _, y, _ in points))), ceil(log10(max(y for _, y, _ in points)))

    def across(x):
        return round(LEFT + WIDTH * (log10(x) - x_low) / (x_high - x_low), 1)

    def down(y):
        return round(TOP + HEIGHT * (y_high - log10(y)) / (y_high - y_low), 1)

    parts, middle = [svg.text(title, LEFT, 26, "title")], LEFT + WIDTH / 2
    for e in range(ceil(x_low), floor(x_high) + 1):
        parts.append(svg.path("grid", f"M{across(10.0**e)},{TOP} V{TOP + HEIGHT}"))
        parts.append(svg.text(f"{10**e:,}", across(10.0**e), TOP + HEIGHT + 20, anchor="middle"))
    for e in range(y_low, y_high + 1):
        power, unit = next((unit for unit in UNITS if e >= unit[0]), UNITS[-1])
        parts.append(svg.path("grid", f"M{LEFT},{down(10.0**e)} H{LEFT + WIDTH}"))
        parts.append(svg.text(f"{10 ** (e - power)} {unit}", LEFT - 8, down(10.0**e) + 4, anchor="end"))
    parts.append(svg.text("parameters (hollow: scaled from a sample)", middle, TOP + HEIGHT + 42, anchor="middle"))
    label = -float("inf")
    for k, (name, line) in sorted(enumerate(series.items()), key=lambda item: down(item[1][1][-1][1])):
        colour, places = COLOURS[k % len(COLOURS)], [(across(x), down(y)) for x, y, _ in line]
        parts.append(tag("polyline", stroke=colour, points=" ".join(f"{x},{y}" for x, y in places)))
        for (x, y), (*_, full) in zip(places, line):
            parts.append(tag("circle", cx=x, cy=y, r=3.5, fill=colour if full else "none", stroke=colour))
        x, y = places[-1]
        label = max(y, label + 18)  # no label covers another
        parts.append(svg.path("grid", f"M{x + 6},{y} L{LEFT + WIDTH + 8},{label}"))
        parts.append(tag("circle", cx=LEFT + WIDTH + 16, cy=label, r=4, fill=colour))
        parts.append(svg.text(name, LEFT + WIDTH + 26, label + 4))
    return svg.picture(LEFT + WIDTH + MARGIN, TOP + HEIGHT + 70, parts, title, STYLE)
