"""``scorehost models``: how a model name resolves, with every place tried."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from scorehost.commands.arguments import CommandLine
from scorehost.errors import UsageError
from scorehost.model_path import MODELS_FOLDER, ListedModel, Resolution, explain, list_models
from scorehost.sources import resolve

NOT_FOUND_STATUS = 3


def run(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Explain one name, or list them all; status 3 when a name does not resolve."""
    parsed = command_line().read(arguments)
    if parsed is None:
        return 0
    root = resolve(parsed.flags, environ).settings.root
    if parsed.own.name is None:
        if parsed.own.version is not None:
            raise UsageError("--version requires a model name.")
        models = list_models(root)
        print(json.dumps(list(map(as_data, models))) if parsed.own.json else listing(root, models))
        return 0
    found = explain(parsed.own.name, _version(parsed.own.version), root, Path.cwd())
    print(json.dumps(explanation(found)) if parsed.own.json else story(found))
    return NOT_FOUND_STATUS if found.path is None else 0


def command_line() -> CommandLine:
    """What can be typed after ``scorehost models``."""
    line = CommandLine("models", argument="NAME")
    line.parser.add_argument(
        "name", metavar="NAME", nargs="?", help="Name of a model (default: list all models)."
    )
    line.own.add_argument("--version", metavar="N", help="Version (default: the highest).")
    line.own.add_argument("--json", action="store_true", help="Print JSON.")
    return line


def _version(typed: str | None) -> int | None:
    try:
        return None if typed is None else int(typed)
    except ValueError:
        raise UsageError(f"--version is {typed!r}. It takes a whole number.") from None


def story(found: Resolution) -> str:
    """One name's resolution, the places tried in either case."""
    if found.path is None:
        return found.text()
    tried = "\n".join(f"  {one}" for one in found.tried)
    return f"{found.path}\n\nPlaces tried (the last one was used):\n{tried}"


def listing(root: Path, models: Sequence[ListedModel]) -> str:
    """Every model, one line each."""
    if not models:
        return f"There are no models in {root / MODELS_FOLDER}."
    width = max(len(model.name) for model in models)
    return "\n".join(
        f"{model.name:{width}}  {', '.join(map(str, model.versions)) or '-'}  "
        f"{model.path or model.note}"
        for model in models
    )


def as_data(model: ListedModel) -> dict[str, object]:
    """One model of the list, as JSON."""
    path = None if model.path is None else str(model.path)
    return {"name": model.name, "versions": model.versions, "path": path, "note": model.note}


def explanation(found: Resolution) -> dict[str, object]:
    """One name's resolution, as JSON."""
    return {
        "name": found.model_name,
        "version": found.version,
        "path": None if found.path is None else str(found.path),
        "tried": [{"path": str(one.path), "finding": one.finding} for one in found.tried],
        "summary": found.summary,
        "advice": found.advice,
        "nearest": found.nearest,
    }
