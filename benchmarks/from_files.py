"""Measure `crosscheck.compare_models` on a transformer whose weights stay in two files: time, and memory beside the files.

``python benchmarks/from_files.py FOLDER`` has 36 layers of width 2560: 3 billion parameters, and 12 GB in each file. The
files are written once, into the folder, with the same numbers arranged in other ways. Other sizes: ``FOLDER LAYERS WIDTH
WORDS``.
"""

import json
import resource
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from models import Transformer, port

import crosscheck

TOKENS = 64
EVERY = 0.05
"""Seconds between two looks at the memory."""


def write(path: Path, shapes: Mapping[str, tuple[int, ...]], transposed: bool) -> None:
    """Write random weights, one after the other; the same numbers each time."""
    header: dict[str, Any] = {}
    end = 0
    for name, shape in shapes.items():
        begin, end = end, end + 4 * int(np.prod(shape))
        kernel = transposed and len(shape) == 2 and "blocks" in name
        named = name.replace("weight", "kernel") if kernel else name
        header[named] = {"dtype": "F32", "shape": shape[::-1] if kernel else shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for number, (name, shape) in enumerate(shapes.items()):
            rng = np.random.default_rng(number)
            array = rng.standard_normal(shape, np.float32) * np.float32(0.02)
            if "norm" in name and name.endswith("weight"):
                array += 1
            kernel = transposed and len(shape) == 2 and "blocks" in name
            file.write(np.ascontiguousarray(array.T if kernel else array).data)
    part.replace(path)


def own_memory() -> float:
    """The GB that the process holds beside what it reads from files."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("RssAnon")).split()[1]) / 1e6


def measured(folder: Path, layers: int, width: int, words: int) -> dict[str, Any]:
    with torch.device("meta"):
        model = Transformer(layers, width, words).eval()
    shapes = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    torch_file, jax_file = (folder / f"{side}-{layers}-{width}.safetensors" for side in ("torch", "jax"))
    for path, transposed in ((torch_file, False), (jax_file, True)):
        if not path.exists():
            write(path, shapes, transposed)
    crosscheck.read_weights(torch_file, into=model)
    params = crosscheck.read_weights(jax_file)

    def jax_model(p: dict[str, Any], ids: Any) -> Any:
        return port(
            {name.replace("kernel", "weight"): array.T if "kernel" in name else array for name, array in p.items()},
            ids,
            layers,
        )

    ids = np.random.default_rng(0).integers(0, words, (1, TOKENS)).astype(np.int32)
    before, most, ended = own_memory(), [0.0], threading.Event()

    def watch() -> None:
        while not ended.wait(EVERY):
            most[0] = max(most[0], own_memory())

    watcher = threading.Thread(target=watch)
    watcher.start()
    begun, cpu = time.perf_counter(), time.process_time()
    report = crosscheck.compare_models(model, jax_model, [ids], params=params, order=0)
    ended.set()
    watcher.join()
    return {
        "parameters": sum(array.size for array in params.values()),
        "GB of files": round((torch_file.stat().st_size + jax_file.stat().st_size) / 1e9, 1),
        "headline": report.headline,
        "CPU seconds": round(time.process_time() - cpu, 1),
        "seconds": round(time.perf_counter() - begun, 1),
        "GB beside the files": round(most[0] - before, 2),
        "GB of the process": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 1),
    }


if __name__ == "__main__":
    sizes = [int(size) for size in sys.argv[2:]] or [36, 2560, 50257]
    print(json.dumps(measured(Path(sys.argv[1]), *sizes), indent=2))
