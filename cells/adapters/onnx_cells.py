"""An ONNX model as a cell, run by onnxruntime: its initializers are the weights; forward laws only."""

import numpy as np
import onnx
from cellcheck.cells.lift import declarations

STATES = {"RNN": ("h",), "GRU": ("h",), "LSTM": ("c", "h")}


def onnx_model(
    make, x="X", states=("h",), inputs=("initial_h",), outputs=("Y_h",), ys=None, lengths=None, evaluator=None, **declared
):
    """A factory (features, state) -> cell of an ONNX model with the usual recurrent inputs.

    make: (features, state) -> an onnx.ModelProto (or bytes) whose weights are initializers. x, inputs, outputs, ys: the names of
    its inputs and outputs: x, the initial and the final states in the order of `states` (output last), all outputs. Axes are
    those of the RNN, GRU and LSTM operators: X (steps, batch, features), states (directions, batch, state), Y (steps,
    directions, batch, state). lengths: the name of the input that holds the number of steps of each row, as sequence_lens does.
    evaluator: model -> what runs it, such as onnx.reference.ReferenceEvaluator; onnxruntime if it is None. declared: any declaration of the contract.
    """

    declarations(declared)
    if not callable(make):
        raise TypeError(f"make is a {type(make).__name__}; give a function (features, state) that returns an onnx.ModelProto")

    def adapted(features, state):
        model = make(features, state)
        if not isinstance(model, (bytes, onnx.ModelProto)):
            raise TypeError(f"make returned a {type(model).__name__}; wanted an onnx.ModelProto, or its bytes")
        return Model(model, x, states, dict(zip(inputs, outputs)), ys, lengths, evaluator, declared)

    adapted.__doc__ = getattr(make, "__doc__", None)
    return adapted


class Model:
    """An ONNX model behind the contract: a sequence cell where `ys` is named, else a step cell fed with single steps."""

    gradients, complex, fewest_steps = (), False, 1

    def __init__(self, model, x, states, names, ys, lengths, evaluator, declared):
        model = onnx.load_from_string(model) if isinstance(model, bytes) else model
        found = {tensor.name: onnx.numpy_helper.to_array(tensor).copy() for tensor in model.graph.initializer}
        self.session = (evaluator or _session)(_open(model))
        self.lengths, self.lifted_as = lengths, {"lengths": bool(lengths)}
        self.x, self.names, self.ys, self.state_names, self.sequence = x, names, ys, tuple(states), ys is not None
        self.arrays = {name: a for name, a in found.items() if a.dtype.kind == "f"}
        self.fixed = {name: a for name, a in found.items() if name not in self.arrays}
        self.weight_names = list(self.arrays)
        self.dtypes = (next(iter(self.arrays.values())).dtype.type,)
        for name, value in declared.items():
            setattr(self, name, value)

    @property
    def weights(self):
        """The arrays that are fed in place of the model's initializers."""
        return list(self.arrays.values())

    def apply(self, x, *state, lengths=None):
        """The new state, the output last. lengths: the steps of each row, all if it is None."""
        dtype = self.dtypes[0]
        if not np.size(x):
            raise ValueError(f"x is {np.shape(x)}, but onnxruntime ends the process on empty arrays")
        fed = {self.x: np.asarray(x if self.sequence else x[None], dtype)}
        fed.update({name: np.asarray(s[None], dtype) for name, s in zip(self.names, state)})
        if self.lengths:
            fed[self.lengths] = _whole(np.full(x.shape[1], len(x)) if lengths is None else lengths)
        wanted = [*self.names.values(), *[self.ys] * self.sequence]
        given = self.session.run(wanted, {**self.arrays, **self.fixed, **fed})
        new = [y[0] for y in given[: len(self.names)]]
        return (*new, given[-1][:, 0]) if self.sequence else tuple(new)


def _whole(lengths):
    """Lengths as ONNX wants them. Raises TypeError for what is no whole number."""
    if np.asarray(lengths).dtype.kind not in "iu":
        raise TypeError(f"lengths is {lengths}; give whole numbers")
    return np.asarray(lengths, np.int32)


def _open(model):
    """The model with each initializer as an input instead, so that weights can be fed."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    there = {value.name for value in model.graph.input}
    for tensor in list(model.graph.initializer):
        if tensor.name not in there:
            model.graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))
    del model.graph.initializer[:]
    return model


def _session(model):
    """onnxruntime on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def operator(kind, **attributes):
    """A factory (features, state) -> cell of one ONNX operator: RNN, LSTM or GRU, a sequence cell in float32. attributes: of its node."""
    names = {"h": "initial_h", "c": "initial_c"}
    gates = {"RNN": 1, "LSTM": 4, "GRU": 3}[kind]
    states, real = STATES[kind], onnx.TensorProto.FLOAT

    def make(features, state):
        shapes = {"W": (1, gates * state, features), "R": (1, gates * state, state), "B": (1, 2 * gates * state)}
        weights = [onnx.numpy_helper.from_array(np.zeros(shape, np.float32), name) for name, shape in shapes.items()]
        given = [onnx.helper.make_tensor_value_info("X", real, [None, None, features])]
        given += [onnx.helper.make_tensor_value_info(names[s], real, [1, None, state]) for s in states[::-1]]
        returned = [f"Y_{s}" for s in states[::-1]]
        taken = ["X", *shapes, "", *(names[s] for s in states[::-1])]
        node = onnx.helper.make_node(kind, taken, ["Y", *returned], hidden_size=state, **attributes)
        outputs = [onnx.helper.make_tensor_value_info(name, real, None) for name in ("Y", *returned)]
        graph = onnx.helper.make_graph([node], "cell", given, outputs, weights)
        return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 14)], ir_version=9)

    return onnx_model(make, states=states, inputs=[names[s] for s in states], outputs=[f"Y_{s}" for s in states], ys="Y")
