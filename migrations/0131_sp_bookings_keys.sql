-- Foreign keys of 0130, by name and last.
ALTER TABLE sp_booking ADD CONSTRAINT sp_booking_sp FOREIGN KEY (sp_id) REFERENCES sp (id);
