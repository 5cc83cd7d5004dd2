"""Running statistics belong to layers: blocks with layers of the same names are not mixed up."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
import torch
from ports import compared, linear, normal, seeded
from torch import nn

import crosscheck

WIDTHS = {f"layer1.{k}": (4 if k else 3, 4) for k in range(3)} | {f"layer2.{k}": (6 if k else 4, 6) for k in range(3)}


class Block(nn.Module):
    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(inside, outside)
        self.bn1 = nn.BatchNorm1d(outside)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.bn1(self.fc1(x)))


class Stages(nn.Module):
    """Two stages of three blocks, named as those of torchvision are, and a layer outside with the name of one inside."""

    def __init__(self) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm1d(3)
        for stage in ("layer1", "layer2"):
            sizes = [size for name, size in WIDTHS.items() if name.startswith(stage)]
            setattr(self, stage, nn.Sequential(*(Block(*size) for size in sizes)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer2(self.layer1(self.bn1(x)))


def as_at_the_start(model: nn.Module) -> nn.Module:
    """With the statistics of a new model, which are equal in all layers."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.reset_running_stats()
    return model.train()


MODEL = as_at_the_start(seeded(Stages()))
OWN = {name: jnp.asarray(tensor.detach().numpy().copy()) for name, tensor in MODEL.state_dict().items()}
X = normal(5, 3)


@pytest.mark.parametrize("wrong", [None, (1, 2)])
def test_statistics_of_nested_blocks_in_nnx_are_those_of_their_layer(wrong: tuple[int, int] | None) -> None:
    nnx = pytest.importorskip("flax.nnx")

    class Norm(nnx.Module):  # type: ignore[misc]
        def __init__(self, name: str, momentum: float) -> None:
            self.scale, self.bias = nnx.Param(OWN[f"{name}.weight"]), nnx.Param(OWN[f"{name}.bias"])
            self.mean, self.var = (nnx.BatchStat(OWN[f"{name}.running_{kind}"]) for kind in ("mean", "var"))
            self.momentum = momentum

        def __call__(self, x: Any) -> Any:
            mean, var = x.mean(0), x.var(0)
            for kept, new in ((self.mean, mean), (self.var, var * len(x) / (len(x) - 1))):
                kept[...] = (1 - self.momentum) * kept[...] + self.momentum * new
            return (x - mean) / jnp.sqrt(var + 1e-5) * self.scale[...] + self.bias[...]

    class Layer(nnx.Module):  # type: ignore[misc]
        def __init__(self, name: str, momentum: float) -> None:
            self.kernel, self.bias = nnx.Param(OWN[f"{name}.fc1.weight"].T), nnx.Param(OWN[f"{name}.fc1.bias"])
            self.bn1 = Norm(f"{name}.bn1", momentum)

        def __call__(self, x: Any) -> Any:
            return jnp.tanh(self.bn1(x @ self.kernel[...] + self.bias[...]))

    class Port(nnx.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            self.bn1 = Norm("bn1", 0.1)
            blocks = [[Layer(f"layer{i + 1}.{k}", 0.2 if (i, k) == wrong else 0.1) for k in range(3)] for i in range(2)]
            self.stages = nnx.List([nnx.List(stage) for stage in blocks])

        def __call__(self, x: Any) -> Any:
            x = self.bn1(x)
            for stage in self.stages:
                for block in stage:
                    x = block(x)
            return x

    report = crosscheck.compare_models(MODEL, Port(), [X], order=0)
    assert report.passed is (wrong is None), report.story()
    shown = {layer.name for layer in report.layers}
    assert shown >= {f"{name}.bn1.running_{kind}" for name in WIDTHS for kind in ("mean", "var")}
    names = {f"layer{wrong[0] + 1}.{wrong[1]}.bn1"} if wrong else set()
    assert {fault.torch for fault in report.faults} == names, report.story()


@pytest.mark.parametrize(("around", "wrong"), [("all", None), ("a part", "layer1.1"), ("more", "layer2.2")])
def test_a_returned_state_belongs_to_the_arrays_at_the_same_paths(around: str, wrong: str | None) -> None:
    """The state may come back whole, without the key around it, or with one more."""

    def norm(p: Any, state: Any, name: str, x: Any) -> Any:
        mean, var = x.mean(0), x.var(0)
        rate = 0.2 if name == f"{wrong}.bn1" else 0.1
        new = {"mean": mean, "var": var * len(x) / (len(x) - 1)}
        new = {kind: (1 - rate) * state[kind] + rate * statistic for kind, statistic in new.items()}
        return (x - mean) / jnp.sqrt(var + 1e-5) * p[f"{name}.weight"] + p[f"{name}.bias"], new

    def port(given: Any, x: Any) -> Any:
        p, state = (given["params"], given["state"]) if around != "more" else (given["params"], given["stats"]["state"])
        x, first = norm(p, state, "bn1", x)
        blocks: dict[str, Any] = {}
        for k, name in enumerate(WIDTHS):
            x, blocks[str(k)] = norm(p, state["blocks"][str(k)], f"{name}.bn1", linear(p, f"{name}.fc1", x))
            x = jnp.tanh(x)
        new = {**first, "blocks": blocks}
        return x, {"all": {"state": new}, "a part": new, "more": {"new": {"stats": {"state": new}}}}[around]

    def statistics(name: str) -> dict[str, Any]:
        return {kind: OWN[f"{name}.running_{kind}"] for kind in ("mean", "var")}

    params = {"params": {name: weight for name, weight in OWN.items() if "running" not in name}}
    state = {**statistics("bn1"), "blocks": {str(k): statistics(f"{name}.bn1") for k, name in enumerate(WIDTHS)}}
    given = {**params, "stats": {"state": state}} if around == "more" else {**params, "state": state}
    report = crosscheck.compare_models(MODEL, port, [X], params=given, order=0)
    assert report.passed is (wrong is None), report.story()
    assert len([layer for layer in report.layers if "running" in layer.name]) == 14, report.story()
    assert {fault.torch for fault in report.faults} == ({f"{wrong}.bn1"} if wrong else set()), report.story()


def test_a_vector_of_another_length_is_refused() -> None:
    model = seeded(nn.Sequential(nn.Linear(4, 3), nn.Flatten(0)))
    with pytest.raises(crosscheck.UsageError, match=r"its output y has the shape \(5,\), torch's has \(6,\)"):
        compared(model, lambda p, x: linear(p, "0", x).reshape(-1)[:5], np.ones((2, 4), np.float32))
