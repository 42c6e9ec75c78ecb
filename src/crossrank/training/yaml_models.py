"""YAML files read into pydantic models; every mistake is named by its line and place."""

import difflib
import re
from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from crossrank.errors import InputError


class Section(BaseModel):
    """A part of a file: no unknown keys, no values of other types, no NaN."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


AnySection = TypeVar("AnySection", bound=Section)
Place = tuple[int | str, ...]


def read_yaml(path: Path, section: type[AnySection]) -> AnySection:
    """Read a file.

    Args:
        path: The file. Validators find its folder in their context, as ``"folder"``.
        section: What it must hold.

    Raises:
        InputError: The file cannot be read, is no YAML, or does not hold that; the message names
            every mistake by line and place, and the nearest known key where one is unknown.
    """
    try:
        loader = _Loader(path.read_text(encoding="utf-8"))
        node = loader.get_single_node()
        data = {} if node is None else loader.construct_document(node)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InputError(f"{path}, line {line}: {error.problem or 'not YAML'}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise InputError(f"{path}: not YAML: {error}") from error
    try:
        return section.model_validate(data, context={"folder": path.absolute().parent})
    except ValidationError as error:
        mistakes = _mistakes(section, node, error)
        several = "\n".join([":", *mistakes]) if len(mistakes) > 1 else f", {mistakes[0]}"
        raise InputError(f"{path}{several}") from error


class _Loader(yaml.SafeLoader):
    """YAML with plain values only, each key once, and ``2e-5`` a number."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep=deep)
        except ValueError as error:  # of a date or a number that is none
            raise yaml.MarkedYAMLError(problem=str(error), problem_mark=node.start_mark) from error

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {key.value!r} is there twice", problem_mark=key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


_Loader.add_implicit_resolver(  # YAML 1.1 asks for a point in numbers with an exponent
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d[\d_]*[eE][-+]?\d+"), list("-+0123456789")
)


def _mistakes(section: type[Section], node: yaml.Node | None, error: ValidationError) -> list[str]:
    """Say in a line each, in the order of the file, where the mistakes are and what is wrong."""
    # A value that may be of several types is refused once for each of them: once is enough.
    found = {_find(node, mistake["loc"]): mistake for mistake in reversed(error.errors())}
    return [
        f"line {line}: {'.'.join(names)}{': ' if names else ''}{_problem(section, names, mistake)}"
        for (line, names), mistake in sorted(found.items(), key=lambda entry: entry[0])
    ]


def _problem(section: type[Section], names: Sequence[str], error: Any) -> str:
    """Say what is wrong at a place."""
    if error["type"] == "extra_forbidden":
        return f"unknown; {_nearest(section, error['loc'], names)}"
    if error["type"] == "missing":
        return "is required"
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    wanted = re.sub("^Input should be", "must be", error["msg"])
    return f"{wanted.replace('dictionary', 'mapping')}, received {error['input']!r:.60}"


def _find(node: yaml.Node | None, place: Place) -> tuple[int, tuple[str, ...]]:
    """Give the line of a place, or of the part of it that is there, and its names as written."""
    line = node.start_mark.line + 1 if node else 1
    names: list[str] = []
    for part in place:
        if isinstance(node, yaml.MappingNode) and isinstance(part, str):
            names.append(part)
            found = {key.value: (key, value) for key, value in node.value}.get(part)
            if found is None:  # what is required and not there
                break
            key, node = found
            line = key.start_mark.line + 1
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            names.append(str(part + 1))
            node = node.value[part]
            line = node.start_mark.line + 1
    return line, tuple(names)


def _nearest(section: type[Section], place: Place, names: Sequence[str]) -> str:
    """Name the known key that an unknown one is most like: here, else anywhere in the file."""
    here: Any = section
    for part in place[:-1]:
        here = _inside(here, part)
    unknown = str(place[-1])
    near = difflib.get_close_matches(unknown, here.model_fields, n=1)
    if near:
        return f"did you mean {near[0]}?"
    elsewhere = {known.rpartition(".")[2]: known for known in _all_names(section)}
    near = difflib.get_close_matches(unknown, elsewhere, n=1)
    if near:
        return f"did you mean {elsewhere[near[0]]}?"
    return (
        f"known {'in ' + names[-2] if len(names) > 1 else 'here'}: {', '.join(here.model_fields)}"
    )


def _inside(annotation: Any, part: int | str) -> Any:
    """Give the type of what a type holds under a key; a section, where there is one."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        annotation = annotation.model_fields[str(part)].annotation
    else:
        annotation = get_args(annotation)[-1]  # of a dict or a list
    options = [option for option in get_args(annotation) if option is not type(None)]
    return options[0] if get_origin(annotation) not in (dict, list) and options else annotation


def _all_names(section: type[Section], prefix: str = "") -> Iterator[str]:
    for name in section.model_fields:
        yield prefix + name
        inner: Any = _inside(section, name)
        while get_origin(inner) in (dict, list):
            inner = get_args(inner)[-1]
        if isinstance(inner, type) and issubclass(inner, Section):
            yield from _all_names(inner, f"{prefix}{name}.")
