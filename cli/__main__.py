"""The command line: `python -m cli COMMAND`.

Exit codes: 0 done, 1 the doctor or a check found something bad, 2 the input cannot be used (one
sentence on standard error, no traceback), 130 interrupted. A traceback means a defect of this
project.
"""

from __future__ import annotations

import logging
import sys

import typer

from cli.dataset import dataset_app
from cli.demo import demo_command
from cli.doctor import doctor_command
from cli.download import download_command
from cli.dropout_ablation import dropout_ablation_command
from cli.evaluate import evaluate_command
from cli.guidance_sweep import guidance_sweep_command
from cli.train import train_command
from cli.train_mini import train_mini_command
from cli.tryon import tryon_command

app = typer.Typer(
    name="cli", help=__doc__, no_args_is_help=True, add_completion=False, rich_markup_mode=None
)
app.command("demo")(demo_command)
app.command("tryon")(tryon_command)
app.command("evaluate")(evaluate_command)
app.command("guidance-sweep")(guidance_sweep_command)
app.command("dropout-ablation")(dropout_ablation_command)
app.add_typer(dataset_app, name="dataset")
app.command("download")(download_command)
app.command("doctor")(doctor_command)
app.command("train")(train_command)
app.command("train-mini")(train_mini_command)


def main() -> None:
    """Run the command line; unusable input becomes exit code 2 and one sentence."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    try:
        app()
    except (ValueError, FileNotFoundError) as error:
        typer.echo(f"Error: {error}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
