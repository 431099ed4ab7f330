"""The standalone script of a report: the calls that the law made, on literal arrays, with NumPy and the cell's module alone."""

import ast
import json
from dataclasses import replace
from time import process_time

import numpy as np
from cellcheck.cells import lift
from cellcheck.properties.reports.calls import Calls, at
from cellcheck.properties.reports.literals import DENSE, literal
from cellcheck.properties.reports.recording import Refused, leaves, recorded
from cellcheck.properties.reports.relation import SECONDS, answers, relation, stepped
from cellcheck.properties.shrinking.shrinking import entry, kind
from cellcheck.properties.verdicts.blocks import Violation
from cellcheck.properties.writing.text import line

HEAD = '''"""{title}

    {equation}

Exits with 1 while the cell is broken, with 0 once it is fixed, and with 2 if it cannot run.
"""

{imports}


def cannot_run(*error):
    sys.__excepthook__(*error)
    sys.exit(2)


sys.excepthook = cannot_run
{origin}

np.seterr(all="ignore")
'''


def script(case, origin):
    """The text of the script that reproduces a case, or None where the cell cannot be recorded.

    case: a Case; origin: lines that import the cell's factory as `Guest`.
    """
    tape, blocks, error = recorded(case.law, case.Cell, case.problem)
    if type(error) is not type(case.error) or not tape.made:
        return None
    writer = Writer(case, tape)
    lines = writer.violated(_again(case.error.blocks[0], blocks)) if isinstance(error, Violation) else writer.raised(error)
    imports = ["import sys", "from pathlib import Path", "", "import numpy as np"]
    for module in ("random", "copy"):
        if any(f"{module}." in line.replace(f"np.{module}.", "") for line in lines):
            imports.insert(0, f"import {module}")
    title = f"{case.short_label} breaks the law {case.name}:"
    head = HEAD.format(title=title, equation=case.equation, imports="\n".join(imports), origin="\n".join(origin))
    return head + "\n" + "\n".join(lines) + "\n"


def _again(block, blocks):
    """The block as this run saw it, with the bound that was measured; itself where its entry has been located since."""
    found = next((b for b in blocks if b.name == block.name), block)
    return block if found.index is None and block.index else replace(found, bound=block.bound)


