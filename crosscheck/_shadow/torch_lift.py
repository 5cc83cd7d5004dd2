"""A program of torch in float64, by shadows.

The program sees the tensors that it always sees, of the dtypes that it always sees, so that whatever it asks of a dtype, of
a module's parameters or of a constant is answered as ever. Beside the storage of each float tensor a float64 one is kept,
its shadow, and every operation that reaches the dispatcher, those of the backward pass among them, runs once more on the
shadows, with float64 in the place of every float dtype among its arguments. The shadow of a tensor is a view of its
storage's shadow, by the same strides: views and in-place operations act on shadows as they do on what they shadow.

What the program decides is decided by the shadows: booleans, indices and Python numbers are taken from the float64 run. A
tensor not seen before, such as a parameter, is widened when it is first used. A random draw is made once, and widened.

What leaves torch (``numpy()``) leaves in the program's own dtype, rounded from the shadow, and is widened when it returns.
"""

import functools
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

from crosscheck._frameworks.torch_backend import one_thread
from crosscheck._shadow.base import Array, Met, Noise, Program, reduction_factor

_ONE_THREAD = 2**16
"""Up to so many elements a program is run by one thread: its operations are too short for others to be woken for them."""

_DTYPES = [d for d in vars(torch).values() if isinstance(d, torch.dtype) and (d.is_floating_point or d.is_complex)]
_WIDE = {dtype: torch.complex128 if dtype.is_complex else torch.float64 for dtype in _DTYPES}
_REAL = {dtype: dtype.to_real() if dtype.is_complex else dtype for dtype in _DTYPES}


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Operations whose float results are copies of numbers that were there, or exact functions of them.
_EXACT = _names(
    """
    abs _adaptive_max_pool2d adaptive_max_pool2d adaptive_max_pool3d alias amax amin aminmax as_strided_scatter
    broadcast_in_dim broadcast_tensors cat ceil channel_shuffle clamp clamp_max clamp_min clone complex conj_physical
    _conj_physical constant_pad_nd convert_element_type _convert_element_type copy copy_strided copysign cummax cummin
    detach diag_embed diagonal_backward diagonal_scatter embedding fill fill_diagonal flip floor fmax fmin fmod frac
    fractional_max_pool2d frexp full_like gather hardshrink hardshrink_backward hardtanh hardtanh_backward heaviside
    im2col index index_copy index_fill index_select isfinite kthvalue lift lift_fresh _local_scalar_dense logical_not
    lu_unpack masked_fill masked_scatter masked_select max max_pool2d_with_indices max_pool3d_with_indices
    max_unpool2d maximum median min minimum mode nan_to_num nanmedian native_channel_shuffle neg new_full new_ones
    new_zeros nextafter one_hot ones_like permute_copy pixel_shuffle pixel_unshuffle positive put reflection_pad1d
    reflection_pad2d reflection_pad3d relu relu6 remainder repeat repeat_interleave replication_pad1d
    replication_pad2d replication_pad3d _reshape_alias _reshape_copy resolve_conj resolve_neg roll rot90 scatter
    select_backward select_scatter sgn sign slice_backward slice_scatter sort split_with_sizes_copy squeeze_copy stack
    take threshold threshold_backward _to_copy topk tril triu trunc _unique2 unique_consecutive unique_dim
    _unsafe_index _unsafe_masked_index _unsafe_view upsample_nearest1d upsample_nearest2d upsample_nearest3d
    value_selecting_reduction_backward view_copy where zero zeros zeros_like
    """
)
# Sums along `dim`, and other functions of all the numbers along it.
_REDUCTIONS = _names(
    """
    cumprod cumsum linalg_vector_norm logcumsumexp mean nansum norm prod std std_mean sum trace var var_mean
    """
)
_PRODUCTS = _names("addbmm addmm _addmm_activation addmv baddbmm bmm dot mm mv vdot")
_CONVOLUTIONS = _names("_convolution convolution convolution_overrideable mkldnn_convolution _slow_conv2d_forward")
# Sums of a number of terms that depends on the indices, mostly small.
_SCATTERS = _names(
    """
    _adaptive_avg_pool2d _adaptive_avg_pool2d_backward _adaptive_avg_pool3d _adaptive_avg_pool3d_backward
    adaptive_max_pool2d_backward avg_pool2d avg_pool2d_backward avg_pool3d avg_pool3d_backward col2im
    embedding_dense_backward index_add index_put _index_put_impl index_reduce max_pool2d_with_indices_backward
    max_pool3d_with_indices_backward reflection_pad1d_backward reflection_pad2d_backward replication_pad1d_backward
    replication_pad2d_backward scatter_add scatter_reduce segment_reduce unfold_backward _unsafe_index_put
    _unsafe_masked_index_put_accumulate
    """
)
# Algorithms that are stable backwards: what rounding does in them, it might have done to their operands instead.
_ALGORITHMS = ("linalg_", "_linalg_", "_fft_", "cholesky", "triangular_solve", "geqrf", "ormqr", "lu_solve")
# Kernels that do in one what their core decompositions leave together.
_FUSED = _names(
    """
    elu gelu _log_softmax native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_no_training
    native_group_norm native_layer_norm _softmax
    """
)
# Float results of these are drawn, or not yet written: their shadows are made from them when they are first used.
_EMPTY = _names("empty empty_like empty_permuted empty_strided new_empty new_empty_strided")
_DRAWN_FROM = _names("bernoulli multinomial rand_like randint_like randn_like")


