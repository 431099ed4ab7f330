"""Reports of many more mutants than test_reports.py looks at: run by name, and under coverage.

pytest tests/slow_reports.py
"""

import pytest
from cellcheck.properties.reports.short import LINES

from tests.test_reports import MUTANTS, told_of

pytestmark = pytest.mark.filterwarnings("ignore")  # of broken cells
OTHERS = [  # for what else a report may have to say: large sizes, crashes, promises, no diagnosis
    "OneEntryOffByAMillionth",
    "UnitsBeyond128Dropped",
    "SecondSequenceContinuesTheFirst",
    "OutputsAccumulate",
    "StepSharedByAllCells",
    "SignFlipped",
    "UpstreamReturned",
    "SignOfStridesIgnored",
    "StridesIgnored",
    "Float32Accumulator",
    "StateLostAtTheEnd",
    "LastStepLeftOut",
    "RowsCentred",
    "OnlyTheTotalWidthChecked",
    "WeightsDecayInBackward",
    "SplitByFeatures",
    "InputGradientWithReset",
    "StateBiasSkippedForFreshRows",
    "MaskedStepsUpdateTheState",
    "MaskedStepsUpdateTheOutput",
    "OneStepTooFew",
    "OutputsOfPaddingRepeated",
    "OutputGradientNotCarried",
    "OutputIsTheCell",
    "InitialStateIgnored",
    "OneGateOffInForward",
    "SecondBackwardDiffers",
    "UpdateInverted",
    "StateGradientNotCarried",
    "OneStepTooMany",
    "GradientBufferReused",
    "CacheSharedByAllCells",
    "Nondeterministic",
    "ReadOnlyInputsCrash",
    "GlobalSeed",
    "SigmoidOverflows",
    "BiasNotSummedOverBatch",
]


@pytest.mark.parametrize("name", OTHERS)
def test_other_mutants_are_told_as_well(name, tmp_path):
    """As short, and written."""
    case, text = told_of(tmp_path, MUTANTS[name])
    assert text.startswith(f"{name} breaks the law {case.name}: ")
    assert len(text.splitlines()) <= LINES
    assert f"# {name} breaks the law `{case.name}`" in case.path.read_text(encoding="utf-8")
