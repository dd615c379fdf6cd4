"""Writes files from the settings' models.

python -m neural_style.config > config.schema.json
python -m neural_style.config page > docs/settings.md
"""

import json
import sys

from neural_style.config.load import json_schema
from neural_style.config.page import settings_page
from neural_style.project import SHIPPED

if sys.argv[1:] == ["page"]:
    sys.stdout.write(settings_page((SHIPPED / "config.yaml").read_text(encoding="utf-8")))
else:
    sys.stdout.write(json.dumps(json_schema(), indent=2) + "\n")
