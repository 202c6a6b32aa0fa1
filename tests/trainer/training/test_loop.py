"""The loop: it learns, goes on exactly, survives bad numbers, is the same on two processes, speaks to people."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import load_file

from cli import main
from redweb_builder.errors import SettingsError
from redweb_builder.monocular.network import RedNet, RedNetConfig
from trainer.checkpoint import CheckpointError, load_network, load_state
from trainer.commands.console import TrainDisplay, print_training
from trainer.config import TrainConfig, weighted_path
from trainer.data.open import open_data
from trainer.data.splits import split
from trainer.progress import Progress, Summary
from trainer.train import train_relative_depth
from trainer.training import loop, precision
from trainer.training.distributed import Ranks, synchronised
from trainer.training.loop import TrainingError, mean_of_parts, seed_dropout
from trainer.training.recipe import rate_of, relative_depth
from trainer.training.run import Run
from trainer.types import DataError

SETTINGS = TrainConfig(
    encoder="tu-mobilenetv3_small_050",
    encoder_weights="none",
    channels=8,
    size=64,
    batch=4,
    epochs=3,
    learning_rate=1e-2,
    freeze_batchnorm=True,
    pairs=300,
    validations=3,
    workers=0,
    precision="float32",
    device="cpu",
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve pictures in ReDWeb_V1's form whose brightness is their nearness."""
    folder = tmp_path_factory.mktemp("set")
    (folder / "Imgs").mkdir()
    (folder / "RDs").mkdir()
    y, x = np.mgrid[0:80, 0:100]
    for number in range(12):
        near = 120 + 70 * np.sin(x / (9 + number)) + y / 2
        near[20:50, 10 + 5 * number : 30 + 5 * number] += 30
        values = np.clip(near, 0, 255).astype(np.uint8)
        Image.fromarray(np.repeat(values[..., None], 3, 2)).save(folder / "Imgs" / f"{number:02d}.png")
        Image.fromarray(255 - values).save(folder / "RDs" / f"{number:02d}.png")
    return folder


class Stopped(Exception):
    """What interrupts a run in these tests."""


def stop_at(step: int) -> Callable[[Progress], None]:
    """A watcher that interrupts a run. step: at which it does."""

    def watch(progress: Progress) -> None:
        if progress.step == step:
            raise Stopped

    return watch


def run(data: Path, out: Path, config: TrainConfig = SETTINGS, **more: Any) -> Any:
    return train_relative_depth([(data, 1.0)], config, out, **more)


def curve(out: Path, kind: str = "train", name: str = "loss") -> list[float]:
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [line[name] for line in lines if line["kind"] == kind]


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted run."""
    out = tmp_path_factory.mktemp("whole")
    run(data, out)
    return out


def test_it_learns_and_leaves_what_it_promises(whole: Path, data: Path) -> None:
    losses, wkdr = curve(whole), curve(whole, "validation", "WKDR")
    assert len(losses) == 6  # 10 pictures to train on, 2 steps an epoch
    assert losses[-1] < 0.8 * losses[0]
    assert wkdr[-1] < wkdr[0]
    assert {"best.safetensors", "last.safetensors", "state.pt", "run.json"} <= {file.name for file in whole.iterdir()}
    assert any(file.name.startswith("events.out.tfevents") for file in whole.iterdir())
    assert load_network(whole)(torch.rand(1, 3, 64, 64)).shape == (1, 64, 64)


def test_a_run_killed_with_9_goes_on_with_the_same_curve(whole: Path, data: Path, tmp_path: Path) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path; import tests.trainer.training.test_loop as t\n"
        "def watch(p):\n"
        "    if p.step == 5: os.kill(os.getpid(), signal.SIGKILL)\n"  # one step beyond what was saved
        "t.run(Path(sys.argv[1]), Path(sys.argv[2]), watch=watch)"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(data), str(tmp_path)], capture_output=True, timeout=100)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert len(curve(tmp_path)) == 5
    seen: list[Progress] = []
    run(data, tmp_path, watch=seen.append)
    assert "going on after step 4" in seen[0].notes
    assert curve(tmp_path) == pytest.approx(curve(whole), rel=1e-6)
    assert curve(tmp_path, "validation", "WKDR") == pytest.approx(curve(whole, "validation", "WKDR"), rel=1e-6)
    done: list[Progress] = []
    run(data, tmp_path, watch=done.append)
    assert len(done) == 1
    assert "finished already" in " ".join(done[0].notes)


def test_an_interrupted_run_saves_the_last_whole_step(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if it had been saved at that step, though the next one was begun; in the midst of a step nothing is saved."""
    config = replace(SETTINGS, validations=1, freeze_batchnorm=False)
    with monkeypatch.context() as patch:
        patch.setattr(loop, "SAVE_EVERY_S", 0.0)
        with pytest.raises(Stopped):
            run(data, tmp_path / "saved", config, watch=stop_at(4))
    wanted = {name: (tmp_path / "saved" / name).read_bytes() for name in ("state.pt", "last.safetensors")}
    out = tmp_path / "run"

    def interrupted(place: object, name: str, call: int) -> list[Progress]:
        """Interrupt a run behind a call of a function; what it showed."""
        function, calls, seen = getattr(place, name), itertools.count(1), list[Progress]()

        def then_interrupt(*args: Any) -> Any:
            result = function(*args)
            if next(calls) == call:
                raise KeyboardInterrupt
            return result

        with monkeypatch.context() as patch:
            patch.setattr(place, name, then_interrupt)
            with pytest.raises(KeyboardInterrupt):
                run(data, out, config, watch=seen.append)
        return seen

    assert interrupted(loop, "forward_backward", 4)[-1].saved_step == 3
    assert {name: (out / name).read_bytes() for name in wanted} == wanted
    interrupted(Run, "take_step", 2)
    assert {name: (out / name).read_bytes() for name in wanted} == wanted
    for folder in (out, tmp_path / "saved"):
        run(data, folder, config)
    assert len(curve(out)) == 6
    assert curve(out) == pytest.approx(curve(tmp_path / "saved"), rel=1e-6)


