"""Tensors of PyTorch that several processes hold in parts: ``DTensor``, as of ``fully_shard`` and ``parallelize_module``."""

from __future__ import annotations

from typing import Any

from crosscheck._records.errors import UsageError


def whole(tensor: Any) -> Any:
    """The whole tensor, for which all processes must call this; any other value as it is."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def check_whole(argument: str, model: Any) -> None:
    """Raise ``UsageError`` if a model has a tensor that several processes hold in parts: its modules exchange values."""
    named = [*model.named_parameters(), *model.named_buffers()]
    parts = [name for name, tensor in named if hasattr(tensor, "full_tensor")]
    if parts:
        raise UsageError(
            f"{argument}: its {parts[0]} is a DTensor, of which each process holds a part, expected whole tensors; pass the "
            f"model as it was before fully_shard or parallelize_module, with load_state_dict({{name: one.full_tensor() if "
            f"hasattr(one, 'full_tensor') else one for name, one in sharded.state_dict().items()}})"
        )
