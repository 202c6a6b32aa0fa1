"""How a data set was built, in words for the report and the card of an export."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

UNKNOWN = "unknown"
MAX_LENGTH = 320  # letters of one fact


@dataclass(frozen=True)
class Facts:
    """Short texts of one line; UNKNOWN where build.json does not say.

    flow, segmentation: names of the networks, without the folder of their weights. method, format: of the data set.
    flow_weights, segmenter_weights: SHA-256 of the weights, empty where there are none. input: a fingerprint of the
    names and sizes of the photographs. max_side: px.
    """

    flow: str
    segmentation: str
    max_side: str
    method: str
    format: str
    input: str
    flow_weights: str
    segmenter_weights: str


def facts_of(build: Mapping[str, Any]) -> Facts:
    """The facts of build.json. build: its content, which may come from anywhere; what is no text or number is left."""
    stated = build.get("identity")
    identity = stated if isinstance(stated, dict) else {}
    return Facts(
        flow=_without_place(_text(build.get("flow"))),
        segmentation=_without_place(_text(build.get("segmentation"))),
        max_side=_text(identity.get("max_side")),
        method=_text(identity.get("method")),
        format=_text(build.get("format")),
        input=_text(build.get("input_fingerprint")),
        flow_weights=_text(identity.get("flow_weights_sha256"), ""),
        segmenter_weights=_text(identity.get("segmenter_weights_sha256"), ""),
    )


def shared_build(build: Mapping[str, Any]) -> dict[str, Any]:
    """build.json for a copy that others get: without the folders of this machine. build: its content."""
    networks = {name: _without_place(_text(build[name])) for name in ("flow", "segmentation") if name in build}
    return {name: value for name, value in {**build, **networks}.items() if name != "input"}


def _without_place(sentence: str) -> str:
    """What was chosen, without the brackets after it: they name the weight file, or where it was looked for."""
    return sentence.partition(" (")[0]


def _text(value: object, missing: str = UNKNOWN) -> str:
    if not isinstance(value, str | int | float) or value == "":
        return missing
    text = " ".join(str(value)[: 2 * MAX_LENGTH].split())
    return text if len(text) <= MAX_LENGTH else f"{text[: MAX_LENGTH - 1]}…"
