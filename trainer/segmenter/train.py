"""From folders of pictures to the network that the package ships: what `python cli.py train-segmenter` does."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from redweb_builder.errors import SettingsError
from redweb_builder.networks.weights import write_shipped
from redweb_builder.segmentation.sky_network import CLASSES, ENCODER, SkyNetwork, input_size, region_probabilities
from trainer.checkpoint import read_weights
from trainer.config import REGION_KINDS, SEGMENTER, TrainConfig, weighted_path
from trainer.data.sample_stream import SampleStream, Source
from trainer.losses.masked import Scalars, mean_where
from trainer.models.encoder_weights import load_encoder_weights
from trainer.progress import Summary, Validation, Validator, Watch, silent
from trainer.segmenter.augment import augmented, geometry, sky_of
from trainer.segmenter.pictures import RegionSet, prepare
from trainer.segmenter.teacher import Teacher
from trainer.training.loop import train
from trainer.training.recipe import ENCODER_RATE, Phase, Recipe, rate_of
from trainer.types import DataError, RegionBatch

FROZEN = ("conv_stem", "blocks.0.", "blocks.1.")  # edges and textures are what they were, and cost the most to train
SHIPPED = "segmenter.safetensors"
THINGS_SHARE = 0.5  # of the loss: what the rest is matters less than that it is the rest
MOST_VALIDATED = 40  # pictures of a set at most


class RegionStream(SampleStream):
    """A stream of pictures with regions."""

    def to_batch(self, sample: Any) -> RegionBatch:
        """Augmented, a batch of one. sample: a RegionSample."""
        return augmented(sample, self.transform, self._another_sky())

    def _another_sky(self) -> Tensor | None:
        """Of any of the pictures trained on; none where that has too little, or cannot be read."""
        sources = [source for source in self.sources if source.indices]  # a fold may keep a whole set back
        source = sources[int(torch.randint(len(sources), ()))]
        index = source.indices[int(torch.randint(len(source.indices), ()))]
        try:
            return sky_of(source.data[index])
        except DataError:  # it is left out and counted when its turn comes
            return None


def cross_entropy(logits: Tensor, batch: RegionBatch, _: Tensor) -> tuple[Tensor, Scalars]:
    """Against the shares of sky, far and rest, where they are known, and within the rest against what it is.

    logits: BxCxHxW, C = CLASSES. batch: the shares. The third argument, the randomness of the pairs, is not used.
    """
    log_shares = F.log_softmax(logits, 1)
    rest = log_shares[:, 2:].logsumexp(1)
    three = torch.stack([log_shares[:, 0], log_shares[:, 1], rest], 1)
    regions = mean_where(-(batch.regions * three).sum(1), batch.known > 0)
    named = batch.things >= 0
    things = F.nll_loss(log_shares[:, 2:] - rest[:, None], batch.things.clamp(min=0), reduction="none")
    return regions + THINGS_SHARE * mean_where(things * batch.regions[:, 2], named), {}


def segmenter_config(**settings: Any) -> TrainConfig:
    """The settings of a run. settings: of TrainConfig, in place of those of SEGMENTER. Raises SettingsError."""
    return replace(SEGMENTER, encoder=ENCODER, **settings)


def sky_and_far(config: TrainConfig) -> Recipe:
    """The recipe: all of the network but the encoder's first stages, with the encoder at a slower rate.

    config: seed, encoder_weights and the rates count.
    """
    torch.manual_seed(config.seed)
    network = SkyNetwork()
    note = load_encoder_weights(network.network.encoder, ENCODER, config.encoder_weights)
    for name, parameter in network.network.encoder.named_parameters():
        parameter.requires_grad_(not any(part in name for part in FROZEN))

    def optimiser(network: nn.Module) -> Optimizer:
        assert isinstance(network, SkyNetwork)
        encoder = [p for p in network.network.encoder.parameters() if p.requires_grad]
        own = {id(p) for p in network.network.encoder.parameters()}
        rest = [p for p in network.parameters() if id(p) not in own]
        groups = [
            {"params": encoder, "lr": 2 * ENCODER_RATE * config.learning_rate},
            {"params": rest, "lr": config.learning_rate},
        ]
        return AdamW(groups, weight_decay=config.weight_decay)

    phase = Phase("sky and far", config.epochs, cross_entropy, optimiser, rate_of(config))
    return Recipe(
        network, {"name": "sky", "classes": CLASSES, "encoder": ENCODER}, (phase,), (config.size, config.size), (note,)
    )


def make_validator(sets: Sequence[RegionSet]) -> Validator:
    """A validation of sky for the loop, in percent, lower is better.

    sets: their held-out pictures are judged. A set has 100 less the IoU of its sky; a set without sky, the share of its
    pixels that the network takes for sky.
    """

    @torch.inference_mode()
    def validate(network: nn.Module, device: torch.device) -> Validation:
        network.eval()
        figures: dict[str, float] = {}
        for data in sets:
            both = either = pixels = 0
            for index in data.held_out[:: -(-len(data.held_out) // MOST_VALIDATED)]:
                sample = data[index]
                size = input_size(*sample.image.shape[:2])
                small = cv2.resize(sample.image, size[::-1], interpolation=cv2.INTER_AREA)
                tensor = torch.from_numpy(small).permute(2, 0, 1)[None].to(device).float() / 255
                logits = network(tensor.contiguous(memory_format=torch.channels_last))
                sky = region_probabilities(logits)[0, 0].cpu().numpy()
                predicted = cv2.resize(sky, sample.image.shape[1::-1]) > 0.5
                known, truth = sample.regions.any(-1), sample.regions[..., 0] > 127
                both += int((predicted & truth & known).sum())
                either += int(((predicted | truth) & known).sum())
                pixels += int(known.sum())
            no_sky = data.name.startswith("no-sky")
            figures[data.name] = 100 * either / max(pixels, 1) if no_sky else 100 * (1 - both / max(either, 1))
        wrong = float(np.mean(list(figures.values()))) if figures else float("nan")
        return Validation({"wrong": wrong, **figures} if figures else {})

    return validate


def parse_set(text: str) -> tuple[str, Path, float]:
    """ "KIND:FOLDER[=WEIGHT]" -> kind, folder and weight. Raises SettingsError. text: of --data."""
    kind, colon, path = text.partition(":")
    if not colon:
        raise SettingsError(f"--data {text}: give KIND:FOLDER, KIND being one of {', '.join(REGION_KINDS)}")
    return (kind, *weighted_path(path))


@dataclass(frozen=True)
class Prepared:
    """What a run starts from.

    sources: sets to draw from. held_out_sets: to validate on. notes: for people. identity: what makes a run on them
    this run.
    """

    sources: list[Source[RegionSet]]
    held_out_sets: list[RegionSet]
    notes: list[str]
    identity: dict[str, object]


def prepared(
    data: Sequence[tuple[str, Path, float]],
    teacher: tuple[Path, Path] | None,
    fold: int | None,
    out: Path,
    tick: Callable[[int, int], None] = lambda *_: None,
) -> Prepared:
    """Read and label all pictures into OUT/pictures, once.

    out: folder of the run. tick: (done, of), of the pictures of one set. data: kind, folder and weight (how often an
    epoch) of each set. teacher: its code and its weights. fold: the third kept back to validate on, or None to train on
    everything. Raises DataError.
    """
    taught = Teacher(*teacher) if teacher else None
    sources, held_out_sets, notes = [], [], []
    for kind, folder, weight in data:
        pictures, problems = prepare(kind, folder, taught, out / "pictures", fold, tick)
        sources.append(Source(pictures, pictures.training, weight))
        held_out_sets += [pictures] if pictures.held_out else []
        notes.append(f"{folder}: {len(pictures.training)} to train on, {len(pictures.held_out)} held out, x{weight:g}")
        notes += problems
    identity: dict[str, object] = {
        "data": [[kind, str(folder), weight] for kind, folder, weight in data],
        "fold": fold,
        "teacher": hashlib.sha256(teacher[1].read_bytes()).hexdigest() if teacher else None,
    }
    return Prepared(sources, held_out_sets, notes, identity)


def train_segmenter(
    data: Prepared, config: TrainConfig, out: Path, *, overwrite: bool = False, watch: Watch = silent
) -> Summary:
    """Train, or go on, and write what can be shipped: OUT/segmenter.safetensors and its checksum.

    data: from `prepared`. config: from `segmenter_config`. out: the folder of the run. overwrite: replace the run
    there. watch: called after every step. Raises DataError, ValueError, WeightsUnavailable, CheckpointError,
    TrainingError.
    """
    summary = train(
        sky_and_far(config),
        RegionStream(data.sources, geometry(config.size), config.seed),
        make_validator(data.held_out_sets),
        config,
        out,
        identity=data.identity,
        notes=data.notes,
        overwrite=overwrite,
        watch=watch,
    )
    if summary.is_main:
        ship(out / "last.safetensors", out)
    return summary


def ship(checkpoint: Path, folder: Path) -> None:
    """Write a checkpoint's weights as fp16, and their SHA-256 as sha256sum prints it, into `folder`.

    Raises CheckpointError.
    """
    weights = read_weights(checkpoint)
    tensors = {name: value.half() if value.is_floating_point() else value for name, value in weights.items()}
    write_shipped(folder / SHIPPED, save(tensors))
