"""Lifts a cell into the full contract and describes it: the only place that asks a guest what it declares."""

import dis
import inspect
import os
import signal
from collections.abc import Iterable
from difflib import get_close_matches
from functools import lru_cache
from itertools import zip_longest

import numpy as np
from cellcheck.cells.contract import Cell, Gradients
from cellcheck.cells.copying import deepcopied
from cellcheck.cells.spec import DEFAULTS, PARTS, ArraySpec, CellSpec, Domain, fit

SMALL = 2.0**-100  # an upstream so small that no clipping is reached, and a power of two, so that nothing is rounded
PUBLIC = (
    "kind",
    "batch",
    "complex",
    "transposed",
    "variant",
    "choices",
    "fewest_steps",
    "most_steps",
    "chunk",
    "precision",
    "deterministic",
    "translate",
)
ARRAYS = ("inputs", "states", "outputs", "weights")  # fields of CellSpec that are made of several declarations
DECLARED = (
    *PUBLIC,
    *(
        "inputs",
        "input_shape",
        "state_shapes",
        "state_names",
        "outputs",
        "output",
        "output_shape",
        "weight_names",
        "weight_blocks",
    ),
    *("sequence", "sizes", "domains", "gradients", "no_gradient", "dtypes"),
)
OF_SIZES = ("input_shape", "state_shapes", "output_shape")  # each may be a function of the two sizes
HIDDEN = ("c", "h")  # an output of this name is a new state, whether or not the cell takes the old one
ATTEMPTS = ((2, 3), (1, 1), (2, 2), (4, 4), (8, 8), (4, 3), (1, 2))  # sizes at which a cell of unknown sizes is first built


def declarations(options, adapter=None):
    """The options of an adapter that are declarations: all of them. Raises TypeError, as Python does for unknown arguments.

    adapter: the function; what is meant may be one of its own arguments.
    """
    for name in options:
        if name not in DECLARED:
            known = [*DECLARED, *(inspect.signature(adapter).parameters if adapter else ())]
            raise TypeError(f"{name} is no option and no declaration{near(name, known)}")
    return options


def near(name, known):
    """A question whether the closest of the known names is meant, "" if none is close."""
    return "".join(f"; did you mean {close}?" for close in get_close_matches(name, known, 1))


