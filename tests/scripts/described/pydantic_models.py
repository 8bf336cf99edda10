"""Described by pydantic models, of version 2 and of version 1; Python 3.8 can read it."""

import datetime
from typing import Dict, List, Optional, Tuple, Union

import pydantic
import pydantic.v1


class Node(pydantic.BaseModel):
    """A node of a tree."""

    value: int = pydantic.Field(gt=0, le=100, description="Weight.", examples=[3])
    children: List["Node"] = []
    pair: Tuple[int, str]
    seen: Optional[datetime.datetime] = None


class Leaf(pydantic.v1.BaseModel):
    weight: float = pydantic.v1.Field(1.0, gt=0)
    label: Optional[str]
    pair: Tuple[int, str]


class Twig(pydantic.v1.BaseModel):
    leaf: Leaf
    kind: str = pydantic.v1.Field("oak", const=True)


def init():
    pass


def run(data: Dict[str, Union[Node, List[Twig]]]) -> Node:
    return Node(value=1, pair=(1, "a"))
