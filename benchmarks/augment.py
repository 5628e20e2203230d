"""Speed of two-view augmentation on CPU: ppr, torchvision's PIL pipeline and kornia's batches.

All do the SupCon CIFAR recipe on 32x32 colour images: RandomResizedCrop(0.2, 1), flip,
ColorJitter(0.4, 0.4, 0.4, 0.1) with p 0.8, grayscale with p 0.2, tensor, normalise; two views of
each image. CPU time of the process is what counts, so other load on the machine matters little;
they take turns, and the best of several rounds is kept. A data loader's workers each run the PIL
pipeline on one core, so images a second and core is the fair measure. kornia draws parameters for
each image too, from torch's global generator alone.

    python benchmarks/augment.py [--threads 1 2] [--batch 256] [--rounds 8] [--json]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

import kornia.augmentation as K
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


def kornia_pipeline() -> Callable[[Tensor], Tensor]:
    pipeline: Callable[[Tensor], Tensor] = K.AugmentationSequential(
        K.RandomResizedCrop((32, 32), scale=(0.2, 1.0)),
        K.RandomHorizontalFlip(),
        K.ColorJiggle(0.4, 0.4, 0.4, 0.1, p=0.8),
        K.RandomGrayscale(p=0.2),
        K.Normalize(MEAN, STD),
        data_keys=["input"],
    )
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
    theirs, kornias = torchvision_pipeline(), kornia_pipeline()
    pictures = [T.ToPILImage()(image) for image in images]

    def views_of_ours() -> Tensor:
        return torch.stack((ours(images, generator), ours(images, generator)), 1)

    def views_of_theirs() -> Tensor:
        return torch.stack([torch.stack((theirs(x), theirs(x))) for x in pictures])

    def views_of_kornia() -> Tensor:
        return torch.stack([kornias(images.float() / 255) for _ in range(2)], 1)

    every = (views_of_ours, views_of_theirs, views_of_kornia)
    for each in every:
        each()
    taken = [[seconds(each) for each in every] for _ in range(rounds)]
    ours, pil, batches = zip(*taken, strict=True)
    views = 2 * batch
    return {
        "threads": threads,
        "ppr_wall": views / min(wall for wall, _ in ours),
        "ppr_core": views / min(core for _, core in ours),
        "pil_core": views / min(core for _, core in pil),
        "kornia_core": views / min(core for _, core in batches),
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
    print(f"{'threads':>7} {'ppr':>9} {'a core: ppr':>12} {'PIL':>15} {'kornia':>15}")
    for row in rows:
        peers = (
            f"{row[peer]:>9.0f} {row['ppr_core'] / row[peer]:>4.1f}x"
            for peer in ("pil_core", "kornia_core")
        )
        print(
            f"{row['threads']:>7} {row['ppr_wall']:>9.0f} {row['ppr_core']:>12.0f} "
            + " ".join(peers)
        )


if __name__ == "__main__":
    main()
