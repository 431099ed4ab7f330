"""The power of a pass: how many single edits of a cell's own code the laws refuse, measured on the very cell that passed."""

import os
from collections import Counter
from dataclasses import asdict, dataclass, field, fields, replace
from itertools import groupby
from math import sqrt
from pathlib import Path
from random import Random
from textwrap import wrap
from time import perf_counter, process_time

import numpy as np
from cellcheck.cells.lift import Lift, Lifted, lift
from cellcheck.properties.intake.catalogue import laws as catalogue
from cellcheck.properties.mutants import apart
from cellcheck.properties.mutants.generated import equivalent
from cellcheck.properties.mutants.judge import FEW, drawn, killed
from cellcheck.properties.mutants.reach import SHIPPED, Reach
from cellcheck.properties.verdicts.limits import EXAMPLE, Hang, limited
from cellcheck.properties.verdicts.run import both, outcome
from cellcheck.properties.writing.listing import listing
from cellcheck.properties.writing.svg import STYLE

FIRST_PART = 0.8  # of the time, for edits under few examples; the rest is for those that survive these
EVERY = 3  # one in so many edits is asked of further laws once one has refused it, for the figures of single laws
ROUNDING = 64  # units of the last place by which two results differ that are one but for rounding
LAW, ERROR = "a law", "an error"
NEVER = "never executed by any example"
EQUAL, ROUNDED = "equal on all examples tried", "differs by rounding only"
INITIAL = "changes only the initial weights"
HARMLESS = (EQUAL, ROUNDED, INITIAL)
BLIND, FREE = "a blind spot", "another function, and no law knows what this cell should compute"
LESS, OTHER = "no longer asked", "describes another cell"
GRAVE = (BLIND, FREE, NEVER, LESS, OTHER)  # the most serious first; what only a promise or a declaration excuses comes after them


@dataclass(frozen=True)
class Survivor:
    """An edit that no law refuses.

    line: of the file; before, after: the smallest statement that holds it; reason: why it may live; known: of a shipped cell why
    it computes the same thing, if a person has found out.
    """

    file: str
    line: int
    place: str
    before: str
    after: str
    reason: str
    known: str = ""


@dataclass
class Power:
    """What the laws refuse. edits: how many there are; tried: how many were, a random sample; refused: of these.

    how: refused by what (a law, an error, time, the end of the process); alone: edits that one law alone refuses, by law, of alone_of;
    lines: of the functions that were edited, with the tried and refused edits of each; beyond: code that is out of reach, in
    words; unused: laws that apply but did not hold before any edit.
    """

    label: str
    edits: int = 0
    tried: int = 0
    refused: int = 0
    how: dict = field(default_factory=dict)
    alone: dict = field(default_factory=dict)
    alone_of: int = 0
    survivors: list = field(default_factory=list)
    lines: list = field(default_factory=list)
    beyond: list = field(default_factory=list)
    unused: list = field(default_factory=list)
    seconds: float = 0.0
    workers: int = 1

    @property
    def share(self):
        """The share of the tried edits that were refused, or None."""
        return self.refused / self.tried if self.tried else None

    @property
    def share_of_effective(self):
        """The same of the edits that change a result in some example, or None."""
        idle = sum(s.reason.startswith((*HARMLESS, NEVER)) for s in self.survivors)
        return self.refused / (self.tried - idle) if self.tried > idle else None

    @property
    def interval(self):
        """Wilson's interval that holds the share of all edits at 95 %; a point where all were tried."""
        if not self.tried or self.tried == self.edits:
            return self.share, self.share
        n, p, z = self.tried, self.share, 1.96
        middle, half = p + z * z / (2 * n), z * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        low, high = (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)
        return max(0.0, min(low, p)), min(1.0, max(high, p))  # at 0 and 1 one end is the share itself, but for rounding

    def as_dict(self):
        """Plain values, as the certificate has them."""
        shares = {"share": self.share, "share_of_effective": self.share_of_effective, "interval": list(self.interval)}
        return asdict(self) | shares

    def picture(self):
        """The source of the edited functions as SVG, each line shaded by the share of its edits that were refused."""
        return listing(self.lines, f"{self.label}: edits refused, by line", STYLE)

    def __str__(self):
        return "\n".join(text if "\n" in text else _wrapped(text) for text in self._text())

    def _text(self):
        beyond = [f"Out of reach: {'; '.join(self.beyond)}."] * bool(self.beyond)
        if not self.tried:
            why = f"its code is out of reach ({'; '.join(self.beyond)})" if self.beyond else "none could be made in time"
            yield f"{self.label}: no edits: {why}."
            return
        yield f"{self.label}: {self.share:.1%} of single edits are refused, {self.refused} of {self.tried}."
        if self.tried < self.edits:
            low, high = self.interval
            yield f"A random sample of {self.edits} edits; of all, {low:.1%} to {high:.1%} (95 % confidence)."
        if self.share_of_effective != self.share:
            yield f"Of those that change a result in any example: {self.share_of_effective:.1%}."
        yield "Refused by " + ", ".join(f"{how}: {n}" for how, n in self.how.items()) + "."
        yield f"Measured in {self.seconds:.0f} s with {self.workers} process{'es' if self.workers > 1 else ''}."
        yield from beyond
        if self.alone:
            alone = ", ".join(f"{law}\xa0{n}" for law, n in self.alone.items())
            yield f"Of {self.alone_of} refused edits that were put to further laws, one law alone refuses: {alone}."
        if self.unused:
            yield f"Not used, since they do not hold before any edit: {', '.join(self.unused)}."
        for reason, alike in groupby(self.survivors, lambda s: s.reason):
            group = list(alike)
            heading = _wrapped(f"{len(group)} survive{'s' * (len(group) == 1)}: {reason}.")
            yield f"\n{heading}"
            for _, same in groupby(group, lambda s: (s.file, s.line, s.place, s.before)):
                first, *others = same
                yield f"{first.file}:{first.line}, in {first.place}" + f": {1 + len(others)} edits" * bool(others)
                yield "\n".join([f"  - {first.before}", *map(_after, (first, *others) if reason != NEVER else ())])


