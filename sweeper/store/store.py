"""Store: every read and write of the tables of sweeper, one transaction a call."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal
from uuid import uuid4

from sqlalchemy import Connection, and_

from sweeper.config import Sweep
from sweeper.retry import RetryPolicy
from sweeper.store import (
    dumps,
    enqueued_configs,
    failures,
    filesystem,
    leases,
    lost_attempts,
    migrations,
    recorded_ranges,
    registered_sweeps,
    reproducibility_checks,
    slot_claims,
    sweep_progress,
    tables,
    throttle,
    trial_records,
)
from sweeper.store.database import Database, engine_options
from sweeper.store.diagnostics import StorageDiagnostics
from sweeper.store.dumps import Dump
from sweeper.store.enqueued_configs import Searches
from sweeper.store.interventions import Interventions
from sweeper.store.registered_sweeps import SweepVersion
from sweeper.store.storage_url import parse_storage_url
from sweeper.types import (
    Place,
    ProbeTask,
    Provenance,
    RecordedRange,
    ReproducibilityCheck,
    Slot,
    SlotHistory,
    StrengthRange,
    SweepState,
    SweepStatus,
    TrialOutcome,
    TrialRecord,
)

if TYPE_CHECKING:
    from sweeper.analysis.sweep_record import SweepRecord


class Store:
    """One storage. May be used by several threads; raises StorageError, in one line.

    A slot, the right to one trial, goes one way, and back only while nothing is on record:

        open > claimed > recorded > reported     (in the table `reported` is written `told`)

    - `claim` moves it to claimed: any worker with a lease, while the sweep is open. From then on
      the slot is its worker's alone, who asks Optuna for a trial and notes it by `link`.
    - `record` moves it to recorded and inserts its row in the same transaction: the worker that
      holds it, if its lease was not ended. The row is never updated or deleted.
    - `mark_reported` moves it to reported once Optuna knows the outcome: its worker, or after
      that worker's lease whoever mends (`unreported` says which).
    - Back to open: `release` and `leave` by the worker that holds it; `reap` by anybody, for
      workers that are dead or past their lease. `reap` ends the lease under the sweep's lock:
      who was only slow gets LeaseLost at its next `link`, `record` or `renew`.
    - `load` writes it as reported, from a dump.

    So each slot has one row at most, however many workers died on it.

    >>> import tempfile
    >>> from pathlib import Path
    >>> store = Store(f"sqlite:///{Path(tempfile.mkdtemp()) / 'sweeps.db'}")
    >>> store.upgrade()
    >>> store.names()
    ()
    >>> store.close()
    """

    def __init__(
        self,
        url: str,
        *,
        lease_seconds: float = 60.0,
        patience: RetryPolicy | None = None,
        reached: bool = False,
    ) -> None:
        """Understand a URL; connects to nothing. Raises InputError.

        `patience`: with a database that answered this process once and is away now; 30 s unless
        given. `reached`: it has answered, and taken writes of, another process of this machine.
        """
        parsed = parse_storage_url(url)
        self.url = parsed.full
        """With the password: for Optuna."""
        self.safe_url = parsed.safe
        """Without any password: for people."""
        self.lease_seconds = lease_seconds
        self.patience = (patience or RetryPolicy()).redacted(parsed.redact)
        self.engine_options = engine_options(parsed)
        """For engines of others, Optuna's."""
        self.most_workers = leases.MOST_ON_SQLITE if parsed.file else None
        """Number of workers that may share it; None for any."""
        self._database = Database(parsed, self.patience, reached=reached)

    def reconnect(self, patience: RetryPolicy | None = None) -> "Store":
        """Return the same storage with connections of its own."""
        patience = patience or self.patience
        return Store(self.url, lease_seconds=self.lease_seconds, patience=patience)

    def upgrade(self) -> None:
        """Create the schema or bring it up to date; several processes may do so at once."""
        filesystem.refuse_network(self._database.url.file)
        migrations.upgrade(self._database)

    def check(self) -> None:
        """Raise SchemaError unless the schema is this program's."""
        filesystem.refuse_network(self._database.url.file)
        migrations.check(self._database)

    @property
    def interventions(self) -> Interventions:
        """What a person changes of a sweep: pauses it, drops trials."""
        return Interventions(self._database)

    def health(self) -> StorageDiagnostics:
        """Return the diagnostics of the database itself."""
        return StorageDiagnostics(self._database)

    def register(
        self, sweep: Sweep, *, extend: bool = False, first: Searches | None = None
    ) -> Literal["new", "resumed", "extended"]:
        """Register a sweep or open it again; `first` is what its new slots try first.

        Raises DigestError, which prints what differs, and InputError if it is restored in part.
        """
        return self._database.write(
            lambda c: enqueued_configs.register(c, sweep, first or {}, extend=extend)
        )

    def would_register(
        self, sweep: Sweep, *, extend: bool = False
    ) -> Literal["new", "resumed", "extended"]:
        """Return the outcome of a `register` that changes nothing. Raises as it does."""
        return self._database.read(
            lambda c: registered_sweeps.would_register(c, sweep, extend=extend)
        )

    def sweep(self, name: str) -> Sweep:
        """Return a registered sweep. Raises UnknownSweepError."""
        return registered_sweeps.parsed(
            self._database.read(lambda c: registered_sweeps.get(c, name)).spec
        )

    def identity(self, name: str) -> str | None:
        """Return the mark of a sweep's Optuna studies. Raises UnknownSweepError.

        None if it was registered before studies were marked.
        """
        identity: str | None = self._database.read(
            lambda c: registered_sweeps.get(c, name)
        ).identity
        return identity

    def names(self) -> tuple[str, ...]:
        """Return the names of all sweeps, oldest first."""
        return self._database.read(registered_sweeps.names)

    def versions(self) -> tuple[SweepVersion, ...]:
        """Return the versions of all sweeps, oldest first: another one means new records."""
        return self._database.read(registered_sweeps.versions)

    def version(self, name: str) -> SweepVersion | None:
        """Return the version of a sweep; None if there is no such sweep."""
        return next(iter(self._database.read(lambda c: registered_sweeps.versions(c, name))), None)

    def status(self, name: str) -> SweepStatus:
        """Return the progress of a sweep, as of one moment. Raises UnknownSweepError."""
        return self._database.read(lambda c: sweep_progress.status(c, name))

    def state(self, name: str) -> SweepState:
        """Return the state, which says if slots are given out. Raises UnknownSweepError."""
        state: SweepState = self._database.read(lambda c: registered_sweeps.get(c, name)).state
        return state

    def finished(self, name: str) -> bool:
        """Tell whether every slot has its record. Raises UnknownSweepError."""
        return self._database.read(lambda c: registered_sweeps.finished(c, name))

    def stop(self, name: str) -> None:
        """Give out no more slots and probes until `register`. Raises UnknownSweepError."""
        self._database.write(lambda c: registered_sweeps.stop(c, name))

    def delete(self, name: str) -> None:
        """Delete all our rows of a sweep, records too. Raises UnknownSweepError."""
        self._database.read(lambda c: registered_sweeps.get(c, name))
        self._database.write(lambda c: registered_sweeps.remove(c, name))

    def join(self, name: str, *, device: str) -> str:
        """Begin a lease for this process and return the worker's id. Raises UnknownSweepError.

        Raises InputError if as many work already as SQLite is for.
        """
        worker = uuid4().hex
        seconds = self.lease_seconds
        self._database.write(lambda c: leases.join(c, name, worker, device, seconds))
        return worker

    def renew(self, worker: str, *, progress: float = 0.0) -> None:
        """Extend a lease that still holds, and show how far its pack is. Raises LeaseLost."""
        self._database.write(lambda c: leases.renew(c, worker, self.lease_seconds, progress))

    def leave(self, worker: str) -> None:
        """End a lease and give back its claimed slots and probe; may be called twice."""
        self._database.write(lambda c: leases.leave(c, worker))

    def claim(
        self, worker: str, limit: int, *, ahead: bool = False, without: Collection[str] = ()
    ) -> tuple[Slot, ...]:
        """Claim slots: () if none can be claimed now or the sweep is stopped. Raises LeaseLost.

        `ahead`: for later; () also while another living worker has nothing to do. `without`: arms.
        """
        ticket = uuid4().hex
        return self._database.write(
            lambda c: slot_claims.claim(c, worker, limit, ticket, ahead=ahead, without=without)
        )

    def link(self, worker: str, trials: Mapping[Slot, int]) -> None:
        """Note the trials that were asked for claimed slots: all, or none. Raises LeaseLost."""
        self._database.write(lambda c: slot_claims.link(c, worker, trials))

    def attempts(self, slots: Sequence[Slot]) -> dict[Slot, int]:
        """Return how often claimed slots were claimed, this time included."""
        return self._database.read(lambda c: failures.attempts(c, slots))

    def release(self, worker: str, slots: Sequence[Slot], *, error: str = "") -> None:
        """Give claimed slots back; those that are not this worker's any more are left alone.

        `error`: what training them raised; the same again and again ends the sweep.
        """
        self._database.write(lambda c: slot_claims.release(c, worker, slots, error))

    def record_out_of_memory(self, worker: str, slots: Sequence[Slot], message: str) -> None:
        """Note that the pack of these slots did not fit into memory."""
        attempt = uuid4().hex
        self._database.write(
            lambda c: failures.note_out_of_memory(c, worker, attempt, slots, message)
        )

    def record(self, worker: str, outcomes: Sequence[TrialOutcome]) -> None:
        """Record results: all, or none. Rows are never updated or deleted. Raises LeaseLost."""
        self._database.write(lambda c: slot_claims.record(c, worker, outcomes))

    def claim_probe(self, worker: str) -> ProbeTask | None:
        """Claim one probe, or the one already held; None if none is left. Raises LeaseLost.

        One that is known from an equal probe is done at once and not given out; nor is one whose
        equal another worker of the sweep is at, for it will be known soon.
        """
        if not self._database.read(lambda c: recorded_ranges.claimable(c, worker)):
            return None
        return self._database.write(lambda c: recorded_ranges.claim(c, worker))

    def record_range(
        self, worker: str, task: ProbeTask, strengths: StrengthRange, provenance: Provenance
    ) -> None:
        """Record the range that a probe measured. It is never updated. Raises LeaseLost."""
        self._database.write(
            lambda c: recorded_ranges.record(c, worker, task, strengths, provenance)
        )

    def release_probe(self, worker: str, task: ProbeTask, *, error: str = "") -> None:
        """Give a claimed probe back; one that is not this worker's any more is left alone.

        `error`: what training it raised; the same again and again ends the sweep.
        """
        attempt = uuid4().hex
        self._database.write(lambda c: recorded_ranges.release(c, worker, task, attempt, error))

    def strength_ranges(self, name: str) -> tuple[RecordedRange, ...]:
        """Return the ranges on record, by arm and parameter in the order of the file."""
        return self._database.read(lambda c: recorded_ranges.find(c, name))

    def mark_reported(self, slots: Sequence[Slot]) -> None:
        """Note that Optuna knows the outcomes of recorded slots; may be called twice."""
        self._database.write(lambda c: slot_claims.mark_reported(c, slots))

    def reap(self, name: str) -> int:
        """Free slots and probes of workers that are dead or past their lease; count the slots.

        Not right after an outage, in which nobody could renew.
        """
        if self._database.is_recovering or not self._database.read(
            lambda c: leases.reapable(c, name)
        ):
            return 0
        return self._database.write(lambda c: leases.reap(c, name))

    def unreported(self, name: str) -> tuple[TrialRecord, ...]:
        """Return the records that Optuna was not told and that their worker will not tell."""
        return self._database.read(lambda c: slot_claims.unreported(c, name))

    def trials_in_use(self, name: str, arm: str, repeats: Collection[int]) -> frozenset[int] | None:
        """Return the trials that belong to a slot; None while a claimed slot has none yet.

        Of those repeats of an arm whose trials lie in one Optuna study.
        """
        return self._database.read(lambda c: slot_claims.trials_in_use(c, name, arm, repeats))

    def trials_taken(
        self, name: str, trials: Iterable[tuple[str, int]]
    ) -> frozenset[tuple[str, int]]:
        """Return those of Optuna's trials, (study, number), that are others' already.

        They have a record, or belong to a slot in training. Raises UnknownSweepError.
        """
        wanted = list(trials)
        return self._database.read(lambda c: slot_claims.trials_taken(c, name, wanted))

    def slot_history(self, name: str, place: Place) -> SlotHistory | None:
        """Return the state of a slot and the attempts that it lost; None if there is no such."""
        return self._database.read(lambda c: lost_attempts.find(c, name, place))

    def records(self, name: str) -> tuple[TrialRecord, ...]:
        """Return all records, by arm in the order of the file, repeat and slot."""

        def work(connection: Connection) -> tuple[TrialRecord, ...]:
            sweep = registered_sweeps.parsed(registered_sweeps.get(connection, name).spec)
            return trial_records.sorted_by_place(connection, sweep)

        return self._database.read(work)

    def records_since(self, name: str, moment: float) -> tuple[TrialRecord, ...]:
        """Return the records made from a moment of the database's clock on, in any order."""
        fact = tables.fact.c
        return self._database.read(
            lambda c: trial_records.find(c, and_(fact.sweep == name, fact.recorded_at >= moment))
        )

    def record_reproducibility_check(self, name: str, check: ReproducibilityCheck) -> None:
        """Record trials that were trained again elsewhere. Raises UnknownSweepError."""
        id_ = uuid4().hex
        self._database.write(lambda c: reproducibility_checks.record(c, name, id_, check))

    def reproducibility_checks(self, name: str) -> tuple[ReproducibilityCheck, ...]:
        """Return the checks by trials that were trained again elsewhere, oldest first."""
        return self._database.read(lambda c: reproducibility_checks.find(c, name))

    def sweep_record(self, name: str) -> "SweepRecord":
        """Return the record of a sweep and its confirmation, as of one moment.

        Raises UnknownSweepError.
        """
        # Analysis loads numpy, which most commands of the store do without.
        from sweeper.store import sweep_loader

        return self._database.read(lambda c: sweep_loader.sweep_record(c, name))

    def dump(self, name: str) -> Dump:
        """Return all that is on record of a sweep. Raises UnknownSweepError."""
        return self._database.read(lambda c: dumps.dump(c, name))

    def load(self, several: Sequence[Dump]) -> list[int]:
        """Insert what is missing of sweeps, which stops them; return the numbers of records added.

        All or nothing. Raises DigestError if another sweep has the name of one, InputError if a
        slot has another result.
        """
        return self._database.write(lambda c: [dumps.load(c, dump) for dump in several])

    def finish_restore(self, dump: Dump) -> None:
        """Put a loaded sweep into the state that it had."""
        self._database.write(lambda c: dumps.finish_restore(c, dump))

    def is_due(self, name: str, what: str, every: float) -> bool:
        """Tell whether `try_throttle` would return True now."""
        return self._database.read(lambda c: throttle.is_due(c, name, what, every))

    def try_throttle(self, name: str, what: str, every: float) -> bool:
        """Return True to at most one caller in `every` seconds of the database's time."""
        if every <= 0:
            return True
        if not self.is_due(name, what, every):
            return False
        return self._database.write(lambda c: throttle.try_throttle(c, name, what, every))

    def close(self) -> None:
        """Close all connections; the next use opens new ones."""
        self._database.close()
