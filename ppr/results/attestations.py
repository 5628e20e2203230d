"""Records run again since the code of their components changed: `attestations.jsonl`, a line a run.

    {"experiment": "supcon_digits", "variant": "850982878b", "seed": 0,
     "record": "dbf7936b66702b1468d0",                     its digest: a renewed one is not meant
     "components": {"optimizer/sgd": ["a4c5c527be99", "77d1090e5a02"]},     that differ: then, now
     "metrics": {}, "control": null,                       that came out otherwise: none here
     "environment": {"processor": …, "instructions": …, "packages": …, …},
     "code": {…}, "finished": …, "digest": …}

It lies beside the records in the results tree. `metrics` has the values of now that are not those
of the record, null for one that is no longer measured. `control` then has what the record's own
commit gives on the machine of now, as far as that is not what today's code gives; null: not tried.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from ppr.errors import RunFailed
from ppr.results.files import check_as, parse_json, write_atomic
from ppr.results.roundings import Rounding

FILE = "attestations.jsonl"

_DIGEST = 20


@dataclass(frozen=True)
class Attestation:
    """One record run again. Its fields are the keys of a line."""

    experiment: str
    variant: str
    seed: int
    record: str
    components: dict[str, tuple[str, str]]
    metrics: dict[str, float | None]
    control: dict[str, float | None] | None
    environment: dict[str, Any]
    code: dict[str, Any]
    finished: str
    digest: str = ""

    @property
    def key(self) -> tuple[str, str, int]:
        return self.experiment, self.variant, self.seed


T = TypeVar("T", Attestation, Rounding)


def signed(attestation: T) -> T:
    """With the digest over all else: an edit by hand shows, as that of a record does."""
    return replace(attestation, digest=_digest(asdict(attestation)))


def _digest(content: Mapping[str, Any]) -> str:
    rest = {key: value for key, value in content.items() if key != "digest"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST]


def read(root: Path) -> Iterator[Attestation | str]:
    """As `read_lines`, of the attestations of a results tree."""
    return read_lines(root, Attestation, FILE)


def read_lines(root: Path, kind: type[T], name: str) -> Iterator[T | str]:
    """What a results tree has in such a file; of a line that is none, or was edited, why."""
    try:
        lines = (root / name).read_bytes().splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        yield error.strerror or str(error)
        return
    for number, data in enumerate(lines, start=1):
        where = f"line {number}"
        try:
            content = parse_json(data, where)
            found = check_as(content, kind, where)
        except RunFailed as error:
            yield str(error)
            continue
        edited = found.digest != _digest(content)
        yield f"{where}: its digest does not fit: it has been edited" if edited else found


def add(root: Path, new: Iterable[Attestation], records: Iterable[str | None]) -> None:
    """As `add_lines`, of attestations."""
    add_lines(root, Attestation, FILE, new, records)


def add_lines(
    root: Path, kind: type[T], name: str, new: Iterable[T], records: Iterable[str | None]
) -> None:
    """Put lines beside the others of a file, less those of records that are not there any more.

    Args:
        records: the digests of the records of the tree.

    Raises:
        RunFailed: a line that is there is none, which nobody wants overwritten; or as
            `write_atomic`.
    """
    kept: dict[tuple[str, str, int], T] = {}
    for each in read_lines(root, kind, name):
        if isinstance(each, str):
            raise RunFailed(f"{root / name}: {each}")
        kept[each.key] = each
    kept |= {each.key: each for each in new}
    there = set(records)
    lines = [asdict(kept[key]) for key in sorted(kept) if kept[key].record in there]
    dumped = (json.dumps(line, separators=(",", ":"), allow_nan=False) for line in lines)
    root.mkdir(parents=True, exist_ok=True)
    write_atomic(root / name, "".join(f"{line}\n" for line in dumped))
