"""The diagnosis names the planted fault of most mutants, says nothing of correct cells, and nothing wrong of any."""

from dataclasses import replace

import numpy as np
import pytest
from cellcheck.cells import CELLS
from cellcheck.cells.lift import lift
from cellcheck.properties.mutants import CATALOGUE
from cellcheck.properties.mutants.lookalikes import LOOKALIKES
from cellcheck.properties.reports import Case
from cellcheck.properties.reports.diagnosis import Attempts, diagnose, examined
from cellcheck.properties.reports.diagnosis.grown import LONG, PLAIN, grown
from cellcheck.properties.reports.diagnosis.promises import promise_faults
from cellcheck.properties.verdicts.blocks import Block, Violation
from cellcheck.strategies import Problem

from tests.guests.hidden_memory import MISTAKES, guest
from tests.guests.textbook import STEPS, UNROLLED

NAMED = {
    "GatesDeclaredIOFG": "the forget and output gates are exchanged",
    "GatesDeclaredIFGO": "the output and candidate gates are exchanged",
    "InputAndForgetSwapped": "the input and forget gates are exchanged",
    "OutputBiasForAllGates": "every gate uses the bias of the output gate",
    "ForgetBiasAfterTheSigmoid": "1 is added to the forget gate after its sigmoid",
    "HiddenForgetBias": "1 is added to the pre-activation of the forget gate",
    "CoupledGates": "the input gate is 1 - forget gate",
    "OutputGatePeeksAtOldCell": "the output gate looks at the old c",
    "HardSigmoid": "hard sigmoid",
    "OutputWithoutTanh": "h' lacks the tanh of c'",
    "BiasMissing": "the bias is not added",
    "StatesReturnedInOtherOrder": "returned in the order h', c'",
    "RowsDeclaredStateFirst": "declared for [h, x] are multiplied by [x, h]",
    "BiasAfterTheTanh": "the bias is added after the tanh",
    "BiasTwice": "the bias is added twice",
    "ResetBeforeTheProduct": "the reset gate acts on h before the product",
    "StateBiasOutsideTheReset": "added outside the reset gate",
    "UpdateInverted": "the update gate is inverted",
    "ResetAndUpdateDeclaredSwapped": "the reset and update gates are exchanged",
    "FirstRowOnly": "that of row 0 alone",
    "StateOfFirstRowForAll": "every row continues the state c of row 0",
    "SecondStateIgnored": "h is ignored",
    "StateUpdatedInPlace": "apply writes into h",
    "UpstreamAddedInPlace": "vjp writes into the upstream of c'",
    "WeightsDecayInBackward": "vjp writes into W_state",
    "GradientsAccumulate": "gradients accumulate",
    "CacheOfFirstCall": "vjp still returns the gradient of W of the first",
    "CacheSharedByAllCells": "two cells share what they keep",
    "Nondeterministic": "it is not deterministic",
    "BatchSizeOfFirstCall": "the first call's batch size is kept",
    "FirstRowCountsTwice": "counts row 0 of the batch twice",
    "InputGateFromInput": "the input gate: its gradient uses tanh(i) where g belongs",
    "TanhOfTheActivated": "the candidate: the derivative of its tanh is taken at the output",
    "RecurrentGradientFromNewState": "multiplies h' instead of h",
    "ForgetNotDifferentiated": "the forget gate: the derivative of its sigmoid is missing",
    "IncomingCellGradientDropped": "the upstream of c' is ignored",
    "PreactivationForActivation": "the gradient of c uses z of the forget gate where f belongs",
    "BiasGetsNoGradient": "the gradient of b is zero everywhere",
    "OneDeltaForThreeGates": "it gets the gradient of the input gate",
    "TanhOfTanhOfCell": "uses tanh'(tanh(c')) where tanh'(c') belongs",
    "CellPathDropped": "the gradient of c is zero everywhere",
    "OutputGateMissingInCellGradient": "lacks the factor o",
    "ForgetFromNewCell": "the forget gate: its gradient uses c' where c belongs",
    "DerivativeTwice": "the candidate: the derivative of its tanh is applied twice",
    "InputGradientFromStateRows": "cut from [dx, dh] as if it were [dh, dx]",
    "OneGateOffByAMillionth": "the forget gate: its gradient is scaled by 1.000001",
    "DerivativeMissing": "the derivative of its tanh is missing",
    "DerivativeAtTheOutput": "is taken at the output instead of the pre-activation",
    "MissingTranspose": "without transposing them",
    "BiasOfFirstRow": "that of row 0 alone",
    "BiasMeanForSum": "the mean over the batch of 3 instead of the sum",
    "SignFlipped": "the gradient of W is negated",
    "TieHasNoGradient": "wrong at exactly z = 0",
    "UpstreamClamped": "the upstream is clipped at 1",
    "OneEntryOffByAMillionth": "only W[8, 4] is wrong",
    "DirectPathDropped": "the direct path",
    "DirectPathThroughUpdate": "uses u where 1 - u belongs",
    "UpdateGradientNegated": "the update gate: its gradient has the wrong sign",
    "StateGradientWithoutReset": "the candidate: its gradient lacks the factor r",
    "OneBiasGradientForBoth": "the gradient of b_state is that of b_input",
    "ResetFromState": "the reset gate: its gradient uses h where h W_n belongs",
    "InputGradientOfStateHalf": "comes from the pre-activations of the half of h",
    "StateGradientNotCarried": "the state gradient is not carried from step to step",
    "OverwrittenNotAdded": "the upstream of ys replaces the gradient carried back",
    "OnlyTheFinalStateDifferentiated": "only the upstream of h' is used",
    "InputOffByOne": "each step is differentiated at the input of the step before",
    "ReversePassInForwardOrder": "the steps are differentiated first to last",
    "TanhIsNaN": "tanh is wrong from z = 709.78 on, where exp overflows",
    "TanhOffInTheTail": "tanh is wrong from z = 6 on",
    "DerivativeLostInTheTail": "the derivative of tanh is wrong from z = 8 on",
    "CellClipped": "c' is clipped at 20",
    "SigmoidHalfBeyond88": "sigmoid is wrong from z = 88 on",
    "Float32Gradients": "has passed through float32",
    "OutputOffByAConstant": "h' is off by a constant",
    "GradientClipped": "the gradient of W_input is clipped at 1",
    "GoesBackwards": "the steps are taken last to first",
    "OutputsBatchFirst": "it is (batch, steps, state)",
    "FinalStateBeforeTheLast": "the final state is that before the last step",
    "NoStepsCrash": "a sequence of 0 steps raises ValueError",
    "OneStepTooMany": "end as after [3, 1, 4] steps",
    "BiasNotSummedOverBatch": "it is not summed over the batch of 3",
    "CrashesBeyondOneRow": "but not at batch 1",
    "CachedGatesReadInAnotherOrder": "the forget gate: its gradient uses sigmoid(g) where o belongs",
}
PROMISED = {
    "SecondBackwardFails": "a second vjp after the same apply raises IndexError",
    "OutputAliasesTheCache": "c' as returned is the cell's cache",
    "OutputBufferReused": "the next apply overwrites the h'",
    "InputAliasedInTheCache": "the cell keeps x itself",
    "StateAliasedInTheCache": "the cell keeps c itself",
    "GradientBufferReused": "the next vjp overwrites the gradient of W",
    "GlobalSeed": "making the cell draws from, or seeds",
    "OmittedStateIsOne": "without states the cell starts from ones",
    "ColumnOrderReadAsRows": "x in column (Fortran) order",
    "ReadOnlyInputsCrash": "x that is read-only makes apply raise ValueError",
    "OutputWidened": "float32 in, float64 out",
    "EmptyBatchIsNaN": "a batch of no rows gives nan",
}
SILENT = ["RowsWeighted", "SigmoidToTwelveDigits", "EpsilonInGradient", "FreshRowsResetTheWarm"]
pytestmark = pytest.mark.filterwarnings("ignore")  # of broken cells
MUTANTS = {mutant.name: mutant for mutant in CATALOGUE}


