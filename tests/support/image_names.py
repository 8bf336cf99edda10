"""Names that images can have, and names they cannot, as docker sees it."""

from __future__ import annotations

NAMES = [
    "scorehost-names",
    "scorehost-names:1",
    "scorehost__names",
    "scorehost--names.c_d",
    "host:5000/scorehost-names/model:v1_.-",
    "registry.example.com/scorehost-names/b_c",
    "Registry.example.com/scorehost-names",
    "localhost/scorehost-names",
    "n" * 237,
    f"scorehost/{'n' * 235}",
    f"localhost/{'n' * 245}",
]

NO_NAMES = [
    "",
    "a..b",
    "a___b",
    "a.-b",
    "a-",
    "-a/b",
    "a_/b",
    "a:ü",
    "a:1:2",
    "a/",
    "a//b",
    "a.b-/c",
    "Team",
    "a" * 64,
    "a" * 238,
    f"a/{'a' * 244}",
    f"localhost/{'a' * 246}",
    f"a@sha256:{'a' * 64}",
]
