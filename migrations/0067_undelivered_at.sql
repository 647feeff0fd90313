-- When the network said that a message never arrived. The state says only that it failed, and the
-- consent log tells facts by their instants. Receipts from before this column stay untold.
ALTER TABLE message_out ADD COLUMN undelivered_at timestamptz;
GRANT UPDATE (undelivered_at) ON message_out TO spms_app;
