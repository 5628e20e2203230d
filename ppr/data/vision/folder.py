"""Your own images in class folders: `data.root/CLASS/*.png`, or `data.root/train/CLASS/*.png`.

A folder's name is its class. Beside `train` there may be `test` and `validation` (or `val`; one
alone is the test, as of ImageNet); without them both are held out of what is there, by class.
Images of any size become squares of one: the largest centred one of each, resized.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ppr.data.own import OwnImages, Pictures, part_of, splits_of
from ppr.errors import BadRequest
from ppr.registry import component

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")


@component("dataset", inputs="image", targets="class", finds="contents")
class Folder(OwnImages):
    def files(self) -> Mapping[str, list[Path]]:
        return {split: [file for file, _ in part] for split, part in self._labelled().items()}

    def pictures(self) -> Mapping[str, Pictures]:
        return {
            split: Pictures(
                lambda row, part=part: (part[row][0].read_bytes(), str(part[row][0])),
                [label for _, label in part],
            )
            for split, part in self._labelled().items()
        }

    def _labelled(self) -> dict[str, list[tuple[Path, str]]]:
        """Split -> its image files by name, each with its class."""
        folder = self.folder
        inside = [each for each in _folders(folder) if part_of(each.name)]
        others = [each for each in _folders(folder) if not part_of(each.name)]
        if inside and others:
            raise BadRequest(
                f"{folder}: class folders ({others[0].name}, …) beside {inside[0].name}; either "
                "classes, or train, validation and test with the classes in each"
            )
        parts = {"train": folder}
        if inside:
            parts = splits_of({str(part_of(each.name)): each for each in inside}, folder)
        found = {split: _classes(each) for split, each in parts.items()}
        known = {label for _, label in found["train"]}
        for split, files in found.items():
            for file, label in files:
                if label not in known:
                    raise BadRequest(
                        f"{file.parent}: a class of {split} that train has no images of"
                    )
        return found


def _folders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _classes(folder: Path) -> list[tuple[Path, str]]:
    found: list[tuple[Path, str]] = []
    beside = _images(folder)
    classes = _folders(folder)
    if beside and not classes:
        raise BadRequest(f"{folder}: images in no class folder; put them into {folder}/CLASS/")
    if beside:
        raise BadRequest(f"{beside[0]}: an image beside the class folders, so of no class")
    for each in classes:
        images = _images(each)
        if not images:
            ends = " ".join(ENDINGS)
            deeper = " (there are folders in it)" if _folders(each) else ""
            raise BadRequest(f"{each}: a class folder without images{deeper}; images end in {ends}")
        found += [(file, each.name) for file in images]
    if not found:
        raise BadRequest(f"{folder}: no class folders with images in it")
    return found


def _images(folder: Path) -> list[Path]:
    return sorted(
        file
        for file in folder.iterdir()
        if file.suffix.lower() in ENDINGS and not file.name.startswith(".") and file.is_file()
    )
