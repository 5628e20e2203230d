"""CIFAR-10: 60,000 colour 32x32 images in 10 classes.

Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009
(https://www.cs.toronto.edu/~kriz/cifar.html): 5,000 training and 1,000 test images a class. Files
and columns are those of https://huggingface.co/datasets/uoft-cs/cifar10. Mean and deviation of
the channels as in github.com/KellerJordan/cifar10-airbench, airbench94.py.
"""

from __future__ import annotations

from ppr.data.card import Card
from ppr.data.images import ImageSource
from ppr.registry import component

CLASSES = "airplane automobile bird cat deer dog frog horse ship truck"


@component("dataset", inputs="image", targets="class")
class CIFAR10(ImageSource):
    card = Card(
        name="cifar10",
        shape=(3, 32, 32),
        classes=tuple(CLASSES.split()),
        rows={"train": 50_000, "test": 10_000},
        source="https://www.cs.toronto.edu/~kriz/cifar.html",
        licence="none stated",
        hub="uoft-cs/cifar10",
        files={"train": "plain_text/train-*.parquet", "test": "plain_text/test-*.parquet"},
        columns={"input": "img", "target": "label"},
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.2470, 0.2435, 0.2616),
        balanced=True,
    )
