-- The journal's table and what belongs to it. The program runs this, under a lock, when a part is missing.

-- Raised with each change that an older version could not work with.
CREATE TABLE IF NOT EXISTS gatehouse_about (format integer NOT NULL);
INSERT INTO gatehouse_about SELECT 1 WHERE NOT EXISTS (SELECT FROM gatehouse_about);

-- `line` is what a file of the journal would hold. `xid` is the transaction that wrote it, by which a reader finds what
-- became visible since it last read; `at` is the database's clock, and decides only in which partition a row lies.
CREATE TABLE IF NOT EXISTS gatehouse_journal (
    seq bigint GENERATED ALWAYS AS IDENTITY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    host text NOT NULL,
    agent text NOT NULL,
    event text NOT NULL,
    line text NOT NULL
) PARTITION BY RANGE (at);
CREATE INDEX IF NOT EXISTS gatehouse_journal_seq ON gatehouse_journal (seq);
CREATE INDEX IF NOT EXISTS gatehouse_journal_xid ON gatehouse_journal (xid);

-- PostgreSQL empties an unlogged table when it recovers from a crash and when a standby becomes the primary. Then rows
-- that a reader has seen may be gone and numbers of transactions may be given again, so that readers begin anew.
CREATE UNLOGGED TABLE IF NOT EXISTS gatehouse_incarnation (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    id text NOT NULL DEFAULT gen_random_uuid()::text,
    system text NOT NULL
);

-- The files that `gatehouse journal import` brought here, and how much of each.
CREATE TABLE IF NOT EXISTS gatehouse_import (
    host text NOT NULL,
    file text NOT NULL,
    head text NOT NULL,
    bytes bigint NOT NULL,
    records bigint NOT NULL,
    sha256 text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (file, head)
);

-- The months that `gatehouse journal archive` moved out of the table.
CREATE TABLE IF NOT EXISTS gatehouse_archive (
    month text PRIMARY KEY,
    host text NOT NULL,
    records bigint NOT NULL,
    sha256 text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Makes the partitions of this month and of the next ones; the caller holds the lock of the schema.
CREATE OR REPLACE FUNCTION gatehouse_partitions(months integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    first timestamptz := date_trunc('month', clock_timestamp() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC';
    since timestamptz;
    name text;
BEGIN
    FOR n IN 0..months LOOP
        since := ((first AT TIME ZONE 'UTC') + make_interval(months => n)) AT TIME ZONE 'UTC';
        name := 'gatehouse_journal_' || to_char(since AT TIME ZONE 'UTC', 'YYYY_MM');
        IF to_regclass(name) IS NULL THEN
            EXECUTE format('CREATE TABLE %I PARTITION OF gatehouse_journal FOR VALUES FROM (%L) TO (%L)',
                name, since, ((since AT TIME ZONE 'UTC') + interval '1 month') AT TIME ZONE 'UTC');
        END IF;
    END LOOP;
END $$;

-- Appends one record in one round trip.
-- `is_synced`: the commit waits for the disk, and for the synchronous standby if there is one.
-- `is_alone`: the record begins an epoch. Each record before it is visible when it gets its number, and each later one
-- gets a higher number, so that all readers agree which intents belong to the epoch before. Others only wait for that.
CREATE OR REPLACE FUNCTION gatehouse_append(host text, agent text, event text, line text, is_synced boolean, is_alone boolean)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF NOT is_synced THEN
        PERFORM set_config('synchronous_commit', 'off', true);
    END IF;
    IF is_alone THEN
        PERFORM pg_advisory_xact_lock(472147014701);
    ELSE
        PERFORM pg_advisory_xact_lock_shared(472147014701);
    END IF;
    INSERT INTO gatehouse_journal (host, agent, event, line) VALUES (host, agent, event, line);
END $$;
