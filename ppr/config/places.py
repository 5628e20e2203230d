"""Where configs, data and caches lie."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ppr import registry
from ppr.errors import BadRequest

_PACKAGE = Path(__file__).resolve().parent.parent
_own_folders: list[Path] = []


def shipped_configs() -> Path:
    """The folder of ppr's own YAML: inside an installed package, beside it in a source tree."""
    installed = _PACKAGE / "_configs"
    return installed if installed.is_dir() else _PACKAGE.parent / "configs"


def add_config_dir(folder: str | Path) -> None:
    """Let a user's own folder of configs (experiment/, loss/, …) come before the shipped ones."""
    where = Path(folder).expanduser().resolve()
    if not where.is_dir():
        raise BadRequest(f"--config-dir {where}: no such folder")
    if where not in _own_folders:
        _own_folders.append(where)


@dataclass(frozen=True)
class Extensions:
    """What a user brings: files of components, and folders of configs."""

    plugins: tuple[str, ...] = ()
    config_dirs: tuple[str, ...] = ()

    @classmethod
    def present(cls) -> Extensions:
        """Those of this process, for the processes that go on with its work."""
        return cls(tuple(map(str, registry.plugin_files())), tuple(map(str, _own_folders)))

    def add(self) -> None:
        """Have them in this process too."""
        for path in self.plugins:
            registry.add_plugin(path)
        for folder in self.config_dirs:
            add_config_dir(folder)


def config_folders() -> tuple[Path, ...]:
    """The folders that hold configs, first come first served: own, of plug-ins, shipped."""
    plugins = [root / "configs" for root in registry.plugin_roots()]
    return (*_own_folders, *(p for p in plugins if p.is_dir()), shipped_configs())


def config_file(option: str) -> Path:
    """The file of an option, as `loss/supcon`: its YAML, or the component's source."""
    for folder in config_folders():
        if (folder / f"{option}.yaml").exists():
            return folder / f"{option}.yaml"
    kind, _, name = option.partition("/")
    return Path(registry.find(kind, name))


def data_root(configured: str | None) -> Path | None:
    """The folder that mirrors the hub's Parquet files: `data.root`, else PPR_DATA, else none."""
    named = configured or os.environ.get("PPR_DATA")
    return Path(named).expanduser() if named else None


def cache_root() -> Path:
    """What can be deleted at any time: PPR_CACHE, else `ppr` in the user's cache folder."""
    user = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "ppr"
    return Path(os.environ.get("PPR_CACHE") or user).expanduser()
