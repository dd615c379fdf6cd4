"""Make a film whose motion is known, steady and not, and measure how steady each is.

    python benchmarks/film.py --weights FILE
    python benchmarks/film.py --weights FILE --speed
    python benchmarks/film.py --weights FILE --kills 3

The film of `examples/moving_film.py` is made three times with the same settings and seed: as ever
(`steady`), without the temporal term but with the same starts (`free`), and each frame by itself
(`alone`). The pieces stay in `film` of the results. One that is there is not made again, and one
that was interrupted goes on. `strip.jpg` among them has four frames of each in a row.

The warping error (Lai et al. 2018) is measured with the flow that the program computes of the
input. Its floor is that of a film without any flicker: the first frame of `steady`, moved by the
known motion.

With `--speed` a film of 384 x 216 pixels is made, of six iterates a frame, which tells
the seconds of a frame and the memory.

With `--kills` small films are killed (SIGKILL) at random moments and resumed. The exit code is 1 if
the frames or the film then have other bytes than those of a film that was not killed.
"""

from __future__ import annotations

import csv
import json
import random
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import report
from examples import moving_film
from neural_style.images import Encoding, read_image, resize, write_image
from neural_style.system.files import write_atomically
from neural_style.video import Selection, dis_flow, open_source
from neural_style.video.flow import scaled, warp
from neural_style.video.measures import warp_error

PROJECT = Path(__file__).resolve().parents[1]
SETTINGS = ("image.scales=null", "optimizer.name=lbfgs", "optimizer.iterations=60")
PIECES = {
    "steady": (),
    "free": ("video.temporal.weight=0",),
    "alone": ("video.flow=none",),
}
SPEED_SIZE, SPEED_FRAMES = (216, 384), 8
SPEED = ("video.iterations=5",)
KILLED_SIZE, KILLED_FRAMES = 64, 6
KILLED = ("optimizer.iterations=4", "video.iterations=6", "runtime.threads=1")
STRIP = (9, 10, 11, 12)  # numbers of the frames in the strip, from 0
GAPS = (1, 10)

Frame = Callable[[int], np.ndarray]
"""Returns a frame of a film by its number, [H, W, 3], RGB, 0..255, float32."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark."""
    parser = report.parser(__doc__)
    parser.add_argument("--size", type=int, default=192, help="longest side of the result (192)")
    parser.add_argument("--frames", type=int, default=moving_film.COUNT, help="how many (24)")
    parser.add_argument("--speed", action="store_true", help="measure seconds and memory instead")
    parser.add_argument(
        "--kills", type=int, default=0, help="kill and resume so many films instead"
    )
    options = parser.parse_args(arguments)
    home = (options.out / "film").resolve()
    home.mkdir(parents=True, exist_ok=True)
    name, measure = "film", steadiness
    if options.speed:
        name, measure = "film_speed", speed
    if options.kills:
        name, measure = "film_kills", kill_all
    before, found = report.machine(), measure(options, home)
    text = json.dumps({**found, "machine": before}, indent=1, default=str)
    write_atomically(options.out / f"{name}.json", text.encode())
    for key, value in found.items():
        print(f"{key:46s} {value:.4g}" if isinstance(value, float) else f"{key:46s} {value}")
    return int(options.kills and found["the same bytes"] < found["kills"])


def steadiness(options: Namespace, home: Path) -> dict[str, Any]:
    """Make the three films and return what they measure."""
    film = home / f"moving-{options.frames}.mp4"
    if not film.exists():
        moving_film.write_film(film, moving_film.frames(options.frames))
    runs = {name: made(home, film, options, name, *more) for name, more in PIECES.items()}
    if options.frames > max(STRIP):
        write_strip(home / "strip.jpg", list(runs.values()))
    first = read_image(picture(runs["steady"], 0), "frame").rgb
    inputs = Inputs(film, (first.shape[0], first.shape[1]))
    films: dict[str, Frame] = {name: frames_of(run) for name, run in runs.items()}
    films["floor"] = lambda number: moved(first, number)
    found: dict[str, Any] = {}
    for gap in (gap for gap in GAPS if gap < options.frames):
        errors = warp_errors(films, inputs, options.frames, gap)
        found |= {f"warp error, gap {gap}, {name}": error for name, error in errors.items()}
        steady = errors["steady"]
        found[f"steady / floor, gap {gap}"] = steady / errors["floor"]
        found |= {
            f"steady / {name}, gap {gap}": steady / errors[name] for name in ("free", "alone")
        }
    losses = {name: style_loss(run) for name, run in runs.items()}
    found["style loss of the last frame, steady / alone"] = losses["steady"] / losses["alone"]
    found |= flow_errors(film, options.frames)
    made_film = runs["steady"] / "film.mp4"
    found["sound is the same"] = sound(film) == sound(made_film) != []
    found["frames, rate and seconds are the same"] = facts(film) == facts(made_film)
    return found


