"""MNIST: 70,000 grey 28x28 images of handwritten digits.

LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", 1998.
Files and columns are those of https://huggingface.co/datasets/ylecun/mnist. Mean and deviation as
in github.com/pytorch/examples, mnist/main.py.
"""

from __future__ import annotations

from ppr.data.card import Card
from ppr.data.images import ImageSource
from ppr.registry import component


@component("dataset", inputs="image", targets="class")
class MNIST(ImageSource):
    card = Card(
        name="mnist",
        shape=(1, 28, 28),
        classes=tuple("0123456789"),
        rows={"train": 60_000, "test": 10_000},
        source="https://huggingface.co/datasets/ylecun/mnist",
        licence="MIT",
        hub="ylecun/mnist",
        files={"train": "mnist/train-*.parquet", "test": "mnist/test-*.parquet"},
        columns={"input": "image", "target": "label"},
        mean=(0.1307,),
        std=(0.3081,),
    )
