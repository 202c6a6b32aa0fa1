"""What a person may say about their pile of files."""

from __future__ import annotations

from dataclasses import dataclass

from redweb_builder.types import PACKED

LAYOUT_CHOICES = ("auto", *PACKED)


@dataclass(frozen=True)
class InputOptions:
    """How files are read. All of it shapes the data set.

    layout: "auto", or how every file of the pile holds its two eyes, whatever its name and content say.
    film_rate: frames a second that are taken from a film.
    vr_fov: horizontal field of view, degrees, of the views that are cut from VR180 pictures.
    """

    layout: str = "auto"
    film_rate: float = 1.0
    vr_fov: float = 90.0

    def __post_init__(self) -> None:
        """Raise ValueError, with what is allowed, on a setting out of range."""
        if self.layout not in LAYOUT_CHOICES:
            raise ValueError(f"layout {self.layout!r}: must be one of {', '.join(LAYOUT_CHOICES)}")
        if not 0 < self.film_rate <= 60:
            raise ValueError(f"film_rate {self.film_rate}: must be over 0 and at most 60 frames a second")
        if not 30 <= self.vr_fov <= 120:
            raise ValueError(f"vr_fov {self.vr_fov}: must be from 30 to 120 degrees")