def speed(options: Namespace, home: Path) -> dict[str, Any]:
    """Make a larger film and return the seconds of its frames and the memory."""
    film, size = home / "larger.mp4", moving_film.SIZE
    try:
        moving_film.SIZE = SPEED_SIZE
        if not film.exists():
            moving_film.write_film(film, moving_film.frames(SPEED_FRAMES))
    finally:
        moving_film.SIZE = size
    options.size = max(SPEED_SIZE)
    run = made(home, film, options, "larger", *SPEED)
    seconds = [float(row["seconds"]) for row in rows(run)]
    each = np.diff(seconds)
    record = json.loads((run / "record.json").read_text())
    return {
        "seconds of the first frame": seconds[0],
        "seconds of each other, median": median(each),
        "seconds of each other, most": float(each.max()),
        "precision": record["precision"],
        "peak memory, GB": record["peak_memory_bytes"] / 1e9,
    }


def kill_all(options: Namespace, home: Path) -> dict[str, Any]:
    """Kill and resume films at moments that are the same in each call, and count the same bytes."""
    film, rng = home / "short.mp4", random.Random(0)
    if not film.exists():
        moving_film.write_film(film, moving_film.frames(KILLED_FRAMES))
    options.size = KILLED_SIZE
    with tempfile.TemporaryDirectory(dir=home) as place:
        whole = made(Path(place), film, options, "whole", *KILLED)
        same = [kill(Path(place), film, options, whole, rng) for _ in range(options.kills)]
    return {"kills": len(same), "the same bytes": sum(same)}


def kill(home: Path, film: Path, options: Namespace, whole: Path, rng: random.Random) -> bool:
    """Kill a film at a random moment, and return whether it ends with the same bytes."""
    name = f"killed-{rng.randrange(10**6)}"
    process = subprocess.Popen(command(home, film, options, name, *KILLED))
    frames, pause = rng.randrange(1, KILLED_FRAMES), rng.random()
    while process.poll() is None and len(list(home.glob(f"0*-{name}*/frames/*.png"))) < frames:
        time.sleep(0.001)
    each = np.diff([float(row["seconds"]) for row in rows(whole)]).mean()
    time.sleep(pause * each)
    process.kill()
    process.wait()
    return product(made(home, film, options, name, *KILLED)) == product(whole)


def product(run: Path) -> dict[str, bytes]:
    """Return the bytes of a run's frames and its film, by name."""
    paths = [*run.glob("frames/*"), run / "film.mp4", run / "frames.png"]
    return {path.name: path.read_bytes() for path in paths}


def made(home: Path, film: Path, options: Namespace, name: str, *more: str) -> Path:
    """Return the folder of a finished run, which is made, or continued, if need be."""
    full = f"{name}-{options.size}-{film.stem}"
    found = sorted(home.glob(f"0*-{full}"))
    if found and (found[-1] / "record.json").exists():
        return found[-1]
    call = command(home, film, options, name, *more)
    if found:
        call = [*call[:3], "--resume", str(found[-1])]
    subprocess.run(call, check=True, stdout=subprocess.DEVNULL)
    return sorted(home.glob(f"0*-{full}"))[-1]


