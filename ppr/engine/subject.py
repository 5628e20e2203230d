"""What an evaluator measures: an encoder, perhaps a classifier, and the data to measure them on.

An evaluator is called with a `Subject` and returns numbers. The train split fits probes, the
target split is measured. Everything random draws from `Subject.generator`, never from the global
generators, so evaluating in the middle of training changes nothing about the training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ppr.data.dataset import Dataset, Split
from ppr.data.stream import in_one_line
from ppr.engine import distributed, seeding
from ppr.errors import BadRequest, RunFailed

if TYPE_CHECKING:
    from ppr.data.stream import StreamSplit


@contextmanager
def evaluating(*modules: nn.Module) -> Iterator[None]:
    """Eval mode inside; afterwards every submodule is in the mode it was found in."""
    found = [(part, part.training) for module in modules for part in module.modules()]
    for module in modules:
        module.eval()
    try:
        yield
    finally:
        for part, training in found:
            part.training = training  # not .train(), which recurses and may be overridden


@dataclass(kw_only=True, eq=False)
class Subject:
    """A model and its data, with features and logits computed once for all evaluators.

    `network` is the task's whole forward pass, inputs to outputs of whatever shape; `encoder` maps
    inputs [N, *shape] to features [N, F]; `classifier` maps features to logits [N, C], None if the
    task trains none. `transform` makes the encoder's input from a split's
    inputs (None: they are used as they are) and `train_transform` is its random counterpart.
    `pairs` embeds both members of each sample's pair, inputs -> [N, 2, D], where a task has any.
    `draw` draws so many new samples by way of the given noise levels, where a task generates.
    `workers` are the processes that read a streamed split.
    `by`, in the methods, is the config path of the asking evaluator; errors begin with it.
    On several devices each encodes its share of a split, and all have all features.
    """

    encoder: nn.Module
    classifier: nn.Module | None = None
    network: nn.Module | None = None
    dataset: Dataset
    transform: Callable[[Tensor], Tensor] | None = None
    train_transform: Callable[[Tensor, torch.Generator], Tensor] | None = None
    pairs: Callable[[Tensor, torch.Generator], Tensor] | None = None
    draw: Callable[[int, Sequence[float], torch.Generator], Tensor] | None = None
    device: torch.device
    autocast: Callable[[], AbstractContextManager[object]] = nullcontext
    batch_size: int = 512
    workers: int = 0
    seed: int = 0
    target_split: Literal["validation", "test"] = "test"
    _features: dict[str, tuple[Tensor, Tensor]] = field(
        default_factory=dict, init=False, repr=False
    )
    _logits: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict, init=False, repr=False)

    def split(self, name: str) -> Split | StreamSplit:
        splits = {"train": self.dataset.train, "test": self.dataset.test}
        if self.dataset.validation is not None:
            splits["validation"] = self.dataset.validation
        if name not in splits:
            allowed = ", ".join(splits)
            raise BadRequest(
                f"dataset {self.dataset.name!r} has no {name} split; allowed: {allowed}"
            )
        if not len(splits[name].targets):
            raise BadRequest(f"dataset {self.dataset.name!r}: its {name} split is empty")
        return splits[name]

    def class_count(self, by: str) -> int:
        """The number of classes, refused below two: there would be nothing to tell apart."""
        count = len(self.dataset.classes)
        if count < 2:
            raise BadRequest(f"{by}: needs two classes, dataset {self.dataset.name!r} has {count}")
        return count

    def generator(self, name: str, device: torch.device | str | None = None) -> torch.Generator:
        """A generator seeded from (seed, name), on the subject's device unless told otherwise.

        The CPU's gives the same numbers on every machine; draw there what defines a measurement.
        """
        where = self.device if device is None else torch.device(device)
        return seeding.generator(where, self.seed, "evaluate", name)

    def features(self, split: str, by: str = "evaluator") -> tuple[Tensor, Tensor]:
        """Features [N, F] in float32 and targets [N] of a split, on the device.

        Raises:
            RunFailed: a feature is NaN or infinite.
        """
        if split not in self._features:
            features = self._encode(split, None, self.transform or (lambda inputs: inputs))
            self._features[split] = features, self.split(split).targets.to(self.device)
        return _finite(self._features[split], f"{by}: features of the {split} split")

    def augmented(self, rows: Tensor | None, generator: torch.Generator, by: str) -> Tensor:
        """Features of the train split, or of its `rows`, through the random train transform."""
        transform = self.train_transform
        if transform is None:
            raise BadRequest(f"{by}.augment=True: this task has no train augmentation to apply")
        if distributed.size() > 1:  # or each device would draw the same for its share
            drawn = int(torch.randint(2**62, (), generator=generator, device=generator.device))
            own = seeding.derive(drawn, distributed.rank())
            generator = torch.Generator(generator.device).manual_seed(own)
        return self._encode("train", rows, lambda inputs: transform(inputs, generator))

    def logits(self, split: str, by: str = "evaluator") -> tuple[Tensor, Tensor]:
        """Logits [N, C] in float32 and targets [N] of a split, on the device.

        Raises:
            BadRequest: the subject has no classifier.
            RunFailed: a logit is NaN or infinite.
        """
        if self.classifier is None:
            raise BadRequest(f"{by}: needs a classifier's logits, this task trains an encoder only")
        if split not in self._logits:
            features, targets = self.features(split, by)
            with evaluating(self.classifier), torch.no_grad(), self.autocast():
                batches = [
                    self.classifier(x).float() for x in torch.split(features, self.batch_size)
                ]
            self._logits[split] = torch.cat(batches), targets
        return _finite(self._logits[split], f"{by}: logits of the {split} split")

    def outputs(self, split: str, by: str = "evaluator") -> Iterator[tuple[Tensor, Tensor]]:
        """The network's outputs [B, ...] in float32 and the targets of a split, batch by batch.

        Unlike features they may be too large to hold at once. Every device computes all of them.

        Raises:
            BadRequest: the subject has no network.
        """
        if self.network is None:
            raise BadRequest(f"{by}: needs a task whose network it can run on a split")
        with evaluating(self.network), torch.no_grad():
            for ready, part in self.batches(split):
                with self.autocast():
                    found = self.network(ready)
                yield found.float(), part

    def batches(self, split: str) -> Iterator[tuple[Tensor, Tensor]]:
        """The network's inputs, ready for it, and the targets of a split, batch by batch."""
        transform = self.transform or (lambda inputs: inputs)
        targets = self.split(split).targets
        done = 0
        for inputs in self._inputs(split, None, slice(0, len(targets))):
            part = targets[done : done + len(inputs)].to(self.device)
            done += len(inputs)
            yield transform(inputs), part

    def classifying(self, by: str = "evaluator") -> nn.Module:
        """Inputs -> logits, to be differentiated: what looks at the loss, not only at its value.

        Raises:
            BadRequest: the subject has no classifier.
        """
        if self.classifier is None:
            raise BadRequest(f"{by}: needs a classifier's logits, this task trains an encoder only")
        return nn.Sequential(self.encoder, self.classifier)

    def embedded_pairs(self, split: str, by: str = "evaluator") -> Tensor:
        """Both embeddings of each sample's pair, [N, 2, D] in float32, on the device.

        Every device computes all of them.

        Raises:
            BadRequest: the task matches no pairs.
            RunFailed: an embedding is NaN or infinite.
        """
        if self.pairs is None:
            raise BadRequest(f"{by}: needs pairs, which this task does not make; task=match does")
        random = self.generator("pairs")
        whole = slice(0, len(self.split(split)))
        with self._still():
            found = [self.pairs(x, random).float() for x in self._inputs(split, None, whole)]
        pairs = torch.cat(found)
        _finite((pairs.flatten(1), pairs), f"{by}: pairs of the {split} split")
        return pairs

    def samples(self, count: int, levels: Sequence[float], by: str = "evaluator") -> Tensor:
        """New samples [count, *shape] in float32, on the device, in the units of `transform`.

        Every device draws all of them.

        Raises:
            BadRequest: the task does not generate.
            RunFailed: a sample is NaN or infinite.
        """
        if self.draw is None:
            raise BadRequest(f"{by}: needs a task that draws samples; task=generate does")
        random = self.generator("samples")
        with self._still():
            parts = [
                self.draw(min(self.batch_size, count - done), levels, random).float()
                for done in range(0, count, self.batch_size)
            ]
        drawn = torch.cat(parts)
        _finite((drawn.flatten(1), drawn), f"{by}: drawn samples")
        return drawn

    @contextmanager
    def _still(self) -> Iterator[None]:
        """Encoder and network in eval mode, in the run's precision, without gradients."""
        modules = [part for part in (self.encoder, self.network) if part is not None]
        with evaluating(*modules), torch.no_grad(), self.autocast():
            yield

    def _encode(
        self, split: str, rows: Tensor | None, transform: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """A split, or its `rows`, encoded on all devices. [N, F] in float32."""
        size = len(self.split(split)) if rows is None else len(rows)
        part = distributed.share(size)
        own = len(range(size)[part])
        # With nothing to do it encodes one row and drops it: it must know how wide features are.
        features = self._encode_part(split, rows, part if own else slice(0, 1), transform)
        return distributed.gather_shares(features[:own], size)

    def _encode_part(
        self, split: str, rows: Tensor | None, part: slice, transform: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """The one loop over a part of a split, or of its `rows`: read, transform, encode."""
        size = part.stop - part.start
        features: Tensor | None = None
        done = 0
        with evaluating(self.encoder), torch.no_grad():
            for inputs in self._inputs(split, rows, part):
                ready = transform(inputs)
                with self.autocast():  # not over the transform, which computes in float32
                    encoded = self.encoder(ready)
                if features is None:
                    if encoded.ndim != 2:
                        made = list(encoded.shape)
                        raise RunFailed(f"model: features must be [N, F], the encoder made {made}")
                    features = encoded.new_empty((size, encoded.shape[1]), dtype=torch.float32)
                features[done : done + len(inputs)] = encoded
                done += len(inputs)
        assert features is not None
        return features

    def _inputs(self, name: str, rows: Tensor | None, part: slice) -> Iterator[Tensor]:
        split = self.split(name)
        batches: Iterable[Tensor]
        if isinstance(split, Split):
            here = split.inputs.device
            inputs = split.inputs[part if rows is None else rows[part].to(here)]
            batches = torch.split(inputs, self.batch_size)
        else:
            wanted = (torch.arange(len(split)) if rows is None else rows.cpu())[part]
            batches = DataLoader(
                _Streamed(split),
                batch_size=None,
                sampler=torch.split(wanted, self.batch_size),  # one item a batch
                num_workers=self.workers,
                pin_memory=self.device.type == "cuda",
                generator=self.generator("loader", "cpu"),  # else it draws from the global one
            )
        for batch in in_one_line(batches):
            yield batch.to(self.device, non_blocking=True)


class _Streamed(torch.utils.data.Dataset[Tensor]):
    """The inputs of a streamed split, to be indexed with the rows of a batch."""

    def __init__(self, split: StreamSplit) -> None:
        self.split = split

    def __getitem__(self, rows: Tensor) -> Tensor:
        return self.split.load(rows)[0]


def _finite(values: tuple[Tensor, Tensor], what: str) -> tuple[Tensor, Tensor]:
    bad = int((~values[0].isfinite()).any(dim=1).sum())
    if bad:
        raise RunFailed(f"{what}: {bad} of {len(values[0])} rows hold NaN or infinite values")
    return values
