"""Programs of torch, lifted to float64: the clean run, what is met inside, and noise."""

import gc
import math
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from shadowed import LeftOutError, Noise, TorchLifted
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch_programs import DIFFERENTIABLE, FUNCTIONS, with_derivatives

UNIT = 2.0**-24
NOISE = Noise(seed=3, unit=1e-6)


def matrix(seed: int = 0, shape: tuple[int, ...] = (4, 4)) -> Any:
    return np.random.default_rng(seed).standard_normal(shape)


def direct(program: Callable[..., list[Any]], *arguments: Any) -> list[Any]:
    """The results of the program where every dtype is float64 already."""
    torch.set_default_dtype(torch.float64)
    try:
        with sdpa_kernel(SDPBackend.MATH):  # the only one with second derivatives
            return [result.detach().numpy() for result in program(*map(torch.from_numpy, arguments))]
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")  # torch uses it for forward mode
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_clean_run_is_the_program_in_float64(name: str, dtype: str) -> None:
    function = FUNCTIONS[name]
    orders = 2 if name in DIFFERENTIABLE else 0
    program = with_derivatives(function, orders)
    x = matrix()
    restore = getattr(function, "restore", lambda: None)
    if dtype == "bfloat16" and (
        name in ("solve", "cholesky", "svdvals", "det", "fft", "complex") or hasattr(function, "restore")
    ):
        pytest.skip("torch has no such kernel, or the module is a float32 one")
    lifted = TorchLifted(program, dtype)
    results = lifted.run([x])
    met = lifted.met
    try:
        expected = direct(program, x)
    finally:
        restore()
    assert len(results) == len(expected)
    for result, truth in zip(results, expected, strict=True):
        assert result.dtype == truth.dtype
        np.testing.assert_allclose(result, truth, rtol=1e-11, atol=1e-11 * np.abs(truth).max())
    assert not met.opaque


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_noise_of_no_width_changes_nothing(name: str) -> None:
    """Fused kernels and the steps that noise enters between are the same function, to float64's accuracy."""
    lifted = TorchLifted(with_derivatives(FUNCTIONS[name], 2 if name in DIFFERENTIABLE else 0), "float32")
    for stepwise, clean in zip(lifted.run([matrix()], Noise(0, 0.0)), lifted.run([matrix()]), strict=True):
        np.testing.assert_allclose(stepwise, clean, rtol=1e-12, atol=1e-12 * np.abs(clean).max())


def sparse_gradient(x: Any) -> list[Any]:
    """The gradient of an embedding as a sparse tensor, which has no shadow."""
    table = x.detach().requires_grad_()
    with torch.enable_grad():
        F.embedding(torch.tensor([1, 1, 3]), table, sparse=True).exp().sum().backward()
    return [table.grad.to_dense()]


def drawn_by_its_numbers(x: Any) -> list[Any]:
    """Draws by probabilities that the program computed, which are 0 or 1."""
    return [torch.bernoulli((x.exp() > 1).to(x.dtype) * torch.ones_like(x).exp().log())]


def through_numpy(x: Any) -> list[Any]:
    return [torch.from_numpy(x.exp().numpy() + 1).log()]


def written_in_place(x: Any) -> list[Any]:
    y = x.exp()
    y.mul_(x).add_(1)
    y[0] = x[1].cos()
    return [y, (y > 1).sum(), y.argmax()]


ASKING = {function.__name__: function for function in (through_numpy, written_in_place)}


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")  # torch uses it for forward mode
@pytest.mark.parametrize("name", [*FUNCTIONS, *ASKING])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_without_its_own_numbers_the_program_gives_the_same(name: str, dtype: str) -> None:
    function = FUNCTIONS.get(name)
    if dtype == "bfloat16" and (
        name in ("solve", "cholesky", "svdvals", "det", "fft", "complex", *ASKING) or hasattr(function, "restore")
    ):
        pytest.skip("torch has no such kernel, or the function is a float32 one")
    program = ASKING[name] if function is None else with_derivatives(function, 2 if name in DIFFERENTIABLE else 0)
    both, alone = TorchLifted(program, dtype), TorchLifted(program, dtype)
    alone.alone = True
    for result, expected in zip(alone.run([matrix()]), both.run([matrix()]), strict=True):
        np.testing.assert_array_equal(result, expected)
    assert alone.met == both.met