def _wrapped(text):
    """The text in lines of 80 columns; a non-breaking space becomes a plain one."""
    return "\n".join(wrap(text, 80, break_long_words=False, break_on_hyphens=False)).replace("\xa0", " ")


def _after(s):
    """The line of a survivor that shows the edit, and why it computes the same thing where that is known."""
    return f"  + {s.after}" + f"\n    ({s.known})" * bool(s.known)


def _order(s):
    """The most serious reason first, then by line; not as processes happen to end."""
    rank = next((k for k, reason in enumerate(GRAVE) if s.reason.startswith(reason)), len(GRAVE))
    rank += s.reason.startswith(HARMLESS)
    return rank, s.reason, s.file, s.line, s.place, s.before, s.after


def measured(
    Cell, label=None, seconds=60, laws=None, *, workers=None, seed=0, strict=None
):  # pragma: no cover (nobody watches beside our tracer)
    """The Power of the laws over single edits of this cell's own code.

    label: what the cell is called; seconds: about how long it may take; laws: names of those that held, by default all that
    apply; workers: processes, by default one a core, 1 for this process alone; seed: of the sample; strict: whether promises
    decide, as they do for shipped cells by default. What the pre-flight found out about the cell (its convention) is kept.
    """
    began, Cell = perf_counter(), lift(Cell)
    trial = _Trial(Cell, laws, strict)
    workers = workers or apart.cores()
    edits = list(trial.reach.edits())
    start = perf_counter()
    Random(seed).shuffle(edits)
    trial.thorough = set(edits[::EVERY])
    limit = 20 + 60 * sum(trial.seconds.values())
    refusals, reasons = {}, {}
    for edit, found in apart.results(trial.first, edits, workers, limit, start + FIRST_PART * seconds):
        refusals[edit], reasons[edit] = (found, "") if isinstance(found, str) else found
        trial.telling.update(name for name, _ in (() if isinstance(found, str) else found[0]))
    lives = [edit for edit, found in refusals.items() if not found]
    never, all_tried = trial.never_executed(lives, start + seconds)
    reasons |= dict.fromkeys(never, NEVER if all_tried else f"not executed by {FEW} examples of each law")
    rest = sorted((edit for edit in lives if edit not in never), key=lambda edit: reasons[edit].startswith(HARMLESS))
    late = set(rest)
    if perf_counter() < start + seconds:
        trial.draw_all(rest)
    for edit, found in apart.results(trial.second, rest, workers, 15 * limit, start + seconds, grace=0):
        refusals[edit], promise = (found, "") if isinstance(found, str) else found
        reasons[edit] = promise or reasons[edit]
        late.remove(edit)
    reasons |= {edit: f"{reasons[edit]} ({FEW} examples of each law only)" for edit in late}
    return _power(trial, label or Cell.__name__, edits, refusals, reasons, perf_counter() - began, workers)


