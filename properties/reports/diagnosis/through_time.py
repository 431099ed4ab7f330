"""Mistakes of backpropagation through time: the reverse pass is redone with each of them, on true derivatives of single steps."""

from dataclasses import replace

import numpy as np
from cellcheck.properties.reports.diagnosis.grown import figure, gap, jacobian, same


def through_time(g, claims, truth):
    """Sentences about a sequence cell whose gradients are wrong, or []."""
    steps = Steps(g)
    straight = steps.back()
    if not all(same(straight[n], truth[n]) for n in claims):
        return []  # the sequence is not its steps: nothing can be said about how it is differentiated
    for said, options in mistakes(g):
        predicted = steps.back(**options)
        if all(same(claims[n], predicted[n]) for n in claims):
            worst = max(gap(claims[n], predicted[n]) for n in claims)
            return [f"{said}: the reverse pass, redone in this way, gives all gradients to {figure(worst)}"]
    return []


def mistakes(g):
    """(sentence, options of Steps.back)."""
    T, names = len(g.p.x), g.names[-len(g.p.state) :]
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
    yield "each step is differentiated at the input of the step before", {"at": lambda t: ((t - 1) % T, t)}
    yield "each step is differentiated at the state of the step after", {"at": lambda t: (t, (t + 1) % T)}
    yield "every step is differentiated at the initial state", {"at": lambda t: (t, 0)}
    yield "every step is differentiated at the last step's values: one cache for all steps", {"at": lambda t: (T - 1, T - 1)}
    yield "every step is differentiated at the first step's values: one cache for all steps", {"at": lambda t: (0, 0)}
    yield "the steps are differentiated first to last instead of last to first", {"order": list(range(T))}
    yield (
        "the weight gradient of the first step alone is kept: the sum over the steps is overwritten",
        {"weights": lambda t: float(t == 0)},
    )
    yield "the weight gradient of the last step alone is kept", {"weights": lambda t: float(t == T - 1)}
    yield f"the weight gradient is the mean over the {T} steps instead of the sum", {"weights": lambda t: 1 / T}
    yield "step 0 is not differentiated", {"order": list(range(T - 1, 0, -1))}
    yield "the last step is not differentiated", {"order": list(range(T - 2, -1, -1))}
    for n in (1, 2, 3, 8, 5, 10):
        if n < T:
            yield f"only the last {n} steps are differentiated", {"order": list(range(T - 1, T - 1 - n, -1))}
    yield "the initial state gets no gradient", {"initial": lambda k: 0.0}
    for j, name in enumerate(names):
        yield f"the initial {name} gets no gradient", {"initial": lambda k, j=j: float(k != j)}
    yield "the gradient of x is shifted by one step", {"dx": lambda t: (t - 1) % T}
    yield "the gradient of x runs backwards in time", {"dx": lambda t: T - 1 - t}
    for c in (0.1, 0.5, 1.0):
        yield f"the gradient carried back in time is clipped at {c:g} at every step", {"clip": c}


class Steps:
    """The single steps of a sequence and their true derivatives."""

    def __init__(self, g):
        """g: a Grown of a sequence cell."""
        self.g, self.T, self.states, self._known = g, len(g.p.x), [tuple(g.p.state)], {}
        for t in range(self.T):
            outputs = g.ran(self._alone(t, self.states[t]))
            self.states.append(tuple(outputs[name] for name in g.outputs[: len(g.p.state)]))

    def _alone(self, t, state):
        return replace(
            self.g.p, x=self.g.p.x[t : t + 1], state=state, given=[(*u[:-1], u[-1][t : t + 1]) for u in self.g.p.given]
        )

    def derivatives(self, t, s):
        """d (new states) / d (weights, x, states) of the step with the input of step t at the state before step s."""
        if (t, s) not in self._known:
            n = sum(a.size for a in self.g.p.state)
            self._known[t, s] = [J[:n] for J in jacobian(self.g.Cell, self._alone(t, self.states[s]))]
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
    ):
        """All gradients by name of a reverse pass with one mistake; without options, of the right one."""
        g, n = self.g, len(self.g.p.state)
        *d_state, d_ys = g.upstream
        d_state = [d * (final(k) if final else 1.0) for k, d in enumerate(d_state)]
        total, d_x = [np.zeros(w.shape) for w in g.p.weights], np.zeros(g.p.x.shape)
        for t in order or range(self.T - 1, -1, -1):
            source = ys(t) if ys else t
            extra = d_ys[source] if source is not None else 0.0
            new = [*d_state[:-1], extra if overwrite else d_state[-1] + extra]
            flat = np.concatenate([np.ravel(d) for d in new])
            J = self.derivatives(*(at(t) if at else (t, t)))
            total = [a + (weights(t) if weights else 1.0) * (flat @ j).reshape(a.shape) for a, j in zip(total, J)]
            d_x[dx(t) if dx else t] = (flat @ J[g.n]).reshape(d_x.shape[1:])
            d_state = [
                (flat @ j).reshape(s.shape) * (carry(k) if carry and not (between and t == 0) else 1.0)
                for k, (j, s) in enumerate(zip(J[g.n + 1 :], g.p.state))
            ]
            if clip:
                d_state = [np.clip(d, -clip, clip) for d in d_state]
        d_state = [d * (initial(k) if initial else 1.0) for k, d in enumerate(d_state)]
        return dict(zip(g.names, [*total, d_x, *d_state[:n]]))
