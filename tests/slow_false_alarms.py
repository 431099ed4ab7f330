"""No false alarm in 100,000 correct cases: the slow half of the oracles' tests, run by name.

    pytest tests/slow_false_alarms.py

A case is one block (a gate of a weight, x, or a state) judged on one random problem; the cells have textbook backwards.
"""

import numpy as np
import pytest
from cellcheck.properties.oracles import gradients
from cellcheck.strategies import Problem
from cellcheck.strategies.problem import REGIMES, SCALES, UPSTREAMS

from tests.guests.textbook import STEPS, UNROLLED

CASES = 100_000


def problem_of(rng):
    """A random problem with sizes 1 to 5, up to 16 steps, in any regime, at weight scales 1e-8 to 1e6."""
    batch, features, state = (int(n) for n in rng.integers(1, 6, 3))
    scale = float(rng.choice(SCALES) if rng.random() < 0.5 else 10 ** rng.uniform(-6, 4))
    words = {"regime": str(rng.choice(list(REGIMES))), "upstream": str(rng.choice(UPSTREAMS))}
    return Problem(batch, features, state, steps=int(rng.integers(0, 17)), seed=int(rng.integers(2**31)), scale=scale, **words)


def judged(Textbook, cases, seed=0):
    """At least `cases` blocks of a correct cell with their problems."""
    rng, blocks = np.random.default_rng(seed), []
    while len(blocks) < cases:
        problem = problem_of(rng)
        for part in ("weights", "x", "state"):
            blocks += [(problem, block) for block in gradients(Textbook, problem, part)]
    return blocks


@pytest.mark.parametrize("Textbook", STEPS + UNROLLED)
def test_correct_gradients_raise_no_alarm(Textbook, record_property):
    """error <= bound in every case; the worst ratio of the two is recorded."""
    blocks = judged(Textbook, CASES // 6 + 1)
    alarms = [
        f"{problem}: {block.name} {block.error:.3g} > {block.bound:.3g}"
        for problem, block in blocks
        if block.verdict == "violated"
    ]
    worst = max(block.error / block.bound for _, block in blocks if block.bound)
    record_property("worst error / bound", worst)
    assert not alarms, alarms[:5]
    assert worst < 1
