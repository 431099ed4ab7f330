"""What a cell offers, and what a law therefore cannot verify."""

import copy
import inspect
from contextlib import suppress
from functools import lru_cache

import numpy as np
from cellcheck.cells import lift
from cellcheck.cells.modern import STEPS

MODERN = tuple(Cell.kind for Cell in STEPS)  # kinds whose equations are known, weights taken by name
ROWS = 5  # unlike any other size that is tried


def _starts_from_zeros(cell):
    """Whether all states may be left out: they have defaults, or they are *state and the cell then returns all its outputs."""
    guest = cell.guest
    if any(s.domain and not s.domain.holds(np.zeros(1)) for s in cell.spec.states):
        return False
    inputs = cell.spec.inputs
    parameters = inspect.signature(guest.apply if cell.spec.full else guest.forward).parameters.values()
    state = [p for p in parameters if p.kind != p.KEYWORD_ONLY][len(inputs) :]
    if any(p.default is p.empty and p.kind == p.POSITIONAL_OR_KEYWORD for p in state):
        return False
    if any(p.default is not p.empty for p in state):
        return True
    try:
        few = [(n,) for n in range(cell.spec.fewest_steps, 2)] if cell.spec.sequence else [()]
        given = [[np.zeros((*steps, 1, *a.shape), cell.spec.dtype) for a in inputs] for steps in few]
        return all(len(cell.apply(*some)) == len(cell.spec.outputs) for some in given)
    except Exception:
        return False


def _returns_its_states(cell):
    """Whether what a sequence returns can be handed to the next one."""
    names = cell.spec.state_names
    return bool(names) and {f"{name}'" for name in names} <= set(cell.spec.output_names) and not cell.spec.memory


def _copies(cell):
    """Whether a deep copy computes with other weights as the cell itself does: one whose functions hold arrays keeps the old ones."""
    try:
        copy.deepcopy(cell)
    except Exception:
        return False
    if set(cell.spec.dtypes) <= {cell.spec.dtype}:
        return True
    with suppress(Exception):  # of numbers that it does not take
        spec, rng = cell.spec, np.random.default_rng(0)
        rows, steps = spec.batch or 1, max(spec.fewest_steps, min(spec.sizes.get("steps") or (2,)))
        given = [rng.standard_normal((*[steps] * spec.sequence, rows, *a.shape)) / 2 for a in spec.inputs]
        given += [rng.standard_normal((rows, *s.shape)) / 2 for s in spec.states]
        arrays = [
            np.asarray(a, spec.dtype)
            for a in spec.folded([*(w + rng.standard_normal(w.shape) / 4 for w in cell.weights), *given])
        ]
        n = len(cell.weights)
        copied = copy.deepcopy(cell, {id(w): new for w, new in zip(cell.weights, arrays)})
        found = [np.array(y) for y in copied.apply(*map(np.copy, arrays[n:]))]
        for w, new in zip(cell.weights, arrays):
            w[...] = new
        return all(np.allclose(a, b, equal_nan=True) for a, b in zip(found, cell.apply(*map(np.copy, arrays[n:]))))
    return True


def _takes_upstreams(cell):
    """Whether all that a sequence hands back to the one before it is offered, and can be taken there.

    A state in no_gradient is constant only at the two ends of a sequence. Within it, gradients may flow through the state.
    """
    return all(a.differentiable for a in (*cell.spec.outputs, *cell.spec.states))


def _biased(cell):
    """Whether each gate that x reaches has a bias at x's side."""
    keys = {key for blocks in cell.spec.weight_blocks or () for key in blocks}
    return all(("bias", gate) in keys or ("bias_x", gate) in keys for source, gate in keys if source == "x")


def _targets_follow(cell):
    """Whether the targets of a loss, made from x, are put in another order as the rows of x are."""
    targets, shape = cell.spec.targets, cell.spec.inputs[0].shape
    if not targets:
        return True
    x = np.random.default_rng(0).standard_normal((*[2] * cell.spec.sequence, ROWS, *shape))
    try:
        plain, other = np.asarray(targets(x)), np.asarray(targets(np.roll(x, 1, axis=int(cell.spec.sequence))))
    except Exception:
        return False
    axes = [k for k, n in enumerate(plain.shape) if n == ROWS]
    return any(np.array_equal(np.roll(plain, 1, axis=k), other) for k in axes) if axes else np.array_equal(plain, other)


def _differentiated(cell):
    """Whether its reference has gradients that it has, too."""
    return bool(cell.spec.reference and set(cell.spec.gradients) & set(cell.spec.reference.Cell.spec().gradients))


def _hands_over(cell):
    """Whether every state of the cell is one of the reference, which returns it."""
    if cell.spec.reference is None:
        return False
    spec, places = cell.spec.reference.Cell.spec(), cell.spec.reference.states
    returned = [f"{name}'" in spec.output_names for name in spec.state_names]
    return sorted(k for k in places if k is not None) == [*range(len(cell.spec.states))] and all(returned) and None not in places


