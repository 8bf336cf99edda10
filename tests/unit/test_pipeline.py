"""One request through an entry script: exactly one outcome, whatever happens."""

from __future__ import annotations

import itertools
import json
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorehost.errors import ResultNotEncodable, RunFailed
from scorehost.scoring.failure import failure_of
from scorehost.scoring.interrupted import Interrupted, was_interrupted
from scorehost.scoring.pipeline import Pipeline
from scorehost.wire.messages import RUN_FAILED_MESSAGE, Answer, Failure, Stream
from support.scripts import Loader, get, post, request

JSON = "application/json"


def answer(outcome: Any) -> Answer:
    """The outcome, which must be a whole answer."""
    assert isinstance(outcome, Answer), outcome
    return outcome


def failure(outcome: Any) -> Failure:
    """The outcome, which must be a failure."""
    assert isinstance(outcome, Failure), outcome
    return outcome


def streamed(outcome: Any) -> Stream:
    """The outcome, which must be a stream."""
    assert isinstance(outcome, Stream), outcome
    return outcome


# -- Plain scripts ------------------------------------------------------------------------


def test_the_guides_script(scripts: Loader):
    pipeline = scripts.pipeline(
        """
        import json
        def init(): pass
        def run(data): return {"got": json.loads(data)["data"]}
        """
    )

    outcome = answer(pipeline.score(post('{"data": [1, 2]}')))

    assert outcome.body == b'{"got":[1,2]}'
    assert (outcome.status, outcome.content_type, outcome.headers) == (200, JSON, ())
    assert not outcome.run_function_failed
    assert not outcome.own_response


@pytest.mark.parametrize(
    ("value", "body"),
    [
        ("'text'", b'"text"'),
        ("'[1]'", b'"[1]"'),
        ("None", b"{}"),
        ("[None]", b"[null]"),
        ("{}", b"{}"),
        ("0", b"0"),
        ("False", b"false"),
        ("(1, 2)", b"[1,2]"),
        ("{1, 2}", b"[1,2]"),
    ],
)
def test_results_are_json(scripts: Loader, value: str, body: bytes):
    pipeline = scripts.pipeline(f"def init(): pass\ndef run(data): return {value}")

    assert answer(pipeline.score(post())).body == body


def test_a_get_reaches_run_with_its_query(scripts: Loader):
    pipeline = scripts.pipeline("def init(): pass\ndef run(data): return data")

    assert json.loads(json.loads(answer(pipeline.score(get("a=1&a=2"))).body)) == {"a": [1, 2]}


def test_headers_reach_run_as_a_dict(scripts: Loader):
    pipeline = scripts.pipeline(
        "def init(): pass\ndef run(data, request_headers=None): return request_headers"
    )

    outcome = answer(pipeline.score(post("x", headers=[("x-custom", "a")])))

    assert json.loads(outcome.body) == {"X-Custom": "a"}


def test_the_time_in_run_is_measured_without_the_rest(scripts: Loader):
    """By the clock that the script itself reads."""
    pipeline = scripts.pipeline(
        """
        import time
        def init(): pass
        def run(data):
            began = time.perf_counter_ns()
            while time.perf_counter_ns() < began + 2_000_000: pass
            return [2 ** 70] * 20_000
        """
    )

    began = time.perf_counter_ns()
    outcome = answer(pipeline.score(post("x" * 100_000)))
    total = time.perf_counter_ns() - began

    assert 2_000_000 <= outcome.run_ns < total


def test_the_setting_for_nan_is_passed_on(scripts: Loader):
    source = "def init(): pass\ndef run(data): return [float('nan')]"

    assert answer(scripts.pipeline(source).score(post())).body == b"[null]"
    assert answer(scripts.pipeline(source, nan="literal").score(post())).body == b"[NaN]"
    outcome = failure(scripts.pipeline(source, nan="error").score(post()))
    assert (outcome.stage, outcome.status) == ("encode", 500)
    assert "result[0]: NaN is not a JSON number" in outcome.log


# -- The caller's mistakes ----------------------------------------------------------------


def test_a_body_that_is_not_text(scripts: Loader):
    pipeline = scripts.pipeline("def init(): pass\ndef run(data): return data")

    outcome = failure(pipeline.score(post(b"\xff")))

    assert (outcome.status, outcome.stage, outcome.error_type) == (400, "decode", "UnusableBody")
    assert outcome.message == "The body is not UTF-8 text: invalid start byte at byte 0."
    assert outcome.log == outcome.message
    assert outcome.run_ns is None


@pytest.mark.parametrize(
    ("sent", "status", "stage", "said"),
    [
        (post("{}", content_type="text/plain"), 415, "decode", "send application/json"),
        (post("{no", content_type=JSON), 400, "decode", "not JSON"),
        (post("{}", content_type=JSON), 400, "validate", "The parameter 'data' is missing"),
        (get("factor=1"), 400, "validate", "The parameter 'data' is missing"),
        (post('{"data": "x"}', content_type=JSON), 400, "validate",
         "The parameter 'data' does not match its declaration: Invalid input"),
        (post('{"data": [[1]]}', content_type=JSON), 400, "validate",
         "'data' does not match its declaration: Invalid input array"),
        (post('{"data": [[1], [2, 3]]}', content_type=JSON), 400, "validate", "'data' does not"),
        (post('{"data": [["a", "b"]]}', content_type=JSON), 400, "validate", "'data' does not"),
        (post('{"data": [[1, 2]], "factor": "x"}', content_type=JSON), 400, "validate",
         "'factor' does not match its declaration: Invalid input data type to parse."),
    ],
)  # fmt: skip
def test_typed_input_that_does_not_fit(
    scripts: Loader, sent: Any, status: int, stage: str, said: str
):
    outcome = failure(scripts.pipeline("typed.py").score(sent))

    assert (outcome.status, outcome.stage) == (status, stage)
    assert said in outcome.message


