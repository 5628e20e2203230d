"""Which tokens may be sampled: top-p, min-p and top-H, over any next-token probabilities.

Rows p [N, V] -> masks [N, V]; `truncate` then renormalises. The most probable token always stays.

    top_p     the most probable tokens up to a mass of `parameter`, the one that reaches it included
    min_p     tokens of at least `parameter` times the largest probability
    top_h     "Top-H Decoding: Adapting the Creativity and Coherence with Bounded Entropy in Text
              Generation", 2025, arXiv:2509.02510: by decreasing p while the renormalised entropy is
              bounded,
                  H(q_S) <= alpha H(p),   H(q_S) = log G - (1/G) sum_S p log p,  G = sum_S p
    released  what the authors' processor does (ErfanBaghaei/Top-H-Decoding, logit_processor.py):
              among the 100 most probable, while sum_S -p log p <= alpha sum_100 -p log p. The terms
              of its test that would renormalise cancel; it does not bound H(q_S).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Rule = Literal["none", "top_p", "min_p", "top_h", "released"]
CONSIDERED = 100


def entropy_terms(p: Tensor) -> Tensor:
    """-p log p, 0 at 0."""
    terms: Tensor = torch.special.entr(p)
    return terms


def keep(p: Tensor, rule: Rule, parameter: float) -> Tensor:
    if rule == "none":
        return p > 0
    if rule == "min_p":  # of a parameter above 1 as of 1, for the most probable token stays
        return p >= min(parameter, 1) * p.max(1, keepdim=True).values
    ordered, places = p.sort(dim=1, descending=True, stable=True)
    mass, terms = ordered.cumsum(1), entropy_terms(ordered).cumsum(1)
    if rule == "top_p":
        fine = mass - ordered < parameter
    elif rule == "top_h" and parameter >= 1:
        # H(q_S) grows with S up to H(p); rounding would drop the last token.
        fine = torch.ones_like(ordered, dtype=torch.bool)
    elif rule == "top_h":
        fine = mass.log() + terms / mass <= parameter * terms[:, -1:]
    else:
        last = min(CONSIDERED, p.shape[1])
        fine = terms <= parameter * terms[:, last - 1 : last]
        fine[:, last:] = False
    fine[:, 0] = True
    # The first token that does not fit ends it, whatever rounding says of later ones.
    fine = fine.cumprod(1).bool() & (ordered > 0)
    return torch.zeros_like(fine).scatter(1, places, fine)


def truncate(p: Tensor, rule: Rule, parameter: float) -> Tensor:
    left = p * keep(p, rule, parameter)
    return left / left.sum(1, keepdim=True)
