"""YAML 1.2, and unreadable or hostile files, which get one short line in little time."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tables import cases, check_message, refusal

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


def message_of(path: Path, text: str) -> str:
    """The message about a file with this text."""
    path.write_text(text, encoding="utf-8", newline="")
    message = refusal(ConfigError, load_config, path)
    assert message.isprintable()
    return message


@pytest.mark.parametrize("name", LONG)
def test_a_megabyte_of_yaml_is_refused_in_little_time_and_one_short_line(tmp_path, name: str):
    text = LONG[name]()
    assert len(text) <= MAX_BYTES
    start = time.process_time()
    message = message_of(tmp_path / "a.yaml", text)
    assert time.process_time() - start < SECONDS
    assert len(message) < 500 + len(str(tmp_path))


@pytest.mark.parametrize("text", ["#" * SIZE, "\n" * 20_000, "#\n" * 20_000])
def test_a_megabyte_of_nothing_gives_the_defaults(tmp_path, text: str):
    path = tmp_path / "a.yaml"
    path.write_text(text)
    start = time.process_time()
    assert load_config(path).style == load_config(None).style
    assert time.process_time() - start < SECONDS


def test_the_size_of_a_file_and_its_number_of_values_are_bounded(tmp_path):
    path = tmp_path / "a.yaml"
    with path.open("wb") as file:
        file.truncate(10**12)  # a hole
    larger = f"{path}: larger than 1,000,000 bytes; expected a file of settings"
    assert refusal(ConfigError, load_config, path) == larger
    assert message_of(path, "a: [" + "1," * 10_000 + "1]") == (
        f"{path} (line 1): over 10,000 values, counting aliases"
    )
    many = ", ".join(["relu1_1"] * 9_900)
    assert "twice" in message_of(path, f"style: {{layers: [{many}]}}")


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.mkdir", "!!python/module:os", "!x"])
@pytest.mark.parametrize("place", ["{tag} [{mark}]", "a: {tag} [{mark}]", "- {tag} [{mark}]"])
def test_tags_run_nothing(tmp_path, tag: str, place: str):
    mark = tmp_path / "made"
    message = message_of(tmp_path / "a.yaml", place.format(tag=tag, mark=mark))
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
def test_a_file_cannot_write_to_the_terminal(tmp_path, text: str, expected: str):
    assert expected in message_of(tmp_path / "a.yaml", text.replace("RIGHT-TO-LEFT", "\u202e"))


@pytest.mark.parametrize("key", ["content: {image: ", "network: {weights: ", "output: {folder: "])
def test_texts_that_cannot_be_paths_are_refused(tmp_path, key: str):
    dotted = key.replace(": {", ".").rstrip(": ")
    expected = {
        '"a\\0b"': "found 'a\\x00b', expected a path",
        '"\\ud800.png"': "found the surrogate U+D800, expected a character",
        "a" * 5000: "found 5,000 characters, expected at most 4,096",
    }
    for value, problem in expected.items():
        assert message_of(tmp_path / "a.yaml", f"{key}{value}}}") == f"{dotted} (line 1): {problem}"


def test_too_large_codes_of_characters_and_versions_are_reported_by_line(tmp_path):
    path = tmp_path / "a.yaml"
    problem = "not valid YAML: the number of a character or version is too large"
    expected = f"{path} (line 2): {problem}"
    for escape in ("\\U00110000", "\\Ud000002e", "\\Uffffffff"):
        assert message_of(path, f'style:\n  weight: "{escape}"\n') == expected
    assert message_of(path, f"# a\n%YAML 1.{'9' * 5000}\n---\nstyle:\n") == expected


def test_numbers_are_those_of_yaml_1_2_and_other_forms_are_text(load):
    # The core schema of YAML 1.2, section 10.3.2; YAML 1.1 reads those from 1e-3 on otherwise.
    numbers = {"0": 0, "+12": 12, "0o17": 15, "0xfF": 255, "0.": 0, ".5": 0.5, "12e03": 12000}
    for text, number in (numbers | {"1e-3": 0.001, "1E3": 1000, "2.5e+1": 25, "00.5": 0.5}).items():
        value = load(f"style: {{weight: {text}}}").style.weight
        assert (value, type(value)) == (number, float), text
    assert type(load("optimizer: {iterations: 2e2}").optimizer.iterations) is int
    for text in ("off", "no", "Yes", "1:30", "010", "2015-08-26", "1_000"):
        assert load(f"output: {{name: {text}}}").output.name == text


UNREADABLE = """
abc => : found no keys, expected lines such as 'style:' at its top level
[a] => : found no keys, expected lines such as 'style:' at its top level
a: 1 //b: [1, // => (line 3): not valid YAML: while parsing a flow node, expected the node...
style: //\tweight: 1 => (line 2): not valid YAML: while scanning for the next token, found character
    '\\t' that cannot start any token; indent with spaces, not tabs
a: 1 //--- //b: 2 => (line 2): not valid YAML: expected a single document in the stream, ...
a: *b => (line 1): not valid YAML: found undefined alias 'b'; write a text
    with such characters in quotes, as '*b'
