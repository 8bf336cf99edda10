"""The support that runs documents: it must not let a wrong document pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.documents import Command, Reader, alike, blocks, commands

DOCUMENT = """\
Text.

```python title=app/score.py
x = 1
```

```console
$ cat app/score.py
x = 1
$ echo one \\
    two
one two
```

```sh
false
```
"""


def test_blocks_and_commands():
    """Fences give blocks, prompts give commands with what is seen below them."""
    file, console, shell = blocks(DOCUMENT)

    assert (file.language, file.title, file.body) == ("python", "app/score.py", "x = 1\n")
    assert shell.language == "sh"
    assert list(commands(console.body)) == [
        Command("cat app/score.py", "x = 1"),
        Command("echo one \\\n    two", "one two"),
    ]


def test_follow(tmp_path: Path):
    """Files are written, console commands run, other blocks left alone."""
    assert Reader(tmp_path).follow(DOCUMENT) == 2


def test_a_wrong_document_fails(tmp_path: Path):
    """What is shown and not seen fails, with both in the message."""
    with pytest.raises(AssertionError, match="the document shows\nthree"):
        Reader(tmp_path).type(Command("echo four", "three"))


@pytest.mark.parametrize(
    ("expected", "seen"),
    [
        ("a", "a"),
        ("", "anything"),
        ("it took … ms", "it took 12 ms"),
        ('{"a": [1.0, "x"]}', '{"a":[1.01,"x"]}'),
        ('{"a": 1.0}\n{"a": 2.0}', '{"a":1.0}\n{"a":2.01}'),
    ],
)
def test_alike(expected: str, seen: str):
    assert alike(expected, seen)


@pytest.mark.parametrize(
    ("expected", "seen"),
    [
        ("a", "b"),
        ("a", ""),
        ("it took … ms", "it took 12 s"),
        ('{"a": [1.0]}', '{"a":[1.2]}'),
        ('{"a": [1.0]}', '{"a":[1.0,1.0]}'),
        ('{"a": 1}', '{"a":2}'),
        ('{"a": 1}', '{"b":1}'),
        ('{"a": 1.0}', '{"a":1.0}\n{"a":1.0}'),
        ('{"a": true}', '{"a":1}'),
    ],
)
def test_not_alike(expected: str, seen: str):
    assert not alike(expected, seen)
