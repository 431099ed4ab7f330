"""Scripts of reports beyond those of test_reports.py: of located entries, gists, other dtypes, refusals, other places."""

import pytest

from cells import lift
from properties import shrinking
from properties.meta.guests import gist
from properties.meta.test_reports import MUTANTS, codes_of, guest_of, told_of
from properties.mutants import Mutant, laws
from properties.reports import Case, reported
from strategies import Problem

pytestmark = pytest.mark.filterwarnings("ignore")  # of broken cells
TOLD = [
    "InputAliasedInTheCache",
    "OutputWidened",
    "HalfPrecisionForward",
    "RefusalForgetsTheLastCall",
    "ExtraStatesIgnored",
    "ExtraUpstreamsIgnored",
    "NegativeLengthsAccepted",
    "ZerosBeforeApply",
    "EmptyBatchIsNaN",
    "UpstreamReturned",
]


@pytest.mark.parametrize("name", TOLD)
def test_script(name, tmp_path):
    case, text = told_of(tmp_path, MUTANTS[name])
    print(text)
    s = case.path.with_suffix(".py")
    print(s.read_text())
    a = codes_of([s])
    guest_of(tmp_path / name, MUTANTS[name], broken=False)
    b = codes_of([s])
    assert list(a.values()) + list(b.values()) == [1, 0]


def test_loc(tmp_path):
    mutant = Mutant(
        "Loc",
        "RNN",
        "return Gradients([X.T @ dz",
        "dW = X.T @ dz\n        dW[-1, -1] *= 1.5\n        return Gradients([dW",
        "",
        "",
        "weight_gradients",
    )
    guest_of(tmp_path / "Loc", mutant, broken=True)
    law = laws()["weight_gradients"]
    problem = Problem(2, 5, 9, seed=1, scale=1.0).literal(mutant.cls)
    error = shrinking.Subject(law.check, mutant.cls).failure(problem).error
    case = Case("Loc/guest.py:Loc", law.name, law.group, "a = b", law.check, mutant.cls, problem, error)
    print(reported(case, tmp_path / "Loc" / "reports", tmp_path))
    s = case.path.with_suffix(".py")
    print(s.read_text())
    a = codes_of([s])
    guest_of(tmp_path / "Loc", mutant, broken=False)
    b = codes_of([s])
    assert list(a.values()) + list(b.values()) == [1, 0]


@pytest.mark.parametrize(
    "name,law",
    [
        ("BiasNotSummedOverBatch", "gradients_have_the_shapes_of_their_arrays"),
        ("ExpRatioTanh", "outputs_are_finite"),
        ("CrashingGRU", "weight_gradients"),
    ],
)
def test_gist(name, law, tmp_path):
    Cell = lift(getattr(gist, name))
    law = laws()[law]
    problem = next(
        p
        for seed in range(99)
        for p in [Problem(3, 2, 3, seed=seed, regime="large inputs")]
        if shrinking.Subject(law.check, Cell).failure(p)
    )
    problem, error = shrinking.smallest(law.check, Cell, problem)
    case = Case(f"{gist.__file__}:{name}", law.name, law.group, "a = b", law.check, Cell, problem, error)
    print(reported(case, tmp_path, tmp_path))
    s = case.path.with_suffix(".py")
    print(s.read_text())
    assert list(codes_of([s]).values()) == [1]
