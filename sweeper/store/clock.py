"""Clock of the database: the only one that leases are measured by."""

from typing import Any

from sqlalchemy import Double
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class now(FunctionElement[float]):  # noqa: N801  # reads like SQL's own now()
    """Seconds since 1970 by the database's clock, at the statement and not at the transaction.

    A transaction may wait long for a lock; a lease that ran out meanwhile must count as lost.
    """

    type = Double()
    inherit_cache = True


@compiles(now, "postgresql")
def _postgresql(element: now, compiler: Any, **options: Any) -> str:
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS DOUBLE PRECISION)"


@compiles(now, "sqlite")
def _sqlite(element: now, compiler: Any, **options: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(now, "mysql")
@compiles(now, "mariadb")
def _mysql(element: now, compiler: Any, **options: Any) -> str:
    # UNIX_TIMESTAMP(NOW(6)) would jump when the session's time zone leaves summer time.
    return "(TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) / 1e6)"