class Lifted:
    """A cell behind the full contract.

    A gist-style guest (weights, forward, backward) becomes a cell whose single output is its scalar sum and whose only
    gradients are those of its weights. A guest that has apply keeps it; without vjp only its outputs are verified.
    """

    def __init__(self, guest, spec):
        """guest: an instance that honours one of the two contracts; spec: its description."""
        self.guest, self.spec = guest, spec
        self._rows, self._leading = 1, ()

    def __deepcopy__(self, memo):
        """A copy with a guest of its own."""
        new = Lifted(deepcopied(self.guest, memo), self.spec)
        new._rows, new._leading = self._rows, self._leading
        return new

    @property
    def weights(self):
        """The guest's live weights."""
        return self.guest.weights

    def apply(self, x, *rest, **options):
        """The new states, then the output if it is not a state; as a tuple of arrays. rest: further inputs, then the states."""
        spec, shape = self.spec, np.shape(x)
        if spec.bounded:
            x, *rest = self._whole((x, *rest))
        outputs = _called(self.guest.apply if spec.full else self.guest.forward, x, *rest, **options)
        self._rows = shape[spec.sequence] if len(shape) > spec.sequence else 1  # not before: a refusal changes nothing
        self._leading = shape[: spec.sequence + 1]
        if not spec.full:
            return (_summed("forward", outputs),)
        outputs = outputs if isinstance(outputs, (tuple, list)) else (outputs,)
        if spec.scalar:
            outputs = [_summed("apply", y) for y in outputs]
        outputs = tuple(self._sized(y, _numbers("apply", y), a) for y, a in zip_longest(outputs, spec.outputs[: len(outputs)]))
        return tuple(_scaled(outputs, self.averaged)) if self._mean_loss() else outputs

    def _sized(self, value, array, spec):
        """The array of a value; of an empty list in the wanted shape, since NumPy cannot know its number of columns."""
        if spec is None or not isinstance(value, list) or array.shape != (0,):
            return array
        axis = self.spec.batch_axis(spec.name)
        wanted = spec.shape if axis is None else (*self._leading[self.spec.sequence - axis :], *spec.shape)
        return array.reshape(wanted) if 0 in wanted else array

    def _gradients(self, part, specs):
        """The gradients in a list or tuple as arrays; None stays."""
        called = "vjp" if self.spec.full else "backward"
        if isinstance(part, Iterable) and not isinstance(part, (list, tuple, np.ndarray)) and not hasattr(part, "__array__"):
            raise Unwanted(f"{called} returned a {type(part).__name__}; wanted a list of arrays, one for each of {_names(specs)}")
        if not isinstance(part, (list, tuple)):
            return _array(called, part)
        made = [self._sized(g, _array(called, g), a) for g, a in zip_longest(part, specs[: len(part)])]
        return made if isinstance(part, list) else tuple(made)

    def _whole(self, given):
        """What is given, with integers in the place of floats where the domain is one of whole numbers."""
        specs = (*self.spec.inputs, *self.spec.states)
        whole = [a.domain is not None and a.domain.whole for a in specs] + [False] * len(given)
        return [np.rint(np.asarray(a).real).astype(int) if w else a for a, w in zip(given, whole)]  # without roundings on the way

    def vjp(self, *d_outputs):
        """The guest's Gradients, its declared choices undone. d_outputs: one upstream per output.

        The gradients of further inputs stand before those of the states, as in apply.
        """
        if self.spec.forward_only:
            return Gradients(None, None, None)
        if "clip" not in self.spec.choices or not self.spec.takes_upstream:
            return self.clipped(*d_outputs)
        small = self.clipped(*(np.asarray(d * SMALL, d.dtype) for d in d_outputs))
        return Gradients(*(_scaled(part, 1 / SMALL) for part in small))

    def clipped(self, *d_outputs):
        """The guest's Gradients, clipped as it clips them, all other choices undone."""
        return self._averaged(self._vjp(*d_outputs))

    def _vjp(self, *d_outputs):
        if not self.spec.full:
            return Gradients(self._gradients(_called(self.guest.backward, d_outputs[0][()]), self.spec.weights), None, None)
        found = _called(self.guest.vjp, *d_outputs)
        if not isinstance(found, tuple) or len(found) != 3:
            entries = f" of {len(found)}" if isinstance(found, (list, tuple)) else ""
            raise Unwanted(f"vjp returned a {type(found).__name__}{entries}; wanted a tuple of three, (weights, x, state)")
        weights, state = self._gradients(found[0], self.spec.weights), self._gradients(found[2], self.spec.states)
        several = len(self.spec.inputs) > 1
        x = self._gradients(found[1] if several else found[1:2], self.spec.inputs)
        state = (state,) if isinstance(state, np.ndarray) and len(self.spec.states) == 1 else state
        return Gradients(weights, *self._spread(x, state)) if several else Gradients(weights, x[0], state)

    def _spread(self, x, state):
        """The gradient of x, and those of further inputs and states behind each other."""
        names = [a.name for a in self.spec.inputs]
        x = (None,) * len(names) if x is None else x
        if not isinstance(x, (tuple, list)) or len(x) != len(names):
            raise Unwanted(f"vjp returned a {type(x).__name__} for the inputs; wanted a tuple, one each for {', '.join(names)}")
        return x[0], (*x[1:], *(state or ()))

    def _averaged(self, gradients):
        if self._mean_loss():
            return Gradients(*(_scaled(part, self.averaged) for part in gradients))
        return gradients._replace(weights=_scaled(gradients.weights, self._rows)) if self.spec.choices.get("mean") else gradients

    @property
    def averaged(self):
        """The number of rows over which everything that it returns is a mean, 1 if it is none."""
        return self._rows if self._mean_loss() else 1

    def _mean_loss(self):
        """Whether everything that it returns is a mean over the rows."""
        return self.spec.scalar == "loss" and self.spec.choices.get("mean")


