"""What ppr does on the GPU at hand, in one report of a few minutes: `python benchmarks/gpu.py`.

    python benchmarks/gpu.py --minutes 10 [--device cuda] [--data FOLDER] [-o REPORT.md]

Needs no network and no file; FOLDER holds whatever part of CIFAR-10 there is, as class folders or
Parquet files, else the last part trains on random images. The parts, each of which fails alone:

- a step of every experiment in bf16, in fp16 and, for a few, compiled (`ppr check --device`)
- training steps: images a second, against ten lines of PyTorch and against the usual recipe
- SupCon's loss and gradient against pytorch-metric-learning and the whole matrix
- two views of 32x32 images against kornia and torchvision v2, all on the device
- a run killed and resumed with deterministic kernels: the same bits
- `supcon_cifar10` for the minutes that are left: samples a second, memory, and the share of a step
  in which the device had nothing to do

`--device cpu` does the same with small sizes, which shows that it works and nothing of speed. Needs
the `benchmark` extra.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import torch
from torch import Tensor
from training_step import bare, compare, dense_supcon, ours, reference

COMPILED = ("supcon_cifar10", "simclr_digits", "ce_digits", "kd_digits", "psl_feedback")
"""Experiments whose steps are compiled too: a minute of compiling each would take the day."""
DIMENSION, CLASSES, TEMPERATURE = 128, 100, 0.1
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


@dataclass(frozen=True)
class Sizes:
    """How much is measured: enough to fill a GPU, or just enough to show that it runs."""

    batch: int = 1024
    steps: int = 20
    rounds: int = 3
    loss: tuple[int, ...] = (8192, 65_536)
    dense: int = 8192
    """Above this the whole matrix of the peers would not fit on many devices."""
    views: int = 4096
    killed_run: int = 200
    checked: tuple[str, ...] = ()
    ways: tuple[str, ...] = ("bf16", "fp16")
    compiled: tuple[str, ...] = COMPILED
    images: int = 20_000
    network: str = "resnet50"


SMALL = Sizes(
    batch=16, steps=1, rounds=1, loss=(256,), dense=256, views=32, killed_run=20,
    checked=("supcon_digits", "sufficiency"), ways=("bf16",), compiled=(), images=128,
    network="resnet18",
)  # fmt: skip


@dataclass
class Report:
    device: torch.device
    sizes: Sizes
    until: float
    """`time.monotonic()` at which the minutes are over."""
    data: Path | None
    failed: int = 0
    lines: list[str] = field(default_factory=list)

    def left(self) -> float:
        return self.until - time.monotonic()

    def say(self, *lines: str) -> None:
        self.lines += lines
        print(*lines, sep="\n", flush=True)

    def table(self, head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> None:
        """Printed row by row, since a later row may fail or take long."""
        self.say("", " | ".join(head).join(("| ", " |")), "| --- " * len(head) + "|")
        for row in rows:
            self.say(" | ".join(row).join(("| ", " |")))


def wait(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize()


def timed(report: Report, work: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Seconds, the best of some rounds after one that warms up, and bytes on the device at most."""
    device = report.device
    work()
    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(device)
    taken = []
    for _ in range(rounds):
        wait(device)
        start = time.perf_counter()
        work()
        wait(device)
        taken.append(time.perf_counter() - start)
    return min(taken), float(torch.cuda.max_memory_allocated(device)) if on_gpu else float("nan")


def megabytes(count: float) -> str:
    return "not counted" if math.isnan(count) else f"{count / 1e6:,.0f} MB"


def machine(report: Report) -> None:
    device = report.device
    rows = {"torch": torch.__version__, "python": platform.python_version()}
    if device.type == "cuda":
        found = torch.cuda.get_device_properties(device)
        rows["device"] = f"{found.name}, {found.total_memory / 2**30:.0f} GiB"
        rows["CUDA"] = str(torch.version.cuda)
        rows["bf16"] = str(torch.cuda.is_bf16_supported())
    else:
        rows["device"] = f"{device.type}, {torch.get_num_threads()} threads"
    report.table(("", ""), iter(rows.items()))


