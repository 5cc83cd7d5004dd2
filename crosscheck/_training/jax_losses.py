"""Binary cross entropy in JAX: on probabilities by torch's rule, which optax lacks; on logits by optax."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from crosscheck._training.formula import DENOMINATOR_FLOOR, LOG_FLOOR


@jax.custom_jvp
def binary_cross_entropy(p: Any, y: Any) -> Any:
    """``-(y log p + (1 - y) log(1 - p))`` elementwise, each logarithm at least -100, as ``torch.nn.BCELoss`` computes it.

    Its gradient by p is also torch's, ``(p - y) / max(p (1 - p), 1e-12)``, not that of the clamped logarithm.
    Source: aten/src/ATen/native/Loss.cpp, binary_cross_entropy and its backward.
    """
    log_p, log_not_p = jnp.log(p), _log_not(p)
    return (y - 1) * jnp.maximum(log_not_p, LOG_FLOOR) - y * jnp.maximum(log_p, LOG_FLOOR)


def _log_not(p: Any) -> Any:
    """log(1 - p) without log1p, since XLA's float64 log1p on the CPU errs by 120 ULP near p = 0.41."""
    return jnp.where(p < 0.25, jnp.log1p(-p), jnp.log(1 - p))


@binary_cross_entropy.defjvp
def _gradient(primals: tuple[Any, Any], tangents: tuple[Any, Any]) -> tuple[Any, Any]:
    (p, y), (along_p, _) = primals, tangents
    gradient = (p - y) / jnp.maximum((1 - p) * p, DENOMINATOR_FLOOR)
    return binary_cross_entropy(p, y), gradient * along_p


def plain(p: Any, y: Any) -> Any:
    """The formula as written, without a clamp: it shows what JAX gives at probabilities of 0 and 1."""
    return -(y * jnp.log(p) + (1 - y) * jnp.log1p(-p))


binary_cross_entropy_with_logits = optax.sigmoid_binary_cross_entropy
