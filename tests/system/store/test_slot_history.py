"""History of a slot on every database: where it stands, and which attempts it lost."""

from support.claimer import record
from support.fakes import small_sweep
from sweeper import lifecycle
from sweeper.store import Store


def test_a_slot_tells_its_state_and_its_lost_attempts_in_their_order(store: Store) -> None:
    sweep = small_sweep()
    lifecycle.register(store, sweep)
    worker = store.join("tiny", device="cpu")
    for error in ("ValueError: first", "KeyError: <b>second</b>"):
        (slot, *others) = store.claim(worker, 2)
        history = store.slot_history("tiny", slot.place)
        assert history is not None
        assert (history.state, history.trial) == ("claimed", None)
        assert history.host
        store.release(worker, [slot], error=error)
        store.release(worker, others)
    opened = store.slot_history("tiny", slot.place)
    assert opened is not None
    assert (opened.state, opened.host) == ("open", "")
    lost = [(attempt.kind, attempt.error) for attempt in opened.lost]
    assert lost == [("error", "ValueError: first"), ("error", "KeyError: <b>second</b>")]
    assert all(attempt.host for attempt in opened.lost)
    (last,) = [arm.last_error for arm in store.status("tiny").arms if arm.arm == slot.arm]
    assert last is not None
    assert (last.text, last.repeat, last.slot) == (lost[1][1], *slot.place[1:])
    (slot,) = store.claim(worker, 1)
    record(store, worker, slot, sweep)
    ended = store.slot_history("tiny", slot.place)
    assert ended is not None
    assert (ended.state, ended.trial) == ("recorded", slot.number)


def test_each_slot_has_the_attempts_of_its_own_alone(store: Store) -> None:
    lifecycle.register(store, small_sweep())
    worker = store.join("tiny", device="cpu")
    slots = store.claim(worker, 6)
    assert len({(slot.arm, slot.repeat) for slot in slots}) < len(slots)
    for slot in slots:
        store.release(worker, [slot], error=f"Error{slot.number}{slot.arm}: x")
    for slot in slots:
        history = store.slot_history("tiny", slot.place)
        assert history is not None
        errors = [attempt.error for attempt in history.lost]
        assert errors == [f"Error{slot.number}{slot.arm}: x"]


def test_there_is_no_history_of_what_is_no_slot(store: Store) -> None:
    lifecycle.register(store, small_sweep())
    for name, place in (
        ("tiny", ("l1", 0, 999)),
        ("tiny", ("nobody", 0, 0)),
        ("other", ("l1", 0, 0)),
        ("tiny", ("l1", 999_999_999, 999_999_999)),
    ):
        assert store.slot_history(name, place) is None