def test_typed_input_that_fits(scripts: Loader):
    pipeline = scripts.pipeline("typed.py")

    assert answer(pipeline.score(post('{"data": [[1, 2]]}', content_type=JSON))).body == b"[6.0]"
    assert answer(pipeline.score(get("data=[[1,2]]&factor=3"))).body == b"[9.0]"


def test_an_error_of_a_typed_script_is_its_own(scripts: Loader):
    body = '{"data": [[1, 2]], "factor": 13}'

    outcome = failure(scripts.pipeline("typed.py").score(post(body, content_type=JSON)))

    assert (outcome.status, outcome.stage) == (500, "run")
    assert "ValueError: the script's own" in outcome.log


@pytest.mark.parametrize(
    ("inputs", "path"),
    [
        ('{"rows": 1}', "inputs.rows"),
        ('{"options": {"depth": "x"}}', "inputs.options.depth"),
        ('{"options": 1}', "inputs.options"),
        ("[]", "inputs"),
    ],
)
def test_a_nested_value_that_does_not_fit_is_named_with_its_path(
    scripts: Loader, inputs: str, path: str
):
    body = f'{{"inputs": {inputs}}}'

    outcome = failure(scripts.pipeline("typed_nested.py").score(post(body, content_type=JSON)))

    assert (outcome.status, outcome.stage) == (400, "validate")
    assert outcome.message.startswith(f"The parameter {path!r} does not match its declaration: ")


def test_nested_values_that_fit(scripts: Loader):
    body = '{"inputs": {"rows": [[1, 2]], "options": {"depth": 1}}, "anything": null}'

    outcome = answer(scripts.pipeline("typed_nested.py").score(post(body, content_type=JSON)))

    assert outcome.body == b'{"rows":[[1,2]],"options":{"depth":1},"anything":null}'


def test_a_missing_key_inside_is_an_error_of_the_script(scripts: Loader):
    """inference-schema lets it pass; run() then stumbles."""
    body = '{"inputs": {"options": {}}}'

    outcome = failure(scripts.pipeline("typed_nested.py").score(post(body, content_type=JSON)))

    assert (outcome.status, outcome.stage) == (500, "run")
    assert outcome.error_type == "KeyError"


@pytest.mark.parametrize("table", ['"x"', "1", '[{"a": "no number", "b": "y"}]', '[{"a": 1}]'])
def test_a_data_frame_that_does_not_fit(scripts: Loader, table: str):
    pipeline = scripts.pipeline("typed_frame.py")

    outcome = failure(pipeline.score(post(f'{{"table": {table}}}', content_type=JSON)))

    assert (outcome.status, outcome.stage) == (400, "validate")
    assert outcome.message.startswith("The parameter 'table' does not match its declaration: ")


def test_a_data_frame_that_fits(scripts: Loader):
    body = '{"table": [{"a": 1, "b": "x"}, {"a": 2, "b": null}]}'

    outcome = answer(scripts.pipeline("typed_frame.py").score(post(body, content_type=JSON)))

    assert outcome.body == b'[{"a":1,"b":"x"},{"a":2,"b":null}]'


def test_a_script_that_describes_only_its_output_takes_values_by_name(scripts: Loader):
    pipeline = scripts.pipeline("typed_output_only.py")

    assert answer(pipeline.score(post('{"first": [1]}', content_type=JSON))).body == b"[[1],2]"


OWN_TYPE = """
from inference_schema.schema_decorators import input_schema
from inference_schema.parameter_types.standard_py_parameter_type import *
class Strict(StandardPythonParameterType):
    def deserialize_input(self, value):
        raise KeyError("unit")
def init(): pass
@input_schema("data", Strict(1.5))
def run(data): return data
"""


def test_a_parameter_type_of_the_scripts_own_refuses_in_its_own_way(scripts: Loader):
    body = '{"data": "x"}'

    outcome = failure(scripts.pipeline(OWN_TYPE).score(post(body, content_type=JSON)))

    assert (outcome.status, outcome.stage) == (400, "validate")
    assert (
        outcome.message == "The parameter 'data' does not match its declaration: KeyError: 'unit'"
    )
    assert 'raise KeyError("unit")' in outcome.log  # for the case that the type is at fault


def test_a_default_that_does_not_fit_is_the_scripts_fault(scripts: Loader):
    pipeline = scripts.pipeline(
        """
        from inference_schema.schema_decorators import input_schema
        from inference_schema.parameter_types.standard_py_parameter_type import *
        def init(): pass
        @input_schema("data", StandardPythonParameterType(1.5))
        def run(data="no number"): return data
        """
    )

    assert answer(pipeline.score(post('{"data": 2.5}', content_type=JSON))).body == b"2.5"
    assert failure(pipeline.score(post("{}", content_type=JSON))).status == 500
    assert failure(pipeline.score(post('{"data": "x"}', content_type=JSON))).status == 400


