"""CIFAR-100: 60,000 colour 32x32 images in 100 fine or 20 coarse classes.

Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009
(https://www.cs.toronto.edu/~kriz/cifar.html): 500 training and 100 test images a fine class. Files
and columns are those of https://huggingface.co/datasets/uoft-cs/cifar100. Mean and deviation of
the channels as in github.com/weiaicunzai/pytorch-cifar100, conf/global_settings.py.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from ppr.data.card import Card
from ppr.data.images import ImageSource
from ppr.registry import component

FINE = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly
camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup
dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower
leopard lion lizard lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid
otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray
road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar
sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle
wardrobe whale willow_tree wolf woman worm
"""
COARSE = """
aquatic_mammals fish flowers food_containers fruit_and_vegetables household_electrical_devices
household_furniture insects large_carnivores large_man-made_outdoor_things
large_natural_outdoor_scenes large_omnivores_and_herbivores medium_mammals
non-insect_invertebrates people reptiles small_mammals trees vehicles_1 vehicles_2
"""


@component("dataset", inputs="image", targets="class")
class CIFAR100(ImageSource):
    """`labels` picks the 100 fine or the 20 coarse classes as targets."""

    card = Card(
        name="cifar100",
        shape=(3, 32, 32),
        classes=tuple(FINE.split()),
        rows={"train": 50_000, "test": 10_000},
        source="https://www.cs.toronto.edu/~kriz/cifar.html",
        licence="none stated",
        hub="uoft-cs/cifar100",
        files={"train": "cifar100/train-*.parquet", "test": "cifar100/test-*.parquet"},
        columns={"input": "img", "target": "fine_label"},
        mean=(0.5071, 0.4867, 0.4408),
        std=(0.2675, 0.2565, 0.2761),
        balanced=True,
    )

    def __init__(
        self,
        root: Path | None = None,
        *,
        labels: Literal["fine", "coarse"] = "fine",
        **shared: Any,
    ) -> None:
        super().__init__(root, **shared)
        if labels == "coarse":
            columns = {"input": "img", "target": "coarse_label"}
            self.card = replace(self.card, classes=tuple(COARSE.split()), columns=columns)