@pytest.mark.parametrize("program", [sparse_gradient, drawn_by_its_numbers])
def test_a_program_that_needs_its_own_numbers_says_so(program: Callable[[Any], list[Any]]) -> None:
    lifted = TorchLifted(program, "float32")
    lifted.alone = True
    with pytest.raises(LeftOutError):
        lifted.run([matrix()])
    lifted.alone = False
    for result, expected in zip(lifted.run([matrix()]), TorchLifted(program, "float32").run([matrix()]), strict=True):
        np.testing.assert_array_equal(result, expected)


class Dtypes(TorchDispatchMode):
    """Keeps the dtypes in which products are computed."""

    def __init__(self) -> None:
        super().__init__()
        self.met: list[Any] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.mm.default:
            self.met.append(result.dtype)
        return result


def test_without_its_own_numbers_a_program_computes_in_float64_alone() -> None:
    program = TorchLifted(lambda x: [x.exp() @ x], "float32")
    for alone, met in ((False, {torch.float32, torch.float64}), (True, {torch.float64})):
        program.alone = alone
        with Dtypes() as dtypes:
            program.run([matrix()])
        assert set(dtypes.met) == met


def test_float16_that_overflows_does_not_in_float64() -> None:
    x = np.array([20.0, -3.0])
    (result,) = TorchLifted(lambda x: [(x.exp() * x.exp()).log() + torch.isinf(x.exp()).to(x.dtype)], "float16").run([x])
    np.testing.assert_allclose(result, 2 * x, rtol=1e-12)


def test_a_sparse_matrix_may_be_written_to() -> None:
    def program(x: Any) -> list[Any]:
        twice = torch.eye(4, dtype=x.dtype).to_sparse()
        twice.mul_(2.0)
        return [torch.sparse.mm(twice.index_select(0, torch.arange(4)), x)]

    x = matrix()
    np.testing.assert_allclose(TorchLifted(program, "float32").run([x])[0], 2 * x, rtol=1e-6)


def test_a_parameter_that_is_written_to_keeps_its_digits_and_others_are_widened_again() -> None:
    third, other = torch.full((4,), 1 / 3), torch.ones(2**24 + 1)

    def program(x: Any) -> list[Any]:
        third.mul_(x)  # from here on, its shadow has digits that it has not
        total = other.sum() + other[:4].sum()
        return [third / total, other[:2] + 0]

    lifted = TorchLifted(program, "float32")
    lifted.parameters = [third, other]
    results, rows = lifted.run([np.array(1 / 7)])
    np.testing.assert_allclose(results, np.float64(np.float32(1 / 3)) / 7 / (2**24 + 5), rtol=1e-14)
    np.testing.assert_array_equal(rows, 1.0)


def test_a_narrow_cast_inside_is_met() -> None:
    x = matrix()
    lifted = TorchLifted(lambda x: [(x.to(torch.bfloat16) / 3).float()], "float32")
    np.testing.assert_array_equal(lifted.run([x])[0], x / 3)
    assert lifted.met.narrow == {"bfloat16"}
    lifted = TorchLifted(lambda x: [x.float().exp().double()], "float64")
    np.testing.assert_allclose(lifted.run([x])[0], np.exp(x), rtol=1e-15)
    assert lifted.met.narrow == {"float32"}
    lifted = TorchLifted(lambda x: [x.float() * torch.tensor(0.1)], "bfloat16")
    np.testing.assert_array_equal(lifted.run([x])[0], x * 0.1)
    assert lifted.met.narrow == frozenset()


def test_autocast_is_met() -> None:
    held = nn.Linear(4, 4)

    def program(x: Any) -> list[Any]:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return [held(x)]

    lifted = TorchLifted(program, "float32")
    truth = matrix() @ held.weight.detach().double().numpy().T + held.bias.detach().double().numpy()
    np.testing.assert_allclose(lifted.run([matrix()])[0], truth, rtol=1e-12)
    assert lifted.met.narrow == {"bfloat16"}


