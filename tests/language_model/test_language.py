"""Language models: the text, likelihood, recited passages, decoded numbers, the goldfish mask."""

from __future__ import annotations

from dataclasses import replace
from difflib import SequenceMatcher
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch import Tensor, nn

import ppr
from ppr.config.compose import compose
from ppr.data.dataset import Dataset
from ppr.data.text.products import ALPHABET, Products
from ppr.data.text.tiny_shakespeare import CHARACTERS, TinyShakespeare
from ppr.engine.bench import Watcher
from ppr.engine.subject import Subject
from ppr.errors import BadRequest
from ppr.evaluators.language_model.memorisation import _common
from ppr.losses.language_model.goldfish import PRIME, keys
from ppr.run import execute_here


class Bigrams(nn.Module):
    """A language model of one table: the logits of the next token, given this one."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, tokens: Tensor) -> Tensor:
        return self.logits[tokens]


def subject(network: nn.Module, data: Dataset) -> Subject:
    return Subject(encoder=network, network=network, dataset=data, device=torch.device("cpu"))


@pytest.fixture
def plays(tmp_path: Path) -> Path:
    """A mirror with a small text in the place of Shakespeare's."""
    folder = tmp_path / "tiny_shakespeare" / "data"
    folder.mkdir(parents=True)
    for shift, part in enumerate(("train", "validation", "test")):
        text = "".join(CHARACTERS[(i * i + shift) % 65] for i in range(200))
        pq.write_table(pa.table({"text": [text]}), folder / f"{part}-00000-of-00001.parquet")
    return tmp_path


def test_windows_follow_one_another_and_canaries_are_of_the_test_text(plays: Path) -> None:
    fields = {"context": 10, "train": 15, "validation": 3, "test": 4, "canaries": 2, "repeats": 3}
    data = TinyShakespeare(plays, **fields).load()
    assert data.validation is not None
    assert (len(data.train), len(data.validation), len(data.test)) == (15 + 6, 3, 4)

    def letters(tokens: Tensor) -> str:
        return "".join(CHARACTERS[i] for i in tokens)

    def text(shift: int) -> str:
        return "".join(CHARACTERS[(i * i + shift) % 65] for i in range(200))

    for row in range(15):
        assert letters(data.train.inputs[row]) == text(0)[10 * row : 10 * row + 10]
        assert letters(data.train.targets[row]) == text(0)[10 * row + 1 : 10 * row + 11]
    canaries = [letters(row) for row in data.extra["canaries"]]
    assert canaries == [text(2)[:11], text(2)[10:21]]
    assert [letters(row) + "." for row in data.train.inputs[15:]] == 3 * [
        canary[:-1] + "." for canary in canaries
    ]
    assert letters(data.test.inputs[0]) == text(2)[20:30]
    with pytest.raises(BadRequest, match="there are 19 windows of 11 characters"):
        TinyShakespeare(plays, context=10, train=20).load()


def test_likelihood_counts_the_positions_of_the_mask() -> None:
    data = Products(None, train=5, validation=0, test=30).load()
    table = torch.randn(12, 12, generator=torch.Generator().manual_seed(0)).double()
    found = ppr.build("evaluator", "language_model")(subject(Bigrams(table), data))
    terms = [
        table[a].log_softmax(0)[b].item()
        for inputs, targets in zip(data.test.inputs, data.test.targets, strict=True)
        for a, b in list(zip(inputs, targets, strict=True))[-4:]
    ]
    assert found["nll"] == pytest.approx(-sum(terms) / len(terms))
    assert found["perplexity"] == pytest.approx(torch.tensor(found["nll"]).exp().item(), rel=1e-6)


def test_numbers_are_decoded_digit_by_digit() -> None:
    """Digits go up by one after '=', which continues as 0: every answer is 0123."""
    table = torch.zeros(12, 12)
    for digit in range(10):
        table[digit, (digit + 1) % 10] = 1
    table[ALPHABET.index("="), 0] = 1
    table[:, ALPHABET.index("*")] = 5  # the likeliest of all, but no digit
    data = Products(None, train=5, validation=0, test=400).load()
    found = ppr.build("evaluator", "numbers")(subject(Bigrams(table), data))
    truth = [int("".join(ALPHABET[i] for i in row[-4:])) for row in data.test.targets]
    errors = [abs(123 - value) for value in truth]
    assert found["mae"] == pytest.approx(sum(errors) / 400)
    assert found["exact"] == pytest.approx(sum(e == 0 for e in errors) / 400)
    assert found["mae_wrong"] == pytest.approx(sum(errors) / sum(e > 0 for e in errors))


