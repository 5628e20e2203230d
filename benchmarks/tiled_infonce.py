"""InfoNCE in tiles against the whole similarity matrix: memory and time of a loss and its gradient.

    python benchmarks/tiled_infonce.py [--temperature 0.05]

Pairs of 64 numbers, float32, one thread. Each row is a process of its own; memory is the most it
held, less what it held after its imports; time is the better of two steps. The matrix is left out
where it would take gigabytes.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

DIMENSION, NOISE = 64, 2.0
ROWS = (("matrix", 1024), ("matrix", 8192), ("tiled", 1024), ("tiled", 8192), ("tiled", 16384))


def step(name: str, pairs: int, temperature: float) -> dict[str, float]:
    import torch

    from ppr.losses.contrastive.infonce import infonce
    from ppr.studies.contrastive.free_embeddings import random_sphere
    from ppr.studies.contrastive.tiled_infonce import loss_of, matrix_partition

    torch.set_num_threads(1)
    loss = infonce if name == "tiled" else partial(loss_of, matrix_partition)
    a, n = random_sphere(2, pairs, DIMENSION, seed=0, purpose="benchmark").float()
    towers = [x.requires_grad_() for x in (a.clone(), a + NOISE * n)]
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    before = pages * resource.getpagesize()
    seconds = []
    for _ in range(2):
        begun = time.perf_counter()
        torch.autograd.grad(loss(*towers, temperature=temperature), towers)
        seconds.append(time.perf_counter() - begun)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"seconds": min(seconds), "megabytes": (peak - before) / 1e6}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--temperature", type=float, default=0.05)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        name, pairs = options.one
        print(json.dumps(step(name, int(pairs), options.temperature)))
        return
    print("form     pairs  seconds      MB")
    found = {}
    for name, pairs in ROWS:
        words = [f"--temperature={options.temperature}", "--one", name, str(pairs)]
        command = [sys.executable, __file__, *words]
        row = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        found[name, pairs] = row
        print(f"{name:<7}  {pairs:>5}  {row['seconds']:>7.3f}  {row['megabytes']:>6.1f}")
    large, whole = found["tiled", 8192], found["matrix", 8192]
    growth = large["megabytes"] / found["tiled", 1024]["megabytes"]
    print(
        f"\ntiled, 8192 pairs: {growth:.1f} x the memory of 1024 pairs, "
        f"{large['seconds'] / whole['seconds']:.2f} x the time of the matrix"
    )


if __name__ == "__main__":
    main()
