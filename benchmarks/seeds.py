"""Seeds trained together against the same seeds one after another: engine.seeds_per_process.

    python benchmarks/seeds.py [--seeds 8] [--width 128] [--batch 64] [--steps 40] [--rounds 15]

Cross-entropy on digits with an MLP. Three ways take the same steps in turn, in one process: every
seed by itself through ppr's loop, all together through its stacked loop, and a bare prototype
(vmap of grad, stacked AdamW, no logs or schedule). Many short turns each; a figure is the median
over the rounds, a ratio that of neighbouring turns, which the machine's drifts leave alone.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap

from ppr.config.compose import compose
from ppr.engine.bench import Watcher
from ppr.engine.stacked import StackedLoop
from ppr.engine.train import Training
from ppr.run import make_task, open_bench

Train = Callable[[int], None]


def trainings(options: argparse.Namespace, folder: Path) -> list[Training]:
    """One for each seed, on data that they share."""
    words = ["experiment=ce_digits", "model=mlp", f"model.hidden=[{options.width}]",
             f"augment={options.augment}", f"engine.batch_size={options.batch}",
             "engine.device=cpu", "engine.log_every=20", "engine.epochs=1000000",
             "engine.evaluate_every=0", "engine.checkpoint_seconds=1e9"]  # fmt: skip
    found: list[Training] = []
    for seed in range(options.seeds):
        own = folder / str(seed)
        own.mkdir(parents=True)
        bench = open_bench(compose([*words, f"seed={seed}"]), own, Watcher())
        if found:
            bench.dataset = found[0].bench.dataset
        found.append(Training(make_task(bench), bench))
        found[-1].loop.resume = lambda: None  # a run looks for checkpoints once, not at every turn
    return found


def one_after_another(options: argparse.Namespace, folder: Path) -> Train:
    loops = [training.loop for training in trainings(options, folder)]

    def train(steps: int) -> None:
        for loop in loops:
            loop.total = loop.step + steps
            loop.fit(lambda epoch: None)

    return train


def together(options: argparse.Namespace, folder: Path) -> Train:
    def failed(training: Training, error: Exception) -> None:
        raise error

    loop = StackedLoop(trainings(options, folder), failed)
    loop.resume()

    def train(steps: int) -> None:
        loop.resume = lambda: None
        loop.total = loop.step + steps
        loop.fit(lambda epoch: None)

    return train


def prototype(options: argparse.Namespace, folder: Path) -> Train:
    """What a page of torch.func gives."""
    training = trainings(options, folder)[0]
    data, task = training.bench.dataset, training.task
    models = [nn.Sequential(task.encoder, task.classifier) for _ in range(options.seeds)]
    weights, _ = stack_module_state(models)
    optimizer = torch.optim.AdamW(list(weights.values()), lr=0.002, fused=True)
    mean, std = torch.tensor(data.mean), torch.tensor(data.std)

    def loss(own: dict[str, Tensor], inputs: Tensor, targets: Tensor) -> Tensor:
        return nn.functional.cross_entropy(functional_call(models[0], own, (inputs,)), targets)

    gradients = vmap(grad(loss))

    def train(steps: int) -> None:
        for _ in range(steps):
            rows = torch.randint(0, len(data.train), (options.seeds, options.batch))
            inputs = (data.train.inputs[rows].float() / 255 - mean) / std
            for name, found in gradients(weights, inputs, data.train.targets[rows]).items():
                weights[name].grad = found
            optimizer.step()

    return train


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--augment", default="none")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    ways = {"one after another": one_after_another, "together": together, "prototype": prototype}
    times: dict[str, list[float]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as folder:
        contenders = {name: make(options, Path(folder) / name) for name, make in ways.items()}
        for round_ in range(options.rounds + 1):
            for name, train in contenders.items():
                start = time.perf_counter()
                train(options.steps)
                if round_:  # the first round warms up
                    times[name].append((time.perf_counter() - start) / options.steps)
    print(f"{'':<18} {'ms a step of all':>17} {'steps/s of all':>15} {'times as fast':>14}")
    for name, found in times.items():
        took = statistics.median(found)
        pairs = zip(times["one after another"], found, strict=True)
        ratio = statistics.median(alone / own for alone, own in pairs)
        print(f"{name:<18} {1000 * took:>17.3f} {options.seeds / took:>15.0f} {ratio:>14.2f}")


if __name__ == "__main__":
    main()