NEEDS = {  # the first that is missing is the reason
    "reference": (lambda cell: cell.spec.reference is not None, "no reference is given"),
    "reference's gradients": (_differentiated, "has no gradients that its reference has, too"),
    "reference's states": (_hands_over, "its states are not those of its reference"),
    "sequence": (lambda cell: cell.spec.sequence, "a step cell"),
    "gradients": (lambda cell: bool(cell.spec.gradients), "no gradients"),
    "weights": (lambda cell: "weights" in cell.spec.gradients, "no weight gradients"),
    "x": (lambda cell: "x" in cell.spec.gradients and "x" in cell.spec.offers, "no input gradients"),
    "state": (lambda cell: "state" in cell.spec.gradients and "state" in cell.spec.offers, "no state gradients"),
    "features": (lambda cell: bool(cell.spec.inputs[0].shape), "its x is one number in each row"),
    "features or states": (
        lambda cell: bool(cell.spec.inputs[0].shape or cell.spec.inputs[1:] or cell.spec.states),
        "its x is one number in each row, and it takes no state",
    ),
    "numbers": (lambda cell: not (cell.spec.inputs[0].domain and cell.spec.inputs[0].domain.whole), "its x holds whole numbers"),
    "upstreams": (_takes_upstreams, "some of its outputs or states have no gradient"),
    "outputs": (lambda cell: not cell.spec.scalar, "no outputs but their sum"),
    "loss": (lambda cell: cell.spec.scalar == "loss", "its output is no loss"),
    "output": (lambda cell: cell.spec.scalar != "loss", "a loss, which may overflow by itself"),
    "rows": (lambda cell: cell.spec.batch is None, "takes a single row"),
    "single row": (lambda cell: cell.spec.takes("batch", 1), "declares batches without that of a single row"),
    "no row": (lambda cell: cell.spec.takes("batch", 0), "declares batches without that of no rows"),
    "single step": (lambda cell: cell.spec.takes("steps", 1), "declares steps without a single one"),
    "splits": (
        lambda cell: cell.spec.splits() is None or bool(cell.spec.splits()),
        "declares steps of which no two add up to a third",
    ),
    "same rows": (
        lambda cell: cell.spec.choices.get("dropout") != "elements",
        "its dropout depends on where in the batch a row is",
    ),
    "own row": (lambda cell: not cell.spec.choices.get("batch"), "its rows depend on each other"),
    "same steps": (lambda cell: "dropout" not in cell.spec.choices, "its dropout depends on which step it is"),
    "any time": (lambda cell: not cell.spec.choices.get("time"), "what it does depends on the number of the step"),
    "own past": (lambda cell: not cell.spec.choices.get("future"), "its outputs depend on later steps"),
    "uncut": (
        lambda cell: not _returns_its_states(cell) or bool(cell.spec.choices.get("time")),
        "covered by the laws that cut a sequence",
    ),
    "undropped": (lambda cell: "dropout" not in cell.spec.choices, "declares dropout, which no kind has"),
    "unclipped": (
        lambda cell: "clip" not in cell.spec.choices or cell.spec.takes_upstream,
        "clips its gradients, and takes no small upstream that would undo it",
    ),
    "own targets": (_targets_follow, "its targets depend on where in the batch a row is"),
    "plain": (lambda cell: not cell.spec.variant, "its equations are a variant of its kind"),
    "bias": (_biased, "declares no bias of its gates"),
    "lengths": (lambda cell: cell.spec.lengths, "takes no lengths"),
    "several lengths": (
        lambda cell: not cell.spec.sizes.get("steps") or len(cell.spec.declared_steps) > 1,
        "declares one number of steps, so no shorter row runs alone",
    ),
    "ys": (lambda cell: "ys" in cell.spec.output_names, "returns no output for each step"),
    "omitted": (_starts_from_zeros, "needs all states to be passed"),
    "float32": (lambda cell: {np.float32, np.float64} <= set(cell.spec.dtypes), "not both float32 and float64"),
    "float64": (
        lambda cell: cell.spec.dtype == np.float64 and np.float64 in cell.spec.dtypes and not cell.spec.precision,
        "computes in less than float64",
    ),
    "copy": (_copies, "a copy of it keeps the old weights, so it cannot be given weights of another type"),
    "finals": (_returns_its_states, "does not take and return every state"),
    "empty": (lambda cell: not cell.spec.fewest_steps and cell.spec.takes("steps", 0), "takes no empty sequence"),
    "equations": (
        lambda cell: bool(cell.spec.kind in MODERN or (cell.spec.kind and cell.spec.weight_blocks)),
        "convention not verified: declares no kind and weight_blocks",
    ),
    "kind": (
        lambda cell: bool(cell.spec.kind and cell.spec.weight_blocks),
        "declares no kind and weight_blocks by which its gates could be probed",
    ),
}


def missing(Cell, needs):
    """Why a law that needs these cannot run on the cell, or None."""
    return next((reason for need, (_, reason) in NEEDS.items() if need in needs and not _has(lift(Cell), need)), None)


@lru_cache(maxsize=1024)
def _has(Cell, need):
    return NEEDS[need][0](Cell(2, 3))
