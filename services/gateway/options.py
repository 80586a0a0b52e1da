"""Options and output that all commands share."""

import json
from typing import Annotated, Any

import typer

DEFAULT_URL = "http://127.0.0.1:8000"

Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
Url = Annotated[str, typer.Option("--url", envvar="CORPUSMILL_URL", help="The gateway's address.")]
StoreOption = Annotated[
    str, typer.Option("--store", envvar="CORPUSMILL_STORE", help="Folder or s3://bucket/prefix.")
]
RecipeOption = Annotated[str, typer.Option("--recipe", help="A recipe's name, or a YAML file.")]
Workers = Annotated[int, typer.Option(help="Worker processes; 0: one a core.")]
Sources = Annotated[list[str], typer.Argument(help="Archives: files or URIs.")]


def print_json(value: Any) -> None:
    """Machine-readable output."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))
