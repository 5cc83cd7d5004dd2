"""Bugs of flax and optax."""

from __future__ import annotations

import optax
import torch

from field.records import Bug, Optimizers


def rmsprop(*, inside: bool) -> Optimizers:
    """torch adds epsilon outside the root; ``eps_in_sqrt`` is optax's default."""
    return Optimizers(
        lambda params: torch.optim.RMSprop(params, lr=1e-2, alpha=0.9, eps=1e-3),
        optax.rmsprop(1e-2, decay=0.9, eps=1e-3, eps_in_sqrt=inside),
    )


BUGS = (
    Bug(
        name="optax_rmsprop_epsilon",
        project="google-deepmind/optax",
        place="https://github.com/google-deepmind/optax/issues/532",
        what="RMSprop adds its epsilon inside the root, where PyTorch adds it outside.",
        shows="training",
        right=lambda: rmsprop(inside=False),
        wrong=lambda: rmsprop(inside=True),
        cause=(r"eps\w* (inside|in) the (square )?root", r"inside the (square )?root"),
    ),
)
