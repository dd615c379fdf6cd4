"""Paints painting.png, the style image of the examples: `python examples/paint_style.py`.

Every stroke is a bundle of bristles drawn along a flow field, broad ones first. The paint's
thickness is kept beside its colour and lit from the upper left at the end. The same seed gives the
same bytes. `--times 4` paints it four times as wide, for print: larger strokes of more bristles.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

SIZE = (512, 640)  # (height, width) of the file, which --times multiplies
SCALE = 2  # painted this much larger than it, then averaged
SEED = 1889
# Length and width of the strokes in pixels of the file, how many a pixel, and their bristles.
LAYERS = [(110, 26, 0.003, 16), (64, 13, 0.010, 10), (40, 7.5, 0.022, 7), (24, 4.5, 0.020, 5)]

NAVY, COBALT, TEAL, CREAM = (22, 28, 74), (36, 84, 170), (62, 160, 168), (246, 232, 190)
YELLOW, ORANGE, CRIMSON, GREEN = (246, 196, 52), (226, 112, 36), (158, 34, 48), (62, 104, 58)

SKY = [NAVY, COBALT, COBALT, TEAL, CREAM, TEAL, COBALT]
SUN = [CREAM, YELLOW, YELLOW, ORANGE, YELLOW, TEAL]
HILLS = [NAVY, COBALT, GREEN, TEAL, NAVY, CRIMSON]
FIELD = [ORANGE, YELLOW, GREEN, CREAM, YELLOW, CRIMSON, ORANGE, GREEN]
TREE = [YELLOW, ORANGE, ORANGE, CRIMSON, CRIMSON, NAVY]  # from light to shadow
CLUMPS = [  # of foliage: row, column, radius, in heights of the picture
    (0.47, 0.40, 0.11),
    (0.44, 0.13, 0.12),
    (0.32, 0.28, 0.17),
    (0.16, 0.20, 0.12),
    (0.19, 0.38, 0.10),
]


def ramp(colours: list[tuple[int, int, int]], position: np.ndarray) -> np.ndarray:
    """Run around the colours, once as the position grows by 1: [...] to [..., 3]."""
    place = (position % 1.0) * len(colours)
    first, share = np.int32(place) % len(colours), (place % 1.0)[..., None] ** 2
    table = np.asarray(colours, float)
    return table[first] * (1 - share) + table[(first + 1) % len(colours)] * share


def smooth_noise(rng: np.random.Generator, grain: float) -> np.ndarray:
    """Noise of unit variance, [H, W], without structure finer than the grain, pixels."""
    coarse = rng.normal(size=(int(SIZE[0] / grain) + 4, int(SIZE[1] / grain) + 4))
    noise = cv2.resize(coarse, SIZE[::-1], interpolation=cv2.INTER_CUBIC)
    return noise / noise.std()


class Motif:
    """What is painted: `colours`, [H, W, 3], and the flow of the strokes.

    Strokes run along the lines on which `stream`, [H, W], is constant.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self.y, self.x = np.mgrid[: SIZE[0], : SIZE[1]] / SIZE[0]
        self.drift = 0.05 * smooth_noise(rng, 70)
        self.add_sky(rng)
        self.add_land()
        self.add_tree(rng)

    def cover(self, mask: np.ndarray, stream: np.ndarray, colours: np.ndarray) -> None:
        """Put something in front of what is there."""
        self.stream[mask], self.colours[mask] = stream[mask], colours[mask]

    def add_sky(self, rng: np.random.Generator) -> None:
        """Two whirls in the wind, and a sun with its halo."""
        y, x = self.y, self.x
        stream = 0.8 * y + 0.10 * np.sin(5 * x + 2 * y) + self.drift
        for row, column, reach, turn in [(0.20, 0.62, 0.15, 0.42), (0.42, 0.95, 0.11, -0.3)]:
            stream += turn * np.exp(-((y - row) ** 2 + (x - column) ** 2) / reach**2)
        colours = ramp(SKY, 2.6 * stream + 0.10 * smooth_noise(rng, 30))
        distance = np.hypot(y - 0.25, x - 0.98) + 0.10 * self.drift
        halo = np.clip((0.25 - distance) / 0.07, 0, 1)
        self.stream = stream * (1 - halo) + 1.5 * distance * halo
        self.colours = colours + halo[..., None] * (ramp(SUN, distance / 0.26) - colours)

    def add_land(self) -> None:
        """Two ranges of hills, and a field whose furrows meet behind them."""
        y, x = self.y, self.x
        for k, (level, swell, shift) in enumerate([(0.56, 0.07, 0.4), (0.63, 0.05, 2.0)]):
            ridge = level + swell * np.sin(4.2 * x + shift) + 0.02 * np.sin(11 * x + k)
            line = y - ridge + 0.4 * self.drift
            self.cover(y > ridge, line, ramp(HILLS, 3.2 * line + 0.35 * k + 0.3 * self.drift))
        edge = 0.70 + 0.03 * np.sin(6 * x)
        furrow = (x - 0.72 + 0.05 * np.sin(9 * y)) / (y - edge + 0.16)
        colours = ramp(FIELD, 0.42 * furrow + 0.7 * self.drift + 0.35 * y)
        self.cover(y > edge, 0.35 * furrow, colours)

    def add_tree(self, rng: np.random.Generator) -> None:
        """A tree in autumn, lit by the sun on its right."""
        y, x = self.y, self.x
        across = x - 0.27 - 0.03 * np.sin(7 * y)
        girth = 0.016 + 0.25 * np.clip(y - 0.74, 0, 1) ** 1.5
        bark = (np.abs(across) < girth) & (y > 0.3) & (y < 0.9)
        self.cover(bark, across, ramp([NAVY, CRIMSON, COBALT], 12 * across))
        ragged = 0.6 * self.drift + 0.012 * smooth_noise(rng, 12)
        curl = 0.012 * smooth_noise(rng, 22) + 0.10 * x + 0.04 * y
        for row, column, radius in CLUMPS:
            down, right = (y - row) / radius, (x - column) / radius
            away = np.hypot(down, right) + ragged / radius
            shade = np.clip(0.52 + 0.30 * (down - right) + 1.2 * ragged / radius, 0.02, 0.98)
            leaves = ramp(TREE, shade * (len(TREE) - 1) / len(TREE))
            self.cover(away < 1, curl + 0.05 * away**2, leaves)


