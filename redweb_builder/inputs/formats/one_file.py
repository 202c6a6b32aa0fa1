"""One picture file that may hold both eyes -> its layout, or why it holds none."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path, PurePath

from redweb_builder.inputs.formats.heic import spatial_layout
from redweb_builder.inputs.formats.jps import jps_layout
from redweb_builder.inputs.formats.mpo import mpo_layout
from redweb_builder.inputs.formats.packed import named_layout, round_view, seen_layout
from redweb_builder.inputs.formats.two_frames import has_more_frames, two_frames_layout
from redweb_builder.inputs.formats.vr180 import vr180_layout
from redweb_builder.inputs.layout import Layout, NotPair
from redweb_builder.inputs.picture import header_of, open_picture, read_picture

# Files that hold both eyes whatever their name says.
CONTAINERS = (".mpo", ".jps", ".pns")
# The content is judged on a picture whose longer side is at least this.
_JUDGE_SIDE = 700


def layout_by_name(file: PurePath) -> Layout | NotPair | None:
    """What the name of a file says for certain; None where its content must be asked. file: its path."""
    named = named_layout(file.stem)
    if isinstance(named, NotPair):
        return named
    of_sphere = re.search(r"360|180|vr", file.stem.lower())
    return None if of_sphere or file.suffix.lower() in CONTAINERS else named


def file_layout(file: Path) -> Layout | NotPair:
    """How one file holds two eyes: by its headers where it is a container, by its name, by its content.

    A name alone is believed without a look into the file, but not where it speaks of spheres. Raises InputError as
    read_picture does.
    """
    by_name = layout_by_name(file)
    if by_name is not None:
        return by_name
    named = named_layout(file.stem)
    assert not isinstance(named, NotPair)
    with open_picture(file) as image:
        header, more_frames = header_of(image), has_more_frames(image)
        stated = (
            vr180_layout(image)
            or spatial_layout(image)
            or mpo_layout(image)
            or jps_layout(image, file)
            or two_frames_layout(image)
        )
    round_by_name = round_view(file.stem, header.size, named)
    if isinstance(stated, NotPair) and stated.reason == "panorama" and isinstance(round_by_name, Layout):
        return round_by_name  # GPano speaks of one sphere also where a program has put two beside each other
    if stated is not None and not (named is not None and isinstance(stated, Layout) and stated.guessed):
        return stated
    if round_by_name is not None:
        return round_by_name
    if named is not None:
        if isinstance(stated, Layout) and stated.order_stated and named.guessed and named.layout == stated.layout:
            rule = f"{named.rule}, {stated.rule}"  # of the order the name says nothing, and files of this kind have one
            return replace(named, rule=rule, right_first=stated.right_first, order_stated=True)
        return named
    shrink = next((by for by in (8, 4, 2) if max(header.size) >= by * _JUDGE_SIDE), 1)
    by_content = seen_layout(read_picture(file, shrink=shrink), header.size, file.stem)
    if more_frames and isinstance(by_content, NotPair) and by_content.reason == "single":
        return NotPair(
            "single", "several frames or pages, but not exactly two that show one scene; save two as files _L _R"
        )
    return by_content
