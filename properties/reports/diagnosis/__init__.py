"""Which classic mistake a cell makes: tried against the numbers of a grown case; silent where none fits."""

import re
from dataclasses import replace
from functools import lru_cache, partial
from itertools import chain
from typing import NamedTuple

import numpy as np
from cellcheck.cells import lift
from cellcheck.properties.intake.capabilities import missing
from cellcheck.properties.intake.raised import internal, named, source
from cellcheck.properties.oracles.gradients import steps_taken
from cellcheck.properties.oracles.resolution import resolved
from cellcheck.properties.reports.diagnosis.conduct import (
    again,
    averaged,
    cached,
    cast,
    changed,
    conduct_faults,
    crashes,
    first,
    impure,
    misshapen,
    narrow,
    refilled,
    repeated,
    rows,
    shared,
    single,
)
from cellcheck.properties.reports.diagnosis.equations import equation_faults
from cellcheck.properties.reports.diagnosis.gradients import (
    NUMBER,
    at_a_limit,
    gradient_faults,
    misjudged,
    onwards,
    where_a_size_is_one,
    whereabouts,
    with_large_arguments,
    with_large_numbers,
    with_more_steps,
)
from cellcheck.properties.reports.diagnosis.grown import CLOSE, LONG, PLAIN, SIZES, Grown, doubled, figure, gap, grown
from cellcheck.properties.reports.diagnosis.narrowed import narrowed, where_narrowed
from cellcheck.properties.reports.diagnosis.numerics import numeric_faults
from cellcheck.properties.reports.diagnosis.panels import panels
from cellcheck.properties.reports.diagnosis.promises import ALONE, promise_faults
from cellcheck.properties.reports.diagnosis.reference import reference_faults
from cellcheck.properties.reports.diagnosis.sequence import CONTINUED, continued, ragged_gradients, sequence_faults
from cellcheck.properties.reports.diagnosis.through_time import reached
from cellcheck.properties.reports.recording import Mended, Spared, recorded
from cellcheck.properties.shrinking.shrinking import LARGE, VISIBLE, Failure, Subject, entry, kind, parts, quiet, with_part
from cellcheck.properties.verdicts.blocks import Violation
from cellcheck.properties.verdicts.run import outcome
from cellcheck.properties.verdicts.tally import Tally
from cellcheck.properties.writing.text import several
from cellcheck.strategies import Literal

SIZED = re.compile(r"transpos|batch of|\brows?\b")  # what a mistake is called that small sizes may hide
UNBOUNDED = re.compile(r"finite|overflow|\b(nan|inf)\b", re.IGNORECASE)
MOST = {"batch": 65, "features": 17, "state": 17}  # of a problem that is looked at
LONGEST = 40  # sequence that is looked at
ORDINARY = 12  # problems that are tried
REPEATED = replace(PLAIN, batch=2 * SIZES["features"])  # in which some tokens are alike
SEEDS = 4  # of numbers of these sizes
NEARLY = 1e-2  # by less, in float32 on the way, differences of a function may be off
ALIKE = ("gradients", "linearity")  # groups that compare gradients alone
AGAIN = ("purity", "sequences", "errors")  # groups with laws that call one cell several times


class Attempts:
    """Looks at a cell that may break any of them. faults: the errors of Cellcheck itself, each in a line."""

    def __init__(self):
        self.faults = []

    def __call__(self, look, nothing=()):
        """What the look finds; `nothing` where it raises: a cell that breaks the look itself is told by its law alone."""
        try:
            return look()
        except Exception as error:
            if (fault := internal(error)) and fault not in self.faults:
                self.faults.append(fault)
            return nothing