def trace(start: np.ndarray, direction: np.ndarray, length: float) -> np.ndarray:
    """Follow the flow both ways from a point, (x, y): [steps, 2] points."""
    steps = 6
    halves = []
    for sign in (-1.0, 1.0):
        point, points = start.copy(), [start.copy()]
        for _ in range(steps):
            column, row = np.clip(np.int32(point), 0, (SIZE[1] - 1, SIZE[0] - 1))
            point = point + sign * direction[row, column] * length / (2 * steps)
            points.append(point)
        halves.append(points)
    return np.array(halves[0][:0:-1] + halves[1])


def stroke(
    canvas: np.ndarray, path: np.ndarray, colour: np.ndarray, width: float, load: np.ndarray
) -> None:
    """Draw one stroke, bristle by bristle, into colour and thickness, [H, W, 4], uint8.

    Args:
        canvas: Drawn into.
        path: [steps, 2], (x, y), in units of SIZE.
        colour: RGB, 0..255.
        width: In the same units.
        load: How much paint each bristle carries, of zero mean and unit variance.
    """
    bristles = len(load)
    scale = canvas.shape[0] / SIZE[0]
    tangent = np.gradient(path, axis=0)
    normal = tangent[:, ::-1] * (-1, 1) / (np.linalg.norm(tangent, axis=1, keepdims=True) + 1e-9)
    taper = np.sin(np.linspace(0.35, np.pi - 0.15, len(path))) ** 0.5
    for k in np.argsort(load):  # the fullest bristle leaves the uppermost ridge
        across = 2 * (k + 0.5) / bristles - 1
        lag = 1 if load[k] < 0 else 0  # it also touches down first and lifts last
        line = (path + normal * (across * width / 2 * taper)[:, None])[lag : len(path) - lag]
        shade = np.clip(colour * (1 + 0.07 * load[k]) + 4 * load[k], 0, 255)
        ridge = 120 + 26 * load[k] + 60 * abs(across) ** 3
        points = np.int32(np.rint(line * scale * 16))  # in sixteenths: 4 bits of fraction
        thick = max(1, round(1.5 * scale * width / bristles))
        value = (*shade.tolist(), float(np.clip(ridge, 0, 255)))
        cv2.polylines(canvas, [points], False, value, thick, cv2.LINE_AA, 4)


