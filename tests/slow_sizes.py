"""How small counterexamples are, against an exhaustive search of smaller sizes: run by name, some minutes.

    pytest -n auto tests/slow_sizes.py

Smaller is a case with no more rows, features, units and steps, and fewer of one, on which the law fails in the same way.
"""

from dataclasses import replace
from itertools import product

import pytest
from cellcheck.properties.intake.catalogue import laws
from cellcheck.properties.mutants import CATALOGUE, killed
from cellcheck.properties.shrinking import shrinking
from cellcheck.strategies import Problem

pytestmark = pytest.mark.filterwarnings("ignore")  # of broken cells
STYLES = [
    ("plain", "every"),
    ("long memory", "every"),
    ("integers", "every"),
    ("cold rows", "every"),
    ("large upstream", "every"),
]
STYLES += [("plain", "last"), ("plain", "first"), ("plain", "one-hot"), ("one-hot", "every"), ("zeros", "every")]
TRIES = [
    {"regime": regime, "upstream": upstream, "scale": scale, "seed": seed}
    for (regime, upstream), scale, seed in product(STYLES, (5.0, 1.0, 30.0, 1e3, 0.03), range(3))
]


def smaller(mutant):
    """(sizes of the counterexample, smaller sizes that fail in the same way, or None), each (batch, features, state, steps)."""
    law, Cell = laws()[mutant.law], mutant.cls
    problem, error = shrinking.smallest(law.check, Cell, killed(law, Cell).problem)
    recipe = problem if isinstance(problem, Problem) else problem.recipe
    names = ("batch", "features", "state", "steps")[: 4 if Cell.sequence else 3]
    top = tuple(getattr(recipe, name) for name in names)
    subject, original = shrinking.Subject(law.check, Cell), shrinking.Failure(error)
    for sizes in sorted(product(*(range(1, n + 1) for n in top)), key=sum)[:-1]:
        for numbers in TRIES:
            failed = subject.failure(replace(recipe, **dict(zip(names, sizes)), **numbers))
            if failed and failed.stands_for(original):
                return top, sizes
    return top, None


@pytest.mark.parametrize("mutant", CATALOGUE, ids=lambda mutant: mutant.name)
def test_no_smaller_sizes_fail(mutant):
    """Whatever the numbers: 150 recipes for each of the smaller sizes."""
    top, found = smaller(mutant)
    assert found is None, f"it was told at {top}, and fails at {found}"
