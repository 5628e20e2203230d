"""How a run lies on the nodes of a cluster: `launcher.nodes` of them, `engine.devices` of each.

One task of a job is one process of the run, with one device. So `launcher.gpus`, which SLURM gives
to a node, is `engine.devices`, or 0 for a run on CPUs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ppr.config.settings import check_share
from ppr.errors import BadRequest


def tasks_per_node(
    engines: Sequence[Mapping[str, Any]], *, nodes: int, gpus: int, packed: str | None
) -> int:
    """The tasks of a node for runs with these engine settings.

    Args:
        packed: the field that has several runs share a job of one task, where there is one.

    Raises:
        BadRequest: the settings contradict each other, or a batch cannot be shared out.
    """
    numbers = sorted({engine["devices"] for engine in engines}) or [1]
    if len(numbers) > 1:
        shown = ",".join(map(str, numbers))
        raise BadRequest(f"engine.devices={shown}: a sweep on SLURM has one number for all runs")
    devices = int(numbers[0])
    if packed:
        if nodes * devices > 1:
            several = f"launcher.nodes={nodes} and engine.devices={devices}"
            raise BadRequest(
                f"{packed}: its runs share a job, each on one device; not with {several}"
            )
        return 1
    for engine in engines:
        check_share(engine["batch_size"], nodes * devices)
    if gpus not in (0, devices):
        raise BadRequest(
            f"launcher.gpus={gpus}: a run is on engine.devices={devices} of each node; "
            f"did you mean engine.devices={gpus}?"
        )
    return devices
