"""What is judged: networks, stored predictions, and the prior; each as the map of a picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

from redweb_builder.types import FloatMap, Picture
from trainer.data.depth_set import DepthSet
from trainer.data.marks import mark_of
from trainer.evaluation.metrics import lower_is_nearer
from trainer.evaluation.stored import StoredPredictions
from trainer.prediction.predict import Predictor

Predict = Callable[[Picture], FloatMap] | StoredPredictions
Watch = Callable[[int, int], None]


def unwatched(done: int, of: int) -> None:
    """Show nothing. done, of: samples."""


def uncounted(name: str) -> AbstractContextManager[Watch]:
    """Show nothing of a set. name: of the set."""
    return nullcontext(unwatched)


def map_of(predict: Predict, key: str, image: Picture) -> FloatMap:
    """The prediction of a picture, HxW float32, larger = nearer.

    predict: a network, the prior, or stored predictions. key: of its sample. image: HxWx3 uint8 RGB. Raises DataError
    where stored predictions have none that fits, or a network gives values that are not finite.
    """
    return predict.predict(key, image) if isinstance(predict, StoredPredictions) else predict(image)


def counts_of(predict: Predict, data: DepthSet, indices: Sequence[int]) -> dict[str, int]:
    """What to say of the samples of a row: how many were trained on; nothing where none was.

    predict: a network, the prior, or stored predictions. data: the set. indices: of the samples of the row.
    """
    trained_on = predict.trained_on if isinstance(predict, Predictor) else frozenset()
    known = sum(mark_of(data, index) in trained_on for index in indices) if trained_on else 0
    return {"trained_on": known} if known else {}


def prior(image: Picture) -> FloatMap:
    """The prediction that looks at nothing: the lower of two points is nearer. image: HxWx3; its size counts only."""
    return lower_is_nearer(*image.shape[:2])