@dataclass(frozen=True)
class _Plan:
    """What is to know of an operation."""

    name: str
    composite: bool
    view: bool
    drawn: bool
    dtype: bool
    dim: int | None
    written: tuple[tuple[int, str], ...]
    functional: Any
    pointwise: bool


@functools.cache
def _plan(func: Any) -> _Plan:
    schema = func._schema
    name = schema.name.split("::")[1]
    base = name.removesuffix("_") if not name.endswith("__") else name
    names = [argument.name for argument in schema.arguments]
    written = tuple(
        (k, argument.name)
        for k, argument in enumerate(schema.arguments)
        if argument.alias_info and argument.alias_info.is_write
    )
    in_place = base != name and written
    return _Plan(
        name=base,
        composite=func._can_decompose(),
        view=func.is_view or torch.Tag.inplace_view in func.tags,
        drawn=base in _EMPTY or torch.Tag.nondeterministic_seeded in func.tags,
        dtype="dtype" in names,
        dim=names.index("dim") if "dim" in names else None,
        written=written,
        functional=getattr(getattr(torch.ops.aten, base, None), func._overloadname, None) if in_place else None,
        pointwise=torch.Tag.pointwise in func.tags or base.startswith("_foreach_") or func.namespace == "prims",
    )


@functools.cache
def _core_decompositions() -> Any:
    # Imported by the first noisy run: it takes a third of a second.
    from torch._decomp import core_aten_decompositions

    return core_aten_decompositions()


@functools.cache
def _decomposition(func: Any) -> Callable[..., Any] | None:
    """The steps that a fused operation consists of, as a function; none for a primitive."""
    core = _core_decompositions()
    if _plan(func).name in _FUSED:
        from torch._decomp import decomposition_table

        return decomposition_table.get(func)
    return core[func] if func in core and not func._can_decompose() else None


def _tensors(value: Any) -> Iterator[Any]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _tensors(item)


def _map(function: Callable[[Any], Any], value: Any) -> Any:
    """The function of everything in nested lists and tuples."""
    return [_map(function, item) for item in value] if isinstance(value, (list, tuple)) else function(value)