def test_numpy_gets_the_rounded_value_and_is_opaque() -> None:
    x = matrix()
    lifted = TorchLifted(lambda x: [torch.from_numpy(np.exp((x / 3).detach().numpy())) * 0.1], "float32")
    (result,) = lifted.run([x])
    np.testing.assert_array_equal(result, np.exp((x / 3).astype(np.float32)).astype(np.float64) * 0.1)
    assert lifted.met.opaque == {"numpy"}


def test_handing_out_to_numpy_is_no_change_for_autograd() -> None:
    def program(x: Any) -> list[Any]:
        x = x.requires_grad_()
        y = x.exp()
        y.detach().numpy()
        return list(torch.autograd.grad(y.sum(), x))

    np.testing.assert_allclose(TorchLifted(program, "float32").run([matrix()])[0], np.exp(matrix()), rtol=1e-15)


def test_bits_of_a_float_are_opaque() -> None:
    x = np.abs(matrix())
    lifted = TorchLifted(lambda x: [(x.view(torch.int32) & ~0xFFFF).view(torch.float32)], "float32")
    np.testing.assert_allclose(lifted.run([x])[0], x, rtol=2.0**-7)
    assert lifted.met.opaque == {"view"}


def test_integers_and_booleans_keep_their_dtype_and_are_decided_in_float64() -> None:
    x = np.array([1.0, 1.0 + 2.0**-40, 3.0])
    lifted = TorchLifted(lambda x: [x > 1, x.argsort(descending=True), (x * 2.0**40).long(), x.unique()], "float32")
    results = lifted.run([x])
    assert [result.dtype for result in results] == [np.bool_, np.int64, np.int64, np.float64]
    assert results[0].tolist() == [False, True, True]
    assert results[1].tolist() == [2, 1, 0]
    assert results[2][1] == 2**40 + 1
    np.testing.assert_array_equal(results[3], x)


def test_integer_arguments_stay_and_arguments_are_not_changed() -> None:
    x, index = matrix(), np.array([2, 0])
    kept = x.copy()
    program = lambda x, index: [x.mul_(0.1)[index], index.add_(1)]  # noqa: E731
    results = TorchLifted(program, "float32").run([x, index])
    np.testing.assert_array_equal(results[0], (kept * 0.1)[[2, 0]])
    assert results[1].tolist() == [3, 1]
    np.testing.assert_array_equal(x, kept)
    assert index.tolist() == [2, 0]


def test_a_random_draw_is_made_once() -> None:
    def program(x: Any) -> list[Any]:
        torch.manual_seed(5)
        return [
            F.dropout(x / 3, 0.4),
            torch.rand(4) * x,
            torch.native_dropout(x / 3, 0.4, True)[0],
            x.clone().bernoulli_(0.5),
        ]

    x = matrix()
    dropped, scaled, native, drawn = TorchLifted(program, "float32").run([x])
    plain = [result.numpy() for result in program(torch.from_numpy(x.astype(np.float32)))]
    for result, narrow in zip([dropped, native], [plain[0], plain[2]], strict=True):
        np.testing.assert_allclose(result, np.where(narrow == 0, 0, x / 3 / 0.6), rtol=1e-15)
    np.testing.assert_allclose(scaled, plain[1], rtol=2 * UNIT)
    np.testing.assert_array_equal(drawn, plain[3])


def test_noise_is_as_wide_as_its_unit() -> None:
    x = matrix(shape=(4000,))
    lifted = TorchLifted(lambda x: [x * 3, x * x, x.exp_()], "float32")
    clean, noisy = lifted.run([x]), lifted.run([x], NOISE)
    for exact, drawn in zip(clean, noisy, strict=True):
        error = np.abs(drawn / exact - 1) / NOISE.unit
        assert 0.99 < error.max() <= 1.001
        assert 0.4 < error.mean() < 0.6


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.abs().neg().clamp(-1, 1),
        lambda x: torch.where(x > 0, x, -x).sort(0).values.max(1).values,
        lambda x: torch.cat([x.t(), x.floor()]).gather(0, torch.tensor([[0, 1, 2, 3]])),
        lambda x: x * 2 / 4 * -1,
        lambda x: x.masked_fill(x > 0, 0.5).bfloat16(),
        lambda x: x.clone().mul_(0.5).fill_diagonal_(0.25),
        lambda x: F.max_pool2d(F.pad(x, (1, 1)).repeat(1, 2)[None], 2),
        lambda x: torch.full_like(x, 0.3),
    ],
)
def test_exact_operations_have_no_noise(function: Callable[[Any], Any]) -> None:
    lifted = TorchLifted(lambda x: [function(x)], "float32")
    np.testing.assert_array_equal(lifted.run([matrix()], NOISE)[0], lifted.run([matrix()])[0])
    assert not lifted.met.opaque


