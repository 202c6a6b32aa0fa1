"""How records name files of the input."""

from __future__ import annotations

from pathlib import Path

import pytest

from redweb_builder.inputs.portable import path_below, portable_text


def test_text_of_a_file_that_is_no_text_can_be_recorded() -> None:
    """YAML may state half a letter, as a calibration's model: it has no bytes, unlike the rest of a name."""
    assert portable_text("/a/b: \ud800 of \udcff\0", Path("/a")) == "b: \ufffd of \\xff\\x00"


@pytest.mark.parametrize("folder", ["photos", ".", "..", "/a/photos"])
@pytest.mark.parametrize("name", ["old_photos/a_L.jpg", "photos/a_L.jpg", "v1./a_L.jpg", "a..../b_L.jpg"])
def test_a_folder_that_ends_as_the_input_does_keeps_its_name(folder: str, name: str) -> None:
    """The manifest named old_a_L.jpg, a file that is not there, or another one that is."""
    file = Path(folder) / name
    assert path_below(file, Path(folder)) == name
    assert portable_text(f"{file}: is broken; its partner ({file}) is not", Path(folder)) == (
        f"{name}: is broken; its partner ({name}) is not"
    )
