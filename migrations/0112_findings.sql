-- What the daily look for breaches reads: questions of SPs about services and numbers not their own.
CREATE INDEX authorisation_foreign ON authorisation (decided_at)
    WHERE NOT allowed AND reasons && ARRAY['access_number_wrong', 'service_not_of_sp']::text[];
