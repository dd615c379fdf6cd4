"""Hostile YAML is answered in one short line and in little time."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tables import cases, refusal

from neural_style.config import load_config
from neural_style.config.source import MAX_BYTES, ConfigError

SIZE = MAX_BYTES - 100
SECONDS = 5.0  # of the processor for a megabyte

LONG: dict[str, Callable[[], str]] = {
    "brackets": lambda: "[" * SIZE,
    "dashes": lambda: "- " * (SIZE // 2),
    "questions": lambda: "? " * (SIZE // 2),
    "a flow list": lambda: f"a: [{'1,' * (SIZE // 2)}1]",
    "flow keys": lambda: f"[{'a: b, ' * (SIZE // 6)}]",
    "keys": lambda: "".join(f"k{i}: 1\n" for i in range(SIZE // 12)),
    "a long anchor": lambda: f"a: &{'a' * SIZE} 1",
    "a long tag": lambda: f"a: !{'a' * SIZE} 1",
    "documents": lambda: "---\n" * (SIZE // 4),
    "empty lines": lambda: "\n" * SIZE,
    "returns": lambda: "\r" * SIZE,
    "escapes": lambda: 'a: "' + "\\x41" * (SIZE // 4 - 2) + '"',
    "a deep path": lambda: f"content:\n  image: {'a/' * (SIZE // 2 - 20)}",
    "a path upwards": lambda: f"content:\n  image: {'../' * (SIZE // 3 - 20)}",
    "a long key": lambda: f'style:\n  ? "{"a" * (SIZE - 20)}"\n  : 1',
    "a hexadecimal number": lambda: f"style:\n  weight: 0x{'f' * (SIZE - 20)}",
    "a number": lambda: f"image:\n  size: {'9' * (SIZE - 20)}",
}


def told(path: Path, text: str) -> str:
    """The one line that is told of a text in a file."""
    path.write_text(text, encoding="utf-8", newline="")
    message = refusal(ConfigError, load_config, path)
    assert message.isprintable()
    return message


@pytest.mark.parametrize("name", LONG)
def test_megabyte_of_yaml_is_refused_soon_and_shortly(tmp_path: Path, name: str) -> None:
    text = LONG[name]()
    assert len(text) <= MAX_BYTES
    start = time.process_time()
    message = told(tmp_path / "a.yaml", text)
    assert time.process_time() - start < SECONDS
    assert len(message) < 500 + len(str(tmp_path))


@pytest.mark.parametrize("text", ["#" * SIZE, "\n" * 20_000, "#\n" * 20_000])
def test_megabyte_of_nothing_is_no_setting(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text)
    start = time.process_time()
    assert load_config(path).style == load_config(None).style
    assert time.process_time() - start < SECONDS


def test_lengths_and_numbers_of_nodes_are_bounded_while_they_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    with path.open("wb") as file:
        file.truncate(10**12)  # a hole
    larger = f"{path}: larger than 1,000,000 bytes; expected a file of settings"
    assert refusal(ConfigError, load_config, path) == larger
    assert told(path, "a: [" + "1," * 10_000 + "1]") == (
        f"{path} (line 1): over 10,000 values, counting aliases"
    )
    many = ", ".join(["relu1_1"] * 9_900)
    assert "twice" in told(path, f"style: {{layers: [{many}]}}")


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.mkdir", "!!python/module:os", "!x"])
@pytest.mark.parametrize("place", ["{tag} [{mark}]", "a: {tag} [{mark}]", "- {tag} [{mark}]"])
def test_tags_run_nothing(tmp_path: Path, tag: str, place: str) -> None:
    mark = tmp_path / "made"
    message = told(tmp_path / "a.yaml", place.format(tag=tag, mark=mark))
    assert f"found the tag '{tag}', expected a plain value" in message
    assert not mark.exists()


# Escapes and characters that would write to the terminal, or turn the direction of writing.
ESCAPED = r"""
"\e[31mred\a": 1 => \x1b[31mred\x07 (line 1): unknown key
style: {weight: "\e]0;title\a"} => found '\x1b]0;title\x07'
style: {weight: RIGHT-TO-LEFTabc} => found '\u202eabc'
style: {weight: !RIGHT-TO-LEFT 1} => not valid YAML
style: {weight: RIGHT-TO-LEFT[} => not valid YAML
output: {name: "a\nb"} => found 'a\nb'
"\ud800": 1 => found the surrogate U+D800, expected a character
style: {"\ud800": 1} => found a surrogate in a key, expected characters
init: {"a\udfff": } => found a surrogate in a key, expected characters
"""


@pytest.mark.parametrize(("text", "expected"), cases(ESCAPED))
def test_a_file_cannot_write_to_the_terminal(tmp_path: Path, text: str, expected: str) -> None:
    assert expected in told(tmp_path / "a.yaml", text.replace("RIGHT-TO-LEFT", "\u202e"))


@pytest.mark.parametrize("key", ["content: {image: ", "network: {weights: ", "output: {folder: "])
def test_paths_that_no_file_can_have_are_refused(tmp_path: Path, key: str) -> None:
    dotted = key.replace(": {", ".").rstrip(": ")
    expected = {
        '"a\\0b"': "found 'a\\x00b', expected a path",
        '"\\ud800.png"': "found the surrogate U+D800, expected a character",
        "a" * 5000: "found 5,000 characters, expected at most 4,096",
    }
    for value, problem in expected.items():
        assert told(tmp_path / "a.yaml", f"{key}{value}}}") == f"{dotted} (line 1): {problem}"


def test_numbers_beyond_all_characters_and_versions_are_refused_by_line(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    problem = "not valid YAML: the number of a character or version is too large"
    for escape in ("\\U00110000", "\\Ud000002e", "\\Uffffffff"):
        assert told(path, f'style:\n  weight: "{escape}"\n') == f"{path} (line 2): {problem}"
    assert told(path, f"# a\n%YAML 1.{'9' * 5000}\n---\nstyle:\n") == f"{path} (line 2): {problem}"