class Writer(Calls):
    """Writes what the law compares of the calls of a tape."""

    def raised(self, error):
        """The script of an exception that left the cell: its last call raises."""
        last = len(self.tape.calls) - 1
        if last < 0 or type(self.tape.calls[last].error) is not type(error):
            return self._as_recorded(None)
        return self._raising(last, "no exception")

    def violated(self, block):
        """The script of a violated block: the law's own comparison, or, where that cannot be told, all answers."""
        flagged = [n for n, call in enumerate(self.tape.calls) if isinstance(call.error, FloatingPointError)]
        if block.name == "flags" and flagged:
            return self._raising(flagged[0], "no floating-point flag")
        if block.array is not None and lift(self.case.Cell).spec().chained:  # a sum over several steps
            return self._as_recorded(block)
        if block.note == "" and isinstance(block.expected, str) and block.expected == "an exception":
            found = self._accepted(block)
        elif kind(block) == "shape":
            found = self._shape(block)
        elif block.note == "dtype":
            found = self._dtype(block)
        elif block.name in STATES:
            found = self._drawn(block)
        elif kind(block) == "nan" and isinstance(block.expected, str):
            found = self._finite(block)
        else:
            found = self._aliased(block) or self._compared(block)
        return found or self._as_recorded(block)

    def _compared(self, block):
        """got and expected are answers, entries or sums of such, or constants."""
        if isinstance(block.got, float) and block.array is not None and block.index:
            return self._one_entry(block)
        got, expected = self._place(block, "got"), self._place(block, "expected")
        if got and expected:
            return self._pair(block, got, f"np.asarray({at(*expected)})", max(got[0], expected[0]))
        value = kind(block) == "value"
        known = got and value and block.array is not None  # what a gradient should be comes from an oracle, not from an answer
        found = value and not known and relation(self.case.law, self.case.Cell, self.case.problem, self.tape, block)
        if known or (got and found and not found.expected):
            return self._pair(block, got, literal(np.asarray(block.expected)), got[0])
        return self._related(found, block) if found else None

    def _pair(self, block, place, expected, last):
        """got is a whole answer."""
        lines = self._calls(last + 1)
        return [*lines, f"got = np.asarray({at(*place)})", f"expected = {expected}", f"bound = {block.bound!r}", *_END]

    def _related(self, found, block):
        """got and expected are sums of entries of answers."""
        terms = [*found.got, *found.expected]
        after, read = {}, {}
        for t in terms:
            read.setdefault((t.call, t.path, t.index), f"r{len(read) + 1}")
            text = at(t.call, t.path) if not (t.path and t.path[0] == "effect") else ("effect", t.path[1])
            after.setdefault(t.call, {})[read[t.call, t.path, t.index]] = (text, t.index)
        self._calls(max(t.call for t in terms) + 1, after)
        for side, parts, constant in (
            ("got", found.got, found.got_constant),
            ("expected", found.expected, found.expected_constant),
        ):
            words = [_product(t.factor, read[t.call, t.path, t.index]) for t in parts]
            words += [repr(constant)] if constant or not words else []
            self.lines.append(f"{side} = {' + '.join(words).replace('+ -', '- ')}")
        return [*self.lines, f"bound = {block.bound!r}", *_END]

    def _one_entry(self, block):
        """got is one entry of a large gradient; expected is a number."""
        cell, _, _ = self.case.problem.build(self.case.Cell)
        last, path = self._gradient(block.array, len(cell.weights))
        found = None if cell.spec.choices else dict(leaves(self.tape.calls[last].result)).get(path)
        if found is None or found[block.index] != block.got:
            return None
        place = f"{at(last, path)}{list(block.index)}"
        expected = [f"got = float({place})", f"expected = {block.expected!r}", f"bound = {block.bound!r}"]
        return [*self._calls(last + 1), *expected, *_END]

    def _gradient(self, k, n):
        """(number of the last call for gradients, path of the gradient of array k in its answer); n: the number of weights."""
        last = max(m for m, call in enumerate(self.tape.calls) if call.method in ("vjp", "backward") and not call.error)
        path = (0, k) if k < n else (1,) if k == n else (2, k - n - 1)
        return last, path[1:] if self.tape.calls[last].method == "backward" else path

    def _aliased(self, block):
        """An answer that is the very array it was given: with a copy in its place the law holds."""
        deadline = process_time() + SECONDS
        for n, call in enumerate(self.tape.calls):
            if process_time() > deadline:
                return None
            given = {k: path for path, k in call.known.items() if path[:1] == ("given",) and k is not None}
            for path, k in call.known.items():
                if path[:1] != ("given",) and k in given and self.tape.arrays[k][0].size:
                    if not self._mended(block, {(n, path): dict(leaves(call.result))[path]}):
                        continue
                    self._calls(n + 1)
                    name = self.names[k]
                    return [
                        *self.lines,
                        f"shared = np.shares_memory({at(n, path)}, {name})",
                        f'print("got       an answer that", "is" if shared else "is not", "the array {name} that was given")',
                        'print("expected  an array of its own")',
                        "sys.exit(bool(shared))",
                    ]
        return None

    def _accepted(self, block):
        """A call that should have raised: if it had, less would be wrong."""
        named = [n for n, call in enumerate(self.tape.calls) if call.method == block.name and not call.error]
        n = next((n for n in named if self._mended(block, {(n, ("raise",)): None})), None)
        if n is None:
            return None
        before, call = self._last(n)
        return [
            *before,
            "try:",
            *call,
            "except Exception as error:",
            '    print(f"got and expected: an exception, {type(error).__name__}: {error}")',
            "    sys.exit(0)",
            f"print({json.dumps(f'got       {line(block.got)}')})",
            'print("expected  an exception")',
            "sys.exit(1)",
        ]

    def _shape(self, block):
        """The shape of one answer."""
        if "(" not in str(block.expected):
            return None
        wanted = ast.literal_eval("(" + str(block.expected).partition("(")[2])
        if place := self._moved_by(block, lambda leaf: f"shape {leaf.shape}", lambda leaf: np.zeros((*leaf.shape, 1))):
            last, path = place
        elif (
            block.got is None
            and block.name in (names := self._names())
            and self.case.problem.build(self.case.Cell)[0].spec.gradients
        ):
            last, path = self._gradient(names.index(block.name), len(self.tape.calls[0].weights))
        else:
            return None
        return [
            *self._calls(last + 1),
            f"try:\n    got = {at(last, path)}\nexcept (IndexError, TypeError):\n    got = None",
            'print("got      ", "nothing" if got is None else f"shape {np.shape(got)}")',
            f'print("expected  shape {wanted}")',
            f"sys.exit(got is None or np.shape(got) != {wanted})",
        ]

    def _names(self):
        return self.case.problem.build(self.case.Cell)[0].spec.array_names

    def _dtype(self, block):
        """The dtype of one answer."""
        place = self._moved_by(block, lambda leaf: str(leaf.dtype), lambda leaf: leaf.astype(np.float16))
        if place is None:
            return None
        return [
            *self._calls(place[0] + 1),
            f"got = str(np.asarray({at(*place)}).dtype)",
            'print("got      ", got)',
            f'print("expected  {block.expected}")',
            f"sys.exit(got != {str(block.expected)!r})",
        ]

    def _moved_by(self, block, shown, change):
        """(call, path) of the last answer that the block shows, and shows otherwise once it is changed."""
        for n, path, leaf in reversed(list(answers(self.tape, empty=True))):
            if path[0] != "effect" and shown(leaf) == str(block.got).removeprefix("dtype "):
                found = self._played(block, {(n, path): change(leaf)})
                if found is not None and str(found.got) == shown(change(leaf)):
                    return n, path
        return None

    def _drawn(self, block):
        """A global random state."""
        read, draw = STATES[block.name]
        calls = list(self._calls(len(self.tape.calls)))
        return [
            f"{draw}  # so that a constant seed leaves a trace",
            f"before = {read}",
            *calls,
            f"moved = not np.array_equal(before, {read})",
            f'print("got       {block.name} as it was" if not moved else "got       another state of {block.name}")',
            f'print("expected  {block.name} as it was")',
            "sys.exit(moved)",
        ]

    def _finite(self, block):
        """All numbers of one answer are finite."""
        place = self._place(block, "got")
        if place is None:
            return None
        return [
            *self._calls(place[0] + 1),
            f"got = np.asarray({at(*place)})",
            'print("got      ", got.tolist())',
            'print("expected  finite numbers")',
            "sys.exit(not np.isfinite(got).all())",
        ]

    def _as_recorded(self, block):
        """No single number tells: the cell is broken as long as all its answers are those recorded."""
        calls = [n for n, _ in enumerate(self.tape.calls[:40])]
        self.lines = _FLAT.splitlines()
        self._calls(len(calls), guarded=True)
        got, expected = (
            ("what follows", "no exception")
            if block is None
            else (entry(block.got, block.index), entry(block.expected, block.index))
        )
        self.lines += ["", "# The law was broken when the cell answered exactly this.", "recorded = ["]
        for n in calls:
            call = self.tape.calls[n]
            told = [type(call.error).__name__] if call.error else [leaf for _, leaf in leaves(call.result)]
            told = ", ".join(literal(np.asarray(a)) if not isinstance(a, str) else repr(a) for a in told)
            self.lines.append(f"    [{told}],")
        return [
            *self.lines,
            "]",
            *_RECORDED.splitlines(),
            f"print({json.dumps(f'got       {line(got)}')}, 'as recorded' if same else 'no longer')",
            f"print({json.dumps(f'expected  {line(expected)}')})",
            "sys.exit(bool(same))",
        ]

    def _played(self, block, changed):
        """The block of this name when the law is played back with other answers, or None."""
        blocks = recorded(self.case.law, self.case.Cell, self.case.problem, self.tape, changed)[1]
        return next((b for b in blocks if b.name == block.name), None)

    def _mended(self, block, changed):
        """Whether the law, played back with other answers, finds fewer blocks of this name violated."""
        runs = [recorded(self.case.law, self.case.Cell, self.case.problem, self.tape, c) for c in (None, changed)]
        before, after = (sum(b.name == block.name and b.verdict == "violated" for b in blocks) for _, blocks, _ in runs)
        refused = any(path == ("raise",) for _, path in changed)  # what the law asks afterwards has not been recorded
        known = not isinstance(runs[1][2], Refused) if refused else any(b.name == block.name for b in runs[1][1])
        return after < before and known

    def _place(self, block, side):
        """(call, path) of the answer that is this side of the block: where it is changed, the block changes; or None."""
        value = getattr(block, side)
        if not isinstance(value, np.ndarray) or value.size > DENSE:
            return None
        for n, path, leaf in reversed(list(answers(self.tape))):
            comparable = (
                path[:1] != ("effect",) and leaf.shape == value.shape and np.can_cast(leaf.dtype, value.dtype, "same_kind")
            )
            with np.errstate(over="ignore"):
                comparable = comparable and np.array_equal(leaf.astype(value.dtype), value, equal_nan=True)
            if comparable:
                found = self._played(block, {(n, path): stepped(leaf)})
                if found is not None and not np.array_equal(getattr(found, side), value, equal_nan=True):
                    return n, path
        return None

    def _last(self, n):
        """(lines before call n, lines of the call, indented)."""
        kept, self.lines = list(self._calls(n)), []
        self._call(n, indent="    ")
        deep = [text for text in self.lines[:-1] if text.startswith("    with")]
        before = [text.removeprefix("    ") for text in self.lines[:-1] if text not in deep]
        return [*kept, *before, ""], [*deep, self.lines[-1]]

    def _raising(self, n, expected):
        """Call n, and the verdict on what it raises."""
        before, call = self._last(n)
        return [
            *before,
            "try:",
            *call,
            "except Exception as error:",
            '    print(f"got       {type(error).__name__}: {error}")',
            f'    print("expected  {expected}")',
            "    sys.exit(1)",
            f'print("got and expected: {expected}")',
        ]


