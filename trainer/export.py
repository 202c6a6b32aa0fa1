"""A checkpoint as one file for use elsewhere, checked against the network it came from.

Every format takes Bx3xHxW float32 RGB in [0, 1] and gives BxHxW relative depth, larger = nearer; sides of any size,
or of one that is asked for. Networks of metric depth take 304x228 (width x height) and give log metres. ONNX and
TorchScript files of a vision transformer take one size, the squares that it was trained at where none is asked for: its
positions are resampled for every other size, which neither format can hold.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from zipfile import ZipFile, ZipInfo

import torch
from torch import Tensor, nn

from redweb_builder.config import BUILTIN
from redweb_builder.errors import UserError
from redweb_builder.files import remove_temporaries, write_atomic
from redweb_builder.monocular.estimator import OWN_INPUT
from redweb_builder.monocular.network import RedNet
from redweb_builder.monocular.transformer import TransformerEncoder
from redweb_builder.networks.exported import load_exported
from trainer.checkpoint import is_builtin, load_network, read_header, save_network, weights_file
from trainer.config import NETWORK_FORMATS
from trainer.eigen_geometry import CROP
from trainer.models.eigen import MetricNetwork

ENDINGS = {"onnx": ".onnx", "torchscript": ".pt", "safetensors": ".safetensors"}
INPUT_NOTE = {OWN_INPUT: "RGB in [0, 1]"}  # in the file, so that `build-redweb --mono FILE` knows its input
TRACED = (2, 192, 256)  # batch, height, width
CHECKED_SIZES = ((2, 160, 224), (1, 96, 131))  # none is the size it was traced at
OPSET = 17  # of ONNX
TOLERANCE = 1e-3  # of the spread of the depth


class ExportError(UserError):
    """A checkpoint cannot be exported as asked, or what came out differs; str() says what to do."""


def export_checkpoint(
    path: str | Path, format: str, out: str | Path | None = None, size: tuple[int, int] | None = None
) -> Path:
    """Write a checkpoint as "onnx", "torchscript" or "safetensors" and return the file, once it has passed its check.

    path: see `load_network`. out: the file; default beside the checkpoint, of the built-in network in this folder.
    size: height and width of the only pictures that an ONNX or TorchScript file is to take, px; None = any, see above.
    The file is checked at two sizes other than the traced one, or with one and two pictures of its only size, ONNX in
    onnxruntime. Raises CheckpointError, ExportError; ValueError for an unknown format.
    """
    if format not in NETWORK_FORMATS:
        raise ValueError(f"format {format!r}: must be one of {', '.join(NETWORK_FORMATS)}")
    source = weights_file(Path(path))
    network = load_network(source)
    beside = Path(BUILTIN) if is_builtin(Path(path)) else source.with_name(f"{source.stem}_exported")
    target = Path(out) if out else beside.with_suffix(ENDINGS[format])
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_temporaries(target.parent)
    if size and format == "safetensors":
        raise ExportError("a safetensors file holds weights, which take any size: give no --size")
    header = read_header(source)
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / f"network{ENDINGS[format]}"
        if format == "safetensors":
            save_network(made, network, header.pop("model"), header)
            sizes = [(1, *CROP)] if isinstance(network, MetricNetwork) else CHECKED_SIZES
            _compare(network, load_network(made), target, sizes)
        else:
            size = _only_size(network, int(header.get("size", TRACED[1])), size)
            {"onnx": _write_onnx, "torchscript": _write_torchscript}[format](network, size, made)
            exported = load_exported(made, format, torch.device("cpu"))
            sizes = [(2, *size), (1, *size)] if size else CHECKED_SIZES
            _compare(network, lambda image: torch.from_numpy(exported.run([image.numpy()])[0]), target, sizes)
        write_atomic(target, made.read_bytes())
    return target


def _only_size(network: nn.Module, trained: int, asked: tuple[int, int] | None) -> tuple[int, int] | None:
    """The height and width that an exported network is limited to; None for any.

    trained: side of the crops, px. asked: by the caller.
    """
    transformers = [part for part in network.modules() if isinstance(part, TransformerEncoder)]
    size = asked or ((trained, trained) if transformers else None)
    if isinstance(network, MetricNetwork):
        if asked not in (None, CROP):
            raise ExportError(f"a network of metric depth takes {CROP[0]}x{CROP[1]} only: give no --size")
        size = CROP
    for encoder in transformers:
        encoder.fix_size(*(size or CROP))
    return size


def _write_onnx(network: nn.Module, size: tuple[int, int] | None, file: Path) -> None:
    """By tracing: the exporter of torch.export takes minutes for the same file, all of it spent on symbolic sizes."""
    missing = [name for name in ("onnx", "onnxruntime") if find_spec(name) is None]
    if missing:
        raise ExportError(f"ONNX needs {' and '.join(missing)}: pip install 'redweb-builder[export]'")
    axes = {
        "image": {0: "batch", 2: "height", 3: "width"},
        "depth": {0: "batch", 1: "height", 2: "width"},
    }
    if size:
        axes = {"image": {0: "batch"}, "depth": {0: "batch"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (_traced(size),),
            str(file),
            input_names=["image"],
            output_names=["depth"],
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )
    import onnx

    model = onnx.load(str(file))
    if size:  # tracing leaves the sides of the depth open
        with torch.inference_mode():
            sides = network(_traced(size)).shape[1:]
        for side, stated in zip(sides, model.graph.output[0].type.tensor_type.shape.dim[1:], strict=True):
            stated.dim_value = side
    if isinstance(network, RedNet):
        onnx.helper.set_model_props(model, INPUT_NOTE)
    onnx.save(model, str(file))


def _write_torchscript(network: nn.Module, size: tuple[int, int] | None, file: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of sizes that a trace might fix: _compare sees that it did not
        traced = torch.jit.trace(network, _traced(size))  # type: ignore[no-untyped-call]
        whole = file.with_name("whole")
        notes = INPUT_NOTE if isinstance(network, RedNet) else {}
        torch.jit.save(traced, str(whole), _extra_files=notes)
    _copy_without_debug_files(whole, file)


def _copy_without_debug_files(whole: Path, file: Path) -> None:
    """Leave out the calls that led to the trace, and the hash in which they are counted.

    They name folders of this machine, and differ from call to call.
    """
    with ZipFile(whole) as source, ZipFile(file, "w") as target:
        for name in source.namelist():
            if not name.endswith((".debug_pkl", ".data/serialization_id")):
                target.writestr(ZipInfo(name), source.read(name))


def _traced(size: tuple[int, int] | None) -> Tensor:
    """An image to trace with; TorchScript keeps it in the file, so that it is the same each time."""
    batch, height, width = (TRACED[0], *size) if size else TRACED
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(0))


@torch.inference_mode()
def _compare(
    network: nn.Module, exported: Callable[[Tensor], Tensor], target: Path, sizes: Iterable[tuple[int, int, int]]
) -> None:
    generator = torch.Generator().manual_seed(0)
    for batch, height, width in sizes:
        image = torch.rand(batch, 3, height, width, generator=generator)
        ours, theirs = network(image), exported(image)
        if theirs.shape != ours.shape:
            raise ExportError(f"{target}: {height}x{width} comes out as {tuple(theirs.shape)}, not {tuple(ours.shape)}")
        if not ours.isfinite().all():
            raise ExportError(f"{target}: the network gives values that are not finite; its weights are of no use")
        apart = float((ours - theirs).abs().max() / ours.std().clamp(min=1e-6))
        if not apart <= TOLERANCE:
            raise ExportError(f"{target}: differs from the network by {apart:.2g} of its spread at {height}x{width}")
