-- What a charge file is known to hold before its first line lands: so that progress can be shown,
-- and a file is done only when every one of its lines is accounted for.

ALTER TABLE charge_file
    ADD COLUMN received bigint,
    ADD COLUMN encoding text NOT NULL DEFAULT 'utf-8'
        CONSTRAINT charge_file_encoding CHECK (encoding IN ('utf-8', 'gb18030'));
UPDATE charge_file SET received = lines WHERE state = 'done';
ALTER TABLE charge_file
    ADD CONSTRAINT charge_file_within CHECK (lines <= received),
    ADD CONSTRAINT charge_file_whole CHECK (state <> 'done' OR lines = received);
COMMENT ON COLUMN charge_file.received IS
    'lines of data in the file; null: began before they were counted ahead';
GRANT UPDATE (received) ON charge_file TO spms_app;

-- An SP's files, newest first, and one of them by its content.
CREATE INDEX charge_file_of ON charge_file (sp_id, received_at, id);
