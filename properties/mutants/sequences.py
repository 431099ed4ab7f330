"""Mutants of a sequence against its steps: a state not carried, an order reversed, a step too few, a memory."""

from cellcheck.properties.mutants.engine import Mutant

STATES = "[state]"
STEPS = "a_sequence_is_its_steps"

MUTANTS = [
    Mutant(
        "StateNotCarried",
        "UnrolledGRU",
        "self.step._apply(x_t, *states[-1])",
        "self.step._apply(x_t, *states[0])",
        "every step starts from the initial state",
        "burn#2701",
        STEPS,
    ),
    Mutant(
        "InitialStateIgnored",
        "UnrolledLSTM",
        STATES,
        "[tuple(np.zeros_like(s) for s in state)]",
        "the sequence starts from zeros",
        "dynet#226",
        STEPS,
    ),
    Mutant(
        "GoesBackwards", "UnrolledRNN", "zip(x, alive)", "zip(x[::-1], alive)", "the last step comes first", "tvm#15829", STEPS
    ),
    Mutant("OutputsReversed", "UnrolledGRU", "np.stack(ys) if", "np.stack(ys[::-1]) if", "ys runs backwards", "webnn#801", STEPS),
    Mutant(
        "OutputIsTheCell",
        "UnrolledLSTM",
        "_chosen(on, new[-1])",
        "_chosen(on, new[0])",
        "ys holds c instead of h",
        "onnxscript#2852",
        STEPS,
    ),
    Mutant(
        "OutputsBatchFirst",
        "UnrolledRNN",
        "np.stack(ys) if",
        "np.stack(ys, axis=1) if",
        "ys is (batch, steps, state)",
        "pytorch#80306",
        STEPS,
    ),
    Mutant(
        "LastStepLeftOut",
        "UnrolledLSTM",
        "zip(x, alive)",
        "zip(x[:-1], alive)",
        "one step too few",
        "97 hand-written cells: index off by one",
        STEPS,
    ),
    Mutant(
        "FinalStateBeforeTheLast",
        "UnrolledRNN",
        "return *(s.copy() for s in states[-1])",
        "return *(s.copy() for s in states[len(ys) - 1])",
        "the final state is that before the last step",
        "97 hand-written cells: index off by one",
        STEPS,
    ),
    Mutant(
        "OutputsBeforeTheStep",
        "UnrolledGRU",
        "_chosen(on, new[-1])",
        "_chosen(on, states[-2][-1])",
        "ys holds the states before the steps",
        "97 hand-written cells: index off by one",
        STEPS,
    ),
    Mutant(
        "StepsBeyondEightDropped",
        "UnrolledLSTM",
        "zip(x, alive)",
        "zip(x[:8], alive)",
        "a sequence ends after 8 steps",
        "97 hand-written cells: truncation (4)",
        "a_sequence_may_be_split",
    ),
    Mutant(
        "NoStepsCrash",
        "UnrolledRNN",
        "np.stack(ys) if ys else np.zeros(self._output_shapes()[-1], x.dtype)",
        "np.stack(ys)",
        "a sequence without steps crashes",
        "onnx#1674",
        "no_steps_leave_the_state",
    ),
    Mutant(
        "SecondSequenceContinuesTheFirst",
        "UnrolledGRU",
        STATES,
        '[vars(self).pop("last", None) or state]\n        self.last = states[0]',
        "a second sequence starts where the first did",
        "97 hand-written cells: a second sequence through the same object",
        "a_used_cell_equals_a_fresh_one",
    ),
    Mutant(
        "OutputsAccumulate",
        "UnrolledLSTM",
        STATES + ", []",
        STATES + ', vars(self).setdefault("ys", [])',
        "ys grows with every sequence",
        "97 hand-written cells: a second sequence through the same object",
        "a_used_cell_equals_a_fresh_one",
    ),
]
