-- What was reserved, and what was delivered of it, beside what was charged.

-- Delivered (captured) and no charge ever came for it: kept once, so that it is counted once.
CREATE TABLE uncharged_delivery (
    msisdn text COLLATE "C" NOT NULL,
    reservation_id uuid NOT NULL,
    sp_id uuid NOT NULL,
    service_id uuid NOT NULL,
    price_fen bigint NOT NULL,
    captured_at timestamptz NOT NULL,
    found_at timestamptz NOT NULL,
    PRIMARY KEY (msisdn, reservation_id)
);
GRANT SELECT, INSERT ON uncharged_delivery TO spms_app;
-- Reservations of some days are looked through; they are written in the order of time.
CREATE INDEX reservation_made ON reservation USING brin (reserved_at);