def paint(rng: np.random.Generator, times: int) -> np.ndarray:
    """Return colour and thickness of the paint, [H, W, 4], uint8, at SCALE * times times SIZE."""
    motif = Motif(rng)
    colours = np.clip(motif.colours, 0, 255)
    # Underpainting: thin, warm and blurred, so that gaps glow.
    ground = 0.45 * cv2.GaussianBlur(colours, (0, 0), 14) + 0.55 * np.array(CRIMSON) * 0.7
    ground = np.dstack([ground, np.full(SIZE, 60.0)])
    scale = SCALE * times
    canvas = cv2.resize(ground, (SIZE[1] * scale, SIZE[0] * scale)).astype(np.uint8)
    slope_y, slope_x = np.gradient(cv2.GaussianBlur(motif.stream, (0, 0), 2))
    direction = np.dstack([-slope_y, slope_x])
    direction /= np.linalg.norm(direction, axis=2, keepdims=True) + 1e-9
    for length, width, density, bristles in LAYERS:
        for _ in range(int(density * SIZE[0] * SIZE[1])):
            start = rng.uniform((0, 0), (SIZE[1], SIZE[0]))
            colour = colours[int(start[1]), int(start[0])]
            colour = colour * rng.normal(1, 0.09) + rng.normal(0, 9, 3)  # broken colour
            path = trace(start, direction, length * rng.uniform(0.6, 1.2))
            load = rng.normal(size=bristles * times)
            stroke(canvas, path, colour, width * rng.uniform(0.7, 1.2), load)
    return canvas


def light(canvas: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Light the relief of the paint and the canvas under it: [H, W, 3], RGB, uint8, averaged."""
    thickness = canvas[..., 3].astype(np.float32) + rng.normal(0, 5, canvas.shape[:2])
    relief = cv2.GaussianBlur(thickness, (0, 0), 1.1)
    slope_y, slope_x = np.gradient(relief)
    shine = np.clip((slope_x + slope_y)[..., None] / 26, -1, 1)
    rgb = canvas[..., :3] * (1 + 0.30 * shine) + 34 * np.clip(shine, 0, 1) ** 2
    height, width = canvas.shape[:2]
    small = cv2.resize(rgb, (width // SCALE, height // SCALE), interpolation=cv2.INTER_AREA)
    return np.clip(np.rint(small), 0, 255).astype(np.uint8)


def main() -> None:
    """Paint the picture and write it."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--times", type=int, default=1, help="the width over 640 px (1)")
    options.add_argument("--out", type=Path, default=Path(__file__).with_name("painting.png"))
    given = options.parse_args()
    if given.times < 1:
        options.error(f"--times: found {given.times}, expected 1 or more")
    generator = np.random.default_rng(SEED)
    picture = light(paint(generator, given.times), generator)
    if not (given.out.parent.is_dir() and cv2.imwrite(str(given.out), picture[..., ::-1])):
        options.error(f"--out: {given.out} cannot be written; name a picture in a folder there is")


if __name__ == "__main__":
    main()
