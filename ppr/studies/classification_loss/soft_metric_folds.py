"""Networks of two hidden units trained on metrics of a soft confusion matrix, in five folds.

Han, Moon, "AnyLoss: Transforming Classification Metrics into Loss Functions", arXiv:2405.14745, at
the settings of the authors' notebooks (doheonhan/anyloss_extension at 0074373). For targets y in
{0, 1} and outputs p of a batch,

    a = 1 / (1 + exp(-L (p - 1/2)))                       near 0 or 1 for a large L
    TP = sum y a,  FP = sum (1-y) a,  FN = sum y (1-a),  TN = sum (1-y)(1-a)
    loss = 1 - metric:  f1                 2 TP / (sum y + sum a + s)
                        gmean              TP TN / (n1 n0 + s)    (released; its root in the paper)
                        balanced_accuracy  (n0 TP + n1 TN) / (2 n1 n0 + s)

with n1, n0 the batch's samples of each class and s = 1e-5; beside them mse, mean (y - p)^2, bce,
and weighted_bce, -mean [n0/N y log(p + s) + n1/N (1-y) log(1 - p + s)]. A network is linear to two
units, batch norm (Keras's: 0.99 of the old average, 1e-3), sigmoid, linear to one output; Adam;
batches of 5 %, 50 epochs a fold; StratifiedKFold(5, shuffle, 2). The networks of a run begin with
one draw of He's weights (the authors' with that of seed 100), each with its own of Glorot's for the
last layer, and see the same batches. What their code takes for N in an epoch's last, smaller batch
is the size of the others; here it is its own.

`setting: breast_cancer` (scikit-learn's 569 samples, standardised, malignant as 1): an arm a loss,
outputs of a sigmoid, Adam at 0.01, a new network for each fold, L = 30. `setting: sharpness`
(10,000 drawn samples, a tenth of class 1, two principal components): an arm a value of L = 1, 4, …,
100 and one of bce; as released, outputs without a sigmoid (but for bce), Adam at 0.001 and one
network through all folds, so that from the second on its test samples have been trained on; `fresh`
has a new one for each.

Metrics: `<arm>/f1`, `/gmean`, `/balanced_accuracy` of the held-out samples at a threshold of 1/2,
the mean over folds; `over_bce/<arm>` and `over_weighted_bce/<arm>`, how much an arm of a soft
metric is ahead in that metric. Arms of `sharpness` are called L1, L4, …; `collapsed/<arm>` is 1
where the last fold's predictions are all of one class.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ppr.engine.bench import Bench
from ppr.engine.seeding import generator
from ppr.fields import Count, Literal, Positive
from ppr.registry import component
from ppr.studies.study import Study

HIDDEN, FOLDS, SHARE, SMALL = 2, 5, 0.05, 1e-5
KEEP, EPSILON = 0.99, 1e-3
SHARPNESS = tuple(range(1, 101, 3))
METRICS = ("f1", "gmean", "balanced_accuracy")


def soft_metric(metric: str, a: Tensor, y: Tensor) -> Tensor:
    """1 - metric of outputs a [..., N] near 0 or 1 and targets y [N]."""
    n1, n = y.sum(), len(y)
    n0 = n - n1
    tp, fp = (a * y).sum(-1), (a * (1 - y)).sum(-1)
    tn = n0 - fp
    value: Tensor = {
        "f1": lambda: 2 * tp / (n1 + a.sum(-1) + SMALL),
        "gmean": lambda: tp * tn / (n1 * n0 + SMALL),
        "balanced_accuracy": lambda: (n0 * tp + n1 * tn) / (2 * n1 * n0 + SMALL),
    }[metric]()
    return 1 - value


def sharpened(p: Tensor, sharpness: Tensor | float) -> Tensor:
    return torch.sigmoid(sharpness * (p - 0.5))


def plain(loss: str, p: Tensor, y: Tensor) -> Tensor:
    """Mean losses of chances p [..., N]."""
    if loss == "mse":
        return (y - p).square().mean(-1)
    one, none = torch.log(p + SMALL), torch.log(1 - p + SMALL)
    share = y.mean()
    w1, w0 = (1 - share, share) if loss == "weighted_bce" else (1.0, 1.0)
    return -(w1 * y * one + w0 * (1 - y) * none).mean(-1)


class Networks:
    """As many networks as there are arms, side by side; inputs [N, D], outputs [arms, N]."""

    def __init__(self, arms: int, inputs: int, random: torch.Generator) -> None:
        hidden = torch.empty(HIDDEN, inputs)
        torch.nn.init.trunc_normal_(hidden, 0, 1, -2, 2, generator=random)
        hidden *= (2 / inputs) ** 0.5 / 0.87962566103423978  # Keras's: of the cut-off deviation
        limit = (6 / (HIDDEN + 1)) ** 0.5
        last = (2 * torch.rand(arms, HIDDEN, generator=random) - 1) * limit
        start = (hidden, torch.zeros(HIDDEN), torch.ones(HIDDEN), torch.zeros(HIDDEN))
        self.parameters = [x.repeat(arms, *[1] * x.dim()).requires_grad_() for x in start]
        self.parameters += [last.requires_grad_(), torch.zeros(arms, requires_grad=True)]
        self.mean, self.variance = torch.zeros(arms, HIDDEN), torch.ones(arms, HIDDEN)

    def __call__(self, x: Tensor, *, training: bool) -> Tensor:
        hidden, bias, gain, shift, last, last_bias = self.parameters
        z = torch.einsum("nd,ahd->anh", x, hidden) + bias[:, None]
        if training:
            variance, mean = torch.var_mean(z, 1, correction=0)
            self.mean = KEEP * self.mean + (1 - KEEP) * mean.detach()
            self.variance = KEEP * self.variance + (1 - KEEP) * variance.detach()
        else:
            mean, variance = self.mean, self.variance
        z = (z - mean[:, None]) * torch.rsqrt(variance + EPSILON)[:, None]
        z = torch.sigmoid(z * gain[:, None] + shift[:, None])
        return torch.einsum("anh,ah->an", z, last) + last_bias[:, None]


def scores(predicted: NDArray[np.bool_], y: NDArray[np.int64]) -> dict[str, float]:
    """Of predictions [N]; F1 is 0 where nothing is predicted."""
    tp = int((predicted & (y == 1)).sum())
    fp = int((predicted & (y == 0)).sum())
    positives, negatives = int((y == 1).sum()), int((y == 0).sum())
    recall, specificity = tp / positives, 1 - fp / negatives
    return {
        "f1": 2 * tp / max(1, positives + tp + fp),
        "gmean": (recall * specificity) ** 0.5,
        "balanced_accuracy": (recall + specificity) / 2,
    }


@component("task")
class SoftMetricFolds(Study):
    def __init__(
        self,
        bench: Bench,
        *,
        setting: Literal["breast_cancer", "sharpness"] = "breast_cancer",
        fresh: bool = False,
        sharpness: Positive = 30.0,
        epochs: Count = 50,
    ) -> None:
        super().__init__(bench)
        self.setting, self.sharpness, self.epochs = setting, sharpness, epochs
        self.fresh = fresh or setting == "breast_cancer"
        self.arms = (
            ("mse", "bce", "weighted_bce", *METRICS)
            if setting == "breast_cancer"
            else (*(f"L{each}" for each in SHARPNESS), "bce")
        )
        self.rate = 0.01 if setting == "breast_cancer" else 0.001

    def check(self) -> None:
        self.epochs = 1
        super().check()

    def data(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Inputs [N, D] and classes [N], the rarer one 1."""
        from sklearn.datasets import load_breast_cancer, make_classification
        from sklearn.decomposition import PCA

        if self.setting == "breast_cancer":
            x, y = load_breast_cancer(return_X_y=True)
            return (x - x.mean(0)) / x.std(0, ddof=1), 1 - y
        x, y = make_classification(
            n_samples=10_000, weights=[0.9, 0.1], class_sep=1.2, n_features=5, n_informative=3,
            n_redundant=1, n_clusters_per_class=1, random_state=0,
        )  # fmt: skip
        return PCA(2, random_state=0).fit_transform(x), y

    def measure(self) -> dict[str, dict[str, float]]:
        from sklearn.model_selection import StratifiedKFold

        x, y = self.data()
        folds: list[dict[str, dict[str, float]]] = []
        collapsed: dict[str, float] = {}
        networks = optimizer = None
        self.random = generator(torch.device("cpu"), self.bench.seed, "folds")
        for rows, held in StratifiedKFold(FOLDS, shuffle=True, random_state=2).split(x, y):
            if networks is None or optimizer is None or self.fresh:
                networks = Networks(len(self.arms), x.shape[1], self.random)
                optimizer = torch.optim.Adam(networks.parameters, self.rate, eps=1e-7)
            size = int(len(rows) * SHARE) if self.fresh else int(len(x) * 0.9 * SHARE)
            inputs, classes = torch.from_numpy(x[rows]).float(), torch.from_numpy(y[rows]).float()
            self.train(networks, optimizer, inputs, classes, size)
            with torch.no_grad():
                outputs = networks(torch.from_numpy(x[held]).float(), training=False)
            chosen = self.chances(outputs).numpy() > 0.5
            folds.append({arm: scores(chosen[at], y[held]) for at, arm in enumerate(self.arms)})
            collapsed = {
                arm: float(chosen[at].all() or not chosen[at].any())
                for at, arm in enumerate(self.arms)
            }
        found = {
            arm: {name: float(np.mean([fold[arm][name] for fold in folds])) for name in METRICS}
            for arm in self.arms
        }
        if self.setting == "sharpness":
            ahead = {arm: found[arm]["f1"] - found["bce"]["f1"] for arm in self.arms[:-1]}
            return found | {"over_bce": ahead, "collapsed": collapsed}
        for other in ("bce", "weighted_bce"):
            ahead = {arm: found[arm][arm] - found[other][arm] for arm in METRICS}
            found |= {f"over_{other}": ahead}
        return found

    def chances(self, outputs: Tensor) -> Tensor:
        """What is compared with 1/2 [arms, N]: in `sharpness` as it is, but for bce's."""
        if self.setting == "breast_cancer":
            return torch.sigmoid(outputs)
        return torch.cat([outputs[:-1], torch.sigmoid(outputs[-1:])])

    def losses(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Of each arm [arms]."""
        p = self.chances(outputs)
        if self.setting == "breast_cancer":
            first = [plain(arm, p[at], y) for at, arm in enumerate(self.arms[:3])]
            sharp = sharpened(p[3:], self.sharpness)
            rest = [soft_metric(arm, sharp[at], y) for at, arm in enumerate(self.arms[3:])]
            return torch.stack([*first, *rest])
        sharpness = torch.tensor(SHARPNESS, dtype=p.dtype)[:, None]
        found = soft_metric("f1", sharpened(p[:-1], sharpness), y)
        return torch.cat([found, plain("bce", p[-1:], y)])

    def train(
        self,
        networks: Networks,
        optimizer: torch.optim.Optimizer,
        x: Tensor,
        y: Tensor,
        size: int,
    ) -> None:
        for _ in range(self.epochs):
            for rows in torch.split(torch.randperm(len(x), generator=self.random), size):
                loss = self.losses(networks(x[rows], training=True), y[rows]).sum()
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
