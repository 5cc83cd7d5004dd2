"""Systems, factorisations and functions of matrices, well and badly conditioned."""

import jax
import jax.numpy as jnp
import numpy as np
import torch

from pairs.records import Pair
from pairs.seeded import Array, normals, uniforms


def dominant() -> list[Array]:
    """A matrix that is easy to solve with, and two right-hand sides."""
    a, b = normals((12, 12), (12, 2), scale=0.2)()
    return [a + np.eye(12, dtype=np.float32), b]


def positive() -> list[Array]:
    """A symmetric positive definite matrix, and right-hand sides."""
    a, b = normals((10, 14), (10, 3))()
    return [a @ a.T / 14 + 0.1 * np.eye(10, dtype=np.float32), b]


def hilbert() -> list[Array]:
    """The Hilbert matrix of order 5, of condition 5e5."""
    index = np.arange(5)
    return [(1 / (1 + index[:, None] + index)).astype(np.float32), *normals((5,))()]


def vandermonde() -> list[Array]:
    return [np.vander(np.linspace(0.1, 1, 6)).astype(np.float32), *normals((6,))()]


def nearly_singular() -> list[Array]:
    a, b = normals((4, 4), (4,))()
    a[3] = a[0] + a[1] + 1e-3 * a[3]
    return [a, b]


def torch_spd(a):
    return (a + a.T) / 2


def torch_power_iteration(w, u):
    for _ in range(5):
        v = torch.nn.functional.normalize(w.T @ u, dim=0)
        u = torch.nn.functional.normalize(w @ v, dim=0)
    return w / (u @ w @ v)


def jax_power_iteration(w, u):
    for _ in range(5):
        v = w.T @ u
        v = v / jnp.linalg.norm(v)
        u = w @ v
        u = u / jnp.linalg.norm(u)
    return w / jnp.einsum("i,ij,j->", u, w, v)


def torch_gram_schmidt(a):
    columns = []
    for column in a.T:
        left = column
        for done in columns:
            left = left - done * (done @ left)
        columns.append(left / left.norm())
    return torch.stack(columns, 1)


def jax_gram_schmidt(a):
    q, r = jnp.linalg.qr(a)
    return q * jnp.sign(jnp.diagonal(r))


def torch_kalman(mean, root, seen, f, h):
    cov = root @ root.T
    mean, cov = f @ mean, f @ cov @ f.T + 0.1 * torch.eye(4, dtype=cov.dtype)
    s = h @ cov @ h.T + 0.5 * torch.eye(2, dtype=cov.dtype)
    gain = torch.linalg.solve(s, h @ cov).T
    return mean + gain @ (seen - h @ mean), cov - gain @ h @ cov


def jax_kalman(mean, root, seen, f, h):
    cov = root @ root.T
    mean, cov = f @ mean, f @ cov @ f.T + 0.1 * jnp.eye(4, dtype=cov.dtype)
    s = h @ cov @ h.T + 0.5 * jnp.eye(2, dtype=cov.dtype)
    gain = cov @ h.T @ jnp.linalg.inv(s)
    return mean + gain @ (seen - h @ mean), (jnp.eye(4, dtype=cov.dtype) - gain @ h) @ cov


def torch_gaussian(x, mean, a):
    return torch.distributions.MultivariateNormal(mean, a, validate_args=False).log_prob(x)


def jax_gaussian(x, mean, a):
    return jax.scipy.stats.multivariate_normal.logpdf(x, mean, a)


def gaussian() -> list[Array]:
    x, mean = normals((8, 10), (10,))()
    return [x, mean, positive()[0]]


