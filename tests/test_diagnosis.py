"""The diagnosis names the planted fault of most mutants, says nothing of correct cells, and nothing wrong of any."""

from dataclasses import replace

import numpy as np
import pytest
from cellcheck.cells import CELLS, GRU, LSTM, RNN, Unroll
from cellcheck.cells.lift import lift
from cellcheck.properties.intake.catalogue import laws
from cellcheck.properties.mutants import CATALOGUE
from cellcheck.properties.mutants.lookalikes import LOOKALIKES
from cellcheck.properties.reports import Case
from cellcheck.properties.reports.diagnosis import Attempts, diagnose, examined
from cellcheck.properties.reports.diagnosis.grown import LONG, PLAIN, grown
from cellcheck.properties.reports.diagnosis.promises import promise_faults
from cellcheck.properties.reports.diagnosis.sequence import later
from cellcheck.properties.verdicts.blocks import Block, Violation
from cellcheck.strategies import Problem

from tests.guests.hidden_memory import MISTAKES, guest
from tests.guests.lasts import PaddingRuns, Ragged
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
    "DerivativeHasAFloor": "the derivative of sigmoid is wrong everywhere",
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


@pytest.mark.parametrize("Correct", [*CELLS, *STEPS, UNROLLED[0], lift(guest())])
def test_nothing_is_said_of_correct_cells(Correct):
    """Neither shipped cells, which are what mutants are made of, nor textbook ones."""
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


def outputs_alone(Base, sequence):
    """A cell of known kind that offers no gradients, and whose last output is a little wrong."""

    class Outputs:
        kind = Base.kind

        def __init__(self, features, state):
            self.inner = (Unroll(Base) if sequence else Base)(features, state, rng=0)
            self.weights, self.weight_blocks, self.state_names = (
                self.inner.weights,
                self.inner.weight_blocks,
                self.inner.state_names,
            )

        def apply(self, x, *state, **options):
            """As the cell inside, but for the last output."""
            *finals, last = self.inner.apply(x, *state, **options)
            return (*finals, last + 0.01 + 0.001 * np.abs(last))

    Outputs.sequence = sequence
    if sequence:
        Outputs.outputs = (*Base(1, 1, rng=0).state_names, "ys")
    return lift(Outputs)


@pytest.mark.parametrize("sequence", [False, True])
@pytest.mark.parametrize("Base", [RNN, LSTM, GRU])
def test_a_cell_without_gradients_is_diagnosed_without_errors_of_ours(Base, sequence):
    """Whichever of its laws breaks."""
    Cell, tried = outputs_alone(Base, sequence), Attempts()
    assert not Cell.spec().gradients
    for law in laws().values():
        if law.applies(Cell):
            block = Block("a", np.zeros((2, 3)), np.ones((2, 3)), 1.0, 0.0, "violated", (0, 0))
            diagnose(Case("a.py:B", law.name, law.group, "", law.check, Cell, PLAIN, Violation([block])), tried)
    assert not tried.faults


@pytest.mark.parametrize(("most", "said"), [(4, "steps beyond 4 are dropped: 9 steps end in the same c' as 4"), (9, None)])
def test_dropped_steps_are_named_among_the_declared_numbers_of_steps(most, said):
    """A cell that takes 2, 4 or 9 steps."""

    class Fixed:
        sequence, sizes = True, {"steps": (2, 4, 9)}

        def __init__(self, features, state):
            self.inner = Unroll(LSTM)(features, state, rng=0)
            self.weights, self.state_names, self.outputs = self.inner.weights, ("c", "h"), ("c", "h")

        def apply(self, x, c, h):
            """The last c and h."""
            assert len(x) in (2, 4, 9)
            return self.inner.apply(x[:most], c, h)[:2]

    told = later(grown(lift(Fixed), PLAIN))
    assert told == ([said] if said else [])


class Sorted(Ragged):
    """Sorts the rows by their lengths, and does not put them back in order."""

    def apply(self, x, h, *, lengths=None):
        """h' of the longest row first."""
        (h,) = super().apply(x, h, lengths=lengths)
        return (h if lengths is None else h[np.argsort(lengths)[::-1]],)


LENGTHS = [
    (Ragged, None),
    (PaddingRuns, "the rows of h' end as after [4, 4, 4] steps"),
    (Sorted, "with lengths [2, 0, 4] the rows of h' come in the order [2, 0, 1]"),
]


@pytest.mark.parametrize(("Guest", "said"), LENGTHS)
def test_lengths_of_a_sequence_that_returns_its_last_state_alone(Guest, said):
    """Are told as those of one that returns ys."""
    sentences = examined(lift(Guest), PLAIN).sentences
    assert (said in sentences[0]) if said else not sentences


class Loose(RNN):
    """Takes arrays of any shapes."""

    def apply(self, x, h):
        """h' of as many rows as there are."""
        n = min(len(x), len(h))
        return super().apply(np.resize(x, (n, self.input_features)), np.resize(h, (n, self.state_size)))


ACCEPTED = [
    ("wrong_batches_are_refused", MUTANTS["BatchesBroadcast"].cls, "takes sizes of 1 for any other"),
    ("wrong_batches_are_refused", Loose, "does not check shapes"),
    ("wrong_lengths_are_refused", Loose, "accepts what it should refuse"),
]


@pytest.mark.parametrize(("law", "Cell", "said"), ACCEPTED)
def test_an_accepted_mistake_is_told_by_its_law(law, Cell, said):
    """A law of errors says what was not refused."""
    block = Block("apply", "a result for (2, 1), (1, 1)", "an exception", float("inf"), 0.0, "violated")
    tried = Attempts()
    told, _ = diagnose(Case("a.py:B", law, "errors", "", laws()[law].check, Cell, PLAIN, Violation([block])), tried)
    assert not tried.faults and told == [f"apply {said}: it gives a result for (2, 1), (1, 1)"]


def test_the_diagnosis_is_the_same_on_every_run():
    """Nothing in it is drawn."""
    Cell = MUTANTS["InputGateFromInput"].cls
    first = examined.__wrapped__(Cell, PLAIN)
    grown.cache_clear()
    assert examined.__wrapped__(Cell, PLAIN) == first
