"""Block model: a random graph whose nodes are more often tied within their block than across.

A stochastic block model (Holland, Laskey and Leinhardt, Social Networks 1983): `nodes` in four
blocks of one size, an edge within a block with probability `within` and between blocks with
`across`. Features are a block's mean, `signal` times a standard normal vector, with noise of
deviation `spread` at each node. The block is the class; training, validation and test nodes are
drawn by class, all else is drawn once, and all follows from `split_seed`.

Raises BadRequest if the nodes are too few for their parts.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ppr.data.card import Card
from ppr.data.graph._graph import assemble_graph, random_graph
from ppr.data.hub import Place
from ppr.data.source import Source
from ppr.data.vision.digits import Digits
from ppr.errors import BadRequest
from ppr.fields import Count, Fraction, NonNegative, Whole
from ppr.registry import component

if TYPE_CHECKING:
    from ppr.data.dataset import Dataset

BLOCKS = 4


@component("dataset", inputs="node", targets="class", has="graph")
class BlockModel(Source):
    def __init__(
        self,
        root: Path | None = None,
        *,
        nodes: Count = 400,
        within: Fraction = 0.045,
        across: Fraction = 0.012,
        width: Count = 32,
        signal: NonNegative = 0.7,
        spread: NonNegative = 2.5,
        train: Count = 40,
        validation: Whole = 120,
        split_seed: Whole = 0,
    ) -> None:
        super().__init__(root, validation=validation, split_seed=split_seed)
        test = nodes - train - validation
        if test < BLOCKS or train < BLOCKS:
            what = f"too few for {train} to train on, {validation} for validation and others"
            raise BadRequest(f"dataset.nodes={nodes}: {what} to test")
        self.nodes, self.within, self.across = nodes, within, across
        self.width, self.signal, self.spread = width, signal, spread
        self.card = Card(
            name="block_model",
            shape=(1,),
            classes=tuple(map(str, range(BLOCKS))),
            rows={"train": train, "test": test},
            source="drawn here",
            licence="none needed",
            balanced=True,
        )

    def find(self) -> Place:
        return Digits().find()

    def load(self) -> Dataset:
        import numpy as np
        import torch

        from ppr.data.splits import hold_out
        from ppr.graphs.graph import Graph, undirected

        random = np.random.RandomState(
            np.random.MT19937(np.random.SeedSequence((self.split_seed, self.nodes)))
        )
        blocks = np.arange(self.nodes) * BLOCKS // self.nodes
        likely = np.where(blocks[:, None] == blocks, self.within, self.across)
        tied = np.triu(random.rand(self.nodes, self.nodes) < likely, k=1)
        means = self.signal * random.randn(BLOCKS, self.width)
        features = means[blocks] + self.spread * random.randn(self.nodes, self.width)
        ends = torch.from_numpy(np.stack(tied.nonzero()))
        graph = Graph(torch.from_numpy(features).float(), undirected(ends, self.nodes))

        rest, train = hold_out(blocks, self.card.rows["train"], self.split_seed)
        kept, held = hold_out(blocks[rest], self.validation, (self.split_seed, 1))
        parts = {"train": train, "validation": rest[held], "test": rest[kept]}
        if not self.validation:
            del parts["validation"]
        made = {name: torch.from_numpy(rows) for name, rows in parts.items()}
        return assemble_graph(self.card, graph, torch.from_numpy(blocks), made)

    def synthetic(self, n: int, seed: int = 0) -> Dataset:
        held = self.validation > 0
        return random_graph(self.card, self.width, n, validation=held, seed=seed)
