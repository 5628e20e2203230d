"""GRU language model: embedded tokens through gated recurrent units, causal by construction.

Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder for Statistical Machine
Translation", EMNLP 2014, arXiv:1406.1078, section 2.3, as torch.nn.GRU computes it.

Shapes: tokens [N, T] int64 -> [N, T, hidden], features last, for a linear head at every position.
Position t sees tokens 0 to t. T may be any.

Raises BadRequest for inputs that are no sequences.
"""

from __future__ import annotations

from torch import Tensor, nn

from ppr.errors import BadRequest
from ppr.fields import Count
from ppr.registry import component


@component("model", inputs="tokens", features="position")
class GRU(nn.Module):
    """`vocabulary`: tokens are below it; `width`: of their embeddings."""

    features: int

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        vocabulary: Count = 256,
        width: Count = 32,
        hidden: Count = 160,
        layers: Count = 1,
    ) -> None:
        super().__init__()
        if len(shape) != 1:
            raise BadRequest(f"model.name=gru: takes tokens [T], not inputs of {tuple(shape)}")
        self.features = hidden
        self.embedding = nn.Embedding(vocabulary, width)
        self.recurrence = nn.GRU(width, hidden, layers, batch_first=True)

    def forward(self, tokens: Tensor) -> Tensor:
        found: Tensor = self.recurrence(self.embedding(tokens))[0]
        return found
