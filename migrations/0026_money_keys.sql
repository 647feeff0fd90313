-- Foreign keys of the book, by name and last.

-- A line belongs to an entry that counts it in. Deferred: entry and lines are one statement.
ALTER TABLE journal_entry ADD CONSTRAINT journal_entry_counts UNIQUE (msisdn, id, lines);
ALTER TABLE posting ADD CONSTRAINT posting_entry FOREIGN KEY (msisdn, entry_id, of_lines)
    REFERENCES journal_entry (msisdn, id, lines) DEFERRABLE INITIALLY DEFERRED;
