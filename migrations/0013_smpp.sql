-- The SMS link over SMPP: what a receipt said, parts of long messages, and which deliveries may
-- come again.

ALTER TABLE message_receipt
    ADD COLUMN msisdn text COLLATE "C",     -- whose handset it is about, where the link says so
    ADD COLUMN stat text,                   -- the network's own word
    ADD COLUMN done_at timestamptz,         -- by the network's clock, taken for UTC
    ADD COLUMN matched boolean NOT NULL DEFAULT false;  -- false: we know no such message (orphan)
GRANT UPDATE (matched) ON message_receipt TO spms_app;
CREATE INDEX message_receipt_orphan ON message_receipt (received_at) WHERE NOT matched;
CREATE INDEX message_receipt_age ON message_receipt (received_at);

-- Parts of a long message, each committed before it is acknowledged, until all have come.
CREATE TABLE message_in_part (
    msisdn text COLLATE "C" NOT NULL,
    id uuid NOT NULL,
    link text NOT NULL,
    called text NOT NULL,
    reference integer NOT NULL,
    total smallint NOT NULL,
    number smallint NOT NULL CONSTRAINT message_in_part_number CHECK (number BETWEEN 1 AND total),
    data_coding smallint NOT NULL,
    raw bytea NOT NULL,
    received_at timestamptz NOT NULL,
    message_id uuid,                -- the message it became a part of
    PRIMARY KEY (msisdn, id)
);
CREATE INDEX message_in_part_open ON message_in_part (msisdn, link, called, reference, total)
    WHERE message_id IS NULL;
CREATE INDEX message_in_part_age ON message_in_part (received_at);
GRANT SELECT, INSERT, DELETE ON message_in_part TO spms_app;
GRANT UPDATE (message_id) ON message_in_part TO spms_app;

-- Deliveries whose answer the network may not have got: the same content again is a repetition.
-- A row goes when the network has shown that it read the answer, so there are few.
CREATE TABLE message_in_unproven (
    id uuid PRIMARY KEY,
    link text NOT NULL,
    digest bytea NOT NULL,          -- of numbers and content
    received_at timestamptz NOT NULL,
    until timestamptz               -- null: the link has not come back yet since
);
CREATE INDEX message_in_unproven_digest ON message_in_unproven (link, digest);
GRANT SELECT, INSERT, DELETE ON message_in_unproven TO spms_app;
GRANT UPDATE (until) ON message_in_unproven TO spms_app;

-- The link's names for messages are forgotten with the messages (retention).
GRANT DELETE ON message_in_key TO spms_app;
CREATE INDEX message_in_key_age ON message_in_key USING brin (received_at);
