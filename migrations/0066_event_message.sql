-- The SMS that a move of a relation followed from, where one did and no consent cites it: received
-- at the event's instant. Two messages may share an instant, so the instant does not name it.
-- Events from before this column cite nothing; the log finds their message as it did.
ALTER TABLE subscription_event ADD COLUMN message_id uuid;