class _Trial:
    """One cell, the laws that held on it, and its edits under these laws."""

    def __init__(self, Cell, chosen, strict):
        self.Cell = Cell
        self.reach = Reach(Cell.Guest, Cell(2, 3).guest)
        strict = self.reach.shipped if strict is None else strict
        asked = [law for law in catalogue().values() if (chosen is None or law.name in chosen) and law.applies(Cell)]
        self.seconds, self.telling, self.thorough = {}, Counter(), set()
        for law in asked:
            problems, began = drawn(law.name, FEW), perf_counter()
            with self.reach.watching():
                if not _refusal(law, Cell, problems):
                    self.seconds[law.name] = perf_counter() - began
        self.unused = [law.name for law in asked if law.name not in self.seconds]
        held = [law for law in asked if law.name in self.seconds]
        self.laws = [law for law in held if strict or not law.promise]
        self.promises = [law for law in held if law not in self.laws]
        self._specs = {sizes: Cell.spec(*sizes) for sizes in ((2, 3), (4, 6))}
        self._initial = _initial(Cell)  # None if they are different each time
        self._initial = self._initial if self._initial == _initial(Cell) else None
        self._plain = {p: (_run(Cell, p), _run(Cell, p, raw=True)) for p in drawn("weight_gradients")}

    def first(self, edit):
        """(refusals, reason): the first refusals of the edit, (law, how), under few examples; why it may live without any."""
        with self.reach.made(edit):
            refusals, unasked = self._refusals(self.laws, few=True, enough=1 + (edit in self.thorough))
            return refusals, "" if refusals else self._why(unasked)

    def second(self, edit):
        """(refusals, reason) of an edit that survived `first`, under all examples; the reason only if it breaks a promise."""
        with self.reach.made(edit):
            refusals, _ = self._refusals(self.laws, few=False)
            promise = None if refusals else next((name for name, _ in self._refusals(self.promises, few=False)[0]), None)
            return refusals, promise and f"breaks only a promise: {promise}"

    def _refusals(self, some, few, enough=1):
        """([(law, how), ...], the laws that no longer apply): the most telling laws first, until enough refuse the edit."""
        found, unasked, Fresh = [], [], self._fresh()
        for law in sorted(some, key=lambda law: -self.telling[law.name]):
            problems = drawn(law.name, FEW) if few else drawn(law.name)
            limit = (5 + 60 * self.seconds[law.name]) * len(problems) / FEW
            how = _refusal(law, Fresh, problems, limit)
            if how == "":
                unasked.append(law.name)
            elif how:
                found.append((law.name, how))
            if len(found) == enough or how == apart.HUNG:
                break
        return found, unasked

    def _fresh(self):
        """The cell without anything that is kept of it."""
        return Lift(self.Cell.Guest, self.Cell.declared)

    def never_executed(self, edits, deadline):
        """(edits whose statements no example reaches, whether all examples of all laws were tried)."""
        left = [] if all(map(self.reach.ran, edits)) else list(self.laws)
        while left and perf_counter() < deadline:
            law = left.pop()
            with self.reach.watching():
                _refusal(law, self.Cell, drawn(law.name))
        return [edit for edit in edits if not self.reach.ran(edit)], not left

    def draw_all(self, edits):
        """Draw what `second` needs, once for all processes."""
        for law in (*self.laws, *self.promises) if edits else ():
            drawn(law.name)

    def _why(self, unasked):
        """Why the edited cell, which no law refuses, may live."""
        if unasked:
            return f"{LESS}: {', '.join(unasked)}"
        Fresh, spec = self._fresh(), self.Cell.spec()
        try:
            pairs = [(Fresh.spec(*sizes), old) for sizes, old in self._specs.items()]
        except Exception as error:
            return f"describes another cell: raises {type(error).__name__}"
        names = [f.name for f in fields(spec) if f.name != "name"]
        other = [n for n in names if any(repr(getattr(new, n)) != repr(getattr(old, n)) for new, old in pairs)]
        if other:
            return f"{OTHER}: {', '.join(other)}"
        far, raw = {}, {}
        for problem, (plain, bare) in self._plain.items():
            far |= _differences(lambda p=problem: _run(Fresh, p), plain, far)
            raw |= _differences(lambda p=problem: _run(Fresh, p, raw=True), bare, raw) if spec.choices else {}
        if not far and raw:
            return f"changes only what a declaration excuses: {', '.join(spec.choices)}"
        if not far and self._initial and self._initial != _initial(Fresh):
            return f"{INITIAL}, which every example overwrites"
        if not far:
            return f"{EQUAL}: outputs and gradients of {len(self._plain)} problems, bit for bit"
        if max(far.values()) <= ROUNDING * spec.unit(spec.dtype):
            return f"{ROUNDED}: {max(far.values()):.0e} of the largest entry at most"
        known = any({"equations", "reference"} & law.needs for law in self.laws)
        free = not known and set(far) & {*spec.output_names, ""}
        size = f" by up to {max(far.values()):.0e} of the largest entry" if np.isfinite(max(far.values())) else ""
        return f"{FREE if free else BLIND}: {', '.join(filter(None, far)) or 'all'} may differ{size}"


