"""Makes a file as requests-cache does, of answers of an API: requests_cache_file.py PATH SERIALIZER API"""

import sys

from requests_cache import CachedSession

path, serializer, api = sys.argv[1:]
session = CachedSession(path, backend="sqlite", serializer=serializer, expire_after=3600)
for number in (1, 2):
    session.get(f"{api}/items/{number}").raise_for_status()
# This header it keeps; the next one it blanks out.
session.get(f"{api}/items/3", headers={"Private-Token": "canary"}).raise_for_status()
session.get(f"{api}/me", headers={"Authorization": "Bearer canary"}).raise_for_status()
session.get(f"{api}/text").raise_for_status()
session.close()
