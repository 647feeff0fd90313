-- A cut whose breach is quashed after its statement was locked is given back by a later one, once.
ALTER TABLE settlement_use DROP CONSTRAINT settlement_use_kind,
    ADD CONSTRAINT settlement_use_kind
        CHECK (kind IN ('breach', 'adjustment', 'posting', 'cut_back'));
CREATE INDEX settlement_use_of ON settlement_use (settlement_id);
