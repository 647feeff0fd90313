-- A statement takes what penalties booked: a fine, or the line that took one back, once.
ALTER TABLE settlement_use DROP CONSTRAINT settlement_use_kind,
    ADD CONSTRAINT settlement_use_kind CHECK (kind IN ('breach', 'adjustment', 'posting'));
