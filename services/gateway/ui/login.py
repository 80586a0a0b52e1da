"""Sign in with an access token, which the browser then keeps in a cookie, and sign out."""

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from services.gateway import access
from services.gateway.models import GatewayDep
from services.gateway.ui.render import FormDep, PageRoute, go_to, page

router = APIRouter(route_class=PageRoute)


@router.get("/login")
def ask(request: Request, next: str | None = None) -> Response:  # noqa: A002 - the address has it
    """The form."""
    return page(request, "login.html", onward=access.safe_next(next), fault=None)


@router.post("/login")
async def sign_in(request: Request, gw: GatewayDep, sent: FormDep) -> Response:
    """On to the page that was asked for, with the cookie; or the form again."""
    token, onward = sent.get("token", ""), access.safe_next(sent.get("next"))
    identity = await run_in_threadpool(access.identify, gw, token)
    if identity is None:
        fault = "This token is wrong, revoked or expired."
        return page(request, "login.html", 401, onward=onward, fault=fault)
    response = go_to(onward)
    access.set_cookie(request, response, token, identity)
    return response


@router.post("/logout")
def sign_out() -> Response:
    """Forget the token."""
    response = go_to(access.LOGIN)
    access.clear_cookie(response)
    return response
