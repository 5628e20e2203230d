"""Planetoid: papers of Cora or Citeseer in a graph of citations, to be told apart by subject.

Yang, Cohen and Salakhutdinov, ICML 2016, arXiv:1603.08861, with the published split: 20 papers a
class to train on, 500 for validation, 1000 to test. A sample is a node, known by its number; the
graph is in `Dataset.extra`. Features are the words of a paper, divided by their sum, as
torch_geometric's NormalizeFeatures has them. How to get it: ppr/data/graph/_planetoid.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ppr.data.graph import _planetoid
from ppr.data.graph._graph import assemble_graph, random_graph
from ppr.data.source import Source
from ppr.errors import RunFailed
from ppr.registry import component

if TYPE_CHECKING:
    from ppr.data.dataset import Dataset


@component("dataset", inputs="node", targets="class", has="graph")
class Planetoid(Source):
    card = _planetoid.card("cora")

    def __init__(
        self, root: Path | None = None, *, graph: Literal["cora", "citeseer"] = "cora"
    ) -> None:
        super().__init__(root, validation=_planetoid.VALIDATION)
        self.graph = graph
        self.card = _planetoid.card(graph)

    def load(self) -> Dataset:
        import numpy as np
        import torch

        from ppr.graphs.graph import Graph

        found = _planetoid.read_citations(self.graph, self.root)
        parts = {
            part: torch.from_numpy(np.flatnonzero(found.parts == part))
            for part in ("train", "validation", "test")
        }
        counts = [len(part) for part in parts.values()]
        published = _planetoid.GRAPHS[self.graph].train, _planetoid.VALIDATION, _planetoid.TEST
        if counts != list(published):
            raise RunFailed(f"{self.card.name}/{self.graph}: splits of {counts} nodes")
        words = torch.from_numpy(found.words)
        words = words / words.sum(1, keepdim=True).clamp(min=1)
        graph = Graph(words, torch.from_numpy(found.edges))
        return assemble_graph(self.card, graph, torch.from_numpy(found.labels), parts)

    def synthetic(self, n: int, seed: int = 0) -> Dataset:
        words = _planetoid.GRAPHS[self.graph].words
        return random_graph(self.card, words, n, validation=True, seed=seed)
