"""The peak memory of a comparison of fully sharded parameters, beside that of the same model on one device."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

WIDTH, DEPTH = 2048, 3
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
    from sharded.records import mesh

    model = nn.Sequential(*(nn.Linear(WIDTH, WIDTH) for _ in range(DEPTH)))

    def layers(p: Any, x: Any) -> Any:
        for k in range(DEPTH):
            x = x @ p[f"{k}.weight"].T + p[f"{k}.bias"]
        return x

    def body(p: Any, x: Any) -> Any:
        return layers({name: lax.all_gather(one, "data", tiled=True) for name, one in p.items()}, x)

    port = layers
    if devices:
        port = jax.shard_map(body, mesh=mesh(devices, ("data",)), in_specs=P("data"), out_specs=P("data"))
    params = {name: one.detach().numpy() for name, one in model.named_parameters()}
    inputs = [np.random.default_rng(0).standard_normal((16, WIDTH)).astype(np.float32)]
    with torch.no_grad():
        model(torch.as_tensor(inputs[0]))
    report = crosscheck.compare_models(model, port, inputs, params=params)
    return report.passed, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def rows(devices: int, words: list[str] | None) -> Iterator[tuple[str, bool, str]]:
    """Both peaks, each in a process of its own."""
    peaks = []
    for count in (0, devices):
        command = [sys.executable, "-m", "sharded.memory", str(count)]
        passed, peak = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-2:]
        peaks.append(int(peak))
        numbers = DEPTH * WIDTH * (WIDTH + 1)
        name = f"fully sharded, {numbers:,} parameters" if count else f"not sharded, {numbers:,} parameters"
        ratio = peaks[-1] / peaks[0]
        yield name, passed == "True" and ratio <= MOST, f"at most {peak} MB, {ratio:.2f} times the first"


if __name__ == "__main__":
    print(*compared(int(sys.argv[1])))
