"""Decoding against enumerations: of draw orders, of texts, of sets of tokens."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ppr.config.compose import compose
from ppr.decoding.awrs import awrs, expected_calls
from ppr.decoding.language import END, all_texts, allowed_mass, random_bigrams
from ppr.decoding.smc import sample, systematic
from ppr.decoding.trigram import TrigramModel
from ppr.decoding.truncation import keep, truncate
from ppr.engine.bench import Watcher
from ppr.launchers.execute import execute
from ppr.studies.llm_prompting_decoding.awrs_smc import LENGTH, VOCABULARY, can_end_well, laws
from ppr.studies.llm_prompting_decoding.top_h_bound import best_mass, random_laws
from ppr.studies.llm_prompting_decoding.top_h_text import distinct, words_of

WEIGHTS = [1, 4, 2, 3, 5]
VALID = [True, False, True, False, False]


def metrics(*words: str) -> dict[str, float]:
    return dict(execute(compose(words), Watcher())["metrics"]["measured"])


# Adaptive weighted rejection sampling


def enumerate_draws(p: list[Fraction], valid: list[bool]) -> tuple[list[Fraction], Fraction]:
    """The token's law and the mean weight, over every order in which tokens can be drawn."""
    law, mean = [Fraction(0)] * len(p), Fraction(0)

    def second(away: frozenset[int], chance: Fraction, first: Fraction) -> None:
        nonlocal mean
        left = 1 - sum(p[i] for i in away)
        for i in set(range(len(p))) - away:
            if valid[i]:
                mean += chance * p[i] / left * first / (len(away) + 1)
            else:
                second(away | {i}, chance * p[i] / left, first)

    def once(away: frozenset[int], chance: Fraction) -> None:
        left = 1 - sum(p[i] for i in away)
        for i in set(range(len(p))) - away:
            if valid[i]:
                law[i] += chance * p[i] / left
                second(away, chance * p[i] / left, left)
            else:
                once(away | {i}, chance * p[i] / left)

    once(frozenset(), Fraction(1))
    return law, mean


def test_the_weight_is_unbiased_in_rational_numbers() -> None:
    p = [Fraction(w, sum(WEIGHTS)) for w in WEIGHTS]
    law, mean = enumerate_draws(p, VALID)
    Z = sum(q for q, fine in zip(p, VALID, strict=True) if fine)
    assert mean == Z
    assert law == [q / Z if fine else 0 for q, fine in zip(p, VALID, strict=True)]


def test_draws_follow_the_law_with_that_weight() -> None:
    p = torch.tensor(WEIGHTS).double() / sum(WEIGHTS)
    valid = torch.tensor(VALID)
    random = torch.Generator().manual_seed(0)
    drawn = awrs(p.expand(50_000, -1), lambda _, tokens: valid[tokens], random)
    Z = p[valid].sum()
    assert drawn.weights.mean().item() == pytest.approx(Z.item(), abs=0.005)
    share = torch.bincount(drawn.tokens, minlength=5) / 50_000
    assert torch.allclose(share, torch.where(valid, p / Z, 0.0).float(), atol=0.01)
    assert drawn.calls.mean().item() == pytest.approx(expected_calls(p, valid), rel=0.01)


def test_two_tokens_one_valid() -> None:
    """p^2 + p (1-p)/2 + (1-p) p = ... worked out in the paper's row: w is 1, 1/2 or p."""
    p = torch.tensor([[0.3, 0.7]]).double().expand(2000, -1)
    drawn = awrs(p, lambda _, tokens: tokens == 0, torch.Generator().manual_seed(1))
    assert (drawn.tokens == 0).all()
    assert {round(w, 6) for w in drawn.weights.tolist()} == {1.0, 0.5, 0.15}


def test_nothing_valid_has_no_weight() -> None:
    p = torch.full((3, 4), 0.25).double()
    none = awrs(p, lambda _, tokens: tokens < 0, torch.Generator().manual_seed(0))
    assert none.tokens.tolist() == [-1] * 3
    assert none.weights.tolist() == [0] * 3
    assert none.calls.tolist() == [4] * 3
    rows = awrs(p, lambda rows, tokens: tokens == rows, torch.Generator().manual_seed(0))
    assert rows.tokens.tolist() == [0, 1, 2]


