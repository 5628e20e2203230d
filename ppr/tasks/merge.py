"""Merging: two trained classifiers of one architecture made into one, without training.

    average    theta_j = c theta_aj + (1 - c) theta_bj
    fisher     theta_j = (c F_aj theta_aj + (1 - c) F_bj theta_bj) / (c F_aj + (1 - c) F_bj)
    ensemble   p = c p_a + (1 - c) p_b: no merging, both networks are kept

Matena and Raffel, "Merging Models with Fisher-Weighted Averaging", 2021, equation 2: the mode of
the product of two Laplace posteriors, F the diagonal Fisher information of each on its own training
data, at least `floor`. The authors' code (merging.py of https://github.com/mmatena/model_merging)
also divides each F by its norm, and has a floor for the first model only; here both have, so that a
parameter that neither needs is averaged.

The models are the runs named by `inputs.a` and `inputs.b`. Without `coefficient` the c of best
accuracy on the validation split is taken, of 51 from 0 to 1, the ends being the two models; of
equally good ones the one nearest to 1/2. Metrics beside the evaluators': `merge/coefficient`.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from ppr import registry
from ppr.data.dataset import Dataset, Split
from ppr.engine.bench import Bench, Outcome
from ppr.engine.checkpoints import WEIGHTS, load_weights, save_weights
from ppr.engine.train import evaluate
from ppr.errors import BadRequest
from ppr.fields import Fraction, Positive
from ppr.registry import component
from ppr.results.tree import read_config
from ppr.tasks.classify import Classify
from ppr.tasks.fisher import diagonal_fisher

GRID = [step / 50 for step in range(51)]


@dataclass
class Member:
    """A model to merge: its weights, buffers and all, and the data it was trained on."""

    state: Mapping[str, Tensor]
    data: Dataset


class SideBySide(nn.Module):
    """Two encoders' features in one row."""

    def __init__(self, encoders: list[nn.Module]) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(encoders)

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.cat([encoder(inputs) for encoder in self.encoders], dim=1)


class Mixed(nn.Module):
    """The logarithm of two heads' mixed class probabilities, each on its half of the features."""

    def __init__(self, heads: list[nn.Module], share: float) -> None:
        super().__init__()
        self.heads, self.shares = nn.ModuleList(heads), (share, 1 - share)

    def forward(self, features: Tensor) -> Tensor:
        parts = zip(self.shares, self.heads, features.chunk(2, dim=1), strict=True)
        return torch.stack([c * head(part).softmax(1) for c, head, part in parts]).sum(0).log()


@component("task", losses="classification", targets="class")
class Merge(Classify):
    """
    Raises:
        BadRequest: the inputs are of another architecture; an ensemble has no coefficient, or there
            is no validation split to choose one on.
    """

    def __init__(
        self,
        bench: Bench,
        *,
        method: Literal["average", "fisher", "ensemble"] = "fisher",
        coefficient: Fraction | None = 0.5,
        floor: Positive = 1e-6,
    ) -> None:
        super().__init__(bench)
        if coefficient is None and method == "ensemble":
            raise BadRequest("task.coefficient=null: an ensemble needs one; allowed: 0 to 1")
        self.method, self.coefficient, self.floor = method, coefficient, floor

    def execute(self) -> Outcome:
        outcome = self._merge([self._member(name) for name in ("a", "b")])
        save_weights(self.bench.folder / WEIGHTS, self.state_dict())
        return outcome

    def check(self) -> None:
        """Merge the untrained network with itself."""
        state = {name: tensor.clone() for name, tensor in self.state_dict().items()}
        self._merge([Member(state, self.bench.dataset)] * 2)

    def _member(self, name: str) -> Member:
        folder = self.bench.input_path(name)
        state = load_weights(folder / WEIGHTS)
        own = self.state_dict()
        if {k: v.shape for k, v in state.items()} != {k: v.shape for k, v in own.items()}:
            raise BadRequest(
                f"inputs.{name}: another architecture than this run's; model=…, head=…"
            )
        return Member(state, _data_of(folder, self.bench))

    def _merge(self, members: list[Member]) -> Outcome:
        bench = self.bench
        self.to(bench.device)
        chosen = self.coefficient
        if self.method == "ensemble":
            assert chosen is not None
            self._keep_both(members, chosen)
        else:
            fishers = [self._fisher(member) for member in members]
            if chosen is None:
                scored = [(self._accuracy(members, fishers, c), -abs(c - 0.5), c) for c in GRID]
                chosen = max(scored)[2]
            self._become(members, fishers, chosen)
        metrics = evaluate(self, bench, "test")
        data = {"name": bench.dataset.name, "digest": bench.dataset.digest}
        return Outcome(metrics={**metrics, "merge": {"coefficient": chosen}}, data=data)

    def _fisher(self, member: Member) -> dict[str, Tensor]:
        """The weight of each parameter: 1 for plain averaging."""
        if self.method == "average":
            return {name: torch.ones_like(tensor) for name, tensor in self.named_parameters()}
        train = member.data.train
        assert isinstance(train, Split)
        self.load_state_dict(dict(member.state))
        self.eval()
        inputs = self.augment.plain(train.inputs.to(self.bench.device))
        found = diagonal_fisher(self, dict(self.named_parameters()), inputs)
        return {name: fisher.clamp(min=self.floor) for name, fisher in found.items()}

    def _accuracy(
        self, members: list[Member], fishers: list[dict[str, Tensor]], share: float
    ) -> float:
        held = self.bench.dataset.validation
        if not isinstance(held, Split):
            raise BadRequest(
                "task.coefficient=null: needs a validation split; dataset.validation=…"
            )
        self._become(members, fishers, share)
        self.eval()
        with torch.no_grad():
            logits: Tensor = self(self.augment.plain(held.inputs.to(self.bench.device)))
        return float((logits.argmax(1).cpu() == held.targets).double().mean())

    def _become(
        self, members: list[Member], fishers: list[dict[str, Tensor]], share: float
    ) -> None:
        """Take the merged weights; buffers, which have no Fisher information, are averaged."""
        merged = {}
        for name, own in self.state_dict().items():
            a, b = (member.state[name].to(own.device) for member in members)
            if not own.is_floating_point():
                merged[name] = a
                continue
            one = torch.ones_like(own)
            w_a = share * fishers[0].get(name, one)
            w_b = (1 - share) * fishers[1].get(name, one)
            merged[name] = (w_a * a + w_b * b) / (w_a + w_b)
        self.load_state_dict(merged)

    def _keep_both(self, members: list[Member], share: float) -> None:
        encoders, heads = [], []
        for member in members:
            self.load_state_dict(dict(member.state))
            assert self.classifier is not None
            encoders.append(copy.deepcopy(self.encoder))
            heads.append(copy.deepcopy(self.classifier))
        self.encoder, self.classifier = SideBySide(encoders), Mixed(heads, share)


def _data_of(folder: Path, bench: Bench) -> Dataset:
    """The data that a finished run was trained on."""
    config = read_config(folder)
    if bench.values["data"]["synthetic"]:
        return bench.dataset
    root = bench.values["data"]["root"]
    source = registry.make("dataset", config["dataset"], Path(root) if root else None)
    data: Dataset = source.load()
    return data
