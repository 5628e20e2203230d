"""Whitening of word vectors for text retrieval: same-label texts ranked with and without it.

The set-up of a check of Jung et al., "Isotropic Representation Can Improve Dense Retrieval",
arXiv:2209.00218, on vectors as anisotropic as BERT's that need no network. The data set is one of
bags of words X [texts, words]. A word's vector is its row of U S, of the singular value
decomposition of log(1 + X^T X) without its diagonal, cut to `dim`; a text's is the mean over its
words. Training texts are the documents, test texts the queries, and texts of the query's label are
relevant. Ranked by cosine of the vectors as they are (`form` raw), less the documents' mean
(centred), or whitened, by the `keep` axes of most variance or all. float64.

Metrics: `ranking/ndcg`, nDCG@10; `documents/mean_cosine`; `gain/ndcg`, over the vectors as they
are, and `gain/low`, the 2.5 % quantile of it in 2000 bootstraps over the queries.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F

from ppr.data.dataset import Split
from ppr.engine.bench import Bench
from ppr.errors import BadRequest
from ppr.evaluators.recommendation._ranking import ndcg
from ppr.fields import Count
from ppr.registry import component
from ppr.studies.retrieval_embedding._isotropy import mean_cosine, processed
from ppr.studies.study import Study

AT = 10
BOOTSTRAPS = 2000


@component("task")
class IsotropicText(Study):
    """
    Raises:
        BadRequest: the data set has no bags of words, or fewer words than `dim`.
    """

    def __init__(
        self,
        bench: Bench,
        *,
        dim: Count = 64,
        form: Literal["raw", "centred", "whitened"] = "whitened",
        keep: Count | None = None,
    ) -> None:
        super().__init__(bench)
        self.dim, self.form, self.keep = dim, form, keep

    def measure(self) -> dict[str, dict[str, float]]:
        data, device = self.bench.dataset, self.bench.device
        if len(data.shape) != 1 or data.shape[0] < self.dim:
            what = f"needs bags of {self.dim} words or more, not inputs of {data.shape}"
            raise BadRequest(f"task.dim={self.dim}: {what}")
        assert isinstance(data.train, Split)
        assert isinstance(data.test, Split)
        corpus = data.train.inputs.to(device, torch.float64).clamp(min=0)
        asked = data.test.inputs.to(device, torch.float64).clamp(min=0)
        together = corpus.T @ corpus
        variance, axes = torch.linalg.eigh(together.fill_diagonal_(0).log1p())
        largest = variance.abs().argsort(descending=True)[: self.dim]
        words = axes[:, largest] * variance[largest]
        documents, queries = (
            (texts @ words) / texts.sum(1, keepdim=True).clamp(min=1) for texts in (corpus, asked)
        )
        labels = data.train.targets.to(device)
        relevant = data.test.targets.to(device)[:, None] == labels

        def scored(vectors: torch.Tensor, asking: torch.Tensor) -> torch.Tensor:
            return ndcg(F.normalize(asking) @ F.normalize(vectors).T, relevant, AT)

        ours, theirs = (processed(documents, x, self.form, self.keep) for x in (documents, queries))
        scores = scored(ours, theirs)
        gain = (scores - scored(documents, queries)).cpu().numpy()
        random = np.random.RandomState(self.bench.seed)
        drawn = gain[random.randint(len(gain), size=(BOOTSTRAPS, len(gain)))].mean(1)
        return {
            "ranking": {"ndcg": scores.mean().item()},
            "documents": {"mean_cosine": mean_cosine(ours)},
            "gain": {"ndcg": float(gain.mean()), "low": float(np.quantile(drawn, 0.025))},
        }
