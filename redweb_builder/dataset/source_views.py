"""The two views that a label was made of, read from the photographs again: a data set holds the left one only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from redweb_builder.dataset.manifest import source_of
from redweb_builder.dataset.paths import read_build, remote_input
from redweb_builder.errors import InputError, StoreError
from redweb_builder.files import parse_json
from redweb_builder.inputs.formats.calibration import calibration_digest
from redweb_builder.inputs.read import read_pair
from redweb_builder.types import Picture, StereoPair


def source_views(folder: Path, row: Mapping[str, Any], source: Path | None) -> StereoPair:
    """The pair as it was when its label was made, but for the alignment of the right view.

    Rectified by its calibration where it was so, eyes in order. folder: the data set. row: of the pair, of its
    manifest. source: the folder of the stereo photographs; None where it is not known. Raises StoreError where the
    source is missing, has changed, or cannot be read.
    """
    if source is None:
        address = remote_input(folder)
        missing = f"is read from {address} only where that is named" if address else "folder is not there: name it"
        raise StoreError(f"the right view is not in the data set, and its source {missing} by --source")
    try:
        origin = source_of(row, source)
        pair = read_pair(origin, _max_side(folder))
    except (InputError, OSError, ValueError) as error:
        raise StoreError(f"the source cannot be read again: {error}") from error
    if pair.digest != row["source_sha256"]:
        raise StoreError("the source files have changed since the data set was built")
    if row.get("rectified"):
        from redweb_builder.rectification.calibrated import calibrate  # here: it loads PyTorch, as below

        if calibration_digest(origin.calibration) != row.get("calibration_sha256"):
            raise StoreError("the calibration has changed since the data set was built")
        pair = calibrate(origin, pair)[0]
    return replace(pair, left=pair.right, right=pair.left) if row["eyes_exchanged"] else pair


def aligned_views(folder: Path, row: Mapping[str, Any], source: Path | None) -> StereoPair:
    """The pair that a label was made of: as of `source_views`, the right view aligned.

    folder, row, source: as there. Raises StoreError as there.
    """
    pair = source_views(folder, row, source)
    if not row["aligned"]:
        return pair
    from redweb_builder.rectification.alignment import Alignment, apply_alignment, estimate_alignment

    if row.get("homography"):
        alignment = Alignment(np.array(parse_json(row["homography"]), np.float64).reshape(3, 3))
    else:  # of a set from before the column
        from redweb_builder.matching.quick_flow import preview_flow

        alignment = estimate_alignment(preview_flow(pair.left, pair.right), pair.left.shape)
    right: Picture = apply_alignment(pair.right, alignment)[0]
    return replace(pair, right=right)


def _max_side(folder: Path) -> int:
    """The longer side of the stored pictures, px. Raises StoreError where build.json names none."""
    identity = read_build(folder).get("identity")
    side = identity.get("max_side") if isinstance(identity, dict) else None
    if not isinstance(side, int) or side < 1:
        raise StoreError(f"{folder / 'build.json'} names no longer side of the pictures")
    return side