def diagnose(case, tried):
    """(sentences, panels) of a Case: likely causes, each with the number that speaks for it, and where it is wrong.

    tried: the Attempts that keep the errors of Cellcheck.
    """
    if case.group == "equivalence":
        with quiet(Tally(), draws=0):
            if told := tried(lambda: reference_faults(lift(case.Cell))):
                return list(told), []

    if not isinstance(case.error, Violation) and (told := unmade(case) or tried(lambda: unbearable(case))):
        return told, []
    with quiet(Tally(), draws=0):
        own = tried(lambda: promised(case)) if case.name in ALONE else ()
        written = () if own else tried(lambda: changed(grown(case.Cell, PLAIN)))
        if written and not Subject(case.law, Spared(case.Cell)).failure(case.problem):
            return list(written), list(tried(lambda: panels(case, grown(case.Cell, PLAIN))))
        other = replace(case, Cell=Spared(case.Cell)) if written else tried(lambda: without_misshapen(case), case)
    try:
        return sought(other, tried)  # what it writes to, or the shape of one gradient, is not all that is wrong with it
    finally:
        case.sentences = other.sentences  # which are kept if the panels take too long


def without_misshapen(case):
    """The case of the same cell with gradients of the right shapes, if it breaks the law even so; else the case itself.

    What no sum over the batch gives the shape of its weight, such as None, has no gradient then.
    """
    spec = lift(case.Cell).spec()
    if not misshapen(grown(case.Cell, PLAIN)):
        return case
    blind = [a.name for a in (*spec.arrays, *spec.outputs) if not a.differentiable]
    odd = misshapen(grown(Mended(case.Cell), PLAIN))
    Cell, problem = Mended(lift(case.Cell, no_gradient=(*blind, *odd))) if odd else Mended(case.Cell), case.problem
    if isinstance(problem, Literal):
        problem = replace(problem, spec=Cell.spec(problem.recipe.features, problem.recipe.state))
    kept = not set(odd) & set(spec.state_names) and Subject(case.law, Cell).failure(problem)
    return replace(case, Cell=Cell, problem=problem) if kept else case


def promised(case):
    """What is said of a broken promise itself."""
    told = promise_faults(grown(case.Cell, PLAIN), case.name)
    if told or not isinstance(case.problem, Literal) or case.problem.steps:
        return told
    return [f"of a sequence of 0 steps, {said}" for said in promise_faults(grown(case.Cell, replace(PLAIN, steps=0)), case.name)]


