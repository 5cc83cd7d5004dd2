"""What a library must leave as it found it: the settings of the process, of both frameworks and of what they use."""

import decimal
import gc
import locale
import logging
import os
import random
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import flint
import jax
import matplotlib as mpl
import numpy as np
import torch

State = Mapping[str, object]


def state() -> State:
    """Every setting by name, to be compared with another moment's."""
    return {name: value for part in (_process, _python, _numpy, _torch, _jax, _others) for name, value in part()}


def changed(before: State, after: State) -> list[str]:
    """The names of the settings that are not what they were."""
    missing = object()
    names = dict.fromkeys([*before, *after])
    return [name for name in names if before.get(name, missing) != after.get(name, missing)]


def _process() -> Iterator[tuple[str, object]]:
    yield "cwd", os.getcwd()
    yield from ((f"os.environ {name}", value) for name, value in os.environ.items())
    yield from ((f"signal {number}", signal.getsignal(number)) for number in signal.valid_signals())
    yield "locale", locale.setlocale(locale.LC_ALL)
    yield "threads", tuple(sorted(thread.name for thread in threading.enumerate()))


def _python() -> Iterator[tuple[str, object]]:
    yield "random", random.getstate()
    yield "warnings", (tuple(warnings.filters), warnings.showwarning)
    yield "garbage", (gc.isenabled(), gc.get_threshold(), gc.get_freeze_count() > 0)
    yield "recursion limit", sys.getrecursionlimit()
    yield "sys.path", tuple(sys.path)
    yield "streams", (sys.stdin, sys.stdout, sys.stderr)
    yield "hooks", (sys.excepthook, sys.displayhook, threading.excepthook)
    yield "decimal", repr(decimal.getcontext())
    yield "logging", (logging.root.manager.disable, logging.getLoggerClass())
    for name, logger in [("root", logging.root), *logging.root.manager.loggerDict.items()]:
        if isinstance(logger, logging.Logger) and (logger.level or logger.handlers or logger.disabled):
            yield f"logging {name}", (logger.level, tuple(logger.handlers), logger.disabled, logger.propagate)


def _numpy() -> Iterator[tuple[str, object]]:
    drawn: Any = np.random.get_state()
    yield "numpy random", (drawn[0], drawn[1].tobytes(), *drawn[2:])
    yield "numpy errors", tuple(np.geterr().items())
    yield "numpy print options", repr(np.get_printoptions())


def _torch() -> Iterator[tuple[str, object]]:
    yield "torch random", torch.get_rng_state().numpy().tobytes()
    yield "torch dtype", torch.get_default_dtype()
    yield "torch device", str(torch.get_default_device())
    with ThreadPoolExecutor(
        1
    ) as pool:  # a thread of Python's has a number of its own, and one that is new begins with another
        begun_with = pool.submit(torch.get_num_threads).result()
    yield "torch threads", (torch.get_num_threads(), torch.get_num_interop_threads(), begun_with)
    yield "torch mkldnn", torch._C._get_mkldnn_enabled()
    yield "torch grad mode", (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_anomaly_enabled())
    yield "torch autocast", (torch.is_autocast_enabled("cpu"), torch.is_autocast_enabled("cuda"))
    yield "torch matmul precision", torch.get_float32_matmul_precision()
    yield "torch deterministic", torch.are_deterministic_algorithms_enabled()
    yield "torch flushes", bool((torch.full((1,), 2.0**-126, dtype=torch.float32) * 0.5 == 0).item())
    cudnn = torch.backends.cudnn
    yield "torch cudnn", (cudnn.enabled, cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32)
    yield "torch print options", repr(torch._tensor_str.PRINT_OPTS)


def _jax() -> Iterator[tuple[str, object]]:
    yield from ((f"jax {name}", jax.config._read(name)) for name in jax.config.values)


def _others() -> Iterator[tuple[str, object]]:
    # a plain dict's items, since to ask matplotlib for its backend is to choose one
    yield from ((f"matplotlib {name}", repr(value)) for name, value in dict.items(mpl.rcParams))
    yield "flint precision", (flint.ctx.prec, flint.ctx.cap, flint.ctx.threads)
