"""The base of studies of published tables: what a paper found, computed again from its own files.

The tables are those of the run's data set (ppr/data/published/tables.py). Random data, which
`ppr check` asks for, are made up by the study itself from parameters it knows: its own test data.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from ppr.engine.bench import Outcome
from ppr.errors import BadRequest, choices
from ppr.studies.study import Study

Table = Mapping[str, Any]
"""The columns of a table, by name, a NumPy array [rows] each."""


class PublishedStudy(Study):
    """Marked `@component("task", needs="tables")`."""

    @abstractmethod
    def made(self) -> Mapping[str, Table]:
        """Tables like the published ones, made up."""

    def table(self, name: str) -> Table:
        """
        Raises:
            BadRequest: the run's data set has no such table.
        """
        tables: Mapping[str, Table] = self.bench.dataset.extra.get("tables") or self.made()
        if name not in tables:
            what = f"has no table {name!r}, which this task reads; {choices(name, tables)}"
            raise BadRequest(f"dataset={self.bench.dataset.name}: {what}")
        return tables[name]

    def execute(self) -> Outcome:
        data = self.bench.dataset
        return Outcome(metrics=self.measure(), data={"name": data.name, "digest": data.digest})
