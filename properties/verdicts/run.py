"""Runs a cell on a problem and returns outputs and gradients by name: these are what the laws compare."""

import numpy as np
from cellcheck.properties.verdicts.blocks import Block, misshapen

PARTS = ("weights", "x", "state")


def apply(Cell, problem):
    """The outputs by name: {"c'": (batch, state), "h'": (batch, state)}, the output last."""
    cell, x, state = problem.build(Cell)
    return dict(zip(cell.spec.output_names, cell.apply(x, *state)))


def vjp(Cell, problem, mix=lambda u, v: u, parts=PARTS):
    """The gradients by name, {"W": ..., "x": ..., "h": ...}, for the upstream mix(u, v) of the problem's two upstreams."""
    cell, x, state = problem.build(Cell)
    u, v = problem.upstreams(2, cell.apply(x, *state), cell.spec)
    claims = claimed(cell, cell.vjp(*mix(u, v)), parts)
    return {name: np.asarray(claim) for name, (claim, _) in zip(cell.spec.array_names, claims) if claim is not None}


def both(Cell, problem, parts=PARTS, **how):
    """Outputs and gradients by name of one run of a fresh cell, for the first upstream of the problem. how: as for `outcome`."""
    problem = problem.literal(Cell)
    return outcome(problem.build(Cell)[0], problem, parts, **how)


def outcome(cell, literal, parts=PARTS, lay=np.copy, **options):
    """Copies of the outputs and gradients by name of one run of this instance on a literal problem.

    lay: makes of each array of the problem what the cell is given; options: further arguments of apply.
    """
    outputs = cell.apply(lay(literal.x), *map(lay, literal.state), **options)
    found = {name: np.array(y) for name, y in zip(cell.spec.output_names, outputs)}
    [u] = literal.upstreams(1, outputs, cell.spec)
    return {**found, **differentiated(cell, u, parts, lay)}


def differentiated(cell, upstream, parts=PARTS, lay=np.copy):
    """Copies of the gradients by name at the last apply of this instance."""
    claims = claimed(cell, cell.vjp(*map(lay, upstream)), parts)
    return {name: np.array(claim) for name, (claim, _) in zip(cell.spec.array_names, claims) if claim is not None}


def shapes(Cell, problem):
    """A block for the shape of each gradient that the cell offers."""
    cell, x, state = problem.build(Cell)
    [u] = problem.upstreams(1, cell.apply(x, *state), cell.spec)
    given = cell.vjp(*u)
    for part, offered, wanted in (("weights", given[0], len(cell.weights)), ("state", given[2], len(state))):
        if part in cell.spec.gradients and offered is not None and len(offered) > wanted:
            yield Block(part, f"{len(offered)} gradients", f"{wanted} gradients", np.inf, 0.0, "violated", note="shape")
    claims = claimed(cell, given, cell.spec.gradients)
    for name, array, (claim, wanted) in zip(cell.spec.array_names, (*cell.weights, x, *state), claims):
        if wanted and not (claim is None and not array.size):
            yield misshapen(name, claim, array.shape) or Block(name, array.shape, array.shape)


def claimed(cell, gradients, parts):
    """For each of [*weights, x, *rest]: (the claimed gradient or None, whether it is offered and its part is among `parts`).

    What a cell returns and does not offer, such as zeros in the place of a gradient, is left out.
    """
    weights, x, rest = gradients
    spec, found = cell.spec, []
    parts = [part for part in parts if part in spec.gradients]
    for given, n in ((weights, len(spec.weights)), ([x], 1), (rest, len(spec.rest))):
        given = list(given) if given is not None else []
        found += given[:n] + [None] * (n - len(given))
    return [(g if part in parts else None, part in parts) for g, part in zip(found, spec.offers)]


def rows(spec, run, index):
    """A run by name at some of its rows; what has no rows is left out."""
    axes = {name: spec.batch_axis(name) for name in run}
    return {name: a[(slice(None),) * axes[name] + (index,)] for name, a in run.items() if axes[name] is not None}


def joined(spec, runs):
    """Runs on the rows of a batch as one run: rows behind each other, sums added up."""
    axes = {name: spec.batch_axis(name) for name in runs[0]}
    return {n: sum(r[n] for r in runs) if k is None else np.concatenate([r[n] for r in runs], axis=k) for n, k in axes.items()}