class _Shadows:
    """The float64 shadow of each storage that was seen; those of storages that are gone are dropped now and then."""

    def __init__(self) -> None:
        self._flat: dict[int, tuple[Any, Any, Any]] = {}
        self._limit = 256

    def known(self, tensor: Any) -> bool:
        return tensor.untyped_storage()._cdata in self._flat

    def forget(self, tensor: Any) -> None:
        self._flat.pop(tensor.untyped_storage()._cdata, None)

    def of(self, tensor: Any) -> Any:
        """The shadow of a float tensor, made from it if it was not seen before; another tensor itself."""
        if tensor.dtype not in _WIDE:
            return tensor
        if tensor.layout is not torch.strided:
            return tensor.to(_WIDE[tensor.dtype])
        storage = tensor.untyped_storage()
        known = self._flat.get(storage._cdata)
        size = storage.nbytes() // _REAL[tensor.dtype].itemsize
        if known and known[1] is _REAL[tensor.dtype] and known[2].numel() == size:
            flat = known[2]
        else:
            if tensor._is_zerotensor():
                return torch.zeros(tensor.shape, dtype=_WIDE[tensor.dtype])
            flat = torch.empty(0, dtype=_REAL[tensor.dtype], device=tensor.device).set_(storage).to(torch.float64, copy=True)
            if known and known[1] is _REAL[tensor.dtype]:  # the storage was resized
                flat[: known[2].numel()] = known[2][:size]
            self._keep(tensor, flat)
        if tensor.is_complex():
            flat = torch.view_as_complex(flat.view(-1, 2))
        wide = flat.as_strided(tensor.shape, tensor.stride(), tensor.storage_offset())
        if tensor.is_conj():
            wide = wide.conj()
        return torch._neg_view(wide) if tensor.is_neg() else wide

    def put(self, tensor: Any, wide: Any) -> None:
        """Make ``wide``, which nothing else may write to, the shadow of a tensor that has its storage for itself."""
        if tensor.layout is not torch.strided or tensor._is_zerotensor():
            return
        size = tensor.untyped_storage().nbytes() // _REAL[tensor.dtype].itemsize
        wide = wide.to(_WIDE[tensor.dtype]).resolve_conj().resolve_neg()
        same = wide.stride() == tensor.stride() and not tensor.storage_offset() and not wide.storage_offset()
        if same and wide.untyped_storage().nbytes() == 8 * size:
            real = torch.view_as_real(wide) if wide.is_complex() else wide
            self._keep(tensor, real.as_strided((size,), (1,), 0))
        else:
            self._keep(tensor, torch.zeros(size, dtype=torch.float64, device=wide.device))
            self.of(tensor).copy_(wide)

    def _keep(self, tensor: Any, flat: Any) -> None:
        # The weak reference keeps the address from being used again.
        storage = tensor.untyped_storage()
        self._flat[storage._cdata] = (StorageWeakRef(storage), _REAL[tensor.dtype], flat)
        if len(self._flat) > self._limit:
            self._flat = {key: kept for key, kept in self._flat.items() if not kept[0].expired()}
            self._limit = max(256, 2 * len(self._flat))


class _Rounding(TorchDispatchMode):
    """Runs operations on float64 tensors and imitates the rounding of each; a fused one is run step by step."""

    def __init__(self, noise: Noise, opaque: set[str]) -> None:
        super().__init__()
        self._unit = noise.unit
        self._seed = noise.seed
        self._generators: dict[Any, Any] = {}
        self._opaque = opaque

    def noisy(self, value: Any, width: float = 1.0) -> Any:
        """Float tensors with a relative error, anything else as it is."""
        return value * self._factors(value, width) if _is_dense_float(value) else value

    def spoil(self, value: Any) -> Any:
        """The same in place."""
        return value.mul_(self._factors(value, 1.0)) if _is_dense_float(value) else value

    def _factors(self, value: Any, width: float) -> Any:
        generator = self._generators.get(value.device)
        if generator is None:
            generator = self._generators[value.device] = torch.Generator(value.device).manual_seed(self._seed)
        error = width * self._unit
        draws = torch.empty(value.shape, dtype=torch.float64, device=value.device)
        return draws.uniform_(1 - error, 1 + error, generator=generator)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self.run(func, args, kwargs or {})

    def run(self, func: Any, args: Any, kwargs: Any) -> Any:
        plan = _plan(func)
        if plan.composite:
            with self:
                return func.decompose(*args, **kwargs)
        if plan.view or plan.drawn or _is_exact(plan, args, kwargs):
            return func(*args, **kwargs)
        if plan.functional is not None:
            return args[0].copy_(self.run(plan.functional, args, kwargs))
        if plan.written and plan.name not in _FUSED:
            result = func(*args, **kwargs)
            for value in _written(plan, args, kwargs):
                self.spoil(value)
            return result
        count = _summed(plan, args, kwargs)
        if count is None and (steps := _decomposition(func)):
            try:
                with self:
                    return steps(*args, **kwargs)
            except Exception:  # torch's decompositions do not cover every argument
                self._opaque.add(plan.name)
        if count is not None and count > 1:
            args = _map(lambda value: self.noisy(value, reduction_factor(count)), args)
        result = func(*args, **kwargs)
        algorithm = plan.name.startswith(_ALGORITHMS) and plan.name != "linalg_vector_norm"
        if algorithm or (count is None and not plan.pointwise and any(map(_is_dense_float, _tensors(result)))):
            self._opaque.add(plan.name)
        if count is not None and count <= 1 and plan.name in _REDUCTIONS - {"norm", "std", "linalg_vector_norm"}:
            return result
        # Results that nothing else holds, so that they may be changed; an algorithm may return views of one another.
        return self.spoil(result) if isinstance(result, torch.Tensor) else _map(self.noisy, result)


