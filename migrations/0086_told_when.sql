-- When an SP got to know something is a fact of its own that later reading must not move: a clock may
-- be looked at long after.

-- Each time an SP came further in its feed: all up to the position has arrived by then.
CREATE TABLE event_feed_read (
    sp_id uuid NOT NULL,
    position bigint NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (sp_id, position)
);
CREATE INDEX event_feed_read_at ON event_feed_read (at);
GRANT SELECT, INSERT, DELETE ON event_feed_read TO spms_app;
INSERT INTO event_feed_read (sp_id, position, at)
SELECT sp_id, read_position, read_at FROM event_feed_head
 WHERE read_at IS NOT NULL AND read_position > 0;

-- When an endpoint first took an event, whatever is replayed to it later.
ALTER TABLE webhook_delivery ADD COLUMN first_delivered_at timestamptz;
GRANT UPDATE (first_delivered_at) ON webhook_delivery TO spms_app;
UPDATE webhook_delivery SET first_delivered_at = done_at WHERE state = 'delivered';

-- When an event could be read: it got its position. Of old ones only when it happened is known.
ALTER TABLE partner_event ADD COLUMN told_at timestamptz;
GRANT UPDATE (told_at) ON partner_event TO spms_app;
UPDATE partner_event SET told_at = occurred_at WHERE position IS NOT NULL;
