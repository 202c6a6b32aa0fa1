"""A network in an ONNX or TorchScript file, as a function of arrays."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from redweb_builder.errors import WeightsUnavailable

ONNX, TORCHSCRIPT = "onnx", "torchscript"
FATAL = 4  # severity of onnxruntime's log
Arrays = Sequence[NDArray[np.generic]]


@dataclass(frozen=True)
class ExportedNetwork:
    """What a file computes, and what it states of its inputs.

    run: its inputs, each 1xCxHxW or BxCxHxW, in its order -> all its outputs, float arrays on the CPU. shapes: of its
    inputs, None where a side is free; empty where the file does not state them. dtype: of its inputs as NumPy names it;
    None where the file does not state it. notes: texts that it carries.
    """

    run: Callable[[Arrays], Arrays]
    shapes: tuple[tuple[int | None, ...], ...] = ()
    dtype: str | None = None
    notes: Mapping[str, str] = field(default_factory=dict)


def load_exported(file: Path, form: str, device: torch.device, notes: Sequence[str] = ()) -> ExportedNetwork:
    """Open a network file.

    file: it and, beside it, what it refers to. form: ONNX or TORCHSCRIPT. device: where it runs; an ONNX file runs on
    the CPU where onnxruntime has no CUDA. notes: names of the texts that are read from a TorchScript file. Raises
    WeightsUnavailable for a missing or damaged file, and for ONNX without onnxruntime.
    """
    if not file.is_file():
        raise WeightsUnavailable(f"there is no network at {file}")
    try:
        return _load_onnx(file, device) if form == ONNX else _load_torchscript(file, device, notes)
    except ImportError as error:
        raise WeightsUnavailable(f"{file} needs onnxruntime: pip install 'redweb-builder[export]'") from error
    except Exception as error:  # a damaged file makes either library raise what it will
        raise WeightsUnavailable(f"{file} cannot be read as {form}: {last_line(error)}") from error


def last_line(error: Exception) -> str:
    """What an error says in the end: TorchScript's begin with a traceback of the network's code. error: any."""
    return next((line.strip() for line in reversed(str(error).splitlines()) if line.strip()), type(error).__name__)


def _load_onnx(file: Path, device: torch.device) -> ExportedNetwork:
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = torch.get_num_threads()
    # What fails is raised. The log has it once more, with names from the file as they are: they could steer a terminal.
    onnxruntime.set_default_logger_severity(FATAL)
    settings.log_severity_level = FATAL
    providers: list[object] = ["CPUExecutionProvider"]
    if device.type == "cuda" and "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        providers.insert(0, ("CUDAExecutionProvider", {"device_id": device.index or 0}))
    session = onnxruntime.InferenceSession(str(file), settings, providers=providers)
    inputs = session.get_inputs()
    names = [entry.name for entry in inputs]

    def run(arrays: Arrays) -> Arrays:
        outputs: Arrays = session.run(None, dict(zip(names, arrays, strict=True)))
        return outputs

    return ExportedNetwork(
        run,
        tuple(tuple(side if isinstance(side, int) else None for side in entry.shape) for entry in inputs),
        {"tensor(uint8)": "uint8", "tensor(float16)": "float16"}.get(inputs[0].type, "float32"),
        session.get_modelmeta().custom_metadata_map,
    )


def _load_torchscript(file: Path, device: torch.device, notes: Sequence[str]) -> ExportedNetwork:
    texts = dict.fromkeys(notes, "")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # TorchScript is deprecated; files of it are about
        network = torch.jit.load(str(file), map_location=device, _extra_files=texts).eval()  # type: ignore[no-untyped-call]

    def run(arrays: Arrays) -> Arrays:
        with torch.inference_mode():
            outputs = network(*(torch.from_numpy(array).to(device) for array in arrays))
        every = outputs if isinstance(outputs, (list, tuple)) else [outputs]
        return [output.float().cpu().numpy() for output in every]

    return ExportedNetwork(run, notes={name: str(text) for name, text in texts.items() if text})
