"""Models that compute with complex numbers: rotations that a buffer holds, weights of frequencies, Fourier transforms."""

from typing import Any

import jax.numpy as jnp
import pytest
import torch
from ports import compared, linear, normal, seeded
from torch import nn

pytestmark = pytest.mark.full

IMAGE = normal(2, 6, 4)


class Rotated(nn.Module):
    """Rotary positions as complex numbers, in a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(4, 4), nn.Linear(4, 2)
        angles = torch.outer(torch.arange(6.0), 100.0 ** (-torch.arange(2) / 2))
        self.register_buffer("turns", torch.polar(torch.ones_like(angles), angles), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pairs = torch.view_as_complex(self.up(x).unflatten(-1, (2, 2)))
        return self.down(torch.view_as_real(pairs * self.turns).flatten(-2))


@pytest.mark.parametrize("sign", [1, -1])
def test_a_complex_buffer_stays_complex(sign: int) -> None:
    def port(p: dict[str, Any], x: Any) -> Any:
        angles = jnp.arange(6)[:, None] * 100.0 ** (-jnp.arange(2) / 2)
        cos, sin = jnp.cos(angles), sign * jnp.sin(angles)
        h = linear(p, "up", x).reshape(2, 6, 2, 2)
        turned = jnp.stack([h[..., 0] * cos - h[..., 1] * sin, h[..., 0] * sin + h[..., 1] * cos], -1)
        return linear(p, "down", turned.reshape(2, 6, 4))

    report = compared(seeded(Rotated()), port, IMAGE, order=1)
    assert report.passed is (sign == 1), report.story()


class Filtered(nn.Module):
    """The lowest frequencies through a complex matrix each, as in a Fourier neural operator."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(4, 4), nn.Linear(4, 2)
        self.kernel = nn.Parameter(torch.randn(3, 4, 4, dtype=torch.complex64, generator=torch.Generator().manual_seed(0)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        low = torch.einsum("bki,kio->bko", torch.fft.rfft(self.up(x), dim=1)[:, :3], self.kernel)
        return self.down(torch.fft.irfft(low, n=6, dim=1))


@pytest.mark.parametrize("wrong", [False, True])
def test_a_complex_weight_stays_complex(wrong: bool) -> None:
    def port(p: dict[str, Any], x: Any) -> Any:
        kernel = p["kernel"].conj() if wrong else p["kernel"]
        low = jnp.einsum("bki,kio->bko", jnp.fft.rfft(linear(p, "up", x), axis=1)[:, :3], kernel)
        return linear(p, "down", jnp.fft.irfft(low, n=6, axis=1))

    report = compared(seeded(Filtered()), port, IMAGE)
    assert report.passed is not wrong, report.story()


def test_the_search_for_a_mistake_beside_a_fourier_transform_does_not_end_the_process() -> None:
    """PyTorch's operation behind ``irfft`` does not check its axes."""

    class Damped(Rotated):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            waves = torch.fft.rfft(self.up(x), dim=1)
            damped = waves * torch.exp(-torch.arange(4.0, dtype=x.dtype))[:, None]
            return self.down(torch.fft.irfft(damped, n=6, dim=1))

    def port(p: dict[str, Any], x: Any) -> Any:
        waves = jnp.fft.rfft(linear(p, "up", x), axis=1).conj()
        return linear(p, "down", jnp.fft.irfft(waves * jnp.exp(-jnp.arange(4.0))[:, None], n=6, axis=1))

    assert not compared(seeded(Damped()), port, IMAGE).passed
