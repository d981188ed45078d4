"""The sandbox's list: its orders, the gaps between its ids, and how it moves with each request."""

from __future__ import annotations

import time
from typing import Any

import pytest
from moving_sandbox import MovingSandbox
from test_sandbox import PATH, get

from aioburki import ConfigurationError
from aioburki.sandbox import DRIFTS, Sandbox, parse_drift

KEY_HEADER = {"authorization": "Bearer any"}

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.virtual_clock,
    pytest.mark.usefixtures("nothing_left"),
]


async def rows(sandbox: Sandbox, query: str = "page=1&per_page=1000") -> list[dict[str, Any]]:
    """Return the contacts of one response."""
    content = (await get(sandbox, f"{PATH}?{query}")).json()
    contacts: list[dict[str, Any]] = content["contacts"]
    assert content["pagination"]["total_items"] >= len(contacts)
    return contacts


async def ids(sandbox: Sandbox, query: str = "page=1&per_page=1000") -> list[int]:
    return [row["id"] for row in await rows(sandbox, query)]


async def test_oldest_or_newest_come_first() -> None:
    """The order is that of rising or of falling ids; new contacts come at that end."""
    rising, falling = Sandbox(300), Sandbox(300, order="-id")
    assert await ids(rising) == list(range(101, 401)) == rising.ids()
    assert await ids(falling) == list(range(400, 100, -1)) == falling.ids()
    for sandbox in (rising, falling):
        assert await ids(sandbox, "status=busy") == sandbox.ids("busy")
        sandbox.add(2)
    assert rising.ids()[-2:] == [401, 402]
    assert falling.ids()[:2] == [402, 401]
    falling.remove(400, 101)
    falling.set_status(399, "busy")
    assert await ids(falling) == falling.ids() == [402, 401, *range(399, 101, -1)]
    assert await ids(falling, "status=busy") == falling.ids("busy")
    assert falling.ids("busy") == sorted(falling.ids("busy"), reverse=True)
    assert 399 in falling.ids("busy")


async def test_last_changed_comes_first() -> None:
    """With order="touched" a contact moves to the head when it changes, and new ones come there."""
    sandbox = Sandbox(300, order="touched")
    assert sandbox.ids() == list(range(400, 100, -1))
    assert await ids(sandbox, "status=busy") == sandbox.ids("busy")
    sandbox.set_status(250, "busy")
    sandbox.set_status(133, "busy")
    assert sandbox.ids()[:3] == [133, 250, 400]
    sandbox.add(2)
    sandbox.set_status(250, "failed")
    assert sandbox.ids()[:5] == [250, 402, 401, 133, 400]
    assert await ids(sandbox, "status=busy") == sandbox.ids("busy")
    assert sandbox.ids("busy")[0] in (402, 401, 133)
    sandbox.remove(133)
    tried = [row["last_attempt_at"] for row in await rows(sandbox) if row["id"] == 250]
    assert tried == ["2025-01-01T00:00:04Z"]


async def test_ties_are_in_another_order_each_time() -> None:
    """With order="ties" contacts of one time change places between responses, others do not."""
    sandbox = Sandbox(1_000, order="ties")
    first, second = await rows(sandbox), await rows(sandbox)
    assert first != second
    times = [row["created_at"] for row in first]
    assert times == [row["created_at"] for row in second] == sorted(times)
    assert len(set(times)) == 3
    assert sorted(row["id"] for row in first) == sorted(sandbox.ids())
    part = await rows(sandbox, "page=3&per_page=250")
    assert [row["created_at"] for row in part] == times[500:750]
    assert await ids(sandbox, "page=9&per_page=250") == []
    again = Sandbox(1_000, order="ties")
    assert [await rows(again), await rows(again)] == [first, second]


async def test_ids_may_have_gaps() -> None:
    """With id_gaps numbers are missing between the ids; the seed decides which."""
    one, same, other = (Sandbox(500, id_gaps=True, seed=seed) for seed in (1, 1, 2))
    assert len(one) == len(one.ids()) == 500
    assert await ids(one) == one.ids() == sorted(one.ids()) == same.ids() != other.ids()
    assert one.ids()[-1] > 101 + 2 * 500
    missing = next(each for each in range(101, 2_000) if each not in one.ids())
    with pytest.raises(KeyError):
        one.remove(missing)
    one.add(3)
    assert one.ids() == sorted(one.ids())


@pytest.mark.parametrize("status", [None, "completed"])
@pytest.mark.parametrize("order", ["id", "-id", "touched", "ties"])
async def test_every_drift_keeps_the_lists_right(order: Any, status: str | None) -> None:
    """However the list moves, the lists of all statuses are the list of all, in its order."""
    kinds = [name for name in DRIFTS if order in ("id", "ties") or name != "append"]
    sandbox = Sandbox(120, order=order, drift=dict.fromkeys(kinds, 1.5))
    query = "page=1&per_page=1000" + (f"&status={status}" if status else "")
    for _ in range(60):
        seen = await rows(sandbox, query)
        listed = sandbox.ids()
        places = {each: place for place, each in enumerate(listed)}
        assert len(places) == len(listed) == len(sandbox)
        if order != "ties":
            assert [row["id"] for row in seen] == sandbox.ids(status)
        by_status = {name: sandbox.ids(name) for name in ("pending", "completed", "failed")}
        for name, found in by_status.items():
            assert found == sorted(found, key=places.__getitem__)
            assert all(row["status"] == name for row in seen if row["id"] in found)


