"""What the runner costs: a step through ppr against a bare PyTorch loop.

    python benchmarks/overhead.py [--steps 1500]

The same MLP, batch, data, optimizer and precision, at a step of about 10 ms. The bare loop gathers
a random batch, scales it, and trains. The two take turns step by step, so that drifts of the
machine's speed meet both alike; the figure is the median, over stretches of 20 steps (one reading
of the metrics each), of the ratio of their times, with the 95 % interval of a bootstrap.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from scipy.stats import bootstrap
from torch import nn

from ppr.config.compose import compose
from ppr.engine.batches import Batch
from ppr.engine.bench import Bench, Watcher
from ppr.engine.loop import Loop
from ppr.run import make_task, open_bench

HIDDEN = [640, 640, 640]
BATCH = 256
STRETCH = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=1500)
    options = parser.parse_args()
    words = ["experiment=ce_digits", "model=mlp", f"model.hidden={HIDDEN}", "augment=none",
             f"engine.batch_size={BATCH}", "engine.device=cpu", "optimizer=sgd",
             "optimizer.lr=0.01", f"engine.log_every={STRETCH}", "data.synthetic=10240",
             "engine.epochs=1000000", f"engine.max_steps={options.steps}"]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        bench = open_bench(compose(words), Path(folder), Watcher())
        task = make_task(bench)
        twin = nn.Sequential(copy.deepcopy(task.encoder), copy.deepcopy(task.classifier))
        loop = Loop(task, bench)
        bare = bare_steps(twin, bench)
        times: dict[str, list[float]] = {"bare loop": [], "ppr": []}
        epoch_of = loop.batches.epoch

        def in_turns(number: int, start: int = 0) -> Iterator[Batch]:
            """The loop's own batches; between two of its steps the bare loop takes one."""
            batches = epoch_of(number, start)
            while True:
                begun = time.perf_counter()
                batch = next(batches, None)
                if batch is None:
                    return
                yield batch
                times["ppr"].append(time.perf_counter() - begun)
                begun = time.perf_counter()
                next(bare)
                times["bare loop"].append(time.perf_counter() - begun)

        loop.batches.epoch = in_turns  # type: ignore[method-assign]
        loop.fit(lambda epoch: None)
    sums = {name: stretches(found) for name, found in times.items()}
    ratios = [ours / bare for ours, bare in zip(sums["ppr"], sums["bare loop"], strict=True)]
    for name, found in sums.items():
        print(f"{name:<10} {1000 * statistics.median(found) / STRETCH:>8.3f} ms a step")
    found = bootstrap((ratios,), statistics.median, method="percentile", vectorized=False)
    low, high = found.confidence_interval
    print(f"ppr takes {statistics.median(ratios):.3f} of the bare loop's time")
    print(f"95 % interval {low:.3f} to {high:.3f}, {len(ratios)} stretches of {STRETCH} steps")


def bare_steps(model: nn.Module, bench: Bench) -> Iterator[None]:
    """What one would write by hand; a step each time it is asked."""
    data = bench.dataset
    optimizer = bench.build("optimizer", model)
    mean, std = torch.tensor(data.mean), torch.tensor(data.std)
    while True:
        order = torch.randperm(len(data.train))
        for start in range(0, len(order) - BATCH + 1, BATCH):
            rows = order[start : start + BATCH]
            inputs = (data.train.inputs[rows].float() / 255 - mean) / std
            loss = nn.functional.cross_entropy(model(inputs), data.train.targets[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            yield


def stretches(times: list[float]) -> list[float]:
    """Sums over stretches of steps, the first left out as warm-up."""
    return [sum(times[i : i + STRETCH]) for i in range(STRETCH, len(times) - STRETCH + 1, STRETCH)]


if __name__ == "__main__":
    main()
