"""The commands that look at measurements: `signals` and `preview`."""

from typing import Annotated

import typer
from rich.console import Console

from services.gateway import render_signals
from services.gateway.client import Client
from services.gateway.options import DEFAULT_URL, Json, Url, print_json

app = typer.Typer()
#: A look at every shard of a large batch takes a while.
PATIENCE_SECONDS = 900.0


@app.command()
def signals(
    batch: str,
    column: Annotated[
        str | None, typer.Argument(help="Plain or as <step>.<column>; none: list them.")
    ] = None,
    by: Annotated[str | None, typer.Option(help="verdict: split by what became of it.")] = None,
    url: Url = DEFAULT_URL,
    as_json: Json = False,
) -> None:
    """List a batch's measured columns, or show how the values of one lie."""
    path = f"/v1/batches/{batch}/signals" + (f"/{column}" if column else "")
    with Client(url, PATIENCE_SECONDS) as client:
        answer = client.get(path, by=by if column else None)
    if as_json:
        print_json(answer)
    elif column:
        render_signals.histogram(answer, Console())
    else:
        render_signals.listing(answer["items"], Console())


@app.command()
def preview(
    batch: str,
    keep: Annotated[
        list[str],
        typer.Option(help="A condition, or <step>.<rule>=<condition>, or <step>.<rule>=null."),
    ],
    url: Url = DEFAULT_URL,
    as_json: Json = False,
) -> None:
    """Say what changed keep rules would keep, from stored columns, without running anything."""
    with Client(url, PATIENCE_SECONDS) as client:
        answer = client.post(f"/v1/batches/{batch}/preview", {"keep": keep})
    print_json(answer) if as_json else render_signals.preview(answer, Console())
