"""Mistakes of backpropagation through time: the reverse pass is redone with each of them, on true derivatives of single steps."""

from dataclasses import replace
from functools import lru_cache, partial

import numpy as np
from cellcheck.properties.intake.conventions import gates_of
from cellcheck.properties.reports.diagnosis.grown import LOST, jacobian, same
from cellcheck.properties.reports.diagnosis.mistakes import Mistake, matched
from cellcheck.properties.writing.text import several


def through_time(g, claims, truth):
    """Sentences about a sequence cell whose gradients are wrong, or []."""
    steps = steps_of(g)
    if steps is None:
        return []
    tried = (Mistake(said, partial(steps.back, **options)) for said, options in mistakes(g))
    if told := matched(tried, claims, truth, "all gradients"):
        return told
    tried = (Mistake(f"no gradient flows back more than {k} steps", partial(steps.truncated, k)) for k in range(1, steps.T))
    return matched(tried, claims, truth, "all gradients")


def cut_off(claims, truth):
    """Steps that no gradient reaches, before those that one does."""
    reached = np.flatnonzero(np.any(claims["x"], axis=(1, 2))) if "x" in claims else []
    if not len(reached) or not reached[0] or not truth["x"][: reached[0]].any(axis=(1, 2)).all():
        return []
    return [f"x gets no gradient before step {reached[0]} of {len(truth['x'])}: the reverse pass ends before it reaches step 0"]


def reached(g, vague=True):
    """How far back the gradient of x flows from a single step of ys; of any sequence cell, whatever its states are.

    vague: whether it shall be said, too, that what is carried back is wrong, without a cause.
    """
    T, x = len(g.p.x), g.names[g.n]
    if T < 2 or g.upstream[-1].shape[:1] != (T,) or x not in g.offered():
        return []
    right, zero = np.ones((T, T), bool), np.ones((T, T), bool)  # of step t of x, with an upstream at step s of ys alone
    for s in range(T):
        alone = [0.0 * u for u in g.upstream]
        alone[-1][s] = np.where(g.upstream[-1][s], g.upstream[-1][s], 1.0)
        claim, true = g.claims(alone)[x], g.truth(alone)[x]
        most = np.max(np.abs(true), initial=0.0)
        right[s] = [same(a, b, g.tolerance) or np.max(np.abs(a - b)) <= g.tolerance * most for a, b in zip(claim, true)]
        zero[s] = [np.max(np.abs(a)) <= LOST * most for a in claim]  # such as a Fourier transform leaves of zeros
    back = np.subtract.outer(np.arange(T), np.arange(T))
    wrong = ~right
    if not wrong.any() or not right[back == 0].all():
        return []
    if told := borders(wrong, zero, x):
        return told
    where = f"with an upstream at step {T - 1} of ys alone"
    if wrong[back < 0].any() and "future" not in g.cell.spec.choices:
        s, t = map(int, np.argwhere(wrong & (back < 0))[0])
        return [f"the gradient of {x} at step {t} is not 0 with an upstream at step {s} of ys alone, which is earlier"]
    least = int(back[wrong].min())
    if zero[back >= least].all() and least == 1:
        return [
            f"no gradient flows from ys back to {x} of earlier steps, as where a state is detached: {where}, only {x} of that step gets one"
        ]
    if zero[back >= least].all():
        return [
            f"no gradient flows from ys back more than {least - 1} step{'s' * (least > 2)}: {where}, {x} of the first {T - least} is 0"
        ]
    if vague and wrong[back == least].all() and least == 1:
        return [
            f"the gradient that is carried back in time is wrong: {where}, that of {x} is right at that step, and wrong at earlier ones"
        ]
    return []


def borders(wrong, zero, x):
    """What is said where no gradient crosses some steps, and all is right between them. wrong, zero: of [upstream at step, x at step]."""
    T = len(wrong)
    at = [t for t in range(1, T) if wrong[t, t - 1]]
    chunk = np.searchsorted(at, np.arange(T), side="right")
    across = np.subtract.outer(chunk, chunk) > 0
    if not 0 < len(at) < T - 1 or not (zero | wrong)[across].all() or wrong[~across].any():
        return []
    if not zero[across].all():
        where = several(f"from step {t} to step {t - 1}" for t in at[:3])
        return [f"the gradient that flows from ys back to {x} is wrong where it is carried {where}, and right elsewhere"]
    size, side = max((at[0], "first"), (T - at[-1], "last"))
    if len(at) == 1:
        where = f"from step {at[0]} to step {at[0] - 1}, as where chunks of {size} steps meet"
        return [f"no gradient flows from ys back to {x} {where}"]
    return [f"no gradient flows from ys back to {x} over the borders of chunks of {size} steps, counted from the {side}"]


