"""A class forgotten by a generator of images, by what is done with two gradients.

"UNO: Unlearning via Orthogonalization in Generative models", arXiv:2506.04712; code and settings of
modules/mnist in pinakm9/forget. A variational autoencoder x -> (mu, log sigma^2) -> z -> p, of loss

    L = sum BCE(p, x) - 1/2 sum (1 + log sigma^2 - mu^2 - sigma^2)

over a batch (sums, not means), has the gradients g_f on samples of class `forget` and g_r on
samples of the others. A step of Adam is along

    uno              grad [ L_r + `weight` (g_f . g_r)^2 / (|g_f|^2 |g_r|^2) ]    (second order)
    surgery          g_r less its part along g_f
    uno_surgery      uno at odd steps, surgery at even ones
    ascent           - g_f
    surgery_ascent   - (g_f less its part along g_r)
    alternating      ascent at odd steps, surgery at even ones (in the released code; its name says
                     descent)

`uniformity` times the divergence of the classifier's mean prediction on generated images from the
uniform one over the other classes is added to both losses, but at steps of surgery, as the released
UNO-S had it. Batch norms are in training mode all along, as there. The data set's published
weights are where all begins; random data, which `ppr check` asks for, has fresh ones.

Metrics. `forget/steps`: the first step at which the classifier finds a share of `forget` below
`threshold` among the `batch` images of fixed codes, each step's images being those before its
update; `steps` if none. After the last: `forget/share` among `samples` images of the network in
evaluation mode, and two distances to as many training images, in the classifier's hidden features:
`forget/frechet`, Frechet's, and `forget/released`, what the released code takes for it: the square
root is that of (C_1 C_2 + C_2 C_1) / 2, with negative eigenvalues set to 0. `before/…` are those of
the published generator.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector

from ppr.data.dataset import Split
from ppr.engine.bench import Bench, Outcome
from ppr.engine.seeding import generator, seed_everything
from ppr.evaluators.generative.generated import frechet
from ppr.fields import Count, Fraction, Literal, NonNegative, Positive, Whole
from ppr.registry import component
from ppr.studies.study import Study

HIDDEN, FEATURES = 400, 200


class VAE(nn.Module):
    def __init__(self, pixels: int, latent: int = 2) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(pixels, HIDDEN), nn.BatchNorm1d(HIDDEN), nn.ReLU())
        self.enc_mu = nn.Linear(HIDDEN, latent)
        self.enc_log_sigma = nn.Linear(HIDDEN, latent)
        self.decoder = nn.Sequential(
            nn.Linear(latent, HIDDEN), nn.BatchNorm1d(HIDDEN), nn.ReLU(),
            nn.Linear(HIDDEN, pixels), nn.Sigmoid(),
        )  # fmt: skip

    def loss(self, x: Tensor, random: torch.Generator) -> Tensor:
        """The sum over a batch [B, pixels], with one code drawn for each."""
        hidden = self.encoder(x)
        mu, log_variance = self.enc_mu(hidden), self.enc_log_sigma(hidden)
        noise = torch.randn(mu.shape, generator=random, device=mu.device)
        p = self.decoder(mu + noise * (0.5 * log_variance).exp())
        prior = -0.5 * (1 + log_variance - mu.square() - log_variance.exp()).sum()
        loss: Tensor = F.binary_cross_entropy(p, x, reduction="sum") + prior
        return loss


class Classifier(nn.Module):
    """Of the published state's layers; the released code leaves its batch norm out."""

    def __init__(self, pixels: int, classes: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(pixels, FEATURES), nn.Linear(FEATURES, classes)

    def features(self, x: Tensor) -> Tensor:
        return F.relu(self.fc1(x))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc2(self.features(x))
        return logits


def alignment(a: Tensor, b: Tensor) -> Tensor:
    """cos^2 of two vectors."""
    return (a @ b) ** 2 / ((a @ a) * (b @ b))


def without(a: Tensor, b: Tensor) -> Tensor:
    """A vector less its part along another."""
    return a - b * ((a @ b) / (b @ b))


def released_distance(x: Tensor, y: Tensor) -> float:
    """What the released code calls Frechet's distance, of samples [M, D] and [N, D]."""
    c, d = x.T.cov(), y.T.cov()
    product = c @ d
    root = torch.linalg.eigvalsh((product + product.T) / 2).clamp(min=0).sqrt().sum()
    means = (x.mean(0) - y.mean(0)).square().sum()
    return float(means + c.trace() + d.trace() - 2 * root)


def divergence(logits: Tensor, forget: int) -> Tensor:
    """KL of the mean prediction from the uniform one over all other classes, as released."""
    mean = logits.softmax(1).mean(0)
    target = torch.full_like(mean, 1 / (len(mean) - 1))
    target[forget] = 0
    return (mean * ((mean + 1e-8) / (target + 1e-8)).log()).sum()


@component("task", needs="weights")
class GradientUnlearning(Study):
    def __init__(
        self,
        bench: Bench,
        *,
        method: Literal[
            "uno", "uno_surgery", "surgery", "surgery_ascent", "ascent", "alternating"
        ] = "uno",
        steps: Count = 530,
        batch: Count = 128,
        lr: Positive = 0.001,
        weight: NonNegative = 1000.0,
        uniformity: NonNegative = 0.0,
        forget: Whole = 1,
        threshold: Fraction = 0.02,
        samples: Count = 10_000,
    ) -> None:
        super().__init__(bench)
        self.method, self.steps, self.batch, self.lr = method, steps, batch, lr
        self.weight, self.uniformity = weight, uniformity
        self.forget, self.threshold, self.samples = forget, threshold, samples
        data = bench.dataset
        assert isinstance(data.train, Split)
        self.images, self.targets = (
            x.to(bench.device) for x in (data.train.inputs.flatten(1), data.train.targets)
        )
        seed_everything(bench.seed, "networks")
        pixels = self.images.shape[1]
        self.vae = VAE(pixels).to(bench.device)
        self.classifier = Classifier(pixels, len(data.classes)).to(bench.device)
        if weights := data.extra.get("weights"):
            self.vae.load_state_dict(weights["vae"])
            kept = {k: v for k, v in weights["classifier"].items() if not k.startswith("bn1.")}
            self.classifier.load_state_dict(kept)
        self.classifier.requires_grad_(False)
        self.random = generator(bench.device, bench.seed, "unlearning")

    def measure(self) -> dict[str, dict[str, float]]:
        before = self.judge()
        self.vae.train()
        codes = torch.randn(self.batch, 2, generator=self.random, device=self.bench.device)
        optimizer = torch.optim.Adam(self.vae.parameters(), self.lr)
        first = None
        for step, (retained, forgotten) in zip(
            range(1, self.steps + 1), self.batches(), strict=False
        ):
            share = self.step(optimizer, step, retained, forgotten, codes)
            if first is None and share < self.threshold:
                first = step
        self.vae.eval()
        return {"before": before, "forget": {"steps": float(first or self.steps), **self.judge()}}

    def execute(self) -> Outcome:
        return Outcome(metrics=self.measure(), data=self.bench.dataset.counts())

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Images of the retained and of the forgotten classes, in the order of two loaders."""
        own = self.targets == self.forget
        sides = (~own).nonzero().squeeze(1), own.nonzero().squeeze(1)
        while True:
            orders = (
                side[torch.randperm(len(side), generator=self.random, device=side.device)]
                for side in sides
            )
            for pair in zip(*(torch.split(order, self.batch) for order in orders), strict=False):
                retained, forgotten = (self.images[rows] / 255 for rows in pair)
                yield retained, forgotten

    def step(
        self,
        optimizer: torch.optim.Optimizer,
        number: int,
        retained: Tensor,
        forgotten: Tensor,
        codes: Tensor,
    ) -> float:
        """One update; returns the share of the forgotten class before it."""
        odd = number % 2 == 1
        method = {
            "uno_surgery": "uno" if odd else "surgery",
            "alternating": "ascent" if odd else "surgery",
        }.get(self.method, self.method)
        parameters = list(self.vae.parameters())
        forget = self.vae.loss(forgotten, self.random)
        retain = self.vae.loss(retained, self.random)
        logits = self.classifier(self.vae.decoder(codes))
        if self.uniformity and method != "surgery":
            extra = self.uniformity * divergence(logits, self.forget)
            forget, retain = forget + extra, retain + extra
        second = method == "uno" and self.weight > 0
        g_f, g_r = (
            parameters_to_vector(
                torch.autograd.grad(loss, parameters, retain_graph=True, create_graph=second)
            )
            for loss in (forget, retain)
        )
        if method == "uno":
            along = g_r.detach()
            if second:
                slope = torch.autograd.grad(alignment(g_f, g_r), parameters)
                along = along + self.weight * parameters_to_vector(slope)
        elif method == "surgery":
            along = without(g_r, g_f)
        elif method == "ascent":
            along = -g_f
        else:
            along = -without(g_f, g_r)
        for parameter, part in zip(
            parameters, torch.split(along, [p.numel() for p in parameters]), strict=True
        ):
            parameter.grad = part.view_as(parameter)
        optimizer.step()
        return float((logits.argmax(1) == self.forget).float().mean())

    @torch.no_grad()
    def judge(self) -> dict[str, float]:
        """The generator in evaluation mode, against training images of all classes."""
        self.vae.eval()
        device = self.bench.device
        codes = torch.randn(self.samples, 2, generator=self.random, device=device)
        drawn = self.vae.decoder(codes)
        rows = torch.randperm(len(self.images), generator=self.random, device=device)
        real = self.images[rows[: self.samples]] / 255
        x, y = (self.classifier.features(side).double() for side in (drawn, real))
        share = (self.classifier(drawn).argmax(1) == self.forget).double().mean()
        return {
            "share": float(share),
            "frechet": frechet(x, y),
            "released": released_distance(x, y),
        }
