"""The fused kernel of kernels.py in Triton, and one that launches a single block; TRITON_INTERPRET=1 runs both without a GPU."""

import torch
import triton
import triton.language as tl
from kernels import Fused, Gated  # noqa: F401, taken from here with Mix

BLOCK = 8


@triton.jit
def _mix(a, g, h, out, n, block: tl.constexpr):
    at = tl.program_id(0) * block + tl.arange(0, block)
    inside = at < n
    old = tl.load(h + at, inside)
    t = 2 / (1 + tl.exp(-2 * tl.load(g + at, inside))) - 1
    tl.store(out + at, old + (t - old) / (1 + tl.exp(-tl.load(a + at, inside))), inside)


class Mix(Fused):
    """h' = h + sigmoid(a) (tanh(g) - h) by the kernel."""

    blocks = None

    @classmethod
    def forward(cls, ctx, z, h):
        """h'."""
        a, g, out = *(part.contiguous() for part in z.chunk(2, -1)), torch.zeros_like(h)
        ctx.save_for_backward(z, h)
        if h.numel():
            _mix[(cls.blocks or triton.cdiv(h.numel(), BLOCK),)](a, g, h.contiguous(), out, h.numel(), block=BLOCK)
        return out


class FirstBlock(Mix):
    """The defect: nothing beyond the first block is computed."""

    blocks = 1


def call(module, x, h):
    """The outputs as a tuple."""
    return (module(x, h),)
