"""SupCon training step, ResNet-18 on 32x32 images: ppr against the reference recipe.

    python benchmarks/training_step.py [--batch 256] [--steps 6] [--rounds 3]

The peer is the usual recipe (as in HobbitLong/SupContrast, main_supcon.py): per-image PIL
augmentation of two views in two DataLoader workers, fp32, contiguous layout, a dense loss. Model,
batch, views, operations and their ranges are the same. Both train in turn in one process, on random
images; the figures are samples a second, the median over the rounds.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from ppr.config.compose import compose
from ppr.engine.bench import Watcher
from ppr.engine.loop import Loop
from ppr.run import make_task, open_bench

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


class TwoViews(Dataset):
    """Random images, each augmented twice by torchvision on PIL images."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self.images = [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in images]
        self.labels = labels
        self.transform = transforms.Compose(
            [
                transforms.RandomResizedCrop(32, scale=(0.2, 1.0)),
                transforms.RandomHorizontalFlip(),
                transforms.RandomApply([transforms.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8),
                transforms.RandomGrayscale(p=0.2),
                transforms.ToTensor(),
                transforms.Normalize(MEAN, STD),
            ]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        image = self.images[index]
        return self.transform(image), self.transform(image), self.labels[index]


def dense_supcon(embeddings: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """SupCon's L_out (arXiv 2004.11362, eq. 2) with all pairs in memory; a mean over anchors."""
    z = nn.functional.normalize(embeddings.flatten(0, 1), dim=1)
    labels = labels.repeat_interleave(embeddings.shape[1])
    logits = z @ z.T / temperature
    itself = torch.eye(len(z), dtype=torch.bool, device=z.device)
    log_prob = logits - logits.masked_fill(itself, float("-inf")).logsumexp(1, keepdim=True)
    positive = (labels[:, None] == labels[None, :]) & ~itself
    return -((log_prob * positive).sum(1) / positive.sum(1)).mean()


def reference(
    batch: int, size: int, temperature: float, device: str = "cpu", precision: str = "fp32"
) -> Callable[[int], None]:
    """Trains so many steps the usual way."""
    from ppr import build

    images = torch.randint(0, 256, (size, 3, 32, 32), dtype=torch.uint8)
    data = TwoViews(images, torch.randint(0, 10, (size,)))
    encoder = build("model", "resnet", (3, 32, 32), depth=18)
    model = nn.Sequential(encoder, build("head", "projection", encoder.features, 10)).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)

    def endless() -> object:
        while True:
            yield from loader

    loader = DataLoader(data, batch, shuffle=True, num_workers=2, drop_last=True,
                        persistent_workers=True)  # fmt: skip
    stream = endless()

    def train(steps: int) -> None:
        for _ in range(steps):
            one, two, labels = next(stream)
            views, labels = torch.cat([one, two]).to(device), labels.to(device)
            with _cast(device, precision):
                embeddings = model(views).unflatten(0, (2, -1)).transpose(0, 1)
            loss = dense_supcon(embeddings.float(), labels, temperature)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return train


def _cast(device: str, precision: str) -> AbstractContextManager[object]:
    kind = torch.device(device).type
    return torch.autocast(kind, torch.bfloat16, enabled=precision == "bf16")


def bare(batch: int, size: int, precision: str, device: str = "cpu") -> Callable[[int], None]:
    """Trains so many steps in ten lines of PyTorch: images on the device, ppr's views and loss."""
    from ppr import build

    images = torch.randint(0, 256, (size, 3, 32, 32), dtype=torch.uint8, device=device)
    labels = torch.randint(0, 10, (size,), device=device)
    augment = build("augment", "contrastive", (3, 32, 32), MEAN, STD)
    encoder = build("model", "resnet", (3, 32, 32), depth=18)
    model = nn.Sequential(encoder, build("head", "projection", encoder.features, 10)).to(device)
    model = model.to(memory_format=torch.channels_last)
    loss = build("loss", "supcon", temperature=0.1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
    random = torch.Generator(device).manual_seed(0)

    def train(steps: int) -> None:
        for _ in range(steps):
            rows = torch.randint(size, (batch,), generator=random, device=device)
            views = torch.cat([augment(images[rows], random) for _ in range(2)])
            with _cast(device, precision):
                out = model(views.contiguous(memory_format=torch.channels_last))
            value = loss(out.float().unflatten(0, (2, -1)).transpose(0, 1), labels[rows])
            optimizer.zero_grad()
            value.backward()
            optimizer.step()

    return train


def ours(
    batch: int, size: int, precision: str, folder: Path, device: str = "cpu"
) -> Callable[[int], None]:
    """Trains so many steps through ppr's own loop."""
    words = ["experiment=supcon_cifar10", "model=resnet18", f"engine.batch_size={batch}",
             f"engine.precision={precision}", f"data.synthetic={size}", "optimizer.lr=0.05",
             f"engine.device={device}"]  # fmt: skip
    bench = open_bench(compose(words), folder, Watcher())
    task = make_task(bench)
    task.to(memory_format=torch.channels_last)
    loop = Loop(task, bench)

    def train(steps: int) -> None:
        epoch = iter(())
        for _ in range(steps):
            found = next(epoch, None)
            if found is None:
                epoch = loop.batches.epoch(0)
                found = next(epoch)
            loop.update(found)
        loop.log()

    return train


def compare(
    contenders: Mapping[str, Callable[[int], None]], batch: int, steps: int, rounds: int
) -> dict[str, float]:
    """Samples a second of each, the median over the rounds; they take turns."""
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for round_ in range(rounds + 1):
        for name, train in contenders.items():
            _wait()
            start = time.perf_counter()
            train(steps)
            _wait()
            if round_:  # the first round warms up
                rates[name].append(steps * batch / (time.perf_counter() - start))
    return {name: statistics.median(found) for name, found in rates.items()}


def _wait() -> None:
    """Until the device has done what it was given."""
    if torch.accelerator.is_available():
        torch.accelerator.synchronize()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    size = 4 * options.batch
    with tempfile.TemporaryDirectory() as folder:
        contenders = {
            "reference recipe": reference(options.batch, size, 0.1),
            "bare loop fp32": bare(options.batch, size, "fp32"),
            "ppr fp32": ours(options.batch, size, "fp32", Path(folder)),
            "ppr bf16": ours(options.batch, size, "bf16", Path(folder)),
        }
        rates = compare(contenders, options.batch, options.steps, options.rounds)
    base = rates["reference recipe"]
    print(f"{'':<18} {'samples/s':>10} {'times the reference':>20}")
    for name, rate in rates.items():
        print(f"{name:<18} {rate:>10.1f} {rate / base:>20.2f}")


if __name__ == "__main__":
    main()
