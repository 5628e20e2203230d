"""SupCon's loss and gradient against pytorch-metric-learning and a dense PyTorch version.

    python benchmarks/loss.py            # 8192 embeddings; small batches; 65,536 embeddings
    python benchmarks/loss.py --json     # the same as one JSON object

Embeddings of 128 numbers, 100 classes, float32, 2 threads. A step is the loss and its gradient.
Each of the large measurements is a process of its own; memory is the most it held, less what it
held after its imports. Small batches are timed in turns in one process. Time is the best of several
steps, which other work on the machine disturbs least. Values and gradients are compared with the
equation in float64, in NumPy. Needs the `benchmark` extra.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

DIMENSION, CLASSES, TEMPERATURE, THREADS = 128, 100, 0.1, 2
SMALL = (64, 128, 256, 512, 1024)
LARGE, HUGE = 8192, 65_536


def batch(count: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((count, DIMENSION), dtype=np.float32)
    return x, rng.integers(0, CLASSES, count)


def exact(
    x: npt.NDArray[Any], y: npt.NDArray[np.int64], rows: int = 512
) -> tuple[float, npt.NDArray[np.float64]]:
    """L_out of arXiv:2004.11362, equation 2, averaged over anchors, and its gradient."""
    count = len(x)
    x = x.astype(np.float64)
    norm = np.linalg.norm(x, axis=1, keepdims=True)
    z = x / norm
    total, grad = 0.0, np.zeros_like(z)
    for start in range(0, count, rows):
        anchors = np.arange(start, min(start + rows, count))
        logits = z[anchors] @ z.T / TEMPERATURE
        logits[np.arange(len(anchors)), anchors] = -np.inf
        positive = y[anchors, None] == y
        positive[np.arange(len(anchors)), anchors] = False
        share = positive / np.maximum(1, positive.sum(1, keepdims=True))
        peak = logits.max(1, keepdims=True)
        e = np.exp(logits - peak)
        partition = e.sum(1, keepdims=True)
        log_p = np.where(positive, logits - peak - np.log(partition), 0)
        total -= (share * log_p).sum()
        slope = (e / partition * positive.any(1, keepdims=True) - share) / TEMPERATURE / count
        grad[anchors] += slope @ z
        grad += slope.T @ z[anchors]
    return total / count, (grad - z * (grad * z).sum(1, keepdims=True)) / norm


def dense(x: Any, y: Any) -> Any:
    """The loss as one writes it: the whole matrix, autograd for the rest."""
    import torch
    import torch.nn.functional as F

    z = F.normalize(x, dim=1)
    own = torch.eye(len(z), dtype=torch.bool)
    logits = (z @ z.T / TEMPERATURE).masked_fill(own, -torch.inf)
    positive = (y[:, None] == y) & ~own
    log_p = (logits - logits.logsumexp(1, keepdim=True)).masked_fill(~positive, 0)
    return -(log_p.sum(1) / positive.sum(1).clamp(min=1)).mean()


def make(name: str) -> Callable[[Any, Any], Any]:
    if name == "ppr":
        from ppr.losses import SupConLoss

        loss: Callable[[Any, Any], Any] = SupConLoss(temperature=TEMPERATURE)
        return loss
    if name == "pytorch-metric-learning":
        from pytorch_metric_learning.losses import SupConLoss as Theirs

        theirs: Callable[[Any, Any], Any] = Theirs(temperature=TEMPERATURE)
        return theirs
    return dense


def step(loss: Callable[[Any, Any], Any], x: Any, y: Any) -> tuple[float, float]:
    """Seconds of one loss and gradient, and the loss."""
    x.grad = None
    start = time.perf_counter()
    value = loss(x, y)
    value.backward()
    return time.perf_counter() - start, value.item()


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


def measure_here(name: str, count: int, steps: int, out: Path) -> None:
    """In a process of its own: time, memory, value and gradient, written to `out`."""
    import torch

    torch.set_num_threads(THREADS)
    loss = make(name)
    before = resident()
    features, labels = batch(count)
    x, y = torch.from_numpy(features).requires_grad_(), torch.from_numpy(labels)
    seconds, values = zip(*(step(loss, x, y) for _ in range(steps)), strict=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    assert x.grad is not None
    np.savez(
        out,
        seconds=min(seconds),
        value=values[-1],
        grad=x.grad.numpy(),
        memory=peak - before,
        total=peak,
    )


def measure(name: str, count: int, steps: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "measured.npz"
        arguments = ["--one", name, str(count), str(steps), str(out)]
        subprocess.run([sys.executable, __file__, *arguments], check=True)
        with np.load(out) as saved:
            return {key: saved[key][()] for key in saved.files}


def compare_large() -> dict[str, dict[str, float]]:
    value, grad = exact(*batch(LARGE))
    rows = {}
    for name, steps in (("ppr", 5), ("dense PyTorch", 3), ("pytorch-metric-learning", 3)):
        found = measure(name, LARGE, steps)
        rows[name] = {
            "seconds": float(found["seconds"]),
            "megabytes": float(found["memory"]) / 1e6,
            "value_error": abs(float(found["value"]) - value) / abs(value),
            "gradient_error": float(np.abs(found["grad"] - grad).max() / np.abs(grad).max()),
        }
    return rows


def compare_small() -> dict[int, dict[str, float]]:
    import torch

    torch.set_num_threads(THREADS)
    losses = {"ppr": make("ppr"), "dense": dense}
    rows = {}
    for count in SMALL:
        features, labels = batch(count)
        x, y = torch.from_numpy(features).requires_grad_(), torch.from_numpy(labels)
        times: dict[str, list[float]] = {name: [] for name in losses}
        for _ in range(max(100, 200_000 // count)):
            for name, loss in losses.items():
                times[name].append(step(loss, x, y)[0])
        rows[count] = {name: min(taken) for name, taken in times.items()}
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        name, count, steps, out = arguments.one
        measure_here(name, int(count), int(steps), Path(out))
        return
    large, small = compare_large(), compare_small()
    found = measure("ppr", HUGE, 1)
    huge = {"seconds": float(found["seconds"]), "total_megabytes": float(found["total"]) / 1e6}
    if arguments.json:
        print(json.dumps({"large": large, "small": small, "huge": huge}))
        return
    ours = large["ppr"]
    print(f"{LARGE} embeddings       seconds  x ppr      MB  x ppr   loss error  gradient error")
    for name, row in large.items():
        print(
            f"{name:<23}  {row['seconds']:>6.3f} {row['seconds'] / ours['seconds']:>6.1f} "
            f"{row['megabytes']:>7.0f} {row['megabytes'] / ours['megabytes']:>6.1f}   "
            f"{row['value_error']:>10.1e}  {row['gradient_error']:>14.1e}"
        )
    print("\nsmall batches        ppr ms  dense ms  dense/ppr")
    for count, times in small.items():
        ppr_ms, dense_ms = times["ppr"] * 1e3, times["dense"] * 1e3
        print(f"{count:<19} {ppr_ms:>7.3f}  {dense_ms:>8.3f}  {dense_ms / ppr_ms:>9.2f}")
    print(
        f"\n{HUGE} embeddings: {huge['seconds']:.1f} s, {huge['total_megabytes']:.0f} MB in all, "
        "imports included"
    )


if __name__ == "__main__":
    main()