async def moved(status: str | None = None, requests: int = 40, **drift: float) -> Sandbox:
    """Return a sandbox of 1,000 contacts after so many requests for contacts of a status."""
    sandbox = Sandbox(1_000, drift=drift)
    for _ in range(requests):
        await get(sandbox, PATH + (f"?status={status}" if status else ""))
    return sandbox


async def test_leaving_contacts_leave_the_front() -> None:
    """Contacts that leave are near the front: removed, or of another status than is asked for."""
    still = Sandbox(1_000)
    sandbox = await moved(leave=4)
    gone = set(still.ids()) - set(sandbox.ids())
    assert len(gone) == 160
    assert max(gone) < 101 + 260
    drained = await moved("pending", leave=4)
    assert len(drained) == 1_000
    left = set(still.ids("pending")) - set(drained.ids("pending"))
    assert len(left) == 160
    assert left <= set(still.ids("pending")[:260])
    assert not set(drained.ids("pending")) - set(still.ids("pending"))
    emptied = await moved("voicemail", leave=40)
    assert emptied.ids("voicemail") == []


async def test_most_requests_decide_who_leaves() -> None:
    """A single request without the filter does not change who leaves."""
    sandbox = await moved("pending", leave=4)
    await get(sandbox, PATH)
    assert len(sandbox) == 1_000


async def test_deleted_contacts_are_anywhere() -> None:
    """Contacts are deleted all over the list, until none is left."""
    sandbox = await moved(delete=5)
    gone = set(range(101, 1_101)) - set(sandbox.ids())
    assert len(gone) == 200
    assert min(gone) < 150
    assert max(gone) > 1_050
    assert len(await moved(delete=26, touch=1, leave=1)) == 0


@pytest.mark.parametrize("kind", ["import", "append"])
async def test_contacts_come(kind: str) -> None:
    """Contacts with the highest ids come; half a contact is one for every second request."""
    sandbox = await moved(None, 40, **{kind: 0.5})
    assert sandbox.ids() == list(range(101, 1_121))
    newest = Sandbox(1_000, order="-id", drift={"import": 3})
    assert (await ids(newest))[:4] == [1_103, 1_102, 1_101, 1_100]


async def test_touched_contacts_have_one_more_attempt() -> None:
    """A touch changes attempts and the time of the last one, and no status and no place."""
    still, sandbox = Sandbox(1_000), await moved(touch=2)
    changes = 0
    for before, after in zip(await rows(still), (await rows(sandbox))[:1_000], strict=True):
        assert (after["id"], after["status"]) == (before["id"], before["status"])
        changes += after["attempts"] - before["attempts"]
        assert (after["attempts"] > before["attempts"]) == (
            after["last_attempt_at"] != before["last_attempt_at"]
        )
    assert changes == 2 * 41


@pytest.mark.parametrize("status", [None, "pending"])
async def test_contacts_go_and_come(status: str | None) -> None:
    """Contacts leave the filter or the list, and others come in."""
    still, sandbox = Sandbox(1_000), await moved(status, in_out=4)
    gone = set(still.ids(status)) - set(sandbox.ids(status))
    assert len(gone) > (0 if status is None else 20)
    assert abs(len(sandbox.ids(status)) - len(still.ids(status))) < 40
    come = set(sandbox.ids(status)) - set(still.ids(status))
    assert (len(come) > 20) == (status is not None)
    assert len(sandbox) == (1_000 if status else len(sandbox.ids()))


async def test_list_without_others_stays() -> None:
    """Where every contact has the status that is asked for, none comes in."""
    sandbox = Sandbox(2, drift={"in_out": 1})
    for each in sandbox.ids():
        sandbox.set_status(each, "busy")
    for _ in range(20):
        await get(sandbox, f"{PATH}?status=busy")
    empty = Sandbox(0, drift={"in_out": 1, "leave": 1})
    for _ in range(20):
        await get(empty, f"{PATH}?status=busy")
    assert (len(sandbox), len(empty)) == (2, 0)


async def test_only_requests_for_contacts_move_the_list() -> None:
    """A request that gets an error moves nothing; a response that is lost has moved the list."""
    sandbox = Sandbox(1_000, drift={"delete": 1}, rate=1)
    await get(sandbox, PATH, key=None)
    await get(sandbox, PATH)  # 429
    await get(sandbox, f"{PATH}?page=0")
    await get(sandbox, f"{PATH}?status=nothing")
    await get(sandbox, "/api/v1/campaigns/7/contacts")
    assert len(sandbox) == 1_000
    faulty = Sandbox(1_000, drift={"delete": 1}, faults={"empty": 1})
    await get(faulty, PATH)
    assert len(faulty) == 999


