"""MNIST, with a generator and a classifier of it whose weights were published.

"UNO: Unlearning via Orthogonalization in Generative models", arXiv:2506.04712, began from them:
`Dataset.extra["weights"]` has the state of its variational autoencoder (`vae`, 784-400-2-400-784)
and of its classifier (`classifier`, 784-200-10), tensors by name. They were rewritten as
safetensors from vae/vae_200.pth (SHA-256 e5421170…) and classifiers/MNISTClassifier.pth (SHA-256
c762945c…); other files than those of the card are refused. Images and labels are those of `mnist`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppr.data import hub
from ppr.data.card import Card, Original
from ppr.data.source import Source
from ppr.data.vision.mnist import MNIST
from ppr.errors import RunFailed
from ppr.registry import component

if TYPE_CHECKING:
    from torch import Tensor

    from ppr.data.dataset import Dataset


COMMIT = "100893fcce50ec15fc522c9c7491b141d10da126"
RAW = f"https://raw.githubusercontent.com/pinakm9/forget/{COMMIT}"
ORIGINALS = {
    "vae": (
        "data/MNIST/vae/vae_200.pth",
        "e5421170ebb74146d49001ddc4a7eb14d1eb1968468629145229e32977931e38",
    ),
    "classifier": (
        "data/MNIST/classifiers/MNISTClassifier.pth",
        "c762945c1bbace5fbaa8ad806bcbd7cd114254e10d4c4d5b28597eee5d3c32d2",
    ),
}


def unpack(folder: Path, files: Mapping[str, Path]) -> None:
    """The published pickles as safetensors, byte for byte those that the card has the digest of."""
    from safetensors.torch import save_file

    for name, file in files.items():
        path, source = {"path": ORIGINALS[name][0]}, {"source": "github.com/pinakm9/forget"}
        said = (path | source if name == "vae" else source | path) | {"licence": "CC BY 4.0"}
        to = folder / f"{name}.safetensors"
        save_file(_tensors(file), to, said)
        _say_in_order(to, said)


def _tensors(file: Path) -> dict[str, Tensor]:
    """What a pickle holds. One is of a whole module, whose class is replaced by an empty one."""
    import torch
    from torch import nn

    stand_in = type("MNISTClassifier", (nn.Module,), {"__module__": "classifier"})
    with torch.serialization.safe_globals([stand_in, nn.BatchNorm1d, nn.Linear, nn.ReLU]):
        held = torch.load(file, map_location="cpu", weights_only=True)
    return dict(held.state_dict() if isinstance(held, nn.Module) else held)


def _say_in_order(file: Path, said: Mapping[str, str]) -> None:
    """safetensors writes the metadata in an order of chance (the card's files have one each); the
    length is the same in any."""
    content = file.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end]) | {"__metadata__": said}
    text = json.dumps(header, separators=(",", ":")).encode()
    file.write_bytes(content[:8] + text.ljust(end - 8) + content[end:])


@component("dataset", inputs="image", targets="class", has="weights")
class UnoMNIST(Source):
    card = Card(
        name="uno_mnist",
        shape=MNIST.card.shape,
        classes=MNIST.card.classes,
        rows={"vae": 20, "classifier": 9},
        source="https://github.com/pinakm9/forget/tree/100893f/data/MNIST",
        licence="CC-BY-4.0",
        files={"vae": "vae.safetensors", "classifier": "classifier.safetensors"},
        mean=MNIST.card.mean,
        std=MNIST.card.std,
        digests={
            "vae": "fa6fe5a774bbc511bac00819ff5f4793a44442e34d00c8cbc91b8b3f4e2a2cca",
            "classifier": "2501bfb9f939312ee767e7f03b275d5ade0aa2f464fa47aaf04189622efd33a6",
        },
        originals={
            name: Original(f"{RAW}/{path}", sha256) for name, (path, sha256) in ORIGINALS.items()
        },
        unpack=unpack,
    )

    def __init__(self, root: Path | None = None, **shared: Any) -> None:
        super().__init__(root, **shared)
        self.images = MNIST(root, **shared)

    def weights(self) -> Mapping[str, Mapping[str, Tensor]]:
        """
        Raises:
            BadRequest: the files are not here.
            RunFailed: one of them is not the published one.
        """
        from safetensors.torch import load_file

        found = {}
        for name, (file, *_) in hub.locate(self.card, self.root).files.items():
            if hub.sha256(file) != self.card.digests[name]:
                raise RunFailed(f"{file}: not the weights whose SHA-256 the card has")
            found[name] = load_file(file)
        return found

    def load(self) -> Dataset:
        weights = self.weights()
        data = self.images.load()
        whole = "".join((data.digest, *self.card.digests.values())).encode()
        digest = hashlib.sha256(whole).hexdigest()
        return replace(data, name=self.card.name, digest=digest, extra={"weights": weights})
