"""Speed of two-view augmentation on CPU: ppr's batches against torchvision's PIL pipeline.

Both do the SupCon CIFAR recipe on 32x32 colour images: RandomResizedCrop(0.2, 1), flip,
ColorJitter(0.4, 0.4, 0.4, 0.1) with p 0.8, grayscale with p 0.2, tensor, normalise; two views of
each image. CPU time of the process is what counts, so other load on the machine matters little;
the two take turns, and the best of several rounds is kept. A data loader's workers each run the
PIL pipeline on one core, so images a second and core is the fair measure.

    python benchmarks/augment.py [--threads 1 2] [--batch 256] [--rounds 8] [--json]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torchvision import transforms as T

import ppr

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)


def torchvision_pipeline() -> Callable[[object], Tensor]:
    jitter = T.ColorJitter(0.4, 0.4, 0.4, 0.1)
    steps = [
        T.RandomResizedCrop(32, scale=(0.2, 1.0)),
        T.RandomHorizontalFlip(),
        T.RandomApply([jitter], p=0.8),
        T.RandomGrayscale(p=0.2),
        T.ToTensor(),
        T.Normalize(MEAN, STD),
    ]
    pipeline: Callable[[object], Tensor] = T.Compose(steps)
    return pipeline


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def measure(threads: int, batch: int, rounds: int) -> dict[str, float]:
    torch.set_num_threads(threads)
    images = torch.randint(0, 256, (batch, 3, 32, 32), dtype=torch.uint8)
    generator = torch.Generator().manual_seed(0)
    ours = ppr.build("augment", "contrastive", (3, 32, 32), MEAN, STD)
    theirs = torchvision_pipeline()
    pictures = [T.ToPILImage()(image) for image in images]

    def views_of_ours() -> Tensor:
        return torch.stack((ours(images, generator), ours(images, generator)), 1)

    def views_of_theirs() -> Tensor:
        return torch.stack([torch.stack((theirs(x), theirs(x))) for x in pictures])

    views_of_ours()
    taken = [(seconds(views_of_ours), seconds(views_of_theirs)) for _ in range(rounds)]
    views = 2 * batch
    return {
        "threads": threads,
        "ppr_wall": views / min(ours[0] for ours, _ in taken),
        "ppr_core": views / min(ours[1] for ours, _ in taken),
        "pil_core": views / min(theirs[1] for _, theirs in taken),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--json", action="store_true", help="print figures for a machine")
    args = parser.parse_args()
    rows = [measure(threads, args.batch, args.rounds) for threads in args.threads]
    if args.json:
        print(json.dumps(rows))
        return
    print("images a second (each view counts)")
    print(f"{'threads':>7} {'ppr':>9} {'ppr/core':>9} {'PIL/core':>9} {'ratio/core':>10}")
    for row in rows:
        ratio = row["ppr_core"] / row["pil_core"]
        print(
            f"{row['threads']:>7} {row['ppr_wall']:>9.0f} {row['ppr_core']:>9.0f} "
            f"{row['pil_core']:>9.0f} {ratio:>9.1f}x"
        )


if __name__ == "__main__":
    main()
