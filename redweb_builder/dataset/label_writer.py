"""The files of labelled pairs, written into the folder of a data set by the process that labels them."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from redweb_builder.dataset.codec import picture_bytes, picture_name, pngs_of_label, preview_bytes
from redweb_builder.dataset.journal import PREVIEWS
from redweb_builder.dataset.paths import ENDINGS, FOLDERS
from redweb_builder.files import write_atomic
from redweb_builder.types import Label, Picture


class LabelWriter:
    """Writes the files of pairs into an output folder that a Store, of any process, has made and holds."""

    def __init__(self, out: Path) -> None:
        """Write nothing yet. out: the folder."""
        self.out = out

    def write_label(
        self, key: str, picture: Picture, lossless: bool, label: Label, strip: Picture, kept: bool
    ) -> dict[str, list[int | str]]:
        """Write the files of a labelled pair; not yet recorded as done.

        key: of the pair. picture: HxWx3 uint8 RGB, the left view. lossless: store it as PNG, else as JPEG. label: of
        that view. strip: HxWx3 uint8 RGB, the preview. kept: the verdict. Returns [size, SHA-256] by the names that
        the journal has for the files. Raises OSError.
        """
        home = self._home(kept)
        for stray in self._possible_files(key, not kept):  # a verdict never recorded may have been the other one
            stray.unlink(missing_ok=True)
        contents = _contents(key, picture, lossless, label)
        for name, content in contents.items():
            write_atomic(home / name, content)
        preview = preview_bytes(strip)
        write_atomic(self.out / PREVIEWS / f"{key}.jpg", preview)
        contents[f"{PREVIEWS}/{key}.jpg"] = preview
        return {name: [len(content), sha256(content).hexdigest()] for name, content in contents.items()}

    def _possible_files(self, key: str, kept: bool) -> list[Path]:
        """Where the files of a labelled pair may lie, there or not."""
        home = self._home(kept)
        return [home / folder / f"{key}{ending}" for folder in FOLDERS for ending in ENDINGS]

    def _home(self, kept: bool) -> Path:
        return self.out if kept else self.out / "rejected"


def _contents(key: str, picture: Picture, lossless: bool, label: Label) -> dict[str, bytes]:
    """The files of a pair but for its preview, by name below the data set or its rejected/."""
    maps = zip(("RDs", "masks", "confidence"), pngs_of_label(label), strict=True)
    contents = {picture_name(key, lossless): picture_bytes(picture, lossless)}
    return contents | {f"{folder}/{key}.png": content for folder, content in maps}
