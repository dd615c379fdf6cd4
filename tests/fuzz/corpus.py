"""Writes the corpus: small valid files of every format that is read. `python -m tests.fuzz.corpus`

Pillow writes the pictures, so that they are not only what our own encoder makes.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import tifffile
from PIL import Image

from neural_style.images.profiles import srgb_profile

CORPUS = Path(__file__).parent / "corpus"
ROOT = Path(__file__).parents[2]
LARGEST = 2048  # bytes of a file


def write_pictures(folder: Path) -> None:
    """Write pictures of 12 x 9 pixels in every format, with palettes, alpha, EXIF and frames."""
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (9, 12, 4), dtype=np.uint8)
    rgb, rgba = Image.fromarray(pixels[..., :3].copy()), Image.fromarray(pixels)
    grey, palette = Image.fromarray(pixels[..., 0].copy()), rgb.quantize(8)
    deep = Image.fromarray(rng.integers(0, 65536, (9, 12), dtype=np.uint16))
    exif = Image.Exif()
    exif[0x0112] = 6
    frames = {"save_all": True, "append_images": [palette.rotate(180)], "duration": 50}
    pictures: dict[str, tuple[Image.Image, dict[str, Any]]] = {
        "rgb.png": (rgb, {}),
        "rgba_exif.png": (rgba, {"exif": exif}),
        "palette.png": (palette, {"transparency": 2}),
        "bits.png": (grey.convert("1"), {}),
        "deep.png": (deep, {}),
        "frames.png": (rgb, frames | {"append_images": [rgb.rotate(180)]}),
        "rgb.jpg": (rgb, {"exif": exif}),
        "progressive.jpg": (rgb, {"progressive": True}),
        "grey.jpg": (grey, {"restart_marker_blocks": 1}),
        "cmyk.jpg": (rgb.convert("CMYK"), {}),
        "lossy.webp": (rgb, {"quality": 50}),
        "lossless.webp": (rgba, {"lossless": True, "exif": exif}),
        "frames.webp": (rgba, frames | {"append_images": [rgba.rotate(180)], "lossless": True}),
        "plain.tif": (rgb, {"tiffinfo": exif}),
        "deflate.tif": (rgba, {"compression": "tiff_adobe_deflate"}),
        "lzw.tif": (grey, {"compression": "tiff_lzw"}),
        "fax.tif": (grey.convert("1"), {"compression": "group4"}),
        "jpeg.tif": (rgb, {"compression": "jpeg"}),
        "packbits.tif": (palette, {"compression": "packbits"}),
        "deep_big.tif": (deep, {"big_tiff": True}),
        "palette.gif": (palette, {}),
        "frames.gif": (palette, frames),
        "rgb.bmp": (rgb, {}),
        "palette.bmp": (grey, {}),
        "bits.bmp": (grey.convert("1"), {}),
        "rgba.bmp": (rgba, {}),
    }
    profile = other_profile()
    pictures["profile.png"] = pictures["profile.jpg"] = rgb, {"icc_profile": profile}
    pictures["profile.tif"] = grey, {"icc_profile": profile, "compression": "lzma"}
    pictures["rgba.avif"] = rgba, {"quality": 50, "icc_profile": profile}
    for name, (picture, options) in pictures.items():
        picture.save(folder / name, **options)
    pillow_heif.from_pillow(rgb).save(folder / "rgb.heic", quality=50)


def other_profile() -> bytes:
    """Return a profile of another space than sRGB, in which red and green change places."""
    profile = srgb_profile()
    return profile.replace(b"rXYZ", b"?XYZ").replace(b"gXYZ", b"rXYZ").replace(b"?XYZ", b"gXYZ")


def write_tiffs(folder: Path) -> None:
    """Write TIFF files of 12 x 9 pixels that OpenCV and Pillow do not read."""
    rng = np.random.default_rng(3)
    deep = rng.integers(0, 65536, (9, 12, 4), dtype=np.uint16)
    kinds: dict[str, tuple[np.ndarray, dict[str, Any]]] = {
        "planes": (np.moveaxis(deep, 2, 0), {"photometric": "rgb", "planarconfig": "separate"}),
        "white": (deep[..., 0], {"photometric": "miniswhite", "predictor": True}),
        "lab": (deep[..., :3], {"photometric": "cielab", "byteorder": ">"}),
        "ink": (deep, {"photometric": "separated", "compression": None}),
        "floats": (deep[..., :3] / np.float32(65535), {"photometric": "rgb", "tile": (16, 16)}),
    }
    for name, (samples, options) in kinds.items():
        packed = {"compression": "zlib", "metadata": None, "software": False, **options}
        tifffile.imwrite(folder / f"{name}.tif", samples, **packed)
    small = deep[..., :3].astype(np.uint8)
    with tifffile.TiffWriter(folder / "preview.tif") as writer:
        same = {"photometric": "rgb", "metadata": None, "software": False}
        writer.write(small[:2, :3], subfiletype=1, subifds=1, **same)
        writer.write(small, compression="lzw", **same)


def write_weights(folder: Path) -> None:
    """Write networks of one to three layers in both layouts, compressed and not."""
    import scipy.io

    sys.path.insert(0, str(ROOT / "tests"))
    from conftest import write_mat

    from neural_style.network.weights import Convolution, Pooling, Relu

    kernel = np.random.default_rng(2).normal(0, 0.3, (1, 3, 3, 1)).astype(np.float32)
    first = Convolution("conv1_1", kernel, np.ones(1, np.float32))
    average = np.full((1, 1, 3), 100, np.float32)
    write_mat(folder / "new.mat", [first], "new", average)
    write_mat(folder / "old.mat", [first], "old", average)
    write_mat(folder / "short.mat", [Relu("relu1_1"), Pooling("pool1")], "new", average)
    packed = write_mat(folder / "packed.mat", [first, Relu("relu1_1"), Pooling("pool1")])
    kept = {n: v for n, v in scipy.io.loadmat(packed).items() if not n.startswith("__")}
    scipy.io.savemat(packed, kept, do_compression=True)
    for path in folder.glob("*.mat"):  # SciPy writes the time into the header
        content = path.read_bytes()
        path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(116) + content[116:])


def write_settings(folder: Path) -> None:
    """Write settings that use most of what YAML has."""
    texts = {
        "short.yaml": "style:\n  images: [a.png, {path: b.png, weight: 2}]\n  weight: 1e3\n",
        "layers.yaml": "style: {layers: {relu1_1: 1, relu2_1: .5}, statistic: wasserstein}\n"
        "content:\n  layers:\n  - relu4_2\n",
        "anchors.yaml": "content: &c\n  weight: 5\nstyle:\n  weight: &w 7 # w\n  mix: 'losses'\n"
        'init:\n  from: "noise"\n  seed: 0x10\n  noise: 1\n',
        "merges.yaml": "x-light: &light {weight: 7, mix: losses}\nx-more: &more\t# a tab\n"
        "  <<: *light\n  feather:\t3\nstyle: {<<: [*more, *light], weight: 8}\n"
        "content:\n  image: ~/a b.png\nnetwork: {url: https://a.org/b?c=d}\n"
        "sweep: {runs: {a: &a {style.weight: 1}, b: {<<: *a, init.noise: 1}}}\n"
        "relative_paths: {/a/b.png: ../b.png}\n",
        "output.yaml": "output:\n  name: >-\n    a\n    b\n  folder: ../x\n"
        "image: {size: 128, scales: [64, 128]}\n",
        "sweep.yaml": "sweep:\n  grid:\n    style.weight: [1, 10]\n",
        "sweep_draws.yaml": "sweep:\n  random:\n    count: 3\n    seed: 7\n    draws:\n"
        "      style.weight: {log_uniform: [10, 1e3]}\n      init.seed: {integer: [0, 9]}\n"
        "      init.noise: {uniform: [0, 1]}\n"
        "      style.layers: {choice: {low: [relu1_1], high: {relu5_1: 2}}}\n"
        "  executor: ray\n  ray: {cpus: 2, gpus: .5}\n  allow_large: true\n",
        "sweep_files.yaml": "style: {images: [a.png, {path: b.png}]}\nsweep:\n"
        "  files: {one: short.yaml, two: layers.yaml}\n"
        "  grid: {'style.images[1].scale': [.5, 2], image.size: [null, 64]}\n"
        "  figure: {title: '', axes: {image.size: $N$}, labels: {image.size: {'64': few}}}\n",
        "sweep_parts.yaml": "sweep:\n  pairs: {contents: pictures, styles: [a.png, b.png]}\n"
        "  runs:\n    plain:\n    noisy: {init.noise: 1, style.layers.relu1_1: 3}\n"
        "  zip: {content.weight: [1, 2], init.from: {grey: noise, picture: c.png}}\n",
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")


def main() -> None:
    """Write everything."""
    CORPUS.mkdir(exist_ok=True)
    write_pictures(CORPUS)
    write_tiffs(CORPUS)
    write_weights(CORPUS)
    write_settings(CORPUS)
    for path in sorted(CORPUS.iterdir()):
        size = path.stat().st_size
        sys.stdout.write(f"{path.name}: {size} bytes{' TOO LARGE' * (size > LARGEST)}\n")


if __name__ == "__main__":
    main()
