"""Language model: negative log-likelihood of the next token, and perplexity.

    nll = -1/|M| sum_{i in M} log p(x_i | x_<i),    perplexity = exp(nll)

over the positions M of a split that count, of its `extra["mask"]`, or all without one. The first
tokens of a window have little before them; windows do not overlap.

Metrics: `nll`, in nats a token; `perplexity`; `accuracy`, how often the likeliest token is right, a
fraction of 1.

Raises BadRequest if the task has no network with outputs at every position, or none counts.
"""

from __future__ import annotations

import math

from ppr.engine.subject import Subject
from ppr.errors import BadRequest
from ppr.losses._positions import negative_log_likelihood
from ppr.registry import component

WHERE = "evaluator.language_model"


@component("evaluator")
class LanguageModel:
    def protocol(self) -> dict[str, object]:
        return {"measures": "the next token, given those before", "epoch": "last", "nll": "nats"}

    def __call__(self, subject: Subject) -> dict[str, float]:
        mask = getattr(subject.split(subject.target_split), "extra", {}).get("mask")
        total = right = count = 0.0
        done = 0
        for outputs, tokens in subject.outputs(subject.target_split, WHERE):
            nll = negative_log_likelihood(outputs.double(), tokens)
            hit = outputs.argmax(-1) == tokens
            if mask is not None:
                part = mask[done : done + len(tokens)].to(tokens.device)
                nll, hit = nll[part], hit[part]
            done += len(tokens)
            total += nll.sum().item()
            right += hit.sum().item()
            count += hit.numel()
        if not count:
            raise BadRequest(f"{WHERE}: no position of the {subject.target_split} split counts")
        nll_mean = total / count
        return {
            "nll": nll_mean,
            "perplexity": math.exp(min(nll_mean, 700.0)),
            "accuracy": right / count,
        }
