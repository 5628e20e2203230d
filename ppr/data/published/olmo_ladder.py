"""Evaluations of OLMo's ladder of small language models, and of two large ones, on eight tasks.

Bhagia et al., "Establishing Task Scaling Laws via Compute-Efficient Model Ladders",
arXiv:2412.04403: `runs` has an evaluation a row, of the run `run` (the published file's name:
`190M-1xC` is of 190M parameters, trained once as long as Chinchilla's law says), with its tokens,
its losses and its accuracies.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ppr.data import originals
from ppr.data.card import Original
from ppr.data.published.tables import PublishedTables, published
from ppr.registry import component

COMMIT = "67a3f440f787d020da35e3ca8eeae475fae754f5"
FOLDER = "src/scripts/paper/data/ladder-runs"
GITHUB = f"https://raw.githubusercontent.com/allenai/OLMo-ladder/{COMMIT}/{FOLDER}"
RUNS = {
    "190M-0.5xC": "d4e9f80960149676352b61b739c4dca727bffee5e7a8f41919119365fcde0534",
    "190M-10xC": "192b115c3f02b6503043280f8303c59f5b10897cd631f1b8ec6aea944d22faa6",
    "190M-1xC-rerun": "50e635e970e4a29c838d644f942503f9ef6e0d78feb744055447413de42a3e2b",
    "190M-1xC": "8ac0066547d5edec4d05d2b861a26c7faf591eef6971e11acba2450a45e69c27",
    "190M-2xC": "db90c75f8d031d0754e7108f1a8d16f372603e0c04d2cb00cca08cf272ecf86a",
    "190M-5xC": "aefe54fa03bd158d6da178b1eb2ece88cb0681bb32403845b6e544ae9e4e5dcf",
    "1B-0.5xC": "7c44ecf10ddaeba4c5ceb26ac0db8b9454163c19903556238d3117685768126a",
    "1B-10xC": "ec7e7487c67a774d9b919ec35121966ded7ae2ce5ede135f1d32f509f451476f",
    "1B-1xC-rerun": "878e664acbb68df93b046a4242ccac12b321276e1f2fcbbbc6fa8779bd5eaa24",
    "1B-1xC": "7fe91f0552829238e591e55c03f66b743ac5931388d9710457a845d92c2d9102",
    "1B-2xC": "34ba12a08a52e10e89a71d88a5c13538c3df21e5e993c476cadb08eb4b2eb354",
    "1B-5xC": "d195153f05b846f6d4f8ca95247d1f79d9d00e898d856b244b17e20431539ddb",
    "370M-0.5xC": "04e12eec843bb7b8bf292ec8837edd8db63010469e457d145a1757d48a91bac9",
    "370M-10xC": "3f25b4ec4035caeb71b787d165857667779dc3b92739c6379b8f8ce7079fcb58",
    "370M-1xC-rerun": "e27c89356cc6c842585c0232bb3be20bd066c2d4f859d1a3c772c43e5b6887c7",
    "370M-1xC": "3597a61872596affbb61e83f36c7cc3fe43485c3ed30ba6d658064b57edcea07",
    "370M-2xC": "73c686e580ad0600ca12334bf22ab3dad3265583a948e3beaae5b79b9a20c137",
    "370M-5xC": "199905d322b0332b69f1d0a40de9be43e5eb3cf576fc1d3031578cdea09708fa",
    "3B-0.5xC": "35247d4ff9af52c11bdec95a31e069599f43564ba6094a3893b49d91aa258410",
    "3B-10xC": "1ff388361b6d8e4548aaaaecd8a0437a21e28b9af11c4696225e322c8526e488",
    "3B-1xC-rerun": "5c2b189aa82b964c4005fce327b42e9399110d297c83903d03d03d0892e11d7d",
    "3B-1xC": "bd5dbad1b2942c58439006f77dba46ff2f66ad8760f8d709f9ced4fcb387bedb",
    "3B-2xC": "b933055d54221855c893245331770c0e7314dea5203518640da88773d92d8e47",
    "3B-5xC": "4b02c35ea9b3623402ac3a401dbc66ed827dcecede04343ea65cc2bbf6bfd962",
    "760M-0.5xC": "a02cee96b21c78a6a9c71ba99ead71c454fc6561e50b778681ab1d7182df6cf6",
    "760M-10xC": "e256c9df6d3b7af66bbcf4dc7ca84b45a812bd205b70648ca5177c8b74f6ff40",
    "760M-1xC-rerun": "f5b2775ebc27c80f21e13e0bf35622007b8b30f09734ab0bb6f7e871bf33103b",
    "760M-1xC": "a830185275c91cc077379540ec91a71b4bea6f191ca99a8090c851be19e7956d",
    "760M-2xC": "8c1ad2bf7da390b9eed24af7b6eb12a6393cc077164d51b4e4740f7221f1193c",
    "760M-5xC": "9c08b58d2625f427253bbd2079bad3a90726a66486154dd4f82ef84560e275ec",
    "peteish13_eval_50k-150k": "596a40b73a8c0d198a162242c6c9b888dea59a3794837f05fe1139e1a4ead201",
    "peteish13_eval_final": "8cbdd4c2818b05ff30476a9bd4ecae620da89193ca61183bc2d61e111a9d0059",
    "peteish13_eval_full": "14cb53fac27ca2553a061f055f31fdc297272026c7eccfb195073656fd21fb2f",
    "peteish7_eval_170k-450k": "b121379c9d62a6e3539ef6bc22f47cdfe65a2df0f23020d68457ad58ea7b3399",
    "peteish7_eval_anneal": "0742d6c113aa0f9c789cf9e5745678fc6f30eb9b873a1f98068fc6f6522c85df",
    "peteish7_eval_full": "3b7c0c268500292564540a951a757f0a938b5c17949fdaec6822068f7d65affb",
    "peteish7_medlr_eval_170k-end": (
        "04cc73205df30bd5af152ac7ed462c3528589086c3cdbb9e9478f245e1508cfd"
    ),
    "peteish7_medlr_eval_210k-325k": (
        "ae6b6c6703e3b9a84b73f2ff8e2eea6ba4b9be40824e2185d13ca05d6c48fea6"
    ),
    "peteish7_medlr_eval_330k-490k": (
        "d85c9e4ba72f4f218cc96cd4ffe3873c377f26c16db1f46fcca18bc7e02885ba"
    ),
    "peteish7_medlr_eval_5k-205k": (
        "43ecf1ebe4d6c770ffb1c8cccfe5e6d296d3195c60b0d13ce8d8cdaa176840f0"
    ),
    "peteish7_medlr_eval_full": (
        "35d073ef63333d95e0cde78db6ee6521f7719b4d2950495dbc508566c1d4eb9a"
    ),
}
"""Each run's file, and its SHA-256."""


def unpack(folder: Path, files: Mapping[str, Path]) -> None:
    originals.gather({files[f"{run}.csv"]: {"run": run} for run in RUNS}, folder / "runs.parquet")


@component("dataset", inputs="rows", has="tables")
class OlmoLadder(PublishedTables):
    card = published(
        "olmo_ladder",
        source=f"https://github.com/allenai/OLMo-ladder/tree/{COMMIT}",
        licence="Apache-2.0",
        tables={"runs": (4198, "58ab64225675fc6a163171dbd55bb2aed9a46d469572e9a5bebf878e306616ec")},
        originals={
            f"{run}.csv": Original(f"{GITHUB}/{run}.csv", sha256) for run, sha256 in RUNS.items()
        },
        unpack=unpack,
    )
