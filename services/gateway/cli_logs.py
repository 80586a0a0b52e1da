"""The command `logs`: what workers and gateway have said about a batch."""

import json
import time
from typing import Annotated, Any

import typer

from services.gateway.client import Client
from services.gateway.conductor import FINAL_STATES
from services.gateway.options import DEFAULT_URL, Json, Url

app = typer.Typer()
#: How often `--follow` asks.
_EVERY_SECONDS = 1.0
#: What a line for people begins with.
_HEAD = ("time", "level", "message")


@app.command()
def logs(
    batch: str,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on to its end.")] = False,
    level: Annotated[str, typer.Option(help="debug, info, warning or error and above")] = "info",
    url: Url = DEFAULT_URL,
    as_json: Json = False,
) -> None:
    """Show a batch's log lines, oldest first; with --json one object a line."""
    path, after = f"/v1/batches/{batch}/logs", None
    with Client(url) as client:
        while True:
            # Asked before the lines, so that none is missed of a batch that ends in between.
            ended = follow and client.get(f"/v1/batches/{batch}")["state"] in FINAL_STATES
            more = True
            while more:
                answer = client.get(path, after=after, level=level, limit=500)
                after, more = answer["last"], answer["more"]
                for line in answer["items"]:
                    typer.echo(json.dumps(line, ensure_ascii=False) if as_json else _text(line))
            if ended or not follow:
                return
            time.sleep(_EVERY_SECONDS)


def _text(line: dict[str, Any]) -> str:
    """A line for people: time, level, message, where."""
    time_, level, message = (str(line.get(name, "")) for name in _HEAD)
    rest = {k: v for k, v in line.items() if k not in {*_HEAD, "id", "logger", "batch", "trace"}}
    where = " ".join(f"{name}={value}" for name, value in rest.items())
    text = f"{time_} {level:7} {message}  {where}".rstrip()
    return f"{text}\n{line['trace']}" if "trace" in line else text
