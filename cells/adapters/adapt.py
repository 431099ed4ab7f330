"""One adapter for hand-written cells of any shape: functions or an object, any axes, gradients wherever they are left."""

import copy
from contextlib import suppress
from functools import cached_property
from itertools import zip_longest
from numbers import Real

import numpy as np
from cellcheck.cells.adapters.axes import Axes
from cellcheck.cells.adapters.ragged import steps_of
from cellcheck.cells.adapters.signature import Signature, attribute, entries, leaves, nested, set_attribute
from cellcheck.cells.contract import Cell, Gradients
from cellcheck.cells.copying import deepcopied
from cellcheck.cells.lift import HIDDEN, OF_SIZES, declarations, near, unmasked
from cellcheck.cells.spec import SIZES, Domain

SCALARS = ("sum", "loss")
HOLDERS = (dict, list, tuple)  # of weights, for functions
RAGGED = ("lengths", "mask")
RATES = 60, 0.7  # a rate is 2^60 at least, and takes at most 0.7 of the exponents of a float: 2^716 in float64


def adapt(
    make,
    forward,
    backward=None,
    *,
    weights=None,
    states=None,
    inputs=None,
    output=None,
    axes="batch features",
    rate=None,
    **options,
):
    """A factory (features, state) -> cell with apply and vjp, for a guest that has neither.

    make: (features, state) -> the guest: a dict, list or (named) tuple of weights for functions, else an object.
    forward, backward: (signature, function) in the notation of cells/adapters/signature.py; for an object the function is the
    name of a method, or takes the object first. Without backward, forward itself returns the gradients of its loss, changes
    the weights (`rate`), or there are none.
    weights: where the object keeps them: the names of attributes, or of one that holds a list or dict, as ".params".
    states: names in the contract's order, output last; found from forward, where they are called c and h. inputs: names, "x"
    if there is no other. output: the name of what forward returns that is no state, "y"; for a sequence, "ys", or "h" if there
    are no ys and h is the last alone. Each of the three may also be a dict from the names to their axes,
    {"C": "batch heads d d"}. An output that has an axis of steps there is called ys in reports, whatever its name.
    axes: the guest's order of axes, see cells/adapters/axes.py; those of all arrays that have none of their own, without the
    steps for states. features and state are the two sizes; the length of any other axis is given in `sizes`, as a number or as
    a function of the two, or it is an attribute of the guest. An output without axes of its own has the shape that the first
    call returns.
    rate: the learning rate of a guest that updates its weights itself, if it cannot be chosen; if it can, name `rate` in the
    signature: it is then so large that the old weight is lost beside the change, and the change is the gradient to the last bit.
    options: encode, x -> what the guest takes for it; targets, x -> what it takes for `targets`; outputs, the names of what
    counts of all that forward returns; dtype, of all that it is given; and any declaration of the contract (kind, weight_blocks,
    choices, batch, complex, sizes, domains, no_gradient, ...).
    """
    plan = Plan(make, forward, backward, weights, (states, inputs, output), axes, rate, options)

    def adapted(features, state):
        return Adapted(plan, features, state)

    adapted.__doc__ = getattr(make, "__doc__", None)
    return adapted


def _check(axes, rate, named, options):
    """Raise TypeError for an argument of a kind that cannot be used."""
    if not isinstance(axes, str):
        raise TypeError(f"axes is {axes!r}; give a text, such as 'batch features'")
    for name, function in (("encode", options.get("encode")), ("targets", options.get("targets"))):
        if function and not callable(function):
            raise TypeError(f"{name} is {function!r}; give a function of x")
    if rate is not None and (isinstance(rate, bool) or not isinstance(rate, Real) or not rate):
        raise TypeError(f"rate is {rate!r}; give the learning rate, a number other than 0")
    named |= {name: options[name] for name in ("outputs", "no_gradient") if name in options}
    for name, names in named.items():
        if names is not None and not (isinstance(names, (str, dict, list, tuple)) and all(isinstance(n, str) for n in names)):
            raise TypeError(f"{name} is {names!r}; give names, such as {name}='c h'")
    for name, such in (("sizes", "'heads': 2"), ("domains", "'x': (0, 1)")):
        if not isinstance(options.get(name, {}), dict):
            raise TypeError(f"{name} is {options[name]!r}; give a dict, such as {{{such}}}")