STATES = {  # how a global random state is read, and moved
    "numpy.random": ("np.hstack(np.random.get_state()[1:3])", "np.random.random()"),
    "random": ("np.array(random.getstate()[1])", "random.random()"),
}
_END = """
with np.errstate(all="ignore"):
    near = (got == expected) | (np.abs(got - expected) <= bound) | (np.isnan(got) & np.isnan(expected))
print("got      ", np.asarray(got).tolist())
print("expected ", np.asarray(expected).tolist())
print("bound    ", bound)
sys.exit(not np.all(near))
""".strip().splitlines()

_FLAT = """
def flat(value):
    if isinstance(value, (tuple, list)):
        return [leaf for part in value for leaf in flat(part)]
    return [] if value is None else [value if isinstance(value, str) else np.array(value)]


def equal(a, b):
    if isinstance(a, str) or isinstance(b, str):
        return isinstance(a, str) and isinstance(b, str) and a == b
    return a.dtype == b.dtype and a.shape == b.shape and np.allclose(a, b, 1e-9, 0, equal_nan=True)


seen = []
"""

_RECORDED = """
same = all(len(a) == len(b) and all(map(equal, a, b)) for a, b in zip(seen, recorded))
"""


def _product(factor, name):
    return (
        name if factor == 1 else f"-{name}" if factor == -1 else f"{factor if abs(factor) > 1e6 else f'{factor:.12g}'} * {name}"
    )
