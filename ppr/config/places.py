"""Where configs, data, results and caches lie."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ppr import commands, registry
from ppr.errors import BadRequest
from ppr.paths import expanded

_PACKAGE = Path(__file__).resolve().parent.parent
_own_folders: list[Path] = []

RESERVED = {"true", "false", "null", "nan", "inf"}
"""Words that are read as something else than text, on the command line and in a file."""


def shipped_configs() -> Path:
    """The folder of ppr's own YAML: inside an installed package, beside it in a source tree."""
    installed = _PACKAGE / "_configs"
    return installed if installed.is_dir() else _PACKAGE.parent / "configs"


def shipped_records() -> Path | None:
    """The folder of the runs that are published with ppr: inside an installed package, else the
    results/ of the source tree."""
    folders = (_PACKAGE / "_results", _PACKAGE.parent / "results")
    return next((folder for folder in folders if folder.is_dir()), None)


def add_config_dir(folder: str | Path) -> None:
    """Let a user's own folder of configs (experiment/, loss/, …) come before the shipped ones."""
    where = expanded(folder, "--config-dir").resolve()
    if not where.is_dir():
        raise BadRequest(f"--config-dir {where}: no such folder")
    if where not in _own_folders:
        _own_folders.append(where)


@dataclass(frozen=True)
class Extensions:
    """What a user brings: files of components, and folders of configs."""

    plugins: tuple[str, ...] = ()
    config_dirs: tuple[str, ...] = ()
    given: tuple[tuple[str, str], ...] = ()
    """As the command line named them, for the commands that are printed."""

    @classmethod
    def present(cls) -> Extensions:
        """Those of this process, for the processes that go on with its work."""
        return cls(
            tuple(map(str, registry.plugin_files())),
            tuple(map(str, _own_folders)),
            commands.given(),
        )

    def add(self) -> None:
        """Have them in this process too."""
        commands.note(self.given)
        for path in self.plugins:
            registry.add_plugin(path)
        for folder in self.config_dirs:
            add_config_dir(folder)


def config_folders() -> tuple[Path, ...]:
    """The folders that hold configs, first come first served: own, of plug-ins, shipped."""
    plugins = [root / "configs" for root in registry.plugin_roots()]
    return (*_own_folders, *(p for p in plugins if p.is_dir()), shipped_configs())


@cache
def option_files(folder: Path, group: str) -> Mapping[str, Path]:
    """Option -> YAML file, of one group in one folder of configs, in any sub-folder of it.

    The top of the folder (`group` empty) has no sub-folders of its own: those are groups. Read
    once in a process: a composition asks for a hundred files.

    Raises:
        BadRequest: two files of one name.
    """
    found: dict[str, Path] = {}
    for path in sorted((folder / group).rglob("*.yaml") if group else folder.glob("*.yaml")):
        if not path.is_file():  # a folder, a pipe, a link to nowhere
            continue
        other = found.setdefault(path.stem, path)
        if other != path:
            raise BadRequest(f"{group} {path.stem!r} is there twice: {other} and {path}")
    return found


def config_files(group: str) -> dict[str, Path]:
    """Every YAML file of a group, shipped or from plug-ins, by its option's name."""
    found: dict[str, Path] = {}
    for folder in reversed(config_folders()):  # the first to hold an option is the one that counts
        found |= option_files(folder, group)
    return dict(sorted(found.items()))


def own_tree(into: Path | None) -> Path:
    """The folder that new files go to: the one that is named, else the checkout that this ppr is.

    Raises:
        BadRequest: it is installed, and none is named.
    """
    if into is None and shipped_configs().name != "configs":
        raise BadRequest(
            "--into DIR is needed: this ppr is installed, not a checkout of its source"
        )
    return into or shipped_configs().parent


def config_file(option: str) -> Path:
    """The file of an option, as `loss/supcon`: its YAML, or the component's source."""
    group, _, name = option.rpartition("/")
    for folder in config_folders():
        file = option_files(folder, group).get(name)
        if file is not None:
            return file
    return Path(registry.find(group, name))


def options(group: str) -> tuple[str, ...]:
    """What a group can be set to: its YAML files, and components without one."""
    components = tuple(registry.names(group)) if group in registry.KINDS else ()
    files = (option_files(folder, group) for folder in config_folders())
    return tuple(sorted({*components}.union(*files)))


@cache
def groups() -> tuple[str, ...]:
    """The config groups there are: the folders of the shipped configs, and every component kind."""
    folders = {entry.name for entry in shipped_configs().iterdir() if entry.is_dir()}
    return tuple(sorted((folders | set(registry.KINDS)) - {"paper"}))


def data_root(configured: str | None) -> Path | None:
    """The folder that mirrors the hub's Parquet files: `data.root`, else PPR_DATA, else none."""
    named = configured or os.environ.get("PPR_DATA")
    return expanded(named, "data.root" if configured else "PPR_DATA") if named else None


def results_root(root: str | Path | None = None) -> Path:
    """The root of the results tree: as asked, else `PPR_RESULTS`, else ./results."""
    if root:
        return expanded(root, "results.root")
    return expanded(os.environ.get("PPR_RESULTS") or "results", "PPR_RESULTS")


def run_path(root: str | Path, experiment: str, variant: str, seed: int) -> Path:
    """Where a run lies in the results tree of that root."""
    return Path(root) / experiment / variant / f"seed={seed}"


def cache_root() -> Path:
    """What can be deleted at any time: PPR_CACHE, else `ppr` in the user's cache folder."""
    if named := os.environ.get("PPR_CACHE"):
        return expanded(named, "PPR_CACHE")
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "ppr"
    except RuntimeError:  # nobody's home, as in some containers
        return Path(tempfile.gettempdir()) / "ppr-cache"