class Plan:
    """What `adapt` was told, and what follows from it; the same for all cells of one guest."""

    def __init__(self, make, forward, backward, weights, named, axes, rate, options):
        if not callable(make):
            raise TypeError(
                f"make is a {type(make).__name__}; give a function (features, state) that returns the weights or the object"
            )
        states, inputs, output = named
        _check(axes, rate, {"weights": weights, "states": states, "inputs": inputs, "output": output}, options)
        for name, pair in (("forward", forward), ("backward", backward or ("->", None))):
            if not (isinstance(pair, (tuple, list)) and len(pair) == 2 and isinstance(pair[0], str)):
                given = f"{name} is a {type(pair).__name__}"
                raise TypeError(f"{given}; give a pair (signature, function), as in ('x h W U -> h', step)")
        self.make, self.weights, self.rate, self.axes = make, weights, rate, Axes(axes)
        self.forward, self.run = Signature.parse(forward[0]), forward[1]
        self.backward, self.reverse = (Signature.parse(backward[0]), backward[1]) if backward else (self.forward, None)
        self.encode, self.targets = options.pop("encode", None), options.pop("targets", None)
        self.dtype = options.pop("dtype", None)
        states, inputs, output = (name.split() if isinstance(name, str) else name for name in named)
        self.states = tuple([name for name in HIDDEN if name in self.forward.taken] if states is None else states)
        if isinstance(options.get("no_gradient"), str):
            options["no_gradient"] = tuple(options["no_gradient"].split())
        if len(output or ()) > 1:
            raise ValueError(f"output names {' and '.join(output)}; give one, and let forward join several outputs in one array")
        output = self._per_step(output, options) if isinstance(output, dict) else output
        self.inputs, self.output = tuple(inputs or ("x",)), next(iter(output or ()), None)
        self.finals_alone = self.axes.sequence and self.output in self.states
        if self.finals_alone:
            self.output = None
        if self.output in self.states:
            raise ValueError(f"output {self.output!r} is a state as well; name in output what forward returns but does not take")
        self.own = {n: Axes(text) for some in (states, inputs, output) if isinstance(some, dict) for n, text in some.items()}
        for name in [name for name in self.inputs if name in self.own]:
            told = f"input {name!r} has the axes {' '.join(self.own[name].names)!r}"
            encoded = self.encode and name == self.inputs[0]  # then its axes are those of what it is made from
            if self.axes.sequence and not encoded and not self.own[name].sequence:
                told += "; wanted an axis of steps, as x has"
                raise ValueError(f"{told}. What is the same at each step can be a state that forward returns as it is")
            for axis in ("steps", "batch"):
                if axis in self.own[name].names and axis not in self.axes.names:
                    raise ValueError(f"{told}, but axes is {axes!r}, without {axis}; give axes= as the guest has them")
        sizes = options.pop("sizes", {})
        self.lengths = {name: size for name, size in sizes.items() if name not in SIZES}
        known = {*self.axes.names, *(name for axes in self.own.values() for name in axes.names)}
        if lost := sorted(set(self.lengths) - known):
            raise ValueError(
                f"sizes names {', '.join(lost)}, which is no axis of {', '.join(sorted(known))}{near(lost[0], (*known, *SIZES))}"
            )
        if set(sizes) - set(self.lengths):
            options["sizes"] = {name: size for name, size in sizes.items() if name in SIZES}
        self.scalar = next((name for name in SCALARS if name in self.forward.given), None)
        self.updates = "rate" in self.backward.taken or rate is not None
        self.differentiates = self.updates or bool(self.reverse) or any(name.startswith("d") for name in self.backward.given)
        if len(set(self.states)) < len(self.states):
            raise ValueError(f"states are {', '.join(self.states)}; give each a name of its own")
        self.ragged = {*RAGGED} & {*self.forward.taken} - {*self.inputs, *self.states}
        known = {"x", *self.forward.taken, *(self.inputs[:1] if self.encode else ())}
        if lost := [name for name in self.inputs if name not in known]:
            raise ValueError(f"inputs names {', '.join(lost)}, but forward {self.forward.text!r} does not take it")
        if (
            self.output
            and not self.scalar
            and self.output not in self.forward.given
            and not (self.output == "ys" and self.axes.sequence)
        ):
            raise ValueError(f"output is {self.output!r}, but forward {self.forward.text!r} does not return it")
        if lost := [name for name in self.states if name not in self.forward.taken + self.forward.given]:
            told = f"states names {', '.join(lost)}, but forward {self.forward.text!r} neither takes nor returns it"
            raise ValueError(f"{told}; add it there, or leave it out of states")
        self.outputs, self.blind = self._outputs(options.pop("outputs", None))
        if self.targets and "targets" not in (*self.forward.taken, *self.backward.taken):
            raise ValueError(
                f"targets is given, but neither signature takes targets; name it there, as in {'x h targets W -> loss'!r}"
            )
        self.takes_upstream = bool(self.reverse) and (not self.scalar or f"d{self.scalar}" in self.backward.taken)
        self.declared = declarations(options, adapt)

    def __deepcopy__(self, memo):
        """A copy with functions of its own, which may hold what changes, as bound methods do; cells are copied often."""
        new = copy.copy(self)
        for name in ("make", "run", "reverse", "encode", "targets"):
            setattr(new, name, deepcopied(getattr(self, name), memo))
        return new

    def _per_step(self, output, options):
        """The axes of the output by name. One with an axis of steps is called ys from here on, as in the contract."""
        [(name, text)] = output.items()
        if name == "ys" or not Axes(text).sequence:
            return output
        if name in self.states or not self.axes.sequence:
            why = "but is a state as well; call it ys" if self.axes.sequence else "but x has none; name one in axes"
            raise ValueError(f"output {name!r} has an axis of steps, {why}")
        self.forward, self.backward = self.forward.exchanged(name, "ys"), self.backward.exchanged(name, "ys")
        if name in options.get("no_gradient", ()):
            options["no_gradient"] = tuple("ys" if blind == name else blind for blind in options["no_gradient"])
        return {"ys": text}

    def _outputs(self, declared):
        """The outputs that the guest returns, and those of them that its backward takes no upstream for.

        h' may be the last of ys. declared: names of those that count, None for all.
        """
        if declared is not None and (self.scalar or not declared):
            why = (
                f"its {self.scalar} is all that it returns; leave outputs out"
                if self.scalar
                else "wanted some of what it returns"
            )
            raise ValueError(f"outputs is {declared!r}, but of forward {self.forward.text!r} {why}")
        if self.scalar:
            return (self.scalar,), ()
        ys = self.axes.sequence and not self.output and not self.finals_alone
        given = [*self.states, *([self.output] if self.output else ["ys"] * ys)]
        last = {*self.states[-1:]} if ys else set()
        here = {*self.forward.given, *(last if "ys" in self.forward.given else ())}
        taken = {name[1:] for name in self.backward.taken} if self.reverse else here
        if "ys" in taken:
            taken |= last
        counted = here if declared is None else {*(declared.split() if isinstance(declared, str) else declared)}
        if lost := counted - here:
            raise ValueError(f"outputs names {', '.join(sorted(lost))}, but forward {self.forward.text!r} does not return it")
        outputs = tuple(name for name in given if name in here & counted)
        if not outputs:
            raise ValueError(
                f"signature {self.forward.text!r}: wanted one of {', '.join((*given, *SCALARS))} among what is returned; "
                "states are found by the names c and h, others by states=; an output that is no state is named in output="
            )
        return outputs, tuple(name for name in outputs if name not in taken)

    def no_upstream(self):
        """The outputs without an upstream, as the contract calls them."""
        return tuple(f"{name}'" if name in (*self.states, *HIDDEN) else name for name in self.blind)

    def axes_of(self, name):
        """The Axes of an array of the guest by name, or of its gradient."""
        name = name if name in self.named else name.removeprefix("d")
        return self.own.get(name) or (self.axes if name in (*self.inputs, "ys") else self.of_states)

    def kept(self, array):
        """A copy if backward takes an input, a state or an output again, since the caller may overwrite it in between; else the array."""
        return array.copy() if self.recalls and type(array) is np.ndarray else array

    @cached_property
    def recalls(self):
        """Whether backward takes an input, a state or an output again."""
        return bool(self.reverse and self.named & {name.removesuffix("'") for name in self.backward.taken})

    @cached_property
    def of_states(self):
        """The axes of x without the steps."""
        return self.axes.without_steps()

    @cached_property
    def named(self):
        """Names of inputs, states and outputs."""
        return {*self.inputs, *self.states, *self.outputs}


