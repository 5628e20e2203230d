"""Linear probe: a linear classifier trained on the frozen features of the train split.

    minimise over W, b:  1/N * sum_i CE(W f_i + b, y_i) + weight_decay/2 * |W|^2

`optimizer=sgd` is the linear stage of Khosla et al., Supervised Contrastive Learning,
https://arxiv.org/abs/2004.11362, as in main_linear.py of HobbitLong/SupContrast: momentum 0.9, no
weight decay, 100 epochs, rate times 0.2 after 60, 75 and 90 % of them; rate and batch from the
command in its README (lr 5, batch 512; for SimCLR lr 1). There the features are those of randomly
augmented images (`augment: true`) and the printed accuracy is that of the best *test* epoch. Here
`top1` is the last epoch's, and `best_top1` is the test accuracy at the epoch that is best on the
validation split. SGD's weight decay includes the bias.

`optimizer=lbfgs` solves the problem: full batches until converged, the bias not decayed, which is
scikit-learn's LogisticRegression with C = 1 / (N * weight_decay); with two classes 2 / (N *
weight_decay), for scikit-learn has one vector there and W two. It ignores lr, epochs and
batch_size.

`target` probes another label of the samples than the targets, by its name in `Split.extra`: the
digit, of an encoder that has learned odd from even.

Metrics, fractions of 1: `top1`; `top5` with more than five classes; `best_top1` where SGD ran, the
test split is measured and there is a validation split. And `nll` of L-BFGS's probe, the mean log
loss in nats.

Raises BadRequest for fields that exclude each other, for more labels per class than there are, for
augmentation or a `target` where there is none; RunFailed on NaN or infinite features and on
divergence.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from ppr.engine.subject import Subject
from ppr.errors import BadRequest, RunFailed, choices
from ppr.evaluators.classification.accuracy import top_accuracies
from ppr.fields import Count, NonNegative, Positive
from ppr.registry import component

WHERE = "evaluator.linear"
MOMENTUM = 0.9
DECAY = 0.2
DECAY_AFTER = (60, 75, 90)  # % of the epochs
LBFGS_ITERATIONS = 2000
CONVERGED = 1e-6  # largest entry of the gradient of the objective


@component("evaluator", keeps="samples")
class Linear:
    needs: ClassVar[Literal["features", "logits"]] = "features"

    def __init__(
        self,
        *,
        optimizer: Literal["sgd", "lbfgs"] = "sgd",
        epochs: Count = 100,
        batch_size: Count = 512,
        lr: Positive = 5.0,
        weight_decay: NonNegative = 0.0,
        labels_per_class: Count | None = None,
        augment: bool = False,
        scaling: Literal["none", "unit_norm", "standardise"] = "none",
        target: str | None = None,
    ) -> None:
        if optimizer == "lbfgs" and weight_decay == 0:
            raise BadRequest(
                f"{WHERE}.weight_decay=0: must be greater than 0 with optimizer=lbfgs, because "
                "separable features have no finite optimum"
            )
        if optimizer == "lbfgs" and augment:
            raise BadRequest(f"{WHERE}.augment=True: allowed with optimizer=sgd only")
        self.optimizer = optimizer
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.weight_decay = weight_decay
        self.labels_per_class = labels_per_class
        self.augment = augment
        self.scaling = scaling
        self.target = target

    def protocol(self) -> dict[str, object]:
        shared: dict[str, object] = {
            "probe": "offline, linear",
            "features": "frozen, eval mode",
            "fitted_on": "train",
            "labels_per_class": self.labels_per_class or "all",
            "scaling": self.scaling,
            "optimizer": self.optimizer,
            "weight_decay": self.weight_decay,
            "augment": self.augment,
        }
        if self.target is not None:
            shared["target"] = self.target
        if self.optimizer == "lbfgs":
            return {**shared, "top1": "converged"}
        return {
            **shared,
            "lr": self.lr,
            "lr_decay": DECAY,
            "lr_decay_after_percent": list(DECAY_AFTER),
            "momentum": MOMENTUM,
            "batch_size": self.batch_size,
            "epochs": self.epochs,
            "top1": "last epoch",
            "best_top1": "epoch of the best validation top1",
        }

    def __call__(self, subject: Subject) -> dict[str, float]:
        classes = len(self._names(subject))
        rows = self._labelled(subject)
        features, labels = self._probed(subject, "train")
        if rows is not None:
            features, labels = features[rows], labels[rows]
        scale = self._scaler(features)
        measured, target = self._probed(subject, subject.target_split)
        measured = scale(measured)

        if self.optimizer == "lbfgs":
            probe = _solve(scale(features), labels, classes, self.weight_decay)
            scores = _scores(probe, measured)
            nll = F.cross_entropy(scores.double(), target).item()
            return {**top_accuracies(scores, target), "nll": nll}

        noise = subject.generator("linear/augment")
        cached = scale(features)

        def draw() -> Tensor:
            return scale(subject.augmented(rows, noise, WHERE)) if self.augment else cached

        watched = [(measured, target)]
        if subject.target_split == "test" and subject.dataset.validation is not None:
            held_out, held_out_target = self._probed(subject, "validation")
            watched.append((scale(held_out), held_out_target))
        history: list[Tensor] = []

        def record(probe: Tensor) -> None:
            if len(watched) == 2:
                history.append(torch.stack([_right(probe, *split) for split in watched]))

        order = subject.generator("linear/sgd", "cpu")
        probe = self._descend(draw, labels, classes, order, record)
        scores = _scores(probe, measured)
        if not scores.isfinite().all():
            raise RunFailed(
                f"{WHERE}.lr={self.lr}: the probe diverged; lower it, or set scaling=standardise"
            )
        metrics = top_accuracies(scores, target)
        if history:
            on_test, on_validation = torch.stack(history).unbind(dim=1)
            metrics["best_top1"] = int(on_test[on_validation.argmax()]) / len(target)
        return metrics

    def _labels(self, subject: Subject, split: str) -> Tensor:
        part = subject.split(split)
        if self.target is None:
            return part.targets
        known = getattr(part, "extra", {})
        if self.target not in known:
            what = choices(self.target, known)
            raise BadRequest(f"{WHERE}.target={self.target}: the {split} split has none; {what}")
        labels: Tensor = known[self.target]
        return labels

    def _names(self, subject: Subject) -> tuple[str, ...]:
        """The probed classes' names; their numbers, where the data set names none."""
        if self.target is None:
            subject.class_count(WHERE)
            return subject.dataset.classes
        return tuple(map(str, range(int(self._labels(subject, "train").max()) + 1)))

    def _probed(self, subject: Subject, split: str) -> tuple[Tensor, Tensor]:
        """Features of a split and the labels to tell from them."""
        features, targets = subject.features(split, WHERE)
        if self.target is not None:
            targets = self._labels(subject, split).to(targets.device)
        return features, targets

    def _labelled(self, subject: Subject) -> Tensor | None:
        """Rows of a class-balanced random part of the train split; None for all of it."""
        names, labels = self._names(subject), self._labels(subject, "train").cpu()
        counts = labels.bincount(minlength=len(names))
        if int((counts > 0).sum()) < 2:
            raise BadRequest(f"{WHERE}: needs two classes, the train split holds one")
        if self.labels_per_class is None:
            return None
        if self.labels_per_class > int(counts.min()):
            fewest = names[int(counts.argmin())]
            raise BadRequest(
                f"{WHERE}.labels_per_class={self.labels_per_class}: must be at most "
                f"{int(counts.min())}, the training samples of class {fewest!r}"
            )
        shuffled = torch.randperm(len(labels), generator=subject.generator("linear/labels", "cpu"))
        by_class = shuffled[labels[shuffled].argsort(stable=True)]
        rank = torch.arange(len(labels)) - (counts.cumsum(0) - counts).repeat_interleave(counts)
        return by_class[rank < self.labels_per_class].sort().values.to(subject.device)

    def _scaler(self, fitted: Tensor) -> Callable[[Tensor], Tensor]:
        if self.scaling == "none":
            return lambda features: features
        if self.scaling == "unit_norm":
            return F.normalize
        std, mean = torch.std_mean(fitted, dim=0, correction=0)
        std = torch.where(std > 0, std, 1)  # a constant feature becomes zero, not NaN
        return lambda features: (features - mean) / std

    def rate(self, epoch: int) -> float:
        """The learning rate of an epoch, counted from 0."""
        decays = sum(100 * epoch >= percent * self.epochs for percent in DECAY_AFTER)
        return float(self.lr * DECAY**decays)

    def _descend(
        self,
        draw: Callable[[], Tensor],
        labels: Tensor,
        classes: int,
        generator: torch.Generator,
        after_epoch: Callable[[Tensor], None],
    ) -> Tensor:
        """Train a probe by SGD, on the features that `draw` gives for each epoch.

        The gradient of softmax regression, X^T (softmax(XW) - Y) / n, is written out: a step then
        launches a few small kernels, several times fewer than autograd and an optimizer do.
        """
        features = draw()
        width = features.shape[1]
        # torch.nn.Linear's own initialisation, drawn where it is the same for every device.
        bound = width**-0.5
        probe = torch.empty(width + 1, classes).uniform_(-bound, bound, generator=generator)
        probe = probe.to(features.device)
        velocity = torch.zeros_like(probe)
        one_hot = torch.eye(classes, device=features.device)
        for epoch in range(self.epochs):
            lr = self.rate(epoch)
            if self.augment and epoch > 0:
                features = draw()
            x = _with_bias(features)
            order = torch.randperm(len(labels), generator=generator).to(labels.device)
            for batch in torch.split(order, self.batch_size):
                x_batch = x[batch]
                residual = (x_batch @ probe).softmax(dim=1).sub_(one_hot[labels[batch]])
                velocity.mul_(MOMENTUM).add_(probe, alpha=self.weight_decay)
                velocity.addmm_(x_batch.T, residual, alpha=1 / len(batch))
                probe.sub_(velocity, alpha=lr)
            after_epoch(probe)
        return probe