def sought(case, tried):
    """(sentences, panels) of a cell that does not write where it must not."""
    promise, unbounded = partial(promised, case), of_nan(case)
    if case.name == "small_changes_count":
        return list(tried(lambda: narrowed(case.Cell, PLAIN))), []
    wide = not missing(case.Cell, ["float64"]) and case.group in (*ALIKE, "equations", "equivalence")
    small = wide and isinstance(case.error, Violation) and not unbounded
    small = small and (not Failure(case.error).visible or tried(lambda: coarse(case.Cell), False))
    if small and (told := tried(lambda: cast(grown(case.Cell, PLAIN)) or rounding_line(case.Cell))):
        return list(told), []
    if "flag" in case.name:
        with quiet(Tally(), draws=0):
            told = tried(lambda: numeric_faults(grown(case.Cell, PLAIN), flagged=True)) or tried(lambda: flagged(case))
            if told:
                return list(told), []
    rounding = not Failure(case.error).visible

    def bordering():
        looks = where_a_size_is_one, at_a_limit, partial(with_large_numbers, most=largest(case)), with_large_arguments
        asked = looks if case.group in ALIKE else ()
        told = next(filter(None, (tried(lambda look=look: look(case.Cell)) for look in asked)), ())
        long = (PLAIN, *(problem for size, problem in enlarged(case) if size == "steps"))
        runs = long if case.name in CONTINUED else ()
        return told or next(filter(None, (tried(lambda p=p: continued(grown(case.Cell, p))) for p in runs)), ())

    if not simple(lift(case.Cell).spec()):
        with quiet(Tally(), draws=0):
            flawed = accepted(case) or ((case.name in ALONE or not of_gradients(case)) and tried(promise))
            flawed = flawed or (rounding and tried(lambda: cast(grown(case.Cell, PLAIN))))
            flawed = flawed or (case.group == "purity" and tried(lambda: impure(grown(case.Cell, PLAIN))))
            flawed = flawed or tried(lambda: first(grown(case.Cell, PLAIN), averaged, rows))
            if grown(case.Cell, PLAIN).cell.spec.sequence:
                flawed = flawed or tried(lambda: sequence_faults(grown(case.Cell, PLAIN), case.group in ALIKE))
            if of_gradients(case) and not flawed:
                whole = any(a.domain and a.domain.whole for a in lift(case.Cell).spec().inputs)
                for problem in (PLAIN, REPEATED) if whole else (PLAIN,):
                    found = misguided(case.Cell, problem)
                    tried.faults += [fault for fault in found.faults if fault not in tried.faults]
                    told = [sentence for sentence in found.sentences if not unbounded or UNBOUNDED.search(sentence)]
                    flawed = flawed or told
                if grown(case.Cell, PLAIN).cell.spec.lengths:
                    flawed = flawed or tried(lambda: ragged_gradients(grown(case.Cell, PLAIN)))
            looks = (cut_states, far, longer, overflown, emptied, undefined, nearly, ordinary)
            flawed = flawed or next(filter(None, (tried(lambda look=look: look(case)) for look in looks)), ()) or bordering()
            there = tried(lambda: located(case)) if of_gradients(case) and not flawed else ()
            return list(flawed or there), []
    recipe = replace(getattr(case.problem, "recipe", case.problem), dtype=None)
    own = replace(recipe, **SIZES, upstream="every")  # of a single entry, everything is a multiple

    def look(problem):
        found = examined(case.Cell, problem, of_gradients(case), case.group not in AGAIN, rounding, case.group in ALIKE)
        tried.faults += [fault for fault in found.faults if fault not in tried.faults]
        if unbounded:  # a gradient that is wrong, but a number, is no cause
            return [sentence for sentence in found.sentences if UNBOUNDED.search(sentence)]
        alone = problem.steps == 1 and grown(case.Cell, PLAIN).cell.spec.sequence  # a step may be both the first and the last
        if not alone:
            return found.sentences
        more = examined(case.Cell, replace(problem, seed=problem.seed + 1), of_gradients(case), case.group not in AGAIN).sentences
        twice = {NUMBER.sub("", sentence) for sentence in more}  # a gradient of one step may be 0 by chance
        found = found._replace(sentences=[sentence for sentence in found.sentences if NUMBER.sub("", sentence) in twice])
        known = grown(case.Cell, PLAIN).kind  # in a single step, tensors of other equations are alike by chance
        return [f"with a single step, {sentence}" for sentence in found.sentences if known or "belongs" not in sentence]

    def others():
        """Problems on which some mistakes show more plainly: the numbers of the case, as many steps, or a single one."""
        yield own
        for size, most in MOST.items():
            if getattr(recipe, size) > SIZES[size]:
                yield replace(PLAIN, **{size: min(getattr(recipe, size), most)})
        if recipe.steps > SIZES["steps"]:
            yield replace(LONG, steps=recipe.steps)
            yield replace(recipe, batch=1, features=1, state=2)
        if grown(case.Cell, PLAIN).cell.spec.sequence:
            yield replace(PLAIN, steps=1)

    def elsewhere():
        """Other numbers, if these show no wrong gradient: they may take another branch."""
        if not misjudged(case.Cell, PLAIN)[0]:
            yield from (replace(PLAIN, seed=PLAIN.seed + k) for k in range(1, SEEDS))

    with quiet(Tally(), draws=0):
        if case.group == "errors" or case.name in ALONE:
            told = accepted(case) or tried(promise) or tried(lambda: first(grown(case.Cell, PLAIN), repeated, again))
        else:
            told = () if of_gradients(case) else tried(promise)
            if case.name.startswith(("activations", "derivatives")):  # of a gate that is read alone
                told = told or tried(lambda: numeric_faults(grown(case.Cell, PLAIN)))
            told = (
                told
                or look(PLAIN)
                or (tried(lambda: far(case)) if recipe.steps > SIZES["steps"] else ())
                or (tried(lambda: overflown(case)) or tried(lambda: emptied(case)) if unbounded else ())
                or next(filter(None, map(look, others())), ())
                or tried(promise)
                or tried(lambda: far(case))
                or tried(lambda: cut_states(case) or longer(case))
                or tried(lambda: beyond(case))
                or tried(lambda: overflown(case))
                or tried(lambda: emptied(case))
                or tried(lambda: undefined(case))
                or tried(lambda: nearly(case))
                or next(filter(None, map(look, elsewhere())), ())
                or bordering()
                or tried(lambda: ordinary(case))
                or (tried(lambda: located(case)) if of_gradients(case) else ())
            )
        if not told and not isinstance(case.error, Violation):
            told = tried(lambda: crashes(grown(case.Cell, PLAIN)) or narrow(grown(case.Cell, PLAIN)))
        if told and of_gradients(case) and SIZED.search(told[0]) and not at_its_sizes(case):
            told = bordering() or tried(lambda: ordinary(case)) or told
        case.sentences = list(told)  # for panels may take too long
        shown = tried(lambda: panels(case, grown(case.Cell, PLAIN), grown(case.Cell, own)))
    return list(told), list(shown)


