"""All commands by name: that each is found, explains every option, and costs little until it runs."""

from __future__ import annotations

import subprocess
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from redweb_builder.commands.main import ALIASES, COMMANDS, main
from redweb_builder.commands.options import DATA_SET_FORMATS
from redweb_builder.export.dataset import WRITERS


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_what_it_and_its_options_do(name: str) -> None:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    assert command.name == name
    assert command.help
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    assert [option.name for option in options if not option.help] == []


def test_build_is_short_for_build_redweb() -> None:
    context = click.Context(main)
    assert {name: main.get_command(context, name) for name in ALIASES} == {
        name: main.get_command(context, target) for name, target in ALIASES.items()
    }
    result = CliRunner().invoke(main, ["build", "--help"])
    assert result.exit_code == 0
    assert "STEREO_DIR" in result.output
    assert CliRunner().invoke(main, ["bulid"]).exit_code == 2


@pytest.mark.parametrize("name", ["build", "build-redweb"])
def test_options_come_from_the_environment_below_what_is_typed(name: str, tmp_path: Path) -> None:
    environment = {"REDWEB_BUILD_REDWEB_MAX_SIDE": "7"}
    result = CliRunner().invoke(main, [name, str(tmp_path)], env=environment)
    assert result.exit_code == 2
    assert "7" in result.output
    result = CliRunner().invoke(main, [name, str(tmp_path), "--max-side", "8"], env=environment)
    assert "8" in result.output
    assert "7" not in result.output


def test_variables_are_named_after_the_options(tmp_path: Path) -> None:
    environment = {"REDWEB_REFILTER_SET": "min_texture=x", "REDWEB_RESTORE_FROM": str(tmp_path)}
    assert "min_texture=x" in CliRunner().invoke(main, ["refilter", str(tmp_path)], env=environment).output
    assert "--from" not in CliRunner().invoke(main, ["restore", str(tmp_path)], env=environment).output


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "--out", "s3://sets/run"],
        ["predict", "photograph.jpg", "--out", "s3://sets/run"],
        ["evaluate", "builtin", "--on", "redweb", "--out", "s3://sets/run"],
        ["export", "builtin", "--format", "onnx", "--out", "s3://sets/run"],
        ["convert-nyu", "nyu", "s3://sets/run"],
        ["grid", "redweb", "--to", "s3://sets/run.png"],
        ["report", "redweb", "--single-file", "s3://sets/run"],
    ],
)
def test_what_is_written_on_this_machine_takes_no_address(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code in (1, 2)
    assert "no folder of this machine: write to a disk" in result.output
    assert list(tmp_path.iterdir()) == []


def test_rare_options_of_train_stand_below_the_others() -> None:
    output = CliRunner().invoke(main, ["train", "--help"]).output
    ordinary, advanced = output.split("Advanced options:")
    assert "--model" in ordinary
    assert "--accumulate" in advanced
    assert "--accumulate" not in ordinary


def test_export_offers_every_format() -> None:
    assert set(WRITERS) == set(DATA_SET_FORMATS)


@pytest.mark.parametrize("start", [["cli.py"], ["-m", "redweb_builder"]])
def test_it_starts_from_a_checkout_and_as_a_module(start: list[str], python: str, project: Path) -> None:
    done = subprocess.run([python, *start, "--help"], capture_output=True, text=True, cwd=project, check=False)
    assert done.returncode == 0, done.stderr
    for name in COMMANDS:
        assert name in done.stdout


def test_help_loads_no_network_code(python: str, project: Path) -> None:
    code = (
        "import sys; from click.testing import CliRunner; from redweb_builder.commands.main import COMMANDS, main\n"
        "for name in COMMANDS: assert CliRunner().invoke(main, [name, '--help']).exit_code == 0, name\n"
        "loaded = {'torch', 'torchvision', 'kornia', 'timm', 'segmentation_models_pytorch'} & set(sys.modules)\n"
        "assert not loaded, loaded"
    )
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, cwd=project, check=False)
    assert done.returncode == 0, done.stderr
