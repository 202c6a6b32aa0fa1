"""The door to the disk: whole files, whole lines, and never through a link."""

from __future__ import annotations

import ast
import os
import re
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest

from redweb_builder import files as files_module
from redweb_builder.errors import UnsafePath
from redweb_builder.files import (
    append,
    create,
    is_temporary,
    link_or_copy,
    lock,
    make_folder,
    open_to_append,
    parse_json,
    read_regular,
    remove_temporaries,
    replacing,
    replacing_folder,
    scratch_folder,
    write_atomic,
)


def test_write_atomic(tmp_path: Path) -> None:
    file = tmp_path / "a.bin"
    write_atomic(file, b"one")
    write_atomic(file, b"two")
    assert file.read_bytes() == b"two"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.bin"]


@pytest.mark.parametrize("step", ["write", "rename"])
def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    file = tmp_path / "a.bin"
    write_atomic(file, b"before")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    if step == "write":
        monkeypatch.setattr(os, "fsync", full)
    else:
        monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomic(file, b"after")
    assert file.read_bytes() == b"before"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.bin"]


def test_an_interrupted_block_leaves_what_was_there(tmp_path: Path) -> None:
    file = tmp_path / "a.bin"
    write_atomic(file, b"before")

    def interrupted() -> None:
        with replacing(file) as opened:
            opened.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert file.read_bytes() == b"before"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.bin"]


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    canary, file = tmp_path / "canary", tmp_path / "report.html"
    canary.write_bytes(b"the only copy")
    file.symlink_to(canary)
    write_atomic(file, b"page")
    assert canary.read_bytes() == b"the only copy"
    assert not file.is_symlink()
    assert file.read_bytes() == b"page"
    link = tmp_path / "link"
    link.symlink_to(canary)
    with pytest.raises(FileExistsError):
        create(link)


def test_nothing_takes_the_place_of_a_device(tmp_path: Path) -> None:
    """`status --prometheus /dev/full`, given by an administrator, made a file of it."""
    try:
        os.mknod(tmp_path / "full", stat.S_IFCHR | 0o600, os.makedev(1, 7))
    except (AttributeError, PermissionError):
        pytest.skip("only an administrator makes devices")
    with pytest.raises(UnsafePath, match="device"):
        write_atomic(tmp_path / "full", b"content")
    assert [file.is_char_device() for file in tmp_path.iterdir()] == [True]