def of_gradients(case):
    """Whether wrong gradients may break the law: few of layout and stability, which do not compare gradients with right ones.

    Nor do they where all that differs is an output.
    """
    if isinstance(case.error, Violation) and {b.name for b in case.error.blocks} <= set(lift(case.Cell).spec().output_names):
        return False
    if case.name == "derivatives_of_the_cell_keep_their_tails" and isinstance(case.error, Violation):
        block = case.error.blocks[0]
        got, expected = (entry(a, block.index) for a in (block.got, block.expected))
        return (
            isinstance(got, float) and isinstance(expected, float) and abs(got - expected) > VISIBLE * max(abs(expected), VISIBLE)
        )
    return case.group not in ("layout", "stability") or case.name == "gradients_are_finite"


def rounding_line(Cell):
    """Where a cell that the law of small changes refuses becomes float32; of others, what does is no cause."""
    return narrowed(Cell, PLAIN) if coarse(Cell) else []


@lru_cache(maxsize=8)
def coarse(Cell):
    """Whether the law of small changes refuses a cell whose gradients are nearly right: float32 explains what is wrong with them."""
    g = grown(Cell, PLAIN)
    claims, truth = g.claims(), g.truth()
    right = all(gap(claims[name], truth[name]) < NEARLY for name in claims)
    return right and any(block.verdict == "violated" for block in resolved(Cell, PLAIN))


def of_nan(case):
    """Whether it is infinity or NaN that breaks the law: a gradient that is wrong, but a number, is no cause then."""
    block = Failure(case.error).block
    return case.name == "gradients_are_finite" or (block is not None and kind(block) == "nan")


def simple(spec):
    """Whether any of the known mistakes can be tried: x is the only input, no array has two axes, and numbers may be any."""
    arrays = (*spec.inputs, *spec.states, *spec.outputs)
    return len(spec.inputs) == len(spec.inputs[0].shape) == 1 and all(len(a.shape) < 2 for a in arrays) and not spec.bounded


def unmade(case):
    """Sizes at which no cell can be made, although the pre-flight has made smaller ones."""
    recipe = getattr(case.problem, "recipe", case.problem)
    try:
        case.Cell(recipe.features, recipe.state)
    except Exception as error:
        at = f"making a cell of {recipe.features} features and {recipe.state} units raises {named(error)}"
        return [f"{at}; if it takes some sizes alone, declare them, as sizes = {{'state': (1, 2)}}"]
    return []


def largest(case):
    """About the largest pre-activation of a case: a sum of products of its weights and what they multiply."""
    literal = case.problem
    if not isinstance(literal, Literal):
        return np.inf
    n = len(literal.weights)
    weights, others = (
        max((np.max(np.abs(a), initial=0.0) for a in some), default=0.0) for some in (parts(literal)[:n], parts(literal)[n:])
    )
    return weights * max(others, 1.0) * (literal.recipe.features + literal.recipe.state)


