"""The command line: a group whose subcommands are imported when they are called.

Exit status: 0 nothing blocking, 1 a blocking finding, 2 usage error, unreadable target or internal error (one line on
standard error), 3 undetermined.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
from pathlib import Path

import click

from harness.errors import HarnessError, printable

_COMMANDS = {
    "review": "Judge one submission or pull request and write the verdict.",
    "gate": "The same for CI: annotations, step summary, SARIF and exit status.",
    "comment": "Write the Markdown review comment on standard output.",
    "probe": "Run a submission at toy scale in a sandbox and audit its causality.",
    "reproduce": "Run N seeds at full scale and test the claim and the record.",
    "sweep": "Review many pull requests straight from git objects.",
    "rules": "List the rules, or explain one.",
    "data": "Prepare shards and tokenizer.",
    "reference": "Train, evaluate, export and verify the reference submission.",
}
COMMANDS = {n: h for n, h in _COMMANDS.items() if (Path(__file__).parent / "commands" / f"{n}.py").is_file()}


class Commands(click.Group):
    """A group that knows its commands by name and imports ``harness.commands.<name>`` only to run one."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None when there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"harness.commands.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one line a command without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked:
        from harness.version import __version__

        click.echo(f"pgolf {__version__}")
        ctx.exit()


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Print the version."
)
@click.option("--debug", is_flag=True, help="Show the traceback of an internal error.")
def cli(debug: bool) -> None:
    """Compliance and reproduction harness for OpenAI's Parameter Golf challenge.

    Begin with: pgolf review path/to/record_folder
    """


def main() -> None:
    """Run the command line and leave with the contract's exit status."""
    gc.set_threshold(100_000)  # what imports make is kept: to look through it all the time is a tenth of their cost
    arguments = sys.argv[1:]
    debug = "--debug" in arguments
    if debug:  # accepted before or after the subcommand's name
        arguments = ["--debug", *(a for a in arguments if a != "--debug")]
    sys.exit(_run(arguments, debug))


def _run(arguments: list[str], debug: bool) -> int:
    try:
        status = cli.main(args=arguments, prog_name="pgolf", standalone_mode=False)
        return status if isinstance(status, int) else 0
    except click.ClickException as error:
        return _say("usage", error.format_message(), debug)
    except (click.Abort, KeyboardInterrupt):
        _say("usage", "interrupted", False)
        return 130
    except HarnessError as error:
        return _say(error.fault, str(error), debug)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what reads us has gone: nothing to say
        return 2
    except Exception as error:  # noqa: BLE001 - the last line of defence: a bug of ours becomes one line
        return _say("internal", f"{type(error).__name__}: {error} (our bug: report it; --debug shows more)", debug)


def _say(fault: str, message: str, debug: bool) -> int:
    if debug:
        import traceback

        traceback.print_exc()
    click.echo(f"pgolf: {fault} error: {printable(' '.join(message.split()))}", err=True)
    return 2


if __name__ == "__main__":
    main()
