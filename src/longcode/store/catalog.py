"""The catalogue: carriers, routes, paces and limits, and the version that every change moves on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import RowMapping, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from longcode.domain.clock import Clock
from longcode.errors import Duplicate, NotFound, Refused
from longcode.store import schema
from longcode.store.circuits import Circuit, read_circuits
from longcode.store.database import Database
from longcode.store.limits import AccountLimits, read_limits
from longcode.store.money import from_millionths, to_millionths
from longcode.store.versions import bump_version


@dataclass(frozen=True, slots=True)
class CarrierRow:
    """One carrier as the operator set it up. settings: by the driver's own names."""

    id: int
    name: str
    driver: str
    settings: dict[str, Any]
    paused: bool


@dataclass(frozen=True, slots=True)
class RouteRow:
    """Recipients whose digits begin with `prefix`, of one account or (None) of all, go to a carrier.

    sender: in its canonical form; None: every sender. weight: its share among equals; None: it shares with none.
    cost: of a segment, in `currency`; None: not known.
    """

    id: int
    carrier_id: int
    prefix: str
    account_id: int | None
    priority: int
    sender: str | None = None
    weight: int | None = None
    cost: Decimal | None = None
    currency: str | None = None


@dataclass(frozen=True, slots=True)
class RemovedCarrier:
    """A carrier that is gone."""

    id: int
    name: str
    driver: str


@dataclass(frozen=True, slots=True)
class PaceRow:
    """How fast an account may send, or one of its senders, in its canonical form; "": the account altogether."""

    id: int
    account_id: int
    sender: str
    segments_per_second: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """Everything of the catalogue, read together. circuits: by carrier. limits: by account."""

    version: int
    carriers: list[CarrierRow]
    routes: list[RouteRow]
    paces: list[PaceRow]
    circuits: dict[int, Circuit]
    limits: dict[int, AccountLimits]
    removed: list[RemovedCarrier]