async def test_seed_decides_how_the_list_moves() -> None:
    """The same requests move the lists of one seed alike, those of another seed otherwise."""
    drift = {"leave": 1.5, "delete": 2, "in_out": 3, "touch": 1, "import": 1}

    async def after(seed: int) -> list[dict[str, Any]]:
        sandbox = Sandbox(500, seed=seed, drift=drift, order="touched")
        for _ in range(20):
            await get(sandbox, f"{PATH}?status=completed")
        return await rows(sandbox)

    assert await after(1) == await after(1) != await after(2)


@pytest.mark.parametrize(
    ("kind", "faults"),
    [
        ("leave", None),
        ("leave", {"503": 0.2, "half_body": 0.2}),
        ("delete", None),
        ("append", None),
        ("in_out", None),
    ],
)
async def test_plain_pulls_lose_and_complete_ones_do_not(
    kind: str, faults: dict[str, float] | None
) -> None:
    """A plain pull of a list that drains loses contacts, a complete one of any list none."""
    for status in (None, "pending"):
        for complete in (False, True):
            moving = MovingSandbox(1_000, status=status, drift={kind: 3}, faults=faults)
            async with moving.client(attempts=20) as burki:
                contacts = await burki.contacts(42, status=status, per_page=50, complete=complete)
            lost = moving.lasting - {each.id for each in contacts}
            assert contacts.report.complete == complete
            assert not lost or not complete
            if kind in ("leave", "delete") and status is None:
                assert complete or len(lost) > 15


async def test_moving_list_keeps_its_speed() -> None:
    """Requests of a list of 10,000 contacts, with a filter, move it and are answered quickly."""
    sandbox = Sandbox(10_000, drift={"leave": 2, "delete": 2, "import": 4, "touch": 4, "in_out": 2})
    await sandbox.answer("GET", PATH, "status=pending", KEY_HEADER)
    start = time.process_time()
    for number in range(1_000):
        query = f"status=pending&per_page=1&page={number + 1}"
        await sandbox.answer("GET", PATH, query, KEY_HEADER)
    assert time.process_time() - start < 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"order": "name"}, "order must be one of id, -id, touched, ties, not 'name'"),
        ({"order": None}, "order must be one of id, -id, touched, ties, not None"),
        ({"id_gaps": 1}, "id_gaps must be True or False, not 1"),
        ({"drift": 4}, "drift must be None or a mapping such as .*, not 4"),
        ({"drift": {"leaves": 4}}, "drift may name leave, delete, .*, not 'leaves'"),
        ({"drift": {4: 4}}, "drift may name leave, delete, .*, not 4"),
        ({"drift": {"leave": -1}}, r"drift\['leave'\] must be a number per request from 0 to 10,"),
        ({"drift": {"leave": "4"}}, "not a str"),
        ({"drift": {"leave": True}}, "not True"),
        ({"drift": {"leave": float("nan")}}, "not nan"),
        ({"drift": {"leave": 10_001}}, "not 10001"),
        ({"drift": {"append": 1}, "order": "-id"}, 'newest contacts first: use "import"'),
        ({"drift": {"append": 1}, "order": "touched"}, "cannot append"),
    ],
)
async def test_arguments_are_checked(arguments: dict[str, Any], message: str) -> None:
    """An order, gaps or a drift that cannot be are refused."""
    with pytest.raises(ConfigurationError, match=message):
        Sandbox(10, **arguments)
    with pytest.raises(ConfigurationError, match="did you mean 'failed'"):
        Sandbox(10).ids("faild")


async def test_drift_can_be_written_as_text() -> None:
    """The text of a drift has names and numbers; what is no number, or no name, is refused."""
    assert parse_drift("leave=4, delete=0.5,") == {"leave": 4.0, "delete": 0.5}
    assert parse_drift("") == {}
    wrong = (
        "leave",
        "leave=",
        "leave=x",
        "=4",
        "leaves=4",
        "leave=-1",
        "leave=nan",
        "touch=1,touch=2",
    )
    for text in wrong:
        with pytest.raises(ConfigurationError, match="drift"):
            parse_drift(text)


async def test_nothing_moves_without_drift() -> None:
    """No drift, or one of 0, leaves the list alone."""
    for drift in (None, {}, {"leave": 0}, {"append": 0}):
        sandbox = Sandbox(100, drift=drift)
        await get(sandbox, PATH)
        assert sandbox.ids() == list(range(101, 201))


@pytest.mark.parametrize("order", ["ties", "touched"])
async def test_lists_without_a_usable_order_are_never_claimed(order: Any) -> None:
    """A pull of a list that no contact shows the order of is not said to be complete."""
    drift = {"touch": 1} if order == "touched" else None
    for seed in range(3):
        moving = MovingSandbox(1_000, seed=seed, order=order, drift=drift)
        async with moving.client() as burki:
            contacts = await burki.contacts(42, per_page=50)
        lost = moving.lasting - {each.id for each in contacts}
        assert not contacts.report.complete
        assert contacts.report.missing >= len(lost) or contacts.report.proof == "none"