def _is_dense_float(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.dtype in _WIDE and value.layout is torch.strided and not value.is_meta


def _is_exact(plan: _Plan, args: Any, kwargs: Any) -> bool:
    if plan.name in _EXACT or kwargs.get("rounding_mode") or not any(True for _ in _tensors(args)):
        return True
    if plan.name in ("index_put", "_unsafe_index_put", "_index_put_impl"):
        return not (args[3] if len(args) > 3 else kwargs.get("accumulate", False))
    if plan.name in ("mul", "div") and len(args) > 1 and isinstance(args[1], (int, float)):
        return math.frexp(abs(args[1]))[0] in (0.0, 0.5)
    return False


def _summed(plan: _Plan, args: Any, kwargs: Any) -> int | None:
    """How many terms each sum in an operation has; none if it is no sum."""
    if plan.name in _REDUCTIONS:
        shape = args[0].shape
        dim = None
        if plan.dim is not None:
            dim = args[plan.dim] if plan.dim < len(args) else kwargs.get("dim")
        if dim is None or dim == [] or not shape:
            return int(args[0].numel())
        return math.prod(shape[k] for k in ([dim] if isinstance(dim, int) else dim))
    if plan.name in _PRODUCTS:
        left = args[0] if plan.name in ("mm", "bmm", "mv", "dot", "vdot") else args[1]
        return int(left.shape[-1])
    if plan.name in _CONVOLUTIONS:
        return int(args[1].numel() // max(1, args[1].shape[1 if args[6] else 0]))
    if plan.name == "convolution_backward":
        # The gradient of the weight sums over the batch and every position, that of the input over channels and the kernel.
        gradient, _, weight = args[:3]
        return int(max(gradient.numel() // max(1, gradient.shape[1]), weight.numel() // max(1, weight.shape[1])))
    if plan.name in _SCATTERS or plan.name.startswith("upsample_"):
        sizes = [value.numel() for value in _tensors(args) if value.dtype in _WIDE]
        return max(2, max(sizes) // max(1, sizes[0]))
    if plan.name.startswith(_ALGORITHMS):
        return max((max(value.shape[-2:], default=1) for value in _tensors(args)), default=1)
    return None


def _written(plan: _Plan, args: Any, kwargs: Any) -> Iterator[Any]:
    for k, name in plan.written:
        yield from _tensors(args[k] if k < len(args) else kwargs.get(name))


class _Lifting(TorchDispatchMode):
    """Runs each operation as it is, and again on the shadows."""

    def __init__(
        self, shadows: _Shadows, rounding: _Rounding | None, narrow: Callable[[Any], None], opaque: set[str]
    ) -> None:
        super().__init__()
        self._shadows = shadows
        self._rounding = rounding
        self._narrow = narrow
        self._opaque = opaque

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        plan = _plan(func)
        if plan.composite:  # seen in inference mode only
            with self:
                return func.decompose(*args, **kwargs)
        if plan.view:
            return self._view(plan, func, args, kwargs)
        wide_args, wide_kwargs = self._widened(plan, args, kwargs)
        result = func(*args, **kwargs)
        results = [value for value in _tensors(result) if value.dtype in _WIDE]
        for value in results:
            self._narrow(value.dtype)
        floats = [value for value in (*_tensors(wide_args), *_tensors(list(wide_kwargs.values()))) if value.dtype in _WIDE]
        if not (results or floats):
            for value in _written(plan, args, kwargs):
                self._shadows.forget(value)
            return result
        if plan.drawn:
            return self._drawn(plan, result, args, kwargs, floats)
        if plan.dtype and results:
            wide_kwargs["dtype"] = _WIDE[results[0].dtype]
        try:
            wide = self._run(func, wide_args, wide_kwargs, floats)
            return self._settled(result, wide, [value.untyped_storage()._cdata for value in floats])
        except Exception:  # whatever the operation cannot do in float64
            self._opaque.add(plan.name)
            self._settle_opaque(plan, result, args, kwargs)
            return result

    def _view(self, plan: _Plan, func: Any, args: Any, kwargs: Any) -> Any:
        """A view of a storage is one of its shadow too; only the bits of a float have none."""
        if plan.name == "view" and func._overloadname == "dtype" and args[0].dtype in _WIDE:
            self._opaque.add("view")
            args[0].copy_(self._shadows.of(args[0]))
        return func(*args, **kwargs)

    def _widened(self, plan: _Plan, args: Any, kwargs: Any) -> tuple[list[Any], dict[str, Any]]:
        def wide(value: Any) -> Any:
            if isinstance(value, torch.Tensor):
                return self._shadows.of(value)
            return _WIDE.get(value, value) if isinstance(value, torch.dtype) else value

        wide_args = _map(wide, args)
        wide_kwargs = {key: _map(wide, value) for key, value in kwargs.items()}
        if plan.name in ("_softmax", "_log_softmax"):
            wide_args[2] = False  # half_to_float
        for k, name in plan.written:  # an integer has no shadow that might be written to in its place
            place: Any = wide_args if k < len(wide_args) else wide_kwargs
            key: Any = k if k < len(wide_args) else name
            if (
                isinstance(value := place[key] if k < len(wide_args) else place.get(key), torch.Tensor)
                and value.dtype not in _WIDE
            ):
                place[key] = value.clone()
        return wide_args, wide_kwargs

    def _run(self, func: Any, args: Any, kwargs: Any, floats: Any) -> Any:
        if not floats:  # integers and Python numbers become floats of the default dtype
            default = torch.get_default_dtype()
            torch.set_default_dtype(torch.float64)
            try:
                return self._rounding.run(func, args, kwargs) if self._rounding else func(*args, **kwargs)
            finally:
                torch.set_default_dtype(default)
        return self._rounding.run(func, args, kwargs) if self._rounding else func(*args, **kwargs)

    def _drawn(self, plan: _Plan, result: Any, args: Any, kwargs: Any, floats: Any) -> Any:
        if plan.name == "native_dropout":
            kept, p = result[1], args[1]
            scale = 1 / (1 - p) if args[2] is not False and p < 1 else 1.0
            self._shadows.put(result[0], floats[0] * kept * scale)
            return result
        written = list(_written(plan, args, kwargs))
        if len(floats) > len(written) and plan.name not in _DRAWN_FROM | _EMPTY:
            self._opaque.add(plan.name)
        for value in written:
            if value.dtype in _WIDE:
                self._shadows.of(value).copy_(value)
        return result

    def _settled(self, narrow: Any, wide: Any, used: list[int]) -> Any:
        """The result that the program gets, its shadow in place."""
        if isinstance(narrow, (list, tuple)):
            return type(narrow)([self._settled(*pair, used) for pair in zip(narrow, wide, strict=True)])
        if not isinstance(narrow, torch.Tensor):
            return narrow if narrow is None else wide
        if narrow.dtype not in _WIDE:
            # float64 decides, even how many there are
            return narrow.copy_(wide) if narrow.shape == wide.shape else wide.to(narrow.dtype)
        if narrow.layout is not torch.strided or self._shadows.known(narrow):
            return narrow
        if narrow.shape != wide.shape:
            narrow = wide.to(narrow.dtype, copy=True)
        self._shadows.put(narrow, wide.clone() if wide.untyped_storage()._cdata in used else wide)
        return narrow

    def _settle_opaque(self, plan: _Plan, result: Any, args: Any, kwargs: Any) -> None:
        rounded = self._rounding.spoil if self._rounding else lambda value: value
        written = [value for value in _written(plan, args, kwargs) if value.dtype in _WIDE]
        for value in written:
            self._shadows.of(value).copy_(rounded(value.to(_WIDE[value.dtype], copy=True)))
        for value in _tensors(result):
            if value.dtype in _WIDE and value.layout is torch.strided and not any(value is other for other in written):
                self._shadows.put(value, rounded(value.to(_WIDE[value.dtype], copy=True)))


class _Border(TorchFunctionMode):
    """Carries numbers between Python and torch where no operation is dispatched."""

    _MADE = frozenset({torch.tensor, torch.as_tensor, torch.asarray, torch.Tensor.new_tensor})
    _NUMPY = frozenset({torch.Tensor.numpy, torch.Tensor.__array__, torch.Tensor.__dlpack__})

    def __init__(self, shadows: _Shadows, narrow: Callable[[Any], None], opaque: set[str]) -> None:
        super().__init__()
        self._shadows = shadows
        self._narrow = narrow
        self._opaque = opaque

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in self._MADE:
            return self._made(func, args, kwargs)
        if func is torch.Tensor.__setitem__ and isinstance(args[2], float) and args[0].dtype in _WIDE:
            made = self._made(torch.tensor, (args[2],), {"dtype": args[0].dtype, "device": args[0].device})
            return func(*args[:2], made)
        if (func in self._NUMPY or func is torch.Tensor.tolist) and args[0].dtype in _WIDE and _is_plain(args[0]):
            with _disable_current_modes(), torch.no_grad():
                tensor = args[0].data  # which counts its own versions: autograd must not take this for a change
                wide = self._shadows.of(tensor)
                if func is torch.Tensor.tolist:
                    return wide.tolist()
                tensor.copy_(wide)
            self._opaque.add("numpy")
        return func(*args, **kwargs)

    def _made(self, func: Any, args: Any, kwargs: Any) -> Any:
        result = func(*args, **kwargs)
        data = args[-1] if func is torch.Tensor.new_tensor else args[0] if args else kwargs.get("data", kwargs.get("obj"))
        if result.dtype in _WIDE and _is_plain(result) and not isinstance(data, torch.Tensor):
            self._narrow(result.dtype)
            kwargs = {**kwargs, "dtype": _WIDE[result.dtype]}
            kwargs.pop("requires_grad", None)
            wide = func(*args, **kwargs)
            with _disable_current_modes(), torch.no_grad():
                self._shadows.put(result, wide.clone())
        return result


def _is_plain(tensor: Any) -> bool:
    return not torch._C._functorch.is_functorch_wrapped_tensor(tensor)


class _Lift:
    """A program of torch, lifted."""

    def __init__(self, program: Program, dtype: str) -> None:
        self._program = program
        self._dtype = getattr(torch, dtype)
        self._narrow: set[str] = set()
        self._opaque: set[str] = set()

    @property
    def met(self) -> Met:
        """What the runs so far have met."""
        return Met(frozenset(self._narrow), frozenset(self._opaque))

    def run(self, arguments: Sequence[Array], noise: Noise | None = None) -> list[Array]:
        """See ``crosscheck._shadow.base.Lifted``."""
        shadows = _Shadows()
        rounding = _Rounding(noise, self._opaque) if noise else None
        tensors = []
        for argument in arguments:
            given = torch.from_numpy(np.array(argument, order="C"))
            tensors.append(given.to(self._dtype, copy=True) if given.dtype == torch.float64 else given)
            if given.dtype == torch.float64:
                shadows.put(tensors[-1], given)
        with ExitStack() as stack:
            # Kernels for one dtype only, for which float64 has no equal, give way to operations that every dtype has.
            stack.enter_context(sdpa_kernel(SDPBackend.MATH))
            stack.callback(torch._C._set_mkldnn_enabled, torch._C._get_mkldnn_enabled())
            torch._C._set_mkldnn_enabled(False)
            if sum(tensor.numel() for tensor in tensors) <= _ONE_THREAD:
                stack.enter_context(one_thread())
            if "torch._dynamo" in sys.modules:
                stack.enter_context(torch.compiler.set_stance("force_eager"))
            stack.enter_context(_Border(shadows, self._meet, self._opaque))
            stack.enter_context(_Lifting(shadows, rounding, self._meet, self._opaque))
            results = list(self._program(*tensors))
        with torch.no_grad():
            return [
                _array(shadows.of(result.detach())) if isinstance(result, torch.Tensor) else np.asarray(result)
                for result in results
            ]

    def _meet(self, dtype: Any) -> None:
        real = _REAL[dtype]
        if real is not self._dtype and not _holds(real, self._dtype):
            self._narrow.add(str(real).removeprefix("torch."))


@functools.cache
def _holds(dtype: Any, other: Any) -> bool:
    """Whether a dtype has every value of another."""
    mine, its = torch.finfo(dtype), torch.finfo(other)
    return bool(mine.eps <= its.eps and mine.max >= its.max)


def _array(tensor: Any) -> Array:
    return np.array(tensor.resolve_conj().resolve_neg().cpu().numpy())


def lift(program: Program, arguments: Sequence[Array], dtype: str) -> _Lift:
    """A program of torch in float64; ``dtype`` is that of its float arguments.

    Nothing is traced, so the lifted program also runs on arguments of other shapes.
    """
    return _Lift(program, dtype)
