"""PyTorch's transformations, and what is done to its modules."""

from __future__ import annotations

import copy
import io
import pickle
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
import torch.utils.checkpoint

from transformations.records import Function, Results, Way, gradient_of_slopes

Made = Callable[[Function, Any, Any], Results]


class Module(torch.nn.Module):
    """A module that holds a function."""

    def __init__(self, function: Function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Any) -> Any:
        return self.function(x)


def plain(function: Function, x: Any, weights: Any) -> Results:
    x = x.detach().clone().requires_grad_()
    value = function(x)
    (gradient,) = torch.autograd.grad((value * weights).sum(), x)
    return {"value": value.detach(), "gradient": gradient}


def total(function: Function, weights: Any) -> Function:
    return lambda x: (function(x) * weights).sum()


def wrapped(wrap: Callable[[Function], Function]) -> Made:
    return lambda function, x, weights: plain(wrap(function), x, weights)


def inside(context: Callable[[], AbstractContextManager[Any]], *, gradient: bool = True) -> Made:
    def results(function: Function, x: Any, weights: Any) -> Results:
        with context():
            return plain(function, x, weights) if gradient else {"value": function(x).clone()}

    return results


def twice(function: Function) -> Function:
    return lambda x: torch.func.vmap(function)(torch.stack([x, x + 0.01]))[0]


def grad(function: Function, x: Any, weights: Any) -> Results:
    return {"gradient": torch.func.grad(total(function, weights))(x)}


def vmap_of_grad(function: Function, x: Any, weights: Any) -> Results:
    """Row by row."""

    def of_row(row: Any, weights: Any) -> Any:
        return torch.func.grad(lambda row: (function(row[None])[0] * weights).sum())(row)

    return {"gradient": torch.func.vmap(of_row)(x, weights)}


def jacobian(of: Callable[..., Any]) -> Made:
    """The gradient as a sum of the Jacobian's rows."""

    def results(function: Function, x: Any, weights: Any) -> Results:
        slopes = of(function)(x).reshape(weights.numel(), x.numel()).T
        return {"gradient": gradient_of_slopes(slopes.detach(), weights, x)}

    return results


def jvp(function: Function, x: Any, weights: Any) -> Results:
    """The gradient as slopes along each entry, in forward mode."""
    slopes = [torch.func.jvp(function, (x,), (along.reshape(x.shape),))[1] for along in torch.eye(x.numel())]
    return {"gradient": gradient_of_slopes(torch.stack(slopes), weights, x)}


def checkpointed(function: Function) -> Function:
    return lambda x: torch.utils.checkpoint.checkpoint(function, x, use_reentrant=False)


def functional(function: Function) -> Function:
    return lambda x: torch.func.functional_call(Module(function), {}, (x,))


def exported(function: Function) -> Function:
    return torch.export.export(Module(function), (torch.ones(4, 6),)).module()


def saved(function: Function) -> Function:
    file = io.BytesIO()
    torch.save(Module(function), file)
    file.seek(0)
    loaded: Function = torch.load(file, weights_only=False)
    return loaded


def in_threads(function: Function, x: Any, weights: Any) -> Results:
    """Copies of a module at once, as ``torch.nn.DataParallel`` runs them; the last of them."""
    results: list[Results] = []
    module = Module(function)
    copies = [copy.deepcopy(module) for _ in range(4)]
    threads = [threading.Thread(target=lambda model=model: results.append(plain(model, x, weights))) for model in copies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results[-1] if len(results) == len(threads) else {}


WAYS = (
    Way("torch", "no_grad", inside(torch.no_grad, gradient=False)),
    Way("torch", "inference_mode", inside(torch.inference_mode, gradient=False)),
    Way("torch", "autocast to bfloat16", inside(lambda: torch.autocast("cpu", dtype=torch.bfloat16))),
    Way("torch", "func.vmap", wrapped(twice)),
    Way("torch", "func.grad", grad),
    Way("torch", "func.vmap of func.grad", vmap_of_grad),
    Way("torch", "func.jacrev", jacobian(torch.func.jacrev)),
    Way("torch", "func.jacfwd", jacobian(torch.func.jacfwd)),
    Way("torch", "func.jvp", jvp),
    Way("torch", "func.functional_call", wrapped(functional)),
    Way("torch", "utils.checkpoint", wrapped(checkpointed)),
    Way("torch", "torch.export", wrapped(exported)),
    Way("torch", "four threads with copies of a module", in_threads),
    Way("torch", "copy.deepcopy of a module", wrapped(lambda function: copy.deepcopy(Module(function)))),
    Way("torch", "pickle of a module", wrapped(lambda function: pickle.loads(pickle.dumps(Module(function))))),
    Way("torch", "torch.save of a module", wrapped(saved)),
)
