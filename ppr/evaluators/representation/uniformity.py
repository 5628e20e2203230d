"""Uniformity of the embeddings on the sphere, and tolerance to samples of one class being close.

Wang and Liu, "Understanding the Behaviour of Contrastive Loss", CVPR 2021, arXiv:2012.09740; the
uniformity is that of Wang and Isola, arXiv:2005.10242. Of z = network(x) / |network(x)|:

    uniformity = -log E exp(-2 |z_i - z_j|^2)     over pairs of two samples
    tolerance  = E z_i.z_j                        over pairs of two samples of one class

There the uniformity is a loss and has the other sign; here more of it is more uniform.

Metrics: `uniformity`, `tolerance`, of the measured split.

Raises BadRequest for a task without a network or one class, RunFailed on NaN or infinite outputs or
where no class has two samples.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch

from ppr.engine.subject import Subject
from ppr.errors import RunFailed
from ppr.evaluators.representation.embeddings import class_sums, unit_outputs
from ppr.registry import component

WHERE = "evaluator.uniformity"
PAIRS_AT_ONCE = 2**24  # 128 MiB of float64


@component("evaluator")
class Uniformity:
    needs: ClassVar[Literal["features", "logits"]] = "features"

    def protocol(self) -> dict[str, object]:
        return {"measures": "the network's outputs, as unit vectors", "epoch": "last", "t": 2}

    def __call__(self, subject: Subject) -> dict[str, float]:
        classes = subject.class_count(WHERE)
        z, targets = unit_outputs(subject, subject.target_split, WHERE)
        sums, sizes = class_sums(z, targets, classes)
        pairs = int((sizes * (sizes - 1)).sum())
        if not pairs:
            raise RunFailed(
                f"{WHERE}: no class of the {subject.target_split} split has two samples"
            )
        lengths = z.square().sum()  # the number of rows, but for those that are 0
        tolerance = (sums.square().sum() - lengths) / pairs
        squares = z.square().sum(1)
        rows = max(1, PAIRS_AT_ONCE // len(z))
        total = z.new_zeros(())
        for part, own in zip(torch.split(z, rows), torch.split(squares, rows), strict=True):
            distances = own[:, None] + squares - 2 * part @ z.T
            total += (-2 * distances).exp().sum()
        mean = (total.item() - len(z)) / (len(z) * (len(z) - 1))
        return {"uniformity": -math.log(mean), "tolerance": tolerance.item()}
