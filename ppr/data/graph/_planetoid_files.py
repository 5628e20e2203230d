"""The published files of Planetoid, unpacked to what ppr/data/graph/_planetoid.py reads.

Rows of `x` and `y` are the training nodes, of `allx` and `ally` these and all others but the test
nodes, of `tx` and `ty` the test nodes in the order of `test.index`; `graph` lists whom a node cites
or is cited by. Citeseer's numbers have gaps: nodes without a word or a label.
"""

from __future__ import annotations

import pickle
from collections import defaultdict
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from ppr.errors import RunFailed

COMMIT = "af6abf468a772cc055bec88c52e4d6f51b7c37e3"
FILES = {
    "ind.citeseer.allx": "2ac30345d95c9ec933a817ee0bdd6a5f077f8c184a20e696910192d534414668",
    "ind.citeseer.ally": "f704b2d986dde6c2669934de1f3ae5696a6cf9455c0f6b2646a2d135ea0a1c95",
    "ind.citeseer.graph": "d79a4ef9d3e7169aee8946145f6b7306e35bc79bffad26346cfb94e10e9912a7",
    "ind.citeseer.test.index": "2af990671580b6b2df5d158d1038f8292e30c9cd821b5453f399659b25b723d4",
    "ind.citeseer.tx": "539a8906a2da97628d212f2fdd668c109a8b3f0d36574b59e5d3fd5b5303da21",
    "ind.citeseer.ty": "55e5bd1ba1e733a04598753ad1a8d57957f4b8f89e74519f41f4f4938767e4ce",
    "ind.citeseer.x": "d20de19150741e555de0ed037195630fc194114ebc7fd72ced62810148aa22f6",
    "ind.citeseer.y": "8ba87e515d8e3ee3cf52f6d2c5b86aa73f11ecad825a808455209ec26cd54924",
    "ind.cora.allx": "9419ba2f26f5c35243db64aba110e0f35a04851609e0dc5433450676ca6b8543",
    "ind.cora.ally": "2b998f5cc7fedc86e7f97ca2498f47a1ffc1462c29e2d578b23bf3f62b6e7d71",
    "ind.cora.graph": "58f13302f39dde8852dad6fe6d15b89b077b6d7f837626bce671ef80344b383d",
    "ind.cora.test.index": "297ce89af2b51a6a194181c7dbe1796c6a1cf9cd9349a88383b1b1e227867875",
    "ind.cora.tx": "b9afbaa4a400df991f6f02ef677e1e44da55ffc04801fd02f9e673987829226a",
    "ind.cora.ty": "41f5ac76596a1699cc33f53084a2419e92961c42bb75f36fc38e616d348532ad",
    "ind.cora.x": "23cfa55d91c6f624233f5eb7b6e3f141f1bd2b2ae39608a63cf5d084bb27baab",
    "ind.cora.y": "94465c14eb53e04ca262198dcbb2521ee8af60fb3f3d546cd6ca24a511b0e7d1",
}
GRAPHS = ("cora", "citeseer")
VALIDATION = 500


class _Arrays(pickle.Unpickler):
    """Makes NumPy arrays, SciPy's sparse matrices and dictionaries; refuses any other name."""

    def find_class(self, module: str, name: str) -> Any:
        import numpy as np
        from scipy.sparse import csr_matrix

        made = {
            "_reconstruct": np.ndarray.__reduce__(np.zeros(0))[0],
            "ndarray": np.ndarray,
            "dtype": np.dtype,
            "csr_matrix": csr_matrix,
            "defaultdict": defaultdict,
            "list": list,
            "object": object,
            "_reconstructor": object.__reduce__(object())[0],
        }
        if name not in made or module.split(".", maxsplit=1)[0] not in _MODULES:
            raise pickle.UnpicklingError(f"{module}.{name} is neither an array nor a dictionary")
        return made[name]


_MODULES = {"numpy", "scipy", "collections", "__builtin__", "copy_reg"}


def unpack(folder: Path, files: Mapping[str, Path]) -> None:
    """
    Raises:
        RunFailed: a file holds something else than arrays.
    """
    for graph in GRAPHS:
        parts = {
            kind: _load(files[f"ind.{graph}.{kind}"])
            for kind in ("y", "tx", "ty", "allx", "ally", "graph")
        }
        lines = files[f"ind.{graph}.test.index"].read_text(encoding="utf-8").split()
        _write(folder / graph, parts, [int(line) for line in lines])


def _load(file: Path) -> Any:
    with file.open("rb") as stream:
        try:
            return _Arrays(stream, encoding="latin1").load()
        except pickle.UnpicklingError as error:
            raise RunFailed(f"{file}: {error}") from None


def _write(folder: Path, parts: Mapping[str, Any], test: list[int]) -> None:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq
    from scipy.sparse import lil_matrix

    known = parts["allx"].shape[0]
    nodes = max(test) + 1
    words = lil_matrix((nodes, parts["allx"].shape[1]), dtype=np.float32)
    one_hot = np.zeros((nodes, parts["ally"].shape[1]))
    words[:known], one_hot[:known] = parts["allx"], parts["ally"]
    words[test], one_hot[test] = parts["tx"], parts["ty"]
    rows = words.tocsr()
    rows.sort_indices()
    training = len(parts["y"])
    split = np.full(nodes, "none", dtype=object)
    split[:training], split[test] = "train", "test"
    split[training : training + VALIDATION] = "validation"
    pairs = {(a, b) for a, others in parts["graph"].items() for b in others if a != b}
    edges = np.array(sorted(pairs | {(b, a) for a, b in pairs}))
    folder.mkdir(parents=True)
    table = {
        "node": np.arange(nodes),
        "label": np.where(one_hot.any(1), one_hot.argmax(1), -1),
        "split": split.tolist(),
        "feature_index": [rows.indices[a:b] for a, b in _spans(rows.indptr)],
        "feature_value": [rows.data[a:b] for a, b in _spans(rows.indptr)],
    }
    pq.write_table(pa.table(table), folder / "nodes.parquet")
    ends = {"source": edges[:, 0], "target": edges[:, 1]}
    pq.write_table(pa.table(ends), folder / "edges.parquet")


def _spans(bounds: Any) -> list[tuple[int, int]]:
    return list(pairwise(bounds))
