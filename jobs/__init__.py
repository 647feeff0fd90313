"""The whole timetable of SPMS as one list, and nothing else.

A *slot* job runs once per slot of its schedule, whatever the number of workers; the row in
`job_slot` decides. A *pump* empties a queue of rows as soon as something is in it; rows are
claimed with SKIP LOCKED, so any number of workers may pump.
"""
