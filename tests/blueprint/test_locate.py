"""The key locator: for whatever TOML says, the line is the one on which it was written."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blueprint.locate import Path, keys, locate

NAMES = st.sampled_from(["a", "b-1", "c_d", "7", '"e f"', "'g.h'", '"\\u0069 # ["', "'k = \"'", '""', '"l\\"m"'])
PLAIN = [
    *("1", "-0.5e3", "true", "1979-05-27T07:32:00Z", "1979-05-27 07:32:00"),
    *('"text"', "'[table]'", '"a = 1 # \\" ]"', "''"),
    *('"""\na = 1\n[b]\n"""', "'''\n'' ] } , \"\n'''", '"""four quotes end here""""', "'''two more '''''"),
    '"""\\\n  "" \\""""',
]
BLANKS = st.sampled_from(["", " ", "\t", "\n", "\n\n  ", "# ] , }\n", ' # \'a\' = """\n\n'])


@dataclass
class Writer:
    """Writes TOML and remembers on which line it wrote what."""

    draw: st.DrawFn
    text: str = ""
    lines: dict[Path, int] = field(default_factory=dict)

    def put(self, text: str) -> None:
        self.text += text

    def note(self, path: Path) -> None:
        for length in range(1, len(path) + 1):
            self.lines.setdefault(path[:length], self.text.count("\n") + 1)

    def names(self) -> list[str]:
        """Different names in different ways of writing."""
        return self.draw(st.lists(NAMES, max_size=3, unique=True))

    def body(self, path: Path, depth: int) -> None:
        """Settings of a table, then the tables inside it: the names are shared out between the two."""
        inside = []
        for name in self.names():
            if depth and self.draw(st.booleans()):
                inside.append(name)
                continue
            dotted = [name, *self.draw(st.lists(NAMES, max_size=1))]
            self.setting(path, dotted, depth)
            self.put(self.draw(st.sampled_from(["\n", " # comment = 'x'\n", "\n\n# [x]\n"])))
        for name in inside:
            here = (*path, read(name))
            header = [*map(write, filter(lambda part: isinstance(part, str), path)), name]
            if self.draw(st.booleans()):
                for number in range(self.draw(st.integers(1, 2))):
                    self.header("[[", header, "]]", (*here, number))
                    self.body((*here, number), depth - 1)
            else:
                self.header("[", header, "]", here)
                self.body(here, depth - 1)

    def header(self, start: str, names: list[str], end: str, path: Path) -> None:
        self.note(path)
        dot, after = self.draw(st.sampled_from([".", " . "])), self.draw(st.sampled_from(["\n", " # ]\n"]))
        self.put(start + dot.join(names) + end + after)

    def setting(self, path: Path, names: list[str], depth: int) -> None:
        path = (*path, *map(read, names))
        self.note(path)
        self.put(".".join(names) + self.draw(st.sampled_from(["=", " = "])))
        self.value(path, depth)

    def value(self, path: Path, depth: int) -> None:
        kind = self.draw(st.sampled_from(["plain", "list", "table"])) if depth else "plain"
        if kind == "plain":
            self.put(self.draw(st.sampled_from(PLAIN)))
        elif kind == "list":
            self.put("[")
            for number in range(self.draw(st.integers(0, 3))):
                self.put(("," if number else "") + self.draw(BLANKS))
                self.note((*path, number))
                self.value((*path, number), depth - 1)
                self.put(self.draw(BLANKS))
            self.put("]")
        else:
            self.put("{ ")
            for number, name in enumerate(self.names()):
                self.put(", " if number else "")
                self.setting(path, [name], depth - 1)
            self.put(" }")


def read(name: str) -> str:
    return next(iter(tomllib.loads(f"{name} = 1")))


def write(part: str | int) -> str:
    """A name as a header takes it, whatever is in it."""
    escapes = {'"': '\\"', "\\": "\\\\"}
    return '"' + "".join(escapes.get(char, char) for char in str(part)) + '"'


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, dict[Path, int]]:
    writer = Writer(draw)
    writer.body((), 3)
    return writer.text, writer.lines


def places(value: object, path: Path = ()) -> set[Path]:
    """Every key and list item that a parsed document has."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return {path for _ in "x" if path} | {place for key, item in inside for place in places(item, (*path, key))}


@given(document=documents())
@settings(deadline=None, max_examples=300)
def test_every_key_is_found_on_the_line_where_it_was_written(document: tuple[str, dict[Path, int]]) -> None:
    text, lines = document
    assert locate(text) == lines
    assert places(tomllib.loads(text)) == set(lines)


@given(document=documents())
@settings(deadline=None, max_examples=50)
def test_windows_line_ends_change_nothing(document: tuple[str, dict[Path, int]]) -> None:
    text, lines = document
    assert locate(text.replace("\n", "\r\n")) == lines


@given(text=st.text())
@settings(deadline=None)
def test_what_is_not_toml_is_no_error(text: str) -> None:
    keys(text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a = 1\na = 2\n", [(("a",), 1), (("a",), 2)]),
        ("[t]\nb = 1\n[t]\n", [(("t",), 1), (("t", "b"), 2), (("t",), 3)]),
        ("a = 1\nb = [1,\n  oops", [(("a",), 1), (("b",), 2), (("b", 0), 2), (("b", 1), 3)]),
        ("a = 1\n= 2\nc = 3", [(("a",), 1)]),
        ("x = " + "[" * 100_000, None),
    ],
    ids=["key twice", "table twice", "open list", "no key", "too deep"],
)
def test_what_was_understood_before_a_mistake_is_kept(text: str, found: list[tuple[Path, int]] | None) -> None:
    assert found is None or keys(text) == found


def test_a_large_file_is_read_in_one_pass() -> None:
    text = "".join(f"key_{number} = 'value'\n" for number in range(40_000))
    assert locate(text)["key_39999",] == 40_000
