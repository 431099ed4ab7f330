"""Those that verify the gradients of a cell: ours, the loop over entries, and the gradient checks of frameworks.

Each is a function of a subject that returns whether it rejects it. All go through the same NumPy apply and vjp.
"""

from importlib.util import find_spec

import numpy as np
from cellcheck.properties.mutants.frameworks import flat, fresh
from cellcheck.properties.oracles.gradients import Judge, judged, prepared
from cellcheck.properties.oracles.memory import give_back

PARTS = ("weights", "x", "state")
EPSILON, LINE = 1e-5, 1e-3
MOST = 400  # entries that the loop is timed on; for more the time is scaled
MEMORY = 2**28  # numbers in the Jacobians of the slow gradcheck


def everything(subject):
    """Ours, as the laws ask: one direction aligned with all claims and balanced between gates, and a random one."""
    blocks = judged(subject.cell, subject.x, subject.state, subject.problem, subject.hand, PARTS)
    return violated(blocks)


def by_array(subject):
    """Ours, an aligned direction for each array."""
    return one_by_one(asked(subject), lambda judge, signed: ((judge.names[k], {k: v}) for k, v in signed.items()))


def by_gate(subject):
    """Ours, an aligned direction for each gate of each array."""

    def parts(judge, signed):
        return ((r.name, {r.k: [(index, signed[r.k][index], 1.0) for index in r.indices]}) for r in judge.regions)

    return one_by_one(asked(subject), parts)


def one_by_one(judge, parts):
    """Whether the claim is wrong along any of the parts(judge, signed), pairs of a name and a direction."""
    signed = {k: judge.signed(k) for k in judge.directions}
    wrong = violated(judge.verdict(name, part) for name, part in parts(judge, signed))
    give_back(signed.values())
    judge.release()
    return wrong


def asked(subject) -> Judge:
    """The judge of all parts."""
    return prepared(subject.cell, subject.x, subject.state, subject.problem, subject.hand, PARTS)[0]


def violated(blocks):
    """Whether any block is."""
    return any(block.verdict == "violated" for block in blocks)


def loop(subject, entries=None):
    """The gist's loop: central differences of the sum, weight by weight, relative error above 1e-3.

    entries: (k, index) of those to try; None for all. Verifies the gradients of the weights only.
    """
    cell, inputs = subject.cell.guest, (subject.x, *subject.state)
    cell.forward(*inputs)
    claims = cell.backward(1.0)
    for k, index in every_entry(cell) if entries is None else entries:
        w, sums = cell.weights[k], []
        kept = w[index]
        for moved in (kept + EPSILON, kept - EPSILON):
            w[index] = moved
            sums.append(cell.forward(*inputs))
        w[index] = kept
        numerical, claimed = (sums[0] - sums[1]) / (2 * EPSILON), claims[k][index]
        if abs(numerical - claimed) > LINE * abs(numerical + claimed):
            return True
    return False


def every_entry(cell):
    """(k, index) of each entry of each weight."""
    for k, w in enumerate(cell.weights):
        yield from ((k, index) for index in np.ndindex(w.shape))


def gradcheck(subject, fast=False):
    """torch.autograd.gradcheck with its defaults on a Function made of apply and vjp."""
    import torch

    torch.set_num_threads(1)

    class Through(torch.autograd.Function):
        @staticmethod
        def forward(ctx, *tensors):
            ctx.cell, inputs = fresh(subject.cell, [t.detach().numpy() for t in tensors])
            return tuple(torch.from_numpy(np.array(y)) for y in ctx.cell.apply(*inputs))

        @staticmethod
        def backward(ctx, *upstream):
            return tuple(map(torch.from_numpy, flat(ctx.cell.vjp(*(u.numpy().copy() for u in upstream)))))

    tensors = [torch.tensor(a, requires_grad=True) for a in subject.arrays]
    return not torch.autograd.gradcheck(Through.apply, tensors, fast_mode=fast, raise_exception=False)


def gradcheck_fast(subject):
    """The same along one random direction."""
    return gradcheck(subject, fast=True)


def jax_check(subject):
    """jax.test_util.check_vjp with its defaults and 64 bits: what check_grads does in reverse mode, without tracing."""
    import jax
    from jax.test_util import check_vjp

    jax.config.update("jax_enable_x64", True)

    def applied(*arrays):
        cell, inputs = fresh(subject.cell, arrays)
        return tuple(np.asarray(y) for y in cell.apply(*inputs))

    def with_vjp(*arrays):
        cell, inputs = fresh(subject.cell, arrays)
        outputs = tuple(np.asarray(y) for y in cell.apply(*inputs))
        return outputs, lambda upstream: tuple(flat(cell.vjp(*(np.array(u) for u in upstream))))

    try:
        check_vjp(applied, with_vjp, tuple(subject.arrays))
    except AssertionError:
        return True
    return False


OURS = {"two directions through everything": everything, "a direction per array": by_array, "a direction per gate": by_gate}
FRAMEWORKS = {
    "torch gradcheck": (gradcheck, "torch"),
    "torch gradcheck, fast": (gradcheck_fast, "torch"),
    "jax check_vjp": (jax_check, "jax"),
}


def frameworks():
    """The checks of the frameworks that are installed, by name."""
    return {name: check for name, (check, library) in FRAMEWORKS.items() if find_spec(library)}


def affordable(name, subject):
    """Whether a check fits into memory and a minute: the slow gradcheck holds the whole Jacobian twice."""
    if name != "torch gradcheck":
        return True
    entries = sum(a.size for a in subject.arrays)
    return entries * subject.state[0].size * len(subject.state) < MEMORY / 8
