"""Variance of the embeddings within classes and between them: whether classes collapse.

Lee et al., "A Theoretical Framework for Preventing Class Collapse in Supervised Contrastive
Learning", arXiv:2503.08203, as `calculate_var` of cifar/variance.py of leechungpa/ssem-supcl
measures it. Of unit vectors z = network(x) / |network(x)|, with m their mean and m_k that of class
k of C:

    total = 1 - |m|^2,   within = 1/C sum_k (1 - |m_k|^2),   between = total - within

`within` is 0 where every class is one point. Classes without a sample are left out.

Metrics: `within`, `between`, `total`, of the measured split.

Raises BadRequest for a task without a network or one class, RunFailed on NaN or infinite outputs.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from ppr.engine.subject import Subject
from ppr.evaluators.representation.embeddings import class_sums, unit_outputs
from ppr.registry import component

WHERE = "evaluator.class_variance"


@component("evaluator")
class ClassVariance:
    needs: ClassVar[Literal["features", "logits"]] = "features"

    def protocol(self) -> dict[str, object]:
        return {"measures": "the network's outputs, as unit vectors", "epoch": "last"}

    def __call__(self, subject: Subject) -> dict[str, float]:
        classes = subject.class_count(WHERE)
        z, targets = unit_outputs(subject, subject.target_split, WHERE)
        sums, sizes = class_sums(z, targets, classes)
        present = sizes > 0
        means = sums[present] / sizes[present, None]
        within = 1 - means.square().sum(1).mean().item()
        total = 1 - z.mean(0).square().sum().item()
        return {"within": within, "between": total - within, "total": total}
