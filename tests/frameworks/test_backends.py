"""The backends: bits in and out unchanged, derivatives, refusals, and no trace left in a framework's settings."""

import gc
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import jax
import ml_dtypes
import numpy as np
import pytest
import torch
from floats import FORMATS, FloatArray
from kept import environment

import crosscheck
from crosscheck._frameworks import backend, base

RUNS = (("torch", "eager"), ("jax", "eager"), ("jax", "jit"))
NAMES = ("torch", "jax")
DTYPES = tuple(FORMATS)
in_every_run = pytest.mark.parametrize(("name", "mode"), RUNS, ids=[f"{name}-{mode}" for name, mode in RUNS])


def patterns(dtype: str) -> FloatArray:
    """Every bit pattern of a 16-bit format; of a wider one, random ones, and NaNs of both kinds with payloads."""
    fmt = FORMATS[dtype]
    if fmt.bits == 16:
        return np.arange(2**16, dtype=np.uint16).view(fmt.dtype)
    rng = np.random.default_rng(7)
    bits = rng.integers(0, 2**fmt.bits, 20_000, dtype=fmt.unsigned, endpoint=False)
    infinity = np.array(np.inf, fmt.dtype).view(fmt.unsigned)
    payloads = infinity | (bits[:2000] % (2 ** (fmt.precision - 1) - 1) + 1).astype(fmt.unsigned)
    sign = np.array(-0.0, fmt.dtype).view(fmt.unsigned)
    subnormals = bits[:2000] % 2 ** (fmt.precision - 1)
    parts = [
        bits,
        payloads,
        payloads | sign,
        subnormals,
        subnormals | sign,
        np.array([0, sign, infinity, infinity | sign]),
    ]
    return np.concatenate([part.astype(fmt.unsigned) for part in parts]).view(fmt.dtype)


def assert_same_bits(got: FloatArray | None, expected: FloatArray) -> None:
    assert got is not None
    assert got.dtype == expected.dtype
    assert got.shape == expected.shape
    unsigned = np.dtype(f"u{expected.dtype.itemsize}")
    np.testing.assert_array_equal(np.ascontiguousarray(got).view(unsigned), np.ascontiguousarray(expected).view(unsigned))


def derivative(name: str, function: Any, x: FloatArray, order: int, *how: Any) -> FloatArray | None:
    return backend(name).derivatives(function, x, (order,), *how)[order]


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_patterns_hold_what_is_easily_lost(dtype: str) -> None:
    fmt, values = FORMATS[dtype], patterns(dtype)
    bits = values.view(fmt.unsigned)
    fraction = bits & np.array(2 ** (fmt.precision - 1) - 1, fmt.unsigned)
    with np.errstate(invalid="ignore"):  # ml_dtypes warns of signalling NaNs
        nan = np.isnan(values)
    quiet = fraction >= 2 ** (fmt.precision - 2)
    magnitude = np.where(nan, 1, abs(np.where(nan, 0, values).astype(np.float64)))
    subnormal = (magnitude < fmt.smallest_normal) & (magnitude > 0)
    for kind in (nan & quiet, nan & ~quiet, np.isinf(magnitude), magnitude == 0, subnormal):
        assert kind.sum() >= 2
    assert len(np.unique(bits[nan])) > 100


@in_every_run
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_bit_survives_the_way_in_and_out(name: str, mode: str, dtype: str) -> None:
    x = patterns(dtype)
    assert_same_bits(derivative(name, lambda x: x, x, 0, mode, "cpu"), x)


@pytest.mark.parametrize("dtype", DTYPES)
def test_torch_tensors_have_the_bits_and_own_them(dtype: str) -> None:
    x = patterns(dtype)
    before = x.copy()

    def zeroed(tensor: Any) -> Any:
        assert tensor.dtype == getattr(torch, dtype)
        return tensor.zero_()

    with pytest.raises(TypeError, match="changes its input in place"):
        derivative("torch", zeroed, x, 0, "eager", "cpu")
    assert_same_bits(x, before)


@in_every_run
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("shape", [(), (0,), (2, 3)], ids=str)
def test_every_shape_and_stride_is_kept(name: str, mode: str, dtype: str, shape: tuple[int, ...]) -> None:
    wide = np.arange(4 * max(1, int(np.prod(shape))), dtype=np.float64).astype(FORMATS[dtype].dtype)
    x = wide[::4][: int(np.prod(shape))].reshape(shape)
    assert_same_bits(derivative(name, lambda x: x, x, 0, mode, "cpu"), x)
    strided = np.asfortranarray(np.broadcast_to(x, (2, *shape)))[::-1]
    assert_same_bits(derivative(name, lambda x: x, strided, 0, mode, "cpu"), strided.copy())


