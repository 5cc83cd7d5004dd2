"""One description of the perceptron, from which both frameworks' models are made."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from crosscheck._records.errors import UsageError
from crosscheck._records.interface import framework
from crosscheck._training.records import Weights


@dataclass(frozen=True)
class Perceptron:
    """One linear layer, then the sigmoid unless ``logits``: ``sigmoid(x W^T + b)``.

    Attributes:
        input_dim: The number of inputs.
        output_dim: The number of outputs.
        logits: Whether the outputs are logits, without the sigmoid.

    Raises:
        UsageError: If a dimension is not a positive integer.
        MissingFrameworkError: In a method, if its framework cannot be imported.

    Examples:
        >>> import crosscheck, numpy as np
        >>> weights = {"weight": np.float32([[1, 1]]), "bias": np.float32([-0.5])}
        >>> perceptron = crosscheck.Perceptron(2, 1, logits=True)
        >>> perceptron.apply(perceptron.jax(weights), np.float32([1, 0])).tolist()
        [0.5]
    """

    input_dim: int
    output_dim: int
    logits: bool = False

    def __post_init__(self) -> None:
        for name, value in (("input_dim", self.input_dim), ("output_dim", self.output_dim)):
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise UsageError(
                    f"{name}: got {value!r}, expected a positive integer; a perceptron of one gate is Perceptron(2, 1)"
                )

    def torch(self, weights: Weights | None = None, *, dtype: str = "float32") -> Any:
        """Make the perceptron in PyTorch.

        Args:
            weights: ``weight`` (outputs, inputs) and ``bias`` (outputs,), which the module gets bit for bit, with their
                dtype. Without them, PyTorch initialises the module.
            dtype: The dtype of the module without ``weights``.

        Returns:
            A ``torch.nn.Module``.

        Raises:
            UsageError: If the weights have other names, shapes or dtypes.
        """
        torch = framework("torch")
        module = importlib.import_module("crosscheck._training.perceptron.in_torch")
        if weights is None:
            dims = self.input_dim, self.output_dim
            return module.TorchPerceptron(*dims, logits=self.logits, dtype=getattr(torch, dtype))
        check_weights(weights, self._shapes(), str(weights["bias"].dtype))
        return module.with_weights(weights, logits=self.logits)

    def jax(self, weights: Weights) -> dict[str, Any]:
        """Convert weights to JAX, bit for bit.

        Args:
            weights: ``weight`` (outputs, inputs) and ``bias`` (outputs,), as ``module.weights()`` gives them.

        Returns:
            A pytree of JAX arrays.

        Raises:
            UsageError: If the weights have other names, shapes or dtypes.
        """
        check_weights(weights, self._shapes(), str(weights["bias"].dtype))
        jax = framework("jax")
        return {name: jax.numpy.asarray(array) for name, array in weights.items()}

    def init(self, key: Any, *, dtype: Any = "float32") -> dict[str, Any]:
        """Draw weights in JAX as PyTorch draws them.

        Args:
            key: A key of ``jax.random``.
            dtype: The dtype of the weights.

        Returns:
            A pytree of JAX arrays, ``weight`` (outputs, inputs) and ``bias`` (outputs,).
        """
        return self._jax().initialise(key, self.input_dim, self.output_dim, dtype=dtype)

    def apply(self, weights: Mapping[str, Any], x: Any) -> Any:
        """Compute the outputs in JAX, as a pure function.

        Args:
            weights: The pytree of JAX arrays.
            x: The inputs (..., inputs).

        Returns:
            The outputs (..., outputs).

        Raises:
            UsageError: If the last axis of x has another size.
        """
        return self._jax().apply(weights, x, logits=self.logits)

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        return {"weight": (self.output_dim, self.input_dim), "bias": (self.output_dim,)}

    def _jax(self) -> Any:
        framework("jax")
        return importlib.import_module("crosscheck._training.perceptron.in_jax")


def check_input(shape: tuple[int, ...], input_dim: int) -> None:
    """Raise ``UsageError`` unless the last axis of an input has the layer's size."""
    if not shape or shape[-1] != input_dim:
        raise UsageError(
            f"x: got shape {tuple(shape)}, expected ({input_dim},) or (points, {input_dim}); the last axis holds the inputs "
            "of one point, so a transposed batch needs x.T"
        )


def check_weights(weights: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]], dtype: str) -> None:
    """Raise ``UsageError`` unless weights have these names and shapes and this dtype."""
    if set(weights) != set(shapes):
        raise UsageError(f"weights: got {', '.join(weights) or 'nothing'}, expected weight and bias, as torch.nn.Linear has")
    for name, shape in shapes.items():
        got, got_dtype = tuple(weights[name].shape), str(weights[name].dtype)
        if got != shape:
            raise UsageError(
                f"weights: {name}: got shape {got}, expected {shape}; the layout is torch.nn.Linear's, (outputs, inputs), "
                "so weights stored as (inputs, outputs) need a transpose"
            )
        if got_dtype != dtype:
            raise UsageError(f"weights: {name}: got dtype {got_dtype}, expected {dtype}; convert it with .astype({dtype!r})")
