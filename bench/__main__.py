"""Measure everything, print it as Markdown, and write docs/bench.md and docs/bench.svg."""

import argparse
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from bench import before, chart, deaths, elements, gradients, suite
from bench.checkers import FRAMEWORKS
from bench.subjects import SIZES

DOCS = Path(__file__).parents[1] / "docs"
SECTIONS = ("gradients", "mutants", "suite", "before", "elements")


def main(arguments=None):
    """The chosen sections, all by default; docs/ is written where all were measured or --write is given."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("sections", nargs="*", help=f"of {', '.join(SECTIONS)}; default: all")
    parser.add_argument("--write", action="store_true", help="write docs/ although not everything is measured")
    options = parser.parse_args(arguments)
    chosen = options.sections or list(SECTIONS)
    if unknown := set(chosen) - set(SECTIONS):
        parser.error(f"{', '.join(sorted(unknown))}: wanted {', '.join(SECTIONS)}")
    parts, picture = [heading()], None
    for name in SECTIONS:
        if name in chosen:
            said, drawn = globals()[f"{name}_section"]()
            parts, picture = [*parts, said], picture or drawn
            print(said, flush=True)
    if set(chosen) == set(SECTIONS) or options.write:
        DOCS.mkdir(exist_ok=True)
        (DOCS / "bench.md").write_text("\n".join(parts), encoding="utf-8")
        if picture:
            (DOCS / "bench.svg").write_text(picture, encoding="utf-8")
    return 0


def heading():
    """On what it was measured."""
    found = []
    for name in ("numpy", "hypothesis", "pytest", "torch", "jax", "scipy"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"no {name}")
    load = f", load {os.getloadavg()[0]:.1f} at the start" if hasattr(os, "getloadavg") else ""
    return f"""# What verifying costs

Written by `tox -e bench`. Python {platform.python_version()}, {", ".join(found)}; {os.cpu_count()} cores{load}; numerical libraries
on one thread. Times of calls are processor seconds, the least of a few tries, a forward pass timed beside each; times of whole
runs are wall seconds.
"""


def table(head, rows):
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"


def gradients_section():
    """Cost and detection of full verification, and the picture."""
    found = gradients.costs()
    names = [name for name in gradients.NAMES if name not in FRAMEWORKS or any(c.checker == name for c in found)]
    parts = ["## All gradients of a cell\n", GRADIENTS]
    for cell in dict.fromkeys(c.cell for c in found):
        mine = [c for c in found if c.cell == cell]
        for size in SIZES:
            costs = {c.checker: c for c in mine if c.sizes == size}
            one = next(iter(costs.values()))
            parts.append(
                f"**{cell}, (batch, features, state) = {size}**: {one.parameters:,} parameters, forward pass {_time(one.forward)}\n"
            )
            head = ("", "forward passes", "time", "detects in a gate", "in an entry", "in the worst block", "agreement", "")
            parts.append(table(head, [_cost_row(name, costs.get(name)) for name in names]))
        parts.append(_slopes(mine, names))
    return "\n".join(parts), picture([c for c in found if c.cell == "LSTM"], names)


GRADIENTS = """Each checker verifies the same NumPy forward and backward, at a well-scaled problem. *Detects* is the smallest relative
error, by powers of ten, that it rejects: in all gradients of one gate of a matrix, in one entry (of median size) of them, and, for ours, in
whichever gate of whichever array it detects worst. *Agreement* is the worst relative difference of claim and derivative. The loop
verifies gradients of weights only. Missing: not installed, or beyond a minute or the memory.
"""


def _cost_row(name, cost):
    if cost is None:
        return (name, *["-"] * 6, "")
    numbers = [_power(v) for v in (cost.in_gate, cost.in_entry, cost.worst)]
    agreement = "-" if cost.agreement is None else f"{cost.agreement:.0e}"
    return (name, f"{cost.forwards:,.{0 if cost.forwards >= 100 else 1}f}", _time(cost.seconds), *numbers, agreement, cost.note)


def _slopes(costs, names):
    forward = [type(c)(**{**vars(c), "seconds": c.forward}) for c in costs if c.checker == names[0]]
    lines = [("forward pass", gradients.slope(forward))]
    lines += [(name, gradients.slope([c for c in costs if c.checker == name])) for name in names]
    said = ", ".join(f"{name} {value:.2f}" for name, value in lines if value is not None)
    return f"Slope of log time against log parameters: {said}.\n"


def picture(costs, names):
    """The SVG of the LSTM's costs."""
    first = [(c.parameters, c.forward, True) for c in costs if c.checker == names[0]]
    series = {"forward pass": first}
    for name in names:
        series[name] = [(c.parameters, c.seconds, "scaled" not in c.note) for c in costs if c.checker == name]
    return chart.chart(series, "Verifying all gradients of an LSTM")


