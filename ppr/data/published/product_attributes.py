"""Attribute values in product titles, annotated and as GPT-4 and GPT-3.5 extracted them.

Brinkmann et al., "Product Attribute Value Extraction using Large Language Models",
arXiv:2310.12537, on samples of OA-Mine and AE-110K: `outputs` has every answer of ten stored runs
(`run`, `row`, `input` the title, `category`, `target_scores` the true values by attribute and
`pred` the answer, both as JSON), `runs` a run a row with the scores its file states (%) and
`known_attributes`, by category, as JSON; `<set>/test`, `<set>/train` and `<set>/train_0.2` the
annotated offers.

The files carry the canary of BIG-bench: keep them out of training corpora.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ppr.data.card import Original
from ppr.data.published.tables import PublishedTables, published
from ppr.registry import component

REPOSITORY = "wbsg-uni-mannheim/ExtractGPT"
COMMIT = "3f96461b28bd3f0c8ac7c479d595969a9b77d0ab"
GITHUB = f"https://raw.githubusercontent.com/{REPOSITORY}/{COMMIT}"
LIST = "list-{}-10-shots_2023-10-08_12-31-04"
SCHEMA = "schema_{}_gpt_4_0613_{}10_SemanticSimilarity_{}___json_schema_{}"
SHOTS, SHUFFLED = "shots_", "ensembling_shuffle_"
RUNS = {
    LIST.format("ae-110k"): "363e58e97f5a9b7bf4aa2a86c004051e33104eda79dfc4926264ec2bb7c3c478",
    LIST.format("oa-mine"): "460734e6e95ee80f900362a95fd410e32f3135aa65405b1db9aff5ac29844ed2",
    SCHEMA.format("ae_110k", "", "0_2", SHUFFLED + "2024-01-10_17-14-40"): (
        "2c2b7224bdc2cbc28d6a7d1f302a9d7564f85ecbafd47a1c722cc2d4f2a317f1"
    ),
    SCHEMA.format("ae_110k", "", "1_0", SHUFFLED + "2024-01-17_11-34-21"): (
        "0e72b1ae0d7f87ab250045967914bfb405167c87cc80c81dc01c9b239597f0b1"
    ),
    SCHEMA.format("ae_110k", SHOTS, "0_2", "2023-10-10_15-04-06"): (
        "a846501602b746ee0c8d689a8505dc1a70910eb07bc0d9e1b02599eba6d5f990"
    ),
    SCHEMA.format("ae_110k", SHOTS, "1_0", "2023-10-10_16-58-05"): (
        "ea356ce161fb8201f16bdad2903e4627166b2c4cfb15a8015a0f9bf97b6ca7bc"
    ),
    SCHEMA.format("oa_mine", "", "0_2", SHUFFLED + "2024-01-10_17-14-40"): (
        "c821b403661715ee512738c2099066e4658d239ff461a75046a4e3aa20c5719f"
    ),
    SCHEMA.format("oa_mine", "", "1_0", SHUFFLED + "2024-01-17_11-34-21"): (
        "fbd7703ec7b7aaad1a015efb9f4edd9ba6fd3999d2d1361284c5dfe1ecfbda3b"
    ),
    SCHEMA.format("oa_mine", SHOTS, "0_2", "2023-10-10_15-04-06"): (
        "55f4b9c83cd2579de642919554deb2f1adc921a53a874c695b7db229b126b07f"
    ),
    SCHEMA.format("oa_mine", SHOTS, "1_0", "2023-10-10_16-58-05"): (
        "86e8b1608b7a41d76c252da4748cdecb0a15a8c627c9b01069ca7e766a4a97e7"
    ),
}
"""Each run's file, and its SHA-256."""
OFFERS = {
    "ae-110k/test": "2172561fc99390619b5b7455c3d1aa866dd648a2c01eab4ae53ae0c054e8eb2a",
    "ae-110k/train": "17b3cf2e9bd31a21426b8889a55b5c76173c14a92480f970566d657ca53cce95",
    "ae-110k/train_0.2": "3bc0ced5e151c7bc0de13268d7fa528ab53c02ccda03a5b021f8237160a6dacc",
    "oa-mine/test": "36fa25fae436de9b36e41203aca1162e0b062d8da489045e60459877deb74f29",
    "oa-mine/train": "df04c9ac98e7a15776fa37aff1c486cba4a299d510e0d597d88a3e3df862279e",
    "oa-mine/train_0.2": "5bf8e4d7fb510296e5e380d05e71075df87bdfaf47464696a855cde92b99d951",
}
"""Each file of offers, and its SHA-256."""


