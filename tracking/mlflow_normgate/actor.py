"""Who asks: as far as the process that holds the registry can know it.

A server with MLflow's basic authentication knows its users and which of them are
administrators. One without knows an address. Without a server it is the account of
this process.
"""

from __future__ import annotations

import getpass
import sys
from typing import Any

from flask import current_app, has_request_context, request

AUTHENTICATION = "mlflow.server.auth"


def actor() -> str:
    """Who asks, in words for the ledger."""
    if not has_request_context():
        return f"account {_account()}"
    users = _users()
    if users is None:
        return f"someone at {request.remote_addr}"
    return f"user {users.authenticate_request().username}"


def may_change_contracts() -> bool:
    """Whether who asks may change what is demanded of models.

    A server that knows its users lets administrators only. One that knows nobody lets
    everyone, and writes down the address.
    """
    users = _users() if has_request_context() else None
    return users is None or bool(users.sender_is_admin())


def _users() -> Any:
    """MLflow's module of users, if this server asks for them."""
    module = sys.modules.get(AUTHENTICATION)
    asked = current_app.before_request_funcs.get(None, ())
    return module if module is not None and module._before_request in asked else None


def _account() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