class Lift:
    """The factory (input_features, state_size) -> Lifted of a class or factory; each pair of sizes is described once."""

    def __init__(self, Guest, declared):
        """Guest: a class or factory; declared: what takes precedence over the guest's own declarations."""
        self.Guest, self.declared, self._specs = Guest, declared, {}
        self.__name__ = getattr(Guest, "__name__", type(Guest).__name__)
        self.__doc__ = getattr(Guest, "__doc__", None)

    def __call__(self, input_features, state_size):
        """A cell of these sizes, or of the declared sizes that stand for them."""
        sizes = (input_features, state_size)
        if self.sizes:
            sizes = tuple(fit(self.sizes, {"features": input_features, "state": state_size}).values())
        guest = _called(self.Guest, *sizes)
        if sizes not in self._specs:
            self._specs[sizes] = describe(guest, *sizes, {"name": self.__name__, "sizes": self.sizes, **self.declared})
        return Lifted(guest, self._specs[sizes])

    def spec(self, input_features=2, state_size=3):
        """The CellSpec at these sizes."""
        return self(input_features, state_size).spec

    @property
    def sizes(self):
        """The declared sizes by name; of the class or factory, else of the first instance that can be built."""
        if "sizes" not in self.declared:
            self.declared = {**self.declared, "sizes": self._own_sizes()}
        return self.declared["sizes"]

    def _own_sizes(self):
        if hasattr(self.Guest, "sizes"):
            return _tuples(self.Guest.sizes)
        error = None
        for sizes in ATTEMPTS:
            try:
                return _tuples(getattr(_called(self.Guest, *sizes), "sizes", {}))
            except Exception as raised:
                error = error or raised
        raise error


def lift(Guest, **declared):
    """The Lift of a class or factory; one that is lifted already stays as it is, but for what is declared.

    declared: fields of CellSpec that take precedence over the guest's own; `weight_blocks` as a function of the two sizes.
    """
    if isinstance(Guest, Lift):
        return Lift(Guest.Guest, {**Guest.declared, **declared}) if declared else Guest
    return Lift(Guest, declared) if declared else _plain(Guest)


@lru_cache(maxsize=512)
def _plain(Guest):
    return Lift(Guest, {})


def _called(call, *arguments, **options):
    """What a function of a guest returns. Raises RuntimeError where it raises what would end the run; not where Ctrl-C ends it.

    A process that the guest forks must not go on with our code, where it would fork again in each call.
    """
    process = os.getpid()
    try:
        return call(*arguments, **options)
    except BaseException as ending:
        name, home = type(ending).__name__, type(ending).__module__.partition(".")[0]
        if home == "cellcheck" or (isinstance(ending, Exception) and home != "hypothesis") or by_signal(ending):
            raise
        message = "" if isinstance(ending, KeyboardInterrupt) else f": {ending}"
        raise RuntimeError(f"the cell raised {name}{message}") from ending  # as of sys.exit, or of assume
    finally:
        if os.getpid() != process:
            os._exit(1)


def by_signal(ending):
    """Whether a signal led to what was raised, as Ctrl-C or the time limit of a test does, and no `raise` of the code that ran."""
    handlers = {getattr(signal.getsignal(number), "__code__", None) for number in signal.valid_signals()}
    at, passed = ending.__traceback__, set()
    while at:
        last, at = at, at.tb_next
        passed.add(last.tb_frame.f_code)
    code = last.tb_frame.f_code.co_code
    return bool(passed & handlers) or (
        isinstance(ending, KeyboardInterrupt) and code[last.tb_lasti] != dis.opmap["RAISE_VARARGS"]
    )


def _names(specs):
    return ", ".join(spec.name for spec in specs)


class Unwanted(TypeError):
    """A guest returned what the contract does not allow, and raised nothing itself."""


Unwanted.__name__ = "TypeError"  # as reports of laws call it


def _numbers(called, value):
    """The value as an array. Raises Unwanted where it is not one of numbers."""
    try:
        array = np.asarray(unmasked(f"{called} returned", value))
    except ValueError:
        if not isinstance(value, (list, tuple)):
            raise
        what = f"a {type(value).__name__} of {len(value)}, of unequal shapes"
        raise Unwanted(f"{called} returned {what}; wanted arrays of numbers") from None
    if array.dtype.kind not in "biufc":
        one = value.item() if isinstance(value, np.ndarray) and array.ndim == 0 else value
        what = one if one is None else f"a {type(one).__name__}" if array.ndim == 0 else f"dtype {array.dtype}"
        raise Unwanted(f"{called} returned {what}; wanted arrays of numbers")
    return array