def _with_bias(features: Tensor) -> Tensor:
    """A column of ones behind the features, so that a probe [F+1, C] ends in its bias."""
    return F.pad(features, (0, 1), value=1.0)


def _scores(probe: Tensor, features: Tensor) -> Tensor:
    return _with_bias(features) @ probe


def _right(probe: Tensor, features: Tensor, target: Tensor) -> Tensor:
    """How many are right, left on the device: reading it would wait for it, every epoch."""
    return (_scores(probe, features).argmax(dim=1) == target).sum()


def _solve(features: Tensor, labels: Tensor, classes: int, weight_decay: float) -> Tensor:
    """The probe [F+1, C] of multinomial logistic regression, solved in float64."""
    where = torch.device("cpu") if features.device.type == "mps" else features.device  # no float64
    x, y = _with_bias(features).to(where, torch.float64), labels.to(where)
    probe = x.new_zeros((x.shape[1], classes), requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [probe],
        max_iter=LBFGS_ITERATIONS,
        history_size=20,
        tolerance_grad=CONVERGED,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )

    def objective() -> Tensor:
        with torch.enable_grad():  # whoever evaluates may have switched it off
            loss = F.cross_entropy(x @ probe, y) + weight_decay / 2 * probe[:-1].square().sum()
            (probe.grad,) = torch.autograd.grad(loss, probe)
        return loss.detach()

    optimizer.step(objective)  # type: ignore[no-untyped-call]
    objective()
    assert probe.grad is not None
    left = float(probe.grad.abs().max())
    if not left <= CONVERGED:
        raise RunFailed(
            f"{WHERE}.optimizer=lbfgs: not converged (gradient {left:.1e}); set "
            "scaling=standardise, or a larger weight_decay"
        )
    return probe.detach().to(features.device, features.dtype)
