"""Losses of 529 language models trained on six corpora, and of six of 3.3B parameters.

Brandfonbrener et al., "Loss-to-Loss Prediction", arXiv:2411.12925: `sweep` has a run a row (its
corpus `data`, `params`, `tokens`, `flops`, its losses on the corpus it was trained on, on others
and on downstream tasks), `extrapolation` the six large runs alike, `fits` the authors' fitted laws.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ppr.data import originals
from ppr.data.card import Original
from ppr.data.published.tables import PublishedTables, published
from ppr.registry import component

REPOSITORY = "KempnerInstitute/loss-to-loss-notebooks"
COMMIT = "457ce81a019019bc3981937c20a70c52f5fad436"
GITHUB = f"https://raw.githubusercontent.com/{REPOSITORY}/{COMMIT}/data"
FILES = {
    "sweep": ("sweep", "1a9fd71e3bd6ecf35bdd32b660a9b42dbb3b8635630b1a358633fa18d61fb13c"),
    "extrapolation": (
        "extrapolation",
        "2c7cecc44aa016464e2d4e42b339798eb899ec9d0d313f618dae8bd3ce0757b3",
    ),
    "fits": ("opt_params_data", "76387309dbff8f4c1b03a12bdc6372ef094e8b580cbfe7a5040ec8ce436457fb"),
}
"""The published file of each table, and its SHA-256."""


def unpack(folder: Path, files: Mapping[str, Path]) -> None:
    for table, (file, _) in FILES.items():
        originals.gather({files[f"{file}.csv"]: {}}, folder / f"{table}.parquet")


@component("dataset", inputs="rows", has="tables")
class LossToLoss(PublishedTables):
    card = published(
        "loss_to_loss",
        source=f"https://github.com/{REPOSITORY}/tree/{COMMIT}",
        licence="not stated",
        tables={
            "sweep": (529, "0f482b85397f5541ce02994f0c11c9d66f380dcaffb4586a41bb69b5aa618850"),
            "extrapolation": (
                6,
                "88dfb44fd6862218361730e2be7f933c0bdbdc478fe331f354d20cfbcbdd8a3c",
            ),
            "fits": (276, "d556c96df9886447b15dd1296ff885af55418063841c9423bc0c825d32e28224"),
        },
        originals={
            f"{file}.csv": Original(f"{GITHUB}/{file}.csv", sha256)
            for file, sha256 in FILES.values()
        },
        unpack=unpack,
    )
