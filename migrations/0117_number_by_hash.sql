-- The deciding statement finds a thousand numbers one by one. In a hash index each is one page away,
-- in the primary key's tree three. A number's row keeps its number, so that changing the row costs
-- nothing more.
CREATE INDEX number_standing_hash ON number_standing USING hash (msisdn);
