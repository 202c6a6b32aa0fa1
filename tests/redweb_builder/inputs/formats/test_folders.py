"""Every layout of two files, an eye each: a table of names, and what discovery makes of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path, PurePath

import numpy as np
import pytest
from PIL import Image

from redweb_builder.inputs.discover import Discovery, discover
from redweb_builder.inputs.formats import folders
from redweb_builder.inputs.formats.eye_marks import eye_mark
from redweb_builder.inputs.formats.ground_truth import is_ground_truth
from redweb_builder.inputs.formats.siblings import Name, Numbered, numbered_siblings
from redweb_builder.inputs.listing import Listing
from redweb_builder.pair_sources import PairSources
from redweb_builder.types import Picture

# A name that states both eyes: the left file, the right file.
STATED = [
    ("left/a.png", "right/a.png"),
    ("Left/a.png", "Right/a.png"),
    ("l/a.png", "r/a.png"),
    ("left_images/a.png", "right_images/a.png"),
    ("image_L/a.png", "image_R/a.png"),
    ("image_0/a.png", "image_1/a.png"),
    ("image_2/a.png", "image_3/a.png"),
    ("colored_0/a.png", "colored_1/a.png"),
    ("view1/a.png", "view5/a.png"),
    ("cam0/data/17.png", "cam1/data/17.png"),
    ("leftImg8bit/x/a_leftImg8bit.png", "rightImg8bit/x/a_rightImg8bit.png"),
    ("left/a_left.png", "right/a_right.png"),
    ("a_L.png", "a_R.png"),
    ("a-l.png", "a-r.png"),
    ("a.left.png", "a.right.png"),
    ("a_left.png", "a_right.png"),
    ("L_a.png", "R_a.png"),
    ("left_a.png", "right_a.png"),
    ("left01.jpg", "right01.jpg"),
    ("a_left_001.png", "a_right_001.png"),
    ("houseL.png", "houseR.png"),
    ("scene/left.png", "scene/right.png"),
    ("scene/im0.png", "scene/im1.png"),
    ("scene/im2.ppm", "scene/im6.ppm"),
    ("scene/view1.png", "scene/view5.png"),
    ("scene/0.png", "scene/1.png"),
    ("artroom1/ambient/L0/im0e2.png", "artroom1/ambient/L0/im1e2.png"),
    ("Art/Illum1/Exp0/view1.png", "Art/Illum1/Exp0/view5.png"),
    ("delivery_area_1l/im0.png", "delivery_area_1l/im1.png"),
    ("frames_cleanpass/TRAIN/A/0000/left/0006.webp", "frames_cleanpass/TRAIN/A/0000/right/0006.webp"),
    ("training/clean_left/alley_1/frame_0001.png", "training/clean_right/alley_1/frame_0001.png"),
    ("train/left/-L__1_left.jpg", "train/right/-L__1_right.jpg"),
    ("Train/0001_L.png", "Train/0001_R.png"),
    ("Scene01/clone/frames/rgb/Camera_0/rgb_00001.jpg", "Scene01/clone/frames/rgb/Camera_1/rgb_00001.jpg"),
    ("Bathroom/camera_00/im0.png", "Bathroom/camera_02/im0.png"),
    ("left-image-half-size/2018/1.jpg", "right-image-half-size/2018/1.jpg"),
    ("kitchen_3/000000.left.jpg", "kitchen_3/000000.right.jpg"),
    ("tsukuba/scene1.row3.col3.ppm", "tsukuba/scene1.row3.col4.ppm"),
    ("kitti/samples_image_2/1.png", "kitti/samples_image_3/1.png"),
    ("drive_0023/I1_000014.png", "drive_0023/I2_000014.png"),
    ("leftimage/000045_10.png", "rightimage/000045_10.png"),
    ("IMG_0001 L.JPG", "IMG_0001 R.JPG"),
    ("photo (left).jpg", "photo (right).jpg"),
    ("photo[L].jpg", "photo[R].jpg"),
    ("left-001.png", "right-001.png"),
    ("frame_l_0001.png", "frame_r_0001.png"),
    ("L0001.jpg", "R0001.jpg"),
    ("links/See.jpg", "rechts/See.jpg"),
    ("写真左.jpg", "写真右.jpg"),
    ("左/1.jpg", "右/1.jpg"),
    ("旅行/左/写真_L.jpg", "旅行/左/写真_R.jpg"),
    ("Поездка/озеро-left.jpg", "Поездка/озеро-right.jpg"),
    ("Ausflug zum See/größe 1_L.jpg", "Ausflug zum See/größe 1_R.jpg"),
    # more ways to write an eye
    ("lcam/a.png", "rcam/a.png"),
    ("lefteye/a.png", "righteye/a.png"),
    ("A_Field/outleft/0001.png", "A_Field/outright/0001.png"),
    ("limg/a.png", "rimg/a.png"),
    ("SEQ1/RGBLeft/0000.png", "SEQ1/RGBRight/0000.png"),
    ("IRleft/0000.png", "IRright/0000.png"),
    ("master/a.png", "slave/a.png"),
    ("a_lhs.png", "a_rhs.png"),
    ("port/a.png", "stbd/a.png"),
    ("0001l.jpg", "0001r.jpg"),
    ("shot_L_rect.jpg", "shot_R_rect.jpg"),
    ("LeftCam_0001.png", "RightCam_0001.png"),
    ("imgL_0001.png", "imgR_0001.png"),
    ("IMG_1_LEFT.JPG", "img_1_right.jpg"),
    ("Left/IMG_1.JPG", "right/img_1.jpg"),
    ("left/Größe.jpg", "right/Gro\u0308ße.jpg"),
    ("See_li.jpg", "See_re.jpg"),
    ("BildLinks.jpg", "BildRechts.jpg"),
    ("sjö-vänster.jpg", "sjö-höger.jpg"),
    ("sjo\u0308-va\u0308nster.jpg", "sjö-höger.jpg"),
    ("fjord_venstre.jpg", "fjord_høyre.jpg"),
    ("playa izq.jpg", "playa der.jpg"),
    ("좌/1.jpg", "우/1.jpg"),
    # public data sets
    ("Train/A/0000/l_1.png", "Train/A/0000/r_1.png"),
    ("tree/0001_left.jpg", "tree/0001_right.jpg"),
    ("P000/image_left/000000_left.png", "P000/image_right/000000_right.png"),
    ("P0/image_lcam_front/000000_lcam_front.png", "P0/image_rcam_front/000000_rcam_front.png"),
    ("drive/image_00/data_rect/0250.png", "drive/image_01/data_rect/0250.png"),
    ("train-left-image/2018-07/1.jpg", "train-right-image/2018-07/1.jpg"),
    ("stereo/left/1.png", "stereo/right/1.png"),
    ("stereo_front_left_rect/stereo_front_left_rect_31.jpg", "stereo_front_right_rect/stereo_front_right_rect_31.jpg"),
    ("train/0001/frame_left/frame_left_0001.png", "train/0001/frame_right/frame_right_0001.png"),
    ("scene_01/left/rgb/000.jpg", "scene_01/right/rgb/000.jpg"),
    ("images/left/rectified/000.png", "images/right/rectified/000.png"),
    ("RGB/Stereo_Left/Omni_F/000.png", "RGB/Stereo_Right/Omni_F/000.png"),
]
# Names that differ in a number: a pair if the two show one scene.
GUESSED = [
    ("goose 1.jpg", "goose 2.jpg"),
    ("IMG_7_1.jpg", "IMG_7_2.jpg"),
    ("a1.jpg", "a2.jpg"),
    ("DSC09999.JPG", "DSC10000.JPG"),
    ("infra1/000123.png", "infra2/000123.png"),
    ("00000/Image0/00000.png", "00000/Image1/00000.png"),
    ("image01/7.png", "image02/7.png"),
    ("cam1/data/7.png", "cam2/data/7.png"),
    ("train/camera_5/1712_Camera_5.jpg", "train/camera_6/1712_Camera_6.jpg"),
    ("frames/Image/camera_0/Image_0_0_0001_0.png", "frames/Image/camera_1/Image_0_0_0001_1.png"),
    ("cam1_0007.png", "cam2_0007.png"),
    ("rs_Infrared_1_0007.png", "rs_Infrared_2_0007.png"),
    ("Basler_1_0007.png", "Basler_2_0007.png"),
    # a letter apart
    ("goose a.jpg", "goose b.jpg"),
    ("IMG_0017A.JPG", "IMG_0017B.JPG"),
    ("A/0007.png", "B/0007.png"),
    ("camA/0007.png", "camB/0007.png"),
    ("cam_a/0007_cam_a.png", "cam_b/0007_cam_b.png"),
    ("camA_0007.png", "camB_0007.png"),
]
# Ground truth of public data sets: passed over in silence.
MAPS = [
    "Scene01/clone/frames/classSegmentation/Camera_0/classgt_00001.png",
    "Scene01/clone/frames/instanceSegmentation/Camera_0/instancegt_00001.png",
    "Scene01/clone/frames/forwardFlow/Camera_0/flow_00001.png",
    "Scene01/clone/frames/normal/Camera_0/normal_00001.png",
    "Scene01/clone/frames/depth/Camera_0/depth_00001.png",
    "train/0001/maps/skymap_left/skymap_left_0001.png",
    "train/0001/maps/rigidmap_FW_left/rigidmap_FW_left_0001.png",
    "train/0001/maps/matchmap_disp1_left/matchmap_disp1_left_0001.png",
    "train/0001/maps/detailmap_disp1_right/detailmap_disp1_right_0001.png",
    "SEQ1/DepthLeft/0000.png",
    "SEQ1/DepthDebugLeft/0000.png",
    "SEQ1/GTLeft/0000.png",
    "SEQ1/GTright/0000.png",
    "SEQ1/SemanticLeft/0000.png",
    "GT/LABELS/Stereo_Left/Omni_F/000.png",
    "training/disparities_viz/alley_1/frame_0001.png",
    "training/occlusions/alley_1/frame_0001.png",
    "training/outofframe/alley_1/frame_0001.png",
    "training/disp_occ_0/000000_10.png",
    "training/obj_map/000000_10.png",
    "training/flow_occ/000000_10.png",
    "disparity/TRAIN/A/0000/left/0006.png",
    "object_index/TRAIN/A/0000/left/0006.png",
    "motion_boundaries/TRAIN/A/0000/into_future/left/0006.png",
    "optical_flow/TRAIN/A/into_future/left/0006.png",
    "kitchen/000000.left.depth.png",
    "kitchen/000000.left.seg.png",
    "tree/0001_left.disp.jpg",
    "part1/000001/left_disp.png",
    "P0/seg_lcam_front/000000_lcam_front_seg.png",
    "P0/depth_lcam_front/000000_lcam_front_depth.png",
    "train-depth-map/2018-07/1.png",
    "gtFine/train/aachen/aachen_000000_000019_gtFine_color.png",
    "frames/SurfaceNormal/camera_0/SurfaceNormal_0_0_0001_0.png",
    "frames/ObjectSegmentation/camera_0/ObjectSegmentation_0_0_0001_0.png",
    "frames/Flow3D/camera_0/Flow3D_0_0_0001_0.png",
    "Bathroom/mask_00.png",
    "stereo_train/fg_mask/17_Camera_5.png",
    "test/HR/A/conf_map/0001.png",
    "objectId_left/0.png",
    "Bathroom/mask_cat.png",
    "seq_1/depths/source_left-0001.png",
    "Ground_truth/DepthL/001.png",
    "Ground_truth/OcclusionL/001.png",
    *("disp0.png", "dispL.png", "MASK_1.png", "mask0nocc.png", "disp0GT.png", "truedisp.row3.col3.png"),
]
# Photographs whose names have a word of ground truth among others.
PHOTOGRAPHS = [
    "display.png",
    "nocturne.jpg",
    "maskenball.jpg",
    "mask ball 2019/left/1.jpg",
    "depth of field_L.jpg",
    "normal/left/1.jpg",
    "Ford GT/1.jpg",
    "blue sky/1.jpg",
    "object 7.jpg",
    "class of 1984/left/1.jpg",
]
# Files that are no eyes of a pair, and how many are left out for which reason.
NO_EYES: list[tuple[list[str], dict[str, int]]] = [
    ([f"sky/{face}.png" for face in ("front", "left", "right", "back")], {"other-view": 4}),
    ([f"skybox_{face}.png" for face in ("left", "right", "up", "down")], {"other-view": 4}),
    ([f"pano_{face}.png" for face in "flrb"], {"other-view": 4}),
    ([f"drive/image_0{eye}/data_rgb/0250.png" for eye in (2, 3)], {"other-view": 2}),
    ([f"CAM_{at}_{side}/1.png" for at in ("FRONT", "BACK") for side in ("LEFT", "RIGHT")], {"other-view": 4}),
    ([f"P0/image_lcam_{face}/0.png" for face in ("front", "left", "right")], {"other-view": 3}),
    (
        [f"P0/image_{eye}cam_{face}/0.png" for eye in "lr" for face in ("left", "right", "up", "down")],
        {"other-view": 8},
    ),
    ([f"ring_{at}_{side}/1.png" for at in ("front", "side") for side in ("left", "right")], {"other-view": 4}),
    ([f"Skybox{face}.png" for face in ("Left", "Right", "Up", "Down")], {"other-view": 4}),
    ([f"mono_{side}/1.png" for side in ("left", "right", "rear")], {"other-view": 3}),
    ([f"{side}/{number}.png" for number, side in enumerate(("left", "Left", "right", "rear"))], {"other-view": 4}),
    (["0001/15-deg-left/1.png", "0001/15-deg-right/1.png"], {"single": 2}),
    (["left/DSC0101.png", "left/DSC0102.png", "right/DSC0733.png", "right/DSC0734.png"], {"one-eye": 4}),
    (["left/a.png"], {"one-eye": 1}),
    (["a_L.png"], {"one-eye": 1}),
    (["b_right.png"], {"one-eye": 1}),
    (["left_images/a.png"], {"one-eye": 1}),
    (["left/a.png", "Left/a.png", "right/a.png"], {"ambiguous": 3}),
    (["tree-1.png", "tree-2.png", "tree-3.png"], {"single": 3}),
    (["tree-1.png", "tree-2.png"], {"single": 2}),
    (["cam1/1.png", "cam2/1.png", "cam3/1.png"], {"single": 3}),
]


def views(seed: int = 0, width: int = 160, height: int = 120) -> tuple[Picture, Picture]:
    """Two views of one textured plane."""
    noise = np.random.default_rng(seed).integers(0, 256, (height // 4, (width + 40) // 4, 3), np.uint8)
    wide = np.asarray(Image.fromarray(noise).resize((width + 40, height), Image.Resampling.BICUBIC))
    return wide[:, :width].copy(), wide[:, 6 : 6 + width].copy()


def save(picture: Picture, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)


@pytest.mark.parametrize(
    ("left", "right", "guessed"), [(*row, False) for row in STATED] + [(*row, True) for row in GUESSED]
)
def test_two_files(tmp_path: Path, left: str, right: str, guessed: bool) -> None:
    for name, view in zip((right, left), views()[::-1], strict=True):
        save(view, tmp_path / name)
    discovery = discover(tmp_path)
    assert [(source.left, source.right) for source in discovery.sources] == [(tmp_path / left, tmp_path / right)]
    assert discovery.left_out == []
    assert (discovery.sources[0].layout, discovery.sources[0].guessed) == ("files", guessed)
    assert not discovery.sources[0].order_stated


@pytest.mark.parametrize("name", MAPS)
def test_ground_truth_is_passed_over(tmp_path: Path, name: str) -> None:
    assert is_ground_truth(PurePath(name))
    save(views()[0], tmp_path / name)
    assert discover(tmp_path) == Discovery(PairSources.of([]), [], tmp_path)


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_photographs_are_no_ground_truth(name: str) -> None:
    assert not is_ground_truth(PurePath(name))


@pytest.mark.parametrize(("names", "reasons"), NO_EYES)
def test_no_eyes(tmp_path: Path, names: list[str], reasons: dict[str, int]) -> None:
    for seed, name in enumerate(names):
        save(views(seed)[0], tmp_path / name)
    discovery = discover(tmp_path)
    assert discovery.sources == []
    assert Counter(left_out.reason for left_out in discovery.left_out) == reasons


def test_folders_without_common_names_say_what_to_rename(tmp_path: Path) -> None:
    """Also beside folders of these names that have some in common, where a file more in one of them has no partner."""
    names = ("a/left/DSC0101.png", "a/right/DSC0733.png", "b/left/0.png", "b/right/0.png", "b/left/1.png")
    for name in names:
        save(views()[0], tmp_path / name)
    first, second, alone = (left_out.detail for left_out in discover(tmp_path).left_out)
    assert "have no file names in common; give the two files" in first
    assert first == second
    assert "there is no right picture for it" in alone


@pytest.mark.parametrize("names", [("17A", "17B", "18A", "18B"), ("b_1_007", "b_2_007", "b_1_008", "b_2_008")])
def test_of_two_scenes_each_has_its_two_eyes(tmp_path: Path, names: tuple[str, ...]) -> None:
    """The names of the scenes are a number apart as well, and two moments of one camera may agree."""
    for name, picture in zip(names, (*views(0), *views(1)), strict=True):
        save(picture, tmp_path / f"{name}.png")
    discovery = discover(tmp_path)
    pairs = {(source.left.stem, source.right.stem) for source in discovery.sources}
    assert pairs == {names[:2], names[2:]}
    assert discovery.left_out == []


def test_names_that_differ_in_case_only_are_kept_apart(tmp_path: Path) -> None:
    for name in ("left/a.png", "left/A.png", "right/a.png", "right/A.png"):
        save(views()[0], tmp_path / name)
    discovery = discover(tmp_path)
    assert [(source.left.name, source.right.name) for source in discovery.sources] == [
        ("a.png", "a.png"),
        ("A.png", "A.png"),
    ] or [(source.left.name, source.right.name) for source in discovery.sources] == [
        ("A.png", "A.png"),
        ("a.png", "a.png"),
    ]


def test_two_packed_pictures_of_one_scene_are_two_pairs(tmp_path: Path) -> None:
    for number in (1, 2):
        save(np.hstack(views(3, 320, 240)), tmp_path / f"lake{number}.png")
    discovery = discover(tmp_path)
    assert [(source.left.name, source.layout) for source in discovery.sources] == [
        ("lake1.png", "side-by-side"),
        ("lake2.png", "side-by-side"),
    ]


@pytest.mark.parametrize(
    ("name", "eye", "rest"),
    [
        ("0001_L", "left", "0001_*"),
        ("photo (right)", "right", "photo (*)"),
        ("a_leftImg8bit", "left", "a_*Img8bit"),
        ("image_lcam_front", "left", "image_*cam_front"),
        ("shot_R_rect", "right", "shot_*_rect"),
        ("I2_000014", "right", "*_000014"),
    ],
)
def test_eye_marks(name: str, eye: str, rest: str) -> None:
    mark = eye_mark(name)
    assert mark is not None
    assert (mark.eye, mark.rest) == (eye, rest)


@pytest.mark.parametrize("name", ["copyright", "bright", "a.left-right", "walrus", "HTML", "grün", "5r5", "SLR", "drl"])
def test_words_that_are_no_eye_marks(name: str) -> None:
    assert eye_mark(name) is None


def test_a_folder_with_many_folders_between_its_files_is_looked_through_once_a_pass(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Folders came between its files, and all of its names were compared again for each file."""
    asked: list[set[Name]] = []

    def siblings(names: Iterable[Name]) -> dict[Name, Numbered]:
        asked.append({*names})
        return numbered_siblings(asked[-1])

    monkeypatch.setattr(folders, "numbered_siblings", siblings)
    own = [f"tree{scene}-{eye}.jpg" for scene in range(20) for eye in (1, 2)]
    between = [f"tree{scene}-1/{number}/x.jpg" for scene in range(20) for number in range(20)]
    pairs, unpaired, alone = folders.pair_files(Listing.of([*own, *between]))
    assert [pair.left.name for pair in pairs] == sorted(f"tree{scene}-1.jpg" for scene in range(20))
    assert (len(unpaired), len(alone)) == (0, len(between))
    assert sum((PurePath(), "tree7-2") in names for names in asked) < 4
