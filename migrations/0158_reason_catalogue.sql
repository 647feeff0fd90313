-- What people claim under is the rulebook's (`compensation.reasons`: a code, its words in two languages,
-- and which of the six causes it stands for). A claim that needs proof and a mass correction keep the code
-- and the version whose catalogue it was. Null in both: from before there was one; the code is the cause.
ALTER TABLE verification
    ADD COLUMN code text CONSTRAINT verification_code CHECK (code ~ '^[a-z][a-z_]{1,39}$'),
    ADD COLUMN code_version integer,
    ADD CONSTRAINT verification_code_of CHECK ((code IS NULL) = (code_version IS NULL));
ALTER TABLE mass_correction
    ADD COLUMN code text CONSTRAINT mass_correction_code CHECK (code ~ '^[a-z][a-z_]{1,39}$'),
    ADD COLUMN code_version integer,
    ADD CONSTRAINT mass_correction_code_of CHECK ((code IS NULL) = (code_version IS NULL));

-- A rulebook that cannot be read would stop every refund. Blank is what the reader takes for blank:
-- `\s` here knows fewer spaces than it does.
CREATE FUNCTION reasons_are_sound(said jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN said IS NULL THEN true
        WHEN jsonb_typeof(said) <> 'object' THEN false
        ELSE (SELECT count(*) FROM jsonb_object_keys(said)) BETWEEN 1 AND 100
         AND NOT EXISTS (
            SELECT FROM jsonb_each(said) AS of (code, reason)
             WHERE code !~ '^[a-z][a-z_]{1,39}$'
                OR CASE WHEN jsonb_typeof(reason) <> 'object' THEN true
                   ELSE reason - ARRAY['cause', 'zh', 'en'] <> '{}'
                     OR COALESCE(reason ->> 'cause', '') NOT IN (
                            'operator_fault', 'sp_fault', 'metering', 'not_as_published',
                            'promised_discount', 'not_opened')
                     OR EXISTS (
                        SELECT FROM unnest(ARRAY[reason -> 'zh', reason -> 'en']) AS words
                         WHERE (jsonb_typeof(words) = 'string' AND length(words #>> '{}') <= 200
                                AND words #>> '{}' ~ '[^\s\u001c-\u001f\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]')
                               IS NOT TRUE) END) END
$$;
ALTER TABLE rulebook ADD CONSTRAINT rulebook_reasons
    CHECK (reasons_are_sound(rules #> '{compensation,reasons}'));
