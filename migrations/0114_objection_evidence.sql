-- What an SP hands over with an objection: each document by name and hash, so that nobody can later
-- say that it was another.
ALTER TABLE inspection_objection ADD COLUMN documents jsonb NOT NULL DEFAULT '[]'
    CONSTRAINT inspection_objection_documents
        CHECK (jsonb_typeof(documents) = 'array' AND jsonb_array_length(documents) <= 20);
ALTER TABLE inspection_objection ALTER COLUMN documents DROP DEFAULT;
