"""The server behind the journal: what it promises about a record that it confirmed."""

from __future__ import annotations

from dataclasses import dataclass

from state.journal.shared.connection import Connection

#: Connections that are left before a person is told.
MIN_FREE = 10
#: The mark that `lost.put_back` leaves: who put records back, and when. Of a week, so that few partitions are read.
_PUT_BACK = """
    SELECT host, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') FROM gatehouse_journal
    WHERE event = 'checkpoint' AND line LIKE '%"anew":true%' AND at > clock_timestamp() - interval '7 days'
    ORDER BY seq DESC LIMIT 1
"""


@dataclass(frozen=True)
class Server:
    """The settings and the standbys of a server, as it tells them."""

    is_fsynced: bool
    standby_names: str  #: which standbys must have a record before it is confirmed; "" for none
    standbys: int  #: that are connected now
    free_connections: int

    @classmethod
    def ask(cls, connection: Connection) -> Server:
        """Ask a server. Raises psycopg.Error."""
        query = """
            SELECT current_setting('fsync') = 'on' AND current_setting('full_page_writes') = 'on',
                current_setting('synchronous_standby_names'), (SELECT count(*) FROM pg_stat_replication),
                current_setting('max_connections')::int - (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')
        """
        row = connection.execute(query).fetchone()
        assert row is not None  # noqa: S101 - the query has one row
        return cls(*row)

    def problems(self) -> list[tuple[str, str]]:
        """Return what of it endangers a record or closes effects, each with what to change."""
        found = []
        if not self.is_fsynced:
            found.append(("it confirms records that are not on its disk", "set fsync and full_page_writes to on"))
        if not self.standby_names and self.standbys:
            found.append(
                (
                    f"asynchronous: its standby ({self.standbys}) may lack the newest records, and a failover to it loses intents",
                    "set synchronous_standby_names, such as 'ANY 1 (*)', with two standbys if one may be away",
                )
            )
        if self.standby_names and not self.standbys:
            found.append(
                (
                    f"synchronous_standby_names is {self.standby_names!r} and no standby is connected: no record is confirmed",
                    "start the standby, or take it out of synchronous_standby_names",
                )
            )
        if self.free_connections < MIN_FREE:
            found.append((f"{self.free_connections} connections are left", "raise max_connections"))
        return found

    @staticmethod
    def last_loss(connection: Connection) -> str:
        """Return in words when a host last put records back that the server had lost; "" if none did within a week.

        Raises psycopg.Error.
        """
        row = connection.execute(_PUT_BACK.encode(), prepare=False).fetchone()
        return (
            f"it lacked records that it had confirmed; {row[0]} put back what its copy has, at {row[1]}" if row else ""
        )

    @property
    def in_words(self) -> str:
        """The places in which a confirmed record is."""
        if self.standby_names:
            return f"each record is on the disk of a standby too: {self.standby_names!r}, {self.standbys} connected"
        return "each record is on the disk of this server alone; it has no standby"
