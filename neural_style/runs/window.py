"""A picture in a window, in a process of its own, which OpenCV ends if there is no display."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

from neural_style.project import ROOT


def show(path: Path) -> bool:
    """Show a picture in a window until it is closed; return False if there is no display."""
    viewer = [sys.executable, "-m", "neural_style.runs.window", str(path.resolve())]
    return subprocess.run(viewer, cwd=ROOT, capture_output=True, check=False).returncode == 0


def main(path: Path) -> None:
    """Show a picture until its window is closed."""
    picture = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        raise ValueError(f"{path}: not a picture")
    cv2.namedWindow(path.name, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
    cv2.imshow(path.name, picture)
    while cv2.waitKey(100) < 0 and cv2.getWindowProperty(path.name, cv2.WND_PROP_VISIBLE) > 0:
        pass


if __name__ == "__main__":
    main(Path(sys.argv[1]))
