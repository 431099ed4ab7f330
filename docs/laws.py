"""Writes docs/laws.md and the table of laws in README.md from the catalogue of laws: `python -m docs.laws`, in a checkout."""

import re
from pathlib import Path

from cellcheck.properties.intake.capabilities import NEEDS
from cellcheck.properties.intake.catalogue import GROUPS, laws

ROOT = Path(__file__).parents[1]
FILES = (ROOT / "docs" / "laws.md", ROOT / "README.md")
HEAD = "| group | what its laws say | laws |\n|---|---|---|\n"
ROWS = re.compile(r"(?<=" + re.escape(HEAD) + r")(\|.*\n)+")
ABOUT = {
    "gradients": "What `vjp` or `backward` returns is the derivative of what `apply` or `forward` computes.",
    "equations": "The cell computes the equations of its kind: those that it declares, or the known ones that it was found to compute.",
    "equivalence": "The cell equals another one, the reference, at the same numbers. These laws apply if you give a `--reference`.",
    "sequences": "Running a whole sequence is the same as running its steps. These laws apply to sequence cells only.",
    "symmetries": "The rows of a batch do not influence each other, and their order does not matter.",
    "linearity": "Gradients are linear in the upstream gradient, and sums over the batch are sums of what each row gives.",
    "stability": "Finite inputs give finite results, small changes count, and the activations are accurate at every input.",
    "purity": "A result depends on the arguments alone: not on earlier calls, other cells or what the caller does with an array.",
    "layout": "The memory order, the strides and the dtype of an array do not change the result.",
    "errors": "An argument of a wrong shape raises an exception, and the cell still works afterwards.",
}
INTRODUCTION = """# The laws

Each law is one test. It holds if no example breaks its equation. The examples are random problems: sizes, weights at scales from 1e-8
to 1e6, inputs, states and upstream gradients.

- A law that is not a promise must hold. If it does not, the run fails.
- A *promise* must hold for the shipped cells. A cell of yours that breaks one has a *hazard*: it is listed, but the run passes, unless
  you give `--strict`.
- Some laws need something that not every cell has. If a cell lacks it, the law is *not verified* for that cell, and the run prints the
  reason. The last column lists the possible reasons.

In the equations, `x` is the input, `s` the states, `W` the weights, `u` and `v` upstream gradients, and `vjp(u)` the gradients of
`<u, apply(x, s)>`. `a[k]` is row k of a batch, and `a[t]` step t of a sequence. `T` makes of the weights of a
cell those of its reference, and `T'` is its transpose.

This page is written by `python -m docs.laws`, run in a checkout."""


def page():
    """docs/laws.md."""
    return "\n\n".join([INTRODUCTION, *map(_section, GROUPS)]) + "\n"


def table():
    """The rows of the table in README.md: one for each group."""
    lines = []
    for group in GROUPS:
        names = [law.name.replace("_", " ") + " †" * law.promise for law in laws().values() if law.group == group]
        lines.append(f"| **{group}** | {ABOUT[group]} | {', '.join(names)} |\n")
    return "".join(lines)


def readme(text):
    """The text of README.md with the table as it should be."""
    return ROWS.sub(lambda _: table(), text)


def _section(group):
    rows = [f"| {_name(law)} | {_equation(law)} | {_reasons(law)} |" for law in laws().values() if law.group == group]
    head = "| law | equation | reason, if not verified |\n|---|---|---|"
    return "\n".join([f"## {group.capitalize()}\n\n{ABOUT[group]}\n", head, *rows])


def _name(law):
    return law.name.replace("_", " ") + " *(promise)*" * law.promise


def _equation(law):
    return f"`{law.equation}`".replace("|", "\\|")


def _reasons(law):
    return "; ".join(reason for need, (_, reason) in NEEDS.items() if need in law.needs)


if __name__ == "__main__":
    for file, text in zip(FILES, (page(), readme(FILES[1].read_text(encoding="utf-8")))):
        file.write_text(text, encoding="utf-8")
