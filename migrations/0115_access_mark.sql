-- A new mark with every commit that changes or takes out of use what an SP signs in with. It is read
-- in the deciding statement, so that a process may remember who holds a token as long as the mark
-- is the same, and a token that was revoked stops with the next decision all the same.
-- A token that is new needs none: what nobody remembers is looked up.
CREATE TABLE access_mark (
    one boolean PRIMARY KEY DEFAULT true CONSTRAINT access_mark_one CHECK (one),
    mark uuid NOT NULL
);
INSERT INTO access_mark (mark) VALUES (gen_random_uuid());
GRANT SELECT ON access_mark TO spms_app;

-- Deferred: the row is locked last and for the length of the commit. Once for each transaction, and
-- for SPs only: people come and go all day, and ask for no decisions.
CREATE FUNCTION mark_access() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF TG_TABLE_NAME = 'access_token' THEN
        IF NOT EXISTS (SELECT FROM credential WHERE id = OLD.credential_id AND kind = 'sp') THEN
            RETURN NULL;
        END IF;
    END IF;
    IF current_setting('spms.access_marked', true)
       IS DISTINCT FROM pg_current_xact_id()::text THEN
        PERFORM set_config('spms.access_marked', pg_current_xact_id()::text, true);
        UPDATE access_mark SET mark = gen_random_uuid();
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER access_token_mark AFTER UPDATE OR DELETE ON access_token
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION mark_access();
CREATE CONSTRAINT TRIGGER credential_mark AFTER UPDATE OR DELETE ON credential
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.kind = 'sp')
    EXECUTE FUNCTION mark_access();
