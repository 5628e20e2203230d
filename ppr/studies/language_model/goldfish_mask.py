"""Which tokens the goldfish loss leaves out: how many, and whether a passage loses the same ones.

Hans et al., arXiv:2406.10209. Texts of random tokens, `passages` of `length` tokens in all. Each
passage is put into two texts at two places, after different words: a loss that hides a passage must
decide alike at both, past the first `context` tokens, which see the words before.

Metrics: `mask/rate`, the share left out of the tokens that have a context; `mask/agreement`, the
share of the passages' tokens, past the first `context`, on which the two texts agree;
`mask/start`, the same of the first `context` tokens; `mask/neighbours`, the correlation of the
decisions on one token and the next, 0 for independent ones.
"""

from __future__ import annotations

import torch

from ppr.engine.bench import Bench
from ppr.engine.seeding import generator
from ppr.errors import BadRequest
from ppr.fields import Count
from ppr.losses.language_model.goldfish import GoldfishLoss
from ppr.registry import component
from ppr.studies.study import Study

BEFORE = (40, 57)
"""Words before the passage in the two texts."""


@component("task", losses="sequence")
class GoldfishMask(Study):
    """
    Raises:
        BadRequest: the loss is not the goldfish loss.
    """

    def __init__(
        self,
        bench: Bench,
        *,
        passages: Count = 2000,
        length: Count = 200,
        vocabulary: Count = 65,
    ) -> None:
        super().__init__(bench)
        loss = bench.build("loss")
        if not isinstance(loss, GoldfishLoss):
            raise BadRequest("loss: the task goldfish_mask measures loss=goldfish only")
        self.loss, self.passages, self.length = loss, passages, length
        self.vocabulary = vocabulary

    def measure(self) -> dict[str, dict[str, float]]:
        torch.manual_seed(self.bench.seed)  # the strategy `random` draws from the global generator
        random = generator(torch.device("cpu"), self.bench.seed, "goldfish")

        def words(count: int) -> torch.Tensor:
            drawn = torch.randint(self.vocabulary, (self.passages, count), generator=random)
            return drawn.to(self.bench.device)

        passage, h = words(self.length), self.loss.context
        texts = [torch.cat([words(before), passage], dim=1) for before in BEFORE]
        kept = [self.loss.kept(text) for text in texts]
        first, second = (each[:, -self.length :] for each in kept)
        same = (first == second).double()
        asked = (~kept[0][:, h:]).double()
        pairs = torch.stack([asked[:, :-1].flatten(), asked[:, 1:].flatten()])
        return {
            "mask": {
                "rate": asked.mean().item(),
                "agreement": same[:, h:].mean().item(),
                "start": same[:, :h].mean().item(),
                "neighbours": pairs.corrcoef()[0, 1].item(),
            }
        }
