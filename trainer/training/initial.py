"""Where a run starts from when it does not start from ImageNet: a checkpoint of this program, or somebody's encoder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from redweb_builder.errors import SettingsError
from trainer.checkpoint import NoCheckpoint, is_builtin, load_network, read_header, weights_file
from trainer.config import TrainConfig
from trainer.models.encoder_weights import load_encoder_weights

ENCODER_NAME = {"rednet": "encoder", "eigen": "backbone"}  # of the setting, by the network's name


def start_from(path: Path, network: nn.Module, encoder: nn.Module | None, model: Mapping[str, Any]) -> str:
    """Fill a network from a checkpoint, and say in a sentence what was taken.

    path: a checkpoint of this program, file or folder of a run: the whole network where it is of the same kind, else
    its encoder. Or a .pth or .safetensors file of another project, for the encoder. network: the network to fill.
    encoder: its encoder, None where it has none. model: the network's name and settings. Raises SettingsError where the
    encoders differ; WeightsUnavailable where the file does not fit.
    """
    theirs = model_of(path)
    if theirs is None:
        if encoder is None:
            raise SettingsError(f"--init {path}: this network has no encoder of that kind")
        return load_encoder_weights(encoder, str(model.get(ENCODER_NAME[model["name"]])), str(path))
    source = load_network(path)
    if theirs == dict(model):
        network.load_state_dict(source.state_dict())
        return f"all weights of {weights_file(path)}"
    names = [other.get(ENCODER_NAME.get(str(other.get("name")), "")) for other in (theirs, model)]
    if encoder is None or names[0] != names[1]:
        raise SettingsError(f"--init {path}: its network is {_described(theirs)}, that of this run {_described(model)}")
    encoder.load_state_dict(_encoder_of(source).state_dict())
    return f"encoder {names[0]}: weights of {weights_file(path)}; the decoder is random"


def encoder_settings(path: Path) -> dict[str, Any]:
    """The settings of a run that starts from a checkpoint of relative depth: its encoder and its channels.

    path: see `start_from`. Returns nothing for a file of another project. Raises CheckpointError.
    """
    model = model_of(path)
    if model is None or model.get("name") != "rednet":
        return {}
    return {name: model[name] for name in ("encoder", "channels") if name in model}


def initial_path(config: TrainConfig) -> Path | None:
    """What --init names. Raises SettingsError where nothing is there. config: its `init` counts."""
    if config.init is None:
        return None
    path = Path(config.init)
    if not path.exists() and not is_builtin(path):
        raise SettingsError(
            f"--init {path}: there is no file or folder of a run (builtin = the network that comes along)"
        )
    return path


def model_of(path: Path) -> dict[str, Any] | None:
    """The network that a checkpoint of this program describes; None for a file of another project.

    path: a checkpoint, or the folder of a run. Raises CheckpointError for a folder that is no run, and for a damaged
    header of ours.
    """
    file = weights_file(path)
    try:
        return dict(read_header(file)["model"])
    except NoCheckpoint:
        return None


def _encoder_of(network: nn.Module) -> nn.Module:
    inner = network.get_submodule("network") if hasattr(network, "network") else network  # of a metric network
    return inner.get_submodule("encoder")


def _described(model: Mapping[str, Any]) -> str:
    return ", ".join(str(value) for value in model.values() if value is not None)
