"""Which data set lies in a folder or a file."""

from __future__ import annotations

from pathlib import Path
from shlex import quote

from redweb_builder.dataset.paths import is_data_set
from redweb_builder.dataset.shards import is_shard_set
from redweb_builder.errors import StoreError
from redweb_builder.inputs.remote import address_of
from trainer.data.depth_scale import DepthScale
from trainer.data.depth_set import DepthSet
from trainer.data.readers.arkit import Arkit, is_arkit
from trainer.data.readers.built import LabelUse, RedwebSet
from trainer.data.readers.diode import Diode, diode_frames, is_diode
from trainer.data.readers.eth3d import Eth3d, eth3d_frames, is_eth3d
from trainer.data.readers.file_lists import is_list, list_files, lists_of
from trainer.data.readers.hrwsi import Hrwsi
from trainer.data.readers.ibims import Ibims, is_ibims
from trainer.data.readers.megadepth import MegaDepth, is_megadepth
from trainer.data.readers.moge import Moge, is_moge
from trainer.data.readers.nyu import NyuFrames
from trainer.data.readers.nyu_mat import MAT, NyuMat
from trainer.data.readers.nyu_raw import NyuRaw, raw_scenes
from trainer.data.readers.point_pairs import is_da2k
from trainer.data.readers.redweb_v1 import RedwebV1
from trainer.data.readers.rgb_depth import RgbDepth
from trainer.data.readers.sintel import Sintel, is_sintel
from trainer.data.readers.sparse_to_dense import SparseToDense, is_sparse_to_dense
from trainer.data.readers.stereo_truth import StereoTruth
from trainer.data.readers.tum import TumRgbd, sequences_of
from trainer.data.readers.virtual_kitti import VirtualKitti, is_virtual_kitti, virtual_kitti_frames
from trainer.types import DataError

LAYOUTS = (
    "a built set (manifest.parquet), or its shards (train-*.tar train-*.parquet)",
    "ReDWeb_V1 (Imgs/ RDs/)",
    "HRWSI (train/imgs train/gts train/valid_masks)",
    "RGB-D (rgb/ depth/, or a list of files)",
    "TUM RGB-D (rgb.txt depth.txt)",
    "NYU Depth v2 (nyu_depth_v2_labeled.mat; lists of DenseDepth, BTS or Marigold; train/SCENE/*.h5; SCENE/r-*.ppm "
    "SCENE/d-*.pgm; frames.csv rgb/ depth_u8_framemax/)",
    "KITTI (a list with proj_depth/groundtruth)",
    "Virtual KITTI 2 (SceneNN/VARIANT/frames/)",
    "ETH3D (SCENE/ground_truth_depth/dslr_images)",
    "Sintel (training/depth/SCENE/*.dpt)",
    "DIODE (val/indoors/scene_*/scan_*)",
    "iBims-1 (rgb/ depth/ mask_invalid/ mask_transp/)",
    "MegaDepth (NNNN/dense0/depths/*.h5)",
    "ARKitScenes (lowres_wide/ lowres_depth/)",
    "Stray Scanner (camera_matrix.csv depth/)",
    "MoGe (.index.txt)",
    "stereo with ground truth (*/left.* */disp_left.* */meta.json)",
    "point pairs, for evaluation only (DIW's CSV; DA-2K's annotations.json; OASIS_val.csv)",
)


def open_data(path: Path, scale: DepthScale | None = None, use: LabelUse | None = None) -> DepthSet:
    """Open the data set in a folder or a file, whichever of the known layouts it has.

    path: the folder or the file; of shards also an address of remote storage. scale: what the numbers of depth files
    mean, where the layout leaves that open. use: which labels of a built set are taken; None = all. Raises DataError,
    with the list of layouts, where it has none.
    """
    if address_of(path):
        return _built(path, use)
    if path.suffix == ".mat" or (path / MAT).is_file():
        return NyuMat(path if path.suffix == ".mat" else path / MAT)
    if path.is_file() or list_files(path):
        return lists_of([path] if path.is_file() else list_files(path), scale)
    if not path.is_dir():
        raise DataError(
            f"there is no data set at {path}. Build one first: "
            f"python cli.py build-redweb STEREO_DIR --out {quote(str(path))}"
        )
    if (path / "manifest.parquet").is_file() or is_data_set(path) or is_shard_set(path):
        return _built(path, use)
    if (path / "Imgs").is_dir() and (path / "RDs").is_dir():
        return RedwebV1(path)
    if (path / "train" / "gts").is_dir() or (path / "val" / "gts").is_dir():
        return Hrwsi(path)
    if (path / "frames.csv").is_file() and (path / "depth_u8_framemax").is_dir():
        return NyuFrames(path)
    if sequences_of(path):
        return TumRgbd(path, scale)
    if is_da2k(path):
        raise DataError(f"{path}: holds pairs of points, which are for evaluation only")
    if is_moge(path):
        return Moge(path, scale)
    published = _published(path)
    if published is not None:
        return published
    if is_sparse_to_dense(path):
        return SparseToDense(path)
    if (path / "rgb").is_dir() and (path / "depth").is_dir():
        return RgbDepth(path, scale)
    if raw_scenes(path):
        return NyuRaw(path)
    if next(path.rglob("disp_left.*"), None):
        return StereoTruth(path)
    raise DataError(f"{path} has none of the known layouts: {'; '.join(LAYOUTS)}")


def _built(path: Path, use: LabelUse | None) -> RedwebSet:
    """A set that the builder made, or its shards. Raises DataError."""
    try:
        return RedwebSet(path, use)
    except StoreError as error:
        raise DataError(str(error)) from error


def _published(path: Path) -> DepthSet | None:
    """The set in a folder whose layout says what its numbers are; None where it has no such layout."""
    name = path.resolve().name
    if is_ibims(path):
        return Ibims(path)
    if is_eth3d(path):
        return Eth3d(name, eth3d_frames(path))
    if is_diode(path):
        return Diode(name, diode_frames(path))
    if is_virtual_kitti(path):
        return VirtualKitti(name, virtual_kitti_frames(path))
    if is_sintel(path):
        return Sintel(path)
    if is_megadepth(path):
        return MegaDepth(path)
    return Arkit(path) if is_arkit(path) else None


def is_point_pairs(path: Path) -> bool:
    """Whether a path holds judged pairs of points, which are no DepthSet: DIW, DA-2K, OASIS (readers/point_pairs.py).

    path: a file, or the folder of DA-2K; it need not be there.
    """
    return is_da2k(path) or (path.suffix.lower() == ".csv" and not is_list(path))
