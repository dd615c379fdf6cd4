"""Makes a film whose motion is known: `python examples/moving_film.py FOLDER`.

A textured disc and a crop of a photograph move over another photograph, which stands still; the
sound is a tone. The folder gets `moving.mp4`, and in `flow/` the flow of each frame to the one
before it and back, `000002-000001.flo`, for `video.flow: flow/{from:06d}-{to:06d}.flo`.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

HERE = Path(__file__).parent
SIZE = (128, 192)  # (height, width)
COUNT, RATE = 24, 12  # frames, and frames a second
TONE, SAMPLING = 440, 48000  # Hz


@dataclass(frozen=True)
class Layer:
    """Something that moves: pixels [h, w, 3], their mask [h, w], place and speed as (x, y)."""

    pixels: np.ndarray
    mask: np.ndarray
    place: tuple[int, int]
    speed: tuple[int, int]

    def put(self, canvas: np.ndarray, values: np.ndarray, number: int) -> np.ndarray:
        """Set the values, [h, w, C], into a canvas where the layer is in a frame."""
        x, y = (p + number * v for p, v in zip(self.place, self.speed, strict=True))
        height, width = canvas.shape[:2]
        top, left, (h, w) = max(y, 0), max(x, 0), self.mask.shape
        bottom, right = min(y + h, height), min(x + w, width)
        if bottom > top and right > left:
            inside = (slice(top - y, bottom - y), slice(left - x, right - x))
            part = canvas[top:bottom, left:right]
            part[self.mask[inside]] = values[inside][self.mask[inside]]
        return canvas


def picture(name: str, size: tuple[int, int]) -> np.ndarray:
    """Return a picture of this folder at (height, width), RGB, uint8."""
    bgr = cv2.imread(str(HERE / name), cv2.IMREAD_COLOR)
    return np.ascontiguousarray(
        cv2.resize(bgr, size[::-1], interpolation=cv2.INTER_AREA)[..., ::-1]
    )


def layers() -> list[Layer]:
    """Return what moves, the farthest first."""
    crop = picture("cat.png", (60, 90))[6:54, 14:70]
    disc = picture("ink.png", (160, 200))[40:81, 60:101]
    rows, columns = np.indices(disc.shape[:2]) - 20
    return [
        Layer(crop, np.ones(crop.shape[:2], bool), (12, 60), (3, -1)),
        Layer(disc, rows**2 + columns**2 <= 400, (140, 20), (-4, 2)),
    ]


def frames(count: int = COUNT) -> list[np.ndarray]:
    """Return the frames, each [H, W, 3], RGB, uint8."""
    ground, moving = picture("photo.png", SIZE), layers()
    made = []
    for number in range(count):
        canvas = ground.copy()
        for layer in moving:
            layer.put(canvas, layer.pixels, number)
        made.append(canvas)
    return made


def flow(number: int, other: int) -> np.ndarray:
    """Return the flow of a frame to another, [H, W, 2], float32: x and y in pixels."""
    field = np.zeros((*SIZE, 2), np.float32)
    for layer in layers():
        way = np.float32(layer.speed) * (other - number)
        layer.put(field, np.broadcast_to(way, (*layer.mask.shape, 2)), number)
    return field


def seen(number: int, other: int) -> np.ndarray:
    """Return which pixels of a frame another shows too, [H, W], bool."""
    depth = [_depths(each) for each in (number, other)]
    rows, columns = np.indices(SIZE)
    way = np.rint(flow(number, other)).astype(int)
    x, y = columns + way[..., 0], rows + way[..., 1]
    inside = (x >= 0) & (x < SIZE[1]) & (y >= 0) & (y < SIZE[0])
    return inside & (depth[1][np.clip(y, 0, SIZE[0] - 1), np.clip(x, 0, SIZE[1] - 1)] == depth[0])


def _depths(number: int) -> np.ndarray:
    """Return the number of the layer that each pixel of a frame shows, 0 for the ground."""
    depths = np.zeros((*SIZE, 1), int)
    for depth, layer in enumerate(layers(), 1):
        layer.put(depths, np.full((*layer.mask.shape, 1), depth), number)
    return depths[..., 0]


def write_film(path: Path, pictures: list[np.ndarray], sound: bool = True) -> None:
    """Write frames as H.264 without visible loss, with a tone as long as they are."""
    import av

    with av.open(str(path), "w") as film:
        video = film.add_stream("libx264", rate=RATE, options={"crf": "4"})
        video.height, video.width = pictures[0].shape[:2]
        video.pix_fmt = "yuv444p"
        audio = film.add_stream("aac", rate=SAMPLING, layout="mono") if sound else None
        for pixels in pictures:
            film.mux(video.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        film.mux(video.encode(None))
        if audio is None:
            return
        times = np.arange(SAMPLING * len(pictures) // RATE) / SAMPLING
        wave = np.float32(0.2 * np.sin(2 * np.pi * TONE * times))
        for start in range(0, wave.size, 1024):
            part = av.AudioFrame.from_ndarray(wave[None, start : start + 1024], "fltp", "mono")
            part.sample_rate, part.pts = SAMPLING, start
            part.time_base = Fraction(1, SAMPLING)
            film.mux(audio.encode(part))
        film.mux(audio.encode(None))


def main(folder: Path) -> None:
    """Write the film and its flow into a folder."""
    (folder / "flow").mkdir(parents=True, exist_ok=True)
    write_film(folder / "moving.mp4", frames())
    for number in range(1, COUNT):
        for a, b in ((number, number - 1), (number - 1, number)):
            name = f"{a + 1:06d}-{b + 1:06d}.flo"
            cv2.writeOpticalFlow(str(folder / "flow" / name), flow(a, b))


if __name__ == "__main__":
    main(Path(*sys.argv[1:2]))
