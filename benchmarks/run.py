"""Measure what the project promises about speed and memory; prints one table and exits 1 where a promise is broken.

Run it with ``nox -s bench``. Times depend on the machine; the limits are for two cores.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

import crosscheck
from crosscheck._arithmetic.sampling import PER_BINADE, UNIFORM
from crosscheck._cli.caching import JAX
from crosscheck._verify.inputs.sample import samples

LIGHT = {
    "import crosscheck": ["-c", "import crosscheck"],
    "crosscheck --help": ["-m", "crosscheck", "--help"],
    "crosscheck list": ["-m", "crosscheck", "list"],
}
LIGHT_LIMIT = 0.3
TRUTH_LIMITS = {"float64": 50.0, "float32": 10.0, "bfloat16": 10.0, "float16": 10.0}
VERIFY = {
    "sigmoid relu tanh": (["sigmoid", "relu", "tanh"], 30.0),
    "of the catalogue": ([], 500.0),
    "--quick": (["--quick"], 30.0),
}
PER_ACTIVATION = 500.0 / 35
MEMORY_LIMIT = 3.0
AGAIN = {"env": 1.0, "plot silu": 1.0, "verify sigmoid": 0.6, "explain silu": 0.6}
"""What a command's second run may take, as a share of the CPU time of a run that keeps nothing."""
ATLAS_LIMIT, ATLAS_AGAIN = 2500.0, 0.5
COMPARE = {
    "large": {"whole": (8.0, "times"), "judging": (3.0, "times"), "memory": (12.0, "inputs")},
    "rows": {"whole": (20.0, "times"), "memory": (3.0, "GiB")},
    "small": {"median": (2.5, "times"), "of both modes": (2.5, "times")},
    "many": {"growth": (16.0, "MiB")},
}
"""Limits of what benchmarks/compare.py measures."""
ARRAYS = {"time": (15.0, "s"), "memory": (3.0, "GiB")}
"""Limits of what benchmarks/arrays.py measures."""
LOAD = {
    "distinct growth": (256.0, "KiB"),
    "distinct slower": (1.5, "times"),
    "same growth": (16.0, "KiB"),
    "same slower": (1.5, "times"),
    "changed": (0.0, "settings"),
}
"""Limits of what benchmarks/load.py measures: KiB per comparison, the last of the time of the first, global settings."""
SWEPT = ("sigmoid", "gelu")
SWEEP_RATIO, SWEEP_OF_STRAIGHTFORWARD, SWEEP_LIMIT, SWEEP_MEMORY = 2.0, 0.1, 150.0, 1.5
PLUGIN_LIMIT = 30.0
PERCEPTRON_LIMIT = 12.0


@dataclass(frozen=True)
class Measurement:
    what: str
    value: float
    limit: float
    unit: str


def run(arguments: list[str]) -> float:
    """Seconds of wall time of one Python process."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def run_watched(arguments: list[str]) -> tuple[float, float]:
    """Seconds of wall time, and the most GiB that a Python process and its children held at once."""
    start, peak = time.perf_counter(), 0
    process = psutil.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL)
    while process.poll() is None:
        with suppress(psutil.NoSuchProcess):
            peak = max(peak, sum(member.memory_info().rss for member in (process, *process.children(recursive=True))))
        time.sleep(0.1)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, arguments)
    return time.perf_counter() - start, peak / 2**30


def light() -> Iterator[Measurement]:
    """What must answer at once; the best of five, since the first run fills the file cache."""
    for what, arguments in LIGHT.items():
        yield Measurement(what, min(run(arguments) for _ in range(5)), LIGHT_LIMIT, "s")


def decisions() -> Iterator[Measurement]:
    """Microseconds per input, of rows per entry, to decide the value and two derivatives; the best of three."""
    for name, activation in crosscheck.activations.items():
        for dtype, limit in TRUTH_LIMITS.items():
            parameters = activation.parameters
            drawn = list(samples(activation, parameters, dtype, seed=0, per_binade=PER_BINADE, uniform=UNIFORM))
            best = float("inf")
            for _ in range(3):
                start = time.perf_counter()
                for sample in drawn:
                    sample.truths(activation, (0, 1, 2), parameters)
                best = min(best, time.perf_counter() - start)
            yield Measurement(f"truth of {name}, {dtype}", best / sum(s.x.size for s in drawn) * 1e6, limit, "us")


def verify() -> Iterator[Measurement]:
    """The command, start-up included, and the memory of all its processes together."""
    for what, (names, limit) in VERIFY.items():
        seconds, peak = run_watched(["-m", "crosscheck", "verify", "--no-cache", *names])
        yield Measurement(f"verify {what}", seconds, limit, "s")
        yield Measurement(f"verify {what}, memory", peak, MEMORY_LIMIT, "GiB")
        if not names:
            each = seconds / len(crosscheck.activations)
            yield Measurement("verify, each of the catalogue", each, PER_ACTIVATION, "s")


def cpu(folder: str, arguments: list[str]) -> float:
    """Seconds that all processors spent on a command in a folder, and on the processes that it started."""
    before = os.times()
    subprocess.run([sys.executable, "-m", "crosscheck", *arguments], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    return sum(getattr(after, name) - getattr(before, name) for name in ("children_user", "children_system"))


@contextmanager
def empty_folder() -> Iterator[str]:
    """Where commands keep what they keep; JAX's own variables would take its programs elsewhere."""
    before = dict(os.environ)
    with tempfile.TemporaryDirectory() as folder:
        for name in before:
            if name.startswith(JAX):
                del os.environ[name]
        os.environ["CROSSCHECK_CACHE_DIR"] = str(Path(folder, "kept"))
        try:
            yield folder
        finally:
            os.environ.clear()
            os.environ.update(before)


