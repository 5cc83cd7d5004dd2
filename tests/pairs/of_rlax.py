"""Returns and losses of reinforcement learning: rlax beside PyTorch."""

import rlax
import torch
import torch.nn.functional as F

from pairs.records import Pair
from pairs.seeded import integers, normals, uniforms

WRONG = {"passes": False, "cause": "definition"}


def steps(*more):
    """Rewards, discounts, and numbers beside them."""
    return lambda: [*normals((9,))(), *uniforms(0.8, 1, (9,))(), *normals(*[(9,) for _ in more], seed=1)()]


def torch_lambda_returns(reward, discount, value, weight=0.9):
    result, returns = value[-1], []
    for t in range(len(reward) - 1, -1, -1):
        result = reward[t] + discount[t] * ((1 - weight) * value[t] + weight * result)
        returns.append(result)
    return torch.stack(returns[::-1])


def torch_discounted(reward, discount, value):
    return torch_lambda_returns(reward, discount, value, 1.0)


def torch_q_learning(q, action, reward, discount, following):
    return (reward + discount * following.max()).detach() - q[action]


def torch_sarsa(q, action, reward, discount, following, next_action):
    return (reward + discount * following[next_action]).detach() - q[action]


def q_values():
    return [*normals((6,))(), integers(6), *normals(())(), *uniforms(0.8, 1, ())(), *normals((6,), seed=1)()]


def with_next_action():
    return [*q_values(), integers(6, seed=2)]


def torch_hyperbolic(x):
    return torch.sign(x) * (torch.sqrt(x.abs() + 1) - 1) + 1e-3 * x


def torch_entropy(logits):
    return (torch.softmax(logits, -1) * torch.log_softmax(logits, -1)).sum(-1).mean()


PAIRS = [
    Pair("rlax-lambda-returns", torch_lambda_returns, lambda r, d, v: rlax.lambda_returns(r, d, v, 0.9), steps("values")),
    Pair(
        "rlax-lambda-returns-of-another-weight",
        torch_lambda_returns,
        lambda r, d, v: rlax.lambda_returns(r, d, v, 0.95),
        steps("values"),
        **WRONG,
    ),
    Pair("rlax-discounted-returns", torch_discounted, rlax.discounted_returns, steps("values")),
    Pair("rlax-q-learning", torch_q_learning, rlax.q_learning, q_values),
    Pair("rlax-sarsa", torch_sarsa, rlax.sarsa, with_next_action),
    Pair(
        "rlax-sarsa-against-q-learning",
        torch_sarsa,
        lambda q, a, r, d, following, _: rlax.q_learning(q, a, r, d, following),
        with_next_action,
        **WRONG,
    ),
    Pair(
        "rlax-td-learning",
        lambda v, r, d, following: (r + d * following).detach() - v,
        rlax.td_learning,
        normals((), (), (), ()),
    ),
    Pair(
        "rlax-td-learning-with-rewards-not-detached",
        lambda v, r, d, following: r + d * following.detach() - v,
        rlax.td_learning,
        normals((), (), (), ()),
        passes=False,
        cause="missing",
        side="jax",
    ),
    Pair("rlax-signed-hyperbolic", torch_hyperbolic, rlax.signed_hyperbolic, normals((40,), scale=5)),
    Pair(
        "rlax-signed-hyperbolic-of-another-epsilon",
        torch_hyperbolic,
        lambda x: rlax.signed_hyperbolic(x, 1e-2),
        normals((40,), scale=5),
        **WRONG,
    ),
    Pair(
        "rlax-entropy-loss",
        torch_entropy,
        lambda x: rlax.entropy_loss(x, 0 * x[:, 0] + 1),
        normals((7, 5)),
    ),
    Pair("rlax-huber-loss", lambda x: F.huber_loss(x, 0 * x.detach(), reduction="none"), rlax.huber_loss, normals((40,))),
    Pair("rlax-l2-loss-against-its-double", lambda x: x * x, rlax.l2_loss, normals((40,)), **WRONG),
]
