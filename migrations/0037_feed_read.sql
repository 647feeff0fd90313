-- How far an SP has read its feed: coming back with a cursor says that all before it has arrived.
ALTER TABLE event_feed_head ADD COLUMN read_position bigint NOT NULL DEFAULT 0;
ALTER TABLE event_feed_head ADD COLUMN read_at timestamptz;  -- when it last came further
GRANT UPDATE (read_position, read_at) ON event_feed_head TO spms_app;
