"""No false alarm in 100,000 correct cases of each precision: the slow half of the oracles' tests, run by name.

    pytest tests/slow_false_alarms.py                        # or, for a million cases of each:
    CASES=1000000 pytest -n auto tests/slow_false_alarms.py

A case is one block (a gate of a weight, x, or a state) judged on one random problem; the cells have textbook backwards. Of the
modern cells, EXAMPLES examples (20,000) of each group of laws are run.
"""

import os
from contextlib import suppress
from dataclasses import replace
from math import ceil

import numpy as np
import pytest
from cellcheck.cells import CELLS, GRU
from cellcheck.cells.modern import FORMS, MODERN
from cellcheck.properties.intake.catalogue import laws
from cellcheck.properties.oracles import agree, gradients
from cellcheck.properties.oracles.reference import beside, outputs, roundings
from cellcheck.properties.oracles.reference import gradients as reference_gradients
from cellcheck.properties.verdicts import bound
from cellcheck.properties.verdicts.run import apply, vjp
from cellcheck.properties.verdicts.tally import Tally, counting
from cellcheck.strategies import Problem, problems
from cellcheck.strategies.problem import REGIMES, SCALES, UPSTREAMS
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import UnsatisfiedAssumption

from cellcheck.options import Options
from cellcheck.subjects import held, subject
from tests.guests.references import KeepingGRU
from tests.guests.textbook import STEPS, UNROLLED

CASES = int(os.environ.get("CASES", "100000"))
EXAMPLES = int(os.environ.get("EXAMPLES", "20000"))


def problem_of(rng):
    """A random problem with sizes 1 to 5, up to 16 steps, in any regime, at weight scales 1e-8 to 1e6."""
    batch, features, state = (int(n) for n in rng.integers(1, 6, 3))
    scale = float(rng.choice(SCALES) if rng.random() < 0.5 else 10 ** rng.uniform(-6, 4))
    words = {"regime": str(rng.choice(list(REGIMES))), "upstream": str(rng.choice(UPSTREAMS))}
    return Problem(batch, features, state, steps=int(rng.integers(0, 17)), seed=int(rng.integers(2**31)), scale=scale, **words)


def judged(Textbook, cases, dtype, seed=0):
    """(problem, block) of at least `cases` blocks of a correct cell in this dtype."""
    rng, judged = np.random.default_rng(seed), 0
    while judged < cases:
        problem = replace(problem_of(rng), dtype=dtype)
        for part in ("weights", "x", "state"):
            for block in gradients(Textbook, problem, part):
                judged += 1
                yield problem, block


@pytest.mark.filterwarnings("ignore")  # of overflow in half precision
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16], ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize("Textbook", STEPS + UNROLLED)
def test_correct_gradients_raise_no_alarm(Textbook, dtype, record_property):
    """error <= bound in every case; the worst ratio of the two is recorded."""
    alarms, worst = [], 0.0
    for problem, block in judged(Textbook, CASES // 6 + 1, dtype):
        if block.verdict == "violated":
            alarms.append(f"{problem}: {block.name} {block.error:.3g} > {block.bound:.3g}")
        elif block.bound:
            worst = max(worst, block.error / block.bound)
    record_property("worst error / bound", worst)
    print(f"{Textbook.__name__} in {np.dtype(dtype)}: {CASES // 6 + 1} cases, worst error / bound {worst:.2f}")
    assert not alarms, alarms[:5]
    assert worst < 1


PAIRS = {Form.__name__: (Form, Form.Step) for Form in FORMS} | {
    Textbook.__name__: (Textbook, Shipped) for Textbook, Shipped in zip(STEPS + UNROLLED, CELLS, strict=True)
}
PAIRS["KeepingGRU"] = KeepingGRU, GRU


@pytest.mark.filterwarnings("ignore")  # of overflow in half precision
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16], ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("own", [True, False])
def test_equal_cells_raise_no_alarm(name, dtype, own):
    """A cell in this dtype and its reference in float64: error <= bound in every output and gradient.

    own: whether the cell's own roundings are known, as those of compiled code are not.
    """
    Cell, reference = PAIRS[name]
    if Cell in FORMS and dtype not in Cell.dtypes:
        pytest.skip("computes in float64 and float32")
    tried, rng, alarms, worst, judged = subject(Cell, "."), np.random.default_rng(1), [], 0.0, 0
    held(tried, Options(reference=reference), ".")
    while judged < CASES // len(PAIRS) + 1:
        p = beside(tried.Cell, replace(problem_of(rng), dtype=dtype))
        with np.errstate(all="ignore"), suppress(UnsatisfiedAssumption):
            blocks = agree(
                tried.Cell,
                p,
                lambda p: apply(tried.Cell, p),
                outputs,
                bound.size_of_outputs,
                lambda p: roundings(tried.Cell, p, outputs, own),
            )
            blocks += agree(
                tried.Cell,
                p,
                lambda p: vjp(tried.Cell, p),
                reference_gradients,
                bound.size,
                lambda p: roundings(tried.Cell, p, reference_gradients, own),
            )
            judged += len(blocks)
            alarms += [f"{p.recipe}: {b.name} {b.error:.3g} > {b.bound:.3g}" for b in blocks if b.verdict == "violated"]
            worst = max([worst, *(b.error / b.bound for b in blocks if b.bound and b.verdict != "violated")])
    known = "" if own else ", as if compiled"
    print(f"{name} in {np.dtype(dtype)} beside its reference{known}: {judged} cases, worst error / bound {worst:.2f}")
    assert not alarms, alarms[:5]


def run(law, Cell, n):
    """Run the law on n problems that differ from run to run, and return how many ran."""
    seen = []

    def check(problem):
        seen.append(problem)
        law.check(Cell=Cell, problem=problem)

    quiet = {"database": None, "deadline": None, "phases": [Phase.generate], "suppress_health_check": list(HealthCheck)}
    settings(max_examples=n, **quiet)(given(problem=problems())(check))()
    return len(seen)


@pytest.mark.filterwarnings("ignore")  # of numbers that overflow
@pytest.mark.parametrize("group", dict.fromkeys(law.group for law in laws().values() if "reference" not in law.needs))
def test_modern_cells_hold_every_law(group):
    """Promises included."""
    pairs = [(law, Cell) for law in laws().values() if law.group == group for Cell in MODERN if law.applies(Cell)]
    with counting(Tally()) as tally, np.errstate(all="ignore"):
        examples = sum(run(law, Cell, ceil(EXAMPLES / len(pairs))) for law, Cell in pairs)
    print(f"{group} on the modern cells: {examples} examples, worst error / bound {tally.worst:.2f}")
