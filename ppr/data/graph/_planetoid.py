"""The citation graphs of Planetoid, read once for every data set made of them.

Yang, Cohen and Salakhutdinov, "Revisiting Semi-Supervised Learning with Graph Embeddings", ICML
2016, arXiv:1603.08861: papers of Cora and Citeseer, the words in each, who cites whom, and the
published split. Some papers are in no part of it; the 15 of Citeseer without a word or a citation
have the label -1.

`ppr data fetch planetoid` gets the files `ind.cora.*` and `ind.citeseer.*` of
github.com/kimiyoung/planetoid (MIT) and writes them as Parquet files: `cora/nodes.parquet` with the
columns `node` (0 to N - 1), `label`, `split` (train, validation, test or none), `feature_index` and
`feature_value` (lists), and `cora/edges.parquet` with `source` and `target`, each citation both
ways, without loops or doubles. They are pickles: ppr/data/graph/_planetoid_files.py reads them
with an unpickler that makes arrays and nothing else.

Raises RunFailed for files that are not these graphs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ppr.data import hub
from ppr.data.card import Card, Original
from ppr.data.graph._planetoid_files import COMMIT, FILES, unpack
from ppr.data.tables import read_parquet
from ppr.errors import RunFailed

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np


@dataclass(frozen=True)
class Published:
    """What is known of a graph without its data: nodes, words, edges (both ways) and classes."""

    nodes: int
    words: int
    edges: int
    train: int
    classes: tuple[str, ...]


GRAPHS = {
    "cora": Published(2708, 1433, 10_556, 140, tuple("0123456")),
    "citeseer": Published(3327, 3703, 9104, 120, tuple("012345")),
}
VALIDATION, TEST = 500, 1000
GITHUB = f"https://raw.githubusercontent.com/kimiyoung/planetoid/{COMMIT}/data"


@dataclass(frozen=True)
class Citations:
    """`words` [N, F] float32, `labels` [N], `parts` [N] (names of splits), `edges` [2, E]."""

    words: np.ndarray
    labels: np.ndarray
    parts: np.ndarray
    edges: np.ndarray


def card(graph: str) -> Card:
    known = GRAPHS[graph]
    return Card(
        name="planetoid",
        shape=(1,),
        classes=known.classes,
        rows={"train": known.train, "test": TEST},
        source="https://github.com/kimiyoung/planetoid",
        licence="MIT",
        files={part: f"{graph}/{part}.parquet" for part in ("nodes", "edges")},
        originals={name: Original(f"{GITHUB}/{name}", sha) for name, sha in FILES.items()},
        unpack=unpack,
    )


def read_citations(graph: str, root: Path | None) -> Citations:
    """One of GRAPHS, its nodes in the order of their numbers."""
    import numpy as np

    files = hub.locate(card(graph), root).files
    known = GRAPHS[graph]
    columns = ["node", "label", "split", "feature_index", "feature_value"]
    nodes = read_parquet(files["nodes"][0], columns).sort_by("node").combine_chunks()
    pairs = read_parquet(files["edges"][0], ["source", "target"])
    edges = np.stack([pairs["source"].to_numpy(), pairs["target"].to_numpy()])
    if (nodes.num_rows, edges.shape[1]) != (known.nodes, known.edges):
        what = f"{nodes.num_rows} nodes and {edges.shape[1]} edges"
        where = files["nodes"][0].parent
        raise RunFailed(f"{where}: {what} where {known.nodes} and {known.edges} are published")
    indices = [np.asarray(row, dtype=np.int64) for row in nodes["feature_index"].to_pylist()]
    words = np.zeros((known.nodes, known.words), dtype=np.float32)
    rows = np.repeat(np.arange(known.nodes), [len(row) for row in indices])
    values = [value for row in nodes["feature_value"].to_pylist() for value in row]
    words[rows, np.concatenate(indices)] = values
    parts = np.array(nodes["split"].to_pylist())
    return Citations(words, np.array(nodes["label"].to_numpy()), parts, edges)