def unmasked(what, value):
    """The value. Raises Unwanted for a masked array, whose mask would be lost. what: the begin of the message, as "vjp returned"."""
    if isinstance(value, np.ma.MaskedArray):
        raise Unwanted(
            f"{what} a masked array; wanted plain arrays of numbers, of which every entry counts, as .filled(0) makes them"
        )
    return value


def _summed(called, value):
    """The sum or loss as an array; over no steps it may be the integer 0."""
    array = _numbers(called, value)
    return array.astype(float) if array.dtype.kind in "iu" and not np.any(array) else array


def _array(called, gradient):
    """A gradient as an array; None stays, and so does an array of a class of its own."""
    array = None if gradient is None else _numbers(called, gradient)
    if array is not None and array.dtype.kind == "b":
        raise Unwanted(f"{called} returned booleans; wanted arrays of numbers")
    return gradient if isinstance(gradient, np.ndarray) else array


def describe(guest, features, state, declared):
    """The CellSpec of an instance. declared: what takes precedence over its own declarations."""
    private = getattr(guest, "lifted_as", {})  # of an adapter

    def said(name, default):
        value = declared.get(name, private.get(name, getattr(guest, name, default)))
        ours = inspect.isfunction(value) if name in ("inputs", "outputs") else name in OF_SIZES  # a method may be the guest's own
        return of_sizes(name, value, features, state) if ours or isinstance(value, dict) else value

    full = hasattr(guest, "apply")
    differentiates = hasattr(guest, "vjp" if full else "backward")
    [*alone] = _named(said("outputs", ()), ())
    scalar = private.get("scalar", alone[0] if alone in [["sum"], ["loss"]] else None if full else "sum")
    sequence, dtypes = bool(said("sequence", False)), tuple(said("dtypes", None) or _dtypes(guest))
    dtype = _own_dtype(guest) if len(guest.weights) or np.float64 in dtypes else dtypes[0]
    inputs = _named(said("inputs", ()), (features,)) or {"x": (features,)}
    first = said("input_shape", None)
    if is_shape(first):
        inputs[next(iter(inputs))] = first
    shapes, names = said("state_shapes", {}), said("state_names", None)
    if names is None:
        names = shapes if isinstance(shapes, dict) and shapes else _parameters_after_x(guest)[len(inputs) - 1 :]
    names = tuple(names)
    shapes = shapes if isinstance(shapes, dict) else dict(zip(names, shapes))
    output, last = said("output", None), said("output_shape", None)
    final = isinstance(output, str) and output in names  # a state is the output, as without this, but a sequence has no ys
    own = not final and (isinstance(output, str) or is_shape(last))
    last = tuple(last) if is_shape(last) else (state,) if own or not names else shapes.get(names[-1], (state,))
    shown = [*_named(said("outputs", ()), ())] or (
        *names,
        *(["ys"] if sequence and not final else [output or "y"] if own else []),
    )
    outputs = [
        (f"{name}'" if name in names or name in HIDDEN else name, shapes.get(name, (state,)) if name in names else last)
        for name in shown
    ]
    detached = said("no_gradient", ())
    blind = {*detached, *(f"{name}'" for name in detached), *private.get("no_upstream", ())}
    domains = {name: Domain.declared(value, features, name) for name, value in said("domains", {}).items()}
    blind |= {name for name, domain in domains.items() if domain and domain.whole}

    def arrays(named):
        return tuple(ArraySpec(name, _shape(name, shape), dtype, domains.get(name), name not in blind) for name, shape in named)

    found = {
        "name": type(guest).__name__,
        "features": features,
        "state": state,
        "inputs": arrays(inputs.items()),
        "states": arrays([(name, shapes.get(name, (state,))) for name in names]),
        "outputs": arrays([(scalar, ())] if scalar else outputs),
        "weights": tuple(
            ArraySpec(name, np.shape(w), np.asarray(w).dtype.type, domains.get(name), name not in blind)
            for name, w in zip(_weight_names(guest, said("weight_names", None)), guest.weights)
        ),
        "own_output": own and not scalar and bool(names or outputs[-1][0].strip("'") not in HIDDEN),
        "full": full,
        "scalar": scalar,
        "gradients": tuple(said("gradients", _parts(guest, full) if differentiates else ())),
        "sequence": sequence,
        "dtypes": dtypes,
        "weight_blocks": getattr(guest, "weight_blocks", None),
        "lengths": "lengths" in _parameters(guest),
        **{name: getattr(guest, name) for name in PUBLIC if hasattr(guest, name)},
        **{name: value for name, value in (private | declared).items() if name in DEFAULTS and name not in ARRAYS},
    }
    if callable(found["weight_blocks"]):
        found["weight_blocks"] = found["weight_blocks"](features, state)
    if isinstance(found.get("choices"), dict):
        found["most_steps"] = found["choices"].get("truncated", found.get("most_steps"))
        if "float32" in found["choices"]:
            found["precision"] = found.get("precision") or 2.0**-24
    return CellSpec(**found)