def test_nothing_takes_the_place_of_a_link_among_the_devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`report --single-file /dev/stdout`, given by an administrator, made a file of it for every program."""
    monkeypatch.setattr("redweb_builder.files.DEVICES", tmp_path.resolve())
    link = tmp_path / "stdout"
    link.symlink_to("/proc/self/fd/1")
    with pytest.raises(UnsafePath, match="device"):
        write_atomic(link, b"content")
    assert link.is_symlink()


def test_an_error_names_the_file_and_not_its_temporary(tmp_path: Path) -> None:
    file = tmp_path / "gone" / "report.html"
    with pytest.raises(FileNotFoundError) as caught:
        write_atomic(file, b"content")
    assert caught.value.filename == str(file)


def test_temporary_files_have_a_new_name_each_time(tmp_path: Path) -> None:
    names: list[str] = []
    for _ in range(3):
        with replacing(tmp_path / ("ü" * 120)):  # 240 bytes: no room for an ending
            names += [entry.name for entry in tmp_path.iterdir() if is_temporary(entry.name)]
    assert len(set(names)) == len(names) == 3


def plant(path: Path, kind: str, canary: Path) -> None:
    """Something at a path that must not be written to."""
    if kind == "link":
        path.symlink_to(canary)
    elif kind == "broken link":
        path.symlink_to(canary.with_name("not-there"))
    elif kind == "hard link":
        os.link(canary, path)
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        with socket.socket(socket.AF_UNIX) as opened:
            opened.bind(str(path))


@pytest.mark.timeout(20)
@pytest.mark.parametrize("kind", ["link", "broken link", "hard link", "fifo", "folder", "socket"])
@pytest.mark.parametrize(
    "use", [lambda path: append(path, b"line\n"), open_to_append, lambda path: lock(path).acquire(timeout=0)]
)
def test_nothing_is_appended_or_locked_through_a_link(tmp_path: Path, kind: str, use: Callable[[Path], object]) -> None:
    canary, path = tmp_path / "canary", tmp_path / "set"
    canary.write_bytes(b"the only copy")
    plant(path, kind, canary)
    with pytest.raises(UnsafePath, match=str(path)):
        use(path)
    assert canary.read_bytes() == b"the only copy"
    assert not canary.with_name("not-there").exists()


def test_appended_lines_are_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "lines"
    append(file, b"first\n")
    file.write_bytes(file.read_bytes() + b"torn")
    append(file, b"second\n")
    assert file.read_bytes() == b"first\ntorn\nsecond\n"

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        append(file, b"third\n")
    assert file.read_bytes() == b"first\ntorn\nsecond\n"


@pytest.mark.timeout(20)
def test_only_regular_files_of_a_bounded_size_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "file").write_bytes(bytes(100))
    assert read_regular(tmp_path / "file", 100) == bytes(100)
    for path, most in ((tmp_path / "fifo", 100), (tmp_path / "file", 99)):
        with pytest.raises(UnsafePath, match=path.name):
            read_regular(path, most)


@pytest.mark.parametrize("text", [b"[" * 100_000, b'{"a":' * 100_000, b"{", b"\xff", b""])
def test_json_that_is_none_is_a_value_error(text: bytes) -> None:
    """Nested too deep among it, for which json raises RecursionError."""
    assert parse_json(b'{"a": [1]}') == {"a": [1]}
    with pytest.raises(ValueError, match=r"."):
        parse_json(text)


def test_only_our_own_temporary_files_are_removed(tmp_path: Path) -> None:
    ours = tmp_path / ".redweb-0123456789abcdef.part"
    others = [tmp_path / name for name in ("film.mkv.part", ".redweb-notes.part", ".redweb-0123456789abcdef.part.txt")]
    link = tmp_path / ".redweb-00000000000000ff.part"
    for file in (ours, *others):
        file.write_bytes(b"content")
    link.symlink_to(others[0])
    remove_temporaries(tmp_path)
    assert not ours.exists()
    assert all(file.read_bytes() == b"content" for file in others)
    assert link.is_symlink()


def test_a_temporary_file_that_is_being_written_stays(tmp_path: Path) -> None:
    with replacing(tmp_path / "report.html") as file:
        file.write(b"content")
        remove_temporaries(tmp_path)
    remove_temporaries(tmp_path)
    assert [(entry.name, entry.read_bytes()) for entry in tmp_path.iterdir()] == [("report.html", b"content")]


@pytest.mark.skipif(os.name != "posix", reason="Windows removes no file that is open")
def test_a_file_is_written_whatever_others_remove_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`report` beside a build: once it was made and is not held yet, and once it is about to be renamed."""
    make, rename, made = files_module.create, Path.replace, list[Path]()

    def create_and_lose(file: Path) -> BinaryIO:
        opened = make(file)
        if not made:
            remove_temporaries(tmp_path)
        made.append(file)
        return opened

    def lose_and_rename(file: Path, to: Path) -> Path:
        remove_temporaries(tmp_path)
        return rename(file, to)

    monkeypatch.setattr(files_module, "create", create_and_lose)
    monkeypatch.setattr(Path, "replace", lose_and_rename)
    write_atomic(tmp_path / "manifest.parquet", b"rows")
    assert [(entry.name, entry.read_bytes()) for entry in tmp_path.iterdir()] == [("manifest.parquet", b"rows")]
    assert len(made) == 2


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()

    def interrupted() -> None:
        with replacing_folder(tmp_path / "out") as folder:
            (folder / "half").write_bytes(b"1")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [entry.name for entry in tmp_path.rglob("*")] == ["out"]
    with replacing_folder(tmp_path / "out") as folder:
        (folder / "whole").write_bytes(b"2")
        remove_temporaries(tmp_path)  # it is being written, and stays
    assert sorted(entry.name for entry in tmp_path.rglob("*")) == ["out", "whole"]


@pytest.mark.skipif(os.name != "posix", reason="Windows has no locks of folders: what a killed process left stays")
def test_a_temporary_folder_that_was_left_is_removed_and_no_link_to_one(tmp_path: Path) -> None:
    for name in (".redweb-0123456789abcdef.part", "precious"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_bytes(b"1")
    (tmp_path / ".redweb-00000000000000ff.part").symlink_to(tmp_path / "precious")
    remove_temporaries(tmp_path)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".redweb-00000000000000ff.part", "precious"]
    assert (tmp_path / "precious" / "file").exists()


def test_a_folder_is_not_made_through_a_link(tmp_path: Path) -> None:
    root, outside = tmp_path / "set", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    make_folder(root / "Imgs", root)
    (root / "rejected").symlink_to(outside, target_is_directory=True)
    (root / "RDs").write_bytes(b"")
    for name in ("rejected", "rejected/Imgs", "RDs"):
        with pytest.raises(UnsafePath, match=name):
            make_folder(root / name, root)
    assert not list(outside.iterdir())


WRITERS = {
    "write_text",
    "write_bytes",
    "copyfile",
    "copy2",
    "copytree",
    "FileLock",
    "SoftFileLock",
    "rename",
    "renames",
}
WRITERS_OF = {"os": {"replace", "link", "symlink"}, "shutil": {"copy", "move"}}


