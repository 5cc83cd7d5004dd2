"""The seconds and the memory that `crosscheck diff` takes for two files of 10^8 float32; printed as one line of JSON."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

SIZE = 10**8


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        rng = np.random.default_rng(0)
        a = rng.standard_normal(SIZE, np.float32)
        np.save(Path(folder, "a.npy"), a)
        np.save(Path(folder, "b.npy"), np.nextafter(a, np.float32(9)))
        del a
        start, peak = time.perf_counter(), 0
        arguments = [sys.executable, "-m", "crosscheck", "diff", "a.npy", "b.npy"]
        process = psutil.Popen(arguments, cwd=folder, stdout=subprocess.DEVNULL)
        while process.poll() is None:
            peak = max(peak, process.memory_info().rss)
            time.sleep(0.05)
        print(json.dumps({"time": time.perf_counter() - start, "memory": peak / 2**30}))
        if process.returncode:
            sys.exit(f"crosscheck diff exited {process.returncode}")


if __name__ == "__main__":
    main()
