-- A mass correction is worked off in lanes, side by side: each has the numbers of its own, so no two
-- take the same chain, and each its own cursor and counts.
CREATE TABLE mass_correction_lane (
    correction_id uuid NOT NULL,
    lane integer NOT NULL,
    lanes integer NOT NULL,
    cursor_at timestamptz,
    cursor_id uuid,
    charges_done bigint NOT NULL DEFAULT 0,
    refunded bigint NOT NULL DEFAULT 0,
    refunded_fen bigint NOT NULL DEFAULT 0,
    finished boolean NOT NULL DEFAULT false,
    PRIMARY KEY (correction_id, lane),
    CONSTRAINT mass_correction_lane_number CHECK (lane BETWEEN 0 AND lanes - 1)
);
CREATE INDEX mass_correction_lane_open ON mass_correction_lane (correction_id) WHERE NOT finished;
GRANT SELECT, INSERT ON mass_correction_lane TO spms_app;
GRANT UPDATE (cursor_at, cursor_id, charges_done, refunded, refunded_fen, finished)
    ON mass_correction_lane TO spms_app;
INSERT INTO mass_correction_lane (correction_id, lane, lanes, cursor_at, cursor_id, charges_done,
                                  refunded, refunded_fen, finished)
SELECT id, 0, 1, cursor_at, cursor_id, charges_done, refunded, refunded_fen, state <> 'refunding'
  FROM mass_correction WHERE state NOT IN ('proposed', 'declined');
ALTER TABLE mass_correction
    DROP COLUMN cursor_at, DROP COLUMN cursor_id, DROP COLUMN charges_done, DROP COLUMN refunded,
    DROP COLUMN refunded_fen;
ALTER TABLE mass_correction_lane ADD CONSTRAINT mass_correction_lane_of
    FOREIGN KEY (correction_id) REFERENCES mass_correction (id);
