"""Makes a file as aiorequestful does: aiorequestful_file.py PATH

Two tables: items with ids 1 to 3 and one without a payload, and pages whose keys have an offset too. The payload handler of
the one is JSON, of the other it is text.
"""

import asyncio
import sys
from pathlib import Path

from aiorequestful.cache.backend.base import ResponseRepositorySettings
from aiorequestful.cache.backend.sqlite import SQLiteCache
from aiorequestful.response.payload import JSONPayloadHandler, StringPayloadHandler


class Items(ResponseRepositorySettings):
    @property
    def fields(self):
        return ("id",)

    def get_key(self, url, **_):
        return (url.name,)

    @staticmethod
    def get_name(payload):
        return payload.get("name") if isinstance(payload, dict) else None


class Pages(ResponseRepositorySettings):
    @property
    def fields(self):
        return ("id", "offset")

    def get_key(self, url, **_):
        return (url.name, int(url.query["offset"]))

    @staticmethod
    def get_name(payload):
        return None


async def main(path):
    cache = SQLiteCache.connect_with_path(Path(path))
    async with cache:
        items = await cache.create_repository(Items(name="items", payload_handler=JSONPayloadHandler()))
        for number in range(1, 4):
            body = f'{{"id":"{number}","kind":"lamp","name":"Lamp {number}"}}'
            await items.save_response((("GET", str(number)), body))
        await items.save_response((("POST", "posted"), "{}"))
        # It has no way to save nothing, but for a payload that it could not serialize when it did.
        await items._set_item_from_key_value_pair(("GET", "nothing"), None)
        pages = await cache.create_repository(Pages(name="pages", payload_handler=StringPayloadHandler()))
        await pages.save_response((("GET", "a", 20), "the second page"))
        await cache.commit()


asyncio.run(main(sys.argv[1]))