POLYNOMIALS = {
    "cube": (lambda x: x**3, lambda x: 3 * x**2, lambda x: 6 * x),
    "quartic": (
        lambda x: x * x * x * x - 3 * x * x + x + 5,
        lambda x: 4 * x * x * x - 6 * x + 1,
        lambda x: 12 * x * x - 6,
    ),
}


@in_every_run
@pytest.mark.parametrize("order", [0, 1, 2], ids=("value", "gradient", "second"))
@pytest.mark.parametrize("polynomial", POLYNOMIALS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_derivatives_of_polynomials_are_exact(name: str, mode: str, dtype: str, polynomial: str, order: int) -> None:
    """At multiples of a half up to 2 every step is exact, in every format."""
    x = np.array([[-2, -1.5, -1, -0.5], [0.5, 1, 1.5, 2]], dtype=FORMATS[dtype].dtype)
    expected = POLYNOMIALS[polynomial][order](x.astype(np.float64)).astype(x.dtype)
    assert_same_bits(derivative(name, POLYNOMIALS[polynomial][0], x, order, mode, "cpu"), expected)


@in_every_run
def test_two_orders_come_from_one_run(name: str, mode: str) -> None:
    x = np.array([-2, -1.5, 0.5, 1], dtype=np.float32)
    runs: list[None] = []

    def cube(x: Any) -> Any:
        runs.append(None)
        return x**3

    for orders in ((0, 1), (1, 2)):
        runs.clear()
        results = backend(name).derivatives(cube, x, orders, mode, "cpu")
        assert len(runs) == 1
        assert tuple(results) == orders
        for order, result in results.items():
            assert_same_bits(result, (x**3, 3 * x**2, 6 * x)[order])


@in_every_run
@pytest.mark.parametrize("dtype", DTYPES)
def test_each_differentiation_takes_the_cotangent(name: str, mode: str, dtype: str) -> None:
    """Of x^3: v 3x^2, then v (v 6x); exact at these numbers. Values do not depend on it."""
    x = np.array([[-2, -1.5, -1, -0.5], [0.5, 1, 1.5, 2]], dtype=FORMATS[dtype].dtype)
    v = np.array([[1, -2, 0.5, 4], [-1, 0, 2, 0.25]], dtype=FORMATS[dtype].dtype)
    wide, along = x.astype(np.float64), v.astype(np.float64)
    for order, expected in enumerate((wide**3, along * 3 * wide**2, along * (along * 6 * wide))):
        result = derivative(name, lambda x: x**3, x, order, mode, "cpu", base.Cotangents(v))
        assert_same_bits(result, expected.astype(x.dtype))


@in_every_run
def test_the_product_is_with_the_jacobian_from_the_left(name: str, mode: str) -> None:
    """Of x -> (x_1, x_1 x_2), which is not symmetric: reverse mode gives (v_1 + v_2 x_2, v_2 x_1)."""

    def function(x: Any) -> Any:
        m = torch if isinstance(x, torch.Tensor) else jax.numpy
        return m.stack([x[0], x[0] * x[1]])

    x, v = np.array([3.0, 5.0], np.float32), np.array([2.0, -1.0], np.float32)
    result = derivative(name, function, x, 1, mode, "cpu", base.Cotangents(v))
    assert_same_bits(result, np.array([-3.0, -3.0], np.float32))


ONES = np.ones(3, np.float32)


@pytest.mark.parametrize(
    ("function", "order"),
    [
        (lambda x: x.detach() * 2, 1),
        (torch.ones_like, 1),
        (lambda x: torch.ones_like(x, requires_grad=True) * 2, 1),
        (lambda x: x * x.detach(), 2),
        (torch.nn.Identity(), 2),
    ],
    ids=["detached", "constant", "another-leaf", "gradient-detached", "identity"],
)
def test_torch_says_none_where_no_path_leads_back(function: Any, order: int) -> None:
    assert derivative("torch", function, ONES, order - 1, "eager", "cpu") is not None or order == 1
    assert derivative("torch", function, ONES, order, "eager", "cpu") is None


WRONG = {
    "sum": lambda x: x.sum(),
    "flat": lambda x: x.reshape(-1),
    "longer": lambda x: x[None] * x,
    "first": lambda x: x[0],
}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_derivative_of_which_torch_keeps_no_numbers_is_0(dtype: str) -> None:
    x = np.array([2.0, 0.0, -3.0], FORMATS[dtype].dtype)
    kept = torch.autograd.grad(torch.sgn(ones := torch.ones(3, requires_grad=True)).sum(), ones)[0]
    assert kept._is_zerotensor()
    assert_same_bits(derivative("torch", torch.sgn, x, 1, "eager", "cpu"), np.zeros_like(x))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("order", [0, 1, 2], ids=("value", "gradient", "second"))
@pytest.mark.parametrize("wrong", WRONG)
def test_a_result_of_another_shape_is_refused(name: str, wrong: str, order: int) -> None:
    x = np.ones((2, 2), np.float32)
    with pytest.raises(TypeError, match=r"returned shape .* for an input of shape \(2, 2\)"):
        derivative(name, WRONG[wrong], x, order, "eager", "cpu")


def to_dtype(x: Any, dtype: str) -> Any:
    return x.to(getattr(torch, dtype)) if isinstance(x, torch.Tensor) else x.astype(dtype)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("order", [0, 1, 2], ids=("value", "gradient", "second"))
@pytest.mark.parametrize(("dtype", "other"), [("float32", "bfloat16"), ("bfloat16", "float32"), ("float64", "float32")])
def test_a_result_of_another_dtype_is_refused(name: str, dtype: str, other: str, order: int) -> None:
    with pytest.raises(TypeError, match=f"dtype {other} for an input of shape .* and dtype {dtype}"):
        derivative(name, lambda x: to_dtype(x * x * x, other), ONES.astype(FORMATS[dtype].dtype), order, "eager", "cpu")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("result", [None, 1.0, "x", (1, 2)], ids=repr)
def test_a_result_that_is_no_array_is_refused(name: str, result: object) -> None:
    with pytest.raises(TypeError):
        derivative(name, lambda x: result, ONES, 0, "eager", "cpu")


@contextmanager
def settings_unchanged() -> Iterator[None]:
    def settings() -> tuple[object, ...]:
        return (
            jax.config.jax_enable_x64,
            jax.config.jax_default_device,
            jax.numpy.arange(2.0).dtype,
            torch.is_grad_enabled(),
            torch.get_default_dtype(),
            torch.get_num_threads(),
        )

    before = settings()
    yield
    assert settings() == before


@in_every_run
@pytest.mark.parametrize("order", [0, 1], ids=("value", "gradient"))
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_no_setting_is_left_changed(name: str, mode: str, dtype: str, order: int) -> None:
    x = ONES.astype(dtype)
    with settings_unchanged():
        assert derivative(name, lambda x: x * x, x, order, mode, "cpu") is not None


@in_every_run
@pytest.mark.parametrize("order", [0, 1], ids=("value", "gradient"))
def test_no_setting_is_left_changed_by_a_function_that_raises(name: str, mode: str, order: int) -> None:
    def broken(x: Any) -> Any:
        raise ZeroDivisionError("planted")

    with settings_unchanged(), pytest.raises(ZeroDivisionError, match="planted"):
        derivative(name, broken, ONES.astype(np.float64), order, mode, "cpu")


def test_derivatives_are_taken_although_the_caller_switched_gradients_off() -> None:
    with torch.no_grad():
        result = derivative("torch", lambda x: x * x, ONES, 1, "eager", "cpu")
        assert not torch.is_grad_enabled()
    assert_same_bits(result, 2 * ONES)


def has_gpu(name: str) -> bool:
    if name == "torch":
        return torch.cuda.is_available()
    try:
        return bool(jax.devices("gpu"))
    except RuntimeError:
        return False


@pytest.mark.parametrize("name", NAMES)
def test_a_gpu_that_is_not_there_is_refused(name: str) -> None:
    if has_gpu(name):
        pytest.skip(f"{name} has a GPU here")
    for attempt in (backend(name).check_device, backend(name).environment):
        with pytest.raises(crosscheck.NoDeviceError, match=r"'gpu'.*use --device cpu"):
            attempt("gpu")


@pytest.mark.parametrize("name", NAMES)
def test_a_cpu_is_always_there(name: str) -> None:
    backend(name).check_device("cpu")
    assert backend(name).name == name
    assert "eager" in backend(name).modes


KEYS = {
    "torch": {
        "version",
        "device",
        "capability",
        "onednn",
        "threads",
        "default_dtype",
        "float32_matmul_precision",
        "tf32",
        "flush",
    },
    "jax": {"version", "device", "capability", "x64", "default_matmul_precision", "xla_flags", "flush"},
}


@pytest.mark.parametrize("name", NAMES)
def test_the_environment_says_what_results_depend_on(name: str) -> None:
    described = cast(dict[str, Any], environment()[name])
    assert set(described) >= KEYS[name]
    assert described["version"] == {"torch": torch, "jax": jax}[name].__version__
    assert described["device"]
    assert isinstance(described["flush"], dict)
    assert set(described["flush"]) == set(DTYPES)
    for flush in described["flush"].values():
        assert {key: type(value) for key, value in flush.items()} == {"inputs": bool, "outputs": bool}


@pytest.mark.parametrize(
    ("torch_says", "architecture", "numpy_finds", "expected"),
    [
        ("DEFAULT", "arm64", ["NEON", "ASIMD", "ASIMDHP", "SVE"], "SVE"),
        ("DEFAULT", "arm64", ["NEON", "NEON_FP16", "NEON_VFPV4", "ASIMD"], "NEON"),
        ("DEFAULT", "x86_64", ["SSE", "SSE2", "SSE3"], "DEFAULT"),
        ("AVX2", "x86_64", ["X86_V2", "X86_V3"], "AVX2"),
    ],
)
def test_arm_is_no_environment_of_an_old_x86_cpu(
    monkeypatch: pytest.MonkeyPatch, torch_says: str, architecture: str, numpy_finds: list[str], expected: str
) -> None:
    """torch calls the instructions DEFAULT on both, and what is on record of one must not be held against the other."""
    features = {"architecture": architecture, "sve": "SVE" in numpy_finds}
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: torch_says)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: features)
    monkeypatch.setattr(np, "show_config", lambda mode: {"SIMD Extensions": {"baseline": numpy_finds}})
    described = cast(dict[str, Any], environment())
    assert [described[name]["capability"] for name in NAMES] == [expected] * 2


