"""Node compactness: how the margin of a graph's nodes fares when a view drops edges in its budget.

Yu et al., "Provable Training for Graph Contrastive Learning", NeurIPS 2023, arXiv:2309.13944. One
view is drawn and fixed, and with it each node's direction; then `views` others, in each of which a
node loses at most its budget of edges (ppr/graphs/graph.py), for the bounds are about those alone.
Over all nodes of the graph, labelled or not, computed in float64 on the CPU.

Metrics: `cosine`, the mean margin of normalised embeddings; `negative`, the share of nodes whose
margin is below 0 in some drawn view; `score`, the mean of POT's published score; `overstated`, the
share of (node, view) pairs where it is above the margin that it is called a lower bound of;
`bound`, the mean of a valid lower bound over all views in the budget; `holds`, the share of pairs
where that is at most the margin (1, or it is wrong); `certified`, the share of nodes where it is
above 0. What each is: ppr/graphs/bounds.py.

Raises BadRequest for a task that encodes no graph, or a network that has not two layers.
"""

from __future__ import annotations

from copy import deepcopy
from typing import ClassVar, Literal

import torch

from ppr.engine.subject import Subject
from ppr.errors import BadRequest
from ppr.fields import Count, Fraction
from ppr.graphs.bounds import directions, entry_bounds, margin_bound, published_score
from ppr.graphs.graph import drop_within_budget
from ppr.models.node_encoder import NodeEncoder
from ppr.registry import component

ROUNDING = 1e-9


@component("evaluator")
class Compactness:
    needs: ClassVar[Literal["features", "logits"]] = "features"

    def __init__(
        self,
        *,
        drop_edges: list[Fraction] = [0.4, 0.3],  # noqa: B006  (fields have literal defaults)
        views: Count = 20,
    ) -> None:
        if len(drop_edges) != 2:
            raise BadRequest(
                f"evaluator.compactness.drop_edges={drop_edges}: must be two rates, of the views "
                "and of the fixed one"
            )
        self.drop_edges, self.views = drop_edges, views

    def protocol(self) -> dict[str, object]:
        return {"nodes": "all", "drop_edges": self.drop_edges, "views": self.views}

    @torch.no_grad()
    def __call__(self, subject: Subject) -> dict[str, float]:
        if not isinstance(subject.encoder, NodeEncoder):
            raise BadRequest("evaluator.compactness: needs a task that encodes a graph's nodes")
        encoder = deepcopy(subject.encoder).to("cpu", torch.float64)
        layers, clean = encoder.two_layers(), encoder.adjacency()
        random = subject.generator("compactness", "cpu")
        everything = torch.ones(encoder.width)

        def drawn(rate: float) -> torch.Tensor:
            return drop_within_budget(encoder.pattern, rate, encoder.nodes, random)

        rate, other_rate = self.drop_edges
        wanted = directions(encoder.view(drawn(other_rate), everything))
        entries = entry_bounds(encoder.pattern, rate, encoder.nodes, clean)
        margins, cosines, scores = [], [], []
        for _ in range(self.views):
            kept = drawn(rate)
            z = encoder.view(kept, everything)
            margins.append((wanted * z).sum(1))
            cosines.append(margins[-1] / z.norm(dim=1).clamp(min=1e-12))
            view = encoder.adjacency(kept)
            scores.append(published_score(layers, entries, clean, view, wanted))
        margin, score = torch.stack(margins), torch.stack(scores)
        bound = margin_bound(layers, entries, wanted)
        found = {
            "cosine": torch.stack(cosines),
            "negative": (margin < 0).any(0),
            "score": score,
            "overstated": score > margin + ROUNDING,
            "bound": bound,
            "holds": bound <= margin + ROUNDING,
            "certified": bound > 0,
        }
        return {name: value.double().mean().item() for name, value in found.items()}
