"""Human ratings of sentences whose style was changed by eight systems, and what each of them wrote.

Li et al., "Delete, Retrieve, Generate: A Simple Approach to Sentiment and Style Transfer",
arXiv:1804.06437: `ratings` has a rated sentence a row (`domain`, the `task` and `rater` as numbers,
the `target` style, `original`, `output`, and 1 to 5 for `grammaticality`, `sentiment`, which is the
target's attribute, and `topic`, which is the content's); `outputs` every sentence of every
`system`, by the names of its authors' files.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ppr.data.card import Original
from ppr.data.published.tables import PublishedTables, published
from ppr.registry import component

REPOSITORY = "lijuncen/Sentiment-and-Style-Transfer"
COMMIT = "14a48fa3f49a5d0020083830901037a4640deab4"
GITHUB = f"https://raw.githubusercontent.com/{REPOSITORY}/{COMMIT}/evaluation"
RATINGS = {
    "yelp": "86e8136355c8f7e25553936538d2f294394b56b11b1f9173e730dd76bef2f17f",
    "captions": "8227c2224cbb559c9cfb68aa3c5f153db3f5f64a24217e2726ed0ec83c43ba81",
    "amazon": "b44409bc1300041e0959b1900d4c7866f5223bd4758439945969677a695013c5",
}
"""Each file of ratings, and its SHA-256."""
OUTPUTS = {
    "amazon/0.fader": "3761b9ec5b914d595c4fe09f917dc81be4b99913a660583cd49c9e035dafa9b0",
    "amazon/0.human": "c8376211e82db98812643c2923980694e2505af8724e19a5080ab470066dd9f4",
    "amazon/0.label": "355bb929031c290b50864b49bc6d0982f67cb32f3a8515dd272f8352d2870738",
    "amazon/0.mit": "7d82ec8e279171e2ba8b444ff405d0dc5d42b0c40a2cb69d903328f5d16a791d",
    "amazon/0.multi_decoder": "52345676c07bcdeb7b04a74733f87ec670ac2588f70c24679c8a1f45b8108c02",
    "amazon/0.orgin": "c78d21a931339005f19c16bf788ca256286919b0e494e5638e3e21720f2094d0",
    "amazon/0.retrieval": "b58c217a274e68d9f66fb2e6f9670051c2a569be23e95815e6ae81ce7e20474f",
    "amazon/0.rule_base": "ea293260d63cb0d6e524cb6fe07401a8836d7d93dfdededef26cce8bd2ff76c3",
    "amazon/1.fader": "09e1f55eb7ad3e1eb3d91d334482aa643ef7939990d6f015e577c5721015de2f",
    "amazon/1.human": "f617652e1cbb19b49da3e43173509023b8ac122acb59a138af81f187da8dd193",
    "amazon/1.label": "f1d34993e1d7461841b618c2f32aec9826317259c5577039e2c59a4d0c2c185e",
    "amazon/1.mit": "222883988092cdc877518ebbceb131c02e5fe663f9944f16e09f810416ab5155",
    "amazon/1.multi_decoder": "de3b5c4b612d989fb0b67e37fb89e5b01c524203f64bfb4263bad1bbdfdcab09",
    "amazon/1.orgin": "d25aef6396ed62db54b8771881e4d19775d0341cefbd7c7c2d4167e49470acf0",
    "amazon/1.retrieval": "765d2fa83c6d9f1697db2244862bb571449fb860c5e4b6fddf18ee138fd92b5b",
    "amazon/1.rule_base": "b281085a89f378a71785632de90a2a5941a94eb30ef876559762bcbe661d884f",
    "captions/0.fader": "a3ca632fd73691dd29e4366858ccf826de435734761eebc2ab669882cd33cce8",
    "captions/0.label": "033684569a3713fe0c4af3b130cec9d11d47e003a3e96d318827c14f0f1fd3bd",
    "captions/0.mit": "5d307f335c09556abf260e240c00d195c845644d4bad8e2daeab139bcdfbcd83",
    "captions/0.multi_decoder": "2d07edcd78f19d475c25b3c5a3b465adce7474dd973cb33f172ad7e5d328a8d5",
    "captions/0.orgin": "8ca424eb47e8573ae2049a7d83283b08058b6554d3655363ad48a5253e27df0c",
    "captions/0.retrieval": "140c2666d5f116024645b5f278ef436bf9e18faf2b30caaff437cde80f9375cc",
    "captions/0.rule_base": "51b78eb3056cb8603e9193d68286f490667d8d23f9a7d37475ca438408a420ae",
    "captions/0.target": "cbd5d681611d0b283e8944a234b156c5f17895fca885daea2c3fd4f676918b72",
    "captions/1.fader": "0ed2629bc2520b7a0e201b150a9e52186e62858606db6e21c470f259fc84ed11",
    "captions/1.label": "e4aa7662e4312bb6d6310a7cb2fb0aab6393a622c35b1633eacf68b914a72533",
    "captions/1.mit": "32016703737e6ba038ed75567e2179e0cdfd39e2b32394f65de109916d3692f6",
    "captions/1.multi_decoder": "bc9599e64b16e520d9f92feb2a423d31af4094ec3a01eef852fe1d4e1f004db1",
    "captions/1.orgin": "38628db334bb0fff93c9ac29a53e5dac0cde7770024ee0d91123c9d3af21ed78",
    "captions/1.retrieval": "36916ea83a4b43f3127105289523e74bcc6249871eaab724d8d9e509eca2908e",
    "captions/1.rule_base": "972601cc3b5d575edb316f305f68e37ae4d97e0d89126a2e2c2d71ee1da01fe1",
    "captions/1.target": "04052872d45f574cd8150dcb77130d00f111bf8bc576dd9441562a32ee81fd7f",
    "yelp/0.fader": "42d02ea9d0678879c0cde6068e325ef2144b56f7411a744423c73c1f3e311c2b",
    "yelp/0.human": "a0a162722a4dcbc2d38fd9770f37d39f383777e0c545a6df5cd7ac58247d7a77",
    "yelp/0.label": "0e7bbe78060011b51906df51f3f9ddef2e39371d4c842ac713eec30ba2d87d65",
    "yelp/0.mit": "5030cc8715f501d0c16249b24fc55ad4508652fd9d2732019cdd7f1530a013a5",
    "yelp/0.multi_decoder": "66f0d935a396294d827be87e47a421290b9abaf56c205d4c3ba65996e24faae8",
    "yelp/0.orgin": "5ea59b655a0125e534e096a833e1d72695c1b08adbf3d635a314e5eb1b1432aa",
    "yelp/0.retrieval": "acb64c4c46c4d66be27d891d2f8b5c665023f322d96a662bdb05fe818cfb6bae",
    "yelp/0.rule_base": "0134818da0435d58b473fc507c07ad1e7d262319fad3cf11cc3fb78231ce6279",
    "yelp/1.fader": "d533501316b588610c0793f252ec4ccd45ce337cbc6dea4341065d9116731c8a",
    "yelp/1.human": "5cc4011b1e7fdd72a3c56786a02ab2e50caf08ffd3bbd70bde854322e809f734",
    "yelp/1.label": "5509cd35216e5ed57472d08552c8f25d1a8705da0d3c6e9c4cacdee3ec13b7ce",
    "yelp/1.mit": "2f0edcc1ec0aa6704c300f3b7759b6027d7f21e8f7854cdd2e2d674396d66141",
    "yelp/1.multi_decoder": "7a8a531e9568061a0224a80af0681b4735a45711b137d8ad9a5fd162f2c2dae8",
    "yelp/1.orgin": "ca956d885e62350586b4a5cee1bb6814daf965a9fc5c69478e8a7018dbdd960c",
    "yelp/1.retrieval": "a831aa5bce46ace151220f5ec01f1d69f1ef43b7b4e1664766d992b04b61ae1d",
    "yelp/1.rule_base": "210539b1192831bff2077667ecd00981bca3f043b0f3d57692c66a31c33fe0ce",
}
"""Each file of outputs, by domain, label and system, and its SHA-256."""
TARGETS = {
    "yelp": ("positive", "negative"),
    "amazon": ("positive", "negative"),
    "captions": ("romantic", "humorous"),
}
"""What a sentence of label 0 and of label 1 is changed to."""
ASKED = ("grammaticality", "sentiment", "topic")


def rated(domain: str, file: Path) -> list[dict[str, Any]]:
    """Eight sentences a line of the file, a tab between them; raters by order of appearance."""
    rows: list[dict[str, Any]] = []
    raters: dict[str, int] = {}
    with file.open(encoding="utf-8", newline="") as opened:
        for task, line in enumerate(csv.DictReader(opened)):
            rater = raters.setdefault(line["WorkerId"], len(raters))
            originals, outputs, answers = (
                line[name].split("\t") for name in ("Input.origs", "Input.mods", "Answer.responses")
            )
            for at, answer in enumerate(answers):
                given = dict(pair.split("=") for pair in answer.split(" "))
                row = {"domain": domain, "task": task, "rater": rater}
                row |= {"target": line["Input.target"], "position": at}
                row |= {"original": originals[at], "output": outputs[at]}
                rows.append(row | {name: int(given[name]) for name in ASKED})
    return rows


def written(domain: str, label: int, system: str, file: Path) -> list[dict[str, Any]]:
    """An original and an output a line, a tab between them."""
    rows = []
    for index, line in enumerate(file.read_text("utf-8").split("\n")):
        parts = line.split("\t")
        if len(parts) >= 2:
            row = {"domain": domain, "system": system, "label": label}
            row |= {"target": TARGETS[domain][label], "index": index}
            rows.append(row | {"original": parts[0], "output": parts[1]})
    return rows


def unpack(folder: Path, files: Mapping[str, Path]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    ratings = [row for domain in RATINGS for row in rated(domain, files[f"ratings-{domain}.csv"])]
    outputs: list[dict[str, Any]] = []
    for domain in RATINGS:
        for name in sorted(name for name in OUTPUTS if name.startswith(domain)):
            label, system = name.split("/")[1].split(".")
            outputs += written(domain, int(label), system, files[name.replace("/", "-")])
    pq.write_table(pa.Table.from_pylist(ratings), folder / "ratings.parquet")
    pq.write_table(pa.Table.from_pylist(outputs), folder / "outputs.parquet")


@component("dataset", inputs="rows", has="tables")
class StyleTransfer(PublishedTables):
    card = published(
        "style_transfer",
        source=f"https://github.com/{REPOSITORY}/tree/{COMMIT}",
        licence="CC BY-SA 4.0",
        tables={
            "ratings": (9600, "2ab1faf0d3181ae95e1536421028891f43a08835c9f0c99f9f341d674dadb155"),
            "outputs": (20_798, "272c965fa39484a3206360fc001bd173b8b7dae0860c6e393f4cdaefeb5f2590"),
        },
        originals={
            f"ratings-{domain}.csv": Original(
                f"{GITHUB}/human_ratings/ratings-{domain}.csv", sha256
            )
            for domain, sha256 in RATINGS.items()
        }
        | {
            name.replace("/", "-"): Original(
                f"{GITHUB}/outputs/{name.replace('/', '/sentiment.test.')}", sha256
            )
            for name, sha256 in OUTPUTS.items()
        },
        unpack=unpack,
    )
