"""The command line: run a batch here, keep a cluster up, or talk to a running gateway.

Exit codes: 0 done, 1 the batch failed or the cluster broke, 2 wrong input, 3 no answer.
"""

import os
import sys
import time
from contextlib import nullcontext
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console
from rich.markup import escape

from services.gateway import cli_index, cli_logs, cli_signals, cli_tokens, render
from services.gateway.client import Client
from services.gateway.cluster import Cluster
from services.gateway.options import (
    DEFAULT_URL,
    Json,
    RecipeOption,
    Sources,
    StoreOption,
    Url,
    Workers,
    print_json,
)
from shared.errors import CorpusmillError, TransientError, UsageError
from shared.recipe import (
    absolute_resources,
    builtin_recipes,
    load_recipe,
    parse_yaml,
    resolve,
)
from shared.telemetry import configure_logging

app = typer.Typer(
    help="Turn web crawls into language-model training data, and that data into a model.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
recipe_app = typer.Typer(help="Work with recipes.", no_args_is_help=True)
trace_app = typer.Typer(
    help="Follow data both ways: archive <-> training step.", no_args_is_help=True
)
app.add_typer(recipe_app, name="recipe")
app.add_typer(trace_app, name="trace")
app.add_typer(cli_index.app, name="index")
app.add_typer(cli_tokens.app, name="token")
app.add_typer(cli_signals.app)
app.add_typer(cli_logs.app)

console = Console(stderr=True)


class Exit(IntEnum):
    """Exit codes."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NO_ANSWER = 3


def main() -> None:
    """Entry point: errors become one clear line and an exit code."""
    configure_logging("WARNING")
    try:
        app()
    except TransientError as error:
        console.print(f"[red]error:[/red] {escape(str(error))}", highlight=False)
        sys.exit(Exit.NO_ANSWER)
    except UsageError as error:
        console.print(f"[red]error:[/red] {escape(str(error))}", highlight=False)
        sys.exit(Exit.USAGE)
    except CorpusmillError as error:
        console.print(f"[red]error:[/red] {escape(str(error))}", highlight=False)
        sys.exit(Exit.FAILED)
    except KeyboardInterrupt:
        sys.exit(130)


def recipe_argument(name: str) -> str | dict[str, Any]:
    """A built-in recipe's name as it is; a file's content inline, its paths as seen from it."""
    if name in builtin_recipes() or not name.endswith((".yaml", ".yml")):
        return name
    path = Path(name)
    if not path.exists():
        raise UsageError(f"there is no recipe file {name}", field="recipe")
    recipe = load_recipe(parse_yaml(path.read_text(), name))
    return absolute_resources(recipe, path.parent).model_dump(mode="json")


def source_uris(sources: list[str]) -> list[str]:
    """Local files as absolute paths, everything else as it is."""
    uris = []
    for source in sources:
        if "://" in source or source.startswith("store:"):
            uris.append(source)
            continue
        path = Path(source).resolve()
        if not path.exists():
            raise UsageError(f"there is no file {source}", field="sources")
        uris.append(f"{path}/" if path.is_dir() else str(path))
    return uris


@app.command()
def run(
    sources: Sources,
    recipe: RecipeOption = "refinedweb-lite",
    store: StoreOption = "./corpusmill-data",
    workers: Workers = 0,
    shard_bytes: Annotated[int | None, typer.Option(help="Compressed bytes a shard.")] = None,
    as_json: Json = False,
) -> None:
    """Run a batch on this machine from archive to dataset, and print its funnel."""
    body: dict[str, Any] = {
        "sources": source_uris(sources),
        "recipe": recipe_argument(recipe),
    }
    if shard_bytes is not None:
        body["shard_bytes"] = shard_bytes
    with console.status("starting the cluster") if not as_json else nullcontext():
        cluster = Cluster(_absolute(store), workers=workers)
    with cluster:
        client = Client(cluster.url)
        batch = client.post("/v1/batches", body)
        done = render.watch_batch(client, batch["id"], console, quiet=as_json)
        client.close()
    if as_json:
        print_json(done)
    else:
        render.funnel(done, Console())
        Console().print(f"\nstore: {_absolute(store)}   batch: {done['id']}", highlight=False)
    raise typer.Exit(Exit.DONE if done["state"] == "finished" else Exit.FAILED)


@app.command()
def up(
    store: StoreOption = "./corpusmill-data",
    workers: Workers = 0,
    port: Annotated[int, typer.Option(help="Port of the gateway on 127.0.0.1.")] = 8000,
) -> None:
    """Keep a cluster running on this machine until Ctrl-C."""
    with Cluster(_absolute(store), workers=workers, port=port) as cluster:
        console.print(f"gateway: {cluster.url}  (API: {cluster.url}/docs)   store: {store}")
        console.print("Ctrl-C stops it; finished work stays in the store.")
        while True:
            time.sleep(1)


def _absolute(store: str) -> str:
    return store if "://" in store else os.path.abspath(store)  # noqa: PTH100 (need not exist)


@app.command()
def submit(
    sources: Sources,
    recipe: RecipeOption = "refinedweb-lite",
    url: Url = DEFAULT_URL,
    upload: Annotated[bool, typer.Option(help="Send local files to the gateway first.")] = False,
    watch: Annotated[bool, typer.Option(help="Follow the batch to its end.")] = False,
    idempotency_key: Annotated[str | None, typer.Option(help="Repeat safely.")] = None,
    as_json: Json = False,
) -> None:
    """Submit a batch to a running gateway."""
    client = Client(url)
    uris = [client.upload(Path(s)) for s in sources] if upload else source_uris(sources)
    headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
    body = {"sources": uris, "recipe": recipe_argument(recipe)}
    batch = client.post("/v1/batches", body, **headers)
    if watch:
        batch = render.watch_batch(client, batch["id"], console, quiet=as_json)
    if as_json:
        print_json(batch)
    elif watch:
        render.funnel(batch, Console())
    else:
        typer.echo(batch["id"])


@app.command()
def status(
    batch: Annotated[str | None, typer.Argument(help="A batch; none: all batches.")] = None,
    url: Url = DEFAULT_URL,
    as_json: Json = False,
) -> None:
    """Show a batch's state and funnel, or all batches and queues."""
    with Client(url) as client:
        if batch is not None:
            answer = client.get(f"/v1/batches/{batch}")
            print_json(answer) if as_json else render.funnel(answer, Console())
            return
        answer = {
            "batches": list(client.pages("/v1/batches")),
            "queues": client.get("/v1/queues")["items"],
        }
    print_json(answer) if as_json else render.overview(answer, Console())


@app.command()
def cancel(batch: str, url: Url = DEFAULT_URL, as_json: Json = False) -> None:
    """Stop a batch; what is committed stays."""
    _act(url, f"/v1/batches/{batch}/cancel", as_json)


@app.command()
def retry(batch: str, url: Url = DEFAULT_URL, as_json: Json = False) -> None:
    """Let a failed or cancelled batch go on."""
    _act(url, f"/v1/batches/{batch}/retry", as_json)


def _act(url: str, path: str, as_json: bool) -> None:  # noqa: FBT001
    answer = Client(url).post(path)
    print_json(answer) if as_json else typer.echo(f"{answer['id']}: {answer['state']}")


@app.command()
def documents(
    batch: str,
    verdict: Annotated[str | None, typer.Option(help="kept, dropped or failed")] = None,
    rule: Annotated[str | None, typer.Option(help="The rule that dropped it.")] = None,
    find: Annotated[str | None, typer.Option(help="Part of the URL.")] = None,
    limit: int = 20,
    url: Url = DEFAULT_URL,
    as_json: Json = False,
) -> None:
    """List a batch's documents with their verdicts."""
    path = f"/v1/batches/{batch}/documents"
    answer = Client(url).get(path, verdict=verdict, rule=rule, url=find, limit=limit)
    print_json(answer) if as_json else render.documents(answer["items"], Console())


@app.command()
def recipes(as_json: Json = False) -> None:
    """List the recipes that ship with the project."""
    found = [load_recipe(name) for name in builtin_recipes()]
    if as_json:
        print_json([r.model_dump(mode="json") for r in found])
        return
    for recipe in found:
        typer.echo(f"{recipe.name:20} {recipe.source:24} {recipe.description}")


@recipe_app.command("validate")
def validate(
    recipe: Annotated[str, typer.Argument(help="A YAML file, or a built-in recipe's name.")],
    as_json: Json = False,
) -> None:
    """Check a recipe's steps, parameters, columns and rules."""
    resolved = resolve(load_recipe(recipe_argument(recipe)))
    rules = [name for bound in resolved.steps for name in bound.rule_names]
    if as_json:
        print_json({"name": resolved.recipe.name, "hash": resolved.recipe.hash, "rules": rules})
    else:
        typer.echo(
            f"{resolved.recipe.name}: {len(resolved.steps)} steps, {len(rules)} rules: valid"
        )


@recipe_app.command("show")
def show(name: str) -> None:
    """Print a recipe as it resolves (`extends` and overrides applied)."""
    recipe = load_recipe(recipe_argument(name))
    typer.echo(yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True))


@trace_app.command("document")
def trace_document(
    batch: str,
    document: Annotated[str, typer.Argument(help="archive:offset")],
    url: Url = DEFAULT_URL,
    as_json: Json = False,
) -> None:
    """From a document: archive, verdict, dataset spans, the training steps that saw it."""
    client = Client(url)
    told = client.get(f"/v1/batches/{batch}/documents/{document}")
    told["steps_seen"] = list(client.pages("/v1/trace/documents", document=document, batch=batch))
    print_json(told) if as_json else render.life(told, Console())


@trace_app.command("step")
def trace_step(run_id: str, step: int, url: Url = DEFAULT_URL, as_json: Json = False) -> None:
    """From a training step: its documents, with archive and offset."""
    items = list(Client(url).pages(f"/v1/runs/{run_id}/steps/{step}/documents"))
    print_json(items) if as_json else render.spans(items, Console())


@app.command()
def demo(
    store: StoreOption = ".corpusmill",
    workers: Workers = 0,
    as_json: Json = False,
) -> None:
    """Run the main job on the shipped sample: archives to corpus to a small trained model."""
    from services.gateway.demo import run_demo

    raise typer.Exit(run_demo(_absolute(store), workers, as_json=as_json))
