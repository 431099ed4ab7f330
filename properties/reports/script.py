"""The standalone script of a report: the calls that the law made, on literal arrays, with NumPy and the cell's module alone."""

import json
import re
from dataclasses import replace

import numpy as np
from cellcheck.cells import lift
from cellcheck.properties.reports.calls import Calls, at
from cellcheck.properties.reports.literals import DENSE, literal
from cellcheck.properties.reports.recording import leaves, recorded
from cellcheck.properties.reports.relation import relation
from cellcheck.properties.shrinking.shrinking import entry, kind
from cellcheck.properties.verdicts.blocks import Violation

HEAD = '''"""{title}

    {equation}

Prints what the cell computes, what is expected and the bound. Exits with 1 while the cell is broken, with 0 when it is fixed.
"""

{imports}

np.seterr(all="ignore")
'''


def script(case, origin):
    """The text of the script that reproduces a case, or None where the cell cannot be recorded.

    case: a Case; origin: lines that import the cell's factory as `Guest`.
    """
    tape, _, error = recorded(case.law, case.Cell, case.problem)
    if type(error) is not type(case.error) or not tape.made:
        return None
    writer = Writer(case, tape)
    lines = (
        writer.raised(error) if not isinstance(error, Violation) else writer.violated(_again(case.error.blocks[0], error.blocks))
    )
    imports = ["import sys", "from pathlib import Path", "", "import numpy as np", "", *origin]
    if any("copy.deepcopy" in line for line in lines):
        imports.insert(0, "import copy")
    head = HEAD.format(
        title=f"{case.short_label} breaks the law {case.name}:", equation=case.equation, imports="\n".join(imports)
    )
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
        self._calls(last)
        return [*self.lines, *self._raising(last)]

    def violated(self, block):
        """The script of a violated block: the numbers that the law compares, where they can be told; else all answers."""
        flagged = [n for n, call in enumerate(self.tape.calls) if isinstance(call.error, FloatingPointError)]
        if block.name == "flags" and flagged:
            self._calls(flagged[0])
            return [*self.lines, *self._raising(flagged[0])]
        if kind(block) == "shape":
            return self._shape(block) or self._as_recorded(block)
        if block.array is not None and lift(self.case.Cell).spec().detached:  # a sum over several steps
            return self._as_recorded(block)
        if kind(block) == "nan" and isinstance(block.expected, str):
            return self._finite(block) or self._as_recorded(block)
        if block.array is not None:
            found = self._whole(block)
            if found:
                return found
            if found := self._one_entry(block):
                return found
        if shared := self._aliased():
            return shared
        if kind(block) == "value":
            found = relation(self.case.law, self.case.Cell, self.case.problem, self.tape, block)
            if found and not found.expected and isinstance(block.got, np.ndarray):
                return self._whole(block) or self._related(found, block)
            if found:
                return self._related(found, block)
        return self._as_recorded(block)

    def _whole(self, block):
        """got is one array of an answer; expected is a literal one."""
        place = self._place(block.got)
        if place is None or not isinstance(block.expected, np.ndarray) or block.got.size > DENSE:
            return None
        return [
            *self._calls(place[0] + 1),
            f"got = np.asarray({at(*place)})",
            f"expected = {literal(np.asarray(block.expected))}",
            f"bound = {block.bound!r}",
            *_END,
        ]

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
        if not isinstance(block.got, float) or not block.index or found is None or found[block.index] != block.got:
            return None
        place = f"{at(last, path)}{list(block.index)}"
        return [
            *self._calls(last + 1),
            f"got = float({place})",
            f"expected = {block.expected!r}",
            f"bound = {block.bound!r}",
            *_END,
        ]

    def _gradient(self, k, n):
        """(number of the last call for gradients, path of the gradient of array k in its answer); n: the number of weights."""
        last = max(m for m, call in enumerate(self.tape.calls) if call.method in ("vjp", "backward") and not call.error)
        path = (0, k) if k < n else (1,) if k == n else (2, k - n - 1)
        return last, path[1:] if self.tape.calls[last].method == "backward" else path

    def _aliased(self):
        """An answer that is the very array it was given."""
        for n, call in enumerate(self.tape.calls):
            given = {k: path for path, k in call.known.items() if path[:1] == ("given",) and k is not None}
            for path, k in call.known.items():
                if path[:1] != ("given",) and k in given and self.tape.arrays[k][0].size:
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

    def _shape(self, block):
        """The shape of one gradient."""
        cell, x, state = self.case.problem.build(self.case.Cell)
        names = cell.spec.array_names
        if block.name not in names or cell.spec.gradients == () or cell.spec.choices:
            return None
        k = names.index(block.name)
        last, path = self._gradient(k, len(cell.weights))
        wanted = np.shape([*cell.weights, x, *state][k])
        found = dict(leaves(self.tape.calls[last].result)).get(path)
        if block.got != (None if found is None else f"shape {np.shape(found)}") or block.expected not in (
            f"shape {wanted}",
            f"an array {wanted}",
        ):
            return None
        self._calls(last + 1)
        return [
            *self.lines,
            f"try:\n    got = {at(last, path)}\nexcept (IndexError, TypeError):\n    got = None",
            'print("got      ", "nothing" if got is None else f"shape {np.shape(got)}")',
            f'print("expected  shape {wanted}")',
            f"sys.exit(got is None or np.shape(got) != {wanted})",
        ]

    def _finite(self, block):
        """All numbers of one answer are finite."""
        place = self._place(block.got)
        if place is None:
            return None
        self._calls(place[0] + 1)
        return [
            *self.lines,
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
        drew = self.tape.drew or any(self.tape.calls[n].drew for n in calls)
        got, expected = (
            ("what follows", "no exception")
            if block is None
            else (entry(block.got, block.index), entry(block.expected, block.index))
        )
        self.lines += ["", "# The law was broken when the cell answered exactly this.", "recorded = ["]
        for n in calls:
            call = self.tape.calls[n]
            answers = [type(call.error).__name__] if call.error else [leaf for _, leaf in leaves(call.result)]
            self.lines.append(
                "    [" + ", ".join(literal(np.asarray(a)) if not isinstance(a, str) else repr(a) for a in answers) + "],"
            )
        self.lines += ["]", *_RECORDED.splitlines()]
        if drew:
            self.lines.insert(0, "before = np.random.get_state()[1:3]")
            self.lines.append("same = same and not all(map(np.array_equal, before, np.random.get_state()[1:3]))")
        return [
            *self.lines,
            f"print({json.dumps(f'got       {_words(got)}')}, 'as recorded' if same else 'no longer')",
            f"print({json.dumps(f'expected  {_words(expected)}')})",
            "sys.exit(bool(same))",
        ]

    def _place(self, value):
        """(call, path) of the last answer that is this array, or None."""
        if not isinstance(value, np.ndarray):
            return None
        for n in range(len(self.tape.calls) - 1, -1, -1):
            for path, leaf in leaves(self.tape.calls[n].result):
                answer = np.asarray(leaf)
                comparable = answer.shape == value.shape and np.can_cast(answer.dtype, value.dtype, "same_kind")
                if comparable and np.array_equal(answer.astype(value.dtype), value, equal_nan=True):
                    return n, path
        return None

    def _raising(self, n):
        """The last call, and the verdict on what it raises."""
        self.lines = []
        self._call(n, indent="    ")
        *before, call = self.lines
        expected = "no exception" if not isinstance(self.tape.calls[n].error, FloatingPointError) else "no floating-point flag"
        return [
            *[line.removeprefix("    ") for line in before if not line.startswith("    with")],
            "",
            "try:",
            *[line for line in before if line.startswith("    with")],
            call,
            "except Exception as error:",
            '    print(f"got       {type(error).__name__}: {error}")',
            f'    print("expected  {expected}")',
            "    sys.exit(1)",
            f'print("got and expected: {expected}")',
        ]


_END = """
print("got      ", np.asarray(got).tolist())
print("expected ", np.asarray(expected).tolist())
print("bound    ", bound)
sys.exit(bool(np.shape(got) != np.shape(expected) or not np.all(np.abs(got - expected) <= bound)))
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


def _words(value):
    return re.sub(r"\s+", " ", f"{value!r}" if isinstance(value, (float, int)) else str(value))[:200]


def _product(factor, name):
    return name if factor == 1 else f"-{name}" if factor == -1 else f"{factor:.12g} * {name}"