def test_a_decorated_function_that_run_calls_is_the_scripts_business(scripts: Loader):
    """Its values come from the script, not from the caller."""
    pipeline = scripts.pipeline(
        """
        from inference_schema.schema_decorators import input_schema
        from inference_schema.parameter_types.standard_py_parameter_type import *
        def init(): pass
        @input_schema("number", StandardPythonParameterType(1))
        def helper(number): return number
        @input_schema("data", StandardPythonParameterType("text"))
        def run(data): return helper(number=data)
        """
    )

    outcome = failure(pipeline.score(post('{"data": "x"}', content_type=JSON)))

    assert (outcome.status, outcome.stage) == (500, "run")


# -- The script's mistakes ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "kind"),
    [
        ("value", "ValueError"),
        ("deep", "ZeroDivisionError"),
        ("exit", "SystemExit"),
        ("interrupt", "KeyboardInterrupt"),
        ("panic", "Panic"),
        ("mute", "Mute"),
        ("memory", "MemoryError"),
        ("stop", "StopIteration"),
        ("recursion", "RecursionError"),
        ("library", "JSONDecodeError"),
    ],
)
def test_whatever_run_raises_fails_only_its_request(scripts: Loader, what: str, kind: str):
    pipeline = scripts.pipeline("fails.py")

    outcome = failure(pipeline.score(post(json.dumps(what))))

    assert (outcome.status, outcome.stage, outcome.error_type) == (500, "run", kind)
    assert outcome.message == RUN_FAILED_MESSAGE
    assert kind in outcome.log
    assert outcome.run_ns is None
    assert failure(pipeline.score(post('"value"'))).error_type == "ValueError"


def test_the_log_has_the_scripts_frames_and_none_of_ours(scripts: Loader):
    outcome = failure(scripts.pipeline("fails.py").score(post('"deep"')))

    assert "ZeroDivisionError: division by zero" in outcome.log
    assert "fails.py:" in outcome.log
    assert "return helper_of_fails.divide(1, 0)" in outcome.log
    assert "return a / b" in outcome.log
    assert "scoring/" not in outcome.log
    assert "invoke" not in outcome.log


def test_the_log_follows_causes(scripts: Loader):
    log = failure(scripts.pipeline("fails.py").score(post('"cause"'))).log

    assert log.index("LookupError: no such row") < log.index("ZeroDivisionError")


def test_what_cannot_be_encoded_is_named_in_the_log_only(scripts: Loader):
    outcome = failure(scripts.pipeline("fails.py").score(post('"encode"')))

    assert (outcome.status, outcome.stage) == (500, "encode")
    assert outcome.error_type == "ResultNotEncodable"
    assert "result[1].score: object of type Unencodable" in outcome.log
    assert outcome.message == RUN_FAILED_MESSAGE
    assert isinstance(outcome.run_ns, int)


def test_an_error_inside_a_result_is_logged_with_its_frames(scripts: Loader):
    pipeline = scripts.pipeline(
        """
        import collections
        class Rows(collections.UserList):
            def __iter__(self): raise LookupError("no such row")
            __getitem__ = __len__ = __iter__
        def init(): pass
        def run(data): return {"rows": Rows()}
        """
    )

    outcome = failure(pipeline.score(post()))

    assert outcome.stage == "encode"
    assert "result.rows: Rows cannot be converted to JSON: LookupError: no such row" in outcome.log
    assert 'raise LookupError("no such row")' in outcome.log
    assert "JSON serializable" not in outcome.log


def test_the_detail_is_for_the_error_page(scripts: Loader):
    outcome = failure(scripts.pipeline("fails.py").score(post('"deep"')))

    detail = outcome.detail
    frames = detail.pop("frames")
    assert detail == {
        "stage": "run",
        "type": "ZeroDivisionError",
        "message": "division by zero",
        "input": {"data": {"text of 6 characters": "text of 4 characters"}},
    }
    assert [(frame["file"], frame["function"], frame["code"]) for frame in frames] == [
        ("fails.py", "run", "return helper_of_fails.divide(1, 0)"),
        ("helper_of_fails.py", "divide", "return a / b"),
    ]
    assert all(frame["line"] > 1 for frame in frames)
    orjson.dumps(outcome.detail)


def test_the_detail_never_holds_what_was_sent(scripts: Loader):
    pipeline = scripts.pipeline("def init(): pass\ndef run(data): raise ValueError")
    sent = '{"password": "swordfish", "rows": [[1, 2], [3, 4]], "none": null}'

    shown = failure(pipeline.score(post(sent))).detail["input"]

    assert shown == {
        "data": {
            f"text of {len(sent)} characters": {
                "password": "text of 9 characters",
                "rows": "list of 2: list of 2: int",
                "none": "NoneType",
            }
        }
    }


