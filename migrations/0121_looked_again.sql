-- When all that was listed is refunded, a mass correction looks once more for charges that came in
-- after the listing had passed their time, and refunds those too.
ALTER TABLE mass_correction ADD COLUMN looked_again_at timestamptz;
GRANT UPDATE (looked_again_at) ON mass_correction TO spms_app;
