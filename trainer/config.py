"""The settings of a training run: frozen, checked on construction, written beside the checkpoints."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from redweb_builder.config import BUILTIN, VALIDATION_SHARE, check_device
from redweb_builder.errors import SettingsError
from redweb_builder.networks.encoder_input import STRIDE
from redweb_builder.process import available_cores

LOSS_NAMES = ("ranking", "improved-ranking", "structure-guided", "ssi", "ssi-trimmed", "l2")
MODELS = ("rednet", "eigen")
SCHEDULES = ("cosine", "step", "constant")
AUGMENTATIONS = ("full", "flip-crop", "none")
PRECISIONS = ("auto", "float32", "bf16", "fp16")
CHECKS = ("quick", "full", "none")  # of the data before a run, see data/check.py
STEREO_FORMS = ("sbs", "anaglyph", "parallax", "parallax-mp4")  # of a photograph and a made second view
RAW_FORMATS = ("npy", "pfm", "exr")  # of a prediction's own numbers
RANGES = ("picture", "film")  # that the 16 bits of a prediction span
SENSES = ("near", "far", "metres")  # of a prediction: disparity or inverse depth, depth, depth in metres
PROTOCOLS = ("midas", "marigold", "moge", "eigen", "da2k")  # of published evaluations, see evaluation/published.py
PARTS = ("auto", "all", "train", "val", "test")  # of a data set, see data/splits.py
NETWORK_FORMATS = ("onnx", "torchscript", "safetensors")  # that a checkpoint is exported to
REGION_KINDS = ("camvid", "masks", "stereo", "photographs", "no-sky")  # pictures for the segmenter
FOLDS = 3  # parts of the segmenter's pictures, each of which may be kept back to validate on
LARGEST_SEED = 2**32 - 1  # a million times the number of a step is added to it, and int64 must hold the sum
LARGEST_FACTOR = 1e15  # on gradients and weights; the product of two still is a float32
MOST_WEIGHT = 1e6  # of a set: how often an epoch draws it
FREE_TO_CHANGE = ("device", "workers", "threads", "precision")  # where a run goes on, not what it is


@dataclass(frozen=True)
class TrainConfig:
    """What a training run does.

    model: "rednet" = relative depth (Xian et al. 2018), "eigen" = metric depth (Eigen et al. 2014), which has a size
    and a loss of its own. backbone, joint, fine_epochs: of eigen, see training/metric_recipe.py; there epochs are those
    of the coarse phase, and learning_rate is a factor on the paper's rates.
    loss, channels, encoder_weights: see losses/, monocular/network.py of the builder, models/encoder_weights.py.
    encoder: see monocular/encoders.py. init: a checkpoint to start from, see training/initial.py.
    size: side of the square training crops, px, a multiple of 32.
    batch: pictures an optimiser step, over all processes and all `accumulate` parts of it.
    epochs: of as many whole batches as the samples, times their sets' weights, fill. l2_epochs: of L2 warm-up before.
    freeze_epochs: before those, with the encoder as it starts, so that a random decoder does not spoil it.
    learning_rate: of the new layers; the pretrained encoder gets a tenth. weight_decay: of AdamW, which without it is
    Adam. clip: largest gradient norm, 0 = none. ema: decay of the running mean of the weights that is validated and
    kept, 0 = none. augment: "full", "flip-crop" or "none"; eigen has the paper's, or none.
    schedule: "cosine" to 0, "step": a tenth from the half on, a hundredth in the last quarter, or "constant". warmup:
    share of a phase over which the rate rises before.
    weigh_by_pixels: of eigen: a picture counts by the square of its known pixels, as in the authors' code.
    freeze_batchnorm: leave the encoder's batch norms as pretrained: for small batches, and for runs that are to give
    the same on any number of processes. pairs: a picture and step. validation, test: shares of a set without parts of
    its own that are validated on, and kept for a later evaluation.
    validations: in a run, evenly spaced. seed: of everything random, 0 to 2^32 - 1. precision: one of PRECISIONS.
    device: "auto", "cpu", "cuda" or "cuda:N". workers: processes that read. threads: of the CPU's computations; None =
    as many cores as the process may use.
    min_confidence, measured_only, weigh_by_confidence: which labels of built sets are learned from, and how much they
    count, see data/readers/built.py. balance: every set is drawn equally often, times its weight.
    depth_scale: what the numbers of depth files mean where their set does not say, see data/depth_scale.py.
    """

    model: str = "rednet"
    backbone: str | None = None
    joint: bool = False
    fine_epochs: int = 0
    loss: str = "ranking"
    encoder: str = "resnet50"
    encoder_weights: str = "auto"
    channels: int | None = None
    init: str | None = None
    size: int = 384
    batch: int = 8
    accumulate: int = 1
    epochs: int = 30
    l2_epochs: int = 0
    freeze_epochs: int = 0
    learning_rate: float = 1e-4
    weight_decay: float = 0.01
    clip: float = 10.0
    schedule: str = "cosine"
    warmup: float = 0.03
    ema: float = 0.999
    freeze_batchnorm: bool = False
    augment: str = "full"
    weigh_by_pixels: bool = False
    pairs: int = 3000
    min_confidence: int = 0
    measured_only: bool = False
    weigh_by_confidence: bool = False
    balance: bool = False
    validation: float = VALIDATION_SHARE
    test: float = 0.0
    validations: int = 20
    seed: int = 0
    precision: str = "auto"
    device: str = "auto"
    depth_scale: str | None = None
    workers: int = min(4, available_cores())
    threads: int | None = None

    def __post_init__(self) -> None:
        """Raise SettingsError, with what is allowed, on a setting out of range."""
        for name, allowed in (
            ("model", MODELS),
            ("loss", (*LOSS_NAMES, "cross-entropy")),  # the last is train-segmenter's
            ("schedule", SCHEDULES),
            ("augment", AUGMENTATIONS),
            ("precision", PRECISIONS),
        ):
            if getattr(self, name) not in allowed:
                raise SettingsError(f"{name} {getattr(self, name)!r}: must be one of {', '.join(allowed)}")
        check_device(self.device)
        own = {
            "rednet": ("loss", "encoder", "size", "l2_epochs", "freeze_epochs"),
            "eigen": ("backbone", "joint", "fine_epochs", "weigh_by_pixels"),
        }
        foreign = [name for model, names in own.items() if model != self.model for name in names]
        for name in foreign:
            if getattr(self, name) != getattr(type(self), name):
                raise SettingsError(f"{name} {getattr(self, name)}: is no setting of model {self.model}")
        if self.backbone and (self.joint or self.fine_epochs):
            raise SettingsError("joint, fine_epochs: are of the paper's network; one with a backbone has one phase")
        if self.size < 64 or self.size % STRIDE:
            raise SettingsError(f"size {self.size}: must be a multiple of {STRIDE}, at least 64 px")
        for name in ("batch", "accumulate", "epochs", "pairs", "validations"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{name} {getattr(self, name)}: must be at least 1")
        for name in ("l2_epochs", "freeze_epochs", "fine_epochs", "weight_decay", "clip", "workers", "seed"):
            if getattr(self, name) < 0:
                raise SettingsError(f"{name} {getattr(self, name)}: must not be negative")
        for name in ("learning_rate", "weight_decay", "clip"):
            if not getattr(self, name) <= LARGEST_FACTOR:  # nor is NaN
                raise SettingsError(f"{name} {getattr(self, name)}: must be a number up to {LARGEST_FACTOR:g}")
        if self.seed > LARGEST_SEED:
            raise SettingsError(f"seed {self.seed}: must be at most {LARGEST_SEED}")
        if not 0 <= self.min_confidence <= 255:
            raise SettingsError(f"min_confidence {self.min_confidence}: must be from 0 to 255")
        if not self.learning_rate > 0:
            raise SettingsError(f"learning_rate {self.learning_rate}: must be above 0")
        for name in ("ema", "warmup", "validation", "test"):
            if not 0 <= getattr(self, name) < 1:
                raise SettingsError(f"{name} {getattr(self, name)}: must be from 0 to below 1")
        if self.threads is not None and self.threads < 1:
            raise SettingsError(f"threads {self.threads}: must be at least 1")
        if self.batch % self.accumulate:
            raise SettingsError(f"batch {self.batch}: must be a multiple of accumulate {self.accumulate}")

    def identity(self) -> dict[str, Any]:
        """What a resumed run must share with the one it goes on with, as plain data."""
        settings = {name: value for name, value in asdict(self).items() if name not in FREE_TO_CHANGE}
        return dict(json.loads(json.dumps(settings)))


def preset(model: str, backbone: str | None = None) -> TrainConfig:
    """Where the settings of a model start from. Raises SettingsError for an unknown model.

    model: one of MODELS. backbone: the encoder in the place of Eigen's networks; None = the paper's. The settings
    of "eigen" fit the 795 labelled frames of NYU Depth v2, with which the README's figures were made. The paper's 2
    million samples coarse and 1.5 million fine, from 120,000 frames, are 17 and 13 epochs of those.
    """
    if model != "eigen":
        return TrainConfig(model=model, backbone=backbone)
    if backbone:
        return TrainConfig(model=model, backbone=backbone, channels=32, batch=8, epochs=14, learning_rate=1e-3)
    return TrainConfig(model=model, batch=32, epochs=40, fine_epochs=15, learning_rate=1.0, validations=6)


# Without what came after the papers: no running mean, no clipping, no decay beside the paper's, a constant rate.
AS_PUBLISHED: dict[str, Any] = {"ema": 0.0, "clip": 0.0, "warmup": 0.0, "schedule": "constant"}

# Where the settings of `train --recipe` start from; docs/training.md has what the papers say and what they leave open.
RECIPES = {
    "xian-2018": TrainConfig(
        loss="improved-ranking",
        batch=16,
        epochs=10,
        l2_epochs=10,
        augment="flip-crop",
        weight_decay=0.0,
        **AS_PUBLISHED,
    ),
    "eigen-2014": TrainConfig(
        model="eigen",
        batch=32,
        epochs=17,
        fine_epochs=13,
        learning_rate=1.0,
        validations=6,
        weigh_by_pixels=True,
        **AS_PUBLISHED,
    ),
}

# What train-segmenter starts from; its encoder is the shipped network's (segmenter/train.py).
SEGMENTER = TrainConfig(
    loss="cross-entropy",
    size=192,
    epochs=16,
    learning_rate=7e-4,
    ema=0.998,
    pairs=1,
    validations=5,
    precision="float32",
    workers=0,
)


# What `curate` trains with, from the built-in network on: few steps, so the running mean is short.
CURATE = TrainConfig(
    loss="structure-guided",
    encoder="tu-tf_efficientnet_lite0",
    channels=64,
    init=BUILTIN,
    size=224,
    epochs=1,
    learning_rate=3e-4,
    freeze_batchnorm=True,
    ema=0.97,
    validations=1,
    precision="float32",
)


def weighted_path(text: str) -> tuple[Path, float]:
    """ "PATH" or "PATH=WEIGHT" -> path and weight (1 without one). Raises SettingsError for a weight that is none.

    text: of --data.
    """
    path, equals, weight = text.rpartition("=")
    if not equals or Path(text).exists():
        return Path(text), 1.0
    try:
        value = float(weight)
    except ValueError as error:
        raise SettingsError(f"--data {text}: the weight after = must be a number") from error
    if not 0 < value <= MOST_WEIGHT:
        raise SettingsError(f"--data {text}: the weight must be above 0, at most {MOST_WEIGHT:g}")
    return Path(path), value
