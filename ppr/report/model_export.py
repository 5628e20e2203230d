"""A finished run's network for others: weights as safetensors, the config, a card with its numbers.

    model.safetensors   encoder.*, head.*, classifier.*: what `ppr.load` gives, less the loss
    config.yaml         the run's config
    config.json         what the network was built for: shape, classes, mean and deviation
    README.md           the card: numbers, their protocol, data, code and the command

That is a repository of the Hugging Face hub. Of one of timm's networks config.json and
model.safetensors are the body in timm's own layout, so that `timm.create_model("hf-hub:USER/NAME")`
has it; the task's other parts are then with it in task.safetensors.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ppr
from ppr.commands import command_line
from ppr.config.yaml_files import dump_yaml
from ppr.errors import BadRequest, RunFailed
from ppr.loading import Loaded
from ppr.results.files import read_object, write_atomic
from ppr.results.metrics import flatten
from ppr.results.tree import ENVIRONMENT, REQUEST

if TYPE_CHECKING:
    from torch import Tensor

WEIGHTS = "model.safetensors"
CARD = "README.md"
HERE = ("results.", "data.root", "launcher", "tracker")
"""Words that say where things are on this machine."""
PARTS = ("encoder", "head", "classifier")


def export(loaded: Loaded, folder: Path) -> list[Path]:
    """Write the files; returns them.

    Raises:
        BadRequest: the folder holds something already.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadRequest(f"-o {folder}: is there already and not empty")
    folder.mkdir(parents=True, exist_ok=True)
    from safetensors.torch import save

    metadata = {"format": "pt", "ppr": ppr.__version__, "run": str(loaded.summary["run_id"])}
    body = _timm_body(loaded)
    whole = WEIGHTS if body is None else "task.safetensors"
    write_atomic(folder / whole, save(weights(loaded), metadata))
    write_atomic(folder / "config.yaml", dump_yaml(_public(loaded.config)))
    if body is None:
        built_for = {
            "shape": list(loaded.shape),
            "classes": list(loaded.classes),
            "mean": list(loaded.mean),
            "std": list(loaded.std),
        }
        write_atomic(folder / "config.json", json.dumps(built_for, indent=2) + "\n")
    else:
        _save_as_timm(body, folder, loaded)
    write_atomic(folder / CARD, card(loaded, timm=body is not None))
    return sorted(folder.iterdir())


def weights(loaded: Loaded) -> dict[str, Tensor]:
    """The network's tensors by name, each with memory of its own."""
    state = loaded.task.state_dict()
    return {
        name: tensor.detach().cpu().contiguous().clone()
        for name, tensor in state.items()
        if name.partition(".")[0] in PARTS
    }


def push(folder: Path, repository: str) -> str:
    """Upload an export to the hub; returns its address.

    Raises:
        RunFailed: no token, no such user, or the hub is out of reach.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError

    hub = HfApi()
    try:
        hub.create_repo(repository, exist_ok=True)
        return str(hub.upload_folder(repo_id=repository, folder_path=folder))
    except (HfHubHTTPError, HFValidationError, LocalTokenNotFoundError, OSError) as error:
        reason = str(error).strip().split("\n", 1)[0]
        raise RunFailed(f"--push {repository}: {reason}; the files are in {folder}") from None


def card(loaded: Loaded, *, timm: bool) -> str:
    """The model card, with its metadata as the hub reads it."""
    from huggingface_hub import EvalResult, ModelCardData

    data, summary = loaded.summary.get("data") or {}, loaded.summary
    name = f"{summary['experiment']}-{summary['variant']}-seed{summary['seed']}"
    results = [
        EvalResult(
            task_type="image-classification" if len(loaded.shape) == 3 else "other",
            dataset_type=str(data.get("name")),
            dataset_name=str(data.get("name")),
            metric_type=metric,
            metric_value=value,
        )
        for metric, value in flatten(summary.get("metrics") or {}, "/").items()
    ]
    known = ModelCardData(
        library_name="timm" if timm else "ppr",
        tags=["ppr", str(loaded.config["task"]["name"])],
        model_name=name,
        eval_results=results,
    )
    lines = ["---", known.to_yaml().rstrip(), "---", "", f"# {name}", ""]
    return "\n".join([*lines, *_body(loaded, timm=timm)]) + "\n"


def _body(loaded: Loaded, *, timm: bool) -> Iterator[str]:
    summary, data = loaded.summary, loaded.summary.get("data") or {}
    parts = ", ".join(
        f"{kind} `{loaded.config[kind]['name']}`"
        for kind in ("task", "model", "head", "loss", "dataset", "optimizer")
        if loaded.config.get(kind)
    )
    yield f"Trained with ppr {ppr.__version__}: {parts}; seed {summary['seed']}."
    yield ""
    yield "| metric | value |"
    yield "| --- | --- |"
    for metric, value in flatten(summary.get("metrics") or {}, "/").items():
        yield f"| {metric} | {value:.4g} |"
    yield ""
    yield "One seed: no interval. " + _said(summary.get("protocol") or {})
    yield ""
    rows = ", ".join(f"{data[k]:,} {k}" for k in ("train", "validation", "test") if data.get(k))
    yield f"Data: {data.get('name')} ({rows}), SHA-256 of the splits {data.get('digest')}."
    yield ""
    asked = map(str, read_object(loaded.folder / REQUEST).get("overrides") or [])
    words = [word for word in asked if not word.startswith(HERE)]
    code = read_object(loaded.folder / ENVIRONMENT).get("code") or {}
    yield f"    {command_line('run', *words)}"
    yield ""
    changed = ", with changes" if code.get("dirty") else ""
    yield f"Code: ppr {code.get('version')}, commit {code.get('commit')}{changed}."
    yield ""
    yield "Inputs are {} of shape {}, normalised with mean {} and deviation {}.".format(
        "images in [0, 1]" if len(loaded.shape) == 3 else "samples",
        " x ".join(map(str, loaded.shape)),
        list(loaded.mean),
        list(loaded.std),
    )
    yield "Classes: " + ", ".join(loaded.classes[:100]) + (", …" if loaded.classes[100:] else "")
    yield ""
    yield "```python"
    if timm:
        yield 'encoder = timm.create_model("local-dir:THIS_FOLDER", pretrained=True)'
    else:
        yield 'tensors = safetensors.torch.load_file("model.safetensors")  # encoder.*, head.*, …'
    yield "```"


def _said(protocol: Mapping[str, Any]) -> str:
    told = {key: value for key, value in flatten(protocol, ".").items() if value is not None}
    return "Protocol: " + "; ".join(f"{key}: {value}" for key, value in told.items()) + "."


def _public(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config less where this machine keeps things."""
    return {k: v for k, v in config.items() if k not in HERE and k not in ("results", "data")}


def _timm_body(loaded: Loaded) -> Any:
    """timm's own network inside the encoder, if it is one."""
    name = str((loaded.config.get("model") or {}).get("name"))
    return loaded.encoder.body if name.startswith("timm/") else None


def _save_as_timm(body: Any, folder: Path, loaded: Loaded) -> None:
    from timm.models import save_for_hf

    given = {"mean": list(loaded.mean), "std": list(loaded.std), "input_size": list(loaded.shape)}
    save_for_hf(body, str(folder), {"pretrained_cfg": given}, safe_serialization=True)
