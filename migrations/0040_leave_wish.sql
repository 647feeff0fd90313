-- A message that may be a wish to leave, from its receipt until it is settled. It stops charging of
-- what the number had by then, however long it lies. Written with the message; handling the message
-- settles it, unless the handling failed: then a person does.
CREATE TABLE leave_wish (
    msisdn text COLLATE "C" NOT NULL,
    received_at timestamptz NOT NULL,
    message_id uuid NOT NULL,
    settled_at timestamptz,
    settled_by text,
    CONSTRAINT leave_wish_settled CHECK ((settled_at IS NULL) = (settled_by IS NULL)),
    CONSTRAINT leave_wish_in_order CHECK (settled_at >= received_at),
    PRIMARY KEY (msisdn, received_at, message_id)
);
CREATE INDEX leave_wish_open ON leave_wish (received_at, message_id) WHERE settled_at IS NULL;
GRANT SELECT, INSERT ON leave_wish TO spms_app;
GRANT UPDATE (settled_at, settled_by) ON leave_wish TO spms_app;

-- What lies there already. Read more generously than the code reads: a person settles the rest.
INSERT INTO leave_wish (msisdn, received_at, message_id)
SELECT msisdn, received_at, id FROM message_in
 WHERE (handled_at IS NULL OR outcome = 'failed')
   AND normalize(text, NFKC) ~* '(td|退|stop|unsubscribe|0000|^[0-9 ,.、;+]+$)';
