"""Gradient caching: memory and time of a step with micro-batches against the whole batch at once.

    python benchmarks/gradient_cache.py [--batch 512] [--width 32]

SupCon on random 32 x 32 images, fp32, one thread. The ResNet is in eval mode, where BatchNorm
treats samples one by one, so that the gradients can be compared. Each row is a process of its own;
memory is what a step adds to the most that was held before it.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from ppr.config.compose import compose
from ppr.engine.bench import Watcher
from ppr.engine.loop import Loop
from ppr.run import make_task, open_bench


def step(batch: int, width: int, micro: int | None) -> dict[str, float]:
    """Megabytes and seconds of a step, and a number that the gradient is known by."""
    torch.set_num_threads(1)
    words = ["experiment=supcon_cifar10", "model=small_resnet", f"model.width={width}",
             "augment=none", f"engine.batch_size={batch}", "engine.device=cpu",
             "engine.precision=fp32", f"data.synthetic={batch}",
             f"engine.micro_batch={'null' if micro is None else micro}"]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        bench = open_bench(compose(words), Path(folder), Watcher())
        task = make_task(bench)
        loop = Loop(task, bench)
        task.eval()
        data = next(iter(loop.batches.epoch(0)))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        begun = time.perf_counter()
        loop.backward(data)
        seconds = time.perf_counter() - begun
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    square = sum(
        float(p.grad.double().square().sum()) for p in task.parameters() if p.grad is not None
    )
    return {"megabytes": (peak - before) / 1024, "seconds": seconds, "norm": square**0.5}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one is not None:
        print(json.dumps(step(options.batch, options.width, options.one or None)))
        return
    own = [f"--batch={options.batch}", f"--width={options.width}"]
    print("micro-batch       MB  of whole  seconds  of whole  norm of the gradient")
    whole: dict[str, float] = {}
    for micro in (0, 128, 16):
        command = [sys.executable, __file__, *own, f"--one={micro}"]
        found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        whole = whole or found
        shares = [found[key] / whole[key] for key in ("megabytes", "seconds")]
        print(
            f"{micro or 'whole':>11} {found['megabytes']:>8.0f} {shares[0]:>9.3f} "
            f"{found['seconds']:>8.2f} {shares[1]:>9.2f}  {found['norm']:.8f}"
        )


if __name__ == "__main__":
    main()
