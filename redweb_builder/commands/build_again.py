"""The command that builds a data set again, as it was built, as far as its build.json tells."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePath
from shlex import quote
from typing import Any

from redweb_builder.config import BUILTIN, NONE, is_exported_flow

FOLDER = "FOLDER"  # in the command: that of a user's own file
FILES = ("pairs", "flow_weights", "segmenter_weights")  # options of files that build.json names beside its networks


def command_of(build: Mapping[str, Any], dataset: Path, mono: str | None = None) -> str:
    """The command that builds a data set again: its photographs, settings and user's files; of a part, that part.

    build: content of its build.json, which may come from anywhere: what it names becomes no option and no file that is
    there. dataset: its folder. mono: the depth network in the place of one that is not the user's; None = the same.
    """
    from redweb_builder.dataset.parts import part_of_folder  # here: the list of commands needs no NumPy

    source, identity = build.get("input"), table(build.get("identity"))
    place = quote(source) if isinstance(source, str) and source and source[0] != "-" else "STEREO_DIR"
    out, more = dataset, ""
    if (part := part_of_folder(dataset)) and build.get("part") == [*part]:
        out, more = dataset.parent, f" --part {part[0]}/{part[1]}"
    if type(limit := build.get("limit")) is int and limit > 0:
        more += f" --limit {limit}"
    for option, name in _stated_files(build).items():
        more += f" --{option.replace('_', '-')} {quote(_in_folder(name))}"
    own = own_networks(build)
    if (file := _file_of_flow(identity)) in own:
        more += f" --flow {quote(identity['flow'].partition(':')[0] + ':' + _in_folder(file))}"
    if identity.get("mono") in own:
        mono = quote(_in_folder(identity["mono"]))
    more += f" --mono {mono}" if mono else ""
    config = quote(str(dataset / "build.json"))
    return f"python cli.py build-redweb {place} --out {quote(str(out))} --config {config}{more}"


def own_files(build: Mapping[str, Any]) -> list[str]:
    """The names of the user's files in that command. build: content of its build.json, which may come from anywhere."""
    return [*_stated_files(build).values(), *own_networks(build)]


def _stated_files(build: Mapping[str, Any]) -> dict[str, str]:
    stated = table(build.get("files"))
    return {option: stated[option] for option in FILES if isinstance(stated.get(option), str) and stated[option]}


def own_networks(build: Mapping[str, Any]) -> list[str]:
    """The names of the files of a user's own networks, flow and depth, that a data set was built with.

    build: content of its build.json, which may come from anywhere.
    """
    identity = table(build.get("identity"))
    mono = identity.get("mono", NONE)
    names = [_file_of_flow(identity), mono if mono not in (BUILTIN, NONE) else None]
    return [name for name in names if isinstance(name, str) and name]


def table(value: object) -> dict[str, Any]:
    """A table of a build.json, empty where it is none. value: as JSON gives it."""
    return value if isinstance(value, dict) else {}


def _in_folder(file: str) -> str:
    """A file's name in a folder that is to be filled in."""
    return f"{FOLDER}/{PurePath(file).name}"


def _file_of_flow(identity: Mapping[str, Any]) -> str | None:
    flow = identity.get("flow")
    return flow.partition(":")[2] if isinstance(flow, str) and is_exported_flow(flow) else None
