"""Files written by people: parsed into typed values, with errors that name file, line, field, finding and rule."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
import yaml

from schemas.units import decode_hook

T = TypeVar("T")

_AT_PATH = re.compile(r"^(?P<what>.*?)(?: - at `(?P<path>\$[^`]*)`)?$", re.DOTALL)
_SEGMENT = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")
_MISSING = re.compile(r"Object missing required field `(?P<field>[^`]+)`")
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<field>[^`]+)`")
_EXPECTED = re.compile(r"Expected `(?P<allowed>[^`]+)`(?:, got `(?P<got>[^`]+)`)?")
_WORDS = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "list": "a list",
    "object": "fields with values",
    "dict": "fields with values",
}
"""What msgspec and Python call a type, in the words of people who write files."""

DOCUMENT_BYTES_MAX = 256 * 1024
DEPTH_MAX = 20


class FileError(ValueError):
    """A file is wrong. One line says all: ``FILE:LINE: FIELD: what was found; what is allowed``."""

    def __init__(self, *, file: str, line: int, field: str, what: str) -> None:
        super().__init__(f"{file}:{line}: {field}: {what}")
        self.file, self.line, self.field, self.what = file, line, field, what

    def __reduce__(self) -> tuple[Callable[..., FileError], tuple[str, int, str, str]]:
        """Made again by name in another process: an exception is pickled with its message alone."""
        return _again, (self.file, self.line, self.field, self.what)


def _again(file: str, line: int, field: str, what: str) -> FileError:
    return FileError(file=file, line=line, field=field, what=what)


class RuleError(ValueError):
    """A rule between fields is broken. ``path`` is a JSON path such as ``$.metrics[0].margin``."""

    def __init__(self, path: str, what: str) -> None:
        super().__init__(f"{what} - at `{path}`")
        self.path, self.what = path, what


def parse_document(text: str, kind: type[T], *, file: str, rules: Callable[[T], None]) -> T:
    """Parse YAML (JSON is YAML too) into a msgspec type and check the rules between its fields.

    Parameters
    ----------
    text : the document, at most 256 KiB.
    kind : a msgspec.Struct with ``forbid_unknown_fields``.
    file : the name to use in errors.
    rules : raises :class:`RuleError` at the first rule that does not hold.

    Raises
    ------
    FileError : naming file, line, field, what was found and what is allowed.
    """
    if len(text) > DOCUMENT_BYTES_MAX:
        what = f"found {len(text)} characters; allowed are {DOCUMENT_BYTES_MAX}"
        raise FileError(file=file, line=1, field="the document", what=what)
    tree, loaded = _loaded(text, file)
    try:
        value = msgspec.convert(loaded, kind, dec_hook=decode_hook)
        rules(value)
    except msgspec.ValidationError as error:
        raise _located(str(error), tree, file, kind) from error
    except RuleError as error:
        raise FileError(
            file=file, line=_line_of(tree, error.path), field=_field(error.path), what=error.what
        ) from error
    return value


def _loaded(text: str, file: str) -> tuple[yaml.Node, Any]:
    try:
        _refuse_aliases(text, file)
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        _refuse_doubles(tree, file)
        loaded = yaml.safe_load(text)
    except FileError:
        raise
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise FileError(file=file, line=line, field="the document", what=f"not valid YAML: {error.problem}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        what = f"not valid YAML: {' '.join(str(error).split())}"
        raise FileError(file=file, line=1, field="the document", what=what) from error
    if tree is None:
        what = "found nothing; allowed are fields with values"
        raise FileError(file=file, line=1, field="the document", what=what)
    return tree, loaded


def _refuse_aliases(text: str, file: str) -> None:
    """A few lines of aliases of aliases unfold into more than any memory holds, and plans come in over HTTP."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.AliasEvent):
            what = f"found the alias *{event.anchor}; allowed are no aliases, write it out"
            raise FileError(file=file, line=line, field="the document", what=what)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEPTH_MAX:
            what = f"found more than {DEPTH_MAX} levels; allowed are {DEPTH_MAX}"
            raise FileError(file=file, line=line, field="the document", what=what)


