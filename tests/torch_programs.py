"""Programs of torch of every kind, by name, that the tests of the lift run."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn


class Cubed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        (x,) = ctx.saved_tensors
        return gradient * 3 * x**2


def module(make: Callable[[], Any], call: Callable[[Any, Any], Any] = lambda m, x: m(x)) -> Callable[[Any], Any]:
    """A function that holds a float32 module, and calls it in float64 where it is not lifted."""
    torch.manual_seed(0)
    held = make()

    def function(x: Any) -> Any:
        return call(held if x.dtype == torch.float32 else held.double(), x)

    function.restore = held.float  # type: ignore[attr-defined]
    return function


def in_place(x: Any) -> Any:
    y = x.clone()
    y.mul_(3).add_(0.1)
    y[1:3].exp_()
    y.t()[0] += y[0, 1]
    y.view(-1)[::2].sub_(0.3)
    y[y > 2] = 0.1
    y.clamp_(min=-1.5)
    return torch.add(y, 1, out=torch.empty_like(y))


def branches(x: Any) -> Any:
    if x.sum() > 0:
        x = x * 0.1
    for k in range(int(x[0].abs().sum().item()) + 1):
        x = torch.where(x > 0, x / 3, x + k)
    return x


def scattered(x: Any) -> Any:
    y = torch.zeros_like(x).scatter_add(1, torch.tensor([[0, 1, 1, 2]]).expand(4, 4), x / 3)
    y = y.index_add(0, torch.tensor([0, 0]), x[:2] * 0.7)
    y[torch.tensor([0, 0]), torch.tensor([1, 1])] = 0.2
    return y.index_put((torch.tensor([0, 0]),), x[1] / 7, accumulate=True).gather(1, x.argsort(dim=1))


def constants(x: Any) -> Any:
    made = torch.tensor(0.1, dtype=x.dtype) + torch.full((4,), 0.7, dtype=x.dtype) + x.new_tensor([0.1, 0.2, 0.3, 0.4])
    ranges = torch.arange(0, 0.4, 0.1, dtype=x.dtype) + torch.linspace(0, 1, 4, dtype=x.dtype) + torch.arange(4) * 0.3
    return x * made + ranges + (torch.arange(4) / 3).to(x.dtype) + torch.tensor(x[0].tolist(), dtype=x.dtype)


def complexes(x: Any) -> Any:
    z = torch.complex(x / 3, x.sin())
    z = z * z.conj().t() / (1 + 0.1j)
    z.real.mul_(0.3)
    return torch.view_as_real(z).sum(-1) + z.imag + z.conj().imag + z.abs() + torch.polar(x.abs(), x).real


def accumulated(x: Any) -> Any:
    leaf = x.detach().clone().requires_grad_()
    (leaf.sin() * leaf).sum().backward()
    leaf.exp().sum().backward()
    return leaf.grad


def inferred(x: Any) -> Any:
    with torch.inference_mode():
        return (F.linear(x.reshape(2, 8) / 3, x.reshape(2, 8)).softmax(-1)).clone()


def attention(x: Any) -> Any:
    q = torch.stack([x, x * 0.3]).unsqueeze(0)
    return F.scaled_dot_product_attention(q, q / 3, q.cos())[0, 0]


FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "elementwise": lambda x: F.gelu(x) + F.silu(x) * F.softplus(x) - F.elu(x) + F.mish(x) + torch.erf(x) + F.hardswish(x),
    "more": lambda x: F.logsigmoid(x) + F.selu(x) + F.celu(x) + F.softsign(x) + F.tanhshrink(x) + F.leaky_relu(x) + x.sinc(),
    "powers": lambda x: (
        x.abs() ** 1.3 + x**3 + 2**x + x.abs().sqrt() + x.square().rsqrt() + torch.hypot(x, 1 - x) + x.expm1()
    ),
    "in place": in_place,
    "views": lambda x: (x.t() / 3).contiguous().view(2, 8)[:, ::3].expand(3, 2, 3).permute(1, 0, 2).flip(0).unfold(2, 2, 1),
    "cat": lambda x: torch.cat([x, x * 0.1]).chunk(2)[1] + torch.stack([x / 3, x]).unbind()[0],
    "where": lambda x: torch.where(x > 0, x.log1p(), 0.1).masked_fill(x > 1, 0.3),
    "masked": lambda x: x[x > 0].exp() / 3,
    "clamp": lambda x: (x / 3).clamp(-0.1, 0.2) + torch.maximum(x, x * 0.3),
    "logsumexp": lambda x: x.logsumexp(1) + torch.logaddexp(x, x / 3),
    "softmax": lambda x: x.softmax(1) + x.log_softmax(0),
    "layer_norm": lambda x: F.layer_norm(x, (4,)),
    "norms": lambda x: (
        F.group_norm(x[None], 2)[0] + F.rms_norm(x, (4,), eps=1e-5) + F.normalize(x) + x.var(0) + x.std(1) + x.norm()
    ),
    "LayerNorm": module(lambda: nn.LayerNorm(4)),
    "BatchNorm": module(lambda: nn.BatchNorm1d(4)),
    "BatchNorm eval": module(lambda: nn.BatchNorm1d(4).eval()),
    "Linear": module(lambda: nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 4))),
    "Conv2d": module(lambda: nn.Conv2d(1, 2, 3, padding=1), lambda m, x: m(x[None, None])[0, 0]),
    "pools": lambda x: F.avg_pool2d(x[None] / 3, 2) + F.max_pool2d(x[None].exp(), 2) + F.adaptive_avg_pool2d(x[None], 2),
    "attention": module(lambda: nn.MultiheadAttention(4, 2).eval(), lambda m, x: m(x, x, x)[0]),
    "sdpa": attention,
    "encoder": module(lambda: nn.TransformerEncoderLayer(4, 2, 8, batch_first=True).eval(), lambda m, x: m(x[None])[0]),
    "LSTM": module(lambda: nn.LSTM(4, 3), lambda m, x: m(x)[0]),
    "GRU": module(lambda: nn.GRU(4, 4), lambda m, x: m(x)[0]),
    "Embedding": module(lambda: nn.Embedding(5, 4), lambda m, x: m(torch.tensor([0, 3, 3, 1])) * x),
    "cumsum": lambda x: x.cumsum(0) + (x / 3).cumprod(1) + x.logcumsumexp(0),
    "scattered": scattered,
    "sort": lambda x: (x / 3).sort(1).values + (x.topk(4, dim=0).values * 0.1) + x.median(),
    "einsum": lambda x: torch.einsum("ij,kj,i->ik", x, x / 3, x[0]),
    "losses": lambda x: (
        F.cross_entropy(x, torch.tensor([0, 1, 3, 2])) + F.huber_loss(x, x.sin()) + F.kl_div(x, x.exp(), reduction="sum")
    ),
    "solve": lambda x: torch.linalg.solve(x @ x.t() + torch.eye(4, dtype=x.dtype), x),
    "cholesky": lambda x: torch.linalg.cholesky(x @ x.t() + torch.eye(4, dtype=x.dtype)),
    "svdvals": lambda x: torch.linalg.svdvals(x / 3),
    "det": lambda x: torch.linalg.det(x) + torch.linalg.slogdet(x)[1] + x.trace(),
    "fft": lambda x: torch.fft.rfft(x / 3).abs() + torch.fft.ifft(x).imag[:, :3],
    "complex": complexes,
    "constants": constants,
    "branches": branches,
    "inference": inferred,
    "special": lambda x: (
        torch.lgamma(x.abs() + 1) + torch.digamma(x.abs()) + torch.special.ndtr(x) + torch.xlogy(x, x.abs())
    ),
    "func.grad": torch.func.grad(lambda x: (x.sin() * x / 3).sum()),
    "func.hessian": lambda x: torch.func.hessian(lambda v: (v.exp() * v).prod())(x[0] / 3),
    "func.vmap": torch.func.vmap(lambda row: row.softmax(0) @ row / 3),
    "func.jacrev": lambda x: torch.func.jacrev(lambda v: v.exp() / v.sum())(x[0]),
    "func.jvp": lambda x: torch.func.jvp(lambda v: v.tanh() / 3, (x,), (x.cos(),))[1],
    "Function": Cubed.apply,
    "accumulated": accumulated,
    "foreach": lambda x: torch._foreach_mul([x / 3, x], 0.1)[0],
    "interpolated": lambda x: F.interpolate(x[None, None], scale_factor=1.5, mode="bilinear")[0, 0],
}
DIFFERENTIABLE = [name for name in FUNCTIONS if name not in ("branches", "inference", "accumulated", "in place")]


def with_derivatives(function: Callable[[Any], Any], orders: int) -> Callable[..., list[Any]]:
    def program(x: Any) -> list[Any]:
        x = x.detach().requires_grad_(orders > 0)
        results = [function(x)]
        cotangent = torch.ones_like
        for k in range(orders):
            value = results[-1] * torch.cos(results[-1].detach())
            if not value.requires_grad:
                break
            (gradient,) = torch.autograd.grad(value, x, cotangent(value), create_graph=k + 1 < orders, allow_unused=True)
            if gradient is None:
                break
            results.append(gradient)
        return results

    return program
