-- What a number's month has come to is one row (month_spend) since decisions read it there. The index
-- that once answered it is only written any more; a replay finds the same rows by the primary key.
DROP INDEX authorisation_spend;