# Texts under a constraint


def allowed(text: tuple[int, ...]) -> bool:
    return len(text) >= 2 and text[-2:] == (1, 1)


def test_constraint_keeps_what_can_still_be_allowed() -> None:
    texts = [
        text
        for n in range(LENGTH + 1)
        for text in itertools.product(range(1, VOCABULARY), repeat=n)
        if allowed(text)
    ]
    alive = {text[:n] for text in texts for n in range(len(text) + 1)}
    for n in range(4):
        for prefix in itertools.product(range(1, VOCABULARY), repeat=n):
            if prefix not in alive:
                continue
            rows = torch.tensor([prefix] * VOCABULARY).view(VOCABULARY, n).long()
            found = can_end_well(rows, torch.arange(VOCABULARY)).tolist()
            expected = [
                allowed(prefix) if token == END else (*prefix, token) in alive
                for token in range(VOCABULARY)
            ]
            assert found == expected, prefix


def test_laws_of_texts() -> None:
    model = random_bigrams(VOCABULARY, torch.Generator().manual_seed(3))
    texts = all_texts(VOCABULARY, LENGTH)
    true, local, Z = laws(model, texts)
    total = 0.0
    for row, share in zip(texts.tolist(), true.tolist(), strict=True):
        text = tuple(token for token in row if token != END)
        p = model.start[row[0]].item()
        for a, b in itertools.pairwise([*text, END]):
            p *= model.after[a, b].item()
        p *= allowed(text)
        assert share == pytest.approx(p / Z.item(), abs=1e-15)
        total += p
    assert Z.item() == pytest.approx(total)
    assert local.sum().item() == pytest.approx(1)


@pytest.mark.parametrize("sampler", ["mask", "awrs"])
def test_particles_come_to_the_true_law(sampler: str) -> None:
    found = metrics("experiment=awrs_smc", f"task.sampler={sampler}", "task.runs=100")
    local = metrics("experiment=awrs_smc", "task.sampler=local")
    assert found["mass"] == local["mass"] >= 0.05
    assert found["distance"] < 0.3 * local["distance"]


def test_systematic_resampling_keeps_shares() -> None:
    weights = torch.tensor([[0.5, 0.25, 0.25, 0.0], [0.0, 0.0, 0.0, 1.0]]).double()
    picked = systematic(weights, torch.Generator().manual_seed(0))
    assert [torch.bincount(row, minlength=4).tolist() for row in picked] == [
        [2, 1, 1, 0],
        [0, 0, 0, 4],
    ]


def test_weights_of_a_run_add_up() -> None:
    model = random_bigrams(VOCABULARY, torch.Generator().manual_seed(3))
    random = torch.Generator().manual_seed(0)
    texts, weights = sample(model, can_end_well, LENGTH + 1, "mask", random, runs=3, particles=8)
    assert weights.sum(1).tolist() == pytest.approx([1.0] * 3)
    for text in texts.flatten(0, 1).tolist():
        assert allowed(tuple(token for token in text if token != END))
    mass = allowed_mass(model, can_end_well, torch.zeros(1, 0).long())
    assert mass[0, END] == 0


# Truncation


def entropy(p: list[float]) -> float:
    return -sum(q * math.log(q) for q in p if q > 0)


laws_of_floats = st.lists(st.floats(1e-6, 1), min_size=2, max_size=7).map(
    lambda values: [v / math.fsum(values) for v in values]
)


@given(law=laws_of_floats, alpha=st.floats(0.05, 0.95))
def test_top_h_is_greedy_and_never_above_the_best_set(law: list[float], alpha: float) -> None:
    p = torch.tensor([law]).double()
    kept = keep(p, "top_h", alpha)[0]
    order = sorted(range(len(law)), key=lambda i: -law[i])
    chosen = [law[order[0]]]
    for i in order[1:]:
        mass = sum([*chosen, law[i]])
        if entropy([q / mass for q in [*chosen, law[i]]]) > alpha * entropy(law) + 1e-9:
            break
        chosen.append(law[i])
    found = p[0, kept].sum().item()
    assert found == pytest.approx(sum(chosen), abs=1e-6) or found < sum(chosen)
    assert found <= best_mass(p, alpha).item() + 1e-9


