"""The sequence cell made of a step cell, with backpropagation through time."""

import copy

import numpy as np
from cellcheck.cells.contract import Cell, Gradients, _numbers


def Unroll(Step):
    """The class of the sequence cell that runs `_apply` and `_vjp` of a `Step` cell at each step; ragged batches through `lengths`."""
    declared = {name: getattr(Step, name) for name in ("kind", "state_names", "transposed") if hasattr(Step, name)}
    return type(f"Unrolled{Step.__name__}", (Unrolled,), {"Step": Step, "__doc__": Unrolled.__doc__, **declared})


class Unrolled(Cell):
    """state_t = Step(x_t, *state_{t-1}); apply(x, *state) returns (*final state, ys), ys_t the output of step t.

    x is (steps, batch, features), each state (batch, state), ys (steps, batch, state).
    """

    Step: type
    sequence = True

    def __init__(self, input_features, state_size, **options):
        """The arguments are those of `Step`."""
        super().__init__(input_features, state_size)
        self.step = self.Step(input_features, state_size, **options)

    @property
    def weights(self):
        """The live weights of the step cell."""
        return self.step.weights

    @property
    def weight_blocks(self):
        """The blocks of the step cell."""
        return self.step.weight_blocks

    @property
    def state_shapes(self):
        """The states of the step cell."""
        return self.step.state_shapes

    @property
    def output_shape(self):
        """The output of the step cell, if it is not a state."""
        return self.step.output_shape

    @property
    def domains(self):
        """The domains of the step cell."""
        return self.step.domains

    def apply(self, x, *state, lengths=None):
        """The final states and the outputs of all steps: (*state, ys).

        lengths: one integer a row, the steps that row takes (default: all). A row that has ended keeps its state, and its
        ys are zero from there on; what x holds there is of no consequence. Raises as Cell.apply, and ValueError for lengths.
        """
        x, *state = self._checked_input(x, state)
        steps, batch, _ = x.shape
        whole = np.full(batch, steps)
        lengths = whole if lengths is None else _numbers("lengths", lengths)
        if lengths is not whole and (
            lengths.shape != (batch,) or lengths.dtype.kind not in "iu" or ((lengths < 0) | (lengths > steps)).any()
        ):
            raise ValueError(
                f"lengths is {lengths.tolist()}, but {self} wants one integer from 0 to {steps} for each of {batch} rows"
            )
        return self._apply(x, *state, lengths=lengths)

    def _apply(self, x, *state, lengths):
        alive = np.arange(len(x))[:, None] < lengths
        x, states, ys, taken = _chosen(alive, x), [state], [], []
        alive = [np.True_] * len(x) if alive.all() else alive
        for x_t, on in zip(x, alive):
            new = self.step._apply(x_t, *states[-1])
            taken.append(copy.copy(self.step))
            states.append(tuple(_chosen(on, n, old) for n, old in zip(new, states[-1])))
            ys.append(_chosen(on, new[-1]))
        self._cache = x, alive, taken
        return *(s.copy() for s in states[-1]), np.stack(ys) if ys else np.zeros(self._output_shapes()[-1], x.dtype)

    def _vjp(self, *d_outputs):
        x, alive, taken = self._cache
        *d_state, d_ys = (d.copy() for d in d_outputs)
        d_weights, dx = [np.zeros_like(w) for w in self.weights], np.zeros_like(x)
        for t in reversed(range(len(x))):
            on = alive[t]
            d_new, d_y = [_chosen(on, d) for d in d_state], _chosen(on, d_ys[t])
            d_new.append(d_y if self.output_shape else d_new.pop() + d_y)  # by default the last state is the output
            step = taken[t]._vjp(*d_new)
            d_weights = [total + d for total, d in zip(d_weights, step.weights)]
            d_state = [_chosen(on, d, old) for d, old in zip(step.state, d_state)]
            dx[t] = step.x
        return Gradients(d_weights, dx, d_state)

    def _output_shapes(self):
        steps, batch, _ = self._cache[0].shape
        states = self._states_of(batch)
        return [*states, (steps, batch, *(self.output_shape or states[-1][1:]))]


def _chosen(on, a, b=0):
    """Rows of a where `on`, (..., batch), is true, elsewhere of b."""
    if on is np.True_:  # of all rows
        return a
    return np.where(on.reshape(*on.shape, *[1] * (a.ndim - on.ndim)), a, b)
