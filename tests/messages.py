"""What calls say when they fail."""

from collections.abc import Callable
from typing import Any

import pytest


def message(kind: type[Exception], call: Callable[..., Any], *args: Any, **options: Any) -> str:
    """Return what the error says that a call raises, which must be of this kind."""
    with pytest.raises(kind) as caught:
        call(*args, **options)
    return str(caught.value)