def writes(call: ast.Call) -> bool:
    """Whether a call writes, renames or locks a file."""
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    owner = getattr(getattr(call.func, "value", None), "id", "")
    if name == "open":
        values = [*call.args, *(keyword.value for keyword in call.keywords)]
        texts = [value.value for value in values if isinstance(value, ast.Constant) and isinstance(value.value, str)]
        into_opened = any(keyword.arg == "fileobj" for keyword in call.keywords) or (
            owner == "av" and getattr(values[0], "id", "") == "file"  # a film into a file that files.py opened
        )
        return not into_opened and any(set(text) & set("wax+") and set(text) <= set("rwaxbt+") for text in texts)
    renames = name == "replace" and isinstance(call.func, ast.Attribute) and len(call.args) == 1 and not call.keywords
    return name in WRITERS or name in WRITERS_OF.get(owner, ()) or renames


def past_the_door(source: str) -> list[int]:
    """The lines of a module that write without redweb_builder.files."""
    return sorted(node.lineno for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call) and writes(node))


OWN_FILES = {  # what the program or the system made, a file whose size was asked, one that the user runs as a program
    *("networks/weights.py", "review/server.py", "export/dataset.py", "inspect/report.py", "process.py"),
    *("dataset/float_files.py", "trainer/export.py", "readers/eth3d.py", "readers/sintel.py", "segmenter/train.py"),
}


def test_files_that_are_read_whole_have_a_bounded_size(project: Path) -> None:
    """A sparse file of a terabyte is sent in a few bytes."""
    for package in ("redweb_builder", "trainer"):
        for file in (project / package).rglob("*.py"):
            if not file.as_posix().endswith(tuple(OWN_FILES)):
                assert not re.search(r"\.(read_bytes|read_text|readlines)\(", file.read_text()), f"{file}: read_regular"


def test_nothing_else_writes_files(project: Path) -> None:
    wrong = ["p.open('w')", "open(p, mode='ab')", "p.replace(q)", "os.replace(a, b)", "p.write_text('')", "FileLock(p)"]
    right = ["p.open()", "open(p, 'rb')", "t.replace('a', 'b')", "replace(x, y=1)", "x.copy()", "Image.open(p)"]
    assert past_the_door("\n".join([*right, *wrong])) == [7, 8, 9, 10, 11, 12]
    files = [file for package in ("redweb_builder", "trainer") for file in (project / package).rglob("*.py")]
    others = [file for file in files if file != project / "redweb_builder" / "files.py"]
    assert len(others) > 100
    assert {str(file): lines for file in others if (lines := past_the_door(file.read_text(encoding="utf-8")))} == {}


def test_a_second_name_that_is_there_already_leaves_no_third(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    for _ in range(2):
        link_or_copy(tmp_path / "a", tmp_path / "b")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a", "b"]


@pytest.mark.parametrize("moment", ["made", "opened"])
def test_a_new_folder_that_another_process_took_for_left_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Workers that start at once on one machine share the folder for temporary files, and each looks for such."""
    hold, folder_of = files_module._hold, files_module._temporary
    made: list[Path] = []

    def remove() -> None:
        if len(made) == 1:
            made[0].rmdir()

    def named(path: Path) -> Path:
        made.append(folder_of(path))
        return made[-1]

    def held(descriptor: int) -> bool:
        if moment == "opened":
            remove()
        return hold(descriptor)

    make = Path.mkdir

    def mkdir(self: Path, mode: int = 0o777) -> None:
        make(self, mode)
        if moment == "made":
            remove()

    monkeypatch.setattr(files_module, "_temporary", named)
    monkeypatch.setattr(files_module, "_hold", held)
    monkeypatch.setattr(Path, "mkdir", mkdir)
    with scratch_folder(tmp_path) as folder:
        assert folder == made[1]
        (folder / "file").write_bytes(b"")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
@pytest.mark.parametrize("write", ["write_atomic(path, b'0' * 9000)", "append(path, b'0' * 9000)"])
def test_a_file_that_may_not_grow_is_named(tmp_path: Path, write: str) -> None:
    """And what was there stays: the limit of `ulimit -f` is of one file, which Python does not say."""
    path = tmp_path / "file"
    path.write_bytes(b"before\n")
    code = f"""
import resource
from pathlib import Path
from redweb_builder.commands.errors import errors_for_people
from redweb_builder.files import append, write_atomic
path = Path({str(path)!r})
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    with errors_for_people():
        {write}
except Exception as error:
    print(error)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=False)
    assert ended.stdout.strip() == f"{path} would be larger than a file may be here (`ulimit -f`, or the file system)"
    assert path.read_bytes() == b"before\n"
