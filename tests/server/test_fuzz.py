"""Requests made from the OpenAPI document, valid and not: never an error of the server's."""

import json
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crossrank.server.dialects import DIALECTS, by_path

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")

pytestmark = pytest.mark.filterwarnings("ignore:A text in .* script was received")

ALLOWED = (200, 400, 404, 405, 413, 415, 422)
PATIENCE = 20


def test_what_the_document_allows_and_what_it_does_not_is_answered_or_refused(server: str) -> None:
    document = httpx.get(f"{server}/openapi.json").json()
    schema = schemathesis.openapi.from_dict(document)
    operations = [found.ok() for found in schema.get_all_operations()]
    assert {operation.path for operation in operations} >= by_path().keys()
    for operation in operations:
        modes = list(schemathesis.GenerationMode)
        cases = st.one_of([operation.as_strategy(generation_mode=mode) for mode in modes])

        @settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
        @given(case=cases)
        def check(case: Any) -> None:
            response = case.call(base_url=server, timeout=PATIENCE)
            assert response.status_code in ALLOWED, response.text

        check()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
"""Any JSON, surrogates included."""

FIELDS = sorted({field for dialect in DIALECTS for field in dialect.schema.model_fields})


@settings(max_examples=60, deadline=None)
@given(
    body=st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=6),
    texts=st.lists(st.text(), min_size=1, max_size=3),
    path=st.sampled_from(list(by_path())),
    whole=st.booleans(),
)
def test_any_values_of_any_fields_are_answered_or_refused(
    server: str, body: dict[str, Any], texts: list[str], path: str, whole: bool
) -> None:
    if whole:  # else few requests get as far as the model
        good = {"query": texts[0], "text_1": texts[0], "inputs": [texts[0], texts[-1]]}
        body = {**body, **good, **dict.fromkeys(("documents", "texts", "text_2"), texts)}
        body.pop("queries", None)
    response = httpx.post(
        server + path,
        content=json.dumps(body).encode(),
        headers={"content-type": "application/json"},
        timeout=PATIENCE,
    )
    assert response.status_code in ALLOWED, response.text
    assert json.loads(response.text)