def mistakes(g):
    """(sentence, options of Steps.back)."""
    T, names = len(g.p.x), g.names[g.n + 1 :]
    for between in (False, True):  # whether the initial state, too, is left without
        yield "the state gradient is not carried from step to step", {"carry": lambda k: 0.0, "between": between}
        for j, name in enumerate(names if len(names) > 1 else ()):
            options = {"carry": lambda k, j=j: float(k != j), "between": between}
            yield f"the gradient of {name} is not carried from step to step", options
    yield "the upstream of ys replaces the gradient carried back in time instead of being added", {"overwrite": True}
    yield "the upstream of the final states is ignored", {"final": lambda k: 0.0}
    for j, name in enumerate(names):
        yield f"the upstream of the final {name} is ignored", {"final": lambda k, j=j: float(k != j)}
    yield "the upstream of ys is ignored", {"ys": lambda t: None}
    yield "the upstream of ys is taken one step off", {"ys": lambda t: t - 1}
    yield "the upstream of ys is taken one step off, the other way", {"ys": lambda t: (t + 1) % T}
    yield "each step is differentiated at the state of the step before", {"at": lambda t: (t, (t - 1) % T)}
    yield "each step but the first is differentiated at the state of the step before", {"at": lambda t: (t, max(t - 1, 0))}
    yield "each step is differentiated at the input of the step before", {"at": lambda t: ((t - 1) % T, t)}
    yield "each step is differentiated at the state of the step after", {"at": lambda t: (t, (t + 1) % T)}
    yield "every step is differentiated at the initial state", {"at": lambda t: (t, 0)}
    yield "every step is differentiated at the last step's values: one cache for all steps", {"at": lambda t: (T - 1, T - 1)}
    yield "every step is differentiated at the first step's values: one cache for all steps", {"at": lambda t: (0, 0)}
    yield "the steps are differentiated first to last instead of last to first", {"order": range(T)}
    only = "alone is kept: the sum over the steps is overwritten"
    yield f"the weight gradient of the first step {only}", {"weights": lambda t: float(t == 0)}
    yield "the weight gradient of the last step alone is kept", {"weights": lambda t: float(t == T - 1)}
    yield f"the weight gradient is the mean over the {T} steps instead of the sum", {"weights": lambda t: 1 / T}
    yield "step 0 is not differentiated", {"order": range(T - 1, 0, -1)}
    yield "the last step is not differentiated", {"order": range(T - 2, -1, -1)}
    for n in (1, 2, 3, 8, 5, 10):
        if n < T:
            yield f"only the last {n} steps are differentiated", {"order": range(T - 1, T - 1 - n, -1)}
            said = f"no gradient is carried over the borders of chunks of {n} steps"
            yield said, {"cut": lambda t, n=n: t % n == 0}
            yield f"{said}, counted from the last", {"cut": lambda t, n=n: (T - t) % n == 0}
    yield "the initial state gets no gradient", {"initial": lambda k: 0.0}
    for j, name in enumerate(names):
        yield f"the initial {name} gets no gradient", {"initial": lambda k, j=j: float(k != j)}
    yield "the gradient of the initial state is that of the state after step 0", {"early": True}
    yield "the gradient of x is shifted by one step", {"dx": lambda t: (t - 1) % T}
    yield "the gradient of x runs backwards in time", {"dx": lambda t: T - 1 - t}
    for c in (0.1, 0.5, 1.0, 5.0, 10.0):
        yield f"the gradient carried back in time is clipped at {c:g} at every step", {"clip": c}
    if g.kind and g.blocks:
        yield "the weights of h are not transposed on the way back in time", {"turned": True}


@lru_cache(maxsize=8)
def steps_of(g):
    """The Steps of a Grown, or None: it has no state, hides one, or is not one of its steps after the other."""
    hidden = [name for name in g.names[g.n + 1 : -1] if f"{name}'" not in g.outputs]
    if not g.p.state or hidden or not {f"{g.names[-1]}'", "ys"} & set(g.outputs):
        return None
    steps, truth = Steps(g), g.truth()
    straight = steps.back()
    return steps if all(same(straight[name], truth[name]) for name in truth) else None


