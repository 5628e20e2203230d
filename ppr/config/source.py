"""Hydra's view of our folders of configs: an option is known by its name, wherever it lies.

`loss=supcon` is `loss/contrastive/supcon.yaml` in the folder that ships, and may be
`loss/supcon.yaml` in a user's own: sub-folders are for readers, not for the command line.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource
from omegaconf import OmegaConf

from ppr.config.places import option_files

SCHEME = "ppr"


class ConfigFolder(ConfigSource):
    """One folder of configs; Hydra makes it anew for each composition, so it may remember."""

    @staticmethod
    def scheme() -> str:
        return SCHEME

    @cached_property
    def _options(self) -> dict[str, dict[str, Path]]:
        return {}

    def _file(self, option: str) -> Path | None:
        """The file of `config` or `loss/supcon`."""
        group, _, name = option.rpartition("/")
        if group not in self._options:
            self._options[group] = option_files(Path(self.path), group)
        return self._options[group].get(name)

    def load_config(self, config_path: str) -> ConfigResult:
        file = self._file(config_path)
        if file is None:
            raise ConfigLoadError(f"{self.path}: no {config_path}")
        text = file.read_text(encoding="utf-8")
        return ConfigResult(
            provider=self.provider,
            path=self.full_path(),
            config=OmegaConf.create(text),
            header=self._get_header_dict(text),
        )

    def available(self) -> bool:
        return Path(self.path).is_dir()

    def is_group(self, config_path: str) -> bool:
        return (Path(self.path) / config_path).is_dir()

    def is_config(self, config_path: str) -> bool:
        return self._file(config_path) is not None

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """The options of a group; its sub-folders are no groups of their own."""
        if results_filter == ObjectType.GROUP or not self.is_group(config_path):
            return []
        return sorted(option_files(Path(self.path), config_path))


Plugins.instance().register(ConfigFolder)