@pytest.fixture(scope="module")
def every_style(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Pipeline]]:
    """A pipeline of each style."""
    loader = Loader(tmp_path_factory.mktemp("styles"))
    yield {
        "plain": loader.pipeline("def init(): pass\ndef run(data, request_headers): return [data]"),
        "typed": loader.pipeline("typed.py"),
        "raw": loader.pipeline("raw.py"),
        "streams": loader.pipeline("streams.py"),
    }
    loader.undo()


@pytest.mark.parametrize("style", ["plain", "typed", "raw", "streams"])
@given(
    body=st.binary(),
    query=st.text(),
    method=st.sampled_from(["POST", "GET", "PUT", "OPTIONS"]),
    name=st.text(),
)
def test_any_request_has_exactly_one_outcome(
    every_style: dict[str, Pipeline], style: str, body: bytes, query: str, method: str, name: str
):
    sent = request(method, f"/score?{query}", body, JSON, headers=[("Host", "h"), (name, query)])

    outcome = every_style[style].score(sent)

    assert isinstance(outcome, (Answer, Failure, Stream))
    assert outcome.run_ns is None or outcome.run_ns >= 0


# -- Streams ------------------------------------------------------------------------------


def chunks_of(pipeline: Pipeline, *steps: Any) -> tuple[Stream, list[bytes]]:
    """The stream that steps make, and its chunks."""
    stream = streamed(pipeline.score(post(json.dumps(steps))))
    return stream, list(stream.chunks)


@pytest.mark.parametrize(
    ("steps", "chunks", "content_type"),
    [
        (["a", "é\n"], [b"a", "é\n".encode()], "text/plain; charset=utf-8"),
        (["bytes", "bytearray", "text"], [b"\x00\xff", b"ba", b"text"], "application/octet-stream"),
        ([{"a": 1}, [2], 3, None], [b'{"a":1}\n', b"[2]\n", b"3\n", b"null\n"],
         "application/x-ndjson"),
        ([{"a": 1}, "x"], [b'{"a":1}\n', b"x"], "application/x-ndjson"),
        (["", "a", "", "b"], [b"a", b"b"], "text/plain; charset=utf-8"),
        (["surrogate"], [b"?"], "text/plain; charset=utf-8"),
        ([], [], "application/x-ndjson"),
        ([""], [], "text/plain; charset=utf-8"),
    ],
)  # fmt: skip
def test_what_a_generator_yields_is_sent(
    scripts: Loader, steps: list[Any], chunks: list[bytes], content_type: str
):
    stream, sent = chunks_of(scripts.pipeline("streams.py"), *steps)

    assert sent == chunks
    assert (stream.status, stream.content_type) == (200, content_type)
    assert scripts.module.closed == [True]


def test_run_may_be_a_generator_itself(scripts: Loader):
    pipeline = scripts.pipeline("def init(): pass\ndef run(data):\n  yield data\n  yield 'b'")

    assert list(streamed(pipeline.score(post("a"))).chunks) == [b"a", b"b"]


def test_only_the_first_chunk_is_made_ahead(scripts: Loader):
    pipeline = scripts.pipeline(
        """
        made = []
        def init(): pass
        def run(data):
            for number in range(3):
                made.append(number)
                yield number
        """
    )

    stream = streamed(pipeline.score(post()))

    made = scripts.module.made
    assert made == [0]
    assert next(stream.chunks) == b"0\n"
    assert made == [0]
    assert next(stream.chunks) == b"1\n"
    assert made == [0, 1]


@pytest.mark.parametrize(("step", "kind"), [("raise", "ValueError"), ("exit", "SystemExit")])
def test_an_error_before_the_first_chunk_is_an_ordinary_failure(
    scripts: Loader, step: str, kind: str
):
    outcome = failure(scripts.pipeline("streams.py").score(post(json.dumps([step]))))

    assert (outcome.status, outcome.stage, outcome.error_type) == (500, "run", kind)
    assert outcome.run_ns is None
    assert "streams.py:" in outcome.log


def test_a_first_chunk_that_cannot_be_encoded(scripts: Loader):
    outcome = failure(scripts.pipeline("streams.py").score(post('["object"]')))

    assert (outcome.status, outcome.stage) == (500, "encode")
    assert "[0]: object of type object" in outcome.log


@pytest.mark.parametrize(("step", "kind"), [("raise", "ValueError"), ("exit", "SystemExit")])
def test_an_error_after_the_first_chunk_comes_from_the_stream(
    scripts: Loader, step: str, kind: str
):
    stream = streamed(scripts.pipeline("streams.py").score(post(json.dumps(["a", step]))))
    assert next(stream.chunks) == b"a"

    with pytest.raises(RunFailed) as caught:
        next(stream.chunks)

    assert type(caught.value.__cause__).__name__ == kind
    explained = failure_of(caught.value, "encode", scripts.folder)
    assert (explained.stage, explained.error_type) == ("run", kind)


def test_a_later_chunk_that_cannot_be_encoded(scripts: Loader):
    stream = streamed(scripts.pipeline("streams.py").score(post('["a", "object"]')))
    assert next(stream.chunks) == b"a"

    with pytest.raises(ResultNotEncodable, match="object of type object"):
        next(stream.chunks)
    assert scripts.module.closed == [True]


def test_a_stream_that_nobody_reads_on_is_closed(scripts: Loader):
    stream = streamed(scripts.pipeline("streams.py").score(post('["a", "b"]')))
    next(stream.chunks)
    assert scripts.module.closed == []

    stream.chunks.close()  # type: ignore[attr-defined]

    assert scripts.module.closed == [True]