def ppr(*words: str) -> list[str]:
    return [sys.executable, "-m", "ppr", *words]


def check(report: Report) -> None:
    """Of every experiment, for at most a third of the minutes that are left."""
    sizes, device = report.sizes, str(report.device)
    ways = [word for way in sizes.ways for word in ("--in", way)]
    commands = [ppr("check", *sizes.checked, "--device", device, *ways)]
    if sizes.compiled:
        commands.append(ppr("check", *sizes.compiled, "--device", device, "--in", "compiled"))
    for command in commands:
        limit = report.left() / 3
        try:
            done = subprocess.run(
                command, check=False, capture_output=True, text=True, timeout=limit
            )
            out, wrong, cut = done.stdout, done.stderr.splitlines(), ""
        except subprocess.TimeoutExpired as late:  # what was printed until then counts
            out, wrong = _text(late.stdout), _text(late.stderr).splitlines()
            cut = f", cut off after {limit:.0f} s"
        told = [line for line in wrong if "]: " in line]
        fine = sum(line.endswith(": ok") for line in out.splitlines())
        report.say("", f"`{' '.join(command[2:])}`: {fine} steps taken, {len(told)} failed{cut}")
        report.say(*(f"- {line}" for line in told))
        report.failed += bool(told)
        if not fine:
            raise RuntimeError((wrong or ["nothing was checked"])[-1])


def _text(said: str | bytes | None) -> str:
    return said.decode(errors="replace") if isinstance(said, bytes) else said or ""


def training_step(report: Report) -> None:
    sizes, device = report.sizes, str(report.device)
    batch, size = sizes.batch, 4 * sizes.batch
    with tempfile.TemporaryDirectory() as folder:
        contenders = {
            "usual recipe, fp32": reference(batch, size, TEMPERATURE, device),
            "usual recipe, bf16": reference(batch, size, TEMPERATURE, device, "bf16"),
            "bare loop, bf16": bare(batch, size, "bf16", device),
            "ppr, bf16": ours(batch, size, "bf16", Path(folder), device),
        }
        if report.device.type == "cpu":  # processors without bf16 take minutes
            contenders = {name: train for name, train in contenders.items() if "fp32" in name}
            contenders["bare loop, fp32"] = bare(batch, size, "fp32", device)
            contenders["ppr, fp32"] = ours(batch, size, "fp32", Path(folder), device)
        rates = compare(contenders, batch, sizes.steps, sizes.rounds)
    own = next(rate for name, rate in rates.items() if name.startswith("ppr"))
    report.say("", f"SupCon with ResNet-18, batches of {batch} images, two views each.")
    report.table(
        ("", "images/s", "ppr's over it"),
        ((name, f"{rate:,.0f}", f"{own / rate:.2f}") for name, rate in rates.items()),
    )


