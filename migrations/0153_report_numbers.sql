-- The numbers that a report which holds a settlement is about: whoever clears the hold can read what it
-- rests on. Listed hold by hold after the drafts are drawn; a report that holds nothing has none.
CREATE TABLE settlement_report_number (
    msisdn text COLLATE "C" NOT NULL,
    month date NOT NULL,
    sp_id uuid NOT NULL,
    kind text NOT NULL CONSTRAINT settlement_report_number_kind CHECK (kind IN
        ('silent_users', 'self_consumption', 'arrears')),
    place bigint NOT NULL,          -- within the report, from 1: who paid most is first
    charges bigint NOT NULL,
    amount_fen bigint NOT NULL,     -- what the number paid the SP in the month
    last_charged_at timestamptz NOT NULL,
    CONSTRAINT settlement_report_number_charges CHECK (charges > 0 AND place > 0),
    PRIMARY KEY (msisdn, month, sp_id, kind)
);
-- A report is read in its order. A place says nothing of the number, so that a cursor may name it.
CREATE INDEX settlement_report_number_place ON settlement_report_number (month, sp_id, kind, place);
GRANT SELECT, INSERT ON settlement_report_number TO spms_app;
ALTER TABLE settlement_hold ADD COLUMN listed_at timestamptz;   -- when its numbers were
CREATE INDEX settlement_hold_unlisted ON settlement_hold (placed_at, id)
    WHERE listed_at IS NULL AND cleared_at IS NULL AND cause <> 'officer';
GRANT UPDATE (listed_at) ON settlement_hold TO spms_app;