def mutants_section():
    """Time to the first counterexample and to the report."""
    found, lived = deaths.times()
    rows = []
    for name, values in (
        ("examples to the first counterexample", [t.examples for t in found]),
        ("seconds to the first counterexample", [t.found for t in found]),
        ("seconds to the small case", [t.found + t.shrunk for t in found]),
        ("seconds to the written report", [t.found + t.shrunk + t.told for t in found]),
    ):
        rows.append((name, *(f"{np.quantile(values, q):.3g}" for q in (0.5, 0.9, 1.0))))
    lives = f" Alive: {', '.join(lived)}." if lived else ""
    said = f"{len(found)} of {len(found) + len(lived)} mutants die by the law that names their fault.{lives}\n"
    return "\n".join(["## From a bug to its report\n", said, table(("", "median", "90 %", "most"), rows)]), None


def suite_section():
    """The default run."""
    start, _ = suite.run("--collect-only")
    serial, _ = suite.run("-n0")
    parallel, _ = suite.run("-n2")
    spent, examples = suite.shares()
    total = sum(spent.values())
    rows = [(name, f"{spent[name]:.1f}", f"{100 * spent[name] / total:.0f} %") for name in suite.SHARES]
    useful = 100 * sum(spent[name] for name in suite.SHARES[:3]) / total
    said = f"""{examples:,} examples. `-n 0` {serial:.1f} s, `-n 2` {parallel:.1f} s:
{serial / parallel:.2f} times as fast, {examples / parallel:,.0f} examples a second; collecting alone {start:.1f} s. Of the
processor time in one process (measuring adds some to each part), cells, oracles, laws and the arrays
that they are given take {useful:.0f} %:
"""
    return "\n".join(["## The default run of the laws on the shipped cells\n", said, table(("", "seconds", "share"), rows)]), None


def before_section():
    """Whole runs beside those of an earlier commit."""
    rows = [(kind, f"{now:.2f}", f"{then:.2f}", f"{now / then:.2f}") for kind, (now, then) in before.pairs().items()]
    said = f"Medians of {before.RUNS} runs of each, in turn, both with their compiled files in place; there were fewer laws at {before.COMMIT}.\n"
    head = ("", "seconds", f"at {before.COMMIT}", "ratio")
    return "\n".join(["## Whole runs, beside an earlier commit\n", said, table(head, rows)]), None


def elements_section():
    """Activations and cells per element."""
    rows = [(name, f"{ns:.2f}", f"{ratio:.2f}") for name, ns, ratio in elements.activation_rows()]
    parts = ["## Activations and cells\n", table((f"{elements.ELEMENTS} elements", "ns per element", "np.tanh = 1"), rows)]
    cells = [
        (
            name,
            size,
            *("-" if t is None else f"{t:.0f}" for t in times),
            "-" if times[2] is None else f"{times[0] / times[2]:.2f}, {times[1] / times[3]:.2f}",
        )
        for name, size, *times in elements.cell_rows()
    ]
    head = ("", "(batch, features, state)", "apply, ns a unit and row", "vjp", "torch forward", "torch backward", "ours / torch")
    return "\n".join([*parts, table(head, cells)]), None


def _time(seconds):
    for unit, size in (("h", 3600), ("min", 60), ("s", 1), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"


def _power(value):
    return "-" if value is None else "none" if value == np.inf else f"{value:.0e}"


if __name__ == "__main__":
    sys.exit(main())
