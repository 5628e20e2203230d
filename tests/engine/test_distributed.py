"""Several devices as one run: the same loss and gradients, shared evaluation, stops and deaths."""

from __future__ import annotations

import json
import os
import signal
import socket
from pathlib import Path

import pytest
import torch
import torch.multiprocessing
from torch import nn

from ppr import registry
from ppr.config.compose import compose
from ppr.config.places import add_config_dir
from ppr.config.settings import EngineSettings
from ppr.data.dataset import Dataset, Split
from ppr.engine import distributed
from ppr.engine.bench import Watcher
from ppr.engine.checkpoints import checkpoints
from ppr.engine.device import check_devices
from ppr.engine.interrupts import Interrupted
from ppr.engine.loop import Loop
from ppr.engine.subject import Subject
from ppr.engine.sync_batchnorm import SyncBatchNorm
from ppr.errors import BadRequest, RunFailed
from ppr.launchers.execute import execute
from ppr.results import tree
from ppr.run import _open_data, make_task, open_bench

pytest_plugins = ("sweeping",)

TOY = ["experiment=sweep_toy", "engine.log_every=1"]
CPU = torch.device("cpu")
BASE = ["augment=none", "engine.batch_size=64", "engine.device=cpu"]
MLP = ["model=mlp", "model.hidden=[16]"]
NORM = ["model=small_resnet", "model.width=4", "engine.sync_batchnorm=true"]
SAME = {
    "supcon": [*MLP],
    "ntxent": [*MLP, "loss=ntxent"],
    "classify": ["experiment=ce_digits", *MLP],
    "classify in parts": ["experiment=ce_digits", *MLP, "engine.accumulate=2"],
    "a loss with a parameter": [*MLP],
    "supcon, cached": [*MLP, "engine.micro_batch=12"],
    "a loss with a parameter, cached": [*MLP, "engine.micro_batch=12"],
    "supcon, batchnorm": [*NORM],
    "two towers, learned scales": ["experiment=siglip_digits", *MLP],
    "two towers, cached": ["experiment=clip_digits", *MLP, "engine.micro_batch=12"],
    "supcon, augmented": [*MLP, "augment=digits"],
    "supcon, augmented, cached": [*MLP, "augment=digits", "engine.micro_batch=12"],
    "colours and crops, in parts": [
        "experiment=ce_digits",
        *MLP,
        "augment=contrastive",
        "augment.blur=0.5",
        "engine.accumulate=2",
    ],
    "mixup": ["experiment=ce_digits", *MLP, "augment=digits", "mixup=mixup"],
    "drawn negatives": ["experiment=bpr_low_rank"],
    "drawn noise levels": ["experiment=ict_ring"],
    "supcon, fp16": [*MLP, "engine.precision=fp16"],
}


