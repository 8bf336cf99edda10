"""What is asked of rattler, in a process of its own: ``python -m scorehost.images.rattler_tool``.

rattler takes proxies and certificates from the environment of its process, and works in threads of
its own. The question is a JSON object on standard input; the answer is one on standard output.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import rattler
from rattler.exceptions import SolverError

SERVER_MAY_HAVE = {"__linux": "5.10", "__unix": "0"}
"""Virtual packages that every image has: a Linux of these years."""


PLATFORM: Any = getattr(rattler, "Subdir", None) or rattler.Platform  # renamed in 0.27 or 0.28


def main() -> NoReturn:
    """Answer one question, and end the process."""
    question = json.load(sys.stdin)
    try:
        answer = asyncio.run(answered(question))
    except SolverError as error:
        answer = {"none_fits": str(error)}
    except (AttributeError, NameError, TypeError):
        raise  # a fault of ours, or a change of rattler's
    except Exception as error:  # rattler has a dozen kinds, for networks, files and formats
        answer = {"failed": f"{error}" or type(error).__name__}
    json.dump(answer, sys.stdout)
    sys.stdout.flush()
    os._exit(0)  # otherwise a thread of rattler's that still runs may abort Python on its way out


async def answered(question: dict[str, Any]) -> dict[str, Any]:
    """Choose packages, and install them if a folder is named."""
    records = await chosen(question)
    if question["folder"]:
        await rattler.install(
            records,
            question["folder"],
            cache_dir=Path(question["cache"], "packages"),
            platform=PLATFORM(question["subdir"]),
            alternative_target_prefix=question["prefix"],
            show_progress=False,
        )
        leave_out_this_machine(Path(question["folder"], "conda-meta"))
    return {"packages": [described(record) for record in records]}


async def chosen(question: dict[str, Any]) -> list[Any]:
    """A set of packages that meets the specifications.

    As conda does it by default, a channel that comes earlier wins; a package's version from a later
    one is taken only if there is no set otherwise.
    """
    gateway = rattler.Gateway(cache_dir=Path(question["cache"], "channels"))
    virtual = {**SERVER_MAY_HAVE, **question["virtual"]}
    platforms = [question["subdir"], "noarch"]
    preferred: list[Any] = []
    if question["preferred"]:
        found = await gateway.query(
            question["channels"], platforms, question["preferred"], recursive=False
        )
        preferred = [record for records in found for record in records]

    async def solved(priority: rattler.ChannelPriority) -> list[Any]:
        return await rattler.solve(
            question["channels"],
            [rattler.MatchSpec(spec, strict=False) for spec in question["specs"]],
            gateway=gateway,
            platforms=platforms,
            locked_packages=preferred,
            virtual_packages=[virtual_package(*pair) for pair in virtual.items()],
            channel_priority=priority,
        )

    try:
        return await solved(rattler.ChannelPriority.Strict)
    except SolverError:
        return await solved(rattler.ChannelPriority.Disabled)


def virtual_package(name: str, version: str) -> Any:
    """A fact about an image, such as its C library, in the form in which packages depend on it."""
    build: Any = getattr(rattler, "BuildString", str)("0")  # a class of its own since 0.28
    return rattler.GenericVirtualPackage(rattler.PackageName(name), rattler.Version(version), build)


def described(record: Any) -> dict[str, str]:
    """What a build needs to know of a package."""
    return {
        "name": record.name.normalized,
        "version": str(record.version),
        "build": str(record.build),
        "url": without_password(record.url),
        "sha256": record.sha256.hex() if record.sha256 else "",
    }


def leave_out_this_machine(records: Path) -> None:
    """Take out of the packages' records where they were on this machine, and any password."""
    for file in records.glob("*.json"):
        record = json.loads(file.read_text("utf-8"))
        for key in ("extracted_package_dir", "package_tarball_full_path", "link"):
            record.pop(key, None)
        for key in ("url", "channel"):
            if record.get(key):
                record[key] = without_password(record[key])
        file.write_text(json.dumps(record, indent=1), "utf-8")


def without_password(address: str) -> str:
    """An address without the user name and password that may stand in it."""
    parts = urlsplit(address)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


if __name__ == "__main__":
    main()
