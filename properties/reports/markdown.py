"""The report as one Markdown file, ready to be pasted into an issue."""

import platform

import numpy as np
from cellcheck.properties.reports.case import compared, digits
from cellcheck.properties.shrinking.shrinking import entry, kind
from cellcheck.properties.verdicts.blocks import Violation

MANY = 64  # wrong blocks, or entries of an array, beyond which a report says how many there are


def markdown(case, script=None, picture=None):
    """The text of the report. script, picture: names of the files beside it."""
    parts = [
        f"# {case.short_label} breaks the law `{case.name}`",
        f"    {case.equation}",
        _where(case),
        "## Likely cause",
        _likely(case),
    ]
    if picture:
        parts += ["## Where", f"![relative error of every entry]({picture})", _legend(case)]
    parts += ["## Smallest case", f"{case.sizes().capitalize()}.", _numbers(case)]
    if script:
        parts += [
            f"[`{script}`]({script}) makes these calls on its own, with NumPy "
            "and the cell's module: it exits with 1 while the cell is broken."
        ]
    parts += ["## Run it again", f"    {case.rerun()}", f"Found with {versions()}."]
    return "\n\n".join(filter(None, parts)) + "\n"


def versions():
    """Python and NumPy, as they matter for floating point."""
    return f"Python {platform.python_version()}, NumPy {np.__version__}, {platform.machine()}"


def _where(case):
    """A table of the wrong blocks, worst first."""
    if not isinstance(case.error, Violation):
        return f"The cell {case.blames()[0]}."
    rows = ["| where | got | expected | bound |", "|---|---|---|---|"]
    for block in case.error.blocks[:MANY]:
        got, expected = (f"`{_cell(entry(v, block.index))}`" for v in (block.got, block.expected))
        bound = f"{block.bound:.1e}" if block.bound else "exact" if kind(block) == "value" else ""
        if kind(block) == "shape":
            got, expected = (f"`{v}`" for v in (block.got, block.expected))
        rows.append(f"| {case.where(block)} | {got} | {expected} | {bound} |")
    more = len(case.error.blocks) - MANY
    return "\n".join(rows + ([f"\n{more} more blocks are wrong."] if more > 0 else []))


def _cell(value):
    return compared_number(value).replace("|", "\\|")


def compared_number(value):
    """17 digits where they are needed."""
    return repr(value) if isinstance(value, float) else " ".join(str(value).split())[:120]


def _likely(case):
    if not case.sentences:
        return "No known mistake matches the numbers."
    return "\n".join(f"- {sentence}" for sentence in case.sentences)


def _legend(case):
    return "\n".join(case.panels[0].caption.splitlines()) if case.panels and case.panels[0].caption else ""


def _numbers(case):
    """The arrays as Python literals."""
    lines = []
    for name, array in case.arrays():
        array = np.asarray(array)
        if array.size <= MANY:
            lines.append(f"{name} = {digits(array)}" if array.size else f"{name} is empty, {array.shape}")
        else:
            filled = np.argwhere(array)
            lines.append(f"{name} is {array.shape}, zero but for {len(filled)} entries")
            lines += [f"{name}{list(map(int, i))} = {digits(array[tuple(i)])}" for i in filled[:8]]
    return "```python\n" + "\n".join(lines) + "\n```" if lines else f"`{case.problem!r}`"


__all__ = ["compared", "markdown", "versions"]
