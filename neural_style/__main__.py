"""The command `style-transfer`, also `python -m neural_style`: runs `style_transfer.main`."""

from __future__ import annotations

from typing import NoReturn

from neural_style import command_line


def run() -> NoReturn:
    """Run the command line and end the process."""
    command_line.end_quietly()  # until `main` has its own answer to Ctrl-C
    import style_transfer

    command_line.leave(style_transfer.main())


if __name__ == "__main__":
    run()
