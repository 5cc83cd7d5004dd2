"""One port judged in a process of its own, so that neither its memory nor its crash is another's."""

import json
import resource
import subprocess
import sys
import time
import warnings
from importlib.metadata import version
from typing import Any

import crosscheck
from public import ports_of
from public.records import PublicPort

Row = dict[str, Any]

KILOBYTES = 1e6 if sys.platform != "darwin" else 1e9
"""How many of the units in which the system counts memory are a gigabyte."""
LIMIT = 900
"""Seconds that a port may take."""


def versions(port: PublicPort) -> dict[str, str]:
    """Of the distributions on which the row depends."""
    return {name: version(name) for name in sorted({port.package, port.original, "torch", "jax"})}


def alone(port: PublicPort) -> Row:
    """Judge a port in this process: the part of its row that is known only here."""
    sides = port.sides()
    parameters = sum(parameter.numel() for parameter in sides.torch.parameters())
    start = time.perf_counter()
    report = crosscheck.compare_models(
        sides.torch,
        sides.jax,
        sides.inputs,
        params=sides.params,
        torch_to_jax=sides.torch_to_jax,
        order=port.order,
    )
    return {
        "parameters": parameters,
        "seconds": round(time.perf_counter() - start, 1),
        "gigabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KILOBYTES, 1),
        "verdict": "certified" if report.passed else str(report.cause or "nothing compared"),
        "where": report.first.torch if report.first else None,
        "said": report.verdict,
        "as_expected": port.as_expected(report),
    }


def apart(module: str, port: PublicPort) -> Row:
    """Judge a port in a fresh process, with a limit of time: its row, also where that process crashes."""
    command = [sys.executable, "-m", "public.judged", module, port.name]
    start = time.perf_counter()
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
    except subprocess.TimeoutExpired:
        said = without_verdict("too slow", f"no verdict after {LIMIT} s", LIMIT)
    else:
        if ended.returncode == 0:
            said = json.loads(ended.stdout.splitlines()[-1])
        else:
            last = (ended.stderr.strip() or f"ended with {ended.returncode}, without a word").splitlines()[-1]
            said = without_verdict("crashed", last, time.perf_counter() - start)
    expected = "certified" if port.fault is None else port.fault.what
    known = {"port": port.name, "package": port.package, "original": port.original, "layers": port.layers}
    return {**known, "order": port.order, "versions": versions(port), "expected": expected, **said}


def without_verdict(verdict: str, said: str, seconds: float) -> Row:
    """What is known of a port that no report was made of."""
    unknown = {"parameters": None, "gigabytes": None, "where": None, "as_expected": False}
    return {"seconds": round(seconds, 1), "verdict": verdict, "said": said, **unknown}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    print(json.dumps(alone(next(port for port in ports_of(sys.argv[1]) if port.name == sys.argv[2]))))
