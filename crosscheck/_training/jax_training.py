"""The training as one writes it in JAX: a pure step, scanned, every epoch recorded."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from crosscheck._frameworks.jax_backend import scope
from crosscheck._training.jax_losses import binary_cross_entropy, binary_cross_entropy_with_logits
from crosscheck._training.jax_model import apply
from crosscheck._training.records import History, Progress, Setup


def train(setup: Setup, progress: Progress | None = None) -> History:
    """Train with ``optax.sgd`` on the whole batch, on the CPU."""
    with scope(setup.dtype, "cpu"):
        program = _program(setup.logits, setup.reduction, setup.reset_gradient, setup.epochs)
        weights, x, y = jax.tree.map(jnp.asarray, (dict(setup.weights), setup.x, setup.y))
        kept, final = jax.tree.map(np.asarray, program(weights, x, y, jnp.asarray(setup.learning_rate, x.dtype)))
    if progress:
        progress("jax", setup.epochs)
    for name in ("weight", "bias"):
        kept[name] = np.concatenate([setup.weights[name][None], kept[name]])
    kept["outputs"] = np.concatenate([kept["outputs"], final[None]])
    return History(kept)


@functools.lru_cache(maxsize=16)
def _program(logits: bool, reduction: str, reset_gradient: bool, epochs: int) -> Any:
    """(weights, x, y, learning rate) -> the tensors of every epoch, the last outputs; a control is not compiled again."""
    loss_of = binary_cross_entropy_with_logits if logits else binary_cross_entropy
    reduced = {"mean": jnp.mean, "sum": jnp.sum}[reduction]

    def objective(weights: Any, x: Any, y: Any) -> tuple[Any, Any]:
        outputs = apply(weights, x, logits=logits)
        return reduced(loss_of(outputs, y)), outputs

    def program(weights: Any, x: Any, y: Any, learning_rate: Any) -> Any:
        optimizer = optax.sgd(learning_rate)

        def step(carry: Any, _: None) -> tuple[Any, dict[str, Any]]:
            weights, state, previous = carry
            (loss, outputs), gradient = jax.value_and_grad(objective, has_aux=True)(weights, x, y)
            if not reset_gradient:
                gradient = jax.tree.map(jnp.add, previous, gradient)
            updates, state = optimizer.update(gradient, state)
            weights = optax.apply_updates(weights, updates)
            kept = {"outputs": outputs, "loss": loss, **weights}
            kept |= {f"gradient.{name}": value for name, value in gradient.items()}
            return (weights, state, gradient), kept

        start = (weights, optimizer.init(weights), jax.tree.map(jnp.zeros_like, weights))
        (weights, *_), kept = jax.lax.scan(step, start, length=epochs)
        return kept, apply(weights, x, logits=logits)

    return jax.jit(program)
