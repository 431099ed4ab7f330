"""The report as it stands in the terminal: at most LINES lines, read in ten seconds."""

import numpy as np
from cellcheck.properties.reports.case import FEW, digits

LINES, WIDTH = 15, 150


def short(case, path=None):
    """What broke, at which numbers, what differs, why, how to run it again and where the whole report is.

    path: of the Markdown file, or None where none was written.
    """
    lines = [f"{case.short_label} breaks the law {case.name}: {case.equation}", f"  at {case.sizes()}"]
    tail = [f"  likely: {s}" for s in case.sentences[:2]] or ["  no known mistake matches"]
    tail += [f"  rerun:  {case.rerun()}"] + ([f"  report: {path}"] if path else [])
    blames = [f"  {line}" for line in case.blames()]
    room = LINES - len(lines) - len(tail)
    numbers = [f"    {line}" for line in case_lines(case)]
    told = blames[: max(2, room - len(numbers))]
    if len(told) < len(blames):
        told[-1] += f"  (and {len(blames) - len(told)} more)"
    if len(numbers) > room - len(told):
        numbers = [*numbers[: room - len(told) - 1], "    ..."]
    return "\n".join(
        line if len(line) <= WIDTH or "rerun" in line or "report" in line else line[: WIDTH - 3] + "..."
        for line in [*lines, *numbers, *told, *tail]
    )


def case_lines(case):
    """The literal arrays, one a line; those that are zero together."""
    zero, lines = [], []
    for name, array in case.arrays():
        array = np.asarray(array)
        if not np.any(array):
            zero.append(name)
        elif array.size <= FEW:
            lines.append(f"{name} = {digits(array)}")
        else:
            shown = [f"{name}{list(map(int, i))} = {digits(array[tuple(i)])}" for i in np.argwhere(array)[:4]]
            n = int(np.count_nonzero(array))
            lines.append(f"{', '.join(shown)}{f' and {n - 4} more' if n > 4 else ''}, else 0: {array.shape}")
    return lines + ([f"{' = '.join(zero)} = 0"] if zero else [])
