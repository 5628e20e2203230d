"""Loss curves of 25M, 100M and 400M language models, each under nine learning-rate schedules.

Luo et al., "A Multi-Power Law for Loss Curve Prediction Across Learning Rate Schedules",
arXiv:2503.12811: `curves` (size, schedule, step, lr, loss) has their 27 CSV files, named by
`schedule`; `optimised_schedules` (size, step, lr) the rates after the warm-up of 2160 steps that
they found to end at the lowest predicted loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ppr.data import originals
from ppr.data.card import Original
from ppr.data.published.tables import PublishedTables, published
from ppr.registry import component

COMMIT = "8da9f1902602f3391b971a811e3cc51604541769"
GITHUB = f"https://raw.githubusercontent.com/thu-yao-01-luo/MultiPowerLaw/{COMMIT}"
CURVES = {
    "25/constant_24000": "5a7c0b440751e258e7199eeefe9f0ae58520a2f2d64c5f81524d8d375f75f0ce",
    "25/constant_72000": "99ee51a9be7b7fb71511d0af28edd6bc6221350d2ad26a66c615467cb5c83247",
    "25/cosine_24000": "554e35f9efbe28a614c9ae1121b3bf55490df6b72a5898957f68a52770038e3a",
    "25/cosine_72000": "af3b25a485966a0f7fc34824774cf8ec85af14848a6dc7b64d6a8d3d044befa5",
    "25/wsd_20000_24000": "8649b7de4b4b31db5c35f4ff0458af9472a50168177de6372c3ceb37ace9fc62",
    "25/wsdcon_18": "9b9bd40f519d20ecbf540d4c9451f6a01b7b379b1d335407ba4651025cc5926f",
    "25/wsdcon_3": "3d37fcf82c237e5c1ba2ee34c4b9e606ecba781536d4fea9a7dde5463207fc3d",
    "25/wsdcon_9": "b7579f38b5e175d9e9dc9b9598b409efdf2cba0a68819857ba28649c242c2bd8",
    "25/wsdld_20000_24000": "8e3a9ae33ed586e5040a114fad215f4f245c6a2ff7d96f61cba02ccd8b74b3e7",
    "100/constant_24000": "034a75e2415373a9be1097e9d406f98524344f4718d200d3a188dcbd5115103b",
    "100/constant_72000": "52b5752009e1e4c396f15016e98897238fccb3816f58576ea944f03fe529dbc3",
    "100/cosine_24000": "dd544dc61a11fa138c98ac0b673d5512287062d2d2d2e9c2867976abc8c46e69",
    "100/cosine_72000": "2e637203b48b3e3a84063f49035cde2f6a40c69ecd15d95b6551774b9a279f44",
    "100/wsd_20000_24000": "e66df98c85dba705ebc85512c6a09a8ebec5675878a20d4d783c0bf80d031002",
    "100/wsdcon_18": "33cfea673dc0efde9e4fd74cc47d8daabdebfdc6d5a2659835bd780347f6e651",
    "100/wsdcon_3": "a1cbb8c730ae0628d69bb1d7aefadbad5cda5f6a92272f85203cd33d7b8f4912",
    "100/wsdcon_9": "510256497a0ea9d4270919fb37c56140e1b4d07e50b96b46334891ba316f144e",
    "100/wsdld_20000_24000": "0ef6b02e260ff5efa51a5885655ead8cf126a7e9c4ea3034d403e11852c06fe2",
    "400/constant_24000": "5d91536675592acdc40ea56f71ca24ee9026243e51a0a791ac25b631381c45ee",
    "400/constant_72000": "a453ef82f549470cc8250723917668801436dd835fd17bbf71e1fd77d00a3b6c",
    "400/cosine_24000": "aa18c9dbad66610d2037249bbcbf08fdce0983aa486b876ba95c2e3fb6fc0dce",
    "400/cosine_72000": "347acbdc80042cb7cfe0dcb28580a2780718ccbad23443d4de76821f0a1ab41e",
    "400/wsd_20000_24000": "8a56dbd8f6b553b42ca8b3f4be9822cf5b7458a6c1b7ae0ddc6ac57b2893dea7",
    "400/wsdcon_18": "998aaf3fd14de43fe754c7250885d7f72e20e7a210b1ea205a8af37ea8b22951",
    "400/wsdcon_3": "e1a896755ea1e1a6a4648a503be6a19eb62fc7ef12fbab3440a66f7a94197ac6",
    "400/wsdcon_9": "497aa4a60df8f520e11e212a990dcf70e8bfd89e814f295dc5476af630aac768",
    "400/wsdld_20000_24000": "7c5d5141d917955491732606e8817e7fdbd4bc2036e508e1610ab8bd252267dc",
}
"""Size and schedule of each curve, and its file's SHA-256."""
SCHEDULES = {
    "25": "c0cac0fe0e47a1d868fc9a57b40890595b1830def24c9d3b4595dff1eca37bb7",
    "100": "6da49b19284a4428a9129de46059981bfb478659513ed6a370eefb61489b968c",
    "400": "48f3df1e286edbc11230869450c874312ecd9d2782454de1398d04bee19684f2",
}
WARMUP = 2160


def unpack(folder: Path, files: Mapping[str, Path]) -> None:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    curves = {}
    for name in CURVES:
        size, schedule = name.split("/")
        curves[files[f"{size}-{schedule}.csv"]] = {"size": f"{size}M", "schedule": schedule}
    originals.gather(curves, folder / "curves.parquet")
    rates = {size: np.load(files[f"{size}.npy"], allow_pickle=False) for size in SCHEDULES}
    table = {
        "size": [f"{size}M" for size, found in rates.items() for _ in found],
        "step": np.concatenate([WARMUP + np.arange(len(found)) for found in rates.values()]),
        "lr": np.concatenate(list(rates.values())),
    }
    pq.write_table(pa.table(table), folder / "optimised_schedules.parquet")


@component("dataset", inputs="rows", has="tables")
class LossCurves(PublishedTables):
    card = published(
        "loss_curves",
        source=f"https://github.com/thu-yao-01-luo/MultiPowerLaw/tree/{COMMIT}",
        licence="MIT",
        tables={
            "curves": (6265, "62ee841b64740f960ccab22a2f5a18825b686379556f6574c4aec086adcf89cd"),
            "optimised_schedules": (
                65_520,
                "415465568b4623b52c3154b69916b9249639843db4f3099bfa29ca374c0e61be",
            ),
        },
        originals={
            name.replace("/", "-") + ".csv": Original(
                f"{GITHUB}/loss_curve_repo/csv_{name}.csv", sha256
            )
            for name, sha256 in CURVES.items()
        }
        | {
            f"{size}.npy": Original(f"{GITHUB}/optimized_schedules/{size}.npy", sha256)
            for size, sha256 in SCHEDULES.items()
        },
        unpack=unpack,
    )
