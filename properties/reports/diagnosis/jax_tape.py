"""What a jax function computes, on the tape of a cell written in NumPy: each primitive of its jaxpr is one operation."""

from functools import partial
from pathlib import Path

import jax
import numpy as np
from cellcheck.properties.intake.raised import STANDARD
from cellcheck.properties.reports.diagnosis.tape import At, Node, Untold, places
from jax.extend.core import Literal

OURS = tuple(str(Path(__file__).parents[3] / name) for name in ("cellcheck", "cells", "properties", "strategies"))
NAMES = {  # of NumPy, by which known mistakes are looked for
    "mul": "multiply",
    "sub": "subtract",
    "div": "divide",
    "add_any": "add",
    "max": "maximum",
    "min": "minimum",
    "slice": "part",
    "dynamic_slice": "part",
    "gather": "part",
}
PLAIN = (((1,), (0,)), ((), ()))  # the axes of a matrix product


def outputs(tape, guest, given):
    """The nodes of what a jax function returns. guest: its adapter; given: the nodes of its weights, x and states."""
    with jax.enable_x64(True):
        try:
            closed = guest.jaxpr([node.value for node in given])
            return [node for _, node in _run(tape, closed, [(node.value, node) for node in given])]
        except Exception as error:  # of a function that takes no float64, for example
            raise Untold(str(error)) from error


def _run(tape, closed, given, outer=()):
    """(value, node or None) of each output of a jaxpr. given: the same of its inputs."""
    jaxpr = getattr(closed, "jaxpr", closed)
    known = dict(zip(jaxpr.constvars, [(value, None) for value in getattr(closed, "consts", ())]))
    known.update(zip(jaxpr.invars, given))

    def read(v):
        return (v.val, None) if isinstance(v, Literal) else known[v]

    for equation in jaxpr.eqns:
        known.update(zip(equation.outvars, _computed(tape, equation, [*map(read, equation.invars)], outer)))
    return [*map(read, jaxpr.outvars)]


def _computed(tape, equation, given, outer):
    """(value, node or None) of each result of an equation."""
    name, params = equation.primitive.name, equation.params
    at = _frames(equation.source_info.traceback)
    at = at if at[len(at) - len(outer) :] == outer else at + outer
    if name == "scan" and params["length"]:
        return _scanned(tape, params, given, at)
    if name == "cond":
        return _run(tape, params["branches"][int(given[0][0])], given[1:], at)
    if name == "while":
        raise Untold("it has a loop whose number of steps jax does not know")
    inner = next((params[key] for key in ("jaxpr", "call_jaxpr", "fun_jaxpr") if key in params), None)
    if inner is not None and _takes(inner, given) and not (name in ("jit", "pjit") and _of_library(inner)):
        return _run(tape, inner, given, at)
    many = equation.primitive.multiple_results
    found = equation.primitive.bind(*(value for value, _ in given), **params)
    name = params.get("name", name).strip("_") if inner is not None else name
    call = partial(_call, equation, given)
    if name in ("where", "select_n") and len(given) == 3 and np.asarray(given[0][0]).dtype == bool:
        condition, *others = given
        given = [(np.asarray(condition[0], float), None), *others[:: -1 if name == "select_n" else 1]]
        name, call = "where", lambda part: lambda c, a, b: np.where(c != 0, a, b)
    name = "matmul" if name == "dot_general" and params["dimension_numbers"] == PLAIN else NAMES.get(name, name)
    made = []
    for part, value in enumerate(found if many else [found]):
        made.append((value, _node(tape, value, call(part if many else None), given, at, f"{name}{part or ''}")))
    return made


def _scanned(tape, params, given, at):
    """A scan, step by step."""
    n, m = params["num_consts"], params["num_consts"] + params["num_carry"]
    fixed, carry, xs, ys = given[:n], given[n:m], given[m:], {}
    steps = range(params["length"])
    for t in reversed(steps) if params["reverse"] else steps:
        parts = [(a[t], _node(tape, a[t], lambda b, t=t: b[t], [(a, node)], (), "part")) for a, node in xs]
        found = _run(tape, params["jaxpr"], [*fixed, *carry, *parts], at)
        carry, ys[t] = found[: m - n], found[m - n :]
    stacked = []
    for column in zip(*(ys[t] for t in steps)):
        value = np.stack([np.asarray(a) for a, _ in column])
        stacked.append((value, _node(tape, value, lambda *a: np.stack(a), column, (), "stack")))
    return [*carry, *stacked]


def _of_library(closed):
    """Whether none of its operations is in the guest's own source: then the call is one operation."""
    return closed.jaxpr.eqns and not any(_frames(e.source_info.traceback) for e in closed.jaxpr.eqns)


def _takes(inner, given):
    """Whether a jaxpr is a function of these operands."""
    variables = getattr(inner, "jaxpr", inner).invars
    return [v.aval.shape for v in variables] == [np.shape(value) for value, _ in given]


def _node(tape, value, call, given, at, own):
    """The node of a value that is computed of known ones, None if it is not, or no array of floats."""
    floats = [(np.asarray(a, float), node) for a, node in given if _is_float(a)]
    parents = {k: node for k, (_, node) in enumerate(floats) if node is not None}
    if not parents or not _is_float(value):
        return None
    return tape.add(Node(np.array(value, float), "", call, [a for a, _ in floats], parents, at, own))


def _is_float(value):
    return jax.numpy.issubdtype(jax.numpy.result_type(value), jax.numpy.floating)


def _call(equation, given, part):
    """The equation as a function of its arrays of floats; part: which of several results, or None."""
    params = {**equation.params, **dict.fromkeys({"preferred_element_type"} & set(equation.params))}

    def bound(*floats):
        if equation.primitive.name == "stop_gradient":  # the values are what the laws differentiate
            return floats[0]
        floats = iter(floats)
        found = equation.primitive.bind(*(next(floats) if _is_float(a) else a for a, _ in given), **params)
        return found if part is None else found[part]

    def call(*arrays):
        with jax.enable_x64(True):
            arrays = [np.asarray(a) for a in arrays]
            real, moved = [jax.numpy.asarray(a.real, float) for a in arrays], [jax.numpy.asarray(a.imag, float) for a in arrays]
            try:
                if not any(map(np.iscomplexobj, arrays)):
                    return np.asarray(bound(*real))
                value, slope = jax.jvp(bound, real, moved)
            except Exception as error:
                raise Untold(str(error)) from error
            return np.asarray(value) + 1j * np.asarray(slope)

    return call


def _frames(traceback):
    """The guest's frames, innermost first."""
    found = []
    for code, last in zip(*traceback.raw_frames()) if traceback else ():
        if "site-packages" not in code.co_filename and not code.co_filename.startswith((*STANDARD, *OURS)):
            place = places(code)[last // 2]
            found.append(At(code, place, place[0]))
    return tuple(found)
