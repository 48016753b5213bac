"""Calls the webhook SDKs of this Python as a test tells it: one JSON request a line on standard
input, one JSON answer a line on standard output. What the requests are, `driver.mjs` says; names
come as in JavaScript and are changed here. Arguments become the models that the methods ask for.
"""

import dataclasses
import inspect
import json
import re
import sys
from datetime import datetime

import pydantic
from standardwebhooks import Webhook as StandardWebhook
from svix.api import Svix, SvixOptions
from svix.exceptions import HttpError, HTTPValidationError
from svix.webhooks import Webhook

clients = {}


def client(request):
    key = (request["url"], request["token"])
    if key not in clients:
        clients[key] = Svix(request["token"], SvixOptions(server_url=request["url"]))
    return clients[key]


def snake(name):
    return re.sub(r"[A-Z]", lambda upper: "_" + upper[0].lower(), name)


def camel(name):
    return re.sub(r"_([a-z])", lambda after: after[1].upper(), name)


def revive(value):
    if "$date" not in value:
        return value
    return datetime.fromisoformat(value["$date"].replace("Z", "+00:00"))


def resource_of(root, names):
    for name in names:
        root = getattr(root, snake(name))
    return root


def made(kind, argument):
    """The argument in the form that the method asks for."""
    if inspect.isclass(kind) and issubclass(kind, pydantic.BaseModel):
        return kind.model_validate(argument)
    if dataclasses.is_dataclass(kind):
        known = {field.name for field in dataclasses.fields(kind)}
        given = {snake(name): value for name, value in argument.items()}
        assert given.keys() <= known, f"{kind.__name__} has no {given.keys() - known}"
        return kind(**given)
    return argument


def shown(result):
    if isinstance(result, pydantic.BaseModel):
        return result.model_dump(mode="json", by_alias=True)
    return result


def call(request):
    *names, method = request["call"].split(".")
    method = getattr(resource_of(client(request), names), snake(method))
    kinds = [parameter.annotation for parameter in inspect.signature(method).parameters.values()]
    arguments = request.get("args", [])
    assert len(arguments) <= len(kinds), f"{request['call']} takes {len(kinds)} arguments"
    return shown(method(*[made(kind, one) for kind, one in zip(kinds, arguments)]))


def methods(resource):
    found = []
    for name, member in inspect.getmembers(type(resource)):
        if name.startswith("_"):
            continue
        if isinstance(member, property):
            found += [f"{camel(name)}.{inner}" for inner in methods(getattr(resource, name))]
        elif inspect.isfunction(member):
            found.append(camel(name))
    return found


def verify(request):
    verifier = {"svix": Webhook, "standardwebhooks": StandardWebhook}[request["verify"]]
    return verifier(request["secret"]).verify(request["body"], request["headers"])


def answer(request):
    if "verify" in request:
        return verify(request)
    if "methods" in request:
        names = [name for name in [request["methods"]] if name]
        return methods(resource_of(Svix("none"), names))
    return call(request)


def failure(error):
    failed = {"kind": type(error).__name__, "status": None, "body": None, "message": str(error)}
    if isinstance(error, (HttpError, HTTPValidationError)):
        failed.update(status=error.status_code, body=error.to_dict())
    return failed


for line in sys.stdin:
    try:
        reply = {"answer": answer(json.loads(line, object_hook=revive))}
    except Exception as error:  # whatever it is, the test is to see it
        reply = {"error": failure(error)}
    print(json.dumps(reply, default=str), flush=True)
