"""The commands of access tokens: `corpusmill token ...`. They work on the store, with no gateway.

So whoever may write to the store makes the first token, before a gateway that needs one starts.
"""

import os
from typing import Annotated

import typer

from services.gateway.options import Json, StoreOption, print_json
from services.gateway.tokens import Role, create_token, list_tokens, parse_lifetime, revoke_token
from shared.store import Store

app = typer.Typer(help="Make, list and revoke access tokens.", no_args_is_help=True)

DEFAULT_STORE = "./corpusmill-data"


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Whose it is, or what for.")],
    role: Annotated[str, typer.Option("--role", help="read, submit or admin.")],
    expires: Annotated[str | None, typer.Option(help="Such as 90d, 12h; none: never.")] = None,
    store: StoreOption = DEFAULT_STORE,
    as_json: Json = False,
) -> None:
    """Make a token and print it, once: only its hash is stored."""
    lifetime = None if expires is None else parse_lifetime(expires)
    token, text = create_token(_open(store), name, Role.of(role), lifetime)
    if as_json:
        print_json({**token.describe(), "token": text})
    else:
        typer.echo(text)


@app.command("list")
def list_all(store: StoreOption = DEFAULT_STORE, as_json: Json = False) -> None:
    """List tokens: id, role, name, when made, when they expire."""
    tokens = list_tokens(_open(store))
    if as_json:
        print_json([t.describe() for t in tokens])
        return
    for token in tokens:
        end = (
            "never expires" if token.expires is None else f"expires {token.expires:%Y-%m-%d %H:%M}"
        )
        state = end if token.is_valid else "EXPIRED"
        typer.echo(
            f"{token.id}  {token.role.word:6}  {token.created:%Y-%m-%d}  {state}  {token.name}"
        )


@app.command("revoke")
def revoke(
    token: Annotated[str, typer.Argument(help="The token's id, as `token list` prints it.")],
    store: StoreOption = DEFAULT_STORE,
    as_json: Json = False,
) -> None:
    """Revoke a token; gateways refuse it within five seconds."""
    revoke_token(_open(store), token)
    print_json({"revoked": token}) if as_json else typer.echo(f"revoked {token}")


def _open(store: str) -> Store:
    return Store(store if "://" in store else os.path.abspath(store))  # noqa: PTH100 (as in cli)
