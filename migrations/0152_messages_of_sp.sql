-- The messages under an SP's fee for unbalanced messages are read page by page, each kind from an index.
-- What came to an SP's numbers, in its order.
CREATE INDEX message_in_called ON message_in (called, received_at, id);
-- Messages that were decided about before decisions were kept in packs; a decision about a charge has
-- no entry.
CREATE INDEX authorisation_message_of_sp ON authorisation (sp_id, id)
    WHERE purpose = 'message' AND allowed;
