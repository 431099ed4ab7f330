"""A model of one LSTM node, and one whose rows depend on each other."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

STATES = ("initial_h", "initial_c")


def make_model(features, state, leak=False):
    """X (steps, batch, features), the initial states -> Y, Y_h, Y_c; gates i o f c. leak: Y_h gets a little of the mean row."""
    rng = np.random.default_rng(0)
    shapes = {"W": (1, 4 * state, features), "R": (1, 4 * state, state), "B": (1, 8 * state)}
    weights = [numpy_helper.from_array(rng.standard_normal(s).astype(np.float32), name) for name, s in shapes.items()]
    outputs = ["Y", "own" if leak else "Y_h", "Y_c"]
    nodes = [helper.make_node("LSTM", ["X", "W", "R", "B", "", *STATES], outputs, hidden_size=state)]
    if leak:
        nodes.append(helper.make_node("ReduceMean", ["own"], ["mean"], axes=[1]))
        nodes.append(helper.make_node("Max", ["own", "mean"], ["Y_h"]))
    real = TensorProto.FLOAT
    given = [helper.make_tensor_value_info("X", real, [None, None, features])]
    given += [helper.make_tensor_value_info(name, real, [1, None, state]) for name in STATES]
    returned = [helper.make_tensor_value_info(name, real, None) for name in ("Y", "Y_h", "Y_c")]
    graph = helper.make_graph(nodes, "cell", given, returned, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=9)


def leaky_model(features, state):
    """The defect."""
    return make_model(features, state, leak=True)


def with_lengths(features, state):
    """The model with an input for the number of steps of each row."""
    model = make_model(features, state)
    model.graph.node[0].input[4] = "lengths"
    model.graph.input.append(helper.make_tensor_value_info("lengths", TensorProto.INT32, [None]))
    return model