def again() -> Iterator[Measurement]:
    """The CPU time of a command that keeps things, and of the same again, as a share of that of one that keeps nothing."""
    with empty_folder() as folder:
        for command, limit in AGAIN.items():
            words = command.split()
            without, first, second = (cpu(folder, [*words, *option]) for option in (["--no-cache"], [], []))
            yield Measurement(f"{command}, first run", first / without, 1.3, "times")
            yield Measurement(f"{command}, second run", second / without, limit, "times")


def atlas() -> Iterator[Measurement]:
    """The CPU time of a first run, and of a second as a share of that."""
    with empty_folder() as folder:
        first, second = cpu(folder, ["atlas"]), cpu(folder, ["atlas"])
        yield Measurement("atlas, CPU of a first run", first, ATLAS_LIMIT, "s")
        yield Measurement("atlas, second run", second / first, ATLAS_AGAIN, "times")


def compare() -> Iterator[Measurement]:
    """10^7 elements against the two functions alone; a pair of the corpus; what 1,000 calls leave behind."""
    script = Path(__file__).with_name("compare.py")
    for what, limits in COMPARE.items():
        said = subprocess.run([sys.executable, str(script), what], check=True, stdout=subprocess.PIPE, text=True).stdout
        for name, value in json.loads(said.splitlines()[-1]).items():
            limit, unit = limits[name]
            yield Measurement(f"compare, {what}: {name}", value, limit, unit)


def load() -> Iterator[Measurement]:
    """300 pairs of functions, each another one, and 2,000 comparisons of one, in one process."""
    script = Path(__file__).with_name("load.py")
    said = subprocess.run([sys.executable, str(script)], check=True, stdout=subprocess.PIPE, text=True).stdout
    for name, value in json.loads(said.splitlines()[-1]).items():
        limit, unit = LOAD[name]
        yield Measurement(f"load: {name}", value, limit, unit)


def arrays() -> Iterator[Measurement]:
    """Two files of 10^8 float32, mapped."""
    script = Path(__file__).with_name("arrays.py")
    said = subprocess.run([sys.executable, str(script)], check=True, stdout=subprocess.PIPE, text=True).stdout
    for name, value in json.loads(said).items():
        limit, unit = ARRAYS[name]
        yield Measurement(f"diff of 10^8 float32: {name}", value, limit, unit)


def sweep() -> Iterator[Measurement]:
    """What judging every float32 costs beyond computing, and by the straightforward way; a full sweep of what is shipped."""
    script = Path(__file__).with_name("sweep.py")
    for name in SWEPT:
        said = subprocess.run([sys.executable, str(script), name], check=True, stdout=subprocess.PIPE, text=True).stdout
        figures = json.loads(said.splitlines()[-1])
        yield Measurement(f"sweep {name}: judged, of bare", figures["ratio"], SWEEP_RATIO, "times")
        slower = 1 / figures["straightforward judging"]
        yield Measurement(f"sweep {name}: judging, of straightforward", slower, SWEEP_OF_STRAIGHTFORWARD, "times")
        for share in ("torch", "jax", "truth", "comparison"):
            yield Measurement(f"sweep {name}: share of {share}", figures[f"share of {share}"], 1.0, "")
    natives = ["--implementation", "torch.native", "--implementation", "jax.native"]
    seconds, peak = run_watched(["-m", "crosscheck", "sweep", SWEPT[0], "--processes", "2", *natives])
    yield Measurement(f"sweep {SWEPT[0]}, every float32, natives", seconds, SWEEP_LIMIT, "s")
    yield Measurement(f"sweep {SWEPT[0]}, memory", peak, SWEEP_MEMORY, "GiB")


def plugin() -> Iterator[Measurement]:
    """What the pytest plugin adds to a start of pytest that does not use it; medians of alternating runs."""
    started: dict[str, list[float]] = {"crosscheck": [], "no:crosscheck": []}
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "test_plain.py").write_text("def test_plain():\n    pass\n")
        for _ in range(15):
            for option, times in started.items():
                options = ["-p", option] if option.startswith("no:") else []
                times.append(run(["-m", "pytest", "-q", *options, folder]))
    with_it, without = (statistics.median(times) for times in started.values())
    yield Measurement("pytest plugin, added to a start", (with_it - without) * 1e3, PLUGIN_LIMIT, "ms")


def perceptron() -> Iterator[Measurement]:
    """The command, start-up and controls included."""
    yield Measurement("perceptron", run(["-m", "crosscheck", "perceptron"]), PERCEPTRON_LIMIT, "s")


def main(chosen: list[str]) -> int:
    """Run the measures named, all of them unless some are."""
    broken = 0
    measures = {
        measure.__name__: measure
        for measure in (light, decisions, verify, again, atlas, compare, load, arrays, sweep, plugin, perceptron)
    }
    for measure in (measures[name] for name in chosen or measures):
        for measured in measure():
            kept = measured.value <= measured.limit
            broken += not kept
            verdict = "" if kept else "  TOO SLOW OR TOO LARGE"
            print(
                f"{measured.what:45} {measured.value:8.3f} of {measured.limit:6.1f} {measured.unit}{verdict}",
                flush=True,
            )
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
