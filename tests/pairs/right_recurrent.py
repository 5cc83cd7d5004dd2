"""Cells unrolled beside scans, state spaces, integrators, and iterations that spread every rounding."""

import jax
import jax.numpy as jnp
import numpy as np
import torch

from pairs.records import Pair
from pairs.seeded import Array, normals, uniforms

LORENZ = np.float32([1.0, 2.0, 20.0])


def cell(gates: int):
    """Inputs (time, batch, features), and the weights of a cell with this many gates and 6 hidden units."""
    return normals((5, 3, 4), (6 * gates, 4), (6 * gates, 6), (6 * gates,), (6 * gates,), scale=0.5)


def torch_run(step, x, *state):
    for row in x:
        state = step(row, *state)
    return state


def torch_rnn(x, w, u, b, c):
    h = x.new_zeros(3, 6)
    for row in x:
        h = torch.rnn_tanh_cell(row, h, w, u, b, c)
    return h


def jax_rnn(x, w, u, b, c):
    def step(h, row):
        return jnp.tanh(row @ w.T + b + h @ u.T + c), None

    return jax.lax.scan(step, jnp.zeros((3, 6), x.dtype), x)[0]


def torch_lstm(x, w, u, b, c):
    state = x.new_zeros(3, 6), x.new_zeros(3, 6)
    for row in x:
        state = torch.lstm_cell(row, state, w, u, b, c)
    return state


def jax_lstm(x, w, u, b, c):
    def step(state, row):
        h, memory = state
        i, f, g, o = jnp.split(row @ w.T + h @ u.T + (b + c), 4, -1)
        memory = jax.nn.sigmoid(f) * memory + jax.nn.sigmoid(i) * jnp.tanh(g)
        return (jax.nn.sigmoid(o) * jnp.tanh(memory), memory), None

    start = jnp.zeros((3, 6), x.dtype)
    return jax.lax.scan(step, (start, start), x)[0]


def torch_gru(x, w, u, b, c):
    h = x.new_zeros(3, 6)
    for row in x:
        h = torch.gru_cell(row, h, w, u, b, c)
    return h


def jax_gru(x, w, u, b, c):
    def step(h, row):
        ri, zi, ni = jnp.split(row @ w.T + b, 3, -1)
        rh, zh, nh = jnp.split(h @ u.T + c, 3, -1)
        z, n = jax.nn.sigmoid(zi + zh), jnp.tanh(ni + jax.nn.sigmoid(ri + rh) * nh)
        return n + z * (h - n), None

    return jax.lax.scan(step, jnp.zeros((3, 6), x.dtype), x)[0]


def torch_state_space(u, a, b, c):
    """A diagonal system, step by step."""
    decay = torch.exp(-torch.nn.functional.softplus(a))
    state, out = torch.zeros_like(a), []
    for value in u:
        state = decay * state + b * value
        out.append(state @ c)
    return torch.stack(out)


def jax_state_space(u, a, b, c):
    """The same as an associative scan."""
    decay = jnp.broadcast_to(jnp.exp(-jax.nn.softplus(a)), (len(u), len(a)))
    combine = lambda left, right: (left[0] * right[0], right[0] * left[1] + right[1])  # noqa: E731
    return jax.lax.associative_scan(combine, (decay, u[:, None] * b))[1] @ c


def jax_state_space_kernel(u, a, b, c):
    """The same as a convolution with the impulse response."""
    steps = jnp.arange(len(u), dtype=u.dtype)
    kernel = jnp.exp(-jax.nn.softplus(a) * steps[:, None]) @ (b * c)
    return jnp.convolve(u, kernel)[: len(u)]


def torch_selective(x, delta, a, b, c):
    """Mamba's recurrence, with a step that depends on the input."""
    step = torch.nn.functional.softplus(delta)
    state, out = x.new_zeros(4, 3), []
    for t in range(len(x)):
        state = torch.exp(-step[t, :, None] * a.exp()) * state + (step[t] * x[t])[:, None] * b[t]
        out.append(state @ c[t])
    return torch.stack(out)


def jax_selective(x, delta, a, b, c):
    def advance(state, row):
        x, step, b, c = row
        state = state * jnp.exp(-jnp.outer(step, jnp.ones(3, step.dtype)) * jnp.exp(a)) + jnp.outer(step * x, b)
        return state, jnp.sum(state * c, 1)

    return jax.lax.scan(advance, jnp.zeros((4, 3), x.dtype), (x, jax.nn.softplus(delta), b, c))[1]


def lorenz(stack, s):
    x, y, z = s[0], s[1], s[2]
    return stack([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z])


def runge_kutta(f, s, h):
    k1 = f(s)
    k2 = f(s + h / 2 * k1)
    k3 = f(s + h / 2 * k2)
    k4 = f(s + h * k3)
    return s + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


def torch_lorenz(s):
    for _ in range(40):
        s = runge_kutta(lambda s: lorenz(torch.stack, s), s, 0.02)
    return s