class Adapted:
    """A guest behind the contract, as its Plan says."""

    def __init__(self, plan, features, state):
        self.plan, self.input_features, self.state_size = plan, features, state
        self.subject = plan.make(features, state)
        self.state_names, self.sequence, self.batch = plan.states, plan.axes.sequence, plan.axes.batch
        self.lifted_as = {"outputs": plan.outputs, "scalar": plan.scalar, "no_upstream": plan.no_upstream()}
        self.lifted_as |= {"takes_upstream": plan.takes_upstream, "targets": plan.targets}
        self.inputs = {name: self._shape(name, features) for name in plan.inputs}
        self.state_shapes = {name: self._shape(name, state) for name in plan.states}
        for name, value in plan.declared.items():
            of_sizes = callable(value) and name in ("weight_blocks", *OF_SIZES)
            setattr(self, name, value(features, state) if of_sizes else value)
        if plan.dtype:
            self.dtypes = (plan.dtype,)
        self.weight_names, self._inputs, self._kept = self._names(), None, None
        if plan.ragged - {*self.weight_names}:
            if not (plan.axes.sequence and plan.axes.batch is None):
                told = f"forward {plan.forward.text!r} takes the {' and '.join(plan.ragged)} of the rows"
                raise ValueError(f"{told}; then axes must name steps and batch; if it is an input, name it in inputs")
            self.__class__ = Ragged
        held = [
            name for name, a in getattr(self.subject, "__dict__", {}).items() if isinstance(a, np.ndarray) and a.dtype.kind == "f"
        ]
        if plan.weights is None and held and not self.weight_names:
            told = (
                f"make returns an object that holds the array{'s' * (len(held) > 1)} {', '.join(held)}, and weights= is missing"
            )
            raise ValueError(f"{told}; say which are weights, as weights={' '.join(held)!r}, or weights='' if none is")
        for name in plan.named & set(self.weight_names):
            raise ValueError(
                f"{name!r} names a weight as well as an input, a state or an output; rename it, or name the states in states="
            )
        others = [w for w in self.weights if isinstance(w, np.ndarray) and w.dtype.kind == "f"] if plan.dtype else []
        if others and all(w.base is None for w in others):  # no views, of which a copy would not be one
            with suppress(Exception):  # of a guest that cannot be copied, which keeps its weights as they are
                self.subject = deepcopied(self.subject, {id(w): w.astype(plan.dtype) for w in others if w.dtype != plan.dtype})
        self._made = np.asarray(self.weights[0]).dtype if self.weights else None
        self.gradients = plan.declared.get("gradients", self._offered())
        if plan.reverse and not self._offered():
            arrays = [*plan.inputs, *self.state_names, *self.weight_names]
            wanted = f"wanted some of {', '.join(f'd{name}' for name in arrays)}"
            raise ValueError(f"backward {plan.backward.text!r} returns no gradient of {', '.join(arrays)}; {wanted}")
        kept = {"_", *plan.forward.taken, *(plan.forward.given if plan.reverse else plan.outputs)}
        known = [f"d{name}" for name in (*plan.inputs, *self.state_names, *self.weight_names, "weights", *plan.outputs, *kept)]
        for name in plan.backward.given:
            if name not in (*known, *kept) and (plan.reverse or name.startswith("d")):
                told = f"signature {plan.backward.text!r} returns {name}, the gradient of nothing that forward takes"
                raise ValueError(f"{told}; to ignore a value, call it _{near(name, known)}")
        if plan.output:
            self.output, self.output_shape = plan.output, self._output_shape()

    def __deepcopy__(self, memo):
        """A copy with a guest of its own; what else it holds does not change."""
        new = memo[id(self)] = copy.copy(self)
        for name in ("plan", "subject", "_inputs", "_kept"):
            setattr(new, name, deepcopied(getattr(self, name), memo))
        return new

    @property
    def weights(self):
        """The guest's live weights."""
        return list(self._weights().values())

    def _shape(self, name, size):
        """The shape of an input, state or output of ours; size: the length of the axis of features, if no other is meant."""
        axes, sizes = self.plan.axes_of(name), {"features": size, "state": self.state_size}
        if name in self.plan.own:
            sizes["features"] = self.input_features
        return tuple(sizes[axis] if axis in sizes else self._length(axis) for axis in axes.own)

    def _length(self, axis):
        length = self.plan.lengths.get(axis, getattr(self.subject, axis, None))
        length = length(self.input_features, self.state_size) if callable(length) else length
        if not isinstance(length, (int, np.integer)):
            told = f"the axis {axis} has no length; give it in sizes, as a number or a function of (features, state)"
            raise ValueError(told + "; if it is the time of a sequence, call it steps" * (not self.sequence))
        return int(length)

    def _output_shape(self):
        """The declared shape of the output, or that of the first call, on zeros."""
        name, leading = self.plan.output, (1,) * (1 + self.sequence)
        if name in self.plan.own:
            return self._shape(name, self.state_size)
        zeros = [np.zeros((*leading, *shape)) for shape in self.inputs.values()]
        zeros += [np.zeros((1, *shape)) for shape in self.state_shapes.values()]
        whole = [Domain.declared(self.plan.declared.get("domains", {}).get(name), self.input_features) for name in self.inputs]
        zeros = [z.astype(int) if d and d.whole else z for z, d in zip(zeros, whole)] + zeros[len(whole) :]
        with np.errstate(all="ignore"):
            return copy.deepcopy(self).apply(*zeros)[-1].shape[1 + (name == "ys") :]  # this one stays as it was made

    def apply(self, x, *state):
        """The new state, the output last; or the guest's scalar. state: further inputs, then the states."""
        plan = self.plan
        if len(state) != len(self.state_names) + len(plan.inputs) - 1:
            n = len(state) - len(plan.inputs) + 1
            raise ValueError(f"{n} states given, but the signature names {', '.join(self.state_names) or 'none'}")
        if plan.dtype and np.asarray(x).dtype.kind != "c":
            floats = [a.dtype for a in map(np.asarray, (x, *state)) if a.dtype.kind == "f"]
            dtype = np.asarray(self.weights[0]).dtype if self.weights else np.result_type(plan.dtype, *floats)
            dtype = plan.dtype if dtype == self._made else dtype if dtype.kind == "f" else None  # a copy may hold wider weights
            x, *state = (a if np.asarray(a).dtype.kind == "i" else np.asanyarray(a, dtype) for a in (x, *state))
        values = self._values(x, state)
        if plan.updates and not plan.reverse:
            given = self._updating(plan.forward, plan.run, values, self._rate(x, state, ()))
        else:
            given = plan.forward.call(self._bound(plan.run), self.subject, values)
        self._inputs, self._kept = (plan.kept(x), tuple(map(plan.kept, state))), {n: plan.kept(a) for n, a in given.items()}
        return tuple(self._output(name, x, state, given) for name in plan.outputs)

    def vjp(self, *d_outputs):
        """Gradients of sum_k <d_outputs[k], apply(...)[k]> at the last apply."""
        plan = self.plan
        if not plan.differentiates:
            return Gradients(None, None, None)
        if len(d_outputs) != len(plan.outputs):
            raise ValueError(f"{len(d_outputs)} upstream gradients given, but the outputs are {', '.join(plan.outputs)}")
        if self._kept is None:
            raise ValueError("nothing was applied yet")
        if not plan.reverse:
            return self._gradients(self._kept, d_outputs[0][()])
        upstream, scale = {name: d for name, d in zip(plan.outputs, d_outputs) if name not in plan.blind}, 1.0
        if plan.rate and plan.takes_upstream:  # a large upstream in place of a large rate, but not so large that it is clipped
            clips = "clip" in plan.declared.get("choices", ())
            scale = 2.0 ** RATES[0] if clips else self._rate(*self._inputs, upstream.values())
            upstream = {name: scale * d for name, d in upstream.items()}
        direct = merged = None
        in_ys = self.sequence and self.state_names and not plan.output and "ys" in upstream
        if in_ys and f"d{self.state_names[-1]}" not in plan.backward.taken:
            direct = self._into_ys(upstream)
            merged = upstream["ys"].copy()
        values = {**self._kept, **{f"{name}'": a for name, a in self._kept.items()}, **self._values(*self._inputs)}
        for name, d in upstream.items():
            values[f"d{name}"] = d[()] if plan.scalar else plan.axes_of(name).to_guest(d)
        if plan.updates:
            given = self._updating(plan.backward, plan.reverse, values, self._rate(*self._inputs, upstream.values()))
        else:
            given = plan.backward.call(self._bound(plan.reverse), self.subject, values)
        if merged is not None and scale == 1.0 and not np.array_equal(upstream["ys"], merged, equal_nan=True):
            d_outputs[plan.outputs.index("ys")][...] = upstream["ys"]  # so that the laws see what the guest has written
        return self._gradients(given, 1.0 / scale if plan.takes_upstream else d_outputs[0][()], direct)

    def _into_ys(self, upstream):
        """The upstream of the final h is one of the last of ys; that of an empty sequence goes straight to the initial h."""
        d = upstream.pop(self.state_names[-1], None)
        if d is None or not len(upstream["ys"]):
            return d
        upstream["ys"] = upstream["ys"].copy()
        upstream["ys"][-1] += d
        return None

    def _gradients(self, given, factor, direct=None):
        plan, names = self.plan, self.weight_names
        all_at_once = plan.updates or "dweights" in given
        weights = (
            entries(given["dweights"], names, plan.declared.get("no_gradient", ()))
            if all_at_once
            else [given.get(f"d{name}") for name in names]
        )
        weights = [None if g is None else factor * np.asarray(unmasked(f"d{n} is", g)) for n, g in zip_longest(names, weights)]

        def ours(name):
            d = f"d{name}"
            return factor * plan.axes_of(name).to_ours(d, given[d]) if d in given else None

        x, state = ours(plan.inputs[0]) if len(plan.inputs) == 1 else tuple(map(ours, plan.inputs)), None
        if "state" in self.gradients:
            state = tuple(map(ours, self.state_names))
            if direct is not None:
                state = (*state[:-1], state[-1] + direct)
        return Gradients(weights if "weights" in self.gradients else None, x, state)

    def _output(self, name, x, state, given):
        if self.plan.scalar:
            return np.asarray(unmasked(f"{name} is", given[name]))
        if name in given:
            return self.plan.axes_of(name).to_ours(name, given[name])
        ys = self._output("ys", x, state, given)
        return ys[-1] if len(ys) else state[-1]

    def _values(self, x, state):
        """What a signature may name, before the call."""
        plan, weights = self.plan, self._weights()
        named = zip((*plan.inputs, *self.state_names), (x, *state))
        values = {name: plan.axes_of(name).to_guest(a) for name, a in named if not (plan.encode and name == plan.inputs[0])}
        if plan.encode:
            values[plan.inputs[0]] = plan.encode(x)
        values["rate"] = plan.rate
        values.update(weights)
        values["weights"] = self.subject if isinstance(self.subject, HOLDERS) else weights
        values["names"] = self.weight_names
        if plan.targets:
            values["targets"] = plan.targets(x)
        return self._rows(x) | values

    def _rows(self, x):
        """What a signature may name of the lengths of the rows."""
        return {}

    def _rate(self, x, state, upstream):
        """A power of two that makes a change of the weights dwarf them, and that no gradient of this call takes to infinity."""
        arrays = [np.asarray(w) for w in self.weights]
        info = np.finfo(arrays[0].dtype)
        wide = max((np.abs(w).sum(axis=k).max(initial=0.0) for w in arrays for k in range(w.ndim)), default=0.0)
        sizes = [np.abs(np.asarray(a)).max(initial=0.0) for a in (x, *state)]
        total = sum(np.abs(d).astype(float).sum() for d in upstream)
        grows = (1 + len(x) * self.sequence) * np.log2(1 + wide) + sum(np.log2(1 + a) for a in sizes)
        grows += np.log2(total or 1.0)  # a small one leaves room for a larger rate
        least, share = RATES
        room = info.maxexp * share - grows
        return 2.0 ** int(min(max(room, least), info.maxexp - 1)) if np.isfinite(room) else 2.0**least

    def _updating(self, signature, function, values, rate):
        """What the call returns, and as `dweights` how far it moved the weights, over the rate; they are put back.

        rate: where the guest has none of its own.
        """
        live, values["rate"] = self._weights(), self.plan.rate or rate
        before = {name: w.copy() for name, w in live.items()}
        given = signature.call(self._bound(function), self.subject, values)
        given["dweights"] = [(before[name] - w) / values["rate"] for name, w in self._weights().items()]
        for name, w in live.items():
            w[...] = before[name]
            self._put(name, w)
        return given

    def _bound(self, function):
        holds = isinstance(self.subject, HOLDERS)
        if isinstance(function, str):
            if holds and not hasattr(self.subject, function):
                raise TypeError(
                    f"{function!r} names a method, but make returns a {type(self.subject).__name__}; give the function"
                )
            return getattr(self.subject, function)
        if holds:
            return function
        return lambda *positional, **keywords: function(self.subject, *positional, **keywords)

    def _names(self):
        container, where = self._container(), self.plan.weights
        if nested(container):
            return [name for name, _, _ in leaves(container)]
        if isinstance(container, (list, tuple)):
            return [f"weights[{k}]" for k in range(len(container))]
        return where.split() if isinstance(where, str) else list(where or ())

    def _container(self):
        """What holds the weights: a dict, a list, or an object."""
        where = self.plan.weights
        return attribute(self.subject, where) if isinstance(where, str) and where.startswith(".") else self.subject

    def _weights(self):
        container = self._container()
        if nested(container):
            return {name: holder[key] for name, holder, key in leaves(container)}
        if isinstance(container, (list, tuple)):
            return dict(zip(self.weight_names, container))
        return {name: attribute(container, f".{name}") for name in self.weight_names}

    def _put(self, name, array):
        """Bind the array as this weight again, where the guest had bound another."""
        container = self._container()
        if nested(container):
            holder, key = next((holder, key) for called, holder, key in leaves(container) if called == name)
            if not isinstance(holder, tuple):
                holder[key] = array
        elif isinstance(container, list):
            container[self.weight_names.index(name)] = array
        elif not isinstance(container, tuple):
            set_attribute(container, f".{name}", array)

    def _offered(self):
        """Which gradients the signatures name."""
        given = set(self.plan.backward.given) if self.plan.differentiates else set()
        some = any(f"d{name}" in given for name in self.weight_names)
        detached = self.plan.declared.get("no_gradient", ())
        names = [name for name in self.state_names if name not in detached]
        states = bool(names) and all(f"d{name}" in given for name in names)
        inputs = any(f"d{name}" in given for name in self.plan.inputs)
        has = {"weights": self.plan.updates or "dweights" in given or some, "x": inputs, "state": states}
        return tuple(part for part in Cell.gradients if has[part])


class Ragged(Adapted):
    """A guest of rows of different lengths: it takes `lengths`, the steps of each row, or `mask`, True where a step counts."""

    _steps = None

    def apply(self, x, *state, lengths=None):
        """The same; lengths: the steps of each row. Raises ValueError for others than a mask can be made of."""
        before, self._steps = self._steps, steps_of(x, lengths, sure="mask" in self.plan.forward.taken)
        try:
            return super().apply(x, *state)
        except BaseException:
            self._steps = before  # a refusal changes nothing
            raise

    def _rows(self, x):
        mask = np.arange(len(x))[:, None] < self._steps if "mask" in self.plan.forward.taken else None
        turned = mask is not None and self.plan.axes.names.index("batch") < self.plan.axes.names.index("steps")
        return {"lengths": self._steps, "mask": mask.T if turned else mask}
