"""The running admin API against its own OpenAPI document: schemathesis asks all that it allows, and what it forbids."""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from local.school.data import SchoolData
from tests.flow.trust import Trust, pupils, staff, teaching, trust_in

OAK = SchoolData(
    "OAK", "Oak School", "1234567", 2026, pupils("amy ben"), staff("main"), (teaching("T1", "Art", "amy", "main"),)
)
KNOWN = {"school": ["OAK"], "key": ["2026.teaching.T1", "2026.year.grade!3A7"]}
EXAMPLES = 25
OF_THE_BUS = 5
"""Examples of an operation that looks at the dead letters: opening and closing a link takes the client a second."""
SPARED = {
    ("put", "/api/admin/schools/{school}"),
    ("delete", "/api/admin/schools/{school}"),
    ("delete", "/api/admin/schools/{school}/records"),
}
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "ignored_auth",
)


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trust]:
    with trust_in(tmp_path_factory.mktemp("document")) as trust:
        trust.join(OAK)
        trust.night()
        yield trust


@pytest.fixture(scope="module")
def document(trust: Trust) -> Any:
    return schemathesis.openapi.from_url(f"{trust.addresses.host}/api/admin/openapi.json")


def test_the_document_is_openapi_3_1_and_names_every_route(document: Any) -> None:
    assert document.raw_schema["openapi"].startswith("3.1.")
    listed = {(path, method) for path, methods in document.raw_schema["paths"].items() for method in methods}
    assert len(listed) == 29


def test_every_answer_is_one_that_the_document_promises(document: Any) -> None:
    answers: Counter[int] = Counter()
    for found in document.get_all_operations():
        for mode in GenerationMode:
            _ask(found.ok(), mode, answers)
    reached = {status for status, times in answers.items() if times}
    assert reached >= {200, 202, 401, 404, 409, 422}, answers


def _ask(operation: Any, mode: GenerationMode, answers: Counter[int]) -> None:
    """Half of the time an id is one that there is, so that what lies behind it is reached; the school itself stays."""
    checks = [schemathesis.checks.CHECKS.get_one(name) for name in CHECKS]

    examples = OF_THE_BUS if "dead-letters" in operation.path else EXAMPLES

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(case=operation.as_strategy(generation_mode=mode), luck=st.randoms(use_true_random=False))
    def asked(case: Any, luck: random.Random) -> None:
        if mode is GenerationMode.POSITIVE and (operation.method, operation.path) not in SPARED:
            for name, ids in KNOWN.items():
                if name in case.path_parameters and luck.random() < 0.5:
                    case.path_parameters[name] = luck.choice(ids)
        answer = case.call(headers={"Authorization": "Bearer admin"})
        answers[answer.status_code] += 1
        case.validate_response(answer, checks=checks)

    with contextlib.suppress(Unsatisfiable):  # nothing can be handed in wrong where nothing is handed in
        asked()
