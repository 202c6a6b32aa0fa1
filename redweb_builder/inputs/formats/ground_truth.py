"""Which pictures are no photographs by their names: disparity, depth, segmentation and other maps of data sets."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import PurePath

from redweb_builder.inputs.formats.eye_marks import eye_marks
from redweb_builder.inputs.formats.names import plain_words

PHOTOGRAPH, PERHAPS, MAP = range(3)  # what a name is one of


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Words for maps that no photograph is called by.
_MAPS = _words("""disparity disparities disp disps truedisp depth depths depthmap depthmaps mask masks
    occlusion occlusions occl occ nonocc noc nocc outofframe calib groundtruth gt gts classgt instancegt
    seg segs segm segmentation segmentations semantic semantics instance instances panoptic parsing
    normals opticalflow sceneflow flowmap matchmap skymap rigidmap detailmap
    albedo labelids instanceids labeltrainids""")
# Words that photographs are called by too: maps only beside a word of the second list, or in folder and file name.
_PERHAPS_MAPS = _words("""normal flow conf confidence entity class label labels sky match rigid detail object obj
    material motion valid invalid""")
_OF_MAPS = _words("map maps index boundaries id ids optical scene forward backward fw bw surface vis viz debug")
# Words that say neither: eyes, cameras, parts of a data set, file formats.
_NEUTRAL = _OF_MAPS | _words("""left right l r cam camera cameras image images img imgs view views frames data train
    training test testing val clean final pass stereo color colored colour raw png jpg pfm exr front back rear top
    bottom up down ground truth unique tag fg bg change into future past proj sparse dense filtered refined lidar full
    half quarter size res resolution meters mm inverse inv bit d fine coarse visualization""")
# A name that begins with one of these is a map, whatever follows; one that ends so is, behind an eye or a number.
_FIRST_WORDS = _words("""disparity disparities disp disps mask masks occlusion occlusions occl occls occ occs nonocc noc
    calib truedisp groundtruth depth depths""")
_OF_INTEREST = _MAPS | _PERHAPS_MAPS | {"truth"}
_LAST_WORDS = _words("disp disparity depth seg semantic segmentation instance mask occ noc normals flow")


def is_ground_truth(file: PurePath) -> bool:
    """Whether a picture is a map of a data set by its name or by that of any of its folders.

    file: relative to the input folder. A folder is one of maps where all of its words are words for maps or neutral
    ones (DepthLeft, instanceSegmentation, matchmap_disp1_left), so that "depth of field" is not.
    """
    words = plain_words(file.stem)
    stem = PHOTOGRAPH if _OF_INTEREST.isdisjoint(words) else _kind_of_words(words)
    if stem == MAP or _begins_as_map(file.stem, words) or _ends_as_map(file.stem, words):
        return True
    folders, last = _kind_of_folders(file.parent)
    return folders == MAP or last or (folders == PERHAPS and stem == PERHAPS)


@lru_cache(maxsize=4096)
def _kind_of_folders(folder: PurePath) -> tuple[int, bool]:
    """What the names of a folder and of those above it are worth, and whether the last begins as maps do."""
    kinds = [_kind_of_words(plain_words(name)) for name in folder.parts]
    return max(kinds, default=PHOTOGRAPH), _begins_as_map(folder.name, plain_words(folder.name))


def _kind_of_words(words: Sequence[str]) -> int:
    """What a name of these words is one of."""
    if not _OF_INTEREST.isdisjoint(words) and all(map(_says_no_photograph, words)):
        sure = not _MAPS.isdisjoint(words) or {"ground", "truth"} <= set(words) or not _OF_MAPS.isdisjoint(words)
        return MAP if sure else PERHAPS
    return PHOTOGRAPH


def _says_no_photograph(word: str) -> bool:
    return word.isdigit() or word in _MAPS or word in _PERHAPS_MAPS or word in _NEUTRAL or bool(eye_marks(word))


def _begins_as_map(name: str, words: Sequence[str]) -> bool:
    """Whether the first word is one for maps; data sets write no spaces, and people who write them mean the words."""
    return bool(words) and words[0] in _FIRST_WORDS and " " not in name


def _ends_as_map(stem: str, words: Sequence[str]) -> bool:
    """Whether the last word is one for maps, behind a number or an eye."""
    if len(words) < 2 or words[-1] not in _LAST_WORDS or " " in stem:
        return False
    return words[-2].isdigit() or bool(eye_marks(words[-2]))
