-- Strays hold numbers: they are dropped when they have not come again for as long as names are kept.
GRANT DELETE ON message_in_stray TO spms_app;
CREATE INDEX message_in_stray_age ON message_in_stray USING brin (last_at);