a: &a [*a] => (line 1): nested too deeply, or an alias inside itself
a: 1 //b: \xff => (line 2): byte 0xff is not UTF-8; save the file as UTF-8
a: 1 //b: \0 => (line 2): character U+0000 is not allowed in YAML
"""
LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
MANY = LAUGHS, "(line 1): over 10,000 values, counting aliases"


@pytest.mark.parametrize(("text", "expected"), [*cases(UNREADABLE), MANY])
def test_an_unreadable_text_is_reported_by_file_and_line(load, tmp_path, text, expected):
    message = refusal(ConfigError, load, text.encode("latin-1"))
    check_message(message.replace(f"{tmp_path}/file/experiment.yaml", "", 1).strip(), expected)


def test_an_unreadable_file_is_named(tmp_path):
    missing, below = tmp_path / "none.yaml", tmp_path / "file.yaml" / "x.yaml"
    below.parent.touch()
    wanted = "expected a YAML file of settings"
    for path, message in {
        missing: f"{missing}: no such file; {wanted}",
        tmp_path: f"{tmp_path}: this is a folder; {wanted}",
        Path("a\0b"): "a\\x00b: not a valid file name",
        below: f"{below}: cannot be read (Not a directory)",
    }.items():
        assert refusal(ConfigError, load_config, path) == message


# White space of YAML 1.2, section 6.2, and question marks inside brackets, section 7.3.3.
EQUAL = r"""
style:TAB{weight: 7} => style: {weight: 7}
style: {weight:TAB7}TAB# note => style: {weight: 7}
style: //TAB# note //  weight: 7TAB //TAB //  mix:TABlossesTAB# c => style: {weight: 7, mix: losses}
sweep: //  grid: {init.seed: [1]} //  figure: //    title: aTABbTAB //      c
    => sweep: {grid: {init.seed: [1]}, figure: {title: "a\tb c"}}
