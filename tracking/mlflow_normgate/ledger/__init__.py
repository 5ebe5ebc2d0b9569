"""The ledger: contracts, bindings, evidence, promotions and every verdict, in tables.

`tables` are what is kept, `upgrade` makes them and keeps them up to date, `backstop`
are the triggers by which the database itself refuses, `contracts` and `verdicts` read
and write. Decisions and MLflow's transactions are the store's work.
"""
