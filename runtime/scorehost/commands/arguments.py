"""Reading a command line: a command's own options, and a flag for every setting.

The flags are made from the declarations of the settings. Their values stay text here:
``sources.py`` parses them together with the environment's, so that both are refused in the same
words.
"""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from scorehost.commands import COMMANDS
from scorehost.errors import UsageError
from scorehost.names import nearest_flag
from scorehost.settings import Declaration, declarations
from scorehost.values import FALSE_WORDS, TRUE_WORDS

HELP = ("-h", "--help")


@dataclass(frozen=True)
class Parsed:
    """What a command line said.

    Parameters
    ----------
    flags : values of settings, as text, by field name.
    own : the command's own options.
    spelling : what was typed for a setting, where it is not its flag.
    """

    flags: dict[str, str]
    own: argparse.Namespace = field(default_factory=argparse.Namespace)
    spelling: dict[str, str] = field(default_factory=dict)


class Parser(argparse.ArgumentParser):
    """argparse without its habit of ending the process."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._positionals.title, self._optionals.title = "Arguments", "Options"

    def error(self, message: str) -> NoReturn:
        """What was typed cannot be used."""
        raise UsageError(f"{message}.")


class CommandLine:
    """The line of one command that takes settings.

    Parameters
    ----------
    command : its name.
    takes_script : whether the entry script may be its argument.
    argument : what else its argument is.
    lists_settings : whether its help lists the flags of all settings, or points to ``serve``.
    """

    def __init__(
        self,
        command: str,
        *,
        takes_script: bool = False,
        argument: str = "",
        lists_settings: bool = False,
    ) -> None:
        argument = "SCRIPT" if takes_script else argument
        self.known = declarations()
        self.parser = Parser(
            prog=f"scorehost {command}",
            usage=f"scorehost {command} [options]{f' [{argument}]' if argument else ''}",
            description=COMMANDS[command],
            epilog="" if lists_settings else "Takes the flags of 'scorehost serve' as well.",
            formatter_class=Formatter,
            add_help=False,
            allow_abbrev=False,
        )
        if takes_script:
            self.parser.add_argument(
                "script", metavar="SCRIPT", nargs="?", default=argparse.SUPPRESS,
                help="Entry script (default: AZUREML_ENTRY_SCRIPT, else main.py).",
            )  # fmt: skip
        self.own = self.parser.add_argument_group("Options")
        self.own.add_argument(*HELP, action="store_true", help="Show this help and exit.")
        self._add_settings(lists_settings)

    def _add_settings(self, listed: bool) -> None:
        groups: dict[str, Any] = {}
        for name, item in self.known.items():
            if item.section not in groups:
                groups[item.section] = self.parser.add_argument_group(item.section)
            groups[item.section].add_argument(
                item.flag,
                dest=f"setting {name}",
                metavar=f"[{item.metavar}]" if is_switch(item) else item.metavar,
                default=argparse.SUPPRESS,
                help=_help(item) if listed else argparse.SUPPRESS,
            )

    def read(self, arguments: Sequence[str]) -> Parsed | None:
        """Read a command line; None when only help was asked for, and given.

        Raises
        ------
        UsageError
            Something on it is not known, or lacks its value.
        """
        if any(word in HELP for word in arguments):
            self.parser.print_help()
            return None
        own, rest = self.parser.parse_known_args(self._spelled_out(arguments))
        if rest:
            raise UsageError(self._unknown(rest))
        return self._sort(own)

    def _sort(self, own: argparse.Namespace) -> Parsed:
        flags = {
            name: vars(own).pop(f"setting {name}")
            for name in self.known
            if hasattr(own, f"setting {name}")
        }
        spelling = {}
        if hasattr(own, "script"):
            flags["entry_script"] = own.script
            spelling["entry_script"] = "SCRIPT"
        if "entry_script" in flags:
            flags["entry_script"] = as_typed(flags["entry_script"])
        return Parsed(flags, own, spelling)

    def _spelled_out(self, arguments: Iterable[str]) -> list[str]:
        """Underscores as dashes, and ``--preload`` as ``--preload=true``."""
        switches = {item.flag for item in self.known.values() if is_switch(item)}
        words: list[str] = []
        for word in arguments:
            previous = words[-1] if words else ""
            if previous in switches:
                words[-1] += f"={word if _is_answer(word) else 'true'}"
                if _is_answer(word):
                    continue
            flag, equals, value = with_dashes(word)
            positive = "--" + flag.removeprefix("--no-")
            if positive in switches and flag != positive and not equals:
                flag, equals, value = positive, "=", "false"
            words.append(flag + equals + value)
        if words and words[-1] in switches:
            words[-1] += "=true"
        return words

    def _unknown(self, rest: Sequence[str]) -> str:
        flags = [word.partition("=")[0] for word in rest if word.startswith("-")]
        if not flags:
            return f"Unexpected argument {rest[0]!r}."
        own = [name for name in self.parser._option_string_actions if name not in HELP]
        near = nearest_flag(flags[0], own)
        return f"Unknown option {flags[0]}." + (f" Did you mean {near}?" if near else "")


class Formatter(argparse.HelpFormatter):
    """Room for long flags, and no wider than a page."""

    def __init__(self, prog: str, **options: Any) -> None:
        super().__init__(prog, max_help_position=32, **options)
        self._width = min(self._width, 98)

    def _split_lines(self, text: str, width: int) -> list[str]:
        """Lines end between words: a path or flag that was cut cannot be copied."""
        return textwrap.wrap(text, width, break_on_hyphens=False, break_long_words=False)


def as_typed(script: str) -> str:
    """A script typed in a shell lies where the shell is, if there is one of that name.

    Otherwise it is looked for where the variable's would be: in the app root.
    """
    candidate = Path(script).absolute()
    return str(candidate) if candidate.is_file() else script


def with_dashes(word: str) -> tuple[str, str, str]:
    """A long option's name with dashes, and what follows it; other words as they are."""
    if not word.startswith("--"):
        return word, "", ""
    flag, equals, value = word.partition("=")
    return flag.replace("_", "-"), equals, value


def is_switch(item: Declaration) -> bool:
    """Whether a flag may stand alone, for true."""
    return item.kind.is_switch


def _is_answer(word: str) -> bool:
    return word.lower() in TRUE_WORDS | FALSE_WORDS


def _help(item: Declaration) -> str:
    default = item.show(item.default)
    suffix = f" [{item.variable}{', ' + default if default else ''}]"
    return (item.help + suffix).replace("%", "%%")
