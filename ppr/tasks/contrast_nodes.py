"""Contrastive learning of a graph's nodes: two views drop edges and features, nodes are matched.

Zhu et al., "Deep Graph Contrastive Representation Learning" (GRACE), 2020, arXiv:2006.04131. View v
drops every edge, each way on its own, with probability `drop_edges`[v], and hides each feature of
all nodes with `drop_features`[v]. Encoder and head embed both views, and a contrastive loss takes
the embeddings [N, 2, D]: with `loss=ntxent`, whose denominator holds the other nodes of both views,
it is GRACE's. Read in GRACE/model.py and GRACE/train.py of VoidHaruhi/POT-GCL at 19a3a5f.

A step takes the whole graph, whatever the batch: with as large an `engine.batch_size` as there are
training nodes, an epoch is a step. `nodes` contrasts so many random nodes a step, for graphs with
too many pairs. Labels are for the probes alone. Evaluators see the encoder's features in the whole
graph.

Raises BadRequest for data without a graph, models that do not take one, and settings that share out
a batch.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from ppr.engine import distributed
from ppr.engine.batches import Batch
from ppr.engine.bench import Bench
from ppr.engine.training import TrainingTask
from ppr.errors import BadRequest
from ppr.fields import Count, Fraction
from ppr.graphs.graph import Graph, drop_edges
from ppr.models.gcn import GCN
from ppr.models.node_encoder import NodeEncoder
from ppr.registry import component


@component(
    "task", losses="contrastive", targets=(), needs="graph", shows="graph", features="sample"
)
class ContrastNodes(TrainingTask):
    batch_wide: ClassVar[bool] = True
    reports_untrained: ClassVar[bool] = True
    views = 2
    encoder: NodeEncoder

    def __init__(
        self,
        bench: Bench,
        *,
        drop_edges: list[Fraction] = [0.4, 0.3],  # noqa: B006  (fields have literal defaults)
        drop_features: list[Fraction] = [0.0, 0.0],  # noqa: B006
        nodes: Count | None = None,
    ) -> None:
        super().__init__(bench)
        data, settings = bench.dataset, bench.settings
        graph = data.extra.get("graph")
        if not isinstance(graph, Graph):
            raise BadRequest(f"dataset.name={data.name}: this task needs a graph, as cora is one")
        for name, rates in (("drop_edges", drop_edges), ("drop_features", drop_features)):
            if len(rates) != self.views:
                raise BadRequest(f"task.{name}={rates}: must be two rates, one for each view")
        if settings.micro_batch or settings.seeds_per_process > 1 or distributed.size() > 1:
            raise BadRequest(
                "engine.micro_batch, engine.seeds_per_process, engine.devices: not with this task, "
                "a step of which takes the whole graph"
            )
        self.drop_edges, self.drop_features = drop_edges, drop_features
        self.nodes = min(nodes or len(graph), len(graph))
        self.augment = bench.build("augment", data.shape, data.mean, data.std)
        model = bench.build("model", (graph.features.shape[1],))
        if not isinstance(model, GCN):
            raise BadRequest("model: this task needs one that takes a graph; allowed: gcn")
        self.encoder = NodeEncoder(model, graph)
        self.head = bench.build("head", model.features, len(data.classes))
        self.criterion = bench.build("loss")

    def prepare(self, batch: Batch, random: torch.Generator) -> Tensor:
        """Which entries of the pattern and which features each view shows, [2, P + F]."""
        pattern = self.encoder.pattern
        shown = []
        for edges, features in zip(self.drop_edges, self.drop_features, strict=True):
            chance = torch.rand(self.encoder.width, generator=random, device=pattern.device)
            shown += [drop_edges(pattern, edges, random), (chance >= features).float()]
        return torch.cat(shown).view(self.views, -1)

    def forward(self, inputs: Tensor) -> Tensor:
        embeddings: Tensor = self.head(torch.cat(self.encoded(inputs)))
        return embeddings

    def encoded(self, inputs: Tensor) -> list[Tensor]:
        """Features [N, F] of each view."""
        width = self.encoder.width
        return [self.encoder.view(view[:-width], view[-width:]) for view in inputs]

    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        embeddings = outputs.view(self.views, -1, outputs.shape[-1]).transpose(0, 1)
        if self.nodes < len(embeddings):
            order = torch.randperm(len(embeddings), device=outputs.device)
            embeddings = embeddings[order[: self.nodes]]
        return {"loss": self.criterion(embeddings)}