def unbearable(case):
    """The one large number with which Python's own arithmetic overflows, as math.exp does, and without which the law holds."""
    literal, subject = case.problem, Subject(case.law, case.Cell)
    if not isinstance(literal, Literal) or not isinstance(case.error, ArithmeticError):
        return []
    for k, a in enumerate(literal.spec.arrays):
        array = np.asarray(parts(literal)[k])
        at = np.argmax(np.abs(array)) if array.size else 0
        if not array.size or abs(array.flat[at]) <= LARGE:
            continue
        smaller = array.copy()
        smaller.flat[at] = np.sign(array.flat[at])
        if subject.failure(with_part(literal, k, smaller)) is None:
            where = source(case.error)
            line = f" in `{where[1]}` ({where[0]})" if where else ""
            said = f"it raises {named(case.error)}{line} with {a.name} = {array.flat[at]:g}, and not with {smaller.flat[at]:g}"
            return [f'{said}. Write it so that it cannot, or declare domains = {{"{a.name}": (low, high)}}']
    return []


def enlarged(case):
    """(name of a size, a problem with twice as many as the case has), for each size that is larger there than in PLAIN."""
    recipe = getattr(case.problem, "recipe", case.problem)
    for size, most in (MOST | {"steps": 80} if lift(case.Cell).spec().sequence else MOST).items():
        if (n := getattr(recipe, size)) > SIZES[size]:
            yield size, replace(LONG if size == "steps" else PLAIN, **{size: min(2 * n, most)})


def located(case):
    """Where the gradients of PLAIN are wrong; if they are right, where those of larger problems are."""
    if told := whereabouts(grown(case.Cell, PLAIN)):
        return told
    for size, problem in enlarged(case):
        g = grown(case.Cell, problem)
        if told := (onwards(g) if size == "steps" else []) or whereabouts(g):
            return [told[0].replace("; ", f"; at {size} {getattr(problem, size)}, ", 1)]
    return []


def far(case):
    """Of a long sequence: the steps over which no gradient flows, where the numbers of the case still let one arrive."""
    g = Grown(case.Cell, case.problem) if of_gradients(case) else None
    if not g or not g.cell.spec.sequence or len(g.p.x) <= SIZES["steps"]:
        return []
    live = replace(g.p, weights=[w if np.any(w) else w + 1 for w in g.p.weights])  # what was made 0 may be on the way
    dense = (grown(case.Cell, replace(LONG, steps=g.p.steps, seed=LONG.seed + k)) for k in range(3))  # no path is 0 in all
    return next(filter(None, map(reached, chain(dense, (g, Grown(case.Cell, live))))), [])


def cut_states(case):
    """Of a step cell that detaches some states: that only several steps show what is lost, so that they are no constants for apply."""
    spec, steps = lift(case.Cell).spec(), steps_taken(lift(case.Cell).spec(), case.problem)
    if steps < 2 or not of_gradients(case) or misjudged(case.Cell, PLAIN)[0]:
        return []
    one = replace(getattr(case.problem, "recipe", case.problem), seed=0)  # whose seed asks for a single step
    one = replace(case.problem, recipe=one) if isinstance(case.problem, Literal) else one
    if Subject(case.law, case.Cell).failure(one):
        return []
    lost, it = several(spec.detached), "it" if len(spec.detached) == 1 else "them"
    new = several(f"{name}'" for name in spec.detached)
    said = f"gradients are right over one step and wrong over {steps} steps on the same x: the gradient through {lost} is lost between steps"
    why = f"because no_gradient lists {it} and vjp therefore takes no upstream of {new}"
    return [f"{said}, {why}. If {lost} is no constant, remove {it} from no_gradient and let vjp take the upstream of {new}"]


def longer(case):
    """Of a long sequence: up to how many steps gradients are right."""
    steps = getattr(case.problem, "recipe", case.problem).steps
    return with_more_steps(case.Cell, min(steps + 2, LONGEST)) if case.group in ALIKE and steps > SIZES["steps"] else []


