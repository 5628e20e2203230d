"""Losses with whitening, a class or a temperature a sample, entropy; going on from another run."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

import ppr
from ppr.config.compose import compose
from ppr.data.dataset import Split
from ppr.engine.seeding import seed_everything
from ppr.engine.subject import Subject
from ppr.errors import BadRequest
from ppr.launchers.execute import execute
from ppr.losses.self_supervised.e2mc import spacing_entropy
from ppr.losses.self_supervised.w_mse import partitions, whiten
from tests.killing import KilledAt, assert_same_run, results_of

SMALL = ["model=mlp", "model.hidden=[16]", "engine.epochs=3", "engine.log_every=4",
         "engine.batch_size=100", "engine.device=cpu"]  # fmt: skip


def draws(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


# ------------------------------------------------------------------ whitening


def test_whitening_is_gram_schmidt() -> None:
    """Cholesky's L of the covariance is R' of the centred rows' QR, up to signs."""
    v = draws(30, 5) @ draws(5, 5, seed=1) + 3
    q, r = np.linalg.qr((v - v.mean(0)).numpy())
    expected = q * np.sign(np.diag(r)) * math.sqrt(29)
    np.testing.assert_allclose(whiten(v).numpy(), expected, atol=1e-10)
    np.testing.assert_allclose(np.cov(whiten(v).numpy().T), np.eye(5), atol=1e-10)


def test_a_covariance_without_an_inverse_needs_eps() -> None:
    loss, shrunk = ppr.build("loss", "w_mse"), ppr.build("loss", "w_mse", eps=0.1)
    with pytest.raises(BadRequest, match="loss.eps=0: 4 samples .* 4 dimensions"):
        loss(draws(4, 2, 4))
    dead = draws(9, 2, 4) * torch.tensor([1, 1, 0, 1])
    assert loss(dead).isnan()
    assert shrunk(draws(4, 2, 4)).isfinite()
    assert shrunk(dead).isfinite()


def test_sub_batches_are_whitened_by_themselves() -> None:
    views = draws(20, 3, 4)
    whole = ppr.build("loss", "w_mse")
    parts = partitions(20, 9, 2, views)
    assert [len(part) for part in parts] == [10] * 4
    assert all(torch.cat(parts[i : i + 2]).sort().values.equal(torch.arange(20)) for i in (0, 2))
    expected = torch.stack([whole(views[part]) for part in parts]).mean()
    found = ppr.build("loss", "w_mse", sub_batch=9, iterations=2)(views)
    torch.testing.assert_close(found, expected)


def test_spread_of_a_point_and_of_a_simplex() -> None:
    def measured(outputs: torch.Tensor) -> dict[str, float]:
        split = Split(outputs, torch.zeros(len(outputs), dtype=torch.long))
        data = ppr_dataset(split)
        identity = torch.nn.Identity()
        subject = Subject(
            encoder=identity, network=identity, dataset=data, device=torch.device("cpu")
        )
        found: dict[str, float] = ppr.build("evaluator", "spread")(subject)
        return found

    one = measured(torch.ones(6, 4))
    assert one["rank"] == pytest.approx(1, abs=1e-4)
    assert one["std"] == pytest.approx(0, abs=1e-6)
    four = measured(torch.cat([torch.eye(4), -torch.eye(4)]))
    assert four["rank"] == pytest.approx(4)
    assert four["std"] == pytest.approx(0.5)


def ppr_dataset(split: Split):
    from ppr.data.dataset import Dataset

    return Dataset("toy", split, None, split, tuple(split.inputs.shape[1:]), ("0", "1"), (), (), "")


# ------------------------------------------------------------------ a class a sample


def test_diet_names_the_width_it_should_have() -> None:
    loss = ppr.build("loss", "diet_ssl", features=5)
    loss.see(torch.zeros(7), 1)
    with pytest.raises(BadRequest, match="loss.features=5: must be 4"):
        loss(draws(3, 1, 4), None, torch.arange(3))
    with pytest.raises(ValueError, match="indices"):
        loss(draws(3, 1, 5))


# ------------------------------------------------------------------ a temperature a sample


def authors_step(state, z, rows, *, rho, gamma, eta, beta, low, high):
    """SogCLR_DRO_Loss of zhqiu/contrastive-learning-iSogCLR, a sample and a view at a time."""
    for i, row in enumerate(rows):
        s, tau, u = (state[key][row] for key in ("s", "tau", "u"))
        others = np.concatenate([z[j] for j in range(len(z)) if j != i])
        new, slopes = [], []
        for view in z[i]:
            sims = others @ view
            e = np.exp(sims / tau)
            s_view = e.mean() if math.isnan(s) else (1 - gamma) * s + gamma * e.mean()
            new.append(s_view)
            slopes.append(math.log(s_view) + rho - (e / s_view * sims / tau).mean())
        state["s"][row] = np.mean(new)
        state["u"][row] = (1 - beta) * u + beta * np.clip(np.mean(slopes), -3, 3)
        state["tau"][row] = np.clip(tau - eta * state["u"][row], low, high)


