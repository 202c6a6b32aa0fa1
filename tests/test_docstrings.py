"""Every argument of a public function, method or dataclass is described, by its name.

The files are read as text, nothing is imported. The place is a docstring: the function's own; the class's, or that of
the method of a base class which it replaces; or a list "name: what it is." in the head of the file. A field may have a
comment instead. Options of click commands have their help, names that begin with _ are not used.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("redweb_builder", "trainer", "samples")
SPECIAL = ("__init__", "__call__", "__getitem__", "__contains__")  # the others are given what Python decides

Classes = dict[str, ast.ClassDef]
Callee = tuple[str, list[str], str]  # name, arguments, the docstrings that may describe them


def undescribed(source: str, classes: Classes) -> list[str]:
    """ "function(argument)" for each argument that nothing describes. classes: of all files, by name."""
    tree = ast.parse(source)
    head = ast.get_docstring(tree) or ""
    return [
        f"{name}({argument})"
        for name, arguments, text in _callees(tree, classes, source.splitlines())
        for argument in arguments
        if not argument.startswith("_")
        and not re.search(rf"\b{argument}\b", text)
        and not re.search(rf"\b{argument}\b(,\s+\w+)*:\s", head)
    ]


def _callees(tree: ast.Module, classes: Classes, lines: list[str]) -> Iterator[Callee]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and not _has(node, "command"):
            yield node.name, _arguments(node), ast.get_docstring(node) or ""
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            described = ast.get_docstring(node) or ""
            if _has(node, "dataclass"):
                yield node.name, [name for name, line in _fields(node) if "#" not in lines[line - 1]], described
            for name, method in _methods(node).items():
                if name in SPECIAL or not name.startswith("_"):
                    places = (node, method, *_replaced(node, name, classes))
                    text = " ".join(ast.get_docstring(place) or "" for place in places)
                    yield f"{node.name}.{name}", _arguments(method)[1:], text


def _replaced(node: ast.ClassDef, method: str, classes: Classes) -> Iterator[ast.FunctionDef | ast.ClassDef]:
    for base in (classes[ast.unparse(base)] for base in node.bases if ast.unparse(base) in classes):
        yield base
        if method in _methods(base):
            yield _methods(base)[method]
        yield from _replaced(base, method, classes)


def _has(node: ast.FunctionDef | ast.ClassDef, decorator: str) -> bool:
    return any(decorator in ast.unparse(each) for each in node.decorator_list)


def _methods(node: ast.ClassDef) -> dict[str, ast.FunctionDef]:
    return {item.name: item for item in node.body if isinstance(item, ast.FunctionDef)}


def _fields(node: ast.ClassDef) -> list[tuple[str, int]]:
    return [
        (item.target.id, item.lineno)
        for item in node.body
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
    ]


def _arguments(function: ast.FunctionDef) -> list[str]:
    parts = function.args
    packed = [part for part in (parts.vararg, parts.kwarg) if part is not None]
    return [part.arg for part in (*parts.posonlyargs, *parts.args, *parts.kwonlyargs, *packed)]


def test_every_argument_of_a_public_function_is_described() -> None:
    files = [file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))]
    sources = {file.relative_to(ROOT).as_posix(): file.read_text(encoding="utf-8") for file in files}
    classes = {
        node.name: node for text in sources.values() for node in ast.parse(text).body if isinstance(node, ast.ClassDef)
    }
    missing = [f"{file}: {name}" for file, text in sources.items() for name in undescribed(text, classes)]
    assert not missing, f"{len(missing)} arguments are described nowhere:\n" + "\n".join(missing)


def test_an_argument_that_nothing_describes_is_found() -> None:
    source = '''"""Head. given: in the head."""
def described(given: int, own: int, none: int) -> None:
    """What it does. own: in px."""
class Base:
    """Base."""
    def method(self, inherited: int, none: int) -> None:
        """inherited: here."""
class Child(Base):
    """Child."""
    def method(self, inherited: int, none: int) -> None:
        """As Base."""
'''
    classes = {node.name: node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)}
    assert undescribed(source, classes) == ["described(none)", "Base.method(none)", "Child.method(none)"]
