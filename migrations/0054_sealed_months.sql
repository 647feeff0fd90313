-- Months of charge records that are over: written anew in the order in which bills read them, and
-- closed to whatever comes late.

CREATE TABLE charge_month (
    month date PRIMARY KEY,         -- first day of the business month
    sealed_at timestamptz NOT NULL
);
GRANT SELECT, INSERT ON charge_month TO spms_app;

-- A partition cannot be swapped while findings and claims refer to it; CLUSTER writes it anew in
-- place, by its primary key (number, time, id). The CHECK that nothing can pass is NOT VALID: what is
-- there stays, and no row is added any more, by whomever and however it was begun.
CREATE FUNCTION seal_charge_month(wanted date, at timestamptz) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    child text := 'charge_record_' || to_char(wanted, 'YYYYMM');
BEGIN
    IF (date_trunc('month', wanted::timestamp) + interval '1 month') AT TIME ZONE 'Asia/Shanghai'
       > at - interval '3 days' THEN
        RAISE EXCEPTION 'the month % is not over', wanted;
    END IF;
    IF to_regclass(child) IS NULL THEN
        RETURN false;
    END IF;
    INSERT INTO charge_month (month, sealed_at) VALUES (date_trunc('month', wanted), at)
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    EXECUTE format('ALTER TABLE %I ADD CONSTRAINT %I CHECK (false) NOT VALID',
                   child, child || '_sealed');
    EXECUTE format('CLUSTER %I USING %I', child, child || '_pkey');
    EXECUTE format('ANALYZE %I', child);
    RETURN true;
END
$$;
REVOKE ALL ON FUNCTION seal_charge_month(date, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION seal_charge_month(date, timestamptz) TO spms_app;