def _refusal(law, Cell, problems, limit=EXAMPLE, again=True):
    """How the law refuses the cell, None if it holds, "" if it does not apply.

    limit: seconds for all problems; again: whether to try once more if this process had less than half of them for itself.
    """
    began = process_time()
    try:
        with limited(limit):
            if not law.applies(Cell):
                return ""
            death = killed(law, Cell, problems)
    except Hang:
        slow = again and process_time() - began < limit / 2
        return _refusal(law, Cell, problems, limit, again=False) if slow else apart.HUNG
    except (Exception, SystemExit):
        return ERROR
    return None if death is None else LAW if death.error.startswith("Violation") else ERROR


def _initial(Cell):
    """The weights of a new cell, in bytes, at one state of the random numbers of NumPy."""
    kept = np.random.get_state()
    try:
        np.random.seed(0)
        return [np.asarray(w).tobytes() for w in Cell(2, 3).weights]
    finally:
        np.random.set_state(kept)


def _run(Cell, problem, raw=False):
    """Outputs and gradients by name; raw: as the guest gives them, its declared choices not undone."""
    with np.errstate(all="ignore"):
        if not raw:
            return both(Cell, problem)
        literal = problem.literal(Cell)
        cell = literal.build(Cell)[0]
        return outcome(Lifted(cell.guest, replace(cell.spec, choices={})), literal)


def _differences(run, other, known):
    """By name the largest difference of a run from another, relative to the largest entry of its array, where there is any.

    known: those of earlier runs; infinite under the name "" if the run fails.
    """
    found = {}
    try:
        now = run()
        with np.errstate(all="ignore"):
            for name, a in other.items():
                b = now[name]
                if not np.array_equal(a, b, equal_nan=True):
                    error = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, np.abs(a - b))
                    size = float(np.max(np.nan_to_num(error, nan=np.inf)) / np.max(np.abs(np.nan_to_num(a))))
                    found[name] = max(size, known.get(name, 0.0))
    except Exception:
        return {"": np.inf}
    return found


def _power(trial, label, edits, refusals, reasons, seconds, workers):
    """What was found, put together."""
    power = Power(label, len(edits), len(refusals), beyond=trial.reach.beyond, unused=trial.unused, workers=workers)
    how, alone, counts = Counter(), Counter(), {}
    for edit, found in refusals.items():
        tried, refused = counts.get((edit.file, edit.line), (0, 0))
        counts[edit.file, edit.line] = tried + 1, refused + bool(found)
        if found:
            how[found if isinstance(found, str) else found[0][1]] += 1
            if isinstance(found, list) and edit in trial.thorough:
                power.alone_of += 1
                alone.update([found[0][0]] if len(found) == 1 else ())
        else:
            where = _shown(edit.file), edit.line, edit.place, edit.before, edit.after
            power.survivors.append(
                Survivor(*where, reasons[edit], (trial.reach.shipped and equivalent(_key(edit), alone=True)) or "")
            )
    power.refused, power.how, power.alone = sum(how.values()), dict(how.most_common()), dict(alone.most_common())
    power.survivors.sort(key=_order)
    for file, line, text in trial.reach.source():
        tried, refused = counts.get((file, line), (0, 0))
        power.lines.append({"file": _shown(file), "line": line, "text": text, "tried": tried, "refused": refused})
    power.seconds = seconds
    return power


def _key(edit):
    """The name that the edit of a shipped cell has among the generated mutants."""
    file = ".".join(Path(edit.file).resolve().relative_to(SHIPPED).with_suffix("").parts)
    return f"{file}.{edit.place}: {edit.before} -> {edit.after}"


def _shown(file):
    """The path as seen from where the user is, if it is below."""
    return os.path.relpath(file) if Path.cwd() in Path(file).parents else file
