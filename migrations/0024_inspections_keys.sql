-- Foreign keys of the spot checks in depth.

ALTER TABLE inspection_item ADD CONSTRAINT inspection_item_same_as FOREIGN KEY (same_as) REFERENCES inspection_item (id);
ALTER TABLE hotline_evidence ADD CONSTRAINT hotline_evidence_call FOREIGN KEY (item_id, attempt_no) REFERENCES hotline_call (item_id, attempt_no);
ALTER TABLE hotline_finding ADD CONSTRAINT hotline_finding_item FOREIGN KEY (item_id) REFERENCES inspection_item (id);
ALTER TABLE inspection_objection ADD CONSTRAINT inspection_objection_item FOREIGN KEY (item_id) REFERENCES inspection_item (id);
ALTER TABLE hotline_greeting ADD CONSTRAINT hotline_greeting_sp FOREIGN KEY (sp_id) REFERENCES sp (id);
