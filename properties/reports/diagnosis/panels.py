"""What the picture shows: of every array the error of every entry."""

from dataclasses import dataclass, field

import numpy as np
from cellcheck.properties.reports.recording import recorded
from cellcheck.properties.verdicts.blocks import Violation


@dataclass
class Panel:
    """name; errors: |got - expected| / max |expected|, 2-D; columns, rows: their labels, (text, first, last)."""

    name: str
    errors: np.ndarray
    columns: list = field(default_factory=list)
    rows: list = field(default_factory=list)
    caption: str = ""


def panels(case, *grown):
    """The panels of what the law compares, on the first of these cases on which it breaks, else on the smallest; [] for none."""
    for g in grown:
        if found := _of_gradients(g, PARTS[case.name]) if case.name in PARTS else _of_law(case, g):
            return found
    return _of_blocks(case, case.error.blocks if isinstance(case.error, Violation) else [], None)


PARTS = {  # of laws that compare derivatives along directions, which are no arrays: whose gradients they are about
    "weight_gradients": "weights",
    "input_gradients": "x",
    "state_gradients": "state",
}


def _of_gradients(g, part):
    names = {"weights": g.names[: g.n], "x": g.names[g.n : g.n + 1], "state": g.names[g.n + 1 :]}[part]
    claims, truth, found = g.claims(), g.truth(), []
    for name in names:
        if name in claims and claims[name].shape == truth[name].shape:
            found.append(_panel(g, name, claims[name], truth[name]))
    if not any(np.any(~(p.errors <= 1e-9)) for p in found):
        return []
    found[0].caption = f"Error of every entry of the gradients, {_case(g)}."
    return found


def _of_law(case, g):
    *_, error = recorded(case.law, case.Cell, g.p)
    return _of_blocks(case, error.blocks, g) if isinstance(error, Violation) else []


def _of_blocks(case, blocks, g):
    found = []
    for b in blocks[:8]:
        if (
            isinstance(b.got, np.ndarray)
            and isinstance(b.expected, np.ndarray)
            and b.got.shape == b.expected.shape
            and b.got.size < 5000
            and np.shape(b.got)[-1:] < (300,)
        ):
            found.append(_panel(g, b.name, b.got, b.expected))
    if found:
        found[0].caption = "Error of every entry that the law compares, " + (_case(g) if g else f"at {case.sizes()}") + "."
    return found


def _case(g):
    r = g.p.recipe
    steps = f"{len(g.p.x)} steps, " if g.p.x.ndim == 3 else ""
    return f"at {steps}batch {g.batch}, features {r.features}, state {r.state}"


def _panel(g, name, got, expected):
    got, expected = np.asarray(got, dtype=float), np.asarray(expected, dtype=float)
    scale = np.max(np.abs(expected), initial=0.0) or 1.0
    with np.errstate(all="ignore"):
        errors = np.where(got == expected, 0.0, np.abs(got - expected) / scale)
    flat = errors.reshape(-1, errors.shape[-1]) if errors.ndim else errors.reshape(1, 1)
    panel = Panel(name, flat)
    if g is not None and name in g.names[: g.n] and g.blocks:
        _label(panel, g, g.names.index(name), errors.shape)
    elif errors.ndim == 3:
        n = errors.shape[1]
        panel.rows = [(f"step {t}", t * n, (t + 1) * n - 1) for t in range(errors.shape[0])]
    return panel


def _label(panel, g, k, shape):
    """Gates over their columns, sources beside their rows."""
    for (source, gate), where in g.blocks[k].items():
        mask = np.zeros(shape, bool)
        mask[where] = True
        mask = mask.reshape(panel.errors.shape)
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        across, down = (source, gate) if g.cell.spec.transposed else (gate, source)
        for labels, text, found in ((panel.columns, across, columns), (panel.rows, down, rows)):
            label = (text, int(found[0]), int(found[-1]))
            if label not in labels:
                labels.append(label)
