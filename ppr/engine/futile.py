"""Settings under which a run learns next to nothing, said before it trains."""

from __future__ import annotations

import logging
from collections.abc import Callable

from ppr.errors import BadRequest

_TRIED = 1000
_LEAST_RATE = 0.01
_MOST_OF_START = 0.05
_log = logging.getLogger(__name__)


def refuse_no_rate(factor: Callable[[int], float], total: int) -> None:
    """Warn of a schedule that keeps the learning rate far below its base; refuse one that is 0.

    Raises:
        BadRequest: the learning rate is 0 at every step, so that nothing would be learnt.
    """
    tried = range(0, total, max(1, total // _TRIED))
    if max(map(factor, tried), default=1.0) >= _LEAST_RATE:
        return
    most = max(map(factor, range(total)))
    if most == 0:
        raise BadRequest(
            f"schedule: the learning rate is 0 at each of the {total} steps; use more epochs "
            "or less of a warm-up, or schedule=constant"
        )
    if most < _LEAST_RATE:
        _log.warning(
            "schedule: in the run's %d steps the learning rate is never above %.3g of optimizer.lr",
            total,
            most,
        )


def of_the_start(decay: float, steps: int) -> float:
    """The share that the first weights have in their moving average after so many steps."""
    return float(decay**steps)


def warn_of_average(decay: float, total: int) -> None:
    """Warn of a moving average that is, at the end, still much of what it began with."""
    share = of_the_start(decay, total)
    if share > _MOST_OF_START:
        _log.warning(
            "engine.ema_decay=%s: after %d steps %.0f %% of the average, which is what is "
            "evaluated, is the untrained weights; use more steps or a smaller decay",
            decay,
            total,
            100 * share,
        )
