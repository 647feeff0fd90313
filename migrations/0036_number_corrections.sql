-- What followed from an event until a late one was recorded: a decision in between is replayed by it.
CREATE TABLE number_correction (
    msisdn text COLLATE "C" NOT NULL,
    event_id uuid NOT NULL,
    replaced_at timestamptz NOT NULL,
    state_before text NOT NULL CONSTRAINT number_correction_state
        CHECK (state_before IN ('active', 'suspended', 'terminated')),
    epoch_before integer NOT NULL,
    PRIMARY KEY (msisdn, event_id, replaced_at)
);
GRANT SELECT, INSERT ON number_correction TO spms_app;
ALTER TABLE number_correction ADD CONSTRAINT number_correction_event
    FOREIGN KEY (msisdn, event_id) REFERENCES number_event (msisdn, id);
