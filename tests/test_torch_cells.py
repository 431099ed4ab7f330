"""torch modules as cells: what is right passes, what is wrong is refused, what cannot be called is said in one line."""

from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from hypothesis.errors import UnsatisfiedAssumption

torch = pytest.importorskip("torch", reason="a framework, and optional")

from cellcheck.cells import lift  # noqa: E402
from cellcheck.cells.adapters import torch_module  # noqa: E402
from cellcheck.cells.adapters.torch_modes import Continued  # noqa: E402
from cellcheck.properties.intake.catalogue import laws  # noqa: E402
from cellcheck.properties.intake.loading import GuestError  # noqa: E402
from cellcheck.properties.intake.preflight import cleared  # noqa: E402
from cellcheck.properties.mutants import killed  # noqa: E402
from cellcheck.properties.oracles.complex_step import ComplexStep  # noqa: E402
from cellcheck.properties.oracles.handshake import handshake  # noqa: E402
from cellcheck.properties.reports.diagnosis import examined  # noqa: E402
from cellcheck.properties.reports.diagnosis.flow_faults import untold  # noqa: E402
from cellcheck.properties.reports.diagnosis.grown import PLAIN, grown  # noqa: E402
from cellcheck.strategies import Problem  # noqa: E402

from cellcheck import cells, check  # noqa: E402
from tests.guests import kernels, torch_shapes  # noqa: E402
from tests.test_field_cases import broken  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # of broken cells


@pytest.mark.parametrize("case", kernels.RIGHT)
def test_what_is_right_passes(case):
    """Every law that applies."""
    assert broken(cleared("kernels.py:Guest", kernels.RIGHT[case]).Cell) == set()


@pytest.mark.parametrize("case", kernels.WRONG)
def test_what_is_wrong_is_refused(case):
    """By the law that says so."""
    Guest, law = kernels.WRONG[case]
    assert broken(cleared("kernels.py:Guest", Guest).Cell, [law], n=40) == {law}


@pytest.mark.parametrize("message", kernels.REFUSED)
def test_what_cannot_be_called_is_refused_in_one_line(message):
    """What was given, and what to give."""
    with pytest.raises(GuestError) as refusal:
        cleared("kernels.py:Guest", kernels.REFUSED[message])
    assert message in str(refusal.value) and "\n" not in str(refusal.value)


def test_an_empty_batch_has_the_strides_that_torch_gives_it():
    """Those of an empty NumPy array are 0, which view_as_complex refuses, forwards and backwards."""

    class Turning(torch.nn.Module):
        def __init__(self, F, S):
            super().__init__()
            self.W = torch.nn.Parameter(torch.ones(F, S, 2))

        def forward(self, x, h):
            new = torch.view_as_complex(h) + x.to(torch.complex128) @ torch.view_as_complex(self.W)
            return (torch.view_as_real(new),)

    Cell = torch_module(
        Turning, call=lambda m, x, h: m(x, h), states=("h",), state_shapes={"h": lambda F, S: (S, 2)}, complex=False
    )
    assert check(Cell, "quick", "an_empty_batch_adds_nothing").verdicts == {"an_empty_batch_adds_nothing": "held"}


def test_only_trainable_floats_are_weights():
    """Integers, frozen parameters and buffers are none, and keep their values."""
    cell = kernels.RIGHT["integers and frozen numbers"](2, 3)
    assert cell.weight_names == ["W"] and [w.shape for w in cell.weights] == [(5, 3)]
    assert cell.module.k.dtype == torch.int64


def test_an_output_without_a_gradient_takes_no_upstream():
    """It is named in the head, and its values are verified."""
    found = cleared("kernels.py:Counting", kernels.RIGHT["an output that autograd does not reach"])
    told = "takes no upstream for n': its gradients are not verified, its values are; if vjp treats n as a constant, declare no_gradient"
    assert any(note.startswith(told) for note in found.notes)
    assert [y.differentiable for y in found.Cell.spec().outputs] == [False, True]


