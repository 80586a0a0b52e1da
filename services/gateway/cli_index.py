"""The commands of deduplication indexes: `corpusmill index ...`."""

from typing import Annotated, Any

import typer
from rich.console import Console

from services.gateway import render_indexes
from services.gateway.client import Client
from services.gateway.options import DEFAULT_URL, Json, Url, print_json

app = typer.Typer(help="Look after deduplication indexes.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The index's name, as recipes write it.")]


@app.command("list")
def list_indexes(url: Url = DEFAULT_URL, as_json: Json = False) -> None:
    """List all indexes: steps, batches, entries, bytes, compactions, who waits."""
    with Client(url) as client:
        items = list(client.pages("/v1/indexes"))
    print_json(items) if as_json else render_indexes.listing(items, Console())


@app.command("show")
def show(name: Name, url: Url = DEFAULT_URL, as_json: Json = False) -> None:
    """Show an index's batches in order, and what is compacted."""
    with Client(url) as client:
        answer = client.get(f"/v1/indexes/{name}")
    print_json(answer) if as_json else render_indexes.index(answer, Console())


@app.command("compact")
def compact(name: Name, url: Url = DEFAULT_URL, as_json: Json = False) -> None:
    """Merge all runs of an index into one set, in the background."""
    with Client(url) as client:
        answer = client.post(f"/v1/indexes/{name}/compact")
    _tell(answer, f"asked for a compaction of {', '.join(answer['asked'])}", as_json)


@app.command("rebuild")
def rebuild(name: Name, url: Url = DEFAULT_URL, as_json: Json = False) -> None:
    """Throw compactions away and compute missing runs again, in the background."""
    with Client(url) as client:
        answer = client.post(f"/v1/indexes/{name}/rebuild")
    _tell(answer, f"tasks to compute again: {sum(answer['tasks'].values())}", as_json)


@app.command("drop")
def drop(
    name: Name,
    batch: Annotated[str | None, typer.Option(help="Only what this batch brought.")] = None,
    url: Url = DEFAULT_URL,
    as_json: Json = False,
) -> None:
    """Take a batch out of an index, or the whole index away; results of batches stay."""
    path = f"/v1/indexes/{name}" + (f"/batches/{batch}" if batch else "")
    with Client(url) as client:
        answer = client.call("DELETE", path)
    _tell(answer, f"objects removed: {answer['objects_removed']}", as_json)


def _tell(answer: dict[str, Any], line: str, as_json: bool) -> None:  # noqa: FBT001
    print_json(answer) if as_json else typer.echo(line)
