"""The page of a broken law in Markdown, ready to be pasted into an issue."""

import hashlib
import platform
from importlib.metadata import PackageNotFoundError, version

import numpy as np
from cellcheck.properties.intake.raised import last_frames
from cellcheck.properties.reports.case import digits
from cellcheck.properties.reports.origin import source
from cellcheck.properties.shrinking.shrinking import entry, kind
from cellcheck.properties.verdicts.blocks import Violation
from cellcheck.properties.writing.text import code, marked, prose

MANY = 64  # wrong blocks, or entries of an array, beyond which a report says how many there are


def markdown(case, script=None, picture=None):
    """The text of the page. script, picture: names of the files beside it."""
    parts = [
        f"# {prose(case.short_label)} breaks the law `{case.name}`",
        f"    {case.equation}",
        _where(case),
        "## Likely cause",
        "\n".join(f"- {marked(told)}" for told in case.sentences) or "No known mistake matches the numbers.",
        *map(prose, case.faults),
    ]
    if picture:
        parts += ["## Where", f"![relative error of every entry]({picture})", case.panels[0].caption]
    parts += ["## Smallest case", f"{case.sizes().capitalize()}.", _numbers(case)]
    if script:
        parts += [
            f"[`{script}`]({script}) makes these calls on its own, with NumPy and the cell's module. "
            "It exits with 1 while the cell is broken, with 0 once it is fixed, and with 2 if it cannot run."
        ]
    if rerun := case.rerun():
        parts += ["## Run it again", f"    {rerun}"]
    parts.append(f"Found with {versions()}{_source(case)}.")
    return "\n\n".join(filter(None, parts)) + "\n"


def versions():
    """Cellcheck, Python and NumPy, as they matter for floating point."""
    try:
        ours = version("cellcheck")
    except PackageNotFoundError:
        ours = "from a checkout"
    return f"Cellcheck {ours}, Python {platform.python_version()}, NumPy {np.__version__}, {platform.machine()}"


def _source(case):
    """Which source of a guest was verified: its file by name and hash."""
    file = source(case.label, case.home)
    if not (file and file.is_file()):
        return ""
    return f"; {code(file.name)} has SHA-256 {hashlib.sha256(file.read_bytes()).hexdigest()[:12]}"


def _where(case):
    """A table of the wrong blocks, worst first; or what was raised, and where."""
    if not isinstance(case.error, Violation):
        frames = "\n".join(f"    {frame}" for frame in last_frames(case.error, case.home))
        return f"The cell {prose(case.blames()[0])}." + f"\n\n{frames}" * bool(frames)
    rows = ["| where | got | expected | bound |", "|---|---|---|---|"]
    for block in case.error.blocks[:MANY]:
        whole = kind(block) == "shape"
        got, expected = (code(v if whole else entry(v, block.index)) for v in (block.got, block.expected))
        bound = f"{block.bound:.1e}" if block.bound else "exact" if kind(block) == "value" else ""
        rows.append(f"| {prose(case.where(block))} | {got} | {expected} | {bound} |")
    more = len(case.error.blocks) - MANY
    return "\n".join(rows + ([f"\n{more} more blocks are wrong."] if more > 0 else []))


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
    return "```python\n" + "\n".join(lines) + "\n```" if lines else code(repr(case.problem))