def test_recited_passages() -> None:
    """A model that counts upwards recites the passage that counts, and half of one that stops."""
    data = Products(None, train=5, validation=0, test=5).load()
    counting = torch.arange(10)
    stops = torch.tensor([0, 1, 2, 3, 4, 5, 6, 6, 6, 6])
    data = replace(data, extra={"canaries": torch.stack([counting, stops])})
    model = Bigrams(torch.eye(12).roll(1, 1))
    found = ppr.build("evaluator", "memorisation", prefix=4)(subject(model, data))
    assert found["exact"] == 0.5
    assert found["recited"] == pytest.approx((1 + 3 / 6) / 2)
    assert found["rouge_l"] == pytest.approx((1 + 3 / 6) / 2)
    with pytest.raises(BadRequest, match="prefix=10: must be less, canaries have 10 tokens"):
        ppr.build("evaluator", "memorisation", prefix=10)(subject(model, data))


def test_longest_common_subsequence() -> None:
    assert _common([1, 2, 3, 4], [2, 4, 3, 9]) == 2
    assert _common([1, 2, 1, 3], [1, 2, 1, 3]) == 4
    a, b = [1, 2, 2, 7, 5], [9, 1, 2, 7, 2, 5]
    matched = SequenceMatcher(None, a, b, autojunk=False).get_matching_blocks()
    assert _common(a, b) >= sum(block.size for block in matched)
    assert _common(a, b) == 4


def test_the_hash_sees_the_order_and_only_the_context() -> None:
    texts = torch.randint(65, (50, 40), generator=torch.Generator().manual_seed(0))
    whole = keys(texts, 5)
    assert (whole[:, :5] == PRIME).all()
    assert torch.equal(keys(texts[:, 7:], 5)[:, 5:], whole[:, 12:])
    own = texts.clone()
    own[:, 20] = (own[:, 20] + 1) % 65
    changed = keys(own, 5) != whole
    assert changed[:, 21:26].all()
    assert changed.sum() == 50 * 5
    assert (keys(texts.flip(1), 5)[:, 5:] != whole[:, 5:]).any()
    assert (keys(texts[:, :3], 5) == PRIME).all()


def test_random_and_static_masks() -> None:
    tokens = torch.zeros(100, 40, dtype=torch.int64)
    static = ppr.build("loss", "goldfish", k=4, strategy="static").kept(tokens)
    assert static[0].tolist() == [i % 4 != 3 for i in range(40)]
    random = ppr.build("loss", "goldfish", k=4, strategy="random")
    first, second = random.kept(tokens), random.kept(tokens)
    assert first.double().mean().item() == pytest.approx(0.75, abs=0.03)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("name", ["goldfish_mask", "number_token_minima", "jml_identities"])
def test_studies_measure(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PPR_RESULTS", str(tmp_path))
    fields = ["task.passages=50"] if name == "goldfish_mask" else ["task.samples=500"]
    metrics = execute_here(compose([f"experiment={name}", *fields]), Watcher())["metrics"]
    if name == "goldfish_mask":
        assert metrics["mask"]["agreement"] == 1
        assert metrics["mask"]["rate"] == pytest.approx(0.25, abs=0.02)
        assert metrics["mask"]["start"] < 0.8
    elif name == "number_token_minima":
        assert metrics["split"] == {"wasserstein": 4.0, "mse": 0.0}
        assert metrics["least"]["wasserstein"] >= 0.5
    else:
        assert metrics["half"]["at_label_soft"] == pytest.approx(2 / 3)
        assert metrics["triple"]["excess_jml1"] < 1e-12


def test_goldfish_smoke_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PPR_RESULTS", str(tmp_path))
    words = ["experiment=goldfish_shakespeare", "scale=smoke", "engine.device=cpu"]
    metrics = execute_here(compose(words), Watcher())["metrics"]
    assert metrics["language_model"]["nll"] == pytest.approx(4.17, abs=0.5)  # log 65
    assert 0 <= metrics["memorisation"]["exact"] <= 1
