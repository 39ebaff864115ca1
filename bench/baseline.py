"""The plain script to compare with: msgraph-sdk as its documentation shows it, one call for each person.

The comparison is fair: sixteen classes at once, the SDK's own retries, no look-up that it could leave out, and ids kept
from night to night. The script lacks the two features of this project: many people in one write, and a record of the
classes as they are. It reads the people of a class as raw JSON: the SDK's models take 3 ms of a core per person.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import httpx
from azure.core.credentials_async import AsyncTokenCredential
from kiota_abstractions.api_error import APIError
from kiota_abstractions.base_request_configuration import RequestConfiguration
from kiota_abstractions.native_response_handler import NativeResponseHandler
from kiota_authentication_azure.azure_identity_authentication_provider import AzureIdentityAuthenticationProvider
from kiota_http.middleware.options import ResponseHandlerOption
from kiota_serialization_json.json_parse_node_factory import JsonParseNodeFactory
from msgraph.generated.groups.item.members.members_request_builder import MembersRequestBuilder
from msgraph.generated.models.education_class import EducationClass
from msgraph.generated.models.reference_create import ReferenceCreate
from msgraph.graph_request_adapter import GraphRequestAdapter
from msgraph.graph_service_client import GraphServiceClient

from sync_core.domain.classes.desired import DesiredClass
from sync_core.domain.ids import ClassId

CLASSES_AT_ONCE = 16
_PAUSE = 30.0
_PEOPLE = "https://graph.microsoft.com/v1.0/directoryObjects"

_Query = MembersRequestBuilder.MembersRequestBuilderGetQueryParameters
_RAW = ResponseHandlerOption(NativeResponseHandler())
_ONLY_IDS = RequestConfiguration(query_parameters=_Query(select=["id"]), options=[_RAW])
_RAW_PAGE = RequestConfiguration[Any](options=[_RAW])

_Answer = TypeVar("_Answer")


class PlainScript:
    """`repeated` counts the calls that the SDK stopped retrying after a 429, and that the script made again."""

    def __init__(self, client: GraphServiceClient) -> None:
        self._client = client
        self._places = asyncio.Semaphore(CLASSES_AT_ONCE)
        self.repeated = 0

    async def first_night(self, classes: Sequence[DesiredClass]) -> list[str]:
        """Create the classes with their people. Returns their ids."""
        return await asyncio.gather(*(self._make(wanted) for wanted in classes))

    async def later_night(self, classes: Mapping[ClassId, DesiredClass]) -> int:
        """Read the people of each class, by class id, and make a call for each difference. Returns their number."""
        return sum(await asyncio.gather(*(self._compare(id_, wanted) for id_, wanted in classes.items())))

    async def add_member(self, class_id: str, person: str) -> None:
        await self._change(self._client.groups.by_group_id(class_id).members, frozenset({person}), frozenset())

    async def _make(self, wanted: DesiredClass) -> str:
        async with self._places:
            new = EducationClass(display_name=wanted.name.display_name, mail_nickname=wanted.name.mail_nickname)
            created = await self._repeat(partial(self._client.education.classes.post, new))
            assert created is not None and created.id is not None
            group = self._client.groups.by_group_id(created.id)
            await self._change(group.owners, wanted.owners, frozenset())
            await self._change(group.members, wanted.members, frozenset())
            return str(created.id)

    async def _compare(self, class_id: str, wanted: DesiredClass) -> int:
        async with self._places:
            group = self._client.groups.by_group_id(class_id)
            owners, members = await self._people(group.owners), await self._people(group.members)
            changed = await self._change(group.owners, wanted.owners - owners, owners - wanted.owners)
            return changed + await self._change(group.members, wanted.members - members, members - wanted.members)

    async def _change(self, people: Any, added: frozenset[str], removed: frozenset[str]) -> int:
        """`people` is the SDK's builder of a group's owners or members."""
        for person in sorted(added):
            reference = ReferenceCreate(odata_id=f"{_PEOPLE}/{person}")
            await self._repeat(partial(people.ref.post, reference))
        for person in sorted(removed):
            await self._repeat(people.by_directory_object_id(person).ref.delete)
        return len(added) + len(removed)

    async def _people(self, people: Any) -> frozenset[str]:
        """The ids of people on all pages."""
        page = await self._repeat(partial(_read, people, _ONLY_IDS))
        ids = {person["id"] for person in page["value"]}
        while link := page.get("@odata.nextLink"):
            page = await self._repeat(partial(_read, people.with_url(link), _RAW_PAGE))
            ids |= {person["id"] for person in page["value"]}
        return frozenset(ids)

    async def _repeat(self, call: Callable[[], Awaitable[_Answer]]) -> _Answer:
        """Repeat a call until it succeeds: the SDK retries it only three times, and the script must finish."""
        while True:
            try:
                return await call()
            except APIError as error:
                if error.response_status_code != 429:
                    raise
                self.repeated += 1
                await asyncio.sleep(_PAUSE)


async def _read(people: Any, configuration: RequestConfiguration[Any]) -> dict[str, Any]:
    """One page. The SDK raises no error for a raw response, so this does."""
    response: httpx.Response = await people.get(configuration)
    if response.is_error:
        raise APIError(response_status_code=response.status_code)
    page: dict[str, Any] = response.json()
    return page


def plain_script(credential: AsyncTokenCredential, base_url: str) -> PlainScript:
    """A script with its own client, which sends to `base_url` and has the SDK's default middleware.

    The SDK takes seconds to read its first model, and a fast loop would multiply them: they have passed on return.
    """
    JsonParseNodeFactory().get_root_parse_node("application/json", b"{}").get_object_value(EducationClass)
    authentication = AzureIdentityAuthenticationProvider(credential, allowed_hosts=["127.0.0.1"])
    adapter = GraphRequestAdapter(authentication)
    adapter.base_url = base_url
    return PlainScript(GraphServiceClient(request_adapter=adapter))