def test_a_stream_that_nobody_reads_at_all_is_closed(scripts: Loader):
    stream = streamed(scripts.pipeline("streams.py").score(post('["a", "b"]')))

    del stream

    assert scripts.module.closed == [True]


# -- async --------------------------------------------------------------------------------


def test_a_coroutine_is_awaited_on_one_loop(scripts: Loader):
    pipeline = scripts.pipeline("asynchronous.py")

    for number in range(3):
        assert json.loads(answer(pipeline.score(post(str(number)))).body) == {"awaited": number}

    assert len(scripts.module.loops) == 1
    assert answer(pipeline.score(post('"gather"'))).body == b"[1,1]"


@pytest.mark.parametrize(("what", "kind"), [("raise", "ValueError"), ("exit", "SystemExit")])
def test_a_coroutine_that_raises_fails_only_its_request(scripts: Loader, what: str, kind: str):
    pipeline = scripts.pipeline("asynchronous.py")

    outcome = failure(pipeline.score(post(json.dumps(what))))

    assert (outcome.stage, outcome.error_type) == ("run", kind)
    assert answer(pipeline.score(post("1"))).body == b'{"awaited":1}'


def test_an_asynchronous_generator_streams(scripts: Loader):
    stream = streamed(scripts.pipeline("asynchronous.py").score(post('"stream"')))

    assert list(stream.chunks) == [b'{"number":0}\n', b'{"number":1}\n', b'{"number":2}\n']
    assert scripts.module.cleaned == ["stream"]


def test_an_asynchronous_generator_that_nobody_reads_on_is_closed(scripts: Loader):
    stream = streamed(scripts.pipeline("asynchronous.py").score(post('"stream"')))
    next(stream.chunks)

    stream.chunks.close()  # type: ignore[attr-defined]

    assert scripts.module.cleaned == ["stream"]


def test_run_itself_may_be_an_asynchronous_generator(scripts: Loader):
    pipeline = scripts.pipeline("def init(): pass\nasync def run(data):\n  yield data\n  yield 1")

    assert list(streamed(pipeline.score(post("a"))).chunks) == [b"a", b"1\n"]


def test_an_ordinary_run_may_return_a_coroutine(scripts: Loader):
    pipeline = scripts.pipeline(
        "def init(): pass\nasync def work(x): return x\ndef run(data): return work(data)"
    )

    assert answer(pipeline.score(post("a"))).body == b'"a"'


def test_a_typed_run_may_be_a_coroutine(scripts: Loader):
    pipeline = scripts.pipeline(
        """
        from inference_schema.schema_decorators import input_schema
        from inference_schema.parameter_types.standard_py_parameter_type import *
        def init(): pass
        @input_schema("number", StandardPythonParameterType(1))
        async def run(number): return number + 1
        """
    )

    assert answer(pipeline.score(post('{"number": 1}', content_type=JSON))).body == b"2"
    outcome = failure(pipeline.score(post('{"number": "x"}', content_type=JSON)))
    assert (outcome.status, outcome.stage) == (400, "validate")


# -- Interrupts ---------------------------------------------------------------------------


@contextmanager
def interrupt_soon() -> Iterator[None]:
    """Raise in the main thread as the worker does, a moment after the script was entered."""

    def handler(_signal: int, _frame: Any) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize(
    "body",
    [
        "while True: pass",
        "time.sleep(60)",
        "threading.Event().wait()",
        "try:\n    time.sleep(60)\n  except Exception: return 'swallowed'",
        "try:\n    time.sleep(60)\n  except BaseException as e: raise ValueError('wrapped') from e",
        "try:\n    time.sleep(60)\n  except BaseException: raise ValueError('in the context')",
        "return Slow()",
        "return {1: Slow()}",
    ],
)
def test_an_interrupt_passes_through(scripts: Loader, body: str):
    pipeline = scripts.pipeline(
        "import collections, threading, time\n"
        "class Slow(collections.UserList):\n"
        "  def __iter__(self): time.sleep(60)\n"
        "  __getitem__ = __len__ = __iter__\n"
        "def init(): pass\n"
        f"def run(data):\n  {body}"
    )

    with interrupt_soon(), pytest.raises(Interrupted):
        pipeline.score(post())


def test_an_interrupt_cancels_a_coroutine(scripts: Loader):
    pipeline = scripts.pipeline("asynchronous.py")

    with interrupt_soon(), pytest.raises(Interrupted):
        pipeline.score(post('"forever"'))

    assert scripts.module.cleaned == [True]
    assert answer(pipeline.score(post("1"))).body == b'{"awaited":1}'


def test_an_interrupt_ends_a_stream(scripts: Loader):
    pipeline = scripts.pipeline(
        "import time\nclosed = []\ndef init(): pass\ndef run(data):\n"
        "  try:\n    yield 'a'\n    time.sleep(60)\n  finally: closed.append(1)"
    )
    stream = streamed(pipeline.score(post()))
    next(stream.chunks)

    with interrupt_soon(), pytest.raises(Interrupted):
        next(stream.chunks)

    assert scripts.module.closed == [1]