class Steps:
    """The single steps of a sequence and their true derivatives."""

    def __init__(self, g):
        """g: a Grown of a sequence cell."""
        self.g, self.T, self.states, self._known = g, len(g.p.x), [tuple(g.p.state)], {}
        self.finals = [f"{name}'" if f"{name}'" in g.outputs else "ys" for name in g.names[g.n + 1 :]]
        for t in range(self.T):
            outputs = g.ran(self._alone(t, self.states[t]))
            self.states.append(tuple(outputs[name][-1] if name == "ys" else outputs[name] for name in self.finals))

    def _alone(self, t, state):
        given = [tuple(u[t : t + 1] if name == "ys" else u for name, u in zip(self.g.outputs, us)) for us in self.g.p.given]
        return replace(self.g.p, x=self.g.p.x[t : t + 1], state=state, given=given)

    def derivatives(self, t, s):
        """d (new states) / d (weights, x, states) of the step with the input of step t at the state before step s."""
        if (t, s) not in self._known:
            size = self.g.p.state[0].size  # of every output of a single step
            rows = np.concatenate([np.arange(size) + size * self.g.outputs.index(name) for name in self.finals])
            self._known[t, s] = [J[rows] for J in jacobian(self.g.Cell, self._alone(t, self.states[s]))]
        return self._known[t, s]

    def back(
        self,
        carry=None,
        between=False,
        overwrite=False,
        final=None,
        ys=None,
        at=None,
        order=None,
        weights=None,
        initial=None,
        dx=None,
        clip=None,
        cut=None,
        early=False,
        turned=False,
    ):
        """All gradients by name of a reverse pass with one mistake; without options, of the right one."""
        g, given = self.g, dict(zip(self.g.outputs, self.g.upstream))
        d_ys = given.get("ys", np.zeros((self.T, *g.p.state[-1].shape)))
        d_state = [given.get(f"{name}'", 0 * s) for name, s in zip(g.names[g.n + 1 :], g.p.state)]
        d_state = [d * (final(k) if final else 1.0) for k, d in enumerate(d_state)]
        total, d_x = [np.zeros(w.shape) for w in g.p.weights], np.zeros(g.p.x.shape)
        for t in range(self.T - 1, -1, -1) if order is None else order:
            source = ys(t) if ys else t
            extra = d_ys[source] if source is not None else 0 * d_ys[0]
            new = [*d_state[:-1], extra if overwrite else d_state[-1] + extra]
            flat = np.concatenate([np.ravel(d) for d in new])
            J = self.derivatives(*(at(t) if at else (t, t)))
            total = [a + (weights(t) if weights else 1.0) * (flat @ j).reshape(a.shape) for a, j in zip(total, J)]
            d_x[dx(t) if dx else t] = (flat @ J[g.n]).reshape(d_x.shape[1:])
            if early and t == 0:
                d_state = new
                break
            d_state = [(flat @ j).reshape(s.shape) for j, s in zip(J[g.n + 1 :], g.p.state)]
            if turned:
                d_state[-1] = d_state[-1] + self._turned(t, new)
            if carry and not (between and t == 0):
                d_state = [d * carry(k) for k, d in enumerate(d_state)]
            if clip:
                d_state = [np.clip(d, -clip, clip) for d in d_state]
            if cut and t and cut(t):
                d_state = [0 * d for d in d_state]
        d_state = [d * (initial(k) if initial else 1.0) for k, d in enumerate(d_state)]
        return dict(zip(g.names, [*total, d_x, *d_state]))

    def truncated(self, k):
        """All gradients by name where what arrives at a step is followed back over k steps only."""
        sums = None
        for s in range(self.T):
            part = self.back(
                order=range(s, max(s - k, -1), -1),
                ys=lambda t, s=s: t if t == s else None,
                final=lambda j, s=s: float(s == self.T - 1),
                initial=lambda j, s=s: float(s < k),
            )
            sums = part if sums is None else {name: sums[name] + a for name, a in part.items()}
        return sums

    def _turned(self, t, new):
        """What is added to the gradient of h where its weights are not transposed: each row's is read off the gradient of them."""
        g, h, found = self.g, self.states[t][-1], []
        weights = gates_of(g.p.weights, g.blocks, g.cell.spec.transposed)
        for r, row in enumerate(h):
            flat = np.concatenate([np.ravel(d * (np.arange(len(h)) == r)[:, None]) for d in new])
            own = [(flat @ j).reshape(w.shape) for w, j in zip(g.p.weights, self.derivatives(t, t))]
            own, i = gates_of(own, g.blocks, g.cell.spec.transposed), int(np.argmax(np.abs(row)))
            parts = [own[key][i] / row[i] @ (w - w.T) for key, w in weights.items() if key[0] == "h"]
            found.append(sum(parts))
        return np.array(found)
