"""The calls of a recorded law as statements, one after the other, on arrays that are named once."""

import keyword
import re
from dataclasses import dataclass, field

import numpy as np
from cellcheck.properties.reports.literals import assignment, literal


@dataclass
class Calls:
    """Writes the calls of a tape as statements."""

    case: object
    tape: object
    lines: list = field(default_factory=list)
    names: dict = field(default_factory=dict)  # number of a tracked array -> expression
    literals: list = field(default_factory=list)  # (name, value, (wish, layout)) of the arrays written so far
    held: dict = field(default_factory=dict)  # cell -> its weights as the script has left them
    called: set = field(default_factory=set)  # cells of which a call is written

    def _calls(self, stop, after=None, guarded=False):
        """Write the calls before number `stop`; after: {call: {name: (expression, index)}} to be read once it has returned."""
        for n in range(stop):
            raises = self.tape.calls[n].error is not None
            if raises or guarded:
                kept, self.lines = self.lines, []
                self._call(n, indent="    ")
                *before, call = self.lines
                deep = [line for line in before if line.startswith("    with")]
                self.lines = [*kept, *[line.removeprefix("    ") for line in before if line not in deep], "try:", *deep, call]
                self.lines += ["except Exception as error:", f"    out{n + 1} = type(error).__name__"]
                if guarded:
                    self.lines.append(f"seen.append(flat(out{n + 1}))")
            else:
                self._call(n)
            for name, (text, index) in (after or {}).get(n, {}).items():
                text = self.names[text[1]] if isinstance(text, tuple) else text
                self.lines.append(f"{name} = float({text}{list(index) if index else ''})".replace("[[", "["))
        return self.lines

    def _call(self, n, indent=""):
        """One call, and before it what the law had made and changed since the last."""
        call = self.tape.calls[n]
        for cell in sorted({c.cell for c in self.tape.calls if c.cell < call.made} - set(self.held)):
            self._made(cell, indent)
        self._set(call.cell, call.weights, indent)
        for k, value in call.writes:
            if k in self.names and self.tape.arrays[k][2][1][:1] != ("weights",):
                self.lines.append(f"{indent}{self.names[k]}[...] = {literal(value)}")
        arguments = [self._expression(call, ("given", 0, j), a, indent) for j, a in enumerate(call.arguments)]
        arguments += [f"{name}={self._expression(call, ('given', 1, name), a, indent)}" for name, a in call.options.items()]
        if "raise" in call.flags.values():
            raising = ", ".join(f'{name}="raise"' for name, how in call.flags.items() if how == "raise")
            self.lines.append(f"{indent}with np.errstate({raising}):")
            indent += "    "
        self.lines.append(f"{indent}out{n + 1} = {self._cell(call.cell)}.{call.method}({', '.join(arguments)})")
        self.called.add(call.cell)
        for path, k in call.known.items():
            if k is not None:
                self.names.setdefault(k, at(n, path))
        for k, value in call.effects:
            if self.tape.arrays[k][2][1][:1] == ("weights",):
                self.held[call.cell][self.tape.arrays[k][2][1][1]] = value

    def _made(self, number, indent):
        """A cell, with the weights that the law gave it."""
        name = self._cell(number)
        self.lines.append(f"{indent}{name} = Guest({', '.join(map(str, self.tape.made[number]))})")
        self.held[number] = None
        self._set(number, self.tape.set[number], indent)
        for k, (_, _, (n, path)) in enumerate(self.tape.arrays):
            if path[:1] == ("weights",) and self.tape.calls[n].cell == number:
                self.names.setdefault(k, f"{name}.weights[{path[1]}]")

    def _set(self, number, weights, indent):
        """Write the weights into a cell, if they are not what the script has left there or the cell itself has made of them."""
        name, held = self._cell(number), self.held[number]
        if held is None or not (all(map(np.array_equal, held, weights)) or number not in self.called):
            own = self.case.Cell(*self.tape.made[number]).weights
            news = f"[{', '.join(self._variable(w, indent, self._weight_name(k)) for k, w in enumerate(weights))}]"
            if all(np.asarray(w).dtype == v.dtype for w, v in zip(own, weights)):
                self.lines.append(f"{indent}for w, new in zip({name}.weights, {news}): w[...] = new")
            else:
                copied = f"{{id(w): new for w, new in zip({name}.weights, {news})}}"
                self.lines.append(f"{indent}{name} = copy.deepcopy({name}, {copied})")
        self.held[number] = list(weights)

    def _cell(self, number):
        return "cell" if number == 0 or len({call.cell for call in self.tape.calls}) == 1 else f"cell{number + 1}"

    def _expression(self, call, path, value, indent):
        """What is passed: an earlier array, or a literal with a name."""
        k = call.known.get(path)
        if k is not None and k in self.names:
            return self.names[k]
        if k is None and not isinstance(value, np.ndarray):
            return repr(value.item()) if isinstance(value, np.generic) else repr(value)
        name = self._variable(value, indent, self._given_name(call, path, value), call.layouts.get(path[1:], ""))
        if name in self.names.values() and any(c.effects or c.writes for c in self.tape.calls):
            self.lines.append(f"{indent}{name}_{k} = {name}.copy()")
            name = f"{name}_{k}"
        self.names[k] = name
        return name

    def _variable(self, value, indent, wish, words=""):
        """The name of a literal array, written where none that is called so has these values."""
        for name, other, called in self.literals:
            if called == (wish, words) and other.dtype == value.dtype and np.array_equal(other, value, equal_nan=True):
                return name
        taken, name, k = {n for n, *_ in self.literals}, wish, 1
        while name in taken:
            k, name = k + 1, f"{wish}{k + 1}"
        self.literals.append((name, np.array(value), (wish, words)))
        self.lines += [f"{indent}{line}" for line in assignment(name, np.array(value), words)]
        return name

    def _given_name(self, call, path, value):
        """x, c, h, d_h: as the argument at this place is called; e_h for the second upstream of the problem."""
        cell, _, _ = self.case.problem.build(self.case.Cell)
        outputs = [name.strip("'") for name in cell.spec.output_names]
        names = (
            [f"d_{name}" for name in outputs]
            if call.method in ("vjp", "backward")
            else cell.spec.array_names[len(cell.weights) :]
        )
        j = path[2] if isinstance(path[2], int) else len(names)
        wish = names[j] if j < len(names) else "a"
        given = getattr(self.case.problem, "given", [])[1:]
        second = wish.startswith("d_") and any(np.array_equal(u[j], value) for u in given if j < len(u))
        first = any(np.array_equal(u[j], value) for u in getattr(self.case.problem, "given", [])[:1] if j < len(u))
        return _identifier(f"e_{outputs[j]}" if second and not first else wish)

    def _weight_name(self, k):
        cell, _, _ = self.case.problem.build(self.case.Cell)
        return _identifier(cell.spec.array_names[k])


def at(n, path):
    """Part of what call n answered, as an expression."""
    return f"out{n + 1}" + "".join(f"[{p!r}]" for p in path)


def _identifier(name):
    word = re.sub(r"\W+", "", name)
    return (
        word
        if word.isidentifier() and not keyword.iskeyword(word) and word not in ("cell", "got", "expected", "bound", "np")
        else f"a_{word}"
    )
