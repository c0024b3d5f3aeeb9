"""Rounds of aiorequestful's cache on SQLite, one for each line that is read.

    rounds.py BODIES FILE

BODIES has one body a line; they are saved in FILE under item0000000, item0000001, and so on. Then every line of the
standard input is a work and a number of operations, `get 1000`, and is answered by one line of JSON:
`{"work": "get", "nanoseconds": 219000.0}`, the time of one operation.
"""

import asyncio
import itertools
import json
import sys
import time

from aiorequestful.cache.backend.base import ResponseRepositorySettings
from aiorequestful.cache.backend.sqlite import SQLiteCache
from aiorequestful.cache.session import CachedSession

BASE = "https://api.example.com/v1/items/"
BULK = 1000


class Items(ResponseRepositorySettings[str]):
    """The endpoint of every bench."""

    @property
    def fields(self):
        return ("id",)

    def get_key(self, url, **_):
        return (url.name,)

    @staticmethod
    def get_name(payload):
        return None


def name(number):
    return f"item{number:07}"


def key(number):
    return ("GET", name(number))


class Rounds:
    """Each method does a number of operations; what they need was made before."""

    def __init__(self, items, session, bodies):
        self.items, self.session, self.bodies = items, session, bodies
        self.free = itertools.count(50_000_000)

    def places(self, number):
        """Places in no order, the same as on the other side."""
        return [i * 2_654_435_761 % len(self.bodies) for i in range(number)]

    async def get(self, number):
        keys = [key(i) for i in self.places(number)]
        begun = time.perf_counter_ns()
        for one in keys:
            assert await self.items.get_response(one) is not None
        return time.perf_counter_ns() - begun

    async def hit(self, number):
        urls = [BASE + name(i) for i in self.places(number)]
        begun = time.perf_counter_ns()
        for url in urls:
            async with self.session.request(method="GET", url=url) as response:
                assert response.reason == "cached"
                await response.text()
        return time.perf_counter_ns() - begun

    async def save(self, number):
        pairs = [(key(next(self.free)), self.bodies[i]) for i in self.places(number)]
        begun = time.perf_counter_ns()
        for pair in pairs:
            await self.items.save_response(pair)
            await self.items.commit()
        return time.perf_counter_ns() - begun

    async def bulk(self, number):
        keys = [key(i) for i in self.places(number)]
        begun = time.perf_counter_ns()
        for at in range(0, number, BULK):
            chunk = keys[at : at + BULK]
            assert len(await self.items.get_responses(chunk)) == len(chunk)
        return time.perf_counter_ns() - begun


async def main(bodies, file):
    with open(bodies, encoding="utf-8") as lines:
        bodies = [line.rstrip("\n") for line in lines]
    cache = SQLiteCache.connect_with_path(file, repository_getter=lambda cache, _: cache["items"])
    async with CachedSession(cache=cache) as session:
        items = await cache.create_repository(Items(name="items"))
        await items.save_responses({key(i): body for i, body in enumerate(bodies)})
        await items.commit()
        rounds = Rounds(items, session, bodies)
        works = {"get": rounds.get, "hit": rounds.hit, "save": rounds.save, "bulk": rounds.bulk}
        print(json.dumps({"entries": await items.count()}), flush=True)
        for line in sys.stdin:
            work, number = line.split()
            whole = await works[work](int(number))
            print(json.dumps({"work": work, "nanoseconds": whole / int(number)}), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
