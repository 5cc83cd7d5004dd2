"""The float64 shadows of the storages of torch's tensors."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch.multiprocessing.reductions import StorageWeakRef

from crosscheck._shadow.base import Array
from crosscheck._shadow.torch.operations import REAL, WIDE, storage_of

_COST = 2**10
"""To look at one shadow takes as long as so many numbers take memory worth freeing."""
_OF_PARAMETERS = 2**24
"""The most numbers in the shadows of parameters: the shadows used least recently are dropped, and made again when needed."""
_OF_NUMPY = (torch.float16, torch.float32, torch.float64)
"""The real dtypes of torch that NumPy has, too."""


def copied_to_float64(tensor: Any) -> Any:
    """A copy of a real tensor in float64, laid out alike.

    NumPy gets the memory of a large array in large pages, and so makes the copy in a fraction of torch's CPU time.
    """
    if tensor.device.type != "cpu" or tensor.dtype not in _OF_NUMPY:
        return tensor.to(torch.float64, copy=True)
    with np.errstate(invalid="ignore"):  # memory that holds no numbers yet may have any bits
        return torch.from_numpy(tensor.detach().numpy().astype(np.float64))


class Shadows:
    """The float64 shadow of each known storage; those of freed storages are dropped from time to time.

    The storages of ``parameters`` have the numbers of their shadows, so these need not be kept.
    """

    def __init__(self, parameters: Iterable[Any] = ()) -> None:
        self._flat: dict[int, tuple[Any, Any, Any]] = {}
        self._held, self._limit = 0, 256 * _COST  # the numbers in all shadows; from the limit on, the dead ones are dropped
        self._parameters = {storage_of(parameter) for parameter in parameters if parameter.dtype in WIDE} - {None}
        self._recent: dict[int, int] = {}
        """The parameters that have a shadow, the one used last at the end, and the numbers in each."""

    def known(self, tensor: Any) -> bool:
        """Whether the storage of a tensor has a shadow."""
        return tensor.untyped_storage()._cdata in self._flat

    def forget(self, tensor: Any) -> None:
        """Drop the shadow of a tensor's storage."""
        self._flat.pop(tensor.untyped_storage()._cdata, None)

    def of(self, tensor: Any) -> Any:
        """The shadow of a float tensor, made from it at its first use; other tensors unchanged."""
        if tensor.dtype not in WIDE:
            return tensor
        if tensor.layout is not torch.strided:
            return tensor.to(WIDE[tensor.dtype])
        storage = tensor.untyped_storage()
        known = self._flat.get(storage._cdata)
        size = storage.nbytes() // REAL[tensor.dtype].itemsize
        if known and known[1] is REAL[tensor.dtype] and known[2].numel() == size:
            flat = known[2]
            if storage._cdata in self._recent:
                self._recent[storage._cdata] = self._recent.pop(storage._cdata)
        else:
            if tensor._is_zerotensor():
                return torch.zeros(tensor.shape, dtype=WIDE[tensor.dtype])
            flat = copied_to_float64(torch.empty(0, dtype=REAL[tensor.dtype], device=tensor.device).set_(storage))
            if known and known[1] is REAL[tensor.dtype]:  # the storage was resized
                flat[: known[2].numel()] = known[2][:size]
            self._keep(tensor, flat)
            if storage._cdata in self._parameters:
                self._drop_oldest(storage._cdata, size)
        if tensor.is_complex():
            flat = torch.view_as_complex(flat.view(-1, 2))
        wide = flat.as_strided(tensor.shape, tensor.stride(), tensor.storage_offset())
        if tensor.is_conj():
            wide = wide.conj()
        return torch._neg_view(wide) if tensor.is_neg() else wide

    def array(self, tensor: Any) -> Array:
        """The numbers of a tensor in float64, which are copied if they are a part of something larger.

        The shadows of freed storages are dropped first: one may be as large as this array.
        """
        self.drop_freed()
        wide = self.of(tensor).resolve_conj().resolve_neg().cpu()
        array = np.asarray(wide.numpy())
        alone = wide.is_contiguous() and wide.untyped_storage().nbytes() == array.nbytes
        return array if alone else np.array(array)

    def put(self, tensor: Any, wide: Any) -> None:
        """Make ``wide``, to which nothing else may write, the shadow of a tensor that shares its storage with no other."""
        if tensor.layout is not torch.strided or tensor._is_zerotensor():
            return
        size = tensor.untyped_storage().nbytes() // REAL[tensor.dtype].itemsize
        wide = wide.to(WIDE[tensor.dtype]).resolve_conj().resolve_neg()
        same = wide.stride() == tensor.stride() and not tensor.storage_offset() and not wide.storage_offset()
        if same and wide.untyped_storage().nbytes() == 8 * size:
            real = torch.view_as_real(wide) if wide.is_complex() else wide
            self._keep(tensor, real.as_strided((size,), (1,), 0))
        else:
            self._keep(tensor, torch.zeros(size, dtype=torch.float64, device=wide.device))
            self.of(tensor).copy_(wide)

    def is_parameter(self, tensor: Any) -> bool:
        """Whether a tensor has the numbers of a parameter that nothing has written to."""
        return storage_of(tensor) in self._parameters

    def changes(self, tensor: Any) -> None:
        """A tensor is written to: its shadow has digits that it has not, so it must be kept, also that of a parameter."""
        key = storage_of(tensor)
        if key is not None:
            self._parameters.discard(key)
            self._recent.pop(key, None)

    def _drop_oldest(self, key: int, size: int) -> None:
        """Drop shadows of parameters, the one used least recently first, so that a new one has room."""
        self._recent[key] = size
        while sum(self._recent.values()) > _OF_PARAMETERS and len(self._recent) > 1:
            oldest = next(iter(self._recent))
            self._held -= _COST + self._recent.pop(oldest)
            del self._flat[oldest]

    def _keep(self, tensor: Any, flat: Any) -> None:
        # The weak reference prevents the address from being used again.
        storage = tensor.untyped_storage()
        self._flat[storage._cdata] = (StorageWeakRef(storage), REAL[tensor.dtype], flat)
        self._held += _COST + flat.numel()
        if self._held > self._limit:
            self.drop_freed()

    def drop_freed(self) -> None:
        """Drop the shadows of freed storages."""
        self._flat = {key: kept for key, kept in self._flat.items() if not kept[0].expired()}
        self._held = sum(_COST + kept[2].numel() for kept in self._flat.values())
        self._limit = self._held + _COST * max(256, len(self._flat))
