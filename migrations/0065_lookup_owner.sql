-- Whom an agent's look showed: the number's epoch then, null when nobody held it. Looks from before
-- this column name nobody, so an agent looks again; they live for half an hour anyway.
ALTER TABLE proxy_lookup ADD COLUMN owner_epoch integer;
