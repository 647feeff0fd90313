-- What people book on an SP's account: its deposit as it comes and goes, and what is taken from it or
-- given up of what the SP owes. One proposes, another agrees; the entry in the book is of that moment.
CREATE TABLE sp_booking (
    id uuid PRIMARY KEY,
    sp_id uuid NOT NULL,
    kind text NOT NULL CONSTRAINT sp_booking_kind CHECK (kind IN
        ('deposit_paid', 'deposit_returned', 'deposit_call', 'write_off')),
    amount_fen bigint NOT NULL CONSTRAINT sp_booking_amount CHECK (amount_fen > 0),
    reference text NOT NULL,        -- the bank's, or of the file that decides it
    reason text NOT NULL,
    state text NOT NULL CONSTRAINT sp_booking_state CHECK (state IN ('proposed', 'agreed', 'declined')),
    proposed_at timestamptz NOT NULL,
    proposed_by text NOT NULL,
    decided_at timestamptz,
    decided_by text,
    entry_id uuid,                  -- in the book, in the SP's chain
    booked_fen bigint,              -- of a call or a write-off: no more than was owed, and was there
    CONSTRAINT sp_booking_two_people CHECK (decided_by <> proposed_by),
    CONSTRAINT sp_booking_decided CHECK ((state = 'proposed') = (decided_by IS NULL)
                                         AND (state = 'proposed') = (decided_at IS NULL)),
    CONSTRAINT sp_booking_booked CHECK ((state = 'agreed') = (entry_id IS NOT NULL)
        AND (state = 'agreed') = (booked_fen IS NOT NULL) AND booked_fen BETWEEN 1 AND amount_fen)
);
-- One transfer is entered once.
CREATE UNIQUE INDEX sp_booking_once ON sp_booking (sp_id, kind, reference) WHERE state <> 'declined';
CREATE INDEX sp_booking_recent ON sp_booking (proposed_at, id);
CREATE INDEX sp_booking_of ON sp_booking (sp_id, proposed_at, id);
GRANT SELECT, INSERT ON sp_booking TO spms_app;
GRANT UPDATE (state, decided_at, decided_by, entry_id, booked_fen) ON sp_booking TO spms_app;
CREATE TRIGGER row_is_final BEFORE UPDATE ON sp_booking FOR EACH ROW
    WHEN (OLD.state <> 'proposed' AND OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION refuse_final();

-- A difference that comes back after it was explained, or had come right, is found anew: the SP has
-- its time to explain it again.
GRANT UPDATE (found_at) ON reconciliation_difference TO spms_app;
