"""Checks of arguments that the functions on whole models share, and the inputs for both sides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from crosscheck import _arguments
from crosscheck._frameworks.programs import Inputs
from crosscheck._frameworks.torch_shards import check_whole
from crosscheck._records.errors import UsageError, said
from crosscheck._records.interface import framework as imported


def both_inputs(
    torch_model: Any,
    jax_model: Any,
    inputs: Any,
    torch_to_jax: Callable[[list[Any]], Any] | None,
    dtype: str,
    seed: int,
) -> tuple[Inputs, Inputs]:
    """The inputs for torch and for JAX; raises ``UsageError`` if a model, the inputs or ``torch_to_jax`` cannot be used."""
    for name in ("jax", "torch"):  # JAX first: on a shared GPU it is set not to take all memory
        imported(name)
    import torch

    from crosscheck._compare.inputs import gather

    if not isinstance(torch_model, torch.nn.Module):
        raise UsageError(f"torch_model: got {type(torch_model).__name__}, expected a torch.nn.Module")
    check_whole("torch_model", torch_model)
    held = (*torch_model.named_parameters(), *torch_model.named_buffers())
    if empty := [name for name, tensor in held if tensor.is_meta]:
        raise UsageError(
            f"torch_model: {empty[0]!r} is on the meta device and has no numbers; crosscheck.read_weights(file, into=model) "
            "gives it those of a file"
        )
    if not callable(jax_model):
        raise UsageError(
            f"jax_model: got {type(jax_model).__name__}, expected a module of flax or equinox, or a function with params=, "
            "such as haiku's apply"
        )
    _arguments.seed(seed)
    torch_inputs = gather(inputs, dtype, None, 0, seed)
    return torch_inputs, laid_out(torch_inputs, torch_to_jax, dtype, seed)


def laid_out(torch_inputs: Inputs, torch_to_jax: Callable[[list[Any]], Any] | None, dtype: str, seed: int) -> Inputs:
    """The inputs as JAX takes them; raises ``UsageError`` if the function does not return inputs."""
    from crosscheck._compare.inputs import gather

    if torch_to_jax is None:
        return torch_inputs
    _arguments.function("torch_to_jax", torch_to_jax)
    given = list(torch_inputs.tree.build(list(torch_inputs.leaves)))
    try:
        made = torch_to_jax(given)
    except Exception as error:
        raise UsageError(f"torch_to_jax: it raised {said(error)}; expected it to return the list of JAX's inputs") from error
    if not isinstance(made, list | tuple):
        raise UsageError(f"torch_to_jax: it returned {type(made).__name__}, expected the list of JAX's inputs")
    return gather(list(made), dtype, None, 0, seed)