def beyond(case):
    """Units from which on a large state is wrong."""
    recipe = getattr(case.problem, "recipe", case.problem)
    for b in recorded(case.law, case.Cell, recipe)[1] if recipe.state > 64 else []:
        if isinstance(b.got, np.ndarray) and np.shape(b.got) == np.shape(b.expected) and b.got.shape[-1:] == (recipe.state,):
            wrong = np.flatnonzero((~np.isclose(b.got, b.expected, 1e-8, 1e-12)).reshape(-1, recipe.state).any(axis=0))
            if wrong.size and wrong[0] > 16 and wrong.size == recipe.state - wrong[0]:
                return [f"{b.name} is wrong in the units from {wrong[0]} on, all {wrong.size} of them, and right in those before"]
    return []


def overflown(case):
    """The large numbers with which a result is not finite, since something overflows, and without each of which the law holds."""
    literal, subject, original = case.problem, Subject(case.law, case.Cell), Failure(case.error)
    if not isinstance(literal, Literal) or original.block is None or kind(original.block) != "nan":
        return []
    flags, block, found = set(), original.block.name, []
    with np.errstate(all="call", call=lambda flag, _: flags.add(flag)):
        outcome(literal.build(case.Cell)[0], literal)
    for k, name in enumerate(literal.spec.array_names if "overflow" in flags or not flags else ()):
        array = np.asarray(parts(literal)[k])
        at = np.argmax(np.abs(array)) if array.size else 0
        if array.size and abs(array.flat[at]) > LARGE:
            value, smaller = array.flat[at], array.copy()
            smaller.flat[at] = np.sign(value)
            if subject.failure(with_part(literal, k, smaller)) is None:
                found.append((name, value, literal.spec.arrays[k].domain))
    if not found:
        return []
    dtype = np.asarray(parts(literal)[0]).dtype
    numbers = several(f"{name} = {value:g}" for name, value, _ in found)
    lost = block if block in literal.spec.output_names else f"the gradient of {block}"
    where = "" if dtype == np.float64 else f" in {dtype}"
    at = raised_at(case, over="raise")
    first = f", first in `{at[1]}` ({at[0]})" if at else ", such as exp"
    said = f"something overflows{where}{first}, with {numbers}, and {lost} is not finite. Write it so that it cannot"
    if not flags:  # compiled code raises none
        ends = f"is with {np.sign(found[0][1]):g}" if len(found) == 1 else "is finite if any one of them is near 1"
        said = f"{lost} is not finite{where} with {numbers}, but {ends}. Compute it so that it stays finite"
    never = ", ".join(f'"{name}": (low, high)' for name, _, domain in found if domain is None)
    return [said + f", or declare domains = {{{never}}}" * bool(never)]


def emptied(case):
    """If a NaN broke the law: the array that is 0, or all of them, without which the law holds."""
    literal, subject, block = case.problem, Subject(case.law, case.Cell), Failure(case.error).block
    if not isinstance(literal, Literal) or block is None or kind(block) != "nan":
        return []
    empty = {k: a for k, a in enumerate(map(np.asarray, parts(literal)[: len(literal.spec.arrays)])) if a.size and not np.any(a)}
    for some in [*((k,) for k in empty), tuple(empty)]:
        fuller = literal
        for k in some:
            fuller = with_part(fuller, k, empty[k] + 1)
        if some and subject.failure(fuller) is None and _alone(case, some):
            for k in some if len(some) > 1 else ():  # one that may as well stay 0 is no cause
                fewer = with_part(fuller, k, empty[k])
                if subject.failure(fewer) is None:
                    some, fuller = tuple(j for j in some if j != k), fewer
            names = [literal.spec.array_names[k] for k in some]
            zero = " = ".join([*names, "0"])
            outputs = outcome(literal.build(case.Cell)[0], literal)
            if all(np.isfinite(outputs[name]).all() for name in literal.spec.output_names):
                return [f"{zero} makes NaN in vjp alone, as of 0 / 0: what apply returns is finite there"]
            said = f"{zero} makes NaN, as of 0 / 0 where something is normalised"
            declared = ", ".join(f'"{name}": "non-zero"' for name in names)
            return [f"{said}; if {'it is' if len(names) == 1 else 'they are'} never 0, declare domains = {{{declared}}}"]
    return []


