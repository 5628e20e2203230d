"""MNIST, with a generator and a classifier of it whose weights were published.

"UNO: Unlearning via Orthogonalization in Generative models", arXiv:2506.04712, began from them:
`Dataset.extra["weights"]` has the state of its variational autoencoder (`vae`, 784-400-2-400-784)
and of its classifier (`classifier`, 784-200-10), tensors by name. They were rewritten as
safetensors from vae/vae_200.pth (SHA-256 e5421170…) and classifiers/MNISTClassifier.pth (SHA-256
c762945c…); other files than those of the card are refused. Images and labels are those of `mnist`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppr.data import hub
from ppr.data.card import Card
from ppr.data.source import Source
from ppr.data.vision.mnist import MNIST
from ppr.errors import RunFailed
from ppr.registry import component

if TYPE_CHECKING:
    from torch import Tensor

    from ppr.data.dataset import Dataset


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