def test_special_values_are_left_alone() -> None:
    x = np.array([math.inf, -math.inf, math.nan, 0.0, -0.0])
    (result,) = TorchLifted(lambda x: [x * 3], "float32").run([x], NOISE)
    np.testing.assert_array_equal(result, x)
    assert np.signbit(result[4])


def test_a_seed_is_a_draw() -> None:
    lifted = TorchLifted(with_derivatives(F.gelu, 2), "float32")
    first, again, other = (lifted.run([matrix()], Noise(seed, UNIT)) for seed in (0, 0, 1))
    for drawn, same, different in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(drawn, same)
        assert (drawn != different).any()


@pytest.mark.parametrize(
    ("function", "low"),
    [
        # what cancels inside shows, as a deviation from a mean of 1000 does
        (lambda x: F.layer_norm(x + 1000, (4,)), 100),
        (lambda x: F.batch_norm(x + 1000, None, None, training=True), 100),
        (lambda x: F.group_norm((x + 1000)[None], 2), 100),
        (lambda x: F.gelu(x.abs() * -0.1 - 5), 30),
        (lambda x: (x * 100).softmax(1), 10),
        (lambda x: F.softplus(-x.abs()), 0.5),
    ],
)
def test_fused_kernels_have_noise_inside(function: Callable[[Any], Any], low: float) -> None:
    lifted = TorchLifted(lambda x: [function(x)], "float32")
    (clean,), (noisy,) = lifted.run([matrix()]), lifted.run([matrix()], Noise(0, 1e-9))
    assert np.max(np.abs(noisy - clean) / np.abs(clean)) > low * 1e-9
    assert not lifted.met.opaque


