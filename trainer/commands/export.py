"""`redweb export`: a data set or a trained network in a form that others read."""

from __future__ import annotations

from pathlib import Path

import click

from redweb_builder.commands import options
from redweb_builder.commands.terminal import echo
from redweb_builder.errors import SettingsError
from redweb_builder.networks.encoder_input import STRIDE
from trainer.config import NETWORK_FORMATS


@click.command("export")
@click.argument("path", type=options.PATH)
@click.option(
    "--format",
    "form",
    required=True,
    type=click.Choice((*options.DATA_SET_FORMATS, *NETWORK_FORMATS)),
    help=f"Of a trained network {', '.join(NETWORK_FORMATS)}; the others are for a data set.",
)
@click.option("--out", type=options.PATH, help="New folder or file.  [default: beside PATH]")
@click.option(
    "--size",
    metavar="HEIGHTxWIDTH",
    help="The only size of pictures that an ONNX or TorchScript file takes, px.  [default: any; of a vision "
    "transformer its crops']",
)
@click.option("--keys", multiple=True, help="Only these samples of a data set (repeatable).")
@click.option(
    "--min-confidence",
    type=click.IntRange(0, 255),
    default=0,
    show_default=True,
    help="Of a data set: labels below it are unknown.",
)
@click.option("--layout", type=click.Choice(options.STEREO_LAYOUTS), help="Of rectified pairs.  [default: middlebury]")
@click.option(
    "--source",
    type=options.PATH,
    help="Folder of the stereo photographs, where it has moved (rectified, labels-only, rerun).",
)
@click.option(
    "--push",
    metavar="OWNER/NAME",
    help="Upload the export to this data set of the Hugging Face hub, private where it is new (huggingface).",
)
def export(
    path: Path,
    form: str,
    out: Path | None,
    size: str | None,
    keys: tuple[str, ...],
    min_confidence: int,
    layout: str | None,
    source: Path | None,
    push: str | None,
) -> None:
    """Write the data set or the trained network in PATH in a form that others read.

    A data set goes out as people left it; a network is checked against what was written.
    """
    own = {name: value for name, value in (("layout", layout), ("source", source)) if value is not None}
    for name in (*own, *(["push"] if push else [])):
        if form not in options.WITH_OPTION[name]:
            raise click.UsageError(f"--{name} belongs to --format {' or '.join(options.WITH_OPTION[name])}")
    if form in NETWORK_FORMATS:
        if keys or min_confidence:
            raise click.UsageError(f"--{'keys' if keys else 'min-confidence'} belongs to a data set")
        from trainer.commands.console import trainer_errors_for_people

        with trainer_errors_for_people():
            from redweb_builder.inputs.remote import require_folder
            from trainer.export import export_checkpoint

            if out is not None:
                require_folder(out, options.COPY_INSTEAD)
            echo(export_checkpoint(path, form, out, size=fixed_size(size) if size else None))
        return
    if size:
        raise click.UsageError("--size belongs to a trained network")
    from redweb_builder.commands import console
    from redweb_builder.commands.errors import errors_for_people

    with errors_for_people():
        beside = path if path.name not in ("", "..") else path.resolve()  # "." has no name, and ".." no place beside it
        console.export(
            path, form, out or beside.with_name(f"{path.resolve().name}-{form}"), keys, own, min_confidence, push
        )


def fixed_size(text: str) -> tuple[int, int]:
    """ "384x512" -> height and width, px. Raises SettingsError for anything else, and below 32 px. text: of --size."""
    numbers = text.split("x")
    if len(numbers) != 2 or not all(number.isdecimal() and int(number) >= STRIDE for number in numbers):
        raise SettingsError(f"--size {text}: give height and width in px, such as 384x512, both at least {STRIDE}")
    return int(numbers[0]), int(numbers[1])
