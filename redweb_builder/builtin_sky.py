"""Sky without a network: what the top border reaches without crossing an edge, and its colours.

A stand-in for machines that can reach no weights. Its logistic weights were fitted by hand-held optimisation on
hand-labelled street and landscape photographs with indoor frames as negatives. It finds clear, overcast and cloudy
skies; it misses skies behind dense branches and takes some bright ceilings for sky, which refine.py then checks against
the disparity.
"""

from __future__ import annotations

import cv2
import numpy as np

from redweb_builder.types import BoolMap, FloatMap, Picture

SIDE = 192
WEIGHTS = {
    "constant": -8.233,
    "log_edge_cost": -0.478,  # accumulated edge strength on the easiest way from the top border
    "log_texture": 0.195,
    "brightness": 7.218,
    "brightness_rank": -1.608,  # share of the picture that is darker
    "blue": 14.742,
    "red": -3.384,
    "row": 0.565,
    "edge_cost": -1.314,
    "log_wide_texture": -0.771,
}
SEED, BACKGROUND = 0.7, 0.1
MIN_SHARE = 0.01


def sky_and_far(picture: Picture) -> tuple[FloatMap, FloatMap]:
    """HxWx3 uint8 -> two small float32 maps in [0, 1] (longer side 192 px): sky, and what the sky fades into.

    Seeds are confident pixels joined to the top border; GrabCut (Rother et al., 2004) then settles the rest by colour.
    """
    height, width = picture.shape[:2]
    shrink = SIDE / max(height, width)
    size = (max(16, round(width * shrink)), max(16, round(height * shrink)))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    cost = _cost_from_top(small)
    probability = _logistic(small, cost)
    seed = _joined_to_top(probability > SEED)
    if seed.mean() < MIN_SHARE:
        empty = np.zeros(small.shape[:2], np.float32)
        return empty, empty
    sky = _joined_to_top(_grabcut(small, probability, seed)).astype(np.float32)
    beyond = np.clip(cost - float(np.percentile(cost[sky > 0], 95)), 0, None)
    far = np.exp(-beyond / 0.15).astype(np.float32) * (1 - sky)
    return sky, far


def _edges(small: Picture) -> FloatMap:
    smooth = cv2.GaussianBlur(small.astype(np.float32) / 255, (0, 0), 0.8)
    dx, dy = (cv2.Sobel(smooth, cv2.CV_32F, *order, scale=1 / 8) for order in ((1, 0), (0, 1)))
    strength: FloatMap = np.sqrt((dx**2 + dy**2).max(2))
    return strength


def _cost_from_top(small: Picture) -> FloatMap:
    """Least accumulated edge strength of any path from the top border to each pixel (geodesic distance)."""
    edges = _edges(small)
    cost = np.full(edges.shape, np.inf, np.float32)
    cost[0] = edges[0]
    height = len(edges)
    for _ in range(3):
        cost[0] = _spread_along_row(cost[0], edges[0])
        for y in range(1, height):
            cost[y] = _spread_along_row(np.minimum(cost[y], cost[y - 1] + edges[y]), edges[y])
        for y in range(height - 2, -1, -1):
            cost[y] = _spread_along_row(np.minimum(cost[y], cost[y + 1] + edges[y]), edges[y])
    return cost


def _spread_along_row(cost: FloatMap, edges: FloatMap) -> FloatMap:
    walked = np.cumsum(edges)
    rightwards = np.minimum.accumulate(cost - walked) + walked
    back = walked[-1] - walked + edges
    leftwards = np.minimum.accumulate((cost - back)[::-1])[::-1] + back
    return np.asarray(np.minimum(cost, np.minimum(rightwards, leftwards)), np.float32)


def _logistic(small: Picture, cost: FloatMap) -> FloatMap:
    rgb = small.astype(np.float32) / 255
    brightness = rgb.mean(2)
    texture = np.sqrt(np.maximum(cv2.blur(_edges(small) ** 2, (7, 7)), 0))
    order = np.searchsorted(np.sort(brightness.ravel()), brightness.ravel()).reshape(brightness.shape)
    features = {
        "constant": np.ones_like(brightness),
        "log_edge_cost": np.log(cost + 0.02),
        "log_texture": np.log(texture + 0.003),
        "brightness": brightness,
        "brightness_rank": order / brightness.size,
        "blue": rgb[..., 2] - rgb[..., :2].mean(2),
        "red": np.clip(rgb[..., 0] - rgb[..., 2], 0, None),
        "row": np.broadcast_to(np.linspace(0, 1, len(rgb))[:, None], brightness.shape),
        "edge_cost": cost,
        "log_wide_texture": np.log(cv2.blur(texture, (25, 25)) + 0.003),
    }
    score = sum(WEIGHTS[name] * value for name, value in features.items())
    return np.asarray(1 / (1 + np.exp(-score)), np.float32)


def _joined_to_top(region: BoolMap) -> BoolMap:
    _, labels = cv2.connectedComponents(region.astype(np.uint8))
    at_top = np.unique(labels[:2][region[:2]])
    return np.isin(labels, at_top)


def _grabcut(small: Picture, probability: FloatMap, seed: BoolMap) -> BoolMap:
    trimap = np.where(probability > 0.5, cv2.GC_PR_FGD, cv2.GC_PR_BGD)
    trimap = np.where(probability < BACKGROUND, cv2.GC_BGD, trimap)
    trimap = np.where(seed, cv2.GC_FGD, trimap).astype(np.uint8)
    if not (trimap == cv2.GC_BGD).any():
        return np.asarray(probability > 0.5)
    cv2.setRNGSeed(0)  # GrabCut's k-means draws from OpenCV's generator; the same picture must give the same sky
    cv2.grabCut(small, trimap, None, np.zeros((1, 65)), np.zeros((1, 65)), 3, cv2.GC_INIT_WITH_MASK)
    return np.asarray((trimap == cv2.GC_FGD) | (trimap == cv2.GC_PR_FGD))