@pytest.mark.parametrize("name", NAMED)
def test_planted_fault_is_named_first(name):
    """The first sentence about a mutant names its fault, and gives a number for it."""
    told, wrong, faults = examined(MUTANTS[name].cls, PLAIN)
    assert wrong and not faults
    assert NAMED[name] in told[0]
    assert any(character.isdigit() for character in told[0]) or "error" in told[0].lower()


@pytest.mark.parametrize("name", PROMISED)
def test_broken_promise_is_named(name):
    """Which array, which call."""
    told = promise_faults(grown(MUTANTS[name].cls, PLAIN), MUTANTS[name].law)
    assert PROMISED[name] in told[0]


@pytest.mark.parametrize("name", SILENT)
def test_nothing_is_said_where_no_mistake_matches(name):
    """Silence rather than a guess."""
    assert examined(MUTANTS[name].cls, PLAIN)[0] == ()


@pytest.mark.parametrize("Correct", [*CELLS[:4], *STEPS, UNROLLED[0], lift(guest())])
def test_nothing_is_said_of_correct_cells(Correct):
    """Neither shipped cells nor textbook ones."""
    assert examined(Correct, PLAIN) == ((), False, ())


OTHERS = [  # a single step, long sequences, single entries, large and saturated numbers, zeros
    replace(PLAIN, steps=1),
    replace(LONG, steps=9),
    Problem(1, 1, 1, seed=1),
    replace(PLAIN, scale=30.0, regime="long memory", upstream="last"),
    replace(PLAIN, scale=1e6),
    replace(PLAIN, regime="zeros"),
]


@pytest.mark.parametrize("look", LOOKALIKES, ids=lambda look: look.name)
def test_no_sentence_is_true_of_a_correct_cell(look):
    """Of none that looks wrong, on none of the problems on which the diagnosis may look."""
    for problem in (PLAIN, *OTHERS):
        sentences, _, faults = examined(look.cls, problem)
        assert (sentences, faults) == ((), ()), problem


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_through_time_are_named_without_the_memory(mistake):
    """Of a sequence whose steps cannot be redone, since it hides its memory; short ones may show nothing, long ones too much."""
    Cell, case = lift(guest(mistake)), replace(PLAIN, steps=10)
    block = Block("x", np.zeros(1), np.ones(1), 1.0, 0.0, "violated")
    tried = Attempts()
    told, _ = diagnose(Case("a.py:B", "input_gradients", "gradients", "", None, Cell, case, Violation([block])), tried)
    assert not tried.faults and MISTAKES[mistake] in told[0]


def test_an_accepted_mistake_is_told_by_its_law():
    """A law of errors says what was not refused."""
    block = Block("apply", "a result for (2, 1), (1, 1)", "an exception", float("inf"), 0.0, "violated")
    Cell = MUTANTS["BatchesBroadcast"].cls
    tried = Attempts()
    told, _ = diagnose(Case("a.py:B", "wrong_batches_are_refused", "errors", "", None, Cell, PLAIN, Violation([block])), tried)
    assert not tried.faults and told == ["apply refuses nothing: it gives a result for (2, 1), (1, 1)"]


def test_the_diagnosis_is_the_same_on_every_run():
    """Nothing in it is drawn."""
    Cell = MUTANTS["InputGateFromInput"].cls
    first = examined.__wrapped__(Cell, PLAIN)
    grown.cache_clear()
    assert examined.__wrapped__(Cell, PLAIN) == first
