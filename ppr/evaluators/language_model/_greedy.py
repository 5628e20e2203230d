"""Greedy decoding, for evaluators of language models."""

from __future__ import annotations

import torch
from torch import Tensor

from ppr.engine.subject import Subject, evaluating
from ppr.errors import BadRequest


def continued(
    subject: Subject, prefix: Tensor, length: int, by: str, among: int | None = None
) -> Tensor:
    """The likeliest next token, again and again: prefixes [B, P] -> their next tokens [B, length].

    `among`: only tokens below it are chosen from.

    Raises:
        BadRequest: the subject has no network.
    """
    if subject.network is None:
        raise BadRequest(f"{by}: needs a task whose network it can run on a text")
    texts = prefix.to(subject.device)
    with evaluating(subject.network), torch.no_grad(), subject.autocast():
        for _ in range(length):
            best = subject.network(texts)[:, -1, :among].argmax(-1, keepdim=True)
            texts = torch.cat([texts, best], dim=1)
    return texts[:, prefix.shape[1] :]
