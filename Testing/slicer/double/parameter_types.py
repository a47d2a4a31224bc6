"""How the stand-in of the parameter node wrapper stores one parameter in a vtkMRMLScriptedModuleNode, and checks it."""

from __future__ import annotations

import enum
import pathlib
import types
import typing
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

import slicer


@dataclass(frozen=True)
class WithinRange:
    minimum: float
    maximum: float

    def validate(self, value: float) -> None:
        _require(self.minimum <= value <= self.maximum, f"{value} is outside of {self.minimum} to {self.maximum}")


@dataclass(frozen=True)
class Minimum:
    minimum: float

    def validate(self, value: float) -> None:
        _require(value >= self.minimum, f"{value} is below {self.minimum}")


@dataclass(frozen=True)
class Maximum:
    maximum: float

    def validate(self, value: float) -> None:
        _require(value <= self.maximum, f"{value} is above {self.maximum}")


@dataclass(frozen=True)
class Choice:
    choices: Collection[Any]

    def validate(self, value: object) -> None:
        _require(value in self.choices, f"{value} is none of {self.choices}")


@dataclass(frozen=True)
class Default:
    value: Any = None


@dataclass(frozen=True)
class Decimals:
    value: int


@dataclass(frozen=True)
class SingleStep:
    value: float


VALIDATORS = (WithinRange, Minimum, Maximum, Choice)


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ValueError(message)


def split_annotated(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return a type without its annotations, and these; `A | B` becomes `Union[A, B]`."""
    kind, *annotations = typing.get_args(Annotated[hint, None])
    if isinstance(kind, types.UnionType):
        kind = typing.Union[typing.get_args(kind)]  # noqa: UP007 - is evaluated
    return kind, tuple(annotations[:-1])


def is_node_class(kind: Any) -> bool:
    """Whether a type is a class of MRML nodes."""
    return isinstance(kind, type) and issubclass(kind, slicer.vtkMRMLNode)


class Serializer(Protocol):
    """Reads and writes one type."""

    default: Any

    def check(self, value: Any) -> None: ...
    def is_in(self, node: slicer.vtkMRMLScriptedModuleNode, name: str) -> bool: ...
    def write(self, node: slicer.vtkMRMLScriptedModuleNode, name: str, value: Any) -> None: ...
    def read(self, node: slicer.vtkMRMLScriptedModuleNode, name: str) -> Any: ...
    def remove(self, node: slicer.vtkMRMLScriptedModuleNode, name: str) -> None: ...


class AsText:
    """Numbers, texts, paths and enumerators, as the text of a parameter."""

    def __init__(
        self, kinds: tuple[type, ...], default: Any, decode: Callable[[str], Any], encode: Callable[[Any], str] = str
    ) -> None:
        self.kinds, self.default, self._decode, self._encode = kinds, default, decode, encode

    def check(self, value: Any) -> None:
        _require(value is not None, "None is no value of this parameter")
        if not isinstance(value, self.kinds):
            message = f"{value!r} is no {self.kinds[-1].__name__}"
            raise TypeError(message)

    def is_in(self, node: slicer.vtkMRMLScriptedModuleNode, name: str) -> bool:
        return bool(node.HasParameter(name))

    def write(self, node: slicer.vtkMRMLScriptedModuleNode, name: str, value: Any) -> None:
        node.SetParameter(name, self._encode(value))

    def read(self, node: slicer.vtkMRMLScriptedModuleNode, name: str) -> Any:
        return self._decode(node.GetParameter(name))

    def remove(self, node: slicer.vtkMRMLScriptedModuleNode, name: str) -> None:
        node.UnsetParameter(name)


class AsReference(AsText):
    """A MRML node as a node reference of the parameter node, beside an empty parameter that says that it is there."""

    def __init__(self, kind: type) -> None:
        super().__init__((kind,), None, str)

    def check(self, value: Any) -> None:
        if value is not None:
            super().check(value)

    def write(self, node: slicer.vtkMRMLScriptedModuleNode, name: str, value: Any) -> None:
        node.SetParameter(name, "")
        node.SetNodeReferenceID(name, None if value is None else value.GetID())

    def read(self, node: slicer.vtkMRMLScriptedModuleNode, name: str) -> Any:
        return node.GetNodeReference(name)

    def remove(self, node: slicer.vtkMRMLScriptedModuleNode, name: str) -> None:
        super().remove(node, name)
        node.RemoveNodeReferenceIDs(name)


class AsNone(AsText):
    """The member None of a union."""

    def __init__(self) -> None:
        super().__init__((type(None),), None, lambda _text: None, lambda _value: "True")

    def check(self, value: Any) -> None:
        _require(value is None, f"{value!r} is not None")


class AsMember:
    """One of several types: member number N is stored under "<name>.N"."""

    def __init__(self, members: list[Serializer]) -> None:
        self._members = members
        is_optional = len(members) == 2 and isinstance(members[1], AsNone)
        self.default = None if is_optional else members[0].default

    def check(self, value: Any) -> None:
        self._member_for(value)

    def _member_for(self, value: Any) -> int:
        for index, member in enumerate(self._members):
            if isinstance(value, member.kinds):
                return index
        message = f"{value!r} has none of the types of this parameter"
        raise TypeError(message)

    def is_in(self, node: slicer.vtkMRMLScriptedModuleNode, name: str) -> bool:
        return any(member.is_in(node, f"{name}.{index}") for index, member in enumerate(self._members))

    def write(self, node: slicer.vtkMRMLScriptedModuleNode, name: str, value: Any) -> None:
        index = self._member_for(value)
        with slicer.util.NodeModify(node):
            self.remove(node, name)
            self._members[index].write(node, f"{name}.{index}", value)

    def read(self, node: slicer.vtkMRMLScriptedModuleNode, name: str) -> Any:
        for index, member in enumerate(self._members):
            if member.is_in(node, f"{name}.{index}"):
                return member.read(node, f"{name}.{index}")
        raise KeyError(name)

    def remove(self, node: slicer.vtkMRMLScriptedModuleNode, name: str) -> None:
        for index, member in enumerate(self._members):
            member.remove(node, f"{name}.{index}")


def serializer_of(kind: Any) -> Serializer:
    """Return what stores a type.

    Raises
    ------
    TypeError
        If the stand-in does not know the type.
    """
    simple = {
        bool: AsText((bool,), False, lambda text: text == "True"),
        int: AsText((int,), 0, int),
        float: AsText((int, float), 0.0, float),
        str: AsText((str,), "", str),
        pathlib.Path: AsText((pathlib.Path,), pathlib.Path(), pathlib.Path),
        type(None): AsNone(),
    }
    if kind in simple:
        return simple[kind]
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return AsText((kind,), next(iter(kind)), lambda text: _enumerator(kind, text), lambda value: value.name)
    if is_node_class(kind):
        return AsReference(kind)
    if typing.get_origin(kind) is typing.Union:
        return AsMember([serializer_of(split_annotated(member)[0]) for member in typing.get_args(kind)])
    message = f"the stand-in of the parameter node wrapper does not know the type {kind}"
    raise TypeError(message)


def _enumerator(kind: type[enum.Enum], name: str) -> enum.Enum:
    _require(name in kind.__members__, f"{name!r} is no name in {kind.__name__}")
    return kind[name]
