"""What the training loop asks of a task that trains a network by gradient steps."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ppr.engine.batches import Batch
from ppr.engine.bench import Bench


class Learner(nn.Module):
    """The modules that train, and how a batch becomes a loss.

    One step is three calls, so that each runs where it should: `prepare` on raw data without
    autocast, `forward` under autocast (and compiled, or wrapped for several devices), and `loss` in
    fp32 on its outputs. A loss over a whole batch can so be computed on outputs made in parts, or
    on other devices: `loss` sees the outputs, targets and indices of the global batch, whatever
    share of it `prepare` and `forward` were given.

    Attributes:
        encoder: normalised inputs [N, *shape] -> features [N, F].
        classifier: features -> logits [N, C], where the task trains one.
        criterion: the loss; where it has parameters of its own, they are used in `loss` alone.
        views: rows that a sample has in `forward`'s inputs and outputs, [views * N, ...], the first
            views of all samples before their second ones.
        batch_wide: the loss compares samples, so a batch must not be cut by `engine.accumulate`. A
            loss that is no mean over samples says so itself, by an attribute of this name.
        reports_untrained: the same evaluators also measure the encoder before training.
    """

    batch_wide: ClassVar[bool] = False
    reports_untrained: ClassVar[bool] = False
    views: int = 1

    encoder: nn.Module
    classifier: nn.Module | None
    criterion: nn.Module
    augment: Any

    def __init__(self, bench: Bench) -> None:
        super().__init__()
        self.bench = bench
        self.classifier = None

    def build_loss(self) -> nn.Module:
        """The config's loss, which is shown the training targets if it has a `see` for them.

        `see(targets, classes)` is where a loss takes class counts, or makes its buffers of a row a
        sample; those it finds again by the sample numbers it is given if it has `by_index`.
        """
        loss: Any = self.bench.build("loss")
        if hasattr(loss, "see"):
            data = self.bench.dataset
            loss.see(data.train.targets, len(data.classes))
        built: nn.Module = loss
        return built

    def compare(self, outputs: Tensor, batch: Batch) -> Tensor:
        """The criterion of a batch, given the sample numbers too where it keeps them apart."""
        known = {"indices": batch.indices} if getattr(self.criterion, "by_index", False) else {}
        value: Tensor = self.criterion(outputs, batch.targets, **known)
        return value

    def begin(self) -> None:
        """Called before training, on the run's device, with the weights that it starts from.

        A resumed run calls it too; what it keeps in buffers then comes from the checkpoint.
        """

    def advance(self, done: float) -> None:
        """Called before each step with the share of training done, in [0, 1).

        What changes with it must be a function of it alone, so that a resumed run is the same. A
        loss with an `advance` of its own (deferred re-weighting, say) is told.
        """
        criterion: Any = getattr(self, "criterion", None)  # a task may compute its loss without one
        if hasattr(criterion, "advance"):
            criterion.advance(done)

    def mix(
        self, inputs: Tensor, targets: Tensor, random: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Prepared inputs and their targets as the step takes them: mixup and its kin go here."""
        return inputs, targets

    @property
    def mixes(self) -> bool:
        """Whether `mix` does anything to a batch."""
        overridden = type(self).mix is not Learner.mix
        return overridden and getattr(self, "mixup", self) is not None

    def after_step(self) -> None:
        """Called when the weights have moved, without a gradient: masks, teachers, lost units.

        A loss with a `bound` for what it learns keeps it then.
        """
        criterion: Any = getattr(self, "criterion", None)
        if hasattr(criterion, "bound"):
            criterion.bound()

    @abstractmethod
    def prepare(self, batch: Batch, random: torch.Generator) -> Tensor:
        """The network's input for a batch: augmented and normalised, float32."""

    @abstractmethod
    def forward(self, inputs: Tensor) -> Tensor:
        """The network's outputs, in autocast's type."""

    @abstractmethod
    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """`{"loss": scalar}` from float32 outputs; further scalars are logged beside it."""
