"""Every label of a built set against a network that has not seen it: cross-validation over scenes.

For each of k parts of the set a small network, the built-in one at the start, is trained on the labels of the other
parts, and orders pairs of points of this part's labels. A label that the others contradict is wrong, or unlike them.
No label is changed; dataset/curation.py stores the agreement beside them. Networks lie in DATASET/curation/.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import nn

from redweb_builder.dataset.curation import Curation, read_curation, write_curation
from redweb_builder.dataset.reader import Dataset, Sample, open_dataset
from redweb_builder.dataset.sample_files import MAPS
from redweb_builder.dataset.unknown import FOLDER as UNKNOWN
from redweb_builder.errors import StoreError
from redweb_builder.files import make_folder, sha256_of
from redweb_builder.filters.measurements import mono_agreement
from redweb_builder.monocular import SHIPPED
from redweb_builder.monocular.estimator import SIDE
from redweb_builder.networks.device import choose_device
from redweb_builder.types import Label
from trainer.checkpoint import CheckpointError, load_network
from trainer.config import CURATE, TrainConfig
from trainer.data.check import Tick, refuse_many
from trainer.data.readers.built import RedwebSet
from trainer.data.sample_stream import SampleStream, Source
from trainer.data.splits import folds
from trainer.data.transforms import augmentation
from trainer.prediction.predict import predict_depth
from trainer.progress import Validation, Watch, silent
from trainer.training.loop import train
from trainer.training.recipe import relative_depth

FOLDER = "curation"  # in the data set: the runs of the folds


def curate(
    dataset: Path,
    count: int,
    steps: int,
    config: TrainConfig = CURATE,
    *,
    training: Callable[[str], AbstractContextManager[Watch]] = lambda _: nullcontext(silent),
    judging: Callable[[str], AbstractContextManager[Tick]] = lambda _: nullcontext(lambda done, of: None),
) -> tuple[Curation, list[str]]:
    """Measure the kept labels of a set by cross-validation, and store the agreement in its curation.json.

    dataset: folder of a finished data set. count: of parts. steps: that a network is trained. config: how, for one
    epoch. training: (which part, in words) -> context of what is called after every step of its training. judging:
    (what, in words) -> context of what is called with (labels judged, of all). Returns the curation, and a sentence
    about each label that cannot be read. Nothing is trained where the curation that is there was made of the same
    labels in the same way. Interrupted, it goes on where it stopped. Raises StoreError, DataError, CheckpointError,
    TrainingError, OSError.
    """
    data, labels = RedwebSet(dataset), open_dataset(dataset)
    parts = folds(data, count)
    identity = {"folds": count, "steps": steps, "start": sha256_of(SHIPPED), "labels": digest_of(labels)}
    before = read_curation(dataset)
    if before.identity == identity and len(before.agreement) == len(labels):  # else some could not be read
        return before, []
    make_folder(dataset / FOLDER, dataset)
    for number, part in enumerate(parts, 1):
        others = sorted(index for other in parts if other is not part for index in other)
        with training(f"part {number} of {count}: {len(others)} labels to learn from, {len(part)} to judge") as watch:
            train_part(data, others, config, steps, fold_folder(dataset, number), identity, watch)
    agreement: dict[str, float | None] = {}
    faults: list[str] = []
    device = choose_device(config.device)
    with judging("labels judged") as tick:
        for number, part in enumerate(parts, 1):
            network = load_network(fold_folder(dataset, number), device)
            for key, value in agreements(network, labels, [labels.keys[index] for index in part], device, faults):
                agreement[key] = value
                tick(len(agreement), len(labels))
    curation = Curation(identity, dict(sorted(agreement.items())))
    write_curation(dataset, curation)
    return curation, faults


def fold_folder(dataset: Path, number: int) -> Path:
    """The folder of the run of a part. dataset: the data set. number: from 1."""
    return dataset / FOLDER / f"part-{number}"


def train_part(
    data: RedwebSet,
    indices: Sequence[int],
    config: TrainConfig,
    steps: int,
    out: Path,
    identity: dict[str, Any],
    watch: Watch,
) -> None:
    """Train on some labels of a set; a run of other labels in the same folder is replaced.

    data: the set. indices: of the labels. config: with one epoch. steps: so long is the epoch. out: folder of the run.
    identity: what makes it this run. watch: called after every step.
    """
    stream = SampleStream(
        [Source(data, indices, steps * config.batch / len(indices))],
        augmentation(config.augment, config.size),
        config.seed,
    )

    def run(overwrite: bool) -> None:
        train(
            relative_depth(config), stream, unjudged, config, out, identity=identity, overwrite=overwrite, watch=watch
        )

    make_folder(out, out.parent)
    try:
        run(overwrite=False)
    except CheckpointError:  # of labels that are others now, or damaged
        run(overwrite=True)


def unjudged(network: nn.Module, device: torch.device) -> Validation:
    """No figures: the labels that would give them are judged afterwards. network, device: as of a Validator."""
    return Validation({})


def agreements(
    network: nn.Module, labels: Dataset, keys: Sequence[str], device: torch.device, faults: list[str]
) -> Iterator[tuple[str, float | None]]:
    """(key, agreement) of each label that can be read; None = no basis.

    network: in eval mode, on `device`. labels: the set. keys: of the labels. faults: gets a sentence about each label
    that cannot be read. Raises DataError where too many cannot.
    """
    for key in keys:
        try:
            sample = labels[key]
        except (StoreError, OSError) as error:
            faults.append(str(error))
            refuse_many(faults, len(labels))
            continue
        value = agreement_of(network, sample, device)
        yield key, None if value != value else float(f"{value:.6g}")


def agreement_of(network: nn.Module, sample: Sample, device: torch.device) -> float:
    """Share of point pairs of a label that a network orders alike, as `mono_agreement` has it; NaN = no basis.

    network: in eval mode, on `device`. sample: picture and label.
    """
    depth = predict_depth(network, sample.image, SIDE, device)
    return mono_agreement(Label(sample.disparity, sample.mask, sample.confidence), depth)


def digest_of(labels: Dataset) -> str:
    """SHA-256 of the kept labels as people left them: their keys, their maps, and what was marked as unknown.

    Where the maps lie does not count: in shards, or in rejected/ where people rescued a pair. labels: the set. Raises
    OSError.
    """
    digest = sha256()
    for key in labels.keys:
        try:
            maps = labels.stored_maps(key)
        except (StoreError, OSError):  # judging names it
            maps = {}
        stamps: dict[str, str | None] = {MAPS[name]: sha256(content).hexdigest() for name, content in maps.items()}
        marks = labels.folder / UNKNOWN / f"{key}.png"
        stamps[UNKNOWN] = sha256_of(marks) if marks.is_file() else None
        digest.update("".join(f"{folder}/{key} {stamp}\n" for folder, stamp in stamps.items()).encode())
    return digest.hexdigest()