def test_a_continued_run_keeps_the_precision_that_was_measured(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Measured again, on a busy machine, it might be another, and the curve another too."""
    config = replace(SETTINGS, epochs=1, precision="auto")
    faster = torch.bfloat16
    monkeypatch.setattr(precision, "_computes_in_bf16", lambda device: True)
    monkeypatch.setattr(precision, "_seconds_a_step", lambda network, crop, device, kind: 1 + 9 * (kind is not faster))
    with pytest.raises(Stopped):
        run(data, tmp_path, config, watch=stop_at(2))
    faster = torch.float32
    notes: list[Progress] = []
    run(data, tmp_path, config, watch=notes.append)
    assert "in bfloat16" in " ".join(notes[0].notes)


def test_another_run_in_the_same_folder_is_refused(whole: Path, data: Path) -> None:
    with pytest.raises(CheckpointError, match=r"pairs: 300 there, 200 now.*--overwrite"):
        run(data, whole, replace(SETTINGS, pairs=200))
    run(data, whole, replace(SETTINGS, workers=0, precision="auto"), watch=lambda _: None)  # finished: nothing to do


# At step 2 the same command is given in another terminal; then the training is killed.
DISTURBED = """
import os, signal, sys
from click.testing import CliRunner
from redweb_builder.commands.main import main
from trainer.commands.console import TrainDisplay
show = TrainDisplay.show
def show_and_die(display, progress):
    show(display, progress)
    if progress.step == 2:
        print(CliRunner().invoke(main, sys.argv[1:]).output, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
TrainDisplay.show = show_and_die
main(sys.argv[1:])
"""


def test_overwrite_given_again_goes_on_with_the_killed_run_and_two_at_once_are_refused(
    whole: Path, data: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(whole, tmp_path / "run")  # another one: other settings
    command = ["train", "--data", str(data), "--out", str(out), "--overwrite", "--device", "cpu", "--workers", "0"]
    command += ["--encoder", SETTINGS.encoder, "--encoder-weights", "none", "--size", "64"]
    command += ["--batch", "4", "--epochs", "1", "--precision", "float32"]
    killed = subprocess.run(
        [sys.executable, "-c", DISTURBED, *command], capture_output=True, text=True, check=False, timeout=100
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert f"Error: another training is writing to {out}" in killed.stdout
    again, finished = (CliRunner().invoke(main, command, catch_exceptions=False) for _ in range(2))
    assert "going on after step 1" in again.output  # the last that was saved
    assert "going on" not in finished.output  # it is replaced
    assert [again.exit_code, finished.exit_code, len(curve(out))] == [0, 0, 2]


def test_a_finished_run_goes_on_with_more_epochs(data: Path, tmp_path: Path) -> None:
    config = replace(SETTINGS, epochs=1, validations=1)
    run(data, tmp_path, config)
    seen: list[Progress] = []
    summary = run(data, tmp_path, replace(config, epochs=2), watch=seen.append)
    assert "going on after step 2" in seen[0].notes
    assert summary.steps == 4
    assert len(curve(tmp_path)) == 4
    with pytest.raises(CheckpointError, match="epochs: 2 there, 1 now"):
        run(data, tmp_path, config)


def test_a_run_whose_state_is_damaged_starts_anew_where_that_is_removed(
    whole: Path, data: Path, tmp_path: Path
) -> None:
    """`--overwrite` goes on with an unfinished run, and so meets the damaged state again."""
    out = shutil.copytree(whole, tmp_path / "run")
    record = json.loads((out / "run.json").read_text())
    (out / "run.json").write_text(json.dumps(record | {"finished": False}))
    (out / "state.pt").write_bytes((whole / "state.pt").read_bytes()[:-1000])
    for overwrite in (False, True):
        with pytest.raises(CheckpointError, match=r"state\.pt: is damaged or cut off; remove it to start anew"):
            run(data, out, overwrite=overwrite)
    (out / "state.pt").unlink()
    run(data, out)
    assert curve(out) == pytest.approx(curve(whole), rel=1e-6)


def test_a_set_that_grew_since_the_interruption_may_bring_an_earlier_phase_back(data: Path, tmp_path: Path) -> None:
    """That phase trains other parameters: the optimiser of the later one does not fit it."""
    small = shutil.copytree(data, tmp_path / "small")
    for file in [file for folder in small.iterdir() for file in sorted(folder.iterdir())[6:]]:
        file.unlink()
    config = replace(SETTINGS, freeze_epochs=2, validations=8)
    with pytest.raises(Stopped):
        run(
            small, tmp_path / "run", config, watch=stop_at(4)
        )  # a step an epoch; the third is of the second phase, and saved
    shutil.copytree(data, small, dirs_exist_ok=True)
    seen: list[Progress] = []
    run(small, tmp_path / "run", config, watch=seen.append)
    assert [(progress.step, progress.phase) for progress in seen[1:3]] == [(4, "frozen encoder"), (5, "ranking")]
    assert len(curve(tmp_path / "run")) == 10


def test_a_set_that_shrank_beyond_the_saved_step_is_called_smaller(data: Path, tmp_path: Path) -> None:
    """The run was not finished: it had two of its six steps before it."""
    small = shutil.copytree(data, tmp_path / "small")
    with pytest.raises(Stopped):
        run(small, tmp_path / "run", watch=stop_at(5))
    for file in [file for folder in small.iterdir() for file in sorted(folder.iterdir())[6:]]:
        file.unlink()
    seen: list[Progress] = []
    assert run(small, tmp_path / "run", watch=seen.append).steps == 4
    assert seen[0].notes[-1] == (
        "WARNING: the data is smaller than it was: step 4, which is done, lies beyond the last of 3; "
        "more --epochs continue it, --overwrite starts it anew"
    )
    run(small, tmp_path / "run", replace(SETTINGS, epochs=5), watch=seen.append)
    assert [progress.step for progress in seen[1:]] == [4, 5]


def test_one_broken_picture_costs_one_sample_and_nothing_else(data: Path, tmp_path: Path) -> None:
    """Cut in half it is seen when it is read; without a header before the first step; mended, the run goes on."""
    folder = tmp_path / "set"
    shutil.copytree(data, folder)
    config = replace(SETTINGS, validation=0.0, epochs=1, validations=1)
    whole = (folder / "Imgs" / "03.png").read_bytes()
    (folder / "Imgs" / "03.png").write_bytes(whole[: len(whole) // 2])
    (folder / "RDs" / "05.png").write_bytes(b"nothing")
    seen: list[Progress] = []
    summary = run(folder, tmp_path / "out", config, watch=seen.append)
    assert any("1 sample cannot be read and is left out" in note and "05.png" in note for note in seen[0].notes)
    notes = [note for progress in seen[1:] for note in progress.notes]
    assert ["03.png" in " ".join(notes), "05.png" in " ".join(notes), summary.unread] == [True, True, 2]
    (folder / "Imgs" / "03.png").write_bytes(whole)
    for name in ("Imgs", "RDs"):
        (folder / name / "05.png").unlink()
    run(folder, tmp_path / "out", replace(config, epochs=2))  # the same run, not another one
    for name in ("06", "07", "08", "09"):
        (folder / "Imgs" / f"{name}.png").write_bytes(b"nothing")
    with pytest.raises(DataError, match="4 samples of 11 cannot be read, too many"):
        run(folder, tmp_path / "other", config)


@pytest.mark.parametrize("validation", [0.1, 0.0])
def test_a_sample_that_is_validated_on_and_cannot_be_read_is_named_and_counted_once(
    data: Path, tmp_path: Path, validation: float
) -> None:
    """Its header is whole, so that it is seen when it is read. Held out, or where nothing is, trained on too."""
    folder = shutil.copytree(data, tmp_path / "set")
    opened = open_data(folder)
    training, held_out = split(opened, validation)
    _, label = opened.files((held_out or training)[0])
    label.write_bytes(label.read_bytes()[:200])
    seen: list[Progress] = []
    config = replace(SETTINGS, validation=validation, epochs=1)
    summary = run(folder, tmp_path / "out", config, watch=seen.append)
    notes = [note for progress in seen[1:] for note in progress.notes]
    assert summary.unread == 1
    assert [note.startswith(f"WARNING: left out: {label}") for note in notes] == [True]


def test_commands_that_are_shown_can_be_pasted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run [1]"
    out.mkdir()
    (out / "best.safetensors").touch()
    print_training(Summary(out, 1, 0.5, {"WKDR": 0.5}, 0, 1.0, True))
    shown = capsys.readouterr().out
    for command in (f"predict '{out}' PHOTOGRAPH", f"evaluate '{out}' --on DATA", f"--logdir '{out}'"):
        assert command in shown
    assert f"curve: {out / 'log.jsonl'}," in shown
    with pytest.raises(DataError, match=r"--out '.*/no \[1\]'"):
        open_data(tmp_path / "no [1]")


def test_a_loss_of_nothing_is_shown_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    with TrainDisplay() as display:
        display.show(Progress(1, 2, "ranking", {"loss": 0.0}, 1.0))
    assert "loss 0.0000" in capsys.readouterr().err


@pytest.mark.filterwarnings("error:Mean of empty slice")
def test_a_run_whose_held_out_labels_say_nothing_says_so(data: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(data, tmp_path / "set")
    opened = open_data(folder)
    for index in split(opened, SETTINGS.validation)[1]:
        Image.new("L", (100, 80), 9).save(opened.files(index)[1])
    options = f"--encoder {SETTINGS.encoder} --encoder-weights none --size 64 --batch 4 --epochs 1 --workers 0"
    command = ["train", "--data", str(folder), "--out", str(tmp_path / "out"), "--device", "cpu", *options.split()]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    assert "no validation gave a WKDR: no label that was validated on has known pixels to judge by" in result.output
    assert "next:" not in result.output


@pytest.mark.parametrize("loss", ["ranking", "structure-guided"])
def test_two_processes_and_two_parts_equal_one(loss: str, data: Path, tmp_path: Path) -> None:
    config = replace(SETTINGS, loss=loss, epochs=1)
    run(data, tmp_path / "one", config)
    run(data, tmp_path / "parts", replace(config, accumulate=2))
    for name in ("loss", "wrong", *(("ranking", "gradient") if loss == "structure-guided" else ())):
        assert curve(tmp_path / "parts", name=name) == pytest.approx(curve(tmp_path / "one", name=name), rel=1e-4)
    if loss != "ranking":
        return  # one loss over two processes is enough: they start slowly
    script = tmp_path / "two.py"
    script.write_text(
        "import sys; from dataclasses import replace; from pathlib import Path\n"
        "import tests.trainer.training.test_loop as t\n"
        "t.run(Path(sys.argv[1]), Path(sys.argv[2]), replace(t.SETTINGS, epochs=1))\n"
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd()), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, str(data), str(tmp_path / "two")], env=environment, capture_output=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    for name in ("loss", "wrong"):
        assert curve(tmp_path / "two", name=name) == pytest.approx(curve(tmp_path / "one", name=name), rel=1e-4)


def test_a_process_whose_main_one_refused_the_run_ends_with_a_sentence(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the main process finds another run in the folder: the others wait for it, and lose it."""

    class Left(Ranks):
        def barrier(self) -> None:
            raise RuntimeError("Read error [127.0.0.1]:42200: Connection reset by peer")

    monkeypatch.setattr(loop, "joined_ranks", lambda device: nullcontext(Left(1, 2)))
    with pytest.raises(TrainingError, match="process 1 of 2: another process of this run is gone"):
        run(data, tmp_path)


def test_the_main_process_names_what_another_one_cannot_read(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Two(Ranks):
        def gather(self, value: Any) -> list[Any]:
            return [value, ["05.png: is broken"]]

    monkeypatch.setattr(loop, "joined_ranks", lambda device: nullcontext(Two()))
    seen: list[Progress] = []
    summary = run(data, tmp_path, replace(SETTINGS, epochs=1), watch=seen.append)
    assert summary.unread == 1
    assert [note for progress in seen for note in progress.notes if "05.png" in note] == [
        "WARNING: left out: 05.png: is broken"
    ]


def test_no_two_processes_drop_the_same_units() -> None:
    drawn = []
    for ranks in (Ranks(), Ranks(0, 2), Ranks(1, 2)):
        seed_dropout(TrainConfig(), 7, ranks)
        drawn.append(torch.rand(8).tolist())
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_part_without_ground_for_a_scalar_does_not_count_for_it() -> None:
    parts = [{"wrong": torch.tensor(value), "none": torch.tensor(torch.nan)} for value in (0.2, torch.nan, 0.4)]
    loss, scalars = mean_of_parts(torch.tensor(torch.nan), parts, Ranks())
    assert np.isnan([loss, scalars["none"]]).all()
    assert scalars["wrong"] == pytest.approx(0.3)
    assert mean_of_parts(torch.tensor(2.0), [{}, {}], Ranks()) == (2.0, {})


def test_a_step_that_is_not_a_number_is_skipped_and_several_stop_the_run(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trainer import losses

    bad_steps = {3}
    calls = [0]

    def poisoned(z: Any, batch: Any, uniform: Any) -> Any:
        calls[0] += 1
        loss, scalars = losses.ranking(z, batch, uniform)
        return (loss * torch.nan if calls[0] in bad_steps else loss), scalars

    monkeypatch.setitem(losses.LOSSES, "ranking", poisoned)
    summary = run(data, tmp_path / "one")
    assert summary.skipped == 1
    assert curve(tmp_path / "one")[2] is None
    state = load_network(tmp_path / "one").state_dict()
    assert all(value.isfinite().all() for value in state.values())
    calls[0], bad_steps = 0, set(range(2, 99))
    with pytest.raises(TrainingError, match=r"5 steps in a row.*--learning-rate"):
        run(data, tmp_path / "all")


@pytest.mark.parametrize(("spoiled_at", "noticed_at"), [(2, 2), (3, 4)])
def test_weights_that_overflow_end_the_run_and_are_never_kept(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoiled_at: int, noticed_at: int
) -> None:
    """Loss and gradient of the step that does it are finite. Step 2 is validated; step 4 is the first after 3."""
    take_step = Run.take_step

    def overflowing(run: Run, *arguments: Any) -> float:
        norm = take_step(run, *arguments)
        if run.step == spoiled_at:
            next(run.network.parameters()).data.fill_(torch.inf)
        return norm

    monkeypatch.setattr(Run, "take_step", overflowing)
    message = rf"after step {noticed_at} the weights.*step {spoiled_at - 1} was the last.*--learning-rate \(now 0.01\)"
    with pytest.raises(TrainingError, match=message):
        run(data, tmp_path, replace(SETTINGS, validations=3))
    for name in ("best", "last"):
        assert all(value.isfinite().all() for value in load_file(tmp_path / f"{name}.safetensors").values())


def test_two_sets_of_one_name_are_judged_apart(data: Path, tmp_path: Path) -> None:
    (tmp_path / data.name).symlink_to(data)
    seen: list[Progress] = []
    sets = [(data, 1.0), (tmp_path / data.name, 1.0)]
    train_relative_depth(sets, replace(SETTINGS, epochs=1), tmp_path / "out", watch=seen.append)
    figures = next(progress.validation for progress in reversed(seen) if progress.validation).figures
    assert list(figures) == ["WKDR", "lower is nearer", f"WKDR {data.name}", f"WKDR {data.name}-2"]


def test_norms_keep_their_activations_over_several_gpus() -> None:
    """timm's norms hold the activation that follows them."""
    network = RedNet(RedNetConfig("tu-tf_efficientnet_lite0", 8)).eval()
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        before = network(image)
        torch.testing.assert_close(synchronised(network).eval()(image), before)
    assert any(isinstance(part, torch.nn.SyncBatchNorm) for part in network.modules())


def test_a_run_goes_on_in_fp16_where_it_began_without(whole: Path) -> None:
    """The state of a run without a loss scale has none to give."""
    state = load_state(whole)
    assert state is not None
    assert state["scaler"] == {}
    with pytest.raises(RuntimeError, match="empty"):
        torch.amp.GradScaler("cpu").load_state_dict(state["scaler"])  # why Run asks first


@pytest.mark.parametrize("size", [64, 224])
def test_an_encoder_of_one_size_is_refused_with_those_that_fit(size: int) -> None:
    with pytest.raises(SettingsError, match=r"encoder tu-swin_tiny_patch4_window7_224 does not work.*tu-convnext_tiny"):
        relative_depth(replace(SETTINGS, encoder="tu-swin_tiny_patch4_window7_224", size=size))


def test_a_run_starts_from_a_checkpoint(whole: Path, data: Path, tmp_path: Path) -> None:
    started = load_network(whole).state_dict()
    recipe = relative_depth(replace(SETTINGS, init=str(whole)))
    assert all(torch.equal(value, started[name]) for name, value in recipe.network.state_dict().items())
    assert recipe.notes[0].startswith("all weights of")
    recipe = relative_depth(replace(SETTINGS, init=str(whole / "last.safetensors"), channels=16))
    assert "the decoder is random" in recipe.notes[0]
    with pytest.raises(SettingsError, match="its network is rednet, tu-mobilenetv3_small_050, 8, that of this run"):
        relative_depth(replace(SETTINGS, init=str(whole), encoder="resnet18"))
    with pytest.raises(SettingsError, match="there is no file"):
        relative_depth(replace(SETTINGS, init=str(tmp_path / "none.pth")))
    options = f"--init {whole} --data {data} --out {tmp_path} --size 64 --batch 4 --epochs 1 --workers 0"
    result = CliRunner().invoke(main, ["train", *options.split(), "--validation", "0.1", "--device", "cpu"])
    assert result.exit_code == 0, result.output
    assert "all weights of" in result.output


def test_the_l2_warm_up_is_a_phase_before(data: Path, tmp_path: Path) -> None:
    seen: list[Progress] = []
    run(data, tmp_path, replace(SETTINGS, epochs=1, l2_epochs=1), watch=seen.append)
    assert [progress.phase for progress in seen[1:]] == ["l2 warm-up"] * 2 + ["ranking"] * 2


def test_a_frozen_encoder_stays_as_it_starts_and_then_learns(data: Path, tmp_path: Path) -> None:
    config = replace(SETTINGS, epochs=1, freeze_epochs=1, freeze_batchnorm=False, ema=0.0)
    started = relative_depth(config).network.state_dict()
    parts: dict[int, set[str]] = {}

    def changed() -> set[str]:
        """The parts of the saved network that differ from its start."""
        saved = load_file(tmp_path / "last.safetensors")
        return {name.split(".")[0] for name in saved if not torch.equal(saved[name], started[name])}

    def watch(progress: Progress) -> None:
        if progress.step == 3:  # saved after step 2, the last with a frozen encoder
            parts[2] = changed()

    run(data, tmp_path, replace(config, validations=2), watch=watch)
    assert (parts[2], changed()) == ({"decoder"}, {"encoder", "decoder"})


def test_settings_are_checked() -> None:
    for wrong in ({"size": 100}, {"loss": "none"}, {"batch": 0}, {"learning_rate": 0.0}, {"accumulate": 3}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            replace(SETTINGS, **wrong)
    for name in ("learning_rate", "weight_decay", "clip"):
        for value in (np.nan, np.inf, 1e38):
            with pytest.raises(SettingsError, match=rf"{name} .*: must be a number up to 1e\+15"):
                replace(SETTINGS, **dict[str, Any]({name: value}))
    assert replace(SETTINGS, seed=2**32 - 1).seed == 4294967295
    with pytest.raises(SettingsError, match="seed 4294967296: must be at most 4294967295"):
        replace(SETTINGS, seed=2**32)
    assert weighted_path("a/b=2.5") == (Path("a/b"), 2.5)
    for weight in ("0", "nan", "1e308"):
        with pytest.raises(ValueError, match="above 0"):
            weighted_path(f"a={weight}")


@pytest.mark.parametrize(
    ("schedule", "wanted"), [("constant", [1, 1, 1]), ("cosine", [1, 0.5, 0]), ("step", [1, 0.1, 0.01])]
)
def test_rates_warm_up_and_then_go_their_way(schedule: str, wanted: list[float]) -> None:
    rate = rate_of(replace(SETTINGS, schedule=schedule))
    assert rate_of(replace(SETTINGS, schedule=schedule, warmup=0.0))(0, 1000) == 1
    assert rate(0, 1000) == pytest.approx(1 / 30)
    assert [rate(step, 1000) for step in (30, 500, 999)] == pytest.approx(wanted, abs=0.01)


def test_the_commands_train_evaluate_predict(data: Path, tmp_path: Path) -> None:
    def called(*arguments: object) -> str:
        result = CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    out = tmp_path / "run"
    options = f"--encoder {SETTINGS.encoder} --encoder-weights none --size 64 --batch 4 --epochs 1 --workers 0"
    assert "best.safetensors" in called("train", "--data", data, "--out", out, "--device", "cpu", *options.split())
    output = called("evaluate", out, "--on", data, "--against", out / "last.safetensors", "--device", "cpu")
    assert "lower is nearer" in output
    rows = json.loads((out / "evaluation" / "evaluation.json").read_text())
    assert {row["predictor"] for row in rows} == {str(out), str(out / "last.safetensors"), "lower is nearer"}
    assert all(0 <= row["WKDR"] <= 100 for row in rows)
    csv = tmp_path / "diw.csv"
    csv.write_text(f"{data}/Imgs/00.png\n1,1,80,100,>,100,80\n")
    assert "WHDR" in called("evaluate", out, "--on", csv, "--out", tmp_path / "diw")
    called("predict", out, data / "Imgs" / "00.png", "--out", tmp_path / "depth", "--side-by-side")
    assert {file.name for file in (tmp_path / "depth").iterdir()} == {"00.png", "00_colour.png"}


def test_wrong_input_is_a_sentence_and_no_traceback(data: Path, tmp_path: Path) -> None:
    for arguments, output in (
        (["train", "--data", str(tmp_path / "none")], "build-redweb"),
        (["train", "--data", str(data), "--size", "100", "--out", str(tmp_path / "x")], "multiple of 32"),
        (["train", "--data", str(data), "--encoder", "nonet", "--out", str(tmp_path / "x")], "nonet"),
        (["evaluate", str(tmp_path), "--on", str(data)], "no checkpoint"),
        (["predict", str(tmp_path), str(data)], "no checkpoint"),
    ):
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code in (1, 2), result.output  # 2 = a wrong value of an option
        assert output in result.output
        assert "Traceback" not in result.output


def test_without_mean_and_clipping_a_run_is_plain_adam(data: Path, tmp_path: Path) -> None:
    """ema 0 keeps the weights of the last step; clip 0 leaves the gradient; both change the result."""
    run(data, tmp_path / "plain", replace(SETTINGS, ema=0.0, clip=0.0, epochs=1))
    run(data, tmp_path / "small", replace(SETTINGS, ema=0.0, clip=1e-6, epochs=1))
    run(data, tmp_path / "mean", replace(SETTINGS, ema=0.99, clip=0.0, epochs=1))
    state = torch.load(tmp_path / "plain" / "state.pt", weights_only=True)
    plain, small, mean = (load_file(tmp_path / name / "last.safetensors") for name in ("plain", "small", "mean"))
    name = next(name for name in plain if name.startswith("decoder.output"))
    assert not torch.equal(plain[name], small[name])
    assert not torch.equal(plain[name], mean[name])
    assert torch.equal(plain[name], state["network"][name])