def _alone(case, some):
    """Whether the law breaks with NaN on an ordinary problem as well, once these arrays are 0."""
    plain = replace(PLAIN, batch=1).literal(case.Cell)
    for k in some:
        plain = with_part(plain, k, 0 * np.asarray(parts(plain)[k]))
    failed = Subject(case.law, case.Cell).failure(plain)
    return bool(failed and failed.block and kind(failed.block) == "nan")


def nearly(case):
    """If a gradient broke the law: that it is almost right, as with a number in float32 on the way, or is with ordinary numbers."""
    block, spec = Failure(case.error).block, lift(case.Cell).spec()
    if block is None or kind(block) != "value" or not of_gradients(case) or np.float64 not in spec.dtypes:
        return []
    got, expected = (entry(a, block.index) for a in (block.got, block.expected))
    off = abs(got - expected) / abs(expected) if expected else 1.0
    cause = "a tiny term is left out, or a number or an array on the way has the precision of float32"
    cause = cause if off > 2.0**-28 else "an epsilon, a tiny term too much, or a constant with too few digits"
    if 1e-12 < off < 2.0**-22:
        return [f"the gradient is off by only {figure(off)} of its size: {cause}"]
    g = grown(case.Cell, PLAIN)
    truth, claims = g.truth(), g.claims()
    most = max((gap(claims[name], truth[name]) for name in claims), default=0.0)
    if g.tolerance > CLOSE or not 1e-11 < most < min(1e-3, off / 1e3):
        return []
    said = f"with ordinary numbers the gradients are off by at most {figure(most)} of their size, here by {figure(off)}"
    return [f"{said}, as with an epsilon that the forward pass has and the backward pass lacks, or the reverse"]


def at_its_sizes(case):
    """Whether ordinary numbers break the law at the sizes of the case; else what breaks it at other sizes is no cause."""
    recipe, subject = getattr(case.problem, "recipe", case.problem), Subject(case.law, case.Cell)
    sizes = {"batch": case.problem.batch, "steps": case.problem.steps, "features": recipe.features, "state": recipe.state}
    return any(subject.failure(replace(PLAIN, **sizes, seed=seed)) for seed in range(ORDINARY))


def ordinary(case):
    """If the case has a large number: that the law holds with ordinary ones, as far as a few problems tell."""
    literal, subject = case.problem, Subject(case.law, case.Cell)
    if not isinstance(literal, Literal):
        return []
    leaps = any(b.verdict == "violated" for p in (literal, literal.recipe) for b in resolved(case.Cell, p))
    if told := leaps and where_narrowed(case.Cell, PLAIN):
        return told
    largest = [max(np.ravel(a), key=abs, default=0.0) for a in parts(literal)[: len(literal.spec.arrays)]]
    k = max(range(len(largest)), key=lambda k: abs(largest[k]))
    name, most = literal.spec.array_names[k], largest[k]
    smaller = with_part(literal, k, np.asarray(parts(literal)[k]) / max(abs(most), 1.0))
    if not abs(most) > LARGE or subject.failure(smaller) or at_its_sizes(case):
        return []
    said = f"the law holds on {ORDINARY} problems of these sizes with ordinary numbers, and breaks with {name} {'down' if most < 0 else 'up'} to {figure(most)}"
    return [f'{said}; if numbers are never so large, declare domains = {{"{name}": (low, high)}}']


def undefined(case):
    """If a NaN broke the law: the line of the guest that first produced one."""
    block = Failure(case.error).block
    if not isinstance(case.problem, Literal) or block is None or kind(block) != "nan":
        return []
    at = raised_at(case, invalid="raise")
    return (
        [f"the first NaN arises in `{at[1]}` ({at[0]}), as of 0 / 0, inf - inf, 0 inf or the root of a negative number"]
        if at
        else []
    )