@dataclass
class LossStep:
    """One loss and its gradient, of the same embeddings for all; each of them has positives."""

    loss: Callable[[Tensor, Tensor], Tensor]
    count: int
    device: torch.device

    def __post_init__(self) -> None:
        random = torch.Generator().manual_seed(0)
        x = torch.randn(self.count, DIMENSION, generator=random)
        self.x = x.to(self.device).requires_grad_()
        self.y = (torch.arange(self.count) % min(CLASSES, self.count // 2)).to(self.device)

    def __call__(self) -> float:
        self.x.grad = None
        value = self.loss(self.x, self.y)
        value.backward()
        return value.item()


def loss(report: Report) -> None:
    from pytorch_metric_learning.losses import SupConLoss as Theirs

    from ppr.losses import SupConLoss

    peers: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "ppr": SupConLoss(temperature=TEMPERATURE),
        "whole matrix": lambda x, y: dense_supcon(x.unsqueeze(1), y, TEMPERATURE),
        "pytorch-metric-learning": Theirs(temperature=TEMPERATURE),
    }
    device = report.device

    def rows() -> Iterator[tuple[str, ...]]:
        for count in report.sizes.loss:
            value = None
            for name, each in peers.items():
                if name != "ppr" and count > report.sizes.dense:
                    continue
                step = LossStep(each, count, device)
                seconds, peak = timed(report, step, 3)
                found = step()
                value = value if value is not None else found
                off = f"{abs(found - value) / abs(value):.0e}"
                yield f"{count:,}", name, f"{1e3 * seconds:.1f}", megabytes(peak), off

    report.table(("embeddings", "loss and gradient", "ms", "peak", "differs from ppr"), rows())


def augmentation(report: Report) -> None:
    import kornia.augmentation as kornia
    from torchvision.transforms import v2

    import ppr as package

    device, count = report.device, report.sizes.views
    images = torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8, device=device)
    random = torch.Generator(device).manual_seed(0)
    ours_ = package.build("augment", "contrastive", (3, 32, 32), MEAN, STD)
    theirs = v2.Compose([
        v2.RandomResizedCrop(32, scale=(0.2, 1.0), antialias=True),
        v2.RandomHorizontalFlip(),
        v2.RandomApply([v2.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8),
        v2.RandomGrayscale(p=0.2),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize(MEAN, STD),
    ])  # fmt: skip
    kornias = kornia.AugmentationSequential(
        kornia.RandomResizedCrop((32, 32), scale=(0.2, 1.0)),
        kornia.RandomHorizontalFlip(),
        kornia.ColorJiggle(0.4, 0.4, 0.4, 0.1, p=0.8),
        kornia.RandomGrayscale(p=0.2),
        kornia.Normalize(MEAN, STD),
        data_keys=["input"],
    )
    few = images[: max(1, count // 64)]
    peers: dict[str, tuple[Callable[[], object], int]] = {
        "ppr, parameters an image": (lambda: ours_(images, random), count),
        "kornia, parameters an image": (lambda: kornias(images.float() / 255), count),
        "torchvision v2, parameters a batch": (lambda: theirs(images), count),
        "torchvision v2, image by image": (lambda: [theirs(each) for each in few], len(few)),
    }

    def rows() -> Iterator[tuple[str, ...]]:
        for name, (work, images_done) in peers.items():
            seconds, _ = timed(report, work, report.sizes.rounds)
            yield name, f"{images_done / seconds:,.0f}"

    report.table(("crop, flip, jitter, grey, normalise", "images/s"), rows())


def resume(report: Report) -> None:
    """A run of digits killed when it has a checkpoint, and gone on with; one that was not."""
    words = ["run", "experiment=supcon_digits", f"engine.device={report.device}",
             "engine.deterministic=true", f"engine.max_steps={report.sizes.killed_run}",
             "engine.epochs=1000", "engine.checkpoint_seconds=0"]  # fmt: skip
    with tempfile.TemporaryDirectory() as whole, tempfile.TemporaryDirectory() as killed:
        subprocess.run(ppr(*words), env=_results(whole), check=True, capture_output=True)
        process = subprocess.Popen(
            ppr(*words), env=_results(killed), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while process.poll() is None and _step(Path(killed)) < report.sizes.killed_run // 2:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        again = subprocess.run(
            ppr(*words), env=_results(killed), check=True, capture_output=True, text=True
        )
        resumed = next((line for line in again.stdout.splitlines() if "resumed at" in line), None)
        (one,), (two,) = (list(Path(root).rglob("model.pt")) for root in (whole, killed))
        same = _digest(one) == _digest(two)
    if resumed is None:
        raise RuntimeError("the run ended before it could be killed")
    report.say("", f"{resumed.strip()}; the weights are {'the same bits' if same else 'OTHERS'}")
    report.failed += not same


def _results(root: str) -> dict[str, str]:
    return {**os.environ, "PPR_RESULTS": root, "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}


def _step(root: Path) -> int:
    """Of the last checkpoint: step-<number>-<digest>.pt."""
    return max((int(path.name.split("-")[1]) for path in root.rglob("step-*-*.pt")), default=-1)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def supcon(report: Report) -> None:
    """`supcon_cifar10` as it is but for the time that it is given."""
    from ppr.config.compose import compose
    from ppr.engine.bench import Watcher
    from ppr.engine.loop import Loop
    from ppr.run import make_task, open_bench

    sizes, device = report.sizes, report.device
    words = ["experiment=supcon_cifar10", f"model={sizes.network}", f"engine.device={device}"]
    if report.data is not None:
        kind = "parquet" if any(report.data.rglob("*.parquet")) else "folder"
        words += [f"dataset={kind}", f"data.root={report.data}", "dataset.size=32"]
    else:
        words.append(f"data.synthetic={sizes.images}")
    if device.type == "cpu":
        words += [f"engine.batch_size={sizes.batch}", "engine.precision=fp32"]
    with tempfile.TemporaryDirectory() as folder:
        bench = open_bench(compose(words), Path(folder), Watcher())
        task = make_task(bench)
        if bench.settings.channels_last:
            task.to(memory_format=torch.channels_last)
        loop = Loop(task, bench)
        batches = _endless(loop)
        for _ in range(3):
            loop.update(next(batches))
        busy = _busy(report, lambda: loop.update(next(batches)))
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        wait(device)
        start, steps = time.perf_counter(), 0
        while steps < sizes.steps or report.left() > 5:
            loop.update(next(batches))
            steps += 1
            if steps % 10 == 0:
                wait(device)
            if device.type == "cpu" and steps >= sizes.steps:
                break
        wait(device)
        seconds = time.perf_counter() - start
        images = steps * bench.settings.batch_size
        peak = float(torch.cuda.max_memory_allocated(device)) if device.type == "cuda" else None
        loop.close()
    rows = {
        "images": f"{images:,} in {seconds:.0f} s, of {bench.dataset.name}",
        "images/s": f"{images / seconds:,.0f}",
        "peak memory": megabytes(peak if peak is not None else float("nan")),
        "device idle": "not counted" if busy is None else f"{100 * max(0.0, 1 - busy):.1f} %",
        "1,000 epochs of 50,000 images": f"{1000 * 50_000 * seconds / images / 3600:.1f} hours",
    }
    report.table((f"supcon_cifar10, {sizes.network}", ""), iter(rows.items()))


def _endless(loop: object) -> Iterator[object]:
    epoch = 0
    while True:
        yield from loop.batches.epoch(epoch)  # type: ignore[attr-defined]
        epoch += 1


def _busy(report: Report, step: Callable[[], object], steps: int = 10) -> float | None:
    """The share of the time in which the device had something to do; None on a CPU."""
    if report.device.type != "cuda":
        return None
    from torch.profiler import ProfilerActivity, profile

    wait(report.device)
    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        start = time.perf_counter()
        for _ in range(steps):
            step()
        wait(report.device)
        seconds = time.perf_counter() - start
    kernels = sum(event.self_device_time_total for event in profiler.key_averages())
    return kernels / 1e6 / seconds


PARTS: dict[str, Callable[[Report], None]] = {
    "Machine": machine,
    "A step of every experiment": check,
    "Training steps": training_step,
    "SupCon's loss": loss,
    "Views": augmentation,
    "Killed and resumed": resume,
    "SupCon on CIFAR-10": supcon,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--data", type=Path, help="a part of CIFAR-10: class folders or Parquet")
    parser.add_argument("-o", "--output", type=Path, help="the report as a Markdown file")
    options = parser.parse_args()
    device = torch.device(options.device)
    sizes = SMALL if device.type == "cpu" else Sizes()
    report = Report(device, sizes, time.monotonic() + 60 * options.minutes, options.data)
    report.say(f"# ppr on one device, {datetime.now(UTC):%Y-%m-%d}", "",
               f"`python benchmarks/gpu.py --minutes {options.minutes:g}`")  # fmt: skip
    for title, part in PARTS.items():
        start = time.monotonic()
        report.say("", f"## {title}")
        try:
            part(report)
        except Exception as error:  # each part fails alone
            report.failed += 1
            told = str(error).strip().splitlines() or [""]
            report.say("", f"failed: {type(error).__name__}: {told[0]}")
        report.say("", f"({time.monotonic() - start:.0f} s)")
    if options.output:
        options.output.write_text("\n".join(report.lines) + "\n", encoding="utf-8")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