@pytest.mark.parametrize(
    ("features", "limit", "expected"),
    [
        (("avx2", "avx512_f"), None, "AVX512"),
        (("avx2", "avx512_f", "avx512_fp16"), "avx512_core_bf16", "AVX512_FP16"),
        (("avx2", "avx512_f"), "AVX2_VNNI", "AVX2"),
        (("avx2",), "AVX512_CORE", "AVX2"),
        (("avx2",), "SSE41", "DEFAULT"),
        ((), None, "DEFAULT"),
    ],
)
def test_onednn_uses_what_the_cpu_has_up_to_a_limit_of_its_own(
    monkeypatch: pytest.MonkeyPatch, features: tuple[str, ...], limit: str | None, expected: str
) -> None:
    """torch's own limit is not oneDNN's, which computes some of torch's functions."""
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"architecture": "x86_64"} | dict.fromkeys(features, True))
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    monkeypatch.delenv("DNNL_MAX_CPU_ISA", raising=False)
    if limit:
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    assert cast(dict[str, Any], environment()["torch"])["onednn"] == expected


def observed(name: str, mode: str, dtype: str) -> tuple[bool, bool]:
    """Whether subnormals are flushed that come in, and that come out, seen in other operations than the probe's."""
    fmt = FORMATS[dtype]
    tiny = (np.arange(1, 65) * fmt.smallest_subnormal).astype(fmt.dtype)
    normal = (np.arange(1, 65) * fmt.smallest_normal / 64 + fmt.smallest_normal).astype(fmt.dtype)

    def run(function: Any, x: FloatArray) -> FloatArray:
        result = derivative(name, function, x, 0, mode, "cpu")
        assert result is not None
        return result

    lifted = run(lambda x: x * 2.0 ** (fmt.precision + 2), tiny)
    sunk = run(lambda x: x / 4, normal)
    return bool((lifted == 0).all()), bool((sunk == 0).all())


