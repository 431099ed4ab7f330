"""The gradient checks of frameworks, on a function of their own made of a cell's apply and vjp. Each raises where it rejects."""

import copy

import numpy as np

STEPS = 3


def case(Cell, batch, features, state, seed=0):
    """A cell with standard normal weights / 2, and standard normal inputs, the modulus where they must be positive."""
    cell, rng = Cell(features, state), np.random.default_rng(seed)
    for w in cell.weights:
        w[...] = rng.standard_normal(w.shape) / 2
    x = rng.standard_normal(((STEPS,) if cell.sequence else ()) + (batch, features))
    states = {name: rng.standard_normal((batch, *shape)) for name, shape in cell.state_shapes.items()}
    return cell, x, tuple(np.abs(s) if name in cell.domains else s for name, s in states.items())


def torch_gradcheck(Cell, fast=False):
    """torch.autograd.gradcheck with its defaults, on a Function made of apply and vjp."""
    import torch

    torch.set_num_threads(1)
    cell, x, state = case(Cell, 3, 4, 5)

    class Through(torch.autograd.Function):
        @staticmethod
        def forward(ctx, *tensors):
            ctx.cell, arrays = fresh(cell, [t.detach().numpy() for t in tensors])
            outputs = ctx.cell.apply(*arrays)
            return tuple(torch.from_numpy(np.array(y)) for y in outputs)

        @staticmethod
        def backward(ctx, *upstream):
            return tuple(torch.from_numpy(np.array(g)) for g in flat(ctx.cell.vjp(*(u.numpy().copy() for u in upstream))))

    tensors = [torch.tensor(a, requires_grad=True) for a in (*cell.weights, x, *state)]
    torch.autograd.gradcheck(Through.apply, tensors, fast_mode=fast)


def torch_gradcheck_fast(Cell):
    """The same along one random direction."""
    return torch_gradcheck(Cell, fast=True)


def jax_check_grads(Cell):
    """jax.test_util.check_grads in reverse mode, 64 bits, on a custom_vjp made of apply and vjp."""
    import jax
    from jax.test_util import check_grads

    jax.config.update("jax_enable_x64", True)
    cell, x, state = case(Cell, 3, 4, 5)
    given = (*cell.weights, x, *state)
    shapes = [jax.ShapeDtypeStruct(np.shape(y), np.float64) for y in fresh(cell, given)[0].apply(x, *state)]

    def applied(*arrays):
        copied, inputs = fresh(cell, arrays)
        return tuple(np.asarray(y) for y in copied.apply(*inputs))

    def differentiated(arrays, upstream):
        copied, inputs = fresh(cell, arrays)
        copied.apply(*inputs)
        return tuple(np.asarray(g) for g in flat(copied.vjp(*(np.array(u) for u in upstream))))

    @jax.custom_vjp
    def through(*arrays):
        return tuple(jax.pure_callback(applied, shapes, *arrays))

    def backward(arrays, upstream):
        return tuple(jax.pure_callback(differentiated, [jax.ShapeDtypeStruct(a.shape, a.dtype) for a in given], arrays, upstream))

    through.defvjp(lambda *arrays: (through(*arrays), arrays), backward)
    check_grads(through, given, order=1, modes=["rev"])


def fresh(cell, arrays):
    """A copy of the cell that holds these weights, and copies of the inputs that follow them."""
    arrays = [np.array(a) for a in arrays]
    n = len(cell.weights)
    return copy.deepcopy(cell, {id(old): new for old, new in zip(cell.weights, arrays[:n])}), arrays[n:]


def flat(gradients):
    """[*weights, x, *state]."""
    weights, x, state = gradients
    return [*weights, x, *state]