def unpack(folder: Path, files: Mapping[str, Path]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    def written(value: Any) -> str:
        return json.dumps(value, ensure_ascii=False)

    def offer(found: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "input": found["input"],
            "category": found["category"],
            "target_scores": written(found["target_scores"]),
        }

    def write(table: str, rows: list[dict[str, Any]]) -> None:
        (folder / table).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows), folder / f"{table}.parquet")

    for name in OFFERS:
        lines = files[f"{name.replace('/', '-')}.jsonl"].read_text("utf-8").splitlines()
        write(name, [offer(json.loads(line)) for line in lines])
    runs, outputs = [], []
    for run in RUNS:
        found = json.loads(gzip.decompress(files[f"{run}.gz"].read_bytes()))
        runs.append(
            {
                "run": run,
                "dataset": found["dataset_name"],
                "model": found["model"],
                "timestamp": found["timestamp"],
                "shots": found.get("shots"),
                "example_selector": found.get("example_selector"),
                "train_percentage": found["train_percentage"],
                "task_prefix": found["task_prefix"],
                "task_name": found["task_name"],
                "total_tokens": found["total_tokens"],
                "known_attributes": written(found["known_attributes"]),
                **found["results"]["micro"],
            }
        )
        for row, example in enumerate(found["examples"]):
            answer = {"pred": example["pred"], "post_pred": example["post_pred"]}
            outputs.append({"run": run, "row": row, **offer(example), **answer})
    write("runs", runs)
    write("outputs", outputs)


@component("dataset", inputs="rows", has="tables")
class ProductAttributes(PublishedTables):
    card = published(
        "product_attributes",
        source=f"https://github.com/{REPOSITORY}/tree/{COMMIT}",
        licence="Apache-2.0",
        tables={
            "outputs": (5075, "62d3d775ba2ac85f301479621fbebe35f7cdbb6ef3d5bfda587fb8bad4b89a58"),
            "runs": (10, "b7f7b5f8108e7ccec93ab03472184cbbe2f4b1e5f2f41bab26a2274b1f11b7a5"),
            "oa-mine/test": (
                491,
                "5703628f5a1631d01b5a77a0f081ab5b2b773cc123a138963d8c85ef577cf317",
            ),
            "ae-110k/test": (
                524,
                "3379a83bf7a6b32867a1f50edef511b1e28dbd4b86dc5d1b9bdb745c1691036a",
            ),
            "oa-mine/train": (
                1452,
                "23d947017da7bb52aab0c1e855bffd2d9a0ce8b06dd0f1abcb0736f79887bec2",
            ),
            "ae-110k/train": (
                1568,
                "fe81d09a0c591a05738e9b1f47c1fca10e8f61cc32706fcbdecc21cd65fd298e",
            ),
            "oa-mine/train_0.2": (
                286,
                "b0b3f5aeb3631137afb532a3a04dd381de586e6b63536424a0598062c4f2922f",
            ),
            "ae-110k/train_0.2": (
                311,
                "9ec2d72cba642de5840f96c2dffe82685c2e9098fc82333c7f23ad84a4814d88",
            ),
        },
        originals={
            f"{name.replace('/', '-')}.jsonl": Original(
                f"{GITHUB}/data/processed_datasets/{name}.jsonl", sha256
            )
            for name, sha256 in OFFERS.items()
        }
        | {
            f"{run}.gz": Original(
                f"{GITHUB}/prompts/past_runs/"
                f"{'gpt_3.5-turbo-0613' if run.startswith('list') else 'gpt_4-0613'}/{run}.gz",
                sha256,
            )
            for run, sha256 in RUNS.items()
        },
        unpack=unpack,
    )