def test_an_interrupt_that_a_stream_wraps_is_one_still(scripts: Loader):
    pipeline = scripts.pipeline(
        "import time\ndef init(): pass\ndef run(data):\n"
        "  try: time.sleep(60)\n  except BaseException: raise ValueError\n  yield 1"
    )

    with interrupt_soon(), pytest.raises(Interrupted):
        pipeline.score(post())


def test_what_came_of_an_interrupt_is_known_through_its_chain():
    error = ValueError()
    error.__cause__ = LookupError()
    error.__cause__.__context__ = Interrupted()

    assert was_interrupted(error)
    assert not was_interrupted(ValueError())
    error.__cause__.__context__ = error
    assert not was_interrupted(error)


def test_what_came_of_an_interrupt_is_known_in_a_group(scripts: Loader):
    """As asyncio's TaskGroup makes one of what its tasks raise."""
    group = scripts.load(
        """
        try:
            Group = BaseExceptionGroup
        except NameError:  # Python 3.10
            from exceptiongroup import BaseExceptionGroup as Group
        def init(): pass
        def run(data): pass
        """
    ).module.Group

    assert was_interrupted(group("tasks", [ValueError(), group("more", [Interrupted()])]))
    assert not was_interrupted(group("tasks", [ValueError()]))


# -- Raw HTTP -----------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "HEAD"])
def test_every_method_reaches_a_raw_script(scripts: Loader, method: str):
    outcome = answer(scripts.pipeline("raw.py").score(request(method)))

    assert json.loads(outcome.body)["method"] == method
    assert not outcome.own_response


def test_a_raw_script_sees_the_whole_request(scripts: Loader):
    sent = request(
        "POST",
        "/score/%C3%A9?a=1&a=%C3%BC&b",
        "körper".encode(),
        "text/plain; charset=utf-8",
        headers=[
            ("host", "example.org:8080"),
            ("X-Custom", "1"),
            ("x-custom", "2"),
            ("x_custom", "forged"),
            ("cookie", "a=1"),
            ("Cookie", "b=2"),
            ("Content-Type", "forged"),
            ("Content-Length", "7"),
        ],
        remote_address="10.0.0.7",
    )

    seen = json.loads(answer(scripts.pipeline("raw.py").score(sent)).body)

    assert seen["path"] == "/score/é"
    assert seen["full_path"] == "/score/é?a=1&a=%C3%BC&b"
    assert seen["args"] == {"a": ["1", "ü"], "b": [""]}
    assert (seen["text"], seen["length"]) == ("körper", 7)
    assert seen["type"] == "text/plain; charset=utf-8"
    assert seen["headers"]["X-Custom"] == "1, 2"
    assert seen["cookies"] == {"a": "1", "b": "2"}
    assert (seen["remote"], seen["host"]) == ("10.0.0.7", "example.org:8080")
    assert seen["json"] is None


@pytest.mark.parametrize(
    ("target", "url"),
    [
        ("http://other/score?a=/b", "http://other/score?a=/b"),
        ("HTTPS://other:81/score", "http://other:81/score"),
        ("http://me:word@other/score", "http://other/score"),
        ("http://other", "http://other/"),
        ("http://other?a=http://b/c", "http://other/?a=http://b/c"),
        ("http:///score", "http://sent/score"),
        ("/score?a=http://other/", "http://sent/score?a=http://other/"),
    ],
)
def test_a_raw_script_sees_a_target_as_proxies_get_it_resolved(
    scripts: Loader, target: str, url: str
):
    run = "from scorehost.api import rawhttp\ndef init(): pass\n@rawhttp\ndef run(r): return r.url"
    sent = request("POST", target, headers=[("Host", "sent")])

    # Werkzeug 2.2 quotes more of a query than later versions do: the same address.
    assert unquote(json.loads(answer(scripts.pipeline(run).score(sent)).body)) == url


def test_a_raw_script_reads_forms_and_files(scripts: Loader):
    body = (
        b'--B\r\nContent-Disposition: form-data; name="word"\r\n\r\nhello\r\n'
        b'--B\r\nContent-Disposition: form-data; name="file"; filename="f.txt"\r\n\r\nin it\r\n'
        b"--B--\r\n"
    )
    sent = request("POST", "/score?form=1", body, "multipart/form-data; boundary=B")
    script = scripts.pipeline(
        """
        from scorehost.api import rawhttp
        def init(): pass
        @rawhttp
        def run(request):
            return [request.form["word"], request.files["file"].read().decode()]
        """
    )

    assert answer(script.score(sent)).body == b'["hello","in it"]'


@pytest.mark.parametrize("body", [b"", b"some"])
def test_a_raw_script_sees_no_header_that_was_not_sent(scripts: Loader, body: bytes):
    """Neither of a GET nor of a body in chunks, which is read all the same."""
    run = (
        "from scorehost.api import rawhttp\ndef init(): pass\n@rawhttp\ndef run(r): "
        "return [r.content_type, r.content_length, dict(r.headers), r.get_data(as_text=True)]"
    )
    sent = request("POST", body=body, headers=[("Transfer-Encoding", "chunked")])

    seen = json.loads(answer(scripts.pipeline(run).score(sent)).body)

    assert seen == [None, None, {"Transfer-Encoding": "chunked"}, body.decode()]