class CatalogStore:
    """Carriers, routes and paces."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def version(self) -> int:
        """The version now."""
        async with self._database.read() as connection:
            version: int = (await connection.execute(select(schema.catalog_version.c.version))).scalar_one()
            return version

    async def load(self) -> Stored:
        """All of it; the version is read first, so it is never newer than the rest."""
        carrier, pace, removed = schema.carrier.c, schema.pace.c, schema.removed_carrier.c
        async with self._database.read() as connection:
            version: int = (await connection.execute(select(schema.catalog_version.c.version))).scalar_one()
            # Routes before carriers: each route that was read then finds its carrier.
            routes = [_to_route(row) for row in (await connection.execute(select(*_ROUTE_COLUMNS))).mappings()]
            carriers = await connection.execute(
                select(carrier.id, carrier.name, carrier.driver, carrier.settings, carrier.paused).order_by(carrier.id)
            )
            paces = await connection.execute(
                select(pace.id, pace.account_id, pace.sender, pace.segments_per_second).order_by(
                    pace.account_id, pace.sender
                )
            )
            gone = await connection.execute(select(removed.id, removed.name, removed.driver).order_by(removed.id))
            return Stored(
                version=version,
                carriers=[CarrierRow(*row) for row in carriers],
                routes=routes,
                paces=[PaceRow(*row) for row in paces],
                circuits=await read_circuits(connection),
                limits=await read_limits(connection),
                removed=[RemovedCarrier(*row) for row in gone],
            )

    async def add_carrier(self, name: str, driver: str, settings: dict[str, Any]) -> int:
        """Add a carrier; its id. Raises Duplicate."""
        table = schema.carrier
        async with self._database.write() as connection:
            await bump_version(connection)  # first: who else adds one waits, and sees this one
            taken = await connection.execute(select(table.c.id).where(table.c.name == name))
            if taken.one_or_none() is not None:
                raise Duplicate(f"there is a carrier {name} already")
            values = {"name": name, "driver": driver, "settings": settings, "paused": False}
            if self._database.is_sqlite:
                # It would give a removed carrier's id again, and with it that carrier's messages; the version
                # grows with each carrier, so it is ahead of all their ids.
                values["id"] = (await connection.execute(select(schema.catalog_version.c.version))).scalar_one()
            row = await connection.execute(
                insert(table).values(**values, created_at=self._clock()).returning(table.c.id)
            )
            carrier_id: int = row.scalar_one()
            return carrier_id

    async def change_settings(self, carrier: str, change: Callable[[CarrierRow], dict[str, Any]]) -> bool:
        """Give a carrier the settings that `change` makes of it; False where they stay as they are.

        Its circuit is closed: why it opened may be just what was changed.
        Raises NotFound, and what `change` raises; then nothing is changed.
        """
        table = schema.carrier
        async with self._database.write() as connection:
            row = await _carrier(connection, carrier)
            settings = change(row)
            if settings == row.settings:
                return False
            await connection.execute(update(table).where(table.c.id == row.id).values(settings=settings))
            circuit = schema.carrier_circuit
            await connection.execute(delete(circuit).where(circuit.c.carrier_id == row.id))
            await bump_version(connection)
        return True

    async def remove_carrier(self, carrier: str) -> None:
        """Drop a carrier. Raises NotFound; Refused while routes lead to it, or messages wait for it."""
        async with self._database.write() as connection:
            row = await _carrier(connection, carrier)
            reasons = await _uses(connection, row.id)
            if reasons:
                raise Refused(f"carrier {carrier} cannot be removed: {'; '.join(reasons)}")
            for said in (schema.carrier_status, schema.carrier_circuit):
                await connection.execute(delete(said).where(said.c.carrier_id == row.id))
            await connection.execute(delete(schema.carrier).where(schema.carrier.c.id == row.id))
            gone = {"id": row.id, "name": row.name, "driver": row.driver, "removed_at": self._clock()}
            await connection.execute(insert(schema.removed_carrier).values(**gone))
            await bump_version(connection)

    async def set_paused(self, carrier: str, paused: bool) -> bool:
        """Pause a carrier or let it go on; False where it was so already. Raises NotFound."""
        table = schema.carrier
        async with self._database.write() as connection:
            found = await connection.execute(select(table.c.paused).where(table.c.name == carrier))
            was = found.scalar_one_or_none()
            if was is None:
                raise NotFound(f"there is no carrier {carrier}")
            if was is paused:
                return False
            await connection.execute(update(table).where(table.c.name == carrier).values(paused=paused))
            await bump_version(connection)
        return True

    async def add_route(
        self,
        carrier: str,
        *,
        prefix: str = "",
        account_id: int | None = None,
        priority: int = 0,
        sender: str | None = None,
        weight: int | None = None,
        cost: Decimal | None = None,
        currency: str | None = None,
    ) -> int:
        """Add a route, as RouteRow has it, to a carrier by its name; the route's id. Raises NotFound."""
        async with self._database.write() as connection:
            carrier_id = (await _carrier(connection, carrier)).id
            row = await connection.execute(
                insert(schema.route)
                .values(
                    carrier_id=carrier_id,
                    prefix=prefix,
                    account_id=account_id,
                    priority=priority,
                    sender=sender,
                    weight=weight,
                    cost_micros=None if cost is None else to_millionths(cost),
                    currency=currency,
                )
                .returning(schema.route.c.id)
            )
            await bump_version(connection)
            route_id: int = row.scalar_one()
            return route_id

    async def remove_route(self, route_id: int) -> bool:
        """Drop a route; False where there is none. What waits for its carrier already still goes there."""
        async with self._database.write() as connection:
            gone = await connection.execute(delete(schema.route).where(schema.route.c.id == route_id))
            if not gone.rowcount:
                return False
            await bump_version(connection)
        return True

    async def set_pace(self, account_id: int, sender: str, segments_per_second: float) -> None:
        """Let an account, or one of its senders (as PaceRow has it), send at most so fast."""
        table = schema.pace
        async with self._database.write() as connection:
            insert_ = self._database.insert
            new = insert_(table).values(account_id=account_id, sender=sender, segments_per_second=segments_per_second)
            await connection.execute(
                new.on_conflict_do_update(
                    index_elements=[table.c.account_id, table.c.sender],
                    set_={"segments_per_second": new.excluded.segments_per_second},
                )
            )
            await bump_version(connection)

    async def remove_pace(self, account_id: int, sender: str) -> bool:
        """Let it send as fast as it can; False where it could already."""
        table = schema.pace.c
        async with self._database.write() as connection:
            gone = await connection.execute(
                delete(schema.pace).where(table.account_id == account_id, table.sender == sender)
            )
            if not gone.rowcount:
                return False
            await bump_version(connection)
        return True


_ROUTE_COLUMNS: Final = (
    schema.route.c.id,
    schema.route.c.carrier_id,
    schema.route.c.prefix,
    schema.route.c.account_id,
    schema.route.c.priority,
    schema.route.c.sender,
    schema.route.c.weight,
    schema.route.c.cost_micros,
    schema.route.c.currency,
)


def _to_route(row: RowMapping) -> RouteRow:
    values = {**row}
    cost_micros = values.pop("cost_micros")
    return RouteRow(**values, cost=None if cost_micros is None else from_millionths(cost_micros))


async def _carrier(connection: AsyncConnection, name: str) -> CarrierRow:
    """A carrier by its name, held until the end of the transaction. Raises NotFound."""
    table = schema.carrier.c
    query = select(table.id, table.name, table.driver, table.settings, table.paused).where(table.name == name)
    row = (await connection.execute(query.with_for_update())).one_or_none()
    if row is None:
        raise NotFound(f"there is no carrier {name}")
    return CarrierRow(*row)


async def _uses(connection: AsyncConnection, carrier_id: int) -> list[str]:
    """What a carrier is still needed for, in words."""
    route, outbox = schema.route.c, schema.outbox.c
    routes = (await connection.execute(select(route.id).where(route.carrier_id == carrier_id).order_by(route.id))).all()
    waiting = await connection.execute(select(outbox.message_id).where(outbox.carrier_id == carrier_id).limit(1))
    reasons = []
    if routes:
        ids = ", ".join(str(row.id) for row in routes)
        reasons.append(
            f"{'route' if len(routes) == 1 else 'routes'} {ids} {'leads' if len(routes) == 1 else 'lead'} to it"
        )
    first = waiting.scalar_one_or_none()
    if first is not None:
        reasons.append(f"messages wait for it, such as {first}")
    return reasons