@in_every_run
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_flush_probe_says_what_happens(name: str, mode: str, dtype: str) -> None:
    said = backend(name).flush(dtype, mode, "cpu")
    assert (said.inputs, said.outputs) == observed(name, mode, dtype)


def test_the_flush_probe_sees_flushing_switched_on() -> None:
    """The probe's function without its cache, in torch, whose flushing is a switch."""
    probe = backend("torch").flush.__wrapped__  # type: ignore[attr-defined]
    if not torch.set_flush_denormal(True):
        pytest.skip("this CPU cannot flush subnormals")
    try:
        flushing = probe("float32", "eager", "cpu")
    finally:
        torch.set_flush_denormal(False)
    assert (flushing.inputs, flushing.outputs) == (True, True)
    usual = probe("float32", "eager", "cpu")
    assert (usual.inputs, usual.outputs) == (False, False)


def test_bfloat16_is_numpy_s_extension_type() -> None:
    result = derivative("torch", torch.ones_like, np.ones(2, ml_dtypes.bfloat16), 0, "eager", "cpu")
    assert result is not None
    assert result.dtype == ml_dtypes.bfloat16


@pytest.mark.full
@pytest.mark.parametrize("name", ["torch", "jax"])
def test_a_released_program_is_let_go_and_made_again(name: str) -> None:
    calls = []

    class Function:
        def __call__(self, x: Any) -> Any:
            calls.append(x.dtype)
            return x * 3

    x = np.ones(4, np.float32)
    function = Function()
    held = weakref.ref(function)
    first = derivative(name, function, x, 1, "eager" if name == "torch" else "jit", "cpu")
    del function
    backend(name).release()
    gc.collect()
    assert held() is None
    again = derivative(name, lambda x: x * 3, x, 1, "eager" if name == "torch" else "jit", "cpu")
    assert calls
    assert first is not None
    assert again is not None
    assert first.tobytes() == again.tobytes()