def command(home: Path, film: Path, options: Namespace, name: str, *more: str) -> list[str]:
    """Return the command that makes a run."""
    settings = (
        *SETTINGS,
        f"image.size={options.size}",
        f"network.weights={options.weights.resolve()}",
        f"output.folder={home}",
        f"output.name={name}-{options.size}-{film.stem}",
        f"video.input={film}",
        *more,
    )
    begin = [sys.executable, str(PROJECT / "style_transfer.py"), "-q"]
    begin += ["--config", str(PROJECT / "config.yaml")]
    return begin + [part for setting in settings for part in ("--set", setting)]


class Inputs:
    """The frames of the input at the size of the result."""

    def __init__(self, film: Path, size: tuple[int, int]) -> None:
        """Open the film."""
        self._source, self._size = open_source(film, Selection()), size

    def __call__(self, begin: int, count: int) -> Iterator[np.ndarray]:
        """Yield a number of frames from one on."""
        for frame in self._source.frames(range(begin, begin + count)):
            yield resize(frame, self._size)


def warp_errors(films: dict[str, Frame], inputs: Inputs, count: int, gap: int) -> dict[str, float]:
    """Return the warping error of each film between frames that lie so far apart."""
    sums = {name: np.zeros(2) for name in films}
    pairs = zip(inputs(gap, count - gap), inputs(0, count - gap), strict=True)
    for number, (now, then) in enumerate(pairs):
        flows = dis_flow(now, then)
        for name, frame in films.items():
            sums[name] += warp_error(frame(number + gap), frame(number), flows)
    return {name: float(total / weight) for name, (total, weight) in sums.items()}


def moved(first: np.ndarray, number: int) -> np.ndarray:
    """Return the first frame moved along the known motion to another."""
    size = (first.shape[0], first.shape[1])
    return warp(first, scaled(moving_film.flow(number, 0), size))


def flow_errors(film: Path, count: int) -> dict[str, float]:
    """Return the mean error of the computed flow in pixels, where both frames show the same."""
    inputs, errors, moving = Inputs(film, moving_film.SIZE), [], []
    pairs = zip(inputs(1, count - 1), inputs(0, count - 1), strict=True)
    for number, (now, then) in enumerate(pairs, 1):
        known, seen = moving_film.flow(number, number - 1), moving_film.seen(number, number - 1)
        error = np.linalg.norm(dis_flow(now, then).back - known, axis=2)
        errors.append(error[seen].mean())
        moving.append(error[seen & known.any(axis=2)].mean())
    return {
        "error of the flow, px": float(np.mean(errors)),
        "error of the flow where it moves, px": float(np.mean(moving)),
    }


def rows(run: Path) -> list[dict[str, str]]:
    """Return the rows of losses.csv."""
    with (run / "losses.csv").open() as file:
        return list(csv.DictReader(file))


def style_loss(run: Path) -> float:
    """Return the style loss of the last frame."""
    return sum(float(value) for key, value in rows(run)[-1].items() if key.startswith("style/"))


def picture(run: Path, number: int) -> Path:
    """Return the path of a frame."""
    return run / "frames" / f"{number + 1:06d}.png"


def frames_of(run: Path) -> Frame:
    """Return a function that reads a frame of a run."""
    return lambda number: read_image(picture(run, number), "frame").rgb


def write_strip(path: Path, runs: Sequence[Path]) -> None:
    """Write a row of four frames for each run, with thin white lines between them."""
    lines = [
        np.concatenate(
            [framed(read_image(picture(run, number), "frame").rgb) for number in STRIP], 1
        )
        for run in runs
    ]
    write_image(path, np.concatenate(lines)[:-4, :-4], None, Encoding(92))


def framed(image: np.ndarray) -> np.ndarray:
    """Return an image with a white line at its right and lower sides."""
    return np.pad(image, ((0, 4), (0, 4), (0, 0)), constant_values=255)


def sound(path: Path) -> list[bytes]:
    """Return the packets of a film's sound."""
    import av

    with av.open(str(path)) as film:
        return [bytes(each) for each in film.demux(film.streams.audio[0]) if each.size]


def facts(path: Path) -> tuple[int, Any, Any]:
    """Return the number of a film's frames, frames a second, and seconds."""
    import av

    with av.open(str(path)) as film:
        stream = film.streams.video[0]
        count = sum(1 for _ in film.decode(stream))
        return count, stream.average_rate, stream.duration * stream.time_base


if __name__ == "__main__":
    sys.exit(main())
