"""Plans for the runs that these tests watch."""

from __future__ import annotations

from typing import Any

Step = dict[str, Any]


def plan(*steps: Step, **more: Any) -> dict[str, Any]:
    return {"plan": 1, "inputs": [], "steps": list(steps), "result": [], **more}


def text(step_id: str, value: Any, name: str) -> Step:
    return {"id": step_id, "kind": "text", "name": name, "with": {"text": value}}


def wait(step_id: str, seconds: float, name: str = "Wait") -> Step:
    return {"id": step_id, "kind": "wait", "name": name, "with": {"for_s": seconds}}


def agent(step_id: str, message: Any, name: str = "Write") -> Step:
    inline = {"instructions": "Write it up.", "model": "default"}
    return {
        "id": step_id,
        "kind": "agent",
        "name": name,
        "with": {"inline": inline, "message": message},
    }


def refused(step_id: str) -> Step:
    """A step that fails at once: nobody may be asked at this address."""
    call = {"method": "GET", "url": "http://10.0.0.1/orders"}
    return {"id": step_id, "kind": "http", "name": "Read the orders", "with": call}


def order(step_id: str, url: str) -> Step:
    """A step that may happen only once."""
    content = {"as": "json", "value": {"record": {"item": "Paper", "boxes": 12}}}
    call = {"method": "POST", "url": url, "body": content}
    return {"id": step_id, "kind": "http", "name": "Order paper", "with": call}


def asking(step_id: str, text: Any, due: Any = None) -> Step:
    """A step that asks somebody, with everything a person may have to do about it."""
    rows = [{"record": {"customer": name, "total": total}} for name, total in OWED]
    shown = [
        {"name": "text", "label": "Text", "value": text},
        {"name": "subject", "label": "Subject", "value": "Re: invoice 2024-118"},
        {"name": "to", "label": "To", "value": "pay\u202e.example"},
        {"name": "rows", "label": "Invoices", "value": {"list": rows}},
    ]
    questions = [
        {"name": "amount", "label": "How much may it cost?", "type": "number"},
        {"name": "how", "label": "How is it sent?", "type": "oneof", "of": ["Mail", "Letter"]},
        {"name": "copy", "label": "Send me a copy", "type": "boolean", "required": False},
    ]
    ask = {"who": [{"role": "viewer"}], "show": shown, "edit": ["text"], "questions": questions}
    return {"id": step_id, "kind": "approval", "name": "Check the letter", "with": ask | (
        {"due": due} if due else {}
    )}  # fmt: skip


OWED = (("Müller GmbH", 120), ("Schmidt AG", 80))


def counting(step_id: str, inner: str) -> Step:
    """A step that repeats another one and hands on what it said."""
    said = [{"value": [step_id, "carry", "said"]}, {"text": " "}, {"value": [inner, "text"]}]
    carry = {"name": "said", "label": "Said so far", "type": "text", "first": "", "value": said}
    row = {"value": [{"value": [step_id, "round"]}], "is": "at_least", "to": 3}
    settings = {"until": {"all": [row]}, "steps": [text(inner, "Again", "Say it")]}
    return {
        "id": step_id,
        "kind": "repeat",
        "name": "Three times",
        "with": {**settings, "carry": [carry]},
    }


def rounds(step_id: str, until: int, *steps: Step) -> Step:
    """Steps that are done again until a round."""
    row = {"value": [{"value": [step_id, "round"]}], "is": "equal", "to": until}
    settings = {"until": {"all": [row]}, "most": 10, "steps": list(steps)}
    return {"id": step_id, "kind": "repeat", "name": "Until it is good", "with": settings}


def lanes(step_id: str, *blocks: Step) -> Step:
    """Lanes of a step each; the last one starts after the others."""
    names = [str(n) for n in range(1, len(blocks) + 1)]
    found = [
        {"id": f"l{name}", "label": f"Lane {name}", "steps": [block]}
        for name, block in zip(names, blocks, strict=True)
    ]
    found[-1]["needs"] = [one["id"] for one in found[:-1]]
    settings = {"lanes": found, "lane_failure": "continue"}
    return {"id": step_id, "kind": "parallel", "name": "At once", "with": settings}


def each(step_id: str, *steps: Step) -> Step:
    """Steps for each of the customers that the run is started with."""
    settings = {"list": [{"value": ["start", "customers"]}], "steps": list(steps)}
    return {"id": step_id, "kind": "each", "name": "Each customer", "with": settings}


CUSTOMERS = {"name": "customers", "label": "Customers", "type": "list"}


def hears(step_id: str, signal: str) -> Step:
    """A step that waits for a signal."""
    settings = {"signal": {"name": signal}}
    return {"id": step_id, "kind": "wait", "name": "Is it paid?", "with": settings}


def one_of_each(other: str = "") -> dict[str, Any]:
    """A plan with a step of every kind, and a value of Start in some.

    Args:
        other: a workflow that is live, for the step that runs one.
    """
    who = [{"text": "Dear "}, {"value": ["start", "who"]}]
    row = {"value": [{"value": ["start", "who"]}], "is": "equal", "to": "Ada"}
    stop = {"id": "s_5", "kind": "stop", "with": {"as": "done", "message": "Nothing to do."}}
    branch = {"id": "yes", "label": "It is Ada", "when": {"all": [row]}, "steps": [stop]}
    lanes = [
        {"id": "a", "label": "First", "steps": [text("s_7", "One", "Left")]},
        {"id": "b", "label": "Second", "needs": ["a"], "steps": [text("s_8", "Two", "Right")]},
    ]
    fields = [{"name": "total", "label": "Total", "type": "number", "value": 12}]
    first = [{"do": "filter", "where": {"all": [{**row, "value": [{"value": ["item", "name"]}]}]}}]
    rows = {"list": [{"record": {"name": "Ada"}}, {"record": {"name": "Bo"}}]}
    each = {"list": [{"value": ["s_3", "items"]}], "steps": [text("s_10", "Hello", "Greet")]}
    sums = {"tool": "calculator", "args": {"expression": "2 + 2"}}
    steps: list[Step] = [
        text("s_1", who, "Greeting"),
        {"id": "s_2", "kind": "set", "name": "Numbers", "with": {"fields": fields}},
        {"id": "s_3", "kind": "list", "name": "People", "with": {"from": rows, "do": first}},
        {"id": "s_4", "kind": "if", "name": "Who is it?", "with": {"branches": [branch]}},
        {"id": "s_6", "kind": "parallel", "name": "Both", "with": {"lanes": lanes}},
        {"id": "s_9", "kind": "each", "name": "Everybody", "with": each},
        refused("s_11"),
        agent("s_12", who, "Answer"),
        {"id": "s_13", "kind": "tool", "name": "Add up", "with": sums},
        wait("s_14", 60, "A minute"),
        asking("s_15", who, {"in_s": 86_400}),
        counting("s_16", "s_19"),
        {"id": "s_17", "kind": "workflow", "name": "Invoices", "with": {"workflow": other}},
        {"id": "s_18", "kind": "wait", "with": {"signal": {"name": "paid", "timeout_s": 7200}}},
    ]
    asked = {"name": "who", "label": "Who", "type": "text", "required": True}
    return plan(*steps, inputs=[asked])