def test_one_thread_is_used_and_no_tf32_and_both_are_restored():
    """Threads cost more than they save in small cells; TF32 has 11 bits."""
    before, seen, cudnn, matmul = torch.get_num_threads(), [], torch.backends.cudnn, torch.backends.cuda.matmul
    matmul.allow_tf32 = True

    def noted(module, x, h):
        seen.append((torch.get_num_threads(), cudnn.allow_tf32, matmul.allow_tf32))
        return (module(x, h),)

    torch.set_num_threads(2)
    try:
        cell = torch_module(torch.nn.RNNCell, call=noted)(2, 3)
        cell.apply(*(torch.zeros(1, n).numpy() for n in (2, 3)))
        assert set(seen) == {(1, False, False)}
        assert torch.get_num_threads() == 2 and cudnn.allow_tf32 and matmul.allow_tf32
    finally:
        matmul.allow_tf32 = False
        torch.set_num_threads(before)


def test_weights_are_copied_into_the_memory_that_a_device_has_for_them():
    """cuDNN wants those of one module side by side."""
    cell = torch_module(torch.nn.GRU, device="cpu")(2, 3)
    places = [p.data_ptr() for p in cell.module.parameters()]
    cell.weights[0][...] = 7
    cell.apply(np.zeros((1, 1, 2)), np.zeros((1, 3)))
    assert (cell.module.weight_ih_l0 == 7).all() and [p.data_ptr() for p in cell.module.parameters()] == places


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_our_cells_equal_those_of_torch(name):
    """Step by step, and over a sequence."""
    Shipped = getattr(cells, name)
    assert check(Shipped, "quick", "equivalence", reference=f"torch:{name}Cell").held
    assert check(cells.Unroll(Shipped), "quick", "equivalence", reference=f"torch:{name}").held


def test_bfloat16_is_judged_beside_a_reference():
    """Equal to a cell in float64 but for roundings of bfloat16; a factor of 1.25 in one gradient is no rounding."""
    good, bad = (check(torch_shapes.in_bfloat16(loud), "quick", "equivalence", reference=cells.GRU) for loud in (False, True))
    assert good.held and bad.verdicts["gradients_equal_the_reference"] == "broken"


class Packed(torch.nn.Module):
    """A GRU of torch's, on packed sequences; wrong: the outputs are not put back in order."""

    def __init__(self, features, state, wrong=False):
        super().__init__()
        self.gru, self.wrong = torch.nn.GRU(features, state), wrong

    def forward(self, x, h, lengths):
        """The final h, and that of all steps."""
        packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
        ys, h = self.gru(packed, h[None])
        ys, _ = torch.nn.utils.rnn.pad_packed_sequence(ys, total_length=len(x))
        return h[0], ys[:, torch.argsort(lengths)] if self.wrong else ys


@pytest.mark.parametrize("wrong", [False, True])
def test_lengths_are_handed_on(wrong):
    """To a call that has a parameter of that name; none is shorter than the cell takes."""
    law = "each_ragged_row_equals_its_solo_run"
    Guest = torch_module(
        lambda F, S: Packed(F, S, wrong),
        call=lambda module, x, h, lengths: module(x, h, lengths),
        states=("h",),
        sequence=True,
        fewest_steps=1,
    )
    laws = [law, "a_used_cell_equals_a_fresh_one", "padding_is_of_no_consequence"]
    assert broken(cleared("a.py:Packed", Guest).Cell, laws, n=25) == ({law} if wrong else set())


