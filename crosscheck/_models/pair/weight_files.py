"""Weights in safetensors files: each number is read when it is used, so a model may be larger than the memory."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crosscheck import _arguments
from crosscheck._frameworks.programs import Array
from crosscheck._records.errors import UsageError, own_failures, said
from crosscheck._records.interface import framework

ENDING, INDEX = ".safetensors", ".index.json"


@own_failures()
def read_weights(file: str | Path, *, into: Any = None) -> dict[str, Array]:
    """The weights of a safetensors file, mapped into memory: a number is read from the file when it is used.

    So ``compare_models`` judges models that are larger than the memory, layer by layer, in the dtype of the file.

    Args:
        file: A ``.safetensors`` file; the ``.index.json`` of several; or a folder that holds one of both.
        into: A ``torch.nn.Module``, also one on the meta device, that gets the arrays as its parameters and buffers. Names
            that share a parameter go on sharing it, and the file may hold it once.

    Returns:
        The arrays by name, such as ``params`` for a function of JAX. ``flax.traverse_util.unflatten_dict(weights, sep=".")``
        makes flax's tree of names such as ``layer.kernel``.

    Raises:
        UsageError: If the file cannot be read; or if ``into`` is no module, or has a parameter or a buffer that the file
            lacks, or has in another shape.
        MissingFrameworkError: If PyTorch cannot be imported.

    Examples:
        >>> import os, tempfile, crosscheck, torch
        >>> folder = tempfile.mkdtemp()
        >>> file = os.path.join(folder, "model.safetensors")
        >>> crosscheck.dump(file, **torch.nn.Linear(4, 2).state_dict())
        >>> with torch.device("meta"):
        ...     model = torch.nn.Linear(4, 2)
        >>> params = crosscheck.read_weights(file, into=model)
        >>> model.weight.device.type, params["weight"].shape
        ('cpu', (2, 4))
    """
    framework("torch")
    from crosscheck._frameworks.torch_backend import to_array

    tensors = {
        name: tensor for path, names in _files(_arguments.path("file", file)).items() for name, tensor in _read(path, names)
    }
    if into is not None:
        _fill(into, tensors)
    return {name: to_array(tensor) for name, tensor in tensors.items()}


def _files(path: Path) -> dict[Path, set[str] | None]:
    """The files that hold weights, and the names of those in each; None for all."""
    if path.is_dir():
        files = sorted(path.glob(f"*{ENDING}{INDEX}")) or sorted(path.glob(f"*{ENDING}"))
        if len(files) != 1:
            raise UsageError(
                f"file: the folder {path} holds {len(files)} files of weights, expected one {ENDING} or {INDEX}"
            )
        path = files[0]
    if path.name.endswith(INDEX):
        try:
            parts = json.loads(path.read_text())["weight_map"].items()
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise UsageError(f"file: {path} is no index of weights: {said(error)}") from error
        names: dict[Path, set[str] | None] = {
            path.parent / part: {name for name, there in parts if there == part} for _, part in parts
        }
        return names
    if path.suffix != ENDING:
        raise UsageError(f"file: {path} ends in {path.suffix!r}, expected {ENDING}, {INDEX} or a folder")
    return {path: None}


def _read(path: Path, names: set[str] | None) -> list[tuple[str, Any]]:
    """The tensors of a file."""
    from safetensors import SafetensorError, safe_open

    try:
        opened = safe_open(path, framework="pt")
        there: list[str] = opened.keys()  # type: ignore[no-untyped-call]
        wanted = [name for name in there if names is None or name in names]
        return [(name, opened.get_tensor(name)) for name in wanted]  # type: ignore[no-untyped-call]
    except (OSError, SafetensorError) as error:
        raise UsageError(f"file: {path} cannot be read: {said(error)}") from error


def _fill(module: Any, tensors: Mapping[str, Any]) -> None:
    """Give a module its parameters and buffers."""
    import torch

    if not isinstance(module, torch.nn.Module):
        raise UsageError(f"into: got {type(module).__name__}, expected a torch.nn.Module")
    together: dict[int, list[str]] = defaultdict(list)
    own = {**dict(module.named_parameters(remove_duplicate=False)), **dict(module.named_buffers(remove_duplicate=False))}
    for name, tensor in own.items():
        together[id(tensor)].append(name)
    for names in together.values():
        old = own[names[0]]
        given = next((tensors[name] for name in names if name in tensors), None)
        if given is None and old.is_meta:
            unsaved = (
                "; set a buffer that the module computes itself before" if not isinstance(old, torch.nn.Parameter) else ""
            )
            raise UsageError(f"into: the file lacks {names[0]!r}, and it has no numbers on the meta device{unsaved}")
        if given is None and isinstance(old, torch.nn.Parameter):
            raise UsageError(f"into: the file lacks the parameter {names[0]!r}; it has {len(tensors)} others")
        if given is None:  # a buffer that is not saved
            continue
        if given.shape != old.shape:
            raise UsageError(f"into: {names[0]!r} has shape {tuple(old.shape)}, and {tuple(given.shape)} in the file")
        new = torch.nn.Parameter(given, old.requires_grad) if isinstance(old, torch.nn.Parameter) else given
        for name in names:
            holder, _, last = name.rpartition(".")
            setattr(module.get_submodule(holder), last, new)
