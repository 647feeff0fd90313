-- The PDUs themselves, header included, one after another: each begins with its own length.
-- Null where the way into the network has none (the sandbox's handset, the HTTP gateway).
ALTER TABLE message_in ADD COLUMN pdu bytea;            -- deliver_sm as received, by part
ALTER TABLE message_receipt ADD COLUMN pdu bytea;       -- deliver_sm as received
ALTER TABLE message_out
    ADD COLUMN pdu bytea,                               -- submit_sm as sent, by part
    ADD COLUMN receipt_pdu bytea,                       -- of the receipts that were believed
    ADD COLUMN withdrawn_at timestamptz,                -- not to be sent (again) from then on
    ADD CONSTRAINT message_out_pdu_was_sent CHECK (pdu IS NULL OR sent_at IS NOT NULL);
GRANT UPDATE (pdu, receipt_pdu, withdrawn_at) ON message_out TO spms_app;

-- The link's name for a part, so that a message in parts has the name of its first one, in
-- whatever order they come.
ALTER TABLE message_in_part
    ADD COLUMN name text,
    ADD COLUMN pdu bytea;
CREATE INDEX message_in_part_name ON message_in_part (msisdn, link, name)
    WHERE message_id IS NOT NULL;

-- What we sent in parts that have names of their own, and what the network reported on each.
-- The message is delivered when all of them are.
CREATE TABLE message_out_part (
    msisdn text COLLATE "C" NOT NULL,
    queued_at timestamptz NOT NULL,
    message_id uuid NOT NULL,
    number smallint NOT NULL CONSTRAINT message_out_part_number CHECK (number >= 1),
    link text NOT NULL,
    link_message_id text NOT NULL,
    sent_at timestamptz NOT NULL,
    delivered boolean,              -- null: nothing was reported yet
    reported_at timestamptz,
    receipt_pdu bytea,
    CONSTRAINT message_out_part_reported CHECK ((delivered IS NULL) = (reported_at IS NULL)),
    PRIMARY KEY (msisdn, queued_at, message_id, number)
);
CREATE INDEX message_out_part_receipt ON message_out_part (link, link_message_id);
CREATE INDEX message_out_part_age ON message_out_part USING brin (sent_at);
GRANT SELECT, INSERT, DELETE ON message_out_part TO spms_app;
GRANT UPDATE (delivered, reported_at, receipt_pdu) ON message_out_part TO spms_app;
