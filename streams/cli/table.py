"""A click group that imports its commands when they are called, and turns errors into one line and an exit code."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, NamedTuple, NoReturn

import click

from schemas.file_errors import FileError, RuleError
from streams.kafka import UnreachableError
from streams.settings_load import SettingsError

EXIT_DONE, EXIT_NO, EXIT_WRONG_INPUT, EXIT_UNREACHABLE, EXIT_INTERRUPTED = 0, 1, 2, 3, 130


class Entry(NamedTuple):
    """A command: where it is (``module:attribute``) and its line in the help, known without importing it."""

    target: str
    summary: str


class CommandTable(click.Group):
    """The commands of a table, in the order of the table. A command returns its exit code, or None for 0."""

    def __init__(self, *args: Any, table: Mapping[str, Entry], **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._table:
            return None
        module, attribute = self._table[cmd_name].target.split(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in self._table.items()])

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> NoReturn:
        """As click's, except that errors become one line and an exit code; ``standalone_mode`` changes nothing."""
        try:
            answer: Any = super().main(
                args,
                prog_name,
                complete_var=complete_var,
                standalone_mode=False,
                windows_expand_args=windows_expand_args,
                **extra,
            )
            sys.stdout.flush()
            code = answer if isinstance(answer, int) else EXIT_DONE
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.ctx.get_help() if error.ctx else error.message, err=True)
            code = EXIT_WRONG_INPUT
        except (click.exceptions.Abort, KeyboardInterrupt):
            code = EXIT_INTERRUPTED
        except OSError as error:
            if error.errno != errno.EPIPE:
                raise
            # The reader of our output has gone (`| head`): what is left unsaid must not raise again at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = EXIT_NO
        except (click.ClickException, FileError, RuleError, SettingsError, UnreachableError) as error:
            code = _complain(error)
        sys.exit(code)


def _complain(error: Exception) -> int:
    place = "serinus"
    said = str(error)
    if isinstance(error, click.ClickException):
        said = error.format_message()
        if isinstance(error, click.UsageError) and error.ctx is not None:
            place, said = error.ctx.command_path, f"{said.rstrip('.')}; see {error.ctx.command_path} --help"
    click.echo(f"{place}: {' '.join(said.split())}", err=True)
    return EXIT_UNREACHABLE if isinstance(error, UnreachableError) else EXIT_WRONG_INPUT
