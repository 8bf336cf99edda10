"""Names of images, by the grammar that every engine uses.

See https://github.com/distribution/reference. A part before the first slash that has a dot or a
colon is a registry's address, which may have capital letters; nothing else may.
"""

from __future__ import annotations

import re

from scorehost.errors import UsageError

_WORD = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_REGISTRY = rf"(?=[^/]*[.:]|localhost/){_LABEL}(?:\.{_LABEL})*(?::[0-9]+)?"
_REPOSITORY = rf"(?:(?P<registry>{_REGISTRY})/)?(?P<path>{_WORD}(?:/{_WORD})*)"
_TAG = r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?"
_DIGEST = r"(?:@[a-z0-9]+(?:[+._-][a-z0-9]+)*:[0-9a-fA-F]{32,})?"

_NAME = re.compile(_REPOSITORY + _TAG)
_REFERENCE = re.compile(_REPOSITORY + _TAG + _DIGEST)
_ID = re.compile(r"(?:sha256:)?[0-9a-f]{64}")

LONGEST = 255
"""How many characters a name may have, including its registry and without its tag."""

WITHOUT_REGISTRY, WITHOUT_FOLDER = 10, 8
"""How many characters engines prepend to a name without a registry, or also without a folder."""


def is_name(text: str) -> bool:
    """Whether an image can have this name: with or without a tag, and never a digest."""
    found = _NAME.fullmatch(text)
    if found is None or _ID.fullmatch(text):
        return False
    registry, path = found["registry"], found["path"]
    if registry:
        return len(f"{registry}/{path}") <= LONGEST
    return WITHOUT_REGISTRY + (0 if "/" in path else WITHOUT_FOLDER) + len(path) <= LONGEST


def check_tag(tag: str) -> None:
    """Refuse a name that an engine refuses."""
    if not is_name(tag):
        lowered = tag.lower()
        hint = f" Did you mean {lowered}?" if is_name(lowered) else ""
        raise UsageError(
            f"-t {tag} is not a valid image name. Use lower-case letters and digits, joined by a "
            "single . or _, by __ or by -; separate folders with /; a colon and a tag may follow: "
            f"my-model:1.{hint}"
        )


def is_reference(text: str) -> bool:
    """Whether an image can be found by this: a name, with or without tag and digest, or an id."""
    return bool(_REFERENCE.fullmatch(text) or _ID.fullmatch(text))


def check_base_image(reference: str) -> None:
    """Refuse a base image's name that no engine accepts."""
    if not is_reference(reference):
        raise UsageError(
            f"--base-image {reference!r} is not a valid image name. Use inference-cpu, "
            "inference-gpu, or the name and tag of an image built on one of them."
        )
