"""A stream of tasks made of one data set: its images rotated, or their pixels permuted.

Task t = 0 .. tasks - 1 has all samples and labels of the set, with every image turned by
`angles[t]` degrees (bilinear, black outside), or its pixels in a random order of the task's own,
drawn with `split_seed`. The splits hold the tasks one after another, all of one size;
`Split.extra["task"]` is the number of each sample's task. Goodfellow et al., "An Empirical
Investigation of Catastrophic Forgetting in Gradient-Based Neural Networks", 2013 (permuted);
Lopez-Paz and Ranzato, "Gradient Episodic Memory for Continual Learning", 2017 (rotated).

Raises BadRequest for rotations without an angle for each task.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppr.config.build import build
from ppr.data.source import Source
from ppr.errors import BadRequest
from ppr.fields import Count, Literal
from ppr.registry import component

if TYPE_CHECKING:
    from torch import Tensor

    from ppr.data.dataset import Dataset, Split
    from ppr.data.hub import Place

OWN_STREAM = 4
"""What is drawn here must not repeat the shuffle of a split with the same seed."""


@component("dataset", like="of", has="stream")
class TaskStream(Source):
    """`of` is the set's name; what is set beside these fields is handed on to it."""

    def __init__(
        self,
        root: Path | None = None,
        *,
        of: str = "digits",
        change: Literal["permuted", "rotated"] = "permuted",
        tasks: Count = 5,
        angles: list[float] | None = None,
        **shared: Any,
    ) -> None:
        super().__init__(root, **shared)
        self.whole: Source = build("dataset", of, root, **shared)
        self.card = self.whole.card
        if change == "rotated" and len(angles or []) != tasks:
            raise BadRequest(f"dataset.angles={angles}: one for each of {tasks} tasks")
        self.change, self.tasks, self.angles = change, tasks, angles

    def find(self) -> Place | None:
        return self.whole.find()

    def synthetic(self, n: int, seed: int = 0) -> Dataset:
        """`n` random samples in every task."""
        return self._stream(self.whole.synthetic(n, seed))

    def load(self) -> Dataset:
        return self._stream(self.whole.load())

    def _stream(self, data: Dataset) -> Dataset:
        from ppr.data.dataset import digest

        splits: Any = {
            "train": self._of_split(data.train),
            "validation": data.validation and self._of_split(data.validation),
            "test": self._of_split(data.test),
        }
        return replace(data, digest=digest(splits), **splits)

    def _of_split(self, split: Any) -> Split:
        import torch

        from ppr.data.dataset import Split

        inputs = torch.cat([self._changed(split.inputs, task) for task in range(self.tasks)])
        numbers = torch.arange(self.tasks).repeat_interleave(len(split))
        extra = {name: each.repeat(self.tasks, 1) for name, each in split.extra.items()}
        return Split(inputs, split.targets.repeat(self.tasks), {**extra, "task": numbers})

    def _changed(self, images: Tensor, task: int) -> Tensor:
        import numpy as np
        import torch

        if self.change == "rotated":
            from scipy.ndimage import rotate

            assert self.angles is not None
            turned = rotate(
                images.numpy().astype(np.float64), self.angles[task], (3, 2), False, order=1
            )
            return torch.from_numpy(np.rint(turned).clip(0, 255).astype(np.uint8))
        stream = np.random.SeedSequence((self.split_seed, OWN_STREAM, task))
        random = np.random.RandomState(np.random.MT19937(stream))
        order = torch.from_numpy(random.permutation(images[0].numel()))
        return images.flatten(1)[:, order].view_as(images)
