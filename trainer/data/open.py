"""Which data set lies in a folder or a file."""

from __future__ import annotations

from pathlib import Path

from redweb_builder.dataset.paths import is_data_set
from redweb_builder.errors import StoreError
from trainer.data.depth_scale import DepthScale
from trainer.data.depth_set import DepthSet
from trainer.data.readers.built import LabelUse, RedwebSet
from trainer.data.readers.file_lists import is_list, list_files, lists_of
from trainer.data.readers.hrwsi import Hrwsi
from trainer.data.readers.nyu import NyuFrames
from trainer.data.readers.nyu_mat import MAT, NyuMat
from trainer.data.readers.redweb_v1 import RedwebV1
from trainer.data.readers.rgb_depth import RgbDepth
from trainer.data.readers.sparse_to_dense import SparseToDense, is_sparse_to_dense
from trainer.data.readers.stereo_truth import StereoTruth
from trainer.data.readers.tum import TumRgbd, sequences_of
from trainer.types import DataError


def open_data(path: Path, scale: DepthScale | None = None, use: LabelUse | None = None) -> DepthSet:
    """Open the data set in a folder or a file, whichever of the known layouts it has.

    path: the folder or the file. scale: what the numbers of depth files mean, where the layout leaves that open. use:
    which labels of a built set are taken; None = all. Raises DataError, with the list of layouts, where it has none.
    """
    if path.suffix == ".mat" or (path / MAT).is_file():
        return NyuMat(path if path.suffix == ".mat" else path / MAT)
    if path.is_file() or list_files(path):
        return lists_of([path] if path.is_file() else list_files(path), scale)
    if not path.is_dir():
        raise DataError(
            f"there is no data set at {path}. Build one first: python cli.py build-redweb STEREO_DIR --out {path}"
        )
    try:
        if (path / "manifest.parquet").is_file() or is_data_set(path):
            return RedwebSet(path, use)
    except StoreError as error:
        raise DataError(str(error)) from error
    if (path / "Imgs").is_dir() and (path / "RDs").is_dir():
        return RedwebV1(path)
    if (path / "train" / "gts").is_dir() or (path / "val" / "gts").is_dir():
        return Hrwsi(path)
    if (path / "frames.csv").is_file() and (path / "depth_u8_framemax").is_dir():
        return NyuFrames(path)
    if sequences_of(path):
        return TumRgbd(path, scale)
    if is_sparse_to_dense(path):
        return SparseToDense(path)
    if (path / "rgb").is_dir() and (path / "depth").is_dir():
        return RgbDepth(path, scale)
    if next(path.rglob("disp_left.*"), None):
        return StereoTruth(path)
    raise DataError(
        f"{path} has none of the known layouts: a built set (manifest.parquet), ReDWeb_V1 (Imgs/ RDs/), HRWSI "
        "(train/imgs train/gts train/valid_masks), RGB-D (rgb/ depth/, or a list of files), TUM RGB-D (rgb.txt "
        "depth.txt), NYU Depth v2 (nyu_depth_v2_labeled.mat; the file lists of DenseDepth or BTS; train/SCENE/*.h5; "
        "frames.csv rgb/ depth_u8_framemax/), stereo with ground truth (*/left.* */disp_left.* */meta.json)"
    )


def is_diw(path: Path) -> bool:
    """Whether a file is a CSV of Depth in the Wild: point pairs, which are no DepthSet. See readers/diw.py.

    path: the file; it need not be there.
    """
    return path.suffix.lower() == ".csv" and not is_list(path)