def test_isogclr_moves_its_state_as_the_authors_code() -> None:
    fields = {"rho": 0.3, "gamma": 0.6, "eta": 0.04, "tau_min": 0.07, "tau_max": 0.5}
    loss = ppr.build("loss", "isogclr", momentum=0.5, start=0.25, **fields)
    loss.see(torch.zeros(9, dtype=torch.long), 1)
    loss.double()
    state = {"s": np.full(9, np.nan), "tau": np.full(9, 0.25), "u": np.zeros(9)}
    for step in range(12):
        rows = torch.randperm(9, generator=torch.Generator().manual_seed(step))[:5]
        z = torch.nn.functional.normalize(draws(5, 2, 3, seed=step), dim=-1)
        loss(z, None, rows)
        own = {key: fields[key] for key in ("rho", "gamma", "eta")}
        authors_step(state, z.numpy(), rows.tolist(), beta=0.5, low=0.07, high=0.5, **own)
        np.testing.assert_allclose(loss.tau, state["tau"], rtol=1e-12)
        np.testing.assert_allclose(loss.u, state["u"], rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(loss.log_s.exp(), np.nan_to_num(state["s"]), rtol=1e-9)
    assert len(set(np.round(state["tau"], 6))) > 3


def test_isogclr_gradient_divides_by_the_average() -> None:
    """Negatives weigh e^(sim/tau) / (K s): with gamma less than 1 that is not a softmax."""
    loss = ppr.build("loss", "isogclr", gamma=0.5, eta=0.0, start=0.3)
    loss.see(torch.zeros(4), 1)
    loss.double()
    first, second = (torch.nn.functional.normalize(draws(4, 2, 3, seed=s), dim=-1) for s in (1, 2))
    loss(first, None, torch.arange(4))
    before = loss.log_s.exp().clone()
    z = second.clone().requires_grad_()
    loss(z, None, torch.arange(4)).backward()

    x = second.clone().requires_grad_()
    total = torch.zeros((), dtype=torch.float64)
    for i in range(4):
        others = torch.cat([x[j] for j in range(4) if j != i])
        for view in range(2):
            sims = others @ x[i, view]
            e = (sims / 0.3).exp().detach()
            weights = e / (0.5 * before[i] + 0.5 * e.mean()) / len(e)
            total = total + ((weights * sims).sum() - x[i, 0] @ x[i, 1]) / 8
    total.backward()
    radial = (x.grad * second).sum(-1, keepdim=True) * second  # the loss normalises
    torch.testing.assert_close(z.grad, x.grad - radial)


def test_isogclr_evaluated_keeps_its_state() -> None:
    loss = ppr.build("loss", "isogclr")
    loss.see(torch.zeros(4), 1)
    loss.eval()
    loss(draws(4, 2, 3).float(), None, torch.arange(4))
    assert loss.tau.eq(torch.tensor(0.1)).all()
    assert loss.log_s.eq(-math.inf).all()


@pytest.mark.parametrize("name", ["isogclr_digits", "diet_digits"])
def test_a_killed_run_with_state_a_sample_ends_with_the_same_bits(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    own = ["loss.features=16"] if name == "diet_digits" else []
    monkeypatch.setenv("PPR_RESULTS", str(tmp_path / "whole"))
    config = compose([f"experiment={name}", *SMALL, *own, "engine.checkpoint_seconds=0"])
    execute(config)
    whole = results_of(config)
    monkeypatch.setenv("PPR_RESULTS", str(tmp_path / "killed"))
    config = compose([f"experiment={name}", *SMALL, *own, "engine.checkpoint_seconds=0"])
    for step in (4, 8):
        with pytest.raises(KeyboardInterrupt):
            execute(config, KilledAt(step))
        seed_everything(random.randrange(10**6))
    execute(config)
    assert_same_run(whole, results_of(config))
    state = {key for key in whole[0] if key.startswith("criterion.")}
    kept = {"log_s", "tau", "u"} if name == "isogclr_digits" else {"classifier.weight"}
    assert state == {f"criterion.{key}" for key in kept}


def test_temperatures_are_ranked_by_class() -> None:
    targets = torch.tensor([0] * 6 + [1] * 3 + [2])
    network = torch.nn.Identity()
    network.criterion = torch.nn.Module()
    data = ppr_dataset(Split(torch.zeros(10, 2), targets))
    subject = Subject(encoder=network, network=network, dataset=data, device=torch.device("cpu"))
    with pytest.raises(BadRequest, match="loss=isogclr"):
        ppr.build("evaluator", "temperatures")(subject)
    tau = torch.linspace(0.9, 0.1, 10)
    network.criterion.register_buffer("tau", tau)
    found = ppr.build("evaluator", "temperatures")(subject)
    means = [tau[targets == c].mean().item() for c in range(3)]
    assert found["spearman"] == pytest.approx(spearmanr([6, 3, 1], means).statistic)
    assert found["mean"] == pytest.approx(0.5)
    network.criterion.tau.fill_(0.2)
    assert ppr.build("evaluator", "temperatures")(subject)["spearman"] == 0


# ------------------------------------------------------------------ going on from another run


def test_a_run_begins_with_the_weights_of_another() -> None:
    first = compose(["experiment=ssl_digits", *SMALL])
    execute(first)
    words = " ".join(first.overrides)
    on = compose(["experiment=w_mse_digits", *SMALL, "loss.eps=0.1", "loss.sub_batch=null",
                  f"inputs.start='{words}'"])  # fmt: skip
    summary = execute(on)
    done = results_of(first)[2]
    assert summary["untrained"]["linear"] == done["metrics"]["linear"]
    assert summary["metrics"] != summary["untrained"]
    again = compose([*on.overrides, "optimizer.lr=1e-12", "optimizer.weight_decay=0"])
    execute(again)
    trained, kept = results_of(first)[0], results_of(again)[0]
    for key in trained:
        if key.endswith("weight"):
            torch.testing.assert_close(kept[key], trained[key], rtol=0, atol=1e-9)
    assert (on.folder / "summary.json").exists()


def test_another_encoder_is_refused() -> None:
    first = compose(["experiment=ssl_digits", *SMALL])
    words = " ".join(first.overrides)
    other = [word.replace("[16]", "[8]") for word in SMALL]
    with pytest.raises(BadRequest, match="another encoder, encoder"):
        execute(compose(["experiment=ssl_digits", *other, f"inputs.start='{words}'"]))


# ------------------------------------------------------------------ entropy


@pytest.mark.parametrize("clumps", [8, 16])
def test_spacing_entropy_is_greatest_for_clumps(clumps: int) -> None:
    """n = clumps * m points: spacings are 0 within a clump's reach or 1/(clumps - 1) beyond it."""
    n = 64
    m = n // clumps
    x = torch.linspace(0, 1, clumps, dtype=torch.float64).repeat_interleave(m)[:, None]
    bound = math.log((n + 1) / (n - m))
    assert spacing_entropy(x, m).item() == pytest.approx(bound, abs=1e-6)
    even = torch.linspace(0, 1, n, dtype=torch.float64)[:, None]
    assert spacing_entropy(even, m) <= bound


def test_spacing_entropy_of_a_scaled_sample_moves_by_the_logarithm() -> None:
    x = torch.rand(50, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    difference = spacing_entropy(x) - spacing_entropy(x / 4)
    assert difference.item() == pytest.approx(math.log(4), abs=1e-4)


def test_e2mc_without_weights_is_ntxent() -> None:
    views = draws(9, 2, 4)
    plain = ppr.build("loss", "e2mc", entropy=0.0, covariance=0.0)(views)
    torch.testing.assert_close(plain, ppr.build("loss", "ntxent")(views))


# ------------------------------------------------------------------ studies


def measured(*words: str) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = execute(compose(list(words)))["metrics"]
    return found


def test_temperatures_end_where_the_kl_divergence_is_rho() -> None:
    found = measured("experiment=robust_temperature", "task.rho=0.5", "task.samples=8",
                     "task.steps=300")  # fmt: skip
    assert found["measured"]["error"] < 1e-6
    assert found["measured"]["kl"] == pytest.approx(0.5, abs=1e-6)


def test_whitened_distance_forgets_the_scale() -> None:
    one, far = (measured("experiment=whitening", f"task.scale={s}") for s in ("1.0", "1.0e-4"))
    assert far["measured"]["whitened"] == pytest.approx(one["measured"]["whitened"], rel=1e-8)
    assert far["measured"]["plain"] < 1e-6


def test_entropy_of_uniform_samples_has_the_bias_of_its_spacings() -> None:
    """E log Beta(m, n+1-m) as a numerical integral, not by digamma functions."""
    n, m = 100, 10
    x = np.linspace(0, 1, 200_001)[1:-1]
    density = x ** (m - 1) * (1 - x) ** (n - m)
    expected = (np.log((n + 1) / m * x) * density).sum() / density.sum()
    found = measured("experiment=spacing_entropy", "task.samples=100", "task.draws=400",
                     "task.steps=5", "task.points=16")  # fmt: skip
    assert found["theory"]["bias"] == pytest.approx(expected, abs=1e-6)
    assert found["measured"]["bias"] == pytest.approx(expected, abs=0.01)
