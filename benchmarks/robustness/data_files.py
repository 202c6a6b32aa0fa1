"""Small good files of data sets, lists and checkpoints, and what reads them, for `benchmarks.robustness.fuzz`."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from safetensors.torch import save
from scipy.io import savemat

from benchmarks.robustness.calibration_files import calibrations, try_calibration
from redweb_builder.builder.refilter_plan import plan_refilter
from redweb_builder.commands.config_file import read_settings
from redweb_builder.commands.scale import prometheus_text
from redweb_builder.config import BuildConfig
from redweb_builder.dataset.curation import FORMAT as CURATION_FORMAT
from redweb_builder.dataset.curation import NAME as CURATION
from redweb_builder.dataset.curation import read_curation
from redweb_builder.dataset.decisions import Decision, read_decisions
from redweb_builder.dataset.float_files import exr_bytes, pfm_bytes
from redweb_builder.dataset.heartbeat import NAME as STATUS
from redweb_builder.dataset.journal import Sizes, faults_of_files, read_journal
from redweb_builder.dataset.manifest import SCHEMA, one_chunk
from redweb_builder.dataset.manifest_file import read_manifest, read_rows, write_manifest
from redweb_builder.dataset.reader import open_dataset
from redweb_builder.dataset.sample_files import FILES
from redweb_builder.dataset.shards import INDEX, ShardFiles
from redweb_builder.dataset.sources import NAME as SOURCES
from redweb_builder.dataset.sources import Sources, Stamp, read_sources, sources_lines
from redweb_builder.dataset.status import status_of
from redweb_builder.inputs.formats.stated import read_pair_list
from redweb_builder.matching.network_file import read_network_file
from redweb_builder.version import FORMAT
from trainer.checkpoint import FORMAT as CHECKPOINT_FORMAT
from trainer.checkpoint import STATE, load_state, read_header
from trainer.data.depth_files import read_depth
from trainer.data.depth_set import DepthSet
from trainer.data.open import open_data
from trainer.data.readers.diw import read_diw
from trainer.data.readers.frames import Frame
from trainer.data.readers.moge import Moge
from trainer.data.readers.nyu_mat import MAT, SPLITS
from trainer.data.readers.nyu_raw import NyuRaw
from trainer.data.readers.point_pairs import read_point_pairs
from trainer.data.readers.sintel import HEADER, TAG, Sintel

DA2K_PAIR = {"point1": [3, 5], "point2": [0, 1], "closer_point": "point1"}
IDENTITY = {"eyes": "auto", "max_side": 512, "flow": "dis", "segmenter": "builtin", "inputs": {"layout": "auto"}}
DPT = HEADER.pack(TAG, 4, 3) + np.ones(12, "<f4").tobytes()


@dataclass(frozen=True)
class Parser:
    """What reads a file, or the folder that it lies in.

    good: the folder's files, by name. read: of the file that is broken; a text that it returns says what became of it.
    kept: files that are never broken.
    """

    good: dict[str, bytes]
    read: Callable[[Path], object]
    kept: tuple[str, ...] = ()


def parsers() -> dict[str, Parser]:
    """Everything of ours that reads what is no photograph, by name."""
    return {
        "calibration": Parser(calibrations(), try_calibration),
        "data set": Parser(_data_set(), _read_data_set),
        "checkpoint": Parser({"best.safetensors": _checkpoint()}, read_header),
        "state of a run": Parser({"state.pt": _state()}, lambda file: load_state(file.parent)),
        "Depth in the Wild": Parser(
            {"DIW_test.csv": b"./a.png\n10,20,30,40,<,96,72\n./a.png\n1,1,72,96,>,96,72\n"},
            read_diw,
        ),
        "sources of pictures": Parser({SOURCES: _sources()}, _read_sources),
        "curation": Parser(
            {CURATION: json.dumps({"format": CURATION_FORMAT, "identity": {}, "agreement": {"a": 0.5}}).encode()},
            lambda file: read_curation(file.parent),
        ),
        "index of a shard": Parser(_shard(), _read_shards, kept=("train-000000.tar",)),
        "status of a build": Parser(_status(), _read_status),
        "settings": Parser(
            {
                "build.toml": b'flow = "dis"\nmax-side = 512\n\n[thresholds]\nmin_texture = 0.2\n',
                "build.json": json.dumps({"identity": IDENTITY, "thresholds": {"min_texture": None}}).encode(),
            },
            read_settings,
        ),
        "files of depth": Parser(_depth_files(), read_depth),
        "list of pairs": Parser(
            {"pairs.csv": b"left,right,key\na_L.jpg,a_R.jpg,one\nb/b_L.jpg,b/b_R.jpg\n"},
            lambda file: read_pair_list(file, file.parent),
        ),
        "RGB-D": Parser(
            {
                **{"depth.json": b'{"scale": 5000, "inverse": false}', "split.csv": b"key,part,scene\n0,val,kitchen\n"},
                **{"rgb/0.png": _png(np.uint8), "depth/0.png": _moge_depth()},
            },
            _read_depths,
            kept=("rgb/0.png", "depth/0.png"),
        ),
        "TUM RGB-D": Parser(
            {
                **{"rgb.txt": b"# time file\n1.50 a.png\n1.53 a.png\n", "depth.txt": b"1.51 d.png\n1.54 d.png\n"},
                **{"a.png": _png(np.uint8), "d.png": _moge_depth()},
            },
            _read_depths,
            kept=("a.png", "d.png"),
        ),
        "NYU's frames": Parser(
            {
                "frames.csv": b"frame0,official_split,dmax_m\n0,train,9.5\n",
                **{"rgb/00000.jpg": _png(np.uint8), "depth_u8_framemax/00000.png": _png(np.uint8, grey=True)},
            },
            _read_depths,
            kept=("rgb/00000.jpg", "depth_u8_framemax/00000.png"),
        ),
        "stereo with ground truth": Parser(
            {"meta.json": b'{"scale": 0.00390625}', "left.png": _png(np.uint8), "disp_left.png": _png(np.uint16)},
            _read_depths,
            kept=("left.png",),
        ),
        "NYU's recordings": Parser(_recording(), _read_recording, kept=("r-1.0-1.ppm",)),
        "DA-2K": Parser(
            {"annotations.json": json.dumps({"a/b.jpg": [DA2K_PAIR, DA2K_PAIR]}).encode()}, read_point_pairs
        ),
        "OASIS": Parser(
            {"OASIS_val.csv": b"Image,FocalLength,RelativeDepth\na.png,1,r.csv\n", "r.csv": b"3,5,0,1,>,8,6,\n"},
            lambda file: read_point_pairs(file.with_name("OASIS_val.csv")),
        ),
        "MoGe's form": Parser(
            {".index.txt": b".\n", "image.jpg": _png(np.uint8), "depth.png": _moge_depth()},
            _read_moge,
            kept=("image.jpg",),
        ),
        "Sintel's depth": Parser({"a.dpt": DPT}, _read_dpt),
        "NYU's mat": Parser(_mat(), _read_mat),
        "description of a network": Parser(
            {"model.toml": b'preset = "raft-stereo"\nmean = [0.5, 0.5, 0.5]\nmultiple = 32\nwhite = 1.0\n'},
            read_network_file,
        ),
        "list of frames": Parser(
            {"nyu2_train.csv": b"a.png,d.png\na.png,d.png\n", "a.png": _png(np.uint8), "d.png": _png(np.uint16)},
            lambda file: _read_frames(open_data(file.with_name("nyu2_train.csv"))),
            kept=("a.png",),
        ),
    }


def _shard() -> dict[str, bytes]:
    """A tar of bytes that need be no files, and the index that says where four of each sample lie."""
    keys = [f"pair{number}-{number:08x}" for number in range(3)]
    rows = []
    for number, key in enumerate(keys):
        row = dict.fromkeys(INDEX.names) | {"key": key, "status": "kept", "width": 96, "height": 72}
        row |= {"left": f"{number}_L.png", "image_ending": "png"}
        for place, name in enumerate(FILES):
            row |= {f"{name}_at": 4096 * number + 1024 * place, f"{name}_bytes": 512}
        rows.append(row)
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=INDEX), buffer)
    return {"train-000000.tar": bytes(4096 * len(keys)), "train-000000.parquet": buffer.getvalue()}


def _read_shards(file: Path) -> str:
    shards = ShardFiles(file.parent)
    for key in shards.keys:
        shards.stored(key, *FILES[:-1])
    return "rows left out" if shards.refused else "read"


def _status() -> dict[str, bytes]:
    """What a build writes of itself while it runs."""
    state = {
        **{"time": 1.8e9, "total": 5, "done": 3, "failed": 0, "rate": 0.5, "host": "a", "stage": "pairs", "item": "b"},
        **{"slowest": [[3.5, "pair0"]], "late": [[9.5, "pair1"]], "workers": 2, "journal_bytes": 10},
        **{"counts": [["kept", None, 2], ["rejected", "little-texture", 1]]},
    }
    build = {"format": FORMAT, "identity": {}, "finished": False}
    return {STATUS: json.dumps(state).encode(), "build.json": json.dumps(build).encode()}


def _read_status(file: Path) -> None:
    prometheus_text(status_of(file.parent))


def _sources() -> bytes:
    stamp = Stamp(7, "0" * 64)
    pairs = ((f"pair{number}", Sources(f"Imgs/pair{number}.png", stamp, {"a.jpg": stamp})) for number in range(3))
    return sources_lines(pairs)


def _read_sources(file: Path) -> str:
    faults = read_sources(file.parent)[1]
    return "lines left out" if faults else "read"


def _recording() -> dict[str, bytes]:
    """A frame of a Kinect: its numbers have the low byte first, which a PGM has not."""
    raw = np.full((480, 640), 900, ">u2").byteswap()
    return {
        "r-1.0-1.ppm": b"P6 640 480 255\n" + bytes(640 * 480 * 3),
        "d-1.0-1.pgm": b"P5 640 480 65535\n" + raw.tobytes(),
    }


def _read_recording(file: Path) -> None:
    _read_frames(NyuRaw(file.parent))


def _read_mat(file: Path) -> None:
    _read_frames(open_data(file.with_name(MAT)))


def _mat() -> dict[str, bytes]:
    """Two frames of nyu_depth_v2_labeled.mat, packed, and their splits.mat."""
    buffer, splits = io.BytesIO(), io.BytesIO()
    with h5py.File(buffer, "w") as mat:
        for name, shape, kind in (("images", (2, 3, 640, 480), "u1"), ("depths", (2, 640, 480), "f4")):
            mat.create_dataset(name, data=np.ones(shape, kind), compression="gzip")
        for number in range(2):
            mat[f"#refs#/{number}"] = np.array([[ord(letter)] for letter in "kitchen_0001"], np.uint16)
        references = [mat[f"#refs#/{number}"].ref for number in range(2)]
        mat.create_dataset("scenes", data=np.array([references], object), dtype=h5py.ref_dtype)
    savemat(splits, {"trainNdxs": np.array([[1]]), "testNdxs": np.array([[2]])})
    return {MAT: buffer.getvalue(), SPLITS: splits.getvalue()}


def _read_data_set(file: Path) -> None:
    """Everything that reads the tables of a data set and writes nothing."""
    folder = file.parent
    plan_refilter(folder, {})
    manifest = read_manifest(folder, ())
    read_rows(manifest, one_chunk(manifest.table["key"]).drop_null()[:1], left_out=1)
    there = Sizes(folder)
    for record in read_journal(folder).records.values():
        list(faults_of_files(record, there))
    built = open_dataset(folder)
    len(built), len(built.rejected), read_decisions(folder / "decisions.jsonl")


def _depth_files() -> dict[str, bytes]:
    """A map in every form but the pictures, which are fuzzed as photographs."""
    depth, files = np.ones((12, 16), np.float32), {name: io.BytesIO() for name in ("a.npy", "a.npz", "a.h5", "a.tif")}
    np.save(files["a.npy"], depth)
    np.savez_compressed(files["a.npz"], depth=depth)
    with h5py.File(files["a.h5"], "w") as opened:
        opened.create_dataset("depth", data=depth, compression="gzip")
    Image.fromarray(depth).save(files["a.tif"], "TIFF")
    return {
        **{name: buffer.getvalue() for name, buffer in files.items()},
        **{"a.exr": exr_bytes(depth, "Z"), "a.pfm": pfm_bytes(depth)},
    }


def _read_depths(file: Path) -> None:
    """The set in the folder, whose broken files lie in it and not below it."""
    _read_frames(open_data(file.parent))


def _read_moge(file: Path) -> None:
    _read_frames(Moge(file.parent))


def _read_frames(data: DepthSet) -> None:
    """The first and last frames: a list that has a line a thousand times takes a thousand times as long, rightly."""
    for at in {0, 1, len(data) - 1} & set(range(len(data))):
        data[at]


def _read_dpt(file: Path) -> None:
    Sintel.depth(Sintel.__new__(Sintel), Frame("a", file, file, "a"), (3, 4))


def _data_set() -> dict[str, bytes]:
    keys = [f"pair{number}-{number:08x}" for number in range(3)]
    rows = []
    for number, status in enumerate(("kept", "kept", "rejected")):
        row = dict.fromkeys(SCHEMA.names) | {
            **{"key": keys[number], "left": f"{number}_L.png", "right": f"{number}_R.png"},
            **{"layout": "two-files", "rule": "suffix", "status": status, "width": 96, "height": 72, "quality": 0.5},
            **{"perceptual_hash": f"{number:016x}", "right_first": False, "guessed": False, "texture": 0.5},
        }
        rows.append(
            row | ({"stage": "filter", "reason": "little-texture", "value": 0.1} if status == "rejected" else {})
        )
    buffer = io.BytesIO()
    write_manifest(buffer, [pa.Table.from_pylist(rows, schema=SCHEMA)])
    build = {"format": FORMAT, "identity": {"thresholds": asdict(BuildConfig().thresholds)}, "finished": True}
    decisions = [
        Decision(f"{number:032x}", key, "reject", "eve", "2026-01-01T00:00:00.000000+00:00", "blurred")
        for number, key in enumerate(keys)
    ]
    return {
        "manifest.parquet": buffer.getvalue(),
        "build.json": json.dumps(build).encode(),
        "journal.jsonl": "".join(json.dumps(row) + "\n" for row in rows).encode(),
        "decisions.jsonl": "".join(json.dumps(asdict(decision)) + "\n" for decision in decisions).encode(),
    }


def _checkpoint() -> bytes:
    header = {
        "format": CHECKPOINT_FORMAT,
        "model": json.dumps({"name": "rednet", "encoder": "resnet18", "channels": 8}),
        **{
            name: json.dumps(value) for name, value in {"size": 64, "step": 7, "validation": 0.1, "figures": {}}.items()
        },
    }
    content: bytes = save({"weight": torch.zeros(2, 2)}, header)
    return content


def _state() -> bytes:
    buffer = io.BytesIO()
    torch.save({name: {"weight": torch.zeros(2, 2)} for name in STATE}, buffer)
    return buffer.getvalue()


def _moge_depth() -> bytes:
    text = PngInfo()
    text.add_text("near", "2.0")
    text.add_text("far", "32.0")
    buffer = io.BytesIO()
    Image.fromarray(np.full((480, 640), 9000, np.uint16)).save(buffer, "PNG", pnginfo=text)
    return buffer.getvalue()


def _png(kind: type[np.unsignedinteger], grey: bool = False) -> bytes:
    shape = (480, 640) if grey or kind is np.uint16 else (480, 640, 3)
    values = np.random.default_rng(0).integers(1, 200, shape).astype(kind)
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "PNG")
    return buffer.getvalue()
