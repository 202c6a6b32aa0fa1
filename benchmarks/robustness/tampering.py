"""The ways in which `benchmarks.robustness.tampered` changes a finished data set before the commands see it."""

from __future__ import annotations

import io
import json
import os
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, PngImagePlugin

from benchmarks.robustness.broken_files import LYING, TOKENS, encoded
from benchmarks.robustness.without_times import OF_A_RUN
from redweb_builder.errors import UserError
from redweb_builder.inputs.picture import open_picture

KINDS = ("Imgs", "RDs", "masks", "confidence", "previews", "rejected", "unknown")
TABLES = (
    *("manifest.parquet", "build.json", "journal.jsonl", "decisions.jsonl", "report.html", "grid.png"),
    *("marks.jsonl", "curation.json"),
)
KEYS = (
    *("", ".", "..", "../canary/letter", "../../etc/passwd", "/etc/passwd", "rejected/../../canary/letter", "a/b"),
    *(
        "a\\b",
        "..\\canary",
        "a\0b",
        "a\nb",
        "a\x1b]0;owned\x07b",
        "\u202egnp.exe",
        "$(touch owned)",
        "`id`",
        "-rf",
        "~",
    ),
    *("<script>window.hit=1</script>", "'\"><img src=x onerror=alert(1)>", "%2e%2e%2f", "x" * 255, "x" * 100_000),
    *("con", "NUL", "a.b.c", "{{7*7}}", "[red]x[/]", "東京", "e\u0301", "\ufeff", "=1+1", "None"),
)
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, -(2**63), 10**400, 0.0, -0.0, 1e308, -1e308, 5e-324),
    *(float("nan"), float("inf"), -float("inf"), "", "0", "x" * 100_000, [], [[]], {}, {"a": {}}, [None] * 3, *KEYS),
)
BOMB = (60_000, 60_000)  # px, claimed by the header of a small file

Mutation = Callable[[Random, Path, Path], str]


def tamper(random: Random, folder: Path, canary: Path) -> str:
    """Change a data set in one to three ways; what was done, in words. canary: a folder of the user, outside."""
    done = []
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        try:
            done.append(random.choice(MUTATIONS)(random, folder, canary))
        except (UserError, OSError, LookupError, ValueError, RecursionError, pa.ArrowException) as error:
            done.append(f"impossible after the others ({type(error).__name__})")
    return "; ".join(done)


# ---- any file


def change_bytes(random: Random, folder: Path, _: Path) -> str:
    """Overwrite, insert, delete or cut anywhere in a file; lying numbers and words of the formats among it."""
    file = _any_file(random, folder)
    content = bytearray(file.read_bytes())
    for _change in range(random.randint(1, 4)):
        at = random.randrange(random.choice((len(content), min(400, len(content)))) + 1)
        new = random.choice((random.randbytes(random.randint(1, 8)), random.choice(TOKENS), _lying_number(random)))
        way = random.choice(("overwrite", "insert", "delete", "cut"))
        if way == "overwrite":
            content[at : at + len(new)] = new
        elif way == "insert":
            content[at:at] = new
        else:
            del content[at : at + random.randint(1, 64) if way == "delete" else None]
    file.write_bytes(content)
    return f"bytes of {_name(file, folder)}"


def fill(random: Random, folder: Path, _: Path) -> str:
    """Make a file empty, NULs, or something else altogether."""
    file = _any_file(random, folder)
    kind, content = random.choice(
        (
            ("nothing", b""),
            ("NULs", bytes(file.stat().st_size)),
            ("PostScript", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(owned) (w) file\n%%EOF\n"),
            ("a bomb", _bomb()),
            ("a GIF", encoded(Image.new("RGB", (80, 60)), "GIF")),
            ("a TIFF", encoded(Image.new("RGB", (80, 60)), "TIFF")),
            ("deep JSON", b"[" * 100_000 + b"]" * 100_000),
            ("deep objects", b'{"a":' * 50_000 + b"1" + b"}" * 50_000),
            ("noise", random.randbytes(5000)),
        )
    )
    file.write_bytes(content)
    return f"{_name(file, folder)} is {kind}"


def swap(random: Random, folder: Path, _: Path) -> str:
    """Exchange two files."""
    first, second = _any_file(random, folder), _any_file(random, folder)
    contents = first.read_bytes(), second.read_bytes()
    second.write_bytes(contents[0])
    first.write_bytes(contents[1])
    return f"{_name(first, folder)} and {_name(second, folder)} exchanged"


def remove(random: Random, folder: Path, _: Path) -> str:
    """Remove a file or a whole folder."""
    entry = random.choice((_any_file(random, folder), _any_entry(random, folder)))
    _take_away(entry)
    return f"{_name(entry, folder)} removed"


def replace(random: Random, folder: Path, canary: Path) -> str:
    """Put a link, a folder or a FIFO in the place of a file or folder."""
    entry = random.choice((_any_file(random, folder), _any_entry(random, folder)))
    kind = _plant(random, entry, canary)
    return f"{_name(entry, folder)} is {kind}"


def plant(random: Random, folder: Path, canary: Path) -> str:
    """Put something where the commands will write."""
    names = (
        *(".review", *OF_A_RUN, *TABLES, *KINDS, "errors.log", "rejected/RDs", "rejected/Imgs"),
        *(f"{name}.part" for name in TABLES),
    )
    entry = folder / random.choice(names)
    kind = _plant(random, entry, canary)
    return f"{kind} is planted as {_name(entry, folder)}"


# ---- tables


def change_row(random: Random, folder: Path, _: Path) -> str:
    """Other values in a row of the manifest, of the type that the column has."""
    rows, schema = _manifest(folder)
    row = random.choice(rows)
    changed = random.choice((["key"], [random.choice(schema.names)], random.sample(schema.names, 5)))
    for name in changed:
        row[name] = _of_type(random, schema.field(name).type)
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), folder / "manifest.parquet")
    return f"row of the manifest: {', '.join(f'{name}={str(row[name])[:40]!r}' for name in changed)}"