def flagged(case):
    """The line of the guest in which the flag that broke the law is first raised."""
    block = Failure(case.error).block
    words = {"overflow": "over", "invalid": "invalid", "divide": "divide"}
    flag = next((flag for word, flag in words.items() if block is not None and word in str(block.got)), None)
    at = raised_at(case, **{flag: "raise"}) if flag else None
    return [f"{str(block.got).partition(',')[0]}, first in `{at[1]}` ({at[0]}), on the way to a result"] if at else []


def raised_at(case, **flags):
    """(place, line) of the guest where a floating-point flag is first raised on the problem of the case, or None."""
    try:
        with np.errstate(**flags):
            outcome(case.problem.build(case.Cell)[0], case.problem)
    except FloatingPointError as error:
        return source(error)
    return None


def accepted(case):
    """Of a law of errors: what was not refused."""
    blocks = case.error.blocks if isinstance(case.error, Violation) else []
    taken = [b for b in blocks if isinstance(b.expected, str) and b.expected == "an exception"][:1]
    said = "accepts what it should refuse"
    if taken and case.name.startswith("features"):
        said = "takes a feature in the place of a unit, as [x, h] then has its right width"
    elif taken and case.name.startswith("wrong") and "lengths" not in case.name:
        larger = Subject(case.law, case.Cell).failure(PLAIN) is None
        said = "takes sizes of 1 for any other" if larger else "does not check shapes"
    return [f"{b.name} {said}: it gives {b.got}" for b in taken]


class Examined(NamedTuple):
    """sentences: likely causes; wrong: whether gradients or outputs are; faults: errors of Cellcheck while it looked."""

    sentences: tuple
    wrong: bool
    faults: tuple = ()


@lru_cache(maxsize=64)
def examined(Cell, problem, gradients=True, once=False, rounding=True, alone=False):
    """The Examined of a cell on one problem.

    gradients: whether mistakes in gradients may be the cause; once: whether the law calls a fresh cell once, so that mistakes
    that show at a second call come last; rounding: whether the error may be that of rounding; alone: whether it compares nothing but
    gradients.
    """
    tried = Attempts()
    sentences, wrong = tried(
        lambda: _examined(grown(Cell, problem), tried, problem, gradients, once, rounding, alone), ((), False)
    )
    return Examined(tuple(sentences), wrong, tuple(tried.faults))


@lru_cache(maxsize=8)
def misguided(Cell, problem):
    """The Examined of the gradients alone of a cell on one problem."""
    tried = Attempts()
    sentences, right = tried(lambda: gradient_faults(grown(doubled(Cell), problem), tried), ((), True))
    return Examined(tuple(sentences), not right, tuple(tried.faults))


def _examined(g, tried, problem, gradients, once, rounding, alone):
    if told := tried(lambda: conduct_faults(g, once, rounding)):
        return told, True
    told, apart = tried(lambda: equation_faults(g), ((), "")) if g.plain else ((), "")
    if told and not g.cell.spec.sequence:
        return told, True
    if g.cell.spec.sequence and (told := told or (tried(lambda: sequence_faults(g, alone)) if problem == PLAIN else ())):
        return told, True
    numeric = ((rounding or g.single) and tried(lambda: single(g))) or tried(lambda: numeric_faults(g))
    if apart and numeric:
        return numeric, True
    if gradients and g.cell.spec.gradients:
        told, good = tried(lambda: gradient_faults(grown(doubled(g.Cell), problem), tried), ((), True))
    else:
        told, good = (), True
    if good and problem == PLAIN and g.cell.spec.sequence:
        told = told or tried(lambda: ragged_gradients(g))
    if told and apart:
        told = [apart, *told]
    if numeric and any("not finite" in sentence for sentence in told):
        return [*numeric, *told], True
    told = told or numeric or (tried(lambda: first(g, repeated, again, cached, refilled, shared)) if once else ())
    return told, bool(told or apart) or not good


__all__ = ["Attempts", "Examined", "diagnose", "examined"]
