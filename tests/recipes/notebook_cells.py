"""Use a client in several cells of a notebook.

Run it cell by cell in an editor that knows ``# %%``, or copy the cells into Jupyter or
``python -m asyncio``; they await at the top level. To use the real API, make the client with
``BurkiClient()`` and set BURKI_API_KEY before the notebook is started.
"""
# mypy: disable-error-code="top-level-await"

# %% The first cell makes the client, with at most 16 requests in flight and 50 per second.
from aioburki import BurkiClient, to_dict
from aioburki.sandbox import Sandbox

burki = BurkiClient("any", transport=Sandbox().transport, concurrency=16, rate=50)

# %% Other cells use it. At most 1,500 contacts take two pages.
some = await burki.contacts(42, limit=1_500)
print(some.report.requests, "requests for", len(some), "contacts")

# %% `repr` masks the phone number and omits the data; `to_dict` shows everything.
print(some[0])
print(to_dict(some[0])["contact_data"]["variable_values"])

# %% The last cell closes the client.
await burki.aclose()