def test_operands_of_long_sums_have_more_noise() -> None:
    def spread(size: int) -> float:
        x = np.ones((1, size))
        lifted = TorchLifted(lambda x: [x @ (x.t() * torch.tensor([1.0, -1.0]).repeat(size // 2)[:, None])], "float32")
        return float(np.std([lifted.run([x], Noise(seed, 1e-6))[0] for seed in range(30)]))

    # sqrt(n) terms of sqrt(n) / 4 units
    assert 100 < spread(4096) / spread(16) < 1500


def test_linear_algebra_is_opaque_and_noisy() -> None:
    lifted = TorchLifted(lambda x: [torch.linalg.solve(x, x[0])], "float32")
    (clean,), (noisy,) = lifted.run([matrix()]), lifted.run([matrix()], NOISE)
    assert lifted.met.opaque == {"_linalg_solve_ex"}
    assert 0 < np.abs(noisy - clean).max() < 1e-3


def test_what_float64_cannot_do_is_widened_and_opaque() -> None:
    @torch.library.custom_op("crosscheck_test::third", mutates_args=())
    def third(x: torch.Tensor) -> torch.Tensor:
        assert x.dtype == torch.float32
        return x / 3

    lifted = TorchLifted(lambda x: [third(x) * 0.1], "float32")
    np.testing.assert_array_equal(lifted.run([matrix()])[0], (matrix().astype(np.float32) / 3).astype(np.float64) * 0.1)
    assert lifted.met.opaque == {"third"}


def test_what_float64_cannot_do_adds_its_own_rounding_alone() -> None:
    """In float32, 1e8 + 1 - 1e8 is 0, and its third is 0."""

    @torch.library.custom_op("crosscheck_test::narrow_third", mutates_args=())
    def third(x: torch.Tensor) -> torch.Tensor:
        assert x.dtype == torch.float32
        return x / 3

    lifted = TorchLifted(lambda x: [third(x + 1 - x)], "float32")
    np.testing.assert_array_equal(lifted.run([np.full(2, 1e8)])[0], np.float32(1) / np.float32(3))


@pytest.mark.skipif(not hasattr(torch.nn.functional, "grouped_mm"), reason="this PyTorch has none")
@pytest.mark.parametrize(
    ("left", "right"), [((8, 8), (3, 8, 4)), ((3, 4, 8), (8, 8)), ((4, 8), (8, 4)), ((3, 4, 8), (3, 8, 4))]
)
def test_grouped_products_run_in_float64(left: tuple[int, ...], right: tuple[int, ...]) -> None:
    rng, ends = np.random.default_rng(0), torch.tensor([4, 4, 8], dtype=torch.int32)
    offsets = ends if len(left) != 3 or len(right) != 3 else None
    first, second = rng.normal(size=left), rng.normal(size=right)
    lifted = TorchLifted(lambda x, y: [torch.ops.aten._grouped_mm(x, y, offsets)], "float32")
    (result,) = lifted.run([first, second])
    (noisy,) = lifted.run([first, second], NOISE)
    if offsets is None:
        expected = first @ second
    elif len(left) == len(right):
        expected = np.stack([first[:, k] @ second[k] for k in (slice(0, 4), slice(0), slice(4, 8))])
    elif len(left) == 2:
        expected = np.concatenate([first[:4] @ second[0], first[4:] @ second[2]])
    else:
        expected = np.concatenate([first[0] @ second[:, :4], first[2] @ second[:, 4:]], 1)
    np.testing.assert_allclose(result, expected, rtol=1e-12, atol=1e-14)
    assert 0 < np.abs(noisy - result).max() < 1e-4
    assert not lifted.met.opaque


@pytest.mark.full
def test_memory_does_not_grow() -> None:
    held = nn.Linear(64, 64)
    kept: list[Any] = []

    def program(x: Any) -> list[Any]:
        y = held(x.requires_grad_())
        kept.append(weakref.ref(y))
        return list(torch.autograd.grad(y.sum(), x))

    lifted = TorchLifted(program, "float32")
    for seed in range(20):
        lifted.run([matrix(shape=(4, 64))], Noise(seed, UNIT))
    gc.collect()
    assert all(reference() is None for reference in kept)
    assert not [t for t in gc.get_objects() if type(t) is torch.Tensor and t.dtype == torch.float64 and t.numel() == 64 * 64]


def test_long_loops_drop_what_they_are_done_with() -> None:
    alive = []

    def program(x: Any) -> list[Any]:
        for _ in range(1000):
            x = x * 0.999
        alive.append(sum(type(t) is torch.Tensor and t.shape == (12321,) for t in gc.get_objects()))
        return [x]

    x = matrix(shape=(12321,))
    np.testing.assert_allclose(TorchLifted(program, "float32").run([x])[0], x * 0.999**1000, rtol=1e-11)
    assert alive[0] < 600


def test_an_exception_passes_and_restores_everything() -> None:
    def program(x: Any) -> list[Any]:
        raise ZeroDivisionError(x.shape)

    before = torch.backends.mkldnn.enabled, torch.backends.cuda.flash_sdp_enabled(), torch.get_default_dtype()
    with pytest.raises(ZeroDivisionError):
        TorchLifted(program, "float32").run([matrix()])
    assert before == (torch.backends.mkldnn.enabled, torch.backends.cuda.flash_sdp_enabled(), torch.get_default_dtype())
    assert torch._C._len_torch_dispatch_stack() == torch._C._len_torch_function_stack() == 0


def test_programs_that_ask_for_dtypes_are_answered_as_ever() -> None:
    def program(x: Any) -> list[Any]:
        assert x.dtype == torch.float16
        assert (x / 3).dtype == torch.float16
        return [(x / 3).clamp(max=torch.finfo(x.dtype).eps)]

    x = np.abs(matrix())
    np.testing.assert_array_equal(TorchLifted(program, "float16").run([x])[0], np.minimum(x / 3, 2.0**-10))
