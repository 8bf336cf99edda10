"""The reference of all settings, as Markdown: ``docs/configuration.md``."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from scorehost.commands.arguments import is_switch
from scorehost.settings import Declaration, declarations

INTRODUCTION = """\
# Configuration

<!-- Made by `scorehost config --markdown` from runtime/scorehost/settings.py. -->

Every setting has a flag of `scorehost serve`, an environment variable and a default. The first
of these that has a value wins:

1. the command line;
2. the environment; an empty variable counts as not set;
3. the config file;
4. the default.

`scorehost config` shows each setting's value here and now, and where it came from;
`scorehost config --json` prints the same as JSON. Secrets are masked in both. A value that is not
accepted ends the command with status 2 and one line that names it. A name that no setting has
is a warning with the nearest one that is known.

## Spelling

- Flags are written with dashes; underscores are accepted too.
- A flag that is true or false may stand alone: `--preload`, `--preload false` and `--no-preload`.
- Sizes are bytes, with or without `K`, `M`, `G` or `T` (powers of 1024).
- A script named on the command line is relative to the current directory; if it does not
  exist there, it is looked for in the app root, as `AZUREML_ENTRY_SCRIPT` is.

## The config file

One JSON object with the names of the variables: `{"WORKER_COUNT": 2, "SERVICE_NAME": "prices"}`.
It is the file that `AZUREML_CONFIG_FILE` or `--config-file` names, else `config.json` in the app
root, else `config.json` beside the entry script. A file that was named must exist and be
valid. A `config.json` that just happens to be there may belong to a model: unless one of its keys
is a setting it is ignored, and the log says so.

## What one setting decides about another

- Application Insights is enabled only when `AML_APP_INSIGHTS_ENABLED` is `true` and
  `AML_APP_INSIGHTS_KEY` is a UUID. Otherwise the script sees `false`, and the log says why.
- A `HEALTH_PORT` that equals `SERVER_PORT` opens no second port.
- A cluster sets variables about its services in every container: the service `server` makes
  `SERVER_PORT=tcp://10.0.0.1:80`. A port setting with such a value is ignored, and the log says
  so.

## azmlinfsrv

The drop-in command takes `--entry_script`, `--model_dir`, `--port`, `--health_port`,
`--worker_count`, `--appinsights_instrumentation_key`, `--access_control_allow_origins` and
`--config_file`; everything else is a variable or stands in the config file. Where it differs from
`scorehost serve`:

- its app root is the working directory unless `AML_APP_ROOT` is set, and it listens on `0.0.0.0`;
- a key on its command line enables Application Insights;
- `SEPERATE_HEALTH_ENDPOINT=true` (so spelled) opens port 5000 for probes unless `--health_port`
  names another, and `--health_port` opens its port with or without it;
- it prints its settings before it starts, logs in the other server's line format (on standard
  error, as `scorehost serve` does) and calls itself `azmlinfsrv` in `x-ms-server-version`.

## Exit statuses

| status | of | when |
|---|---|---|
| 0 | all | all went well; `serve` was told to stop and has answered everything |
| 1 | `serve`, `azmlinfsrv` | the address could not be opened, or the server itself did not start |
| 1 | `build`, `sbom` | the container engine is missing, or a step failed |
| 2 | all | what was typed or set cannot be used |
| 3 | `serve`, `azmlinfsrv` | the script did not become ready |
| 3 | `check` | the script failed, or did not answer the sample |
| 3 | `replay` | an answer is worse than the recorded one, or another |
| 3 | `build` | the script failed the check in its image |
| 3 | `models` | the name does not resolve |
| 130 | all but servers | Ctrl-C |

## Settings
"""


def reference() -> str:
    """The whole page."""
    parts = [INTRODUCTION]
    for section, items in groupby(declarations().values(), key=lambda item: item.section):
        parts.append(_table(section, items))
    return "\n".join(parts)


def _table(section: str, items: Iterable[Declaration]) -> str:
    rows = [
        f"| `{item.variable}` | {_flag(item)} | {_default(item)} | {item.help} |" for item in items
    ]
    head = f"### {section}\n\n| variable | flag | default | what it does |\n|---|---|---|---|\n"
    return head + "\n".join(rows) + "\n"


def _flag(item: Declaration) -> str:
    if is_switch(item):
        return f"`--no-{item.flag[2:]}`" if item.default else f"`{item.flag}`"
    return f"`{item.flag} {item.metavar}`".replace("|", "\\|")


def _default(item: Declaration) -> str:
    default = item.show(item.default)
    return f"`{default}`" if default else ""