class Scan(torch.autograd.Function):
    """h' = f h + (1 - f) u / 2 in each step, with f and u of one product; written into ys, and a hand-written backward."""

    mistake = ""

    @staticmethod
    def forward(ctx, z, h):
        ys, hs, f = torch.empty_like(z[..., : h.shape[-1]]), [h], []
        for t in range(len(z)):
            u, gate = z[t].chunk(2, -1)
            f.append(torch.sigmoid(gate))
            hs.append(f[t] * hs[t] + (1 - f[t]) * (u / 2.0))
            ys[t] = hs[-1]
        ctx.save_for_backward(z, torch.stack(hs), torch.stack(f) if f else ys)
        return hs[-1].clone(), ys

    @staticmethod
    def backward(ctx, dh, dys):
        z, hs, f = ctx.saved_tensors
        dz = torch.zeros_like(z)
        for t in reversed(range(len(z))):
            dh = dh + dys[t]
            u, _ = z[t].chunk(2, -1)
            df = dh * (hs[t + 1] if Scan.mistake == "after" else hs[t]) - dh * u / 2
            du = dh * (1 - f[t]) / (1 if Scan.mistake == "half" else 2)
            dz[t] = torch.cat([du, df * f[t] * (1 - f[t])], -1)
            dh = dh * ((1 - f[t]) if Scan.mistake == "gate" else f[t])
        return dz, dh


class Scanned(torch.nn.Module):
    """The scan of x W; with noise, its numbers are random."""

    def __init__(self, features, state, noise=0.0):
        super().__init__()
        self.W, self.noise = torch.nn.Parameter(torch.zeros(features, 2 * state)), noise

    def forward(self, x, h):
        """The last h, and those of all steps."""
        z = x @ self.W
        return Scan.apply(z + self.noise * torch.rand_like(z) if self.noise else z, h)


def scanned(**options):
    """The factory of a Scanned."""
    return lift(torch_module(lambda F, S: Scanned(F, S, **options), call=lambda m, x, h: m(x, h), states=("h",), sequence=True))


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        ("after", "in `f[t] * hs[t]` (line {}) uses `hs[t]` of the step after"),
        ("half", "the gradient that flows back to `z[t]` through `z[t].chunk(2, -1)` (line {}) is counted twice"),
        ("gate", "in `f[t] * hs[t]` (line {}) uses `1 - f[t]` where `f[t]` belongs"),
    ],
)
def test_a_mistake_is_found_in_the_operations_of_torch(mistake, said, monkeypatch):
    """With its line: a hand-written backward is compared with what the forward pass computes, in place and in parts."""
    monkeypatch.setattr(Scan, "mistake", mistake)
    line = Scan.forward.__code__.co_firstlineno + (4 if mistake == "half" else 6)
    sentences, wrong, faults = examined(scanned(), PLAIN)
    assert wrong and not faults and said.format(line) in sentences[0]


class Odd(torch.nn.Module):
    """What a tape cannot follow, or only if it keeps copies: a list that grows, in-place arithmetic, bfloat16, vmap."""

    def __init__(self, features, state, way):
        super().__init__()
        self.W, self.way = torch.nn.Parameter(torch.zeros(features, state)), way

    def forward(self, x, h):
        """h' of x W."""
        z = x @ self.W
        if self.way == "list":
            kept = [z]
            stacked = torch.stack(kept)
            kept.append(h)
            return stacked[0].detach() + 0.3 * z + h
        if self.way == "in place":
            new = h * 1
            new *= torch.sigmoid(z)
            return new.detach() * h
        if self.way == "bfloat16":
            return z.to(torch.bfloat16).to(z.dtype).detach() + h
        return torch.vmap(torch.tanh)(z).detach() + h


@pytest.mark.parametrize("way", ["list", "in place", "bfloat16", "vmap"])
def test_what_torch_offers_beside_plain_calls_breaks_no_diagnosis(way):
    """The detached part is told where it can be followed."""
    Cell = lift(torch_module(lambda F, S: Odd(F, S, way), call=lambda m, x, h: (m(x, h),)))
    sentences, wrong, faults = examined(Cell, PLAIN)
    assert wrong and not faults and (way in ("bfloat16", "vmap") or "no gradient flows back" in sentences[0])


def test_what_torch_draws_is_not_followed(monkeypatch):
    """Its slopes are not those of the numbers that were drawn; what is right is not told to be wrong."""
    assert untold(grown(scanned(), PLAIN)) == "" and examined(scanned(), PLAIN).sentences == ()
    monkeypatch.setattr(Scan, "mistake", "gate")
    assert not any("`1 - f[t]`" in said for said in examined(scanned(noise=0.5), PLAIN).sentences)


