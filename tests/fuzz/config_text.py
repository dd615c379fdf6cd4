"""Settings: any bytes give settings or one line that names the key or the file."""

from __future__ import annotations

from pathlib import Path

from hypothesis import strategies as st

from .mutations import OF_TEXT, among, mutated, samples

_TOKENS = (b"&a ", b"*a", b"!!python/object/apply:os.system ", b"!!binary ", b"!!set ", b"<<: ")
_TOKENS += (b"- ", b"? ", b": ", b"{", b"}", b"[", b"]", b"|\n", b">-\n", b"---\n", b"...\n", b"\t")
_TOKENS += (b"%YAML 9.9\n", b"%TAG ! x\n", b"#", b"'", b'"', b"\\e[31m", b"\\ud800", b"\\0", b"\0")
_TOKENS += (b"1e999", b".nan", b"-.inf", b"0x" + b"f" * 40, b"1" * 40, b"../" * 8, b"\xff", b"\x1b")
_TOKENS += (
    b"x-a: &b ",
    b"<<: *b",
    b"~/",
    b"C:\\\\",
    b"a:b",
    b" #1.png",
    b"@",
    b"relative_paths: {/a: b}",
)
_TOKENS += (b"null", b"true", b"-1", b"\xe2\x80\xae", b"\xed\xa0\x80", b"a" * 300)
_KEYS = ("content", "style", "images", "layers", "weight", "network", "weights", "init", "from")
_KEYS += ("optimizer", "runtime", "output", "name", "folder", "sweep", "grid", "zip", "random")


def inputs() -> st.SearchStrategy[bytes]:
    """Return what to try: damaged files, structures of the keys there are, and noise."""
    corpus = samples(".yaml")
    damaged = mutated(corpus, _TOKENS, OF_TEXT)
    scalar = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
    values = st.recursive(
        scalar,
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.sampled_from(_KEYS) | st.text(max_size=6), inner, max_size=4)
        ),
        max_leaves=12,
    )
    built = st.dictionaries(st.sampled_from(_KEYS), values, max_size=5).map(written)
    pieces = st.lists(st.sampled_from([*_TOKENS, *(f"{key}: ".encode() for key in _KEYS), b"\n  "]))
    return among(
        damaged, damaged, mutated(corpus, _TOKENS), built, pieces.map(b"".join), st.binary()
    )


def written(value: object) -> bytes:
    """Write nested values in the flow style, texts in double quotes."""
    if isinstance(value, dict):
        inside = b", ".join(written(str(k)) + b": " + written(v) for k, v in value.items())
        return b"{" + inside + b"}"
    if isinstance(value, list):
        return b"[" + b", ".join(map(written, value)) + b"]"
    if isinstance(value, str):
        escaped = "".join(f"\\U{ord(c):08x}" if not c.isalnum() else c for c in value)
        return f'"{escaped}"'.encode(errors="backslashreplace")
    names = {None: b"null", True: b"true", False: b"false"}  # 1 is equal to True
    return names[value] if value is None or isinstance(value, bool) else repr(value).encode()


def check(data: bytes, folder: Path) -> None:
    """Read the bytes as a file of settings; what loads can be written and loads again."""
    from neural_style.config import load_config, to_yaml
    from neural_style.config.source import ConfigError

    path = folder / "input.yaml"
    path.write_bytes(data)
    try:
        config = load_config(path)
    except ConfigError as error:
        if not str(error).isprintable() or len(str(error)) > 2000:
            raise AssertionError(f"not one short line: {str(error)[:3000]!r}") from error
        return
    text = to_yaml(config, folder)
    path.write_text(text, encoding="utf-8")
    if to_yaml(load_config(path), folder) != text:  # NaN is not equal to itself
        raise AssertionError("what was written is not what was read")
