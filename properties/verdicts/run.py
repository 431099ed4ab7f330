"""One run of a cell on a problem, by name: what the laws compare."""

import numpy as np
from cellcheck.properties.verdicts.blocks import Block, misshapen

PARTS = ("weights", "x", "state")


def apply(Cell, problem):
    """The outputs by name: {"c'": (batch, state), "h'": (batch, state)}, the output last."""
    cell, x, state = problem.build(Cell)
    return dict(zip(output_names(cell), cell.apply(x, *state)))


def vjp(Cell, problem, mix=lambda u, v: u, parts=PARTS):
    """The gradients by name, {"W": ..., "x": ..., "h": ...}, for the upstream mix(u, v) of the problem's two upstreams."""
    cell, x, state = problem.build(Cell)
    u, v = problem.upstreams(2, cell.apply(x, *state))
    claims = claimed(cell, cell.vjp(*mix(u, v)), parts)
    return {name: np.asarray(claim) for name, (claim, _) in zip(array_names(cell), claims) if claim is not None}


def both(Cell, problem, parts=PARTS, **how):
    """Outputs and gradients by name of one run of a fresh cell, for the first upstream of the problem. how: as for `outcome`."""
    problem = problem.literal(Cell)
    return outcome(problem.build(Cell)[0], problem, parts, **how)


def outcome(cell, literal, parts=PARTS, lay=np.copy, **options):
    """Copies of the outputs and gradients by name of one run of this instance on a literal problem.

    lay: makes of each array of the problem what the cell is given; options: further arguments of apply.
    """
    outputs = cell.apply(lay(literal.x), *map(lay, literal.state), **options)
    found = {name: np.array(y) for name, y in zip(output_names(cell), outputs)}
    [u] = literal.upstreams(1, outputs)
    return {**found, **differentiated(cell, u, parts, lay)}


def differentiated(cell, upstream, parts=PARTS, lay=np.copy):
    """Copies of the gradients by name at the last apply of this instance."""
    claims = claimed(cell, cell.vjp(*map(lay, upstream)), parts)
    return {name: np.array(claim) for name, (claim, _) in zip(array_names(cell), claims) if claim is not None}


def shapes(Cell, problem):
    """The blocks of the shapes of all gradients that the cell offers."""
    cell, x, state = problem.build(Cell)
    [u] = problem.upstreams(1, cell.apply(x, *state))
    given = cell.vjp(*u)
    for part, offered, wanted in (("weights", given[0], len(cell.weights)), ("state", given[2], len(state))):
        if part in cell.gradients and offered is not None and len(offered) > wanted:
            yield Block(part, f"{len(offered)} gradients", f"{wanted} gradients", np.inf, 0.0, "violated", note="shape")
    claims = claimed(cell, given, cell.gradients)
    for name, array, (claim, wanted) in zip(array_names(cell), (*cell.weights, x, *state), claims):
        if wanted and not (claim is None and not array.size):
            yield misshapen(name, claim, array.shape) or Block(name, array.shape, array.shape)


def claimed(cell, gradients, parts):
    """For each of [*weights, x, *state]: (the claimed gradient or None, whether its part is among `parts`)."""
    weights, x, state = gradients
    found = []
    for part, given, n in (("weights", weights, len(cell.weights)), ("x", [x], 1), ("state", state, len(cell.state_names))):
        given = list(given) if part in parts and given is not None else []
        found += [(given[j] if j < len(given) else None, part in parts) for j in range(n)]
    return found


def array_names(cell):
    """Names of [*weights, x, *state]: a weight is called as the attribute that holds it, else weights[k]."""
    found = {}
    guest = getattr(cell, "guest", cell)
    for holder in (cell, guest, getattr(guest, "step", None)):
        found.update({id(v): name for name, v in getattr(holder, "__dict__", {}).items() if isinstance(v, np.ndarray)})
    given = getattr(cell, "weight_names", None) or [f"weights[{k}]" for k in range(len(cell.weights))]
    weights = [found.get(id(w), name) for w, name in zip(cell.weights, given)]
    return [*weights, "x", *cell.state_names]


def output_names(cell):
    """Names of what apply returns: c', h', then ys for a sequence cell; the lone output of a lifted cell is its sum."""
    if getattr(cell, "gist", False):
        return ["sum"]
    if getattr(cell, "outputs", None):
        return [name if name == "ys" else f"{name}'" for name in cell.outputs]
    return [f"{name}'" for name in cell.state_names] + ["ys"] * cell.sequence
