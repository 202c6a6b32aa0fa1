"""`redweb upgrade`: what a new build would change of an older data set, and the command that does it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from redweb_builder.commands import options
from redweb_builder.commands.build_again import FOLDER, command_of, own_files, own_networks, table


@click.command("upgrade")
@click.argument("dataset", type=options.PATH)
def upgrade(dataset: Path) -> None:
    """Say what a build of today would change of DATASET, and which command does it; nothing is changed."""
    from redweb_builder.commands.errors import errors_for_people
    from redweb_builder.commands.terminal import echo
    from redweb_builder.config import BuildConfig
    from redweb_builder.dataset.paths import is_data_set, is_ours, read_build
    from redweb_builder.errors import StoreError
    from redweb_builder.inputs.remote import shown

    with errors_for_people():
        build = read_build(dataset)
        if not is_ours(build):
            raise StoreError(f"{shown(dataset)} is no data set of this program")
        changes = changes_of(build)
        if not changes:
            echo("A new build would change nothing: method, networks and limits are those of today.")
            return
        echo(f"A new build of {shown(dataset)} would change:")
        for change in changes:
            echo(f"- {change}")
        if is_data_set(dataset):
            echo("This command builds it again in its place. decisions.jsonl, what people decided, stays; pairs are")
            echo("lost whose photographs are gone, or lie in another folder that was built into the set:")
            echo(f"  {command_of(build, dataset, mono=BuildConfig.mono)} --overwrite")
        else:
            echo("These are shards. Build the data set again that they were exported from, then export it again.")
            return
        for name in own_files(build):
            echo(f"Put the folder of {name} in the place of {FOLDER}: a data set knows the file's name alone.")


def changes_of(build: Mapping[str, Any]) -> list[str]:
    """A sentence for each difference between how a data set was built and how a build of today is.

    build: content of its build.json, which may come from anywhere. Limits and other settings that --config keeps are
    named where their default is another today.
    """
    from redweb_builder.config import BUILTIN, BuildConfig, Thresholds
    from redweb_builder.monocular import SHIPPED as DEPTH
    from redweb_builder.networks.weights import shipped_weights
    from redweb_builder.segmentation import SHIPPED as SEGMENTER
    from redweb_builder.version import CHANGES, FORMAT, METHOD

    identity = table(build.get("identity"))
    changes = []
    if build.get("format") != FORMAT:
        changes.append(f"files: {build.get('format')} there, {FORMAT} now")
    method = identity.get("method")
    if method != METHOD:
        changes.append(f"method: {method} there, {METHOD} now")
        since = method if isinstance(method, int) else 0
        changes += [f"method {number}: {text}" for number, text in CHANGES.items() if number > since]
    for name, file in (("segmenter", SEGMENTER), ("mono", DEPTH)):
        now = shipped_weights(file).sha256
        if identity.get(name) == BUILTIN and identity.get(f"{name}_weights_sha256") != now:
            changes.append(f"{name}: the built-in network has other weights now")
    if identity.get("mono", "none") != BuildConfig.mono and identity.get("mono") not in own_networks(build):
        changes.append(f"mono: {identity.get('mono', 'none')} there, {BuildConfig.mono} is the default now")
    there = table(build.get("thresholds") or identity.get("thresholds"))
    for name in Thresholds.__dataclass_fields__:
        default = getattr(Thresholds, name)
        if name in there and there[name] != default:
            limit = "off" if there[name] is None else there[name]
            changes.append(f"{name}: {limit} there, kept; the default is {default} now (`refilter` changes it)")
        elif there and name not in there:
            changes.append(f"{name}: not judged there, {default} now")
    return changes
