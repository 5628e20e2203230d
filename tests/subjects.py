"""Subjects for evaluators: a small encoder on blobs, or given features."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

import ppr
from ppr.data.dataset import Dataset, Split
from ppr.engine.subject import Subject


class Encoder(nn.Module):
    """Standardised pixels through batch norm, dropout and a layer: its mode changes its output."""

    def __init__(self, features: int = 12) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(), nn.BatchNorm1d(48), nn.Dropout(0.5), nn.Linear(48, features)
        )
        self.features = features
        self.calls = 0

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        features: Tensor = self.layers(images)
        return features


class Given(nn.Module):
    """A network whose outputs are those it is given, whatever its inputs."""

    def __init__(self, outputs: Tensor) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, inputs: Tensor) -> Tensor:
        return self.outputs[: len(inputs)]


def plain(images: Tensor) -> Tensor:
    return images.float() / 255


def noisy(images: Tensor, generator: torch.Generator) -> Tensor:
    return plain(images) + 0.05 * torch.randn(images.shape, generator=generator)


def make_dataset(classes: int = 7, sizes: tuple[int, int, int] = (140, 45, 90)) -> Dataset:
    random = torch.Generator().manual_seed(3)
    centres = torch.randint(40, 216, (classes, 3, 4, 4), generator=random)

    def split(size: int) -> Split:
        targets = torch.arange(size) % classes
        noise = 60 * torch.randn(size, 3, 4, 4, generator=random)
        return Split((centres[targets] + noise).clamp(0, 255).to(torch.uint8), targets)

    train, validation, test = map(split, sizes)
    names = tuple(f"class{c}" for c in range(classes))
    mean = std = (0.5, 0.5, 0.5)
    return Dataset("blobs", train, validation, test, (3, 4, 4), names, mean, std, "digest")


def make_subject(**changes: Any) -> Subject:
    torch.manual_seed(0)
    dataset = changes.pop("dataset", None) or make_dataset()
    encoder = changes.get("encoder") or Encoder()
    classifier = nn.Linear(getattr(encoder, "features", 1), len(dataset.classes))
    parts: dict[str, Any] = {
        "encoder": encoder,
        "classifier": classifier,
        "network": nn.Sequential(encoder, classifier),
        "dataset": dataset,
        "transform": plain,
        "train_transform": noisy,
        "pairs": lambda x, random: torch.stack([encoder(noisy(x, random)), encoder(plain(x))], 1),
        "device": torch.device("cpu"),
        "batch_size": 32,
    }
    return Subject(**{**parts, **changes})


def of_tensors(
    train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor], validation: Any = None
) -> Subject:
    """A subject whose features are the given ones."""
    classes = tuple(str(c) for c in range(int(train[1].max()) + 1))
    held_out = None if validation is None else Split(*validation)
    shape = tuple(train[0].shape[1:])
    data = Dataset("given", Split(*train), held_out, Split(*test), shape, classes, (), (), "")
    return Subject(
        encoder=nn.Identity(), classifier=nn.Identity(), dataset=data, device=torch.device("cpu")
    )


def clusters(seed: int, size: int, classes: int = 7, width: int = 10) -> tuple[Tensor, Tensor]:
    """Overlapping classes, so that no classifier is perfect and details show."""
    centres = torch.randn(classes, width, generator=torch.Generator().manual_seed(99))
    random = torch.Generator().manual_seed(seed)
    targets = torch.arange(size) % classes
    return centres[targets] + 1.3 * torch.randn(size, width, generator=random), targets


def build(name: str, **fields: Any) -> Any:
    return ppr.build("evaluator", name, **fields)
