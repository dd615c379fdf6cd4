"""A window with a picture, in a process of its own: without a display, OpenCV's window library
ends the process.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np


def show(path: Path) -> bool:
    """Open a picture in a window until a key is pressed or it is closed; return False where there
    is no display.
    """
    viewer = [sys.executable, "-m", "neural_style.runs.window", str(path.resolve())]
    folder = Path(__file__).parents[2]
    return subprocess.run(viewer, cwd=folder, capture_output=True, check=False).returncode == 0


def main(path: Path) -> None:
    """Show a picture; the process ends with the window."""
    import cv2

    picture = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        raise ValueError(f"{path}: no picture")
    cv2.namedWindow(path.name, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
    cv2.imshow(path.name, picture)
    while cv2.waitKey(100) < 0 and cv2.getWindowProperty(path.name, cv2.WND_PROP_VISIBLE) > 0:
        pass


if __name__ == "__main__":
    main(Path(sys.argv[1]))