def rename_pair(random: Random, folder: Path, _: Path) -> str:
    """A hostile key, and files of that name where the system can hold them."""
    rows, schema = _manifest(folder)
    row, key = random.choice([row for row in rows if row["key"]]), random.choice(KEYS)
    old, row["key"] = row["key"], key
    for file in list(folder.rglob(f"{old}.*")):
        target = file.with_name(f"{key}{file.suffix}")
        if "\0" not in key and len(os.fsencode(target.name)) <= 255 and target.parent.is_dir():
            file.replace(target)
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), folder / "manifest.parquet")
    return f"a pair is called {key[:60]!r}"


def change_schema(random: Random, folder: Path, _: Path) -> str:
    """Columns of the manifest missing, renamed, of another type; rows doubled, or none."""
    table = pq.read_table(folder / "manifest.parquet")
    name = random.choice(table.column_names)
    at = table.column_names.index(name)
    other = random.choice((pa.string(), pa.list_(pa.int8()), pa.float32(), pa.int64(), pa.binary(), pa.null()))
    of_its_type = pa.nulls(len(table), table.schema.field(name).type)
    changes = {
        "lacks": lambda: table.drop_columns([name]),
        "has twice": lambda: table.append_column(name, table[name]),
        f"has {other} in": lambda: table.set_column(at, name, pa.nulls(len(table), other)),
        "has nulls in": lambda: table.set_column(at, name, of_its_type),
        "has a new name for": lambda: table.rename_columns(["z" if n == name else n for n in table.column_names]),
        "has every row twice, not only": lambda: pa.concat_tables([table, table]),
        "has no rows, not only none of": lambda: table.slice(0, 0),
        "has a thousand rows, not only": lambda: pa.concat_tables([table] * (1000 // max(len(table), 1))),
    }
    kind = random.choice(list(changes))
    pq.write_table(changes[kind](), folder / "manifest.parquet")
    return f"the manifest {kind} {name}"


def change_json(random: Random, folder: Path, _: Path) -> str:
    """Another value somewhere in build.json or curation.json, or in a line of the journal or the decisions."""
    file = folder / random.choice(("build.json", "build.json", "journal.jsonl", "decisions.jsonl", "curation.json"))
    lines = [file.read_text()] if file.suffix == ".json" else file.read_text().splitlines()
    at = random.randrange(len(lines))
    value = json.loads(lines[at])
    where = _change_inside(random, value)
    lines[at] = json.dumps(value)
    file.write_text("\n".join(lines) + "\n")
    return f"{file.name}: {where}"


def add_line(random: Random, folder: Path, _: Path) -> str:
    """A line more in the journal, the decisions or the marks."""
    file = folder / random.choice(("journal.jsonl", "decisions.jsonl", "marks.jsonl"))
    lines = file.read_bytes().splitlines(keepends=True)
    line = random.choice(
        (
            *(
                b"\0" * 100 + b"\n",
                b"{}\n",
                b"[]\n",
                b"null\n",
                b"1e999\n",
                b'"x"\n',
                b"{",
                b"\xff\xfe\n",
                b"[" * 100_000,
            ),
            *(lines[-1], lines[0][: len(lines[0]) // 2], b'{"key": "../x"}\n', b"1" * 100_000 + b"\n"),
        )
    )
    lines.insert(random.randrange(len(lines) + 1), line)
    file.write_bytes(b"".join(lines))
    return f"{file.name}: one line more, {line[:30]!r}"


# ---- labels and pictures


def change_label(random: Random, folder: Path, _: Path) -> str:
    """A label, mask or confidence that decodes, and is wrong: values, size, form, text."""
    kind = random.choice(("RDs", "masks", "confidence", "Imgs"))
    file = random.choice([file for file in folder.rglob(f"{kind}/*") if file.is_file()])
    with open_picture(file, min_side=1) as opened:
        image: Image.Image = opened.copy()
        words = dict(getattr(opened, "text", {}))
    text = PngImagePlugin.PngInfo()
    for name, value in words.items():
        text.add_text(name, value)
    way = random.choice(("values", "size", "form", "text", "no text"))
    if way == "values":
        values = np.asarray(image).copy()
        values[random.randrange(values.shape[0])] = random.choice((77, 4, 255, 0))
        image = Image.fromarray(values)
    elif way == "size":
        image = image.resize(
            random.choice(((1, 1), (16, 12), (image.height, image.width), (image.width + 1, image.height)))
        )
    elif way == "form":
        image = random.choice((image.convert("L"), image.convert("RGB"), image.convert("1"), image.convert("RGBA")))
    else:
        text = PngImagePlugin.PngInfo()
        if way == "text":
            for name in ("format", "polarity", "scale", "offset"):
                text.add_text(name, str(random.choice(VALUES))[:1000].encode("latin-1", "ignore").decode("latin-1"))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", pnginfo=text)
    file.write_bytes(buffer.getvalue())
    return f"{way} of {_name(file, folder)}"


MUTATIONS: tuple[Mutation, ...] = (
    *(change_bytes, change_bytes, change_bytes, fill, fill, swap, remove, replace, replace, plant, plant),
    *(change_row, change_row, rename_pair, rename_pair, change_schema, change_schema),
    *(change_json, change_json, change_json, add_line, change_label, change_label),
)


# ---- parts


def _any_file(random: Random, folder: Path) -> Path:
    """A regular file; tables as often as pictures, of which there are more."""
    files = [folder / name for name in TABLES if (folder / name).is_file() and not (folder / name).is_symlink()]
    if not files or random.random() < 0.5:
        files = [file for file in sorted(folder.rglob("*")) if file.is_file() and not file.is_symlink()]
    return random.choice(files)


def _any_entry(random: Random, folder: Path) -> Path:
    return random.choice(sorted(folder.iterdir()))


def _name(file: Path, folder: Path) -> str:
    return file.relative_to(folder).as_posix()


def _take_away(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink(missing_ok=True)


def _plant(random: Random, entry: Path, canary: Path) -> str:
    """Put something in a place; what was there is gone."""
    _take_away(entry)
    entry.parent.mkdir(parents=True, exist_ok=True)
    kind = random.choice(("link", "link", "hard link", "dangling link", "loop", "folder", "fifo"))
    if kind == "link":
        target = canary if "." not in entry.name[1:] or random.random() < 0.2 else canary / "letter.txt"
        entry.symlink_to(target)
    elif kind == "hard link":
        os.link(canary / "letter.txt", entry)
    elif kind == "dangling link":
        entry.symlink_to(canary / "new.txt")
    elif kind == "loop":
        entry.symlink_to(entry.name)
    elif kind == "folder":
        (entry / "more").mkdir(parents=True)
    else:
        os.mkfifo(entry)
    return f"a {kind}"


def _manifest(folder: Path) -> tuple[list[dict[str, Any]], pa.Schema]:
    table = pq.read_table(folder / "manifest.parquet")
    return table.to_pylist(), table.schema


def _of_type(random: Random, kind: pa.DataType) -> Any:
    if pa.types.is_boolean(kind):
        return random.choice((None, True, False))
    if pa.types.is_integer(kind):
        return random.choice((None, 0, -1, 1, 2**31 - 1, -(2**31)))
    if pa.types.is_floating(kind):
        return random.choice([value for value in VALUES if isinstance(value, float)] + [None])
    return random.choice((None, random.choice(KEYS), "kept", "rejected", "left-out", "filter", "review", "ffff"))


def _change_inside(random: Random, value: Any) -> str:
    """Put another value at a random place of a JSON value, or take one away; where."""
    path = []
    while isinstance(value, dict | list) and value:
        key = random.choice(list(value) if isinstance(value, dict) else range(len(value)))
        path.append(str(key))
        if not isinstance(value[key], dict | list) or not value[key] or random.random() < 0.3:
            if random.random() < 0.2:
                del value[key]
                return f"{'.'.join(path)} is gone"
            value[key] = random.choice(VALUES)
            return f"{'.'.join(path)} = {str(value[key])[:40]!r}"
        value = value[key]
    raise ValueError("there is nothing to change")


def _lying_number(random: Random) -> bytes:
    kind = random.choice("BHI")
    return struct.pack(random.choice("<>") + kind, random.choice(LYING) % (1 << 8 * struct.calcsize(kind)))


def _bomb() -> bytes:
    """A PNG whose header claims more pixels than any photograph has."""
    content = bytearray(encoded(Image.new("L", (8, 8)), "PNG"))
    struct.pack_into(">II", content, 16, *BOMB)
    struct.pack_into(">I", content, 29, zlib.crc32(content[12:29]))
    return bytes(content)
