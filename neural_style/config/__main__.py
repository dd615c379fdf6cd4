"""Prints the JSON schema of the settings: `python -m neural_style.config > config.schema.json`."""

import json
import sys

from neural_style.config.load import json_schema

sys.stdout.write(json.dumps(json_schema(), indent=2) + "\n")
