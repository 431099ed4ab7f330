"""Which problems really ran: sizes, scales, inputs, states, upstreams, and how saturated the gates were."""

from collections import Counter
from dataclasses import fields
from math import sqrt

from cellcheck.strategies.problem import BATCHES, FEATURES, REGIMES, SCALES, STATES, STEPS, UPSTREAMS, Problem

SATURATION = {"zero": 0.0, "linear": 0.3, "curved": 4.0, "saturated": 36.0, "flat": float("inf")}  # up to which |z|
REACHABLE: dict[str, list] = {
    "batch": sorted(set(BATCHES)),
    "features": sorted(set(FEATURES)),
    "state": sorted(set(STATES)),
    "steps": sorted(set(STEPS)),
    "scale": sorted(SCALES),
    "pre-activation": list(SATURATION),
    "inputs and states": list(REGIMES),
    "upstream": list(UPSTREAMS),
}
_RECIPE = [f.name for f in fields(Problem) if f.name not in ("seed", "dtype")]


def of(problem):
    """What is counted of an example: its recipe without the seed, or None where the law is about something else."""
    recipe = getattr(problem, "recipe", problem)
    return tuple(getattr(recipe, name) for name in _RECIPE) if isinstance(recipe, Problem) else None


def longest(problems, Cell):
    """How many steps a sequence cell ran at most, 0 for none and 1 for a step cell. problems: a Counter of what `of` returns."""
    steps = [key[_RECIPE.index("steps")] for key in problems if key]
    return Problem(steps=max(steps), seed=1).literal(Cell).steps if steps else 0


def reached(problems):
    """How many examples there were of each value: {"batch": {"1": 25, ...}, "pre-activation": {"curved": 40, ...}, ...}.

    problems: a Counter of what `of` returns.
    """
    found = {dimension: Counter() for dimension in REACHABLE}
    for key, n in problems.items():
        if key is None:
            continue
        batch, features, state, steps, scale, regime, upstream = key
        values = (batch, features, state, steps, f"{scale:g}", saturation(*key), regime, upstream)
        for dimension, value in zip(REACHABLE, values):
            found[dimension][str(value)] += n
    return {dimension: dict(counts) for dimension, counts in found.items() if counts}


def typical(features, state, scale, regime):
    """The root mean square of a pre-activation z = [x, h] W + b, as it is drawn: the size of W times that of [x, h], plus b."""
    size, entries = REGIMES[regime].x, REGIMES[regime].entries
    if entries == "zeros":
        return 0.0
    x = {"one-hot": 1 / features, "integers": 2.0, "cold rows": 1 / 2}.get(entries, 1.0)
    h = {"integers": 2 / 3, "cold rows": 1 / 6}.get(entries, 1 / 3)
    return scale * sqrt((features * size**2 * x + state * h) / (features + state) + 1)


def saturation(batch, features, state, steps, scale, regime, upstream):
    """In which regime the activations of such a problem typically are: the first of SATURATION that its |z| does not exceed."""
    z = typical(features, state, scale, regime)
    return next(name for name, limit in SATURATION.items() if z <= limit)
