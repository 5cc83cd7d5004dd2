"""The peak memory of a comparison of fully sharded parameters, beside that of the same model on one device."""

from __future__ import annotations

import resource
import subprocess
import sys
from typing import Any

from sharded.records import Answer, mesh

WIDTH, DEPTH = 2048, 3
NUMBERS = DEPTH * WIDTH * (WIDTH + 1)
MOST = 1.5
"""The sharded run may take so many times the memory of the other."""


def compared(devices: int) -> tuple[bool, int]:
    """Whether a perceptron is certified, and the peak memory of the process in MB; 0 devices are a model without shards."""
    import jax
    import numpy as np
    import torch
    from jax import lax
    from jax.sharding import PartitionSpec as P
    from torch import nn

    import crosscheck

    model = nn.Sequential(*(nn.Linear(WIDTH, WIDTH) for _ in range(DEPTH)))

    def layers(p: Any, x: Any) -> Any:
        for k in range(DEPTH):
            x = x @ p[f"{k}.weight"].T + p[f"{k}.bias"]
        return x

    def body(p: Any, x: Any) -> Any:
        return layers({name: lax.all_gather(part, "data", tiled=True) for name, part in p.items()}, x)

    port = layers
    if devices:
        port = jax.shard_map(body, mesh=mesh(devices, ("data",)), in_specs=P("data"), out_specs=P("data"))
    params = {name: parameter.detach().numpy() for name, parameter in model.named_parameters()}
    inputs = [np.random.default_rng(0).standard_normal((16, WIDTH)).astype(np.float32)]
    with torch.no_grad():
        model(torch.as_tensor(inputs[0]))
    report = crosscheck.compare_models(model, port, inputs, params=params)
    return report.passed, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def saves(devices: int) -> Answer:
    """Whether both are certified and the sharded run takes little more memory, each in a process of its own."""
    commands = [[sys.executable, "-m", "sharded.memory", str(count)] for count in (0, devices)]
    ended = [subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-2:] for command in commands]
    without, sharded = (int(peak) for _, peak in ended)
    right = all(passed == "True" for passed, _ in ended) and sharded <= MOST * without
    return (
        right,
        f"at most {MOST} times the memory without shards" if right else f"{sharded} MB, without shards {without} MB",
    )


if __name__ == "__main__":
    print(*compared(int(sys.argv[1])))
