"""The files of a run, each written whole or not at all.

OUT/best.safetensors   weights (running mean) of the best validation, with the network's description in its header
OUT/last.safetensors   the same, of the latest step
OUT/state.pt           all that an exact continuation needs
OUT/run.json           settings and data, so that only the same run is continued
OUT/log.jsonl          a line a step and a line a validation
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open  # noqa: TID251 - here is the door
from safetensors.torch import load, save
from torch import Tensor, nn

from redweb_builder.config import BUILTIN
from redweb_builder.errors import SettingsError, UserError
from redweb_builder.files import MOST_TEXT_BYTES, parse_json, read_regular, remove_temporaries, write_atomic
from redweb_builder.monocular import SHIPPED
from redweb_builder.monocular.network import RedNet, RedNetConfig
from trainer.models.eigen import EigenConfig, MetricNetwork
from trainer.models.eigen import build as build_metric

FORMAT = "redweb-trainer/1"
FINISHED = "finished"  # entry of run.json beside the identity
STATE = ("network", "average", "optimiser", "scaler", "counters", "figures")  # entries of state.pt
LEAST_SIZE, LARGEST_SIZE = 32, 4096  # px, of the crops that a network was trained on
_FOREIGN = (
    "of an export or of another project; give the .safetensors of the run that it was exported from "
    "(of another project, --init takes the encoder as a start)"
)
PYTORCH_STARTS = (b"PK", b"\x80\x02")  # torch.save's zip archive, and its pickle of before version 1.6


class CheckpointError(UserError):
    """A checkpoint cannot be used as asked; str() says why and what to do."""


class NoCheckpoint(CheckpointError):
    """A file of weights that is no checkpoint of this program: of another project, or an export."""


def save_network(file: Path, network: nn.Module, model: Mapping[str, Any], more: Mapping[str, Any]) -> None:
    """Write weights as safetensors, with a header that describes them.

    file: the .safetensors file. network: its state dict is stored. model: the network's name and config. more: further
    entries of the header, plain data.
    """
    tensors = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    header = {
        "format": FORMAT,
        "model": json.dumps(dict(model)),
        **{key: json.dumps(value) for key, value in more.items()},
    }
    write_atomic(file, _with_sorted_metadata(save(tensors, header)))


def _with_sorted_metadata(content: bytes) -> bytes:
    """A safetensors file whose metadata is in order of name: the library writes it in another order each time."""
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text = text.ljust(-(-len(text) // 8) * 8)  # the tensors behind it are aligned to 8 bytes
    return len(text).to_bytes(8, "little") + text + content[end:]


def load_network(path: str | Path, device: str | torch.device = "cpu") -> RedNet | MetricNetwork:
    """The network of a checkpoint, ready to predict: Bx3xHxW RGB in [0, 1] -> BxHxW, larger = nearer.

    Networks of metric depth (`MetricNetwork`) take 304x228 pixels and give log metres. path: a .safetensors file,
    the folder of a run (its best weights, else its last), or "builtin". device: where it will run. Raises
    CheckpointError.
    """
    file = weights_file(Path(path))
    network = _network_of(file, read_header(file)["model"])
    try:
        network.load_state_dict(read_weights(file))
    except RuntimeError as error:
        raise CheckpointError(f"{file}: its weights are not those of this version's network ({error})") from error
    return network.eval().to(device)


def read_weights(file: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, by name. file: may come from anywhere. Raises CheckpointError."""
    try:
        weights: dict[str, Tensor] = load(read_regular(file))
    except (OSError, UserError, SafetensorError) as error:
        raise CheckpointError(f"{file}: its weights cannot be read ({error})") from error
    return weights


def _network_of(file: Path, model: Mapping[str, Any]) -> RedNet | MetricNetwork:
    """The network that a header describes, with random weights. Raises CheckpointError."""
    settings = {name: value for name, value in model.items() if name != "name"}
    try:
        if model.get("name") == "rednet":
            return RedNet(RedNetConfig(**settings))
        if model.get("name") == "eigen":
            return build_metric(EigenConfig(**settings))
    except (TypeError, SettingsError) as error:  # TypeError: a setting that this version does not know
        raise CheckpointError(f"{file}: its network cannot be made ({error})") from error
    raise CheckpointError(f"{file}: this version knows no network {str(model.get('name'))[:40]!r}")


def read_header(file: Path) -> dict[str, Any]:
    """The header that `save_network` wrote, its values checked: the file may come from anywhere.

    model: dict, the network's name and config. size: int, side of the training crops in px, LEAST_SIZE to
    LARGEST_SIZE. validation, test: floats in [0, 1), the shares held out. They may be absent; more entries are
    passed on. Raises CheckpointError.
    """
    try:
        with safe_open(file, "pt") as opened:
            header = opened.metadata() or {}
    except Exception as error:  # safetensors raises its own type and OSError alike
        raise _not_ours(file, error) from error
    if header.get("format") is None:
        raise NoCheckpoint(f"{file}: is a safetensors file {_FOREIGN}")
    if header["format"] != FORMAT:
        raise CheckpointError(f"{file}: its format is {header['format'][:40]!r}, this version reads {FORMAT!r}")
    try:
        values = {key: parse_json(value) for key, value in header.items() if key != "format"}
    except ValueError as error:
        raise CheckpointError(f"{file}: its header is damaged ({error})") from error
    _check_header(file, values)
    return values


