"""The defects of the 2018 gist's own cells."""

from cellcheck.properties.mutants.engine import Mutant
from cellcheck.properties.mutants.numerics import LSTM_ACTIVATIONS, RNN_ACTIVATIONS, instead

MUTANTS = [
    Mutant(
        "BiasNotSummedOverBatch",
        "RNN",
        "dz.sum(axis=0)]",
        "dz]",
        "the gradient of b is (batch, state)",
        "the gist; mlpack#3679",
        "gradients_have_the_shapes_of_their_arrays",
    ),
    Mutant(
        "CrashesBeyondOneRow",
        "GRU",
        "weights = [x.T @ da,",
        "weights = [x.reshape(-1, 1) @ da,",
        "an outer product that exists for one row only",
        "the gist; deeplearning4j#1454",
        "gradients_have_the_shapes_of_their_arrays",
    ),
    Mutant(
        "SigmoidOverflows",
        "LSTM",
        LSTM_ACTIVATIONS,
        instead(LSTM_ACTIVATIONS, "sigmoid", "1 / (1 + np.exp(-z))"),
        "1 / (1 + exp(-z)) overflows below -709",
        "the gist; ocropy#79",
        "no_flag_but_underflow",
    ),
    Mutant(
        "TanhIsNaN",
        "RNN",
        RNN_ACTIVATIONS,
        instead(RNN_ACTIVATIONS, "tanh", "(np.exp(z) - np.exp(-z)) / (np.exp(z) + np.exp(-z))"),
        "a ratio of exponentials is NaN beyond 710",
        "the gist",
        "outputs_are_finite",
    ),
]