PAIRS = [
    Pair("solve", torch.linalg.solve, jnp.linalg.solve, dominant),
    Pair("solve-by-inverse", torch.linalg.solve, lambda a, b: jnp.linalg.inv(a) @ b, dominant),
    Pair("solve-hilbert", torch.linalg.solve, jnp.linalg.solve, hilbert),
    Pair("solve-vandermonde", torch.linalg.solve, jnp.linalg.solve, vandermonde),
    Pair("solve-nearly-singular", torch.linalg.solve, jnp.linalg.solve, nearly_singular),
    Pair(
        "solve-by-cholesky",
        lambda a, b: torch.cholesky_solve(b, torch.linalg.cholesky(torch_spd(a))),
        lambda a, b: jax.scipy.linalg.cho_solve((jnp.linalg.cholesky((a + a.T) / 2, symmetrize_input=False), True), b),
        positive,
    ),
    Pair(
        "solve-triangular",
        lambda a, b: torch.linalg.solve_triangular(a.tril(), b, upper=False),
        lambda a, b: jax.scipy.linalg.solve_triangular(a, b, lower=True),
        dominant,
    ),
    Pair("inverse", torch.linalg.inv, jnp.linalg.inv, lambda: dominant()[:1]),
    Pair("inverse-hilbert", torch.linalg.inv, jnp.linalg.inv, lambda: hilbert()[:1]),
    Pair("determinant", torch.linalg.det, jnp.linalg.det, lambda: dominant()[:1]),
    Pair("determinant-hilbert", torch.linalg.det, jnp.linalg.det, lambda: hilbert()[:1]),
    Pair(
        "log-determinant", lambda a: tuple(torch.linalg.slogdet(a)), lambda a: tuple(jnp.linalg.slogdet(a)), normals((9, 9))
    ),
    Pair(
        "log-determinant-by-cholesky",
        torch.logdet,
        lambda a: 2 * jnp.sum(jnp.log(jnp.diagonal(jnp.linalg.cholesky(a)))),
        lambda: positive()[:1],
    ),
    Pair("cholesky", lambda a: torch.linalg.cholesky(torch_spd(a)), jnp.linalg.cholesky, lambda: positive()[:1]),
    Pair("qr-by-gram-schmidt", torch_gram_schmidt, jax_gram_schmidt, normals((10, 5))),
    Pair("eigenvalues", torch.linalg.eigvalsh, jnp.linalg.eigvalsh, lambda: positive()[:1]),
    Pair("singular-values", torch.linalg.svdvals, lambda a: jnp.linalg.svd(a, compute_uv=False), normals((12, 8))),
    Pair(
        "least-squares-by-normal-equations",
        lambda a, b: torch.linalg.solve(a.T @ a, a.T @ b),
        lambda a, b: jnp.linalg.solve(a.T @ a, a.T @ b),
        normals((40, 6), (40,), shift=3),
    ),
    Pair(
        "ridge-primal-dual",
        lambda a, b: torch.linalg.solve(a.T @ a + torch.eye(6, dtype=a.dtype), a.T @ b),
        lambda a, b: a.T @ jnp.linalg.solve(a @ a.T + jnp.eye(9, dtype=a.dtype), b),
        normals((9, 6), (9,)),
    ),
    Pair("matrix-exponential", torch.linalg.matrix_exp, jax.scipy.linalg.expm, normals((5, 5), scale=0.3)),
    Pair(
        "matrix-power",
        lambda a: torch.linalg.matrix_power(a, 7),
        lambda a: jnp.linalg.matrix_power(a, 7),
        normals((6, 6), scale=0.5),
    ),
    Pair("kronecker", torch.kron, jnp.kron, normals((4, 5), (3, 2)), order=2),
    Pair("cross-product", torch.linalg.cross, jnp.cross, normals((50, 3), (50, 3)), order=2),
    Pair("spectral-norm", torch_power_iteration, jax_power_iteration, normals((12, 9), (12,))),
    Pair("kalman-step", torch_kalman, jax_kalman, normals((4,), (4, 4), (2,), (4, 4), (2, 4), scale=0.7)),
    Pair("multivariate-normal", torch_gaussian, jax_gaussian, gaussian),
    Pair(
        "distances-by-products",
        lambda a, b: (a * a).sum(1)[:, None] - 2 * a @ b.T + (b * b).sum(1),
        lambda a, b: jnp.sum(a * a, 1)[:, None] - 2 * a @ b.T + jnp.sum(b * b, 1),
        normals((20, 8), (30, 8), shift=3),
    ),
    Pair(
        "distances-expanded-one-side",
        lambda a, b: torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist"),
        lambda a, b: jnp.sqrt(jnp.sum((a[:, None] - b) ** 2, -1)),
        normals((20, 8), (30, 8)),
    ),
    Pair(
        "covariance",
        lambda x: torch.cov(x.T),
        lambda x: jnp.cov(x, rowvar=False),
        normals((50, 6), shift=10),
    ),
    Pair("correlation", lambda x: torch.corrcoef(x.T), lambda x: jnp.corrcoef(x, rowvar=False), normals((50, 6))),
    Pair("mahalanobis", lambda a, b: b.T @ torch.linalg.solve(a, b), lambda a, b: b.T @ jnp.linalg.inv(a) @ b, positive),
    Pair(
        "softmax-of-scaled-gram",
        lambda x: torch.softmax(x @ x.T, 1),
        lambda x: jax.nn.softmax(x @ x.T, 1),
        uniforms(-1, 1, (16, 8)),
    ),
]
