"""Operations of torch: which ones round, how many terms they sum, where they write, and their steps if they are fused."""

import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

_DTYPES = [d for d in vars(torch).values() if isinstance(d, torch.dtype) and (d.is_floating_point or d.is_complex)]
WIDE = {dtype: torch.complex128 if dtype.is_complex else torch.float64 for dtype in _DTYPES}
REAL = {dtype: dtype.to_real() if dtype.is_complex else dtype for dtype in _DTYPES}


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Operations whose float results are copies of existing numbers, or exact functions of them.
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
# Sums along `dim`, and other functions of all numbers along it.
REDUCTIONS = _names(
    """
    cumprod cumsum linalg_vector_norm logcumsumexp mean nansum norm prod std std_mean sum trace var var_mean
    """
)
_PRODUCTS = _names("addbmm addmm _addmm_activation addmv baddbmm bmm dot mm mv vdot")
_CONVOLUTIONS = _names("_convolution convolution convolution_overrideable mkldnn_convolution _slow_conv2d_forward")
# Sums whose number of terms depends on the indices, and is mostly small.
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
# Backward stable algorithms: their rounding is like a rounding of their operands.
ALGORITHMS = ("linalg_", "_linalg_", "_fft_", "cholesky", "triangular_solve", "geqrf", "ormqr", "lu_solve")
# Kernels that do in one step what their core decompositions do in several.
FUSED = _names(
    """
    elu gelu _log_softmax native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_no_training
    native_group_norm native_layer_norm _softmax
    """
)
# The float results of these are random or not yet written: their shadows are made from them at their first use.
EMPTY = _names("empty empty_like empty_permuted empty_strided new_empty new_empty_strided")
DRAWN_FROM = _names("bernoulli multinomial rand_like randint_like randn_like")


@dataclass(frozen=True)
class OperationTraits:
    """The properties of an operation."""

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
def plan_of(func: Any) -> OperationTraits:
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
    return OperationTraits(
        name=base,
        composite=func._can_decompose(),
        view=func.is_view or torch.Tag.inplace_view in func.tags,
        drawn=base in EMPTY or torch.Tag.nondeterministic_seeded in func.tags,
        dtype="dtype" in names,
        dim=names.index("dim") if "dim" in names else None,
        written=written,
        functional=getattr(getattr(torch.ops.aten, base, None), func._overloadname, None) if in_place else None,
        pointwise=torch.Tag.pointwise in func.tags or base.startswith("_foreach_") or func.namespace == "prims",
    )


@functools.cache
def _core_decompositions() -> Any:
    # Imported by the first noisy run, since it takes a third of a second.
    from torch._decomp import core_aten_decompositions

    return core_aten_decompositions()


@functools.cache
def decomposition(func: Any) -> Callable[..., Any] | None:
    """The steps of a fused operation, as a function; None for a primitive."""
    core = _core_decompositions()
    if plan_of(func).name in FUSED:
        from torch._decomp import decomposition_table

        return decomposition_table.get(func)
    return core[func] if func in core and not func._can_decompose() else None


def tensors_in(value: Any) -> Iterator[Any]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from tensors_in(item)


def mapped(function: Callable[[Any], Any], value: Any) -> Any:
    """The function's results for everything in nested lists and tuples."""
    return [mapped(function, item) for item in value] if isinstance(value, (list, tuple)) else function(value)


def is_dense_float(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.dtype in WIDE and value.layout is torch.strided and not value.is_meta


def is_exact(plan: OperationTraits, args: Any, kwargs: Any) -> bool:
    if plan.name in _EXACT or kwargs.get("rounding_mode") or not any(True for _ in tensors_in(args)):
        return True
    if plan.name in ("index_put", "_unsafe_index_put", "_index_put_impl"):
        return not (args[3] if len(args) > 3 else kwargs.get("accumulate", False))
    if plan.name in ("mul", "div") and len(args) > 1 and isinstance(args[1], (int, float)):
        return math.frexp(abs(args[1]))[0] in (0.0, 0.5)
    return False


def summed(plan: OperationTraits, args: Any, kwargs: Any) -> int | None:
    """The number of terms of each sum in an operation; None if it has no sum."""
    if plan.name in REDUCTIONS:
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
        # The weight's gradient sums over the batch and every position, the input's gradient over channels and the kernel.
        gradient, _, weight = args[:3]
        return int(max(gradient.numel() // max(1, gradient.shape[1]), weight.numel() // max(1, weight.shape[1])))
    if plan.name in _SCATTERS or plan.name.startswith("upsample_"):
        sizes = [value.numel() for value in tensors_in(args) if value.dtype in WIDE]
        return max(2, max(sizes) // max(1, sizes[0]))
    if plan.name.startswith(ALGORITHMS):
        return max((max(value.shape[-2:], default=1) for value in tensors_in(args)), default=1)
    return None


def storage_of(tensor: Any) -> int | None:
    """What identifies the storage of a tensor; None for one that has no single one, such as a sparse one."""
    return tensor.untyped_storage()._cdata if tensor.layout is torch.strided else None


def written_by(plan: OperationTraits, args: Any, kwargs: Any) -> Iterator[Any]:
    for k, name in plan.written:
        yield from tensors_in(args[k] if k < len(args) else kwargs.get(name))
