"""RAFT's network (Teed & Deng, ECCV 2020) on pairs in both directions, put together from torchvision's parts.

The flow is torchvision's to rounding. What both directions share and what all updates share is computed once, and only
the last update's flow is enlarged.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.optical_flow import RAFT
from torchvision.models.optical_flow._utils import make_coords_grid, upsample_flow


class BothDirections(nn.Module):
    """Left and right views -> flow forward and backward."""

    def __init__(self, network: RAFT, precision: torch.dtype) -> None:
        """Take over the parts of a network.

        network: of torchvision, with its weights; it is changed. precision: of the context and of the updates, which
        are most of the work; features, their correlation and the flow are float32.
        """
        super().__init__()
        self.precision = precision
        self.features = _with_fast_norms(network.feature_encoder)
        self.context = network.context_encoder
        self.update = network.update_block
        self.enlargement = network.mask_predictor  # None: bilinear
        block = self.update.recurrent_block
        self.units: list[Any] = [unit for unit in (block.convgru1, block.convgru2) if isinstance(unit, nn.Module)]
        if precision is not torch.float32:
            self._take_flow_twice()
        self.levels, self.radius = network.corr_block.num_levels, network.corr_block.radius
        self.to(memory_format=torch.channels_last)
        for part in (self.context, self.update, self.enlargement):
            if part is not None:
                part.to(precision)

    def forward(self, views: Tensor, updates: int) -> Tensor:
        """2Nx3xHxW views -> 2Nx2xHxW float32 flow, px.

        views: in [-1, 1], sides divisible by 8 and at least 128; the N left ones first, then their right ones. The
        flow is from each view to the other one of its pair. updates: recurrent updates, 1 or more.
        """
        views = views.contiguous(memory_format=torch.channels_last)
        features = self.features(views)
        correlation = Correlation(features, _exchanged(features), self.levels, self.radius)
        parts = self.context(views.to(self.precision))
        size = self.update.hidden_state_size
        hidden, context = parts[:, :size].tanh(), parts[:, size:].relu()
        cells = [GatedCell(unit, context) for unit in self.units]
        start = make_coords_grid(len(views), *hidden.shape[2:], device=views.device)
        start = start.contiguous(memory_format=torch.channels_last)  # as all else, so that no convolution copies it
        targets = start
        for _ in range(updates):
            around = correlation.around(targets).to(self.precision)
            motion = self.update.motion_encoder(self._in_precision(targets - start), around)
            for cell in cells:
                hidden = cell(hidden, motion)
            targets = targets + self.update.flow_head(hidden).float()
        mask = None if self.enlargement is None else self.enlargement(hidden).float()
        enlarged: Tensor = upsample_flow(targets - start, up_mask=mask)
        return enlarged

    def _in_precision(self, flow: Tensor) -> Tensor:
        """The flow as the update block takes it: Nx2xHxW in float32; in bf16 Nx4xHxW, with what its rounding leaves."""
        if self.precision is torch.float32:
            return flow
        rounded = flow.to(self.precision)
        return torch.cat([rounded, (flow - rounded).to(self.precision)], 1)

    def _take_flow_twice(self) -> None:
        """Give the flow's two channels a second time to what takes them, with the same weights.

        Rounding the flow to bf16's 8 bits is most of what bf16 would change.
        """
        first = self.update.motion_encoder.convflow1[0]
        first.weight = nn.Parameter(torch.cat([first.weight, first.weight], 1))
        for unit in self.units:
            for gate in (unit.convz, unit.convr, unit.convq):  # the flow comes last
                gate.weight = nn.Parameter(torch.cat([gate.weight, gate.weight[:, -2:]], 1))


class Correlation:
    """Correlation of every feature of one view with all of the other one, at several levels (section 3.2)."""

    def __init__(self, first: Tensor, second: Tensor, levels: int, radius: int) -> None:
        """Compute all of it.

        first, second: NxCxHxW float32 features. levels: the second one is reduced by 1, 2, 4, ... Features are reduced
        in place of their correlation: both are linear. radius: of the neighbourhood that `around` takes.
        """
        count, channels, height, width = first.shape
        queries = (first / channels**0.5).flatten(2).transpose(1, 2)
        steps = torch.arange(-radius, radius + 1.0, device=first.device)
        # x changes from row to row of the window: so torchvision has its weights
        window = torch.stack(torch.meshgrid(steps, steps, indexing="ij"), -1)
        self.levels = []
        for level in range(levels):
            keys = F.avg_pool2d(second, 2**level) if level else second
            volume = (queries @ keys.flatten(2)).view(count * height * width, 1, *keys.shape[2:])
            last = torch.tensor([keys.shape[3] - 1, keys.shape[2] - 1], device=first.device)
            unit = 2 / last  # of grid_sample, for which -1 and 1 are the outer features
            self.levels.append((volume, unit / 2**level, unit * window - 1))

    def around(self, targets: Tensor) -> Tensor:
        """Correlation in a window around a place of the other view, Nx(levels * side^2)xHxW in channels_last.

        targets: Nx2xHxW, that place for every feature: x and y, in features. Zero beyond the view.
        """
        count, _, height, width = targets.shape
        centres = targets.permute(0, 2, 3, 1).reshape(-1, 1, 1, 2)
        found = []
        for volume, unit, window in self.levels:
            places = centres * unit + window
            part = F.grid_sample(volume, places, mode="bilinear", padding_mode="zeros", align_corners=True)
            found.append(part.view(count, height, width, -1))
        return torch.cat(found, -1).permute(0, 3, 1, 2)


class GatedCell:
    """A convolutional GRU under one context: its share of the gates is the same in every update."""

    def __init__(self, unit: Any, context: Tensor) -> None:
        """Compute that share.

        unit: torchvision's ConvGRU over [hidden state, context, motion]. context: NxCxHxW, at least 0.
        """
        self.padding = unit.convz.padding
        size = len(unit.convz.weight)
        split = [size, context.shape[1], unit.convz.weight.shape[1] - size - context.shape[1]]
        both = torch.cat([unit.convz.weight, unit.convr.weight]), torch.cat([unit.convz.bias, unit.convr.bias])
        self.gates, self.gates_of_context = self._without(context, split, *both)
        self.new, self.new_of_context = self._without(context, split, unit.convq.weight, unit.convq.bias)

    def _without(self, context: Tensor, split: list[int], weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """The weights for hidden state and motion; what the convolution gives for context and bias."""
        of_hidden, of_context, of_motion = torch.split(weight, split, 1)
        rest = torch.cat([of_hidden, of_motion], 1).contiguous(memory_format=torch.channels_last)
        of_context = of_context.contiguous(memory_format=torch.channels_last)
        return rest, F.conv2d(context, of_context, bias, padding=self.padding)

    def __call__(self, hidden: Tensor, motion: Tensor) -> Tensor:
        """The next hidden state, NxSxHxW. hidden: the last one. motion: NxMxHxW, of the update."""
        gates = self._convolved(self.gates, hidden, motion).add_(self.gates_of_context).sigmoid_()
        update, reset = gates.chunk(2, 1)
        new = self._convolved(self.new, reset * hidden, motion).add_(self.new_of_context).tanh_()
        return torch.lerp(hidden, new, update)

    def _convolved(self, weight: Tensor, hidden: Tensor, motion: Tensor) -> Tensor:
        return F.conv2d(torch.cat([hidden, motion], 1), weight, padding=self.padding)


class InstanceNorm(nn.Module):
    """Instance norm without weights: PyTorch's own takes five times as long in channels_last, and copies."""

    def __init__(self, eps: float) -> None:
        """Keep what is added to the variance. eps: such as 1e-5."""
        super().__init__()
        self.eps = eps

    def forward(self, features: Tensor) -> Tensor:
        """NxCxHxW features -> each channel of each picture with mean 0 and variance 1."""
        centred = features - features.mean((2, 3), keepdim=True)
        variance = centred.square().mean((2, 3), keepdim=True)
        return centred.mul_((variance + self.eps).rsqrt_())


def _with_fast_norms(encoder: nn.Module) -> nn.Module:
    for part in list(encoder.modules()):
        for name, norm in part.named_children():
            if isinstance(norm, nn.InstanceNorm2d):
                setattr(part, name, InstanceNorm(norm.eps))
    return encoder


def _exchanged(of_views: Tensor) -> Tensor:
    """What belongs to left and right views, in the order right, left."""
    return torch.cat(of_views.chunk(2)[::-1])