def _check_header(file: Path, values: Mapping[str, Any]) -> None:
    size = values.get("size", LEAST_SIZE)
    if not isinstance(values.get("model"), dict):
        raise CheckpointError(f"{file}: its header is damaged (it describes no network)")
    if type(size) is not int or not LEAST_SIZE <= size <= LARGEST_SIZE:
        raise CheckpointError(
            f"{file}: its header is damaged (size {str(size)[:40]}; {LEAST_SIZE} to {LARGEST_SIZE} px are possible)"
        )
    for name in ("validation", "test"):
        share = values.get(name, 0.0)
        if type(share) not in (int, float) or not 0 <= share < 1:
            raise CheckpointError(f"{file}: its header is damaged ({name} {str(share)[:40]}; from 0 to below 1)")


def _not_ours(file: Path, error: Exception) -> CheckpointError:
    """What a file is that safetensors cannot read, and what to do."""
    try:
        with file.open("rb") as opened:
            start = opened.read(2)
    except OSError:
        start = b""
    if start in PYTORCH_STARTS:
        return NoCheckpoint(f"{file}: is a PyTorch file {_FOREIGN}")
    if file.suffix.lower() == ".onnx":
        return CheckpointError(
            f"{file}: is an ONNX file, which holds no checkpoint; give the .safetensors that it was exported from"
        )
    return CheckpointError(f"{file}: cannot be read as a checkpoint ({error})")


def weights_file(path: Path) -> Path:
    """The weight file of a run folder, the file itself, or that of the network that comes with the program.

    path: a folder, a file, or BUILTIN where nothing of that name is there. Raises CheckpointError where there is none.
    """
    if path.is_file():
        return path
    if is_builtin(path):
        return SHIPPED
    for name in ("best.safetensors", "last.safetensors"):
        if (path / name).is_file():
            return path / name
    raise CheckpointError(
        f"there is no checkpoint at {path}: give a .safetensors file, the folder of a run, or {BUILTIN}"
    )


def is_builtin(path: Path) -> bool:
    """Whether a path names the depth network that comes with the program."""
    return path == Path(BUILTIN) and not path.exists()


def save_state(out: Path, state: Mapping[str, Any]) -> None:
    """Write all that an exact continuation needs. out: the folder of the run, where it becomes state.pt. state:
    plain data and tensors.
    """
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    write_atomic(out / "state.pt", buffer.getvalue())


def load_state(out: Path) -> dict[str, Any] | None:
    """The state to go on from, on the CPU; None where a run is new. Raises CheckpointError where it is damaged.

    out: folder of the run.
    """
    if not (out / "state.pt").is_file():
        return None
    try:
        state: dict[str, Any] = torch.load(out / "state.pt", map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many types for a damaged file, with words for its own developers
        raise CheckpointError(f"{out / 'state.pt'}: is damaged or cut off; remove it to start anew") from error
    if not isinstance(state, dict) or not set(STATE) <= state.keys():
        raise CheckpointError(f"{out / 'state.pt'}: is not the state of a run; remove it to start anew")
    return state


def open_run(out: Path, identity: Mapping[str, Any], overwrite: bool, grows: str = "epochs") -> None:
    """Make the folder of a run, or check that it holds the same run.

    out: the folder, locked by the caller. identity: what makes the run this run, plain data; it becomes run.json.
    overwrite: delete the files of another run, or of a finished one; an unfinished run of this identity goes on, so
    that the same command can be given again. grows: the entry of the identity that may have grown since, the number of
    epochs of the last phase. Raises CheckpointError where `out` holds another run, or nobody knows which.
    """
    remove_temporaries(out)
    ours = json.loads(json.dumps(dict(identity)))
    theirs = _read_run(out)
    if overwrite and not (theirs and theirs.get(FINISHED) is False and _differences(theirs, ours) == []):
        for name in ("state.pt", "run.json", "log.jsonl", "best.safetensors", "last.safetensors"):
            (out / name).unlink(missing_ok=True)
        for events in out.glob("events.out.tfevents.*"):
            events.unlink()
        theirs = None
    finished = False
    if theirs is None and (out / "state.pt").exists():
        raise CheckpointError(
            f"{out} has a state.pt and no run.json that says of which run it is. Choose another --out, or replace it "
            "with --overwrite."
        )
    if theirs is not None:
        other = [key for key in _differences(theirs, ours) if not (key == grows and _has_grown(theirs, ours, key))]
        if other:
            differences = ", ".join(f"{key}: {theirs.get(key)} there, {ours.get(key)} now" for key in other)
            raise CheckpointError(
                f"{out} holds another run ({differences}). Choose another --out, repeat its settings to go on with "
                "it, or replace it with --overwrite."
            )
        finished = theirs.get(FINISHED) is True and theirs.get(grows) == ours.get(grows)
    _write_run(out, {**ours, FINISHED: finished})


def finish_run(out: Path) -> None:
    """Note in run.json that a run has come to its end. out: folder of the run."""
    _write_run(out, {**(_read_run(out) or {}), FINISHED: True})


def _read_run(out: Path) -> dict[str, Any] | None:
    """run.json; None without one. Raises CheckpointError where it is damaged."""
    file = out / "run.json"
    if not file.is_file():
        return None
    try:
        content = parse_json(read_regular(file, MOST_TEXT_BYTES))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{file}: cannot be read ({error}); choose another --out, or remove it") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{file}: is not of a run; choose another --out, or remove it")
    return content


def _write_run(out: Path, content: Mapping[str, Any]) -> None:
    write_atomic(out / "run.json", (json.dumps(content, indent=2) + "\n").encode())


def _differences(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> list[str]:
    return [key for key in sorted(ours.keys() | theirs.keys()) if key != FINISHED and ours.get(key) != theirs.get(key)]


def _has_grown(theirs: Mapping[str, Any], ours: Mapping[str, Any], key: str) -> bool:
    before, now = theirs.get(key), ours.get(key)
    return isinstance(before, int) and isinstance(now, int) and now > before