class Scaled(nn.Module):
    """A loss with a weight of its own."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.scale = inner, nn.Parameter(torch.tensor(1.5))

    def forward(self, *given):
        return self.scale * self.inner(*given)


def one_step(case: str, folder: Path) -> dict[str, torch.Tensor]:
    """The loss, every gradient and every buffer after the gradient of one global batch."""
    bench = open_bench(compose([*BASE, *SAME[case]]), folder, Watcher())
    task = make_task(bench)
    if "parameter" in case:
        task.criterion = Scaled(task.criterion)
    loop = Loop(task, bench)
    task.train()
    values = loop.backward(next(iter(loop.batches.epoch(0))))
    gradients = {f"gradient of {name}": p.grad for name, p in task.named_parameters()}
    return {**values, **gradients, **dict(task.named_buffers())}


def toy_subject(samples: int) -> Subject:
    inputs = torch.arange(3.0 * samples).view(samples, 3)
    split = Split(inputs, torch.arange(samples) % 2)
    data = Dataset("toy", split, None, split, (3,), ("a", "b"), (), (), "0" * 64)
    encoder = nn.Linear(3, 4)
    nn.init.constant_(encoder.weight, 0.1)
    nn.init.zeros_(encoder.bias)
    return Subject(
        encoder=encoder,
        dataset=data,
        device=CPU,
        batch_size=2,
        train_transform=lambda x, random: x + torch.rand(len(x), 3, generator=random),
    )


SIZES = (7, 2, 1)
NORMALISED = {"2d": (8, 3), "4d": (8, 3, 4, 5)}


def norm_input(shape: tuple[int, ...]) -> torch.Tensor:
    return 100 + 3 * torch.randn(shape, generator=torch.Generator().manual_seed(1))


def normalise(norm: nn.Module, x: torch.Tensor) -> dict[str, torch.Tensor]:
    x = x.clone().requires_grad_()
    y = norm(x)
    (y * torch.linspace(1, 2, y[0].numel()).view_as(y[0])).sin().sum().backward()
    return {"y": y.detach(), "x": x.grad, **{k: v.clone() for k, v in norm.named_buffers()}}


def a_rank(rank: int, port: int, folder: Path) -> None:
    from sweeping import PLUGIN  # here, as pytest wants to import its plug-ins first

    registry.add_plugin(PLUGIN)
    add_config_dir(folder)
    os.environ |= {"PPR_RESULTS": str(folder / "results")}
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_RANK": str(rank),
                   "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1",
                   "MASTER_PORT": str(port)}  # fmt: skip
    distributed.join(CPU)
    found = {"steps": {case: one_step(case, folder / str(rank)) for case in SAME}}
    found["features"] = {
        n: [toy_subject(n).features("test")[0]]
        + [toy_subject(n).augmented(rows, torch.Generator().manual_seed(0), "toy")
           for rows in (None, torch.tensor([0]))]
        for n in SIZES
    }  # fmt: skip
    found["norms"] = {
        name: normalise(SyncBatchNorm(3), norm_input(shape).chunk(2)[rank])
        for name, shape in NORMALISED.items()
    }
    votes = distributed.Votes()
    found["votes"] = [votes(rank == 1 and step == 2, False) for step in range(6)]
    try:
        distributed.from_main(lambda: check_devices(EngineSettings(batch_size=7), 2, 2))
    except BadRequest as error:
        found["error"] = str(error)
    found["shared"] = distributed.shared(rank), distributed.gathered(rank)
    found["run"] = execute(compose([*TOY, "engine.devices=2"]))
    torch.save(found, folder / f"{rank}.pt")
    distributed.leave()


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """What two processes found, who did everything that the tests below look at."""
    from sweeping import EXPERIMENT

    folder = tmp_path_factory.mktemp("ranks")
    for name in ("0", "1", "results", "experiment"):
        (folder / name).mkdir()
    (folder / "experiment" / "sweep_toy.yaml").write_text(EXPERIMENT)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(a_rank, (port, folder), nprocs=2)
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


@pytest.mark.parametrize("case", SAME)
def test_two_processes_have_the_loss_and_gradients_of_one(ranks, case, tmp_path):
    whole = one_step(case, tmp_path)
    assert max(v.abs().max() for name, v in whole.items() if "gradient" in name) > 1e-3
    loose = {"rtol": 2e-3, "atol": 2e-3} if "fp16" in case else {"rtol": 1e-5, "atol": 1e-5}
    for found in ranks:
        assert found["steps"][case].keys() == whole.keys()
        for name, value in whole.items():
            scale = max(1.0, float(value.abs().max()))
            torch.testing.assert_close(
                found["steps"][case][name] / scale, value / scale, **loose, msg=name
            )


def test_features_are_shared_out_and_gathered_exactly(ranks):
    for samples in SIZES:
        plain, augmented, row = (found["features"][samples] for found in ranks), None, None
        one, two = plain
        assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
        torch.testing.assert_close(one[0], toy_subject(samples).features("test")[0])
        augmented, row = one[1:]
        assert augmented.shape == (samples, 4)
        assert row.shape == (1, 4)
    noise = ranks[0]["features"][2][1] - ranks[0]["features"][2][0]
    assert not torch.allclose(noise[0], noise[1])  # each device draws its own


@pytest.mark.parametrize("name", NORMALISED)
def test_batch_statistics_over_devices_are_those_of_the_whole_batch(ranks, name):
    whole = nn.BatchNorm2d(3) if name == "4d" else nn.BatchNorm1d(3)
    expected = normalise(whole, norm_input(NORMALISED[name]))
    for rank, found in enumerate(ranks):
        for key, value in found["norms"][name].items():
            wanted = expected[key].chunk(2)[rank] if key in "xy" else expected[key]
            torch.testing.assert_close(value, wanted, rtol=1e-5, atol=2e-5, msg=key)


def test_processes_agree(ranks):
    for found in ranks:
        assert found["votes"] == [(step == 3, False) for step in range(6)]
        assert found["error"].endswith("=7: 2 devices take equal shares of it; use 6 or 8")
        assert found["shared"] == (0, [0, 1])


class Stops(Watcher):
    asked = False

    def stepped(self, step, epoch, values, rate):
        if not self.asked:  # a second signal would act at once
            self.asked = True
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.slow
def test_a_run_on_two_devices_survives_a_dead_process_and_a_signal(ppr, ranks):
    config = compose([*TOY, "engine.devices=2", "task.kills=1"])
    with pytest.raises(RunFailed) as died:
        execute(config)
    assert str(died.value) == "one of its processes was killed by SIGKILL"
    folder = config.folder
    assert json.loads((folder / tree.FAILURE).read_text())["error"] == str(died.value)
    with pytest.raises(Interrupted, match="of 12: saved"):
        execute(config, Stops())
    assert checkpoints(folder / tree.CHECKPOINTS)
    with pytest.raises(BadRequest, match="was made on 2 devices, this run has 1"):
        execute(compose([*TOY, "task.kills=1"]))
    summary = execute(config)
    assert not (folder / tree.FAILURE).exists()
    assert len((folder / tree.METRICS).read_bytes().splitlines()) == 12
    undisturbed = [found["run"] for found in ranks]  # by processes that torchrun might have started
    assert undisturbed[0] == undisturbed[1]
    assert summary["metrics"] == undisturbed[0]["metrics"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["engine.devices=3"],
            "engine.batch_size=16: 3 devices take equal shares of it; use 15 or 18",
        ),
        (["engine.devices=32"], "32 devices take equal shares of it; use 32"),
        (["engine.devices=2", "engine.device=cuda"], "this machine has 0 CUDA devices"),
    ],
)
def test_what_devices_cannot_do_is_refused_before_they_start(ppr, words, said):
    with pytest.raises(BadRequest, match=said):
        execute(compose([*TOY, *words]))


def test_a_study_has_nothing_to_share_out(monkeypatch):
    bench = open_bench(compose(["experiment=focal_formula"]), Path(), Watcher())
    monkeypatch.setattr(distributed, "size", lambda: 2)
    with pytest.raises(BadRequest, match="'focal_formula' trains on no data"):
        _open_data(bench)
