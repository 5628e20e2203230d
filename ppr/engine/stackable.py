"""Which settings of the training loop hold for seeds trained together; checked without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ppr.config.settings import engine_fields
from ppr.errors import BadRequest

_ALLOWED: dict[str, tuple[Any, ...]] = {
    "precision": ("fp32", "bf16", "auto"),
    "accumulate": (1,),
    "micro_batch": (None,),
    "nonfinite": ("stop",),
    "sync_batchnorm": (False,),
    "devices": (1,),
    "compile": (False,),
}


def refuse_unstackable(values: Mapping[str, Any]) -> None:
    """Refuse what several seeds in one process cannot have, where the config asks for them.

    Raises:
        BadRequest: a setting, or an input.
    """
    engine = values["engine"]
    if engine["seeds_per_process"] == 1:
        return
    together = f"engine.seeds_per_process={engine['seeds_per_process']}"
    for name, allowed in _ALLOWED.items():
        value = engine.get(name, engine_fields()[name].default)
        if value not in allowed:
            words = " or ".join(map(str, allowed))
            raise BadRequest(
                f"engine.{name}={value}: not with {together}; allowed with it: {words}; "
                "or use engine.seeds_per_process=1"
            )
    if values["inputs"]:
        names = ", ".join(values["inputs"])
        raise BadRequest(
            f"{together}: each seed has inputs of its own ({names}); use engine.seeds_per_process=1"
        )
