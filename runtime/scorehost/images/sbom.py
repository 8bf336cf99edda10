"""The packages of an image, Debian's and Python's, as a CycloneDX document.

Runs inside the image, as a step of its build or later, with the standard library alone::

    python sbom.py [FILE]

The server and the script may each have a Python of their own (SCOREHOST_PYTHON); the packages of
both are listed. Two runs over the same packages write the same bytes: there is no date, and the
serial number is made from the content. Files that no package brought are not listed (the app,
models, what a ``curl`` in Dockerfile.steps left).
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
import uuid
from collections.abc import Iterable, Iterator, Mapping
from email.parser import HeaderParser
from importlib import metadata
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import quote, urlencode

Component: TypeAlias = "dict[str, Any]"


def main(arguments: list[str]) -> int:
    """Write the document to a file, or to standard output."""
    environments = [metadata.distributions()]
    script = os.environ.get("SCOREHOST_PYTHON")
    own: list[Component] = []
    if script:
        version, prefix, path = asked(script)
        environments.append(metadata.distributions(path=path))
        conda = Path(prefix, "conda-meta")
        if conda.is_dir():
            own += conda_components(conda)
        elif prefix != "/usr":  # otherwise a package of Debian's
            own.append(_library("python", version, _purl("generic", None, "python", version)))
    text = as_text(document(Path("/"), environments, own))
    if arguments:
        Path(arguments[0]).write_text(text, "utf-8")
    else:
        sys.stdout.write(text)
    return 0


def asked(python: str) -> tuple[str, str, list[str]]:
    """Ask an interpreter, given by its path or its environment's folder, about itself.

    Returns
    -------
    version : all of it.
    prefix : the folder that it was installed into, which for a venv is that of its base.
    path : the folders in which it looks for packages.
    """
    program = Path(python, "bin", "python") if Path(python).is_dir() else python
    question = (
        "import json, platform, sys\n"
        "print(json.dumps([platform.python_version(), sys.base_prefix, sys.path[1:]]))"
    )
    said = subprocess.run(
        [program, "-c", question], stdout=subprocess.PIPE, check=True, text=True
    ).stdout
    version, prefix, path = json.loads(said)
    return version, prefix, path


def document(
    root: Path,
    environments: Iterable[Iterable[metadata.Distribution]],
    others: Iterable[Component] = (),
) -> dict[str, Any]:
    """The document about a file system and its Pythons.

    Parameters
    ----------
    root : the folder that holds ``etc/os-release`` and ``var/lib/dpkg``.
    environments : what each Python finds; the first of a name counts, as it does for import.
    others : more components.
    """
    system = os_release(root / "etc/os-release")
    components = [operating_system(system)]
    components += debian_components(root / "var/lib/dpkg/status", system)
    components += others
    components += [each for found in environments for each in python_components(found)]
    by_ref = {str(component["bom-ref"]): component for component in components}
    components = [component for _, component in sorted(by_ref.items())]
    content = json.dumps(components, sort_keys=True)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": uuid.uuid5(uuid.NAMESPACE_OID, content).urn,
        "version": 1,
        "metadata": {
            "component": {"type": "container", "bom-ref": "image", "name": "image"},
            "tools": {"components": [{"type": "application", "name": "scorehost"}]},
        },
        "components": components,
    }


def as_text(bom: Mapping[str, Any]) -> str:
    """The document as text, as it is written to files."""
    return json.dumps(bom, indent=1, ensure_ascii=False) + "\n"


def operating_system(system: Mapping[str, str]) -> Component:
    """The component for the operating system, named as the image names it."""
    name = system.get("ID", platform.system().lower())
    version = system.get("VERSION_ID", "")
    return {
        "type": "operating-system",
        "bom-ref": f"os:{name}@{version}",
        "name": name,
        "version": version,
        "description": system.get("PRETTY_NAME", name),
    }


def os_release(file: Path) -> dict[str, str]:
    """Read ``/etc/os-release``; return an empty dict if the file does not exist."""
    if not file.is_file():
        return {}
    pairs = (line.partition("=") for line in file.read_text("utf-8").splitlines())
    return {name: value.strip("\"'") for name, equals, value in pairs if equals}


# -- Debian's packages ----------------------------------------------------------------------


def debian_components(status: Path, system: Mapping[str, str]) -> Iterator[Component]:
    """The component of each package that dpkg has installed."""
    distribution = f"{system.get('ID', 'debian')}-{system.get('VERSION_ID', '')}".rstrip("-")
    for entry in debian_packages(status):
        name, version = entry["Package"], entry["Version"]
        qualifiers = {"arch": entry["Architecture"], "distro": distribution}
        purl = _purl("deb", system.get("ID", "debian"), name, version, qualifiers)
        component = _library(name, version, purl)
        if "Maintainer" in entry:
            component["supplier"] = {"name": entry["Maintainer"]}
        yield component


def debian_packages(status: Path) -> Iterator[Mapping[str, str]]:
    """Yield the packages that dpkg has installed; nothing on systems without dpkg."""
    if not status.is_file():
        return
    for paragraph in re.split(r"\n\n+", status.read_text("utf-8", "replace").strip()):
        entry = dict(HeaderParser().parsestr(paragraph).items())
        if entry.get("Status") == "install ok installed":
            yield entry


# -- conda's packages -----------------------------------------------------------------------


def conda_components(folder: Path) -> Iterator[Component]:
    """The component of each package that conda, or a tool like it, has installed."""
    for file in sorted(folder.glob("*.json")):
        told = json.loads(file.read_text("utf-8"))
        name, version = told["name"], told["version"]
        known = ("build", "subdir")
        qualifiers = {key: str(told[key]) for key in known if told.get(key)}
        component = _library(name, version, _purl("conda", None, name, version, qualifiers))
        if told.get("license"):
            component["licenses"] = [{"license": {"name": told["license"]}}]
        yield component


# -- Python's packages ----------------------------------------------------------------------


def python_components(distributions: Iterable[metadata.Distribution]) -> Iterator[Component]:
    """The component of each distribution, once."""
    seen = set()
    for distribution in distributions:
        name = canonical(distribution.metadata["Name"] or "")
        if name and name not in seen:  # without a name: what a removal left behind
            seen.add(name)
            yield python_component(name, distribution)


def python_component(name: str, distribution: metadata.Distribution) -> Component:
    """The component of one distribution, with the licence it names."""
    purl = _purl("pypi", None, name, distribution.version)
    component = _library(name, distribution.version, purl)
    if licence := licence_of(distribution.metadata):
        component["licenses"] = [licence]
    return component


def licence_of(headers: metadata.PackageMetadata) -> dict[str, Any] | None:
    """The licence as CycloneDX writes it: an expression, or else the first name given."""
    (expression,) = (headers.get_all("License-Expression") or [""])[:1]
    if expression:
        return {"expression": expression}
    classifiers = headers.get_all("Classifier") or []
    names = [line.rpartition(" :: ")[2] for line in classifiers if line.startswith("License :: ")]
    names += headers.get_all("License") or [""]
    name = str(names[0]).partition("\n")[0].strip()
    return {"license": {"name": name}} if name and name != "UNKNOWN" else None


def canonical(name: str) -> str:
    """A distribution's name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _library(name: str, version: str, purl: str) -> Component:
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


def _purl(
    kind: str, namespace: str | None, name: str, version: str, qualifiers: Mapping[str, str] = {}
) -> str:
    """A package URL, which identifies a package to every tool."""
    path = "/".join(quote(part, safe="") for part in (namespace, name) if part)
    suffix = f"?{urlencode(qualifiers)}" if qualifiers else ""
    return f"pkg:{kind}/{path}@{quote(version, safe=':')}{suffix}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
