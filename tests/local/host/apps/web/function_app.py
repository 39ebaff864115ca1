"""HTTP functions and a timer, for the tests of the host."""

import asyncio
import json

import azure.functions as func

app = func.FunctionApp()


@app.timer_trigger(arg_name="timer", schedule="%SCHEDULE%", run_on_startup=False, use_monitor=True)
async def nightly(timer: func.TimerRequest) -> None:
    if timer.past_due:
        raise RuntimeError("past due")


@app.route(route="pupils/{id:int}", methods=["GET", "POST"], auth_level=func.AuthLevel.FUNCTION)
async def pupil(req: func.HttpRequest) -> func.HttpResponse:
    answer = {"id": req.route_params["id"], "query": dict(req.params), "body": req.get_body().decode()}
    response = func.HttpResponse(json.dumps(answer), status_code=201, mimetype="application/json")
    response.headers["x-from"] = req.headers.get("X-To", "")
    response.headers.add("Set-Cookie", "a=b; Path=/")
    return response


@app.route(route="pupils/everyone", auth_level=func.AuthLevel.ANONYMOUS)
def everyone(req: func.HttpRequest) -> str:
    return "everyone"


@app.route(route="pupils/{name}", auth_level=func.AuthLevel.ANONYMOUS)
def by_name(req: func.HttpRequest) -> str:
    return f"name {req.route_params['name']}"


@app.route(route="files/{*rest}", auth_level=func.AuthLevel.ANONYMOUS)
def files(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(req.route_params.get("rest", ""))


@app.route(route="bytes", auth_level=func.AuthLevel.ANONYMOUS)
def raw(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(req.get_body(), mimetype="application/octet-stream")


@app.route(route="nothing", auth_level=func.AuthLevel.ANONYMOUS)
def nothing(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(status_code=204)


@app.route(route="fails", auth_level=func.AuthLevel.ADMIN)
async def fails(req: func.HttpRequest) -> func.HttpResponse:
    raise RuntimeError("the reason")


@app.route(route="hangs", auth_level=func.AuthLevel.ANONYMOUS)
async def hangs(req: func.HttpRequest) -> func.HttpResponse:
    await asyncio.Event().wait()
    return func.HttpResponse("never")
