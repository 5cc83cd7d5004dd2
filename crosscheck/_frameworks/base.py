"""The interface to a framework: arrays in and out bit for bit, derivatives, an environment."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from crosscheck._arithmetic.formats import FloatArray
from crosscheck._records.errors import ExpectedError

Function = Callable[[Any], Any]

THREADS = 2
"""The number of torch's threads when the catalogue is judged, on every machine, since some results depend on it.

Along another axis than the last one, the last rows of each thread are computed by other code than those before them.
"""


class NoDeviceError(ExpectedError, RuntimeError):
    """The requested device is not available; the message says what to do."""


class WrongOutputError(ExpectedError, TypeError):
    """A function returned something that cannot be compared elementwise with its input."""


@dataclass(frozen=True)
class Flush:
    """Whether subnormals are flushed to zero as inputs and as outputs of an arithmetic operation."""

    inputs: bool
    outputs: bool


@dataclass(frozen=True)
class Cotangents:
    """What derivatives are multiplied with; ones by default.

    Attributes:
        v: The cotangent of each differentiation in reverse mode; of the first alone if ``w`` is given.
        w: The cotangent of all others, for a function whose result has the shape of ``v``. In the mode ``forward``, the
            direction of each differentiation.
    """

    v: FloatArray | None = None
    w: FloatArray | None = None


ONES = Cotangents()


class Backend(Protocol):
    """One framework."""

    name: str
    modes: tuple[str, ...]

    def check_device(self, device: str) -> None:
        """Raise ``NoDeviceError`` if the device, ``cpu`` or ``gpu``, is missing."""

    def derivatives(
        self,
        function: Function,
        x: FloatArray,
        orders: tuple[int, ...],
        mode: str,
        device: str,
        along: Cotangents = ONES,
        *,
        shape: tuple[int, ...] | None = None,
    ) -> dict[int, FloatArray | None]:
        """The derivatives of these orders of an elementwise function at each element of ``x``, in x's dtype and shape.

        Two successive orders come from one run, in eager mode and compiled: the value that comes with a gradient. In the
        mode ``vmap``, the function gets one entry of the first axis at a time. ``shape`` is the shape of the function's
        result if it is neither that of ``x`` nor that of the first cotangent, as for a view. A derivative is None if the
        framework finds no path from the result to the input. Exceptions of the function pass through; a result of another
        shape or dtype raises ``WrongOutputError``.
        """

    def threads(self, number: int) -> AbstractContextManager[None]:
        """Compute in this many threads inside a block, if the framework lets one choose."""

    def lacks(self, mode: str) -> str | None:
        """Why a mode cannot be run here; None if it can."""

    def flush(self, dtype: str, mode: str, device: str) -> Flush:
        """Probe, by running an operation, what happens to subnormals."""

    def release(self) -> None:
        """Release all compiled programs, also those of others; each is compiled again when it is needed."""

    def environment(self, device: str) -> Mapping[str, object]:
        """The things on which results may depend: versions, device, capability, threads, precision settings."""


def check_output(result: Any, x: Any, like: Any = None) -> None:
    """Raise ``WrongOutputError`` unless a result is an array with the dtype and the shape of ``x``, or of ``like``."""
    if not (hasattr(result, "shape") and hasattr(result, "dtype")):
        raise WrongOutputError(f"the function returned {type(result).__name__}, expected an array like its input")
    shape, (dtype, expected) = tuple(result.shape), (str(array.dtype).removeprefix("torch.") for array in (result, x))
    if shape != tuple((x if like is None else like).shape) or dtype != expected:
        raise WrongOutputError(
            f"the function returned shape {shape} and dtype {dtype} "
            f"for an input of shape {tuple(x.shape)} and dtype {expected}"
        )
