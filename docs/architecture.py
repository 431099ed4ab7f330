"""Draws docs/architecture.svg from the imports: `python -m docs.architecture`, in a checkout.

The rooms and floors are those of tests/test_imports.py. An arrow leads from a room to one that it imports from; arrows that follow
from others are left out.
"""

from pathlib import Path

from cellcheck.properties.writing import svg

from tests.test_imports import FILES, FLOORS, ROOT, imported, ours, room_of

FILE = Path(__file__).with_suffix(".svg")
ABOUT = {  # the column where a room is drawn, and what it has
    "cells": (1, "the contract, cells, adapters"),
    "strategies": (1, "what is drawn: problems"),
    "properties/verdicts": (2, "the comparison, the bound"),
    "properties/writing": (3, "SVG, HTML, text"),
    "properties/intake": (1, "from a name to a cell"),
    "properties/shrinking": (2, "the smallest case"),
    "properties/oracles": (1, "what is right"),
    "properties": (1, "the laws: test_*.py"),
    "properties/mutants": (0, "cells broken on purpose"),
    "properties/reports": (2, "what a person reads"),
    "properties/certificate": (3, "what a run proved"),
    "cellcheck": (1, "command, check(), plugin"),
    "tests": (0, "the tests of Cellcheck"),
    "bench": (2, "what verifying costs"),
}
STYLE = """
.room { fill: #f6f8fa; stroke: #57606a } .arrow { stroke: #57606a; fill: none } .head { fill: #57606a }
@media (prefers-color-scheme: dark) { .room { fill: #161b22; stroke: #9198a1 } .arrow { stroke: #9198a1 } .head { fill: #9198a1 } }
"""
WIDTH, WIDE, HIGH, GAP, TOP = 860, 190, 44, 40, 40


def arrows():
    """(room, room that it imports from), without those that follow from others."""
    below = {room: set() for rooms in FLOORS for room in rooms}
    files = [*FILES, *(path for room in FLOORS[-1] for path in sorted((ROOT / room).glob("*.py")))]
    for path in files:
        room = room_of(list(path.relative_to(ROOT).parts[:-1]))
        below[room] |= {room_of(folders) for module, _ in imported(path) if (folders := ours(module))} - {room}
    reached = {}
    for room in (room for rooms in FLOORS for room in rooms):  # from the lowest floor up
        reached[room] = below[room].union(*(reached[other] for other in below[room]))
    return [
        (room, other)
        for room, others in below.items()
        for other in sorted(others)
        if not any(other in reached[between] for between in others - {other})
    ]


def drawn():
    """The picture as Markup."""
    places = {}
    for floor, rooms in enumerate(reversed(FLOORS)):
        for k, room in enumerate(rooms):
            column = ABOUT[room][0] if room in ABOUT else k
            places[room] = (column + 0.5) * WIDTH / 4, TOP + floor * (HIGH + GAP)
    lines, boxes = [], []
    for room, other in arrows():
        (x1, y1), (x2, y2) = places[room], places[other]
        top, bottom = y1 + HIGH, y2 - 6
        blocked = any(x == x1 and y1 < y < y2 for x, y in places.values())
        turn = top if blocked else bottom - GAP + 6  # where it begins to change the column, which takes the height of a gap
        swing = f"C{x1:g} {turn + GAP / 2:g} {x2:g} {turn + GAP / 2 - 6:g} {x2:g} {turn + GAP - 6:g}"
        lines.append(svg.path("arrow", f"M{x1:g} {top:g}L{x1:g} {turn:g}{swing}L{x2:g} {bottom:g}"))
        lines.append(svg.path("head", f"M{x2 - 4:g} {bottom - 2:g}h8l-4 8z"))
    for room, (x, y) in places.items():
        boxes.append(svg.box("room", x - WIDE / 2, y, WIDE, HIGH, rx=4))
        boxes.append(svg.text(room + "/", x, y + 18, "name", "middle"))
        boxes.append(svg.text(ABOUT.get(room, (0, ""))[1], x, y + 34, "small", "middle"))
    title = "What imports what: every arrow leads down"
    height = TOP + len(FLOORS) * (HIGH + GAP) - GAP + 20
    head = [svg.text(title, 12, 22, "title"), svg.text("(those that follow from others are left out)", 335, 22, "small")]
    return svg.picture(WIDTH, height, [*head, *lines, *boxes], title, STYLE)


if __name__ == "__main__":
    FILE.write_text(drawn(), encoding="utf-8")