def test_a_raw_script_sees_that_an_empty_body_was_announced(scripts: Loader):
    sent = request("POST", headers=[("Content-Length", "0"), ("Content-Type", "")])

    seen = json.loads(answer(scripts.pipeline("raw.py").score(sent)).body)

    assert (seen["type"], seen["length"]) == ("", 0)
    assert seen["headers"] == {"Content-Length": "0"}


def test_flasks_helpers_work_in_a_raw_script(scripts: Loader):
    sent = request("POST", "/score?what=json", b'{"a": 1}', JSON)

    outcome = answer(scripts.pipeline("raw.py").score(sent))

    assert (json.loads(outcome.body), outcome.content_type) == ({"a": 1}, JSON)
    assert outcome.own_response


def test_an_aml_response_encodes_what_the_encoder_knows(scripts: Loader):
    pipeline = scripts.pipeline("raw.py")

    outcome = answer(pipeline.score(request("GET", "/score?what=array")))
    assert (outcome.body, outcome.content_type) == (b"[[1.5,null]]", JSON)

    failed = failure(pipeline.score(request("GET", "/score?what=unencodable")))
    assert failed.stage == "encode"
    assert "result.deep[0]: object of type object" in failed.log


def test_none_of_a_raw_script_is_an_empty_object(scripts: Loader):
    outcome = answer(scripts.pipeline("raw.py").score(request("GET", "/score?what=none")))

    assert (outcome.body, outcome.own_response) == (b"{}", False)


def test_an_abort_is_an_error_of_the_script(scripts: Loader):
    outcome = failure(scripts.pipeline("raw.py").score(request("GET", "/score?what=abort")))

    assert (outcome.status, outcome.error_type) == (500, "ImATeapot")


def test_the_body_of_a_request_never_leaks_into_the_next(scripts: Loader):
    pipeline = scripts.pipeline("raw.py")

    first = json.loads(answer(pipeline.score(request("POST", body=b"one"))).body)
    second = json.loads(answer(pipeline.score(request("GET"))).body)

    assert (first["text"], second["text"]) == ("one", "")


# -- Responses of the script's own --------------------------------------------------------


def respond(pipeline: Pipeline, what: Any) -> Any:
    """The outcome of a response built as is said."""
    return pipeline.score(post(json.dumps(what)))


def test_a_response_passes_through(scripts: Loader):
    what = {"body": "<a/>", "status": 203, "headers": {"X-Own": "1", "Content-Type": "text/xml"}}

    outcome = answer(respond(scripts.pipeline("responses.py"), what))

    assert (outcome.status, outcome.body, outcome.content_type) == (203, b"<a/>", "text/xml")
    assert outcome.headers == [("X-Own", "1")]
    assert outcome.own_response
    assert scripts.module.closed == ["response"]


def test_headers_may_repeat(scripts: Loader):
    what = {"body": "", "headers": {"Set-Cookie": ["a=1", "b=2"]}}

    outcome = answer(respond(scripts.pipeline("responses.py"), what))

    assert outcome.headers == [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]


def test_headers_that_frame_the_message_are_the_servers(scripts: Loader):
    wrong = {
        "Content-Length": "1",
        "Transfer-Encoding": "chunked",
        "Connection": "close",
        "TE": "x",
    }

    outcome = answer(respond(scripts.pipeline("responses.py"), {"body": "four", "headers": wrong}))

    assert (outcome.body, outcome.headers) == (b"four", [])


@pytest.mark.parametrize(
    ("status", "header", "failed"),
    [
        (200, None, False),
        (200, "True", True),
        (200, "false", False),
        (404, None, False),
        (500, None, True),
        (503, "False", True),
    ],
)
def test_whether_the_run_failed(scripts: Loader, status: int, header: str | None, failed: bool):
    headers = {} if header is None else {"x-ms-run-function-failed": header}
    what = {"body": "", "status": status, "headers": headers}

    outcome = answer(respond(scripts.pipeline("responses.py"), what))

    assert outcome.run_function_failed is failed
    assert outcome.headers == []


@pytest.mark.parametrize("status", [-1, 0, 99, 100, 101, 199, 600, 1000])
def test_a_status_that_no_answer_can_have(scripts: Loader, status: int):
    outcome = respond(scripts.pipeline("responses.py"), {"body": "x", "status": status})

    found = failure(outcome)
    assert (found.status, found.stage) == (500, "encode")
    assert (
        f"{status} is not a status that a response can have; use one from 200 to 599" in found.log
    )
    assert scripts.module.closed == ["response"]


@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("what", ["stream", "whole"])
def test_an_answer_that_has_no_body(scripts: Loader, status: int, what: str):
    outcome = answer(respond(scripts.pipeline("responses.py"), {"without": what, "status": status}))

    assert (outcome.status, outcome.body) == (status, b"")
    assert ("ETag", '"1"') in outcome.headers
    assert scripts.module.closed == ["response"]


def test_a_streamed_response_streams(scripts: Loader):
    stream = streamed(respond(scripts.pipeline("responses.py"), "stream"))

    assert stream.content_type == "text/event-stream; charset=utf-8"
    assert stream.own_response
    assert list(stream.chunks) == [b"data: 1\n\n", b"data: 2\n\n"]
    assert scripts.module.closed == ["response"]