def test_best_set_is_that_of_all_subsets() -> None:
    for row in random_laws(6, 5, 0):
        p = row.tolist()
        best = 0.0
        for size in range(1, 6):
            for some in itertools.combinations(p, size):
                mass = sum(some)
                if size == 1 or entropy([q / mass for q in some]) <= 0.4 * entropy(p):
                    best = max(best, mass)
        assert best_mass(row[None], 0.4).item() == pytest.approx(best)


@pytest.mark.parametrize(
    ("rule", "parameter", "expected"),
    [
        ("none", 0.0, [1, 1, 1, 1]),
        ("top_p", 0.5, [1, 0, 0, 0]),
        ("top_p", 0.6, [1, 1, 0, 0]),
        ("min_p", 0.3, [1, 1, 0, 0]),
        ("min_p", 0.1, [1, 1, 1, 1]),
        ("released", 1.0, [1, 1, 1, 1]),
        ("top_h", 1.0, [1, 1, 1, 1]),
        ("top_h", 0.0, [1, 0, 0, 0]),
    ],
)
def test_rules_on_one_law(rule: str, parameter: float, expected: list[int]) -> None:
    p = torch.tensor([[0.5, 0.3, 0.1, 0.1]]).double()
    kept = keep(p, rule, parameter)  # type: ignore[arg-type]
    assert kept[0].int().tolist() == expected
    left = truncate(p, rule, parameter)[0]  # type: ignore[arg-type]
    assert left.sum().item() == pytest.approx(1)


def test_released_rule_is_a_partial_entropy() -> None:
    p = random_laws(1, 300, 1)
    ordered = sorted(p[0].tolist(), reverse=True)
    terms = [-q * math.log(q) for q in ordered]
    budget, total, count = 0.4 * sum(terms[:100]), 0.0, 0
    for term in terms[:100]:
        total += term
        if total > budget:
            break
        count += 1
    assert keep(p, "released", 0.4).sum().item() == max(count, 1)


def test_bound_study() -> None:
    found = metrics("experiment=top_h_bound", "task.vocabulary=8", "task.laws=60")
    assert found["violations"] == 0
    assert found["increment"] < 1e-12
    assert found["above"] < 1e-12
    broken = metrics("experiment=top_h_bound", "task.rule=released", "task.laws=60")
    assert broken["violations"] > 0.1


# The trigram model


def witten_bell(text: list[int], prefix: list[int], V: int) -> list[float]:
    p = [text.count(w) / len(text) for w in range(V)]
    for n in (1, 2):
        if len(prefix) < n:
            break
        context = prefix[-n:]
        after = [text[i + n] for i in range(len(text) - n) if text[i : i + n] == context]
        if after:
            kinds = len(set(after))
            p = [(after.count(w) + kinds * p[w]) / (len(after) + kinds) for w in range(V)]
    return p


def test_trigram_is_witten_bell() -> None:
    text = [0, 1, 2, 0, 1, 3, 0, 1, 2, 2, 0, 4, 1]
    model = TrigramModel(torch.tensor(text), 5)
    for prefix in ([], [1], [0, 1], [3, 3], [4, 1], [2, 0]):
        rows: Tensor = torch.tensor([prefix, prefix]).long().view(2, len(prefix))
        for row in model(rows):
            assert row.tolist() == pytest.approx(witten_bell(text, prefix, 5))
            assert row.sum().item() == pytest.approx(1)


def test_words_and_distinct_triples() -> None:
    assert words_of("To be, or NOT to be's") == ["to", "be", ",", "or", "not", "to", "be's"]
    assert distinct(torch.tensor([[1, 2, 3, 1, 2, 3], [1, 2, 3, 4, 5, 6]])) == pytest.approx(6 / 8)
