"""An application made of the official Python SDKs, told over stdin what to do.

Each line in is a task: which SDK, which call, its parameters, the address and the
key. Each line out is what the application got, or the exception that it caught.
Tasks run side by side, as an application's requests do.
"""

import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import anthropic
import openai

writing = threading.Lock()


def say(line):
    with writing:
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


def client(task):
    options = {"api_key": task["key"], "default_headers": task.get("headers") or {}}
    if task["sdk"] == "anthropic":
        return anthropic.Anthropic(base_url=task["url"], **options)
    if task.get("azure") == "deployments":
        return openai.AzureOpenAI(azure_endpoint=task["url"], api_version="2024-10-21", **options)
    if task.get("azure") == "v1":
        return openai.OpenAI(base_url=task["url"] + "/openai/v1", **options)
    return openai.OpenAI(base_url=task["url"] + "/v1", **options)


class Got:
    """What came, in the same words for every call."""

    def __init__(self, task):
        self.id = task["id"]
        self.text, self.thinking, self.finish, self.usage = "", "", "", None
        self.calls, self.chunks, self.bare, self.names, self.searches = [], 0, 0, [], []

    def part(self, text):
        """One piece of a stream's text; the first is told at once."""
        if text and not self.text:
            say({"id": self.id, "first": True})
        self.text += text or ""

    def call(self, name, arguments):
        self.calls.append({"name": name, "arguments": arguments})

    def line(self):
        usage = self.usage
        if usage is not None and not isinstance(usage, dict):
            usage = usage.to_dict()
        return {
            "id": self.id, "ok": True, "text": self.text, "thinking": self.thinking, "finish": self.finish or "",
            "usage": usage, "tool_calls": self.calls, "chunks": self.chunks, "bare": self.bare, "names": self.names,
            "searches": self.searches,
        }


def chat(c, task, got):
    params = task["params"]
    if task.get("how") == "stream":
        return chat_chunks(c.chat.completions.create(stream=True, **params), got)
    if task.get("how") == "helper":
        with c.chat.completions.stream(**params) as stream:
            for event in stream:
                got.chunks += event.type == "chunk"
                if event.type == "content.delta":
                    got.part(event.delta)
            whole = stream.get_final_completion()
    else:
        whole = c.chat.completions.create(**params)
    choice = whole.choices[0]
    got.text, got.finish, got.usage = choice.message.content or "", choice.finish_reason, whole.usage
    for call in choice.message.tool_calls or []:
        got.call(call.function.name, json.loads(call.function.arguments))


def chat_chunks(stream, got):
    calls = {}
    for chunk in stream:
        got.chunks += 1
        got.bare += not chunk.choices
        got.usage = chunk.usage or got.usage
        for choice in chunk.choices:
            got.finish = choice.finish_reason or got.finish
            got.part(choice.delta.content)
            for piece in choice.delta.tool_calls or []:
                call = calls.setdefault(piece.index, ["", ""])
                call[0] += piece.function.name or ""
                call[1] += piece.function.arguments or ""
    for name, arguments in calls.values():
        got.call(name, json.loads(arguments))


def responses(c, task, got):
    params = task["params"]
    if task.get("how") == "stream":
        whole = response_events(c.responses.create(stream=True, **params), got)
    elif task.get("how") == "helper":
        with c.responses.stream(**params) as stream:
            whole = response_events(stream, got)
            whole = stream.get_final_response()
    else:
        whole = c.responses.create(**params)
    got.text, got.finish, got.usage = whole.output_text, whole.status, whole.usage
    for item in whole.output:
        if item.type == "function_call":
            got.call(item.name, json.loads(item.arguments))
        if item.type == "web_search_call":
            got.searches.append(" ".join(item.action.queries))


def response_events(stream, got):
    whole = None
    for event in stream:
        got.chunks += 1
        if event.type == "response.output_text.delta":
            got.part(event.delta)
        if event.type in ("response.completed", "response.incomplete"):
            whole = event.response
    return whole


def embeddings(c, task, got):
    made = c.embeddings.create(**task["params"])
    got.text, got.usage = " ".join(str(len(d.embedding)) for d in made.data), made.usage


def messages(c, task, got):
    params = task["params"]
    if task.get("how") == "stream":
        return message_events(c.messages.create(stream=True, **params), got)
    if task.get("how") == "helper":
        with c.messages.stream(**params) as stream:
            for event in stream:
                got.chunks += 1
                if event.type == "text":
                    got.part(event.text)
            whole = stream.get_final_message()
    else:
        whole = c.messages.create(**params)
    got.text, got.finish, got.usage = "", whole.stop_reason, whole.usage
    for block in whole.content:
        got.text += block.text if block.type == "text" else ""
        got.thinking += block.thinking if block.type == "thinking" else ""
        if block.type == "tool_use":
            got.call(block.name, block.input)
        if block.type == "server_tool_use":
            got.searches.append(block.input["query"])


def message_events(stream, got):
    blocks = {}
    for event in stream:
        got.chunks += 1
        if event.type == "message_start":
            got.usage = event.message.usage.to_dict()
        elif event.type == "content_block_start":
            blocks[event.index] = [event.content_block, ""]
        elif event.type == "content_block_delta" and event.delta.type == "text_delta":
            got.part(event.delta.text)
        elif event.type == "content_block_delta" and event.delta.type == "thinking_delta":
            got.thinking += event.delta.thinking
        elif event.type == "content_block_delta" and event.delta.type == "input_json_delta":
            blocks[event.index][1] += event.delta.partial_json
        elif event.type == "message_delta":
            got.finish = event.delta.stop_reason
            got.usage.update({k: v for k, v in event.usage.to_dict().items() if v is not None})
    for block, arguments in blocks.values():
        if block.type == "tool_use":
            got.call(block.name, json.loads(arguments or "{}"))
        if block.type == "server_tool_use":
            got.searches.append(json.loads(arguments)["query"])


def count_tokens(c, task, got):
    got.text = str(c.messages.count_tokens(**task["params"]).input_tokens)


def models(c, task, got):
    got.names = [model.id for model in c.models.list()]


def elsewhere(c, task, got):
    """A call that Signalbox does not judge."""
    if task["sdk"] == "anthropic":
        c.messages.batches.list()
    else:
        c.batches.list()


OPERATIONS = {f.__name__: f for f in (chat, responses, embeddings, messages, count_tokens, models, elsewhere)}


def caught(e):
    """What an application can read of an exception."""
    return {
        "class": type(e).__name__, "bases": [b.__name__ for b in type(e).__mro__], "status": getattr(e, "status_code", 0),
        "code": str(getattr(e, "error_code", None) or getattr(e, "code", None) or ""), "type": str(getattr(e, "type", None) or ""),
        "message": str(e), "request_id": getattr(e, "request_id", None) or "", "body": getattr(e, "body", None),
    }


def run(task):
    got = Got(task)
    try:
        with client(task) as c:
            OPERATIONS[task["op"]](c, task, got)
        say(got.line())
    except Exception as e:  # whatever an application would see
        say({**got.line(), "ok": False, "error": caught(e)})


say({"versions": {"openai": openai.__version__, "anthropic": anthropic.__version__}})
with ThreadPoolExecutor(max_workers=16) as pool:
    for line in sys.stdin:
        pool.submit(run, json.loads(line))
