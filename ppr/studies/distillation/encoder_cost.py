"""What a text encoder of fewer layers costs beside its teacher: parameters, operations, time.

Sanh et al., "DistilBERT, a distilled version of BERT: smaller, faster, cheaper and lighter",
arXiv:1910.01108. None of it depends on the weights, which are drawn here. Both have BERT-base's
widths (768, 12 heads, 3072; 30,522 words, 512 positions) and its post-norm layers; the teacher 12
of them, token types and a pooler, the student `layers` and neither.

Both read one text of `tokens` drawn words at a time, in turn, `repeats` times after one that does
not count. Time is that of the process on its processor (one thread with OMP_NUM_THREADS=1), so that
others on the machine hardly move it.

Metrics of `teacher` and `student`: `parameters`, millions; `operations`, 1e9 multiplications and
additions of a text; `milliseconds`, the median over texts. `saving/parameters` and
`saving/operations`, the share that the student has less, and `saving/faster`, how much more it
reads in the same time, as a share. Without `repeats` nothing is timed, so that no seed moves a
number.
"""

from __future__ import annotations

import time
from statistics import median

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ppr.engine.bench import Bench
from ppr.engine.seeding import generator
from ppr.fields import Count, Whole
from ppr.registry import component
from ppr.studies.study import Study

WORDS, POSITIONS, WIDTH, HEADS, HIDDEN = 30_522, 512, 768, 12, 3072
TEACHER_LAYERS = 12


class Encoder(nn.Module):
    """BERT's encoder; `whole` with token types and a pooler. Of words [N, T]: states [N, T, D]."""

    def __init__(self, layers: int, *, whole: bool) -> None:
        super().__init__()
        self.words = nn.Embedding(WORDS, WIDTH)
        self.positions = nn.Embedding(POSITIONS, WIDTH)
        self.types = nn.Embedding(2, WIDTH) if whole else None
        self.norm = nn.LayerNorm(WIDTH)
        layer = nn.TransformerEncoderLayer(
            WIDTH, HEADS, HIDDEN, dropout=0, activation="gelu", batch_first=True
        )
        self.layers = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.pooler = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Tanh()) if whole else None

    def forward(self, words: Tensor) -> tuple[Tensor, Tensor | None]:
        x = self.words(words) + self.positions.weight[: words.shape[1]]
        if self.types is not None:
            x = x + self.types.weight[0]
        states = self.layers(self.norm(x))
        return states, None if self.pooler is None else self.pooler(states[:, 0])


def parameters(encoder: nn.Module) -> int:
    return sum(parameter.numel() for parameter in encoder.parameters())


def operations(encoder: nn.Module, tokens: int) -> int:
    """Multiplications and additions of one text, counted without values."""
    counted = FlopCounterMode(display=False)
    with counted:
        encoder.to("meta")(torch.zeros(1, tokens, dtype=torch.long, device="meta"))
    return counted.get_total_flops()


@component("task")
class EncoderCost(Study):
    def __init__(
        self, bench: Bench, *, layers: Count = 6, tokens: Count = 32, repeats: Whole = 20
    ) -> None:
        super().__init__(bench)
        self.layers, self.tokens, self.repeats = layers, tokens, repeats

    def encoders(self) -> dict[str, Encoder]:
        return {
            "teacher": Encoder(TEACHER_LAYERS, whole=True),
            "student": Encoder(self.layers, whole=False),
        }

    def measure(self) -> dict[str, dict[str, float]]:
        with torch.device("meta"):
            found = {
                name: {
                    "parameters": parameters(encoder) / 1e6,
                    "operations": operations(encoder, self.tokens) / 1e9,
                }
                for name, encoder in self.encoders().items()
            }
        teacher, student = found["teacher"], found["student"]
        saving = {key: 1 - student[key] / teacher[key] for key in teacher}
        if self.repeats:
            for name, seconds in self.seconds().items():
                found[name]["milliseconds"] = 1e3 * median(seconds)
            saving["faster"] = teacher["milliseconds"] / student["milliseconds"] - 1
        return found | {"saving": saving}

    @torch.inference_mode()
    def seconds(self) -> dict[str, list[float]]:
        device = self.bench.device
        random = generator(device, self.bench.seed, "words")
        encoders = {name: x.to(device).eval() for name, x in self.encoders().items()}
        taken: dict[str, list[float]] = {name: [] for name in encoders}
        for _ in range(self.repeats + 1):
            words = torch.randint(WORDS, (1, self.tokens), generator=random, device=device)
            for name, encoder in encoders.items():
                start = time.process_time()
                encoder(words)
                taken[name].append(time.process_time() - start)
        return {name: times[1:] for name, times in taken.items()}