def test_a_streamed_response_that_fails(scripts: Loader):
    stream = streamed(respond(scripts.pipeline("responses.py"), "stream that fails"))
    assert next(stream.chunks) == b"one"

    with pytest.raises(RunFailed) as caught:
        next(stream.chunks)
    assert isinstance(caught.value.__cause__, ValueError)


def test_flasks_helpers_work_in_a_plain_script_that_imports_flask(scripts: Loader):
    pipeline = scripts.pipeline("responses.py")

    assert answer(respond(pipeline, "jsonify")).body.strip() == b'{"a":1}'
    assert answer(respond(pipeline, "make_response")).status == 202
    redirect = answer(respond(pipeline, "redirect"))
    assert (redirect.status, redirect.headers) == (302, [("Location", "/elsewhere")])


# -- Flask in scripts that are not raw ----------------------------------------------------

PLAIN_WITH_FLASK = """
import flask
def init(): pass
def run(data): return {}
"""
TYPED_WITH_FLASK = """
import flask
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema
def init(): pass
@input_schema("data", StandardPythonParameterType(1))
def run(data): return {}
"""


@pytest.mark.parametrize("source", [PLAIN_WITH_FLASK, TYPED_WITH_FLASK])
def test_a_script_sees_the_request_in_flask(scripts: Loader, source: str):
    seen = (
        "[flask.request.method, flask.request.full_path, flask.request.get_data(as_text=True),"
        " flask.request.headers.get('X-Custom'), flask.request.url_rule]"
    )
    sent = request("POST", "/score?a=1", b'{"data": 1}', JSON, [("X-Custom", "c")])

    outcome = answer(scripts.pipeline(source.format(seen)).score(sent))

    assert json.loads(outcome.body) == ["POST", "/score?a=1", '{"data": 1}', "c", None]


def test_nothing_in_flask_reaches_the_next_request(scripts: Loader):
    pipeline = scripts.pipeline(PLAIN_WITH_FLASK.format("flask.g.setdefault('seen', data)"))

    assert answer(pipeline.score(post("one"))).body == b'"one"'
    assert answer(pipeline.score(post("two"))).body == b'"two"'


def test_not_even_after_an_interrupt(scripts: Loader, monkeypatch: pytest.MonkeyPatch):
    pipeline = scripts.pipeline(PLAIN_WITH_FLASK.format("flask.g.setdefault('seen', data)"))

    with monkeypatch.context() as patch:

        def interrupted(*_: object) -> None:
            raise Interrupted

        patch.setattr("flask.ctx.RequestContext.pop", interrupted)
        with pytest.raises(Interrupted):
            pipeline.score(post("one"))

    assert answer(pipeline.score(post("two"))).body == b'"two"'


def test_the_end_of_a_request_is_told_to_what_waits_for_it(scripts: Loader):
    pipeline = scripts.pipeline(
        """
        import flask
        ended = []
        def init(): pass
        def run(data):
            if not ended:
                flask.current_app.teardown_appcontext(lambda error: ended.append(1))
            flask.g.seen = data
            return len(ended)
        """
    )

    assert answer(pipeline.score(post())).body == b"0"
    assert answer(pipeline.score(post())).body == b"1"


def test_a_teardown_that_fails_fails_its_request(scripts: Loader):
    pipeline = scripts.pipeline(
        """
        import flask
        def init(): pass
        def fail(error): raise LookupError("in the teardown")
        def run(data):
            flask.current_app.teardown_appcontext(fail)
            return 1
        """
    )

    outcome = failure(pipeline.score(post()))

    assert (outcome.status, outcome.stage, outcome.error_type) == (500, "run", "LookupError")


@pytest.mark.parametrize(
    "run",
    [
        "for number in range(3): yield flask.request.get_data(as_text=True)",
        "return flask.Response(flask.request.get_data(as_text=True) for _ in range(3))",
        "return flask.Response(flask.stream_with_context("
        "flask.request.get_data(as_text=True) for _ in range(3)))",
    ],
)
def test_a_stream_keeps_its_request(scripts: Loader, run: str):
    """As Flask's ``stream_with_context`` has it, with or without that."""
    pipeline = scripts.pipeline(f"import flask\ndef init(): pass\ndef run(data):\n  {run}")

    first = streamed(pipeline.score(post("one")))
    assert next(first.chunks) == b"one"
    assert list(first.chunks) == [b"one", b"one"]
    second = streamed(pipeline.score(post("two")))
    assert next(second.chunks) == b"two"
    second.chunks.close()  # type: ignore[attr-defined]  # a generator
    assert b"".join(streamed(pipeline.score(post("three"))).chunks) == b"three" * 3


def test_coroutines_see_the_request_too(scripts: Loader):
    pipeline = scripts.pipeline(
        """
        import asyncio, flask
        def init(): pass
        async def run(data):
            await asyncio.sleep(0)
            return flask.request.path
        """
    )

    assert answer(pipeline.score(post())).body == b'"/score"'


def test_scoring_starts_no_thread(scripts: Loader):
    pipeline = scripts.pipeline("streams.py")
    before = threading.active_count()

    list(itertools.islice(streamed(pipeline.score(post('["a"]'))).chunks, 5))

    assert threading.active_count() == before
