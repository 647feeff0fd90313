-- A mass correction first lists its charges, then works them off in the order of the numbers: each
-- page of an index is met once, and a lane reads nothing of another's. The list is what was found when
-- it was approved; it is dropped when the work is done.
CREATE TABLE mass_correction_charge (
    msisdn text COLLATE "C" NOT NULL,
    correction_id uuid NOT NULL,
    charge_id uuid NOT NULL,
    charged_at timestamptz NOT NULL,
    PRIMARY KEY (msisdn, correction_id, charge_id)
);
GRANT SELECT, INSERT, DELETE ON mass_correction_charge TO spms_app;
ALTER TABLE mass_correction DROP CONSTRAINT mass_correction_state, ADD CONSTRAINT mass_correction_state
    CHECK (state IN ('proposed', 'declined', 'listing', 'refunding', 'telling', 'done'));
ALTER TABLE mass_correction
    ADD COLUMN listed_at timestamptz,   -- how far the listing has come: charged at, and its id
    ADD COLUMN listed_id uuid;
GRANT UPDATE (listed_at, listed_id) ON mass_correction TO spms_app;
DROP INDEX mass_correction_open;
CREATE INDEX mass_correction_open ON mass_correction (decided_at)
    WHERE state IN ('listing', 'refunding', 'telling');
-- A lane has the numbers after one and up to another; the first has no lower end, the last no upper.
ALTER TABLE mass_correction_lane
    DROP COLUMN cursor_at, DROP COLUMN cursor_id, ADD COLUMN after_number text COLLATE "C",
    ADD COLUMN until_number text COLLATE "C";
GRANT UPDATE (after_number) ON mass_correction_lane TO spms_app;
-- What is under way is listed anew, and looked at anew: what it has refunded, it finds refunded.
UPDATE mass_correction_lane SET charges_done = 0 WHERE NOT finished OR correction_id IN
    (SELECT id FROM mass_correction WHERE state = 'refunding');
UPDATE mass_correction_lane SET finished = true;
UPDATE mass_correction SET state = 'listing' WHERE state = 'refunding';