def chunked(wrong):
    """Sums of logarithms of a decay, whose differences cancel: y = v_2 + exp((g_1 + g_2) - g_1) v_1, or a part of 1e-4 too much."""

    class Chunked(torch.nn.Module):
        def __init__(self, features, state):
            super().__init__()
            self.g, self.v = torch.nn.Linear(features, state), torch.nn.Linear(features, state)

        def forward(self, x, s):
            sums = torch.nn.functional.logsigmoid(self.g(x)).cumsum(0)
            total = sums[-1].exp() * s if len(x) else s
            for t in range(len(x)):
                total = total + (sums[-1] - sums[t]).exp() * self.v(x[t]) * (1 + wrong * t)
            return (total,)

    return lift(torch_module(Chunked, call=lambda m, x, s: m(x, s), states=("s",), sequence=True, output="s"))


@pytest.mark.parametrize("wrong", [0.0, 1e-4])
def test_what_cancels_within_a_module_is_no_fault(wrong):
    """Results of operations are rounded at random, as those of NumPy are, before a sequence that is cut is refused."""
    Cell, law = chunked(wrong), laws()["a_sequence_may_be_split"]
    far = [np.array([[-600.0]]), np.array([-60.0]), np.array([[80.0]]), np.array([0.5])]
    found = []
    for seed in range(40):
        problem = Problem(1, 1, 1, steps=2, seed=seed, scale=0.1).literal(Cell)
        problem = replace(problem, weights=far, x=np.array([[[1.0]], [[-0.12 - seed / 3000]]]))
        with suppress(UnsatisfiedAssumption):
            found.append(killed(law, Cell, [problem]) is not None)
    assert found and any(found) == bool(wrong)


class Softsign(torch.nn.Module):
    """z / max(|h z|, 1): of complex numbers, torch's own abs drops imaginary parts as detach does."""

    def __init__(self, features, state, detached=False):
        super().__init__()
        self.linear, self.detached = torch.nn.Linear(features + state, state), detached

    def forward(self, x, h):
        z = self.linear(torch.cat([x, h], 1))
        size = torch.clamp((h * z).sum(-1, keepdim=True).abs(), min=1.0)
        return z / (size.detach() if self.detached else size)


@pytest.mark.parametrize("detached", [False, True])
def test_complex_steps_go_on_through_abs_and_clamp(detached):
    """So a denominator without a gradient is seen, and complex steps are right."""
    Cell = lift(torch_module(lambda F, S: Softsign(F, S, detached), call=lambda m, x, h: (m(x, h),)))
    assert set(handshake(Cell).oracles) == {ComplexStep}
    assert broken(Cell, ["state_gradients"], n=40) == ({"state_gradients"} if detached else set())


def test_real_functions_are_continued_near_the_real_axis():
    """Each has the derivative that it has there; a norm of another order is refused."""
    x = torch.tensor([[-2.0, 0.5, 3.0]], dtype=torch.float64)
    functions = [
        torch.abs,
        torch.relu,
        lambda z: z.clamp(-1, 1),
        lambda z: z.clamp_min(0.0),
        lambda z: z.clamp_max(1.0),
        lambda z: torch.maximum(z, 2 * z),
        lambda z: torch.minimum(z, z * z),
        lambda z: torch.where(z > 1, z * z, z),
        lambda z: z.norm(dim=-1, keepdim=True) * z,
        lambda z: z.double() * torch.sign(z),
        lambda z: z.clone().abs_(),
        lambda z: torch.dist(z, 2 * z.flip(-1)) * z,
        lambda z: z.var() * z,
        lambda z: z.var(-1, correction=0, keepdim=True) * z,
        lambda z: z.std(-1, keepdim=True) * z,
        lambda z: torch.var_mean(z, -1, keepdim=True)[0] * torch.var_mean(z, -1, keepdim=True)[1] * z,
        lambda z: z * z.conj(),
    ]
    for function in functions:
        right = torch.func.jvp(function, (x,), (torch.ones_like(x),))[1]
        with torch.no_grad(), Continued():
            found = function(x + 1e-100j).imag / 1e-100
        assert torch.allclose(found, right, rtol=1e-12)
    with torch.no_grad(), Continued():
        assert torch.isnan(torch.maximum(x + 1e-100j, torch.full_like(x, torch.nan))).all()
    with torch.no_grad(), Continued(), pytest.raises(TypeError, match="norm 1 is not continued"):
        torch.linalg.vector_norm(x + 1e-100j, 1)


