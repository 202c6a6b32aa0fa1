"""The layout of ReDWeb_V1 (Xian et al. 2018): Imgs/*.jpg and RDs/*.png of 8 bits, matched by name.

0 is nearest, 254 the farthest that is not sky, 255 sky. The layout has no place for what is unknown: those pixels are
255 too, as ReDWeb's background is. masks/ and confidence/, which others' readers pass over and the trainer's does not,
tell the two apart. Values are rounded evenly in disparity; a step is 1/254 of a picture's range.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from redweb_builder.dataset.codec import FARTHEST, SKY_VALUE
from redweb_builder.dataset.label_reader import read_stored
from redweb_builder.dataset.reader import Dataset
from redweb_builder.dataset.sample_files import MAPS
from redweb_builder.export.names import file_namer
from redweb_builder.export.stored import maps_of
from redweb_builder.files import create
from redweb_builder.inputs.picture import open_picture, values_of

FARTHEST_8, SKY_8 = 254, 255
JPEG_QUALITY = 95


def write_redweb_v1(dataset: Dataset, keys: Sequence[str], folder: Path) -> Iterator[str]:
    """Write Imgs/, RDs/, masks/ and confidence/; yields each key when it is done. JPEGs are copied as they are.

    dataset, keys: what is exported. folder: an empty folder. Raises StoreError, OSError.
    """
    for kind in ("Imgs", "RDs"):
        (folder / kind).mkdir()
    name_of = file_namer(keys)
    for key in keys:
        name = name_of(key)
        ending, image = dataset.stored_picture(key)
        with create(folder / "Imgs" / f"{name}.jpg") as file:
            if ending == "jpg":
                file.write(image)
            else:
                Image.fromarray(read_stored(image)).save(file, "JPEG", quality=JPEG_QUALITY, subsampling=0)
        maps = maps_of(dataset, key)
        with open_picture(maps["rd"], min_side=1, formats=("PNG",)) as rd:
            values = values_of(rd)
        with create(folder / "RDs" / f"{name}.png") as file:
            Image.fromarray(to_8_bit(values)).save(file, "PNG")
        for what, content in maps.items():
            if what != "rd":
                (folder / MAPS[what]).mkdir(exist_ok=True)
                with create(folder / MAPS[what] / f"{name}.png") as file:
                    file.write(content)
        yield key


def to_8_bit(values: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """16-bit label values (0 = nearest, 65535 = sky or unknown) in 8 bits, of the same sense."""
    rounded = np.rint(values.astype(np.float64) * (FARTHEST_8 / FARTHEST))
    return np.where(values == SKY_VALUE, SKY_8, rounded).astype(np.uint8)
