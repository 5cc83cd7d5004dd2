"""The settings of both frameworks on which results depend: what each changes, and how to set both frameworks alike."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

from crosscheck._allocator import trim
from crosscheck._records.errors import UsageError, own_failures
from crosscheck._records.interface import MissingFrameworkError, framework

MATMUL = {"highest": "highest", "high": "tensorfloat32", "medium": "bfloat16"}
"""torch's names of the precisions of a float32 matrix product, with JAX's names."""


@dataclass(frozen=True)
class Setting:
    """One setting now: its value in each framework, None if the framework lacks it or is missing.

    ``changes`` says what it changes in results, ``alike`` how to set both frameworks alike.
    """

    name: str
    torch: str | None
    jax: str | None
    changes: str
    alike: str


Read = Callable[[Any], object]


def _jax_float64(jax: Any) -> object:
    return "on" if jax.config.jax_enable_x64 else "off"


TABLE: tuple[tuple[str, Read | None, Read | None, str, str], ...] = (
    (
        "float64",
        lambda torch: "on",
        _jax_float64,
        "where it is off, JAX makes float32 of every float64, without a word",
        'jax.config.update("jax_enable_x64", True)',
    ),
    (
        "default dtype",
        lambda torch: str(torch.get_default_dtype()).removeprefix("torch."),
        lambda jax: str(jax.numpy.asarray(0.0).dtype),
        "the dtype of an array made of Python's floats, and so of all that follows from it",
        "torch.set_default_dtype(torch.float32), and jax_enable_x64 off; torch.float64, and on",
    ),
    (
        "float32 matmul precision",
        lambda torch: torch.get_float32_matmul_precision(),
        lambda jax: str(jax.config.jax_default_matmul_precision or "default of the device"),
        "products of float32 matrices and convolutions may take their factors with 10 or 7 bits instead of 23: errors of "
        "1e-3 instead of 1e-7, on GPUs and TPUs",
        'torch.set_float32_matmul_precision("highest"); jax.config.update("jax_default_matmul_precision", "highest")',
    ),
    (
        "TF32 in cuDNN",
        lambda torch: "on" if torch.backends.cudnn.allow_tf32 else "off",
        None,
        "torch's convolutions on a GPU take factors with 10 bits although matmul does not",
        "torch.backends.cudnn.allow_tf32 = False",
    ),
    (
        "16-bit reductions",
        lambda torch: "on" if torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction else "off",
        None,
        "the sums inside torch's bfloat16 matmul on a GPU may be kept in bfloat16",
        "torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False",
    ),
    (
        "autocast",
        lambda torch: "on" if torch.is_autocast_enabled("cpu") or torch.is_autocast_enabled("cuda") else "off",
        None,
        "inside it torch computes matmul and convolutions in a 16-bit dtype",
        "compare outside torch.autocast, or cast to the same dtype in JAX",
    ),
    (
        "deterministic algorithms",
        lambda torch: "on" if torch.are_deterministic_algorithms_enabled() else "off",
        None,
        "where it is off, scatters and some convolutions on a GPU may add in another order at each run",
        "torch.use_deterministic_algorithms(True); XLA_FLAGS=--xla_gpu_deterministic_ops=true for JAX",
    ),
    (
        "cuDNN benchmark",
        lambda torch: "on" if torch.backends.cudnn.benchmark else "off",
        None,
        "torch chooses a convolution's algorithm by its speed, which may be another one at the next run",
        "torch.backends.cudnn.benchmark = False",
    ),
    (
        "threads",
        lambda torch: str(torch.get_num_threads()),
        None,
        "a sum is split among threads: another number of them, another order of additions",
        "torch.set_num_threads(1); JAX's CPU client takes one thread for each core",
    ),
)


def settings() -> list[Setting]:
    """Every setting with its values now."""
    torch, jax = _imported("torch"), _imported("jax")

    def value(read: Read | None, module: Any) -> str | None:
        return None if read is None or module is None else str(read(module))

    return [
        Setting(name, value(of_torch, torch), value(of_jax, jax), changes, alike)
        for name, of_torch, of_jax, changes, alike in TABLE
    ]


def _imported(name: str) -> Any:
    try:
        return framework(name)
    except MissingFrameworkError:
        return None


@contextmanager
def precision(
    matmul: str | None = "highest",
    *,
    x64: bool | None = None,
    deterministic: bool | None = None,
    flush_denormal: bool | None = None,
) -> Iterator[None]:
    """Set both frameworks alike inside a ``with`` block. Afterwards, also after an exception, the old settings are back.

    A framework that is not installed is skipped. Settings of PyTorch apply to the whole process, those of JAX to this
    thread.

    Args:
        matmul: ``highest`` computes products of float32 in float32. ``high`` rounds the factors to TF32, ``medium`` to
            bfloat16, on devices that can. In PyTorch it applies to cuBLAS and cuDNN, in JAX to every dot and convolution.
            None changes nothing.
        x64: Whether JAX has float64, and whether floats of Python become float64 in both frameworks. None changes nothing.
        deterministic: Whether PyTorch uses only deterministic algorithms. JAX reads its own flag, XLA_FLAGS, at its start.
        flush_denormal: Whether PyTorch flushes subnormals to zero on the CPU, as XLA always does there. This changes numpy
            too, with which crosscheck judges; so crosscheck's own functions switch it off while they run.

    Raises:
        UsageError: If an argument has a value that is not listed here.

    Examples:
        >>> import crosscheck, jax.numpy as jnp
        >>> with crosscheck.precision(x64=True):
        ...     jnp.asarray(0.5).dtype
        dtype('float64')
    """
    if matmul is not None and matmul not in MATMUL:
        raise UsageError(f"matmul: got {matmul!r}, expected {', '.join(MATMUL)} or None")
    for name, given in (("x64", x64), ("deterministic", deterministic), ("flush_denormal", flush_denormal)):
        if given is not None and not isinstance(given, bool):
            raise UsageError(f"{name}: got {given!r}, expected True, False or None")
    with ExitStack() as stack:
        if (jax := _imported("jax")) is not None:
            if matmul is not None:
                stack.enter_context(jax.default_matmul_precision(MATMUL[matmul]))
            if x64 is not None:
                stack.enter_context(jax.enable_x64(x64))
        if (torch := _imported("torch")) is not None:
            for change in _changes(torch, matmul, x64, deterministic, flush_denormal):
                stack.callback(change)
        yield


def _changes(
    torch: Any, matmul: str | None, x64: bool | None, deterministic: bool | None, flush_denormal: bool | None
) -> Sequence[Callable[[], object]]:
    """Make the changes in torch, and return the functions that undo them."""
    undo: list[Callable[[], object]] = []
    if matmul is not None:
        cudnn = torch.backends.cudnn
        before, allowed = torch.get_float32_matmul_precision(), cudnn.allow_tf32
        # by set_flags: after torch's test tools are imported, the attribute can no longer be set
        undo += [
            lambda: torch.set_float32_matmul_precision(before),
            lambda: cudnn.set_flags(_allow_tf32=allowed, _fp32_precision=None),
        ]
        torch.set_float32_matmul_precision(matmul)
        cudnn.set_flags(_allow_tf32=matmul != "highest", _fp32_precision=None)
    if x64 is not None:
        dtype = torch.get_default_dtype()
        undo.append(lambda: torch.set_default_dtype(dtype))
        torch.set_default_dtype(torch.float64 if x64 else torch.float32)
    if deterministic is not None:
        enabled, warn = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
        undo.append(lambda: torch.use_deterministic_algorithms(enabled, warn_only=warn))
        torch.use_deterministic_algorithms(deterministic)
    if flush_denormal is not None:
        flushed = _flushes(torch)
        undo.append(lambda: torch.set_flush_denormal(flushed))
        torch.set_flush_denormal(flush_denormal)
    return undo


def _flushes(torch: Any) -> bool:
    """Whether torch, and so numpy, flushes subnormals in this thread."""
    return bool((torch.full((1,), 2.0**-126, dtype=torch.float32, device="cpu") * 0.5 == 0).item())


_ONE_AT_A_TIME = threading.RLock()


@contextmanager
def undisturbed(*, alone: bool = False) -> Iterator[None]:
    """Run without the caller's settings that would interfere; afterwards they are restored.

    In ``torch.inference_mode``, there are no derivatives. Under ``jax.disable_jit``, nothing is compiled. With
    ``jax.debug_nans``, a NaN is an exception. If torch flushes subnormals, so does numpy, which judges. Settings that a user
    chooses for a function are kept: the precision of products, the default dtype, deterministic algorithms.

    What crosscheck itself raises meanwhile becomes an ``InternalError``.

    Use ``alone`` for code that changes settings of the whole process, such as the filters of warnings: only one such call
    runs at a time, since threads would restore each other's settings.
    """
    with own_failures(), _ONE_AT_A_TIME if alone else nullcontext(), ExitStack() as stack:
        raising = {kind: "ignore" for kind, how in np.geterr().items() if how not in ("ignore", "warn")}
        stack.enter_context(np.errstate(**raising))  # type: ignore[arg-type]
        if "torch" in sys.modules:  # if it was not imported, none of its settings was changed
            _undisturb_torch(_imported("torch"), stack)
        if "jax" in sys.modules:
            _undisturb_jax(_imported("jax"), stack)
        yield


@contextmanager
def spared() -> Iterator[None]:
    """Collections of garbage pass over the objects that existed before, since those of torch and JAX take long.

    At the end, what was made meanwhile is collected: objects that hold each other hold large arrays, and Python would leave
    them for long, as it counts objects alone.
    """
    frozen = gc.get_freeze_count()  # by the process, so that they must stay so
    if not frozen:
        gc.freeze()
    try:
        yield
    finally:
        gc.collect()
        if not frozen:
            gc.unfreeze()
        trim()


def _undisturb_torch(torch: Any, stack: ExitStack) -> None:
    if torch is None:
        return
    stack.enter_context(torch.inference_mode(False))  # this switches derivatives on, also after no_grad
    stack.enter_context(torch.autograd.set_detect_anomaly(False))
    for kind in ("cpu", "cuda"):
        if torch.is_autocast_enabled(kind):
            stack.enter_context(torch.autocast(kind, enabled=False))
    if torch.get_default_device().type == "meta":  # tensors on meta hold no numbers
        stack.enter_context(torch.device("cpu"))
    if _flushes(torch):
        stack.callback(torch.set_flush_denormal, True)
        torch.set_flush_denormal(False)


IN_THE_WAY = (
    ("disable_jit", False),
    ("debug_nans", False),
    ("debug_infs", False),
    ("check_tracer_leaks", False),
    ("numpy_dtype_promotion", "standard"),
    ("numpy_rank_promotion", "allow"),
)
"""Options of JAX that make a function raise or run differently, and their usual values."""


def _undisturb_jax(jax: Any, stack: ExitStack) -> None:
    if jax is None:
        return
    for option, usual in IN_THE_WAY:
        if getattr(jax.config, f"jax_{option}") != usual:  # to set it again might make JAX compile again
            stack.enter_context(getattr(jax, option)(usual))
    stack.enter_context(jax.transfer_guard("allow"))