def _refuse_doubles(node: yaml.Node | None, file: str) -> None:
    """YAML lets a key stand twice and silently keeps the last: in a plan that would hide a margin."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                line = key.start_mark.line + 1
                what = "found a list or fields as the name of a field; allowed is text"
                raise FileError(file=file, line=line, field="the document", what=what)
            if key.value in seen:
                line = key.start_mark.line + 1
                raise FileError(file=file, line=line, field=str(key.value), what="found twice; allowed once")
            seen.add(key.value)
            _refuse_doubles(value, file)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            _refuse_doubles(value, file)


def _located(message: str, tree: yaml.Node, file: str, kind: type) -> FileError:
    match = _AT_PATH.match(message)
    what, path = (match["what"], match["path"] or "$") if match else (message, "$")
    found = _scalar_at(tree, path)
    if missing := _MISSING.search(what):
        path = f"{path}.{missing['field']}"
        choices = _choices_at(kind, path, tree)
        what = "missing; it is required" + (f": {' or '.join(choices)}" if choices else "")
    elif unknown := _UNKNOWN.search(what):
        allowed = ", ".join(_fields_at(kind, path, tree))
        path, what = (
            f"{path}.{unknown['field']}",
            "unknown field" + (f"; allowed are {allowed}" if allowed else ""),
        )
    elif what.startswith(("Invalid value", "Invalid enum value")):
        choices = _choices_at(kind, path, tree)
        what = f"found {found!r}" + (f"; allowed are {', '.join(choices)}" if choices else "")
    elif expected := _EXPECTED.fullmatch(what):
        what = _mistyped(expected["allowed"], expected["got"] or "", found)
    elif "RFC3339 encoded date" in what:
        what = f"found {found!r}; allowed is a day such as 2026-12-24"
    elif found is not None and "found" not in what:
        what = f"found {found!r}; {what[0].lower()}{what[1:]}"
    return FileError(file=file, line=_line_of(tree, path), field=_field(path), what=what)


def _mistyped(allowed: str, got: str, found: str | None) -> str:
    words = [_WORDS.get(name, name) for name in allowed.split(" | ") if name != "null"]
    if found is None:
        return f"found {_WORDS.get(got, 'something else')}; allowed is {' or '.join(words)}"
    # YAML reads 1.0, yes and 2026-01-01 as something else than text, and nobody expects that of a version.
    quotes = ", in quotes" if found and "text" in words else ""
    return f"found {found!r}; allowed is {' or '.join(words)}{quotes}"


def _field(path: str) -> str:
    return path.removeprefix("$").removeprefix(".") or "the document"


def _steps(path: str) -> list[str | int]:
    return [name or (0 if index == "..." else int(index)) for name, index in _SEGMENT.findall(path)]


def _line_of(tree: yaml.Node, path: str) -> int:
    """The line of the deepest node on ``path`` that the document has."""
    node, line = tree, tree.start_mark.line
    for step in _steps(path):
        below = _child(node, step)
        if below is None:
            break
        line, node = below
    return line + 1


def _scalar_at(tree: yaml.Node, path: str) -> str | None:
    node: yaml.Node | None = tree
    for step in _steps(path):
        below = _child(node, step) if node is not None else None
        node = below[1] if below else None
    if isinstance(node, yaml.ScalarNode):
        return str(node.value)
    return None


def _child(node: yaml.Node, step: str | int) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == step:
                return key.start_mark.line, value
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step].start_mark.line, node.value[step]
    return None


def _type_at(kind: Any, path: str, tree: yaml.Node) -> Any:
    """The msgspec type that stands at ``path``, to list what is allowed there."""
    info: Any = msgspec.inspect.type_info(kind)
    node: yaml.Node | None = tree
    for step in _steps(path):
        info = _chosen(info, node)
        if isinstance(info, msgspec.inspect.StructType):
            info = next((f.type for f in info.fields if f.encode_name == step), None)
        elif isinstance(info, msgspec.inspect.ListType | msgspec.inspect.VarTupleType):
            info = info.item_type
        else:
            return None
        below = _child(node, step) if node is not None else None
        node = below[1] if below else None
    return _chosen(info, node)


def _chosen(info: Any, node: yaml.Node | None) -> Any:
    """Of a tagged union, the member that the document names."""
    if not isinstance(info, msgspec.inspect.UnionType):
        return info
    structs = [t for t in info.types if isinstance(t, msgspec.inspect.StructType)]
    if len(structs) == 1:
        return structs[0]
    for struct in structs:
        tag = _child(node, struct.tag_field or "") if node is not None else None
        if tag and getattr(tag[1], "value", None) == struct.tag:
            return struct
    return info


def _fields_at(kind: Any, path: str, tree: yaml.Node) -> list[str]:
    info = _type_at(kind, path, tree)
    return [f.encode_name for f in info.fields] if isinstance(info, msgspec.inspect.StructType) else []


def _choices_at(kind: Any, path: str, tree: yaml.Node) -> list[str]:
    info = _type_at(kind, path, tree)
    members = info.types if isinstance(info, msgspec.inspect.UnionType) else (info,)
    if literals := [t for t in members if isinstance(t, msgspec.inspect.LiteralType)]:
        return [str(value) for literal in literals for value in literal.values]
    parent_path, _, last = path.rpartition(".")
    parent = _type_at(kind, parent_path, tree)
    if isinstance(parent, msgspec.inspect.UnionType):
        structs = [t for t in parent.types if isinstance(t, msgspec.inspect.StructType)]
        return [str(s.tag) for s in structs if s.tag_field == last]
    return []
