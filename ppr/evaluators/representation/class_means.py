"""The geometry of class means, how far from symmetric, and classification by the nearest of them.

Kini et al., "Symmetric Neural-Collapse Representations with Supervised Contrastive Loss: The Impact
of ReLU and Batching", ICLR 2024, arXiv:2306.07960. With G the Gram matrix of the class means of the
train split's embeddings, unit vectors z = network(x) / |network(x)|:

    frame   = | G/|G| - I/|I| |          0 for an orthogonal frame
    simplex = | G/|G| - S/|S| |          0 for a simplex, S = I - 1/C
    asymmetry = | mean cosine of two means among the smaller half of the classes, less that among
                the larger half |

in Frobenius norms, the last with four classes or more. A sample of the measured split is given to
the class whose mean has the largest cosine with it: `top1` is the share given to their own,
`balanced` the mean of the classes' shares.

Raises BadRequest for a task without a network or one class, RunFailed on NaN or infinite
outputs or a class without a training sample.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from ppr.engine.subject import Subject
from ppr.errors import RunFailed
from ppr.evaluators.representation.embeddings import class_sums, unit_outputs
from ppr.registry import component

WHERE = "evaluator.class_means"


@component("evaluator")
class ClassMeans:
    needs: ClassVar[Literal["features", "logits"]] = "features"

    def protocol(self) -> dict[str, object]:
        return {
            "measures": "the network's outputs, as unit vectors",
            "means of": "the train split, no augmentation",
            "epoch": "last",
        }

    def __call__(self, subject: Subject) -> dict[str, float]:
        classes = subject.class_count(WHERE)
        sums, sizes = class_sums(*unit_outputs(subject, "train", WHERE), classes)
        if not sizes.all():
            raise RunFailed(f"{WHERE}: a class has no training sample")
        means = sums / sizes[:, None]
        z, targets = unit_outputs(subject, subject.target_split, WHERE)
        directions = F.normalize(means)
        right = ((z @ directions.T).argmax(1) == targets).to(z.dtype)
        hits, of = class_sums(right[:, None], targets, classes)
        eye = torch.eye(classes, dtype=z.dtype, device=z.device)
        gram, cosines = means @ means.T, directions @ directions.T
        metrics = {
            "frame": _distance(gram, eye),
            "simplex": _distance(gram, eye - 1 / classes),
            "top1": right.mean().item(),
            "balanced": (hits[of > 0, 0] / of[of > 0]).mean().item(),
        }
        if classes >= 4:
            small, large = sizes.argsort(stable=True).tensor_split([classes // 2])
            gap = _mean_cosine(cosines, small) - _mean_cosine(cosines, large)
            metrics["asymmetry"] = abs(gap)
        return metrics


def _distance(gram: Tensor, shape: Tensor) -> float:
    norm = torch.linalg.matrix_norm
    return float(norm(gram / norm(gram) - shape / norm(shape)))


def _mean_cosine(cosines: Tensor, some: Tensor) -> float:
    """Over the pairs of two classes among `some`."""
    among = cosines[some][:, some]
    return float((among.sum() - among.trace()) / (len(some) * (len(some) - 1)))
