-- When all that was listed is refunded, a mass correction looks once more for charges that came in
-- after the listing had passed their time, and refunds those too.
ALTER TABLE mass_correction ADD COLUMN looked_again_at timestamptz;
GRANT UPDATE (looked_again_at) ON mass_correction TO spms_app;

-- Charges are taken off the list as they are worked off. Of what is under way, those behind the cursors
-- have been worked off already.
DELETE FROM mass_correction_charge c USING mass_correction_lane l
 WHERE l.correction_id = c.correction_id AND c.msisdn <= l.after_number
   AND c.msisdn > COALESCE((SELECT max(b.until_number) FROM mass_correction_lane b
                             WHERE b.correction_id = l.correction_id AND b.lane < l.lane), '');