def of_sizes(name, value, features, state):
    """What a declaration gives at these sizes, if it is a function, or a dict of shapes some of which are functions."""
    if isinstance(value, dict) and any(map(inspect.isroutine, value.values())):
        return {key: _given(f"the shape of {key}", one, features, state) if callable(one) else one for key, one in value.items()}
    return _given(name, value, features, state) if callable(value) else value


def _given(name, function, features, state):
    """What the function gives. A lambda in the body of a class has no self."""
    plain = getattr(function, "__func__", function)
    takes = len(inspect.signature(plain).parameters)
    if takes not in (2, 2 + (plain is not function)):
        raise TypeError(
            f"{name} takes {takes} argument{'s' * (takes != 1)}; give a function of (features, state), or what it returns"
        )
    return plain(features, state) if takes == 2 else function(features, state)


def _shape(name, shape):
    """The shape as a tuple of whole numbers."""
    try:
        return tuple(map(int, shape))
    except (TypeError, ValueError):
        raise TypeError(f"the shape of {name} is {shape!r:.60}; give a tuple of whole numbers, such as (3, 4)") from None


def _named(declared, shape):
    """Shapes by name: as declared, or this shape for each name; empty if that is not what was declared."""
    if isinstance(declared, dict):
        return dict(declared) if all(map(is_shape, declared.values())) else {}
    names = declared if isinstance(declared, (tuple, list)) else ()
    return dict.fromkeys(names, shape) if all(isinstance(name, str) for name in names) else {}


def is_shape(value):
    """Whether this is a tuple of whole numbers, and not what a guest keeps under a name of ours for itself."""
    return isinstance(value, tuple) and all(isinstance(n, (int, np.integer)) for n in value)


def _dtypes(guest):
    """Those of a cell that declares none: float32 or float16 if its weights are, else both of a shipped cell."""
    own = _own_dtype(guest)
    return Cell.dtypes if own == np.float64 else (own,)


def _own_dtype(guest):
    """That of its first weight; float64 of an operator without weights."""
    return np.asarray(guest.weights[0]).dtype.type if len(guest.weights) else np.float64


def _parts(guest, full):
    """Of what it offers gradients, if it does not say."""
    return (PARTS if len(guest.weights) else PARTS[1:]) if full else PARTS[:1]


def _tuples(sizes):
    return {name: tuple(values) if isinstance(values, (tuple, list, range)) else (values,) for name, values in sizes.items()}


def _parameters(guest):
    """The parameters of its apply, or of its forward."""
    return inspect.signature(guest.apply if hasattr(guest, "apply") else guest.forward).parameters


def _parameters_after_x(guest):
    """Names of its states: the positional parameters after x, but for lengths and switches such as train=True."""
    names = [
        p.name
        for p in _parameters(guest).values()
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        and not isinstance(p.default, (bool, str))
        and p.name != "lengths"
    ]
    return names[1:]


def _weight_names(guest, declared):
    """A weight is called as the attribute that holds it, else as declared, else weights[k]."""
    found = {}
    for holder in (guest, getattr(guest, "step", None)):
        found.update({id(v): name for name, v in getattr(holder, "__dict__", {}).items() if isinstance(v, np.ndarray)})
    given = declared or [f"weights[{k}]" for k in range(len(guest.weights))]
    return [found.get(id(w), name) for w, name in zip(guest.weights, given)]


def _scaled(part, factor):
    """An array, a list of arrays or None, each times the factor, in its own dtype."""
    if part is None:
        return None
    if isinstance(part, (list, tuple)):
        return [_scaled(a, factor) for a in part]
    part = np.asarray(part)
    return (part * factor).astype(part.dtype, copy=False)
