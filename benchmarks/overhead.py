"""What the runner costs: a step through ppr against a bare PyTorch loop.

    python benchmarks/overhead.py [--steps 200] [--rounds 7]

The same MLP, batch, data, optimizer and precision, at a step of about 10 ms. The bare loop gathers
a random batch, scales it, and trains. Both run in turn; the figure is the ratio of the medians.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import tempfile
import time
from pathlib import Path

import torch
from torch import nn

from ppr.config.compose import compose
from ppr.engine.loop import Loop
from ppr.run import make_task, open_bench
from ppr.tasks.bench import Watcher

HIDDEN = [1536, 1536, 1536]
BATCH = 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    words = ["experiment=ce_digits", "model=mlp", f"model.hidden={HIDDEN}", "augment=none",
             f"engine.batch_size={BATCH}", "engine.device=cpu", "optimizer=sgd",
             "optimizer.lr=0.01", "engine.epochs=1000000"]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        bench = open_bench(compose(words), Path(folder), Watcher())
        task = make_task(bench)
        data = bench.dataset
        twin = nn.Sequential(copy.deepcopy(task.encoder), copy.deepcopy(task.classifier))
        optimizer = bench.build("optimizer", twin)
        mean, std = torch.tensor(data.mean), torch.tensor(data.std)
        loop = Loop(task, bench)

        def bare_steps(steps: int) -> None:
            done = 0
            while True:
                order = torch.randperm(len(data.train))
                for start in range(0, len(order) - BATCH + 1, BATCH):
                    rows = order[start : start + BATCH]
                    inputs = (data.train.inputs[rows].float() / 255 - mean) / std
                    loss = nn.functional.cross_entropy(twin(inputs), data.train.targets[rows])
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                    done += 1
                    if done == steps:
                        return

        def our_steps(steps: int) -> None:
            loop.total = loop.step + steps
            loop.fit(lambda epoch: None)

        times: dict[str, list[float]] = {"bare loop": [], "ppr": []}
        contenders = {"bare loop": bare_steps, "ppr": our_steps}
        for round_ in range(options.rounds + 1):
            for name, train in contenders.items():
                start = time.perf_counter()
                train(options.steps)
                if round_:
                    times[name].append((time.perf_counter() - start) / options.steps)
    base = statistics.median(times["bare loop"])
    print(f"{'':<10} {'ms a step':>10} {'of the bare loop':>17}")
    for name, found in times.items():
        step = statistics.median(found)
        print(f"{name:<10} {1000 * step:>10.3f} {step / base:>17.3f}")


if __name__ == "__main__":
    main()