output: {name:TABa, //TABqualityTAB:TAB5TAB} => output: {name: a, quality: 5}
content: {layers: [relu1_1, //TABrelu2_1TAB]} => content: {layers: [relu1_1, relu2_1]}
content: //  layers: //  -TABrelu1_1 //  - relu2_1TAB => content: {layers: [relu1_1, relu2_1]}
network: {url: https://a.org/b?c=d:e} => network: {url: 'https://a.org/b?c=d:e'}
content: {image: what?.png} => content: {image: "what?.png"}
"""
MERGED = """
x-a: &a {weight: 7, mix: losses} //style: {<<: *a, weight: 8} => style: {weight: 8, mix: losses}
x-a: &a {weight: 7, mix: losses} //style: {weight: 8, <<: *a} => style: {weight: 8, mix: losses}
x-a: &a {weight: 7} //x-b: &b {weight: 8, mix: losses} //style: {<<: [*a, *b], feather: 1}
    => style: {weight: 7, mix: losses, feather: 1}
x-a: &a {weight: 7} //x-b: &b {<<: *a, mix: losses} //style: {<<: *b}
    => style: {weight: 7, mix: losses}
style: {images: [&p {path: a.png, scale: 2}, {<<: *p, path: b.png}]}
    => style: {images: [{path: a.png, scale: 2}, {path: b.png, scale: 2}]}
"""


@pytest.mark.parametrize(("text", "same"), [*cases(EQUAL), *cases(MERGED)])
def test_yaml_1_2_and_merge_keys_are_read(load, text: str, same: str):
    assert load(text.replace("TAB", "\t")) == load(same) != load("")


def test_keys_that_begin_with_x_are_ignored_at_the_top_level_alone(load):
    ignored = "x-a: {weight: 7, layers: !x 1, weight: [3], [a]: b}\nx-: 1\nx-a: 2\n"
    assert load(ignored) == load("")
    assert refusal(ConfigError, load, "style: {x-a: 1}").startswith("style.x-a (line 1): unknown")
    assert refusal(ConfigError, load, "", "x-a=1").startswith("x-a (--set): unknown key")


REFUSED = r"""
style: //  images: [a.png] //  weight:100 => FILE (line 3): write a space after the colon:
    'weight: 100'
style: //  weight:100 //  images: [a.png] => FILE (line 2): write a space after the colon:
    'weight: 100'
style: //  weight:100 => style (line 2): found 'weight:100', expected a mapping with keys among
    images, layers, weight, mix, statistic, nearest_content, nearest_renewed, remd_palette,
    activation_shift, normalization, layer_exponent, normalize_gradients, guidance, feather;
    write a space after the colon: 'weight: 100'
style: {weight:100} => style.weight:100 (line 1): unknown key; write a space after the colon:
    'weight: 100'
weight:100 => FILE: found no keys, expected lines such as 'style:' at its top level; write a space
    after the colon: 'weight: 100'
style: //  weight 100 //  mix: losses => FILE (line 3): not valid YAML: mapping values are not
    allowed here; is a colon missing before, or is this line indented too far?
style: //  images: a.png //TABweight: 1 => FILE (line 3): not valid YAML: while scanning for the
    next token, found character '\t' that cannot start any token; indent with spaces, not tabs
content: {image: "C:\Users\a.png"} => FILE (line 1): not valid YAML: while scanning a double-quoted
    scalar, expected escape sequence of 8 hexadecimal numbers, but found 's'; in double quotes \
    begins an escape: use single ones, or / in a path
content: //  image: 'a.png //style: {} => FILE (line 2): not valid YAML: while scanning a quoted
    scalar, found unexpected end of stream; close the quote
content: //  image: [HD] cat.png => FILE (line 2): not valid YAML: while parsing a block mapping,
    expected <block end>, but found '<scalar>'; write a text with such characters in quotes, as
    '[HD] cat.png'
content: //  image: @me.png => FILE (line 2): not valid YAML: while scanning for the next token,
    found character '@' that cannot start any token; write a text with such characters in quotes, as
    '@me.png'
content: //  image: a: b.png => FILE (line 2): not valid YAML: mapping values are not allowed here;
    write a text with such characters in quotes, as 'a: b.png'
content: //  image: 'it's.png' => FILE (line 2): not valid YAML: while parsing a block mapping,
    expected <block end>, but found '<scalar>'; write a text with such characters in quotes, as
    'it''s.png'
style: {images: [{a.png, @b.png]} => FILE (line 1): not valid YAML: while scanning for the next
    token, found character '@' that cannot start any token; write a text with such characters in
    quotes
style: {<<: {weight: 1}, <<: {weight: 2}} => style.<< (line 1): repeated key, first written at line
    1; keep one
style: {<<: [{weight: 1}, 3]} => style.<< (line 1): expected a mapping such as *name, or a list of
    them
style: {<<: {weight: high}} => style.weight (line 1): found 'high', expected a number of at least 0
style: {'<<': {weight: 1}} => style.<< (line 1): unknown key; the keys...
a: &a {<<: *a} => FILE (line 1): nested too deeply, or an alias inside itself
style: {<<: {weight: 1}, weight: 2, weight: 3} => style.weight (line 1): repeated key, first written
    at line 1; keep one
style: {<<: {weight: 1, weight: 3}} => style.<<.weight (line 1): repeated key, first written at line
    1; keep one
"""


@pytest.mark.parametrize(("text", "expected"), cases(REFUSED))
def test_what_is_no_yaml_is_told_by_its_own_line_with_what_to_write(load, tmp_path, text, expected):
    message = refusal(ConfigError, load, text.replace("TAB", "\t"))
    path = tmp_path / "file" / "experiment.yaml"
    check_message(message.replace(str(path), "FILE"), expected)


def test_merging_is_bounded(load):
    double = "".join(f"k{i + 1}: &k{i + 1} {{<<: [*k{i}, *k{i}]}}\n" for i in range(40))
    start = time.process_time()
    message = refusal(ConfigError, load, f"k0: &k0 {{a: 1}}\n{double}")
    assert "over 10,000 values, counting aliases" in message
    assert time.process_time() - start < SECONDS


EATEN = {
    "[HD] cat.png": "write a text with such characters in quotes, as '[HD] cat.png'",
    "@me.png": "write a text with such characters in quotes, as '@me.png'",
    "a: b.png": "found a mapping, expected a path; write a name with ': ' in quotes",
    "photo #1.png": "found '#' after a space, which begins a comment; write the text in quotes, as "
    "'photo #1.png'",
}


@pytest.mark.parametrize(("name", "advice"), EATEN.items())
def test_a_name_that_yaml_eats_is_taken_in_set_where_there_is_such_a_file(
    load, tmp_path, name, advice
):
    current = tmp_path / "current"
    assert load("", f"content.image='{name}'").content.image == current / name
    (current / "photo").touch()  # which YAML would take
    message = refusal(ConfigError, load, "", f"content.image={name}")
    assert message.startswith("content.image (--set): ")
    assert message.endswith(advice)
    (current / name).touch()
    assert load("", f"content.image={name}").content.image == current / name
    assert load("", f"style.images={name}").style.images[0].path == current / name


def test_a_comment_that_belongs_to_the_name_of_a_file_is_refused(load, tmp_path):
    text = "content:\n  image: photo #1.png\n"
    assert load(text).content.image.name == "photo"
    (tmp_path / "file" / "photo #1.png").touch()
    assert refusal(ConfigError, load, text) == (
        "content.image (line 2): found 'photo' and a comment, but there is a file of the whole "
        "name; write 'photo #1.png', in quotes"
    )
    assert load(text.replace("photo #1.png", "'photo #1.png'")).content.image.name == "photo #1.png"


def test_set_changes_an_item_of_a_list(load):
    text = "style: {weight: 1, images: [a.png, {path: b.png, weight: 2}]}"
    found = load(text, "style.images[0].path=x.png", "style.images[1].weight=3").style.images
    assert [each.path.name for each in found] == ["x.png", "b.png"]
    assert [each.weight for each in found] == [1, 3]
    for key, message in {
        "style.images[2].weight": "style.images has no such item",
        "style.weight[0]": "style.weight has no such item",
        "style.images.weight": "style.images is not a mapping",
    }.items():
        assert refusal(ConfigError, load, text, f"{key}=1") == f"{key} (--set): {message}"
