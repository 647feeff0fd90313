-- What a link delivered and we cannot put under a number: kept as it came, so that nothing is lost.
-- The same content again counts up.
CREATE TABLE message_in_stray (
    link text NOT NULL,
    digest bytea NOT NULL,
    id uuid NOT NULL,
    why text NOT NULL CONSTRAINT message_in_stray_why
        CHECK (why IN ('source', 'destination', 'broken')),
    raw bytea NOT NULL,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    times integer NOT NULL DEFAULT 1,
    PRIMARY KEY (link, digest)
);
CREATE UNIQUE INDEX message_in_stray_id ON message_in_stray (id);
GRANT SELECT, INSERT ON message_in_stray TO spms_app;
GRANT UPDATE (last_at, times) ON message_in_stray TO spms_app;