def jax_lorenz(s):
    return jax.lax.fori_loop(0, 40, lambda _, s: runge_kutta(lambda s: lorenz(jnp.stack, s), s, 0.02), s)


def torch_logistic(x, steps=30):
    for _ in range(steps):
        x = 3.9 * x * (1 - x)
    return x


def jax_logistic(x, steps=30):
    return jax.lax.fori_loop(0, steps, lambda _, x: 3.9 * (x - x * x), x)


def torch_newton(a):
    x = torch.ones_like(a)
    for _ in range(8):
        x = x - (x * x - a) / (2 * x)
    return x


def torch_pendulum(q, p):
    """Leapfrog."""
    for _ in range(20):
        p = p - 0.05 * torch.sin(q)
        q = q + 0.1 * p
        p = p - 0.05 * torch.sin(q)
    return q, p


def jax_pendulum(q, p):
    def step(state, _):
        q, p = state
        half = p - 0.05 * jnp.sin(q)
        q = q + 0.1 * half
        return (q, half - 0.05 * jnp.sin(q)), None

    return jax.lax.scan(step, (q, p), length=20)[0]


def torch_diffusion(x, noise):
    """One step back of a denoising model, from the cumulative products of its schedule."""
    kept = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 100, dtype=x.dtype), 0)
    now, before = kept[50], kept[49]
    start = (x - (1 - now).sqrt() * noise) / now.sqrt()
    return before.sqrt() * start + (1 - before).sqrt() * noise


def jax_diffusion(x, noise):
    kept = jnp.exp(jnp.cumsum(jnp.log1p(-jnp.linspace(1e-4, 0.02, 100, dtype=x.dtype))))
    now, before = kept[50], kept[49]
    ratio = jnp.sqrt(before / now)
    return ratio * x + (jnp.sqrt(1 - before) - ratio * jnp.sqrt(1 - now)) * noise


def torch_sinkhorn(scores):
    for _ in range(10):
        scores = torch.log_softmax(torch.log_softmax(scores, 1), 0)
    return scores.exp()


def jax_sinkhorn(scores):
    kernel, v = jnp.exp(scores), jnp.ones(scores.shape[1], scores.dtype)
    for _ in range(10):
        u = 1 / (kernel @ v)
        v = 1 / (kernel.T @ u)
    return u[:, None] * kernel * v


def torch_viterbi_like(x, a):
    """The forward algorithm of a hidden Markov model, in logarithms."""
    a, state = torch.log_softmax(a, 1), x[0]
    for row in x[1:]:
        state = torch.logsumexp(state[:, None] + a, 0) + row
    return torch.logsumexp(state, 0)


def jax_viterbi_like(x, a):
    """The same with probabilities that are scaled at each step."""
    a = jax.nn.softmax(a, 1)

    def step(state, row):
        state = (state @ a) * jnp.exp(row)
        return state / state.sum(), jnp.log(state.sum())

    first = jnp.exp(x[0])
    _, logs = jax.lax.scan(step, first / first.sum(), x[1:])
    return jnp.log(first.sum()) + logs.sum()


def rows_of_states() -> list[Array]:
    return normals((20,), (6,), (6,), (6,))()


PAIRS = [
    Pair("rnn-cell-unrolled", torch_rnn, jax_rnn, cell(1)),
    Pair("lstm-cell-unrolled", torch_lstm, jax_lstm, cell(4)),
    Pair("gru-cell-unrolled", torch_gru, jax_gru, cell(3)),
    Pair("state-space-associative", torch_state_space, jax_state_space, rows_of_states),
    Pair("state-space-as-convolution", torch_state_space, jax_state_space_kernel, rows_of_states),
    Pair("state-space-selective", torch_selective, jax_selective, normals((8, 4), (8, 4), (4, 3), (8, 3), (8, 3))),
    Pair("hidden-markov-model", torch_viterbi_like, jax_viterbi_like, normals((12, 5), (5, 5))),
    Pair("runge-kutta-lorenz", torch_lorenz, jax_lorenz, lambda: [LORENZ]),
    Pair("leapfrog-pendulum", torch_pendulum, jax_pendulum, normals((20,), (20,))),
    Pair("leapfrog-pendulum-to-second-order", torch_pendulum, jax_pendulum, normals((20,), (20,)), order=2),
    Pair("logistic-map-thirty-steps", torch_logistic, jax_logistic, uniforms(0.1, 0.9, (50,))),
    Pair("logistic-map-values-only", torch_logistic, jax_logistic, uniforms(0.1, 0.9, (1000,), seed=1), order=0),
    Pair("newton-square-root", torch_newton, jnp.sqrt, uniforms(0.1, 10, (200,))),
    Pair("diffusion-step", torch_diffusion, jax_diffusion, normals((50,), (50,))),
    Pair("sinkhorn", torch_sinkhorn, jax_sinkhorn, normals((8, 8))),
]
