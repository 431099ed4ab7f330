"""One broken law, ready to be told: the cell, the law, the smallest case, and where in the cell it is wrong."""

import shlex
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from cellcheck.cells import CELLS, lift
from cellcheck.properties.intake.raised import named, place
from cellcheck.properties.oracles.gradients import steps_taken
from cellcheck.properties.shrinking.shrinking import entry, kind
from cellcheck.properties.verdicts.blocks import Violation
from cellcheck.properties.writing.text import line

FEW = 24  # arrays with at most this many entries are printed in the terminal


@dataclass
class Case:
    """label: how the cell was asked for; name, group, equation: of the law; law: the function that @given received.

    Cell: the factory; problem: the smallest case, literal where possible; error: what the law raises there; home: where paths of
    guests start; sentences: the diagnosis; faults: errors of Cellcheck in it; panels: of the picture; lengths: of the rows, where
    the law passes any; path: of the report, once written; unwritten: why it could not be;
    options: of the command that runs the law again.
    """

    label: str
    name: str
    group: str
    equation: str
    law: object
    Cell: object
    problem: object
    error: BaseException
    home: Path = Path()
    sentences: list = field(default_factory=list)
    faults: list = field(default_factory=list)
    panels: list = field(default_factory=list)
    lengths: np.ndarray | None = None
    path: Path | None = None
    unwritten: str = ""
    options: tuple = ()

    @property
    def short_label(self):
        """The class without its path."""
        return self.label.rpartition(":")[2]

    def rerun(self):
        """The command that runs this law on this cell again, as a shell takes it; empty for a cell that no command can name."""
        if ":" not in self.label and not any(self.Cell is Shipped for Shipped in CELLS):
            return ""
        chosen = [self.label, "-k", self.name] if ":" in self.label else ["-k", f"{self.name} and {self.label}"]
        return shlex.join(["cellcheck", *chosen, *self.options])

    def sizes(self):
        """batch 1, features 1, state 1; steps for a sequence, and for a law of gradients that takes several."""
        p, recipe = self.problem, getattr(self.problem, "recipe", self.problem)
        steps = f"{p.steps} steps, " if p.steps != 1 else ""
        if isinstance(self.error, Violation) and self.error.blocks[0].array is not None:
            n = steps_taken(lift(self.Cell).spec(), p)
            steps = f"{n} steps on the same x, " if n > 1 else steps
        return f"{steps}batch {p.batch}, features {recipe.features}, state {recipe.state}"

    def arrays(self):
        """(name, array) of everything that is given: weights, x, states, and the upstreams that are not zero."""
        try:
            cell, x, state = self.problem.build(self.Cell)
            found = list(zip(cell.spec.array_names, (*cell.weights, x, *state)))
        except Exception:
            return []
        for prefix, given in zip(("d_", "second d_"), getattr(self.problem, "given", [])):
            found += [(prefix + n.strip("'"), u) for n, u in zip(cell.spec.output_names, given) if prefix == "d_" or np.any(u)]
        return found + [("lengths", self.lengths)] * (self.lengths is not None)

    def blames(self):
        """One line for each wrong entry, worst first: where, got, expected, bound. Blocks of several gates may share an entry."""
        if not isinstance(self.error, Violation):
            at = place(self.error, self.home)
            return [f"raised {named(self.error, 60)}" + f" at {at}" * bool(at)]
        lines = [f"{self.where(b)}{f', {b.note}' * b.note.startswith('at ')}: {compared(b)}" for b in self.error.blocks]
        worst = {}
        for told in lines:
            worst.setdefault(told.partition(", bound")[0], told)
        return list(worst.values())

    def where(self, block):
        """Array, gate, index and, in a sequence, step of the worst entry."""
        if block.index in (None, ()):
            return block.name
        array, _, gate = block.name.partition(" ")
        said = [f"{array}{list(block.index)}"]
        try:
            cell = self.problem.build(self.Cell)[0]
        except Exception:
            return said[0]
        names = cell.spec.array_names
        if (
            array in names[: len(cell.weights)]
            and cell.spec.weight_blocks
            and len(block.index) == np.ndim(cell.weights[names.index(array)])
        ):
            source, gate = gate_at(cell, names.index(array), block.index) or ("", gate)
            said += [f"{_gate(gate)}, {SOURCES.get(source, source)}" if source else gate]
        elif cell.spec.batch_axis(array) == 1:
            said.append(f"step {block.index[0]}")
        elif gate:
            said.append(gate)
        return ", ".join(filter(None, said))


SOURCES = {"x": "weights of x", "h": "weights of h", "bias": "bias", "bias_x": "bias of x", "bias_h": "bias of h"}


def _gate(gate):
    return gate if gate == "candidate" else f"{gate} gate"


def gate_at(cell, k, index):
    """(source, gate) of the block of weight k that holds this entry, or None."""
    for block, where in cell.spec.weight_blocks[k].items():
        mask = np.zeros(np.shape(cell.weights[k]), bool)
        mask[where] = True
        if mask[tuple(index)]:
            return block
    return None


def compared(block):
    """got 0.5, expected 1, bound 1e-15."""
    got, expected = entry(block.got, block.index), entry(block.expected, block.index)
    if kind(block) == "shape":
        return "no gradient, expected " + str(expected) if got is None else f"got {got}, expected {expected}"
    bound = "" if kind(block) != "value" or not np.isfinite(block.bound) else "exactly"
    bound = f"bound {block.bound:.1e}" if block.bound and np.isfinite(block.bound) else bound
    n = 12 if number(got) != number(expected) else 17
    return ", ".join(filter(None, [f"got {number(got, n)}", f"expected {number(expected, n)}", bound]))


def number(value, n=12):
    """A number to n digits, anything else in one short line."""
    if isinstance(value, (float, np.floating)):
        return f"{value + 0.0:.{n}g}"  # no -0
    return line(value, 80)


def digits(array):
    """An array on one line: [[0, 1], [0.5, 0]]."""
    if array.ndim:
        return "[" + ", ".join(map(digits, array)) + "]"
    value = float(array)
    text = f"{value:.17g}" if float(f"{value:.6g}") != value else f"{value:.6g}"
    return text if len(text) < 9 else f"{value:.6g}"
