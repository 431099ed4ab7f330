"""The report as it stands in the terminal: at most LINES lines, read in ten seconds."""

import numpy as np
from cellcheck.properties.reports.case import FEW, digits
from cellcheck.properties.writing.text import line

LINES, WIDTH, CAUSE = 15, 150, 400  # what to declare comes last in a cause


def short(case, path=None):
    """What broke, at which numbers, what differs, why, how to run it again and where the whole report is.

    path: of the page, or why there is none; None where none is wanted.
    """
    lines = [f"{case.short_label} breaks the law {case.name}: {case.equation}", f"  at {case.sizes()}"]
    unknown = "no known mistake matches"
    tail = [f"  {s}" if s.startswith(unknown) else f"  likely: {s}" for s in case.sentences[:2]] or [f"  {unknown}"]
    tail += [f"  {fault}" for fault in case.faults[:1]]
    rerun = case.rerun()
    whole = [f"  rerun:  {rerun}"] * bool(rerun) + [f"  report: {path}"] * bool(path)
    blames = [f"  {blame}" for blame in case.blames()]
    room = LINES - len(lines) - len(tail) - len(whole)
    numbers = [f"    {array}" for array in case_lines(case)]
    told = blames[: max(2, room - len(numbers))]
    if len(told) < len(blames):
        told[-1] += f"  (and {len(blames) - len(told)} more)"
    if len(numbers) > room - len(told):
        numbers = [*numbers[: room - len(told) - 1], "    ..."]
    return "\n".join([*map(_fit, [*lines, *numbers, *told]), *(_fit(said, CAUSE) for said in tail), *whole])


def _fit(text, most=WIDTH):
    indent = " " * (len(text) - len(text.lstrip(" ")))
    return indent + line(text, most - len(indent))


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
