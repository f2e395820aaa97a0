"""Plans that somebody means ill with, and what must be said of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.workflows.plans import plan_of, text

Doc = dict[str, Any]


@dataclass(frozen=True)
class Hostile:
    """A plan, and where its worst problem is.

    Attributes: at: pointer into the document, of a plan that no draft may hold; step, field: of a
    plan that a draft holds, and that does not go live.
    """

    name: str
    plan: Any
    at: str = ""
    step: str = ""
    field: str = ""

    @property
    def is_kept(self) -> bool:
        return not self.at


def each(inner: list[Doc], step_id: str = "s_1", **settings: Any) -> Doc:
    return {
        "id": step_id,
        "kind": "each",
        "with": {"list": {"list": [1]}, "steps": inner, **settings},
    }


def nested(depth: int) -> Doc:
    inner = text(f"s_{depth}")
    for level in reversed(range(1, depth)):
        inner = each([inner], f"s_{level}")
    return inner


def deep_value(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"list": [value]}
    return value


def lanes(*needs: list[str]) -> Doc:
    found = [{"id": f"l_{n}", "needs": need, "steps": []} for n, need in enumerate(needs)]
    return {"id": "s_1", "kind": "parallel", "with": {"lanes": found}}


def to(*ref: Any) -> Doc:
    return text("s_1", [{"value": list(ref)}])


def _cycles() -> Iterator[Hostile]:
    yield Hostile("a lane needs itself", plan_of(lanes(["l_0"], [])), step="s_1",
                  field="with.lanes.0.needs")  # fmt: skip
    circle = [[f"l_{(n + 1) % 60}"] for n in range(60)]
    yield Hostile("sixty lanes in a circle", plan_of(lanes(*circle)), step="s_1",
                  field="with.lanes.0.needs")  # fmt: skip
    everybody = [[f"l_{m}" for m in range(60) if m != n] for n in range(60)]
    yield Hostile("every lane needs every other", plan_of(lanes(*everybody)), step="s_1",
                  field="with.lanes.0.needs")  # fmt: skip
    yield Hostile("a lane that is gone", plan_of(lanes(["l_9"], [])), step="s_1",
                  field="with.lanes.0.needs")  # fmt: skip


def _sizes() -> Iterator[Hostile]:
    many = [text(f"s_{n}", "a") for n in range(10_000)]
    yield Hostile("ten thousand steps", plan_of(*many), at="/steps/500")
    inside = [text(f"s_{n}", "a") for n in range(2, 10_000)]
    yield Hostile("ten thousand in a loop", plan_of(each(inside)), at="/steps/0/with/steps/499")
    yield Hostile("a long text", plan_of(text("s_1", "x" * 200_001)), at="/steps/0/with/text")
    yield Hostile("a long reference", plan_of(to("start", *["a"] * 8)),
                  at="/steps/0/with/text/0/value")  # fmt: skip
    parts = [{"text": "a"}] * 501
    yield Hostile("many parts", plan_of(text("s_1", parts)), at="/steps/0/with/text")
    yield Hostile("a long list", plan_of(each([]) | {"with": {"list": {"list": [1] * 201}}}),
                  at="/steps/0/with/list")  # fmt: skip
    names = {f"n{n}": 1 for n in range(51)}
    yield Hostile("many names", plan_of(text("s_1", {"record": names})), at="/steps/0/with/text")
    inputs = [{"name": f"n{n}"} for n in range(31)]
    yield Hostile("many questions", plan_of(inputs=inputs), at="/inputs")
    result = [{"name": f"n{n}", "value": 1} for n in range(21)]
    yield Hostile("many results", plan_of(result=result), at="/result")
    yield Hostile("many lanes", plan_of(lanes(*[[] for _ in range(65)])), step="s_1",
                  field="with.lanes")  # fmt: skip
    yield Hostile("a long name", plan_of(text("s_1", "a", "x" * 81)), at="/steps/0/name")
    wrong = {f"k{n}": n for n in range(20_000)}
    yield Hostile("many words that are not known", plan_of(text("s_1", "a") | wrong),
                  at="/steps/0/k0")  # fmt: skip


def _depths() -> Iterator[Hostile]:
    yield Hostile("steps six deep", plan_of(nested(6)),
                  at="/steps/0/with/steps/0/with/steps/0/with/steps/0/with/steps/0/with/steps")  # fmt: skip
    yield Hostile("a value twelve deep", plan_of(text("s_1", deep_value(12))),
                  at="/steps/0/with/text" + "/list/0" * 9)  # fmt: skip
    row = {"value": 1, "is": "equal", "to": 1}
    group: Doc = {"all": [{"any": [{"all": [row]}]}]}
    branch = {"id": "yes", "when": group, "steps": []}
    yield Hostile("groups in groups", plan_of(
        {"id": "s_1", "kind": "if", "with": {"branches": [branch]}}),
        at="/steps/0/with/branches/0/when")  # fmt: skip


def _unknown() -> Iterator[Hostile]:
    yield Hostile("an unknown kind", plan_of({"id": "s_1", "kind": "rocket", "with": {}}),
                  step="s_1", field="kind")  # fmt: skip
    yield Hostile("a kind that is no word", plan_of({"id": "s_1", "kind": "__class__"}),
                  at="/steps/0/kind")  # fmt: skip
    tool = {"id": "s_1", "kind": "tool", "with": {"tool": "os.system"}}
    yield Hostile("an unknown tool", plan_of(tool), step="s_1", field="with.tool")
    yield Hostile("an unknown word", plan_of(text("s_1") | {"__proto__": 1}),
                  at="/steps/0/__proto__")  # fmt: skip
    call = {"id": "s_1", "kind": "workflow", "with": {"workflow": "wf_" + "0" * 26}}
    yield Hostile("a workflow that is not there", plan_of(call), step="s_1", field="with.workflow")
    adjusted = [{"value": ["run", "id"], "adjust": [{"do": "eval", "code": "1"}]}]
    yield Hostile("an adjustment that is none", plan_of(text("s_1", adjusted)),
                  at="/steps/0/with/text/0/adjust/0/do")  # fmt: skip


def _nowhere() -> Iterator[Hostile]:
    yield Hostile("a step that is not there", plan_of(to("s_9", "text")), step="s_1",
                  field="with.text")  # fmt: skip
    yield Hostile("itself", plan_of(to("s_1", "text")), step="s_1", field="with.text")
    yield Hostile("an input that is not there", plan_of(to("start", "x")), step="s_1",
                  field="with.text")  # fmt: skip
    yield Hostile("a row outside of a list", plan_of(to("item", "x")), step="s_1",
                  field="with.text")  # fmt: skip
    yield Hostile("a secret in a text", plan_of(to("secret", "key")),
                  at="/steps/0/with/text/0/value")  # fmt: skip
    yield Hostile("a root that is none", plan_of(to("__globals__", "x")),
                  at="/steps/0/with/text/0/value")  # fmt: skip
    yield Hostile("a place that is none", plan_of(to("start", "a", 10**9)),
                  at="/steps/0/with/text/0/value")  # fmt: skip
    yield Hostile("nothing", plan_of(to()), at="/steps/0/with/text/0/value")


def _numbers() -> Iterator[Hostile]:
    yield Hostile("a million items", plan_of(each([text("s_2")], most=10**6)), step="s_1",
                  field="with.most")  # fmt: skip
    yield Hostile("a million at once", plan_of(each([text("s_2")], at_once=10**6)), step="s_1",
                  field="with.at_once")  # fmt: skip
    yield Hostile("rounds without end", plan_of({"id": "s_1", "kind": "repeat", "with": {
        "until": {"all": []}, "most": 2**62, "steps": []}}), step="s_1",
        field="with.most")  # fmt: skip
    yield Hostile("a year too long", plan_of(text("s_1") | {"timeout_s": 2**62}),
                  at="/steps/0/timeout_s")  # fmt: skip
    yield Hostile("never tired", plan_of(text("s_1") | {"retry": {"times": 10**9}}),
                  at="/steps/0/retry/times")  # fmt: skip
    yield Hostile("endless work", plan_of(text("s_1"), limits={"seconds": 2**62}),
                  at="/limits/seconds")  # fmt: skip
    yield Hostile("endless steps", plan_of(text("s_1"), limits={"steps": 2**62}),
                  at="/limits/steps")  # fmt: skip
    yield Hostile("endless money", plan_of(text("s_1"), limits={"cost_usd": "9" * 400}),
                  at="/limits/cost_usd")  # fmt: skip
    yield Hostile("money that is none", plan_of(text("s_1") | {"cost_usd": "NaN"}),
                  at="/steps/0/cost_usd")  # fmt: skip


def _shapes() -> Iterator[Hostile]:
    yield Hostile("no steps but a record", plan_of() | {"steps": {}}, at="/steps")
    yield Hostile("a step of nothing", plan_of() | {"steps": [None]}, at="/steps/0")
    yield Hostile("a step in a list in a list", plan_of() | {"steps": [[text("s_1")]]},
                  at="/steps/0")  # fmt: skip
    yield Hostile("settings that are a number", plan_of({"id": "s_1", "kind": "text", "with": 5}),
                  at="/steps/0/with")  # fmt: skip
    yield Hostile("an id that is a record", plan_of(text("s_1") | {"id": {}}), at="/steps/0/id")
    yield Hostile("one id twice", plan_of(text("s_1"), text("s_1")), at="/steps/1/id")
    yield Hostile("yes as a text", plan_of(text("s_1") | {"off": "yes"}), at="/steps/0/off")
    for number in (0, 2, 99, True, "1", None, [1]):
        yield Hostile(f"format {number!r}", {"plan": number, "steps": []}, at="/plan")
    yield Hostile("no format", {"steps": []}, at="/plan")


HOSTILE = [
    one
    for family in (_cycles, _sizes, _depths, _unknown, _nowhere, _numbers, _shapes)
    for one in family()
]
