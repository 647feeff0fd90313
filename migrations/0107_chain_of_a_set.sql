-- The links of many entries of a chain in one pass over them, each hashed from the one before:
-- sha256(previous || text), as `journal_link` does one.
CREATE FUNCTION journal_next(state bytea, head bytea, text bytea) RETURNS bytea
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN sha256(COALESCE(state, head) || text);
END
$$;
CREATE AGGREGATE journal_chain(head bytea, text bytea) (SFUNC = journal_next, STYPE = bytea);
