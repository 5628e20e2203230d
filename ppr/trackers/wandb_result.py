"""What a finished run ends with, for W&B: metrics as summary and table, curves as a picture."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from ppr.results import tree
from ppr.results.summary import read_summary


def log_result(run: Any, folder: Path, step: int) -> None:
    """Log the result of the run in `folder` as W&B's step `step`."""
    import wandb

    from ppr.display.plot import Panel, save
    from ppr.display.terminal import result_table
    from ppr.results.curves import curves, default_metrics, groups

    summary = read_summary(folder.resolve()) or {}
    run.summary.update(tree.metrics(summary))
    columns, rows = result_table(summary)
    media: dict[str, Any] = {"result": wandb.Table(columns=[*columns], data=rows)}
    with tempfile.TemporaryDirectory() as aside:
        if (folder / tree.METRICS).exists():
            found = groups(tree.Scan([], []), [str(folder)])
            panels = [Panel(name, *curves(found, name)) for name in default_metrics(found)]
            if panels:
                picture = Path(aside) / "curves.png"
                save(panels, picture)
                media["curves"] = wandb.Image(str(picture))
        run.log(media, step=step)
