"""Two-tower learning: both members of a pair are embedded, and each is to find the other.

A sample's pair is two random views of it, or the left and the right half of its image. One encoder
and head embed both members, or each has its own; a two-tower loss takes the embeddings a, b [N, D].
Radford et al., "Learning Transferable Visual Models From Natural Language Supervision",
arXiv:2103.00020, section 2.3, has two encoders for two kinds of data; Chen et al.,
arXiv:2002.05709, one for two views.

Halves are of the augmented image, so both show one rotation or shift; of an odd number of columns
the middle one is in neither. Evaluators see the encoders' features, those of two members side by
side; where an image is given as it is, it stands for both its views.

Raises BadRequest for halves of inputs that are not images two pixels wide.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from ppr.engine.batches import Batch
from ppr.engine.bench import Bench
from ppr.engine.training import TrainingTask
from ppr.errors import BadRequest
from ppr.registry import component


@component("task", losses="two-tower", targets=(), features="sample")
class Match(TrainingTask):
    criterion: Any
    batch_wide: ClassVar[bool] = True
    reports_untrained: ClassVar[bool] = True

    def __init__(
        self, bench: Bench, *, pairs: Literal["views", "halves"] = "views", shared: bool = True
    ) -> None:
        super().__init__(bench)
        data = bench.dataset
        self.pairs = pairs
        shape = _half(data.shape) if pairs == "halves" else data.shape
        self.augment = bench.build("augment", data.shape, data.mean, data.std)
        encoders = [bench.build("model", shape) for _ in range(1 if shared else 2)]
        heads = [bench.build("head", e.features, len(data.classes)) for e in encoders]
        self.encoder: Towers = Towers(encoders, dims=len(shape), halves=pairs == "halves")
        self.heads = nn.ModuleList(heads)
        self.criterion = self.build_loss()

    def prepare(self, batch: Batch, random: torch.Generator) -> Tensor:
        return self.paired(batch.inputs, random)

    def paired(self, inputs: Tensor, random: torch.Generator) -> Tensor:
        """Augmented images, to be cut in `forward`; or two views of each, [N, 2, C, H, W]."""
        if self.pairs == "halves":
            images: Tensor = self.augment(inputs, random)
            return images
        views: Tensor = self.augment(inputs.repeat(2, *(1,) * (inputs.dim() - 1)), random)
        return views.view(2, *inputs.shape).transpose(0, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        """[N, 2, D]: a sample is one row, so that parts of a batch are parts of its pairs."""
        return torch.stack(each(self.heads, *self.encoder.features(inputs)), dim=1)

    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        learnt = self.criterion.learnt() if hasattr(self.criterion, "learnt") else {}
        return {"loss": self.criterion(*outputs.unbind(1)), **learnt}

    def embed_pairs(self, inputs: Tensor, random: torch.Generator) -> Tensor:
        """What evaluators and samplers compare, [N, 2, D]: halves of plain images, random views."""
        plain = self.pairs == "halves"
        embeddings: Tensor = self(
            self.augment.plain(inputs) if plain else self.paired(inputs, random)
        )
        return embeddings


class Towers(nn.Module):
    """One encoder for both members of a pair, or one for each."""

    def __init__(self, encoders: list[nn.Module], *, dims: int, halves: bool) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(encoders)
        self.dims = dims
        self.halves = halves

    def features(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """The features [N, F] of both members."""
        if self.halves:
            width = inputs.shape[-1] // 2
            return each(self.encoders, inputs[..., :width], inputs[..., -width:])
        if inputs.dim() == self.dims + 2:
            return each(self.encoders, *inputs.unbind(1))
        first = self.encoders[0](inputs)
        return first, first if len(self.encoders) == 1 else self.encoders[1](inputs)

    def forward(self, inputs: Tensor) -> Tensor:
        first, second = self.features(inputs)
        return first if first is second else torch.cat([first, second], dim=1)


def each(modules: nn.ModuleList, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Both members through their modules; through a shared one at once, as one batch."""
    if len(modules) == 1:
        first, second = modules[0](torch.cat([a, b])).chunk(2)
        return first, second
    return modules[0](a), modules[1](b)


def _half(shape: tuple[int, ...]) -> tuple[int, ...]:
    if len(shape) != 3 or shape[-1] < 2:
        raise BadRequest(
            f"task.pairs=halves: needs images at least two pixels wide, not inputs of shape "
            f"{tuple(shape)}; allowed for them: views"
        )
    return (*shape[:-1], shape[-1] // 2)
