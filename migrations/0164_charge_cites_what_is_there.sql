-- A charge cites a consent of its number and a service of its SP. As foreign keys the two were looked
-- up row by row, a quarter of what a charge costs to land, and wrote a lock into each consent's row:
-- with a month larger than memory, one more page read, dirtied and written back for every charge.
-- The same is seen a statement at a time (docs/decisions/0012). The keys' other half, that what is
-- cited stays, holds for consents and services themselves.

CREATE FUNCTION charges_cite_what_is_there() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off SET search_path = public, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM added c
                WHERE c.consent_id IS NOT NULL
                  AND NOT EXISTS (SELECT FROM consent t
                                   WHERE t.msisdn = c.msisdn AND t.subscription_id = c.consent_id
                                  OFFSET 0)) THEN
        RAISE EXCEPTION 'a charge cites a consent of its number'
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'charge_record_consent';
    END IF;
    IF EXISTS (SELECT FROM (SELECT DISTINCT service_id, sp_id FROM added) c
                WHERE NOT EXISTS (SELECT FROM service v
                                   WHERE v.id = c.service_id AND v.sp_id = c.sp_id OFFSET 0)) THEN
        RAISE EXCEPTION 'a charge is for a service of its SP'
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'charge_record_own_service';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER charge_record_cites AFTER INSERT ON charge_record
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION charges_cite_what_is_there();
CREATE TRIGGER charge_record_cites_still AFTER UPDATE ON charge_record
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION charges_cite_what_is_there();

CREATE FUNCTION refuse_while_cited() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off SET search_path = public, pg_temp AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        PERFORM FROM charge_record WHERE TG_TABLE_NAME = 'service' OR consent_id IS NOT NULL LIMIT 1;
    ELSIF TG_TABLE_NAME = 'consent' THEN
        PERFORM FROM charge_record
          WHERE msisdn = OLD.msisdn AND consent_id = OLD.subscription_id LIMIT 1;
    ELSE
        PERFORM FROM charge_record WHERE sp_id = OLD.sp_id AND service_id = OLD.id LIMIT 1;
    END IF;
    IF FOUND THEN
        RAISE EXCEPTION 'a charge cites what is to be taken from %', TG_TABLE_NAME
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'charge_record_cites',
                  TABLE = TG_TABLE_NAME;
    END IF;
    RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END
$$;
CREATE TRIGGER consent_is_cited BEFORE DELETE OR UPDATE OF msisdn, subscription_id ON consent
    FOR EACH ROW EXECUTE FUNCTION refuse_while_cited();
CREATE TRIGGER service_is_cited BEFORE DELETE OR UPDATE OF id, sp_id ON service
    FOR EACH ROW EXECUTE FUNCTION refuse_while_cited();
CREATE TRIGGER consents_are_cited BEFORE TRUNCATE ON consent
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_while_cited();
CREATE TRIGGER services_are_cited BEFORE TRUNCATE ON service
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_while_cited();

ALTER TABLE charge_record DROP CONSTRAINT charge_record_consent;
ALTER TABLE charge_record DROP CONSTRAINT charge_record_own_service;
