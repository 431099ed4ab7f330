"""What a cell offers, and what a law therefore cannot verify."""

import copy
import inspect

import numpy as np

ROWS = 5  # unlike any other size that is tried


def _parameters(cell):
    """The parameters of the cell's own apply, or of the forward of a gist-style guest."""
    guest = getattr(cell, "guest", cell)
    return inspect.signature(guest.apply if hasattr(guest, "apply") else guest.forward).parameters


def _starts_from_zeros(cell):
    """Whether states may be left out: all have defaults, or they are *state, and the cell takes none and returns all outputs."""
    state = list(_parameters(cell).values())[1:]
    if any(p.default is p.empty and p.kind == p.POSITIONAL_OR_KEYWORD for p in state):
        return False
    if any(p.default is not p.empty for p in state):
        return True
    outputs = 1 if getattr(cell, "gist", False) else len(cell.state_names) + cell.sequence
    try:
        few = [(n,) for n in range(getattr(cell, "fewest_steps", 0), 2)] if cell.sequence else [()]
        return all(len(cell.apply(np.zeros((*steps, 1, 2)))) == outputs for steps in few)
    except Exception:
        return False


def _returns_its_states(cell):
    """Whether what a sequence returns can be handed to the next one."""
    returned = getattr(cell, "outputs", None) or cell.state_names
    return bool(cell.state_names) and set(cell.state_names) <= set(returned) and not getattr(cell, "memory", False)


def _copies(cell):
    """Whether deepcopy works."""
    try:
        copy.deepcopy(cell)
    except Exception:
        return False
    return True


def _biased(cell):
    """Whether each gate that x reaches has a bias at x's side."""
    keys = {key for blocks in cell.weight_blocks or () for key in blocks}
    return all(("bias", gate) in keys or ("bias_x", gate) in keys for source, gate in keys if source == "x")


def _targets_follow(cell):
    """Whether the targets of a loss, made from x, are put in another order as the rows of x are."""
    targets = getattr(getattr(getattr(cell, "guest", cell), "plan", None), "targets", None)
    if not targets:
        return True
    x = np.random.default_rng(0).standard_normal((2, ROWS, 2) if cell.sequence else (ROWS, 2))
    try:
        plain, other = np.asarray(targets(x)), np.asarray(targets(np.roll(x, 1, axis=-2)))
    except Exception:
        return False
    axes = [k for k, n in enumerate(plain.shape) if n == ROWS]
    return any(np.array_equal(np.roll(plain, 1, axis=k), other) for k in axes) if axes else np.array_equal(plain, other)


NEEDS = {  # the first that is missing is the reason
    "sequence": (lambda cell: cell.sequence, "a step cell"),
    "weights": (lambda cell: "weights" in cell.gradients, "no weight gradients"),
    "x": (lambda cell: "x" in cell.gradients, "no input gradients"),
    "state": (lambda cell: "state" in cell.gradients, "no state gradients"),
    "outputs": (lambda cell: not getattr(cell, "gist", False), "no outputs but their sum"),
    "output": (lambda cell: getattr(cell, "outputs", None) != ("loss",), "a loss, which may overflow by itself"),
    "rows": (lambda cell: cell.batch is None, "takes a single row"),
    "own targets": (_targets_follow, "its targets depend on where in the batch a row is"),
    "plain": (lambda cell: not getattr(cell, "variant", None), "declares a variant of its kind"),
    "bias": (_biased, "declares no bias of its gates"),
    "lengths": (lambda cell: "lengths" in _parameters(cell), "takes no lengths"),
    "omitted": (_starts_from_zeros, "wants every state"),
    "float32": (lambda cell: {np.float32, np.float64} <= set(cell.dtypes), "not both float32 and float64"),
    "copy": (_copies, "cannot be copied, and so not be given weights of another type"),
    "finals": (_returns_its_states, "does not take and return every state"),
    "empty": (lambda cell: not getattr(cell, "fewest_steps", 0), "takes no empty sequence"),
    "kind": (lambda cell: bool(cell.kind and cell.weight_blocks), "convention not verified: declares no kind and weight_blocks"),
}


def missing(Cell, needs):
    """Why a law that needs these cannot be asked of the cell, or None."""
    cell = Cell(2, 3)
    return next((reason for need, (has, reason) in NEEDS.items() if need in needs and not has(cell)), None)
