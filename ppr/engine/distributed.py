"""One run on several devices, a process each: who is who, and what they tell each other.

The processes find each other by torchrun's environment variables (RANK, WORLD_SIZE, LOCAL_RANK,
LOCAL_WORLD_SIZE, MASTER_ADDR, MASTER_PORT), whoever sets them: torchrun, ppr itself for
`engine.devices`, or a job of SLURM. In a run of one process nothing is initialised, and every
function here does what it says for a world of one.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ppr.errors import PprError, RunFailed

T = TypeVar("T")
_CPU = torch.device("cpu")


class ProcessLost(RunFailed):
    """Another process of the run has ended, which is where the reason is."""


def given_size() -> int:
    """The processes of this run that the environment tells of: 1 where it tells of none."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1


def given_local_size() -> int:
    """Those on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if given_size() > 1 else 1


def join(device: torch.device) -> None:
    """Meet the other processes; once a process.

    Raises:
        RunFailed: they do not all come.
    """
    if dist.is_initialized():
        return
    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.set_device(device)
    try:
        # What is on the CPU, and every Python object, goes through gloo on a GPU machine too.
        dist.init_process_group("cpu:gloo,cuda:nccl" if on_gpu else "gloo")
    except (dist.DistError, RuntimeError, ValueError) as error:
        raise RunFailed(f"the processes of the run do not meet: {_first_line(error)}") from error
    atexit.register(leave)


def leave() -> None:
    """Part from the other processes."""
    if dist.is_initialized():
        dist.destroy_process_group()


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def size() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def is_main() -> bool:
    """Whether this process is the one that writes and prints."""
    return rank() == 0


def own_stream() -> tuple[int, ...]:
    """What tells this process's random numbers from the others'; nothing for the first."""
    return (rank(),) if rank() else ()


def share(total: int) -> slice:
    """The part of `total` things in a row that is this process's; the parts differ by one."""
    return slice(total * rank() // size(), total * (rank() + 1) // size())


def shared(value: T) -> T:
    """The main process's `value`, in every process."""
    if size() == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0, device=_CPU)
    return box[0]


def from_main(call: Callable[[], T]) -> T:
    """Call it in the main process only; what it returned or raised, in every one."""
    if size() == 1:
        return call()
    result: Any = None
    if is_main():
        try:
            result = call()
        except PprError as error:
            result = error
    result = shared(result)
    if isinstance(result, PprError):
        raise result
    return result  # type: ignore[no-any-return]


def main_first(call: Callable[[], T]) -> T:
    """Call it everywhere, but first in one process a machine: what it downloads is there then."""
    if size() == 1:
        return call()
    first = os.environ.get("LOCAL_RANK", "0") == "0"
    result = call() if first else None
    gathered(None)
    return call() if result is None else result


def gathered(value: T) -> list[T]:
    """Every process's `value`, in the order of their ranks; waits for all."""
    if size() == 1:
        return [value]
    values: list[Any] = [None] * size()
    dist.all_gather_object(values, value)
    return values


def gather(own: Tensor, dim: int = 0) -> Tensor:
    """Tensors of one shape from every process, joined along `dim` in the order of their ranks.

    Its gradient is for what every process computes alike from the result, such as a loss over the
    global batch: a process keeps its own rows of it, times the number of processes, because
    DistributedDataParallel then takes the mean over them where the sum is the gradient.
    """
    if size() == 1:
        return own
    return _Gather.apply(own, dim)  # type: ignore[no-any-return]


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, own: Tensor, dim: int) -> Tensor:
        ctx.dim = dim
        return _joined(own, dim)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad.chunk(size(), ctx.dim)[rank()] * size(), None


def _joined(own: Tensor, dim: int = 0) -> Tensor:
    own = own.contiguous()
    parts = [torch.empty_like(own) for _ in range(size())]
    dist.all_gather(parts, own)
    return torch.cat(parts, dim)


def gather_shares(own: Tensor, total: int) -> Tensor:
    """The rows [total, F] of which every process has its `share`. No gradient."""
    if size() == 1:
        return own
    ends = [total * (number + 1) // size() for number in range(size())]
    counts = [end - start for start, end in zip([0, *ends], ends, strict=False)]
    padded = own.new_zeros((max(counts), *own.shape[1:]))
    padded[: len(own)] = own
    parts = _joined(padded).chunk(size())
    return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])


def all_sum(own: Tensor) -> Tensor:
    """The sum over the processes, for what each then uses in its own way.

    So its gradient is the sum of what they give.
    """
    if size() == 1:
        return own
    return _Sum.apply(own)  # type: ignore[no-any-return]


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        total = own.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        total = grad.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total


@torch.no_grad()
def synchronise(module: nn.Module) -> None:
    """Give every process the main one's weights and buffers.

    The weights are equal already, but for what a GPU's arithmetic leaves to chance; the running
    statistics of BatchNorm are each device's own.
    """
    if size() > 1:
        for value in module.state_dict().values():
            whole = value.contiguous()
            dist.broadcast(whole, src=0)
            value.copy_(whole)


class Votes:
    """What any process wants, known to all of them at the same step, and without waiting.

    The answer to the questions of one step comes with the next: the exchange takes place meanwhile.
    """

    def __init__(self) -> None:
        self._under_way: tuple[Any, Tensor] | None = None

    def __call__(self, *wanted: bool) -> tuple[bool, ...]:
        if size() == 1:
            return wanted
        agreed = self.settle() or (False,) * len(wanted)
        if not any(agreed):  # else the same wish would be granted twice
            votes = torch.tensor(wanted, dtype=torch.int32)
            self._under_way = dist.all_reduce(votes, dist.ReduceOp.MAX, async_op=True), votes
        return agreed

    def settle(self) -> tuple[bool, ...]:
        """The answer that is still to come, if there is one."""
        if self._under_way is None:
            return ()
        (work, votes), self._under_way = self._under_way, None
        work.wait()
        return tuple(map(bool, votes.tolist()))


def lost(error: Exception) -> ProcessLost | None:
    """What an error of torch.distributed is to a user; None if it is another error."""
    if size() > 1 and (isinstance(error, dist.DistError) or "gloo" in str(error).lower()):
        return ProcessLost(f"another process of the run has ended ({_first_line(error)})")
    return None


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
