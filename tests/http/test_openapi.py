"""The running admin API conforms to its OpenAPI document: schemathesis sends valid and invalid requests."""

from __future__ import annotations

import contextlib
import os
import random
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable

from local.school.data import SchoolData
from tests.flow.trust import Trust, pupils, staff, start_trust, teaching

# The functions below import it as well: every worker collects this module, and one runs it.
if TYPE_CHECKING:
    from schemathesis import GenerationMode

OAK = SchoolData(
    "OAK", "Oak School", "1234567", 2026, pupils("amy ben"), staff("main"), (teaching("T1", "Art", "amy", "main"),)
)
KNOWN = {"school": ["OAK"], "key": ["2026.teaching.T1", "2026.year.grade~3A7"]}
SIGNED_IN = {"Authorization": "Bearer admin"}
EXAMPLES = 25 if os.environ.get("EXAMPLES") == "thorough" else 9
"""Of each operation. `make test` tries some, and the nightly workflow `thorough` all."""
FEW_EXAMPLES = 5
OF_QUEUES = ("/dead-letters", "/health")
"""The paths, or parts of them, that open links to the queues: the client takes a second to open and close one."""
NOT_ON_KNOWN_IDS = {
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
def trust(tmp_path_factory: pytest.TempPathFactory, storage: str) -> Iterator[Trust]:
    with start_trust(tmp_path_factory.mktemp("document"), storage) as trust:
        trust.add_school(OAK)
        trust.run_night()
        yield trust


@pytest.fixture(scope="module")
def document(trust: Trust) -> Any:
    import schemathesis

    return schemathesis.openapi.from_url(f"{trust.addresses.host}/api/admin/openapi.json")


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    """One connection for all requests, which take their headers from the case and nothing from this machine."""
    with requests.Session() as session:
        session.headers.clear()
        session.trust_env = False
        yield session


def test_the_document_is_openapi_3_1_and_names_every_route(document: Any) -> None:
    assert document.raw_schema["openapi"].startswith("3.1.")
    listed = {(path, method) for path, methods in document.raw_schema["paths"].items() for method in methods}
    assert len(listed) == 67


def test_every_response_conforms_to_the_document(document: Any, session: requests.Session) -> None:
    from schemathesis import GenerationMode

    responses: Counter[int] = Counter()
    for operation in document.get_all_operations():
        for mode in GenerationMode:
            _send_examples(operation.ok(), mode, session, responses)
    reached = {status for status, times in responses.items() if times}
    assert reached >= {200, 202, 401, 404, 409, 422}, responses


def _send_examples(operation: Any, mode: GenerationMode, session: requests.Session, responses: Counter[int]) -> None:
    """Half of the ids exist, so that the code behind the look-up runs. The school itself is not changed or removed."""
    import schemathesis

    checks = [schemathesis.checks.CHECKS.get_one(name) for name in CHECKS]

    most = FEW_EXAMPLES if any(part in operation.path for part in OF_QUEUES) else EXAMPLES

    @settings(max_examples=most, suppress_health_check=list(HealthCheck), database=None)
    @given(case=operation.as_strategy(generation_mode=mode), rng=st.randoms(use_true_random=False))
    def send(case: Any, rng: random.Random) -> None:
        if mode.is_positive and (operation.method, operation.path) not in NOT_ON_KNOWN_IDS:
            for name, ids in KNOWN.items():
                if name in case.path_parameters and rng.random() < 0.5:
                    case.path_parameters[name] = rng.choice(ids)
        # On the case, which then knows that a header that it left out is there: it expects no refusal because of it.
        # And with the call: in a case without any header, it would take this one for its own, which must not let it in.
        case.headers.update(SIGNED_IN)
        response = case.call(session=session, headers=SIGNED_IN)
        responses[response.status_code] += 1
        case.validate_response(response, checks=checks)

    with contextlib.suppress(Unsatisfiable):  # an operation without input has no invalid input
        send()
