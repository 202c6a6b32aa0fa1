"""--config of a build: its options from a TOML file, or from the build.json of a data set."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from redweb_builder.commands.errors import errors_for_people
from redweb_builder.config import BUILTIN, NONE, Thresholds, is_exported_flow
from redweb_builder.errors import SettingsError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MAX_BYTES = 1 << 20
THRESHOLDS = "thresholds"  # the table of limits, and where click's context has them
_FROM_BUILD = "from_build"  # where click's context has the build.json that --config names
_OWN = ("config", "version", "help")  # options that a file cannot give
_PAIRING = ("pair", "time_tolerance")  # of InputOptions.pairing
_INPUTS = ("layout", "film_rate", "vr_fov", "right_first")  # of InputOptions.method; a stranger's file may have others


def option() -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """--config: its values take the place of the defaults, so that an option that is typed goes before."""
    return click.option(
        "--config",
        type=click.Path(path_type=Path, dir_okay=False),
        is_eager=True,
        expose_value=False,
        callback=_use_file,
        metavar="FILE",
        help="Options from a TOML file, or from a data set's build.json; what is typed goes before.",
    )


def limits_of_file(goes_on_in: Path | None) -> dict[str, float | None]:
    """The table of limits of the running command's --config; none where there is none.

    goes_on_in: the data set that the command goes on with; None = it begins anew. Where --config is the build.json of
    that very set they are the limits that it began with, since the build itself keeps those that `refilter` gave it.
    Raises SettingsError, OSError.
    """
    from redweb_builder.files import parse_json, read_regular, real_path

    meta = click.get_current_context().meta
    file: Path | None = meta.get(_FROM_BUILD)
    if file is not None and goes_on_in is not None and real_path(file) == real_path(goes_on_in / "build.json"):
        return _checked(parse_json(read_regular(file, MAX_BYTES))["identity"].get(THRESHOLDS, {}), file)
    limits: dict[str, float | None] = meta.get(THRESHOLDS, {})
    return limits


def require_typed_networks(flow: str, mono: str) -> None:
    """Raise SettingsError where a data set's build.json, and not the command line, names a file of a network.

    It may be a stranger's, and a TorchScript file is a program. flow, mono: the options of the running command.
    """
    context = click.get_current_context()
    for option, name, is_file in (("flow", flow, is_exported_flow(flow)), ("mono", mono, mono not in (BUILTIN, NONE))):
        is_stated = context.get_parameter_source(option) is ParameterSource.DEFAULT_MAP
        if is_file and is_stated and _FROM_BUILD in context.meta:
            raise SettingsError(
                f"{context.meta[_FROM_BUILD]} names a file, {name}: give --{option} with the path of yours"
            )


def _use_file(context: click.Context, _: click.Parameter, file: Path | None) -> None:
    if file is None or context.resilient_parsing:
        return
    with errors_for_people():
        settings = read_settings(file)
        limits = settings.pop(THRESHOLDS, {})
        known, flags = _arguments(context.command), _flags(context.command)
        for name, value in settings.items():
            if name not in known or name in _OWN:
                raise SettingsError(f"{file}: {name} is no option of {context.info_name}; see its --help")
            if not _is_plain(value) or (isinstance(value, bool) and known[name] not in flags):
                raise SettingsError(f"{file}: {name} takes texts and numbers, not {ascii(value)[:80]}")
        context.meta[THRESHOLDS] = _checked(limits, file)
        if _is_build(file):
            context.meta[_FROM_BUILD] = file
        given = {known[name]: _as_typed(value) for name, value in settings.items()}
        context.default_map = {**(context.default_map or {}), **given}


def _arguments(command: click.Command) -> dict[str, str]:
    """The names of a command's options, with underscores -> the arguments of its function."""
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    return {name.lstrip("-").replace("-", "_"): str(option.name) for option in options for name in option.opts}


def _flags(command: click.Command) -> set[str]:
    """The arguments of a command's function that are true or false; of others click takes true for 1."""
    return {str(option.name) for option in command.params if isinstance(option, click.Option) and option.is_flag}


def _as_typed(value: object) -> object:
    """A number as its text: click cuts 256.5 off to 256, and takes a number for a flag as a mistake of the program."""
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def read_settings(file: Path) -> dict[str, Any]:
    """Options by their names, with underscores, and the table "thresholds" where there is one.

    file: TOML with the names of the options, dashes or underscores in them; or the build.json of a data set, which
    gives the options that it was built with. Raises SettingsError, OSError.
    """
    from redweb_builder.files import parse_json, read_regular

    content = read_regular(file, MAX_BYTES)
    try:
        if _is_build(file):
            return _of_build(parse_json(content))
        table = tomllib.loads(content.decode("utf-8-sig"))  # editors on Windows put a byte order mark before it
    # TOMLDecodeError and UnicodeDecodeError are ValueErrors; tomllib has no limit of its own for what is nested.
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        form = "the build.json of a data set" if _is_build(file) else "TOML"
        raise SettingsError(f"{file}: cannot be read as {form} ({error})") from error
    return {name.replace("-", "_"): value for name, value in table.items()}


def _is_build(file: Path) -> bool:
    return file.suffix == ".json"


def _is_plain(value: object) -> bool:
    """Whether an option can be read from a value: click takes tables and dates of TOML for a mistake of the program."""
    if isinstance(value, list):
        return all(_is_plain(item) for item in value)
    return value is None or isinstance(value, (str, int, float))


def _of_build(build: dict[str, Any]) -> dict[str, Any]:
    identity = build["identity"]
    mono = {"mono": identity["mono"]} if "mono" in identity else {}  # from method 10 on
    precision = {"precision": identity["flow_precision"]} if identity.get("flow_precision") else {}  # from 13 on
    pairing = build.get("pairing", {})
    return {
        **mono,
        **precision,
        **{name: pairing[name] for name in _PAIRING if name in pairing},
        **{name: identity[name] for name in ("eyes", "max_side", "flow", "segmenter")},
        **{name: identity["inputs"][name] for name in _INPUTS if name in identity["inputs"]},
        THRESHOLDS: build.get("thresholds") or identity["thresholds"],
    }


def _checked(limits: Any, file: Path) -> dict[str, float | None]:
    """The limits by name: numbers, or "off"."""
    names = Thresholds.__dataclass_fields__
    if not isinstance(limits, dict) or not limits.keys() <= names.keys():
        raise SettingsError(f"{file}: the thresholds are {', '.join(names)}")
    for name, value in limits.items():
        if (not isinstance(value, (int, float)) or isinstance(value, bool)) and value not in (None, "off"):
            raise SettingsError(f'{file}: {name} needs a number, or "off"')
    return {name: None if value == "off" else value for name, value in limits.items()}
