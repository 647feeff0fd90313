-- A charge is for a service of the very SP that sent it: one key says what two said apart, and says
-- more; each key of this table is a look-up for every record that lands. The SP exists because the
-- service's own key to it says so.

ALTER TABLE charge_record ADD CONSTRAINT charge_record_own_service
    FOREIGN KEY (service_id, sp_id) REFERENCES service (id, sp_id);
ALTER TABLE charge_record DROP CONSTRAINT charge_record_service;
ALTER TABLE charge_record DROP CONSTRAINT charge_record_sp;

-- Files are staged in temporary tables, which everybody may have unless somebody took that right away.
DO $$
BEGIN
    EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO spms_app', current_database());
END
$$;