class LogSpace(torch.nn.Module):
    """A minGRU as a cumulative sum of logarithms, whose backward pass takes the logarithm of the upstream."""

    def __init__(self, features, state):
        super().__init__()
        self.linear = torch.nn.Linear(features, 2 * state, bias=False)

    def forward(self, x, h):
        new, gate = self.linear(x).chunk(2, -1)
        logs = torch.cat([h.log()[None], torch.nn.functional.softplus(new).log() - torch.nn.functional.softplus(-gate)])
        sums = torch.nn.functional.pad(-torch.nn.functional.softplus(gate), (0, 0, 0, 0, 1, 0)).cumsum(0)
        ys = (sums + (logs - sums).logcumsumexp(0)).exp()[1:]
        return ys[-1], ys


def test_rounding_that_a_logarithm_of_the_upstream_enlarges_is_no_fault():
    """a u is rounded in another way than u there, and large pre-activations enlarge that."""
    options = {"states": ("h",), "sequence": True, "domains": {"h": "positive"}, "fewest_steps": 1, "complex": False}
    Cell = lift(torch_module(LogSpace, call=lambda m, x, h: m(x, h), **options))
    for problem in (
        replace(Problem(2, 3, 2, steps=3, scale=scale), seed=seed) for scale in (3.0, 30.0, 1e4, 1e6) for seed in range(8)
    ):
        with suppress(UnsatisfiedAssumption):
            laws()["vjp_scales"].check(Cell=Cell, problem=problem)


def test_a_copy_of_a_tensor_is_followed():
    """Though it remembers what it has copied."""

    class Kept:
        """An object with tensors that share memory with its weights."""

        def __init__(self, features, state):
            self.own = [torch.zeros(features, state, dtype=torch.float64), torch.zeros(1, state, dtype=torch.float64)]
            self.weights = [w.numpy() for w in self.own]

        def forward(self, x, h):
            self.given = [w.clone().requires_grad_() for w in self.own]
            self.sum = torch.tanh(torch.tensor(np.array(x)) @ self.given[0] + self.given[1] + torch.tensor(np.array(h))).sum()
            return self.sum.item()

        def backward(self, d):
            return [-g.numpy() for g in torch.autograd.grad(self.sum * d, self.given)]

    assert untold(grown(lift(Kept), PLAIN)) == ""
    assert examined(lift(Kept), PLAIN).faults == ()


def test_a_transform_that_was_interrupted_does_not_stay():
    """As where a call takes too long, in the middle of a derivative: no other module could be made in that process."""
    from torch._C import _functorch
    from torch.autograd import forward_ad

    Cell = lift(torch_module(torch.nn.GRUCell))
    _functorch._jvp_increment_nesting()
    forward_ad.enter_dual_level()
    assert np.shape(Cell(2, 3).apply(np.ones((1, 2)), np.ones((1, 3)))[0]) == (1, 3)


def test_a_cut_is_told_where_it_is_written():
    """Not as one of the operation before, which predicts the same."""

    class Cut(torch.nn.Module):
        """h' = h + tanh(x W) softmax(x W / 2), with the scores x W / 2 detached."""

        def __init__(self, F, S):
            super().__init__()
            self.W = torch.nn.Parameter(torch.zeros(F, S))

        def forward(self, x, h):
            scores = (x @ self.W) / 2
            return (h + torch.tanh(x @ self.W) * torch.softmax(scores.detach(), dim=1),)

    found = examined(lift(torch_module(Cut, call=lambda m, x, h: m(x, h))), PLAIN).sentences[0]
    assert found.startswith("no gradient flows back to `scores` through `scores.detach()`")
