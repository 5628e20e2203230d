"""Where Hydra gets an option's file from: ppr's own folders, through ppr's own reader.

An option is known by its name, wherever it lies: `loss=supcon` is `loss/contrastive/supcon.yaml` in
the folder that ships, and may be `loss/supcon.yaml` in a user's own. An experiment, and a scale, is
merged at the top of the config, an evaluator below its own name, an option of any other group below
the group's: what the file says of `@package` cannot change it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import OmegaConf

from ppr.config.bodies import WHOLE, lineage, option_body
from ppr.config.places import config_file, config_folders
from ppr.errors import BadRequest

PRIMARY = "config"
_HEADER = re.compile(r"^#\s*@package[ \t]+(\S+)", re.MULTILINE)


class Options(ConfigSource):
    """`ppr://`, the options of every group."""

    @staticmethod
    def scheme() -> str:
        return "ppr"

    def available(self) -> bool:
        return True

    def is_group(self, config_path: str) -> bool:
        return config_path == "" or any((f / config_path).is_dir() for f in config_folders())

    def is_config(self, config_path: str) -> bool:
        try:
            return config_path == PRIMARY or config_file(config_path).is_file()
        except BadRequest:
            return False

    def load_config(self, config_path: str) -> ConfigResult:
        group = config_path.rpartition("/")[0]
        body = option_body(config_path)
        if group == "experiment":
            lineage(config_path.rpartition("/")[2])
        package = "_global_" if group in WHOLE else None
        if group == "evaluator":
            package = f"evaluator.{_evaluator_name(config_path, body)}"
        return ConfigResult(
            provider=self.provider,
            path=self.full_path(),
            config=OmegaConf.create(dict(body)),
            header={"package": package},
        )

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        return []  # Hydra asks only to word an error that has been found before


def _evaluator_name(option: str, body: Mapping[str, Any]) -> str:
    """The key below which an evaluator lies: as its header says, or its component's name."""
    file = config_file(option)
    said = _HEADER.search(file.read_text("utf-8-sig")) if file.suffix == ".yaml" else None
    package = said[1] if said else f"evaluator.{body.get('name', option)}".split("/", 1)[0]
    if not re.fullmatch(r"evaluator\.\w+", package):
        raise BadRequest(f"{file}: @package {package}: must be evaluator.<name>")
    return package.removeprefix("evaluator.")


class _Search(SearchPathPlugin):
    """Has Hydra look there, and nowhere else but in what it brings along."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        search_path.append("ppr", "ppr://")


Plugins.instance().register(Options)
Plugins.instance().register(_Search)
