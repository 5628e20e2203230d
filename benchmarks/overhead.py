"""What the runner costs: a step through ppr against a bare PyTorch loop.

    python benchmarks/overhead.py [--steps 40] [--rounds 25]

The same MLP, batch, data, optimizer and precision, at a step of about 10 ms. The bare loop gathers
a random batch, scales it, and trains. Both run in turn, many short turns each; the figure is the
median of the ratios of neighbouring turns, which drifts of the machine's speed leave alone.
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

HIDDEN = [640, 640, 640]
BATCH = 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=25)
    options = parser.parse_args()
    words = ["experiment=ce_digits", "model=mlp", f"model.hidden={HIDDEN}", "augment=none",
             f"engine.batch_size={BATCH}", "engine.device=cpu", "optimizer=sgd",
             "optimizer.lr=0.01", "engine.log_every=20", "data.synthetic=10240",
             "engine.epochs=1000000"]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        bench = open_bench(compose(words), Path(folder), Watcher())
        task = make_task(bench)
        data = bench.dataset
        twin = nn.Sequential(copy.deepcopy(task.encoder), copy.deepcopy(task.classifier))
        optimizer = bench.build("optimizer", twin)
        mean, std = torch.tensor(data.mean), torch.tensor(data.std)
        loop = Loop(task, bench)
        loop.resume = lambda: None  # a run looks for checkpoints once, not at every turn

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
    ratios = [ours / bare for ours, bare in zip(times["ppr"], times["bare loop"], strict=True)]
    for name, found in times.items():
        print(f"{name:<10} {1000 * statistics.median(found):>8.3f} ms a step")
    print(f"ppr takes {statistics.median(ratios):.3f} of the bare loop's time")


if __name__ == "__main__":
    main()
